"""AC power flow by the fixed point on bus currents, for one period or a day of changing topologies.

    i_n     = conj(s_n / v_n)                        (1)
    Y_nn v' = i_n - Y_ns v_s                         (2)

With constant-power injections this is the implicit Z-bus Gauss method; it contracts wherever a distribution grid is
operated (Bolognani and Zampieri, IEEE Trans. Power Syst. 31(1), 2016). Its other solutions repel, so what it finds is
the operating point of constant powers. Where nothing settles, or a generator controls a voltage, Newton's method takes
over (`newton`).

With d the largest move of a voltage in a step, d' in the step before and the contraction c = d/d', what is missing from
the fixed point is at most (Banach)

    d c / (1 - c)  <=  TOLERANCE_PU                  (3)

which ends the iteration. A period is iterated apart from the others: its result does not depend on them.

Powers are watts and vars in, injection positive; voltages are per unit.
"""

from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property
from typing import NamedTuple

import numpy as np

from flexpeer.compiled import compiled
from flexpeer.grid.admittance import (
    Circuit,
    Planes,
    branch_currents,
    circuit_of,
    planes,
    pull,
    push,
    scale,
    solve_rows,
)
from flexpeer.grid.network import S_BASE_VA, Complexes, Flags, Floats, Integers, Network
from flexpeer.grid.newton import NewtonModel, newton_model, solve_one, times, unbalanced
from flexpeer.grid.topology import upper_from

TOLERANCE_PU = 1e-10
ITERATION_LIMIT = 200
DIVERGED_PU = 4.0
BLOCK = 16
WORST = 5


class FlowStatus(IntEnum):
    """How a period's power flow ended. Only `CONVERGED` gives a state."""

    CONVERGED = 0
    DIVERGED = 1
    ISLANDED = 2


@dataclass(frozen=True)
class FlowResult:
    """Power flow of some periods.

    `v` (buses, periods) per unit, zero at buses no source feeds; `source_power_w` (sources, periods) is
    delivered into the grid, W + j var. Both are NaN in periods that did not converge. `status` holds a
    `FlowStatus` and `iterations` a count per period; an injection at an unfed bus is `ISLANDED`.
    """

    v: Complexes
    source_power_w: Complexes
    status: Integers
    iterations: Integers

    @property
    def converged(self) -> Flags:
        """Which periods have a state, (periods,)."""
        return np.equal(self.status, FlowStatus.CONVERGED)

    def failures(self) -> tuple[tuple[int, FlowStatus], ...]:
        """Each period without a state, and why."""
        return tuple((int(t), FlowStatus(self.status[t])) for t in np.flatnonzero(~self.converged))


class WorstBus(NamedTuple):
    """A bus of an iterate that is no state: its voltage, and the power by which its sum fails."""

    name: str
    v_pu: float
    missing_va: float

    def __str__(self) -> str:
        return f"{self.name!r} ({self.v_pu:.3f} pu, {self.missing_va / 1e6:.3g} MVA out of balance)"


@dataclass(frozen=True)
class FlowModel:
    """One topology, factorised."""

    network: Network
    circuit: Circuit

    @property
    def controlled(self) -> bool:
        """Whether generators control voltages, which only Newton's method can hold."""
        return len(self.network.controlled_bus) > 0

    @cached_property
    def newton(self) -> NewtonModel:
        """The same for Newton's method."""
        return newton_model(self.network)


def flow_model(network: Network, injecting: Flags | None = None) -> FlowModel:
    """Factorise a network; arguments and `BadInput` as of `circuit_of`."""
    return FlowModel(network, circuit_of(network, injecting))


class DayFlow:
    """A day of `periods` MTUs: one factorisation for each distinct topology.

    `in_service` (branches, periods) is what outages and switching leave in service (`topology.service`). `topology_of`
    (periods,) indexes `models`. `upper_from` says which end of a branch is upper, all day long. `injecting` (buses,)
    are those that may inject, if not all: others may too, but take longer.
    """

    def __init__(
        self,
        network: Network,
        periods: int,
        in_service: Flags | None = None,
        upper: Flags | None = None,
        injecting: Flags | None = None,
    ) -> None:
        self.network = network
        self.periods = periods
        if in_service is None:
            in_service = np.repeat(network.in_service[:, None], periods, axis=1)
        distinct, at = np.unique(in_service, axis=1, return_inverse=True)
        self.models = tuple(flow_model(replace(network, in_service=each.copy()), injecting) for each in distinct.T)
        self.topology_of: Integers = at.reshape(-1).astype(np.int64)
        self.upper_from = upper_from(network) if upper is None else upper

    def source_v(self) -> Complexes:
        """The sources' own voltages in every period, (sources, periods)."""
        own = self.network.source_v_pu * np.exp(1j * self.network.source_angle_rad)
        return np.repeat(own[:, None], self.periods, axis=1)

    def unfed(self, mtu: int) -> tuple[str, ...]:
        """Names of the buses no source feeds in an MTU."""
        circuit = self.models[self.topology_of[mtu]].circuit
        return tuple(self.network.bus_names[bus] for bus in circuit.unfed_bus)

    def worst_buses(self, mtu: int, p_w: Floats, q_var: Floats) -> tuple[WorstBus, ...]:
        """Where the closest iterate of an MTU without a state lacks most; `p_w`, `q_var` are (buses, periods)."""
        model = self.models[self.topology_of[mtu]]
        s = per_unit(p_w[:, mtu], q_var[:, mtu])
        found = solve_one(model.newton, s, self.source_v()[:, mtu])
        left = np.abs(unbalanced(model.newton, s, found.v))
        worst = [int(bus) for bus in np.argsort(-left, kind="stable")[:WORST] if left[bus] > 0]
        names = self.network.bus_names
        return tuple(WorstBus(names[bus], float(np.abs(found.v[bus])), float(left[bus]) * S_BASE_VA) for bus in worst)

    def groups(self, mtus: Integers) -> list[tuple[FlowModel, Integers]]:
        """Each topology among `mtus`, with the positions in `mtus` where it holds."""
        if len(self.models) == 1:
            return [(self.models[0], np.arange(len(mtus)))]
        topology = self.topology_of[mtus]
        if (topology == topology[0]).all():
            return [(self.models[topology[0]], np.arange(len(mtus)))]
        return [(self.models[index], np.flatnonzero(topology == index)) for index in np.unique(topology)]

    def solve(
        self, p_w: Floats, q_var: Floats, source_v: Complexes | None = None, start: Complexes | None = None
    ) -> FlowResult:
        """Power flow of the day; every argument is (buses or sources, periods)."""
        s = per_unit(p_w, q_var)
        voltages = self.source_v() if source_v is None else source_v
        return flow(self, np.arange(self.periods), s, voltages, start)

    def held_q_var(self, v: Complexes, q_var: Floats) -> Floats:
        """Reactive injections (buses, periods) with what generators add at controlled buses to hold the state `v`."""
        held = q_var.copy()
        for model, at in self.groups(np.arange(self.periods)):
            np.add.at(
                held, (model.network.controlled_bus[:, None], at), controlled_q_var(model, v[:, at], q_var[:, at])
            )
        return held

    def losses_w(self, v: Complexes) -> Floats:
        """Losses of all branches in each period, (periods,), W."""
        losses = np.empty(self.periods)
        for model, at in self.groups(np.arange(self.periods)):
            losses[at] = losses_w(model, v[:, at])
        return losses


def solve(
    grid: Network | FlowModel,
    p_w: Floats,
    q_var: Floats,
    source_v: Complexes | None = None,
    start: Complexes | None = None,
) -> FlowResult:
    """Power flow of one topology in one period, (buses,), or several, (buses, periods).

    `source_v` (sources,) or (sources, periods) replaces the sources' own voltages, `start` (buses, periods) the
    voltages to begin from.
    """
    model = grid if isinstance(grid, FlowModel) else flow_model(grid)
    s = np.atleast_2d(per_unit(p_w, q_var).T).T
    own = model.network.source_v_pu * np.exp(1j * model.network.source_angle_rad)
    voltages = np.asarray(own if source_v is None else source_v, dtype=np.complex128)
    given = np.broadcast_to(voltages if voltages.ndim == 2 else voltages[:, None], (len(own), s.shape[1]))
    return solve_model(model, s, given, start)


def per_unit(p_w: Floats, q_var: Floats) -> Complexes:
    """Complex power per unit of W and var."""
    return np.asarray((np.asarray(p_w) + 1j * np.asarray(q_var)) / S_BASE_VA, dtype=np.complex128)


def losses_w(grid: Network | FlowModel, v: Complexes) -> Floats:
    """Losses of all branches at voltages `v` (buses, periods), (periods,), W."""
    model = grid if isinstance(grid, FlowModel) else flow_model(grid)
    circuit = model.circuit
    current_from, current_to = branch_currents(circuit, v)
    power = v[circuit.branch_from] * np.conj(current_from) + v[circuit.branch_to] * np.conj(current_to)
    return np.asarray(power.real.sum(axis=0) * S_BASE_VA) + open_end_losses_w(model.network, np.abs(v))


def open_end_losses_w(network: Network, v_pu: Floats) -> Floats:
    """Losses of branches that are open at one end, (periods,), W; `v_pu` (buses, periods)."""
    ends = network.open_ends()
    lost = network.shunt_g_pu[ends, None] * v_pu[network.shunt_bus[ends]] ** 2
    return np.asarray(lost.sum(axis=0) * S_BASE_VA)


def flow(day: DayFlow, mtus: Integers, s: Complexes, source_v: Complexes, start: Complexes | None) -> FlowResult:
    """Power flow of some MTUs of a day; every array has one column for each of `mtus`, per unit."""
    groups = day.groups(mtus)
    if len(groups) == 1:
        return solve_model(groups[0][0], s, source_v, start)
    result = FlowResult(
        np.empty(s.shape, dtype=np.complex128),
        np.empty(source_v.shape, dtype=np.complex128),
        np.empty(len(mtus), dtype=np.int64),
        np.empty(len(mtus), dtype=np.int64),
    )
    for model, at in groups:
        part = solve_model(model, s[:, at], source_v[:, at], None if start is None else start[:, at])
        result.v[:, at] = part.v
        result.source_power_w[:, at] = part.source_power_w
        result.status[at] = part.status
        result.iterations[at] = part.iterations
    return result


def solve_model(model: FlowModel, s: Complexes, source_v: Complexes, start: Complexes | None) -> FlowResult:
    """One topology, all columns: by the fixed point, and by Newton's method where that gives no state."""
    result = (
        _open(model.circuit, s, source_v) if model.controlled else _by_fixed_point(model.circuit, s, source_v, start)
    )
    newton_takes_over(model, s, source_v, result)
    return result


def newton_takes_over(model: FlowModel, s: Complexes, source_v: Complexes, result: FlowResult) -> None:
    """Solve the columns of `result` that are `DIVERGED`, if Newton's method can."""
    if not result.status.any():
        return
    for k in np.flatnonzero(result.status == FlowStatus.DIVERGED):
        found = solve_one(model.newton, s[:, k], source_v[:, k])
        result.v[:, k] = found.v if found.converged else np.nan
        result.status[k] = FlowStatus.CONVERGED if found.converged else FlowStatus.DIVERGED
        result.iterations[k] += found.iterations
        result.source_power_w[:, k] = np.nan
        if found.converged:
            column = np.ascontiguousarray(result.v[:, k : k + 1])
            power = source_power(model.circuit, np.ascontiguousarray(s[:, k : k + 1]), column)
            result.source_power_w[:, k] = power[:, 0] * S_BASE_VA


def _open(circuit: Circuit, s: Complexes, source_v: Complexes) -> FlowResult:
    """A result without states: `ISLANDED` where it must be, else `DIVERGED`."""
    cut_off = (s[circuit.unfed_bus] != 0).any(axis=0)
    status = np.where(cut_off, FlowStatus.ISLANDED, FlowStatus.DIVERGED).astype(np.int64)
    nothing = np.full(s.shape, np.nan, dtype=np.complex128)
    return FlowResult(nothing, np.full(source_v.shape, np.nan, dtype=np.complex128), status, np.zeros_like(status))


def controlled_q_var(model: FlowModel, v: Complexes, q_var: Floats) -> Floats:
    """What generators add to the injections `q_var` (buses, periods) to hold their voltages, (controlled, periods)."""
    at = model.network.controlled_bus
    leaving = v[at] * np.conj(times(model.newton.y, v)[at])
    added: Floats = leaving.imag * S_BASE_VA - q_var[at]
    return added


def _by_fixed_point(circuit: Circuit, s: Complexes, source_v: Complexes, start: Complexes | None) -> FlowResult:
    v = np.zeros(s.shape, dtype=np.complex128) if start is None else start.astype(np.complex128, order="C")
    v[circuit.source_bus] = source_v
    if start is None:
        start_without_load(circuit, v)
    power, status, iterations = fixed_point(circuit, np.ascontiguousarray(s), v)
    return FlowResult(v, power, status, iterations)


@compiled
def fixed_point(circuit: Circuit, s: Complexes, v: Complexes) -> tuple[Complexes, Integers, Integers]:
    """Iterate `v` (buses, columns), whose sources are set, in place, each column apart from the others.

    What sources deliver, (sources, columns), W + j var, with each column's status and iterations. Both `v` and power
    are NaN where there is no state.
    """
    width = s.shape[1]
    status, iterations = np.empty(width, dtype=np.int64), np.empty(width, dtype=np.int64)
    for first in range(0, width, BLOCK):
        end = min(first + BLOCK, width)
        state = planes(v[:, first:end])
        status[first:end], iterations[first:end] = iterate(circuit, planes(s[:, first:end]), state)
        _write(state, v[:, first:end])
    power = source_power(circuit, s, v) * S_BASE_VA
    for k in range(width):
        if status[k] != 0:
            v[:, k] = np.nan
            power[:, k] = np.nan
    return power, status, iterations


@compiled
def start_without_load(circuit: Circuit, v: Complexes) -> None:
    """Set `v` (buses, columns), whose sources are set, to the voltages without injections."""
    for first in range(0, v.shape[1], BLOCK):
        state = planes(v[:, first : first + BLOCK])
        no_load(circuit, state)
        _write(state, v[:, first : first + BLOCK])


@compiled
def _write(state: Planes, v: Complexes) -> None:
    for bus in range(v.shape[0]):
        for k in range(v.shape[1]):
            v[bus, k] = complex(state.re[bus, k], state.im[bus, k])


@compiled
def no_load(circuit: Circuit, v: Planes) -> None:
    """Set the nodes of `v` (buses, columns) to the voltages without injections, given those of the sources."""
    width = v.re.shape[1]
    x = Planes(np.zeros((len(circuit.row_bus), width)), np.zeros((len(circuit.row_bus), width)))
    subtract_sources(circuit, v, x)
    solve_rows(circuit.factors, x)
    for c in range(len(circuit.column_bus)):
        v.re[circuit.column_bus[c]] = x.re[c]
        v.im[circuit.column_bus[c]] = x.im[c]


@compiled
def subtract_sources(circuit: Circuit, v: Planes, x: Planes) -> None:
    """Subtract Y_ns v_s of equation (2) from `x` (rows, columns)."""
    for entry in range(len(circuit.coupling_row)):
        row, bus = circuit.coupling_row[entry], circuit.coupling_bus[entry]
        a, b = circuit.coupling_y[entry].real, circuit.coupling_y[entry].imag
        for k in range(v.re.shape[1]):
            x.re[row, k] -= a * v.re[bus, k] - b * v.im[bus, k]
            x.im[row, k] -= a * v.im[bus, k] + b * v.re[bus, k]


@compiled
def injecting(s: Planes) -> Flags:
    """Buses with an injection in any column; the others draw no current at any voltage."""
    found = np.zeros(s.re.shape[0], dtype=np.bool_)
    for bus in range(s.re.shape[0]):
        for k in range(s.re.shape[1]):
            found[bus] |= (s.re[bus, k] != 0) | (s.im[bus, k] != 0)
    return found


@compiled
def forward(circuit: Circuit, first: int, injects: Flags, s: Planes, v: Planes, x: Planes) -> None:
    """Add equation (1) to `x` (rows, columns) and solve L of it, in one pass from row `first` on."""
    row_bus, factors = circuit.row_bus, circuit.factors
    for j in range(first, len(row_bus)):
        bus = row_bus[j]
        if injects[bus]:
            for k in range(x.re.shape[1]):
                share = 1.0 / (v.re[bus, k] * v.re[bus, k] + v.im[bus, k] * v.im[bus, k])
                x.re[j, k] += (s.re[bus, k] * v.re[bus, k] + s.im[bus, k] * v.im[bus, k]) * share
                x.im[j, k] += (s.re[bus, k] * v.im[bus, k] - s.im[bus, k] * v.re[bus, k]) * share
        push(x, j, factors.l_start, factors.l_row, factors.l_value)


@compiled
def backward(circuit: Circuit, first: int, x: Planes, running: Flags, v: Planes) -> Floats:
    """Solve D U of `x` down to row `first` and move running columns of `v` to it, in one pass.

    Returns the largest squared move of each column.
    """
    column_bus, factors = circuit.column_bus, circuit.factors
    largest = np.zeros(x.re.shape[1])
    for j in range(len(column_bus) - 1, first - 1, -1):
        scale(x, j, factors.d_inverse[j])
        pull(x, j, factors.u_start, factors.u_column, factors.u_value)
        bus = column_bus[j]
        for k in range(x.re.shape[1]):
            real, imag = x.re[j, k], x.im[j, k]
            step_re, step_im = real - v.re[bus, k], imag - v.im[bus, k]
            square = step_re * step_re + step_im * step_im
            largest[k] = largest[k] if square <= largest[k] else square
            v.re[bus, k] = real if running[k] else v.re[bus, k]
            v.im[bus, k] = imag if running[k] else v.im[bus, k]
    return largest


@compiled
def iterate(circuit: Circuit, s: Planes, v: Planes) -> tuple[Integers, Integers]:
    """Equations (1) and (2) until (3) holds in every column of `v` (buses, columns); its status and iterations."""
    rows, width = len(circuit.row_bus), s.re.shape[1]
    status = np.full(width, 1, dtype=np.int64)
    iterations = np.zeros(width, dtype=np.int64)
    running = np.ones(width, dtype=np.bool_)
    last = np.zeros(width)
    require_fed(circuit.unfed_bus, s, v, status, running)
    injects = injecting(s)
    first = circuit.lead
    for j in range(circuit.lead):
        if injects[circuit.row_bus[j]]:
            first = 0
    x = Planes(np.empty((rows, width)), np.empty((rows, width)))
    for _ in range(ITERATION_LIMIT):
        if not running.any():
            break
        x.re[first:], x.im[first:] = 0.0, 0.0
        subtract_sources(circuit, v, x)
        forward(circuit, first, injects, s, v, x)
        step = np.sqrt(backward(circuit, first, x, running, v))
        for k in range(width):
            iterations[k] += running[k]
            stands_still = step[k] <= TOLERANCE_PU
            within = step[k] < last[k] and step[k] * step[k] <= TOLERANCE_PU * (last[k] - step[k])
            if running[k] and (stands_still or within):
                status[k], running[k] = 0, False
            elif not step[k] <= DIVERGED_PU:
                running[k] = False
            last[k] = step[k]
    fill_passive(circuit, first, v)
    return status, iterations


@compiled
def fill_passive(circuit: Circuit, first: int, v: Planes) -> None:
    """Equation (1) of `chains` for the passive nodes that were left out of the iteration, last to first."""
    factors, column_bus = circuit.factors, circuit.column_bus
    for j in range(first - 1, -1, -1):
        bus = column_bus[j]
        for k in range(v.re.shape[1]):
            v.re[bus, k], v.im[bus, k] = 0.0, 0.0
        for entry in range(factors.u_start[j], factors.u_start[j + 1]):
            other = column_bus[factors.u_column[entry]]
            a, b = factors.u_value[entry].real, factors.u_value[entry].imag
            for k in range(v.re.shape[1]):
                v.re[bus, k] -= a * v.re[other, k] - b * v.im[other, k]
                v.im[bus, k] -= a * v.im[other, k] + b * v.re[other, k]


@compiled
def require_fed(unfed_bus: Integers, s: Planes, v: Planes, status: Integers, running: Flags) -> None:
    """Voltage zero at unfed buses; a column with an injection there is `ISLANDED` and does not run."""
    for bus in unfed_bus:
        for k in range(s.re.shape[1]):
            v.re[bus, k], v.im[bus, k] = 0.0, 0.0
            if s.re[bus, k] != 0 or s.im[bus, k] != 0:
                status[k], running[k] = 2, False


@compiled
def source_power(circuit: Circuit, s: Complexes, v: Complexes) -> Complexes:
    """What each source delivers into the grid, (sources, columns), per unit; injections at its bus are not its own."""
    power = np.zeros((len(circuit.source_bus), v.shape[1]), dtype=np.complex128)
    for entry in range(len(circuit.tie_source)):
        source, bus, y = circuit.tie_source[entry], circuit.tie_bus[entry], circuit.tie_y[entry]
        for k in range(v.shape[1]):
            power[source, k] += y * v[bus, k]
    for source in range(len(circuit.source_bus)):
        bus = circuit.source_bus[source]
        for k in range(v.shape[1]):
            power[source, k] = v[bus, k] * np.conj(power[source, k]) - s[bus, k]
    return power
