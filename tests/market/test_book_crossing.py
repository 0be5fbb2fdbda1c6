"""The rules of a meeting of two orders, against fractions and exhaustive search."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexpeer.market.matching import crossing
from flexpeer.market.rulebook import Exchange
from flexpeer.quantities import IMPACT_LIMIT_PPM, PRICE_LIMIT_MINOR, QUANTITY_LIMIT_W

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
    q_b = crossing.buyer_quantity_w(rest_b, w_b, rest_s, w_s)
    assert q_b == max(possible)
    q_s = crossing.seller_quantity_w(q_b, w_b, w_s)
    assert q_s == min(q for q in range(rest_s + 1) if q * w_s >= q_b * w_b)


@given(st.integers(1, QUANTITY_LIMIT_W), factors, st.integers(1, QUANTITY_LIMIT_W), factors)
def test_the_seller_has_what_the_trade_takes(rest_b: int, w_b: int, rest_s: int, w_s: int) -> None:
    q_b = crossing.buyer_quantity_w(rest_b, w_b, rest_s, w_s)
    q_s = crossing.seller_quantity_w(q_b, w_b, w_s)
    assert 0 <= q_b <= rest_b
    assert q_s <= rest_s
    assert 0 <= q_s * w_s - q_b * w_b < w_s


@given(small, small)
def test_balanced_exchange_is_one_to_one(rest_b: int, rest_s: int) -> None:
    one = crossing.weight(Exchange.BALANCED, 640_000)
    q_b = crossing.buyer_quantity_w(rest_b, one, rest_s, one)
    assert q_b == min(rest_b, rest_s) == crossing.seller_quantity_w(q_b, one, one)


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
