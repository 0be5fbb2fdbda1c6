"""Pandapower's transformers as pi branches: nameplate to ohm, and the star of three windings.

The formulas are those of the pandapower documentation, "Transformer" and "Three Winding Transformer":

    z_k = vk / 100  vn_lv'^2 / sn,   r_k = vkr / 100  vn_lv'^2 / sn,   x_k = sqrt(z_k^2 - r_k^2)      (1)
    g_m = p_fe / vn_lv'^2,   b_m = -sqrt((i0 / 100  sn)^2 - p_fe^2) / vn_lv'^2                        (2)
    T to pi with z_a = z_b = (r_k + j x_k) / 2, z_c = 1 / (g_m + j b_m):
        z_ab = z_a + z_b + z_a z_b / z_c,   y_a = y_b = 1 / (z_a + z_c + z_a z_c / z_b)               (3)

vn' are the rated voltages as the taps turn them (`taps`); a turn at the low-voltage side goes the other way.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

from flexpeer.adapters.gridfiles.pandapower_options import Options
from flexpeer.adapters.gridfiles.pandapower_tables import Element
from flexpeer.adapters.gridfiles.pandapower_taps import Positions, check_impedance, percent, turns
from flexpeer.adapters.gridfiles.taps import NEUTRAL, Turn

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


class PiSection(NamedTuple):
    """Ohm and siemens at the low-voltage side; `v_ratio` is vn_hv' / vn_lv'."""

    r_ohm: float
    x_ohm: float
    g_s: float
    b_s: float
    v_ratio: float
    shift_deg: float


def pi_section(plate: Nameplate, hv: Turn = NEUTRAL, lv: Turn = NEUTRAL, *, pi_model: bool = False) -> PiSection:
    """Equations (1) to (3); without (3) for `pi_model`, which has half of (2) at each end as it is."""
    rated_kv = {"hv": plate.vn_hv_kv * hv.ratio, "lv": plate.vn_lv_kv * lv.ratio}
    shift_deg = plate.shift_deg + hv.alpha_deg - lv.alpha_deg
    lv_kv = rated_kv["lv"]
    z_ohm = plate.vk_percent / 100.0 * lv_kv**2 / plate.sn_mva
    r_ohm = plate.vkr_percent / 100.0 * lv_kv**2 / plate.sn_mva
    series = complex(r_ohm, math.copysign(math.sqrt(z_ohm**2 - r_ohm**2), z_ohm)) / plate.parallel
    pfe_mw, s0_mva = plate.pfe_kw * 1e-3, plate.i0_percent / 100.0 * plate.sn_mva
    shunt = complex(pfe_mw, -math.sqrt(max(s0_mva**2 - pfe_mw**2, 0.0))) / lv_kv**2 * plate.parallel
    if shunt != 0 and not pi_model:
        half, middle = series / 2.0, 1.0 / shunt
        series, shunt = 2.0 * half + half * half / middle, 2.0 / (half + 2.0 * middle)
    return PiSection(series.real, series.imag, shunt.real, shunt.imag, rated_kv["hv"] / lv_kv, shift_deg)


Winding = tuple[Nameplate, Turn, Turn]
"""A winding with what turns its high-voltage and its low-voltage side."""


def two_windings(element: Element, positions: Positions, options: Options) -> Winding:
    """A row of `trafo`."""
    turned = turns(positions, element, ("hv", "lv"), second=True)
    plate = _nameplate(element, positions)
    return plate if options.with_angles else plate._replace(shift_deg=0.0), turned["hv"], turned["lv"]


def _nameplate(element: Element, positions: Positions) -> Nameplate:
    check_impedance(positions, element, ("vk_percent", "vkr_percent"))
    for column in ("leakage_resistance_ratio_hv", "leakage_reactance_ratio_hv"):
        if element.number(column, 0.5) != 0.5:
            element.fault(column, f"{element.values[column]}", "0.5, the leakage shared equally")
    plate = Nameplate(
        element.number("sn_mva"),
        element.number("vn_hv_kv"),
        element.number("vn_lv_kv"),
        percent(positions, element, "vk_percent"),
        percent(positions, element, "vkr_percent"),
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


def star(element: Element, positions: Positions, options: Options) -> dict[str, Winding]:
    """The three windings of a row of `trafo3w` as transformers at a star point of `vn_hv_kv`.

    The hv winding has its high-voltage side at the bus, the others at the star point. Short-circuit
    voltages are given between pairs (hv-mv, mv-lv, lv-hv), each on the smaller of the two ratings.
    """
    names = tuple(f"{kind}_{side}_percent" for kind in ("vk", "vkr") for side in SIDES)
    check_impedance(positions, element, names)
    sn = [element.number(f"sn_{side}_mva") for side in SIDES]
    vk, vkr = ([percent(positions, element, name) for name in part] for part in (names[:3], names[3:]))
    total, pairs_real = _pairs(vk, sn), _pairs(vkr, sn)
    real = _delta_to_star(pairs_real, sn)
    reactive = _delta_to_star([math.sqrt(max(z * z - r * r, 0.0)) for z, r in zip(total, pairs_real, strict=True)], sn)
    turned = _star_turns(element, positions)
    windings = {}
    for position, side in enumerate(SIDES):
        vk_percent = math.copysign(math.hypot(real[position], reactive[position]), reactive[position])
        loses = side == loss_side(element, options)
        plate = Nameplate(
            sn[position],
            element.number("vn_hv_kv"),
            element.number(f"vn_{side}_kv"),
            vk_percent,
            real[position],
            element.number("pfe_kw", 0.0) if loses else 0.0,
            element.number("i0_percent", 0.0) if loses else 0.0,
            0.0 if side == "hv" or not options.with_angles else element.number(f"shift_{side}_degree", 0.0),
            1,
        )
        windings[side] = (plate, *turned[side])
    return windings


def loss_side(element: Element, options: Options) -> str:
    """Where a transformer of three windings is magnetised: at a side, or at the star point."""
    return element.text("loss_side") or options.star_losses


def star_losses_va(element: Element) -> complex:
    """What magnetises a transformer at its star point, at the rated voltage of its hv side: W + j var drawn."""
    pfe_w = 1e3 * element.number("pfe_kw", 0.0)
    s0_va = 1e4 * element.number("i0_percent", 0.0) * element.number("sn_hv_mva")
    return complex(pfe_w, math.sqrt(max(s0_va**2 - pfe_w**2, 0.0)))


def _pairs(percent: list[float], sn: list[float]) -> list[float]:
    smaller = (min(sn[0], sn[1]), min(sn[1], sn[2]), min(sn[0], sn[2]))
    return [sn[0] * value / rating for value, rating in zip(percent, smaller, strict=True)]


def _delta_to_star(pairs: list[float], sn: list[float]) -> list[float]:
    hv_mv, mv_lv, lv_hv = pairs
    sums = (hv_mv + lv_hv - mv_lv, mv_lv + hv_mv - lv_hv, lv_hv + mv_lv - hv_mv)
    return [0.5 * rating / sn[0] * total for rating, total in zip(sn, sums, strict=True)]


def _star_turns(element: Element, positions: Positions) -> Mapping[str, tuple[Turn, Turn]]:
    """What turns the high-voltage and the low-voltage side of each winding, the star point being one of them."""
    found = {}
    at_star = element.flag("tap_at_star_point", default=False)
    for side, turn in turns(positions, element, SIDES, second=False).items():
        at_bus, at_centre = (NEUTRAL, turn.inverse()) if at_star else (turn, NEUTRAL)
        found[side] = (at_bus, at_centre) if side == "hv" else (at_centre, at_bus)
    return found
