"""A state in some MTUs, and how far a change takes it past what is allowed: the kernels of the grid check.

For an element with limit L whose value is x in the accepted state, a change may leave it at most at

    a = max(L, x)                                    (1)

In the accepted state a only falls: each accepted change sets a to min(a, max(L, x)). The excess of a change is the
largest (x - a) / L over everything in the MTUs it touches, and in their hours for hourly limits.
"""

from typing import NamedTuple

import numpy as np

from flexpeer.compiled import compiled
from flexpeer.grid.admittance import Circuit
from flexpeer.grid.limits import Gauges, loadings, magnitudes, point_powers, window_means
from flexpeer.grid.network import S_BASE_VA, Complexes, Floats, Integers
from flexpeer.grid.powerflow import fixed_point

_LOADING, _HIGH, _LOW, _EXPORT, _IMPORT = range(5)


class Columns(NamedTuple):
    """A state in some MTUs, one column each: `s` and `v` per unit, `power_w` at points per MTU."""

    s: Complexes
    v: Complexes
    source_power_w: Complexes
    status: Integers
    loading: Floats
    v_pu: Floats
    power_w: Floats


class Allowed(NamedTuple):
    """Equation (1) for every limit, (elements, periods); NaN where there is none."""

    loading: Floats
    high: Floats
    low: Floats
    power_w: Floats


class Accepted(NamedTuple):
    """The accepted state of a whole day, what it allows, and what both are measured by."""

    gauges: Gauges
    state: Columns
    allowed: Allowed


class Change(NamedTuple):
    """Changes of injection (rows, mtus), W + j var, at some buses; new voltages of all sources (sources, mtus), if any.

    `mtus` are distinct.
    """

    buses: Integers
    moved_va: Complexes
    source_v: Complexes
    mtus: Integers


NO_SOURCES: Complexes = np.zeros((0, 0), dtype=np.complex128)


class Excess(NamedTuple):
    """The excess of a change, at which kind (in `KINDS`, -1 without limits), element and column.

    Infinite where there is no state before or after. `headroom_w` is what was left there before the change: W at the
    element; for a voltage, watts of this change (its largest move in the MTU), by proportion.
    """

    excess: float
    kind: int
    element: int
    column: int
    headroom_w: float


_NOTHING = Excess(-np.inf, -1, -1, -1, 0.0)
_NO_STATE = Excess(np.inf, -1, -1, -1, 0.0)


@compiled
def begun(state: Columns, change: Change) -> tuple[Complexes, Complexes, Floats]:
    """Injections after a change and voltages to begin from, (buses, mtus), and its largest move in each MTU, W."""
    mtus = change.mtus
    s = np.empty((state.s.shape[0], len(mtus)), dtype=np.complex128)
    v = np.empty((state.s.shape[0], len(mtus)), dtype=np.complex128)
    largest_w = np.zeros(len(mtus))
    for k in range(len(mtus)):
        s[:, k], v[:, k] = state.s[:, mtus[k]], state.v[:, mtus[k]]
        for row in range(len(change.buses)):
            s[change.buses[row], k] += change.moved_va[row, k] / S_BASE_VA
            largest_w[k] = max(largest_w[k], abs(change.moved_va[row, k]))
    return s, v, largest_w


@compiled
def measured(
    circuit: Circuit, gauges: Gauges, s: Complexes, v: Complexes, power_w: Complexes, mtus: Integers
) -> Columns:
    """What limits are about where there is a state, with what sources deliver."""
    loading, points_w = loadings(circuit, gauges, v, mtus), point_powers(circuit, gauges, v, power_w)
    return Columns(s, v, power_w, np.zeros(len(mtus), dtype=np.int64), loading, magnitudes(v), points_w)


@compiled
def checked(circuit: Circuit, now: Accepted, change: Change) -> tuple[Complexes, Complexes, bool, Excess]:
    """One topology by the fixed point: voltages and sources' power after a change, whether they settled; its excess."""
    s, v, largest_w = begun(now.state, change)
    for source in range(len(change.source_v)):
        v[circuit.source_bus[source]] = change.source_v[source]
    power_w, status, _ = fixed_point(circuit, s, v)
    if status.any():
        return v, power_w, False, _NO_STATE
    new = measured(circuit, now.gauges, s, v, power_w, change.mtus)
    return v, power_w, True, excess(circuit, now, new, largest_w, change.mtus)


@compiled
def excess(circuit: Circuit, now: Accepted, new: Columns, largest_w: Floats, mtus: Integers) -> Excess:
    """The excess of a change that leads to `new`; `circuit` is the topology of the MTU where it is."""
    gauges, state, allowed = now
    if not _has_states(now, new.status, mtus):
        return _NO_STATE
    worst = _NOTHING
    loading, e, k = _largest(new.loading, allowed.loading, gauges.unit, 1.0, mtus)
    if loading > worst.excess:
        room = allowed.loading[e, mtus[k]] - state.loading[e, mtus[k]]
        worst = Excess(loading, _LOADING, e, k, room * _rated_w(circuit, gauges, e, mtus[k], new.v[:, k]))
    high, e, k = _largest(new.v_pu, allowed.high, gauges.v_max, 1.0, mtus)
    if high > worst.excess:
        worst = Excess(high, _HIGH, e, k, _share(allowed.high, state.v_pu, new.v_pu, e, k, mtus[k]) * largest_w[k])
    low, e, k = _largest(new.v_pu, allowed.low, gauges.v_min, -1.0, mtus)
    if low > worst.excess:
        worst = Excess(low, _LOW, e, k, _share(allowed.low, state.v_pu, new.v_pu, e, k, mtus[k]) * largest_w[k])
    power, e, k = _largest(
        means_after(gauges, state.power_w, new.power_w, mtus), allowed.power_w, gauges.scale_w, 1.0, mtus
    )
    if power > worst.excess:
        kind = _IMPORT if gauges.point_sign[e] > 0 else _EXPORT
        room = allowed.power_w[e, mtus[k]] - window_means(gauges, state.power_w, mtus[k : k + 1])[e, 0]
        worst = Excess(power, kind, e, k, room)
    return worst


@compiled
def means_after(gauges: Gauges, power_w: Floats, new_power_w: Floats, mtus: Integers) -> Floats:
    """What power limits are about after a change, (points, mtus): means over windows that reach beyond its MTUs."""
    powers = power_w.copy()
    for k in range(len(mtus)):
        powers[:, mtus[k]] = new_power_w[:, k]
    return window_means(gauges, powers, mtus)


@compiled
def _has_states(now: Accepted, after: Integers, mtus: Integers) -> bool:
    """Whether there is a state after a change, and before it in all MTUs of its windows."""
    gauges, status = now.gauges, now.state.status
    for k in range(len(mtus)):
        if after[k] != 0 or status[mtus[k]] != 0:
            return False
        for e in range(gauges.first.shape[0]):
            if status[gauges.first[e, mtus[k]] : gauges.end[e, mtus[k]]].any():
                return False
    return True


@compiled
def _largest(value: Floats, allowed: Floats, scale: Floats, sign: float, mtus: Integers) -> tuple[float, int, int]:
    """The largest `sign` (value - allowed) / scale, its element and its position in `mtus`; -1 if there is none."""
    most, element, column = -np.inf, -1, -1
    for e in range(value.shape[0]):
        for k in range(len(mtus)):
            over = sign * (value[e, k] - allowed[e, mtus[k]]) / scale[e, mtus[k]]
            if over > most:
                most, element, column = over, e, k
    return most, element, column


@compiled
def _rated_w(circuit: Circuit, gauges: Gauges, branch: int, mtu: int, v: Complexes) -> float:
    """What the rating of a branch's worse end is at nominal voltage."""
    v_from, v_to = v[circuit.branch_from[branch]], v[circuit.branch_to[branch]]
    load_from, load_to = gauges.load_from[branch, mtu], gauges.load_to[branch, mtu]
    at_from = load_from * abs(circuit.yff[branch] * v_from + circuit.yft[branch] * v_to)
    at_to = load_to * abs(circuit.ytf[branch] * v_from + circuit.ytt[branch] * v_to)
    return float(S_BASE_VA / (load_from if at_from >= at_to else load_to))


@compiled
def _share(allowed: Floats, before: Floats, after: Floats, bus: int, column: int, mtu: int) -> float:
    """What part of a change of voltage is allowed."""
    change = after[bus, column] - before[bus, mtu]
    return (allowed[bus, mtu] - before[bus, mtu]) / change if change != 0.0 else 0.0


@compiled
def adopt(now: Accepted, new: Columns, mtus: Integers) -> None:
    """Write what a change leads to into the state, and lower what it improved past a limit."""
    gauges, state, allowed = now
    for k in range(len(mtus)):
        t = mtus[k]
        state.s[:, t], state.v[:, t], state.source_power_w[:, t] = new.s[:, k], new.v[:, k], new.source_power_w[:, k]
        state.loading[:, t], state.v_pu[:, t] = new.loading[:, k], new.v_pu[:, k]
        state.power_w[:, t], state.status[t] = new.power_w[:, k], new.status[k]
    for t in mtus:
        for e in range(state.loading.shape[0]):
            allowed.loading[e, t] = min(allowed.loading[e, t], max(1.0, state.loading[e, t]))
        for e in range(state.v_pu.shape[0]):
            allowed.high[e, t] = min(allowed.high[e, t], max(gauges.v_max[e, t], state.v_pu[e, t]))
            allowed.low[e, t] = max(allowed.low[e, t], min(gauges.v_min[e, t], state.v_pu[e, t]))
        for e in range(state.power_w.shape[0]):
            window = np.arange(gauges.first[e, t], gauges.end[e, t])
            means = window_means(gauges, state.power_w, window)
            for at, hour in enumerate(window):
                most = max(gauges.limit_w[e, hour], means[e, at])
                allowed.power_w[e, hour] = min(allowed.power_w[e, hour], most)


def take(state: Columns, mtus: Integers) -> Columns:
    """A copy of some MTUs of a state."""
    return Columns._make(values[..., mtus] for values in state)


def put(state: Columns, mtus: Integers, columns: Columns) -> None:
    """Write some MTUs of a state."""
    for values, new in zip(state, columns, strict=True):
        values[..., mtus] = new
