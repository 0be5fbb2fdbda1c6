"""`flexpeer serve`: a market made once from a scenario, kept in a store, and served until somebody ends it."""

import json
import logging
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, TypeVar

import msgspec
import structlog
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from flexpeer.adapters.ed25519 import Ed25519Signatures
from flexpeer.adapters.folders import write_private
from flexpeer.adapters.scenario_files.layouts import ORDERS
from flexpeer.adapters.store import Store
from flexpeer.api.accounts import AccountHolder, Accounts, Doorkeeper, Login, new_accounts
from flexpeer.api.application import Parts, make_app
from flexpeer.api.clocks import Clock, SystemClock, VirtualClock
from flexpeer.api.declining import Declined
from flexpeer.api.limits import Limits
from flexpeer.api.live_grids import LiveGrids
from flexpeer.api.service import Said, ServedDay, Service, Stopped
from flexpeer.api.sessions import COOKIE, Session, Sessions
from flexpeer.api.settings import ClockKind, ServiceSettings
from flexpeer.api.standing import KeptStanding, Standing
from flexpeer.api.webhooks import Kept, Webhooks
from flexpeer.app.contribution import Contribution
from flexpeer.app.day import Day
from flexpeer.app.scenario import OrderRow, Scenario
from flexpeer.app.study.live_grid import own_part
from flexpeer.bootstrap import NewtonVerifier, StageWatch, contributed, read_whole, write_demo
from flexpeer.errors import BadInput, Finding, bad_input
from flexpeer.market.machine import State
from flexpeer.market.participants import Role
from flexpeer.market.timeline import Stage
from flexpeer.periods import parse_instant
from flexpeer.simulation.arrivals import spread
from flexpeer.web.grid_map import Subject
from flexpeer.web.site import Visitor, site_routes
from flexpeer.web.site.maps import Shown

SCENARIO, CREDENTIALS = "scenario", "credentials.json"
ACCOUNTS, TOKEN_KEY, OPERATOR_KEY, CLOCK, WEBHOOKS = "accounts", "token-key", "operator-key", "clock", "webhooks"
STANDING = "standing-orders"
COMING, DEMO_SPEED = "coming", 120.0
SAID = "said/"
OPERATOR = "Market operator"
KEY_BYTES = 32
SWITCH_S = 0.001
LONGEST_GOODBYE_S, KEEP_ALIVE_S = 10, 75
T = TypeVar("T")
Tell = Callable[[dict[str, Any]], None]


class Made(NamedTuple):
    """A market that is there: where it listens, and the file of its credentials."""

    url: str
    credentials: Path


def settings_of(given: dict[str, Any]) -> ServiceSettings:
    """The environment's settings, and first those given; `BadInput` with all that are wrong."""
    try:
        return ServiceSettings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        raise BadInput(
            Finding("serve", 0, ".".join(map(str, each["loc"])), str(each["input"]), each["msg"])
            for each in error.errors()
        ) from error


def serve(settings: ServiceSettings, scenario: Path | None, *, demo: bool, tell: Tell) -> bool:
    """Serve until a signal ends it; whether it ended well. `tell` hears once, when it is ready."""
    if demo and "speed" not in settings.model_fields_set:
        settings = settings.model_copy(update={"speed": DEMO_SPEED})
    _log_lines(settings)
    sys.setswitchinterval(SWITCH_S)
    with _store(settings) as store:
        _make(store, settings.data, scenario, demo=demo)
        ending = _Ending()
        service, parts = _parts(store, settings, ending)
        app = make_app(parts, site_routes(_Doors(parts.sessions), _Maps(service, parts.grids)))
        server = _Server(app, service, settings, tell)
        ending.server = server
        service.start()
        try:
            if demo and service.clock.virtual:
                _open_gate(service)
            server.serve_until_told()
        finally:
            service.stop()
    if service.failure is not None:
        structlog.get_logger("flexpeer").error("the writer failed", problem=str(service.failure))
    return service.failure is None


def _open_gate(service: Service) -> None:
    """A demo is a market that runs: the gate is open before anybody looks, and the clock waits for that."""
    speed = service.clock.speed
    opens = min(served.day.instant(Stage.OPEN) for served in service.days.values())

    def act() -> None:
        service.clock.run_at(0.0)
        service.move_clock(max(opens, service.clock.now()))
        service.clock.run_at(speed)

    with suppress(Stopped):
        service.ask(act).result()


@contextmanager
def _store(settings: ServiceSettings) -> Iterator[Store]:
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with Store.open(settings.database or settings.data) as store:
        yield store


def _make(store: Store, data: Path, scenario: Path | None, *, demo: bool) -> None:
    """A new market if there is none yet: its scenario, its keys, its accounts; these last, and then it is made."""
    if store.document(ACCOUNTS) is not None:
        return
    if scenario is None and not demo:
        expected = "a folder with one, or --scenario FOLDER (or --demo) to make one"
        raise bad_input(str(data), "there is no market here", expected, field="--data")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / SCENARIO
        if scenario is None:
            write_demo(folder)
        read, _ = read_whole(scenario or folder, () if demo else (ORDERS,))
        _copy(scenario or folder, data / SCENARIO)
    if demo:
        store.keep_document(COMING, msgspec.json.encode(read.orders).decode())
    accounts, logins = new_accounts(_holders(read))
    _write_credentials(data / CREDENTIALS, logins)
    for name in (TOKEN_KEY, OPERATOR_KEY):
        store.keep_document(name, secrets.token_hex(KEY_BYTES))
    store.keep_document(ACCOUNTS, msgspec.json.encode(accounts).decode())


def _copy(scenario: Path, to: Path) -> None:
    """All of a scenario but its orders, in place of what an attempt before may have left."""
    shutil.rmtree(to, ignore_errors=True)
    private = (ORDERS.file, f"{ORDERS.table}.xlsx")
    shutil.copytree(scenario, to, ignore=lambda _folder, names: [name for name in names if name in private])


def _holders(scenario: Scenario) -> list[AccountHolder]:
    """Everybody in the scenario, and a market operator if it has none."""
    holders = [AccountHolder(each.organisation, Role(each.role)) for each in scenario.organisations]
    if not any(each.role is Role.MARKET_OPERATOR for each in holders):
        holders.append(AccountHolder(OPERATOR, Role.MARKET_OPERATOR))
    return holders


def _write_credentials(path: Path, logins: dict[str, Login]) -> None:
    path.unlink(missing_ok=True)
    content = {"organisations": logins}
    write_private(path, msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n")


def _parts(store: Store, settings: ServiceSettings, ending: "_Ending") -> tuple[Service, Parts]:
    """The service on its store, and all that its application needs."""
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(_text(store, OPERATOR_KEY)))
    store.sign_with(Ed25519Signatures(key, {}))
    served = _served(store, settings.data / SCENARIO)
    clock = _clock(store, settings, served.day)
    known = KeptStanding() if store.document(STANDING) is None else _document(store, STANDING, KeptStanding)
    standing = Standing(known, lambda now: store.keep_document(STANDING, msgspec.json.encode(now).decode()))
    service = Service({served.market_id: served}, clock, ending, standing.renew)
    accounts = _document(store, ACCOUNTS, Accounts)
    doorkeeper = Doorkeeper(accounts, bytes.fromhex(_text(store, TOKEN_KEY)), settings.token_life_s)
    kept = Kept() if store.document(WEBHOOKS) is None else _document(store, WEBHOOKS, Kept)
    webhooks = Webhooks(kept, lambda now: store.keep_document(WEBHOOKS, msgspec.json.encode(now).decode()))
    limits = Limits(settings.requests_per_second, settings.burst, settings.streams)
    sessions = Sessions(doorkeeper, bytes.fromhex(_text(store, TOKEN_KEY)))
    return service, Parts(service, doorkeeper, limits, store.heads, webhooks, sessions, LiveGrids(), standing)


def _served(store: Store, folder: Path) -> ServedDay:
    """The market of a scenario, with what its DSOs have said in the store."""
    scenario, opened = read_whole(folder, (ORDERS,))
    market_id = scenario.day.delivery_day.isoformat()
    prefix = f"{SAID}{market_id}/"

    def opening(listener: Callable[[Any], None], said: Said) -> Day:
        watch = StageWatch(lambda _done, _total: None)
        merged, grid = contributed(scenario, opened, said)
        return Day(merged, store.log(market_id), watch, grid, NewtonVerifier(), listeners=(listener,))

    def keep(dso: str, contribution: Contribution) -> None:
        store.keep_document(prefix + dso, msgspec.json.encode(contribution).decode())

    known = {name.removeprefix(prefix): _document(store, name, Contribution) for name in store.documents(prefix)}
    return ServedDay(opening, known, keep, _coming(store, scenario))


def _coming(store: Store, scenario: Scenario) -> list[tuple[int, OrderRow]]:
    """The demo's orders, when each comes; none in any other market."""
    if store.document(COMING) is None:
        return []
    instants = dict(scenario.rulebook.timeline.instants(scenario.day))
    orders = _document(store, COMING, tuple[OrderRow, ...])
    return spread(orders, instants[Stage.OPEN], instants[Stage.CLOSED])


def _clock(store: Store, settings: ServiceSettings, day: Day) -> Clock:
    """Real time, or a virtual clock that goes on where it was."""
    if settings.clock is ClockKind.SYSTEM:
        return SystemClock()
    start = day.instant(Stage.OPEN) - 1
    if settings.start is not None:
        try:
            start = parse_instant(settings.start)
        except ValueError as error:
            raise bad_input("serve", f"{settings.start}: {error}", "ISO 8601 with offset", field="--start") from error
    kept = store.document(CLOCK)
    latest = max(_latest(day.market.state), start if kept is None else int(kept))
    return VirtualClock(latest, settings.speed, lambda instant: store.keep_document(CLOCK, str(instant)))


def _latest(state: State) -> int:
    """The latest instant that a log knows."""
    stages = (at for _, at in state.stages.at)
    return max((*stages, *(order.at for order in state.orders.orders.values())), default=0)


def _text(store: Store, name: str) -> str:
    content = store.document(name)
    if content is None:
        raise bad_input("the store", f"{name} is missing", "a store that flexpeer serve made")
    return content


def _document(store: Store, name: str, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(_text(store, name), type=kind)
    except msgspec.MsgspecError as error:
        raise bad_input("the store", f"{name}: {error}", "a store that this version wrote") from error


class _Ending:
    """What a failed writer does: it ends the server."""

    server: "_Server | None" = None

    def __call__(self) -> None:
        """Called in the writer's thread."""
        if self.server is not None:
            self.server.should_exit = True


class _Doors:
    """How people get in, for the pages."""

    cookie = COOKIE

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def enter(self, user: str, password: str) -> Visitor | None:
        """Somebody with the right password."""
        return _visitor(self._sessions.begin(user, password))

    def known(self, cookie: str | None) -> Visitor | None:
        """Somebody who has entered before."""
        return _visitor(self._sessions.known(cookie))


class _Maps:
    """What DSOs see of their grids, for the pages."""

    def __init__(self, service: Service, grids: LiveGrids) -> None:
        self._service, self._grids = service, grids

    async def own(self, organisation: str, market_id: str) -> Shown | None:
        """An organisation's part of a market's grid; nothing where its forecast has no power flow."""
        served = self._service.days.get(market_id)
        if served is None or served.day.physical is None:
            return None
        side, needs = served.day.physical, served.published.state.needs
        try:
            found = await self._grids.of(served)
        except Declined:
            return None
        part = own_part(side, found.live, organisation)
        if part is None:
            return None
        day, answers = served.day.scenario.day, served.published.answers
        bound = (v.element for a in answers for v in a.verdict.verdicts if v.element and v.owner == organisation)
        own = (row for name, row in needs.needs_w.items() if needs.points[name].dso == organisation)
        need_w = tuple(map(sum, zip(*own, strict=True))) or (0,) * day.mtu_count
        return Shown(Subject(part.picture, part.before, part.now, tuple(bound), need_w), day, found.late)


def _visitor(session: Session | None) -> Visitor | None:
    if session is None:
        return None
    caller = session.caller
    return Visitor(caller.client, caller.organisation, caller.role, session.cookie, session.word)


class _Server(uvicorn.Server):
    """Tells when it is ready; a signal ends streams first and then everything else in order."""

    def __init__(self, app: Any, service: Service, settings: ServiceSettings, tell: Tell) -> None:
        super().__init__(
            uvicorn.Config(
                app, log_config=None, access_log=False, timeout_keep_alive=KEEP_ALIVE_S, server_header=False,
                timeout_graceful_shutdown=LONGEST_GOODBYE_S,
            )
        )  # fmt: skip
        self._service, self._settings, self._tell = service, settings, tell
        self._socket = _listening(settings)

    def serve_until_told(self) -> None:
        """Answer until a signal comes or the writer fails."""
        with self._socket:
            self.run(sockets=[self._socket])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As it is, and then tell."""
        await super().startup(sockets)
        host, port = self._socket.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        credentials = (self._settings.data / CREDENTIALS).resolve()
        self._tell({"url": f"http://{shown}:{port}", "credentials": str(credentials)})

    def handle_exit(self, _sig: int, _frame: FrameType | None) -> None:
        """A signal is a wish to end in order; the second one is not to wait for whoever is connected."""
        self._service.say_goodbye()
        self.force_exit = self.should_exit
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Streams end, answers are given, connections close."""
        self._service.say_goodbye()
        await super().shutdown(sockets)


def _listening(settings: ServiceSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((settings.host, settings.port))
        made.listen(2048)
    except OSError as error:
        made.close()
        problem = f"{settings.host}:{settings.port} cannot be used: {error.strerror or error}"
        raise bad_input("serve", problem, "an address of this machine and a free port", field="--port") from error
    return made


def _log_lines(settings: ServiceSettings) -> None:
    """One JSON object a line, on standard error."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=json.dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_names: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
