"""What an allocation does in the grid and what it costs: flows, voltages, the objective, what exceeds limits."""

from typing import NamedTuple

import numpy as np

from flexpeer.clearing.layout import add_peers
from flexpeer.clearing.problem import ClearingProblem, Floats, Integers
from flexpeer.compiled import compiled


@compiled
def sum_up(parent: Integers, values: Floats) -> None:
    """Turn values per bus (buses, periods) into sums over the bus and all below it, in place."""
    for n in range(len(parent) - 1, 0, -1):
        values[parent[n]] += values[n]


@compiled
def sum_down(parent: Integers, values: Floats) -> None:
    """Turn values per bus (buses, periods) into sums over the bus and all above it, in place."""
    for n in range(1, len(parent)):
        values[n] += values[parent[n]]


class AllocationState(NamedTuple):
    """The grid under an allocation: flows kW and w (buses, periods), flows of rows (rows, periods)."""

    flow_kw: Floats
    voltage: Floats
    row_kw: Floats


class Exceeding(NamedTuple):
    """What exceeds limits: kW (buses, periods), w (buses, periods), kW (rows, periods)."""

    line_kw: Floats
    voltage: Floats
    row_kw: Floats


def state_of(problem: ClearingProblem, x_kw: Floats | None) -> AllocationState:
    """Flows and voltages by equations (2) to (4) of `problem`; None is no trade."""
    flow = np.zeros(problem.base_kw.shape)
    if x_kw is not None:
        add_peers(problem.peer_bus, x_kw, flow)
    rows = problem.row_base_kw + problem.row_factor @ flow if problem.rows else problem.row_base_kw
    flow += problem.base_kw
    sum_up(problem.parent, flow)
    voltage = problem.voltage_drop[:, None] * flow
    sum_down(problem.parent, voltage)
    return AllocationState(flow, voltage, rows)


def relief_of(problem: ClearingProblem, state: AllocationState) -> Exceeding:
    """How far each limit is passed; the root's is the subscription."""
    rows = np.abs(state.row_kw) - problem.row_limit_kw if problem.rows else state.row_kw
    return Exceeding(
        np.maximum(np.abs(state.flow_kw) - problem.line_limit_kw, 0.0),
        np.maximum(np.maximum(state.voltage - problem.voltage_high, problem.voltage_low - state.voltage), 0.0),
        np.maximum(rows, 0.0),
    )


def grid_cost(problem: ClearingProblem, state: AllocationState) -> Floats:
    """Cost of exchange and relief per period, (periods,)."""
    relief = relief_of(problem, state)
    exchange = state.flow_kw[0]
    cost = -problem.export_price * np.maximum(exchange, 0.0) + problem.import_price * np.maximum(-exchange, 0.0)
    cost += problem.root_limit_price * relief.line_kw[0] + problem.line_price * relief.line_kw[1:].sum(axis=0)
    cost += problem.voltage_price * relief.voltage.sum(axis=0) if problem.voltage_price else 0.0
    return np.asarray(cost + problem.row_price * (relief.row_kw.sum(axis=0) if problem.rows else 0.0))


@compiled
def _fill(sign: Floats, step_kw: Floats, step_price: Floats, x_kw: Floats, order: Integers, v: Floats) -> Floats:
    """The cheapest steps that make x (peers, periods) go into `v` unless it is empty; their cost (peers, periods)."""
    cost = np.zeros(x_kw.shape)
    for i in range(x_kw.shape[0]):
        for t in range(x_kw.shape[1]):
            least = 0.0
            for k in range(len(sign)):
                least -= step_kw[i, t, k] if sign[k] < 0 else 0.0
            left = x_kw[i, t] - least
            for at in range(len(sign)):
                k = order[i, t, at]
                used = min(max(left, 0.0), step_kw[i, t, k])
                left -= used
                v[i, t, k] = used if sign[k] > 0 else step_kw[i, t, k] - used
                cost[i, t] += step_price[i, t, k] * v[i, t, k]
    return cost


def cheapest_steps(problem: ClearingProblem, x_kw: Floats) -> tuple[Floats, Floats]:
    """c_i(x_i) (peers, periods), and the steps (peers, periods, steps) that make it: earlier orders first at ties."""
    steps = np.empty(problem.step_kw.shape)
    order = np.argsort(problem.step_price * problem.step_sign, axis=2, kind="stable")
    cost = _fill(problem.step_sign.astype(float), problem.step_kw, problem.step_price, x_kw, order, steps)
    return cost, steps


def step_cost(problem: ClearingProblem, steps_kw: Floats) -> Floats:
    """Cost of steps taken (peers, periods, steps), per peer and period."""
    return np.asarray(np.einsum("itk,itk->it", problem.step_price, steps_kw))


def moves(problem: ClearingProblem, steps_kw: Floats) -> Floats:
    """X (peers, periods) of steps taken."""
    return np.asarray(steps_kw @ problem.step_sign.astype(float))
