"""The rules of a meeting of two orders, against fractions and exhaustive search."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexpeer.market.matching import crossing
from flexpeer.quantities import IMPACT_LIMIT_PPM, PRICE_LIMIT_MINOR

prices = st.integers(-PRICE_LIMIT_MINOR, PRICE_LIMIT_MINOR)
factors = st.integers(1, IMPACT_LIMIT_PPM)
small = st.integers(0, 30)
weights = st.integers(1, 9)


@given(prices, factors, prices, factors)
def test_orders_cross_when_the_grid_side_bid_reaches_the_ask(buy: int, ppm_buy: int, sell: int, ppm_sell: int) -> None:
    assert crossing.crosses(buy, ppm_buy, sell, ppm_sell) == (Fraction(buy, ppm_buy) >= Fraction(sell, ppm_sell))


@given(small, weights, small, weights)
def test_the_trade_is_the_largest_that_leaves_the_point_no_worse(rest_b: int, w_b: int, rest_s: int, w_s: int) -> None:
    possible = [q_b for q_b in range(rest_b + 1) if any(q_s * w_s >= q_b * w_b for q_s in range(rest_s + 1))]
    assert crossing.buyer_quantity_w(rest_b, w_b, rest_s, w_s) == max(possible)


@pytest.mark.parametrize(
    ("executed", "minimum", "fill", "accepted"), [(0, 5, 4, False), (0, 5, 5, True), (5, 5, 1, True)]
)
def test_an_order_executes_nothing_or_at_least_its_minimum(
    executed: int, minimum: int, fill: int, accepted: bool
) -> None:
    assert crossing.accepts(executed, minimum, fill) is accepted


@given(small, weights, weights)
def test_a_sell_is_filled_when_its_rest_moves_its_counterparty_no_more(rest: int, w_s: int, w_b: int) -> None:
    assert crossing.fills_sell(rest, w_s, w_b) == (rest * w_s // w_b == 0)
