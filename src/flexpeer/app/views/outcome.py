"""What a market day came to: everything that results, pictures and reports are made from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from flexpeer.app.scenario import Scenario
from flexpeer.app.views.obstacles import GRID_LIMIT
from flexpeer.app.views.orders import OrderLine
from flexpeer.grid.network import Floats, Network
from flexpeer.market.machine import State
from flexpeer.market.matching.meetings import Obstacle
from flexpeer.market.needs import CongestionPoint, Watts


class Refusal(NamedTuple):
    """One row of `refusals.csv`: an order at the door, a pair that grid owners refused or reduced, or one put off.

    `subject` is an order id or `buy/sell`; `headroom_w` is grid side; `quantity_w` what was granted all the same. Of a
    pair put off, `owner` is an organisation and `element` the resource or order that kept it from trading.
    """

    subject: str
    reason: str
    detail: str
    owner: str
    element: str
    mtu: int | None
    headroom_w: int | None
    quantity_w: int

    @property
    def by_grid(self) -> bool:
        """Whether it is a grid owner's."""
        return self.reason == GRID_LIMIT

    @property
    def at_door(self) -> bool:
        """Whether it is the door's."""
        return not self.by_grid and self.reason not in set(Obstacle)


class Congestion(NamedTuple):
    """An element past its limit in an MTU; `kind` is loading, high, low, export or import, values in its unit."""

    element: str
    kind: str
    owner: str
    mtu: int
    value: float
    limit: float


class PointDay(NamedTuple):
    """A congestion point through the day. Grid side, W per MTU, in the loading direction.

    `before` is the forecast, `start` the starting point, `after` the starting point with all trades.
    """

    point: CongestionPoint
    limit_w: tuple[float, ...]
    before_w: tuple[float, ...]
    start_w: tuple[float, ...]
    after_w: tuple[float, ...]
    need_w: Watts
    residual_need_w: Watts


@dataclass(frozen=True)
class GridPicture:
    """The grid before and after the market, by the independent power flow.

    `loading_*` (branches, mtus) are fractions of the rating, NaN without one; `v_*_pu` (buses, mtus).
    `owners` names each bus's DSO; `bus_of` each resource's bus index.
    """

    network: Network
    owners: tuple[str, ...]
    bus_of: Mapping[str, int]
    loading_before: Floats
    loading_after: Floats
    v_before_pu: Floats
    v_after_pu: Floats


@dataclass(frozen=True)
class DayOutcome:
    """A finished market day. `before_w` and `after_w` are resources' schedules; `welfare_optimum` is exact money.

    `warnings` say what of the inputs nobody can have meant: no result that rests on any is to be told without them.
    `worsened` are congestions after the market that neither were there before it nor are residual need: none, or a bug.
    """

    scenario: Scenario
    state: State
    state_hash: str
    refusals: tuple[Refusal, ...]
    orders: tuple[OrderLine, ...]
    points: tuple[PointDay, ...]
    before_w: Mapping[str, Watts]
    start_w: Mapping[str, Watts]
    after_w: Mapping[str, Watts]
    congestions_before: tuple[Congestion, ...]
    congestions_after: tuple[Congestion, ...]
    worsened: tuple[Congestion, ...]
    welfare_optimum: int | None
    grid: GridPicture | None = None
    verified_by: str | None = None
    largest_difference_pu: float | None = None
    timings_s: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def without_need(self) -> str:
        """What to say where nothing has to be relieved."""
        if not self.warnings:
            return "No congestion is expected: nothing has to be relieved."
        return "No congestion is found, but from implausible input: nothing can be concluded from that."
