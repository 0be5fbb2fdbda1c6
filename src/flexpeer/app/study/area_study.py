"""One DSO's part in the study of a day: its own grid, and numbers at its borders, which are all that others hear of it.

Points, flows and needs are found as on a grid of its own (`PhysicalSide`), with what areas below draw as withdrawals
and the voltages that areas above dictate as sources.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import msgspec
import numpy as np

from flexpeer.app.owner.grid_owner import GridOwner, OwnGrid
from flexpeer.app.ports import AreaSlopes, BorderEnd, BorderNumbers, Flows
from flexpeer.app.scenario import Scenario
from flexpeer.app.study.grid_day import GridDay, GridInput, build
from flexpeer.app.study.physical_side import PhysicalSide, margin_ppm
from flexpeer.errors import BadInput, Finding
from flexpeer.grid.network import Complexes, Floats, Integers
from flexpeer.grid.powerflow import DayFlow
from flexpeer.grid.sensitivity import Metric, Quantity, sensitivity
from flexpeer.market.needs import CongestionPoint, Watts, relieving

Schedules = Mapping[str, Watts]
STEP_PU = 1e-4
NOTHING = BorderNumbers({}, np.ones((0, 0), dtype=np.complex128))


class BorderAbove(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A border where an area hangs on the area of `parent`: a source stands for that one at `bus`."""

    border: str
    parent: str
    bus: str


class BorderBelow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A border where another area hangs on `bus`."""

    border: str
    bus: str


class OwnBorders(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose grid it is, and where it borders; a border is called the same on both sides."""

    dso: str
    above: tuple[BorderAbove, ...] = ()
    below: tuple[BorderBelow, ...] = ()

    @property
    def ends(self) -> tuple[BorderEnd, ...]:
        """Where it hangs on others."""
        return tuple(BorderEnd(each.border, each.parent) for each in self.above)


class AreaStudy:
    """One area: a DSO's own scenario and grid. `schedules_w` are those of all resources, of which it takes its own.

    `BadInput` if the grid does not have the borders, or for needs at a quantile of the forecast.
    """

    def __init__(self, scenario: Scenario, grid: GridInput, own: OwnBorders) -> None:
        require_one_forecast(scenario)
        _require_borders(grid, own)
        self.owner, self.borders = own.dso, own.ends
        self.entries = {each.border: _bus(grid, each.bus) for each in own.below}
        held = grid.network.source_bus.tolist()
        sources = [held.index(_bus(grid, each.bus)) for each in own.above]
        self._sources = np.array(sources, dtype=np.int64)
        self._plain = self._own_day(scenario, grid)
        self._side = PhysicalSide(scenario, self._plain, margin_ppm(scenario))
        self._at, self._schedules_w = NOTHING, dict[str, Watts]()

    def _own_day(self, scenario: Scenario, grid: GridInput) -> GridDay:
        """What its borders bring comes later; voltages are limited there by who dictates them."""
        day = build(scenario, replace(grid, owners=(self.owner,) * grid.network.bus_count))
        injecting, limits = day.injecting.copy(), day.limits
        injecting[list(self.entries.values())] = True
        bands = limits.v_min_pu.copy(), limits.v_max_pu.copy()
        for band in bands:
            band[grid.network.source_bus[self._sources]] = np.nan
        return replace(
            day,
            day=DayFlow(grid.network, day.day.periods, day.in_service, injecting=injecting),
            limits=replace(limits, v_min_pu=bands[0], v_max_pu=bands[1]),
            injecting=injecting,
        )

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
        grid = self._side.grid
        assert grid.source_v is not None, "only after an exchange"
        return OwnGrid(
            self.owner, grid.network, grid.in_service, grid.day.upper_from, grid.injecting, grid.limits,
            grid.injections(self._schedules_w), grid.base_q_var, grid.source_v, self.borders, self._sources,
            self.entries, grid.bus_of,
        )  # fmt: skip

    def warm_up(self) -> None:
        """Whatever takes long the first time, before the first question comes: with nothing at its borders."""
        count = self._plain.day.periods
        nothing = dict.fromkeys(self.resources, (0,) * count)
        self.exchange(nothing, BorderNumbers({}, self._plain.day.source_v()[self._sources]))
        self.coordinated()

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


def require_one_forecast(scenario: Scenario) -> None:
    """`BadInput` for needs at quantiles, which nobody adds up across borders."""
    if any(part for direction in ("export", "import") for part in scenario.beyond_w(direction)):
        problem = "needs at a quantile of the forecast are not found across borders"
        raise BadInput([Finding("scenario.toml", 0, "need_quantile_percent", problem, "50, or one grid for all")])


def _bus(grid: GridInput, name: str) -> int:
    index = grid.bus_index(name)
    assert index is not None, "unknown borders were refused before"
    return index


def _require_borders(grid: GridInput, own: OwnBorders) -> None:
    findings = [Finding("borders.json", 0, border, *found) for border, *found in _faults(grid, own)]
    if findings:
        raise BadInput(findings)


def _faults(grid: GridInput, own: OwnBorders) -> Iterator[tuple[str, str, str]]:
    """Border, what is wrong with it, and what was expected."""
    held = grid.network.source_bus.tolist()
    every: list[BorderAbove | BorderBelow] = [*own.above, *own.below]
    names = [each.border for each in every]
    for each in every:
        index = grid.bus_index(each.bus)
        if index is None:
            yield each.border, f"unknown bus {each.bus!r}", f"a bus of the grid, such as {grid.network.bus_names[0]!r}"
        elif isinstance(each, BorderAbove) and held.count(index) != 1:
            yield each.border, f"{held.count(index)} sources hold {each.bus!r}", "one, which stands for the grid above"
        if names.count(each.border) > 1:
            yield each.border, "is there twice", "each border once"
    if not held:
        yield "above", "neither a border nor a source feeds the grid", "a way to a source"
