"""The least flexible power that brings every limit of a day into band: needs by optimisation.

    minimise    sum (u + d)  +  PENALTY sum e                                            (1)
    subject to  x + g^T (u - d - m) - e  <=  L (1 - margin)   for each row               (2)
                0 <= u <= up,   0 <= d <= down,   e >= 0

u and d are what injections rise and fall by (units, MTUs); m the same in the state that x and g, a row's value and its
sensitivities (`sensitivity`), belong to. A row is one limit in one MTU, or in one hour where it is on hourly means,
scaled so that its largest sensitivity is 1: x, L and e are then watts of flexible power. Rows are the limits passed so
far and, in their MTUs and without the margin, those that come near. Round after round (2) is linearised anew in the AC
state of the last answer, until AC power flow finds nothing past a limit and the power falls no further. Solved by HiGHS
(Huangfu, Hall, Math. Prog. Comp. 10, 2018).
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import block_array, coo_array, csr_array, eye_array

from flexpeer.grid.limits import POWER_SCALE_MIN_W, Kind, Limits, Readings, Violation, read, violations
from flexpeer.grid.network import Floats, Integers
from flexpeer.grid.powerflow import DayFlow, FlowResult
from flexpeer.grid.sensitivity import Metric, Quantity, sensitivity

PENALTY = 1e4
ROUNDS = 3
ROWS_PER_ROUND = 2_000
NEGLIGIBLE = 1e-4
NEAR = 0.3
NEAR_VOLTAGE = 0.01
WORTHWHILE = 2e-3


class Flexible(NamedTuple):
    """Units that can move: their buses (units,), and by how many watts injection can rise and fall (units, periods)."""

    bus: Integers
    up_w: Floats
    down_w: Floats


class Day(NamedTuple):
    """What a relief is sought for: injections (buses, periods), W and var."""

    flow: DayFlow
    limits: Limits
    p_w: Floats
    q_var: Floats


class State(NamedTuple):
    """A day with some moves made, and its power flow."""

    p_w: Floats
    result: FlowResult
    readings: Readings


@dataclass(frozen=True)
class Relief:
    """The answer, checked by AC power flow.

    `change_w` (units, periods) is the change of injection. `left` is what is past a limit all the same,
    `overload_percent` the most of it, percentage points of the limit; None where the day has no state.
    """

    change_w: Floats
    rounds: int
    left: tuple[Violation, ...]
    overload_percent: float | None

    @property
    def power_w(self) -> float:
        """All moves of all MTUs together, W."""
        return float(np.abs(self.change_w).sum())


class Row(NamedTuple):
    """One limit to keep: `kind` and element index, and the MTUs whose mean counts."""

    kind: Kind
    element: int
    first: int
    end: int


class _Lines(NamedTuple):
    """Inequalities (2): slopes (rows, units x periods), and how far each row may still rise."""

    slope: csr_array
    room: Floats


def least_relief(day: Day, flexible: Flexible, margin: float = 0.0, rounds: int = ROUNDS) -> Relief:
    """Moves of the flexible units that bring the day into its limits less `margin` of each, with the least power.

    Once limits are kept, rounds go on as long as one saves more than `WORTHWHILE` of the power.
    """
    rows: dict[Row, None] = {}
    passed: set[Row] = set()
    best, state = _checked(day, flexible, np.zeros_like(flexible.up_w), 0)
    found = best
    for done in range(1, rounds + 1):
        if state is None or (found.left == () and not rows):
            break
        near = _nearest(day, state.readings, found.left)
        passed |= {row for distance, row in near if distance > 0.0}
        rows |= dict.fromkeys(row for _, row in near)
        margins = np.array([margin if row in passed else 0.0 for row in rows])
        lines = _linearised(day, flexible, state, list(rows), margins)
        before = found
        found, state = _checked(day, flexible, _solved(lines, list(rows), flexible, found.change_w), done)
        if _better(found, best):
            best = found
        if found.left == () and before.left == () and found.power_w > (1.0 - WORTHWHILE) * before.power_w:
            break
    return best


def _checked(day: Day, flexible: Flexible, change_w: Floats, rounds: int) -> tuple[Relief, State | None]:
    """What AC power flow says of some moves, and the state they lead to."""
    p_w = day.p_w.copy()
    np.add.at(p_w, flexible.bus, change_w)
    result = day.flow.solve(p_w, day.q_var)
    if not result.converged.all():
        return Relief(change_w, rounds, (), None), None
    state = State(p_w, result, read(day.flow, day.limits, result))
    left = violations(day.flow, day.limits, state.readings)
    overload = 100.0 * max((excess(violation) for violation in left), default=0.0)
    return Relief(change_w, rounds, left, overload), state


def _better(found: Relief, best: Relief) -> bool:
    """Whether it leaves less past limits or, where both leave nothing, takes less power."""
    if found.overload_percent is None or best.overload_percent is None:
        return best.overload_percent is None and found.overload_percent is not None
    return (found.overload_percent, found.power_w) < (best.overload_percent, best.power_w)


def excess(violation: Violation) -> float:
    """How far something is past its limit, as a fraction of the limit."""
    if violation.kind is Kind.LOW:
        return (violation.limit - violation.value) / violation.limit
    scale = violation.limit if violation.kind in (Kind.LOADING, Kind.HIGH) else max(violation.limit, POWER_SCALE_MIN_W)
    return (violation.value - violation.limit) / scale


def _nearest(day: Day, readings: Readings, past: tuple[Violation, ...]) -> list[tuple[float, Row]]:
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
    found: list[tuple[float, Row]] = []
    for kind, value, limit, scale in measured:
        distance = (value[:, mtus] - limit[:, mtus]) / scale
        for element, k in np.argwhere(distance > -NEAR):
            row = Row(kind, int(element), int(mtus[k]), int(mtus[k]) + 1)
            found.append((float(distance[element, k]), row))
    for element, kind in enumerate(limits.point_kind):
        bound = np.fmax(limits.limit_w[element, mtus], POWER_SCALE_MIN_W)
        distance = (readings.power_w[element, mtus] - limits.limit_w[element, mtus]) / bound
        for k in np.flatnonzero(distance > -NEAR):
            window = int(limits.first[element, mtus[k]]), int(limits.end[element, mtus[k]])
            found.append((float(distance[k]), Row(kind, element, *window)))
    return sorted(found, key=lambda each: (-each[0], each[1]))[:ROWS_PER_ROUND]


def _linearised(day: Day, flexible: Flexible, state: State, rows: list[Row], margin: Floats) -> _Lines:
    """Equation (2) around a state for every row; each element is differentiated once for all its MTUs."""
    by_element: dict[tuple[Kind, int], list[int]] = {}
    for number, row in enumerate(rows):
        by_element.setdefault((row.kind, row.element), []).append(number)
    entries: list[tuple[Integers, Integers, Floats]] = []
    room = np.zeros(len(rows))
    for (kind, element), numbers in by_element.items():
        mtus = np.unique(np.concatenate([np.arange(rows[n].first, rows[n].end) for n in numbers]))
        value, slope = _slopes(day, state, kind, element, mtus)
        slope, limit = slope[flexible.bus], _limit(day.limits, kind, element)
        for n in numbers:
            at = np.searchsorted(mtus, np.arange(rows[n].first, rows[n].end))
            of_units = slope[:, at] / len(at)
            scale = float(np.abs(of_units).max(initial=0.0)) or 1.0
            target = limit[rows[n].first] - margin[n] * abs(limit[rows[n].first])
            room[n] = (target - value[at].mean()) / scale
            unit, k = np.nonzero(np.abs(of_units) > NEGLIGIBLE * scale)
            column = unit * day.flow.periods + rows[n].first + k
            entries.append((np.full(len(unit), n), column, of_units[unit, k] / scale))
    row_of, column_of, value_of = (np.concatenate([entry[i] for entry in entries]) for i in range(3))
    shape = (len(rows), flexible.up_w.size)
    return _Lines(csr_array(coo_array((value_of, (row_of, column_of)), shape=shape)), room)


def _slopes(day: Day, state: State, kind: Kind, element: int, mtus: Integers) -> tuple[Floats, Floats]:
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


def _solved(lines: _Lines, rows: list[Row], flexible: Flexible, change_w: Floats) -> Floats:
    """The moves that (1) and (2) ask for, (units, periods); MTUs that no mean joins are solved apart."""
    answer = np.zeros(change_w.size)
    for numbers in _apart(rows):
        part = lines.slope[numbers]
        used = np.unique(part.indices)
        slope = part[:, used]
        room = lines.room[numbers] + slope @ change_w.reshape(-1)[used]
        most = np.stack([flexible.up_w.reshape(-1)[used], flexible.down_w.reshape(-1)[used]])
        answer[used] = _least(slope, room, most)
    return answer.reshape(change_w.shape)


def _apart(rows: list[Row]) -> list[list[int]]:
    """Rows in groups whose MTUs do not overlap."""
    groups: list[list[int]] = []
    end = -1
    for number in sorted(range(len(rows)), key=lambda n: (rows[n].first, rows[n].end, n)):
        if rows[number].first >= end:
            groups.append([])
        groups[-1].append(number)
        end = max(end, rows[number].end)
    return groups


def _least(slope: csr_array, room: Floats, most_w: Floats) -> Floats:
    """One linear programme (1), (2): changes (columns,); `most_w` (2, columns) bounds rises and falls."""
    rows, count = slope.shape
    matrix: Any = block_array([[slope, -slope, -eye_array(rows)]], format="csr")
    cost: Floats = np.concatenate([np.ones(2 * count), np.full(rows, PENALTY)])
    most = np.concatenate([*most_w, np.full(rows, np.inf)])
    bounds: Any = np.stack([np.zeros(len(most)), most], axis=1)
    found = linprog(cost, matrix, room, bounds=bounds, method="highs")
    assert found.x is not None, "every row has its e, so there is an answer"
    return np.asarray(found.x[:count] - found.x[count : 2 * count])
