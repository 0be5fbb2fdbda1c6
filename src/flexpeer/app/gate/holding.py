"""What each DSO holds of a clearing, out of the state of the day: its own orders and resources as numbers."""

from flexpeer.market.energy import energy_room
from flexpeer.market.machine import State, view
from flexpeer.market.matching.view import View
from flexpeer.market.orders import Order, Side
from flexpeer.market.pool import back_w, counts_ppm, more_w, range_room_w
from flexpeer.quantities import PPM
from flexpeer.wire.gate import GateHolding, GateOrder, GateResource


def holdings_of(state: State) -> dict[str, GateHolding]:
    """The orders that can be cleared, by the DSO of their unit; a DSO's own orders are its own."""
    here, found = view(state), dict[str, list[Order]]()
    for order in sorted(state.orders.orders.values(), key=lambda order: order.number):
        if back_w(here, order) or more_w(here, order):
            members = state.participants.members(order.unit)
            found.setdefault(members[0].dso if members else order.unit, []).append(order)
    return {dso: _holding(here, orders) for dso, orders in sorted(found.items())}


def _holding(here: View, orders: list[Order]) -> GateHolding:
    day, alike = here.needs.day, _alike(here, orders)
    assert day is not None, "the gate closes in a day"
    held = tuple(_order(here, order, alike.get(order.order, 0)) for order in orders)
    names = sorted({name for each in held for name in each.slopes})
    resources = tuple(_resource(here, name) for name in names)
    return GateHolding(here.needs.rulebook.quantity_tick_w, day.mtu_minutes, here.needs.mtu_count, held, resources)


def _order(here: View, order: Order, alike: int) -> GateOrder:
    tick_w = here.needs.rulebook.quantity_tick_w
    shares = here.participants.shares(order.unit, PPM)
    return GateOrder(
        order=order.order,
        number=order.number,
        organisation=order.organisation,
        buys=order.side is Side.BUY,
        first=order.span.first,
        length=len(order.span),
        price_minor=order.price_minor,
        back_w=back_w(here, order),
        more_w=more_w(here, order),
        executed_w=order.executed_w,
        least_w=-(-order.min_quantity_w // tick_w) * tick_w,
        alike=alike,
        slopes={name: order.regulation.sign * share / PPM for name, share in shares.items()},
        counts=tuple((point, mtu, ppm) for (point, mtu), ppm in counts_ppm(here, order).items()),
    )


def _alike(here: View, orders: list[Order]) -> dict[str, int]:
    """Orders that differ in arrival only, where nothing but their own limits says how much each can do."""
    groups: dict[tuple[object, ...], list[str]] = {}
    for order in orders:
        limited = here.places.limited(order.unit) or len(here.participants.members(order.unit)) > 1
        if not order.min_quantity_w and not order.executed_w and not limited:
            key = (order.place, order.side, order.regulation, order.span, order.price_minor)
            groups.setdefault(key, []).append(order.order)
    return {name: number for number, names in enumerate(groups.values(), 1) for name in names}


def _resource(here: View, name: str) -> GateResource:
    up_w, down_w = range_room_w(here, name)
    resource, day = here.participants.resources[name], here.needs.day
    energy = None
    if resource.energy_wm is not None and day is not None:
        moved = here.trades.moves_w.get(name, (0,) * here.needs.mtu_count)
        room = energy_room(resource, here.places.start_w(name), moved, day.mtu_minutes)
        energy = tuple(room.less_wm), tuple(room.more_wm)
    return GateResource(name, tuple(up_w), tuple(down_w), energy)
