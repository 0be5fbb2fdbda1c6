"""The rows of a pandapower file while they are read: buses fused by switches, branches cut by them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from flexpeer.adapters.gridfiles.pandapower_options import Options, options_of
from flexpeer.adapters.gridfiles.pandapower_tables import Element, Index, Tables, element_names, index_of
from flexpeer.adapters.gridfiles.pandapower_taps import Positions, positions_of
from flexpeer.errors import Finding
from flexpeer.grid.assembly import BranchRow, BusRow, ShuntRow, bypassed_shunt, open_end_shunt


@dataclass(frozen=True)
class PandapowerDraft:
    """What has been read so far.

    `nodes` maps every bus index to its bus of the network, `live` holds the bus indexes in service, and
    `open_ends` the (table, element index, column of the bus) of every open branch switch.
    """

    tables: Tables
    options: Options
    positions: Positions
    names: dict[tuple[str, Index], str]
    nodes: dict[Index, str]
    v_kv: dict[Index, float]
    live: frozenset[Index]
    open_ends: frozenset[tuple[str, Index, str]]
    buses: list[BusRow]
    branches: list[BranchRow] = field(default_factory=list)
    shunts: list[ShuntRow] = field(default_factory=list)

    def note(self, element: Element, field_name: str, problem: str, expected: str) -> None:
        """Say something about an element that does not refuse the file."""
        _note(self.tables, element, field_name, problem, expected)

    def end(self, element: Element, column: str) -> Index | None:
        """The bus index in a column, or None (and an error) when there is no such bus."""
        index = element.reference(column)
        if index in self.nodes:
            return index
        if index != -1:
            element.fault(column, f"no bus {index}", "the index of a bus of this grid")
        return None

    def cut(self, element: Element, column: str) -> bool:
        """Whether a switch is open between an element and the bus in a column."""
        return (element.table, element.index, column) in self.open_ends

    def at_live_bus(self, element: Element) -> bool:
        """Whether an element with one bus is in service at a bus in service."""
        index = self.end(element, "bus")
        return index is not None and element.in_service and index in self.live

    def add_branch(self, element: Element, row: BranchRow, cut_from: bool = False, cut_to: bool = False) -> None:
        """Add a branch as its switches leave it: whole, a charging shunt at one end, or out.

        With both ends at one bus of the network it carries nothing, and only its charging is left, as a shunt.
        """
        cut = (cut_from or cut_to) and not (cut_from and cut_to)
        if row.from_bus == row.to_bus:
            problem = f"closed switches join both ends of {row.name!r}, at {row.from_bus!r}; it is left out"
            self.note(element, "", problem, "two buses that are not joined")
            shunt = bypassed_shunt(row) if row.in_service and not (cut_from or cut_to) else None
            self.shunts.extend([shunt] if shunt else [])
        else:
            self.branches.append(row._replace(in_service=row.in_service and not (cut_from or cut_to)))
        if row.in_service and cut and self.options.open_ends:
            v_kv = {bus.name: bus.v_kv for bus in self.buses if bus.name in (row.from_bus, row.to_bus)}
            shunt = open_end_shunt(row, cut_to, v_kv[row.from_bus], v_kv[row.to_bus])
            if shunt and row.from_bus == row.to_bus:
                shunt = shunt._replace(branch="")
            self.shunts.extend([shunt] if shunt else [])


def draft_of(tables: Tables) -> PandapowerDraft:
    """A draft with the buses of the file, fused, and nothing else yet."""
    names = element_names(tables)
    buses = {bus.index: bus for bus in tables.of("bus")}
    live = frozenset(index for index, bus in buses.items() if bus.in_service)
    groups = _fused(tables, buses, live)
    states = {row.index: row for row in tables.of("res_bus")}
    rows, nodes = [], {}
    for members in groups:
        row = _fused_row([buses[index] for index in members], names["bus", members[0]])
        start = next((states[index] for index in members if index in states), None)
        rows.append(_started(row, start) if start is not None else row)
        nodes.update(dict.fromkeys(members, row.name))
    v_kv = {row.name: row.v_kv for row in rows}
    return PandapowerDraft(
        tables,
        options_of(tables),
        positions_of(tables),
        names,
        nodes,
        {index: v_kv[name] for index, name in nodes.items()},
        live,
        frozenset(_open_ends(tables)),
        rows,
    )


BRANCH_SWITCHES = {
    "l": ("line", ("to_bus", "from_bus")),
    "t": ("trafo", ("hv_bus", "lv_bus")),
    "t3": ("trafo3w", ("hv_bus", "mv_bus", "lv_bus")),
}
"""Tables by type of switch, and the columns of their buses in the order pandapower looks for a switch's bus."""


def _open_ends(tables: Tables) -> Iterator[tuple[str, Index, str]]:
    """Every end of a branch that a switch opens."""
    branches = {(table, one.index): one for table, _ in BRANCH_SWITCHES.values() for one in tables.of(table)}
    for switch in tables.of("switch"):
        kind = switch.text("et")
        if kind not in BRANCH_SWITCHES and kind != "b":
            problem = f"{switch.values.get('et')!r}; the switch has no effect (as in pandapower)"
            _note(tables, switch, "et", problem, f"b, {', '.join(BRANCH_SWITCHES)}")
        if kind not in BRANCH_SWITCHES or switch.flag("closed", default=True):
            continue
        table, columns = BRANCH_SWITCHES[kind]
        branch = branches.get((table, switch.reference("element")))
        if branch is None:
            switch.fault("element", f"no {table} {switch.values.get('element')}", f"the index of a {table}")
        else:
            yield table, branch.index, _opened(tables, switch, branch, columns)


def _opened(tables: Tables, switch: Element, branch: Element, columns: tuple[str, ...]) -> str:
    """The column of the bus that an open switch is at; where it is at none, the last of two, as in pandapower."""
    bus = switch.reference("bus")
    at = [column for column in columns if branch.has(column) and index_of(branch.values[column]) == bus]
    if not at and len(columns) > 2:
        switch.fault("bus", f"bus {bus} is at no end of {branch.index_form}", "a bus of the transformer")
    elif not at:
        problem = f"bus {bus} is at no end of {branch.index_form}; the switch is taken to be at {columns[-1]}"
        _note(tables, switch, "bus", problem, "a bus of the branch")
    return at[0] if at else columns[-1]


def _note(tables: Tables, element: Element, column: str, problem: str, expected: str) -> None:
    tables.findings.append(Finding(tables.where, 0, element.place(column), problem, expected))


def _started(row: BusRow, state: Element) -> BusRow:
    """A bus with the voltage of the file's own results, where there is one."""
    v_pu, angle_deg = state.number_or("vm_pu", math.nan), state.number_or("va_degree", math.nan)
    return row._replace(start_v_pu=v_pu, start_deg=angle_deg) if v_pu > 0 and math.isfinite(angle_deg) else row


def joins_buses(switch: Element) -> bool:
    """Whether it is a closed bus-bus switch."""
    return switch.text("et") == "b" and switch.flag("closed", default=True)


def impedance_ohm(switch: Element) -> float:
    """The impedance of a switch between buses; without one, or not above 0, it joins them."""
    return switch.number("z_ohm", 0.0)


def _fused(tables: Tables, buses: dict[Index, Element], live: frozenset[Index]) -> list[list[Index]]:
    """Bus indexes in groups of one node, in file order of their first bus."""
    position = {index: place for place, index in enumerate(buses)}
    pairs = []
    for switch in tables.of("switch"):
        if not joins_buses(switch):
            continue
        ends = (switch.reference("bus"), switch.reference("element"))
        if not set(ends) <= buses.keys():
            switch.fault("element", f"joins buses {ends[0]} and {ends[1]}", "buses of this grid")
        elif not impedance_ohm(switch) > 0 and set(ends) <= live:
            pairs.append((position[ends[0]], position[ends[1]]))
    joined = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(joined)), (joined[:, 0], joined[:, 1])), shape=(len(buses), len(buses)))
    label = connected_components(graph, directed=False)[1]
    groups: dict[int, list[Index]] = {}
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
