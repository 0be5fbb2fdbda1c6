"""A service in this process, of the maintenance-hours day: five FSPs and a DSO that know only impact factors."""

import base64
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
from tests.cases.days import NoWatch
from tests.docs.pages import DOCS
from tests.market.small_market import MemoryLog

from flexpeer.adapters.scenario_files import read_scenario
from flexpeer.adapters.scenario_files.sent_sheets import sent_csv
from flexpeer.api.accounts import AccountHolder, Credentials, Doorkeeper, Login, accounts_of, new_accounts
from flexpeer.api.application import Observed, Parts, make_app
from flexpeer.api.clocks import VirtualClock
from flexpeer.api.denials import Denials
from flexpeer.api.limits import RateLimits
from flexpeer.api.live_grids import LiveGrids
from flexpeer.api.service import ServedDay, Service
from flexpeer.api.sessions import COOKIE, WORD_HEADER, Sessions
from flexpeer.api.standing import KeptStanding, Standing
from flexpeer.api.webhooks import Kept, Webhooks
from flexpeer.app.day import Day
from flexpeer.app.ports import EventLog
from flexpeer.app.registration import registrations
from flexpeer.app.registry import HolderKind, Registry
from flexpeer.app.scenario import Scenario
from flexpeer.market.participants import Organisation, RegisterOrganisation, Role
from flexpeer.market.timeline import Stage
from flexpeer.wire.heads import SignedHead

MARKET = "2026-04-21"
OPERATOR, OBSERVER, OTHER_DSO, BRP = "Market Operator", "Regulator", "Hill Grid", "Balance"
DSO, NORTH, SOUTH, MILL = "Coast Grid", "North Wind", "South Wind", "Pellet Mill"
EXTRA = {
    OPERATOR: Role.MARKET_OPERATOR,
    OBSERVER: Role.OBSERVER,
    OTHER_DSO: Role.LOCAL_DSO,
    BRP: Role.BRP,
    "Sum": Role.AGGREGATOR,
}
KEY = b"k" * 32
NEVER_S = 1e9


def the_scenario() -> Scenario:
    return read_scenario(DOCS / "examples" / "maintenance-hours")


SCENARIO = the_scenario()
CREDENTIALS, LOGINS = new_accounts(
    [AccountHolder(o.organisation, Role(o.role)) for o in SCENARIO.organisations]
    + [AccountHolder(name, role) for name, role in EXTRA.items()]
)


def no_heads(_market: str) -> tuple[SignedHead, ...]:
    return ()


def no_lines(_name: str, _after: int, _sealed: bool) -> Iterator[bytes]:
    return iter(())


class Running:
    """A service, its application, and clients of organisations."""

    def __init__(self, parts: Parts, app: Observed, logins: dict[str, Login]) -> None:
        self.parts, self.app, self._logins = parts, app, logins
        self.service, self.doorkeeper = parts.service, parts.doorkeeper
        (self.day,) = parts.service.days.values()

    def login(self, organisation: str) -> Login:
        return self._logins[organisation]

    @asynccontextmanager
    async def client(self, organisation: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
        """A client with a token of an organisation, or without any."""
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url="http://market") as client:
            if organisation is not None:
                client.headers["Authorization"] = f"Bearer {self.token(organisation)}"
            yield client

    def token(self, organisation: str) -> str:
        login = self._logins[organisation]
        caller = self.doorkeeper._caller(login.client_id, HolderKind.CLIENT)
        assert caller is not None
        return self.doorkeeper.token(caller)

    @asynccontextmanager
    async def person(self, user: str) -> AsyncIterator[httpx.AsyncClient]:
        """A browser of a user who has logged in."""
        caller = self.doorkeeper.person(user)
        assert caller is not None
        session = self.parts.sessions.of(caller)
        async with self.client() as client:
            client.cookies.set(COOKIE, session.cookie)
            client.headers[WORD_HEADER] = session.word
            yield client

    async def open_gate(self) -> None:
        """Move the clock to the opening."""
        await self.move(Stage.OPEN)

    async def move(self, stage: Stage) -> None:
        at = self.day.day.instant(stage)
        await self.service.done(lambda: self.service.move_clock(at))


@contextmanager
def running(
    log: EventLog | None = None,
    scenario: Scenario = SCENARIO,
    limits: RateLimits | None = None,
    standing: Standing | None = None,
    denials: MemoryLog | None = None,
) -> Iterator[Running]:
    """A service that has announced its day; its virtual clock stands just before the gate opens."""
    kept = log or MemoryLog()
    served = ServedDay(lambda listener, _said: Day(scenario, kept, NoWatch(), listeners=(listener,)))
    with serving(served, CREDENTIALS, LOGINS, limits, standing, denials) as here:
        yield here


def registry_of(logins: dict[str, Login], day: Day | None = None) -> Registry:
    """Who is in a day and who has a login, registered."""
    registry = Registry(MemoryLog())
    registry.fill([] if day is None else registrations(day.scenario, day.dso_of))
    registry.fill(RegisterOrganisation(Organisation(name, login.role)) for name, login in logins.items())
    registry.fill(accounts_of(logins))
    registry.commit()
    return registry


@contextmanager
def serving(
    served: ServedDay,
    credentials: Credentials,
    logins: dict[str, Login],
    limits: RateLimits | None = None,
    standing: Standing | None = None,
    denials: MemoryLog | None = None,
) -> Iterator[Running]:
    """The same for any day, and whoever has an account there."""
    clock = VirtualClock(served.day.instant(Stage.OPEN) - 1)
    registry = registry_of(logins, served.day)
    known = standing or Standing(KeptStanding(), lambda _kept: None)
    service = Service({served.market_id: served}, registry, clock, lambda: None, known.renew)
    doorkeeper = Doorkeeper(registry, credentials, KEY)
    webhooks = Webhooks(Kept(), lambda _kept: None, (0.01, 0.01))
    sessions = Sessions(doorkeeper, KEY)
    parts = Parts(
        service,
        doorkeeper,
        limits or RateLimits(1e6, 10**6, 10),
        no_heads,
        webhooks,
        sessions,
        sent_csv,
        LiveGrids(),
        known,
        Denials(service, denials or MemoryLog()),
        no_lines,
        "memory",
    )
    app = make_app(parts)
    service.start()
    try:
        yield Running(parts, app, logins)
    finally:
        service.stop()


def basic(client_id: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()}


def order(name: str | None = "A1", unit: str = "Dryer", side: str = "Sell", **more: Any) -> dict[str, Any]:
    """An order of the hours with a need."""
    body: dict[str, Any] = {
        "marketId": MARKET,
        "portfolioId": unit,
        "side": side,
        "periodFrom": "2026-04-21T10:00:00+02:00",
        "periodTo": "2026-04-21T12:00:00+02:00",
        "pricePoints": [{"quantity": 1, "unitPrice": 240}],
    }
    if name is not None:
        body["id"] = name
    return body | more
