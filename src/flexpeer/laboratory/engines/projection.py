"""The grid's part of price-posting: the flows and prices nearest to what all would like.

    min  sum r/2 |x - z|^2 + sum r_f/2 |f - z_f|^2 + sum r_w/2 |w - z_w|^2 + sum r_s/2 |s - z_s|^2       (1)

subject to the equations of `problem`. On the tree this is one sweep of `tree` with the constant weights W = peers/r,
1/r_f, 1/r_w; so it is factored once. With A the factors of a meshed grid's rows, G the sweep's answer and q the rows'
prices,

    (1/r_s + A (W - W G W) A') q = A x0 + s0 - z_s                                             (2)

where x0 is what the tree alone makes of the injections; then g = g0 + (1 - G W) A' q (3).
"""

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from flexpeer.clearing.problem import ClearingProblem, Floats
from flexpeer.clearing.rows import LANES, WEIGHT
from flexpeer.laboratory.engines import tree


class Projection:
    """Equation (1) for all periods. `weights` r per peer, r_f, r_w (buses,), r_s."""

    def __init__(self, problem: ClearingProblem, weight: float, line: Floats, voltage: Floats, row: float) -> None:
        self._problem = problem
        buses = problem.buses
        answer = np.zeros((3 * buses, 3 * LANES))
        self._ease = np.bincount(problem.peer_bus, minlength=buses) / weight
        for kind, ease in enumerate((self._ease, 1.0 / line, 1.0 / voltage if problem.has_voltage else 0.0 * voltage)):
            answer[kind * buses : (kind + 1) * buses, WEIGHT : WEIGHT + LANES] = ease[:, None]
        self._messages = tree.Messages.room(buses)
        tree.factor(problem.parent, problem.voltage_drop, answer, self._messages)
        self._weight, self._row = weight, row
        if problem.rows:
            self._prepare_rows()

    def _prepare_rows(self) -> None:
        factor = self._problem.row_factor
        eased = factor * self._ease
        none = np.zeros((self._problem.buses, self._problem.rows))
        self._through, _, _ = self._swept(eased.T, none, none)
        inner = factor @ (eased.T - self._ease[:, None] * self._through)
        self._factored = cho_factor(inner + np.eye(len(factor)) / self._row)

    def _swept(self, inject: Floats, line: Floats, voltage: Floats) -> tuple[Floats, Floats, Floats]:
        """g, f, w (buses, columns) for injections and the flows and voltages that lines and voltages would like."""
        buses, columns = inject.shape
        found = [np.empty(inject.shape) for _ in range(3)]
        for first in range(0, columns, LANES):
            take = np.minimum(np.arange(first, first + LANES), columns - 1)
            move = np.concatenate((inject[:, take], line[:, take], voltage[:, take]))
            rest, step = np.zeros(move.shape), np.empty(move.shape)
            change = np.zeros((buses, 5 * LANES))
            p = self._problem
            self._messages.moving[:] = 0.0
            tree.carry(p.parent, p.voltage_drop, move, rest, self._messages)
            tree.spread(p.parent, p.voltage_drop, move, rest, self._messages, step, change)
            width = min(LANES, columns - first)
            for at, values in zip(found, (step[:buses], change[:, :LANES], change[:, LANES : 2 * LANES]), strict=True):
                at[:, first : first + width] = values[:, :width]
        return found[0], found[1], found[2]

    def solve(
        self, inject: Floats, line: Floats, voltage: Floats, row: Floats
    ) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        """g, f, w (buses, periods), s and q (rows, periods).

        `inject` is the base and what peers would like, per bus; `line`, `voltage`, `row` are z_f, z_w, z_s.
        """
        problem = self._problem
        g, flow, level = self._swept(inject, line, voltage)
        if not problem.rows:
            return g, flow, level, row, row
        x0 = inject - problem.base_kw - self._ease[:, None] * g
        q = cho_solve(self._factored, problem.row_factor @ x0 + problem.row_base_kw - row)
        pull = problem.row_factor.T @ q
        g, flow, level = self._swept(inject - self._ease[:, None] * pull, line, voltage)
        return g + pull, flow, level, row + q / self._row, q
