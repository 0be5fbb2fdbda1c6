"""Pandapower's transformers as pi branches: nameplate to ohm, taps, and the star of three windings.

The formulas are those of the pandapower documentation, "Transformer" and "Three Winding Transformer":

    z_k = vk / 100  vn_lv'^2 / sn,   r_k = vkr / 100  vn_lv'^2 / sn,   x_k = sqrt(z_k^2 - r_k^2)      (1)
    g_m = p_fe / vn_lv'^2,   b_m = -sqrt((i0 / 100  sn)^2 - p_fe^2) / vn_lv'^2                        (2)
    T to pi with z_a = z_b = (r_k + j x_k) / 2, z_c = 1 / (g_m + j b_m):
        z_ab = z_a + z_b + z_a z_b / z_c,   y_a = y_b = 1 / (z_a + z_c + z_a z_c / z_b)               (3)
    tap on one side, with d = (pos - neutral) step / 100 at angle phi (Ratio, Symmetrical):
        vn' = vn |1 + d e^(j phi)|,   shift' = shift +- arctan(d sin phi / (1 + d cos phi))           (4)

vn' are the rated voltages at the tap position; a tap on the low-voltage side turns the other way.
"""

import cmath
import math
from typing import NamedTuple

from flexpeer.adapters.gridfiles.pandapower_tables import Element

SIDES = ("hv", "mv", "lv")


class Nameplate(NamedTuple):
    """One two-winding transformer, or one winding of the star: `percent` on `sn_mva`, kV, degrees."""

    sn_mva: float
    vn_hv_kv: float
    vn_lv_kv: float
    vk_percent: float
    vkr_percent: float
    pfe_kw: float
    i0_percent: float
    shift_deg: float
    parallel: int


class Tap(NamedTuple):
    """One tap changer: `side` hv or lv, `steps` from neutral, `ideal` for a shift of the angle alone."""

    side: str
    steps: float
    step_percent: float
    step_deg: float
    ideal: bool


class PiSection(NamedTuple):
    """Ohm and siemens at the low-voltage side; `v_ratio` is vn_hv' / vn_lv'."""

    r_ohm: float
    x_ohm: float
    g_s: float
    b_s: float
    v_ratio: float
    shift_deg: float


def pi_section(plate: Nameplate, taps: list[Tap]) -> PiSection:
    """Equations (1) to (4)."""
    rated_kv = {"hv": plate.vn_hv_kv, "lv": plate.vn_lv_kv}
    shift_deg = plate.shift_deg
    for tap in taps:
        turned = cmath.rect(tap.steps * tap.step_percent / 100.0, math.radians(tap.step_deg))
        direction = 1.0 if tap.side == "hv" else -1.0
        if tap.ideal:
            shift_deg += direction * _ideal_shift_deg(tap)
        else:
            rated_kv[tap.side] *= abs(1.0 + turned)
            shift_deg += direction * math.degrees(math.atan(turned.imag / (1.0 + turned.real)))
    lv_kv = rated_kv["lv"]
    z_ohm = plate.vk_percent / 100.0 * lv_kv**2 / plate.sn_mva
    r_ohm = plate.vkr_percent / 100.0 * lv_kv**2 / plate.sn_mva
    series = complex(r_ohm, math.copysign(math.sqrt(z_ohm**2 - r_ohm**2), z_ohm)) / plate.parallel
    pfe_mw, s0_mva = plate.pfe_kw * 1e-3, plate.i0_percent / 100.0 * plate.sn_mva
    shunt = complex(pfe_mw, -math.sqrt(max(s0_mva**2 - pfe_mw**2, 0.0))) / lv_kv**2 * plate.parallel
    if shunt != 0:
        half, middle = series / 2.0, 1.0 / shunt
        series, shunt = 2.0 * half + half * half / middle, 2.0 / (half + 2.0 * middle)
    return PiSection(series.real, series.imag, shunt.real, shunt.imag, rated_kv["hv"] / lv_kv, shift_deg)


def _ideal_shift_deg(tap: Tap) -> float:
    if tap.step_deg != 0:
        return tap.steps * tap.step_deg
    return 2.0 * math.degrees(math.asin(tap.steps * tap.step_percent / 200.0))


def nameplate(element: Element) -> Nameplate:
    """The nameplate of a row of `trafo`."""
    for column in ("leakage_resistance_ratio_hv", "leakage_reactance_ratio_hv"):
        if element.number(column, 0.5) != 0.5:
            element.fault(column, f"{element.values[column]}", "0.5, the leakage shared equally")
    plate = Nameplate(
        element.number("sn_mva"),
        element.number("vn_hv_kv"),
        element.number("vn_lv_kv"),
        element.number("vk_percent"),
        element.number("vkr_percent"),
        element.number("pfe_kw", 0.0),
        element.number("i0_percent", 0.0),
        element.number("shift_degree", 0.0),
        element.count("parallel", 1),
    )
    for column in ("sn_mva", "vn_hv_kv", "vn_lv_kv", "parallel"):
        if getattr(plate, column) <= 0:
            element.fault(column, f"{getattr(plate, column)}", "a positive number")
    if abs(plate.vkr_percent) > abs(plate.vk_percent):
        element.fault("vkr_percent", f"{plate.vkr_percent} exceeds vk_percent {plate.vk_percent}", "at most vk_percent")
    return plate


def taps(element: Element) -> list[Tap]:
    """The tap changers of a row that pandapower acts on.

    Since pandapower 3.0 a tap without `tap_changer_type` does nothing; before, every tap was a ratio tap
    or, with `tap_phase_shifter`, an ideal phase shifter.
    """
    if element.flag("tap_dependency_table", default=False):
        element.fault("tap_dependency_table", "a table of impedances per tap", "constant impedances")
    found = (_tap(element, prefix) for prefix in ("tap", "tap2"))
    return [tap for tap in found if tap is not None]


def _tap(element: Element, prefix: str) -> Tap | None:
    changer = _changer_type(element, prefix)
    side = element.text(f"{prefix}_side")
    if changer == "" or side == "":
        return None
    if changer not in {"Ratio", "Symmetrical", "Ideal"}:
        element.fault(f"{prefix}_changer_type", repr(changer), "Ratio, Symmetrical, Ideal or null")
        return None
    if not element.has(f"{prefix}_pos"):
        return None
    steps = element.number(f"{prefix}_pos") - element.number(f"{prefix}_neutral", 0.0)
    percent, degree = element.number(f"{prefix}_step_percent", 0.0), element.number(f"{prefix}_step_degree", 0.0)
    if changer == "Ideal" and percent != 0 and degree != 0:
        element.fault(f"{prefix}_step_degree", "an ideal phase shifter with both steps", "tap_step_percent or _degree")
    return Tap(side, steps, percent, degree, changer == "Ideal")


def _changer_type(element: Element, prefix: str) -> str:
    if f"{prefix}_changer_type" in element.values:
        return element.text(f"{prefix}_changer_type")
    if element.flag(f"{prefix}_phase_shifter", default=False):
        return "Ideal"
    old = f"{prefix}_phase_shifter" in element.values and element.has(f"{prefix}_step_percent")
    return "Ratio" if old else ""


def idle_tap(element: Element) -> bool:
    """Whether a tap stands off neutral but has no type, so that it has no effect."""
    stated = "tap_changer_type" in element.values and not element.text("tap_changer_type")
    moved = element.has("tap_pos") and element.number("tap_pos") != element.number("tap_neutral", 0.0)
    return stated and moved and element.has("tap_side") and element.number("tap_step_percent", 0.0) != 0


def star(element: Element) -> dict[str, tuple[Nameplate, list[Tap]]]:
    """The three windings of a row of `trafo3w` as transformers at a star point of `vn_hv_kv`.

    The hv winding has its high-voltage side at the bus, the others at the star point. Short-circuit
    voltages are given between pairs (hv-mv, mv-lv, lv-hv), each on the smaller of the two ratings.
    """
    sn = [element.number(f"sn_{side}_mva") for side in SIDES]
    real = _star_percent([element.number(f"vkr_{side}_percent") for side in SIDES], sn)
    total = _pairs([element.number(f"vk_{side}_percent") for side in SIDES], sn)
    pairs_real = _pairs([element.number(f"vkr_{side}_percent") for side in SIDES], sn)
    reactive = _delta_to_star([math.sqrt(max(z * z - r * r, 0.0)) for z, r in zip(total, pairs_real, strict=True)], sn)
    loss_side = element.text("loss_side") or "hv"
    windings = {}
    for position, side in enumerate(SIDES):
        vk_percent = math.copysign(math.hypot(real[position], reactive[position]), reactive[position])
        loses = side == loss_side
        plate = Nameplate(
            sn[position],
            element.number("vn_hv_kv"),
            element.number(f"vn_{side}_kv"),
            vk_percent,
            real[position],
            element.number("pfe_kw", 0.0) if loses else 0.0,
            element.number("i0_percent", 0.0) if loses else 0.0,
            0.0 if side == "hv" else element.number(f"shift_{side}_degree", 0.0),
            1,
        )
        windings[side] = (plate, _star_taps(element, side))
    return windings


def _pairs(percent: list[float], sn: list[float]) -> list[float]:
    smaller = (min(sn[0], sn[1]), min(sn[1], sn[2]), min(sn[0], sn[2]))
    return [sn[0] * value / rating for value, rating in zip(percent, smaller, strict=True)]


def _delta_to_star(pairs: list[float], sn: list[float]) -> list[float]:
    hv_mv, mv_lv, lv_hv = pairs
    sums = (hv_mv + lv_hv - mv_lv, mv_lv + hv_mv - lv_hv, lv_hv + mv_lv - hv_mv)
    return [0.5 * rating / sn[0] * total for rating, total in zip(sn, sums, strict=True)]


def _star_percent(percent: list[float], sn: list[float]) -> list[float]:
    return _delta_to_star(_pairs(percent, sn), sn)


def _star_taps(element: Element, side: str) -> list[Tap]:
    if element.text("tap_side") != side:
        return []
    at_bus = "hv" if side == "hv" else "lv"
    found = [tap._replace(side=at_bus) for tap in taps(element)]
    if not element.flag("tap_at_star_point", default=False):
        return found
    return [_moved_to_star(tap) for tap in found]


def _moved_to_star(tap: Tap) -> Tap:
    step = cmath.rect(tap.step_percent, math.radians(tap.step_deg))
    seen = 100.0 * step / (100.0 + step * tap.steps)
    other = "lv" if tap.side == "hv" else "hv"
    return Tap(other, tap.steps, abs(seen), math.degrees(cmath.phase(seen)) - 180.0, tap.ideal)
