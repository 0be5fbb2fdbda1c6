"""The grid check of one trade: full AC on the accepted state, against ratcheting limits.

For an element with limit L whose value is x in the accepted state, a trade may leave it at most at

    a = max(L, x)                                    (1)

In the accepted state a only falls: each accepted trade sets a to min(a, max(L, x)). So what is past its
limit may improve but never worsen, and the tolerance of a comparison (`TOLERANCE` of L) is given once
and never adds up over trades. The excess of a trade is the largest (x - a) / L over everything in the
MTUs it touches, and in their hours for hourly limits; it fits when that is within the tolerance.
The tolerance of a limit of active power below 1 kW is that of 1 kW.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from flexpeer.compiled import compiled
from flexpeer.grid.bracket import Bracket
from flexpeer.grid.limits import (
    KINDS,
    TOLERANCE,
    Gauges,
    Kind,
    Limits,
    Readings,
    gauges_of,
    loadings,
    magnitudes,
    point_powers,
    window_means,
)
from flexpeer.grid.network import S_BASE_VA, Complexes, Floats, Integers
from flexpeer.grid.powerflow import DayFlow, FlowResult, FlowStatus, flow, per_unit
from flexpeer.grid.sensitivity import Metric, Sensitivity, sensitivity


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


class Binding(NamedTuple):
    """The element nearest to refusing a trade.

    `headroom_w` is what it still had room for before the trade: W at the element; for a voltage, watts of
    this trade (largest move in the MTU), by proportion.
    """

    element: str
    kind: Kind
    mtu: int
    headroom_w: float


@dataclass(frozen=True, eq=False)
class Assessment:
    """What a trade would do in `mtus`. `excess` is infinite if the power flow did not converge in all of them."""

    converged: bool
    excess: float
    binding: Binding | None
    mtus: Integers
    columns: Columns
    basis: int

    @property
    def fits(self) -> bool:
        """Whether the trade passes no limit and worsens nothing past its limit."""
        return self.converged and self.excess <= TOLERANCE

    @property
    def v_new(self) -> Complexes:
        """Voltages after the trade, (buses, mtus), per unit."""
        return self.columns.v

    @property
    def source_power_w(self) -> Complexes:
        """What each source delivers after the trade, (sources, mtus), W + j var."""
        return self.columns.source_power_w


class Snapshot(NamedTuple):
    """State and ratchets of some MTUs, to return to."""

    mtus: Integers
    columns: Columns
    allowed: Allowed


class TradeScreen:
    """The accepted state of one grid over a day, and the check of changes to it.

    Injections are (buses, periods), W and var; `source_v` (sources, periods) replaces the sources' own
    voltages. `status` (periods,) says where the starting point has no state: nothing fits there.
    """

    def __init__(
        self, day: DayFlow, limits: Limits, p_w: Floats, q_var: Floats, source_v: Complexes | None = None
    ) -> None:
        self._day = day
        self._limits = limits
        self._branch_of = {name: index for index, name in enumerate(day.network.branch_names)}
        self._bus_of = {name: index for index, name in enumerate(day.network.bus_names)}
        self._gauges = gauges_of(day, limits)
        self._every = np.arange(day.periods)
        voltages = day.source_v() if source_v is None else np.asarray(source_v, dtype=np.complex128)
        self._state = self._flow(per_unit(p_w, q_var), voltages, self._every, None)
        self._allowed = self._starting_limits()
        self._changes = 0
        self._changed_at = np.zeros(day.periods, dtype=np.int64)

    @property
    def status(self) -> Integers:
        """`FlowStatus` of the accepted state, (periods,)."""
        return self._state.status

    @property
    def v(self) -> Complexes:
        """Voltages of the accepted state, (buses, periods), per unit; not to be written to."""
        return self._state.v

    @property
    def allowed(self) -> Allowed:
        """The ratchets of equation (1); not to be written to."""
        return self._allowed

    def injections(self) -> tuple[Floats, Floats]:
        """Accepted injections, W and var, each (buses, periods)."""
        return self._state.s.real * S_BASE_VA, self._state.s.imag * S_BASE_VA

    def source_power_w(self, mtus: Integers) -> Complexes:
        """What each source delivers in the accepted state, (sources, mtus), W + j var."""
        return self._state.source_power_w[:, mtus]

    def evaluate(
        self,
        buses: Integers,
        mtus: Integers,
        delta_p_w: Floats,
        delta_q_var: Floats | None = None,
        source_v: Complexes | None = None,
    ) -> Assessment:
        """What changing injections at `buses` by (buses, mtus) would do; nothing is changed.

        `mtus` are distinct. `source_v` (sources, mtus) are new voltages of all sources, if they change too.
        """
        at = np.asarray(mtus, dtype=np.int64)
        delta = np.broadcast_to(delta_p_w, (len(buses), len(at))) / S_BASE_VA
        s = self._state.s[:, at]
        np.add.at(s, buses, delta if delta_q_var is None else delta + 1j * delta_q_var / S_BASE_VA)
        new_v = None if source_v is None else np.asarray(source_v, dtype=np.complex128)
        return self._assessed(s, new_v, at, delta)

    def with_sources(self, assessment: Assessment, source_v: Complexes) -> Assessment:
        """What the injections of an assessment would do with other voltages of all sources, (sources, mtus)."""
        s, at = assessment.columns.s, assessment.mtus
        return self._assessed(s, source_v, at, s - self._state.s[:, at])

    def _assessed(
        self, s: Complexes, source_v: Complexes | None, at: Integers, delta: Complexes | Floats
    ) -> Assessment:
        """What injections `s` (buses, at) would do; `delta` are their changes."""
        old = self._state.v[:, at]
        columns = self._flow(s, old[self._day.network.source_bus] if source_v is None else source_v, at, old)
        if not (columns.status == FlowStatus.CONVERGED).all() or not self._based(at):
            return Assessment(False, math.inf, None, at, columns, self._changes)
        means = self._means(columns, at)
        excess, kind, element, column = worst(self._gauges, self._allowed, columns, means, at)
        binding = self._binding(kind, element, column, (at, columns, delta)) if kind >= 0 else None
        return Assessment(True, excess, binding, at, columns, self._changes)

    def _means(self, columns: Columns, mtus: Integers) -> Floats:
        powers = self._state.power_w.copy()
        powers[:, mtus] = columns.power_w
        return window_means(self._gauges, powers, mtus)

    def read(self, assessment: Assessment) -> tuple[Readings, Allowed]:
        """What was assessed against what is allowed, in the MTUs of the assessment."""
        columns, at = assessment.columns, assessment.mtus
        loading = np.where(self._gauges.rated[:, at], columns.loading, np.nan)
        allowed = Allowed(*(values[:, at] for values in self._allowed))
        return Readings(loading, columns.v_pu, self._means(columns, at)), allowed

    def sensitivity(self, assessment: Assessment, metric: Metric) -> Sensitivity:
        """Of a metric in the MTUs of an assessment, around what it leads to."""
        at, columns = assessment.mtus, assessment.columns
        s, v = self._state.s.copy(), self._state.v.copy()
        s[:, at], v[:, at] = columns.s, columns.v
        nothing = np.zeros(self._day.periods, dtype=np.int64)
        result = FlowResult(v, self._state.source_power_w, np.full(nothing.shape, FlowStatus.CONVERGED), nothing)
        return sensitivity(self._day, result, s.real * S_BASE_VA, s.imag * S_BASE_VA, metric, at)

    def accept(self, assessment: Assessment) -> None:
        """Make a change that fits the accepted state; `ValueError` if it does not, or others came between."""
        if not assessment.fits:
            raise ValueError("a change that does not fit cannot be accepted")
        self._require_current(assessment)
        self._adopt(assessment)

    def set_source_voltage(self, mtus: Integers, source_v: Complexes) -> Assessment:
        """Take over voltages (sources, mtus) that another grid dictates, whether or not everything then fits.

        Ratchets never rise by it. `ValueError`, and no change, if the power flow does not converge.
        """
        nothing = np.zeros(0, dtype=np.int64)
        assessment = self.evaluate(nothing, mtus, np.zeros((0, len(mtus))), None, source_v)
        if not assessment.converged:
            raise ValueError("no power flow with these source voltages")
        self._adopt(assessment)
        return assessment

    def slack(self, element: str, kind: Kind, mtu: int) -> float:
        """Room of an element in the accepted state, as a fraction of its limit; negative past what is allowed."""
        gauges, allowed, state = self._gauges, self._allowed, self._state
        if kind is Kind.LOADING:
            branch = self._branch_of[element]
            return float(allowed.loading[branch, mtu] - state.loading[branch, mtu])
        if kind in (Kind.HIGH, Kind.LOW):
            bus = self._bus_of[element]
            band = allowed.high if kind is Kind.HIGH else allowed.low
            return float(abs(band[bus, mtu] - state.v_pu[bus, mtu]))
        means = window_means(gauges, state.power_w, np.array([mtu]))[:, 0]
        named = [(name, point) == (element, kind) for name, point in self._points()]
        rooms = (allowed.power_w[:, mtu] - means) / gauges.scale_w[:, mtu]
        return float(rooms[np.array(named)].min())

    def reading(self, element: str, kind: Kind) -> Floats:
        """What a limit is about in the accepted state, (periods,), in the unit of its kind; hourly, the hour's mean."""
        row: Floats
        if kind is Kind.LOADING:
            row = self._state.loading[self._branch_of[element]].copy()
        elif kind in (Kind.HIGH, Kind.LOW):
            row = self._state.v_pu[self._bus_of[element]].copy()
        else:
            means = window_means(self._gauges, self._state.power_w, self._every)
            row = means[self._points().index((element, kind))]
        return row

    def _points(self) -> list[tuple[str, Kind]]:
        return list(zip(self._limits.point_element, self._limits.point_kind, strict=True))

    def snapshot(self, mtus: Integers) -> Snapshot:
        """State and ratchets of the MTUs and the rest of their hours."""
        at = self._with_hours(np.asarray(mtus, dtype=np.int64))
        return Snapshot(at, take(self._state, at), Allowed(*(values[:, at] for values in self._allowed)))

    def restore(self, snapshot: Snapshot) -> None:
        """Return to a snapshot; every change since in its MTUs is undone."""
        put(self._state, snapshot.mtus, snapshot.columns)
        for values, old in zip(self._allowed, snapshot.allowed, strict=True):
            values[:, snapshot.mtus] = old
        self._mark(snapshot.mtus)

    def _flow(self, s: Complexes, source_v: Complexes, mtus: Integers, start: Complexes | None) -> Columns:
        result = flow(self._day, mtus, s, source_v, start)
        loading = np.empty((self._day.network.branch_count, len(mtus)))
        power = np.empty((len(self._limits.point_element), len(mtus)))
        for model, at in self._day.groups(mtus):
            circuit = model.circuit
            v = np.ascontiguousarray(result.v[:, at])
            loading[:, at] = loadings(circuit, self._gauges, v, mtus[at])
            power[:, at] = point_powers(circuit, self._gauges, v, np.ascontiguousarray(result.source_power_w[:, at]))
        return Columns(s, result.v, result.source_power_w, result.status, loading, magnitudes(result.v), power)

    def _starting_limits(self) -> Allowed:
        gauges, state = self._gauges, self._state
        means = window_means(gauges, state.power_w, self._every)
        return Allowed(
            np.where(gauges.rated, np.maximum(state.loading, 1.0), np.nan),
            np.maximum(gauges.v_max, state.v_pu),
            np.where(state.v_pu > 0.0, np.minimum(gauges.v_min, state.v_pu), np.nan),
            np.maximum(gauges.limit_w, means),
        )

    def _based(self, mtus: Integers) -> bool:
        return bool((self._state.status[self._with_hours(mtus)] == FlowStatus.CONVERGED).all())

    def _with_hours(self, mtus: Integers) -> Integers:
        if len(self._limits.point_element) == 0:
            return mtus
        first, end = self._limits.first[:, mtus].min(axis=0), self._limits.end[:, mtus].max(axis=0)
        spans = [np.arange(a, b) for a, b in zip(first, end, strict=True)]
        return np.unique(np.concatenate([mtus, *spans]))

    def _require_current(self, assessment: Assessment) -> None:
        if (self._changed_at[self._with_hours(assessment.mtus)] > assessment.basis).any():
            raise ValueError("the state changed since this was assessed")

    def _adopt(self, assessment: Assessment) -> None:
        put(self._state, assessment.mtus, assessment.columns)
        means = window_means(self._gauges, self._state.power_w, self._every)
        ratchet(self._gauges, self._allowed, assessment.columns, means, assessment.mtus)
        self._mark(assessment.mtus)

    def _mark(self, mtus: Integers) -> None:
        self._changes += 1
        self._changed_at[mtus] = self._changes

    def _binding(self, kind: int, e: int, k: int, change: tuple[Integers, Columns, Complexes | Floats]) -> Binding:
        mtus, new, delta = change
        t = int(mtus[k])
        network, state = self._day.network, self._state
        if KINDS[kind] is Kind.LOADING:
            room = self._allowed.loading[e, t] - state.loading[e, t]
            return Binding(network.branch_names[e], Kind.LOADING, t, float(room * self._rating_w(e, t, new.v[:, k])))
        if KINDS[kind] in (Kind.EXPORT, Kind.IMPORT):
            mean = window_means(self._gauges, state.power_w, mtus[k : k + 1])[e, 0]
            room = self._allowed.power_w[e, t] - mean
            return Binding(self._limits.point_element[e], KINDS[kind], t, float(room))
        limit = self._allowed.high if KINDS[kind] is Kind.HIGH else self._allowed.low
        moved = new.v_pu[e, k] - state.v_pu[e, t]
        largest_w = float(np.abs(delta[:, k]).max(initial=0.0)) * S_BASE_VA
        share = (limit[e, t] - state.v_pu[e, t]) / moved if moved else 0.0
        return Binding(network.bus_names[e], KINDS[kind], t, float(share * largest_w))

    def _rating_w(self, branch: int, mtu: int, v: Complexes) -> float:
        circuit = self._day.models[self._day.topology_of[mtu]].circuit
        v_from, v_to = v[circuit.branch_from[branch]], v[circuit.branch_to[branch]]
        load_from = self._gauges.load_from[branch, mtu]
        load_to = self._gauges.load_to[branch, mtu]
        at_from = load_from * abs(circuit.yff[branch] * v_from + circuit.yft[branch] * v_to)
        at_to = load_to * abs(circuit.ytf[branch] * v_from + circuit.ytt[branch] * v_to)
        return float(S_BASE_VA / (load_from if at_from >= at_to else load_to))


def take(state: Columns, mtus: Integers) -> Columns:
    """A copy of some MTUs of a state."""
    return Columns._make(values[..., mtus] for values in state)


def put(state: Columns, mtus: Integers, columns: Columns) -> None:
    """Write some MTUs of a state."""
    for values, new in zip(state, columns, strict=True):
        values[..., mtus] = new


def worst(gauges: Gauges, allowed: Allowed, new: Columns, means: Floats, mtus: Integers) -> tuple[float, int, int, int]:
    """The largest excess and its kind (index in `KINDS`, -1 without limits), element and position in `mtus`."""
    sides = (
        (new.loading, allowed.loading, gauges.unit, 1.0),
        (new.v_pu, allowed.high, gauges.v_max, 1.0),
        (new.v_pu, allowed.low, gauges.v_min, -1.0),
        (means, allowed.power_w, gauges.scale_w, 1.0),
    )
    found = [(*largest_excess(*side, mtus), kind) for kind, side in enumerate(sides)]
    excess, element, column, kind = max(found, key=lambda row: row[0])
    if kind == len(sides) - 1 and element >= 0 and gauges.point_sign[element] > 0:
        kind = KINDS.index(Kind.IMPORT)
    return float(excess), kind if element >= 0 else -1, element, column


@compiled
def largest_excess(
    value: Floats, allowed: Floats, scale: Floats, sign: float, mtus: Integers
) -> tuple[float, int, int]:
    """The largest `sign` (value - allowed) / scale, its element and its position in `mtus`; -1 if there is none."""
    excess, element, column = -np.inf, -1, -1
    for e in range(value.shape[0]):
        for k in range(len(mtus)):
            over = sign * (value[e, k] - allowed[e, mtus[k]]) / scale[e, mtus[k]]
            if over > excess:
                excess, element, column = over, e, k
    return excess, element, column


@compiled
def ratchet(gauges: Gauges, allowed: Allowed, new: Columns, means: Floats, mtus: Integers) -> None:
    """Lower what the new state in `mtus` improved; `means` (points, periods) are of the whole new day."""
    for k in range(len(mtus)):
        t = mtus[k]
        for e in range(new.loading.shape[0]):
            allowed.loading[e, t] = min(allowed.loading[e, t], max(1.0, new.loading[e, k]))
        for e in range(new.v_pu.shape[0]):
            allowed.high[e, t] = min(allowed.high[e, t], max(gauges.v_max[e, t], new.v_pu[e, k]))
            allowed.low[e, t] = max(allowed.low[e, t], min(gauges.v_min[e, t], new.v_pu[e, k]))
        for e in range(means.shape[0]):
            for hour in range(gauges.first[e, t], gauges.end[e, t]):
                most = max(gauges.limit_w[e, hour], means[e, hour])
                allowed.power_w[e, hour] = min(allowed.power_w[e, hour], most)


def largest(excess: Callable[[int], float], quantity_w: int) -> int:
    """The largest whole quantity from 0 to `quantity_w` whose `excess` is within half the tolerance.

    `quantity_w` itself has the whole tolerance. The other half is left for the rounding of later trades,
    which would otherwise be refused for what they did not cause. `excess` rises through the tolerance
    once; infinite means no power flow.
    """
    last = excess(quantity_w)
    if quantity_w <= 0 or last <= TOLERANCE:
        return max(quantity_w, 0)
    goal = TOLERANCE / 2
    bracket = Bracket(0, excess(0) - goal, quantity_w, last - goal)
    if bracket.under > 0:
        return 0
    while bracket.high - bracket.low > 1:
        guess = bracket.guess()
        bracket = bracket.narrowed(guess, excess(guess) - goal)
    return bracket.low
