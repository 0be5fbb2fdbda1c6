"""The grid side of a market operator whose DSOs keep their grids: told points, and owners elsewhere.

Flows at the forecast and at the starting point are told. After trades, owners read them; where one is silent they
follow from impact factors:

    flow(p) = flow at the starting point + loading sign x sum(ppm x (p - starting point))
"""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from flexpeer.app.granting.grid_coordinator import GridCoordinator
from flexpeer.app.ports import Flows, Owner, OwnerSilent
from flexpeer.app.scenario import Scenario
from flexpeer.app.study.asked_owners import AskedOwners
from flexpeer.grid.limits import Kind, relief_needed
from flexpeer.grid.network import Floats
from flexpeer.market.needs import CongestionPoint, Watts, relieving
from flexpeer.quantities import PPM

Schedules = Mapping[str, Watts]
LimitRow = tuple[float, ...]


class ToldPoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A congestion point as its DSO tells it. Flows are in the loading direction, W per MTU.

    `beyond_w` is how much more flow needs are found at (the rulebook's quantile), `margin_w` how far they stay below
    the limit; `unit_w` are watts per unit of what `owner` reads at the element.
    """

    point: CongestionPoint
    owner: str
    kind: Kind
    forecast_w: LimitRow
    start_w: LimitRow
    beyond_w: LimitRow
    limit_w: LimitRow
    unit_w: LimitRow
    margin_w: LimitRow


class ToldSide(AskedOwners):
    """What is known of the grid where there is none; `home` is the DSO of each resource, `start_w` where they start."""

    def __init__(
        self, scenario: Scenario, points: Sequence[ToldPoint], owners: Sequence[Owner], home: Mapping[str, str]
    ) -> None:
        self._scenario, self._home = scenario, home
        self._owners = {owner.owner: owner for owner in owners}
        self._points = {told.point.congestion_point: told for told in points}
        self._forecast_w = scenario.plans_w()
        self._start_w: Schedules | None = None

    def observe(self, _forecast_w: Schedules) -> tuple[CongestionPoint, ...]:
        """The points told."""
        return tuple(told.point for told in self._points.values())

    def impact_ppm(self, point_id: str) -> dict[str, tuple[int, ...]]:
        """As the scenario states."""
        return dict((self._scenario.impact_ppm or {}).get(point_id, {}))

    def need_w(self, schedules_w: Schedules) -> dict[str, Watts]:
        """What brings each point to its limit less the margin, where it is past it, W per MTU."""
        needs = {}
        for name, told in self._points.items():
            flow = self._flow(told, schedules_w) + told.beyond_w
            over = relief_needed(flow, np.array(told.limit_w), np.array(told.margin_w))
            needs[name] = tuple(int(np.ceil(w)) for w in over)
        return needs

    def flows(self, schedules_w: Schedules) -> Flows:
        """Flow and limit of each point, W per MTU."""
        return {
            name: (tuple(self._flow(told, schedules_w).tolist()), told.limit_w) for name, told in self._points.items()
        }

    def _flow(self, told: ToldPoint, schedules_w: Schedules) -> Floats:
        if schedules_w == self._forecast_w:
            return np.array(told.forecast_w)
        if self._start_w is None or schedules_w == self._start_w:
            return np.array(told.start_w)
        try:
            read = self._owners[told.owner].reading(told.point.element, told.kind) * told.unit_w
            return np.copysign(read, told.start_w) if told.kind is Kind.LOADING else read
        except OwnerSilent:
            return np.array(told.start_w) + self._more_w(told, schedules_w, self._start_w)

    def _more_w(self, told: ToldPoint, schedules_w: Schedules, start_w: Schedules) -> Floats:
        """How much these schedules load a point beyond the starting point, by impact factors."""
        more = np.zeros(len(told.start_w))
        for name, ppm in self.impact_ppm(told.point.congestion_point).items():
            more += np.array(ppm) / PPM * (np.array(schedules_w[name]) - np.array(start_w[name]))
        return -relieving(told.point.direction).sign * more

    def coordinator(self, start_w: Schedules) -> GridCoordinator:
        """The owners, who know the starting point themselves."""
        self._start_w = dict(start_w)
        points = {name: told.point for name, told in self._points.items()}
        return self._coordinated(tuple(self._owners.values()), points, self._home)
