"""Reading a grid as a folder of CSV files, one per section of the flexpeer formats.

`docs/reference/grid-files.md` describes it. A cell says what the field of the JSON format says; an empty
cell is the field's default.
"""

import csv
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from flexpeer.adapters.gridfiles.flexpeer_sections import FLAG, REQUIRED, SECTIONS, TEXT, SectionEntry, checked, rows_of
from flexpeer.adapters.gridfiles.grid_file import Place, ReadRows
from flexpeer.adapters.reading import bytes_of
from flexpeer.errors import BadInput, Finding

FIRST_FILE = "buses.csv"
FILES = tuple(f"{section}.csv" for section in SECTIONS)
FLAGS = {"true": True, "false": False}


def is_flexpeer_csv(path: Path) -> bool:
    """Whether it is a folder with `buses.csv`, or one of the files of such a folder."""
    folder = path if path.is_dir() else path.parent
    return (path.is_dir() or path.name in FILES) and (folder / FIRST_FILE).is_file()


def read_flexpeer_csv(path: Path, where: str) -> ReadRows:
    """The rows of a folder; `path` and `where` may name one of its files instead.

    A folder of its own holds nothing else: another CSV file there may be a section under a wrong name.
    """
    errors: list[Finding] = []
    if path.is_dir():
        prefix = where.rstrip("/") + "/"
        strangers = sorted(file.name for file in path.glob("*.csv") if file.name not in FILES)
        errors = [Finding(prefix + name, 0, "", "unknown file", ", ".join(FILES)) for name in strangers]
    else:
        path, prefix = path.parent, where.removesuffix(path.name)
    entries = {name: list(_entries(path, name, f"{prefix}{name}.csv", errors)) for name in SECTIONS}
    if any(error.where == prefix + FIRST_FILE for error in errors):
        raise BadInput(errors)
    known = {entry.values["name"] for entry in entries["buses"]}
    for section, listed in entries.items():
        if "bus" in SECTIONS[section]:
            entries[section] = [entry for entry in listed if _has_bus(entry, known, errors)]
    return ReadRows(rows_of(entries, errors), tuple(errors), places=_places(entries))


def _entries(folder: Path, section: str, where: str, errors: list[Finding]) -> Iterator[SectionEntry]:
    """The usable rows of a section; none where its file is absent."""
    for line, item in _items(folder / f"{section}.csv", section, where, errors):
        entry = checked(item, section, SectionEntry(where, line, "", {}), errors)
        if entry:
            yield entry


def _items(file: Path, section: str, where: str, errors: list[Finding]) -> Iterator[tuple[int, dict[str, object]]]:
    """Line and stated values of each row under a header with all that is needed."""
    rows = _rows(file, where, errors)
    header = next(rows, (0, None))[1]
    if header is None or list(_header_errors(header, section, where, errors)):
        return
    for line, cells in rows:
        if len(cells) == len(header):
            yield line, _stated(dict(zip(header, cells, strict=True)), section)
        elif any(cells):
            errors.append(Finding(where, line, "", f"{len(cells)} cells", f"{len(header)}, as the header has"))


def _rows(file: Path, where: str, errors: list[Finding]) -> Iterator[tuple[int, list[str]]]:
    """Line and cells of each row, none where the file is absent."""
    if not os.path.lexists(file):
        return
    try:
        text = bytes_of(file).decode("utf-8-sig")
    except UnicodeDecodeError as mistake:
        errors.append(Finding(where, 0, "", f"byte {mistake.start} is not UTF-8", "UTF-8 text"))
        return
    except OSError as mistake:
        errors.append(Finding(where, 0, "", f"cannot be read: {mistake.strerror}", "a readable file"))
        return
    reader = csv.reader(text.splitlines(keepends=True), strict=True)
    try:
        for cells in reader:
            yield reader.line_num, [cell.strip() for cell in cells]
    except csv.Error as mistake:
        errors.append(Finding(where, reader.line_num, "", f"{mistake}", "comma-separated values"))


def _header_errors(header: list[str], section: str, where: str, errors: list[Finding]) -> Iterator[str]:
    """Note unknown, repeated and missing columns; gives those without which no row can be read."""
    fields = SECTIONS[section]
    for name, count in Counter(header).items():
        if name not in fields:
            errors.append(Finding(where, 1, name, f"unknown column {name!r}", ", ".join(fields)))
        elif count > 1:
            errors.append(Finding(where, 1, name, f"{count} columns {name!r}", "one"))
            yield name
    for name, (kind, default) in fields.items():
        if default == REQUIRED and name not in header:
            errors.append(Finding(where, 1, name, f"no column {name!r}", f"{kind} in each row"))
            yield name


def _stated(cells: Mapping[str, str], section: str) -> dict[str, object]:
    """Cells that are not empty as the values of fields; what is not of its kind stays a text."""
    fields = SECTIONS[section]
    return {key: _value(cell, fields[key][0]) for key, cell in cells.items() if cell and key in fields}


def _value(cell: str, kind: str) -> object:
    if kind == TEXT:
        return cell
    if kind == FLAG:
        return FLAGS.get(cell.lower(), cell)
    try:
        return cell if "_" in cell else float(cell)
    except ValueError:
        return cell


def _has_bus(entry: SectionEntry, known: set[str], errors: list[Finding]) -> bool:
    bus = entry.values["bus"]
    if bus not in known:
        errors.append(entry.finding("bus", f"no bus {bus!r}", "a name in buses.csv"))
    return bus in known


def _places(entries: Mapping[str, list[SectionEntry]]) -> dict[str, Place]:
    """Where each element is, under its name or as it is called by what it stands at."""
    places: dict[str, Place] = {}
    for section, listed in entries.items():
        for entry in listed:
            label = entry.values.get("name") or f"{section.removesuffix('s')} at {entry.values['bus']}"
            places.setdefault(str(label), (entry.where, entry.line))
            if section == "sources":
                places.setdefault(f"source at {entry.values['bus']}", (entry.where, entry.line))
    return places
