"""What a DSO's allocation moves of its resources, and where that passes their energy limits or their ranges.

Rows of the first kind are sums of watts up to the end of an MTU. Where members of a portfolio share an order, rounding
may add a watt in each of its MTUs (`shared_w`), and rows keep that much back.
"""

from collections.abc import Iterator

import numpy as np

from flexpeer.app.gate.rounding import SLACK
from flexpeer.clearing.problem import Flags, Floats, Integers
from flexpeer.clearing.row_party import Sparse
from flexpeer.compiled import compiled
from flexpeer.wire.gate import GateHolding

Told = set[tuple[str, float, int]]
"""Rows that are there already: resource, kind and direction, MTU."""


class Moved:
    """Of the orders held; `names` are their resources in order.

    Rooms are watts, or watts times MTUs, (resources, MTUs).
    """

    def __init__(self, held: GateHolding) -> None:
        orders, resources = held.orders, held.resources
        self.names = [each.resource for each in resources]
        place = {name: at for at, name in enumerate(self.names)}
        listed = [(w, place[name], at) for at, order in enumerate(orders) for name, w in order.slopes.items()]
        values, at, columns = np.array(listed, dtype=np.float64).reshape(-1, 3).T
        matrix = Sparse((values, (at.astype(np.int64), columns.astype(np.int64))), shape=(len(resources), len(orders)))
        matrix.sort_indices()
        begin, order = (index.astype(np.int64) for index in (matrix.indptr, matrix.indices))
        self._entries: tuple[Integers, Integers, Floats] = begin, order, matrix.data
        self._first = np.array([each.first for each in orders], dtype=np.int64)
        self._length = np.array([each.length for each in orders], dtype=np.int64)
        self._mtus = held.mtu_count
        split = matrix.copy()
        split.data = np.where((split.data != 0.0) & (np.abs(split.data) != 1.0), 1.0, 0.0)
        self.shared_w = np.asarray(split @ self._length.astype(np.float64))
        rooms = [(each.up_w, each.down_w) for each in resources]
        up_w, down_w = np.array(rooms, dtype=np.float64).reshape(-1, 2, self._mtus).swapaxes(0, 1)
        self._range = up_w, down_w
        self._energy = {
            at: tuple(np.array(row) / held.mtu_minutes for row in each.energy_wm)
            for at, each in enumerate(resources)
            if each.energy_wm is not None
        }

    @property
    def shares_energy(self) -> bool:
        """Whether a resource with energy limits is a member of a portfolio."""
        return bool(self.shared_w[list(self._energy)].any())

    def w(self, change_w: Floats) -> Floats:
        """What an allocation (orders,) moves, (resources, MTUs)."""
        found = np.zeros((len(self.names), self._mtus))
        _added(*self._entries, change_w, self._first, self._length, found)
        return found

    def past_energy(self, moves_w: Floats, told: Told) -> Iterator[tuple[Floats, float]]:
        """Rows (orders,) and bounds of contents that moves pass, not `told` before."""
        for at, rooms in self._energy.items():
            drawn, shared = np.cumsum(moves_w[at]), self.shared_w[at]
            for sign, room in zip((1.0, -1.0), rooms, strict=True):
                past = sign * drawn - room + shared
                for mtu in np.flatnonzero(_peaks(past) & (past > SLACK)):
                    if _new(told, (self.names[at], sign, int(mtu))):
                        so_far = np.clip(mtu + 1 - self._first, 0, self._length)
                        yield sign * self._slope(at) * so_far, max(float(room[mtu]) - shared, 0.0)

    def past_range(self, moves_w: Floats, told: Told) -> Iterator[tuple[Floats, float]]:
        """Where taking back, beside new moves, would leave resources' ranges."""
        past = [sign * moves_w > room + SLACK for sign, room in zip((1.0, -1.0), self._range, strict=True)]
        for at in np.flatnonzero((past[0] | past[1]).any(axis=1)):
            for sign, room, here in zip((1.0, -1.0), self._range, past, strict=True):
                for mtu in np.flatnonzero(here[at]):
                    if _new(told, (self.names[at], 2.0 * sign, int(mtu))):
                        during = (self._first <= mtu) & (mtu < self._first + self._length)
                        kept_back = 1.0 if self.shared_w[at] else 0.0
                        yield sign * self._slope(int(at)) * during, max(float(room[at, mtu]) - kept_back, 0.0)

    def _slope(self, at: int) -> Floats:
        """Of one resource, (orders,)."""
        found, (begin, order, slope) = np.zeros(len(self._first)), self._entries
        found[order[begin[at] : begin[at + 1]]] = slope[begin[at] : begin[at + 1]]
        return found


def _new(told: Told, row: tuple[str, float, int]) -> bool:
    """Whether a row was not told before; now it is."""
    before = len(told)
    told.add(row)
    return len(told) > before


def _peaks(values: Floats) -> Flags:
    """Where values are larger than before and no smaller than after; what lies between mostly follows from there."""
    ends = [-np.inf]
    return np.asarray((values > np.append(ends, values[:-1])) & (values >= np.append(values[1:], ends)))


@compiled
def _added(
    begin: Integers, order: Integers, slope: Floats, change: Floats, first: Integers, length: Integers, out: Floats
) -> None:
    for i in range(len(out)):
        for j in range(begin[i], begin[i + 1]):
            k = order[j]
            for t in range(first[k], first[k] + length[k]):
                out[i, t] += slope[j] * change[k]
