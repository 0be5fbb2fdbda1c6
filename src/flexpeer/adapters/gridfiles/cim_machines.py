"""Machines, feeders-in and converters of CIM: what they inject, and the voltage they are meant to hold."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from flexpeer.adapters.gridfiles.cim_draft import CimDraft
from flexpeer.adapters.gridfiles.cim_injections import Attributes, drawn_va, note_unstated
from flexpeer.adapters.gridfiles.cim_objects import Item, Model

POWERS: Mapping[str, Attributes] = {
    "ExternalNetworkInjection": Attributes(("ExternalNetworkInjection.p",), ("ExternalNetworkInjection.q",)),
    "SynchronousMachine": Attributes(("RotatingMachine.p",), ("RotatingMachine.q",)),
    "AsynchronousMachine": Attributes(("RotatingMachine.p",), ("RotatingMachine.q",)),
    "EquivalentInjection": Attributes(("EquivalentInjection.p",), ("EquivalentInjection.q",)),
    "PowerElectronicsConnection": Attributes(("PowerElectronicsConnection.p",), ("PowerElectronicsConnection.q",)),
    "StaticVarCompensator": Attributes((), ("StaticVarCompensator.q",)),
    "EnergySource": Attributes(("EnergySource.activePower",), ("EnergySource.reactivePower",)),
}
SIZES = ("RotatingMachine.ratedS", "ExternalNetworkInjection.maxP", "EquivalentInjection.maxP")
SOURCE_VOLTAGE = "EnergySource.voltageMagnitude"
PLAUSIBLE_PU = (0.5, 1.5)


class Voltage(NamedTuple):
    """A voltage in per unit of the bus, and its angle in degrees."""

    v_pu: float
    angle_deg: float


class Machine(NamedTuple):
    """One equipment in service: W + j var injected, size in VA, and the voltage it holds at its bus (NaN: none)."""

    item: Item
    bus: str
    injected_va: complex
    size_va: float
    held_pu: float


def machines(draft: CimDraft, states: Mapping[str, Voltage]) -> list[Machine]:
    """All of them; `states` are the voltages of the state variables by bus."""
    found = []
    for kind, attributes in POWERS.items():
        for item in draft.model.of(kind):
            bus = draft.live_bus(item)
            if bus is None or _cancelled(draft, item, bus):
                continue
            injected = _injected(draft.model, item, attributes)
            size = item.number(*SIZES, default=0.0) * draft.model.units.watt
            found.append(Machine(item, bus, injected, max(size, abs(injected)), _held_pu(draft, item, bus, states)))
    return found


def _injected(model: Model, item: Item, attributes: Attributes) -> complex:
    """Of a machine without a power of its own, the initial power of its generating unit."""
    unit = model.follow(item, "RotatingMachine.GeneratingUnit")
    if unit is not None and unit.has("GeneratingUnit.initialP") and not item.has(*attributes.p, *attributes.q):
        return complex(unit.number("GeneratingUnit.initialP") * model.units.watt, 0.0)
    return -drawn_va(model, item, attributes)


def note_unpowered(model: Model, item: Item) -> None:
    """Say so where no file states what a machine that is not the source injects."""
    unit = model.follow(item, "RotatingMachine.GeneratingUnit")
    if unit is None or not unit.has("GeneratingUnit.initialP"):
        note_unstated(model, item, POWERS[item.kind])


def _cancelled(draft: CimDraft, item: Item, bus: str) -> bool:
    """Injections that stand for a neighbour count only where the neighbour itself is not in the files."""
    if item.kind != "EquivalentInjection":
        return False
    nodes = [n for member in draft.nodes.members[bus] if (n := draft.model.objects.get(member))]
    if not any(_boundary(draft.model, node) for node in nodes):
        return False
    joined = sum(row.in_service and bus in (row.from_bus, row.to_bus) for row in draft.branches) > 1
    if joined:
        item.note("", "both sides of this boundary are in the files; it is passed over", "one side")
    return joined


def _boundary(model: Model, node: Item) -> bool:
    stated = [f"{kind}.{name}" for kind in ("TopologicalNode", "ConnectivityNode") for name in ("fromEndIsoCode",)]
    flags = ("TopologicalNode.boundaryPoint", "ConnectivityNode.boundaryPoint")
    points = model.referring("BoundaryPoint.ConnectivityNode", node)
    return node.has(*stated) or node.flag(*flags, default=False) or bool(points)


def _held_pu(draft: CimDraft, item: Item, bus: str, states: Mapping[str, Voltage]) -> float:
    """The voltage an equipment holds at its own bus, NaN where it holds none."""
    model, v_kv = draft.model, draft.nodes.v_kv[bus]
    if item.kind == "EquivalentInjection":
        regulates = item.flag("EquivalentInjection.regulationStatus", default=False)
        attribute = "EquivalentInjection.regulationTarget"
        return item.number(attribute) * model.units.kv / v_kv if regulates and item.has(attribute) else math.nan
    if not item.flag("RegulatingCondEq.controlEnabled", default=True):
        return math.nan
    control = model.follow(item, "RegulatingCondEq.RegulatingControl")
    if control is None:
        return _compensator_pu(item, model.units.kv, v_kv)
    enabled = control.flag("RegulatingControl.enabled", default=True)
    if not enabled or control.word("RegulatingControl.mode") != "voltage":
        return math.nan
    at = {draft.nodes.bus_at.get(key, "") for key in control.references("RegulatingControl.Terminal")}
    target = _target_pu(control, model.units.kv, v_kv) if not at or at == {bus} else math.nan
    if math.isnan(target):
        return _from_state(item, bus, states, remote=bool(at) and at != {bus})
    return target


def _target_pu(control: Item, unit_kv: float, v_kv: float) -> float:
    """The target in the unit that it states or, where that cannot be, in that of the file."""
    attribute = "RegulatingControl.targetValue"
    if not control.has(attribute):
        return math.nan
    value = control.number(attribute)
    stated = {"k": 1.0, "none": 1e-3}.get(control.word("RegulatingControl.targetValueUnitMultiplier"), unit_kv)
    for unit in (stated, unit_kv):
        if PLAUSIBLE_PU[0] <= value * unit / v_kv <= PLAUSIBLE_PU[1]:
            return value * unit / v_kv
    control.note(attribute, "far from the nominal voltage of the bus; it is passed over", "a voltage near nominal")
    return math.nan


def _from_state(item: Item, bus: str, states: Mapping[str, Voltage], *, remote: bool) -> float:
    problem = "regulates the voltage of another bus" if remote else "regulates its voltage without a usable target"
    attribute, expected = "RegulatingCondEq.RegulatingControl", "a target at the bus of the machine"
    if bus in states:
        item.note(attribute, f"{problem}; it holds its own bus at the voltage of the state variables", expected)
        return states[bus].v_pu
    item.note(attribute, f"{problem}; its reactive power is fixed as stated", expected)
    return math.nan


def _compensator_pu(item: Item, unit_kv: float, v_kv: float) -> float:
    attribute = "StaticVarCompensator.voltageSetPoint"
    if item.word("StaticVarCompensator.sVCControlMode") != "voltage" or not item.has(attribute):
        return math.nan
    return item.number(attribute) * unit_kv / v_kv


def reactive_range(model: Model, item: Item) -> tuple[float, float]:
    """Least and greatest reactive power it can give, var."""
    limits = [item.number(f"{item.kind}.{name}", default=math.nan) * model.units.watt for name in ("minQ", "maxQ")]
    low, high = (-math.inf if math.isnan(limits[0]) else limits[0]), (math.inf if math.isnan(limits[1]) else limits[1])
    return (low, high) if low < high else (-math.inf, math.inf)


def stated_voltage(model: Model, source: Item, v_kv: float) -> Voltage | None:
    """What an energy source states; its angle is in radians."""
    if not source.has(SOURCE_VOLTAGE):
        return None
    angle_rad = source.number("EnergySource.voltageAngle", default=0.0)
    return Voltage(source.number(SOURCE_VOLTAGE) * model.units.kv / v_kv, math.degrees(angle_rad))


def state_voltages(draft: CimDraft) -> dict[str, Voltage]:
    """The voltages of the state variables by bus."""
    found: dict[str, Voltage] = {}
    for state in draft.model.of("SvVoltage"):
        for key in state.references("SvVoltage.TopologicalNode"):
            bus = draft.nodes.bus_of.get(key)
            v_kv = state.number("SvVoltage.v", default=0.0) * draft.model.units.kv
            if bus is not None and v_kv > 0:
                angle_deg = state.number("SvVoltage.angle", default=0.0)
                found.setdefault(bus, Voltage(v_kv / draft.nodes.v_kv[bus], angle_deg))
    return found
