"""The physics of one delivery day: network, outages, limits and injections, and what they add up to.

Arrays are (buses, mtus), (branches, mtus) or (mtus,); W and var, injection positive.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from flexpeer.app.scenario import CongestionPoint, Scenario
from flexpeer.errors import BadInput, Finding
from flexpeer.grid.limits import Kind, Limits, PowerLimit, Readings, Violation, limits_of, read, violations
from flexpeer.grid.network import Flags, Floats, Network
from flexpeer.grid.powerflow import DayFlow, FlowResult, FlowStatus
from flexpeer.market.needs import Watts


@dataclass(frozen=True)
class GridInput:
    """A network to run a day on: names (aliases included) to indexes, and injections of the file's own profiles.

    `own_buses` have injections in the file that no profile carries through the day; `findings` is what was odd in it.
    """

    network: Network
    bus_index: Callable[[str], int | None]
    branch_index: Callable[[str], int | None]
    profile_p_w: Floats | None = None
    profile_q_var: Floats | None = None
    own_buses: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


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

    `bus_of` maps resources to buses; `base_*` exclude resources' active power but hold their reactive power,
    which stays as forecast. `owners` names the DSO of each bus, `points` are the scenario's, named as
    the network does.
    """

    day: DayFlow
    limits: Limits
    bus_of: Mapping[str, int]
    base_p_w: Floats
    base_q_var: Floats
    owners: tuple[str, ...]
    in_service: Flags
    points: tuple[CongestionPoint, ...] | None

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

    def solve(self, schedules_w: Mapping[str, Watts], what: str) -> tuple[FlowResult, Readings]:
        """The state of the day; `BadInput` naming the MTUs where there is none."""
        result = self.day.solve(self.injections(schedules_w), self.base_q_var)
        failures = result.failures()
        if failures:
            mtus = ", ".join(str(mtu) for mtu, _ in failures[:8])
            problem = f"the power flow has no solution in {len(failures)} MTUs ({mtus})"
            cut_off = [mtu for mtu, status in failures if status is FlowStatus.ISLANDED]
            if cut_off:
                buses = ", ".join(self.day.unfed(cut_off[0])[:8])
                problem += f": in MTU {cut_off[0]} something injects or draws at buses that no source reaches ({buses})"
            raise BadInput([Finding(what, 0, "", problem, "injections and outages the grid can carry")])
        return result, read(self.day, self.limits, result)

    def violations(self, readings: Readings) -> tuple[Violation, ...]:
        """Everything past its limit."""
        return violations(self.day, self.limits, readings)


def build(scenario: Scenario, grid: GridInput) -> GridDay:
    """The grid of a scenario; `BadInput` with every name the grid does not know."""
    findings = [*_unknown_buses(scenario, grid), *_unknown_elements(scenario, grid)]
    if findings:
        raise BadInput(findings)
    scenario = _by_own_names(scenario, grid)
    periods = scenario.day.mtu_count
    outages = [(o.element, set(o.span.mtus)) for o in scenario.outages if o.limit_w is None]
    day = DayFlow(grid.network, periods, outages)
    base_p_w, base_q_var = _base(scenario, grid, periods)
    in_service = np.repeat(grid.network.in_service[:, None], periods, axis=1)
    for element, mtus in outages:
        in_service[grid.network.branch_names.index(element), sorted(mtus)] = False
    return GridDay(
        day,
        _limits(scenario, grid, periods),
        {r.resource: _known(grid.bus_index(r.bus)) for r in scenario.resources},
        base_p_w,
        base_q_var,
        _owners(scenario, grid),
        in_service,
        scenario.congestion_points,
    )


def _known(index: int | None) -> int:
    assert index is not None, "unknown names were refused before"
    return index


def _by_own_names(scenario: Scenario, grid: GridInput) -> Scenario:
    """Points and outages by the network's own names, whatever aliases they were given by."""
    network = grid.network

    def own(element: str, at_bus: bool) -> str:
        """An element by the network's own name."""
        if at_bus:
            return network.bus_names[_known(grid.bus_index(element))]
        index = grid.branch_index(element)
        return element if index is None else network.branch_names[index]

    points = scenario.congestion_points
    if points is not None:
        points = tuple(
            msgspec.structs.replace(p, element=own(p.element, p.direction in (Kind.HIGH, Kind.LOW))) for p in points
        )
    outages = tuple(msgspec.structs.replace(o, element=own(o.element, False)) for o in scenario.outages)
    return msgspec.structs.replace(scenario, congestion_points=points, outages=outages)


def _unknown_buses(scenario: Scenario, grid: GridInput) -> list[Finding]:
    def unknown(where: str, line: int, bus: str) -> Finding:
        """A bus the grid does not have."""
        return Finding(
            where, line, "bus", f"unknown bus {bus!r}", f"a bus of the grid, such as {grid.network.bus_names[0]!r}"
        )

    rows = [("resources.csv", line, r.bus) for line, r in enumerate(scenario.resources, 2)]
    rows += [("areas.csv", line, bus) for line, bus in enumerate(scenario.areas, 2)]
    rows += [("forecast.csv", 0, bus) for bus in scenario.bus_forecast]
    return [unknown(*row) for row in rows if grid.bus_index(row[2]) is None]


def _unknown_elements(scenario: Scenario, grid: GridInput) -> list[Finding]:
    findings = []
    for line, point in enumerate(scenario.congestion_points or (), 2):
        known = (
            grid.bus_index(point.element) is not None
            if point.direction in (Kind.HIGH, Kind.LOW)
            else _is_element(grid, point.element)
        )
        if not known:
            problem = f"unknown element {point.element!r}"
            findings.append(
                Finding("congestion_points.csv", line, "element", problem, "a branch, source or (voltage) bus")
            )
    for outage in scenario.outages:
        fits = (
            grid.branch_index(outage.element) is not None
            if outage.limit_w is None
            else _is_element(grid, outage.element)
        )
        if not fits:
            problem = f"unknown element {outage.element!r}"
            findings.append(
                Finding(
                    "scenario.toml", 0, "outage.element", problem, "a branch of the grid (or, with limit_w, a source)"
                )
            )
    return findings


def _is_element(grid: GridInput, element: str) -> bool:
    return grid.branch_index(element) is not None or element in grid.network.source_names


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


def _owners(scenario: Scenario, grid: GridInput) -> tuple[str, ...]:
    """The DSO of each bus: as `areas.csv` says, else the topmost DSO."""
    top = topmost_dso(scenario)
    given = {_known(grid.bus_index(bus)): dso for bus, dso in scenario.areas.items()}
    return tuple(given.get(index, top) for index in range(grid.network.bus_count))


def topmost_dso(scenario: Scenario) -> str:
    """The DSO without an overlying one; a regional one first, then by name."""
    dsos = [o for o in scenario.organisations if o.role in ("REGIONAL_DSO", "LOCAL_DSO")]
    return min(dsos, key=lambda o: (o.parent is not None, o.role != "REGIONAL_DSO", o.organisation)).organisation


def _limits(scenario: Scenario, grid: GridInput, periods: int) -> Limits:
    given = [p for p in scenario.congestion_points or () if p.limit_w is not None]
    sources = set(grid.network.source_names)
    power = [
        PowerLimit(p.element, Kind(p.direction), lowered(scenario, p, periods), p.element in sources) for p in given
    ]
    for outage in scenario.outages:
        if outage.limit_w is not None and outage.element not in {p.element for p in given}:
            limit = np.full(periods, np.nan)
            limit[list(outage.span.mtus)] = outage.limit_w
            kinds = (Kind.EXPORT, Kind.IMPORT)
            power += [PowerLimit(outage.element, kind, limit, outage.element in sources) for kind in kinds]
    limits = limits_of(grid.network, periods, power, scenario.day.hour_starts())
    return _with_bands(limits, grid, scenario.congestion_points or ())


def lowered(scenario: Scenario, point: CongestionPoint, periods: int) -> Floats:
    """A point's limit per MTU, W, with what outages lower it to."""
    limit = np.full(periods, float(point.limit_w or 0))
    for outage in scenario.outages:
        if outage.element == point.element and outage.limit_w is not None:
            at = list(outage.span.mtus)
            limit[at] = np.minimum(limit[at], outage.limit_w)
    return limit


def _with_bands(limits: Limits, grid: GridInput, points: Sequence[CongestionPoint]) -> Limits:
    high, low = limits.v_max_pu.copy(), limits.v_min_pu.copy()
    for point in points:
        if point.limit_pu is not None:
            (high if point.direction == Kind.HIGH else low)[_known(grid.bus_index(point.element))] = point.limit_pu
    return replace(limits, v_max_pu=high, v_min_pu=low)
