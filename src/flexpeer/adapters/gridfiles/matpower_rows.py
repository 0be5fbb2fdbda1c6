"""A MATPOWER case as rows in SI units.

MATPOWER 7 manual, sections 3.2 to 3.6: branches are the pi section of `flexpeer.grid.network`, equation (1), per
unit on `baseMVA`; shunts are MW and MVAr at 1 pu. With z = v_kv^2 / baseMVA at the `to` bus:

    r_ohm = BR_R z,   x_ohm = BR_X z,   b_us = 1e6 BR_B / z;   g_us = 1e6 GS / v_kv^2             (1)

A reference bus becomes a source and a bus of type PV a controlled one; as in MATPOWER each needs a generator
in service, or it is an ordinary bus. `RATE_A` is apparent power, the rating its current at nominal voltage.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from flexpeer.adapters.gridfiles.grid_file import Place, ReadRows
from flexpeer.adapters.gridfiles.matpower_case import Case, run_case
from flexpeer.adapters.gridfiles.matpower_draft import TYPES, MatpowerDraft, TableRow, draft_of
from flexpeer.adapters.reading import bytes_of, reading
from flexpeer.grid.assembly import (
    BranchRow,
    BusRow,
    ControlledRow,
    GridRows,
    InjectionRow,
    Plate,
    ShuntRow,
    SourceRow,
    bypassed_shunt,
)

PV, REF, ISOLATED = 2, 3, 4
UNKNOWN_KV = 1.0
SMALLEST_KV = 1e-6
OWN_FORMS = ("Bus ", "Line ", "Transformer ", "Source ")


def read_matpower(path: Path, where: str) -> ReadRows:
    """The rows of a MATPOWER case file, version 1 or 2; `BadInput` when it has no usable tables."""
    with reading(where, "a readable file"):
        data = bytes_of(path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return _read(run_case(text, where))


def _read(case: Case) -> ReadRows:
    draft = draft_of(case)
    buses = _buses(case, draft)
    gens = _generators(draft)
    sources, controlled = _held(gens, draft)
    branches = _branches(draft)
    rows = GridRows(
        buses,
        branches.rows,
        (*_shunts(draft), *branches.bypassed),
        sources,
        (*_loads(draft), *_generation(gens, sources, controlled, draft)),
        controlled,
    )
    return ReadRows(
        rows,
        tuple(draft.errors),
        tuple(draft.findings),
        _bus_aliases(draft),
        branches.names,
        _bus_places(draft) | branches.places,
    )


def _buses(case: Case, draft: MatpowerDraft) -> tuple[BusRow, ...]:
    names = _bus_names(case, draft)
    buses, without_kv, without_band = [], [], []
    solved = len({(row["VM"], row["VA"]) for row in draft.tables["bus"]}) > 1
    for row, name in zip(draft.tables["bus"], names, strict=True):
        number = int(row["BUS_I"])
        if number in draft.names or row["BUS_I"] != number or number < 1:
            draft.fault(row, "BUS_I", f"{row['BUS_I']:g}", "a whole number of its own from 1")
        if row["BUS_TYPE"] not in TYPES:
            expected = ", ".join(f"{number} ({kind})" for number, kind in TYPES.items())
            draft.fault(row, "BUS_TYPE", f"{row['BUS_TYPE']:g}", expected)
        if row["BASE_KV"] and not row["BASE_KV"] >= SMALLEST_KV:
            draft.fault(row, "BASE_KV", f"{row['BASE_KV']:g}", "a nominal voltage in kV, or 0 where it is unknown")
        without_kv += [row] * (row["BASE_KV"] == 0)
        without_band += [row] * (row["VMAX"] == 0)
        draft.names[number] = name
        draft.v_kv[number] = row["BASE_KV"] if row["BASE_KV"] >= SMALLEST_KV else UNKNOWN_KV
        draft.isolated.update([number] * (row["BUS_TYPE"] == ISOLATED))
        band = (row["VMIN"], row["VMAX"]) if row["VMAX"] != 0 else (0.9, 1.1)
        start = (row["VM"], row["VA"]) if row["VM"] > 0 and solved else (math.nan, math.nan)
        buses.append(BusRow(name, draft.v_kv[number], *band, f"{row['BUS_AREA']:g}", *start))
    _note_first(without_kv, "BASE_KV", f"no nominal voltage; {UNKNOWN_KV:g} kV, so amperes are not real ones", draft)
    _note_first(without_band, "VMAX", "no voltage band; 0.9 to 1.1 pu", draft)
    return tuple(buses)


def _note_first(rows: Sequence[TableRow], column: str, problem: str, draft: MatpowerDraft) -> None:
    """One finding for all rows, at the first."""
    if rows:
        draft.note(rows[0], column, f"{len(rows)} buses have {problem}", "a positive number")


def _bus_names(case: Case, draft: MatpowerDraft) -> list[str]:
    """The names in `bus_name` that are one bus's own and unlike our own forms, otherwise `Bus N`."""
    rows = draft.tables["bus"]
    given = case.field("bus_name")
    listed = [name.strip() for name in given] if isinstance(given, tuple) else []
    if listed and len(listed) != len(rows):
        draft.note(rows[0], "bus_name", f"{len(listed)} names for {len(rows)} buses; not used", "one name a bus")
    if len(listed) != len(rows):
        listed = [""] * len(rows)
    uses = Counter(listed)
    return [
        name if name and uses[name] == 1 and not name.startswith(OWN_FORMS) else f"Bus {row['BUS_I']:.0f}"
        for name, row in zip(listed, rows, strict=True)
    ]


def _bus_aliases(draft: MatpowerDraft) -> dict[str, str]:
    taken = set(draft.names.values())
    forms = ((form, name) for number, name in draft.names.items() for form in (f"Bus {number}", f"{number}"))
    return {alias: name for alias, name in forms if alias not in taken}


def _bus_places(draft: MatpowerDraft) -> dict[str, Place]:
    """Where the bus is listed, for findings on the bus and on what stands at it."""
    places: dict[str, Place] = {}
    for row in draft.tables["bus"]:
        name = draft.names[int(row["BUS_I"])]
        labels = (name, f"shunt at {name}", f"injection at {name}")
        places |= dict.fromkeys(labels, (draft.where, row.line))
    for row in draft.tables["gen"]:
        name, number = draft.names.get(int(row["GEN_BUS"]), ""), row["GEN_BUS"]
        labels = (f"controlled at {name}", f"source at {name}", f"Source {number:.0f}")
        for label in labels:
            places.setdefault(label, (draft.where, row.line))
    return places


def _loads(draft: MatpowerDraft) -> Iterator[InjectionRow]:
    for row in draft.tables["bus"]:
        number = int(row["BUS_I"])
        if row["PD"] == 0 and row["QD"] == 0:
            continue
        if number in draft.isolated:
            draft.note(row, "PD", "a load at an isolated bus; left out", "a bus of type 1, 2 or 3")
            continue
        yield InjectionRow(draft.names[number], -1e6 * row["PD"], -1e6 * row["QD"])


def _shunts(draft: MatpowerDraft) -> Iterator[ShuntRow]:
    for row in draft.tables["bus"]:
        number = int(row["BUS_I"])
        if row["GS"] == 0 and row["BS"] == 0:
            continue
        if number in draft.isolated:
            draft.note(row, "BS", "a shunt at an isolated bus; left out", "a bus of type 1, 2 or 3")
            continue
        scale = 1e6 / draft.v_kv[number] ** 2
        yield ShuntRow(draft.names[number], row["GS"] * scale, row["BS"] * scale)


def _generators(draft: MatpowerDraft) -> dict[int, list[TableRow]]:
    """Generators in service by bus number."""
    gens: dict[int, list[TableRow]] = {}
    for row in draft.tables["gen"]:
        number = draft.bus(row, "GEN_BUS")
        if number is None or not row["GEN_STATUS"] > 0:
            continue
        if number in draft.isolated:
            draft.note(row, "GEN_BUS", "a generator at an isolated bus; left out", "a bus of type 1, 2 or 3")
            continue
        gens.setdefault(number, []).append(row)
    return gens


def _held(
    gens: dict[int, list[TableRow]], draft: MatpowerDraft
) -> tuple[tuple[SourceRow, ...], tuple[ControlledRow, ...]]:
    """Sources and controlled buses; several generators at a bus hold the voltage that the last one states."""
    held = {kind: [row for row in draft.tables["bus"] if row["BUS_TYPE"] == kind] for kind in (REF, PV)}
    for kind, rows in held.items():
        idle = [row for row in rows if int(row["BUS_I"]) not in gens]
        if idle:
            problem = f"{len(idle)} {TYPES[kind]} buses have no generator in service; their voltage is not held"
            draft.note(idle[0], "BUS_TYPE", problem, "a generator, or type 1")
    references, controlled = ([row for row in held[kind] if int(row["BUS_I"]) in gens] for kind in (REF, PV))
    if not references and controlled:
        references = [controlled.pop(0)]
        draft.note(references[0], "BUS_TYPE", "no reference bus; this one, the first of type PV, is it", "type 3")
    sources = [
        SourceRow(f"Source {row['BUS_I']:.0f}", draft.names[int(row["BUS_I"])], _setpoint(row, gens, draft), row["VA"])
        for row in references
    ]
    return tuple(sources), tuple(_controlled(row, gens, draft) for row in controlled)


def _setpoint(bus: TableRow, gens: dict[int, list[TableRow]], draft: MatpowerDraft) -> float:
    stated = [gen["VG"] for gen in gens[int(bus["BUS_I"])]]
    if len(set(stated)) > 1:
        shown = ", ".join(f"{v_pu:g}" for v_pu in stated)
        draft.note(gens[int(bus["BUS_I"])][-1], "VG", f"set-points {shown} at one bus; the last holds", "one set-point")
    return stated[-1]


def _controlled(bus: TableRow, gens: dict[int, list[TableRow]], draft: MatpowerDraft) -> ControlledRow:
    number = int(bus["BUS_I"])
    q_min_var, q_max_var = (1e6 * sum(gen[column] for gen in gens[number]) for column in ("QMIN", "QMAX"))
    return ControlledRow(draft.names[number], _setpoint(bus, gens, draft), q_min_var, q_max_var)


def _generation(
    gens: dict[int, list[TableRow]],
    sources: Sequence[SourceRow],
    controlled: Sequence[ControlledRow],
    draft: MatpowerDraft,
) -> Iterator[InjectionRow]:
    """What generators inject that is not found by the power flow: P where Q holds the voltage, nothing at a source."""
    free, holding = {row.bus for row in sources}, {row.bus for row in controlled}
    for number, listed in gens.items():
        name = draft.names[number]
        for gen in listed if name not in free else ():
            q_var = 0.0 if name in holding else 1e6 * gen["QG"]
            yield InjectionRow(name, 1e6 * gen["PG"], q_var, "", _plate(gen))


def _plate(gen: TableRow) -> Plate:
    """A generator with PMIN below 0 and PMAX 0 is a dispatchable load (MATPOWER 8 manual, section 6.4.2)."""
    low_w, high_w = 1e6 * gen["PMIN"], 1e6 * gen["PMAX"]
    return Plate("", "load" if low_w < 0 and high_w == 0 else "generation", low_w, high_w)


class Branches(NamedTuple):
    """Branches; what is left of those with both ends at one bus; names by place, and places in the file by name."""

    rows: tuple[BranchRow, ...]
    bypassed: tuple[ShuntRow, ...]
    names: dict[str, str]
    places: dict[str, Place]


def _branches(draft: MatpowerDraft) -> Branches:
    """Branches called by kind and bus numbers, such as `Line 4-7`; further parallel ones `Line 4-7 (2)`."""
    branches, bypassed, numbers, places = [], [], {}, {}
    uses: Counter[str] = Counter()
    for place, row in enumerate(draft.tables["branch"], 1):
        start, end = draft.bus(row, "F_BUS"), draft.bus(row, "T_BUS")
        if start is None or end is None:
            continue
        plain = row["TAP"] == 0 and row["SHIFT"] == 0 and draft.v_kv[start] == draft.v_kv[end]
        name = f"{'Line' if plain else 'Transformer'} {start}-{end}"
        uses[name] += 1
        name += f" ({uses[name]})" if uses[name] > 1 else ""
        branch = _branch(name, row, (start, end), draft)
        if start == end:
            draft.note(row, "T_BUS", f"{name} has both ends at one bus; only its charging is left", "two buses")
            shunt = bypassed_shunt(branch) if branch.in_service else None
            bypassed.extend([shunt] if shunt else [])
            continue
        branches.append(branch)
        numbers[f"branch {place}"] = name
        places[name] = (draft.where, row.line)
    return Branches(tuple(branches), tuple(bypassed), numbers, places)


def _branch(name: str, row: TableRow, ends: tuple[int, int], draft: MatpowerDraft) -> BranchRow:
    """Equation (1)."""
    start, end = ends
    z_ohm = draft.v_kv[end] ** 2 / draft.base_mva
    unlimited = row["RATE_A"] == 0 or not math.isfinite(row["RATE_A"])
    rating_va = math.nan if unlimited else 1e6 * row["RATE_A"]
    return BranchRow(
        name,
        name.partition(" ")[0].lower(),
        draft.names[start],
        draft.names[end],
        row["BR_R"] * z_ohm,
        row["BR_X"] * z_ohm,
        b_us=1e6 * row["BR_B"] / z_ohm,
        tap=row["TAP"] or 1.0,
        shift_deg=row["SHIFT"],
        rating_from_a=rating_va / (math.sqrt(3.0) * draft.v_kv[start] * 1e3),
        rating_to_a=rating_va / (math.sqrt(3.0) * draft.v_kv[end] * 1e3),
        in_service=row["BR_STATUS"] != 0 and draft.isolated.isdisjoint(ends),
    )
