"""Workbooks (`.xlsx`) as texts, through the optional extra `sheets`.

A number is taken as the decimal of at most fifteen digits that its cell shows, which is what somebody typed; a formula
as the value that the program which saved it had found. What a workbook may unpack to is bounded before and while it is
unpacked. One is read at a time: the library prints, which no other thread may see.
"""

import importlib
import re
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import redirect_stdout
from datetime import date, datetime, time, timedelta
from io import StringIO
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any, Final, NamedTuple

from flexpeer.adapters.reading import MALFORMED, open_file, problem_of
from flexpeer.adapters.scenario_files.numerals import Number
from flexpeer.errors import bad_input

SHEETS_OF_ALL: Final = "scenario.xlsx"
MOST_PARTS: Final = 10_000
MOST_ROWS: Final = 1 << 20
BEFORE_XLSX: Final = b"\xd0\xcf\x11\xe0"
_FORMULA: Final = re.compile(rb"<f[ >/]")
_THREE_DECIMALS: Final = re.compile(r"-?[0-9]{1,3}\.[0-9]{3}")
SMALLER: Final = "a smaller workbook, or CSV"
EXPECTED: Final = "a workbook as spreadsheet programs save it (.xlsx), or CSV"


class Formula(str):
    """A formula in place of a value, where whoever wrote the workbook stored none."""

    __slots__ = ()


class Bounds(NamedTuple):
    """The most that a workbook unpacks to, and has in the rectangles of its sheets."""

    unpacked_bytes: int
    cells: int


OF_FILES: Final = Bounds(1 << 28, 1 << 24)
_ONE_AT_A_TIME: Final = Lock()


Rows = dict[int, list[Any]]
"""Those that have any cell, by number, from 1."""


class Workbook(NamedTuple):
    """The sheets that have any cell: rows that are not empty, each with its number."""

    sheets: dict[str, list[tuple[int, list[str]]]]
    unread: bool = False


def read_workbook(path: Path, bounds: Bounds = OF_FILES) -> Workbook:
    """All of a workbook, or `BadInput` with one finding: whatever the library stumbles over in a damaged one."""
    openpyxl = _library(path.name)
    try:
        with _ONE_AT_A_TIME, open_file(path) as stream:
            if stream.read(4) == BEFORE_XLSX:
                problem = "it is protected by a password, or of the kind .xls"
                raise bad_input(path.name, problem, EXPECTED)
            with zipfile.ZipFile(stream) as parts:
                formulas = _has_formulas(path.name, parts, bounds)
            values = _sheets(path.name, openpyxl.load_workbook, stream, bounds, data_only=True)
            if formulas:
                _note_formulas(values, _sheets(path.name, openpyxl.load_workbook, stream, bounds, data_only=False))
    except (OSError, MemoryError, KeyError, AttributeError, TypeError, IndexError, SyntaxError, *MALFORMED) as error:
        raise bad_input(path.name, problem_of(error), EXPECTED) from error
    return Workbook({name: filled for name, rows in values.items() if (filled := list(_filled(rows)))})


def _library(name: str) -> ModuleType:
    try:
        return importlib.import_module("openpyxl")
    except ImportError as missing:
        problem = "the package openpyxl is not installed, which reads workbooks"
        raise bad_input(name, problem, "pip install 'flexpeer[sheets]', or the sheet saved as CSV") from missing


def _has_formulas(name: str, parts: zipfile.ZipFile, bounds: Bounds) -> bool:
    listed = parts.infolist()
    if len(listed) > MOST_PARTS:
        raise bad_input(name, f"it holds more than {MOST_PARTS:,} parts", SMALLER)
    if sum(part.file_size for part in listed) > bounds.unpacked_bytes:
        raise bad_input(name, f"it holds more than {bounds.unpacked_bytes >> 20:,} MiB", SMALLER)
    sheets = [part for part in parts.namelist() if part.startswith("xl/worksheets/")]
    return any(_FORMULA.search(parts.read(part)) for part in sheets)


def _sheets(name: str, load: Any, stream: Any, bounds: Bounds, *, data_only: bool) -> dict[str, Rows]:
    """The cells of every sheet; what the library has to say of styles and the like is nobody's business here."""
    stream.seek(0)
    found: dict[str, Rows] = {}
    rows_left, left = MOST_ROWS, bounds.cells
    with warnings.catch_warnings(), redirect_stdout(StringIO()):
        warnings.simplefilter("ignore")
        for sheet in load(stream, read_only=True, data_only=data_only, keep_links=False).worksheets:
            sheet.reset_dimensions()
            rows = found[sheet.title] = {}
            for number, row in enumerate(sheet.iter_rows(values_only=True), 1):
                rows_left -= 1
                if rows_left < 0:
                    raise bad_input(name, f"its sheets have more than {MOST_ROWS:,} rows", SMALLER)
                left -= max(len(row), 1)
                if row:
                    rows[number] = list(row)
                if left < 0:
                    raise bad_input(name, f"its sheets have more than {bounds.cells:,} cells", SMALLER)
    return found


def _note_formulas(values: dict[str, Rows], formulas: dict[str, Rows]) -> None:
    for name, rows in values.items():
        for number, row in rows.items():
            for place, text in enumerate(formulas[name][number]):
                if text is not None and row[place] is None:
                    row[place] = Formula(text)


def _filled(rows: Rows) -> Iterator[tuple[int, list[str]]]:
    """Rows with any text, all as wide as the first."""
    width = 0
    for number, row in rows.items():
        texts = [_text(value) for value in row]
        while len(texts) > width and not texts[-1]:
            texts.pop()
        if any(texts):
            width = width or len(texts)
            yield number, texts + [""] * (width - len(texts))


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, datetime):
        return _moment(value)
    if isinstance(value, time):
        return value.isoformat()
    if isinstance(value, date | timedelta):
        return str(value)
    return value if isinstance(value, Formula) else str(value).strip()


def _number(value: float) -> Number:
    """Never with three decimals, which could also be thousands."""
    text = f"{value:.15g}" if isinstance(value, float) else str(value)
    if "e" in text:
        text = f"{value:.20f}".rstrip("0").rstrip(".") if abs(value) < 1 else f"{value:.0f}"
    return Number(f"{text}0" if _THREE_DECIMALS.fullmatch(text) else text)


def _moment(value: datetime) -> str:
    """To the nearest second: what a sheet counts in days is not more exact."""
    return (value + timedelta(milliseconds=500)).replace(microsecond=0).isoformat(sep=" ").removesuffix(" 00:00:00")
