"""The grid side of a market with a grid: congestion points, needs and impact factors from power flow.

A need keeps a margin to its limit; that of a voltage is a share of its band (`_margin_w`).

A point's flow is watts at a power limit; current x sqrt(3) x nominal voltage (VA) at a rated element, below zero where
power flows the other way; for a voltage, the watts injected at that bus that would make up the difference, first order.
"""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from flexpeer.app.granting.grid_coordinator import GridCoordinator
from flexpeer.app.granting.joint_check import Borders
from flexpeer.app.granting.owner_cuts import OwnerCuts
from flexpeer.app.owner.grid_owner import GridOwner, OwnGrid
from flexpeer.app.ports import Cuts, Flows
from flexpeer.app.scenario import CongestionPointRow as GivenPoint
from flexpeer.app.scenario import Scenario
from flexpeer.app.study.area_grids import area_limits, border_ends, drawn_w, entries_of
from flexpeer.app.study.grid_cuts import GridCuts
from flexpeer.app.study.grid_day import GridDay
from flexpeer.errors import bad_input
from flexpeer.grid.areas import Area, branch_owners, split
from flexpeer.grid.limits import Kind, Readings, band_pu, relief_needed
from flexpeer.grid.network import Flags, Floats
from flexpeer.grid.powerflow import DayFlow, FlowResult
from flexpeer.grid.sensitivity import Metric, Quantity, Sensitivity, sensitivity
from flexpeer.market.machine import State as MarketState
from flexpeer.market.needs import CongestionPoint, Direction, Watts
from flexpeer.quantities import IMPACT_LIMIT_PPM, PPM, QUANTITY_LIMIT_W

POINTS = "congestion_points.csv"
Schedules = Mapping[str, Watts]
State = tuple[FlowResult, Readings]


class Point(NamedTuple):
    """A congestion point with its metric.

    `at` is the index of the branch, source or bus, `row` that of its power limit or -1; `pu_per_w` is what a watt
    at a voltage point's own bus does to it (1 for the others, whose flow is in watts already). `beside` are the buses
    it stands for, and what that watt does there.
    """

    point: CongestionPoint
    kind: Kind
    at: int
    row: int
    pu_per_w: float = 1.0
    beside: tuple[tuple[int, float], ...] = ()


GRID_MARGIN_PPM = 5_000
NEGLIGIBLE = 1e-3
ALIKE = 0.8


def margin_ppm(scenario: Scenario) -> int:
    """By how much needs stay below limits, unless the rulebook says otherwise."""
    given = scenario.rulebook.need_margin_ppm
    return GRID_MARGIN_PPM if given is None else given


class PhysicalSide:
    """What the DSOs of one grid know about a day."""

    def __init__(self, scenario: Scenario, grid: GridDay, margin_ppm: int) -> None:
        self.grid = grid
        self.scenario = scenario
        self.margin = margin_ppm / PPM
        self._forecast: State | None = None
        self._beyond: dict[bool, State] = {}
        self._forecast_p_w: Floats = grid.base_p_w
        self._points: tuple[Point, ...] = ()
        self._slopes: dict[str, Floats] = {}
        self._borders: Borders | None = None

    def observe(self, forecast_w: Schedules) -> tuple[CongestionPoint, ...]:
        """Take the forecast, and find (or take from the scenario) the congestion points."""
        self._forecast = self.grid.solve(forecast_w, "forecast.csv")
        self._beyond = self._states(forecast_w, "forecast.csv", self._forecast)
        self._forecast_p_w = self.grid.injections(forecast_w)
        given = self.grid.points
        self._points = self._found() if given is None else tuple(self._given(point) for point in given)
        for point in self._points:
            self._slopes[point.point.congestion_point] = self._slope(point)
        return tuple(point.point for point in self._points)

    def impact_ppm(self, point_id: str) -> dict[str, tuple[int, ...]]:
        """Relief per unit of each resource, ppm: as the scenario states, else where a topology loads the point most."""
        if self.scenario.impact_ppm is not None:
            return dict(self.scenario.impact_ppm.get(point_id, {}))
        ppm = np.rint(self._slopes[point_id] * PPM).clip(0, IMPACT_LIMIT_PPM).astype(np.int64)
        return {resource: tuple(ppm[bus].tolist()) for resource, bus in self.grid.bus_of.items()}

    def need_w(self, schedules_w: Schedules) -> dict[str, Watts]:
        """Relief each point needs, W per MTU: what brings it to its limit less the margin, where it is past it."""
        states = self._states(schedules_w, "schedules", self.grid.solve(schedules_w, "schedules"))
        needs = {}
        for point in self._points:
            value, limit = self._flow(point, states[_loaded_by_injection(point.point.direction)]), self._limit(point)
            over = relief_needed(value, limit, self._margin_w(point))
            needs[point.point.congestion_point] = tuple(int(np.ceil(w)) for w in over)
        return needs

    def _states(self, schedules_w: Schedules, what: str, same: State) -> dict[bool, State]:
        """States at the rulebook's quantile, by whether they are for points that injection loads.

        `same` is the state of the schedules themselves.
        """
        beyond = {True: self.grid.beyond_export_w, False: self.grid.beyond_import_w}
        return {
            by_injection: same if more_w is None else self.grid.solve(schedules_w, what, more_w)
            for by_injection, more_w in beyond.items()
        }

    def flows(self, schedules_w: Schedules) -> Flows:
        """Flow (in the loading direction) and limit of each point, W per MTU, with these schedules."""
        return self.flows_in(self.grid.solve(schedules_w, "schedules"))

    def flows_in(self, state: State) -> Flows:
        """The same in a state of the day."""
        rows = ((p.point.congestion_point, self._flow(p, state), self._limit(p)) for p in self._points)
        return {name: (tuple(flow.tolist()), tuple(limit.tolist())) for name, flow, limit in rows}

    def cuts(self, _state: MarketState, _schedules_w: Schedules) -> Cuts:
        """What limits moves from now on, as the owners check it."""
        assert self._borders is not None, "the owners are known when the gate closes"
        return OwnerCuts(self._borders)

    def all_cuts(self, _state: MarketState, start_w: Schedules) -> Cuts:
        """What limits moves from the starting point on, by the whole grid."""
        return GridCuts(self.grid, start_w)

    def coordinator(self, start_w: Schedules) -> GridCoordinator:
        """The owners' validators, each with its own part of the grid, at the starting point."""
        grids = self.own_grids(start_w)
        owners = [GridOwner(own) for own in grids]
        for owner in owners:
            owner.warm_up()
        found = GridCoordinator(owners, self.element_of, {r: own.owner for own in grids for r in own.bus_of})
        self._borders = found.borders
        return found

    @property
    def element_of(self) -> dict[str, str]:
        """The element of each congestion point."""
        return {p.point.congestion_point: p.point.element for p in self._points}

    def own_grids(self, start_w: Schedules) -> tuple[OwnGrid, ...]:
        """What each owner knows of the grid at the starting point, parents first."""
        result, _ = self.grid.solve(start_w, "starting point")
        p_w = self.grid.injections(start_w)
        closes: Flags = np.asarray(self.grid.in_service.any(axis=1))
        areas = split(self.grid.network, self.grid.owners, closes)
        return tuple(self._own(area, areas, result, p_w) for area in areas)

    def _own(self, area: Area, areas: tuple[Area, ...], result: FlowResult, p_w: Floats) -> OwnGrid:
        p_own, q_own = area.own(p_w), area.own(self.grid.base_q_var)
        for child in areas:
            self._draw_at_borders(area, child, result, (p_own, q_own))
        injecting = self.grid.injecting[area.bus_index] | (p_own != 0.0).any(axis=1) | (q_own != 0.0).any(axis=1)
        in_service = self.grid.in_service[area.branch_index]
        source_v = DayFlow(area.network, self.grid.day.periods, in_service, area.upper_from, injecting).source_v()
        for border in area.borders:
            source_v[border.source] = result.v[border.bus]
        position = {bus: own for own, bus in enumerate(area.bus_index) if area.owned[own]}
        return OwnGrid(
            area.owner,
            area.network,
            in_service,
            area.upper_from,
            injecting,
            area_limits(self.grid.limits, area, self.grid.network.branch_names),
            p_own,
            q_own,
            source_v,
            border_ends(area),
            np.array([border.source for border in area.borders], dtype=np.int64),
            entries_of(area, areas),
            {r: position[bus] for r, bus in self.grid.bus_of.items() if bus in position},
        )

    def _draw_at_borders(self, area: Area, child: Area, result: FlowResult, own: tuple[Floats, Floats]) -> None:
        """Subtract from an area's injections what a child area draws at their borders in a state of the whole."""
        borders = [border for border in child.borders if border.parent == area.owner]
        if not borders:
            return
        day = DayFlow(child.network, self.grid.day.periods, self.grid.in_service[child.branch_index], child.upper_from)
        for border in borders:
            drawn = drawn_w(day, child, border.source, result.v[child.bus_index])
            at = area.bus_at(border.bus_name)
            own[0][at] -= drawn.real
            own[1][at] -= drawn.imag

    def _found(self) -> tuple[Point, ...]:
        """A point for each branch or source and direction that the forecast overloads; voltages as `_apart` has it."""
        found: set[tuple[str, str, Direction, Kind]] = set()
        voltages: dict[tuple[str, Kind], dict[int, Floats]] = {}
        for by_injection, (result, readings) in self._beyond.items():
            for element, kind, mtu, value, limit in self.grid.violations(readings):
                direction = Direction(self._direction(kind, element, mtu, result))
                if _loaded_by_injection(direction) is not by_injection:
                    continue
                owner = self.owner_of(kind, element)
                if kind not in (Kind.HIGH, Kind.LOW):
                    found.add((owner, element, direction, kind))
                elif not self._is_held(element):
                    past = voltages.setdefault((owner, kind), {})
                    bus = self.grid.network.bus_names.index(element)
                    past.setdefault(bus, np.zeros(self.grid.day.periods))[mtu] = abs(value - limit)
        beside: dict[tuple[str, Kind], tuple[tuple[int, float], ...]] = {}
        for (owner, kind), past in voltages.items():
            for bus, others in self._apart(past).items():
                element = self.grid.network.bus_names[bus]
                found.add((owner, element, Direction(str(kind)), kind))
                beside[element, kind] = tuple(others)
        at = Counter(element for _, element, _, _ in found)
        towards = Counter((element, direction) for _, element, direction, _ in found)
        points = []
        for owner, element, direction, kind in sorted(found):
            name = element if at[element] == 1 else f"{element}:{direction}"
            name = name if towards[element, direction] == 1 else f"{name}:{kind}"
            point = self._point(name, element, direction, owner, kind)
            points.append(point._replace(beside=beside.get((element, kind), ())))
        return tuple(points)

    def _apart(self, past_pu: Mapping[int, Floats]) -> dict[int, list[tuple[int, float]]]:
        """Of the buses past one side of their band, by how much (mtus,), the worst and those it does not stand for.

        One stands for another where, in every MTU, whatever resource brings it back brings the other back, at least
        `ALIKE` of the way. With each go the buses it stands for, and what a watt at its own bus does there.
        """
        network, margin = self.grid.network, self.margin * band_pu(self.grid.limits)
        able = [self.grid.bus_of[r.resource] for r in self.scenario.resources if r.p_min_w < r.p_max_w]
        units = np.array(sorted(set(able)), dtype=np.int64) if able else np.flatnonzero(self.grid.injecting)
        slopes: dict[int, Floats] = {}
        beside: dict[int, list[tuple[int, float]]] = {}
        for bus in sorted(past_pu, key=lambda bus: (-float(past_pu[bus].max()), network.bus_names[bus])):
            raised, past = self._raised(bus, past_pu[bus]), past_pu[bus]
            for point, slope in slopes.items():
                moved = slope > NEGLIGIBLE * slope.max(axis=0)
                share = np.where(moved, raised[units] / np.where(moved, slope, 1.0), np.inf).min(axis=0)
                brought = np.where(past_pu[point] > 0.0, share * (past_pu[point] + margin[point]), 0.0)
                per_w = float(raised[point, int(past.argmax())])
                if per_w > 0.0 and (brought >= ALIKE * past).all():
                    beside[point].append((bus, per_w))
                    break
            else:
                slopes[bus], beside[bus] = raised[units], []
        return beside

    def _raised(self, bus: int, past_pu: Floats) -> Floats:
        """What a watt at each bus raises a voltage by, (buses, mtus), where each topology is furthest past the band."""
        result, _ = self._observed()
        per_w = np.zeros((self.grid.network.bus_count, self.grid.day.periods))
        metric = Metric(Quantity.BUS_VOLTAGE, bus)
        for topology in np.unique(self.grid.day.topology_of):
            mtus = np.flatnonzero(self.grid.day.topology_of == topology)
            at = mtus[[int(np.argmax(past_pu[mtus]))]]
            if past_pu[at[0]] > 0.0:
                found = sensitivity(self.grid.day, result, self._forecast_p_w, self.grid.base_q_var, metric, at)
                per_w[:, mtus] = np.nan_to_num(found.per_w)
        return per_w

    def _is_held(self, bus: str) -> bool:
        """Whether a source holds the voltage, which no injection moves then."""
        return self.grid.network.bus_names.index(bus) in self.grid.network.source_bus

    def _direction(self, kind: Kind, element: str, mtu: int, result: FlowResult) -> str:
        if kind is not Kind.LOADING:
            return str(kind)
        branch = self.grid.network.branch_names.index(element)
        return Direction.EXPORT if self._towards_source_w(branch, result)[mtu] >= 0 else Direction.IMPORT

    def _towards_source_w(self, branch: int, result: FlowResult) -> Floats:
        """Active power towards the source at a branch's upper end, (mtus,), per unit."""
        network = self.grid.network
        terminal = network.terminals()
        v_from, v_to = result.v[network.branch_from[branch]], result.v[network.branch_to[branch]]
        if self.grid.day.upper_from[branch]:
            into = v_from * np.conj(terminal.yff[branch] * v_from + terminal.yft[branch] * v_to)
        else:
            into = v_to * np.conj(terminal.ytf[branch] * v_from + terminal.ytt[branch] * v_to)
        towards: Floats = -into.real
        return towards

    def owner_of(self, kind: Kind, element: str) -> str:
        """The DSO an element belongs to."""
        network = self.grid.network
        if kind in (Kind.HIGH, Kind.LOW):
            return self.grid.owners[network.bus_names.index(element)]
        if element in network.branch_names:
            return branch_owners(network, self.grid.owners)[network.branch_names.index(element)]
        return self.grid.owners[int(network.source_bus[network.source_names.index(element)])]

    def _given(self, given: GivenPoint) -> Point:
        direction = Direction(given.direction)
        kind = Kind.LOADING if given.is_rated else Kind(given.direction)
        owner = given.dso or self.owner_of(kind, given.element)
        return self._point(given.congestion_point, given.element, direction, owner, kind)

    def _point(self, name: str, element: str, direction: Direction, owner: str, kind: Kind) -> Point:
        network = self.grid.network
        row = -1
        if kind in (Kind.HIGH, Kind.LOW):
            index = network.bus_names.index(element)
        elif kind is Kind.LOADING:
            index = network.branch_names.index(element)
        else:
            row = self._row(name, element, kind)
            names = network.branch_names if element in network.branch_names else network.source_names
            index = names.index(element)
        bare = Point(CongestionPoint(name, element, direction, owner), kind, index, row)
        if kind in (Kind.HIGH, Kind.LOW):
            _, readings = self._observed()
            mtu = most_loaded(_fed(readings.v_pu[index]) * (1.0 if kind is Kind.HIGH else -1.0))
            pu_per_w = float(self._sensitivity(bare).per_w[index, mtu])
            if not pu_per_w > 0.0:
                raise bad_input(
                    POINTS, f"no injection at {element!r} raises its voltage", "a bus with supply, not held by a source"
                )
            return bare._replace(pu_per_w=pu_per_w)
        watts = np.nan_to_num(self._limit(bare), nan=float(QUANTITY_LIMIT_W)).clip(max=float(QUANTITY_LIMIT_W))
        return bare._replace(point=CongestionPoint(name, element, direction, owner, tuple(int(w) for w in watts)))

    def _row(self, name: str, element: str, kind: Kind) -> int:
        """Which power limit a point has: the limits of given points come first, in their order."""
        if self.grid.points is not None:
            return [p.congestion_point for p in self.grid.points if p.limit_w is not None].index(name)
        limits = self.grid.limits
        return list(zip(limits.point_element, limits.point_kind, strict=True)).index((element, kind))

    def _flow(self, point: Point, state: State) -> Floats:
        result, readings = state
        flow: Floats
        if point.row >= 0:
            flow = readings.power_w[point.row]
        elif point.kind is Kind.LOADING:
            sign = 1.0 if point.point.direction is Direction.EXPORT else -1.0
            way = np.where(sign * self._towards_source_w(point.at, result) >= 0.0, 1.0, -1.0)
            flow = way * readings.loading[point.at] * self.rated_va()[point.at]
        else:
            over = [self._over_pu(point.kind, bus, readings) / per_w for bus, per_w in point.beside]
            own = self._over_pu(point.kind, point.at, readings) / point.pu_per_w
            flow = self._limit(point) + np.fmax.reduce([own, *over])
        return flow

    def _over_pu(self, kind: Kind, bus: int, readings: Readings) -> Floats:
        """How far a voltage is past its band, (mtus,)."""
        fed = _fed(readings.v_pu[bus])
        over: Floats = (
            fed - self.grid.limits.v_max_pu[bus] if kind is Kind.HIGH else self.grid.limits.v_min_pu[bus] - fed
        )
        return over

    def _margin_w(self, point: Point) -> Floats:
        """How far below its limit a need aims, W: a share of the limit, of a voltage a share of its band."""
        by_voltage = point.kind in (Kind.HIGH, Kind.LOW)
        span = band_pu(self.grid.limits)[point.at] / point.pu_per_w if by_voltage else np.abs(self._limit(point))
        margin: Floats = self.margin * span
        return margin

    def _limit(self, point: Point) -> Floats:
        limit: Floats
        if point.row >= 0:
            limit = self.grid.limits.limit_w[point.row]
        elif point.kind is Kind.LOADING:
            limit = self.rated_va()[point.at]
        else:
            band = self.grid.limits.v_max_pu if point.kind is Kind.HIGH else -self.grid.limits.v_min_pu
            limit = band[point.at] / point.pu_per_w
        return limit

    def rated_va(self) -> Floats:
        """What each branch may carry at its weaker end, VA at nominal voltage (branches, mtus); NaN: unrated."""
        network, limits = self.grid.network, self.grid.limits
        at_from = np.sqrt(3.0) * network.bus_v[network.branch_from][:, None] * limits.rating_from_a
        at_to = np.sqrt(3.0) * network.bus_v[network.branch_to][:, None] * limits.rating_to_a
        lowest: Floats = np.fmin(at_from, at_to)
        return lowest

    def _slope(self, point: Point) -> Floats:
        """Relief per watt moved in the relieving direction, (buses, mtus), where each topology loads the point most."""
        found = self._sensitivity(point)
        over = self._flow(point, self._observed()) - self._limit(point)
        per_w = np.zeros_like(found.per_w)
        for topology in np.unique(self.grid.day.topology_of):
            mtus = np.flatnonzero(self.grid.day.topology_of == topology)
            per_w[:, mtus] = np.nan_to_num(found.per_w[:, mtus[most_loaded(over[mtus])], None])
        return _relief_per_metric(point) * per_w

    def reliefs(self, point_id: str) -> tuple[Floats, Floats]:
        """Relief of a point per W and per var injected at each bus, (buses, mtus) each, in every MTU's own state."""
        point = next(each for each in self._points if each.point.congestion_point == point_id)
        found, factor = self._sensitivity(point), _relief_per_metric(point)
        return np.nan_to_num(found.per_w) * factor, np.nan_to_num(found.per_var) * factor

    def _sensitivity(self, point: Point) -> Sensitivity:
        result, _ = self._observed()
        if point.kind in (Kind.HIGH, Kind.LOW):
            quantity = Quantity.BUS_VOLTAGE
        elif point.kind is Kind.LOADING:
            quantity = Quantity.BRANCH_APPARENT
        else:
            at_branch = point.point.element in self.grid.network.branch_names
            quantity = Quantity.BRANCH_EXPORT if at_branch else Quantity.SOURCE_EXPORT
        metric = Metric(quantity, point.at)
        return sensitivity(self.grid.day, result, self._forecast_p_w, self.grid.base_q_var, metric)

    @property
    def observed_points(self) -> tuple[CongestionPoint, ...]:
        """Those that were observed."""
        return tuple(point.point for point in self._points)

    @property
    def observed(self) -> State:
        """The state of the forecast."""
        return self._observed()

    def _observed(self) -> State:
        assert self._forecast is not None, "points are asked for after the forecast is observed"
        return self._forecast


def _relief_per_metric(point: Point) -> float:
    """What a unit of a point's metric is in watts of its relief."""
    if point.kind in (Kind.HIGH, Kind.LOW):
        return 1.0 / point.pu_per_w
    loads = 1.0 if point.point.direction is Direction.EXPORT else -1.0
    return -loads if point.kind is Kind.IMPORT else loads


def _loaded_by_injection(direction: Direction) -> bool:
    return direction in (Direction.EXPORT, Direction.HIGH)


def _fed(v_pu: Floats) -> Floats:
    """Voltages, NaN where there is no supply."""
    fed: Floats = np.where(v_pu > 0.0, v_pu, np.nan)
    return fed


def most_loaded(values: Floats) -> int:
    """Where the largest is; the first place if there is none."""
    return int(np.nanargmax(values)) if np.isfinite(values).any() else 0
