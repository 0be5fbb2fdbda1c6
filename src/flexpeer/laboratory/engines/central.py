"""The same problem as one linear program, by HiGHS: the reference for tests and for efficiency figures.

Columns, period by period: peers' steps, flows f, beyond-limit parts, voltages w. For coupled peers one row ties their
periods (shift) or one per period keeps their store (storage). Rows are equations (2) to (4) of `problem`.
"""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.optimize import linprog

from flexpeer.clearing.problem import ClearingProblem, Floats, Integers, PeerKind


@dataclass(frozen=True)
class LinearProgram:
    """min cost x, matrix x = right, low <= x <= high; peers' steps are the first columns.

    `line_row`, `voltage_row` (buses, periods), `meshed_row` (rows, periods): the equations whose duals are prices, -1
    where there is none, None where there are none at all.
    """

    cost: Floats
    matrix: sp.csr_array
    right: Floats
    low: Floats
    high: Floats
    line_row: Integers
    voltage_row: Integers | None
    meshed_row: Integers | None


class _Columns:
    """Columns by block: (count, low, high, cost) each."""

    def __init__(self) -> None:
        self.count = 0
        self.low: list[Floats] = []
        self.high: list[Floats] = []
        self.cost: list[Floats] = []

    def add(self, shape: tuple[int, ...], low: npt.ArrayLike, high: npt.ArrayLike, cost: npt.ArrayLike) -> Integers:
        """Column numbers in the shape asked for."""
        size = int(np.prod(shape))
        for given, kept in ((low, self.low), (high, self.high), (cost, self.cost)):
            kept.append(np.broadcast_to(np.asarray(given, dtype=np.float64), shape).ravel())
        self.count += size
        return np.arange(self.count - size, self.count).reshape(shape)


class _Rows:
    """Equations as triplets."""

    def __init__(self) -> None:
        self.count = 0
        self.right: list[Floats] = []
        self.triplets: list[tuple[Integers, Integers, Floats]] = []

    def add(self, right: Floats) -> Integers:
        """Row numbers in the shape of the right-hand side."""
        self.right.append(right.ravel())
        self.count += right.size
        return np.arange(self.count - right.size, self.count).reshape(right.shape)

    def put(self, row: Integers, column: Integers, value: npt.ArrayLike) -> None:
        """Coefficients, broadcast."""
        shape = np.broadcast_shapes(row.shape, column.shape)
        parts = (np.broadcast_to(part, shape).ravel() for part in (row, column, np.asarray(value, dtype=np.float64)))
        self.triplets.append(tuple(parts))  # type: ignore[arg-type]

    def matrix(self, columns: int) -> sp.csr_array:
        """All of them."""
        row, column, value = (np.concatenate(part) for part in zip(*self.triplets, strict=True))
        return sp.csr_array(sp.coo_array((value, (row, column)), shape=(self.count, columns)))


def linear_program(p: ClearingProblem) -> LinearProgram:
    """The whole problem as one program."""
    columns, rows = _Columns(), _Rows()
    shape = p.base_kw.shape
    steps = columns.add(p.step_kw.shape, 0.0, p.step_kw, p.step_price)
    flow = columns.add(shape, -np.inf, np.inf, 0.0)
    line_row = np.full(shape, -1)
    line_row[0] = _exchange(p, columns, rows, flow)
    balance = rows.add(p.base_kw)
    rows.put(balance, flow, 1.0)
    rows.put(balance[p.parent[1:]], flow[1:], -1.0)
    rows.put(balance[p.peer_bus][:, :, None], steps, -p.step_sign.astype(np.float64))
    _limits(p, columns, rows, flow, line_row)
    voltage_row = _voltages(p, columns, rows, flow) if p.has_voltage else None
    meshed_row = _meshed(p, columns, rows, steps) if p.rows else None
    _coupled(p, columns, rows, steps)
    cost, right, low, high = (np.concatenate(part) for part in (columns.cost, rows.right, columns.low, columns.high))
    return LinearProgram(cost, rows.matrix(columns.count), right, low, high, line_row, voltage_row, meshed_row)


def _exchange(p: ClearingProblem, columns: _Columns, rows: _Rows, flow: Integers) -> Integers:
    """f_0 = sold - bought + (sold - bought) beyond the subscription."""
    limit = p.line_limit_kw[0]
    parts = (
        (1.0, limit, -p.export_price),
        (-1.0, limit, p.import_price),
        (1.0, np.inf, p.root_limit_price - p.export_price),
        (-1.0, np.inf, p.root_limit_price + p.import_price),
    )
    row = rows.add(np.zeros(p.periods))
    rows.put(row, flow[0], 1.0)
    for sign, most, price in parts:
        rows.put(row, columns.add((p.periods,), 0.0, most, price), -sign)
    return row


def _limits(p: ClearingProblem, columns: _Columns, rows: _Rows, flow: Integers, line_row: Integers) -> None:
    """F - over + under + slack = 0 with |slack| <= F."""
    at = np.argwhere(np.isfinite(p.line_limit_kw[1:]).any(axis=1))[:, 0] + 1
    shape = (len(at), p.periods)
    within = columns.add(shape, -p.line_limit_kw[at], p.line_limit_kw[at], 0.0)
    row = rows.add(np.zeros(shape))
    rows.put(row, flow[at], 1.0)
    rows.put(row, within, -1.0)
    for sign in (1.0, -1.0):
        rows.put(row, columns.add(shape, 0.0, np.inf, p.line_price), -sign)
    line_row[at] = row


def _voltages(p: ClearingProblem, columns: _Columns, rows: _Rows, flow: Integers) -> Integers:
    """W = w_parent + rho f, and w = within + over - under."""
    shape = p.base_kw.shape
    level = columns.add(shape, -np.inf, np.inf, 0.0)
    row = rows.add(np.zeros(shape))
    rows.put(row, level, 1.0)
    rows.put(row, flow, -p.voltage_drop[:, None])
    rows.put(row[1:], level[p.parent[1:]], -1.0)
    band = rows.add(np.zeros(shape))
    rows.put(band, level, 1.0)
    rows.put(band, columns.add(shape, p.voltage_low, p.voltage_high, 0.0), -1.0)
    for sign in (1.0, -1.0):
        rows.put(band, columns.add(shape, 0.0, np.inf, p.voltage_price), -sign)
    return band


def _meshed(p: ClearingProblem, columns: _Columns, rows: _Rows, steps: Integers) -> Integers:
    """Factors of peers' steps = flow over the row - its base; the flow within its limit or at a price."""
    shape = p.row_base_kw.shape
    row = rows.add(-p.row_base_kw)
    factor = p.row_factor[:, p.peer_bus]
    for m in range(p.rows):
        peers = np.flatnonzero(factor[m])
        value = factor[m, peers][:, None, None] * p.step_sign
        rows.put(row[m][None, :, None], steps[peers], value)
    rows.put(row, columns.add(shape, -p.row_limit_kw, p.row_limit_kw, 0.0), -1.0)
    for sign in (1.0, -1.0):
        rows.put(row, columns.add(shape, 0.0, np.inf, p.row_price), -sign)
    return row


def _coupled(p: ClearingProblem, columns: _Columns, rows: _Rows, steps: Integers) -> None:
    """x_t = e_(t-1) - e_t with e_T = e_0; a shift's e has no bounds."""
    peers = p.coupled
    if not len(peers):
        return
    stores = p.peer_kind[peers] == PeerKind.STORAGE
    low = np.where(stores, 0.0, -np.inf)[:, None]
    high = np.where(stores, p.energy_kwh[peers], np.inf)[:, None]
    start = np.where(stores, p.energy_start_kwh[peers], 0.0)
    right = np.zeros((len(peers), p.periods))
    right[:, 0] += start
    right[:, -1] -= start
    row = rows.add(right)
    rows.put(row[:, :, None], steps[peers], p.step_sign.astype(np.float64))
    level = columns.add((len(peers), p.periods - 1), low, high, 0.0)
    rows.put(row[:, :-1], level, 1.0)
    rows.put(row[:, 1:], level, -1.0)


@dataclass(frozen=True)
class CentralAnswer:
    """Optimal value, steps taken (peers, periods, steps), prices y, z (buses, periods) and of rows, iterations."""

    objective: float
    steps_kw: Floats
    line_price: Floats
    voltage_price: Floats
    row_price: Floats | None
    iterations: int


def solve_central(problem: ClearingProblem, method: str = "highs") -> CentralAnswer:
    """HiGHS on the whole; `method` as scipy's `linprog` names it. RuntimeError if HiGHS finds no optimum."""
    program = linear_program(problem)
    bounds = np.column_stack((program.low, program.high))
    found: Any = cast(Any, linprog)(program.cost, A_eq=program.matrix, b_eq=program.right, bounds=bounds, method=method)
    if found.status != 0:
        raise RuntimeError(f"HiGHS: {found.message}")
    shape = problem.step_kw.shape
    steps = np.clip(found.x[: int(np.prod(shape))].reshape(shape), 0.0, problem.step_kw)
    duals = -np.append(found.eqlin.marginals, 0.0)
    line, voltage, row = (
        np.where(numbers < 0, 0.0, duals[numbers]) if numbers is not None else None
        for numbers in (program.line_row, program.voltage_row, program.meshed_row)
    )
    assert line is not None
    none = np.zeros(problem.base_kw.shape)
    return CentralAnswer(float(found.fun), steps, line, none if voltage is None else voltage, row, int(found.nit))
