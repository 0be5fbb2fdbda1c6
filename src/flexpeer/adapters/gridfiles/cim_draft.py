"""The rows of a CIM model while they are read, by key; names are given at the end, when all are known."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from flexpeer.adapters.gridfiles.cim_limits import Ratings, bands, ratings
from flexpeer.adapters.gridfiles.cim_nodes import Nodes, area_of, nodes_of, terminal_kv
from flexpeer.adapters.gridfiles.cim_objects import CONDUCTING_EQUIPMENT, Item, Model, connected
from flexpeer.adapters.gridfiles.cim_sections import Section, sections
from flexpeer.grid.assembly import (
    BranchRow,
    BusRow,
    ControlledRow,
    GridRows,
    InjectionRow,
    ShuntRow,
    SourceRow,
    bypassed_shunt,
    open_end_shunt,
)

SHORTEST_SUFFIX = 8


class End(NamedTuple):
    """Where a terminal is: the key of its bus, kV, and whether it is connected there."""

    bus: str
    v_kv: float
    live: bool


@dataclass
class CimDraft:
    """What has been read so far. Rows are named by key; `wanted` is the name that each should have, and its mRID."""

    model: Model
    sections: Mapping[str, Section]
    nodes: Nodes
    ratings: Ratings
    wanted: dict[str, tuple[str, str]] = field(default_factory=dict)
    buses: dict[str, BusRow] = field(default_factory=dict)
    branches: list[BranchRow] = field(default_factory=list)
    shunts: list[ShuntRow] = field(default_factory=list)
    sources: list[SourceRow] = field(default_factory=list)
    injections: list[InjectionRow] = field(default_factory=list)
    controlled: dict[str, ControlledRow] = field(default_factory=dict)

    def end(self, terminal: Item) -> End:
        """Where a terminal is; one without a node is at a bus of its own, disconnected."""
        bus = self.nodes.bus_at.get(terminal.key)
        if bus is not None:
            return End(bus, self.nodes.v_kv[bus], connected(terminal))
        bus = f"{terminal.key} open"
        if bus not in self.buses:
            equipment = self.model.follow(terminal, CONDUCTING_EQUIPMENT) or terminal
            v_kv = terminal_kv(self.model, terminal) or self._other_kv(terminal, equipment)
            self.add_bus(BusRow(bus, v_kv), f"{equipment.name} open end", terminal.key)
        return End(bus, self.buses[bus].v_kv, live=False)

    def _other_kv(self, terminal: Item, equipment: Item) -> float:
        others = (self.nodes.bus_at.get(t.key) for t in self.model.terminals(equipment) if t is not terminal)
        return next((self.nodes.v_kv[bus] for bus in others if bus is not None), math.nan)

    def two_ends(self, equipment: Item) -> tuple[Item, Item] | None:
        """The two terminals of a branch, or None and an error."""
        terminals = self.model.terminals(equipment)
        if len(terminals) != 2:
            equipment.fault(CONDUCTING_EQUIPMENT, f"{len(terminals)} terminals", "2 terminals")
            return None
        return terminals[0], terminals[1]

    def live_bus(self, equipment: Item) -> str | None:
        """The bus of an equipment with one terminal, if it is in service and connected."""
        terminals = self.model.terminals(equipment)
        if not terminals:
            equipment.note("", "has no terminal; it is passed over", "a terminal")
            return None
        bus = self.nodes.bus_at.get(terminals[0].key)
        return bus if bus and connected(terminals[0]) and self.model.in_service(equipment) else None

    def add_bus(self, row: BusRow, name: str, key: str) -> None:
        """Add a bus under its key."""
        self.buses[row.name] = row
        self.wanted[row.name] = (name, key)

    def add_branch(self, row: BranchRow, item: Item, ends: tuple[End, End], name: str = "") -> None:
        """Add a branch between two ends as they leave it: whole, a charging shunt at one end, or out.

        `row` is named by key and is between no buses yet; its `in_service` is the equipment's own.
        """
        if ends[0].bus == ends[1].bus:
            item.note("", "both ends are at one bus; only its charging is left", "two buses")
            live = row.in_service and ends[0].live and ends[1].live
            shunt = bypassed_shunt(row._replace(from_bus=ends[0].bus, to_bus=ends[1].bus)) if live else None
            self.shunts.extend([shunt] if shunt else [])
            return
        start, end = ends
        row = row._replace(from_bus=start.bus, to_bus=end.bus)
        if row.r_ohm == 0 and row.x_ohm == 0:
            item.note("", "has no impedance; 1e-5 per unit on 1 MVA is used", "an impedance")
            row = row._replace(x_ohm=1e-5 * end.v_kv**2)
        self.branches.append(row._replace(in_service=row.in_service and start.live and end.live))
        self.wanted[row.name] = (name or item.name, item.key)
        if row.in_service and start.live != end.live and start.v_kv > 0 and row.tap > 0:
            shunt = open_end_shunt(row, start.live, start.v_kv, end.v_kv)
            self.shunts.extend([shunt] if shunt else [])


def draft_of(model: Model) -> CimDraft:
    """A draft with the buses of the model, fused, and nothing else yet."""
    found = sections(model)
    nodes = nodes_of(model, found)
    draft = CimDraft(model, found, nodes, ratings(model))
    band = bands(model, nodes)
    for bus, members in nodes.members.items():
        items = [model.objects[node] for node in members if node in model.objects]
        if not items:
            model.report.note(
                Item("Terminal", bus, model.report.where, 0, {}, model.report),
                "Terminal.TopologicalNode",
                "a node that is not in the files, such as one of a boundary, is a bus",
                "all files of the model",
            )
        elif math.isnan(nodes.v_kv[bus]):
            items[0].fault("BaseVoltage", "no nominal voltage", "a base voltage of the node or of what is there")
        row = BusRow(bus, nodes.v_kv[bus], *band[bus], area_of(model, members))
        draft.add_bus(row, _bus_name(model, members, items), bus)
    return draft


def _bus_name(model: Model, members: tuple[str, ...], items: list[Item]) -> str:
    """That of its first topological node, otherwise of its first busbar section, otherwise of its first node."""
    if items and items[0].kind == "TopologicalNode":
        return items[0].name
    for item in items:
        for terminal in model.referring("Terminal.ConnectivityNode", item):
            equipment = model.follow(terminal, CONDUCTING_EQUIPMENT)
            if equipment is not None and equipment.kind == "BusbarSection":
                return equipment.name
    return items[0].name if items else members[0]


def named_rows(draft: CimDraft) -> tuple[GridRows, dict[str, str]]:
    """The rows with names instead of keys, and the name by key."""
    names = _names(draft.wanted)
    branches = (
        row._replace(name=names[row.name], from_bus=names[row.from_bus], to_bus=names[row.to_bus])
        for row in draft.branches
    )
    rows = GridRows(
        tuple(row._replace(name=names[row.name]) for row in draft.buses.values()),
        tuple(branches),
        tuple(row._replace(bus=names[row.bus], branch=names.get(row.branch, "")) for row in draft.shunts),
        tuple(row._replace(name=names[row.name], bus=names[row.bus]) for row in draft.sources),
        tuple(row._replace(bus=names[row.bus]) for row in draft.injections),
        tuple(row._replace(bus=names[row.bus]) for row in draft.controlled.values()),
    )
    return rows, names


def _names(wanted: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """Unique names: one that several want gets the beginning of the mRID of each, as much of it as it takes."""
    names = {row: name for row, (name, _) in wanted.items()}
    length = SHORTEST_SUFFIX
    while repeated := {name for name, count in Counter(names.values()).items() if count > 1}:
        for row, name in names.items():
            if name in repeated:
                names[row] = f"{wanted[row][0]} ({wanted[row][1][:length]})" if length < 64 else f"{name} ({row})"
        length += SHORTEST_SUFFIX
    return names
