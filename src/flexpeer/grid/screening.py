"""The grid check of one trade: full AC on the accepted state, against ratcheting limits.

What is allowed (`excess`) only falls from trade to trade. So what is past its limit may improve but never worsen, and
the tolerance of a comparison (`TOLERANCE` of a limit) is given once and never adds up over trades. A trade fits when
its excess is within the tolerance. The tolerance of a limit of active power below 1 kW is that of 1 kW.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np

from flexpeer.grid.bracket import Bracket, closed_in, guess
from flexpeer.grid.checking import GridCheck, adopted, begun_from, check, excess_of, grid_check, replaced, turned
from flexpeer.grid.excess import (
    NO_SOURCES,
    Allowed,
    Change,
    Columns,
    Excess,
    means_after,
    measured,
    put,
    take,
)
from flexpeer.grid.limits import (
    KINDS,
    TOLERANCE,
    Kind,
    Limits,
    Readings,
    gauges_of,
    window_means,
)
from flexpeer.grid.network import S_BASE_VA, Complexes, Floats, Integers
from flexpeer.grid.powerflow import DayFlow, FlowModel, FlowResult, FlowStatus, flow, per_unit
from flexpeer.grid.ramp import closed
from flexpeer.grid.sensitivity import Metric, Sensitivity, sensitivity
from flexpeer.quantities import QUANTITY_LIMIT_W

Arrays = TypeVar("Arrays", Columns, Allowed)


class Binding(NamedTuple):
    """The element nearest to refusing a trade.

    `headroom_w` is what it still had room for before the trade: W at the element; for a voltage, watts of
    this trade (largest move in the MTU), by proportion, at most what any order may have.
    """

    element: str
    kind: Kind
    mtu: int
    headroom_w: float


@dataclass(frozen=True, eq=False)
class Assessment:
    """What a change would do. `excess` is infinite if the power flow did not converge in all its MTUs.

    `v_new` (buses, mtus) are the voltages it leads to, per unit; `source_power_w` (sources, mtus) is what each source
    then delivers, W + j var.
    """

    excess: float
    binding: Binding | None
    change: Change
    v_new: Complexes
    source_power_w: Complexes
    basis: int

    @property
    def converged(self) -> bool:
        """Whether there is a state, before and after."""
        return self.excess < math.inf

    @property
    def mtus(self) -> Integers:
        """Where it changes something."""
        return self.change.mtus

    @property
    def fits(self) -> bool:
        """Whether the trade passes no limit and worsens nothing past its limit."""
        return self.excess <= TOLERANCE


class Snapshot(NamedTuple):
    """State and ratchets of some MTUs, to return to, and the ratchets of power limits in all of their `hours`."""

    mtus: Integers
    columns: Columns
    allowed: Allowed
    hours: Integers
    allowed_power_w: Floats


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
        state = self._flow(per_unit(p_w, q_var), voltages, self._every, None)
        self._state = _by_column(state, "s", "v", "loading", "v_pu")
        self._allowed = _by_column(self._starting_limits(), "loading", "high", "low")
        self._now = turned(self._gauges, self._state, self._allowed)
        self._grids: dict[int, GridCheck] = {}
        self._hours_of: dict[bytes, Integers] = {}
        self._rows: dict[tuple[str, Kind], list[int]] = {}
        for row, point in enumerate(self._points()):
            self._rows.setdefault(point, []).append(row)
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
        """`assess`, with active and reactive changes apart, each for all or every one of (buses, mtus)."""
        at = np.asarray(mtus, dtype=np.int64)
        moved_va = np.empty((len(buses), len(at)), dtype=np.complex128)
        moved_va.real, moved_va.imag = delta_p_w, 0.0 if delta_q_var is None else delta_q_var
        return self.assess(Change(buses, moved_va, NO_SOURCES if source_v is None else source_v, at))

    def with_sources(self, assessment: Assessment, source_v: Complexes) -> Assessment:
        """What a change would do with other voltages of all sources, (sources, mtus); `ValueError` as `accept`."""
        self._require_current(assessment)
        return self.assess(assessment.change._replace(source_v=source_v))

    def assess(self, change: Change) -> Assessment:
        """What a change would do; nothing is changed."""
        groups = self._day.groups(change.mtus)
        if len(groups) == 1 and not groups[0][0].controlled:
            v, power_w, settled, worst, kind, at, column, room = check(self._grid(groups[0][0]), *change)
            if settled:
                return self._assessment(Excess(worst, kind, at, column, room), change, v, power_w)
        return self._assess_slowly(change)

    def closed(self, ramp: Integers, mtus: Integers, bracket: Bracket) -> int | None:
        """The most ticks in a bracket that fit in some MTUs (`ramp.closed`); None where only `assess` can tell."""
        groups = self._day.groups(mtus)
        if len(groups) > 1 or groups[0][0].controlled:
            return None
        return closed(self._grid(groups[0][0]), ramp, mtus, bracket)

    def _grid(self, model: FlowModel) -> GridCheck:
        """What kernels know of a topology and the state."""
        known = self._grids.get(id(model))
        if known is None:
            known = self._grids[id(model)] = grid_check(model.circuit, self._now)
        return known

    def _assess_slowly(self, change: Change) -> Assessment:
        """Any topologies, by whatever finds a state."""
        models = self._day.models
        s, start, largest_w = begun_from(self._grid(models[0]), change)
        source_v = change.source_v if len(change.source_v) else start[self._day.network.source_bus]
        columns = self._flow(s, source_v, change.mtus, start)
        found = excess_of(self._grid(models[0]), columns, largest_w, change.mtus)
        if found.column >= 0:
            own = models[self._day.topology_of[change.mtus[found.column]]]
            found = excess_of(self._grid(own), columns, largest_w, change.mtus)
        return self._assessment(found, change, columns.v, columns.source_power_w)

    def _assessment(self, found: Excess, change: Change, v: Complexes, power_w: Complexes) -> Assessment:
        binding = None if found.kind < 0 else self._binding(found, int(change.mtus[found.column]))
        return Assessment(found.excess, binding, change, v, power_w, self._changes)

    def _binding(self, found: Excess, mtu: int) -> Binding:
        kind, network = KINDS[found.kind], self._day.network
        if kind is Kind.LOADING:
            names = network.branch_names
        else:
            names = network.bus_names if kind in (Kind.HIGH, Kind.LOW) else self._limits.point_element
        headroom_w = min(max(found.headroom_w, -float(QUANTITY_LIMIT_W)), float(QUANTITY_LIMIT_W))
        return Binding(names[found.element], kind, mtu, headroom_w)

    def read(self, assessment: Assessment) -> tuple[Readings, Allowed]:
        """What was assessed against what is allowed, in the MTUs of the assessment."""
        columns, at = self._led_to(assessment), assessment.mtus
        loading = np.where(self._gauges.rated[:, at], columns.loading, np.nan)
        allowed = Allowed(*(values[:, at] for values in self._allowed))
        return Readings(
            loading, columns.v_pu, means_after(self._gauges, self._state.power_w, columns.power_w, at)
        ), allowed

    def sensitivity(self, assessment: Assessment, metric: Metric) -> Sensitivity:
        """Of a metric in the MTUs of an assessment, around what it leads to."""
        at, columns = assessment.mtus, self._led_to(assessment)
        s, v = self._state.s.copy(), self._state.v.copy()
        s[:, at], v[:, at] = columns.s, columns.v
        nothing = np.zeros(self._day.periods, dtype=np.int64)
        result = FlowResult(v, self._state.source_power_w, np.full(nothing.shape, FlowStatus.CONVERGED), nothing)
        return sensitivity(self._day, result, s.real * S_BASE_VA, s.imag * S_BASE_VA, metric, at)

    def accept(self, assessment: Assessment) -> None:
        """Make a change that fits the accepted state; `ValueError` if it does not, or others came between."""
        if not assessment.fits:
            raise ValueError("a change that does not fit cannot be accepted")
        self._adopt(assessment)

    def hold(self, assessment: Assessment) -> Snapshot:
        """`accept` it; what there was before."""
        groups = self._day.groups(assessment.mtus)
        if len(groups) > 1 or not assessment.fits:
            snapshot = self.snapshot(assessment.mtus)
            self.accept(assessment)
            return snapshot
        self._require_current(assessment)
        hours, grid = self._with_hours(assessment.mtus), self._grid(groups[0][0])
        power_w = self._allowed.power_w[:, hours]
        before = replaced(grid, assessment.change, assessment.v_new, assessment.source_power_w)
        self._mark(assessment.mtus)
        return Snapshot(assessment.mtus, *before, hours, power_w)

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
        rows = self._rows[element, kind]
        return min(float((allowed.power_w[row, mtu] - means[row]) / gauges.scale_w[row, mtu]) for row in rows)

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
        at = np.asarray(mtus, dtype=np.int64)
        hours, allowed = self._with_hours(at), Allowed._make(values[:, at] for values in self._allowed)
        return Snapshot(at, take(self._state, at), allowed, hours, self._allowed.power_w[:, hours])

    def restore(self, snapshot: Snapshot) -> None:
        """Return to a snapshot; every change since in its MTUs is undone."""
        put(self._state, snapshot.mtus, snapshot.columns)
        for values, old in zip(self._allowed, snapshot.allowed, strict=True):
            values[:, snapshot.mtus] = old
        self._allowed.power_w[:, snapshot.hours] = snapshot.allowed_power_w
        self._mark(snapshot.mtus)

    def _flow(self, s: Complexes, source_v: Complexes, mtus: Integers, start: Complexes | None) -> Columns:
        result = flow(self._day, mtus, s, source_v, start)
        return self._measured(s, result.v, result.source_power_w, mtus)._replace(status=result.status)

    def _led_to(self, assessment: Assessment) -> Columns:
        """The state that a change leads to; `ValueError` if others came between."""
        self._require_current(assessment)
        s, _, _ = begun_from(self._grid(self._day.models[0]), assessment.change)
        return self._measured(s, assessment.v_new, assessment.source_power_w, assessment.mtus)

    def _measured(self, s: Complexes, v: Complexes, power_w: Complexes, mtus: Integers) -> Columns:
        groups = self._day.groups(mtus)
        if len(groups) == 1:
            return measured(groups[0][0].circuit, self._gauges, s, v, power_w, mtus)
        none, points = np.zeros(len(mtus), dtype=np.int64), len(self._limits.point_element)
        loading, at_points = np.empty((self._day.network.branch_count, len(mtus))), np.empty((points, len(mtus)))
        whole = Columns(s, v, power_w, none, loading, np.empty(v.shape), at_points)
        for model, at in groups:
            own_s, own_v, own_w = (np.ascontiguousarray(values[:, at]) for values in (s, v, power_w))
            put(whole, at, measured(model.circuit, self._gauges, own_s, own_v, own_w, mtus[at]))
        return whole

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
        known = self._hours_of.get(mtus.tobytes())
        if known is None:
            first, end = self._limits.first[:, mtus].min(axis=0), self._limits.end[:, mtus].max(axis=0)
            spans = [np.arange(a, b) for a, b in zip(first, end, strict=True)]
            known = self._hours_of[mtus.tobytes()] = np.unique(np.concatenate([mtus, *spans]))
        return known

    def _require_current(self, assessment: Assessment) -> None:
        if (self._changed_at[self._with_hours(assessment.mtus)] > assessment.basis).any():
            raise ValueError("the state changed since this was assessed")

    def _adopt(self, assessment: Assessment) -> None:
        adopted(self._grid(self._day.models[0]), self._led_to(assessment), assessment.mtus)
        self._mark(assessment.mtus)

    def _mark(self, mtus: Integers) -> None:
        self._changes += 1
        self._changed_at[mtus] = self._changes


def _by_column(arrays: Arrays, *names: str) -> Arrays:
    """The same, each MTU's values of these side by side in memory, as a check reads and writes them."""
    return arrays._replace(**{name: np.asfortranarray(getattr(arrays, name)) for name in names})


def largest(excess_at: Callable[[int], float], quantity_w: int) -> int:
    """The largest whole quantity from 0 to `quantity_w` whose `excess_at` is within half the tolerance.

    `quantity_w` itself has the whole tolerance. The other half is left for the rounding of later trades,
    which would otherwise be refused for what they did not cause. `excess_at` rises through the tolerance
    once; infinite means no power flow.
    """
    last = excess_at(quantity_w)
    if quantity_w <= 0 or last <= TOLERANCE:
        return max(quantity_w, 0)
    bracket = bracket_of(excess_at(0), quantity_w, last)
    while bracket.high - bracket.low > 1:
        at = guess(bracket)
        bracket = closed_in(bracket, at, excess_at(at) - TOLERANCE / 2)
    return bracket.low


def bracket_of(at_nothing: float, quantity_w: int, at_quantity: float) -> Bracket:
    """Between nothing and a quantity that does not fit, given the excess at both; empty where there is no room."""
    goal = TOLERANCE / 2
    if at_nothing - goal > 0:
        return Bracket(0, 0.0, 0, 0.0)
    return Bracket(0, float(at_nothing - goal), quantity_w, float(at_quantity - goal))
