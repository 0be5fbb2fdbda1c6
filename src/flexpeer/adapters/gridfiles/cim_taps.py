"""Tap changers of CIM: what the steps of a transformer end do to its ratio, its angle and its impedance.

With n steps from neutral and a step of d (per unit), the voltage of the end over the voltage inside is
ratio, and it leads the voltage inside by alpha (IEC 61970-301, package Wires):

    ratio         1 + n d,                  alpha = 0
    linear        1,                        alpha = n x stepPhaseShiftIncrement
    symmetrical   1,                        alpha = 2 arctan(n d / 2)
    asymmetrical  |1 + n d e^(j theta)|,    alpha = arg(1 + n d e^(j theta))
    table         the row of the step, with deviations of r, x, g and b in percent
"""

import cmath
import math
from typing import NamedTuple

from flexpeer.adapters.gridfiles.cim_objects import Item, Model

PHASE_CHANGERS = (
    "PhaseTapChangerLinear",
    "PhaseTapChangerSymmetrical",
    "PhaseTapChangerAsymmetrical",
    "PhaseTapChangerTabular",
)
STEP = "TapChanger.step"


class Turn(NamedTuple):
    """What all tap changers of an end do together; the last four are factors of its impedance."""

    ratio: float = 1.0
    alpha_deg: float = 0.0
    r: float = 1.0
    x: float = 1.0
    g: float = 1.0
    b: float = 1.0


def turn_of(model: Model, end: Item) -> Turn:
    """The tap changers of a transformer end at the step they stand on."""
    total = Turn()
    for changer in model.referring("RatioTapChanger.TransformerEnd", end):
        total = _both(total, _ratio(model, changer))
    for changer in model.referring("PhaseTapChanger.TransformerEnd", end):
        total = _both(total, _phase(model, changer))
    return total


def _both(one: Turn, other: Turn) -> Turn:
    angle = one.alpha_deg + other.alpha_deg
    factors = [a * b for a, b in zip(one[2:], other[2:], strict=True)]
    return Turn(one.ratio * other.ratio, angle, *factors)


def _steps(model: Model, changer: Item) -> tuple[float, float]:
    """The step it stands on, and how many that is from neutral."""
    neutral = changer.number("TapChanger.neutralStep", default=0.0)
    step = changer.number(STEP, default=math.inf) if changer.has(STEP) else math.inf
    if step == math.inf:
        states = model.referring("SvTapStep.TapChanger", changer)
        step = states[0].number("SvTapStep.position") if states else math.inf
    if step == math.inf:
        step = changer.number("TapChanger.normalStep", default=neutral)
    low = changer.number("TapChanger.lowStep", default=-math.inf)
    high = changer.number("TapChanger.highStep", default=math.inf)
    if not low <= step <= high and not math.isnan(step):
        changer.note(STEP, "beyond lowStep or highStep; it is calculated as stated", "a step of the tap changer")
    if changer.flag("TapChanger.controlEnabled", default=False):
        changer.note("TapChanger.controlEnabled", "the tap stays on its step", "a fixed step")
    return step, step - neutral


def _ratio(model: Model, changer: Item) -> Turn:
    step, steps = _steps(model, changer)
    table = model.follow(changer, "RatioTapChanger.RatioTapChangerTable")
    if table is not None:
        return _row(changer, step, model.referring("RatioTapChangerTablePoint.RatioTapChangerTable", table))
    if steps == 0:
        return Turn()
    increment = ("RatioTapChanger.stepVoltageIncrement", "TapChanger.stepVoltageIncrement")
    return Turn(_positive(changer, 1.0 + steps * changer.number(*increment) / 100.0))


def _phase(model: Model, changer: Item) -> Turn:
    step, steps = _steps(model, changer)
    if changer.kind == "PhaseTapChangerTabular":
        table = model.follow(changer, "PhaseTapChangerTabular.PhaseTapChangerTable")
        points = model.referring("PhaseTapChangerTablePoint.PhaseTapChangerTable", table) if table else []
        return _row(changer, step, points)
    if changer.kind not in PHASE_CHANGERS:
        changer.fault("", f"a {changer.kind}", ", ".join(PHASE_CHANGERS))
        return Turn()
    _note_reactance(changer)
    if steps == 0:
        return Turn()
    if changer.kind == "PhaseTapChangerLinear":
        return Turn(alpha_deg=steps * changer.number("PhaseTapChangerLinear.stepPhaseShiftIncrement"))
    difference = steps * changer.number("PhaseTapChangerNonLinear.voltageStepIncrement") / 100.0
    if changer.kind == "PhaseTapChangerSymmetrical":
        return Turn(alpha_deg=2.0 * math.degrees(math.atan(difference / 2.0)))
    theta = math.radians(changer.number("PhaseTapChangerAsymmetrical.windingConnectionAngle"))
    turned = 1.0 + cmath.rect(1.0, theta) * difference
    return Turn(abs(turned), math.degrees(cmath.phase(turned)))


def _note_reactance(changer: Item) -> None:
    """The reactance between xMin and xMax follows a curve that the standard leaves to the maker."""
    for group in ("PhaseTapChangerLinear", "PhaseTapChangerNonLinear"):
        low, high = (changer.number(f"{group}.{name}", default=0.0) for name in ("xMin", "xMax"))
        if high > 0 and low != high:
            changer.note(f"{group}.xMax", "the reactance of the end is used at every step", "one reactance")


def _row(changer: Item, step: float, points: list[Item]) -> Turn:
    """The row of the step, or of the nearest one."""
    rows = {point.number("TapChangerTablePoint.step"): point for point in points}
    if not rows:
        changer.fault("", "a table without rows", "a row for each step")
        return Turn()
    if step not in rows:
        changer.note(STEP, "the table has no row for this step; the nearest is used", "a row for each step")
    point = rows.get(step) or rows[min(sorted(rows), key=lambda row: abs(row - step))]
    factors = [1.0 + point.number(f"TapChangerTablePoint.{name}", default=0.0) / 100.0 for name in "rxgb"]
    ratio = _positive(changer, point.number("TapChangerTablePoint.ratio", default=1.0))
    return Turn(ratio, point.number("PhaseTapChangerTablePoint.angle", default=0.0), *factors)


def _positive(changer: Item, ratio: float) -> float:
    if ratio <= 0:
        changer.fault(STEP, f"a ratio of {ratio:g}", "a positive ratio")
        return 1.0
    return ratio
