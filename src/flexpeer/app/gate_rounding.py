"""Whole watts of a cleared gate: every row kept, and nothing left that could still be gained within them.

Each order is rounded towards relief, rows that are passed are repaired by the watts that lose least, and then orders
go, dearest first, as far as every row lets them.
"""

import numpy as np

from flexpeer.app.gate_problem import SLACK, GateOrders, Limits
from flexpeer.clearing.problem import Floats

PASSES = 4


class _Watts:
    """An allocation in whole watts being repaired; `room` (rows,) is what each row has left."""

    def __init__(self, gate: GateOrders, limits: Limits, bounds_w: tuple[Floats, Floats], change_w: Floats) -> None:
        self._factor, (self._low_w, self._high_w), self._value = limits.factor, bounds_w, gate.value
        whole = np.where(gate.relieves, np.ceil(change_w - SLACK), np.floor(change_w + SLACK))
        self.change_w = np.clip(whole, self._low_w, self._high_w)
        self.room = limits.bound - limits.factor @ self.change_w

    def move(self, order: int, watts: float) -> None:
        """Change an order."""
        self.change_w[order] += watts
        self.room -= watts * self._factor[:, order]

    def possible(self, order: int, sign: int, rows: Floats) -> float:
        """The most watts an order can go up or down within its bounds and the rows' rooms."""
        own = self._high_w[order] - self.change_w[order] if sign > 0 else self.change_w[order] - self._low_w[order]
        loads = sign * self._factor[:, order]
        at = loads > 0.0
        within = np.maximum(rows[at], 0.0) / loads[at]
        return float(np.floor(min(own, within.min(initial=np.inf)) + SLACK))

    def repair(self, row: int, price: Floats, heeded: Floats) -> None:
        """Bring a row within its bound, by the orders that lose least per unit of it at their places' prices.

        `heeded` (rows,) are rooms to stay within meanwhile.
        """
        factor = self._factor[row]
        loss = np.abs(self._value - price) / np.where(factor == 0.0, np.inf, np.abs(factor))
        for order in np.argsort(np.where(factor == 0.0, np.inf, loss), kind="stable"):
            if self.room[row] >= -SLACK or factor[order] == 0.0:
                return
            sign = -1 if factor[order] > 0.0 else 1
            wanted = np.ceil(-self.room[row] / abs(factor[order]))
            self.move(order, sign * min(wanted, self.possible(order, sign, heeded)))

    def improve(self) -> None:
        """Let every order that gains go as far as it can, the most valuable watts first."""
        for order in np.argsort(-np.abs(self._value), kind="stable"):
            sign = 1 if self._value[order] > 0.0 else -1
            self.move(order, sign * max(self.possible(order, sign, self.room), 0.0))


def whole_watts(
    gate: GateOrders, limits: Limits, bounds_w: tuple[Floats, Floats], change_w: Floats, price: Floats
) -> Floats:
    """Whole watts near `change_w` (orders,) within all rows; `price` (orders,) is what a watt costs the rest."""
    watts = _Watts(gate, limits, bounds_w, change_w)
    unheeded = np.full(len(limits.bound), np.inf)
    for heeding in range(PASSES):
        for row in np.flatnonzero(watts.room < -SLACK):
            watts.repair(int(row), price, watts.room if heeding else unheeded)
    watts.improve()
    return watts.change_w
