"""A CIM model (CGMES 2.4.15 or 3.0, CDPSM) as rows in SI units, without any CIM library.

`docs/reference/grid-files.md` lists the classes that are read. Equipment in service that carries power and
is not among them refuses the model; classes without terminals are passed over.
"""

from pathlib import Path

from flexpeer.adapters.gridfiles.cim_branches import read_sections
from flexpeer.adapters.gridfiles.cim_draft import CimDraft, draft_of, named_rows
from flexpeer.adapters.gridfiles.cim_files import read_model
from flexpeer.adapters.gridfiles.cim_injections import CONSUMERS, SHUNTS, read_loads, read_shunts
from flexpeer.adapters.gridfiles.cim_machines import POWERS
from flexpeer.adapters.gridfiles.cim_nodes import SWITCHES
from flexpeer.adapters.gridfiles.cim_objects import Model, connected
from flexpeer.adapters.gridfiles.cim_sections import LINES, SERIES
from flexpeer.adapters.gridfiles.cim_sources import read_sources
from flexpeer.adapters.gridfiles.cim_transformers import read_transformers
from flexpeer.adapters.gridfiles.grid_file import ReadRows
from flexpeer.errors import bad_input

READ = frozenset((*LINES, *SERIES, *SWITCHES, *CONSUMERS, *SHUNTS, *POWERS, "PowerTransformer", "Cut", "Clamp"))
CARRYING_NOTHING = frozenset(
    (
        "BusbarSection",
        "Connector",
        "CurrentTransformer",
        "EarthFaultCompensator",
        "FaultIndicator",
        "Ground",
        "GroundDisconnector",
        "GroundSwitch",
        "GroundingImpedance",
        "Junction",
        "PetersenCoil",
        "PostLineSensor",
        "PotentialTransformer",
        "Sensor",
        "SurgeArrester",
        "WaveTrap",
    )
)
PER_PHASE = (
    "ACLineSegmentPhase",
    "EnergyConsumerPhase",
    "EnergySourcePhase",
    "LinearShuntCompensatorPhase",
    "NonlinearShuntCompensatorPhase",
    "PowerElectronicsConnectionPhase",
    "SwitchPhase",
)


def read_cim(path: Path, where: str) -> ReadRows:
    """The rows of a file, folder or archive; `BadInput` when there is no model to read."""
    model = read_model(path, where)
    if not model.of("Terminal"):
        raise bad_input(where, "no terminals", "the equipment (EQ) of a CIM model", field="Terminal")
    draft = draft_of(model)
    read_sections(draft)
    read_transformers(draft)
    read_loads(draft)
    read_shunts(draft)
    read_sources(draft)
    _refuse_the_rest(model)
    for kind in PER_PHASE:
        for item in model.of(kind):
            item.note("", "a single phase; the grid is read as balanced", "three equal phases")
    rows, names = named_rows(draft)
    bus_aliases, branch_aliases = _bus_aliases(draft, names), _branch_aliases(draft, names)
    return ReadRows(rows, tuple(model.report.errors), model.report.findings(), bus_aliases, branch_aliases)


def _refuse_the_rest(model: Model) -> None:
    """Equipment that carries power and has no counterpart here would change the answer silently."""
    for kind in model.kinds():
        if kind in READ or kind in CARRYING_NOTHING:
            continue
        for item in model.of(kind):
            live = [terminal for terminal in model.terminals(item) if connected(terminal)]
            if live and model.in_service(item):
                expected = "AC lines, transformers, switches, shunts, loads and machines"
                item.fault("", f"equipment of class {kind} is not calculated", expected)


def _bus_aliases(draft: CimDraft, names: dict[str, str]) -> dict[str, str]:
    """The mRIDs of a bus's nodes and busbar sections, and the names of those that nothing else is called by."""
    by_key = {node: names[bus] for node, bus in draft.nodes.bus_of.items()}
    for section in draft.model.of("BusbarSection"):
        for terminal in draft.model.terminals(section):
            if terminal.key in draft.nodes.bus_at:
                by_key[section.key] = names[draft.nodes.bus_at[terminal.key]]
    own: dict[str, set[str]] = {}
    for key, bus in by_key.items():
        if key in draft.model.objects:
            own.setdefault(draft.model.objects[key].name, set()).add(bus)
    aliases = {name: next(iter(buses)) for name, buses in own.items() if len(buses) == 1}
    aliases |= by_key | {f"_{key}": bus for key, bus in by_key.items()}
    return _unused(aliases, names)


def _branch_aliases(draft: CimDraft, names: dict[str, str]) -> dict[str, str]:
    aliases: dict[str, str] = {}
    for row in draft.branches:
        aliases |= dict.fromkeys((row.name, f"_{row.name}"), names[row.name])
    return _unused(aliases, names)


def _unused(aliases: dict[str, str], names: dict[str, str]) -> dict[str, str]:
    taken = set(names.values())
    return {alias: name for alias, name in aliases.items() if alias not in taken}
