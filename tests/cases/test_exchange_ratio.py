"""Case 2: resources with different impact factors meet grid side. Worked by hand: 400 / 0.9 > 200 / 0.6.

Origin: paper arithmetic. The buyer takes 4 MW x 0.9 = 3.6 MW grid side, for which the seller moves 6 MW x 0.6.
"""

from tests.cases.days import MW, balances, hour_of, order, run, scenario, trades

from flexpeer.app.scenario import ResourceRow, Scenario
from flexpeer.market.orders import Status
from flexpeer.market.rulebook import Residual, Rulebook

HOUR = 8


def ratio(ask: float) -> Scenario:
    resources = (ResourceRow("s", "S", "n", "wind", 0, 20 * MW), ResourceRow("b", "B", "n", "wind", 0, 20 * MW))
    forecast = {"s": hour_of(HOUR, 15 * MW), "b": hour_of(HOUR, 15 * MW)}
    orders = (order("1", 1, "s", "SELL", 10, ask, HOUR), order("2", 2, "b", "BUY", 4, 400, HOUR))
    return scenario(
        resources, forecast, ("export", 30 * MW), {"b": 900_000, "s": 600_000}, orders, Rulebook(residual=Residual.NONE)
    )


def test_the_seller_moves_by_the_ratio_of_the_factors() -> None:
    outcome = run(ratio(200))
    assert trades(outcome) == [("b", "s", 4 * MW, 6 * MW, 200)]
    assert balances(outcome) == {"B": -1200, "S": 1200}
    assert outcome.points[0].after_w == outcome.points[0].start_w


def test_a_seller_just_too_dear_does_not_cross() -> None:
    outcome = run(ratio(270))
    assert trades(outcome) == []
    assert {order.status for order in outcome.state.orders.orders.values()} == {Status.EXPIRED}


def test_a_seller_at_the_very_ratio_crosses() -> None:
    """400 / 0.9 = 266.66.. / 0.6: at 266.66 the seller crosses, an ore more does not."""
    assert len(trades(run(ratio(266.66)))) == 1
    assert trades(run(ratio(266.67))) == []
