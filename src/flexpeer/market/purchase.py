"""After the gate: a DSO buys the residual need in merit order, and what is left of the book expires."""

import msgspec

from flexpeer.market.matching.view import View
from flexpeer.market.needs import Watts, relieving
from flexpeer.market.orders import Gate, Order, OrderExpired, OrderPlaced, Orders, Side, Status, TimeInForce
from flexpeer.market.reasons import CommandRefused, Reason
from flexpeer.periods import Span


class PurchaseResidual(msgspec.Struct, frozen=True, tag=True):
    """Command: the owner of a congestion point buys relief, cheapest per MWh grid side first.

    `need_w` is grid side, per MTU; `ceiling_minor` per MWh the price of its alternative. Each offer is paid its
    own price.
    """

    zone: str
    need_w: Watts
    ceiling_minor: int


class ExpireOrders(msgspec.Struct, frozen=True, tag=True):
    """Command: end the market of this day."""


def purchase(view: View, command: PurchaseResidual) -> list[OrderPlaced | CommandRefused]:
    """A DSO order for each MTU with a need; the sweep meets the resting offers in merit order."""
    if view.orders.gate is not Gate.CLOSED:
        return [CommandRefused("PurchaseResidual", command.zone, Reason.GATE_NOT_CLOSED)]
    if command.zone not in view.needs.points:
        return [CommandRefused("PurchaseResidual", command.zone, Reason.UNKNOWN_CONGESTION_POINT)]
    if len(command.need_w) != view.needs.mtu_count:
        return [CommandRefused("PurchaseResidual", command.zone, Reason.NOT_THIS_DAY)]
    wanted = [(mtu, need) for mtu, need in enumerate(command.need_w) if need > 0]
    first = view.orders.next_number
    placed = (_order(view, command, mtu, need, first + place) for place, (mtu, need) in enumerate(wanted))
    return [OrderPlaced(order, order.order) for order in placed]


def _order(view: View, command: PurchaseResidual, mtu: int, need_w: int, number: int) -> Order:
    point = view.needs.points[command.zone]
    name = f"purchase:{command.zone}:{number}"
    while name in view.orders.orders:
        name += "+"
    return Order(
        order=name,
        number=number,
        organisation=point.dso,
        unit=point.dso,
        zone=command.zone,
        side=Side.BUY,
        regulation=relieving(point.direction).opposite,
        span=Span(mtu, mtu + 1),
        quantity_w=need_w,
        remaining_w=need_w,
        min_quantity_w=0,
        price_minor=command.ceiling_minor,
        time_in_force=TimeInForce.DAY,
        key=name,
        residual=True,
    )


def expire(orders: Orders) -> list[OrderExpired | CommandRefused]:
    """Every open order expires, in order of arrival."""
    if orders.gate is not Gate.CLOSED:
        return [CommandRefused("ExpireOrders", "", Reason.GATE_NOT_CLOSED)]
    still = sorted((o.number, o.order) for o in orders.orders.values() if o.status is Status.OPEN)
    return [OrderExpired(order) for _, order in still]
