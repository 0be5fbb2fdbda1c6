"""Wide tables: a column of values for each resource or bus, or for each MTU, as the rows of the long form."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from flexpeer.adapters.scenario_files.cells import Doubt, shown
from flexpeer.adapters.scenario_files.findings import Line
from flexpeer.adapters.scenario_files.layouts import Layout
from flexpeer.adapters.scenario_files.local_times import LocalTimes
from flexpeer.adapters.scenario_files.sheets import SheetError, column_called
from flexpeer.adapters.scenario_files.units import Unit, unit_called, unit_in

KEYS: Final = ("resource", "bus")
UNIT_COLUMN: Final = "unit"


class Known(NamedTuple):
    """What is known before a table is read: the day's local times, and ids that columns may be named after.

    Without a grid a column can only be named after a resource.
    """

    times: LocalTimes
    resources: frozenset[str] = frozenset()
    buses: frozenset[str] = frozenset()
    gridless: bool = False


class LongRows(NamedTuple):
    """Rows of the long form: the unit of each value column, and the cells of each row in the order of `names`."""

    names: tuple[str, ...]
    units: Mapping[str, Unit]
    lines: list[int]
    rows: list[tuple[str, ...]]


Records = Sequence[tuple[int, Sequence[str]]]


def is_wide(header: Sequence[str], layout: Layout, known: Known) -> bool:
    """Whether a header has values by names or by times instead of the layout's column of values."""
    there = {column_called(name, layout) for name in header}
    if not layout.wide or layout.wide in there or None not in there:
        return False
    if "from" in there:
        return there == {None, "from"}
    return bool(there & set(KEYS)) and any(_is_time(unit_in(name)[0], known) for name in header)


def _is_time(name: str, known: Known) -> bool:
    try:
        return known.times.clock(name) is not None or known.times.instant(name) is not None
    except Doubt:
        return True
    except ValueError:
        return False


def pieces(line: int, header: Sequence[str], records: Records, layout: Layout, known: Known) -> Iterator[LongRows]:
    """The long form of a wide table; `SheetError` for columns that say the same, or in no known unit."""
    for place, name in enumerate(header):
        if name in header[:place]:
            raise SheetError(line, f"column {name} is there twice", "each column once")
    called = [column_called(name, layout) for name in header]
    by_names = "from" in called
    return _by_names(line, header, records, layout, known) if by_names else _by_times(header, records, layout, known)


def _by_names(line: int, header: Sequence[str], records: Records, layout: Layout, known: Known) -> Iterator[LongRows]:
    """A column for each resource or bus; one in vars goes with the one in watts of the same name."""
    found: dict[tuple[str, str], dict[str, tuple[int, Unit | None]]] = {}
    at = next(place for place, name in enumerate(header) if column_called(name, layout) == "from")
    for place, written in enumerate(header):
        if place == at:
            continue
        name, unit = _named(written, layout, known)
        only_resources = known.gridless or "bus" not in layout.names
        kind = "resource" if name in known.resources or (only_resources and name not in known.buses) else "bus"
        column = "q_var" if unit is not None and unit.base == "var" else layout.wide
        if column in found.setdefault((kind, name), {}):
            first = header[found[kind, name][column][0]]
            raise SheetError(line, f"columns {first} and {written} are the same", "each column once")
        found[kind, name][column] = place, unit
    for (kind, name), values in found.items():
        columns = {column: header[place] for column, (place, _) in values.items()}
        columns |= {"from": header[at], kind: next(iter(columns.values()))}
        places = [place for place, _ in values.values()]
        filled = [(number, row) for number, row in records if layout.required or any(row[each] for each in places)]
        yield LongRows(
            ("from", kind, *values),
            {column: unit for column, (_, unit) in values.items() if unit is not None},
            [Line(number, columns) for number, _ in filled],
            [(row[at], name, *(row[each] for each in places)) for _, row in filled],
        )


def _named(written: str, layout: Layout, known: Known) -> tuple[str, Unit | None]:
    """Name and unit of a column; a name that is known whole has no unit in it."""
    name, unit = unit_in(written)
    whole = written in known.resources or written in known.buses
    return (name, unit) if not whole and unit is not None and _has(layout, unit) else (written, None)


def _has(layout: Layout, unit: Unit) -> bool:
    """Whether the layout has values in this unit."""
    return layout.wide.endswith(f"_{unit.base}") or (unit.base == "var" and "q_var" in layout.names)


def _by_times(header: Sequence[str], records: Records, layout: Layout, known: Known) -> Iterator[LongRows]:
    """A column for each MTU; the unit is in its name, in a column of units, or the layout's own."""
    keys = {name: place for place, each in enumerate(header) if (name := column_called(each, layout)) in KEYS}
    of_unit = next((place for place, name in enumerate(header) if name.lower() == UNIT_COLUMN), None)
    by_unit: dict[str, list[tuple[int, Sequence[str]]]] = {}
    for line, row in records:
        by_unit.setdefault("" if of_unit is None else row[of_unit], []).append((line, row))
    units = {text: _unit(text, rows[0][0], layout) for text, rows in by_unit.items()}
    for place, written in enumerate(header):
        if place in (*keys.values(), of_unit):
            continue
        name, unit = unit_in(written)
        when = known.times.clock(name) or name
        columns = {"from": written, layout.wide: written} | {str(kind): header[at] for kind, at in keys.items()}
        for text, rows in by_unit.items():
            filled = [(line, row) for line, row in rows if row[place] or layout.required]
            yield LongRows(
                ("from", *map(str, keys), layout.wide),
                {layout.wide: each} if (each := unit or units[text]) else {},
                [Line(line, columns) for line, _ in filled],
                [(when, *(row[at] for at in keys.values()), row[place]) for _, row in filled],
            )


def _unit(text: str, line: int, layout: Layout) -> Unit | None:
    unit = unit_called(text) if text else None
    if text and (unit is None or not layout.wide.endswith(f"_{unit.base}")):
        raise SheetError(line, f"{shown(text)} is not a unit of {layout.wide}", "W, kW or MW in column unit")
    return unit
