"""A DSO's share of the clearing at gate closure in its own program, and what hosts it there.

Every call of a share, and of its party in price-Newton, is a letter, or several if it is long. What comes back must be
of its type, as large as what it is about, and speak of the DSO's own orders within their limits; if not, the DSO is
silenced and the others clear without it.
"""

from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Protocol, cast

import msgspec
import numpy as np

from flexpeer.app.between.gate_calls import (
    BEGIN,
    CALLS,
    PARTY,
    PARTY_CALLS,
    Call,
    arrays_in,
    read_value,
    written_value,
)
from flexpeer.app.ports import Opening, Share
from flexpeer.clearing.problem import Flags, Floats
from flexpeer.clearing.row_equations import Pattern
from flexpeer.clearing.row_party import Party
from flexpeer.clearing.rows import LANES
from flexpeer.market.pool import Cleared
from flexpeer.wire.gate import GateHolding
from flexpeer.wire.grants import CannotAnswer, GateCall, GateMore, GateValue, Reply

SHAPES: dict[str, list[tuple[str | int, ...]]] = {name: [] for name in CALLS} | {
    "standing": [("rows",)] * 2,
    "used": [("rows",)],
    "repair": [("rows",)],
    "improve": [("rows",)],
    "offer": [(3, 1)],
    "survey": [("rows", 1)] * 3 + [(1,)],
    "gather": [("entries",), ("kept", "lanes"), ("kept", "lanes"), ("pairs",)],
    "probe": [("pairs",)] * 2,
    "correct": [("kept", "lanes")],
    "bound": [("pairs",)],
}
"""Of the arrays that calls give."""
PART_BYTES = 512_000
MOST_PARTS = 256
UNBOUNDED = frozenset(("probe", "bound"))
"""Calls whose arrays say how far steps reach: without end, perhaps."""
WORST = (KeyError, IndexError, ValueError, TypeError, AttributeError, ArithmeticError, np.linalg.LinAlgError)
"""What a call that makes no sense may raise at a share."""


class AskedOwner(Protocol):
    """How a DSO is asked, and what is done with one that answers what cannot be."""

    def ask_gate(self, question: GateCall | GateMore) -> GateValue:
        """Its reply; `OwnerSilent` without one, `ShareLost` if it cannot answer."""

    def refuse(self, reason: str) -> NoReturn:
        """It is silenced."""


class RemoteShare:
    """A share behind an owner in another program; see `Share`, all of whose calls it has (`far_share`)."""

    def __init__(self, held: GateHolding, owner: AskedOwner) -> None:
        self._held, self._owner = held, owner
        self._orders = {order.order: order for order in held.orders}
        self._resources = frozenset(each.resource for each in held.resources)
        self._organisations = frozenset(order.organisation for order in held.orders)
        self._rows = self._kept = self._entries = 0
        self._call(BEGIN, msgspec.msgpack.encode(held))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in CALLS:
            raise AttributeError(name)
        return lambda *args, **kwargs: self._asked(CALLS[name], *args, **kwargs)

    def _asked(self, call: Call, *args: Any, **kwargs: Any) -> Any:
        given = self._told(call, args)
        data = self._call(call.name, call.written(*given, **kwargs))
        try:
            value = read_value(call, data)
        except (ValueError, OverflowError, msgspec.ValidationError) as wrong:
            self._owner.refuse(f"it answers {call.name} with {wrong}")
        self._checked(call, given, value)
        return cast(Party, self) if call.name == PARTY else value

    def _told(self, call: Call, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments, without what is of others: their resources, and the names of their organisations."""
        if call.name == "add_tangents":
            own = self._resources
            return ([row._replace(slopes={n: s for n, s in row.slopes.items() if n in own}) for row in args[0]],)
        if call.name == "add_sides":
            return ([(name if name in self._organisations else "", at) for name, at in args[0]],)
        return args

    def _call(self, name: str, data: bytes) -> bytes:
        """Part by part, there and back."""
        parts = _parts(data)
        for part, some in enumerate(parts):
            reply = self._owner.ask_gate(GateCall(name, part, len(parts), some))
        if not 1 <= reply.parts <= MOST_PARTS:
            self._owner.refuse("its answer has no end")
        return reply.data + b"".join(self._owner.ask_gate(GateMore(part)).data for part in range(1, reply.parts))

    def _checked(self, call: Call, args: Sequence[Any], value: Any) -> None:
        """Rows are counted as they are added; what does not fit is not taken."""
        match call.name:
            case "add_balances" | "add_sides" | "add_tangents":
                self._rows += len(args[0])
            case "add_foreign":
                self._rows += args[0]
            case "add_past_energy":
                self._rows += len(value)
            case "keep":
                self._kept = int(cast(Flags, args[0]).sum())
                self._entries = len(value.column)
        arrays = arrays_in(value)
        fits = self._fits(call.name, value, arrays) and self._is_own(value)
        if not fits or not (call.name in UNBOUNDED or all(np.isfinite(each).all() for each in arrays)):
            self._owner.refuse(f"what it answers {call.name} with does not fit its orders")

    def _fits(self, name: str, value: Any, arrays: Sequence[Floats]) -> bool:
        """Whether its arrays are as large as what they are about."""
        if name == "add_past_energy":
            return len(arrays) == 1 and arrays[0].ndim == 1
        if name == "moves_w":
            return self._resources.issuperset(value) and {each.shape for each in arrays} <= {(self._held.mtu_count,)}
        if name == "keep":
            return _is_pattern(value, self._kept)
        if name == "survey" and not 0 <= value.rows <= 2 * len(self._orders):
            return False
        sizes = {"rows": self._rows, "kept": self._kept, "entries": self._entries, "lanes": LANES, "pairs": 2 * LANES}
        shapes = [tuple(sizes[each] if isinstance(each, str) else each for each in shape) for shape in SHAPES[name]]
        return [each.shape for each in arrays] == shapes

    def _is_own(self, value: Any) -> bool:
        """Whether it speaks of its own orders, within their limits."""
        if isinstance(value, Opening):
            places = {(point, mtu) for order in self._held.orders for point, mtu, _ in order.counts}
            sides = {at for (name, at), _ in value.sides if name in self._organisations}
            return places.issuperset((*value.loaded, *sides, *(at for at, _ in value.worth))) and len(sides) == len(
                {at for (_, at), _ in value.sides}
            )
        if isinstance(value, tuple) and value and isinstance(value[0], Cleared):
            return len({each.order for each in value}) == len(value) and all(map(self._may, value))
        return True

    def _may(self, cleared: Cleared) -> bool:
        order = self._orders.get(cleared.order)
        if order is None or not -order.back_w <= cleared.change_w <= order.more_w:
            return False
        better = order.price_minor - cleared.price_minor
        return better >= 0 if order.buys is (cleared.change_w > 0) else better <= 0


def far_share(held: GateHolding, owner: AskedOwner) -> Share:
    """A DSO's share in its own program; `OwnerSilent` if it does not take its part."""
    return cast(Share, RemoteShare(held, owner))


def _parts(data: bytes) -> list[bytes]:
    """As much of it as a letter takes, one after the other; one at least."""
    return [data[first : first + PART_BYTES] for first in range(0, len(data), PART_BYTES)] or [b""]


def _is_pattern(pattern: Pattern, limits: int) -> bool:
    """Whether it is a lower triangle's, of so many limits."""
    first, column = pattern
    if first.shape != (limits + 1,) or column.ndim != 1 or first[0] != 0 or first[-1] != len(column):
        return False
    return bool((np.diff(first) >= 0).all() and (column >= 0).all() and (column <= pattern.row).all())


class HostedShare:
    """The share of a clearing at the DSO: calls arrive part by part, and values leave so. `make` makes one."""

    def __init__(self, own: frozenset[str], make: Callable[[GateHolding], Share]) -> None:
        self._own, self._make = own, make
        self._share: Share | None = None
        self._party: Party | None = None
        self._parts: list[bytes] = []
        self._value: list[bytes] = []

    def answer(self, question: GateCall | GateMore) -> Reply:
        """A `CannotAnswer` for a call that cannot be one."""
        if isinstance(question, GateMore):
            known = 0 < question.part < len(self._value)
            return GateValue(len(self._value), self._value[question.part]) if known else CannotAnswer("no such part")
        if not 0 <= question.part < question.parts <= MOST_PARTS or question.part not in (0, len(self._parts)):
            return CannotAnswer("parts that do not follow each other")
        self._parts = [*self._parts[: question.part], question.data]
        if len(self._parts) < question.parts:
            return GateValue(1, b"")
        data, self._parts = b"".join(self._parts), []
        try:
            value = self._called(question.name, data)
        except (*WORST, msgspec.ValidationError) as wrong:
            return CannotAnswer(f"{question.name} cannot be: {wrong}")
        self._value = _parts(value)
        return GateValue(len(self._value), self._value[0])

    def _called(self, name: str, data: bytes) -> bytes:
        if name == BEGIN:
            held = msgspec.msgpack.decode(data, type=GateHolding)
            if not self._own.issuperset(each.resource for each in held.resources):
                raise ValueError("resources of others")
            self._share, self._party = self._make(held), None
            return b""
        at = self._party if name in PARTY_CALLS else self._share
        if at is None:
            raise ValueError("nothing has begun")
        call = CALLS[name]
        value = getattr(at, name)(**call.read(data))
        if name == PARTY:
            self._party = value
        return written_value(None if name == PARTY else value)
