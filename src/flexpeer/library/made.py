"""A scenario made in code: written as the folder it would be, and read like any other, so that one reader judges."""

import csv
import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from math import isnan
from pathlib import Path
from typing import Any, Final

from flexpeer.adapters.gridfiles.opening import BUILT_IN, SIMBENCH
from flexpeer.adapters.scenario_files.layouts import LAYOUTS, Layout
from flexpeer.adapters.scenario_files.settings import SETTINGS_FILE
from flexpeer.errors import BadInput, Finding
from flexpeer.library.days import PlannedDay

LAYOUT_OF: Final = {layout.file.removesuffix(".csv"): layout for layout in LAYOUTS}
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_ONE_LINE: Final = str.maketrans("\r\n", "\x85\x85")
"""What no cell may have, as something else that none may have: a row is a line of its file."""
_WITH_OTHERS: Final = (".dss", ".toml")
"""Suffixes of grid files that name others beside them."""


def scenario(settings: Mapping[str, Any], **tables: Any) -> PlannedDay:
    """A day from `settings`, the keys of `scenario.toml`, and tables by the names of its files, less `.csv`.

    A table is a data frame or an iterable of dicts with the columns of its file; None, NaN and NaT are empty cells,
    times are aware datetimes or texts. `settings["grid"]["source"]` is a path from the working folder, or a name.
    `BadInput` has every finding of all of it; a line is that of the file the table would be: the first row is line 2.
    """
    keep = tempfile.TemporaryDirectory(prefix="flexpeer-")
    folder = Path(keep.name)
    findings = [
        Finding(name, 0, "", f"unknown table {name!r}", "one of " + ", ".join(LAYOUT_OF))
        for name in tables
        if name not in LAYOUT_OF
    ]
    try:
        _write_settings(settings, folder)
        for name in [name for name in tables if name in LAYOUT_OF]:
            findings += _write_table(LAYOUT_OF[name], tables[name], folder)
        day = PlannedDay(folder, keep)
    except BadInput as error:
        found = (f._replace(line=0) if f.where == SETTINGS_FILE else f for f in error.findings)
        known = {(f.where, f.line) for f in findings}
        raise BadInput([*findings, *(f for f in found if (f.where, f.line) not in known)]) from None
    if findings:
        raise BadInput(findings)
    return day


def _write_table(layout: Layout, table: Any, folder: Path) -> list[Finding]:
    """The table as its file, with an empty line's cells for a row that is none."""
    rows = list(table.to_dict("records") if hasattr(table, "to_dict") else table)
    columns = list(dict.fromkeys(str(name) for row in rows if isinstance(row, Mapping) for name in row))
    with (folder / layout.file).open("w", encoding="utf-8", errors="surrogatepass", newline="") as stream:
        lines = csv.writer(stream, lineterminator="\n")
        lines.writerow(columns or layout.names)
        cells = (row if isinstance(row, Mapping) else {} for row in rows)
        lines.writerows([_cell(row.get(name)).translate(_ONE_LINE) for name in columns] for row in cells)
    return [
        Finding(layout.file, line, "", f"a row is a {type(row).__name__}", "a dict of cells by column")
        for line, row in enumerate(rows, 2)
        if not isinstance(row, Mapping)
    ]


def _cell(value: Any) -> str:
    """A cell as files have it; a float that is whole, as columns with empty cells have them, as an integer."""
    value = value.item() if hasattr(value, "item") else value
    if value is None or type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and isnan(value)):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal) and value.is_finite():
        return format(value, "f")
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _write_settings(settings: Mapping[str, Any], folder: Path) -> None:
    """`scenario.toml`; a grid file is linked beside it, or its folder where it names other files there."""
    known = dict(settings)
    grid = known.get("grid")
    source = grid.get("source") if isinstance(grid, Mapping) else None
    if isinstance(source, str | os.PathLike) and os.fspath(source) not in BUILT_IN:
        path = Path(os.fspath(source)).absolute()
        if path.exists() and not os.fspath(source).startswith(SIMBENCH):
            named = path.suffix.lower() in _WITH_OTHERS
            (folder / ("grid" if named else path.name)).symlink_to(path.parent if named else path)
            source = f"grid/{path.name}" if named else path.name
        known["grid"] = {**grid, "source": os.fspath(source)} if isinstance(grid, Mapping) else grid
    text = "\n".join(_toml_lines(known)) + "\n"
    (folder / SETTINGS_FILE).write_text(text, encoding="utf-8", errors="surrogatepass")


def _toml_lines(settings: Mapping[str, Any]) -> Iterator[str]:
    """Plain keys, then tables, then arrays of tables; a None is a key that is not there."""
    tables = {key: value for key, value in settings.items() if isinstance(value, Mapping)}
    arrays = {key: value for key, value in settings.items() if _is_array_of_tables(value)}
    yield from _pairs({key: value for key, value in settings.items() if key not in tables and key not in arrays})
    for key, table in tables.items():
        yield from ("", f"[{_key(key)}]", *_pairs(table))
    for key, array in arrays.items():
        for table in array:
            yield from ("", f"[[{_key(key)}]]", *_pairs(table))


def _is_array_of_tables(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _pairs(table: Mapping[str, Any]) -> Iterable[str]:
    return [f"{_key(key)} = {_toml(value)}" for key, value in table.items() if value is not None]


def _key(key: object) -> str:
    return str(key) if _BARE_KEY.fullmatch(str(key)) else _quoted(str(key))


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _toml(value: Any) -> str:
    """A value in TOML; whatever TOML has no type for as the text it shows, for the reader to judge."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float | Decimal) or (isinstance(value, date) and not isinstance(value, datetime)):
        return format(value, "f") if isinstance(value, Decimal) and value.is_finite() else str(value).lower()
    if isinstance(value, datetime):
        return _quoted(value.isoformat())
    if isinstance(value, Mapping):
        return "{" + ", ".join(_pairs(value)) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return _quoted(str(value))
