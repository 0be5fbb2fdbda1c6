"""The built-in market day: maintenance in a windy winter week, with congestion in medium and in low voltage.

Medium-voltage network of CIGRE with low-voltage feeders of CIGRE below it. From 07:00 to 16:00, when wind power is at
its highest, work lowers what may be exported over a line, the transformer above it and the connection point above that,
three points in series: wind farms with conditional agreements are curtailed by rule and buy themselves free from heat,
industry, storages and groups of homes and shops. In the evening cars and heat pumps overload one 20/0.4 kV
transformer. Nothing here is measured; all is drawn from a seed.
"""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from random import Random

import numpy as np

from flexpeer.app.scenario import OutageRow, ResourceRow, Scenario
from flexpeer.grid.cigre import NominalGrid, cigre_mv_lv
from flexpeer.market.kpi import Alternative, Costs
from flexpeer.market.rulebook import DsoPurchase, Reopening, Residual, Rulebook
from flexpeer.periods import MarketDay, Span
from flexpeer.quantities import MINOR_PER_MAJOR
from flexpeer.simulation.demo_orders import OrderFrame, orders
from flexpeer.simulation.demo_participants import (
    FEEDERS,
    PORTFOLIO_FSP,
    PORTFOLIOS,
    UNITS,
    PlannedUnit,
    dso_of,
    organisations,
)
from flexpeer.simulation.demo_plans import EVERYWHERE, Narrow, loads, owed_w, plans

SEED = 2026
GRID_FILE = "grid.json"
CONNECTION, STRAINED_TRANSFORMER = "Source", "Trafo 5.1 R0-R1"
UPPER_TRANSFORMER, UPPER_LINE = "Trafo 0-12", "Line 12-13"
DAY = MarketDay(date(2026, 2, 11), "Europe/Stockholm", 15)
MAINTENANCE = Span(7 * 4, 16 * 4)
MAINTENANCE_LIMITS_W = {CONNECTION: 15_000_000, UPPER_TRANSFORMER: 8_000_000, UPPER_LINE: 2_000_000}
BEHIND = {CONNECTION: EVERYWHERE, UPPER_TRANSFORMER: ("12", "13", "14"), UPPER_LINE: ("13", "14")}
"""The nodes behind each point of the maintenance."""
OPERATING_VOLTAGE_PU = 1.05
RULEBOOK = Rulebook(
    dso_purchase=DsoPurchase.AUTOMATIC,
    min_quantity_w=1_000,
    quantity_tick_w=1_000,
    price_cap_minor=300_000,
    min_impact_ppm=50_000,
    fee_minor_per_mwh=500,
    residual=Residual.DISTRIBUTED,
    reopening=Reopening.OWN_LIMIT,
)
ALTERNATIVE = Alternative(
    temporary_subscription=Decimal(260),
    overdraw=Decimal(2_800),
    administrative_curtailment=Decimal(420),
    capex=Decimal(20_000_000),
    lifetime_years=40,
    wacc=Decimal("0.055"),
    o_and_m_per_year=Decimal(200_000),
    deferral_years=5,
    congested_days_per_year=60,
)
COSTS = Costs(
    platform_per_year=Decimal(350_000),
    per_order=Decimal("0.05"),
    per_trade=Decimal("0.50"),
    staff_hours_per_day=Decimal(1),
    staff_rate=Decimal(650),
)


def demo_grid() -> NominalGrid:
    """The network of the demo, run at 1.05 pu at 110 kV."""
    grid = cigre_mv_lv(FEEDERS)
    source_v_pu = np.full_like(grid.network.source_v_pu, OPERATING_VOLTAGE_PU)
    return grid._replace(network=replace(grid.network, source_v_pu=source_v_pu))


def demo_scenario(seed: int = SEED) -> Scenario:
    """The demo's day on `demo_grid()`, which goes beside it as `GRID_FILE`; the same seed gives the same day."""
    rng = Random(seed)
    grid = demo_grid()
    planned, drawn = plans(UNITS, rng), loads(grid, rng)
    narrow = [Narrow(limit_w, MAINTENANCE, BEHIND[point]) for point, limit_w in MAINTENANCE_LIMITS_W.items()]
    frame = OrderFrame(DAY, UNITS, planned, owed_w(UNITS, planned, drawn, narrow), CONNECTION, STRAINED_TRANSFORMER)
    return Scenario(
        name="Underhåll en blåsig vinterdag",
        day=DAY,
        currency="SEK",
        grid_source=GRID_FILE,
        rulebook=RULEBOOK,
        alternative=ALTERNATIVE,
        costs=COSTS,
        organisations=organisations(),
        areas={bus: dso_of(bus) for bus in grid.network.bus_names},
        resources=tuple(map(_resource, UNITS)),
        portfolios=PORTFOLIOS,
        bus_forecast=drawn,
        resource_forecast=planned,
        congestion_points=None,
        impact_ppm=None,
        obligations_w=None,
        outages=tuple(OutageRow(point, MAINTENANCE, limit_w) for point, limit_w in MAINTENANCE_LIMITS_W.items()),
        orders=orders(frame, rng),
        meter_w=None,
        portfolio_fsp=dict.fromkeys(PORTFOLIOS, PORTFOLIO_FSP),
    )


def _resource(unit: PlannedUnit) -> ResourceRow:
    return ResourceRow(
        resource=unit.name,
        fsp=unit.fsp,
        bus=unit.bus,
        kind=unit.kind,
        p_min_w=unit.p_min_w,
        p_max_w=unit.p_max_w,
        conditional=unit.agreed is not None,
        agreement_date=unit.agreed,
        cost_minor=None if unit.asks is None else unit.asks[0] * MINOR_PER_MAJOR,
        energy_wh=unit.energy_wh,
        energy_start_wh=unit.start_wh,
    )
