"""Limits of a grid as rows of the central optimum: tangents where AC power flow finds its solution past them.

Currents and voltages are close to convex in the injections, so a tangent at a violating point cuts off next to
nothing that is feasible: the optimum is an upper bound but for terms of second order (1e-4 of it, typically).
"""

from collections.abc import Iterable, Mapping

import numpy as np

from flexpeer.app.owner.limits_past import limits_past
from flexpeer.app.ports import LimitRow
from flexpeer.app.study.grid_day import GridDay
from flexpeer.grid.excess import Allowed
from flexpeer.grid.limits import Readings, read
from flexpeer.grid.network import Floats
from flexpeer.grid.sensitivity import sensitivity
from flexpeer.market.needs import Watts

TOLERANCE = 1e-4
ELEMENTS_PER_ROUND = 48


class GridCuts:
    """Tangent rows from the power flow of each proposed solution, which may be past what is allowed by `TOLERANCE`."""

    def __init__(self, grid: GridDay, start_w: Mapping[str, Watts]) -> None:
        self._grid, self._start_w = grid, start_w
        _, start = self._grid.solve(start_w, "starting point")
        self._allowed = _allowed(self._grid, start)

    def first(self) -> Iterable[LimitRow]:
        """None: the market's own balances keep the congestion points already."""
        return ()

    def violated(self, moves_w: Mapping[str, Floats]) -> Iterable[LimitRow]:
        """Tangents of the worst elements past what is allowed, one for each of their MTUs."""
        grid = self._grid
        p_w = grid.injections(self._start_w)
        for resource, moves in moves_w.items():
            p_w[grid.bus_of[resource]] += moves
        result = grid.day.solve(p_w, grid.base_q_var)
        readings = read(grid.day, grid.limits, result)
        for past in limits_past(grid.limits, readings, self._allowed, TOLERANCE)[:ELEMENTS_PER_ROUND]:
            slopes = past.per_w(sensitivity(grid.day, result, p_w, grid.base_q_var, past.metric), readings)
            for mtu in np.flatnonzero(past.over > 0.0):
                per_w = {resource: float(slopes[bus, mtu]) for resource, bus in grid.bus_of.items()}
                yield LimitRow.under(moves_w, int(mtu), per_w, -float(past.over[mtu]))


def _allowed(grid: GridDay, start: Readings) -> Allowed:
    """What the starting point leaves: its limit, or where it is already past it, what it is."""
    limits = grid.limits
    return Allowed(
        np.fmax(start.loading, 1.0),
        np.maximum(start.v_pu, limits.v_max_pu),
        np.minimum(start.v_pu, limits.v_min_pu),
        np.maximum(limits.limit_w, start.power_w),
    )
