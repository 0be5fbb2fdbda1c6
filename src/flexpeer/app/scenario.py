"""A scenario as data: what a folder as in `docs/reference/scenario.md` says.

Everything is checked and exact: watts, minor units per MWh, MTU indexes or instants (minutes UTC).
Reading folders is the adapters' work; `flexpeer.app.day` runs what stands here.
"""

from datetime import date

import msgspec

from flexpeer.market.kpi import Alternative, Costs
from flexpeer.market.participants import Participants
from flexpeer.market.rulebook import BaselineMethod, Rulebook
from flexpeer.periods import MarketDay, Span


class OrganisationRow(msgspec.Struct, frozen=True):
    """A row of `organisations.csv`; `role` is a glossary role, `parent` an organisation or None."""

    organisation: str
    role: str
    parent: str | None


class ResourceRow(msgspec.Struct, frozen=True):
    """A row of `resources.csv`; powers in W, injection positive; `cost_minor` per MWh; energies in Wh."""

    resource: str
    fsp: str
    bus: str
    kind: str
    p_min_w: int
    p_max_w: int
    conditional: bool = False
    agreement_date: date | None = None
    cost_minor: int | None = None
    baseline: BaselineMethod = BaselineMethod.PLAN
    energy_wh: int | None = None
    energy_start_wh: int | None = None


class CongestionPointRow(msgspec.Struct, frozen=True):
    """A row of `congestion_points.csv`: `limit_w` for `export`/`import`, `limit_pu` for `high`/`low`.

    A branch without `limit_w` is limited by its rating.
    """

    congestion_point: str
    element: str
    direction: str
    limit_w: int | None
    limit_pu: float | None
    dso: str | None

    @property
    def is_rated(self) -> bool:
        """Whether its limit is the current rating of a branch."""
        return self.limit_w is None and self.direction in ("export", "import")


class OutageRow(msgspec.Struct, frozen=True):
    """`element` is out, or limited to `limit_w`, during `span` (MTUs of the delivery day it touches)."""

    element: str
    span: Span
    limit_w: int | None


class Switching(msgspec.Struct, frozen=True):
    """Planned switching: branch `element` is closed, or open, during `span`, whatever the grid file says."""

    element: str
    span: Span
    closed: bool


class Overhead(msgspec.Struct, frozen=True):
    """Overhead lines whose ratings are for `t_ref_c` and a conductor of at most `t_max_c`; the weather changes them."""

    elements: tuple[str, ...]
    t_max_c: float
    t_ref_c: float


class Unbalance(msgspec.Struct, frozen=True):
    """What loads unequal over the three phases take of low-voltage limits in `area` (None: all), percent.

    Currents of the fullest phase are `current_percent` above the mean; voltages of the worst phase are
    `voltage_percent` of nominal beside it.
    """

    area: str | None
    current_percent: float
    voltage_percent: float


class RatingRow(msgspec.Struct, frozen=True):
    """A row of `ratings.csv`: amperes at the `from` end of a branch between two instants."""

    element: str
    start: int
    end: int
    rating_a: float


class BandRow(msgspec.Struct, frozen=True):
    """A row of `voltage_bands.csv`: the band of a bus between two instants; None leaves a side as it is."""

    bus: str
    start: int
    end: int
    v_min_pu: float | None
    v_max_pu: float | None


class OrderRow(msgspec.Struct, frozen=True):
    """A row of `orders.csv`; `start` and `end` are instants, the price is in minor units per MWh.

    With `action` `amend` or `withdraw` it is the order of a row before, as it is to be from then on.
    """

    order: str
    arrival: int
    resource: str
    side: str
    start: int
    end: int
    quantity_w: int
    price_minor: int
    congestion_point: str | None = None
    regulation: str | None = None
    min_quantity_w: int | None = None
    time_in_force: str = "day"
    action: str = "place"


class Profile(msgspec.Struct, frozen=True):
    """Watts and vars per MTU of one bus or resource, each as long as the day.

    Injection is below `p_low_w` in one case of ten, and above `p_high_w` in one of ten.
    """

    p_w: tuple[int, ...]
    q_var: tuple[int, ...]
    p_low_w: tuple[int, ...] = ()
    p_high_w: tuple[int, ...] = ()

    def beyond_w(self, percent: int) -> tuple[int, ...]:
        """Watts from `p_w` to a quantile from 10 to 90 %, on straight lines between those of 10, 50 and 90 %."""
        other = self.p_high_w if percent > 50 else self.p_low_w
        step = abs(percent - 50)
        return tuple((o - p) * step // 40 for p, o in zip(self.p_w, other or self.p_w, strict=True))


class Scenario(msgspec.Struct, frozen=True):
    """One market day, ready to run.

    `bus_forecast` and `resource_forecast` are keyed by name; what has no row injects nothing only
    where the reader allows it. `impact_ppm` maps point, resource to one factor per MTU.
    `obligations_w` (resource to W per MTU, never negative) and `meter_w` are None when their file is absent.
    `meter_history_w` has the readings outside the delivery day, resource to instant to W.
    `portfolio_fsp` names who trades each portfolio of `portfolios`. `registered` is what a live market's registry has:
    its DSOs' answers go before the assumption that resources of a scenario count as prequalified.
    """

    name: str
    day: MarketDay
    currency: str
    grid_source: str | None
    rulebook: Rulebook
    alternative: Alternative
    costs: Costs
    organisations: tuple[OrganisationRow, ...]
    areas: dict[str, str]
    resources: tuple[ResourceRow, ...]
    portfolios: dict[str, tuple[str, ...]]
    bus_forecast: dict[str, Profile]
    resource_forecast: dict[str, Profile]
    congestion_points: tuple[CongestionPointRow, ...] | None
    impact_ppm: dict[str, dict[str, tuple[int, ...]]] | None
    obligations_w: dict[str, tuple[int, ...]] | None
    outages: tuple[OutageRow, ...]
    orders: tuple[OrderRow, ...]
    meter_w: dict[str, tuple[int, ...]] | None
    meter_history_w: dict[str, dict[int, int]] = {}
    portfolio_fsp: dict[str, str] = {}
    switching: tuple[Switching, ...] = ()
    overhead: tuple[Overhead, ...] = ()
    unbalance: tuple[Unbalance, ...] = ()
    ratings: tuple[RatingRow, ...] = ()
    bands: tuple[BandRow, ...] = ()
    temperature_c: tuple[float, ...] | None = None
    registered: Participants = Participants()

    def plans_w(self) -> dict[str, tuple[int, ...]]:
        """Every resource's forecast, W per MTU; what has none injects nothing."""
        nothing = (0,) * self.day.mtu_count
        given = self.resource_forecast
        return {r.resource: given[r.resource].p_w if r.resource in given else nothing for r in self.resources}

    def beyond_w(self, direction: str) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
        """How far resources and buses are from the forecast at the rulebook's quantile for points of this direction.

        W per MTU of what the forecast has quantiles of; empty where needs are those of the forecast itself.
        """
        percent = self.rulebook.need_quantile_percent
        percent = percent if direction in ("export", "high") else 100 - percent
        if percent == 50:
            return {}, {}
        by_resource, by_bus = (
            {name: each.beyond_w(percent) for name, each in forecast.items() if each.p_low_w or each.p_high_w}
            for forecast in (self.resource_forecast, self.bus_forecast)
        )
        return by_resource, by_bus
