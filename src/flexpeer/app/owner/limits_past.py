"""Limits that a state passes, and tangents there: what a watt injected somewhere changes of them, to first order."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from flexpeer.grid.excess import Allowed
from flexpeer.grid.limits import Kind, Limits, Readings
from flexpeer.grid.network import Floats
from flexpeer.grid.sensitivity import Metric, Quantity, Sensitivity


class Past(NamedTuple):
    """A limit past what is `allowed` (periods,) by `over` (periods,), in its own unit; 0 where it is not.

    `row` is its place among its kind; `unit` is a limit's value over the metric's, None for a loading, whose metric is
    in VA; `sign` says which way is past it.
    """

    metric: Metric
    row: int
    allowed: Floats
    over: Floats
    sign: float
    unit: float | None

    def value(self, now: Readings) -> Floats:
        """What it reads (periods,)."""
        kinds = {Quantity.BRANCH_APPARENT: now.loading, Quantity.BUS_VOLTAGE: now.v_pu}
        value: Floats = kinds.get(self.metric.quantity, now.power_w)[self.row]
        return value

    def per_w(self, found: Sensitivity, now: Readings) -> Floats:
        """Change of `over` per watt injected, (buses, periods)."""
        unit = self.value(now) / found.value if self.unit is None else self.unit
        return np.asarray(found.per_w * unit * self.sign)


def limits_past(limits: Limits, now: Readings, allowed: Allowed, tolerance: float) -> list[Past]:
    """All limits past what is allowed by more than `tolerance` of it (voltages: pu), the worst first."""
    found = [*_loadings(now, allowed), *_voltages(now, allowed), *_powers(limits, now, allowed)]
    past = []
    for each in found:
        scale = 1.0 if each.metric.quantity is Quantity.BUS_VOLTAGE else np.abs(each.allowed)
        worst = np.where(each.over > tolerance * scale, each.over / scale, 0.0)
        if worst.any():
            past.append((float(worst.max()), each._replace(over=worst * scale)))
    return [each for _, each in sorted(past, key=lambda pair: -pair[0])]


def _loadings(now: Readings, allowed: Allowed) -> Iterator[Past]:
    over = now.loading - allowed.loading
    for branch in map(int, np.flatnonzero((over > 0.0).any(axis=1))):
        yield Past(Metric(Quantity.BRANCH_APPARENT, branch), branch, allowed.loading[branch], over[branch], 1.0, None)


def _voltages(now: Readings, allowed: Allowed) -> Iterator[Past]:
    for sign, band in ((1.0, allowed.high), (-1.0, allowed.low)):
        over = sign * (now.v_pu - band)
        for bus in map(int, np.flatnonzero((over > 0.0).any(axis=1))):
            yield Past(Metric(Quantity.BUS_VOLTAGE, bus), bus, band[bus], over[bus], sign, 1.0)


def _powers(limits: Limits, now: Readings, allowed: Allowed) -> Iterator[Past]:
    over = now.power_w - allowed.power_w
    for row in map(int, np.flatnonzero((over > 0.0).any(axis=1))):
        at_branch = int(limits.point_branch[row])
        quantity = Quantity.BRANCH_EXPORT if at_branch >= 0 else Quantity.SOURCE_EXPORT
        metric = Metric(quantity, at_branch if at_branch >= 0 else int(limits.point_source[row]))
        unit = 1.0 if limits.point_kind[row] is Kind.EXPORT else -1.0
        yield Past(metric, row, allowed.power_w[row], over[row], 1.0, unit)
