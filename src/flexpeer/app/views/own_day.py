"""A finished day as one organisation may see it: what is its own, and of others neither name nor order nor resource.

A DSO also sees its own congestion points, what its own grid refused, and the resources that it connects. Quantities are
resource side, those of points grid side.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple, TypeVar

from flexpeer.app.views.obstacles import GRID_LIMIT
from flexpeer.app.views.orders import NOBODY, OrderLine, OrderStatus
from flexpeer.app.views.outcome import DayOutcome, PointDay
from flexpeer.market.activation import Confirmation
from flexpeer.market.kpi import obligations
from flexpeer.market.matching.meetings import Obstacle
from flexpeer.market.needs import Watts
from flexpeer.market.orders import Side
from flexpeer.market.participants import Resource, Role
from flexpeer.market.reasons import EXPECTED, Reason
from flexpeer.market.trades import Decision
from flexpeer.periods import local_text
from flexpeer.quantities import money

Value = TypeVar("Value")


class ResourceDay(NamedTuple):
    """A resource through the day: what it owed by rule and what of it was not bought back (W per MTU, never negative).

    `before_w`, `start_w` and `after_w` are its forecast, the starting point, and what it is to do; injection positive.
    """

    resource: Resource
    owed_w: Watts
    left_w: Watts
    before_w: Watts
    start_w: Watts
    after_w: Watts

    @property
    def is_concerned(self) -> bool:
        """Whether it owes anything or is to do anything else than forecast."""
        return any(self.owed_w) or self.before_w != self.after_w


class OwnOrder(NamedTuple):
    """An order and what became of it; `start` and `end` are local times, `why` names nobody else.

    Of an order that the door refused, what nobody knows is empty or None.
    """

    order: str
    unit: str
    side: str
    start: str
    end: str
    quantity_w: int | None
    price_minor: int | None
    status: OrderStatus
    filled_w: int
    left_w: int | None
    why: str


class OwnTrade(NamedTuple):
    """One's own side of a trade, which is of so many MTUs."""

    confirmation: Confirmation
    start: str
    end: str
    mtus: int


class Worth(NamedTuple):
    """What the market was worth to an organisation.

    `avoided_wm` are obligations bought back, W min; `avoided` is that energy at the mean of the limit prices of its
    BUYs that traded; `gain` is what all its trades are worth at its own limit prices, less what it paid for them, both
    exact money.
    """

    avoided_wm: int
    avoided: Fraction
    gain: int


class GridRefusals(NamedTuple):
    """An element of a DSO's own grid, and how many matches it refused and reduced."""

    element: str
    refused: int
    reduced: int


@dataclass(frozen=True)
class OwnDay:
    """The day of one organisation. `money` has exact amounts by kind of posting, positive to receive."""

    organisation: str
    role: Role
    resources: tuple[ResourceDay, ...]
    orders: tuple[OwnOrder, ...]
    trades: tuple[OwnTrade, ...]
    money: dict[str, int]
    invoiced_minor: int
    worth: Worth
    points: tuple[PointDay, ...]
    connected: tuple[ResourceDay, ...]
    refusals: tuple[GridRefusals, ...]


def own_days(outcome: DayOutcome) -> Iterator[OwnDay]:
    """The day of every organisation, in order of names; what is common to them is gone through once."""
    shared = _Sorted(outcome)
    for name, organisation in sorted(outcome.state.participants.organisations.items()):
        resources = tuple(shared.of_owner.get(name, ()))
        yield OwnDay(
            name,
            organisation.role,
            resources,
            tuple(shared.orders(name)),
            tuple(shared.trades.get(name, ())),
            dict(shared.money.get(name, {})),
            shared.invoiced.get(name, 0),
            shared.worth(name, resources),
            tuple(shared.points.get(name, ())),
            tuple(shared.of_dso.get(name, ())),
            tuple(shared.refusals(name)),
        )


class _Sorted:
    """What happened, by the organisation it belongs to."""

    def __init__(self, outcome: DayOutcome) -> None:
        day = outcome.scenario.day
        self._outcome = outcome
        self._texts = [day.local(mtu) for mtu in range(day.mtu_count + 1)]
        self._sent = {row.order: row for row in outcome.scenario.orders if row.action == "place"}
        self.of_owner: dict[str, list[ResourceDay]] = defaultdict(list)
        self.of_dso: dict[str, list[ResourceDay]] = defaultdict(list)
        self._sort_resources()
        units = [(unit.organisation, name) for name, unit in outcome.state.participants.resources.items()]
        units += [(unit.organisation, name) for name, unit in outcome.state.participants.portfolios.items()]
        self._units = _grouped(units)
        self._lines = _grouped((line.organisation, line) for line in outcome.orders)
        self.trades = _grouped((c.organisation, self._trade(c)) for c in outcome.state.activations.confirmations)
        self.points = _grouped((point.point.dso, point) for point in outcome.points)
        self.money: dict[str, Counter[str]] = defaultdict(Counter)
        for posting in outcome.state.settlements.postings:
            if posting.account.organisation:
                self.money[posting.account.organisation][posting.kind] += posting.amount
        balances = outcome.state.settlements.balances_minor()
        self.invoiced = {account.organisation: minor for account, minor in balances.items() if account.organisation}
        self._refused = Counter((r.owner, r.element, r.detail) for r in outcome.refusals if r.by_grid)

    def _sort_resources(self) -> None:
        outcome, participants = self._outcome, self._outcome.state.participants
        count = outcome.scenario.day.mtu_count
        owed, left = (defaultdict[str, list[int]](lambda: [0] * count) for _ in range(2))
        for each in obligations(participants, outcome.state.needs, outcome.state.orders):
            owed[each.resource][each.mtu], left[each.resource][each.mtu] = each.owed_w, each.left_w
        nothing = (0,) * count
        for name, resource in sorted(participants.resources.items()):
            rows = (tuple(row[name]) if name in row else nothing for row in (owed, left))
            plans = (tuple(row[name]) for row in (outcome.before_w, outcome.start_w, outcome.after_w))
            found = ResourceDay(resource, *rows, *plans)
            self.of_owner[resource.organisation].append(found)
            self.of_dso[resource.dso].append(found)

    def _trade(self, confirmation: Confirmation) -> OwnTrade:
        span = self._outcome.state.trades.trades[confirmation.trade].leg.span
        return OwnTrade(confirmation, self._texts[span.first], self._texts[span.end], len(span))

    def orders(self, organisation: str) -> Iterator[OwnOrder]:
        """Its orders, in order of arrival."""
        lines = self._lines.get(organisation, [])
        own = {organisation, *self._units.get(organisation, ()), *(line.order for line in lines)}
        for line in lines:
            why = own_why(line, own, "" if line.mtu is None else self._texts[line.mtu])
            yield OwnOrder(line.order, *self._asked(line, own), line.status, line.filled_w, line.left_w, why)

    def _asked(self, line: OrderLine, own: Collection[str]) -> tuple[str, str, str, str, int | None, int | None]:
        """Unit, side, start, end, quantity and price of an order; of one the door refused, as its file has them."""
        order, row = self._outcome.state.orders.orders.get(line.order), self._sent.get(line.order)
        if line.status is not OrderStatus.REFUSED and order is not None:
            times = self._texts[order.span.first], self._texts[order.span.end]
            return order.unit, str(order.side), *times, order.quantity_w, order.price_minor
        if row is None:
            return "", "", "", "", None, None
        start, end = (local_text(at, self._outcome.scenario.day.timezone) for at in (row.start, row.end))
        foreign = row.resource not in own and self._outcome.state.participants.knows(row.resource)
        return "" if foreign else row.resource, row.side, start, end, row.quantity_w, row.price_minor

    def worth(self, organisation: str, resources: Iterable[ResourceDay]) -> Worth:
        """What it avoided and gained."""
        minutes, orders = self._outcome.scenario.day.mtu_minutes, self._outcome.state.orders.orders
        avoided_wm = minutes * sum(sum(each.owed_w) - sum(each.left_w) for each in resources)
        bought_wm, bought, sold = 0, 0, 0
        for line in self._lines.get(organisation, ()):
            order = orders.get(line.order)
            if order is None or not line.filled_w or line.status is OrderStatus.REFUSED:
                continue
            time = minutes * len(order.span)
            if order.side is Side.BUY:
                bought_wm += order.executed_w * time
                bought += money(order.price_minor, order.executed_w, time)
            else:
                sold += money(order.price_minor, order.executed_w, time)
        paid = sum(trade.confirmation.remuneration for trade in self.trades.get(organisation, ()))
        avoided = Fraction(bought * avoided_wm, bought_wm) if bought_wm else Fraction(0)
        return Worth(avoided_wm, avoided, bought - sold + paid)

    def refusals(self, dso: str) -> Iterator[GridRefusals]:
        """What a DSO's own elements refused and reduced, most often first."""
        elements = Counter[str]()
        for (owner, element, _), count in self._refused.items():
            elements[element] += count * (owner == dso)
        for element, count in sorted(elements.items(), key=lambda item: (-item[1], item[0])):
            if count:
                reduced = self._refused[dso, element, str(Decision.REDUCED)]
                yield GridRefusals(element, count - reduced, reduced)


def own_why(line: OrderLine, own: Collection[str], at: str) -> str:
    """What was in an order's way, for its sender: elements and orders are named only where they are in `own`."""
    if line.reason == GRID_LIMIT:
        return f"the grid had room for {line.headroom_w or 0} W" + (f" at {at}" if at else "")
    if line.reason in _IN_THE_WAY:
        return _IN_THE_WAY[line.reason].format(line.element if line.element in own else "the other side")
    return f"expected {EXPECTED[Reason(line.reason)]}" if line.reason in _NAMES_OTHERS else line.detail


_NAMES_OTHERS = (Reason.NOT_ITS_RESOURCE, Reason.NOT_VIA_ITS_DSO)
_IN_THE_WAY = {
    "": "",
    NOBODY.reason: NOBODY.detail,
    Obstacle.ENERGY: "the energy limits of {} left nothing for it",
    Obstacle.MINIMUM_ACCEPTANCE: "less than {} accepts at least",
    Obstacle.FILL_OR_KILL: "{} trades whole or not at all",
    Obstacle.SELF_TRADE: "both orders were its own",
}


def _grouped(pairs: Iterable[tuple[str, Value]]) -> dict[str, list[Value]]:
    groups: dict[str, list[Value]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return groups
