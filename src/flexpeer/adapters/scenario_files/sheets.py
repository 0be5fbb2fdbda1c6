"""Where the tables of a scenario folder are: CSV files as people and programs write them, and sheets of workbooks."""

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from itertools import chain, islice
from pathlib import Path
from typing import IO, Final, NamedTuple

from flexpeer.adapters.reading import open_file
from flexpeer.adapters.scenario_files.layouts import LAYOUTS, Layout
from flexpeer.adapters.scenario_files.units import unit_in
from flexpeer.adapters.scenario_files.workbooks import OF_FILES, SHEETS_OF_ALL, Bounds, Workbook, read_workbook
from flexpeer.errors import BadInput, Finding

SEPARATORS: Final = (",", ";", "\t")
OTHER_SEPARATORS: Final = ("|", " ", ":")
TITLE_LINES: Final = 10
FOREIGN: Final = (".xls", ".xlsm", ".xlsb", ".ods")
Rows = Iterator[tuple[int, Sequence[str]]]


class SheetError(Exception):
    """A table that cannot be read at all, or not any further: one finding."""

    def __init__(self, line: int, problem: str, expected: str) -> None:
        super().__init__(problem)
        self.line, self.problem, self.expected = line, problem, expected


class Sheet(NamedTuple):
    """The rows of a table, the header first, each with its line; `plain` numbers have points before decimals."""

    rows: Rows
    plain: bool


class Source(NamedTuple):
    """Where a table is; `rows` are those of a sheet, None those of the file."""

    where: str
    path: Path
    rows: list[tuple[int, list[str]]] | None = None


def column_called(name: str, layout: Layout) -> str | None:
    """The column of a layout that a header's name stands for, in capitals or not, in another unit or not."""
    names = {each.lower(): each for each in layout.names}
    stem, unit = unit_in(name)
    return names.get(name.lower()) or (names.get(f"{stem}_{unit.base}".lower()) if unit else None)


class SheetFolder:
    """The tables of a folder; a workbook is read once."""

    def __init__(self, folder: Path, bounds: Bounds = OF_FILES) -> None:
        self._folder, self._bounds = folder, bounds
        self._books: dict[str, Workbook] = {}
        self.findings: list[Finding] = []

    def sources(self, layout: Layout) -> list[Source]:
        """Where a table is: nowhere, in one place, or, which is not allowed, in several."""
        found = [Source(layout.file, path)] if os.path.lexists(path := self._folder / layout.file) else []
        own = f"{layout.table}.xlsx"
        for book in (own, SHEETS_OF_ALL):
            if os.path.lexists(self._folder / book):
                found += self._sheets(book, layout)
        return found

    def _sheets(self, book: str, layout: Layout) -> list[Source]:
        sheets = self._book(book).sheets
        named = [name for name in sheets if name.strip().lower() == layout.table]
        if not named and book != SHEETS_OF_ALL:
            named = list(sheets)
        return [Source(f"{book} sheet {name}", self._folder / book, sheets[name]) for name in named]

    def _book(self, name: str) -> Workbook:
        if name not in self._books:
            try:
                self._books[name] = read_workbook(self._folder / name, self._bounds)
            except BadInput as error:
                self.findings += error.findings
                self._books[name] = Workbook({}, unread=True)
        return self._books[name]

    def is_unread(self, layout: Layout) -> bool:
        """Whether the table may be in a workbook that could not be read."""
        return any(self._books[b].unread for b in (f"{layout.table}.xlsx", SHEETS_OF_ALL) if b in self._books)

    def strangers(self) -> Iterator[Finding]:
        """Files and sheets that look like tables and are none."""
        tables = [layout.table for layout in LAYOUTS]
        known = [layout.file for layout in LAYOUTS]
        books = [SHEETS_OF_ALL, *(f"{table}.xlsx" for table in tables)]
        for path in sorted(self._folder.iterdir()):
            kind = path.suffix.lower()
            if path.name.startswith(("~$", ".~")) or kind not in (".csv", ".xlsx", *FOREIGN):
                continue
            if kind in FOREIGN:
                yield Finding(path.name, 0, "", f"a workbook of kind {kind} is not read", "the workbook saved as .xlsx")
            elif path.name not in (*known, *books):
                yield Finding(
                    path.name, 0, "", "unknown file", "one of " + ", ".join(known if kind == ".csv" else books)
                )
        if os.path.lexists(self._folder / SHEETS_OF_ALL):
            for name in self._book(SHEETS_OF_ALL).sheets:
                if name.strip().lower() not in tables:
                    yield Finding(
                        f"{SHEETS_OF_ALL} sheet {name}", 0, "", "unknown sheet", "one of " + ", ".join(tables)
                    )


@contextmanager
def opened(source: Source, layout: Layout) -> Iterator[Sheet]:
    """The table as rows of texts; `OSError` or `SheetError`, also while rows are taken."""
    if source.rows is not None:
        header = _header_place([row for _, row in source.rows[:TITLE_LINES]], layout)
        if header:
            raise _not_the_header(source.rows[0][0], source.rows[header][0])
        yield Sheet(iter(source.rows), plain=False)
        return
    with open_file(source.path) as stream:
        start = stream.read(4)
        stream.seek(0)
        encoding = _encoding(start)
        errors = "surrogateescape" if encoding == "utf-8-sig" else "strict"
        with TextIOWrapper(stream, encoding, errors, "") as text:
            yield _csv(text, layout)


def _encoding(start: bytes) -> str:
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    if b"\0" in start[:2]:
        return "utf-16-be" if start[:1] == b"\0" else "utf-16-le"
    return "utf-8-sig"


def _csv(text: IO[str], layout: Layout) -> Sheet:
    first = _first_lines(text)
    skipped = 0
    if first and first[0].lower().startswith("sep=") and len(first[0].rstrip("\r\n")) == len("sep=;"):
        separator, skipped = first[0][4], 1
    else:
        separator = _separator(first, layout)
    lines = chain(first[skipped:], text)
    return Sheet(_records(lines, separator, skipped), plain=separator == "," and not skipped)


def _first_lines(text: IO[str]) -> list[str]:
    try:
        return list(islice(text, TITLE_LINES))
    except UnicodeDecodeError as error:
        raise _broken_text(1, error) from error


def _separator(first: Sequence[str], layout: Layout) -> str:
    """What separates the columns: what makes most of the first line's names known ones."""
    filled = [(number, text) for number, text in enumerate(first, 1) if text.strip()]
    if not filled:
        return SEPARATORS[0]
    line, header = filled[0]
    best = max(SEPARATORS, key=lambda mark: _known(_split(header, mark), layout))
    if _known(_split(header, best), layout)[0]:
        return best
    for mark in SEPARATORS:
        place = _header_place([_split(text, mark) for _, text in filled], layout)
        if place:
            raise _not_the_header(line, filled[place][0])
    for mark in OTHER_SEPARATORS:
        if _known(_split(header, mark), layout)[0] > 1:
            problem = f"the columns are separated by {mark!r}"
            raise SheetError(line, problem, "columns separated by commas, semicolons or tabs")
    return best


def _split(line: str, mark: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=mark), [])
    except csv.Error:
        return []


def _known(names: Sequence[str], layout: Layout) -> tuple[int, int]:
    return len({column_called(name, layout) for name in names} - {None}), len(names)


def _header_place(rows: Sequence[Sequence[str]], layout: Layout) -> int | None:
    """Which of the first rows is the header; None if the first may be one or none looks like one."""
    known = [_known(row, layout)[0] for row in rows]
    if not known or known[0]:
        return None
    return next((place for place, count in enumerate(known) if count > 1), None)


def _not_the_header(line: int, header: int) -> SheetError:
    problem = f"this is not the header, which seems to be on line {header}"
    return SheetError(line, problem, "the header on the first line")


def _broken_text(line: int, error: UnicodeDecodeError) -> SheetError:
    return SheetError(line, f"the text is not {error.encoding.upper()}", "a file in UTF-8 or UTF-16")


def _records(lines: Iterable[str], separator: str, skipped: int) -> Rows:
    """Each record that is not an empty line, with the line on which it begins."""
    reader = csv.reader(lines, delimiter=separator, strict=True)
    while True:
        line = reader.line_num + 1 + skipped
        try:
            row = next(reader, None)
        except csv.Error as error:
            mark = "comma" if separator == "," else "separator"
            expected = f'fields with a {mark} or quote in "quotes", closed'
            raise SheetError(line, f"the row is not CSV ({error})", expected) from error
        except UnicodeDecodeError as error:
            raise _broken_text(line, error) from error
        if row is None:
            return
        if any(row):
            yield line, row
