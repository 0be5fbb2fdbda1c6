"""Case 1: capacity swapping in one hour. Worked by hand; W3's 10 MW is shared between two wind farms and a boiler.

Origin: paper arithmetic from the market rules, with prices of the size of CoordiNet's swaps. Exact in whole ore.
"""

from decimal import Decimal

import pytest
from tests.cases.days import MW, balances, hour_of, order, run, scenario, trades

from flexpeer.app.scenario import ResourceRow, Scenario
from flexpeer.app.views.outcome import DayOutcome
from flexpeer.app.views.results import result_object
from flexpeer.market.kpi import KpiReport
from flexpeer.market.rulebook import Priority, Residual, Rulebook

HOUR = 10
BY_PRICE = [("W1", "W3", 8, 250), ("W2", "boiler", 5, 180), ("W2", "W3", 1, 250)]
BY_TIME = [("W1", "W3", 8, 250), ("W2", "W3", 2, 250), ("W2", "BESS", 3, 300), ("W2", "boiler", 1, 180)]


def swap_hour(priority: Priority) -> Scenario:
    resources = (
        ResourceRow("W1", "A", "n", "wind", 0, 40 * MW, conditional=True),
        ResourceRow("W2", "B", "n", "wind", 0, 30 * MW, conditional=True),
        ResourceRow("W3", "C", "n", "wind", 0, 30 * MW, conditional=True),
        ResourceRow("BESS", "D", "n", "battery", -3 * MW, 3 * MW),
        ResourceRow("boiler", "E", "n", "boiler", -5 * MW, 0),
        ResourceRow("load", "F", "n", "load", -20 * MW, -20 * MW),
    )
    forecast = {name: hour_of(HOUR, power * MW) for name, power in (("W1", 40), ("W2", 30), ("W3", 30), ("load", -20))}
    orders = (
        order("1", 1, "W3", "SELL", 10, 250, HOUR),
        order("2", 2, "BESS", "SELL", 3, 300, HOUR),
        order("3", 3, "W1", "BUY", 8, 420, HOUR),
        order("4", 4, "boiler", "SELL", 5, 180, HOUR),
        order("5", 5, "W2", "BUY", 6, 300, HOUR),
    )
    return scenario(
        resources, forecast, ("export", 60 * MW), {}, orders, Rulebook(residual=Residual.NONE, priority=priority)
    )


@pytest.fixture(scope="module")
def by_price() -> DayOutcome:
    return run(swap_hour(Priority.PRICE_TIME))


@pytest.fixture(scope="module")
def by_time() -> DayOutcome:
    return run(swap_hour(Priority.TIME))


def report(outcome: DayOutcome) -> KpiReport:
    made = outcome.state.kpis.report
    assert made is not None
    return made


def test_the_need_is_shared_pro_rata(by_time: DayOutcome) -> None:
    assert by_time.points[0].need_w[HOUR] == 20 * MW
    owed = {name: row[HOUR] for name, row in by_time.state.needs.curtailment_w.items()}
    assert owed == {"W1": -8 * MW, "W2": -6 * MW, "W3": -6 * MW}
    assert by_time.points[0].before_w[HOUR] == 80 * MW
    assert by_time.points[0].start_w[HOUR] == 60 * MW


@pytest.mark.parametrize(("fixture", "expected"), [("by_price", BY_PRICE), ("by_time", BY_TIME)])
def test_the_trades(fixture: str, expected: list[tuple[str, str, int, int]], request: pytest.FixtureRequest) -> None:
    whole = [(buyer, seller, mw * MW, mw * MW, price) for buyer, seller, mw, price in expected]
    assert trades(request.getfixturevalue(fixture)) == whole


def test_the_payments(by_price: DayOutcome, by_time: DayOutcome) -> None:
    assert balances(by_price) == {"A": -2000, "B": -1150, "C": 2250, "E": 900}
    assert balances(by_time) == {"A": -2000, "B": -1580, "C": 2500, "D": 900, "E": 180}


def test_the_welfare(by_price: DayOutcome, by_time: DayOutcome) -> None:
    best, first_come = report(by_price), report(by_time)
    assert [best.welfare, best.welfare_optimum, best.efficiency] == [2010, 2010, 1]
    assert [first_come.welfare, first_come.welfare_optimum] == [1580, 2010]
    assert first_come.efficiency == Decimal("0.786069652")


def test_less_wind_is_curtailed(by_price: DayOutcome) -> None:
    made = report(by_price)
    assert [made.res_curtailed_before_mwh, made.res_curtailed_after_mwh] == [20, 15]
    assert made.res_curtailment_reduction == Decimal("0.25")


@pytest.mark.parametrize("fixture", ["by_price", "by_time"])
def test_the_limit_holds_and_nothing_is_left_to_relieve(fixture: str, request: pytest.FixtureRequest) -> None:
    outcome: DayOutcome = request.getfixturevalue(fixture)
    point = outcome.points[0]
    assert point.after_w[HOUR] == 60 * MW
    assert not any(point.residual_need_w)
    assert len(outcome.congestions_before) == 1
    assert outcome.congestions_after == outcome.worsened == ()


def test_the_result_says_the_same(by_price: DayOutcome) -> None:
    result = result_object(by_price, "")
    assert (result["orders"], result["trades"], result["refused_by_grid"]) == (5, 3, 0)
    assert result["volume_wh"] == 14 * MW
    assert result["settlement_sum"] == 0
    assert result["kpi"]["res_curtailment_reduction"] == 0.25
