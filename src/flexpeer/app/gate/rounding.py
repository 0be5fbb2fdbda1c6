"""Whole watts, in ticks, of a cleared gate: every row kept, and nothing left that could still be gained within them.

Each order is rounded towards relief, rows that are passed are repaired by the watts that lose least, and then orders
go, dearest first, as far as every row lets them. DSOs take turns: what goes round is the room of the rows.
"""

import math

import numpy as np
import scipy.sparse as sp

from flexpeer.clearing.problem import Floats, Integers
from flexpeer.clearing.row_party import Sparse
from flexpeer.compiled import compiled

SLACK = 1e-6

Own = tuple[Floats, float, tuple[Floats, Floats], tuple[Integers, Integers, Floats]]
"""What a DSO's orders get, its tick, their bounds, and their columns of the rows (first, row, factor)."""


class Watts:
    """A DSO's allocation `change_w` (orders,) in whole watts, changed in place.

    `room` (rows,) is what rows have left; what they have left afterwards comes back.

    `factor` (rows, orders) is what a watt takes of a row, `value` and `price` (orders,) what it is worth and costs.
    """

    def __init__(
        self,
        factor: Sparse,
        bounds_w: tuple[Floats, Floats],
        value: Floats,
        price: Floats,
        change_w: Floats,
        tick_w: float,
    ) -> None:
        self._rows, self._columns = factor, sp.csc_array(factor)
        (self._low_w, self._high_w), self._value = bounds_w, value
        self._loss, self.change_w, self._tick_w = np.abs(value - price), change_w, tick_w

    def repair(self, room: Floats, *, heeding: bool) -> Floats:
        """Bring rows within their bounds, by the orders that lose least per unit of them at their places' prices.

        Other rows' rooms are heeded meanwhile or not; the rooms afterwards.
        """
        room = room.copy()
        for row in np.flatnonzero(room < -SLACK):
            at = slice(self._rows.indptr[row], self._rows.indptr[row + 1])
            orders, factor = self._rows.indices[at].astype(np.int64), self._rows.data[at]
            by_loss = np.argsort(self._loss[orders] / np.maximum(np.abs(factor), 1e-300), kind="stable")
            heeded = room if heeding else np.full(len(room), np.inf)
            _repaired(int(row), orders[by_loss], factor[by_loss], room, heeded, self._own())
        return room

    def improve(self, room: Floats) -> Floats:
        """Let every order that got something and gains by more go as far as it can, the most valuable watts first."""
        room = room.copy()
        taking = np.flatnonzero(self.change_w)
        by_value = taking[np.argsort(-np.abs(self._value[taking]), kind="stable")]
        _improved(by_value, self._value, room, self._own())
        return room

    def _own(self) -> Own:
        columns = self._columns
        first, rows = columns.indptr.astype(np.int64), columns.indices.astype(np.int64)
        bounds = self._low_w, self._high_w
        return self.change_w, self._tick_w, bounds, (first, rows, columns.data)


@compiled
def _possible(order: int, sign: int, room: Floats, own: Own) -> float:
    """The most watts, in ticks, an order can go up or down within its bounds and what rows it takes of have left."""
    change_w, tick_w, (low, high), (first, rows, factor) = own
    most = high[order] - change_w[order] if sign > 0 else change_w[order] - low[order]
    for j in range(first[order], first[order + 1]):
        if sign * factor[j] > 0.0:
            most = min(most, max(room[rows[j]], 0.0) / abs(factor[j]))
    return float(math.floor(most / tick_w + SLACK) * tick_w)


@compiled
def _move(order: int, watts: float, room: Floats, own: Own) -> None:
    change_w, _, _, (first, rows, factor) = own
    change_w[order] += watts
    for j in range(first[order], first[order + 1]):
        room[rows[j]] -= watts * factor[j]


@compiled
def _improved(orders: Integers, value: Floats, room: Floats, own: Own) -> None:
    for order in orders:
        sign = 1 if value[order] > 0.0 else -1
        _move(order, sign * max(_possible(order, sign, room, own), 0.0), room, own)


@compiled
def _repaired(row: int, orders: Integers, factors: Floats, room: Floats, heeded: Floats, own: Own) -> None:
    """`heeded` are the rooms that moves keep to: the rows' own, or endless ones."""
    tick_w = own[1]
    for k in range(len(orders)):
        if room[row] >= -SLACK:
            break
        if factors[k] == 0.0:
            continue
        order, sign = orders[k], -1 if factors[k] > 0.0 else 1
        wanted = math.ceil(-room[row] / abs(factors[k]) / tick_w) * tick_w
        _move(order, sign * min(wanted, _possible(order, sign, heeded, own)), room, own)
