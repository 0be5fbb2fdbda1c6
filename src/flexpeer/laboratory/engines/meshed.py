"""E1 for free peers on a meshed grid: every limit of the problem as a row over its buses.

| limits | A | band |
|---|---|---|
| root | 1 | the exchange: import and export price, subscription; left out where all of that costs nothing |
| lines | 1 for what is below | +- line limit |
| voltages | sum of rho on the path that both share | the voltage band |
| rows | `row_factor` | +- row limit |

For grids of up to some thousand buses where lines or voltages have limits; a star with nothing but rows has any size.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from flexpeer.clearing.limit_rows import Bands
from flexpeer.clearing.problem import ClearingProblem, Floats, Integers
from flexpeer.clearing.row_newton import price_limits
from flexpeer.clearing.row_party import PeersHere, Sparse
from flexpeer.laboratory.engines.evaluation import AllocationState, grid_cost, state_of, sum_down, sum_up
from flexpeer.laboratory.engines.outcome import Engine, EngineAnswer, Posted


@dataclass(frozen=True)
class LimitRows:
    """`factor` (limits, buses) is A; `at` says where the lines, voltages and rows that have limits begin."""

    factor: Sparse
    bands: Bands
    root: int
    line: Integers
    voltage: Integers
    row: Integers

    @classmethod
    def of(cls, problem: ClearingProblem) -> "LimitRows":
        """All that can have a price."""
        p = problem
        line = np.flatnonzero(
            np.isfinite(p.line_limit_kw).any(axis=1) & (np.arange(p.buses) > 0) & (p.line_price > 0.0)
        )
        voltage = np.arange(p.buses) if p.has_voltage else np.zeros(0, dtype=np.int64)
        row = np.flatnonzero(np.isfinite(p.row_limit_kw).any(axis=1)) if p.rows else np.zeros(0, dtype=np.int64)
        root = int(_exchange_costs(p))
        below, path = _tree(p, bool(len(line)), bool(len(voltage)))
        parts = (np.ones((root, p.buses)), below[line], path[voltage], p.row_factor[row].reshape(-1, p.buses))
        factor = np.concatenate(parts)
        return cls(Sparse(factor), _bands(p, root, line, voltage, row), root, line, voltage, row)

    def posted(self, problem: ClearingProblem, price: Floats) -> Posted:
        """Prices q (limits, periods) as those of the problem's lines, voltages and rows."""
        shape = problem.base_kw.shape
        y, z, rows = np.zeros(shape), np.zeros(shape), np.zeros(problem.row_base_kw.shape)
        ends = np.cumsum([self.root, len(self.line), len(self.voltage)])
        y[: self.root], y[self.line], z[self.voltage], q = np.split(price, ends)
        if problem.rows:
            rows[self.row] = q
        return Posted.clipped(problem, y, z, rows)


def _exchange_costs(p: ClearingProblem) -> bool:
    limited = p.root_limit_price > 0.0 and bool(np.isfinite(p.line_limit_kw[0]).any())
    return limited or bool(p.import_price.any() or p.export_price.any())


def _tree(p: ClearingProblem, lines: bool, voltages: bool) -> tuple[Floats, Floats]:
    """A of all lines and of all voltages, (buses, buses) each; no rows at all if neither is asked for."""
    if not lines and not voltages:
        return np.zeros((0, p.buses)), np.zeros((0, p.buses))
    below = np.eye(p.buses)
    sum_up(p.parent, below)
    path = p.voltage_drop[:, None] * below
    sum_down(p.parent, path)
    return below, path


def _bands(p: ClearingProblem, root: int, line: Integers, voltage: Integers, row: Integers) -> Bands:
    idle: AllocationState = state_of(p, None)
    limit = p.line_limit_kw[line]
    rows, row_kw = (values[row].reshape(len(row), p.periods) for values in (p.row_limit_kw, idle.row_kw))
    ones, zeros = np.ones((len(voltage), p.periods)), np.zeros((root, p.periods))
    return Bands(
        np.concatenate((idle.flow_kw[:root], idle.flow_kw[line], idle.voltage[voltage], row_kw)),
        np.concatenate((zeros, -limit, p.voltage_low * ones, -rows)),
        np.concatenate((zeros, limit, p.voltage_high * ones, rows)),
        np.repeat([1.0, p.line_price, p.voltage_price, p.row_price], [root, len(line), len(voltage), len(row)]),
        p if root else None,
    )


def clear_rows(problem: ClearingProblem, area: Integers, tell: Callable[[int, int], None]) -> EngineAnswer:
    """E1 for free peers behind rows; `area` (buses,) says who is a party. Not in whole watts yet."""
    limits = LimitRows.of(problem)
    parties = []
    for number in np.unique(area):
        bus = np.flatnonzero(area == number)
        parties.append(PeersHere(problem, bus, Sparse(limits.factor[:, bus])))
    found = price_limits(parties, limits.bands, grid_cost(problem, state_of(problem, None)), tell)
    steps_kw = np.zeros(problem.step_kw.shape)
    for party in parties:
        party.read(steps_kw)
    posted = limits.posted(problem, found.price)
    return EngineAnswer(steps_kw, posted, Engine.PRICE_NEWTON, found.status.value, found.steps)
