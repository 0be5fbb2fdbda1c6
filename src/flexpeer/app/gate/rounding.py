"""Whole watts, in ticks, of a cleared gate: every row kept, and nothing left that could still be gained within them.

Each order is rounded towards relief, rows that are passed are repaired by the watts that lose least, and then orders
go, dearest first, as far as every row lets them. DSOs take turns: what goes round is the room of the rows.
"""

import numpy as np
import scipy.sparse as sp

from flexpeer.clearing.problem import Floats, Integers
from flexpeer.clearing.row_party import Sparse

SLACK = 1e-6


class Watts:
    """A DSO's allocation `change_w` (orders,) in whole watts, changed in place; room (rows,) is what rows have left.

    `factor` (rows, orders) is what a watt takes of a row, `value` and `price` (orders,) what it is worth and costs.
    """

    def __init__(  # noqa: PLR0913 (the columns of one DSO's orders)
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

    def _column(self, order: int) -> tuple[Integers, Floats]:
        at = slice(self._columns.indptr[order], self._columns.indptr[order + 1])
        return self._columns.indices[at].astype(np.int64), self._columns.data[at]

    def _move(self, order: int, watts: float, room: Floats) -> None:
        rows, factor = self._column(order)
        self.change_w[order] += watts
        room[rows] -= watts * factor

    def _possible(self, order: int, sign: int, room: Floats | None) -> float:
        """The most watts, in ticks, an order can go up or down within its bounds and, unless None, the rows' rooms."""
        now, low, high = self.change_w[order], self._low_w[order], self._high_w[order]
        own = float(high - now if sign > 0 else now - low)
        rows, factor = self._column(order)
        at = sign * factor > 0.0
        if room is None or not at.any():
            return self._ticks(own)
        return self._ticks(min(own, float((np.maximum(room[rows[at]], 0.0) / np.abs(factor[at])).min())))

    def _ticks(self, watts: float) -> float:
        return float(np.floor(watts / self._tick_w + SLACK) * self._tick_w)

    def repair(self, room: Floats, *, heeding: bool) -> None:
        """Bring rows within their bounds, by the orders that lose least per unit of them at their places' prices.

        Other rows' rooms are heeded meanwhile or not.
        """
        for row in np.flatnonzero(room < -SLACK):
            at = slice(self._rows.indptr[row], self._rows.indptr[row + 1])
            orders, factor = self._rows.indices[at], self._rows.data[at]
            for place in np.argsort(self._loss[orders] / np.maximum(np.abs(factor), 1e-300), kind="stable"):
                if room[row] >= -SLACK:
                    break
                sign = -1 if factor[place] > 0.0 else 1
                wanted = np.ceil(-room[row] / abs(factor[place]) / self._tick_w) * self._tick_w if factor[place] else 0.0
                most = self._possible(int(orders[place]), sign, room if heeding else None)
                self._move(int(orders[place]), sign * min(wanted, most), room)

    def improve(self, room: Floats) -> None:
        """Let every order that got something and gains by more go as far as it can, the most valuable watts first."""
        taking = np.flatnonzero(self.change_w)
        for order in taking[np.argsort(-np.abs(self._value[taking]), kind="stable")]:
            sign = 1 if self._value[order] > 0.0 else -1
            self._move(int(order), sign * max(self._possible(int(order), sign, room), 0.0), room)
