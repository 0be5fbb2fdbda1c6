"""`flexpeer play`: a scenario's day over the API, its orders sent by several programs as its FSPs would.

Orders reach the market in order of `arrival`: each program waits for its turn, sends, and gives the turn on when nobody
waits for a sweep any more. So the day ends in the state of `flexpeer run`, also if the service ended and came back in
between: what got no answer is sent again, with the same key.
"""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx
import msgspec

from flexpeer.adapters.json_files import read_json
from flexpeer.app.scenario import OrderRow, Scenario
from flexpeer.bootstrap import read_whole
from flexpeer.errors import BadInput, Finding, Unusable, bad_input
from flexpeer.quantities import MINOR_PER_MAJOR
from flexpeer.sdk import Client as SdkClient
from flexpeer.sdk import Request, Unreachable

OPERATOR_ROLE = "MARKET_OPERATOR"
FIRST_PATIENCE_S, PATIENCE_S, PAUSE_S, TIMEOUT_S = 120.0, 900.0, 0.2, 900.0
"""For a service that was there one waits longer: it may come back on a machine that has much else to do."""
WATTS_PER_MW = 1_000_000
START = multiprocessing.get_context("fork")
TIMES_IN_FORCE = {"day": "Day", "fak": "FaK", "fok": "FoK"}
Progress = Callable[[int, int], None]
Json = dict[str, Any]


class PlayingClient(msgspec.Struct, frozen=True):
    """An organisation's client, of the credentials file."""

    role: str
    client_id: str
    client_secret: str


class CredentialsFile(msgspec.Struct, frozen=True):
    """The file that `flexpeer serve` writes when it makes a market."""

    organisations: dict[str, PlayingClient]


class RowTurn(NamedTuple):
    """What a row of `orders.csv` has done, when it is its turn, and who sends it. `action` as in the file."""

    number: int
    organisation: str
    action: str
    body: Json

    @property
    def path(self) -> str:
        """The order's own."""
        return f"/api/Orders/{quote(self.body['id'], safe='')}?marketId={self.body['marketId']}"


class Api(SdkClient):
    """One organisation's way to the service, with patience while it is away."""

    def __init__(self, url: str, client: PlayingClient, patience_s: float = PATIENCE_S) -> None:
        self._url, self._client = url, client
        pauses_s = (PAUSE_S,) * int(patience_s / PAUSE_S)
        super().__init__(url, client.client_id, client.client_secret, timeout_s=TIMEOUT_S, pauses_s=pauses_s)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """What the service answers in the end; `Unusable` if it stays away or knows nobody like this."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        content = None if body is None else msgspec.json.encode(body)
        try:
            answer = self.answer(Request[Any](method, path, None, content, named))
        except Unreachable as error:
            raise Unusable(self._url, "does not answer", "a service that runs") from error
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            problem = f"knows no client {self._client.client_id}"
            raise Unusable(self._url, problem, "credentials of the market that is served there")
        return answer


def play(folder: Path, credentials: Path, url: str, clients: int, progress: Progress) -> Json:
    """Play a scenario's day; what the service says it came to."""
    scenario, _ = read_whole(folder)
    known = read_json(credentials, CredentialsFile, "credentials", "holds none", "what flexpeer serve wrote")
    client = _operator(known, credentials)
    market = Api(url, client, FIRST_PATIENCE_S).call("GET", f"/api/Markets/{scenario.day.delivery_day}")
    operator = Api(url, client)
    if market.is_error:
        raise bad_input(url, f"has no market of {scenario.day.delivery_day}", f"a market made from {folder}")
    turns = list(_turns(scenario, known))
    if market.json()["status"] in ("announced", "open"):
        _move(operator, market.json()["gate"]["opens"])
        _send(turns, known, url, clients, progress)
    for stage in market.json()["timeline"]:
        _move(operator, stage["at"])
    return _result(operator, str(scenario.day.delivery_day))


def _operator(known: CredentialsFile, path: Path) -> PlayingClient:
    for client in known.organisations.values():
        if client.role == OPERATOR_ROLE:
            return client
    raise bad_input(str(path), "nobody in it is a market operator", "somebody who may move the clock")


def _turns(scenario: Scenario, known: CredentialsFile) -> Iterator[RowTurn]:
    """The scenario's orders in order of arrival; `BadInput` if nobody in the credentials could send one."""
    owners = {each.resource: each.fsp for each in scenario.resources} | scenario.portfolio_fsp
    missing = []
    for number, row in enumerate(scenario.orders):
        organisation = owners.get(row.resource, row.resource)
        if organisation not in known.organisations:
            missing.append(organisation)
        yield RowTurn(number, organisation, row.action, order_body(row, str(scenario.day.delivery_day)))
    if missing:
        raise BadInput(
            Finding("credentials", 0, "organisations", f"{name} is missing", "everybody who sends orders")
            for name in sorted(set(missing))
        )


def order_body(row: OrderRow, market_id: str) -> Json:
    """A row of `orders.csv` as the API takes it; quantities and prices as decimal text, exactly."""
    body: Json = {
        "id": row.order,
        "marketId": market_id,
        "portfolioId": row.resource,
        "side": row.side.capitalize(),
        "periodFrom": _utc(row.start),
        "periodTo": _utc(row.end),
        "pricePoints": [
            {
                "quantity": str(Decimal(row.quantity_w) / WATTS_PER_MW),
                "unitPrice": str(Decimal(row.price_minor) / MINOR_PER_MAJOR),
            }
        ],
        "timeInForce": TIMES_IN_FORCE[row.time_in_force],
    }
    if row.congestion_point is not None:
        body["flexibilityZoneId"] = row.congestion_point
    if row.regulation is not None:
        body["regulationType"] = row.regulation.capitalize()
    if row.min_quantity_w:
        body["minimumAcceptanceQuantity"] = str(Decimal(row.min_quantity_w) / WATTS_PER_MW)
    return body


def _utc(instant: int) -> str:
    return datetime.fromtimestamp(instant * 60, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _send(turns: Sequence[RowTurn], known: CredentialsFile, url: str, clients: int, progress: Progress) -> None:
    """Several programs, each with some of the organisations, in turn."""
    names = sorted({turn.organisation for turn in turns})
    count = max(1, min(clients, len(names)))
    baton, programs = _Baton(), list[BaseProcess]()
    for number in range(count):
        mine = set(names[number::count])
        own = {name: known.organisations[name] for name in mine}
        share = [turn for turn in turns if turn.organisation in mine]
        programs.append(START.Process(target=_program, args=(url, own, share, baton), daemon=True))
    for program in programs:
        program.start()
    while not baton.wait(len(turns), PAUSE_S):
        progress(baton.at(), len(turns))
        if any(program.exitcode not in (None, 0) for program in programs):
            break
    for program in programs:
        if baton.at() < len(turns):
            program.terminate()
        program.join()
    if baton.at() < len(turns):
        raise Unusable(url, f"order {turns[baton.at()].body['id']} could not be sent", "a service that takes it")
    progress(len(turns), len(turns))


class _Baton:
    """Whose turn it is, between programs."""

    def __init__(self) -> None:
        self._passed = START.Condition()
        self._turn = START.Value("q", 0, lock=False)

    def at(self) -> int:
        """The turn."""
        return int(self._turn.value)

    def wait(self, turn: int, timeout: float | None = None) -> bool:
        """Wait for a turn, or some seconds; whether it has come."""
        with self._passed:
            return self._passed.wait_for(lambda: self._turn.value >= turn, timeout)

    def give_on(self) -> None:
        """The next one's turn."""
        with self._passed:
            self._turn.value += 1
            self._passed.notify_all()


def _program(url: str, clients: dict[str, PlayingClient], turns: Sequence[RowTurn], baton: _Baton) -> None:
    """One program: its organisations' orders, each in its turn."""
    apis = {name: Api(url, client) for name, client in clients.items()}
    for turn in turns:
        baton.wait(turn.number)
        api = apis[turn.organisation]
        answer = _done(api, turn)
        if answer.status_code not in (200, 201, 204, 404, 409, 412, 422):
            raise SystemExit(f"order {turn.body['id']}: {answer.status_code} {answer.text}")
        while api.call("GET", f"/api/Markets/{turn.body['marketId']}/line?wait=30").json()["line"]:
            pass
        baton.give_on()


def _done(api: Api, turn: RowTurn) -> httpx.Response:
    """One order; changed only if it is as it was seen, so that a repetition changes nothing."""
    if turn.action == "place":
        return api.call("POST", "/api/Orders", turn.body, Idempotency_Key=str(turn.body["id"]))
    seen = api.call("GET", turn.path)
    headers = {"If_Match": seen.headers["ETag"]} if seen.is_success else {}
    if turn.action == "withdraw":
        return api.call("DELETE", turn.path, **headers)
    return api.call("PATCH", turn.path, {"pricePoints": turn.body["pricePoints"]}, **headers)


def _move(operator: Api, to: str) -> None:
    """Until it is there; where it is already, nothing happens."""
    answer = operator.call("POST", "/api/clock", {"to": to})
    if answer.is_error and answer.json()["reason"] != "clock_goes_forward":
        raise Unusable("the clock", answer.json()["detail"], "a market with a virtual clock")


def _result(operator: Api, market_id: str) -> Json:
    answer = operator.call("GET", f"/api/Markets/{market_id}/result")
    if answer.is_error:
        raise Unusable(market_id, answer.json()["detail"], "a day that is settled")
    result: Json = answer.json()
    return result
