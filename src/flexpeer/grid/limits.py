"""What a grid's state may not pass, and how far a state is from it.

| kind | element | value | limit |
|---|---|---|---|
| loading | branch | current at the worse end over its rating | 1 |
| high, low | bus | voltage magnitude, pu | band |
| export, import | branch at its upper end, or source | active power in that direction, W | `limit_w` |

Export flows from the grid towards the source, import the other way. An hourly limit (a subscription)
is compared with the mean of its hour's MTUs; where it differs within the hour, the lowest counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from flexpeer.compiled import compiled
from flexpeer.errors import BadInput, Finding
from flexpeer.grid.admittance import Circuit
from flexpeer.grid.network import S_BASE_VA, Complexes, Flags, Floats, Integers, Network
from flexpeer.grid.powerflow import DayFlow, FlowResult

TOLERANCE = 1e-6
POWER_SCALE_MIN_W = 1_000.0


class Kind(StrEnum):
    """What is limited, and on which side."""

    LOADING = "loading"
    HIGH = "high"
    LOW = "low"
    EXPORT = "export"
    IMPORT = "import"


KINDS = tuple(Kind)


class PowerLimit(NamedTuple):
    """Active power through a branch or source: `limit_w` for all MTUs or (periods,), NaN where there is none."""

    element: str
    direction: Kind
    limit_w: float | Floats
    hourly: bool = False


@dataclass(frozen=True)
class Limits:
    """Limits of every element in every MTU; NaN where there is none.

    Shapes: `rating_*_a` (branches, periods), A; `v_*_pu` (buses, periods); `limit_w` and the window of
    MTUs it is a mean over, `first` <= t < `end` (points, periods). A point is one `PowerLimit`, at
    branch `point_branch` or source `point_source` (the other is -1), in the direction `point_kind`.
    """

    rating_from_a: Floats
    rating_to_a: Floats
    v_min_pu: Floats
    v_max_pu: Floats
    point_element: tuple[str, ...]
    point_kind: tuple[Kind, ...]
    point_branch: Integers
    point_source: Integers
    limit_w: Floats
    first: Integers
    end: Integers


def relief_needed(value: Floats, limit: Floats, margin: float) -> Floats:
    """What brings values to their limit less a fraction of it, where they are past it; 0 elsewhere, and for NaN."""
    past = value > limit + TOLERANCE * np.abs(limit)
    return np.nan_to_num(np.where(past, value - limit + margin * np.abs(limit), 0.0)).clip(min=0.0)


def limits_of(
    network: Network, periods: int, power: Sequence[PowerLimit] = (), hour_starts: Sequence[int] = ()
) -> Limits:
    """The network's ratings and voltage bands in every MTU, and these limits of active power.

    `hour_starts` are the first MTU of each hour plus `periods` (`MarketDay.hour_starts`); without it each
    MTU is an hour. Raises `BadInput` with every unknown element and unusable limit.
    """
    branches = {name: index for index, name in enumerate(network.branch_names)}
    sources = {name: index for index, name in enumerate(network.source_names)}
    _require_usable(network, power, branches.keys() | sources.keys())
    starts = np.array(hour_starts or range(periods + 1), dtype=np.int64)
    hour = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    mtus = np.arange(periods)
    hourly = np.array([point.hourly for point in power], dtype=np.bool_)[:, None]
    limit_w = np.array([np.broadcast_to(point.limit_w, (periods,)) for point in power], dtype=np.float64)
    return Limits(
        _each_mtu(network.rating_from_a, periods),
        _each_mtu(network.rating_to_a, periods),
        _each_mtu(network.v_min_pu, periods),
        _each_mtu(network.v_max_pu, periods),
        tuple(point.element for point in power),
        tuple(point.direction for point in power),
        np.array([branches.get(point.element, -1) for point in power], dtype=np.int64),
        np.array([-1 if p.element in branches else sources[p.element] for p in power], dtype=np.int64),
        _lowest_of_hour(limit_w.reshape(len(power), periods), hourly, starts),
        np.where(hourly, starts[hour], mtus),
        np.where(hourly, starts[hour + 1], mtus + 1),
    )


def overhead_factor(temperature_c: Floats, t_max_c: float, t_ref_c: float) -> Floats:
    """What air at `temperature_c` makes of an overhead line's rating, (periods,): sqrt((Tmax - Ta) / (Tmax - Tref)).

    Heat goes off in proportion to how much hotter the conductor is than the air, and comes with the square of the
    current; sun and wind stay as assumed in the rating. Zero where the air is as hot as the conductor may be.
    """
    factor: Floats = np.sqrt(np.clip(t_max_c - temperature_c, 0.0, None) / (t_max_c - t_ref_c))
    return factor


def with_unbalance(
    limits: Limits, at_branch: Flags, at_bus: Flags, current_percent: float, voltage_pu: float
) -> Limits:
    """Limits with a margin for loads unequal over the phases, at these branches (branches,) and buses (buses,).

    The fullest phase carries `current_percent` more than the mean, which is what is calculated, so the mean may reach
    1 / (1 + `current_percent` / 100) of a rating; bands are narrower by `voltage_pu` on both sides.
    """
    share = np.where(at_branch, 1.0 / (1.0 + current_percent / 100.0), 1.0)[:, None]
    margin = np.where(at_bus, voltage_pu, 0.0)[:, None]
    return replace(
        limits,
        rating_from_a=limits.rating_from_a * share,
        rating_to_a=limits.rating_to_a * share,
        v_min_pu=limits.v_min_pu + margin,
        v_max_pu=limits.v_max_pu - margin,
    )


def _each_mtu(values: Floats, periods: int) -> Floats:
    return np.repeat(values[:, None].astype(np.float64), periods, axis=1)


def _lowest_of_hour(limit_w: Floats, hourly: Flags, starts: Integers) -> Floats:
    if limit_w.size == 0:
        return limit_w
    lowest = np.repeat(np.fmin.reduceat(limit_w, starts[:-1], axis=1), np.diff(starts), axis=1)
    return np.where(hourly, lowest, limit_w)


def _require_usable(network: Network, power: Sequence[PowerLimit], elements: set[str]) -> None:
    def fault(name: str, problem: str, expected: str) -> Finding:
        """One thing wrong with a limit."""
        return Finding("limits", 0, name, problem, expected)

    faults = [
        fault(point.element, "no such branch or source", "an element of this grid")
        for point in power
        if point.element not in elements
    ]
    directions = (Kind.EXPORT, Kind.IMPORT)
    faults += [fault(p.element, p.direction, "export or import") for p in power if p.direction not in directions]
    faults += [
        fault(p.element, "a limit below zero", "zero or more W") for p in power if np.any(np.less(p.limit_w, 0.0))
    ]
    below = np.less_equal(network.rating_from_a, 0) | np.less_equal(network.rating_to_a, 0)
    faults += [
        fault(network.branch_names[branch], "a rating not above zero", "amperes, or NaN for no limit")
        for branch in np.flatnonzero(below)
    ]
    if faults:
        raise BadInput(faults)


class Gauges(NamedTuple):
    """`Limits` as kernels read them.

    `load_*` are one per-unit current over the rating, zero where there is none; `unit` is the limit of a
    loading, 1 everywhere; `point_sign` is 1 for import, -1 for export; `scale_w` is what the tolerance of
    a limit is a fraction of.
    """

    load_from: Floats
    load_to: Floats
    unit: Floats
    rated: Flags
    v_min: Floats
    v_max: Floats
    point_branch: Integers
    point_source: Integers
    point_upper_from: Flags
    point_sign: Floats
    limit_w: Floats
    scale_w: Floats
    first: Integers
    end: Integers


def gauges_of(day: DayFlow, limits: Limits) -> Gauges:
    """Prepare limits for the kernels."""
    base_a = day.network.bus_base_a()
    load_from = base_a[day.network.branch_from][:, None] / limits.rating_from_a
    load_to = base_a[day.network.branch_to][:, None] / limits.rating_to_a
    rated = np.isfinite(load_from) | np.isfinite(load_to)
    at_branch = limits.point_branch >= 0
    upper = np.zeros(len(at_branch), dtype=np.bool_)
    upper[at_branch] = day.upper_from[limits.point_branch[at_branch]]
    return Gauges(
        np.nan_to_num(load_from),
        np.nan_to_num(load_to),
        np.ones_like(load_to),
        rated,
        limits.v_min_pu,
        limits.v_max_pu,
        limits.point_branch,
        limits.point_source,
        upper,
        np.array([1.0 if kind is Kind.IMPORT else -1.0 for kind in limits.point_kind]),
        limits.limit_w,
        np.fmax(limits.limit_w, POWER_SCALE_MIN_W),
        limits.first,
        limits.end,
    )


@compiled
def loadings(circuit: Circuit, gauges: Gauges, v: Complexes, mtus: Integers) -> Floats:
    """Current at the worse end of each branch over its rating, (branches, mtus); zero where there is no rating."""
    loading = np.zeros((len(circuit.branch_from), len(mtus)))
    for b in range(len(circuit.branch_from)):
        f, t = circuit.branch_from[b], circuit.branch_to[b]
        yff, yft, ytf, ytt = circuit.yff[b], circuit.yft[b], circuit.ytf[b], circuit.ytt[b]
        for k in range(len(mtus)):
            at_from = yff * v[f, k] + yft * v[t, k]
            at_to = ytf * v[f, k] + ytt * v[t, k]
            load_from = gauges.load_from[b, mtus[k]] ** 2 * (at_from.real**2 + at_from.imag**2)
            load_to = gauges.load_to[b, mtus[k]] ** 2 * (at_to.real**2 + at_to.imag**2)
            loading[b, k] = np.sqrt(max(load_from, load_to))
    return loading


@compiled
def magnitudes(v: Complexes) -> Floats:
    """Voltage magnitudes, like `v`."""
    return np.sqrt(v.real**2 + v.imag**2)


@compiled
def point_powers(circuit: Circuit, gauges: Gauges, v: Complexes, source_power_w: Complexes) -> Floats:
    """Active power at each point in its direction, (points, columns), W."""
    power = np.zeros((len(gauges.point_branch), v.shape[1]))
    for e in range(len(gauges.point_branch)):
        b = gauges.point_branch[e]
        for k in range(v.shape[1]):
            if b < 0:
                power[e, k] = gauges.point_sign[e] * source_power_w[gauges.point_source[e], k].real
                continue
            at_from, at_to = v[circuit.branch_from[b], k], v[circuit.branch_to[b], k]
            if gauges.point_upper_from[e]:
                into = at_from * np.conj(circuit.yff[b] * at_from + circuit.yft[b] * at_to)
            else:
                into = at_to * np.conj(circuit.ytf[b] * at_from + circuit.ytt[b] * at_to)
            power[e, k] = gauges.point_sign[e] * into.real * S_BASE_VA
    return power


@dataclass(frozen=True)
class Readings:
    """A day's state against its limits; NaN in MTUs without a state.

    `loading` (branches, periods) is a fraction, NaN where there is no rating; `v_pu` (buses, periods) is zero at
    unfed buses; `power_w` (points, periods) is in the point's direction and, where hourly, its hour's mean.
    """

    loading: Floats
    v_pu: Floats
    power_w: Floats


def read(day: DayFlow, limits: Limits, result: FlowResult) -> Readings:
    """Measure the state of a whole day."""
    gauges = gauges_of(day, limits)
    mtus = np.arange(day.periods)
    loading = np.empty((day.network.branch_count, day.periods))
    power = np.empty((len(limits.point_element), day.periods))
    for model, at in day.groups(mtus):
        circuit = model.circuit
        v = np.ascontiguousarray(result.v[:, at])
        loading[:, at] = loadings(circuit, gauges, v, mtus[at])
        ends, at_ends = open_end_loadings(
            model.network, limits.rating_from_a[:, at], limits.rating_to_a[:, at], magnitudes(v)
        )
        loading[ends[:, None], at] = np.fmax(loading[ends[:, None], at], at_ends)
        power[:, at] = point_powers(circuit, gauges, v, np.ascontiguousarray(result.source_power_w[:, at]))
    loading[~gauges.rated] = np.nan
    return Readings(loading, magnitudes(np.ascontiguousarray(result.v)), window_means(gauges, power, mtus))


def open_end_loadings(
    network: Network, rating_from_a: Floats, rating_to_a: Floats, v_pu: Floats
) -> tuple[Integers, Floats]:
    """Branches that are open at one end, and their loading there, (of them, columns); 0 where there is no rating.

    Ratings are (branches, columns), `v_pu` (buses, columns).
    """
    ends = np.flatnonzero(network.open_ends())
    branch, bus = network.shunt_branch[ends], network.shunt_bus[ends]
    at_from = network.branch_from[branch] == bus
    rating_a = np.where(at_from[:, None], rating_from_a[branch], rating_to_a[branch])
    current_a = (np.abs(network.shunts()[ends]) * network.bus_base_a()[bus])[:, None] * v_pu[bus]
    return branch, np.nan_to_num(current_a / rating_a)


@compiled
def window_means(gauges: Gauges, power: Floats, mtus: Integers) -> Floats:
    """Mean of `power` (points, periods) over the window of each of `mtus`, (points, mtus)."""
    mean = np.empty((power.shape[0], len(mtus)))
    for e in range(power.shape[0]):
        for k in range(len(mtus)):
            first, end = gauges.first[e, mtus[k]], gauges.end[e, mtus[k]]
            mean[e, k] = power[e, first:end].sum() / (end - first)
    return mean


class Violation(NamedTuple):
    """A limit passed in an MTU (of an hourly limit, the hour's first); units as `Kind`."""

    element: str
    kind: Kind
    mtu: int
    value: float
    limit: float


def violations(day: DayFlow, limits: Limits, readings: Readings) -> tuple[Violation, ...]:
    """Every limit passed by more than `TOLERANCE` of itself, by kind, element and MTU."""
    network, slack = day.network, 1.0 + TOLERANCE
    fed = readings.v_pu > 0.0
    scale_w = np.fmax(limits.limit_w, POWER_SCALE_MIN_W)
    own = limits.first == np.arange(day.periods)
    found = [
        (
            Kind.LOADING,
            network.branch_names,
            readings.loading,
            np.ones_like(readings.loading),
            readings.loading > slack,
        ),
        (Kind.HIGH, network.bus_names, readings.v_pu, limits.v_max_pu, readings.v_pu > limits.v_max_pu * slack),
        (Kind.LOW, network.bus_names, readings.v_pu, limits.v_min_pu, fed & _below(readings.v_pu, limits.v_min_pu)),
    ]
    rows = [
        Violation(names[e], kind, int(t), float(value[e, t]), float(limit[e, t]))
        for kind, names, value, limit, passed in found
        for e, t in np.argwhere(passed)
    ]
    passed = own & (readings.power_w > limits.limit_w + TOLERANCE * scale_w)
    rows += [
        Violation(limits.point_element[e], limits.point_kind[e], int(t), float(readings.power_w[e, t]), float(limit))
        for e, t in np.argwhere(passed)
        for limit in [limits.limit_w[e, t]]
    ]
    return tuple(rows)


def _below(v_pu: Floats, v_min_pu: Floats) -> Flags:
    return np.less(v_pu, v_min_pu * (1.0 - TOLERANCE))
