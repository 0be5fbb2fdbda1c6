"""What an engine hands over: steps taken and the prices that support them."""

from dataclasses import dataclass
from enum import Enum

import numpy as np

from flexpeer.clearing.problem import ClearingProblem, Floats
from flexpeer.laboratory.engines.evaluation import sum_down, sum_up


class Engine(Enum):
    """Who cleared; the command line's `--engine` has these and `auto`."""

    PRICE_NEWTON = "price-newton"
    PRICE_POSTING = "price-posting"
    TREE_SWEEP = "tree-sweep"
    CENTRAL = "central"


@dataclass(frozen=True)
class Posted:
    """Prices of lines y and of voltages z (buses, periods), of rows (rows, periods); all a certificate needs."""

    line: Floats
    voltage: Floats
    row: Floats

    @classmethod
    def clipped(cls, problem: ClearingProblem, line: Floats, voltage: Floats, row: Floats) -> "Posted":
        """Within what a DSO's relief costs, outside of which the bound would be minus infinity."""
        y = np.clip(line, -problem.line_price, problem.line_price)
        unlimited = np.isinf(problem.line_limit_kw)
        y[unlimited] = 0.0
        y[0] = np.clip(line[0], *root_band(problem))
        low, high = (problem.voltage_price * np.isfinite(b) for b in (problem.voltage_low, problem.voltage_high))
        rows = np.clip(row, -problem.row_price, problem.row_price)
        return cls(y, np.clip(voltage, -low, high), np.where(np.isinf(problem.row_limit_kw), 0.0, rows))

    def at_buses(self, problem: ClearingProblem) -> Floats:
        """G (buses, periods): what one kW more injected at a bus costs the rest; negative: worth something."""
        zeta = self.voltage.copy()
        sum_up(problem.parent, zeta)
        g = self.line + problem.voltage_drop[:, None] * zeta
        sum_down(problem.parent, g)
        return g + problem.row_factor.T @ self.row if problem.rows else g


def root_band(problem: ClearingProblem) -> tuple[Floats, Floats]:
    """Least and largest price of the exchange, each (periods,)."""
    extra = np.where(np.isinf(problem.line_limit_kw[0]), 0.0, problem.root_limit_price)
    return -problem.import_price - extra, extra - problem.export_price


def line_prices(problem: ClearingProblem, g: Floats) -> Floats:
    """Y (buses, periods) of prices at buses where no voltage has one."""
    return np.concatenate((g[:1], g[1:] - g[problem.parent[1:]]))


@dataclass(frozen=True)
class EngineAnswer:
    """Steps taken (peers, periods, steps) kW, prices, and how many Newton steps or rounds it took."""

    steps_kw: Floats
    posted: Posted
    engine: Engine
    status: str
    steps: int
