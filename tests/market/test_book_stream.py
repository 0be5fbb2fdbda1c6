"""Continuous matching of streams: the compiled engine against the naive book, and what must hold of either."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexpeer.errors import BadInput
from flexpeer.market.matching.crossing import buyer_quantity_w, crosses, weight
from flexpeer.market.matching.naive import NaiveOrder, NaiveTrade, naive_stream
from flexpeer.market.matching.stream import FORCES, OrderStream, match_stream
from flexpeer.market.orders import Side, TimeInForce
from flexpeer.market.rulebook import Exchange, Priority

both_rules = pytest.mark.parametrize(("priority", "exchange"), [(p, e) for p in Priority for e in Exchange])
DAY, FAK, FOK = TimeInForce.DAY, TimeInForce.FAK, TimeInForce.FOK
BUY, SELL = Side.BUY, Side.SELL


@st.composite
def orders(draw: st.DrawFn) -> NaiveOrder:
    quantity_w = draw(st.integers(1, 12))
    return NaiveOrder(
        bucket=draw(st.sampled_from((0, 0, 7, 100_000))),
        side=draw(st.sampled_from(Side)),
        price_minor=draw(st.integers(-3, 5)),
        ppm=draw(st.integers(1, 5)),
        organisation=draw(st.integers(0, 3)),
        quantity_w=quantity_w,
        minimum_w=draw(st.sampled_from((0, 1, 1, quantity_w // 2, quantity_w))),
        time_in_force=draw(st.sampled_from((DAY, DAY, DAY, DAY, FAK, FOK))),
    )


streams = st.lists(orders(), max_size=80)


def order_stream(listed: list[NaiveOrder]) -> OrderStream:
    def column(name: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.array([getattr(order, name) for order in listed], dtype=np.int64)

    return OrderStream(
        bucket=column("bucket"),
        buys=np.array([order.side is BUY for order in listed], dtype=np.bool_),
        price_minor=column("price_minor"),
        ppm=column("ppm"),
        organisation=column("organisation"),
        quantity_w=column("quantity_w"),
        minimum_w=column("minimum_w"),
        time_in_force=np.array([FORCES.index(order.time_in_force) for order in listed], dtype=np.int64),
    )


def compiled_stream(
    listed: list[NaiveOrder], priority: Priority, exchange: Exchange
) -> tuple[list[NaiveTrade], list[int]]:
    found = match_stream(order_stream(listed), priority, exchange)
    trades = [
        NaiveTrade(
            buy=int(found.buy[row]),
            sell=int(found.sell[row]),
            quantity_buy_w=int(found.quantity_buy_w[row]),
            quantity_sell_w=int(found.quantity_sell_w[row]),
            price_minor=int(found.price_minor[row]),
            resting=SELL if found.resting_sells[row] else BUY,
        )
        for row in range(len(found))
    ]
    return trades, found.rest_w.tolist()


Match = Callable[[list[NaiveOrder], Priority, Exchange], tuple[list[NaiveTrade], list[int]]]
both_engines = pytest.mark.parametrize("match", [naive_stream, compiled_stream])
TIME, NEUTRAL = Priority.TIME, Exchange.NEUTRAL


def order(side: Side, price_minor: int, quantity_w: int, organisation: int) -> NaiveOrder:
    return NaiveOrder(0, side, price_minor, 1, organisation, quantity_w, 1, DAY)


@both_rules
@settings(max_examples=80, deadline=None)
@given(listed=streams)
def test_the_compiled_engine_is_the_naive_book(
    priority: Priority, exchange: Exchange, listed: list[NaiveOrder]
) -> None:
    assert compiled_stream(listed, priority, exchange) == naive_stream(listed, priority, exchange)


@both_rules
def test_they_agree_on_a_long_stream(priority: Priority, exchange: Exchange) -> None:
    rng = np.random.default_rng(7)
    listed = [
        order(Side.BUY if buys else Side.SELL, int(price), int(quantity), int(owner))._replace(
            ppm=int(ppm), bucket=int(bucket)
        )
        for buys, price, quantity, owner, ppm, bucket in zip(
            rng.random(3_000) < 0.5,
            rng.integers(-20, 60, 3_000),
            rng.integers(1, 900, 3_000),
            rng.integers(0, 5, 3_000),
            rng.integers(1, 40, 3_000),
            rng.integers(0, 2, 3_000),
            strict=True,
        )
    ]
    assert compiled_stream(listed, priority, exchange) == naive_stream(listed, priority, exchange)


@both_rules
@settings(max_examples=60, deadline=None)
@given(listed=streams)
def test_quantities_are_conserved_and_no_point_is_worse(
    priority: Priority, exchange: Exchange, listed: list[NaiveOrder]
) -> None:
    trades, rest_w = compiled_stream(listed, priority, exchange)
    executed = [0] * len(listed)
    for trade in trades:
        buy, sell = listed[trade.buy], listed[trade.sell]
        executed[trade.buy] += trade.quantity_buy_w
        executed[trade.sell] += trade.quantity_sell_w
        assert buy.bucket == sell.bucket
        assert buy.organisation != sell.organisation
        assert trade.quantity_buy_w > 0
        gained = trade.quantity_sell_w * weight(exchange, sell.ppm)
        assert gained >= trade.quantity_buy_w * weight(exchange, buy.ppm)
        first = trade.sell if trade.resting is SELL else trade.buy
        assert first == min(trade.buy, trade.sell)
        assert trade.price_minor == listed[first].price_minor
    for number, placed in enumerate(listed):
        assert rest_w[number] == placed.quantity_w - executed[number] >= 0
        assert executed[number] == 0 or executed[number] >= placed.minimum_w
    arrivals = [max(trade.buy, trade.sell) for trade in trades]
    assert arrivals == sorted(arrivals)


@both_rules
@settings(max_examples=60, deadline=None)
@given(listed=streams)
def test_no_tradable_pair_is_left(priority: Priority, exchange: Exchange, listed: list[NaiveOrder]) -> None:
    free = [placed._replace(minimum_w=0) for placed in listed]
    _, rest_w = compiled_stream(free, priority, exchange)
    left = [number for number, placed in enumerate(free) if placed.time_in_force is DAY and rest_w[number]]
    for buy in (number for number in left if free[number].side is BUY):
        for sell in (number for number in left if free[number].side is SELL):
            one, other = free[buy], free[sell]
            if one.bucket == other.bucket and one.organisation != other.organisation:
                weights = weight(exchange, one.ppm), weight(exchange, other.ppm)
                whole_w = buyer_quantity_w(rest_w[buy], weights[0], rest_w[sell], weights[1])
                assert whole_w == 0 or not crosses(one.price_minor, one.ppm, other.price_minor, other.ppm)


@both_engines
def test_an_order_meets_the_first_come_at_its_own_price(match: Match) -> None:
    listed = [order(SELL, 30, 5, 1), order(SELL, 10, 5, 2), order(BUY, 40, 7, 3)]
    trades, rest_w = match(listed, TIME, NEUTRAL)
    assert trades == [NaiveTrade(2, 0, 5, 5, 30, SELL), NaiveTrade(2, 1, 2, 2, 10, SELL)]
    assert rest_w == [0, 3, 0]
    trades, rest_w = match(listed, Priority.PRICE_TIME, NEUTRAL)
    assert trades == [NaiveTrade(2, 1, 5, 5, 10, SELL), NaiveTrade(2, 0, 2, 2, 30, SELL)]


@both_engines
def test_the_seller_moves_for_the_buyer_by_the_impact_factors(match: Match) -> None:
    listed = [order(SELL, 6, 100, 1)._replace(ppm=6), order(BUY, 10, 7, 2)._replace(ppm=10)]
    assert match(listed, TIME, NEUTRAL)[0] == [NaiveTrade(1, 0, 7, 12, 6, SELL)]
    assert match(listed, TIME, Exchange.BALANCED)[0] == [NaiveTrade(1, 0, 7, 7, 6, SELL)]


@both_engines
def test_one_organisation_does_not_trade_with_itself(match: Match) -> None:
    trades, rest_w = match([order(SELL, 1, 5, 1), order(SELL, 2, 5, 2), order(BUY, 9, 5, 1)], TIME, NEUTRAL)
    assert [(trade.buy, trade.sell) for trade in trades] == [(2, 1)]
    assert rest_w == [5, 0, 0]


@both_engines
def test_a_resting_minimum_is_met_by_one_fill_and_then_no_more_asked(match: Match) -> None:
    resting = order(SELL, 1, 10, 1)._replace(minimum_w=6)
    trades, rest_w = match([resting, order(BUY, 1, 5, 2), order(BUY, 1, 7, 3), order(BUY, 1, 2, 4)], TIME, NEUTRAL)
    assert [(trade.buy, trade.quantity_sell_w) for trade in trades] == [(2, 7), (3, 2)]
    assert rest_w == [1, 5, 0, 0]


@both_engines
def test_an_incoming_minimum_may_be_met_by_several_fills(match: Match) -> None:
    resting = [order(SELL, 1, 3, 1), order(SELL, 1, 3, 2)]
    reached = order(BUY, 1, 9, 3)._replace(minimum_w=6)
    assert [trade.sell for trade in match([*resting, reached], TIME, NEUTRAL)[0]] == [0, 1]
    missed = reached._replace(minimum_w=7)
    trades, rest_w = match([*resting, missed, order(SELL, 1, 9, 4)], TIME, NEUTRAL)
    assert trades == [NaiveTrade(2, 3, 9, 9, 1, BUY)]
    assert rest_w == [3, 3, 0, 0]


@both_engines
def test_what_is_left_of_fill_and_kill_does_not_rest(match: Match) -> None:
    listed = [order(SELL, 1, 3, 1), order(BUY, 1, 5, 2)._replace(time_in_force=FAK), order(SELL, 1, 9, 3)]
    trades, rest_w = match(listed, TIME, NEUTRAL)
    assert trades == [NaiveTrade(1, 0, 3, 3, 1, SELL)]
    assert rest_w == [0, 2, 9]


@both_engines
@pytest.mark.parametrize(("available_w", "traded"), [(4, 0), (5, 1), (6, 1)])
def test_fill_or_kill_fills_entirely_or_not_at_all(match: Match, available_w: int, traded: int) -> None:
    killed = order(BUY, 1, 5, 2)._replace(time_in_force=FOK)
    trades, _ = match([order(SELL, 1, available_w, 1), killed, order(SELL, 1, 9, 3)], TIME, NEUTRAL)
    assert len(trades) == traded


@both_engines
def test_a_fill_or_kill_sell_is_filled_when_its_rest_moves_no_whole_watt(match: Match) -> None:
    buyer = order(BUY, 10, 100, 1)._replace(ppm=10)
    trades, rest_w = match([buyer, order(SELL, 6, 6, 2)._replace(ppm=6, time_in_force=FOK)], TIME, NEUTRAL)
    assert [(trade.quantity_buy_w, trade.quantity_sell_w) for trade in trades] == [(3, 5)]
    assert rest_w == [97, 1]


def test_bad_orders_are_all_reported() -> None:
    good = order_stream([order(BUY, 1, 5, 1)] * 3)
    with pytest.raises(BadInput) as caught:
        replace(good, ppm=np.array([1, 0, 1]), minimum_w=np.array([1, 1, 6]))
    assert [(finding.field, finding.line) for finding in caught.value.findings] == [("ppm", 2), ("minimum_w", 3)]
    with pytest.raises(BadInput):
        replace(good, ppm=np.array([1, 1]))
