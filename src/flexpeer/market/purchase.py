"""After the gate: what DSOs would pay for relief, as orders that the clearing serves; and what is left expires."""

import msgspec

from flexpeer.market.matching.view import View
from flexpeer.market.needs import Watts, relieving
from flexpeer.market.orders import Gate, Order, OrderExpired, OrderPlaced, Orders, Side, Status, TimeInForce
from flexpeer.market.places import Place
from flexpeer.market.reasons import CommandRefused, Reason
from flexpeer.periods import Span


class PurchaseResidual(msgspec.Struct, frozen=True, tag=True):
    """Command: what the owner of a congestion point would buy in the clearing, in place of what it wanted before.

    `need_w` is grid side, per MTU; `ceiling_minor` per MWh the price of its alternative, which it pays at most.
    """

    zone: str
    need_w: Watts
    ceiling_minor: int


class ExpireOrders(msgspec.Struct, frozen=True, tag=True):
    """Command: end the market of this day."""


def purchase(view: View, command: PurchaseResidual) -> list[OrderExpired | OrderPlaced | CommandRefused]:
    """An order of the DSO for each MTU with a need, for the clearing; nothing if just these are open already."""
    if view.orders.gate is not Gate.CLOSED:
        return [CommandRefused("PurchaseResidual", command.zone, Reason.GATE_NOT_CLOSED)]
    if command.zone not in view.needs.points:
        return [CommandRefused("PurchaseResidual", command.zone, Reason.UNKNOWN_CONGESTION_POINT)]
    if len(command.need_w) != view.needs.mtu_count:
        return [CommandRefused("PurchaseResidual", command.zone, Reason.NOT_THIS_DAY)]
    before = [o for o in _still(view.orders) if o.residual and o.zone == command.zone]
    wanted = [(mtu, need) for mtu, need in enumerate(command.need_w) if need > 0]
    first = view.orders.next_number
    placed = [_order(view, command, mtu, need, first + place) for place, (mtu, need) in enumerate(wanted)]
    if [_asks(order) for order in before] == [_asks(order) for order in placed]:
        return []
    return [*(OrderExpired(order.order) for order in before), *(OrderPlaced(order, order.order) for order in placed)]


def _order(view: View, command: PurchaseResidual, mtu: int, need_w: int, number: int) -> Order:
    point = view.needs.points[command.zone]
    name = f"purchase:{command.zone}:{number}"
    while name in view.orders.orders:
        name += "+"
    tick = view.needs.rulebook.quantity_tick_w
    quantity_w = -(-need_w // tick) * tick
    return Order(
        order=name,
        number=number,
        organisation=point.dso,
        unit=point.dso,
        place=view.places.name(Place(point.dso, command.zone)),
        zone=command.zone,
        side=Side.BUY,
        regulation=relieving(point.direction).opposite,
        span=Span(mtu, mtu + 1),
        quantity_w=quantity_w,
        remaining_w=quantity_w,
        min_quantity_w=0,
        price_minor=command.ceiling_minor,
        time_in_force=TimeInForce.DAY,
        key=name,
        residual=True,
    )


def _asks(order: Order) -> tuple[Span, int, int]:
    return order.span, order.remaining_w, order.price_minor


def _still(orders: Orders) -> list[Order]:
    """Open orders, in order of arrival."""
    return sorted((o for o in orders.orders.values() if o.status is Status.OPEN), key=lambda order: order.number)


def expire(orders: Orders) -> list[OrderExpired | CommandRefused]:
    """Every open order expires, in order of arrival."""
    if orders.gate is not Gate.CLOSED:
        return [CommandRefused("ExpireOrders", "", Reason.GATE_NOT_CLOSED)]
    return [OrderExpired(order.order) for order in _still(orders)]
