"""The door of stage 3: which orders, amendments and withdrawals get in, and why others do not.

The checks run in the order of `_CHECKS`; the first that fails names the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from hashlib import sha256
from typing import NamedTuple

import msgspec
from msgspec.structs import replace
from rpds import HashTrieMap

from flexpeer.market.needs import Needs, Regulation, Watts, relieving
from flexpeer.market.orders import (
    AmendOrder,
    CloseGate,
    Gate,
    GateClosed,
    GateOpened,
    OpenGate,
    Order,
    OrderAmended,
    OrderPlaced,
    Orders,
    OrderWithdrawn,
    PlaceOrder,
    Side,
    Status,
    WithdrawOrder,
)
from flexpeer.market.participants import Participants
from flexpeer.market.places import EVERYWHERE, Place, Places
from flexpeer.market.reasons import CommandRefused, Reason
from flexpeer.market.rulebook import Exchange
from flexpeer.periods import Span
from flexpeer.quantities import MINOR_PER_MAJOR, PRICE_LIMIT_MINOR, QUANTITY_LIMIT_W, decimal_text

REGULATIONS = tuple(Regulation)
Refusal = tuple[Reason, str]
Outcome = list[OrderPlaced | OrderAmended | OrderWithdrawn | GateOpened | GateClosed | CommandRefused]


class Door(NamedTuple):
    """What the door looks at: who, the day's frame, the book, what trades have moved (signed, W), and places."""

    participants: Participants
    needs: Needs
    orders: Orders
    moves_w: HashTrieMap[str, Watts]
    places: Places


class AskingOrder:
    """An order that asks to be let in, and what the door makes of it.

    `dso`: whether it is a DSO's own purchase. `zone`: the congestion point it is restricted to. `span`: its MTUs.
    `possible`: the regulations it could have; `regulation`: as stated, or the only one that is possible.
    """

    def __init__(self, door: Door, command: PlaceOrder) -> None:
        self.door, self.command = door, command
        self.dso = door.participants.is_dso(command.unit)
        self.zone = self._zone()
        self.span = door.needs.day.span(command.start, command.end) if door.needs.day else None
        self.possible = self._possible()
        self.regulation = command.regulation if command.regulation in self.possible else None
        if command.regulation is None and len(self.possible) == 1:
            self.regulation = self.possible[0]

    def _zone(self) -> str:
        """As named; for a DSO's purchase else the only one there is."""
        points = self.door.needs.points
        if self.command.zone is None and self.dso and len(points) == 1:
            return next(iter(points))
        return self.command.zone or EVERYWHERE

    def _possible(self) -> tuple[Regulation, ...]:
        """Those of the point it names, else of points in need."""
        needs, relieved_by = self.door.needs, REGULATIONS
        if self.span is None or (self.zone and self.zone not in needs.points):
            return ()
        if self.zone:
            relieved_by = (relieving(needs.points[self.zone].direction),)
        elif needs.rulebook.exchange is not Exchange.BALANCED:
            counted = self.door.places.counted
            relieved_by = tuple([each for each in REGULATIONS if counted(EVERYWHERE, each, self.span)])
        return relieved_by if self.command.side is Side.SELL else tuple([each.opposite for each in relieved_by])


def _check_gate(asked: AskingOrder) -> Refusal | None:
    gate = asked.door.orders.gate
    if gate is Gate.OPEN:
        return None
    return (Reason.GATE_NOT_OPEN if gate is Gate.NOT_OPEN else Reason.GATE_CLOSED), ""


def _check_key(asked: AskingOrder) -> Refusal | None:
    door, command = asked.door, asked.command
    known = command.idempotency_key in door.orders.digests or command.order in door.orders.orders
    return (Reason.DUPLICATE_KEY, command.idempotency_key) if known else None


def _check_sender(asked: AskingOrder) -> Refusal | None:
    door, command = asked.door, asked.command
    owner = door.participants.organisation_of(command.unit)
    if owner is None:
        return Reason.UNKNOWN_RESOURCE, command.unit
    if owner != command.organisation:
        return Reason.NOT_ITS_RESOURCE, owner
    members = door.participants.members(command.unit)
    dso = members[0].dso if members else owner
    return None if command.via == dso else (Reason.NOT_VIA_ITS_DSO, dso)


def _check_zone(asked: AskingOrder) -> Refusal | None:
    points = asked.door.needs.points
    if asked.zone:
        return None if asked.zone in points else (Reason.UNKNOWN_CONGESTION_POINT, asked.zone)
    return (Reason.CONGESTION_POINT_NOT_STATED, ", ".join(sorted(points))) if asked.dso else None


def _check_period(asked: AskingOrder) -> Refusal | None:
    return None if asked.span else (Reason.IMPOSSIBLE_PERIOD, "")


def _check_side(asked: AskingOrder) -> Refusal | None:
    if asked.dso:
        return (Reason.DSO_ONLY_BUYS, "") if asked.command.side is Side.SELL else None
    if not asked.possible:
        return Reason.NO_CONGESTION, ""
    if asked.command.regulation is None and len(asked.possible) > 1:
        return Reason.REGULATION_NOT_STATED, ""
    return None if asked.regulation else (Reason.WRONG_REGULATION, str(asked.possible[0]))


def _check_quantity(asked: AskingOrder) -> Refusal | None:
    book, command = asked.door.needs.rulebook, asked.command
    if not max(book.min_quantity_w, 1) <= command.quantity_w <= QUANTITY_LIMIT_W:
        return Reason.WRONG_QUANTITY, f"{command.quantity_w} W"
    if command.quantity_w % book.quantity_tick_w:
        return Reason.WRONG_QUANTITY_TICK, f"{book.quantity_tick_w} W"
    if not 0 <= command.min_quantity_w <= command.quantity_w:
        return Reason.WRONG_MIN_QUANTITY, f"{command.min_quantity_w} W"
    return None


def _check_price(asked: AskingOrder) -> Refusal | None:
    book, command = asked.door.needs.rulebook, asked.command
    if command.price_minor % book.price_tick_minor:
        return Reason.WRONG_PRICE_TICK, _price(asked.door, book.price_tick_minor)
    cap = PRICE_LIMIT_MINOR if book.price_cap_minor is None else book.price_cap_minor
    return None if abs(command.price_minor) <= cap else (Reason.PRICE_OUTSIDE_CAP, _price(asked.door, cap))


def _price(door: Door, minor: int) -> str:
    """A price as people write it."""
    return f"{decimal_text(Decimal(minor) / MINOR_PER_MAJOR)} {door.needs.currency}/MWh"


def _check_qualified(asked: AskingOrder) -> Refusal | None:
    command = asked.command
    qualified = asked.door.participants.qualified(command.unit, command.start)
    return None if qualified else (Reason.NOT_QUALIFIED, command.unit)


def _check_impact(asked: AskingOrder) -> Refusal | None:
    door, span, regulation, zone = asked.door, asked.span, asked.regulation, asked.command.zone
    if span is None or regulation is None or (door.needs.rulebook.exchange is Exchange.BALANCED and not zone):
        return None
    sells = asked.command.side is Side.SELL
    place = Place(asked.command.unit, asked.zone)
    impact = door.places.reach(place, regulation if sells else regulation.opposite, span, buys=not sells)
    return None if impact >= max(door.needs.rulebook.min_impact_ppm, 1) else (Reason.NO_IMPACT, f"{impact} ppm")


def _check_range(asked: AskingOrder) -> Refusal | None:
    if asked.span is None or asked.regulation is None:
        return None
    return _room_refusal(asked.door, asked.command.unit, asked.regulation, asked.span, asked.command.quantity_w)


def _room_refusal(door: Door, unit: str, regulation: Regulation, span: Span, extra_w: int) -> Refusal | None:
    """Whether `extra_w` more can be offered: within the range at all, and beside what is committed."""
    for name, share in door.participants.shares(unit, extra_w).items():
        resource, start = door.participants.resources[name], door.places.start_w(name)
        moves = door.moves_w.get(name, (0,) * len(start))
        committed = door.orders.open_w(name, regulation, door.needs.mtu_count)
        up = regulation is Regulation.UP
        for mtu in span.mtus:
            bound = resource.p_max_w if up else resource.p_min_w
            if share > abs(bound - start[mtu]) or (bound - start[mtu]) * regulation.sign < 0:
                return Reason.OUTSIDE_RANGE, f"{name}: {max(0, (bound - start[mtu]) * regulation.sign)} W"
            free = (bound - start[mtu] - moves[mtu]) * regulation.sign - committed[mtu]
            if share > free:
                return Reason.ALREADY_COMMITTED, f"{name}: {max(0, free)} W"
    return None


_CHECKS: tuple[Callable[[AskingOrder], Refusal | None], ...] = (
    _check_gate,
    _check_key,
    _check_sender,
    _check_zone,
    _check_period,
    _check_side,
    _check_quantity,
    _check_price,
    _check_qualified,
    _check_impact,
    _check_range,
)


def digest_of(command: PlaceOrder) -> str:
    """What makes an order the same one again, whenever it comes."""
    return sha256(msgspec.json.encode(replace(command, at=0))).hexdigest()


def place(door: Door, command: PlaceOrder) -> Outcome:
    """An order placed, refused, or (sent twice) silently known."""
    assert isinstance(command.price_minor, int) and isinstance(command.quantity_w, int), "quantities are integers"  # noqa: PT018
    digest = digest_of(command)
    if door.orders.digests.get(command.idempotency_key) == digest:
        return []
    asked = AskingOrder(door, command)
    for check in _CHECKS:
        refusal = check(asked)
        if refusal is not None:
            return [CommandRefused("PlaceOrder", command.order, *refusal, command.organisation, digest)]
    return [OrderPlaced(_admitted(asked), digest)]


def _admitted(asked: AskingOrder) -> Order:
    """The order a checked command becomes, with everything it left unsaid filled in."""
    door, command, regulation, zone = asked.door, asked.command, asked.regulation, asked.zone
    assert asked.span is not None, "the period was checked"
    if asked.dso:
        regulation = relieving(door.needs.points[zone].direction).opposite
    assert regulation is not None, "the side was checked"
    return Order(
        order=command.order,
        number=door.orders.next_number,
        organisation=command.organisation,
        unit=command.unit,
        place=door.places.name(Place(command.unit, zone)),
        zone=zone,
        side=command.side,
        regulation=regulation,
        span=asked.span,
        quantity_w=command.quantity_w,
        remaining_w=command.quantity_w,
        min_quantity_w=command.min_quantity_w,
        price_minor=command.price_minor,
        time_in_force=command.time_in_force,
        key=command.idempotency_key,
        at=command.at,
    )


def amend(door: Door, command: AmendOrder) -> Outcome:
    """An amendment; only a lower quantity at the same price keeps the order's priority."""
    refusal = _own_open_order(door, command.order, command.organisation)
    order = door.orders.orders.get(command.order)
    if refusal is None and order is not None:
        refusal = _check_amended(door, order, command)
    if refusal is not None or order is None:
        return [
            CommandRefused("AmendOrder", command.order, *(refusal or (Reason.UNKNOWN_ORDER, "")), command.organisation)
        ]
    keeps = command.price_minor == order.price_minor and command.quantity_w <= order.quantity_w
    number = order.number if keeps else door.orders.next_number
    return [OrderAmended(order.order, number, command.quantity_w, command.price_minor)]


def _check_amended(door: Door, order: Order, command: AmendOrder) -> Refusal | None:
    as_new = PlaceOrder(
        order.order, order.organisation, "", order.unit, order.side, 0, 0, command.quantity_w, command.price_minor,
        min_quantity_w=min(order.min_quantity_w, command.quantity_w),
    )  # fmt: skip
    asked = AskingOrder(door, as_new)
    if command.quantity_w < order.executed_w:
        return Reason.WRONG_QUANTITY, f"at least the executed {order.executed_w} W"
    more = command.quantity_w - order.quantity_w
    return (
        _check_quantity(asked)
        or _check_price(asked)
        or (_room_refusal(door, order.unit, order.regulation, order.span, more) if more > 0 else None)
    )


def withdraw(door: Door, command: WithdrawOrder) -> Outcome:
    """A withdrawal of what is left of an order."""
    refusal = _own_open_order(door, command.order, command.organisation)
    if refusal is not None:
        return [CommandRefused("WithdrawOrder", command.order, *refusal, command.organisation)]
    return [OrderWithdrawn(command.order)]


def _own_open_order(door: Door, order_id: str, organisation: str) -> Refusal | None:
    order = door.orders.orders.get(order_id)
    if door.orders.gate is not Gate.OPEN:
        return (Reason.GATE_NOT_OPEN if door.orders.gate is Gate.NOT_OPEN else Reason.GATE_CLOSED), ""
    if order is None or order.organisation != organisation:
        return Reason.UNKNOWN_ORDER, order_id
    return None if order.status is Status.OPEN else (Reason.ORDER_NOT_OPEN, order.status)


def move_gate(door: Door, command: OpenGate | CloseGate) -> Outcome:
    """The gate opened or closed; each once."""
    kind = type(command).__name__
    if isinstance(command, OpenGate):
        if door.needs.day is None:
            return [CommandRefused(kind, "", Reason.NOT_THIS_DAY)]
        fresh = door.orders.gate is Gate.NOT_OPEN
        return [GateOpened(command.at)] if fresh else [CommandRefused(kind, "", Reason.ALREADY_KNOWN)]
    if door.orders.gate is Gate.OPEN:
        return [GateClosed(command.at)]
    reason = Reason.GATE_NOT_OPEN if door.orders.gate is Gate.NOT_OPEN else Reason.GATE_CLOSED
    return [CommandRefused(kind, "", reason)]
