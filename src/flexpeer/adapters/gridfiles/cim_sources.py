"""Which equipment of a CIM model holds the reference voltage of its island, and what becomes of the rest.

In each island, in this order: what has the highest referencePriority (1 before 2, 0 is none), which are all external
injections that share it, otherwise one machine; every energy source that states a voltage; what is at the reference
node of the state variables; the largest external injection, with every other one that states no power, otherwise the
largest machine or other injection. The voltage is the one it holds or states, otherwise that of the state variables,
otherwise 1.
"""

import math
from collections.abc import Mapping

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from flexpeer.adapters.gridfiles.cim_draft import CimDraft
from flexpeer.adapters.gridfiles.cim_machines import (
    SOURCE_VOLTAGE,
    Machine,
    Voltage,
    machines,
    note_unpowered,
    reactive_range,
    state_voltages,
    stated_voltage,
)
from flexpeer.adapters.gridfiles.cim_units import plate_of
from flexpeer.grid.assembly import ControlledRow, InjectionRow, SourceRow

PRIORITIES = ("ExternalNetworkInjection.referencePriority", "SynchronousMachine.referencePriority")
INFEED = "ExternalNetworkInjection"
PREFERENCE = ("ExternalNetworkInjection", "SynchronousMachine", "EquivalentInjection", "EnergySource")
EXPECTED = "a referencePriority above 0, or an EnergySource with its voltage"


def read_sources(draft: CimDraft) -> None:
    """Add sources, controlled buses and the injections of all machines; to be called after all branches."""
    states = state_voltages(draft)
    for bus, state in states.items():
        draft.buses[bus] = draft.buses[bus]._replace(start_v_pu=state.v_pu, start_deg=state.angle_deg)
    found = machines(draft, states)
    islands: dict[int, list[Machine]] = {}
    label = _islands(draft)
    for machine in found:
        islands.setdefault(label[machine.bus], []).append(machine)
    references = _reference_buses(draft)
    chosen: dict[str, Machine] = {}
    for members in islands.values():
        for machine in _chosen(members, references):
            chosen.setdefault(machine.bus, machine)
    for bus, machine in chosen.items():
        draft.sources.append(_source(draft, machine, states.get(bus)))
        draft.wanted[machine.item.key] = (machine.item.name, machine.item.key)
    for machine in found:
        if chosen.get(machine.bus) is not machine:
            _inject(draft, machine, held=machine.bus not in chosen)


def _chosen(members: list[Machine], references: frozenset[str]) -> list[Machine]:
    priority = {id(m): m.item.number(*PRIORITIES, default=0.0) for m in members if m.item.has(*PRIORITIES)}
    first = sorted((m for m in members if priority.get(id(m), 0.0) > 0), key=lambda m: priority[id(m)])
    stating = [m for m in members if m.item.has(SOURCE_VOLTAGE)]
    if first:
        return _first(first, priority)
    if stating:
        return stating
    able = [m for m in members if m.item.kind in PREFERENCE]
    there = [m for m in able if m.bus in references]
    if not able:
        return []
    best = min(there or able, key=lambda m: (PREFERENCE.index(m.item.kind), -m.size_va))
    reason = "it is at the reference node of the state variables" if there else "it is the largest of its island"
    best.item.note("", f"{best.item.name} is the source because {reason}", EXPECTED)
    return [best, *_also_infeeds(best, able)]


def _first(ranked: list[Machine], priority: Mapping[int, float]) -> list[Machine]:
    """Those of the first priority: every external injection among them, otherwise the largest machine."""
    equal = [m for m in ranked if priority[id(m)] == priority[id(ranked[0])]]
    infeeds = [m for m in equal if m.item.kind == INFEED]
    if infeeds or len(equal) == 1:
        return infeeds or equal
    best = max(equal, key=lambda m: m.size_va)
    problem = f"{len(equal)} machines have this priority; {best.item.name}, the largest, is the source"
    best.item.note("SynchronousMachine.referencePriority", problem, "one machine of each priority")
    return [best]


def _also_infeeds(best: Machine, able: list[Machine]) -> list[Machine]:
    """Further external injections beside one that is the source without a priority: their power is not known either."""
    if best.item.kind != INFEED:
        return []
    more = [m for m in able if m is not best and m.item.kind == INFEED and m.injected_va == 0]
    for machine in more:
        machine.item.note("", f"{machine.item.name} is a source too: it states no power", EXPECTED)
    return more


def _reference_buses(draft: CimDraft) -> frozenset[str]:
    keys = (
        key
        for island in draft.model.of("TopologicalIsland")
        for key in island.references("TopologicalIsland.AngleRefTopologicalNode")
    )
    return frozenset(draft.nodes.bus_of[key] for key in keys if key in draft.nodes.bus_of)


def _source(draft: CimDraft, machine: Machine, state: Voltage | None) -> SourceRow:
    item, bus = machine.item, machine.bus
    angle_deg = state.angle_deg if state else 0.0
    stated = stated_voltage(draft.model, item, draft.nodes.v_kv[bus])
    if stated is not None:
        if item.number("EnergySource.r", default=0.0) or item.number("EnergySource.x", default=0.0):
            item.note("EnergySource.x", "the impedance of the source is passed over", "a voltage at the bus itself")
        return SourceRow(item.key, bus, *stated)
    if not math.isnan(machine.held_pu):
        return SourceRow(item.key, bus, machine.held_pu, angle_deg)
    if state is not None:
        item.note("", "states no voltage; that of the state variables is used", "a voltage to hold")
        return SourceRow(item.key, bus, *state)
    item.note("", "states no voltage; 1 per unit is used", "a voltage to hold")
    return SourceRow(item.key, bus)


def _inject(draft: CimDraft, machine: Machine, *, held: bool) -> None:
    """A machine that is not the source, at a bus whose voltage it may hold (`held`) or the source does."""
    item, bus, power = machine.item, machine.bus, machine.injected_va
    regulates = not math.isnan(machine.held_pu)
    note_unpowered(draft.model, item)
    if item.kind == INFEED and power == 0 and held:
        item.note("", "is not the source and injects no power, as its p of 0 says", EXPECTED)
    q_var = 0.0 if regulates and held else power.imag
    draft.injections.append(InjectionRow(bus, power.real, q_var, "", plate_of(draft.model, item)))
    if item.kind == "StaticVarCompensator":
        known = "holds its voltage; its slope and range are passed over" if regulates else "reactive power as stated"
        item.note("", f"a static var compensator: {known}", "fixed shunts or machines")
    if not (regulates and held):
        return
    low, high = reactive_range(draft.model, item)
    other = draft.controlled.get(bus)
    if other is None:
        draft.controlled[bus] = ControlledRow(bus, machine.held_pu, low, high)
        return
    if other.v_pu != machine.held_pu:
        item.note("", "holds another voltage than a machine at the same bus; the first counts", "one voltage")
    draft.controlled[bus] = ControlledRow(bus, other.v_pu, other.q_min_var + low, other.q_max_var + high)


def _islands(draft: CimDraft) -> Mapping[str, int]:
    """The island of each bus by key: what is joined by branches in service."""
    place = {bus: position for position, bus in enumerate(draft.buses)}
    pairs = [(place[row.from_bus], place[row.to_bus]) for row in draft.branches if row.in_service]
    ends = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(len(place), len(place)))
    label = connected_components(graph, directed=False)[1]
    return {bus: int(island) for bus, island in zip(place, label, strict=True)}
