"""Reading the flexpeer JSON format of a grid: `docs/reference/grid-json.md` describes it."""

from collections.abc import Mapping
from typing import Any

from flexpeer.adapters.gridfiles.flexpeer_sections import SECTIONS, SectionEntry, checked, rows_of
from flexpeer.adapters.gridfiles.grid_file import ReadRows
from flexpeer.errors import Finding, bad_input

FORMAT = "flexpeer-grid-1"


def is_flexpeer(document: object) -> bool:
    """Whether the parsed JSON says that it is a flexpeer grid."""
    return isinstance(document, dict) and str(document.get("format", "")).startswith("flexpeer-grid")


def read_flexpeer(document: object, where: str) -> ReadRows:
    """The rows of a parsed flexpeer file, with every field that is missing, unknown or of the wrong type."""
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise bad_input(where, "another version of the format", f'"format": "{FORMAT}"', field="format")
    errors: list[Finding] = []
    known = {*SECTIONS, "format", "name", "aliases"}
    errors.extend(
        Finding(where, 0, str(key), "unknown section", ", ".join(sorted(known))) for key in document.keys() - known
    )
    rows = rows_of({section: _entries(document, section, where, errors) for section in SECTIONS}, errors)
    names = {"buses": {bus.name for bus in rows.buses}, "branches": {branch.name for branch in rows.branches}}
    aliases = {group: _aliases(document, group, names[group], where, errors) for group in names}
    return ReadRows(rows, tuple(errors), (), aliases["buses"], aliases["branches"])


def _entries(document: Mapping[str, Any], section: str, where: str, errors: list[Finding]) -> list[SectionEntry]:
    listed = document.get(section, [])
    if not isinstance(listed, list):
        errors.append(Finding(where, 0, section, "not a list", "a list of objects"))
        return []
    entries = []
    for position, item in enumerate(listed):
        place = f"{section}[{position}]"
        if not isinstance(item, dict):
            errors.append(Finding(where, 0, place, "not an object", "an object"))
            continue
        entry = checked(item, section, SectionEntry(where, 0, f"{place}.", {}), errors)
        entries += [entry] if entry else []
    return entries


def _aliases(
    document: Mapping[str, Any], group: str, names: set[str], where: str, errors: list[Finding]
) -> dict[str, str]:
    section = document.get("aliases", {})
    stated = section.get(group, {}) if isinstance(section, dict) else None
    if not isinstance(stated, dict):
        errors.append(Finding(where, 0, f"aliases.{group}", "not an object", "an object from alias to name"))
        return {}
    for alias, name in stated.items():
        if not isinstance(name, str) or name not in names or alias in names:
            errors.append(Finding(where, 0, f"aliases.{group}.{alias}", f"{name!r}", f"a name of {group}"))
    return {alias: name for alias, name in stated.items() if isinstance(name, str)}
