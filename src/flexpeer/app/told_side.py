"""The grid side of a market operator whose DSOs keep their grids: told points and needs, and owners elsewhere.

What a point needs at other schedules than the forecast follows from what was told and from impact factors:

    over(p) = told over + loading sign x sum(ppm x (p - forecast))
"""

from collections.abc import Mapping, Sequence

import msgspec

from flexpeer.app.granting import GridCoordinator
from flexpeer.app.joint_check import Owner
from flexpeer.app.scenario import Scenario
from flexpeer.market.needs import CongestionPoint, Watts, relieving
from flexpeer.quantities import PPM, ceil_div

Schedules = Mapping[str, Watts]


class ToldPoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A congestion point as its DSO tells it: flow in the loading direction and limit, W per MTU, at the forecast.

    `margin_w` is by how much needs stay below the limit, `need_w` the relief needed at the forecast.
    """

    point: CongestionPoint
    flow_w: Watts
    limit_w: Watts
    margin_w: Watts
    need_w: Watts


class ToldSide:
    """What is known of the grid where there is none; `home` is the DSO of each resource."""

    def __init__(
        self, scenario: Scenario, points: Sequence[ToldPoint], owners: Sequence[Owner], home: Mapping[str, str]
    ) -> None:
        self._scenario, self._owners, self._home = scenario, tuple(owners), home
        self._points = {told.point.congestion_point: told for told in points}
        self._forecast_w = scenario.plans_w()

    def observe(self, _forecast_w: Schedules) -> tuple[CongestionPoint, ...]:
        """The points told."""
        return tuple(told.point for told in self._points.values())

    def impact_ppm(self, point_id: str) -> dict[str, tuple[int, ...]]:
        """As the scenario states."""
        return dict((self._scenario.impact_ppm or {}).get(point_id, {}))

    def need_w(self, schedules_w: Schedules) -> dict[str, Watts]:
        """As told at the forecast; elsewhere what brings the point to its limit less the margin, if it is past it."""
        needs = {}
        for name, told in self._points.items():
            more = self._more_w(told, schedules_w)
            at_limit = (f - limit + m for f, limit, m in zip(told.flow_w, told.limit_w, told.margin_w, strict=True))
            over = (need or over for need, over in zip(told.need_w, at_limit, strict=True))
            needs[name] = tuple(
                o + w if o + w > margin else 0 for o, w, margin in zip(over, more, told.margin_w, strict=True)
            )
        return needs

    def flows(self, schedules_w: Schedules) -> dict[str, tuple[tuple[float, ...], tuple[float, ...]]]:
        """Flow and limit of each point, W per MTU."""
        return {
            name: (
                tuple(float(f + w) for f, w in zip(told.flow_w, self._more_w(told, schedules_w), strict=True)),
                tuple(map(float, told.limit_w)),
            )
            for name, told in self._points.items()
        }

    def _more_w(self, told: ToldPoint, schedules_w: Schedules) -> list[int]:
        """How much these schedules load a point beyond the forecast, rounded up to watts."""
        sign = -relieving(told.point.direction).sign
        total = [0] * len(told.flow_w)
        for name, ppm in self.impact_ppm(told.point.congestion_point).items():
            for mtu, (factor, now, then) in enumerate(zip(ppm, schedules_w[name], self._forecast_w[name], strict=True)):
                total[mtu] += sign * factor * (now - then)
        return [ceil_div(value, PPM) for value in total]

    def coordinator(self, _start_w: Schedules) -> GridCoordinator:
        """The owners, who know the starting point themselves."""
        element_of = {name: told.point.element for name, told in self._points.items()}
        return GridCoordinator(self._owners, element_of, self._home)
