"""Lines, series compensators and equivalent branches of CIM as branch rows."""

from flexpeer.adapters.gridfiles.cim_draft import CimDraft
from flexpeer.adapters.gridfiles.cim_objects import Item
from flexpeer.adapters.gridfiles.cim_sections import LINES, SERIES
from flexpeer.grid.assembly import BranchRow


def read_sections(draft: CimDraft) -> None:
    """Add every line and series element; those without impedance are fused buses already."""
    for item in draft.model.of(*LINES, *SERIES):
        _section(draft, item)
    for cut in draft.model.of("Cut", "Clamp"):
        cut.fault("", f"a {cut.kind.lower()} inside a line", "the parts of the line as lines of their own")


def _section(draft: CimDraft, item: Item) -> None:
    terminals = draft.two_ends(item)
    if terminals is None:
        return
    start, end = draft.end(terminals[0]), draft.end(terminals[1])
    section = draft.sections[item.key]
    if start.bus == end.bus and section.r_ohm == 0 and section.x_ohm == 0:
        return
    kind, tap = ("line" if item.kind in LINES else "impedance"), 1.0
    if start.v_kv != end.v_kv and start.v_kv > 0 and end.v_kv > 0:
        item.note("", "joins two nominal voltages; it is calculated in ohms and volts", "one nominal voltage")
        kind, tap = "impedance", end.v_kv / start.v_kv
    row = BranchRow(
        item.key,
        kind,
        "",
        "",
        section.r_ohm,
        section.x_ohm,
        section.g_s * 1e6,
        section.b_s * 1e6,
        tap,
        rating_from_a=draft.ratings.at(terminals[0], item, start.v_kv),
        rating_to_a=draft.ratings.at(terminals[1], item, end.v_kv),
        in_service=draft.model.in_service(item),
    )
    draft.add_branch(row, item, (start, end))
