"""AC power flow by the fixed point on bus currents, for one period or a day of changing topologies.

    i_n     = conj(s_n / v_n)                        (1)
    Y_nn v' = i_n - Y_ns v_s                         (2)

repeated until no voltage moves by more than `TOLERANCE_PU`. With constant-power injections this is
the implicit Z-bus Gauss method; it contracts wherever a distribution grid is operated (Bolognani and
Zampieri, IEEE Trans. Power Syst. 31(1), 2016). Its other solutions repel, so what it finds is the
operating point. A period is iterated apart from the others: its result does not depend on them.

Powers are watts and vars in, injection positive; voltages are per unit.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from flexpeer.compiled import compiled
from flexpeer.errors import BadInput, Finding
from flexpeer.grid.admittance import Circuit, branch_currents, circuit_of, solve_rows
from flexpeer.grid.network import S_BASE_VA, Complexes, Flags, Floats, Integers, Network
from flexpeer.grid.topology import upper_from, without

TOLERANCE_PU = 1e-10
ITERATION_LIMIT = 200
DIVERGED_PU = 4.0
BLOCK = 16


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


@dataclass(frozen=True)
class FlowModel:
    """One topology, factorised."""

    network: Network
    circuit: Circuit


def flow_model(network: Network) -> FlowModel:
    """Factorise a network; raises `BadInput` as `circuit_of`."""
    return FlowModel(network, circuit_of(network))


class DayFlow:
    """A day of `periods` MTUs: one factorisation for each distinct topology.

    `outages` are pairs of a branch and the MTUs it is out. `topology_of` (periods,) indexes `models`;
    the first is the network as given. `upper_from` says which end of a branch is upper, all day long.
    """

    def __init__(
        self,
        network: Network,
        periods: int,
        outages: Sequence[tuple[str, Collection[int]]] = (),
        upper: Flags | None = None,
    ) -> None:
        _require_periods(periods, outages)
        out = [frozenset(name for name, mtus in outages if t in mtus) for t in range(periods)]
        distinct = list(dict.fromkeys([frozenset[str](), *out]))
        self.network = network
        self.periods = periods
        self.models = tuple(flow_model(without(network, sorted(names))) for names in distinct)
        self.topology_of: Integers = np.array([distinct.index(names) for names in out], dtype=np.int64)
        self.upper_from = upper_from(network) if upper is None else upper

    def source_v(self) -> Complexes:
        """The sources' own voltages in every period, (sources, periods)."""
        own = self.network.source_v_pu * np.exp(1j * self.network.source_angle_rad)
        return np.repeat(own[:, None], self.periods, axis=1)

    def unfed(self, mtu: int) -> tuple[str, ...]:
        """Names of the buses no source feeds in an MTU."""
        circuit = self.models[self.topology_of[mtu]].circuit
        return tuple(self.network.bus_names[bus] for bus in circuit.unfed_bus)

    def groups(self, mtus: Integers) -> list[tuple[Circuit, Integers]]:
        """Each topology among `mtus`, with the positions in `mtus` where it holds."""
        topology = self.topology_of[mtus]
        if (topology == topology[0]).all():
            return [(self.models[topology[0]].circuit, np.arange(len(mtus)))]
        return [(self.models[index].circuit, np.flatnonzero(topology == index)) for index in np.unique(topology)]

    def solve(
        self, p_w: Floats, q_var: Floats, source_v: Complexes | None = None, start: Complexes | None = None
    ) -> FlowResult:
        """Power flow of the day; every argument is (buses or sources, periods)."""
        s = per_unit(p_w, q_var)
        voltages = self.source_v() if source_v is None else source_v
        return flow(self, np.arange(self.periods), s, voltages, start)

    def losses_w(self, v: Complexes) -> Floats:
        """Losses of all branches in each period, (periods,), W."""
        losses = np.empty(self.periods)
        for circuit, at in self.groups(np.arange(self.periods)):
            current_from, current_to = branch_currents(circuit, v[:, at])
            power = v[:, at][circuit.branch_from] * np.conj(current_from)
            power += v[:, at][circuit.branch_to] * np.conj(current_to)
            losses[at] = power.real.sum(axis=0) * S_BASE_VA
        return losses


def _require_periods(periods: int, outages: Sequence[tuple[str, Collection[int]]]) -> None:
    outside = [(name, t) for name, mtus in outages for t in mtus if not 0 <= t < periods]
    if outside:
        expected = f"an MTU from 0 to {periods - 1}"
        raise BadInput(Finding("outage", 0, name, f"MTU {t} is outside the day", expected) for name, t in outside)


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
    return _solve_blocks(model.circuit, s, given, start)


def per_unit(p_w: Floats, q_var: Floats) -> Complexes:
    """Complex power per unit of W and var."""
    return np.asarray((np.asarray(p_w) + 1j * np.asarray(q_var)) / S_BASE_VA, dtype=np.complex128)


def losses_w(grid: Network | FlowModel, v: Complexes) -> Floats:
    """Losses of all branches at voltages `v` (buses, periods), (periods,), W."""
    circuit = grid.circuit if isinstance(grid, FlowModel) else circuit_of(grid)
    current_from, current_to = branch_currents(circuit, v)
    power = v[circuit.branch_from] * np.conj(current_from) + v[circuit.branch_to] * np.conj(current_to)
    return np.asarray(power.real.sum(axis=0) * S_BASE_VA)


def flow(day: DayFlow, mtus: Integers, s: Complexes, source_v: Complexes, start: Complexes | None) -> FlowResult:
    """Power flow of some MTUs of a day; every array has one column for each of `mtus`, per unit."""
    groups = day.groups(mtus)
    if len(groups) == 1:
        return _solve_blocks(groups[0][0], s, source_v, start)
    result = FlowResult(
        np.empty(s.shape, dtype=np.complex128),
        np.empty(source_v.shape, dtype=np.complex128),
        np.empty(len(mtus), dtype=np.int64),
        np.empty(len(mtus), dtype=np.int64),
    )
    for circuit, at in groups:
        part = _solve_blocks(circuit, s[:, at], source_v[:, at], None if start is None else start[:, at])
        result.v[:, at] = part.v
        result.source_power_w[:, at] = part.source_power_w
        result.status[at] = part.status
        result.iterations[at] = part.iterations
    return result


def _solve_blocks(circuit: Circuit, s: Complexes, source_v: Complexes, start: Complexes | None) -> FlowResult:
    periods = s.shape[1]
    v = np.zeros(s.shape, dtype=np.complex128) if start is None else start.astype(np.complex128)
    v[circuit.source_bus] = source_v
    status = np.empty(periods, dtype=np.int64)
    iterations = np.empty(periods, dtype=np.int64)
    power = np.empty(source_v.shape, dtype=np.complex128)
    for first in range(0, periods, BLOCK):
        block = slice(first, min(first + BLOCK, periods))
        part = np.ascontiguousarray(v[:, block])
        injected = np.ascontiguousarray(s[:, block])
        if start is None:
            no_load(circuit, part)
        status[block], iterations[block] = iterate(circuit, injected, part)
        power[:, block] = source_power(circuit, injected, part)
        v[:, block] = part
    failed = status != FlowStatus.CONVERGED
    v[:, failed] = np.nan
    power[:, failed] = np.nan
    return FlowResult(v, power * S_BASE_VA, status, iterations)


@compiled
def no_load(circuit: Circuit, v: Complexes) -> None:
    """Set the nodes of `v` (buses, columns) to the voltages without injections, given those of the sources."""
    x = np.zeros((len(circuit.row_bus), v.shape[1]), dtype=np.complex128)
    subtract_sources(circuit, v, x)
    solve_rows(circuit.factors, x)
    for c in range(len(circuit.column_bus)):
        v[circuit.column_bus[c]] = x[c]


@compiled
def subtract_sources(circuit: Circuit, v: Complexes, x: Complexes) -> None:
    """Subtract Y_ns v_s of equation (2) from `x` (rows, columns)."""
    for entry in range(len(circuit.coupling_row)):
        row, bus, y = circuit.coupling_row[entry], circuit.coupling_bus[entry], circuit.coupling_y[entry]
        for k in range(v.shape[1]):
            x[row, k] -= y * v[bus, k]


@compiled
def set_currents(row_bus: Integers, s: Complexes, v: Complexes, x: Complexes) -> None:
    """Equation (1) in row order; a bus without injection draws no current at any voltage."""
    for r in range(len(row_bus)):
        bus = row_bus[r]
        for k in range(s.shape[1]):
            power, at = s[bus, k], v[bus, k]
            if power == 0:
                x[r, k] = 0
            else:
                x[r, k] = np.conj(power) * at / (at.real * at.real + at.imag * at.imag)


@compiled
def take_voltages(column_bus: Integers, x: Complexes, v: Complexes, running: Flags) -> Floats:
    """Move running columns of `v` to the solution `x`; the largest squared change of each, NaN if not finite."""
    change = np.zeros(x.shape[1])
    for k in range(x.shape[1]):
        if not running[k]:
            continue
        largest = 0.0
        for c in range(len(column_bus)):
            bus = column_bus[c]
            step = x[c, k] - v[bus, k]
            square = step.real * step.real + step.imag * step.imag
            if not square <= largest:
                largest = square
            v[bus, k] = x[c, k]
        change[k] = largest
    return change


@compiled
def iterate(circuit: Circuit, s: Complexes, v: Complexes) -> tuple[Integers, Integers]:
    """Equations (1) and (2) until every column of `v` (buses, columns) stands still; its status and iterations."""
    width = s.shape[1]
    status = np.full(width, 1, dtype=np.int64)
    iterations = np.zeros(width, dtype=np.int64)
    running = np.ones(width, dtype=np.bool_)
    for bus in circuit.unfed_bus:
        for k in range(width):
            v[bus, k] = 0
            if s[bus, k] != 0:
                status[k], running[k] = 2, False
    x = np.empty((len(circuit.row_bus), width), dtype=np.complex128)
    for _ in range(ITERATION_LIMIT):
        if not running.any():
            break
        set_currents(circuit.row_bus, s, v, x)
        subtract_sources(circuit, v, x)
        solve_rows(circuit.factors, x)
        change = take_voltages(circuit.column_bus, x, v, running)
        for k in range(width):
            iterations[k] += running[k]
            if running[k] and change[k] <= TOLERANCE_PU * TOLERANCE_PU:
                status[k], running[k] = 0, False
            elif not change[k] <= DIVERGED_PU * DIVERGED_PU:
                running[k] = False
    return status, iterations


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
