"""A TOML file that names the grid file of each DSO and where they border: one `[[grid]]` for each.

[[grid]]
dso = "Local"
source = "local.json"
borders = [{ bus = "Infeed", dso = "Region", their_bus = "Station 3" }]
"""

import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np

from flexpeer.adapters.gridfiles.grid_file import GridFile
from flexpeer.adapters.reading import bytes_of
from flexpeer.errors import BadInput, Finding, bad_input
from flexpeer.grid.areas import Area, split
from flexpeer.grid.joining import BorderJoint, Joined, OwnerPart, join
from flexpeer.grid.network import Flags

EXPECTED = (
    'tables [[grid]] with dso, source and, below another grid, borders = [{ bus = "", dso = "", their_bus = "" }]'
)


class BorderTable(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`bus` of this grid is `their_bus` of the grid of `dso`."""

    bus: str
    dso: str
    their_bus: str


class GridTable(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One DSO's grid."""

    dso: str
    source: str
    borders: tuple[BorderTable, ...] = ()


class GridTables(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The whole file."""

    grid: tuple[GridTable, ...]


def read_several(path: Path, source: str, open_one: Callable[[str], GridFile]) -> GridFile:
    """All grids of a file as one; `BadInput` with the findings of all of them."""
    tables = _tables(path, source)
    files: dict[str, GridFile] = {}
    findings: list[Finding] = []
    for table in tables.grid:
        if table.source == source or table.source.lower().endswith(".toml"):
            findings.append(Finding(source, 0, "source", f"{table.source} is no grid", "the file of one grid"))
            continue
        try:
            files[table.dso] = open_one(table.source)
        except BadInput as error:
            findings += error.findings
    if findings:
        raise BadInput(findings)
    return joined(files, {t.dso: [BorderJoint(b.bus, b.dso, b.their_bus) for b in t.borders] for t in tables.grid})


def _tables(path: Path, source: str) -> GridTables:
    try:
        return msgspec.convert(tomllib.loads(bytes_of(path).decode("utf-8-sig")), GridTables)
    except (ValueError, msgspec.ValidationError, RecursionError) as error:
        raise bad_input(source, f"{error}", EXPECTED) from error


def joined(files: Mapping[str, GridFile], joints: Mapping[str, list[BorderJoint]]) -> GridFile:
    """The grids of several DSOs as one, each bus its DSO's. Borders may be named by their file's other names too."""
    parts = [
        OwnerPart(dso, file.network, tuple(_own_names(files, dso, joints.get(dso, [])))) for dso, file in files.items()
    ]
    whole = join(parts)
    return GridFile(
        network=whole.network,
        p_w=whole.gathered({dso: file.p_w for dso, file in files.items()}),
        q_var=whole.gathered({dso: file.q_var for dso, file in files.items()}),
        areas=_areas(files, whole),
        findings=tuple(finding for file in files.values() for finding in file.findings),
        bus_aliases=_aliases(whole.network.bus_names, _bus_places(files, whole)),
        branch_aliases=_aliases(whole.network.branch_names, _branch_places(files, whole)),
        owners=whole.owners,
    )


def separated(
    grid: GridFile, owners: tuple[str, ...], closes: Flags | None = None
) -> dict[str, tuple[GridFile, list[BorderJoint]]]:
    """The grid of each DSO as it would bring it, with its borders, parents first: the way back from `joined`.

    `closes` (branches,) are branches in service at some time of the day.
    """
    return {area.owner: (_file_of(grid, area), _joints_of(area)) for area in split(grid.network, owners, closes)}


def _joints_of(area: Area) -> list[BorderJoint]:
    return [BorderJoint(border.bus_name, border.parent, border.bus_name) for border in area.borders]


def _file_of(grid: GridFile, area: Area) -> GridFile:
    network, whole = area.network, grid.network
    borders = {border.source for border in area.borders}
    names = (f"{name} (overlying grid)" if n in borders else name for n, name in enumerate(network.source_names))
    band = {f: getattr(whole, f)[area.bus_index] for f in ("v_min_pu", "v_max_pu")}
    own = replace(network, source_names=tuple(names), **band)
    buses, branches = set(network.bus_names), set(network.branch_names)
    return GridFile(
        network=own,
        p_w=area.own(grid.p_w),
        q_var=area.own(grid.q_var),
        areas=tuple(grid.areas[bus] for bus in area.bus_index) if grid.areas else (),
        bus_aliases={alias: name for alias, name in grid.bus_aliases.items() if name in buses},
        branch_aliases={alias: name for alias, name in grid.branch_aliases.items() if name in branches},
    )


def _own_names(files: Mapping[str, GridFile], dso: str, joints: list[BorderJoint]) -> Iterator[BorderJoint]:
    for joint in joints:
        there = files.get(joint.parent)
        yield BorderJoint(_name(files[dso], joint.bus), joint.parent, _name(there, joint.parent_bus))


def _name(file: GridFile | None, bus: str) -> str:
    index = None if file is None else file.bus_index(bus)
    return bus if file is None or index is None else file.network.bus_names[index]


def _areas(files: Mapping[str, GridFile], whole: Joined) -> tuple[str, ...]:
    """The zones of the files; a bus whose file has none is its DSO's."""
    areas = np.array(whole.owners, dtype=object)
    for dso, file in files.items():
        for bus, area in zip(whole.bus_index[dso], file.areas, strict=False):
            if area and whole.owners[bus] == dso:
                areas[bus] = area
    return tuple(areas)


Places = list[tuple[str, str, int]]


def _bus_places(files: Mapping[str, GridFile], whole: Joined) -> Places:
    """Every name that a file has for a bus: DSO, name, number in the whole."""
    found = []
    for dso, file in files.items():
        names = {**{name: name for name in file.network.bus_names}, **file.bus_aliases}
        positions = {name: int(place) for name, place in zip(file.network.bus_names, whole.bus_index[dso], strict=True)}
        found += [(dso, alias, positions[name]) for alias, name in names.items() if name in positions]
    return found


def _branch_places(files: Mapping[str, GridFile], whole: Joined) -> Places:
    found = []
    for dso, file in files.items():
        names = {**{name: name for name in file.network.branch_names}, **file.branch_aliases}
        at = whole.branch_index[dso]
        positions = {name: int(place) for name, place in zip(file.network.branch_names, at, strict=True)}
        found += [(dso, alias, positions[name]) for alias, name in names.items() if name in positions]
    return found


def _aliases(names: tuple[str, ...], places: Places) -> dict[str, str]:
    """`DSO/NAME` for whatever a DSO calls an element, and the bare name where it means one element only."""
    meant: dict[str, set[int]] = {}
    for dso, alias, place in places:
        meant.setdefault(alias, set()).add(place)
        meant.setdefault(f"{dso}/{alias}", set()).add(place)
    known = set(names)
    return {alias: names[min(at)] for alias, at in meant.items() if len(at) == 1 and alias not in known}
