"""An OpenDSS script as rows in SI units: the positive sequence of what its own engine reads from it.

`opendss_reduction` has the equations. Taps, switched capacitors and whatever else a control moves stay as the engine's
own solution leaves them. Everything that the reduction takes from the model is told.
"""

import cmath
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np

from flexpeer.adapters.gridfiles.grid_file import ReadRows
from flexpeer.adapters.gridfiles.opendss_engine import GROUND, DssBus, DssCircuit, DssElement, dss_circuit
from flexpeer.adapters.gridfiles.opendss_reduction import (
    Pair,
    at_buses,
    bus_angles,
    pair,
    patterns,
    series,
    split_phases,
)
from flexpeer.errors import Finding
from flexpeer.grid.assembly import (
    PHASES,
    BranchRow,
    BusRow,
    GridRows,
    InjectionRow,
    Plate,
    ShuntRow,
    SourceRow,
    open_end_shunt,
)
from flexpeer.grid.network import Complexes

SERIES, SHUNT, GENERATING = (
    ("line", "reactor", "capacitor"),
    ("capacitor", "reactor"),
    ("generator", "pvsystem", "storage"),
)
KINDS = {"load": "load", "pvsystem": "pv", "storage": "battery", "generator": "generation"}
PASSED_OVER = frozenset(
    (
        *("regcontrol", "capcontrol", "swtcontrol", "energymeter", "monitor", "sensor", "fuse", "recloser", "relay"),
        *("fault", "invcontrol", "storagecontroller", "storagecontroller2", "expcontrol", "gendispatcher"),
    )
)
MODELS = {2: "impedance", 4: "power that falls with the voltage", 5: "current", 6: "power", 7: "power", 8: "a mix"}
DEFAULT_A = 400.0
FAR = 0.01
SQRT3 = math.sqrt(3.0)


@dataclass
class OpenDssDraft:
    """What has been read so far; `patterns` are those of the reduction, `legs` the phases of buses of a split phase."""

    where: str
    circuit: DssCircuit
    patterns: Mapping[str, Mapping[int, complex]]
    legs: Mapping[str, frozenset[int]]
    branches: list[BranchRow] = field(default_factory=list)
    shunts: list[ShuntRow] = field(default_factory=list)
    sources: list[SourceRow] = field(default_factory=list)
    inner: list[BusRow] = field(default_factory=list)
    injections: list[InjectionRow] = field(default_factory=list)
    aliases: dict[str, str] = field(default_factory=dict)
    errors: list[Finding] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def v_kv(self, bus: str) -> float:
        """Nominal voltage between phases."""
        return SQRT3 * self.circuit.buses[bus].v_kv

    def note(self, place: str, problem: str, expected: str) -> None:
        """Something that the reduction takes away."""
        self.findings.append(Finding(self.where, 0, place, problem, expected))

    def fault(self, place: str, problem: str, expected: str) -> None:
        """Something that cannot be calculated."""
        self.errors.append(Finding(self.where, 0, place, problem, expected))


def read_opendss(path: Path, where: str) -> ReadRows:
    """The rows of a script; `BadInput` when the engine is missing or does not run it."""
    circuit = dss_circuit(path, where)
    angles = [part.stated["angle_deg"] for part in circuit.parts if part.kind == "vsource"]
    found = patterns(circuit.buses, angles[0] if angles else 0.0)
    draft = OpenDssDraft(where, circuit, found, split_phases(circuit.parts, found))
    for bus in circuit.buses.values():
        if bus.v_kv <= 0:
            draft.fault(bus.name, "no nominal voltage", "set voltagebases and calcvoltagebases in the script")
    if draft.errors:
        return ReadRows(GridRows((), (), (), (), ()), tuple(draft.errors))
    _sources(draft)
    _lines(draft)
    _transformers(draft)
    _shunts(draft)
    _loads(draft)
    _generators(draft)
    _tell_the_rest(draft)
    _tell_unbalance(draft)
    rows = GridRows(
        (*_buses(draft, angles[0] if angles else 0.0), *draft.inner),
        tuple(draft.branches),
        tuple(draft.shunts),
        tuple(draft.sources),
        tuple(draft.injections),
    )
    taken = {row.name for row in draft.branches}
    aliases = {alias: name for alias, name in draft.aliases.items() if alias not in taken}
    return ReadRows(rows, tuple(draft.errors), tuple(draft.findings), {}, aliases)


def _buses(draft: OpenDssDraft, source_deg: float) -> Iterator[BusRow]:
    """Every bus, to begin from the mean of its phases."""
    circuit = draft.circuit
    angles = bus_angles(circuit.buses, draft.patterns)
    for bus in circuit.buses.values():
        sizes = _sizes(bus, draft.patterns[bus.name])
        start = (float(np.mean(sizes)), angles[bus.name] - source_deg) if sizes and circuit.solved else (math.nan,) * 2
        yield BusRow(bus.name, draft.v_kv(bus.name), circuit.v_min_pu, circuit.v_max_pu, "", *start)


def _sizes(bus: DssBus, pattern: Mapping[int, complex]) -> list[float]:
    return [abs(bus.v[node]) / (bus.v_kv * 1e3) for node in pattern if node in bus.v]


def _sources(draft: OpenDssDraft) -> None:
    """A source behind its impedance, at a bus of its own."""
    first = next((part for part in draft.circuit.parts if part.kind == "vsource"), None)
    for part in draft.circuit.parts:
        if part.kind != "vsource":
            continue
        bus = part.buses[0]
        names, y_s = at_buses(part, draft.patterns)
        y = complex(y_s[names.index(bus), names.index(bus)])
        v_pu = part.stated["v_kv"] * part.stated["v_pu"] / draft.v_kv(bus)
        angle_deg = part.stated["angle_deg"] - (first.stated["angle_deg"] if first else 0.0)
        inner = BusRow(f"{part.label} internal", draft.v_kv(bus), 0.0, 2.0)
        z_ohm = 1.0 / y if y else 0j
        draft.inner.append(inner)
        draft.sources.append(SourceRow(part.label, inner.name, v_pu, angle_deg))
        draft.branches.append(
            BranchRow(f"{part.label} impedance", "impedance", inner.name, bus, z_ohm.real, z_ohm.imag)
        )


def _lines(draft: OpenDssDraft) -> None:
    fewer, unrated = [], []
    banked = {frozenset(part.buses) for part in draft.circuit.parts if part.kind == "transformer" and _single(part)}
    for part in draft.circuit.parts:
        if part.kind not in SERIES or len(set(part.buses)) < 2:
            continue
        found = series(part, draft.patterns)
        if found is None:
            draft.note(
                part.label, "no phase of it is under voltage, or it has no impedance; passed over", "live phases"
            )
            continue
        start, end = part.buses
        if found.phases < len(PHASES) and frozenset(part.buses) in banked:
            problem = (
                "lies beside single-phase transformers between the same buses, which decide the ratio; passed over"
            )
            draft.note(part.label, problem, "a bank of transformers alone")
            continue
        same = draft.v_kv(start) == draft.v_kv(end)
        shunt = found.y_from_s + found.y_to_s
        limit_a = part.normal_a * found.phases / 3.0 if part.normal_a > 0 else math.nan
        row = BranchRow(
            part.label,
            "line" if part.kind == "line" and same else "impedance",
            start,
            end,
            found.z_ohm.real,
            found.z_ohm.imag,
            shunt.real * 1e6,
            shunt.imag * 1e6,
            1.0 if same else draft.v_kv(end) / draft.v_kv(start),
            rating_from_a=limit_a,
            rating_to_a=limit_a,
        )
        _add(draft, part, row)
        fewer += [part.label] * (found.phases < len(PHASES))
        unrated += [part.label] * (part.kind == "line" and part.normal_a == DEFAULT_A)
    if fewer:
        problem = f"{len(fewer)} lines of one or two phases are three phases of the same drop and the same losses"
        draft.note(fewer[0], problem, "lines of three phases")
    if unrated:
        problem = f"{len(unrated)} lines have the rating that OpenDSS gives to those without one, {DEFAULT_A:g} A"
        draft.note(unrated[0], problem, "normamps of each line")


def _add(draft: OpenDssDraft, part: DssElement, row: BranchRow) -> None:
    """Add a branch as its terminals are: whole, a charging shunt at one end, or out."""
    draft.aliases[part.name] = row.name
    draft.branches.append(row._replace(in_service=not any(part.open_ends)))
    if any(part.open_ends) and not all(part.open_ends):
        shunt = open_end_shunt(row, part.open_ends[1], draft.v_kv(row.from_bus), draft.v_kv(row.to_bus))
        draft.shunts.extend([shunt] if shunt else [])


def _transformers(draft: OpenDssDraft) -> None:
    """Units on different phases between the same buses are one bank."""
    banks: dict[tuple[str, ...], list[list[DssElement]]] = {}
    for part in draft.circuit.parts:
        if part.kind != "transformer":
            continue
        listed = banks.setdefault(tuple(dict.fromkeys(part.buses)), [])
        mine = _live(part)
        fitting = (bank for bank in listed if _single(part) and all(_single(o) and _live(o) != mine for o in bank))
        bank = next(fitting, None)
        if bank is None:
            listed.append([part])
        else:
            bank.append(part)
    fewer = []
    for buses, listed in banks.items():
        for bank in listed:
            name = _bank(draft, buses, bank)
            fewer += [name] * (len({node for part in bank for node in _live(part)}) < len(PHASES))
    if fewer:
        problem = f"{len(fewer)} transformers of one or two phases are calculated as three phases of the same drop"
        draft.note(fewer[0], problem, "transformers of three phases")


def _single(part: DssElement) -> bool:
    return len(_live(part)) < len(PHASES) and part.open_ends.count(True) == 0


def _live(part: DssElement) -> set[int]:
    return set(part.nodes[0]) - {GROUND}


def _bank(draft: OpenDssDraft, buses: tuple[str, ...], bank: Sequence[DssElement]) -> str:
    """Its name."""
    matrices = [at_buses(part, draft.patterns)[1] for part in bank]
    name = "+".join([bank[0].label, *(part.name for part in bank[1:])])
    for part in bank:
        draft.aliases |= {part.name: name, part.label: name}
    taps = sorted({part.stated["taps"] for part in bank})
    if len(taps) > 1:
        shown = "; ".join(", ".join(f"{tap:g}" for tap in one) for one in taps)
        draft.note(name, f"its units stand on the taps {shown}; calculated at their mean", "equal taps")
    limit_va = sum(part.stated["s_va"] for part in bank)
    if len(buses) > 2:
        _mesh(draft, name, buses, bank, sum(matrices[1:], matrices[0]))
        return name
    joined = _together(unit for matrix in matrices if (unit := pair(matrix)) is not None) if len(buses) == 2 else None
    if joined is None:
        draft.fault(name, "nothing joins its windings", "windings at two buses")
        return name
    _add(draft, bank[0], _winding(draft, name, (buses[0], buses[1]), joined, limit_va))
    return name


def _mesh(
    draft: OpenDssDraft, name: str, buses: tuple[str, ...], bank: Sequence[DssElement], matrix: Complexes
) -> None:
    """More than two windings as a branch for each pair, at the ratio of their turns, and shunts for what is left."""
    left = matrix.diagonal().copy()
    turns = {bus: kv * tap for bus, kv, tap in zip(bank[0].buses, *_rated(bank[0]), strict=True)}
    for i, j in combinations(range(len(buses)), 2):
        y_ft, y_tf = complex(matrix[i, j]), complex(matrix[j, i])
        if y_ft == 0 or y_tf == 0:
            continue
        a = cmath.rect(turns[buses[i]] / turns[buses[j]], cmath.phase(y_ft / y_tf) / 2.0)
        if (y_tf * a).imag < 0:
            a = -a
        y = -y_tf * a
        left[i] -= y / abs(a) ** 2
        left[j] -= y
        _add(draft, bank[0], _winding(draft, f"{name} {i + 1}-{j + 1}", (buses[i], buses[j]), Pair(a, y, 0j), math.nan))
    draft.shunts += [ShuntRow(bus, y.real * 1e6, y.imag * 1e6) for bus, y in zip(buses, left, strict=True) if y != 0]
    draft.note(name, "windings at more than two buses are branches in a mesh, without ratings", "two windings")


def _rated(part: DssElement) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Rated voltages and taps of the windings."""
    return part.stated["v_kv"], part.stated["taps"]


def _together(units: Iterable[Pair]) -> Pair | None:
    """Units of a bank: their admittances add up, and their ratio is the mean."""
    listed = list(units)
    if not listed:
        return None
    y = sum((unit.y_s for unit in listed), 0j)
    return Pair(y / sum((unit.y_s / unit.a for unit in listed), 0j), y, sum((unit.c_s for unit in listed), 0j))


def _winding(draft: OpenDssDraft, name: str, ends: tuple[str, str], joined: Pair, limit_va: float) -> BranchRow:
    v_kv = tuple(draft.v_kv(bus) for bus in ends)
    z_ohm = 1.0 / joined.y_s
    return BranchRow(
        name,
        "transformer",
        *ends,
        z_ohm.real,
        z_ohm.imag,
        2e6 * joined.c_s.real,
        2e6 * joined.c_s.imag,
        abs(joined.a) * v_kv[1] / v_kv[0],
        math.degrees(cmath.phase(joined.a)),
        limit_va / (SQRT3 * v_kv[0] * 1e3),
        limit_va / (SQRT3 * v_kv[1] * 1e3),
    )


def _shunts(draft: OpenDssDraft) -> None:
    for part in draft.circuit.parts:
        if part.kind not in SHUNT or len(set(part.buses)) > 1 or any(part.open_ends):
            continue
        y = complex(at_buses(part, draft.patterns)[1][0, 0])
        if y:
            draft.shunts.append(ShuntRow(part.buses[0], y.real * 1e6, y.imag * 1e6))


def _loads(draft: OpenDssDraft) -> None:
    models: Counter[int] = Counter()
    firsts: dict[int, str] = {}
    far = []
    for part in draft.circuit.parts:
        if part.kind != "load" or any(part.open_ends):
            continue
        stated_va = complex(part.stated["p_w"], part.stated["q_var"]) * draft.circuit.load_factor
        draft.injections += _by_phase(draft, part, -stated_va)
        model = part.stated["model"]
        far += [part.label] * (model == 1 and abs(part.drawn_va - stated_va) > FAR * abs(stated_va))
        models[model] += 1
        firsts.setdefault(model, part.label)
    for model, kept in MODELS.items():
        if models[model]:
            problem = f"{models[model]} loads of model {model} (constant {kept}) are constant power, as stated"
            draft.note(firsts[model], problem, "model 1")
    if far:
        problem = f"{len(far)} loads of constant power are impedances at their voltage; calculated as constant power"
        draft.note(far[0], problem, "voltages from vminpu to vmaxpu of the load's kv")


def _by_phase(draft: OpenDssDraft, part: DssElement, power_va: complex) -> Iterator[InjectionRow]:
    """An injection on the phases of an element, in equal parts; between two phases, half on each."""
    plate = _plate(part)
    nodes = draft.legs.get(part.buses[0], part.nodes[0])
    named = [PHASES[node - 1] for node in nodes if 1 <= node <= len(PHASES)]
    phases = sorted(set(named)) if 0 < len(set(named)) < len(PHASES) else [""]
    for phase in phases:
        power = power_va / len(phases)
        yield InjectionRow(part.buses[0], power.real, power.imag, phase, plate)


def _plate(part: DssElement) -> Plate:
    """What it may inject: up to its size and, if it stores, as much the other way."""
    kind, most_w = (
        KINDS.get(part.kind, ""),
        min(part.stated.get("most_w", math.nan), part.stated.get("rated_va", math.inf)),
    )
    if kind not in ("pv", "battery", "generation"):
        return Plate(part.label, kind)
    return Plate(
        part.label, kind, -most_w if kind == "battery" else 0.0, most_w, part.stated.get("energy_wh", math.nan)
    )


def _generators(draft: OpenDssDraft) -> None:
    told = []
    for part in draft.circuit.parts:
        if part.kind in GENERATING and not any(part.open_ends) and part.drawn_va:
            draft.injections += _by_phase(draft, part, -part.drawn_va)
            told.append(part.label)
    if told:
        problem = f"{len(told)} generators inject what OpenDSS's own solution has them inject"
        draft.note(told[0], problem, "constant power")


def _tell_the_rest(draft: OpenDssDraft) -> None:
    """Elements that carry power and have no counterpart here would change the answer silently."""
    known = PASSED_OVER.union(SERIES, SHUNT, GENERATING, ("vsource", "transformer", "load"))
    for part in draft.circuit.parts:
        if part.kind not in known and not part.kind.endswith("control"):
            draft.fault(part.label, f"elements of class {part.kind} are not calculated", ", ".join(sorted(known)))
    controls = [part.label for part in draft.circuit.parts if part.kind in ("regcontrol", "capcontrol", "swtcontrol")]
    if controls:
        problem = f"{len(controls)} controls: taps and switches stay as OpenDSS's own solution leaves them"
        draft.note(controls[0], problem, "fixed taps")
    if not draft.circuit.solved:
        draft.note("", "OpenDSS itself finds no state of this circuit", "a circuit that OpenDSS solves")


def _tell_unbalance(draft: OpenDssDraft) -> None:
    """How far phases are from their mean, in the loads and in OpenDSS's own voltages."""
    by = dict.fromkeys(PHASES, 0.0)
    for row in draft.injections:
        for phase in row.phase or PHASES:
            by[phase] += abs(row.p_w) / (1 if row.phase else len(PHASES))
    total = sum(by.values())
    current = 100.0 * (len(PHASES) * max(by.values()) / total - 1.0) if total > 0 else 0.0
    voltage, at = 0.0, ""
    for bus in draft.circuit.buses.values():
        sizes = _sizes(bus, draft.patterns[bus.name])
        if len(sizes) > 1 and 100.0 * float(np.ptp(sizes)) > 0:
            apart = 100.0 * float(np.abs(np.array(sizes) - np.mean(sizes)).max())
            voltage, at = max((voltage, at), (apart, bus.name))
    if max(current, voltage) > 0.01:
        problem = (
            f"loads on the fullest phase are {current:.0f} % above the mean, and a voltage {voltage:.2f} % of nominal"
        )
        expected = "[[unbalance]] in scenario.toml with current_percent and voltage_percent to leave room for it"
        draft.note(at, f"{problem} from the mean of its bus; calculated as three equal phases", expected)
