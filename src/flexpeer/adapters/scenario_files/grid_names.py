"""Names of the grid in a scenario folder, read from the bare texts, so that they are judged whatever else is wrong."""

import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from flexpeer.adapters.reading import bytes_of
from flexpeer.adapters.scenario_files import layouts
from flexpeer.adapters.scenario_files.reader import read_tables
from flexpeer.adapters.scenario_files.settings import read_settings
from flexpeer.adapters.scenario_files.sheets import SheetFolder
from flexpeer.adapters.scenario_files.tables import BAD, Table
from flexpeer.errors import Finding

BUS_TABLES: Final = (layouts.AREAS, layouts.RESOURCES, layouts.FORECAST, layouts.VOLTAGE_BANDS)
VOLTAGES = ("high", "low")


def grid_source(folder: Path) -> str | None:
    """The grid `scenario.toml` names; None if it names none or cannot be read."""
    source = _settings(folder).get("grid", {})
    source = source.get("source") if isinstance(source, dict) else None
    return source if isinstance(source, str) else None


def unknown_names(
    folder: Path, is_bus: Callable[[str], bool], is_branch: Callable[[str], bool], is_source: Callable[[str], bool]
) -> list[Finding]:
    """A finding for each bus and element the grid does not have, once a file and name, with its first line."""
    settings, _ = read_settings(folder)
    named = (*BUS_TABLES, layouts.CONGESTION_POINTS, layouts.RATINGS)
    tables = read_tables(SheetFolder(folder), settings, named)
    findings = []
    for layout in BUS_TABLES:
        table = tables[layout.file]
        buses = {bus: line for line, bus in reversed(list(table.rows("bus")))}
        unknown = sorted((line, bus) for bus, line in buses.items() if bus and not is_bus(bus))
        findings += [
            _unknown(table, line, f"unknown bus {bus!r}", ("bus", "a bus of the grid")) for line, bus in unknown
        ]
    points = tables[layouts.CONGESTION_POINTS.file]
    for line, name, direction in zip(points.lines, points.column("element"), points.column("direction"), strict=True):
        at_bus = direction in layouts.VOLTAGE_DIRECTIONS
        if name not in ("", BAD) and not (is_bus(name) if at_bus else is_branch(name) or is_source(name)):
            expected = "a bus of the grid" if at_bus else "a branch or source of the grid"
            findings.append(_unknown(points, line, f"unknown element {name!r}", ("element", expected)))
    ratings = tables[layouts.RATINGS.file]
    for line, name in ratings.rows("element"):
        if not is_branch(name):
            findings.append(_unknown(ratings, line, f"unknown element {name!r}", ("element", "a branch of the grid")))
    return findings + list(_unknown_in_settings(_settings(folder), is_branch, is_source))


def _unknown(table: Table, line: int, problem: str, column: tuple[str, str]) -> Finding:
    """A finding at a name's column, which is expected to be something else."""
    return Finding(*table.findings.located(line, column[0]), problem, column[1])


def _unknown_in_settings(
    settings: dict[str, Any], is_branch: Callable[[str], bool], is_source: Callable[[str], bool]
) -> Iterator[Finding]:
    where = "scenario.toml"
    for table in ("outage", "switching"):
        for row in _tables(settings, table):
            out = row.get("element")
            if isinstance(out, str) and not (is_branch(out) or ("limit_w" in row and is_source(out))):
                more = " (or, with limit_w, a source)" if table == "outage" else ""
                yield Finding(where, 0, f"{table}.element", f"unknown element {out!r}", "a branch of the grid" + more)
    for row in _tables(settings, "overhead"):
        elements = row.get("elements")
        for out in elements if isinstance(elements, list) else []:
            if isinstance(out, str) and not is_branch(out):
                yield Finding(where, 0, "overhead.elements", f"unknown element {out!r}", "a branch of the grid")


def _tables(settings: dict[str, Any], name: str) -> list[dict[str, Any]]:
    rows = settings.get(name, [])
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _settings(folder: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(bytes_of(folder / "scenario.toml").decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return {}
