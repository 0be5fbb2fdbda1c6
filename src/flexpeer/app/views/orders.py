"""What became of every order, and why: a fold of the market's events, valid at any moment of the day."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from flexpeer.app.scenario import OrderRow
from flexpeer.app.views.obstacles import GRID_LIMIT, NO_COUNTERPARTY, pairs_of, told_of
from flexpeer.app.views.sleeping import Sleeping, Why
from flexpeer.market.machine import Event
from flexpeer.market.matching.meetings import (
    LineMoved,
    MeetingBlocked,
    MeetingsWoken,
    Obstacle,
    SweepEnded,
)
from flexpeer.market.needs import DayOpened
from flexpeer.market.orders import Order, OrderAmended, OrderKilled, OrderPlaced, OrderWithdrawn
from flexpeer.market.reasons import EXPECTED, CommandRefused
from flexpeer.market.trades import (
    Decision,
    Match,
    MatchProposed,
    ReservationsReleased,
    TradeConcluded,
    VerdictRecorded,
)
from flexpeer.periods import MarketDay

NOBODY = Why(NO_COUNTERPARTY, detail="nobody on the other side could trade with it at its price in its time")


class OrderStatus(StrEnum):
    """What became of an order; WITHDRAWN and KILLED speak of what was left of it, whatever had traded before."""

    FILLED = "filled"
    PARTLY = "partly"
    UNTRADED = "untraded"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    KILLED = "killed"


class OrderLine(NamedTuple):
    """A row of `orders.csv`: watts of its unit, `trades` a count; `owner` to `headroom_w` as in `Refusal`.

    `left_w` is what did not trade; None where the door refused an order whose quantity nobody knows.
    """

    order: str
    arrival: int
    organisation: str
    status: OrderStatus
    filled_w: int
    left_w: int | None
    trades: int
    reason: str
    owner: str
    element: str
    mtu: int | None
    headroom_w: int | None
    detail: str


@dataclass(slots=True)
class _Known:
    """What has been heard of an order; `order` is None where the door refused it."""

    arrival: int
    organisation: str
    quantity_w: int | None
    order: Order | None = None
    price_minor: int = 0
    filled_w: int = 0
    taken_back_w: int = 0
    trades: int = 0
    end: OrderStatus | None = None
    why: Why | None = None

    @property
    def left_w(self) -> int | None:
        """What of it has not traded."""
        return None if self.quantity_w is None else self.quantity_w - self.filled_w

    @property
    def status(self) -> OrderStatus:
        """As things stand."""
        if self.left_w == 0 and self.end is not OrderStatus.REFUSED:
            return OrderStatus.FILLED
        return self.end or (OrderStatus.PARTLY if self.filled_w else OrderStatus.UNTRADED)


class OrderOutcomes:
    """Listens to events. Orders of a file have their own `arrival`, others count as they come to the door."""

    def __init__(self, sent: Iterable[OrderRow] = ()) -> None:
        self._sent = {row.order: row for row in sent if row.action == "place"}
        self._known: dict[str, _Known] = {}
        self._arrivals = 0
        self._sleeping = Sleeping()
        self._proposed: Match | None = None
        self._day: MarketDay | None = None
        self._times: dict[int, str] = {}
        self._heard: dict[type, Callable[[Any], None]] = {
            OrderPlaced: self._note_placed,
            OrderAmended: self._note_amended,
            OrderWithdrawn: self._note_withdrawn,
            CommandRefused: self._note_refused,
            OrderKilled: self._note_killed,
            TradeConcluded: self._note_trade,
            MatchProposed: self._note_proposed,
            VerdictRecorded: self._note_verdict,
            SweepEnded: self._note_swept,
            DayOpened: self._note_day,
            **dict.fromkeys((MeetingBlocked, MeetingsWoken, LineMoved, ReservationsReleased), self._note_sleep),
        }

    def rows(self) -> tuple[OrderLine, ...]:
        """Every order that has come to the door, in order of arrival."""
        open_orders = [
            (known.order, known.price_minor)
            for known in self._known.values()
            if known.order is not None and known.status in (OrderStatus.PARTLY, OrderStatus.UNTRADED)
        ]
        kept_apart = self._sleeping.kept_apart(open_orders)
        lines = (self._line(name, known, kept_apart.get(name)) for name, known in self._known.items())
        return tuple(sorted(lines, key=lambda line: line.arrival))

    def note(self, event: Event) -> None:
        """Keep what has to be told later."""
        heard = self._heard.get(type(event))
        if heard is not None:
            heard(event)

    def _note_placed(self, event: OrderPlaced) -> None:
        order = event.order
        if not order.residual:
            self._arrivals += 1
            known = self._come(order.order, order.organisation)
            known.order, known.quantity_w, known.price_minor = order, order.quantity_w, order.price_minor

    def _note_amended(self, event: OrderAmended) -> None:
        self._arrivals += 1
        known = self._known[event.order]
        known.quantity_w, known.price_minor = event.quantity_w, event.price_minor

    def _note_withdrawn(self, event: OrderWithdrawn) -> None:
        self._arrivals += 1
        self._known[event.order].end = OrderStatus.WITHDRAWN

    def _note_killed(self, event: OrderKilled) -> None:
        self._known[event.order].end = OrderStatus.KILLED

    def _note_proposed(self, event: MatchProposed) -> None:
        self._proposed = event.match

    def _note_day(self, event: DayOpened) -> None:
        self._day = event.day

    def _note_sleep(self, event: MeetingBlocked | MeetingsWoken | LineMoved | ReservationsReleased) -> None:
        self._sleeping.note(event, self._proposed)

    def _come(self, name: str, organisation: str) -> _Known:
        row = self._sent.get(name)
        known = _Known(self._arrivals, organisation, None)
        if row is not None:
            known.arrival, known.quantity_w = row.arrival, row.quantity_w
        self._known[name] = known
        return known

    def _note_refused(self, event: CommandRefused) -> None:
        """An order that the door refused, unless another of its name is in."""
        self._arrivals += event.command.endswith("Order")
        if event.command != "PlaceOrder":
            return
        before = self._known.get(event.subject)
        if before is None or before.order is None:
            known = self._come(event.subject, event.sender)
            known.end = OrderStatus.REFUSED
            more = f" ({event.detail})" if event.detail else ""
            known.why = Why(str(event.reason), detail=f"expected {EXPECTED[event.reason]}{more}")

    def _note_trade(self, event: TradeConcluded) -> None:
        for party in event.trade.leg.parties:
            if party.order in self._known:
                self._known[party.order].trades += 1
        for name, fill_w in event.fills_w.items():
            if name in self._known:
                self._known[name].filled_w += fill_w
                self._known[name].taken_back_w += max(-fill_w, 0)

    def _note_verdict(self, event: VerdictRecorded) -> None:
        """Who binds, told to both sides; a meeting that is blocked next sleeps there."""
        binding = next((v for v in event.verdicts if v.decision is not Decision.GRANTED), None)
        self._sleeping.why = None
        if binding is None or self._proposed is None:
            return
        orders = {name for leg in self._proposed.legs for name in (leg.buy, leg.sell)}
        where = (binding.owner, binding.element, binding.mtu, binding.headroom_w)
        room = f"{binding.element} ({binding.owner}) has room for {binding.headroom_w} W{self._during(binding.mtu)}"
        self._sleeping.why = Why(GRID_LIMIT, *where, room)
        for name in orders & self._known.keys():
            others = ", ".join(sorted(orders - {name}))
            self._known[name].why = Why(GRID_LIMIT, *where, f"with {others}: {room}")

    def _note_swept(self, event: SweepEnded) -> None:
        """The first of each sweep counts; an own order is told only where nothing else was in the way."""
        self._sleeping.settled()
        taker = event.order
        for each in reversed(event.put_off):
            pairs = f"{pairs_of(each)}: " if each.pairs else ""
            detail = f"{pairs}{told_of(each)}{self._during(each.mtu)}"
            why = Why(each.obstacle, each.owner, each.element, each.mtu, None, detail)
            for name in {taker, *(order for pair in each.pairs for order in pair)} & self._known.keys():
                known = self._known[name]
                if known.why is None or each.obstacle is not Obstacle.SELF_TRADE:
                    known.why = why

    def _during(self, mtu: int | None) -> str:
        if mtu is None or self._day is None:
            return ""
        if mtu not in self._times:
            self._times[mtu] = f" at {self._day.local(mtu)}"
        return self._times[mtu]

    def _line(self, name: str, known: _Known, asleep: Why | None) -> OrderLine:
        status, left_w = known.status, known.left_w
        why = known.why or asleep or NOBODY
        if status in (OrderStatus.FILLED, OrderStatus.WITHDRAWN):
            why = Why("")
        detail = " ".join(_words(status, known, why))
        where = (why.reason, why.owner, why.element, why.mtu, why.headroom_w)
        return OrderLine(
            name, known.arrival, known.organisation, status, known.filled_w, left_w, known.trades, *where, detail
        )


def _words(status: OrderStatus, known: _Known, why: Why) -> Iterator[str]:
    """What is said of an order, part by part."""
    traded = f"{known.filled_w} of {known.quantity_w} W traded"
    if status is OrderStatus.FILLED:
        yield "traded whole"
    elif status is OrderStatus.WITHDRAWN:
        yield f"withdrawn by its sender; {traded}"
    elif status is OrderStatus.REFUSED:
        yield f"refused at the door: {why.detail}"
    elif status is OrderStatus.KILLED:
        yield f"not good for the day; {traded}; {why.detail}"
    else:
        given = f"{known.taken_back_w} W of what it traded taken back in the clearing"
        told = [traded] * bool(known.filled_w) + [given] * bool(known.taken_back_w)
        yield "; ".join(told if told and known.taken_back_w and why is NOBODY else [*told, why.detail])
