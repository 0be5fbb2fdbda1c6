"""Pandapower's lines, transformers, impedances and resistive switches as branch rows."""

import math
from collections.abc import Callable

from flexpeer.adapters.gridfiles.pandapower_draft import Draft, joins_buses
from flexpeer.adapters.gridfiles.pandapower_tables import Element
from flexpeer.adapters.gridfiles.pandapower_transformers import (
    SIDES,
    Nameplate,
    Tap,
    idle_tap,
    nameplate,
    pi_section,
    star,
    taps,
)
from flexpeer.grid.assembly import BranchRow, BusRow

SWITCH_R_TO_X = 2.0
"""Pandapower's default `switch_rx_ratio`: how it divides a switch's `z_ohm`."""


def read_branches(draft: Draft) -> None:
    """Add every branch of the file to the draft."""
    for table, read in READERS.items():
        for element in draft.tables.of(table):
            read(draft, element)


def _line(draft: Draft, line: Element) -> None:
    start, end = draft.end(line, "from_bus"), draft.end(line, "to_bus")
    if start is None or end is None:
        return
    parallel, length_km = line.count("parallel", 1), line.number("length_km")
    if parallel < 1:
        line.fault("parallel", f"{parallel}", "at least 1")
        return
    limit_a = line.number("max_i_ka") * 1e3 * line.number("df", 1.0) * parallel
    susceptance = 2.0 * math.pi * draft.tables.frequency_hz * line.number("c_nf_per_km") * 1e-3
    row = BranchRow(
        draft.names["line", line.index],
        "line",
        draft.nodes[start],
        draft.nodes[end],
        line.number("r_ohm_per_km") * length_km / parallel,
        line.number("x_ohm_per_km") * length_km / parallel,
        line.number("g_us_per_km", 0.0) * length_km * parallel,
        susceptance * length_km * parallel,
        rating_from_a=limit_a,
        rating_to_a=limit_a,
        in_service=line.in_service,
    )
    cut = [("l", line.index, bus) in draft.open_ends or bus not in draft.live for bus in (start, end)]
    draft.add_branch(row, *cut)


def _transformer(draft: Draft, trafo: Element) -> None:
    high, low = draft.end(trafo, "hv_bus"), draft.end(trafo, "lv_bus")
    plate, changers = nameplate(trafo), taps(trafo)
    if high is None or low is None or not _usable(plate):
        return
    _note_idle_tap(draft, trafo)
    name = draft.names["trafo", trafo.index]
    row = _winding(name, plate, changers, (draft.v_kv[high], draft.v_kv[low]), trafo.number("df", 1.0))
    live = trafo.in_service and {high, low} <= draft.live
    row = row._replace(from_bus=draft.nodes[high], to_bus=draft.nodes[low], in_service=live)
    draft.add_branch(row, *(("t", trafo.index, bus) in draft.open_ends for bus in (high, low)))


def _three_windings(draft: Draft, trafo: Element) -> None:
    ends = {side: draft.end(trafo, f"{side}_bus") for side in SIDES}
    if not all(trafo.number(f"sn_{side}_mva") > 0 for side in SIDES):
        trafo.fault("sn_hv_mva", "a rating that is not positive", "positive ratings of all windings")
        return
    windings = star(trafo)
    _note_idle_tap(draft, trafo)
    name = draft.names["trafo3w", trafo.index]
    centre = BusRow(f"{name} star", draft.v_kv.get(ends["hv"] or 0, math.nan), 0.0, 2.0)
    draft.buses.append(centre)
    live = trafo.in_service and set(ends.values()) <= draft.live
    for side, (plate, changers) in windings.items():
        bus = ends[side]
        if bus is None or not _usable(plate):
            continue
        outward = (centre.v_kv, draft.v_kv[bus])
        row = _winding(f"{name} {side}", plate, changers, outward if side != "hv" else outward[::-1], 1.0)
        names = (centre.name, draft.nodes[bus]) if side != "hv" else (draft.nodes[bus], centre.name)
        cut = ("t3", trafo.index, bus) in draft.open_ends
        row = row._replace(from_bus=names[0], to_bus=names[1], in_service=live)
        draft.add_branch(row, cut and side == "hv", cut and side != "hv")


def _winding(name: str, plate: Nameplate, changers: list[Tap], v_kv: tuple[float, float], share: float) -> BranchRow:
    section = pi_section(plate, changers)
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


def _impedance(draft: Draft, impedance: Element) -> None:
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
    draft.add_branch(row, cut_from=False, cut_to=False)


def _switch(draft: Draft, switch: Element) -> None:
    z_ohm = switch.number("z_ohm", 0.0)
    if not joins_buses(switch) or z_ohm == 0:
        return
    start, end = draft.end(switch, "bus"), draft.end(switch, "element")
    if start is None or end is None:
        return
    x_ohm = z_ohm / math.hypot(1.0, SWITCH_R_TO_X)
    limit_a = switch.number("in_ka") * 1e3 if switch.has("in_ka") else math.nan
    row = BranchRow(
        draft.names["switch", switch.index],
        "switch",
        draft.nodes[start],
        draft.nodes[end],
        x_ohm * SWITCH_R_TO_X,
        x_ohm,
        rating_from_a=limit_a,
        rating_to_a=limit_a,
        in_service={start, end} <= draft.live,
    )
    draft.add_branch(row, cut_from=False, cut_to=False)


READERS: dict[str, Callable[[Draft, Element], None]] = {
    "line": _line,
    "trafo": _transformer,
    "trafo3w": _three_windings,
    "impedance": _impedance,
    "switch": _switch,
}


def _usable(plate: Nameplate) -> bool:
    ratings = (plate.sn_mva, plate.vn_hv_kv, plate.vn_lv_kv, plate.parallel)
    return all(value > 0 for value in ratings) and abs(plate.vkr_percent) <= abs(plate.vk_percent)


def _note_idle_tap(draft: Draft, trafo: Element) -> None:
    if idle_tap(trafo):
        problem = "the tap is off neutral but has no type, so it has no effect (as in pandapower)"
        draft.note(trafo, "tap_changer_type", problem, "Ratio, if the tap is meant to act")
