"""The SDK against a served market: typed answers, refusals that say why, and no order twice."""

import asyncio
import json
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.cli.test_serve_and_play import EXAMPLE, free_port, served

from flexpeer.sdk import (
    AsyncClient,
    Client,
    Refused,
    Unreachable,
    amend,
    events,
    markets,
    order,
    orders,
    place,
    portfolios,
    public_orders,
    withdraw,
    zones,
)
from flexpeer.sdk.requests import Request
from flexpeer.wire.api import OrderChange, OrderRequest, QuantityPricePoint, SideWord, StatusWord

DAY = "2026-04-21"


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A market whose gate is open: its address, and each organisation's client."""
    data = tmp_path_factory.mktemp("served") / "market"
    with served(data, free_port(), "--scenario", str(EXAMPLE)) as (_, told):
        known = json.loads(Path(told["credentials"]).read_text(encoding="utf-8"))["organisations"]
        found = {"url": told["url"], "known": known}
        with client_of(found, "Market operator") as operator:
            market = next(operator.all(markets()))
            move = json.dumps({"to": market.gate.opens}).encode()
            operator.send(Request[Any]("POST", "/api/clock", Any, move))
        yield found


def client_of(facts: dict[str, Any], organisation: str) -> Client:
    at = facts["known"][organisation]
    return Client(facts["url"], at["client_id"], at["client_secret"])


def wanted(price: str, quantity: str = "0.5") -> OrderRequest:
    point = QuantityPricePoint(Decimal(quantity), Decimal(price))
    return OrderRequest(
        DAY, SideWord.SELL, f"{DAY}T10:00:00+02:00", f"{DAY}T11:00:00+02:00", (point,), portfolio_id="Dryer"
    )


def test_an_order_from_placing_to_withdrawing(facts: dict[str, Any]) -> None:
    with client_of(facts, "Pellet Mill") as mill:
        assert [each.id for each in mill.all(portfolios())] == ["Dryer"]
        assert any(zone.flexibility_need > 0 for zone in mill.all(zones(DAY)))
        placed = mill.send(place(wanted("240.05")))
        assert placed.price_points[0].unit_price == Decimal("240.05")
        less = OrderChange((QuantityPricePoint(Decimal("0.25"), Decimal("240.05")),))
        assert mill.send(amend(placed.id, less)).arrival == placed.arrival
        assert Decimal("0.25") in [each.quantity for each in mill.all(public_orders(DAY))]
        mill.send(withdraw(placed.id))
        assert mill.send(order(placed.id)).status in (StatusWord.COMPLETED, StatusWord.DELETED)


def test_a_refusal_says_what_would_have_been_accepted(facts: dict[str, Any]) -> None:
    with client_of(facts, "Pellet Mill") as mill, pytest.raises(Refused, match="accepted would be") as refused:
        mill.send(place(wanted("240", "99")))
    assert refused.value.problem.status == 422
    with client_of(facts, "North Wind") as other, pytest.raises(Refused, match="not_found"):
        other.send(order("nothing"))
    secret = Client(facts["url"], "client-x", "guessed")
    with secret, pytest.raises(Refused, match="unauthenticated"):
        next(secret.all(markets()))


class Losing(httpx.HTTPTransport):
    """The answer to the first order is lost on the way."""

    lost = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = super().handle_request(request)
        if request.url.path == "/api/Orders" and request.method == "POST" and not self.lost:
            self.lost = True
            answer.read()
            raise httpx.ReadError("lost")
        return answer


def test_a_lost_answer_doubles_nothing(facts: dict[str, Any]) -> None:
    with client_of(facts, "Island Storage") as storage:
        storage._http = httpx.Client(transport=Losing())
        point = QuantityPricePoint(Decimal("0.1"), Decimal(300))
        periods = (f"{DAY}T10:00:00+02:00", f"{DAY}T11:00:00+02:00")
        placed = storage.send(place(OrderRequest(DAY, SideWord.SELL, *periods, (point,), portfolio_id="Battery")))
        assert [each.id for each in storage.all(orders(DAY))] == [placed.id]


class Restarting(httpx.BaseTransport):
    """A service that is busy starting for some requests, and whose first token has expired at once."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        if len(self.asked) in (1, 3):
            return httpx.Response(503)
        if request.url.path == "/api/token":
            return httpx.Response(200, json={"access_token": f"t{len(self.asked)}", "token_type": "", "expires_in": 1})
        expired = request.headers["Authorization"] == "Bearer t2"
        return httpx.Response(401 if expired else 204)


def test_a_restarting_service_is_asked_again_also_for_a_token() -> None:
    service = Restarting()
    with Client("http://market", "a", "b", pauses_s=(0.0,) * 3) as client:
        client._http = httpx.Client(transport=service)
        client.send(withdraw("o"))
    order_path, token = "/api/Orders/o", "/api/token"
    assert service.asked == [token, token, order_path, order_path, token, order_path]


def test_nobody_there() -> None:
    nowhere = Client(f"http://127.0.0.1:{free_port()}", "a", "b", pauses_s=(0.0,))
    with nowhere as client, pytest.raises(Unreachable):
        client.send(order("o"))


def test_the_same_with_async(facts: dict[str, Any]) -> None:
    at = facts["known"]["South Wind"]

    async def ask() -> list[str]:
        async with AsyncClient(facts["url"], at["client_id"], at["client_secret"]) as wind:
            with pytest.raises(Refused):
                await wind.send(order("nothing"))
            return [each.id async for each in wind.all(portfolios())]

    assert asyncio.run(ask()) == ["S1"]


class Cutting(httpx.BaseTransport):
    """A stream that breaks off within its second event, and goes on where its reader says."""

    def __init__(self) -> None:
        self.asked_after: list[str | None] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/token":
            return httpx.Response(200, json={"access_token": "t", "token_type": "", "expires_in": 1})
        if request.url.path != "/api/events":
            return httpx.Response(200, json={})
        self.asked_after.append(request.headers.get("last-event-id"))
        first = 1 if self.asked_after[-1] is None else int(self.asked_after[-1].rpartition("/")[2]) + 1
        return httpx.Response(200, stream=CutShort(first))


class CutShort(httpx.SyncByteStream):
    def __init__(self, first: int) -> None:
        self._first = first

    def __iter__(self) -> Iterator[bytes]:
        for n in (self._first, self._first + 1):
            data = json.dumps({"id": f"{DAY}/{n}", "marketId": DAY, "n": n, "type": "OrderPlaced", "content": {}})
            whole = f"retry: 1000\n\nid: {DAY}/{n}\nevent: OrderPlaced\ndata: {data}\n\n".encode()
            if n > self._first:
                yield whole[: len(whole) // 2]
                raise httpx.ReadError("cut")
            yield whole


def test_a_stream_that_breaks_off_goes_on_with_each_event_once() -> None:
    cutting = Cutting()
    with Client("http://market", "c", "s") as client:
        client._http = httpx.Client(transport=cutting)
        stream = client.events(events(DAY))
        assert [next(stream).n for _ in range(4)] == [1, 2, 3, 4]
    assert cutting.asked_after == [None, f"{DAY}/1", f"{DAY}/2", f"{DAY}/3"]


class Refusing(httpx.BaseTransport):
    """A stream that is refused by each of these answers in turn, and then told."""

    def __init__(self, *answers: httpx.Response) -> None:
        self._answers = list(answers)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/token":
            return httpx.Response(200, json={"access_token": "t", "token_type": "", "expires_in": 1})
        if request.url.path != "/api/events":
            return httpx.Response(200, json={})
        return self._answers.pop(0) if self._answers else httpx.Response(200, stream=CutShort(1))


def test_a_stream_that_is_refused_is_asked_for_again_later_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)

    def first(*answers: httpx.Response) -> int:
        waited.clear()
        with Client("http://market", "c", "s", pauses_s=(0.5, 2.0)) as client:
            client._http = httpx.Client(transport=Refusing(*answers))
            return next(client.events(events(DAY))).n

    busy = httpx.Response(429, headers={"Retry-After": "7"})
    assert (first(busy, httpx.Response(503)), waited) == (1, [7.0, 2.0])
    with pytest.raises(Refused):
        first(*[httpx.Response(502)] * 3)
    assert waited == [0.5, 2.0]
    with pytest.raises(Refused) as refused:
        first(httpx.Response(403, content=b"<html>"))
    assert (refused.value.problem.status, waited) == (403, [])


def test_events_of_a_market_as_they_happen(facts: dict[str, Any]) -> None:
    with client_of(facts, "Pellet Mill") as mill:
        placed = mill.send(place(wanted("239.01")))
        stream = mill.events(events(DAY, types=("OrderPlaced",)))
        seen = next(each for each in stream if each.content["order"]["order"] == placed.id)
        assert seen.content["order"]["price_minor"] == 23901
    with client_of(facts, "Pellet Mill") as mill, pytest.raises(Refused, match="not_found"):
        next(mill.events(events("2026-04-22")))
