"""A market day of a few resources and congestion points, run in memory: what the tests of the machine stand on."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from flexpeer.app.granting.point_coordinator import PointCoordinator
from flexpeer.app.market import Market as Session
from flexpeer.app.owner.point_owner import PointOwner
from flexpeer.app.ports import Batch, Owners
from flexpeer.market.machine import Command, Event
from flexpeer.market.needs import (
    CongestionPoint,
    DefineCongestionPoint,
    Direction,
    OpenDay,
    PublishForecast,
    PublishImpactFactors,
    Watts,
)
from flexpeer.market.orders import AmendOrder, OpenGate, Order, PlaceOrder, Side, TimeInForce, WithdrawOrder
from flexpeer.market.participants import (
    Check,
    FormPortfolio,
    Organisation,
    Portfolio,
    RecordGridCheck,
    RecordProductCheck,
    RegisterOrganisation,
    RegisterResource,
    Resource,
    Role,
)
from flexpeer.market.rulebook import Rulebook
from flexpeer.market.trades import Trade, TradeConcluded
from flexpeer.periods import MarketDay
from flexpeer.quantities import PPM

DAY = MarketDay(date(2026, 2, 10), "Europe/Stockholm", 60)
HOURS = 24
DSO = "GRID"
PLENTY_W = 10**9


def flat(value: int) -> tuple[int, ...]:
    """The same in every hour."""
    return (value,) * HOURS


def at_first(*values: int, then: int = 0) -> tuple[int, ...]:
    """Values of the first hours, then another for the rest of the day."""
    return (*values, *((then,) * (HOURS - len(values))))


def resource(name: str, p_min_w: int = 0, p_max_w: int = 1000, **more: object) -> Resource:
    """A resource whose organisation bears its name in capitals."""
    organisation, kind = str(more.pop("organisation", name.upper())), str(more.pop("kind", "wind"))
    return Resource(name, organisation, DSO, "n", kind, p_min_w, p_max_w, **more)  # type: ignore[arg-type]


def export_point(name: str, limit_w: Watts | int = PLENTY_W) -> CongestionPoint:
    """A point that injection loads."""
    limit = flat(limit_w) if isinstance(limit_w, int) else limit_w
    return CongestionPoint(name, f"line {name}", Direction.EXPORT, DSO, limit)


class Frame(NamedTuple):
    """What is known before the gate opens. Resources without a plan stand at 500 W, without a factor at 1."""

    resources: tuple[Resource, ...]
    points: tuple[CongestionPoint, ...] = (export_point("P"),)
    impact_ppm: Mapping[str, Mapping[str, int | tuple[int, ...]]] = {}
    plans_w: Mapping[str, Watts] = {}
    rulebook: Rulebook = Rulebook()
    portfolios: tuple[Portfolio, ...] = ()
    day: MarketDay = DAY

    def factors(self, point: str) -> dict[str, tuple[int, ...]]:
        """Impact factors of every resource at a point."""
        given = self.impact_ppm.get(point, {})
        rows = {r.resource: given.get(r.resource, PPM) for r in self.resources}
        return {name: (row,) * self.day.mtu_count if isinstance(row, int) else row for name, row in rows.items()}

    def plan_w(self, name: str) -> Watts:
        """The plan of a resource."""
        return self.plans_w.get(name, (500,) * self.day.mtu_count)

    def commands(self) -> list[Command]:
        """Everything that comes before the gate."""
        organisations = sorted({r.organisation for r in self.resources})
        check = Check(DSO, True)
        commands: list[Command] = [RegisterOrganisation(Organisation(DSO, Role.REGIONAL_DSO))]
        commands += [RegisterOrganisation(Organisation(name, Role.FSP)) for name in organisations]
        for each in self.resources:
            commands += [
                RegisterResource(each),
                RecordGridCheck(each.resource, check),
                RecordProductCheck(each.resource, check),
            ]
        commands += [FormPortfolio(portfolio) for portfolio in self.portfolios]
        commands.append(OpenDay(self.day, self.rulebook, "SEK"))
        commands += [PublishForecast(r.resource, self.plan_w(r.resource)) for r in self.resources]
        commands += [DefineCongestionPoint(point) for point in self.points]
        commands += [PublishImpactFactors(p.congestion_point, self.factors(p.congestion_point)) for p in self.points]
        return commands

    def owner(self) -> PointOwner:
        """The one grid owner, at the plans."""
        factors = {p.congestion_point: self.factors(p.congestion_point) for p in self.points}
        return PointOwner(DSO, self.points, factors, {r.resource: self.plan_w(r.resource) for r in self.resources})


class MemoryLog:
    """Events kept in a list."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    @property
    def events(self) -> list[Event]:
        """All of them, in order."""
        return [event for batch in self.batches for event in batch]

    def read(self) -> Sequence[Batch]:
        """What was kept before."""
        return tuple(self.batches)

    def append(self, events: Batch) -> None:
        """Keep them."""
        self.batches.append(tuple(events))

    def sync(self) -> None:
        """They last as long as the list."""


class Market:
    """A session with the gate open, and short ways to trade in it."""

    def __init__(self, frame: Frame, owners: Owners | None = None) -> None:
        self.frame = frame
        self.log = MemoryLog()
        self._owners = owners
        self.session = self._session()
        self.session.send(*frame.commands())
        self.session.send(OpenGate(DAY.at(2, "10:30")))

    def _session(self) -> Session:
        return Session(self.log, owners=lambda _state: self._owners or PointCoordinator([self.frame.owner()]))

    def open_again(self, batches: Sequence[Batch]) -> None:
        """Another start of the program, on a log of these batches."""
        self.log.batches = list(batches)
        self.session = self._session()

    def command(
        self, name: str, unit: str, side: Side, quantity_w: int, price_minor: int, **more: object
    ) -> PlaceOrder:
        """An order of hours `span` (0 to 1 unless told)."""
        span: Any = more.pop("span", (0, 1))
        first, end = span
        day = self.frame.day
        organisation = self.session.state.participants.organisation_of(unit) or "nobody"
        return PlaceOrder(
            name,
            organisation,
            DSO,
            unit,
            side,
            day.instant(first),
            day.instant(end),
            quantity_w,
            price_minor,
            **more,  # type: ignore[arg-type]
        )

    def sell(self, name: str, unit: str, quantity_w: int, price_minor: int, **more: object) -> list[Event]:
        """Send a SELL."""
        return self.session.send(self.command(name, unit, Side.SELL, quantity_w, price_minor, **more))

    def buy(self, name: str, unit: str, quantity_w: int, price_minor: int, **more: object) -> list[Event]:
        """Send a BUY."""
        return self.session.send(self.command(name, unit, Side.BUY, quantity_w, price_minor, **more))

    def amend(self, name: str, quantity_w: int, price_minor: int) -> list[Event]:
        """Amend an order of its own organisation."""
        return self.session.send(AmendOrder(name, self.order(name).organisation, quantity_w, price_minor))

    def withdraw(self, name: str) -> list[Event]:
        """Withdraw an order of its own organisation."""
        return self.session.send(WithdrawOrder(name, self.order(name).organisation))

    def order(self, name: str) -> Order:
        """An order as it stands."""
        return self.session.state.orders.orders[name]

    @property
    def trades(self) -> list[Trade]:
        """All trades, in order of the log."""
        return [event.trade for event in self.log.events if isinstance(event, TradeConcluded)]

    @property
    def traded(self) -> list[tuple[str, str, int, int, int]]:
        """Buy order, sell order, what each moves, price; in order of the log."""
        legs = [trade.leg for trade in self.trades]
        return [(leg.buy, leg.sell, leg.quantity_buy_w, leg.quantity_sell_w, leg.price_minor) for leg in legs]


FAK, FOK = TimeInForce.FAK, TimeInForce.FOK
