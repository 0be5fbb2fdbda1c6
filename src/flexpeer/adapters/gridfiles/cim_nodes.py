"""The buses of a CIM model: its nodes, fused by what has no impedance between them.

A terminal is at its `TopologicalNode` where the files have one (TP), otherwise at its `ConnectivityNode`.
Closed switches between two nodes fuse them, retained or not, and so do lines without impedance.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from flexpeer.adapters.gridfiles.cim_objects import CONDUCTING_EQUIPMENT, Item, Model, connected
from flexpeer.adapters.gridfiles.cim_sections import Section

SWITCHES = frozenset(
    (
        "Breaker",
        "CompositeSwitch",
        "Disconnector",
        "DisconnectingCircuitBreaker",
        "Fuse",
        "Jumper",
        "LoadBreakSwitch",
        "ProtectedSwitch",
        "Recloser",
        "Sectionaliser",
        "Switch",
    )
)
STATIONS = {
    "Bay": "Bay.VoltageLevel",
    "VoltageLevel": "VoltageLevel.Substation",
    "Feeder": "Feeder.NormalEnergizingSubstation",
}
REGIONS = {"Substation": "Substation.Region", "Line": "Line.Region"}


@dataclass(frozen=True)
class Nodes:
    """`bus_of` maps nodes to the key of their bus, `members` is its inverse, `v_kv` nominal voltage by bus key.

    The key of a bus is that of its first node in the order of the files. `bus_at` is by terminal.
    """

    bus_of: Mapping[str, str]
    members: Mapping[str, tuple[str, ...]]
    v_kv: Mapping[str, float]
    bus_at: Mapping[str, str]


def nodes_of(model: Model, sections: Mapping[str, Section]) -> Nodes:
    """The buses that any equipment other than a switch is connected to."""
    at = {terminal.key: node for terminal in model.of("Terminal") if (node := _node_of(model, terminal))}
    groups = _fused(model, sections, at)
    bus_of = {node: group[0] for group in groups for node in group}
    used: dict[str, list[Item]] = {}
    for terminal in model.of("Terminal"):
        equipment = model.follow(terminal, CONDUCTING_EQUIPMENT)
        if terminal.key in at and equipment is not None and equipment.kind not in SWITCHES:
            used.setdefault(bus_of[at[terminal.key]], []).append(terminal)
    members = {group[0]: tuple(group) for group in groups if group[0] in used}
    bus_at = {terminal: bus_of[node] for terminal, node in at.items() if bus_of[node] in used}
    stated = {bus: _voltage(model, nodes, used[bus]) for bus, nodes in members.items()}
    _spread(model, sections, bus_at, stated)
    v_kv = {bus: math.nan if value is None else value for bus, value in stated.items()}
    kept = {node: bus for bus, nodes in members.items() for node in nodes}
    return Nodes(kept, members, v_kv, bus_at)


def closed(model: Model, switch: Item) -> bool:
    """Whether a switch conducts: by its state, otherwise by its normal state."""
    is_open = switch.flag("Switch.open", "Switch.normalOpen", default=False)
    return not is_open and model.in_service(switch) and all(map(connected, model.terminals(switch)))


def _node_of(model: Model, terminal: Item) -> str:
    topological = terminal.references("Terminal.TopologicalNode")
    if topological:
        return topological[0]
    node = model.follow(terminal, "Terminal.ConnectivityNode")
    through = node.references("ConnectivityNode.TopologicalNode") if node else []
    return (through or terminal.references("Terminal.ConnectivityNode") or [""])[0]


def _fused(model: Model, sections: Mapping[str, Section], at: Mapping[str, str]) -> list[list[str]]:
    """Nodes in groups of one bus, in the order of the files."""
    used = dict.fromkeys(at.values())
    stated = [node.key for node in model.of("TopologicalNode", "ConnectivityNode") if node.key in used]
    nodes = list(dict.fromkeys([*stated, *used]))
    place = {node: position for position, node in enumerate(nodes)}
    pairs = np.array([[place[a], place[b]] for a, b in _joined(model, sections, at)], dtype=np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(nodes), len(nodes)))
    groups: dict[int, list[str]] = {}
    for node, label in zip(nodes, connected_components(graph, directed=False)[1] if nodes else [], strict=True):
        groups.setdefault(int(label), []).append(node)
    return list(groups.values())


def _joined(model: Model, sections: Mapping[str, Section], at: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for switch in model.of(*SWITCHES):
        ends = [at[t.key] for t in model.terminals(switch) if t.key in at]
        if len(ends) == 2 and closed(model, switch):
            yield ends[0], ends[1]
    for key, section in sections.items():
        if section.r_ohm == 0 and section.x_ohm == 0:
            branch = model.objects[key]
            terminals = model.terminals(branch)
            ends = [at[t.key] for t in terminals if t.key in at and connected(t)]
            if len(ends) == 2 and model.in_service(branch):
                branch.note("", "has no impedance; its ends are one bus", "an impedance")
                yield ends[0], ends[1]


def _voltage(model: Model, nodes: tuple[str, ...], terminals: list[Item]) -> float | None:
    """The nominal voltage that the nodes state, otherwise that of what is connected; kV."""
    found = [(item, stated) for node in nodes if (item := model.objects.get(node)) and (stated := node_kv(model, item))]
    for item, stated in found[1:]:
        if stated != found[0][1]:
            item.fault("BaseVoltage", f"{stated} kV joined with {found[0][1]} kV by a switch", "one voltage")
    if found:
        return found[0][1]
    return next((stated for terminal in terminals if (stated := terminal_kv(model, terminal))), None)


def node_kv(model: Model, node: Item) -> float | None:
    """What a node itself says about its nominal voltage, or its voltage level."""
    base = model.follow(node, "TopologicalNode.BaseVoltage")
    return _base_kv(model, base) or _level_kv(model, _container(model, node))


def terminal_kv(model: Model, terminal: Item) -> float | None:
    """The nominal voltage of an equipment at one of its terminals, None where it does not say."""
    equipment = model.follow(terminal, CONDUCTING_EQUIPMENT)
    ends = model.referring("TransformerEnd.Terminal", terminal)
    for end in ends:
        rated = end.number("PowerTransformerEnd.ratedU", default=0.0) * model.units.kv
        return _base_kv(model, model.follow(end, "TransformerEnd.BaseVoltage")) or rated or None
    if equipment is None or equipment.kind == "PowerTransformer":
        return None
    base = _base_kv(model, model.follow(equipment, "ConductingEquipment.BaseVoltage"))
    rated = equipment.number("EnergySource.nominalVoltage", default=0.0) * model.units.kv
    return base or _level_kv(model, model.follow(equipment, "Equipment.EquipmentContainer")) or rated or None


def area_of(model: Model, nodes: tuple[str, ...]) -> str:
    """The subgeographical region of the first node that has one, otherwise the name of its substation."""
    for node in nodes:
        container = _container(model, model.objects.get(node))
        for _ in STATIONS:
            if container is not None and container.kind in STATIONS:
                container = model.follow(container, STATIONS[container.kind])
        if container is not None and container.kind in REGIONS:
            region = model.follow(container, REGIONS[container.kind])
            return region.name if region else container.name
    return ""


def _container(model: Model, node: Item | None) -> Item | None:
    return model.follow(node, "TopologicalNode.ConnectivityNodeContainer") or model.follow(
        node, "ConnectivityNode.ConnectivityNodeContainer"
    )


def _level_kv(model: Model, container: Item | None) -> float | None:
    if container is not None and container.kind == "Bay":
        container = model.follow(container, "Bay.VoltageLevel")
    return _base_kv(model, model.follow(container, "VoltageLevel.BaseVoltage"))


def _base_kv(model: Model, base: Item | None) -> float | None:
    return base.number("BaseVoltage.nominalVoltage") * model.units.kv if base else None


def _spread(
    model: Model, sections: Mapping[str, Section], bus_at: Mapping[str, str], v_kv: dict[str, float | None]
) -> None:
    """Buses without a voltage take that of the other end of a line."""
    beside: dict[str, list[str]] = {}
    for key in sections:
        ends = [bus_at[t.key] for t in model.terminals(model.objects[key]) if t.key in bus_at]
        if len(ends) == 2:
            for one, other in (ends, ends[::-1]):
                beside.setdefault(one, []).append(other)
    known = [bus for bus, value in v_kv.items() if value is not None]
    while known:
        reached: dict[str, float | None] = {}
        for bus in known:
            reached |= {other: v_kv[bus] for other in beside.get(bus, ()) if v_kv[other] is None}
        v_kv |= reached
        known = list(reached)
