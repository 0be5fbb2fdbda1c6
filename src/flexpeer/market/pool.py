"""Stage 6, at gate closure: orders that are left, and what DSOs would pay for relief, are cleared together.

The allocation was computed outside and is held by every owner already. Here it is checked once more, in integers,
whoever computed it, and becomes trades with a pool, each at the price of its place in the grid: nobody trades past its
own limit price, no point is worse, no organisation trades with itself, nobody is paid more than the traded buyers
support, and the pool takes at least what it pays. With the rule `reopening` the clearing may also take back what an
order has traded: the order then acts on the other side, at no worse than its own limit price, and its earlier trade
stands. Where peers' orders are not cleared (`residual = "none"`) DSOs buy alone, at each offer's own price.
"""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from math import floor

import msgspec

from flexpeer.market.energy import energy_room
from flexpeer.market.matching.view import View, place_of
from flexpeer.market.orders import Gate, Order, Side, Status, TimeInForce
from flexpeer.market.reasons import CommandRefused, Reason
from flexpeer.market.rulebook import Exchange, Reopening, Residual
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
from flexpeer.quantities import PPM

At = tuple[str, int]
"""A congestion point ("": the whole market, under balanced exchange) and an MTU."""
Both = tuple[str, At]
"""An organisation, and where it is on both sides."""


class Cleared(msgspec.Struct, frozen=True):
    """What an order gets: `change_w` more is executed of it (negative: taken back), at a price per MWh of its unit."""

    order: str
    change_w: int
    price_minor: int


class ClearOrders(msgspec.Struct, frozen=True, tag=True):
    """Command: what a clearing allocates, and the answers of the owners, who hold all of it.

    `gap_ppm` is what its certificate says: the distance to the bound, in parts per million of the gain; `status` how
    the search for it ended.
    """

    cleared: tuple[Cleared, ...]
    verdicts: tuple[GridVerdict, ...]
    gap_ppm: int
    status: str = ""


def clear(view: View, command: ClearOrders) -> list[object]:
    """The trades of a clearing, all or none of them."""
    refused = _refusal(view, command)
    if refused is not None:
        return [CommandRefused("ClearOrders", *refused)]
    number = view.trades.next_match
    if view.needs.rulebook.residual is Residual.NONE:
        concluded: Sequence[TradeConcluded] = _bought(view, number, command.cleared)
    else:
        concluded = [_concluded(view, number, place, each) for place, each in enumerate(command.cleared, 1)]
    return [OrdersCleared(number, command.gap_ppm, command.status, command.verdicts), *concluded]


def _refusal(view: View, command: ClearOrders) -> tuple[str, Reason] | None:
    """What is wrong with a clearing, and with whom."""
    if view.orders.gate is not Gate.CLOSED:
        return "", Reason.GATE_NOT_CLOSED
    if any(verdict.decision is not Decision.GRANTED for verdict in command.verdicts):
        return "", Reason.VERDICT_IMPOSSIBLE
    seen: set[str] = set()
    for cleared in command.cleared:
        reason = Reason.ALREADY_KNOWN if cleared.order in seen else _wrong(view, cleared)
        if reason is not None:
            return cleared.order, reason
        seen.add(cleared.order)
    checks = (
        (worse_point(view, command.cleared), Reason.POINT_WORSE),
        (trading_with_itself(view, command.cleared), Reason.SELF_TRADE),
        (beyond_energy(view, command.cleared), Reason.PAST_ENERGY),
        (beyond_range(view, command.cleared), Reason.OUTSIDE_RANGE),
        (_unsupported(view, command.cleared), Reason.PRICE_UNSUPPORTED),
        ("" if balance(view, command.cleared) < 0 else None, Reason.ACCOUNT_SHORT),
    )
    return next(((subject, reason) for subject, reason in checks if subject is not None), None)


def back_w(view: View, order: Order) -> int:
    """How much of what an order has traded the clearing may take back."""
    book = view.needs.rulebook
    stays = book.residual is Residual.NONE or book.reopening is Reopening.NEVER
    stays = stays or order.time_in_force is not TimeInForce.DAY or order.residual
    return 0 if stays or order.status not in (Status.OPEN, Status.FILLED) else order.executed_w


def more_w(view: View, order: Order) -> int:
    """How much more of an order the clearing may execute; peers' BUYs only where peers' orders are cleared."""
    alone = view.needs.rulebook.residual is Residual.NONE and order.side is Side.BUY and not order.residual
    return order.remaining_w if order.status is Status.OPEN and not alone else 0


def _wrong(view: View, cleared: Cleared) -> Reason | None:
    order = view.orders.orders.get(cleared.order)
    if order is None:
        return Reason.UNKNOWN_ORDER
    back, more = back_w(view, order), more_w(view, order)
    if not back and not more:
        return Reason.ORDER_NOT_OPEN
    if not -back <= cleared.change_w <= more or not cleared.change_w:
        return Reason.WRONG_QUANTITY
    if cleared.change_w % view.needs.rulebook.quantity_tick_w:
        return Reason.WRONG_QUANTITY_TICK
    executed = order.executed_w + cleared.change_w
    if 0 < executed < order.min_quantity_w:
        return Reason.WRONG_MIN_QUANTITY
    better = cleared.price_minor - order.price_minor
    gains = better >= 0 if acts(order, cleared.change_w) is Side.SELL else better <= 0
    return None if gains else Reason.PRICE_PAST_LIMIT


def acts(order: Order, change_w: int) -> Side:
    """The side an order is on: its own, or the other where it takes back."""
    return order.side if change_w > 0 else order.side.opposite


def counts_ppm(view: View, order: Order) -> dict[At, int]:
    """What a watt executed of an order loads congestion points with (ppm, negative: relieves), in its MTUs.

    A BUY at the points where it counts, a SELL at all of its direction; a DSO's purchase at its own.
    """
    sign = 1 if order.side is Side.BUY else -1
    if view.needs.rulebook.exchange is Exchange.BALANCED:
        return {(order.zone, mtu): sign for mtu in order.span.mtus}
    if order.residual:
        return {(order.zone, mtu): PPM for mtu in order.span.mtus}
    place, sells = place_of(order), order.side is Side.SELL
    relieved_by = order.regulation if sells else order.regulation.opposite
    rows = view.places.reliefs_ppm(place, relieved_by) if sells else view.places.loads_ppm(place, relieved_by)
    return {(point, mtu): sign * row[mtu] for point, row in sorted(rows.items()) for mtu in order.span.mtus if row[mtu]}


def worse_point(view: View, cleared: Sequence[Cleared]) -> str | None:
    """A point that the orders, all trades counted, load more than they relieve it, and more than before."""
    rooms, change = room_ppm_w(view), dict[At, int]()
    for each in cleared:
        for at, ppm in counts_ppm(view, view.orders.orders[each.order]).items():
            change[at] = change.get(at, 0) + ppm * each.change_w
    return next((at[0] for at, more in sorted(change.items()) if more > rooms.get(at, 0)), None)


def trading_with_itself(view: View, cleared: Sequence[Cleared]) -> str | None:
    """The first organisation that would have to serve its own BUYs: by more than others relieve what it loads."""
    rooms = room_beside_ppm_w(view)
    loads: dict[Both, int] = {}
    reliefs: dict[At, dict[str, int]] = {}
    for each in cleared:
        order = view.orders.orders[each.order]
        for at, ppm in counts_ppm(view, order).items():
            if ppm > 0:
                loads[order.organisation, at] = loads.get((order.organisation, at), 0) + ppm * each.change_w
            else:
                own = reliefs.setdefault(at, {})
                own[order.organisation] = own.get(order.organisation, 0) - ppm * each.change_w
    for (organisation, at), load in sorted(loads.items()):
        others = sum(relief for name, relief in reliefs.get(at, {}).items() if name != organisation)
        if load > others + rooms(organisation, at):
            return organisation
    return None


def room_beside_ppm_w(view: View) -> Callable[[str, At], int]:
    """By how much others have relieved a point and MTU beyond what an organisation's own BUYs take of it.

    What trades have left over; where the clearing may take trades back, all of them count.
    """
    if view.needs.rulebook.reopening is Reopening.NEVER:
        rooms = room_ppm_w(view)
        return lambda _, at: rooms.get(at, 0)
    beside: dict[Both, int] = {}
    relief: dict[At, int] = {}
    for order in view.orders.orders.values():
        for at, ppm in counts_ppm(view, order).items() if order.executed_w else ():
            both = (order.organisation, at)
            beside[both] = beside.get(both, 0) - abs(ppm) * order.executed_w
            relief[at] = relief.get(at, 0) + max(-ppm, 0) * order.executed_w
    return lambda organisation, at: relief.get(at, 0) + beside.get((organisation, at), 0)


def room_ppm_w(view: View) -> dict[At, int]:
    """By how much what has been traded relieves each point more than it loads it, per MTU, where it does."""
    rooms: dict[At, int] = {}
    for order in view.orders.orders.values():
        if order.executed_w:
            for at, ppm in counts_ppm(view, order).items():
                rooms[at] = rooms.get(at, 0) - ppm * order.executed_w
    return {at: room for at, room in rooms.items() if room > 0}


def paid_at_most(view: View, cleared: Sequence[Cleared]) -> dict[str, int]:
    """What each seller of an allocation may be paid per MWh, by order.

    Its own limit price, or what the limits of traded buyers are worth where it relieves them if that is more.
    """
    worth: dict[At, Fraction] = {}
    for each in cleared:
        order = view.orders.orders[each.order]
        if acts(order, each.change_w) is Side.BUY:
            for at, ppm in _felt_ppm(view, order).items():
                most = Fraction(order.price_minor * len(order.span), abs(ppm))
                worth[at] = max(worth.get(at, most), most)
    most_minor: dict[str, int] = {}
    for each in cleared:
        order = view.orders.orders[each.order]
        if acts(order, each.change_w) is Side.SELL:
            supported = sum(abs(ppm) * worth.get(at, Fraction(0)) for at, ppm in _felt_ppm(view, order).items())
            most_minor[each.order] = max(order.price_minor, floor(supported / len(order.span)))
    return most_minor


def _unsupported(view: View, cleared: Sequence[Cleared]) -> str | None:
    """An order that is paid more than its own limit and than traded buyers support."""
    most_minor = paid_at_most(view, cleared)
    paid = (each for each in cleared if each.order in most_minor)
    return next((each.order for each in paid if each.price_minor > most_minor[each.order]), None)


def _felt_ppm(view: View, order: Order) -> dict[At, int]:
    """What a watt executed of an order loads points with: where it counts, and where only their limits feel it."""
    counted = counts_ppm(view, order)
    if order.residual:
        return counted
    buys = order.side is Side.BUY
    felt = {
        (point, mtu): row[mtu] * (1 if buys else -1)
        for point in view.places.points(order.regulation.opposite if buys else order.regulation)
        for row in (view.places.impact_ppm(order.unit, point, buys=buys),)
        for mtu in order.span.mtus
        if row[mtu] > 0
    }
    if view.needs.rulebook.exchange is Exchange.BALANCED:
        return felt | {(f"{zone} balanced", mtu): ppm for (zone, mtu), ppm in counted.items()}
    return felt | counted


def balance(view: View, cleared: Sequence[Cleared]) -> int:
    """What the pool takes less what it pays, minor units x W x MTUs per MWh; 0 where DSOs pay offers' own prices."""
    if view.needs.rulebook.residual is Residual.NONE:
        return 0
    total = 0
    for each in cleared:
        order = view.orders.orders[each.order]
        paid = each.price_minor * abs(each.change_w) * len(order.span)
        total += paid if acts(order, each.change_w) is Side.BUY else -paid
    return total


def moves(view: View, cleared: Sequence[Cleared]) -> tuple[Move, ...]:
    """Every change of injection that an allocation asks for, order by order."""
    legs = [leg_of(view.orders.orders[each.order], each) for each in cleared]
    return tuple(
        Move(resource, leg.span, change)
        for leg in legs
        for resource, change in leg_moves(view.participants, view.orders, leg).items()
    )


def _changes_w(view: View, cleared: Sequence[Cleared]) -> dict[str, list[int]]:
    """What an allocation changes of each resource's injection, per MTU, by name."""
    changes: dict[str, list[int]] = {}
    for move in moves(view, cleared):
        row = changes.setdefault(move.resource, [0] * view.needs.mtu_count)
        row[move.span.first : move.span.end] = [w + move.change_w for w in row[move.span.first : move.span.end]]
    return dict(sorted(changes.items()))


def range_room_w(view: View, name: str) -> tuple[list[int], list[int]]:
    """How far a resource may still go up and down within its range from its schedule, per MTU, both >= 0."""
    resource, start = view.participants.resources[name], view.places.start_w(name)
    moved = view.trades.moves_w.get(name, (0,) * view.needs.mtu_count)
    now = [s + m for s, m in zip(start, moved, strict=True)]
    return [max(resource.p_max_w - w, 0) for w in now], [max(w - resource.p_min_w, 0) for w in now]


def beyond_range(view: View, cleared: Sequence[Cleared]) -> str | None:
    """The first resource that an allocation takes past its qualified range."""
    for name, change in _changes_w(view, cleared).items():
        up, down = range_room_w(view, name)
        if any(not -d <= w <= u for w, u, d in zip(change, up, down, strict=True)):
            return name
    return None


def beyond_energy(view: View, cleared: Sequence[Cleared]) -> str | None:
    """The first resource that an allocation takes past its energy limits."""
    nothing = (0,) * view.needs.mtu_count
    minutes = view.needs.day.mtu_minutes if view.needs.day else 0
    for name, change in _changes_w(view, cleared).items():
        resource = view.participants.resources[name]
        if resource.energy_wm is None:
            continue
        moved = view.trades.moves_w.get(name, nothing)
        if not energy_room(resource, view.places.start_w(name), moved, minutes).allows(change):
            return name
    return None


def leg_of(order: Order, cleared: Cleared, zone: str | None = None) -> Leg:
    """The leg between an order and the pool, at a point."""
    quantity, price, side = abs(cleared.change_w), cleared.price_minor, acts(order, cleared.change_w)
    at = order.zone if zone is None else zone
    if side is Side.BUY:
        return Leg(order.order, "", order.unit, "", at, order.span, 1, 1, quantity, 0, price, side)
    return Leg("", order.order, "", order.unit, at, order.span, 1, 1, 0, quantity, price, side)


def _point_of(view: View, order: Order) -> str:
    """The point an order's trade is booked at: where a watt counts most, the first of equals."""
    counts = counts_ppm(view, order)
    wanted = {at: ppm for at, ppm in counts.items() if view.places.in_need(*at)} if order.zone == "" else counts
    return min(wanted or counts, key=lambda at: (-abs(counts[at]), at))[0] if counts else order.zone


def _concluded(view: View, match: int, place: int, cleared: Cleared) -> TradeConcluded:
    order = view.orders.orders[cleared.order]
    balanced = view.needs.rulebook.exchange is Exchange.BALANCED
    leg = leg_of(order, cleared, order.zone if balanced else _point_of(view, order))
    buyer, seller = (order.organisation, None) if leg.buy else (None, order.organisation)
    trade = Trade(f"T{match}.{place}", match, Phase.CLEARING, leg, buyer, seller)
    return TradeConcluded(trade, leg_moves(view.participants, view.orders, leg), {order.order: cleared.change_w})


def _bought(view: View, match: int, cleared: Sequence[Cleared]) -> list[TradeConcluded]:
    """What DSOs buy alone: offers in merit order, each for what is left of the purchases that it relieves."""
    wanted: dict[At, Order] = {}
    left: dict[str, int] = {}
    for order in view.orders.orders.values():
        if order.residual and order.status is Status.OPEN:
            wanted[order.zone, order.span.first] = order
            left[order.order] = order.remaining_w
    sold = [(view.orders.orders[c.order], c) for c in cleared if not view.orders.orders[c.order].residual]
    events = []
    for place, (order, each) in enumerate(sorted(sold, key=lambda row: _merit(view, wanted, row[0])), 1):
        fills = {order.order: each.change_w}
        served: dict[str, int] = {}
        for at, ppm in counts_ppm(view, order).items():
            if at in wanted:
                served[wanted[at].order] = -ppm * each.change_w // PPM
        for name, relief_w in served.items():
            taken = min(relief_w, left[name])
            left[name] -= taken
            fills |= {name: taken} if taken else {}
        for_order = max(served, key=lambda name: (fills.get(name, 0), served[name]))
        buy = view.orders.orders[for_order]
        ppm = -counts_ppm(view, order)[buy.zone, buy.span.first]
        leg = Leg(
            buy.order, order.order, buy.unit, order.unit, buy.zone, order.span, PPM, ppm, served[for_order],
            each.change_w, order.price_minor, Side.SELL,
        )  # fmt: skip
        trade = Trade(f"T{match}.{place}", match, Phase.PURCHASE, leg, buy.organisation, order.organisation)
        alone = msgspec.structs.replace(leg, buy="", quantity_buy_w=0)
        events.append(TradeConcluded(trade, leg_moves(view.participants, view.orders, alone), fills))
    return events


def _merit(view: View, wanted: Mapping[At, Order], order: Order) -> tuple[Fraction, int]:
    """What an offer asks for the relief it gives where that is wanted, per MWh grid side."""
    relief = sum(-ppm for at, ppm in counts_ppm(view, order).items() if at in wanted)
    return Fraction(order.price_minor * len(order.span), max(relief, 1)), order.number
