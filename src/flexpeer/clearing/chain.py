"""Coupled peers in price-Newton: each eliminates its own periods, in time proportional to their number.

Peer i keeps e_t = e_(t-1) - x_t (kWh in its store, or owed to other periods), price l_t of that equation. Its steps
answer to p = g + l, its level e_t, a row of size capacity, to l_t - l_(t+1). With W, R of the steps and w, r of
the levels (see `rows`; w = 0 where there is no level: before the first period and after the last), the change of l solves

    (W_t + w_t + w_(t-1)) dl_t - w_t dl_(t+1) - w_(t-1) dl_(t-1)
        = R_t + r_t - r_(t-1) + (x_t + e_t - e_(t-1)) - W_t dg_t                              (1)

a chain of conductances w between nodes grounded by W. Elimination from either end keeps the conductance to ground seen
so far, a_t = W_t + w_(t-1) a_(t-1) / (a_(t-1) + w_(t-1)), a sum of positive terms (2). What the peer answers to a price
in one period alone is W_t in series with the rest of the chain (3).

Arrays are (peers, periods).
"""

from flexpeer.clearing.problem import Floats
from flexpeer.compiled import compiled


@compiled
def eliminate(ground: Floats, link: Floats, seen: Floats, own: Floats) -> None:
    """Equations (2), into `seen`, and (3), into `own`; `link` is w with zeros in the last period."""
    for i in range(ground.shape[0]):
        last = ground.shape[1] - 1
        left = 0.0
        for t in range(last + 1):
            seen[i, t] = ground[i, t] + left
            own[i, t] = left
            left = series(seen[i, t], link[i, t])
        right = 0.0
        for t in range(last, -1, -1):
            side = own[i, t] + right
            own[i, t] = series(ground[i, t], side)
            if t > 0:
                right = series(ground[i, t] + right, link[i, t - 1])


@compiled
def series(a: float, b: float) -> float:
    """Two conductances in series."""
    return a * b / (a + b) if a > 0.0 and b > 0.0 else 0.0


@compiled
def solve_chain(link: Floats, seen: Floats, right: Floats, change: Floats) -> None:
    """Equation (1) for a right-hand side, into `change`; `right` is used up."""
    for i in range(link.shape[0]):
        last = link.shape[1] - 1
        for t in range(last):
            right[i, t + 1] += right[i, t] * link[i, t] / (seen[i, t] + link[i, t])
        change[i, last] = right[i, last] / seen[i, last]
        for t in range(last - 1, -1, -1):
            change[i, t] = (right[i, t] + link[i, t] * change[i, t + 1]) / (seen[i, t] + link[i, t])
