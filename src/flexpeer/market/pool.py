"""Stage 6, at gate closure: orders that are left trade with a pool, each at the price of its place in the grid.

The allocation was computed outside and is held by every owner already; here it is checked once more, in integers, and
becomes trades. With the rule `reopening` it may also take back what an order has traded: the order then acts on the
other side, at no worse than its own limit price, and its earlier trade stands.
"""

import msgspec

from flexpeer.market.energy import energy_room
from flexpeer.market.matching.view import View
from flexpeer.market.needs import Watts
from flexpeer.market.orders import Gate, Order, Side, Status, TimeInForce
from flexpeer.market.reasons import CommandRefused, Reason
from flexpeer.market.rulebook import Exchange, Reopening
from flexpeer.market.trades import (
    Decision,
    GridVerdict,
    Leg,
    Move,
    OrdersCleared,
    Phase,
    Trade,
    TradeConcluded,
    leg_moves,
)


class Cleared(msgspec.Struct, frozen=True):
    """What an order gets: `change_w` more is executed of it (negative: taken back), at a price per MWh of its unit."""

    order: str
    change_w: int
    price_minor: int


class ClearOrders(msgspec.Struct, frozen=True, tag=True):
    """Command: what a clearing allocates, and the answers of the owners, who hold all of it.

    `gap_ppm` is what its certificate says: the distance to the bound, in parts per million of the gain.
    """

    cleared: tuple[Cleared, ...]
    verdicts: tuple[GridVerdict, ...]
    gap_ppm: int


def clear(view: View, command: ClearOrders) -> list[object]:
    """The trades of a clearing, all or none of them."""
    if view.orders.gate is not Gate.CLOSED:
        return [CommandRefused("ClearOrders", "", Reason.GATE_NOT_CLOSED)]
    if any(verdict.decision is not Decision.GRANTED for verdict in command.verdicts):
        return [CommandRefused("ClearOrders", "", Reason.VERDICT_IMPOSSIBLE)]
    for place, cleared in enumerate(command.cleared):
        again = any(cleared.order == other.order for other in command.cleared[:place])
        reason = Reason.ALREADY_KNOWN if again else _wrong(view, cleared)
        if reason is not None:
            return [CommandRefused("ClearOrders", cleared.order, reason)]
    worse = _worse_zone(view, command.cleared)
    if worse is not None:
        return [CommandRefused("ClearOrders", worse, Reason.POINT_WORSE)]
    tired = beyond_energy(view, command.cleared)
    if tired is not None:
        return [CommandRefused("ClearOrders", tired, Reason.PAST_ENERGY)]
    number = view.trades.next_match
    concluded = (_concluded(view, number, place, each) for place, each in enumerate(command.cleared, 1))
    return [OrdersCleared(number, command.gap_ppm, command.verdicts), *concluded]


def back_w(view: View, order: Order) -> int:
    """How much of what an order has traded the clearing may take back."""
    stays = view.needs.rulebook.reopening is Reopening.NEVER or order.time_in_force is not TimeInForce.DAY
    return 0 if stays or order.status not in (Status.OPEN, Status.FILLED) else order.executed_w


def more_w(order: Order) -> int:
    """How much more of an order the clearing may execute."""
    return order.remaining_w if order.status is Status.OPEN else 0


def _wrong(view: View, cleared: Cleared) -> Reason | None:
    order = view.orders.orders.get(cleared.order)
    if order is None:
        return Reason.UNKNOWN_ORDER
    back, more = back_w(view, order), more_w(order)
    if not back and not more:
        return Reason.ORDER_NOT_OPEN
    if not -back <= cleared.change_w <= more or not cleared.change_w:
        return Reason.WRONG_QUANTITY
    executed = order.executed_w + cleared.change_w
    if 0 < executed < order.min_quantity_w:
        return Reason.WRONG_MIN_QUANTITY
    better = cleared.price_minor - order.price_minor
    gains = better >= 0 if acts(order, cleared.change_w) is Side.SELL else better <= 0
    return None if gains else Reason.PRICE_PAST_LIMIT


def acts(order: Order, change_w: int) -> Side:
    """The side an order is on: its own, or the other where it takes back."""
    return order.side if change_w > 0 else order.side.opposite


def loading_ppm_w(view: View, order: Order, executed_w: int) -> Watts:
    """What so much of an order loads its zone's point with, per MTU of its span (ppm W; negative: relief)."""
    sign = executed_w if order.side is Side.BUY else -executed_w
    if view.needs.rulebook.exchange is Exchange.BALANCED:
        return (sign,) * len(order.span)
    ppm = view.ppm(order)
    return tuple(sign * ppm[mtu] for mtu in order.span.mtus)


def _worse_zone(view: View, cleared: tuple[Cleared, ...]) -> str | None:
    """A zone whose orders, all trades counted, load its point more than they relieve it, and more than before."""
    change: dict[tuple[str, int], int] = {}
    for each in cleared:
        order = view.orders.orders[each.order]
        for mtu, loading in zip(order.span.mtus, loading_ppm_w(view, order, each.change_w), strict=True):
            change[order.zone, mtu] = change.get((order.zone, mtu), 0) + loading
    rooms = room_ppm_w(view)
    return next((zone for (zone, mtu), more in sorted(change.items()) if more > rooms.get((zone, mtu), 0)), None)


def room_ppm_w(view: View) -> dict[tuple[str, int], int]:
    """By how much what has been traded relieves each zone's point more than it loads it, per MTU, where it does."""
    rooms: dict[tuple[str, int], int] = {}
    for order in view.orders.orders.values():
        if order.executed_w:
            for mtu, loading in zip(order.span.mtus, loading_ppm_w(view, order, order.executed_w), strict=True):
                rooms[order.zone, mtu] = rooms.get((order.zone, mtu), 0) - loading
    return {place: max(room, 0) for place, room in rooms.items()}


def moves(view: View, cleared: tuple[Cleared, ...]) -> tuple[Move, ...]:
    """Every change of injection that an allocation asks for, order by order."""
    legs = [leg_of(view.orders.orders[each.order], each) for each in cleared]
    return tuple(
        Move(resource, leg.span, change)
        for leg in legs
        for resource, change in leg_moves(view.participants, view.orders, leg).items()
    )


def beyond_energy(view: View, cleared: tuple[Cleared, ...]) -> str | None:
    """The first resource that an allocation takes past its energy limits."""
    nothing = (0,) * view.needs.mtu_count
    minutes = view.needs.day.mtu_minutes if view.needs.day else 0
    changes: dict[str, list[int]] = {}
    for move in moves(view, cleared):
        row = changes.setdefault(move.resource, [0] * view.needs.mtu_count)
        row[move.span.first : move.span.end] = [w + move.change_w for w in row[move.span.first : move.span.end]]
    for name, change in sorted(changes.items()):
        resource = view.participants.resources[name]
        if resource.energy_wm is None:
            continue
        moved = view.trades.moves_w.get(name, nothing)
        if not energy_room(resource, view.needs.start_w(name), moved, minutes).allows(change):
            return name
    return None


def leg_of(order: Order, cleared: Cleared) -> Leg:
    """The leg between an order and the pool."""
    quantity, price, side = abs(cleared.change_w), cleared.price_minor, acts(order, cleared.change_w)
    if side is Side.BUY:
        return Leg(order.order, "", order.unit, "", order.span, 1, 1, quantity, 0, price, side)
    return Leg("", order.order, "", order.unit, order.span, 1, 1, 0, quantity, price, side)


def _concluded(view: View, match: int, place: int, cleared: Cleared) -> TradeConcluded:
    order = view.orders.orders[cleared.order]
    leg = leg_of(order, cleared)
    buyer, seller = (order.organisation, None) if leg.buy else (None, order.organisation)
    trade = Trade(f"T{match}.{place}", match, order.zone, Phase.CLEARING, leg, buyer, seller)
    return TradeConcluded(trade, leg_moves(view.participants, view.orders, leg), {order.order: cleared.change_w})
