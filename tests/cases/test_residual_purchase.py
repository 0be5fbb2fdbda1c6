"""Case 3: a DSO buys the residual need of a winter peak: 312 MW against a subscription of 300.

Origin: paper arithmetic with impact factors as in Sodra Skane (0.60 to 0.68) and prices of 2019-22: grid side C costs
1,500 / 0.60 = 2,500, B 2,600 and A 2,100 / 0.65 = 3,231 a MWh. Ratios of the KPI to nine places.
"""

from decimal import Decimal

import pytest
from msgspec.structs import replace
from tests.cases.days import MW, balances, hour_of, order, run, scenario, trades

from flexpeer.app.scenario import ResourceRow, Scenario
from flexpeer.app.views.outcome import DayOutcome
from flexpeer.market.rulebook import DsoPurchase, Priority, Residual, Rulebook
from flexpeer.market.trades import Phase

HOUR = 17


def winter_peak(rulebook: Rulebook) -> Scenario:
    resources = (
        ResourceRow("ra", "A", "n", "industry", 0, 8 * MW),
        ResourceRow("rb", "B", "n", "industry", 0, 6 * MW),
        ResourceRow("rc", "C", "n", "industry", 0, 10 * MW),
        ResourceRow("load", "L", "n", "load", -312 * MW, 0),
    )
    orders = (
        order("C", 1, "rc", "SELL", 10, 1500, HOUR),
        order("B", 2, "rb", "SELL", 6, 2600, HOUR),
        order("A", 3, "ra", "SELL", 8, 2100, HOUR),
    )
    factors = {"rc": 600_000, "ra": 650_000}
    forecast = {"load": hour_of(HOUR, -312 * MW)}
    return scenario(resources, forecast, ("import", 300 * MW), factors, orders, rulebook)


def automatic() -> DayOutcome:
    return run(winter_peak(Rulebook(residual=Residual.NONE, dso_purchase=DsoPurchase.AUTOMATIC)))


def by_its_own_order() -> DayOutcome:
    given = winter_peak(Rulebook(residual=Residual.NONE, priority=Priority.PRICE_TIME))
    return run(replace(given, orders=(*given.orders, order("D", 4, "DSO", "BUY", 12, 2800, HOUR))))


@pytest.mark.parametrize("outcome", [automatic(), by_its_own_order()], ids=["automatic", "own order"])
def test_the_cheapest_relief_grid_side_is_bought(outcome: DayOutcome) -> None:
    assert outcome.points[0].need_w[HOUR] == 12 * MW
    assert trades(outcome) == [("DSO", "rc", 6 * MW, 10 * MW, 1500), ("DSO", "rb", 6 * MW, 6 * MW, 2600)]
    assert balances(outcome) == {"DSO": -30_600, "C": 15_000, "B": 15_600}
    assert outcome.points[0].after_w[HOUR] == 300 * MW
    made = outcome.state.kpis.report
    assert made is not None
    assert made.cost_vs_grid_alternative == {
        "overdraw": Decimal("0.910714286"),
        "temporary_subscription": Decimal("9.807692308"),
    }
    assert made.cost_by_perspective["overdraw"]["dso"] == 30_600
    assert made.saving["overdraw"] == 3_000
    assert made.need_mwh == 12
    assert made.residual_need_mwh == 0


def test_the_phase_says_how_a_price_came_about() -> None:
    assert {trade.phase for trade in automatic().state.trades.trades.values()} == {Phase.PURCHASE}
    assert {trade.phase for trade in by_its_own_order().state.trades.trades.values()} == {Phase.CONTINUOUS}


def test_automatic_purchase_is_in_merit_order_whatever_came_first() -> None:
    given = winter_peak(Rulebook(residual=Residual.NONE, dso_purchase=DsoPurchase.AUTOMATIC, priority=Priority.TIME))
    others = tuple(replace(o, arrival=9 - o.arrival) for o in reversed(given.orders))
    assert trades(run(replace(given, orders=others))) == trades(automatic())


def test_what_is_dearer_than_the_alternative_is_not_bought() -> None:
    """At a ceiling of 2,550 only C is worth it; 6 MW of need are left and cost their alternative."""
    given = winter_peak(Rulebook(residual=Residual.NONE, dso_purchase=DsoPurchase.AUTOMATIC))
    cheap = replace(given, alternative=replace(given.alternative, overdraw=Decimal(2550)))
    outcome = run(cheap)
    assert trades(outcome) == [("DSO", "rc", 6 * MW, 10 * MW, 1500)]
    assert outcome.points[0].residual_need_w[HOUR] == 6 * MW
    made = outcome.state.kpis.report
    assert made is not None
    assert made.cost_by_perspective["overdraw"]["dso"] == 15_000 + 6 * 2550
