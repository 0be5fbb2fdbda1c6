"""At gate closure: what is left is cleared, checked by the owners like any trade, and granted whole or not at all.

The central reference of `clearing` clears the rows known so far (price-posting needs thousands of rounds on orders over
several MTUs); its answer is rounded to whole watts; energy limits and, with a grid, AC power flow say which rows it
violates beside. These are added, until there is none or `ROUNDS` have passed; then less and less of the allocation is
asked for. Owners are asked last and have the last word.
"""

from math import ceil, floor
from typing import NamedTuple

import numpy as np

from flexpeer.app.gate_problem import WATTS_PER_KW, GateOrders
from flexpeer.app.gate_rounding import whole_watts
from flexpeer.app.optimum import Cuts
from flexpeer.app.session import Session
from flexpeer.clearing.certificate import certify
from flexpeer.clearing.clearing import Outcome, clear
from flexpeer.clearing.outcome import Engine
from flexpeer.clearing.problem import Floats, Problem
from flexpeer.market.orders import Order, Side
from flexpeer.market.pool import Cleared, acts
from flexpeer.quantities import PPM

ROUNDS = 16
HALVINGS = 6


class _Allocation(NamedTuple):
    """Whole watts (orders,), and the problem and its outcome that they come from."""

    problem: Problem
    outcome: Outcome
    change_w: Floats

    @property
    def price(self) -> Floats:
        """What a watt costs the rest at each order's place, (orders,)."""
        return self.outcome.price[1:, 0] / WATTS_PER_KW

    @property
    def gap_ppm(self) -> int:
        """How far the whole watts can be from the optimum, in parts per million of their gain, rounded up."""
        kw = self.change_w / WATTS_PER_KW
        steps_kw = np.stack((np.maximum(kw, 0.0), np.maximum(-kw, 0.0)), axis=1)[:, None, :]
        gap = certify(self.problem, steps_kw, self.outcome.posted).gap_relative_to_gain
        return ceil(gap * PPM) if np.isfinite(gap) else 0


class GateClearing:
    """One clearing at the gate. `cuts` finds rows that AC power flow says are missing."""

    def __init__(self, session: Session, cuts: Cuts) -> None:
        self._session, self._cuts = session, cuts
        self._gate = gate = GateOrders(session.state)
        self._limits = gate.balances().with_rows(gate.tangents(cuts.first()))
        self._low_w, self._high_w = gate.low_w.copy(), gate.high_w.copy()
        self.rounds = 0

    def run(self) -> bool:
        """Whether anything was cleared."""
        if not self._gate.orders:
            return False
        allocation = self._feasible()
        for _ in range(HALVINGS + 1):
            cleared = self._cleared(allocation)
            if not cleared:
                return False
            if self._session.clear(cleared, allocation.gap_ppm):
                return True
            allocation = allocation._replace(change_w=self._less(allocation))
        return False

    def _feasible(self) -> _Allocation:
        """An allocation that violates nothing known, or the last one tried."""
        while True:
            self.rounds += 1
            allocation = self._solved()
            more = self._gate.past_energy(allocation.change_w)
            if not len(more.bound):
                more = self._gate.tangents(self._cuts.violated(self._gate.moves_w(allocation.change_w)))
            if not len(more.bound) or self.rounds == ROUNDS:
                return allocation
            self._limits = self._limits.with_rows(more)

    def _solved(self) -> _Allocation:
        problem = self._gate.problem(self._limits, self._low_w, self._high_w)
        outcome = clear(problem, Engine.CENTRAL, _untold)
        change_w = outcome.x_kw[:, 0] * WATTS_PER_KW
        answer = _Allocation(problem, outcome, change_w)
        return answer._replace(change_w=self._whole(change_w, answer.price, self._low_w, self._high_w))

    def _whole(self, change_w: Floats, price: Floats, low_w: Floats, high_w: Floats) -> Floats:
        """Whole watts within bounds, which are narrowed for orders left below their minimum acceptance."""
        while True:
            for at in self._gate.below_minimum(change_w):
                order = self._gate.orders[at]
                low_w[at] = max(low_w[at], min(order.min_quantity_w - order.executed_w, 0))
                high_w[at] = high_w[at] if order.executed_w else 0.0
            change_w = whole_watts(self._gate, self._limits, (low_w, high_w), change_w, price)
            if not len(self._gate.below_minimum(change_w)):
                return change_w

    def _less(self, allocation: _Allocation) -> Floats:
        """Half of it, within all rows."""
        half = np.trunc(allocation.change_w / 2.0)
        return self._whole(half, allocation.price, np.minimum(half, 0.0), np.maximum(half, 0.0))

    def _cleared(self, allocation: _Allocation) -> tuple[Cleared, ...]:
        places = [int(at) for at in np.flatnonzero(allocation.change_w)]
        return tuple(self._one(at, int(allocation.change_w[at]), allocation.price) for at in places)

    def _one(self, at: int, change_w: int, price: Floats) -> Cleared:
        """The order's share at its place's price per MWh, rounded in the pool's favour and never past its limit."""
        order = self._gate.orders[at]
        sign = 1.0 if order.side is Side.BUY else -1.0
        per_mwh = sign * float(price[at]) * 1e6 / (self._gate.hours * len(order.span))
        return Cleared(order.order, change_w, _rounded(order, change_w, per_mwh))


def _rounded(order: Order, change_w: int, per_mwh: float) -> int:
    if acts(order, change_w) is Side.BUY:
        return min(ceil(per_mwh), order.price_minor)
    return max(floor(per_mwh), order.price_minor)


def _untold(_done: int, _total: int) -> None:
    """Nobody follows the rounds."""
