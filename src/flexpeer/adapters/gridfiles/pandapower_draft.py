"""The rows of a pandapower file while they are read: buses fused by switches, branches cut by them."""

import math
from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from flexpeer.adapters.gridfiles.pandapower_tables import Element, Tables, element_names
from flexpeer.errors import Finding
from flexpeer.grid.assembly import BranchRow, BusRow, ShuntRow, open_end_shunt


@dataclass(frozen=True)
class Draft:
    """What has been read so far.

    `nodes` maps every bus index to its bus of the network, `live` holds the bus indexes in service, and
    `open_ends` the (switch type, element index, bus index) of every open branch switch.
    """

    tables: Tables
    names: dict[tuple[str, int], str]
    nodes: dict[int, str]
    v_kv: dict[int, float]
    live: frozenset[int]
    open_ends: frozenset[tuple[str, int, int]]
    buses: list[BusRow]
    branches: list[BranchRow] = field(default_factory=list)
    shunts: list[ShuntRow] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def note(self, element: Element, field_name: str, problem: str, expected: str) -> None:
        """Say something about an element that does not refuse the file."""
        self.findings.append(Finding(self.tables.where, 0, element.place(field_name), problem, expected))

    def end(self, element: Element, column: str) -> int | None:
        """The bus index in a column, or None (and an error) when there is no such bus."""
        index = element.count(column)
        if index in self.nodes:
            return index
        if index >= 0:
            element.fault(column, f"no bus {index}", "the index of a bus of this grid")
        return None

    def at_live_bus(self, element: Element) -> bool:
        """Whether an element with one bus is in service at a bus in service."""
        index = self.end(element, "bus")
        return index is not None and element.in_service and index in self.live

    def add_branch(self, row: BranchRow, cut_from: bool, cut_to: bool) -> None:
        """Add a branch as its switches leave it: whole, a charging shunt at one end, or out."""
        self.branches.append(row._replace(in_service=row.in_service and not (cut_from or cut_to)))
        if row.in_service and cut_from != cut_to:
            v_kv = {bus.name: bus.v_kv for bus in self.buses if bus.name in (row.from_bus, row.to_bus)}
            shunt = open_end_shunt(row, cut_to, v_kv[row.from_bus], v_kv[row.to_bus])
            self.shunts.extend([shunt] if shunt else [])


def draft_of(tables: Tables) -> Draft:
    """A draft with the buses of the file, fused, and nothing else yet."""
    names = element_names(tables)
    buses = {bus.index: bus for bus in tables.of("bus")}
    live = frozenset(index for index, bus in buses.items() if bus.in_service)
    groups = _fused(tables, buses, live)
    rows, nodes = [], {}
    for members in groups:
        row = _fused_row([buses[index] for index in members], names["bus", members[0]])
        rows.append(row)
        nodes.update(dict.fromkeys(members, row.name))
    open_ends = frozenset(
        (switch.text("et"), switch.count("element"), switch.count("bus"))
        for switch in tables.of("switch")
        if not switch.flag("closed", default=True)
    )
    v_kv = {row.name: row.v_kv for row in rows}
    return Draft(tables, names, nodes, {i: v_kv[name] for i, name in nodes.items()}, live, open_ends, rows)


def joins_buses(switch: Element) -> bool:
    """Whether it is a closed bus-bus switch."""
    return switch.text("et") == "b" and switch.flag("closed", default=True)


def _fused(tables: Tables, buses: dict[int, Element], live: frozenset[int]) -> list[list[int]]:
    """Bus indexes in groups of one node, in file order of their first bus."""
    position = {index: place for place, index in enumerate(buses)}
    pairs = []
    for switch in tables.of("switch"):
        if not joins_buses(switch):
            continue
        ends = (switch.count("bus"), switch.count("element"))
        if not set(ends) <= buses.keys():
            switch.fault("element", f"joins buses {ends[0]} and {ends[1]}", "buses of this grid")
        elif switch.number("z_ohm", 0.0) == 0 and set(ends) <= live:
            pairs.append((position[ends[0]], position[ends[1]]))
    joined = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(joined)), (joined[:, 0], joined[:, 1])), shape=(len(buses), len(buses)))
    label = connected_components(graph, directed=False)[1]
    groups: dict[int, list[int]] = {}
    for index, node in zip(buses, label, strict=True):
        groups.setdefault(int(node), []).append(index)
    return list(groups.values())


def _fused_row(members: list[Element], name: str) -> BusRow:
    v_kv = members[0].positive("vn_kv")
    for other in members[1:]:
        if other.number("vn_kv") != v_kv:
            other.fault("vn_kv", f"{other.values.get('vn_kv')} joined with {v_kv} kV by a switch", "one voltage")
    return BusRow(
        name,
        v_kv,
        max(bus.number("min_vm_pu", 0.9) for bus in members),
        min(bus.number("max_vm_pu", 1.1) for bus in members),
        next((area for area in map(_area, members) if area), ""),
    )


def _area(bus: Element) -> str:
    zone = bus.values.get("zone")
    if isinstance(zone, float):
        return f"{zone:g}" if math.isfinite(zone) else ""
    return "" if zone is None else str(zone).strip()
