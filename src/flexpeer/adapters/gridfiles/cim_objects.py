"""The objects of a CIM model after all its files were merged, with what was found wrong while reading.

A class and its attributes are known by their names alone, whatever the version of the namespace. An
object's key is its identifier without `#`, `urn:uuid:` and the leading underscore, so that `rdf:ID`,
`rdf:about` and mRID lead to the same object.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from flexpeer.errors import Finding, bad_input

CONDUCTING_EQUIPMENT = "Terminal.ConductingEquipment"
LARGEST_KV, LARGEST_MVA = 1500.0, 10_000.0
MOST_TERMINALS = 100
"""Of one equipment: what asks for them at each of them takes time that grows with the square."""
RATED_VOLTAGES = {
    "BaseVoltage": "BaseVoltage.nominalVoltage",
    "PowerTransformerEnd": "PowerTransformerEnd.ratedU",
    "TransformerEndInfo": "TransformerEndInfo.ratedU",
}
RATED_POWERS = {
    "PowerTransformerEnd": "PowerTransformerEnd.ratedS",
    "TransformerEndInfo": "TransformerEndInfo.ratedS",
}


def key_of(identifier: str) -> str:
    """The key in any form of a reference; of an enumeration its value, such as `LimitKind.patl`."""
    return identifier.rpartition("#")[2].removeprefix("urn:uuid:").removeprefix("_")


@dataclass
class Report:
    """What is wrong (`errors`), what is odd about documents (`remarks`), and notes by kind of object and attribute."""

    where: str
    errors: list[Finding] = field(default_factory=list)
    remarks: list[Finding] = field(default_factory=list)
    _notes: dict[tuple[str, str, str, str], list["Item"]] = field(default_factory=dict)

    def note(self, item: "Item", attribute: str, problem: str, expected: str) -> None:
        """Say something about an object that does not refuse the file."""
        self._notes.setdefault((item.kind, attribute, problem, expected), []).append(item)

    def findings(self) -> tuple[Finding, ...]:
        """The remarks, and one finding per kind of note: where it comes first, and how often."""
        told = list(self.remarks)
        for (_, attribute, problem, expected), items in self._notes.items():
            first = items[0]
            more = f" (and {len(items) - 1} more)" if len(items) > 1 else ""
            told.append(Finding(first.where, first.line, first.place(attribute), problem + more, expected))
        return tuple(told)


@dataclass(slots=True)
class Item:
    """One object. Getters append what is wrong to the report and go on with NaN or nothing.

    `where` and `line` tell where it appeared first. Several references in one attribute are lines of it.
    """

    kind: str
    key: str
    where: str
    line: int
    values: dict[str, str]
    report: Report

    @property
    def name(self) -> str:
        """Its name, or its key where it has none."""
        return self.values.get("IdentifiedObject.name", "").strip() or self.key

    def place(self, attribute: str) -> str:
        """Where a finding points to."""
        short = attribute.rpartition(".")[2]
        return f"{self.kind} {self.name}.{short}" if short else f"{self.kind} {self.name}"

    def fault(self, attribute: str, problem: str, expected: str) -> None:
        """Refuse the file because of this object."""
        self.report.errors.append(Finding(self.where, self.line, self.place(attribute), problem, expected))

    def note(self, attribute: str, problem: str, expected: str) -> None:
        """Say that this object was read differently from what the file may have meant."""
        self.report.note(self, attribute, problem, expected)

    def has(self, *attributes: str) -> bool:
        """Whether any of the attributes is stated."""
        return any(self.values.get(attribute) for attribute in attributes)

    def number(self, *attributes: str, default: float | None = None) -> float:
        """The first of the attributes that is stated, finite; without a default one must be."""
        stated = next((attribute for attribute in attributes if self.values.get(attribute)), None)
        if stated is None:
            if default is None:
                self.fault(attributes[0], "no value", "a finite number")
                return math.nan
            return default
        try:
            value = float(self.values[stated])
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            self.fault(stated, f"{self.values[stated]!r}", "a finite number")
            return math.nan
        return value

    def flag(self, *attributes: str, default: bool) -> bool:
        """The first of the attributes that is stated, as a truth value."""
        for attribute in attributes:
            text = self.values.get(attribute, "").lower()
            if text in {"true", "1"}:
                return True
            if text in {"false", "0"}:
                return False
            if text:
                self.fault(attribute, f"{text!r}", "true or false")
        return default

    def word(self, *attributes: str) -> str:
        """The value of an enumeration in lower case, empty where none is stated."""
        text = next((self.values[a] for a in attributes if self.values.get(a)), "")
        return text.rpartition(".")[2].lower()

    def references(self, attribute: str) -> list[str]:
        """The keys an attribute refers to."""
        return self.values.get(attribute, "").splitlines()


@dataclass(frozen=True)
class Units:
    """What one unit of voltage is in kV and one of power in W: CGMES has kV and MW, other files V and W."""

    kv: float
    watt: float


@dataclass
class Model:
    """All objects of all files by key, in the order of their first appearance."""

    report: Report
    objects: dict[str, Item] = field(default_factory=dict)
    _by_kind: dict[str, list[Item]] = field(default_factory=dict)
    _referring: dict[str, dict[str, list[Item]]] = field(default_factory=dict)
    units: Units = Units(1.0, 1e6)
    _several: dict[tuple[str, str], dict[str, None]] = field(default_factory=dict)

    def refer(self, item: Item, attribute: str, key: str) -> None:
        """State one more object that an attribute refers to; keys of objects are kept once."""
        target = self.objects.get(key)
        key = target.key if target else key
        first = item.values.setdefault(attribute, key)
        if key != first:
            self._several.setdefault((item.key, attribute), {})[key] = None

    def index(self) -> None:
        """Sort the objects by class and find their units; to be called once, when all files are read."""
        for (key, attribute), more in self._several.items():
            item = self.objects[key]
            item.values[attribute] = "\n".join((item.values[attribute], *more))
        for item in self.objects.values():
            self._by_kind.setdefault(item.kind, []).append(item)
        in_volts = self._largest(RATED_VOLTAGES) > LARGEST_KV or self._largest(RATED_POWERS) > LARGEST_MVA
        if in_volts:
            self.units = Units(1e-3, 1.0)
            first = next(item for kind in RATED_VOLTAGES for item in self.of(kind))
            first.note("", "voltages of this size are in V, and then powers in W", "kV and MW, or V and W")

    def _largest(self, attributes: Mapping[str, str]) -> float:
        return max((i.number(a, default=0.0) for k, a in attributes.items() for i in self.of(k)), default=0.0)

    def kinds(self) -> Iterator[str]:
        """The classes of the model."""
        return iter(self._by_kind)

    def of(self, *kinds: str) -> list[Item]:
        """The objects of some classes."""
        return [item for kind in kinds for item in self._by_kind.get(kind, ())]

    def follow(self, item: Item | None, attribute: str) -> Item | None:
        """The object an attribute refers to, None where it is not stated or not in the files."""
        stated = item.values.get(attribute, "") if item else ""
        end = stated.find("\n")
        return self.objects.get(stated if end < 0 else stated[:end])

    def referring(self, attribute: str, item: Item) -> list[Item]:
        """The objects whose attribute refers to this one."""
        if attribute not in self._referring:
            found: dict[str, list[Item]] = {}
            for other in self.objects.values():
                for key in other.references(attribute):
                    found.setdefault(key, []).append(other)
            self._referring[attribute] = found
        return self._referring[attribute].get(item.key, [])

    def terminals(self, equipment: Item) -> list[Item]:
        """The terminals of an equipment by sequence number."""
        found = self.referring(CONDUCTING_EQUIPMENT, equipment)
        if len(found) > MOST_TERMINALS:
            raise bad_input(
                equipment.where, f"{len(found)} terminals", f"at most {MOST_TERMINALS}",
                line=equipment.line, field=equipment.place(""),
            )  # fmt: skip
        sequence = ("ACDCTerminal.sequenceNumber", "Terminal.sequenceNumber")
        return sorted(found, key=lambda terminal: terminal.number(*sequence, default=0.0))

    def in_service(self, equipment: Item) -> bool:
        """Whether an equipment is in service by its own statement or that of the state variables."""
        service = ("Equipment.inService", "Equipment.normallyInService")
        status = self.referring("SvStatus.ConductingEquipment", equipment)
        return equipment.flag(*service, default=True) and all(
            s.flag("SvStatus.inService", default=True) for s in status
        )


def connected(terminal: Item) -> bool:
    """Whether a terminal is connected to its node; terminals that do not say so are."""
    return terminal.flag("ACDCTerminal.connected", "Terminal.connected", default=True)
