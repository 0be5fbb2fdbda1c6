"""`flexpeer serve`: a market in its store, served until somebody ends it."""

import gc
import json
import logging
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import structlog
import uvicorn
from pydantic import ValidationError

from flexpeer.adapters.scenario_files.sent_sheets import sent_csv
from flexpeer.adapters.store import Store
from flexpeer.api.application import Observed, Parts, make_app
from flexpeer.api.connections import connections
from flexpeer.api.declining import Declined
from flexpeer.api.denials import Denials
from flexpeer.api.doors import Doors
from flexpeer.api.limits import RateLimits
from flexpeer.api.live_grids import LiveGrids
from flexpeer.api.oidc import Oidc, Provider
from flexpeer.api.service import Service, Stopped
from flexpeer.api.sessions import COOKIE, Session, Sessions
from flexpeer.api.settings import ServiceSettings
from flexpeer.api.users import JOIN
from flexpeer.app.registry import DENIALS
from flexpeer.app.study.live_grid import own_part
from flexpeer.errors import BadInput, Finding, bad_input
from flexpeer.market.timeline import Stage
from flexpeer.market_store import CREDENTIALS, make_market, open_market
from flexpeer.web.grid_map import Subject
from flexpeer.web.site import Visitor, site_routes
from flexpeer.web.site.maps import Shown

DEMO_SPEED = 120.0
SWITCH_S = 0.001
COLLECTED_AFTER = (20_000, 20, 50)
LONGEST_GOODBYE_S, KEEP_ALIVE_S = 10, 75
Tell = Callable[[dict[str, Any]], None]


def settings_of(given: dict[str, Any]) -> ServiceSettings:
    """The environment's settings, and first those given; `BadInput` with all that are wrong."""
    try:
        return ServiceSettings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        raise BadInput(
            Finding("serve", 0, ".".join(map(str, each["loc"])), str(each["input"]), each["msg"])
            for each in error.errors()
        ) from error


def serve(settings: ServiceSettings, scenarios: Sequence[Path], *, demo: bool, tell: Tell) -> bool:
    """Serve until a signal ends it; whether it ended well. `tell` hears once, when it is ready."""
    if demo and "speed" not in settings.model_fields_set:
        settings = settings.model_copy(update={"speed": DEMO_SPEED})
    _log_lines(settings)
    sys.setswitchinterval(SWITCH_S)
    with _store(settings) as store:
        word = make_market(store, settings.data, scenarios, demo=demo)
        ending = _Ending()
        service, parts, oidc = _parts(store, settings, ending)
        doors = Doors(service, parts.doorkeeper, parts.sessions, parts.denials, oidc)
        pages = site_routes(_Doors(doors), _Maps(service, parts.grids))
        app = make_app(parts, [*doors.provider_routes(), *pages])
        server = _Server(app, service, settings, _with_link(tell, word))
        ending.server = server
        _spare_the_collector()
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


def _spare_the_collector() -> None:
    """What is here stays; and orders are kept, so that looking for garbage after every few hundred finds nothing."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTED_AFTER)


def _with_link(tell: Tell, word: str | None) -> Tell:
    """The same, with the one-time link of a market that was just made."""
    if word is None:
        return tell
    return lambda facts: tell({**facts, "link": f"{facts['url']}{JOIN}{word}"})


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


def _parts(store: Store, settings: ServiceSettings, ending: "_Ending") -> tuple[Service, Parts, Oidc | None]:
    """The service on its store, all that its application needs, and where else people may log in."""
    market = open_market(store, settings)
    service = Service(market.days, market.registry, market.clock, ending, market.standing.renew, market.calendar)
    limits = RateLimits(settings.requests_per_second, settings.burst, settings.streams)
    sessions = Sessions(market.doorkeeper, market.token_key)
    parts = Parts(
        service, market.doorkeeper, limits, store.heads, market.webhooks, sessions, sent_csv, LiveGrids(),
        market.standing, Denials(service, store.log(DENIALS)), store.lines, store.kind,
    )  # fmt: skip
    if settings.oidc_issuer is None:
        return service, parts, None
    secret = settings.oidc_client_secret
    provider = Provider(settings.oidc_issuer, settings.oidc_client_id, secret, settings.oidc_claim)
    return service, parts, Oidc(provider, market.token_key)


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

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self.provider = doors.provider
        self.invited = doors.invited

    async def enter(self, user: str, password: str, code: str) -> Visitor | None:
        """Somebody with the right password, and the right code if they have codes."""
        return _visitor(await self._doors.enter(user, password, code))

    async def join(self, word: str, password: str) -> Visitor | None:
        """Somebody who comes with a one-time link and chooses a password."""
        return _visitor(await self._doors.join(word, password))

    def known(self, cookie: str | None) -> Visitor | None:
        """Somebody who has entered before."""
        return _visitor(self._doors.known(cookie))


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

    def __init__(self, app: Observed, service: Service, settings: ServiceSettings, tell: Tell) -> None:
        super().__init__(
            uvicorn.Config(
                app, http=connections(app.orders), log_config=None, access_log=False, server_header=False,
                timeout_keep_alive=KEEP_ALIVE_S, timeout_graceful_shutdown=LONGEST_GOODBYE_S,
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
