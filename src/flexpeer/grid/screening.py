"""The grid check of one trade: full AC on the accepted state, against ratcheting limits.

What is allowed (`excess`) only falls from trade to trade. So what is past its limit may improve but never worsen, and
the tolerance of a comparison (`TOLERANCE` of a limit) is given once and never adds up over trades. A trade fits when
its excess is within the tolerance. The tolerance of a limit of active power below 1 kW is that of 1 kW.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from flexpeer.grid.bracket import Bracket
from flexpeer.grid.excess import (
    Accepted,
    Allowed,
    Columns,
    Excess,
    adopt,
    checked,
    excess,
    means_after,
    moved,
    put,
    started,
    take,
)
from flexpeer.grid.limits import (
    KINDS,
    TOLERANCE,
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
        self._sources = day.network.source_bus.astype(np.int64)
        self._as_accepted = np.zeros((0, 0), dtype=np.complex128)
        self._state = self._flow(per_unit(p_w, q_var), voltages, self._every, None)
        self._allowed = self._starting_limits()
        self._now = Accepted(self._gauges, self._state, self._allowed)
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
        delta_w = np.broadcast_to(delta_p_w, (len(buses), len(mtus)))
        return self.try_change(buses, mtus, delta_w + 1j * (0.0 if delta_q_var is None else delta_q_var), source_v)

    def try_change(
        self, buses: Integers, mtus: Integers, delta_va: Complexes, source_v: Complexes | None = None
    ) -> Assessment:
        """`evaluate` of changes (buses, mtus) of W + j var."""
        at = np.asarray(mtus, dtype=np.int64)
        s, largest_w = moved(self._state, buses, delta_va, at)
        return self._assessed(s, source_v, at, largest_w)

    def with_sources(self, assessment: Assessment, source_v: Complexes) -> Assessment:
        """What the injections of an assessment would do with other voltages of all sources, (sources, mtus)."""
        s, at = assessment.columns.s, assessment.mtus
        return self._assessed(s, source_v, at, np.abs(s - self._state.s[:, at]).max(axis=0) * S_BASE_VA)

    def _assessed(self, s: Complexes, source_v: Complexes | None, at: Integers, largest_w: Floats) -> Assessment:
        """What injections `s` (buses, at) would do, which change by `largest_w` (at,) at most."""
        v = started(self._state, self._sources, self._as_accepted if source_v is None else source_v, at)
        groups = self._day.groups(at)
        if len(groups) == 1 and not groups[0][0].controlled:
            circuit = groups[0][0].circuit
            columns, found = checked(circuit, self._now, s, v, largest_w, at)
            if not columns.status.any():
                return self._assessment(found, at, columns)
        columns, circuit = self._flow(s, v[self._sources], at, v), groups[0][0].circuit
        found = excess(circuit, self._now, columns, largest_w, at)
        if found.column >= 0:
            circuit = self._day.models[self._day.topology_of[at[found.column]]].circuit
            found = excess(circuit, self._now, columns, largest_w, at)
        return self._assessment(found, at, columns)

    def _assessment(self, found: Excess, at: Integers, columns: Columns) -> Assessment:
        binding = None if found.kind < 0 else self._binding(found, int(at[found.column]))
        return Assessment(found.excess < math.inf, found.excess, binding, at, columns, self._changes)

    def _binding(self, found: Excess, mtu: int) -> Binding:
        kind, network = KINDS[found.kind], self._day.network
        if kind is Kind.LOADING:
            names = network.branch_names
        else:
            names = network.bus_names if kind in (Kind.HIGH, Kind.LOW) else self._limits.point_element
        return Binding(names[found.element], kind, mtu, found.headroom_w)

    def read(self, assessment: Assessment) -> tuple[Readings, Allowed]:
        """What was assessed against what is allowed, in the MTUs of the assessment."""
        columns, at = assessment.columns, assessment.mtus
        loading = np.where(self._gauges.rated[:, at], columns.loading, np.nan)
        allowed = Allowed(*(values[:, at] for values in self._allowed))
        return Readings(loading, columns.v_pu, means_after(self._now, columns, at)), allowed

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
        """Any topologies, by whatever finds a state."""
        result = flow(self._day, mtus, s, source_v, start)
        loading = np.empty((self._day.network.branch_count, len(mtus)))
        power = np.empty((len(self._limits.point_element), len(mtus)))
        for model, at in self._day.groups(mtus):
            v, delivered = (np.ascontiguousarray(each[:, at]) for each in (result.v, result.source_power_w))
            loading[:, at] = loadings(model.circuit, self._gauges, v, mtus[at])
            power[:, at] = point_powers(model.circuit, self._gauges, v, delivered)
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
        adopt(self._now, assessment.columns, assessment.mtus)
        self._mark(assessment.mtus)

    def _mark(self, mtus: Integers) -> None:
        self._changes += 1
        self._changed_at[mtus] = self._changes


def largest(excess_at: Callable[[int], float], quantity_w: int) -> int:
    """The largest whole quantity from 0 to `quantity_w` whose `excess_at` is within half the tolerance.

    `quantity_w` itself has the whole tolerance. The other half is left for the rounding of later trades,
    which would otherwise be refused for what they did not cause. `excess_at` rises through the tolerance
    once; infinite means no power flow.
    """
    last = excess_at(quantity_w)
    if quantity_w <= 0 or last <= TOLERANCE:
        return max(quantity_w, 0)
    goal = TOLERANCE / 2
    bracket = Bracket(0, excess_at(0) - goal, quantity_w, last - goal)
    if bracket.under > 0:
        return 0
    while bracket.high - bracket.low > 1:
        guess = bracket.guess()
        bracket = bracket.narrowed(guess, excess_at(guess) - goal)
    return bracket.low
