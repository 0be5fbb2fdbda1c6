"""What every grid file becomes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import ceil

from flexpeer.errors import BadInput, Finding
from flexpeer.grid.assembly import GridRows, InjectionRow, assemble, bus_injections, faults, unreached
from flexpeer.grid.network import Floats, Network
from flexpeer.grid.unbalance import unbalances

Place = tuple[str, int]


@dataclass(frozen=True)
class GridFile:
    """A network with the injections its file states.

    `p_w` and `q_var` are (buses,), injection positive; `profile_p_w` and `profile_q_var` are
    (buses, periods) or None. `areas` names each bus's zone, empty where the file has none.
    `injections` are the elements that add up to `p_w` and `q_var`, where the file has such.
    `findings` are what was read differently from what the file may have meant; errors never get here.
    Aliases map other names of the file to names of the network. `owners` is the DSO of each bus where grids of several
    DSOs were joined, else empty.
    """

    network: Network
    p_w: Floats
    q_var: Floats
    areas: tuple[str, ...]
    findings: tuple[Finding, ...] = ()
    bus_aliases: Mapping[str, str] = field(default_factory=dict)
    branch_aliases: Mapping[str, str] = field(default_factory=dict)
    profile_p_w: Floats | None = None
    profile_q_var: Floats | None = None
    owners: tuple[str, ...] = ()
    injections: tuple[InjectionRow, ...] = ()

    @cached_property
    def _bus_positions(self) -> dict[str, int]:
        return {name: position for position, name in enumerate(self.network.bus_names)}

    @cached_property
    def _branch_positions(self) -> dict[str, int]:
        return {name: position for position, name in enumerate(self.network.branch_names)}

    def bus_index(self, name: str) -> int | None:
        """Position of the bus of this name or alias."""
        return self._bus_positions.get(self.bus_aliases.get(name, name))

    def branch_index(self, name: str) -> int | None:
        """Position of the branch of this name or alias."""
        return self._branch_positions.get(self.branch_aliases.get(name, name))


@dataclass(frozen=True)
class ReadRows:
    """A file's rows before they are checked: `errors` refuse the file, `findings` do not.

    `places` has file and line of elements, by their name or as `faults` calls them (`shunt at X`).
    """

    rows: GridRows
    errors: tuple[Finding, ...] = ()
    findings: tuple[Finding, ...] = ()
    bus_aliases: Mapping[str, str] = field(default_factory=dict)
    branch_aliases: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, Place] = field(default_factory=dict)


LEAST_PERCENT = 0.5


def grid_file(read: ReadRows, where: str) -> GridFile:
    """The grid of a file's rows, or `BadInput` with every error of the file."""
    told = bool(read.errors)
    more = (_placed(finding, read.places) for finding in faults(read.rows, where) if not _follows(finding, told))
    errors = tuple(dict.fromkeys((*read.errors, *more)))
    if errors:
        raise BadInput(errors)
    rows = read.rows
    islands = tuple(
        Finding(where, 0, bus, "no source reaches this bus; nothing is connected there", "a bus in use")
        for bus in unreached(rows)
    )
    p_w, q_var = bus_injections(rows)
    return GridFile(
        network=assemble(rows),
        p_w=p_w,
        q_var=q_var,
        areas=tuple(bus.area for bus in rows.buses),
        findings=read.findings + islands + tuple(_unequal(rows, where)),
        bus_aliases=read.bus_aliases,
        branch_aliases=read.branch_aliases,
        injections=rows.injections,
    )


def _unequal(rows: GridRows, where: str) -> Iterator[Finding]:
    """What loads on single phases take of each low-voltage area's limits."""
    for area, percent in unbalances(rows):
        if percent < LEAST_PERCENT:
            continue
        problem = f"the fullest phase carries {percent:.0f} % more than the mean; calculated as three equal phases"
        expected = f"[[unbalance]] in scenario.toml with current_percent = {ceil(percent)} to leave room for it"
        yield Finding(where, 0, f"area {area}" if area else "low voltage", problem, expected)


def _follows(finding: Finding, told: bool) -> bool:
    """Whether a fault of the rows may only be there because a row has an error that is told already."""
    return told and (finding.problem == "nan" or "no source reaches" in finding.problem)


def _placed(finding: Finding, places: Mapping[str, Place]) -> Finding:
    """The finding with file and line, where the file has lines."""
    element = finding.field if finding.field in places else finding.field.rpartition(".")[0]
    if element not in places:
        return finding
    where, line = places[element]
    return finding._replace(where=where, line=line)
