"""The cheapest flexible power that brings every limit of a day into band: needs by optimisation.

    minimise    sum c (u + d)  +  PENALTY sum e                                          (1)
    subject to  x + g^T (u - d - m) - e  <=  L - margin   for each row                   (2)
                0 <= u <= up,   0 <= d <= down,   e >= 0

u and d are what injections rise and fall by (units, MTUs); m the same in the state that x and g, a row's value and its
sensitivities (`sensitivity`), belong to; c is what a watt costs, at most 1. A row is one limit in one MTU, or in one
hour where it is on hourly means, scaled so that its largest sensitivity is 1: x, L and e are then watts of flexible
power. Rows are the limits passed so far and, in their MTUs and without the margin, those that come near. Round after
round (2) is linearised anew in the AC state of the last answer, until AC power flow finds nothing past a limit and the
cost falls no further. MTUs that no hourly mean joins are apart in all of this: each part has its own best answer and
its own end. Solved by HiGHS (Huangfu, Hall, Math. Prog. Comp. 10, 2018).
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import block_array, coo_array, csr_array, eye_array

from flexpeer.grid.limits import POWER_SCALE_MIN_W, Kind, Limits, Readings, Violation, band_pu, read, violations
from flexpeer.grid.network import Flags, Floats, Integers
from flexpeer.grid.powerflow import DayFlow, FlowResult
from flexpeer.grid.sensitivity import Metric, Quantity, sensitivity

PENALTY = 1e4
ROUNDS = 8
ROWS_PER_ROUND = 2_000
NEGLIGIBLE = 1e-4
NEAR = 0.3
NEAR_VOLTAGE = 0.01
WORTHWHILE = 2e-3
IN_REACH = 2.0


class Flexible(NamedTuple):
    """Units that can move: their buses (units,), and by how many watts injection can rise and fall (units, periods).

    `price` (units,) is what a watt costs beside the others', above 0.
    """

    bus: Integers
    up_w: Floats
    down_w: Floats
    price: Floats


class ReliefDay(NamedTuple):
    """What a relief is sought for: injections (buses, periods), W and var."""

    flow: DayFlow
    limits: Limits
    p_w: Floats
    q_var: Floats


class MovedDay(NamedTuple):
    """A day with some moves made, and its power flow."""

    p_w: Floats
    result: FlowResult
    readings: Readings


@dataclass(frozen=True)
class Relief:
    """The answer, checked by AC power flow.

    `change_w` (units, periods) is the change of injection, found in `rounds`. `left` is what is past a limit all the
    same, `out_of_reach` those of it that not even all moves towards it together would bring back. `overload_percent` is
    the most of it, percentage points of the limit; None where an MTU has no state.
    """

    change_w: Floats
    rounds: int
    left: tuple[Violation, ...]
    out_of_reach: frozenset[Violation]
    overload_percent: float | None

    @property
    def power_w(self) -> float:
        """All moves of all MTUs together, W."""
        return float(np.abs(self.change_w).sum())


class _Trial(NamedTuple):
    """Some moves, the state they lead to, and per part (parts,) what they leave past limits and cost.

    `overload` is a fraction of the limit, infinite where there is no state.
    """

    change_w: Floats
    state: MovedDay
    left: tuple[Violation, ...]
    overload: Floats
    cost: Floats


class ReliefRow(NamedTuple):
    """One limit to keep: `kind` and element index, and the MTUs whose mean counts."""

    kind: Kind
    element: int
    first: int
    end: int


class _Lines(NamedTuple):
    """Inequalities (2): slopes (rows, units x periods), and how far each row may still rise."""

    slope: csr_array
    room: Floats


def least_relief(day: ReliefDay, flexible: Flexible, margin: float = 0.0, rounds: int = ROUNDS) -> Relief:
    """Moves of the flexible units that bring the day into its limits less `margin`, at the least cost.

    `margin` is a fraction of a limit, of a voltage a fraction of its band. Once a part keeps its limits, its rounds go
    on as long as one saves more than `WORTHWHILE` of the cost.
    """
    part = _parts(day.limits)
    rows: dict[ReliefRow, None] = {}
    passed: set[ReliefRow] = set()
    trial = _tried(day, flexible, part, np.zeros_like(flexible.up_w))
    change_w, best, found_in = trial.change_w.copy(), trial, 0
    sought = (trial.overload > 0.0) & np.isfinite(trial.overload)
    for done in range(1, rounds + 1):
        if not sought.any():
            break
        near = _nearest(day, trial.state.readings, [v for v in trial.left if sought[part[v.mtu]]])
        passed |= {row for distance, row in near if distance > 0.0}
        rows |= dict.fromkeys(row for _, row in near)
        here = [row for row in rows if sought[part[row.first]]]
        lines = _linearised(day, flexible, trial.state, here, np.array([margin * (row in passed) for row in here]))
        before = trial
        moves = np.where(sought[part], _solved(lines, here, flexible, trial.change_w), trial.change_w)
        trial = _tried(day, flexible, part, moves)
        better = sought & _better(trial, best)
        if better.any():
            found_in = done
        change_w = np.where(better[part], trial.change_w, change_w)
        best = best._replace(
            overload=np.where(better, trial.overload, best.overload), cost=np.where(better, trial.cost, best.cost)
        )
        kept = (trial.overload == 0.0) & (before.overload == 0.0)
        settled = kept & (trial.cost > (1.0 - WORTHWHILE) * before.cost)
        sought &= np.isfinite(trial.overload) & ~settled
    return _judged(day, flexible, _tried(day, flexible, part, change_w), found_in)


def _parts(limits: Limits) -> Integers:
    """The part of each MTU, (periods,), numbered from 0: MTUs that the mean of a limit joins are one."""
    periods = limits.rating_from_a.shape[1]
    counts = np.isfinite(limits.limit_w)
    start = np.where(counts, limits.first, np.arange(periods)).min(axis=0, initial=periods)
    return np.unique(np.minimum(start, np.arange(periods)), return_inverse=True)[1].astype(np.int64)


def _tried(day: ReliefDay, flexible: Flexible, part: Integers, change_w: Floats) -> _Trial:
    """What AC power flow says of some moves, and the state they lead to."""
    p_w = day.p_w.copy()
    np.add.at(p_w, flexible.bus, change_w)
    result = day.flow.solve(p_w, day.q_var)
    state = MovedDay(p_w, result, read(day.flow, day.limits, result))
    left = violations(day.flow, day.limits, state.readings)
    overload = np.zeros(part.max(initial=-1) + 1)
    np.maximum.at(overload, part[~result.converged], np.inf)
    for violation in left:
        at = part[violation.mtu]
        overload[at] = max(overload[at], excess(violation))
    spent = (np.abs(change_w) * flexible.price[:, None]).sum(axis=0)
    return _Trial(change_w, state, left, overload, np.bincount(part, spent, len(overload)).astype(np.float64))


def _better(trial: _Trial, best: _Trial) -> Flags:
    """Where it leaves less past limits or, where both leave as much, costs less, (parts,)."""
    as_much = trial.overload == best.overload
    better: Flags = (trial.overload < best.overload) | (as_much & (trial.cost < best.cost))
    return better


def _judged(day: ReliefDay, flexible: Flexible, trial: _Trial, rounds: int) -> Relief:
    overload = 100.0 * float(trial.overload.max(initial=0.0))
    out = frozenset(violation for violation in trial.left if _is_out_of_reach(day, flexible, trial, violation))
    return Relief(trial.change_w, rounds, trial.left, out, overload if np.isfinite(overload) else None)


def _is_out_of_reach(day: ReliefDay, flexible: Flexible, trial: _Trial, violation: Violation) -> bool:
    """Whether `IN_REACH` x the first-order effect of all that units can still move towards it is too little."""
    row = _row_of(day, violation)
    mtus = np.arange(row.first, row.end)
    if not trial.state.result.converged[mtus].all():
        return False
    value, slope = _slopes(day, trial.state, row.kind, row.element, mtus)
    of_units = slope[flexible.bus] / len(mtus)
    fall, rise = flexible.down_w + trial.change_w, flexible.up_w - trial.change_w
    reach = np.where(of_units > 0.0, of_units * fall[:, mtus], -of_units * rise[:, mtus]).sum()
    past = value.mean() - _limit(day.limits, row.kind, row.element)[row.first]
    return bool(IN_REACH * reach < past)


def _row_of(day: ReliefDay, violation: Violation) -> ReliefRow:
    """The limit that is passed."""
    network, limits, kind, mtu = day.flow.network, day.limits, violation.kind, violation.mtu
    if kind in (Kind.EXPORT, Kind.IMPORT):
        pairs = zip(limits.point_element, limits.point_kind, limits.limit_w[:, mtu], strict=True)
        element = list(pairs).index((violation.element, kind, violation.limit))
        return ReliefRow(kind, element, int(limits.first[element, mtu]), int(limits.end[element, mtu]))
    names = network.branch_names if kind is Kind.LOADING else network.bus_names
    return ReliefRow(kind, names.index(violation.element), mtu, mtu + 1)


def excess(violation: Violation) -> float:
    """How far something is past its limit, as a fraction of the limit."""
    if violation.kind is Kind.LOW:
        return (violation.limit - violation.value) / violation.limit
    scale = violation.limit if violation.kind in (Kind.LOADING, Kind.HIGH) else max(violation.limit, POWER_SCALE_MIN_W)
    return (violation.value - violation.limit) / scale


def _nearest(day: ReliefDay, readings: Readings, past: list[Violation]) -> list[tuple[float, ReliefRow]]:
    """In the MTUs of violations, the rows past or near their limit: how far past, the worst first.

    Fractions of the limit; voltages so that `NEAR_VOLTAGE` counts as `NEAR`.
    """
    limits, mtus = day.limits, np.unique(np.array([violation.mtu for violation in past], dtype=np.int64))
    fed = readings.v_pu > 0.0
    measured = (
        (Kind.LOADING, readings.loading, np.ones_like(readings.loading), 1.0),
        (Kind.HIGH, readings.v_pu, limits.v_max_pu, NEAR_VOLTAGE / NEAR),
        (Kind.LOW, -np.where(fed, readings.v_pu, np.nan), -limits.v_min_pu, NEAR_VOLTAGE / NEAR),
    )
    found: list[tuple[float, ReliefRow]] = []
    for kind, value, limit, scale in measured:
        distance = (value[:, mtus] - limit[:, mtus]) / scale
        for element, k in np.argwhere(distance > -NEAR):
            row = ReliefRow(kind, int(element), int(mtus[k]), int(mtus[k]) + 1)
            found.append((float(distance[element, k]), row))
    for element, kind in enumerate(limits.point_kind):
        bound = np.fmax(limits.limit_w[element, mtus], POWER_SCALE_MIN_W)
        distance = (readings.power_w[element, mtus] - limits.limit_w[element, mtus]) / bound
        for k in np.flatnonzero(distance > -NEAR):
            window = int(limits.first[element, mtus[k]]), int(limits.end[element, mtus[k]])
            found.append((float(distance[k]), ReliefRow(kind, element, *window)))
    return sorted(found, key=lambda each: (-each[0], each[1]))[:ROWS_PER_ROUND]


def _linearised(day: ReliefDay, flexible: Flexible, state: MovedDay, rows: list[ReliefRow], margin: Floats) -> _Lines:
    """Equation (2) around a state for every row; each element is differentiated once for all its MTUs."""
    by_element: dict[tuple[Kind, int], list[int]] = {}
    for number, row in enumerate(rows):
        by_element.setdefault((row.kind, row.element), []).append(number)
    entries: list[tuple[Integers, Integers, Floats]] = []
    room = np.zeros(len(rows))
    for (kind, element), numbers in by_element.items():
        mtus = np.unique(np.concatenate([np.arange(rows[n].first, rows[n].end) for n in numbers]))
        value, slope = _slopes(day, state, kind, element, mtus)
        slope, limit, span = slope[flexible.bus], _limit(day.limits, kind, element), _span(day.limits, kind, element)
        for n in numbers:
            at = np.searchsorted(mtus, np.arange(rows[n].first, rows[n].end))
            of_units = slope[:, at] / len(at)
            scale = float(np.abs(of_units).max(initial=0.0)) or 1.0
            target = limit[rows[n].first] - margin[n] * span[rows[n].first]
            room[n] = (target - value[at].mean()) / scale
            unit, k = np.nonzero(np.abs(of_units) > NEGLIGIBLE * scale)
            column = unit * day.flow.periods + rows[n].first + k
            entries.append((np.full(len(unit), n), column, of_units[unit, k] / scale))
    row_of, column_of, value_of = (np.concatenate([entry[i] for entry in entries]) for i in range(3))
    shape = (len(rows), flexible.up_w.size)
    return _Lines(csr_array(coo_array((value_of, (row_of, column_of)), shape=shape)), room)


def _slopes(day: ReliefDay, state: MovedDay, kind: Kind, element: int, mtus: Integers) -> tuple[Floats, Floats]:
    """Value (mtus,) and its change per watt injected (buses, mtus), signed so that more is worse."""
    quantity, index, sign = _quantity(day.limits, kind, element)
    metric = Metric(quantity, index)
    found = sensitivity(day.flow, state.result, state.p_w, day.q_var, metric, mtus)
    if kind is Kind.LOADING:
        loading: Floats = state.readings.loading[element, mtus]
        return loading, found.per_w * (loading / np.where(found.value == 0, 1.0, found.value))
    return sign * found.value, sign * found.per_w


def _quantity(limits: Limits, kind: Kind, element: int) -> tuple[Quantity, int, float]:
    """What is differentiated for a limit, of which element, and its sign."""
    if kind is Kind.LOADING:
        return Quantity.BRANCH_APPARENT, element, 1.0
    if kind in (Kind.HIGH, Kind.LOW):
        return Quantity.BUS_VOLTAGE, element, 1.0 if kind is Kind.HIGH else -1.0
    sign, branch = 1.0 if kind is Kind.EXPORT else -1.0, int(limits.point_branch[element])
    if branch >= 0:
        return Quantity.BRANCH_EXPORT, branch, sign
    return Quantity.SOURCE_EXPORT, int(limits.point_source[element]), sign


def _limit(limits: Limits, kind: Kind, element: int) -> Floats:
    """A limit in every MTU, signed as its value."""
    if kind is Kind.LOADING:
        return np.ones(limits.rating_from_a.shape[1])
    signed = {Kind.HIGH: limits.v_max_pu, Kind.LOW: -limits.v_min_pu}
    limit: Floats = signed.get(kind, limits.limit_w)[element]
    return limit


def _span(limits: Limits, kind: Kind, element: int) -> Floats:
    """What a margin is a fraction of in every MTU: the band of a voltage, else the limit."""
    span: Floats = band_pu(limits)[element] if kind in (Kind.HIGH, Kind.LOW) else np.abs(_limit(limits, kind, element))
    return span


def _solved(lines: _Lines, rows: list[ReliefRow], flexible: Flexible, change_w: Floats) -> Floats:
    """The moves that (1) and (2) ask for, (units, periods); MTUs that no mean joins are solved apart."""
    answer = np.zeros(change_w.size)
    for numbers in _apart(rows):
        part = lines.slope[numbers]
        used = np.unique(part.indices)
        slope = part[:, used]
        room = lines.room[numbers] + slope @ change_w.reshape(-1)[used]
        most = np.stack([flexible.up_w.reshape(-1)[used], flexible.down_w.reshape(-1)[used]])
        price = flexible.price[used // change_w.shape[1]]
        answer[used] = _least(slope, room, most, price / flexible.price.max())
    return answer.reshape(change_w.shape)


def _apart(rows: list[ReliefRow]) -> list[list[int]]:
    """Rows in groups whose MTUs do not overlap."""
    groups: list[list[int]] = []
    end = -1
    for number in sorted(range(len(rows)), key=lambda n: (rows[n].first, rows[n].end, n)):
        if rows[number].first >= end:
            groups.append([])
        groups[-1].append(number)
        end = max(end, rows[number].end)
    return groups


def _least(slope: csr_array, room: Floats, most_w: Floats, price: Floats) -> Floats:
    """One linear programme (1), (2): changes (columns,); `most_w` (2, columns) bounds rises and falls."""
    rows, count = slope.shape
    matrix: Any = block_array([[slope, -slope, -eye_array(rows)]], format="csr")
    cost: Floats = np.concatenate([price, price, np.full(rows, PENALTY)])
    most = np.concatenate([*most_w, np.full(rows, np.inf)])
    bounds: Any = np.stack([np.zeros(len(most)), most], axis=1)
    found = linprog(cost, matrix, room, bounds=bounds, method="highs")
    assert found.x is not None, "every row has its e, so there is an answer"
    return np.asarray(found.x[:count] - found.x[count : 2 * count])
