"""The physics of one delivery day: network, outages, limits and injections, and what they add up to.

Arrays are (buses, mtus), (branches, mtus) or (mtus,); W and var, injection positive.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec
import numpy as np
from msgspec.structs import replace as renamed

from flexpeer.app.scenario import CongestionPointRow, Scenario
from flexpeer.app.study.grid_limits import day_limits
from flexpeer.errors import BadInput, Finding
from flexpeer.grid.limits import Kind, Limits, Readings, Violation, read, violations
from flexpeer.grid.network import Complexes, Flags, Floats, Network
from flexpeer.grid.powerflow import DayFlow, FlowResult, FlowStatus
from flexpeer.grid.topology import service
from flexpeer.market.needs import Watts


@dataclass(frozen=True)
class GridInput:
    """A network to run a day on: names (aliases included) to indexes, and injections of the file's own profiles.

    `own_buses` have injections in the file that no profile carries through the day; `areas` names each bus's zone
    in the file, or is empty; `findings` is what was odd in it; `owners` is each bus's DSO where DSOs brought their own.
    """

    network: Network
    bus_index: Callable[[str], int | None]
    branch_index: Callable[[str], int | None]
    profile_p_w: Floats | None = None
    profile_q_var: Floats | None = None
    own_buses: tuple[str, ...] = ()
    areas: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    owners: tuple[str, ...] = ()


def notes(scenario: Scenario, grid: GridInput) -> tuple[str, ...]:
    """What a reader of the results should know about the grid file."""
    planned = [r for r in scenario.resources if r.resource in scenario.resource_forecast]
    told = {grid.bus_index(bus) for bus in (*scenario.bus_forecast, *(r.bus for r in planned))}
    silent = [bus for bus in grid.own_buses if grid.bus_index(bus) not in told]
    found = [str(finding) for finding in grid.findings]
    if silent:
        some = ", ".join(silent[:3]) + (", ..." if len(silent) > 3 else "")
        found.append(f"injections of the grid file without rows in forecast.csv count for nothing ({some})")
    return tuple(found)


@dataclass(frozen=True)
class GridDay:
    """A scenario's grid: a `DayFlow` over its outages, its limits, and everything that is not a listed resource.

    `bus_of` maps resources to buses, `injecting` (buses,) are those that inject at all. `base_*` exclude resources'
    active power but hold their reactive power, which stays as forecast. `beyond_*` is what is injected on top (buses,
    mtus) at the rulebook's quantile where injection, or withdrawal, loads a point; None: nothing. `owners` names the
    DSO of each bus, `points` are the scenario's, named as the network does. `source_v` (sources, mtus) are voltages
    that others dictate; None: the sources' own.
    """

    day: DayFlow
    limits: Limits
    bus_of: Mapping[str, int]
    injecting: Flags
    base_p_w: Floats
    base_q_var: Floats
    beyond_export_w: Floats | None
    beyond_import_w: Floats | None
    owners: tuple[str, ...]
    in_service: Flags
    points: tuple[CongestionPointRow, ...] | None
    source_v: Complexes | None = None

    @property
    def network(self) -> Network:
        """The whole network."""
        return self.day.network

    def injections(self, schedules_w: Mapping[str, Watts]) -> Floats:
        """Active injections (buses, mtus) with these schedules of the resources."""
        p_w = self.base_p_w.copy()
        for resource, row in schedules_w.items():
            p_w[self.bus_of[resource]] += row
        return p_w

    def solve(
        self, schedules_w: Mapping[str, Watts], what: str, more_w: Floats | None = None
    ) -> tuple[FlowResult, Readings]:
        """The state of the day, with `more_w` (buses, mtus) injected on top.

        Raises `BadInput` naming the MTUs where there is none.
        """
        p_w = self.injections(schedules_w)
        if more_w is not None:
            p_w = p_w + more_w
        result = self.day.solve(p_w, self.base_q_var, self.source_v)
        failures = result.failures()
        if failures:
            mtus = ", ".join(str(mtu) for mtu, _ in failures[:8])
            problem = f"the power flow has no solution in {len(failures)} MTUs ({mtus})"
            cut_off = [mtu for mtu, status in failures if status is FlowStatus.ISLANDED]
            if cut_off:
                buses = ", ".join(self.day.unfed(cut_off[0])[:8])
                problem += f": in MTU {cut_off[0]} something injects or draws at buses that no source reaches ({buses})"
            else:
                worst = self.day.worst_buses(failures[0][0], p_w, self.base_q_var)
                problem += f"; the calculation of MTU {failures[0][0]} ends at {', '.join(map(str, worst))}"
            raise BadInput([Finding(what, 0, "", problem, "injections and outages the grid can carry")])
        return result, read(self.day, self.limits, result)

    def held_q_var(self, schedules_w: Mapping[str, Watts]) -> Floats:
        """Reactive injections (buses, mtus) with what generators add to hold controlled voltages, if there are any."""
        if not len(self.network.controlled_bus):
            return self.base_q_var
        return self.day.held_q_var(self.solve(schedules_w, "schedules")[0].v, self.base_q_var)

    def violations(self, readings: Readings) -> tuple[Violation, ...]:
        """Everything past its limit."""
        return violations(self.day, self.limits, readings)


def build(scenario: Scenario, grid: GridInput) -> GridDay:
    """The grid of a scenario; `BadInput` with every name the grid does not know."""
    findings = [
        *_unknown_owners(scenario, grid),
        *_unknown_buses(scenario, grid),
        *_unknown_elements(scenario, grid),
        *_unrated_points(scenario, grid),
    ]
    if findings:
        raise BadInput(findings)
    scenario = _by_own_names(scenario, grid)
    periods = scenario.day.mtu_count
    outages = [(o.element, o.span.mtus) for o in scenario.outages if o.limit_w is None]
    outages += [(s.element, s.span.mtus) for s in scenario.switching if not s.closed]
    closings = [(s.element, s.span.mtus) for s in scenario.switching if s.closed]
    in_service = service(grid.network, periods, outages, closings)
    base_p_w, base_q_var = _base(scenario, grid, periods)
    bus_of = {r.resource: _known(grid.bus_index(r.bus)) for r in scenario.resources}
    injecting: Flags = ((base_p_w != 0.0) | (base_q_var != 0.0)).any(axis=1)
    injecting[sorted(set(bus_of.values()))] = True
    day = DayFlow(grid.network, periods, in_service, injecting=injecting)
    owners = owners_of(scenario, grid)
    return GridDay(
        day,
        day_limits(scenario, grid.network, _zones(owners, grid)),
        bus_of,
        injecting,
        base_p_w,
        base_q_var,
        _beyond(scenario, grid, "export"),
        _beyond(scenario, grid, "import"),
        owners,
        in_service,
        scenario.congestion_points,
    )


def _known(index: int | None) -> int:
    assert index is not None, "unknown names were refused before"
    return index


def _by_own_names(scenario: Scenario, grid: GridInput) -> Scenario:
    """Whatever the scenario says of the grid's elements, by the network's own names instead of aliases."""
    network = grid.network

    def own(element: str, at_bus: bool) -> str:
        """An element by the network's own name."""
        if at_bus:
            return network.bus_names[_known(grid.bus_index(element))]
        index = grid.branch_index(element)
        return element if index is None else network.branch_names[index]

    points = scenario.congestion_points
    if points is not None:
        points = tuple(renamed(p, element=own(p.element, p.direction in (Kind.HIGH, Kind.LOW))) for p in points)
    return msgspec.structs.replace(
        scenario,
        congestion_points=points,
        outages=tuple(renamed(o, element=own(o.element, False)) for o in scenario.outages),
        switching=tuple(renamed(s, element=own(s.element, False)) for s in scenario.switching),
        overhead=tuple(renamed(o, elements=tuple(own(e, False) for e in o.elements)) for o in scenario.overhead),
        ratings=tuple(renamed(r, element=own(r.element, False)) for r in scenario.ratings),
        bands=tuple(renamed(b, bus=own(b.bus, True)) for b in scenario.bands),
    )


def _unknown_owners(scenario: Scenario, grid: GridInput) -> list[Finding]:
    dsos = {o.organisation for o in scenario.organisations if o.role in ("REGIONAL_DSO", "LOCAL_DSO")}
    where, expected = "organisations.csv", f"a DSO: {', '.join(sorted(dsos))}"
    strangers = sorted(set(grid.owners) - dsos)
    return [Finding(where, 0, "organisation", f"{name!r} has a grid and is no DSO", expected) for name in strangers]


def _unknown_buses(scenario: Scenario, grid: GridInput) -> list[Finding]:
    def unknown(where: str, line: int, bus: str) -> Finding:
        """A bus the grid does not have."""
        expected = f"a bus of the grid, such as {grid.network.bus_names[0]!r}"
        return Finding(where, line, "bus", f"unknown bus {bus!r}", expected)

    rows = [("resources.csv", line, r.bus) for line, r in enumerate(scenario.resources, 2)]
    rows += [("areas.csv", line, bus) for line, bus in enumerate(scenario.areas, 2)]
    rows += [("forecast.csv", 0, bus) for bus in scenario.bus_forecast]
    rows += [("voltage_bands.csv", line, b.bus) for line, b in enumerate(scenario.bands, 2)]
    return [unknown(*row) for row in rows if grid.bus_index(row[2]) is None]


def _unknown_elements(scenario: Scenario, grid: GridInput) -> list[Finding]:
    named = [
        ("congestion_points.csv", line, "element", p.element, _places(p.direction in (Kind.HIGH, Kind.LOW), True))
        for line, p in enumerate(scenario.congestion_points or (), 2)
    ]
    only_branches = _places(False, False)
    settings = "scenario.toml"
    named += [
        (settings, 0, "outage.element", o.element, _places(False, o.limit_w is not None)) for o in scenario.outages
    ]
    named += [(settings, 0, "switching.element", s.element, only_branches) for s in scenario.switching]
    named += [(settings, 0, "overhead.elements", e, only_branches) for o in scenario.overhead for e in o.elements]
    named += [("ratings.csv", n, "element", r.element, only_branches) for n, r in enumerate(scenario.ratings, 2)]
    findings = [
        Finding(where, line, field, f"unknown element {element!r}", "a " + " or ".join(places))
        for where, line, field, element, places in named
        if not _is_element(grid, element, places)
    ]
    zones = {*grid.areas, *(o.organisation for o in scenario.organisations)}
    findings += [
        Finding(settings, 0, "unbalance.area", f"unknown area {u.area!r}", "an area of the grid or a DSO")
        for u in scenario.unbalance
        if u.area is not None and u.area not in zones
    ]
    return findings


def _unrated_points(scenario: Scenario, grid: GridInput) -> list[Finding]:
    """Points without a limit at a source, or at a branch without a rating."""
    findings = []
    later_rated = {grid.branch_index(row.element) for row in scenario.ratings}
    for line, point in enumerate(scenario.congestion_points or (), 2):
        branch = grid.branch_index(point.element)
        if not point.is_rated or (branch is None and point.element not in grid.network.source_names):
            continue
        ends = () if branch is None else (grid.network.rating_from_a[branch], grid.network.rating_to_a[branch])
        if branch not in later_rated and not np.isfinite(ends).any():
            problem = f"there is no limit, and {point.element!r} has no rating"
            findings.append(Finding("congestion_points.csv", line, "limit_w", problem, "whole watts, zero or more"))
    return findings


def _places(at_bus: bool, at_source: bool) -> tuple[str, ...]:
    """What kinds of element a name may be of."""
    return ("bus",) if at_bus else ("branch", "source") if at_source else ("branch",)


def _is_element(grid: GridInput, element: str, places: tuple[str, ...]) -> bool:
    if places == ("bus",):
        return grid.bus_index(element) is not None
    return grid.branch_index(element) is not None or ("source" in places and element in grid.network.source_names)


def _base(scenario: Scenario, grid: GridInput, periods: int) -> tuple[Floats, Floats]:
    shape = (grid.network.bus_count, periods)
    p_w = np.zeros(shape) if grid.profile_p_w is None else grid.profile_p_w.astype(np.float64).copy()
    q_var = np.zeros(shape) if grid.profile_q_var is None else grid.profile_q_var.astype(np.float64).copy()
    listed = [(_known(grid.bus_index(bus)), profile) for bus, profile in scenario.bus_forecast.items()]
    for index, _ in listed:
        p_w[index], q_var[index] = 0.0, 0.0
    for index, profile in listed:
        p_w[index] += profile.p_w
        q_var[index] += profile.q_var
    for resource in scenario.resources:
        forecast = scenario.resource_forecast.get(resource.resource)
        if forecast is not None:
            q_var[_known(grid.bus_index(resource.bus))] += forecast.q_var
    return p_w, q_var


def owners_of(scenario: Scenario, grid: GridInput) -> tuple[str, ...]:
    """The DSO of each bus: as `areas.csv` says, else whose grid it is, else the topmost DSO."""
    top = topmost_dso(scenario)
    if not scenario.areas and grid.owners:
        return grid.owners
    given = {_known(grid.bus_index(bus)): dso for bus, dso in scenario.areas.items()}
    return tuple(given.get(index, top) for index in range(grid.network.bus_count))


def _beyond(scenario: Scenario, grid: GridInput, direction: str) -> Floats | None:
    by_resource, by_bus = scenario.beyond_w(direction)
    if not by_resource and not by_bus:
        return None
    more_w = np.zeros((grid.network.bus_count, scenario.day.mtu_count))
    for resource in scenario.resources:
        more_w[_known(grid.bus_index(resource.bus))] += by_resource.get(resource.resource, 0)
    for bus, row in by_bus.items():
        more_w[_known(grid.bus_index(bus))] += row
    return more_w


def _zones(owners: tuple[str, ...], grid: GridInput) -> list[set[str]]:
    """The names each bus's area goes by."""
    areas = grid.areas or owners
    return [{owner, area} for owner, area in zip(owners, areas, strict=True)]


def topmost_dso(scenario: Scenario) -> str:
    """The DSO without an overlying one; a regional one first, then by name."""
    dsos = [o for o in scenario.organisations if o.role in ("REGIONAL_DSO", "LOCAL_DSO")]
    return min(dsos, key=lambda o: (o.parent is not None, o.role != "REGIONAL_DSO", o.organisation)).organisation
