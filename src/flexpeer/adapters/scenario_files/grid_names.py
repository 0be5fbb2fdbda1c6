"""Names of the grid in a scenario folder, read from the bare texts, so that they are judged whatever else is wrong."""

import csv
import tomllib
from collections.abc import Callable, Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from flexpeer.adapters.reading import bytes_of, open_file
from flexpeer.errors import Finding

BUS_FILES = ("areas.csv", "resources.csv", "forecast.csv", "voltage_bands.csv")
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
    findings = []
    for file in BUS_FILES:
        seen = {row.get("bus") or "": line for line, row in reversed(list(_rows(folder / file)))}
        unknown = sorted((line, bus) for bus, line in seen.items() if bus and not is_bus(bus))
        findings += [Finding(file, line, "bus", f"unknown bus {bus!r}", "a bus of the grid") for line, bus in unknown]
    for line, row in _rows(folder / "congestion_points.csv"):
        name, at_bus = row.get("element") or "", (row.get("direction") or "").lower() in VOLTAGES
        if name and not (is_bus(name) if at_bus else is_branch(name) or is_source(name)):
            expected = "a bus of the grid" if at_bus else "a branch or source of the grid"
            findings.append(Finding("congestion_points.csv", line, "element", f"unknown element {name!r}", expected))
    for line, row in _rows(folder / "ratings.csv"):
        name = row.get("element") or ""
        if name and not is_branch(name):
            findings.append(
                Finding("ratings.csv", line, "element", f"unknown element {name!r}", "a branch of the grid")
            )
    return findings + list(_unknown_in_settings(_settings(folder), is_branch, is_source))


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


def _rows(file: Path) -> Iterator[tuple[int, dict[str, str | None]]]:
    """Rows with their lines; nothing where the file cannot be read as a table."""
    try:
        with TextIOWrapper(open_file(file), "utf-8-sig", newline="") as text:
            reader = csv.DictReader(text)
            for row in reader:
                yield reader.line_num, {key: value for key, value in row.items() if isinstance(key, str)}
    except (OSError, ValueError, csv.Error):
        return
