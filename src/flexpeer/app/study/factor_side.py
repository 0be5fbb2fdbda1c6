"""The grid side of a market without a grid: congestion points known by their impact factors alone.

Flow at a point in its loading direction = +-sum(ppm x p) over its resources, exactly, in integers. That is also
how a market operator runs who must not see any grid.
"""

from collections.abc import Mapping

from flexpeer.app.granting.point_coordinator import PointCoordinator
from flexpeer.app.owner.point_owner import PointOwner
from flexpeer.app.ports import Cuts, Flows
from flexpeer.app.scenario import Scenario
from flexpeer.app.study.factor_cuts import FactorCuts
from flexpeer.app.study.grid_day import topmost_dso
from flexpeer.market.machine import State
from flexpeer.market.needs import CongestionPoint, Direction, Watts
from flexpeer.quantities import PPM, ceil_div

Schedules = Mapping[str, Watts]


class FactorSide:
    """What is known of the grid when there is none: limits and impact factors."""

    def __init__(self, scenario: Scenario, margin_ppm: int) -> None:
        self._scenario = scenario
        self._margin_ppm = margin_ppm
        self._points: tuple[CongestionPoint, ...] = ()

    def observe(self, _forecast_w: Schedules) -> tuple[CongestionPoint, ...]:
        """The congestion points of the scenario; the forecast tells nothing more."""
        count = self._scenario.day.mtu_count
        dso = topmost_dso(self._scenario)
        self._points = tuple(
            CongestionPoint(
                p.congestion_point,
                p.element,
                Direction(p.direction),
                p.dso or dso,
                self._limit(p.element, p.limit_w or 0, count),
            )
            for p in self._scenario.congestion_points or ()
        )
        return self._points

    def _limit(self, element: str, limit_w: int, count: int) -> Watts:
        limits = [limit_w] * count
        for outage in self._scenario.outages:
            if outage.element == element and outage.limit_w is not None:
                for mtu in outage.span.mtus:
                    limits[mtu] = min(limits[mtu], outage.limit_w)
        return tuple(limits)

    def impact_ppm(self, point_id: str) -> dict[str, tuple[int, ...]]:
        """No more than the scenario states."""
        return dict((self._scenario.impact_ppm or {}).get(point_id, {}))

    def flow_w(self, schedules_w: Schedules) -> dict[str, Watts]:
        """Flow of each point in its loading direction, rounded up to watts."""
        flows = {}
        for point in self._points:
            factors = (self._scenario.impact_ppm or {}).get(point.congestion_point, {})
            sign = 1 if point.direction is Direction.EXPORT else -1
            flows[point.congestion_point] = tuple(
                ceil_div(
                    sign
                    * sum(ppm[mtu] * schedules_w[name][mtu] for name, ppm in factors.items() if name in schedules_w),
                    PPM,
                )
                for mtu in range(self._scenario.day.mtu_count)
            )
        return flows

    def need_w(self, schedules_w: Schedules) -> dict[str, Watts]:
        """Relief each point needs: what brings it to its limit less the margin, where it is past it."""
        flows = self._at_quantile_w(schedules_w)
        return {
            point.congestion_point: tuple(
                flow - limit + ceil_div(limit * self._margin_ppm, PPM) if flow > limit else 0
                for flow, limit in zip(flows[point.congestion_point], point.limit_w or (), strict=True)
            )
            for point in self._points
        }

    def _at_quantile_w(self, schedules_w: Schedules) -> dict[str, Watts]:
        """`flow_w` with what resources inject at the rulebook's quantile for each point."""
        flows: dict[str, Watts] = {}
        for direction in {point.direction for point in self._points}:
            more_w, _ = self._scenario.beyond_w(direction)
            stressed = {
                name: tuple(p + m for p, m in zip(row, more_w[name], strict=True)) if name in more_w else row
                for name, row in schedules_w.items()
            }
            all_flows = self.flow_w(stressed)
            flows |= {
                p.congestion_point: all_flows[p.congestion_point] for p in self._points if p.direction is direction
            }
        return flows

    def flows(self, schedules_w: Schedules) -> Flows:
        """Flow and limit of each point with these schedules, W per MTU."""
        limits = {point.congestion_point: point.limit_w or () for point in self._points}
        return {
            name: (tuple(map(float, flow)), tuple(map(float, limits[name])))
            for name, flow in self.flow_w(schedules_w).items()
        }

    def cuts(self, state: State, schedules_w: Schedules) -> Cuts:
        """What limits moves from these schedules on, exactly."""
        flows, points = self.flow_w(schedules_w), self._points
        room = {
            p.congestion_point: tuple(
                max(0, bound - flow) for flow, bound in zip(flows[p.congestion_point], p.limit_w or (), strict=True)
            )
            for p in points
        }
        signs = {p.congestion_point: 1 if p.direction is Direction.EXPORT else -1 for p in points}
        return FactorCuts(state, room, signs)

    def all_cuts(self, state: State, start_w: Schedules) -> Cuts:
        """The same: factors are all there is."""
        return self.cuts(state, start_w)

    def coordinator(self, start_w: Schedules) -> PointCoordinator:
        """One owner for each DSO with a congestion point."""
        owners = sorted({point.dso for point in self._points}) or [topmost_dso(self._scenario)]
        mine = {owner: [p for p in self._points if p.dso == owner] for owner in owners}
        return PointCoordinator(
            [PointOwner(owner, mine[owner], self._scenario.impact_ppm or {}, start_w) for owner in owners]
        )
