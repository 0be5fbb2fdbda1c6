"""One table of a scenario folder as columns of checked values.

A plain CSV file is read in slices of `ROWS_PER_SLICE` rows, few enough to stay in the processor's cache; within a
slice each different text of a column is converted once. Other tables are read whole: how one writes numbers shows in
all of them together.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

from flexpeer.adapters.scenario_files import cells
from flexpeer.adapters.scenario_files.cells import Doubt, shown
from flexpeer.adapters.scenario_files.findings import Findings
from flexpeer.adapters.scenario_files.layouts import MANDATORY, Column, Layout
from flexpeer.adapters.scenario_files.numerals import Numerals
from flexpeer.adapters.scenario_files.sheets import Rows, SheetError, SheetFolder, Source, column_called, opened
from flexpeer.adapters.scenario_files.units import BASES, Unit, unit_in, whole_of
from flexpeer.adapters.scenario_files.wide import Known, LongRows, is_wide, pieces
from flexpeer.adapters.scenario_files.workbooks import Formula

ROWS_PER_SLICE = 500
BAD: Final = object()
UTF_8: Final = "a file saved as CSV UTF-8"


class Table:
    """The rows of one file by column; a cell that could not be read is `BAD` (its finding is noted).

    `lines` has the line on which each row begins. `partial` says that rows are missing, so that what is
    not here may still be in the file. A file that is absent has no rows and is not `present`.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.findings = Findings(layout.file, layout.names)
        self.columns: dict[str, list[Any]] = {name: [] for name in layout.names}
        self.lines: list[int] = []
        self.header: tuple[str, ...] = ()
        self.present = False
        self.partial = False
        self._doubts: dict[str, tuple[int, str, str, str, int]] = {}

    def column(self, name: str) -> list[Any]:
        """The values of a column, one per row."""
        return self.columns[name]

    def rows(self, *names: str) -> Iterator[tuple[Any, ...]]:
        """Line and values of the named columns, for the rows where all of them could be read."""
        for row in zip(self.lines, *map(self.column, names), strict=True):
            if BAD not in row:
                yield row

    def ids(self, name: str) -> frozenset[str] | None:
        """The ids of a column, or None where some could not be read."""
        found = frozenset(self.column(name))
        return None if self.partial or BAD in found else found

    def stop(self, line: int, problem: str, expected: str) -> None:
        """Note that the file cannot be read any further."""
        self.partial = True
        self.findings.add(line, "", problem, expected)

    def doubt(self, kind: str, line: int, field: str, problem: str, expected: str) -> None:
        """Note what many cells may share; it is told once, where it is met first."""
        *first, count = self._doubts.get(kind, (line, field, problem, expected, 0))
        self._doubts[kind] = (*first, count + 1)  # type: ignore[assignment]

    def tell_doubts(self) -> None:
        """Make findings of what was doubtful."""
        for line, field, problem, expected, count in self._doubts.values():
            more = f" (and {count - 1} more like it)" if count > 1 else ""
            self.findings.add(line, field, problem + more, expected)
        self._doubts.clear()


class _Wrong(NamedTuple):
    problem: str
    expected: str
    doubt: str = ""


class _Reading(NamedTuple):
    """How the cells of a column are read, and what they may be."""

    read: cells.Reader
    expected: str


class _Values(dict[str, Any]):
    """Each different text of a column with its value, found when first asked for."""

    def __init__(self, column: Column, reading: _Reading) -> None:
        super().__init__()
        self._column = column
        self._read, self._expected = reading
        self.any_wrong = False

    def __missing__(self, text: str) -> Any:
        value = self[text] = self._value(text)
        self.any_wrong = self.any_wrong or isinstance(value, _Wrong)
        return value

    def _value(self, text: str) -> Any:
        if not text and self._column.default is not MANDATORY:
            return self._column.default
        if not text:
            return _Wrong("the cell is empty", self._expected)
        if isinstance(text, Formula):
            expected = "a workbook that a spreadsheet program has saved, or values"
            return _Wrong(f"{shown(text)} is a formula whose value was not stored", expected, "formula")
        if _is_broken(text):
            return _Wrong(f"{shown(text)} is not UTF-8{_in_windows(text)}", UTF_8, "utf-8")
        try:
            return self._read(text)
        except Doubt as doubt:
            return _Wrong(f"{shown(text)} {doubt}", doubt.expected, doubt.kind)
        except ValueError as error:
            return _Wrong(f"{shown(text)} {error}", self._expected)


def read_table(sheets: SheetFolder, layout: Layout, known: Known) -> Table:
    """The table of `layout` with all that is wrong with it, cell by cell."""
    table = Table(layout)
    sources = sheets.sources(layout)
    table.present = table.partial = sheets.is_unread(layout)
    if len(sources) > 1:
        table.present = True
        table.findings.file = sources[0].where
        other = ", ".join(source.where for source in sources[1:])
        table.stop(0, f"there is also {other}", f"the table {layout.table} in one place")
    elif sources:
        table.present = True
        _read_source(sources[0], table, known)
    elif layout.required and not table.partial:
        table.stop(0, "the file is missing", "a CSV file with the columns " + ", ".join(_required(layout)))
    return table


def _read_source(source: Source, table: Table, known: Known) -> None:
    table.findings.file = source.where
    try:
        with opened(source, table.layout) as sheet:
            _read(sheet.rows, sheet.plain, table, known)
    except OSError as error:
        table.stop(0, f"the file cannot be read ({error.strerror})", "a readable file")
    except SheetError as error:
        table.stop(error.line, error.problem, error.expected)
    table.tell_doubts()


def _required(layout: Layout) -> list[str]:
    return [column.name for column in layout.columns if column.required]


def _read(rows: Rows, plain: bool, table: Table, known: Known) -> None:
    line, header = next(rows, (1, []))
    if not header or any(map(_is_broken, header)):
        problem = "the header is not UTF-8" if header else "the file is empty"
        table.stop(line, problem, "a UTF-8 header line with " + ", ".join(_required(table.layout)))
        return
    width, header = len(header), _without_unnamed(header)
    wide = is_wide(header, table.layout, known)
    units = {name: unit for name in header if (unit := unit_in(name)[1]) is not None}
    if wide:
        _read_wide(line, header, _of_width(width, len(header), list(rows), table), table, known)
        return
    places = _places(line, header, table)
    if plain and all(unit.factor == 1 for unit in units.values()):
        _read_plain(rows, (width, len(header)), places, table, known)
        return
    records = _of_width(width, len(header), list(rows), table)
    of_columns = {name: units[header[place]] for name, place in places.items() if header[place] in units}
    numeric = [place for name, place in places.items() if _column(table, name).read in cells.NUMBERS]
    numerals = Numerals(row[place] for _, row in records for place in numeric)
    _append(records, places, _readers(table, known, of_columns, numerals), table)


def _read_plain(rows: Rows, widths: tuple[int, int], places: Mapping[str, int], table: Table, known: Known) -> None:
    readers = _readers(table, known, {}, None)
    while piece := list(islice(rows, ROWS_PER_SLICE)):
        _append(_of_width(*widths, piece, table), places, readers, table)
        if table.findings.full:
            table.partial = True
            return


def _read_wide(
    line: int, header: Sequence[str], records: list[tuple[int, Sequence[str]]], table: Table, known: Known
) -> None:
    found = list(pieces(line, header, records, table.layout, known))
    numerals = Numerals(text for piece in found for row in piece.rows for text in row[_values_at(piece) :])
    table.header = tuple(dict.fromkeys(name for piece in found for name in piece.names))
    for piece in found:
        if table.layout.wide not in piece.names and piece.lines:
            expected = f"a column of the same name in watts, as {table.layout.wide}"
            table.findings.add(piece.lines[0], "q_var", "there are vars and no watts", expected)
        places = {name: place for place, name in enumerate(piece.names)}
        readers = _readers(table, known, piece.units, numerals)
        _append(list(zip(piece.lines, piece.rows, strict=True)), places, readers, table)


def _values_at(piece: LongRows) -> int:
    """Where the values begin in a piece's rows, after time and names."""
    return sum(name in ("from", "resource", "bus") for name in piece.names)


def _column(table: Table, name: str) -> Column:
    return next(column for column in table.layout.columns if column.name == name)


def _readers(table: Table, known: Known, units: Mapping[str, Unit], numerals: Numerals | None) -> dict[str, _Reading]:
    """What reads each column's cells: `units` says which are not in the unit of the layout."""
    return {column.name: _reader(column, known, units.get(column.name), numerals) for column in table.layout.columns}


def _reader(column: Column, known: Known, unit: Unit | None, numerals: Numerals | None) -> _Reading:
    if column.read is cells.instant:
        return _Reading(known.times.instant, column.expected)
    if column.read not in cells.NUMBERS or numerals is None:
        return _Reading(column.read, column.expected)
    base = column.name.rpartition("_")[2]
    read = whole_of(column.read, unit or Unit(base, 1)) if base in BASES else column.read
    scaled = unit is not None and unit.factor > 1
    expected = f"{column.expected} (here in {unit.written})" if unit and scaled else column.expected
    return _Reading(lambda text: read(numerals.plain(text)), expected)


def _without_unnamed(header: Sequence[str]) -> Sequence[str]:
    """Columns up to the last with a name: spreadsheets also write those that only look filled."""
    width = len(header)
    while width and not header[width - 1]:
        width -= 1
    return header[:width]


def _places(line: int, header: Sequence[str], table: Table) -> dict[str, int]:
    """Where each known column is; notes what is wrong with the header."""
    layout = table.layout
    places: dict[str, int] = {}
    for place, written in enumerate(header):
        name = column_called(written, layout)
        if name is None:
            table.findings.add(line, written, f"unknown column {shown(written)}", "one of " + ", ".join(layout.names))
        elif name in places:
            other = "" if header[places[name]] == written else f" as {header[places[name]]}"
            table.findings.add(line, name, f"column {written} is there twice{other}", "each column once")
        else:
            places[name] = place
            table.findings.columns[name] = written
    table.header = tuple(places)
    for name in _required(layout):
        if name not in places:
            expected = "the columns " + ", ".join(_required(layout))
            table.findings.add(line, name, f"column {name} is missing", expected)
            table.partial = True
    return places


def _of_width(
    full: int, width: int, piece: Sequence[tuple[int, Sequence[str]]], table: Table
) -> list[tuple[int, Sequence[str]]]:
    """The rows that have as many fields as the header, less those that have no name there."""
    kept = [record for record in piece if len(record[1]) == full and not any(record[1][width:])]
    if len(kept) == len(piece):
        return kept if full == width else [(line, row[:width]) for line, row in kept]
    table.partial = True
    if not kept and len({len(row) for _, row in piece}) == 1 and len(piece) > 1:
        line, row = piece[0]
        raise SheetError(line, *_all_wrong(full, row))
    table.findings.extend(
        (line, "", f"the row has {len(row)} fields", f"{full} fields, as in the header")
        for line, row in piece
        if len(row) != full
    )
    table.findings.extend(
        (line, "", f"{shown(next(filter(None, row[width:])))} is in a column without a name", "a name in the header")
        for line, row in piece
        if len(row) == full and any(row[width:])
    )
    return [(line, row[:width]) for line, row in kept]


def _all_wrong(full: int, row: Sequence[str]) -> tuple[str, str]:
    """What to say where no row has the header's number of fields."""
    if len(row) == 1:
        return f"no row is separated as the header is: {shown(row[0])}", f"{full} fields, as in the header"
    problem = f"every row has {len(row)} fields and the header {full}"
    if len(row) > full:
        return problem, "as many as in the header; with decimal commas the columns are separated by semicolons"
    return problem, "as many as in the header"


def _append(
    piece: Sequence[tuple[int, Sequence[str]]],
    places: Mapping[str, int],
    readers: Mapping[str, _Reading],
    table: Table,
) -> None:
    if not piece:
        return
    lines = [line for line, _ in piece]
    texts = list(zip(*(row for _, row in piece), strict=True))
    table.lines += lines
    for column in table.layout.columns:
        if column.name in places:
            reading = readers[column.name]
            table.columns[column.name] += _converted(column, reading, lines, texts[places[column.name]], table)
        else:
            absent = BAD if column.required else column.default
            table.columns[column.name] += [absent] * len(piece)


def _converted(
    column: Column, reading: _Reading, lines: Sequence[int], texts: Sequence[str], table: Table
) -> list[Any]:
    known = _Values(column, reading)
    values = list(map(known.__getitem__, texts))
    if not known.any_wrong:
        return values
    wrong = [(line, value) for line, value in zip(lines, values, strict=True) if isinstance(value, _Wrong)]
    table.findings.extend(
        (line, column.name, value.problem, value.expected) for line, value in wrong if not value.doubt
    )
    for line, value in wrong:
        if value.doubt:
            table.doubt(value.doubt, line, column.name, value.problem, value.expected)
    return [BAD if isinstance(value, _Wrong) else value for value in values]


def _is_broken(text: str) -> bool:
    """Whether bytes of the text were not UTF-8 (they stand in it as lone surrogates)."""
    return any("\ud800" <= character <= "\udfff" for character in text)


def _in_windows(text: str) -> str:
    """What it may have been."""
    try:
        meant = text.encode("utf-8", "surrogateescape").decode("cp1252")
    except ValueError:
        return ""
    return f", and {shown(meant)} in Windows-1252" if meant.isprintable() else ""
