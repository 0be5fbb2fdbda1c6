"""A scenario as data: what a folder of section "Scenario folder" in `docs/reference/files.md` says.

Everything is checked and exact: watts, minor units per MWh, MTU indexes or instants (minutes UTC).
Reading folders is the adapters' work; `flexpeer.app.day` runs what stands here.
"""

from datetime import date

import msgspec

from flexpeer.market.kpi import Alternative, Costs
from flexpeer.market.rulebook import BaselineMethod, Rulebook
from flexpeer.periods import MarketDay, Span


class Organisation(msgspec.Struct, frozen=True):
    """A row of `organisations.csv`; `role` is a glossary role, `parent` an organisation or None."""

    organisation: str
    role: str
    parent: str | None


class Resource(msgspec.Struct, frozen=True):
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


class CongestionPoint(msgspec.Struct, frozen=True):
    """A row of `congestion_points.csv`: `limit_w` for `export`/`import`, `limit_pu` for `high`/`low`."""

    congestion_point: str
    element: str
    direction: str
    limit_w: int | None
    limit_pu: float | None
    dso: str | None


class Outage(msgspec.Struct, frozen=True):
    """`element` is out, or limited to `limit_w`, during `span` (MTUs of the delivery day it touches)."""

    element: str
    span: Span
    limit_w: int | None


class OrderRow(msgspec.Struct, frozen=True):
    """A row of `orders.csv`; `start` and `end` are instants, the price is in minor units per MWh."""

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


class Profile(msgspec.Struct, frozen=True):
    """Watts and vars per MTU of one bus or resource, each as long as the day."""

    p_w: tuple[int, ...]
    q_var: tuple[int, ...]


class Scenario(msgspec.Struct, frozen=True):
    """One market day, ready to run.

    `bus_forecast` and `resource_forecast` are keyed by name; what has no row injects nothing only
    where the reader allows it. `impact_ppm` maps point, resource to one factor per MTU.
    `obligations_w` (resource to W per MTU, never negative) and `meter_w` are None when their file is absent.
    `meter_history_w` has the readings outside the delivery day, resource to instant to W.
    `portfolio_fsp` names who trades each portfolio of `portfolios`.
    """

    name: str
    day: MarketDay
    currency: str
    grid_source: str | None
    rulebook: Rulebook
    alternative: Alternative
    costs: Costs
    organisations: tuple[Organisation, ...]
    areas: dict[str, str]
    resources: tuple[Resource, ...]
    portfolios: dict[str, tuple[str, ...]]
    bus_forecast: dict[str, Profile]
    resource_forecast: dict[str, Profile]
    congestion_points: tuple[CongestionPoint, ...] | None
    impact_ppm: dict[str, dict[str, tuple[int, ...]]] | None
    obligations_w: dict[str, tuple[int, ...]] | None
    outages: tuple[Outage, ...]
    orders: tuple[OrderRow, ...]
    meter_w: dict[str, tuple[int, ...]] | None
    meter_history_w: dict[str, dict[int, int]] = {}
    portfolio_fsp: dict[str, str] = {}
