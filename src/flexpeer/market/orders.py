"""Stage 3: the gate, and the orders that come through it: placed, amended, withdrawn, killed, expired."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

import msgspec
from msgspec.structs import replace
from rpds import HashTrieMap

from flexpeer.market.needs import Regulation, Watts
from flexpeer.market.participants import Participants
from flexpeer.periods import Span


class Side(StrEnum):
    """SELL moves in the relieving direction, BUY in the loading direction (or, for a DSO, not at all)."""

    BUY = "BUY"
    SELL = "SELL"

    __hash__ = str.__hash__

    @property
    def opposite(self) -> Side:
        """The side it trades with."""
        return Side.SELL if self is Side.BUY else Side.BUY


class TimeInForce(StrEnum):
    """How long an order stays: until gate closure, fill-and-kill, fill-or-kill."""

    DAY = "day"
    FAK = "FAK"
    FOK = "FOK"


class Gate(StrEnum):
    """Whether orders are taken."""

    NOT_OPEN = "not_open"
    OPEN = "open"
    CLOSED = "closed"


class Status(StrEnum):
    """Where an order is in its life."""

    OPEN = "open"
    FILLED = "filled"
    WITHDRAWN = "withdrawn"
    KILLED = "killed"
    EXPIRED = "expired"


class Order(msgspec.Struct, frozen=True):
    """An order in the book. `number` is its place in the order of arrival; quantities are watts of its unit.

    `unit` is a resource, a portfolio or a DSO itself, `place` the name of its place, `zone` the congestion point it is
    restricted to ("": none); `span` is all its MTUs, traded together at one quantity; `price_minor` is per MWh of the
    unit. `residual` marks a DSO's purchase after the gate.
    """

    order: str
    number: int
    organisation: str
    unit: str
    place: str
    zone: str
    side: Side
    regulation: Regulation
    span: Span
    quantity_w: int
    remaining_w: int
    min_quantity_w: int
    price_minor: int
    time_in_force: TimeInForce
    key: str
    status: Status = Status.OPEN
    residual: bool = False
    at: int = 0

    @property
    def executed_w(self) -> int:
        """What has been traded of it."""
        return self.quantity_w - self.remaining_w


class PlaceOrder(msgspec.Struct, frozen=True, tag=True):
    """Command: an order sent through `via`. `start`, `end` are instants; `key` makes sending it twice harmless.

    Without `zone` the order counts at every congestion point of its direction in need; without `regulation` side and
    points imply it. `at` is the instant it came.
    """

    order: str
    organisation: str
    via: str
    unit: str
    side: Side
    start: int
    end: int
    quantity_w: int
    price_minor: int
    zone: str | None = None
    regulation: Regulation | None = None
    min_quantity_w: int = 0
    time_in_force: TimeInForce = TimeInForce.DAY
    key: str = ""
    at: int = 0

    @property
    def idempotency_key(self) -> str:
        """The key, or the order's own id."""
        return self.key or self.order


class AmendOrder(msgspec.Struct, frozen=True, tag=True):
    """Command: another quantity (executed part included) or price; only a lower quantity keeps priority."""

    order: str
    organisation: str
    quantity_w: int
    price_minor: int


class WithdrawOrder(msgspec.Struct, frozen=True, tag=True):
    """Command: take what is left of an order out of the book."""

    order: str
    organisation: str


class OpenGate(msgspec.Struct, frozen=True, tag=True):
    """Command: take orders from now on; `at` is the instant."""

    at: int


class CloseGate(msgspec.Struct, frozen=True, tag=True):
    """Command: take no more orders; plans and baselines freeze."""

    at: int


class GateOpened(msgspec.Struct, frozen=True, tag=True):
    """Orders are taken."""

    at: int


class GateClosed(msgspec.Struct, frozen=True, tag=True):
    """No more orders; plans and baselines are frozen."""

    at: int


class OrderPlaced(msgspec.Struct, frozen=True, tag=True):
    """An order has passed the door and stands in the book."""

    order: Order
    digest: str


class OrderAmended(msgspec.Struct, frozen=True, tag=True):
    """An order has another quantity or price; a new `number` means it lost its priority."""

    order: str
    number: int
    quantity_w: int
    price_minor: int


class OrderWithdrawn(msgspec.Struct, frozen=True, tag=True):
    """Its sender took the rest of an order back."""

    order: str


class OrderKilled(msgspec.Struct, frozen=True, tag=True):
    """What a FAK or FOK order could not trade at once is gone."""

    order: str


class OrderExpired(msgspec.Struct, frozen=True, tag=True):
    """The market is over and the rest of the order with it."""

    order: str


Event = GateOpened | GateClosed | OrderPlaced | OrderAmended | OrderWithdrawn | OrderKilled | OrderExpired

_GONE = {OrderWithdrawn: Status.WITHDRAWN, OrderKilled: Status.KILLED, OrderExpired: Status.EXPIRED}


class Orders(msgspec.Struct, frozen=True):
    """The gate and every order; `open_*_w` are the watts open orders may still move, per resource and MTU.

    `digests` maps each idempotency key to the digest of the order first sent under it.
    """

    gate: Gate = Gate.NOT_OPEN
    next_number: int = 1
    orders: HashTrieMap[str, Order] = HashTrieMap()
    digests: HashTrieMap[str, str] = HashTrieMap()
    open_up_w: HashTrieMap[str, Watts] = HashTrieMap()
    open_down_w: HashTrieMap[str, Watts] = HashTrieMap()

    def open_w(self, resource: str, regulation: Regulation, mtu_count: int) -> Watts:
        """What open orders of a resource may still move in a direction."""
        table = self.open_up_w if regulation is Regulation.UP else self.open_down_w
        return table.get(resource, (0,) * mtu_count)

    def placed(self, participants: Participants, event: OrderPlaced, mtu_count: int) -> Self:
        """The orders with a new one."""
        order = event.order
        digests = self.digests.insert(order.key, event.digest)
        following = max(self.next_number, order.number + 1)
        return self._changed(participants, order, mtu_count, digests=digests, next_number=following)

    def filled(self, participants: Participants, order_id: str, quantity_w: int, mtu_count: int) -> Self:
        """The orders after `quantity_w` of one of them was traded, or taken back where negative."""
        order = self.orders[order_id]
        left = order.remaining_w - quantity_w
        status = Status.OPEN if left else Status.FILLED
        return self._changed(participants, replace(order, remaining_w=left, status=status), mtu_count)

    def _changed(self, participants: Participants, after: Order, mtu_count: int, **more: object) -> Self:
        """The orders with one of them new or different (and `more` fields), and the open watts to match."""
        up = after.regulation is Regulation.UP
        table = self.open_up_w if up else self.open_down_w
        for resource, watts in self._opened_w(participants, after).items():
            row = table.get(resource) or (0,) * mtu_count
            table = table.insert(resource, raised(row, after.span, watts))
        orders = self.orders.insert(after.order, after)
        opened = {"open_up_w": table} if up else {"open_down_w": table}
        return replace(self, orders=orders, **opened, **more)

    def _opened_w(self, participants: Participants, after: Order) -> dict[str, int]:
        """How much more the resources of an order may move than before it was new or different."""
        before = self.orders.get(after.order)
        before_w = before.remaining_w if before is not None and before.status is Status.OPEN else 0
        after_w = after.remaining_w if after.status is Status.OPEN else 0
        if after.unit in participants.resources:
            return {after.unit: after_w - before_w}
        less, more = participants.shares(after.unit, before_w), participants.shares(after.unit, after_w)
        return {resource: share - less[resource] for resource, share in more.items()}


def raised(row: Watts, span: Span, change_w: int) -> Watts:
    """A row of watts with a change in the MTUs of a span."""
    first, end = span.first, span.end
    if end == first + 1:
        return (*row[:first], row[first] + change_w, *row[end:])
    return (*row[:first], *(watts + change_w for watts in row[first:end]), *row[end:])


def evolve(orders: Orders, participants: Participants, mtu_count: int, event: Event) -> Orders:
    """The orders after an event."""
    match event:
        case GateOpened():
            return replace(orders, gate=Gate.OPEN)
        case GateClosed():
            return replace(orders, gate=Gate.CLOSED)
        case OrderPlaced():
            return orders.placed(participants, event, mtu_count)
        case OrderAmended(order_id, number, quantity_w, price_minor):
            before = orders.orders[order_id]
            after = replace(
                before,
                number=number,
                quantity_w=quantity_w,
                remaining_w=quantity_w - before.executed_w,
                min_quantity_w=min(before.min_quantity_w, quantity_w),
                price_minor=price_minor,
                status=Status.OPEN if quantity_w > before.executed_w else Status.FILLED,
            )
            return orders._changed(participants, after, mtu_count, next_number=max(orders.next_number, number + 1))
        case OrderWithdrawn() | OrderKilled() | OrderExpired():
            gone = replace(orders.orders[event.order], status=_GONE[type(event)])
            return orders._changed(participants, gone, mtu_count)
