"""The least flexible power that brings every limit of a day into band: needs by optimisation.

    minimise    sum (u + d)  +  PENALTY sum e                                            (1)
    subject to  x + g^T (u - d - m) - e  <=  L (1 - margin)   for each row               (2)
                0 <= u <= up,   0 <= d <= down,   e >= 0

u and d are what injections rise and fall by (units, MTUs); m the same in the state that x and g, a row's value and its
sensitivities (`sensitivity`), belong to. A row is one limit in one MTU, or in one hour where it is on hourly means,
scaled so that its largest sensitivity is 1: x, L and e are then watts of flexible power. Rows are the limits passed so
far, the worst first. Round after round (2) is linearised anew in the AC state of the last answer, until AC power flow
finds nothing past a limit. Solved by HiGHS (Huangfu, Hall, Math. Prog. Comp. 10, 2018).
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
NEGLIGIBLE = 1e-3


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
    """Moves of the flexible units that bring the day into its limits less `margin` of each, with the least power."""
    change_w = np.zeros_like(flexible.up_w)
    rows: dict[Row, None] = {}
    for done in range(rounds + 1):
        p_w = day.p_w.copy()
        np.add.at(p_w, flexible.bus, change_w)
        result = day.flow.solve(p_w, day.q_var)
        if not result.converged.all():
            return Relief(change_w, done, (), None)
        state = State(p_w, result, read(day.flow, day.limits, result))
        past = violations(day.flow, day.limits, state.readings)
        if not past or done == rounds:
            break
        rows |= dict.fromkeys(_worst_rows(day, past))
        lines = _linearised(day, flexible, state, list(rows), margin)
        change_w = _solved(lines, list(rows), flexible, change_w)
    return Relief(change_w, done, past, 100.0 * max((excess(violation) for violation in past), default=0.0))


def excess(violation: Violation) -> float:
    """How far something is past its limit, as a fraction of the limit."""
    if violation.kind is Kind.LOW:
        return (violation.limit - violation.value) / violation.limit
    scale = violation.limit if violation.kind in (Kind.LOADING, Kind.HIGH) else max(violation.limit, POWER_SCALE_MIN_W)
    return (violation.value - violation.limit) / scale


def _worst_rows(day: Day, past: tuple[Violation, ...]) -> list[Row]:
    network, limits = day.flow.network, day.limits
    places = {(Kind.LOADING, name): i for i, name in enumerate(network.branch_names)}
    places |= {(kind, name): i for i, name in enumerate(network.bus_names) for kind in (Kind.HIGH, Kind.LOW)}
    points = zip(limits.point_kind, limits.point_element, strict=True)
    places |= {point: i for i, point in enumerate(points)}
    worst = sorted(past, key=lambda v: (-excess(v), v.kind, v.element, v.mtu))[:ROWS_PER_ROUND]
    return [_row(limits, v.kind, places[v.kind, v.element], v.mtu) for v in worst]


def _row(limits: Limits, kind: Kind, element: int, mtu: int) -> Row:
    if kind in (Kind.EXPORT, Kind.IMPORT):
        return Row(kind, element, int(limits.first[element, mtu]), int(limits.end[element, mtu]))
    return Row(kind, element, mtu, mtu + 1)


def _linearised(day: Day, flexible: Flexible, state: State, rows: list[Row], margin: float) -> _Lines:
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
            target = limit[rows[n].first] - margin * abs(limit[rows[n].first])
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
    return np.asarray(found.x[:count] - found.x[count : 2 * count])
