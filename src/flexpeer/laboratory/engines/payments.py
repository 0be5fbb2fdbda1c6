"""Who pays whom: every peer at its bus's price, what limits earn to an account of the rulebook.

A peer that injects x kW receives -g x (g is what injection costs the rest, so -g what it is worth). Flows that
enter the market are paid too: base injection at its bus, the exchange at the root's price. What remains is
congestion rent,

    rent = sum y f + sum z w + sum q s                                                        (1)

so all entries sum to zero.
"""

from dataclasses import dataclass

import numpy as np

from flexpeer.clearing.problem import ClearingProblem, Floats
from flexpeer.laboratory.engines.evaluation import AllocationState, state_of
from flexpeer.laboratory.engines.outcome import Posted


@dataclass(frozen=True)
class Payments:
    """What each receives, money: peers (peers,) and base injections (buses,) per day, exchange and rent per period."""

    peers: Floats
    base: Floats
    exchange: Floats
    rent: Floats

    @property
    def total(self) -> float:
        """Zero but for rounding."""
        return float(self.peers.sum() + self.base.sum() + self.exchange.sum() + self.rent.sum())


def payments(problem: ClearingProblem, x_kw: Floats, posted: Posted) -> Payments:
    """Of an allocation (peers, periods) at posted prices."""
    g, state = posted.at_buses(problem), state_of(problem, x_kw)
    peers = -(g[problem.peer_bus] * x_kw).sum(axis=1)
    fixed = -(g * problem.base_kw).sum(axis=1)
    exchange = posted.line[0] * state.flow_kw[0]
    return Payments(peers, fixed, exchange, _rent(problem, posted, state))


def _rent(problem: ClearingProblem, posted: Posted, state: AllocationState) -> Floats:
    """Equation (1) without the root, (periods,); base flows over a meshed grid's rows are its own."""
    rent = (posted.line[1:] * state.flow_kw[1:]).sum(axis=0) + (posted.voltage * state.voltage).sum(axis=0)
    if problem.rows:
        still = problem.row_base_kw - problem.row_factor @ problem.base_kw
        rent = rent + (posted.row * (state.row_kw - still)).sum(axis=0)
    return np.asarray(rent)
