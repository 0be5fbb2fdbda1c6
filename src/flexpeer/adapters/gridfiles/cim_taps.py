"""The tap changers of CIM, and the steps they stand on; `taps` has what they do.

A ratio changer is stepped, a linear one turned by stepPhaseShiftIncrement, a symmetrical one symmetrical, an
asymmetrical one stepped at its windingConnectionAngle. A table has a row for each step, with deviations of r, x, g and
b in percent.
"""

import math

from flexpeer.adapters.gridfiles.cim_objects import Item, Model
from flexpeer.adapters.gridfiles.taps import NEUTRAL, Turn, stepped, symmetrical, turned

PHASE_CHANGERS = (
    "PhaseTapChangerLinear",
    "PhaseTapChangerSymmetrical",
    "PhaseTapChangerAsymmetrical",
    "PhaseTapChangerTabular",
)
STEP = "TapChanger.step"


def turn_of(model: Model, end: Item) -> Turn:
    """The tap changers of a transformer end at the step they stand on."""
    total = NEUTRAL
    for changer in model.referring("RatioTapChanger.TransformerEnd", end):
        total = total.then(_ratio(model, changer))
    for changer in model.referring("PhaseTapChanger.TransformerEnd", end):
        total = total.then(_phase(model, changer))
    return total


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
        return NEUTRAL
    percent = changer.number("RatioTapChanger.stepVoltageIncrement", "TapChanger.stepVoltageIncrement")
    _positive(changer, 1.0 + steps * percent / 100.0)
    return stepped(steps, percent)


def _phase(model: Model, changer: Item) -> Turn:
    step, steps = _steps(model, changer)
    if changer.kind == "PhaseTapChangerTabular":
        table = model.follow(changer, "PhaseTapChangerTabular.PhaseTapChangerTable")
        points = model.referring("PhaseTapChangerTablePoint.PhaseTapChangerTable", table) if table else []
        return _row(changer, step, points)
    if changer.kind not in PHASE_CHANGERS:
        changer.fault("", f"a {changer.kind}", ", ".join(PHASE_CHANGERS))
        return NEUTRAL
    _note_reactance(changer)
    if steps == 0:
        return NEUTRAL
    if changer.kind == "PhaseTapChangerLinear":
        return turned(steps * changer.number("PhaseTapChangerLinear.stepPhaseShiftIncrement"))
    percent = changer.number("PhaseTapChangerNonLinear.voltageStepIncrement")
    if changer.kind == "PhaseTapChangerSymmetrical":
        return symmetrical(steps, percent)
    return stepped(steps, percent, changer.number("PhaseTapChangerAsymmetrical.windingConnectionAngle"))


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
        return NEUTRAL
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
