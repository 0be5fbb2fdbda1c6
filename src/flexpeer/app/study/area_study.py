"""One DSO's part in the study of a day: its own grid, and numbers at its borders, which are all that others hear of it.

Points, flows and needs are found as on a grid of its own (`PhysicalSide`), with what areas below draw as withdrawals
and the voltages that areas above dictate as sources.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from msgspec.structs import replace as altered

from flexpeer.app.owner.grid_owner import GridOwner, OwnGrid
from flexpeer.app.ports import AreaSlopes, BorderNumbers, Flows
from flexpeer.app.scenario import CongestionPointRow, Scenario
from flexpeer.app.study.area_grids import area_limits, border_ends, entries_of
from flexpeer.app.study.grid_day import GridDay
from flexpeer.app.study.physical_side import PhysicalSide
from flexpeer.grid.areas import Area, split
from flexpeer.grid.limits import Kind
from flexpeer.grid.network import Complexes, Flags, Floats, Integers
from flexpeer.grid.powerflow import DayFlow
from flexpeer.grid.sensitivity import Metric, Quantity, sensitivity
from flexpeer.market.needs import CongestionPoint, Watts, relieving

Schedules = Mapping[str, Watts]
STEP_PU = 1e-4
NOTHING = BorderNumbers({}, np.ones((0, 0), dtype=np.complex128))


class AreaStudy:
    """One area; `schedules_w` are those of all resources, of which it takes its own."""

    def __init__(self, scenario: Scenario, grid: GridDay, area: Area, areas: tuple[Area, ...], margin_ppm: int) -> None:
        self._area, self._plain = area, _own_day(grid, area, areas)
        self.owner, self.borders = area.owner, border_ends(area)
        self.entries = entries_of(area, areas)
        own = tuple(each for each in scenario.resources if each.resource in self._plain.bus_of)
        self._side = PhysicalSide(altered(scenario, resources=own), self._plain, margin_ppm)
        self._sources = np.array([border.source for border in area.borders], dtype=np.int64)
        self._at, self._schedules_w = NOTHING, dict[str, Watts]()

    @property
    def resources(self) -> tuple[str, ...]:
        """Those connected to it."""
        return tuple(self._plain.bus_of)

    @property
    def topology_of(self) -> Integers:
        """Which MTUs have the same elements in service, (periods,)."""
        return self._plain.day.topology_of

    def exchange(self, schedules_w: Schedules, at: BorderNumbers) -> BorderNumbers:
        """What it draws at its own borders, by name, and the voltages it dictates below, in order of `entries`."""
        self._schedules_w, self._at = {name: schedules_w[name] for name in self._plain.bus_of}, at
        self._side.grid = self._with(at)
        result, _ = self._side.grid.solve(self._schedules_w, f"the grid of {self.owner}")
        drawn = {
            end.name: result.source_power_w[source] for end, source in zip(self.borders, self._sources, strict=True)
        }
        return BorderNumbers(drawn, result.v[list(self.entries.values())])

    def _with(self, at: BorderNumbers) -> GridDay:
        """Its grid, with these numbers at borders."""
        p_w, q_var = self._plain.base_p_w.copy(), self._plain.base_q_var.copy()
        for border, row in at.drawn.items():
            p_w[self.entries[border]] -= row.real
            q_var[self.entries[border]] -= row.imag
        source_v = self._plain.day.source_v()
        source_v[self._sources] = at.voltages
        return replace(self._plain, base_p_w=p_w, base_q_var=q_var, source_v=source_v)

    def observe(self) -> tuple[CongestionPoint, ...]:
        """The congestion points of what was exchanged last, the forecast."""
        return self._side.observe(self._schedules_w)

    def need_w(self) -> dict[str, Watts]:
        """Relief that each point needs in what was exchanged last."""
        return self._side.need_w(self._schedules_w)

    def flows(self) -> Flows:
        """Flow and limit of each point in what was exchanged last."""
        return self._side.flows(self._schedules_w)

    def coordinated(self) -> GridOwner:
        """Its validator, from what was exchanged last on."""
        owner = GridOwner(self._own_grid())
        owner.warm_up()
        return owner

    def _own_grid(self) -> OwnGrid:
        grid, area = self._side.grid, self._area
        assert grid.source_v is not None, "only after an exchange"
        return OwnGrid(
            self.owner, area.network, grid.in_service, area.upper_from, grid.injecting, grid.limits,
            grid.injections(self._schedules_w), grid.base_q_var, grid.source_v, self.borders, self._sources,
            self.entries, grid.bus_of,
        )  # fmt: skip

    def slopes(self) -> AreaSlopes:
        """First order, around what was observed."""
        names = [point.congestion_point for point in self._side.observed_points]
        metrics = [Metric(q, s) for s in map(int, self._sources) for q in _DRAWN]
        metrics += [Metric(q, bus) for bus in self.entries.values() for q in _DICTATED]
        found = [self._per_injection(metric, -1.0 if metric.quantity in _DRAWN else 1.0) for metric in metrics]
        found += [self._side.reliefs(name) for name in names]
        per_w, per_var = (np.array([each[part] for each in found]) for part in (0, 1))
        bus_of, at = self._plain.bus_of, self.entries
        own = {name: per_w[:, bus] for name, bus in bus_of.items()} if found else {}
        below = {name: -np.array([per_w[:, bus], per_var[:, bus]]) for name, bus in at.items()}
        return AreaSlopes(tuple(names), own, below, self._above())

    def _per_injection(self, metric: Metric, sign: float) -> tuple[Floats, Floats]:
        grid = self._side.grid
        result, _ = self._side.observed
        p_w = grid.injections(self._schedules_w)
        found = sensitivity(grid.day, result, p_w, grid.base_q_var, metric)
        return sign * found.per_w, sign * found.per_var

    def _above(self) -> dict[str, Floats]:
        """What changes with the two parts of each voltage dictated, by differences."""
        above = {}
        for row, end in enumerate(self.borders):
            parts = []
            for step in (STEP_PU, 1j * STEP_PU):
                higher, lower = (self._outputs(row, change) for change in (step, -step))
                parts.append((higher - lower) / (2.0 * STEP_PU))
            above[end.name] = np.array(parts)
        return above

    def _outputs(self, border: int, change: complex) -> Floats:
        """Everything that `slopes` is about, (outputs, periods), with another voltage at a border."""
        voltages = self._at.voltages.copy()
        voltages[border] += change
        grid = self._with(self._at._replace(voltages=voltages))
        result, readings = grid.solve(self._schedules_w, f"the grid of {self.owner}")
        drawn: Complexes = result.source_power_w[self._sources]
        told: Complexes = result.v[list(self.entries.values())]
        rows = [part for row in drawn for part in (row.real, row.imag)]
        rows += [part for row in told for part in (row.real, row.imag)]
        flows = self._side.flows_in((result, readings))
        for point in self._side.observed_points:
            rows.append(-relieving(point.direction).sign * np.array(flows[point.congestion_point][0]))
        return np.array(rows)


_DRAWN = (Quantity.SOURCE_EXPORT, Quantity.SOURCE_REACTIVE)
_DICTATED = (Quantity.BUS_REAL, Quantity.BUS_IMAGINARY)


def area_studies(scenario: Scenario, grid: GridDay, margin_ppm: int) -> tuple[AreaStudy, ...]:
    """The areas of all DSOs, parents first; nothing is calculated on the whole."""
    closes: Flags = np.asarray(grid.in_service.any(axis=1))
    areas = split(grid.network, grid.owners, closes)
    return tuple(AreaStudy(scenario, grid, area, areas, margin_ppm) for area in areas)


def _own_day(grid: GridDay, area: Area, areas: tuple[Area, ...]) -> GridDay:
    """The part of a day's grid that is one area's; what its borders bring comes later."""
    injecting: Flags = grid.injecting[area.bus_index] & area.owned
    injecting[list(entries_of(area, areas).values())] = True
    in_service = grid.in_service[area.branch_index]
    position = {bus: own for own, bus in enumerate(area.bus_index) if area.owned[own]}
    beyond = [None if more is None else area.own(more) for more in (grid.beyond_export_w, grid.beyond_import_w)]
    return GridDay(
        DayFlow(area.network, grid.day.periods, in_service, area.upper_from, injecting),
        area_limits(grid.limits, area, grid.network.branch_names),
        {name: position[bus] for name, bus in grid.bus_of.items() if bus in position},
        injecting,
        area.own(grid.base_p_w),
        area.own(grid.base_q_var),
        beyond[0],
        beyond[1],
        (area.owner,) * area.network.bus_count,
        in_service,
        None if grid.points is None else tuple(each for each in grid.points if _is_own(area, each)),
    )


def _is_own(area: Area, point: CongestionPointRow) -> bool:
    network = area.network
    if point.direction in (Kind.HIGH, Kind.LOW):
        return point.element in network.bus_names and bool(area.owned[network.bus_names.index(point.element)])
    own_sources = len(network.source_names) - len(area.borders)
    return point.element in network.branch_names or point.element in network.source_names[:own_sources]
