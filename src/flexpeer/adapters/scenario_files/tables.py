"""One CSV file as columns of checked values.

A file is read in slices of `ROWS_PER_SLICE` rows, few enough to stay in the processor's cache; within a
slice each different text of a column is converted once.
"""

import csv
import os
from collections.abc import Iterator, Sequence
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from flexpeer.adapters.reading import open_file
from flexpeer.adapters.scenario_files.cells import shown
from flexpeer.adapters.scenario_files.findings import Findings
from flexpeer.adapters.scenario_files.layouts import MANDATORY, Column, Layout

ROWS_PER_SLICE = 500
BAD: Final = object()


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


class _Wrong(NamedTuple):
    problem: str


class _Values(dict[str, Any]):
    """Each different text of a column with its value, found when first asked for."""

    def __init__(self, column: Column) -> None:
        super().__init__()
        self._column = column
        self.any_wrong = False

    def __missing__(self, text: str) -> Any:
        value = self[text] = self._value(text)
        return value

    def _value(self, text: str) -> Any:
        if text:
            try:
                return self._column.read(text)
            except ValueError as error:
                problem = f"{shown(text)} {'is not UTF-8' if _is_broken(text) else error}"
        elif self._column.default is not MANDATORY:
            return self._column.default
        else:
            problem = "the cell is empty"
        self.any_wrong = True
        return _Wrong(problem)


def read_table(folder: Path, layout: Layout) -> Table:
    """The file of `layout` in `folder` with all that is wrong with it, cell by cell."""
    table = Table(layout)
    path = folder / layout.file
    if not os.path.lexists(path):
        if layout.required:
            table.stop(0, "the file is missing", "a CSV file with the columns " + ", ".join(_required(layout)))
        return table
    table.present = True
    try:
        with TextIOWrapper(open_file(path), "utf-8-sig", "surrogateescape", "") as stream:
            _read(stream, table)
    except OSError as error:
        table.stop(0, f"the file cannot be read ({error.strerror})", "a readable file")
    return table


def _required(layout: Layout) -> list[str]:
    return [column.name for column in layout.columns if column.required]


def _read(stream: IO[str], table: Table) -> None:
    rows = _rows(stream, table)
    line, header = next(rows, (1, []))
    if not header or any(map(_is_broken, header)):
        if not table.partial:
            problem = "the header is not UTF-8" if header else "the file is empty"
            table.stop(line, problem, "a UTF-8 header line with " + ", ".join(_required(table.layout)))
        return
    places = _places(line, header, table)
    while piece := list(islice(rows, ROWS_PER_SLICE)):
        _append(_of_width(len(header), piece, table), places, table)
        if table.findings.full:
            table.partial = True
            return


def _rows(stream: IO[str], table: Table) -> Iterator[tuple[int, list[str]]]:
    """Each record that is not an empty line, with the line on which it begins."""
    reader = csv.reader(stream, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            table.stop(line, f"the row is not CSV ({error})", 'fields with a comma or quote in "quotes", closed')
            return
        if row is None:
            return
        if row:
            yield line, row


def _places(line: int, header: Sequence[str], table: Table) -> dict[str, int]:
    """Where each known column is; notes what is wrong with the header."""
    layout = table.layout
    table.header = tuple(header)
    places: dict[str, int] = {}
    for place, name in enumerate(header):
        if name not in layout.names:
            table.findings.add(line, name, f"unknown column {shown(name)}", "one of " + ", ".join(layout.names))
        elif name in places:
            table.findings.add(line, name, f"column {name} is there twice", "each column once")
        else:
            places[name] = place
    for name in _required(layout):
        if name not in places:
            expected = "the columns " + ", ".join(_required(layout))
            table.findings.add(line, name, f"column {name} is missing", expected)
            table.partial = True
    return places


def _of_width(width: int, piece: list[tuple[int, list[str]]], table: Table) -> list[tuple[int, list[str]]]:
    kept = [record for record in piece if len(record[1]) == width]
    if len(kept) < len(piece):
        table.partial = True
        table.findings.extend(
            (line, "", f"the row has {len(row)} fields", f"{width} fields, as in the header")
            for line, row in piece
            if len(row) != width
        )
    return kept


def _append(piece: list[tuple[int, list[str]]], places: dict[str, int], table: Table) -> None:
    if not piece:
        return
    lines = [line for line, _ in piece]
    texts = list(zip(*(row for _, row in piece), strict=True))
    table.lines += lines
    for column in table.layout.columns:
        if column.name in places:
            table.columns[column.name] += _converted(column, lines, texts[places[column.name]], table)
        else:
            absent = BAD if column.required else column.default
            table.columns[column.name] += [absent] * len(piece)


def _converted(column: Column, lines: list[int], texts: Sequence[str], table: Table) -> list[Any]:
    known = _Values(column)
    values = list(map(known.__getitem__, texts))
    if not known.any_wrong:
        return values
    table.findings.extend(
        (line, column.name, value.problem, column.expected)
        for line, value in zip(lines, values, strict=True)
        if isinstance(value, _Wrong)
    )
    return [BAD if isinstance(value, _Wrong) else value for value in values]


def _is_broken(text: str) -> bool:
    """Whether bytes of the text were not UTF-8 (they stand in it as lone surrogates)."""
    return any("\ud800" <= character <= "\udfff" for character in text)
