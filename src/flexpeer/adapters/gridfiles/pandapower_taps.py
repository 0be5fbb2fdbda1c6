"""The tap changers of pandapower's transformers, and the impedances that depend on them.

As `pandapower.runpp` acts on them: a changer counts by its type and its side, both spelled as pandapower spells them;
what pandapower leaves out is left out here and told. A table (`tap_dependency_table`, since 3.0) has ratio, angle and
impedance of each position and counts instead of the step; before, `tap_dependent_impedance` named a curve of the
impedance over the position.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from flexpeer.adapters.gridfiles.pandapower_tables import Element, Index, Tables, plain
from flexpeer.adapters.gridfiles.taps import NEUTRAL, Turn, ideal, stepped, turned
from flexpeer.errors import Finding
from flexpeer.loading import when_used

TYPES = ("Ratio", "Symmetrical", "Ideal")
TABLE, CURVE = "tap_dependency_table", "tap_dependent_impedance"
CURVES = ("Characteristic", "SplineCharacteristic")
splines = when_used("scipy.interpolate")


@dataclass(frozen=True)
class Positions:
    """What a file has by tap position: rows of tables by number and step, and curves by number."""

    tables: Tables
    rows: Mapping[tuple[Index, float], Element]
    curves: Mapping[Index, Element]

    def note(self, element: Element, column: str, problem: str, expected: str) -> None:
        """Something about a changer that does not refuse the file."""
        self.tables.findings.append(Finding(element.where, 0, element.place(column), problem, expected))


def positions_of(tables: Tables) -> Positions:
    """The tables and curves of a file."""
    rows = {
        (row.reference("id_characteristic"), row.number("step")): row for row in tables.of("trafo_characteristic_table")
    }
    return Positions(tables, rows, {row.index: row for row in tables.of("characteristic")})


def turns(positions: Positions, element: Element, sides: tuple[str, ...], *, second: bool) -> dict[str, Turn]:
    """What the changers of a transformer do to each of its sides; `second`: whether it may have two."""
    found = dict.fromkeys(sides, NEUTRAL)
    if element.flag(TABLE, default=False):
        if element.flag("tap2_dependency_table", default=False):
            element.fault("tap2_dependency_table", "a second table", "steps of the second changer")
        row = _row(positions, element)
        side = _side(positions, element, "tap", sides)
        if side and row is not None:
            found[side] = Turn(row.positive("voltage_ratio"), row.number("angle_deg", 0.0))
    else:
        _add(found, positions, element, "tap")
    if second:
        _add(found, positions, element, "tap2")
    return found


def percent(positions: Positions, element: Element, column: str) -> float:
    """A short-circuit voltage in percent at the position of the tap."""
    if TABLE in element.values:
        row = _row(positions, element) if element.flag(TABLE, default=False) else None
        if row is not None and column in row.values:
            return row.number(column)
        return element.number(column)
    if not element.flag(CURVE, default=False) or not element.has(f"{column}_characteristic"):
        return element.number(column)
    return _on_curve(positions, element, f"{column}_characteristic")


def check_impedance(positions: Positions, element: Element, columns: tuple[str, ...]) -> None:
    """What is odd in how a transformer's impedance depends on its tap."""
    if not element.flag(CURVE, default=False):
        return
    if TABLE in element.values:
        problem = f"stands beside {TABLE}, which counts (as in pandapower)"
        positions.note(element, CURVE, problem, "one of the two columns")
    elif not any(element.has(f"{column}_characteristic") for column in columns):
        element.fault(CURVE, "no curve", f"{columns[0]}_characteristic")


def _add(found: dict[str, Turn], positions: Positions, element: Element, prefix: str) -> None:
    """Put a changer of steps in series with what is at its side."""
    if not element.has(f"{prefix}_pos") or math.isnan(element.number(f"{prefix}_pos")):
        return
    changer = _type(element, prefix)
    steps = _percent_and_degrees(element, prefix)
    moved = element.number(f"{prefix}_pos") != element.number_or(f"{prefix}_neutral", 0.0) and any(steps)
    if changer not in TYPES:
        if moved and (changer or element.has(f"{prefix}_side")):
            shown = f"has the type {changer!r}" if changer else "has no type"
            problem = f"the tap is off neutral but {shown}, so it has no effect (as in pandapower)"
            positions.note(element, f"{prefix}_changer_type", problem, "Ratio, if the tap is meant to act")
        return
    side = _side(positions, element, prefix, tuple(found)) if moved else None
    if side is None:
        return
    if not element.has(f"{prefix}_neutral"):
        problem = "the tap has no neutral position, so it has no effect (as in pandapower)"
        positions.note(element, f"{prefix}_neutral", problem, "the position without effect")
        return
    found[side] = found[side].then(_stepped(element, prefix, changer, steps))


def _stepped(element: Element, prefix: str, changer: str, step: tuple[float, float]) -> Turn:
    steps = element.number(f"{prefix}_pos") - element.number(f"{prefix}_neutral")
    by_percent, by_degrees = step
    if changer != "Ideal":
        turn = stepped(steps, by_percent, by_degrees)
        if not turn.ratio > 0:
            element.fault(f"{prefix}_pos", f"{steps:g} steps of {by_percent:g} %", "a ratio above 0")
        return turn
    if by_percent != 0 and by_degrees != 0:
        expected = "tap_step_percent or _degree"
        element.fault(f"{prefix}_step_degree", "an ideal phase shifter with both steps", expected)
    turn = turned(steps * by_degrees) if by_degrees != 0 else ideal(steps, by_percent)
    if math.isnan(turn.alpha_deg):
        element.fault(f"{prefix}_pos", f"{steps:g} steps of {by_percent:g} %", "at most 200 % in all")
    return turn


def _percent_and_degrees(element: Element, prefix: str) -> tuple[float, float]:
    return element.number(f"{prefix}_step_percent", 0.0), element.number(f"{prefix}_step_degree", 0.0)


def _type(element: Element, prefix: str) -> str:
    """Its type; without that column the old flag of phase shifters says it, and without either there is no changer."""
    if f"{prefix}_changer_type" in element.values:
        return element.text(f"{prefix}_changer_type")
    if f"{prefix}_phase_shifter" in element.values:
        return "Ideal" if element.flag(f"{prefix}_phase_shifter", default=False) else "Ratio"
    return ""


def _side(positions: Positions, element: Element, prefix: str, sides: tuple[str, ...]) -> str | None:
    stated = element.values.get(f"{prefix}_side")
    if stated in sides:
        return str(stated)
    shown = "no side" if stated is None or stated == "" else f"the side {stated!r}"
    problem = f"the tap is off neutral at {shown}, so it has no effect (as in pandapower)"
    positions.note(element, f"{prefix}_side", problem, " or ".join(sides))
    return None


def _row(positions: Positions, element: Element) -> Element | None:
    """The row of a transformer's table for its position, or None and an error."""
    number, step = element.reference("id_characteristic_table"), element.number("tap_pos")
    row = positions.rows.get((number, step))
    if row is None and not math.isnan(step) and number != -1:
        element.fault("tap_pos", f"no row for step {step:g} of table {number}", "a row of trafo_characteristic_table")
    return row


def _on_curve(positions: Positions, element: Element, column: str) -> float:
    number, position = element.reference(column), element.number("tap_pos")
    curve = positions.curves.get(number)
    evaluate = None if curve is None else _curve(plain(curve.values.get("object")))
    if evaluate is None:
        element.fault(column, f"no curve {number} that is known here", " or ".join(CURVES))
        return math.nan
    value = evaluate(position)
    if not math.isfinite(value):
        element.fault(column, f"no value at step {position:g}", "a curve over the positions of the tap")
    return value


def _curve(described: Any) -> Callable[[float], float] | None:
    """A curve as pandapower serialises it: straight between its points, or a spline of scipy."""
    if not isinstance(described, dict) or described.get("_class") not in CURVES:
        return None
    try:
        stored: Any = described.get("_object")
        stored = json.loads(stored) if isinstance(stored, str) else stored
        x, y = (np.asarray(plain(stored[name]), dtype=np.float64) for name in ("x_vals", "y_vals"))
        more = stored.get("kwargs", {key: stored[key] for key in ("kind", "fill_value") if key in stored})
        if described["_class"] == "Characteristic":
            return lambda position: float(np.interp(position, x, y))
        if stored.get("interpolator_kind", "interp1d") == "Pchip":
            pchip = splines.PchipInterpolator(x, y, **more)
            return lambda position: float(pchip(position))
        chosen = {"kind": "quadratic", "fill_value": "extrapolate"} | more | {"bounds_error": False}
        if isinstance(chosen["fill_value"], list):
            chosen["fill_value"] = tuple(chosen["fill_value"])
        spline = splines.interp1d(x, y, **chosen)
        return lambda position: float(spline(position))
    except (ValueError, TypeError, KeyError, AttributeError, NotImplementedError, RecursionError):
        return None
