"""What would become of an order if it came now: what the door says, what it counts for, and whom it would meet.

Nothing happens. The grid's check is not asked, and orders that only together cover the order's hours are not tried:
what is met here is what the market would propose first, in its order.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

from flexpeer.market import door
from flexpeer.market.machine import State, evolve, view
from flexpeer.market.matching.crossing import accepts, buyer_quantity_w, may_meet
from flexpeer.market.matching.view import View
from flexpeer.market.needs import Regulation
from flexpeer.market.orders import Order, OrderPlaced, PlaceOrder, Side, Status
from flexpeer.market.places import Place, Places
from flexpeer.market.reasons import CommandRefused
from flexpeer.market.rulebook import Priority
from flexpeer.periods import Span

SHOWN = 20


class Counted(NamedTuple):
    """A congestion point at which it counts, and by which factor at least (ppm) in the order's MTUs."""

    point: str
    ppm: int


class PossibleMeeting(NamedTuple):
    """An open order, how much of both would move (W, resource side), and the resting price (minor units per MWh)."""

    order: Order
    own_w: int
    their_w: int
    point: str

    @property
    def own_price_minor(self) -> Fraction:
        """What that is per MWh of one's own resource."""
        return Fraction(self.order.price_minor * self.their_w, self.own_w)


class Prospects(NamedTuple):
    """`order` as the door would let it in, or its `refusal`; `more` orders would be met beside these `meetings`."""

    order: Order | None
    refusal: CommandRefused | None
    span: Span | None
    counted: tuple[Counted, ...]
    meetings: tuple[PossibleMeeting, ...] = ()
    met_w: int = 0
    more: int = 0


def prospects(state: State, places: Places, command: PlaceOrder) -> Prospects:
    """Of an order in a state; `places` are of its participants and needs."""
    here = door.Door(state.participants, state.needs, state.orders, state.trades.moves_w, places)
    day = state.needs.day
    span = None if day is None else day.span(command.start, command.end)
    events = door.place(here, command)
    first = events[0] if events else None
    if not isinstance(first, OrderPlaced):
        refusal = first if isinstance(first, CommandRefused) else None
        either = (command.regulation,) if command.regulation else tuple(Regulation)
        return Prospects(None, refusal, span, _counted(places, command, span, either))
    order = first.order
    met = list(_met(view(evolve(state, first))._replace(places=places), order))
    counted = _counted(places, command, order.span, (order.regulation,))
    total = sum(meeting.own_w for meeting in met)
    return Prospects(order, None, order.span, counted, tuple(met[:SHOWN]), total, max(0, len(met) - SHOWN))


def _counted(
    places: Places, command: PlaceOrder, span: Span | None, regulations: Sequence[Regulation]
) -> tuple[Counted, ...]:
    if span is None:
        return ()
    place, sells = Place(command.unit, command.zone or ""), command.side is Side.SELL
    found: dict[str, int] = {}
    for regulation in regulations:
        rows = places.reliefs_ppm(place, regulation) if sells else places.loads_ppm(place, regulation.opposite)
        for point, row in rows.items():
            ppm = [row[mtu] for mtu in span.mtus if row[mtu]]
            if ppm:
                found[point] = min(ppm)
    return tuple(Counted(*each) for each in sorted(found.items()))


def _met(here: View, order: Order) -> Iterator[PossibleMeeting]:
    """Whom it would meet in the rulebook's priority, until nothing of it is left."""
    left = order.remaining_w
    for other in _in_turn(here, order):
        leg = here.leg(order, other, order.span)
        if leg is None or not left:
            continue
        rest_w, buys = here.left_w(other), order.side is Side.BUY
        buy_w = buyer_quantity_w(left if buys else rest_w, leg.ppm_buy, rest_w if buys else left, leg.ppm_sell)
        sell_w = -(-buy_w * leg.ppm_buy // leg.ppm_sell)
        own_w, their_w = (buy_w, sell_w) if buys else (sell_w, buy_w)
        if own_w and accepts(other.quantity_w - rest_w, other.min_quantity_w, their_w):
            left -= own_w
            yield PossibleMeeting(other, own_w, their_w, leg.zone)


def _in_turn(here: View, order: Order) -> list[Order]:
    """Open orders of the other side and the same hours, nobody's own."""
    others = [
        other
        for other in here.orders.orders.values()
        if other.status is Status.OPEN
        and other.side is not order.side
        and other.span == order.span
        and may_meet(other.organisation, order.organisation)
        and here.left_w(other)
    ]
    if here.needs.rulebook.priority is Priority.TIME:
        return sorted(others, key=lambda other: other.number)
    return sorted(others, key=lambda other: (_cost(here, order, other), other.number))


def _cost(here: View, order: Order, other: Order) -> Fraction:
    """What the pair costs the incoming order, per MWh of its own resource; the best first."""
    leg = here.leg(order, other, order.span)
    if leg is None:
        return Fraction(0)
    buys = order.side is Side.BUY
    price = Fraction(other.price_minor * (leg.ppm_buy if buys else leg.ppm_sell), leg.ppm_sell if buys else leg.ppm_buy)
    return price if buys else -price


class Previews:
    """Remembers what has been derived of places, between one order and the next. For one thread at a time."""

    def __init__(self) -> None:
        self._places: Places | None = None

    def of(self, state: State, command: PlaceOrder) -> Prospects:
        """The prospects of an order."""
        known = self._places
        self._places = (
            Places(state.participants, state.needs) if known is None else known.current(state.participants, state.needs)
        )
        return prospects(state, self._places, command)
