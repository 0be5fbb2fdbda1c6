"""Small CIM documents, and a network written as CIM in the two ways that grid owners exchange them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from flexpeer.grid.assembly import impedance_base_ohm
from flexpeer.grid.cigre import MV_SECTIONS, NominalGrid

NAMESPACES = {"16": "http://iec.ch/TC57/2013/CIM-schema-cim16#", "17": "http://iec.ch/TC57/CIM100#"}
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
EUROPEAN = "http://iec.ch/TC57/CIM100-European#"


class Ref(NamedTuple):
    key: str


class Word(NamedTuple):
    text: str


Value = str | float | bool | Ref | Word
Values = Mapping[str, Value]
Fields = dict[str, Value]


@dataclass
class Document:
    """Attributes without a class of their own are those of the object's class."""

    version: str = "16"
    body: list[str] = field(default_factory=list)

    def define(self, kind: str, key: str, values: Values) -> None:
        named: Fields = {"IdentifiedObject.name": key, **values}
        self._add(kind, f'rdf:ID="_{key}"', named)

    def about(self, kind: str, key: str, values: Values) -> None:
        self._add(kind, f'rdf:about="#_{key}"', values)

    def terminal(self, equipment: str, number: int, values: Values) -> None:
        placed: Fields = {"ConductingEquipment": Ref(equipment), "ACDCTerminal.sequenceNumber": str(number)}
        self.define("Terminal", f"{equipment}-T{number}", placed | dict(values))

    def _add(self, kind: str, identity: str, values: Values) -> None:
        lines = [self._line(name if "." in name else f"{kind}.{name}", value) for name, value in values.items()]
        self.body.append("\n".join([f"<cim:{kind} {identity}>", *lines, f"</cim:{kind}>"]))

    def _line(self, name: str, value: Value) -> str:
        if isinstance(value, Ref):
            return f'  <cim:{name} rdf:resource="#_{value.key}"/>'
        if isinstance(value, Word):
            return f'  <cim:{name} rdf:resource="{NAMESPACES[self.version]}{value.text}"/>'
        text = (
            str(value).lower() if isinstance(value, bool) else value if isinstance(value, str) else repr(float(value))
        )
        return f"  <cim:{name}>{text}</cim:{name}>"

    def text(self) -> str:
        space = f'xmlns:cim="{NAMESPACES[self.version]}" xmlns:rdf="{RDF}" xmlns:eu="{EUROPEAN}"'
        return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', f"<rdf:RDF {space}>", *self.body, "</rdf:RDF>\n"])


def write(folder: Path, documents: Mapping[str, Document]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in documents.items():
        (folder / f"{name}.xml").write_text(document.text(), encoding="utf-8")


def bus_branch(grid: NominalGrid) -> dict[str, Document]:
    """CGMES 2.4.15 with topology and state variables; open line ends are disconnected terminals."""
    network = grid.network
    documents = {profile: Document("16") for profile in ("EQ", "SSH", "TP", "SV")}
    eq, ssh, tp = documents["EQ"], documents["SSH"], documents["TP"]
    _containers(eq, network.bus_v.tolist())
    for bus, name in enumerate(network.bus_names):
        tp.define("TopologicalNode", _key(name), {"IdentifiedObject.name": name, "BaseVoltage": _base(grid, bus)})
    open_ends = {f"Line {section.start}-{section.end}" for section in MV_SECTIONS if section.open_end}
    for branch, name in enumerate(network.branch_names):
        _branch(eq, grid, branch)
        for number, bus in enumerate((network.branch_from[branch], network.branch_to[branch]), 1):
            eq.terminal(_key(name), number, {})
            tp.about("Terminal", f"{_key(name)}-T{number}", {"TopologicalNode": Ref(_key(network.bus_names[bus]))})
            live = number == 1 or name not in open_ends
            ssh.about("Terminal", f"{_key(name)}-T{number}", {"ACDCTerminal.connected": live})
    for bus, name in enumerate(network.bus_names):
        load = f"load-{_key(name)}"
        eq.define("ConformLoad", load, {})
        eq.terminal(load, 1, {})
        tp.about("Terminal", f"{load}-T1", {"TopologicalNode": Ref(_key(name))})
        ssh.about("ConformLoad", load, _drawn("EnergyConsumer", grid, bus))
    _feeder(documents, grid)
    return documents


def _feeder(documents: Mapping[str, Document], grid: NominalGrid) -> None:
    """The overlying grid as an external injection that regulates its bus."""
    network = grid.network
    bus = int(network.source_bus[0])
    name, v_kv = network.bus_names[bus], float(network.source_v_pu[0] * network.bus_v[bus]) * 1e-3
    documents["EQ"].define("ExternalNetworkInjection", "grid", {"RegulatingCondEq.RegulatingControl": Ref("control")})
    documents["EQ"].terminal("grid", 1, {})
    mode: Fields = {"mode": Word("RegulatingControlModeKind.voltage"), "Terminal": Ref("grid-T1")}
    documents["EQ"].define("RegulatingControl", "control", mode)
    documents["TP"].about("Terminal", "grid-T1", {"TopologicalNode": Ref(_key(name))})
    documents["SSH"].about(
        "RegulatingControl",
        "control",
        {"enabled": True, "targetValue": v_kv, "targetValueUnitMultiplier": Word("UnitMultiplier.k")},
    )
    documents["SSH"].about(
        "ExternalNetworkInjection", "grid", {"referencePriority": "1", "RegulatingCondEq.controlEnabled": True}
    )
    documents["SV"].define("SvVoltage", "sv", {"TopologicalNode": Ref(_key(name)), "v": v_kv, "angle": 0.0})


def node_breaker(grid: NominalGrid) -> Document:
    """CIM 17 in one document without topology: busbars, a closed breaker before every line, open switches."""
    network, document = grid.network, Document("17")
    _containers(document, network.bus_v.tolist())
    for bus, name in enumerate(network.bus_names):
        key = _key(name)
        level = {"Substation": Ref("station"), "BaseVoltage": _base(grid, bus)}
        document.define("VoltageLevel", f"level-{key}", level)
        document.define("ConnectivityNode", f"node-{key}", {"ConnectivityNodeContainer": Ref(f"level-{key}")})
        document.define("BusbarSection", f"bar-{key}", {"IdentifiedObject.name": name})
        document.terminal(f"bar-{key}", 1, {"ConnectivityNode": Ref(f"node-{key}")})
        if grid.p_w[bus] != 0:
            document.define("EnergyConsumer", f"load-{key}", _drawn("EnergyConsumer", grid, bus))
            document.terminal(f"load-{key}", 1, {"ConnectivityNode": Ref(f"node-{key}")})
    open_ends = {f"Line {section.start}-{section.end}" for section in MV_SECTIONS if section.open_end}
    for branch, name in enumerate(network.branch_names):
        _branch(document, grid, branch)
        ends = [_key(network.bus_names[bus]) for bus in (network.branch_from[branch], network.branch_to[branch])]
        for number, bus_key in enumerate(ends, 1):
            switch = f"switch-{_key(name)}-{number}"
            is_open = number == 2 and name in open_ends
            document.define("LoadBreakSwitch" if is_open else "Breaker", switch, {"Switch.open": is_open})
            document.define(
                "ConnectivityNode", f"node-{switch}", {"ConnectivityNodeContainer": Ref(f"level-{bus_key}")}
            )
            document.terminal(switch, 1, {"ConnectivityNode": Ref(f"node-{bus_key}")})
            document.terminal(switch, 2, {"ConnectivityNode": Ref(f"node-{switch}")})
            document.terminal(_key(name), number, {"ConnectivityNode": Ref(f"node-{switch}")})
    source = int(network.source_bus[0])
    v_kv = float(network.source_v_pu[0] * network.bus_v[source]) * 1e-3
    document.define("EnergySource", "grid", {"voltageMagnitude": v_kv, "voltageAngle": 0.0})
    document.terminal("grid", 1, {"ConnectivityNode": Ref(f"node-{_key(network.bus_names[source])}")})
    return document


def _containers(document: Document, bus_v: list[float]) -> None:
    document.define("SubGeographicalRegion", "region", {"IdentifiedObject.name": "North"})
    document.define("Substation", "station", {"Region": Ref("region")})
    for v in sorted(set(bus_v)):
        document.define("BaseVoltage", f"base-{v:g}", {"nominalVoltage": v * 1e-3})


def _base(grid: NominalGrid, bus: int) -> Ref:
    return Ref(f"base-{grid.network.bus_v[bus]:g}")


def _key(name: str) -> str:
    return name.replace(" ", "-")


def _drawn(kind: str, grid: NominalGrid, bus: int) -> Values:
    return {f"{kind}.p": float(-grid.p_w[bus]) * 1e-6, f"{kind}.q": float(-grid.q_var[bus]) * 1e-6}


def _branch(document: Document, grid: NominalGrid, branch: int) -> None:
    network = grid.network
    ends = int(network.branch_from[branch]), int(network.branch_to[branch])
    key, z_ohm = _key(network.branch_names[branch]), float(impedance_base_ohm(network.bus_v[ends[1]]))
    impedance: Fields = {"r": float(network.r_pu[branch]) * z_ohm, "x": float(network.x_pu[branch]) * z_ohm}
    name: Fields = {"IdentifiedObject.name": network.branch_names[branch]}
    if network.branch_kinds[branch] == "line":
        values = {**name, **impedance, "bch": float(network.b_pu[branch]) / z_ohm, "gch": 0.0}
        document.define("ACLineSegment", key, {**values, "ConductingEquipment.BaseVoltage": _base(grid, ends[0])})
        _limit(document, key, {"OperationalLimitSet.Equipment": Ref(key)}, float(network.rating_from_a[branch]))
        return
    document.define("PowerTransformer", key, name)
    clock = round(math.degrees(network.shift_rad[branch]) / 30)
    for number, bus in enumerate(ends, 1):
        own: Fields = impedance if number == 2 else {"r": 0.0, "x": 0.0}
        rated_v = float(network.bus_v[bus])
        rated_mva = float(np.sqrt(3.0) * rated_v * network.rating_from_a[branch]) * 1e-6
        end: Fields = {
            "PowerTransformer": Ref(key),
            "ratedU": rated_v * 1e-3,
            "phaseAngleClock": str(clock * (number - 1)),
        }
        end |= {"TransformerEnd.endNumber": str(number), "TransformerEnd.Terminal": Ref(f"{key}-T{number}")}
        power: Fields = {"ratedS": rated_mva} if number == 1 else {}
        document.define("PowerTransformerEnd", f"{key}-end{number}", {**end, **own, **power})


def _limit(document: Document, key: str, owner: Values, limit_a: float) -> None:
    """A permanent limit, and a higher one for ten minutes."""
    document.define("OperationalLimitSet", f"limits-{key}", owner)
    for word, factor in (("patl", 1.0), ("tatl", 1.3)):
        kind = f"type-{word}-{key}"
        attribute = "limitType" if document.version == "16" else "kind"
        group = "LimitTypeKind" if document.version == "16" else "LimitKind"
        document.define("OperationalLimitType", kind, {attribute: Word(f"{group}.{word}")})
        of: Fields = {
            "OperationalLimit.OperationalLimitSet": Ref(f"limits-{key}"),
            "OperationalLimit.OperationalLimitType": Ref(kind),
        }
        document.define("CurrentLimit", f"limit-{word}-{key}", {"value": limit_a * factor, **of})


def small() -> Document:
    """A source, a line and a load."""
    document = Document("17")
    document.define("BaseVoltage", "base", {"nominalVoltage": 20.0})
    for key in ("A", "B"):
        document.define("TopologicalNode", key, {"BaseVoltage": Ref("base")})
    document.define("EnergySource", "grid", {"voltageMagnitude": 20.4})
    document.terminal("grid", 1, {"TopologicalNode": Ref("A")})
    document.define("ACLineSegment", "line", {"r": 0.5, "x": 0.4, "bch": 1e-4})
    document.terminal("line", 1, {"TopologicalNode": Ref("A")})
    document.terminal("line", 2, {"TopologicalNode": Ref("B")})
    document.define("EnergyConsumer", "load", {"p": 1.0, "q": 0.2})
    document.terminal("load", 1, {"TopologicalNode": Ref("B")})
    return document
