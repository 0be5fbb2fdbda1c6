"""Limits of a grid as rows of the central optimum: tangents where AC power flow finds its solution past them.

Currents and voltages are close to convex in the injections, so a tangent at a violating point cuts off next to
nothing that is feasible: the optimum is an upper bound but for terms of second order (1e-4 of it, typically).
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from flexpeer.app.grid_day import GridDay
from flexpeer.app.optimum import Row
from flexpeer.app.physical_side import PhysicalSide
from flexpeer.grid.limits import Kind, Readings, read
from flexpeer.grid.network import Floats
from flexpeer.grid.sensitivity import Metric, Quantity, sensitivity
from flexpeer.market.needs import Watts

TOLERANCE = 1e-4
ELEMENTS_PER_ROUND = 48


class _Past(NamedTuple):
    """One metric's values and what is allowed, per MTU, in the direction that may not grow; NaN without a limit."""

    severity: float
    metric: Metric
    sign: float
    value: Floats
    allowed: Floats


class GridCuts:
    """Tangent rows from the power flow of each proposed solution.

    A solution may be past what is allowed by `tolerance` of it (for voltages, pu); rows aim `margin` of it below.
    """

    def __init__(
        self, side: PhysicalSide, start_w: Mapping[str, Watts], tolerance: float = TOLERANCE, margin: float = 0.0
    ) -> None:
        self._tolerance, self._margin = tolerance, margin
        self._grid = grid = side.grid
        self._rated_va = side.rated_va()
        self._start_w = start_w
        _, self._start = grid.solve(start_w, "starting point")

    def first(self) -> Iterable[Row]:
        """None: the market's own balances keep the congestion points already."""
        return ()

    def violated(self, moves_w: Mapping[str, Floats]) -> Iterable[Row]:
        """Tangents of the worst elements past what is allowed, one for each of their MTUs."""
        grid = self._grid
        p_w = grid.injections(self._start_w)
        for resource, moves in moves_w.items():
            p_w[grid.bus_of[resource]] += moves
        result = grid.day.solve(p_w, grid.base_q_var)
        readings = read(grid.day, grid.limits, result)
        for past in sorted(self._past(readings), key=lambda p: -p.severity)[:ELEMENTS_PER_ROUND]:
            found = sensitivity(grid.day, result, p_w, grid.base_q_var, past.metric)
            for mtu in np.flatnonzero(past.value > past.allowed + self._tolerance * np.abs(past.allowed)):
                less = self._margin * abs(past.allowed[mtu])
                yield _row(grid, int(mtu), past, past.sign * found.per_w[:, mtu], moves_w, less)

    def _past(self, now: Readings) -> Iterable[_Past]:
        limits, start = self._grid.limits, self._start
        rated = self._rated_va
        for branch in np.flatnonzero((now.loading > np.fmax(start.loading, 1.0) * (1.0 + self._tolerance)).any(axis=1)):
            allowed = np.fmax(start.loading[branch], 1.0) * rated[branch]
            value = now.loading[branch] * rated[branch]
            metric = Metric(Quantity.BRANCH_APPARENT, int(branch))
            yield _Past(float(np.nanmax(value / allowed)) - 1.0, metric, 1.0, value, allowed)
        for sign, band in ((1.0, limits.v_max_pu), (-1.0, limits.v_min_pu)):
            allowed_v = np.maximum(sign * start.v_pu, sign * band)
            over = sign * now.v_pu > allowed_v + self._tolerance
            for bus in np.flatnonzero(over.any(axis=1)):
                severity = float(np.nanmax(sign * now.v_pu[bus] - allowed_v[bus]))
                metric = Metric(Quantity.BUS_VOLTAGE, int(bus))
                yield _Past(severity, metric, sign, sign * now.v_pu[bus], allowed_v[bus])
        yield from self._past_power(now)

    def _past_power(self, now: Readings) -> Iterable[_Past]:
        limits = self._grid.limits
        for row, kind in enumerate(limits.point_kind):
            allowed = np.maximum(limits.limit_w[row], self._start.power_w[row])
            value = now.power_w[row]
            if (value > allowed + self._tolerance * np.abs(allowed)).any():
                at_branch = int(limits.point_branch[row])
                quantity = Quantity.BRANCH_EXPORT if at_branch >= 0 else Quantity.SOURCE_EXPORT
                element = at_branch if at_branch >= 0 else int(limits.point_source[row])
                sign = 1.0 if kind is Kind.EXPORT else -1.0
                yield _Past(float(np.nanmax(value / allowed)) - 1.0, Metric(quantity, element), sign, value, allowed)


def _row(grid: GridDay, mtu: int, past: _Past, per_w: Floats, moves_w: Mapping[str, Floats], less: float) -> Row:
    """Value + slope (move - move here) <= allowed - less, scaled so that the largest slope is 1."""
    slopes = {resource: float(per_w[bus]) for resource, bus in grid.bus_of.items()}
    here = sum(slopes[resource] * float(moves[mtu]) for resource, moves in moves_w.items())
    scale = max(map(abs, slopes.values()), default=1.0) or 1.0
    room = float(past.allowed[mtu] - past.value[mtu]) - less + here
    return Row(mtu, {resource: slope / scale for resource, slope in slopes.items()}, room / scale)
