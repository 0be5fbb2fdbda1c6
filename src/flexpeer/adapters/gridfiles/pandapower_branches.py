"""Pandapower's lines, transformers, impedances and resistive switches as branch rows."""

import math
from collections.abc import Callable

from flexpeer.adapters.gridfiles.pandapower_draft import PandapowerDraft, impedance_ohm, joins_buses
from flexpeer.adapters.gridfiles.pandapower_tables import Element
from flexpeer.adapters.gridfiles.pandapower_transformers import (
    SIDES,
    Nameplate,
    Winding,
    loss_side,
    pi_section,
    star,
    star_losses_va,
    two_windings,
)
from flexpeer.grid.assembly import BranchRow, BusRow, ShuntRow

CELSIUS_OF_R, PER_KELVIN = 20.0, 4e-3
"""Where a line's resistance is stated, and how it grows where the file does not say (pandapower's defaults)."""


def read_branches(draft: PandapowerDraft) -> None:
    """Add every branch of the file to the draft."""
    for table, read in READERS.items():
        for element in draft.tables.of(table):
            read(draft, element)


def _line(draft: PandapowerDraft, line: Element) -> None:
    start, end = draft.end(line, "from_bus"), draft.end(line, "to_bus")
    if start is None or end is None:
        return
    parallel, length_km = line.count("parallel", 1), line.number("length_km")
    if parallel < 1:
        line.fault("parallel", f"{parallel}", "at least 1")
        return
    limit_a = _limit_a(draft, line, "max_i_ka") * line.number("df", 1.0) * parallel
    susceptance = 2.0 * math.pi * draft.tables.frequency_hz * line.number("c_nf_per_km") * 1e-3
    row = BranchRow(
        draft.names["line", line.index],
        "line",
        draft.nodes[start],
        draft.nodes[end],
        line.number("r_ohm_per_km") * _warmer(draft, line) * length_km / parallel,
        line.number("x_ohm_per_km") * length_km / parallel,
        line.number("g_us_per_km", 0.0) * length_km * parallel,
        susceptance * length_km * parallel,
        rating_from_a=limit_a,
        rating_to_a=limit_a,
        in_service=line.in_service,
    )
    cut = [draft.cut(line, f"{side}_bus") or bus not in draft.live for side, bus in (("from", start), ("to", end))]
    draft.add_branch(line, row, *cut)


def _limit_a(draft: PandapowerDraft, element: Element, column: str) -> float:
    """A rating in A; NaN, which is unknown, where there is none, or 0 and told, or no end to it."""
    limit_ka = element.number_or(column, math.nan)
    if limit_ka == 0:
        draft.note(element, column, "0; the loading is not known", "a rating, or no value")
    return math.nan if limit_ka == 0 or math.isinf(limit_ka) else limit_ka * 1e3


def _warmer(draft: PandapowerDraft, line: Element) -> float:
    """By how much the temperature of a line raises its resistance, if that is calculated."""
    if not draft.options.line_temperature:
        return 1.0
    per_kelvin = line.number_or("alpha", 0.0) if "alpha" in line.values else PER_KELVIN
    return 1.0 + per_kelvin * (line.number("temperature_degree_celsius") - CELSIUS_OF_R)


def _transformer(draft: PandapowerDraft, trafo: Element) -> None:
    high, low = draft.end(trafo, "hv_bus"), draft.end(trafo, "lv_bus")
    winding = two_windings(trafo, draft.positions, draft.options)
    if high is None or low is None or not _usable(winding[0]):
        return
    name = draft.names["trafo", trafo.index]
    row = _winding(draft, name, winding, (draft.v_kv[high], draft.v_kv[low]), trafo.number("df", 1.0))
    live = trafo.in_service and {high, low} <= draft.live
    row = row._replace(from_bus=draft.nodes[high], to_bus=draft.nodes[low], in_service=live)
    draft.add_branch(trafo, row, *(draft.cut(trafo, f"{side}_bus") for side in ("hv", "lv")))


def _three_windings(draft: PandapowerDraft, trafo: Element) -> None:
    """A star of branches; one whose bus is dead is out by itself, and the others go on."""
    ends = {side: draft.end(trafo, f"{side}_bus") for side in SIDES}
    if not all(trafo.number(f"sn_{side}_mva") > 0 for side in SIDES):
        trafo.fault("sn_hv_mva", "a rating that is not positive", "positive ratings of all windings")
        return
    windings = star(trafo, draft.positions, draft.options)
    name = draft.names["trafo3w", trafo.index]
    star_kv = draft.v_kv[ends["hv"]] if ends["hv"] is not None else math.nan
    centre = BusRow(f"{name} star", star_kv, 0.0, 2.0)
    draft.buses.append(centre)
    for side, winding in windings.items():
        bus = ends[side]
        if bus is None or not _usable(winding[0]):
            continue
        outward = (centre.v_kv, draft.v_kv[bus])
        row = _winding(draft, f"{name} {side}", winding, outward if side != "hv" else outward[::-1], 1.0)
        names = (centre.name, draft.nodes[bus]) if side != "hv" else (draft.nodes[bus], centre.name)
        cut = draft.cut(trafo, f"{side}_bus")
        row = row._replace(from_bus=names[0], to_bus=names[1], in_service=trafo.in_service and bus in draft.live)
        draft.add_branch(trafo, row, cut and side == "hv", cut and side != "hv")
    _magnetised_star(draft, trafo, centre)


def _magnetised_star(draft: PandapowerDraft, trafo: Element, centre: BusRow) -> None:
    drawn_va = star_losses_va(trafo)
    if loss_side(trafo, draft.options) != "star" or drawn_va == 0 or not trafo.in_service:
        return
    per_va = 1e6 / (trafo.positive("vn_hv_kv") * 1e3) ** 2
    draft.shunts.append(ShuntRow(centre.name, drawn_va.real * per_va, -drawn_va.imag * per_va))
    if drawn_va.real:
        draft.note(
            trafo, "pfe_kw", "at the star point, as the file has it, these do not count as losses", "hv, mv or lv"
        )


def _winding(draft: PandapowerDraft, name: str, winding: Winding, v_kv: tuple[float, float], share: float) -> BranchRow:
    plate, hv, lv = winding
    section = pi_section(plate, hv, lv, pi_model=draft.options.pi_model)
    limit_va = plate.sn_mva * 1e6 * share * plate.parallel
    return BranchRow(
        name,
        "transformer",
        "",
        "",
        section.r_ohm,
        section.x_ohm,
        section.g_s * 1e6,
        section.b_s * 1e6,
        section.v_ratio / (v_kv[0] / v_kv[1]),
        section.shift_deg,
        limit_va / (math.sqrt(3.0) * plate.vn_hv_kv * 1e3),
        limit_va / (math.sqrt(3.0) * plate.vn_lv_kv * 1e3),
    )


def _impedance(draft: PandapowerDraft, impedance: Element) -> None:
    start, end = draft.end(impedance, "from_bus"), draft.end(impedance, "to_bus")
    sn_mva = impedance.number("sn_mva")
    for one, other in (("rft", "rtf"), ("xft", "xtf"), ("gf", "gt"), ("bf", "bt")):
        if impedance.number(f"{one}_pu", 0.0) != impedance.number(f"{other}_pu", 0.0):
            impedance.fault(f"{other}_pu", f"differs from {one}_pu", "the same impedance from both ends")
    if start is None or end is None or not sn_mva > 0:
        return
    z_ohm = draft.v_kv[end] ** 2 / sn_mva
    row = BranchRow(
        draft.names["impedance", impedance.index],
        "impedance",
        draft.nodes[start],
        draft.nodes[end],
        impedance.number("rft_pu") * z_ohm,
        impedance.number("xft_pu") * z_ohm,
        2e6 * impedance.number("gf_pu", 0.0) / z_ohm,
        2e6 * impedance.number("bf_pu", 0.0) / z_ohm,
        in_service=impedance.in_service and {start, end} <= draft.live,
    )
    draft.add_branch(impedance, row)


def _switch(draft: PandapowerDraft, switch: Element) -> None:
    z_ohm = impedance_ohm(switch)
    if not joins_buses(switch) or not z_ohm > 0:
        return
    start, end = draft.end(switch, "bus"), draft.end(switch, "element")
    if start is None or end is None:
        return
    x_ohm = z_ohm / math.hypot(1.0, draft.options.switch_r_to_x)
    limit_a = _limit_a(draft, switch, "in_ka")
    row = BranchRow(
        draft.names["switch", switch.index],
        "switch",
        draft.nodes[start],
        draft.nodes[end],
        x_ohm * draft.options.switch_r_to_x,
        x_ohm,
        rating_from_a=limit_a,
        rating_to_a=limit_a,
        in_service={start, end} <= draft.live,
    )
    draft.add_branch(switch, row)


READERS: dict[str, Callable[[PandapowerDraft, Element], None]] = {
    "line": _line,
    "trafo": _transformer,
    "trafo3w": _three_windings,
    "impedance": _impedance,
    "switch": _switch,
}


def _usable(plate: Nameplate) -> bool:
    ratings = (plate.sn_mva, plate.vn_hv_kv, plate.vn_lv_kv, plate.parallel)
    return all(value > 0 for value in ratings) and abs(plate.vkr_percent) <= abs(plate.vk_percent)
