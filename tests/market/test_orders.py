"""Orders in the running market: amendments, time in force, minimum acceptance, several hours, energy, portfolios."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.market.small_market import DSO, FAK, FOK, Frame, Market, at_first, export_point, flat, resource

from flexpeer.market.machine import Event
from flexpeer.market.needs import PublishForecast, Regulation
from flexpeer.market.orders import CloseGate, OrderKilled, OrderPlaced, Side, Status
from flexpeer.market.participants import Portfolio
from flexpeer.market.purchase import ExpireOrders, PurchaseResidual
from flexpeer.market.reasons import CommandRefused, Reason
from flexpeer.market.rulebook import Exchange, Priority, Rulebook
from flexpeer.market.trades import Phase, ReservationsReleased
from flexpeer.quantities import PPM

FRAME = Frame(tuple(resource(name) for name in "abcd"))
BOTH, FIRST, SECOND = (0, 2), (0, 1), (1, 2)


def refusals(events: list[Event]) -> list[Reason]:
    return [event.reason for event in events if isinstance(event, CommandRefused)]


def test_a_lower_quantity_keeps_its_priority() -> None:
    market = Market(FRAME)
    market.sell("s1", "a", 10, 5)
    market.sell("s2", "b", 10, 5)
    market.amend("s1", 6, 5)
    market.buy("buy", "c", 8, 5)
    assert [trade[1:3] for trade in market.traded] == [("s1", 6), ("s2", 2)]


@pytest.mark.parametrize(("quantity_w", "price_minor"), [(11, 5), (10, 4), (10, 6)])
def test_any_other_amendment_loses_it(quantity_w: int, price_minor: int) -> None:
    market = Market(FRAME)
    market.sell("s1", "a", 10, 5)
    market.sell("s2", "b", 10, 5)
    market.amend("s1", quantity_w, price_minor)
    market.buy("buy", "c", 8, 6)
    assert [trade[1] for trade in market.traded] == ["s2"]


def test_an_amended_order_meets_those_before_it() -> None:
    market = Market(FRAME)
    market.sell("s", "a", 10, 9)
    market.buy("b", "c", 4, 5)
    assert market.traded == []
    market.amend("s", 10, 5)
    assert market.traded == [("b", "s", 4, 4, 5)]


def test_an_amendment_counts_what_is_executed() -> None:
    market = Market(FRAME)
    market.sell("s", "a", 10, 5)
    market.buy("b", "c", 4, 5)
    assert refusals(market.amend("s", 3, 5)) == [Reason.WRONG_QUANTITY]
    market.amend("s", 6, 5)
    assert (market.order("s").remaining_w, market.order("s").executed_w) == (2, 4)
    market.amend("s", 4, 5)
    assert market.order("s").status is Status.FILLED
    assert refusals(market.amend("s", 6, 5)) == [Reason.ORDER_NOT_OPEN]


def test_an_amendment_needs_room_for_what_it_adds() -> None:
    market = Market(FRAME)
    market.sell("s", "a", 300, 5)
    market.sell("t", "a", 150, 5)
    assert refusals(market.amend("s", 351, 5)) == [Reason.ALREADY_COMMITTED]
    assert refusals(market.amend("s", 350, 5)) == []


def test_an_amendment_below_the_minimum_acceptance_lowers_it() -> None:
    market = Market(FRAME)
    market.sell("s", "a", 10, 5, min_quantity_w=8)
    market.amend("s", 5, 5)
    market.buy("b", "c", 9, 5)
    assert market.traded == [("b", "s", 5, 5, 5)]


def test_what_is_withdrawn_neither_trades_nor_commits() -> None:
    market = Market(FRAME)
    market.sell("s", "a", 500, 5)
    assert refusals(market.sell("t", "a", 1, 5)) == [Reason.ALREADY_COMMITTED]
    market.withdraw("s")
    assert refusals(market.sell("u", "a", 500, 9)) == []
    market.buy("b", "c", 5, 7)
    assert market.traded == []


def test_the_same_order_again_is_nothing_and_another_under_its_key_is_refused() -> None:
    market = Market(FRAME)
    first = market.command("s", "a", Side.SELL, 10, 5, key="k")
    assert any(isinstance(event, OrderPlaced) for event in market.session.send(first))
    assert market.session.send(first) == []
    assert refusals(market.session.send(market.command("t", "a", Side.SELL, 10, 5, key="k"))) == [Reason.DUPLICATE_KEY]
    market.session.send(CloseGate(0))
    assert market.session.send(first) == []


def test_fill_and_kill_takes_what_there_is() -> None:
    market = Market(FRAME)
    market.sell("s", "a", 3, 5)
    events = market.buy("b", "c", 5, 5, time_in_force=FAK)
    assert market.traded == [("b", "s", 3, 3, 5)]
    assert OrderKilled("b") in events
    market.sell("t", "a", 3, 5)
    assert len(market.trades) == 1


@pytest.mark.parametrize(("there_w", "status"), [(4, Status.KILLED), (5, Status.FILLED), (9, Status.FILLED)])
def test_fill_or_kill_takes_all_or_nothing(there_w: int, status: Status) -> None:
    market = Market(FRAME)
    market.sell("s", "a", 3, 5)
    market.sell("t", "b", there_w - 3, 5)
    market.buy("b", "c", 5, 5, time_in_force=FOK)
    assert market.order("b").status is status
    assert sum(trade[2] for trade in market.traded) == (5 if status is Status.FILLED else 0)
    assert market.session.state.trades.reserved == ()


def tight(room_w: int) -> Frame:
    """c's purchases load R, a's sales relieve nothing there: R has room for `room_w`."""
    factors = {"a": 0, "b": 0, "c": PPM, "d": -PPM}
    return FRAME._replace(points=(export_point("P"), export_point("R", room_w)), impact_ppm={"R": factors})


@pytest.mark.parametrize(("room_w", "traded_w"), [(5, 5), (4, 0)])
def test_fill_or_kill_is_released_where_an_owner_reduces_it(room_w: int, traded_w: int) -> None:
    market = Market(tight(room_w))
    market.sell("s", "a", 3, 5, zone="P")
    market.sell("t", "b", 3, 5, zone="P")
    events = market.buy("b", "c", 5, 5, zone="P", time_in_force=FOK)
    assert sum(trade[2] for trade in market.traded) == traded_w
    assert any(isinstance(event, ReservationsReleased) for event in events) == (not traded_w)
    after = market.buy("again", "c", 4, 5, zone="P")
    assert sum(trade[2] for trade in market.traded) == (5 if traded_w else 4), after


def test_an_incoming_minimum_is_met_by_several_or_waits_whole() -> None:
    market = Market(FRAME)
    market.sell("s", "a", 3, 5)
    market.sell("t", "b", 3, 5)
    market.buy("unmet", "c", 9, 5, min_quantity_w=7)
    assert market.traded == []
    market.buy("met", "d", 9, 5, min_quantity_w=6)
    assert [trade[:3] for trade in market.traded] == [("met", "s", 3), ("met", "t", 3)]
    assert market.order("unmet").status is market.order("met").status is Status.OPEN


def test_trades_are_in_ticks_of_the_buyer() -> None:
    market = Market(FRAME._replace(rulebook=Rulebook(quantity_tick_w=5), impact_ppm={"P": {"a": 500_000}}))
    market.sell("s", "a", 35, 5)
    market.buy("b", "c", 25, 50)
    assert market.traded == [("b", "s", 15, 30, 5)]


def test_energy_limits_leave_trades_in_ticks() -> None:
    frame = Frame((resource("a", energy_wm=60 * 17), resource("b")), rulebook=Rulebook(quantity_tick_w=5))
    market = Market(frame)
    market.sell("s", "a", 30, 5)
    market.buy("b", "b", 30, 5)
    assert market.traded == [("b", "s", 15, 15, 5)]


def test_a_long_order_takes_one_of_each_hour_at_one_quantity() -> None:
    market = Market(FRAME)
    market.sell("s1", "a", 10, 4, span=FIRST)
    market.sell("s2", "b", 6, 5, span=SECOND)
    market.buy("long", "c", 8, 7, span=BOTH)
    assert market.traded == [("long", "s1", 6, 6, 4), ("long", "s2", 6, 6, 5)]
    assert market.order("long").remaining_w == 2
    assert len({trade.match for trade in market.trades}) == 1


def test_a_resting_long_order_is_completed_by_the_last_hour() -> None:
    market = Market(FRAME)
    market.sell("long", "a", 8, 4, span=BOTH)
    market.buy("b1", "b", 5, 6, span=FIRST)
    assert market.traded == []
    market.buy("b2", "c", 9, 7, span=SECOND)
    assert market.traded == [("b2", "long", 5, 5, 4), ("b1", "long", 5, 5, 4)]


def test_impact_factors_outside_an_order_do_not_keep_it_from_a_tiling() -> None:
    """c has no impact in the first hour, in which it does not trade."""
    market = Market(FRAME._replace(impact_ppm={"P": {"c": at_first(0, PPM), "b": at_first(PPM, 0)}}))
    market.sell("long", "a", 8, 4, span=BOTH)
    market.buy("b1", "b", 5, 6, span=FIRST)
    market.buy("b2", "c", 5, 6, span=SECOND)
    assert len(market.trades) == 2


def test_a_tile_that_does_not_cross_in_its_hour_is_none() -> None:
    market = Market(FRAME._replace(impact_ppm={"P": {"a": at_first(PPM, 100_000)}}))
    market.sell("long", "a", 8, 4, span=BOTH)
    market.buy("b1", "b", 5, 6, span=FIRST)
    market.buy("b2", "c", 5, 6, span=SECOND)
    assert market.traded == []


def test_a_long_order_of_the_same_span_comes_before_a_tiling() -> None:
    market = Market(FRAME)
    market.sell("s1", "a", 5, 1, span=FIRST)
    market.sell("s2", "b", 5, 1, span=SECOND)
    market.sell("same", "d", 5, 6, span=BOTH)
    market.buy("long", "c", 8, 7, span=BOTH)
    assert [trade[1] for trade in market.traded] == ["same", "s1", "s2"]


def test_the_seller_of_several_hours_moves_for_the_hardest() -> None:
    market = Market(FRAME._replace(impact_ppm={"P": {"a": at_first(PPM, 500_000)}}))
    market.sell("s", "a", 10, 1, span=BOTH)
    market.buy("b", "b", 4, 9, span=BOTH)
    assert market.traded == [("b", "s", 4, 8, 1)]


STORE = resource("store", -50, 50, energy_wm=60 * 100, energy_start_wm=60 * 40, organisation="STORE")


def store_market(**more: object) -> Market:
    return Market(Frame((STORE, resource("b"), resource("c")), plans_w={"store": flat(0)}, **more))  # type: ignore[arg-type]


def test_a_storage_sells_no_more_than_it_can_hold() -> None:
    """Export: a SELL charges; 60 Wh fit beside the 40 there are."""
    market = store_market()
    market.sell("s1", "store", 50, 1, span=FIRST)
    market.sell("s2", "store", 50, 1, span=SECOND)
    market.buy("b1", "b", 50, 1, span=FIRST)
    market.buy("b2", "b", 50, 1, span=SECOND)
    assert [trade[2] for trade in market.traded] == [50, 10]


def test_a_meeting_that_waits_for_energy_wakes_when_there_is_some() -> None:
    market = store_market()
    market.sell("s2", "store", 50, 1, span=SECOND)
    market.sell("s1", "store", 50, 1, span=FIRST)
    market.buy("b1", "b", 50, 1, span=FIRST)
    market.buy("b2", "b", 50, 1, span=SECOND)
    assert sum(trade[2] for trade in market.traded) == 60
    market.buy("out", "store", 30, 5, span=(2, 3))
    market.sell("in", "c", 30, 1, span=(2, 3))
    assert market.traded[-1][:3] == ("out", "in", 30), "discharging later does not help earlier hours"
    assert sum(trade[2] for trade in market.traded) == 90


def test_energy_freed_by_a_trade_is_used_by_whoever_waited() -> None:
    market = store_market()
    market.sell("late", "store", 50, 1, span=(2, 3))
    market.sell("soon", "store", 50, 1, span=(1, 2))
    market.buy("b1", "b", 50, 1, span=(1, 2))
    market.buy("b2", "b", 50, 1, span=(2, 3))
    assert sum(trade[2] for trade in market.traded) == 60
    market.buy("out", "store", 30, 5, span=FIRST)
    market.sell("in", "c", 30, 1, span=FIRST)
    assert [trade[:3] for trade in market.traded[-2:]] == [("out", "in", 30), ("b2", "late", 30)]


def test_a_rebound_must_be_paid_back_within_its_buffer() -> None:
    market = Market(Frame((resource("heat", energy_wm=60 * 10), resource("b"))))
    market.sell("s", "heat", 30, 1)
    market.buy("b", "b", 30, 1)
    assert market.traded == [("b", "s", 10, 10, 1)]
    market.buy("back", "heat", 25, 5, span=SECOND)
    market.sell("t", "b", 25, 1, span=SECOND)
    assert market.traded[-1] == ("back", "t", 20, 20, 5)


PORTFOLIO = Frame(
    (resource("p1", organisation="PF"), resource("p2", 400, 900, organisation="PF"), resource("b"), resource("c")),
    portfolios=(Portfolio("pf", "PF", ("p1", "p2")),),
    impact_ppm={"P": {"p2": 400_000}},
)


def test_a_portfolio_moves_its_members_by_their_ranges_at_one_impact_factor() -> None:
    """Ranges 1000 and 500: two thirds at factor 1 and a third at 0.4 are 0.8, rounded down to the ppm."""
    market = Market(PORTFOLIO)
    market.sell("s", "pf", 30, 1)
    market.buy("b", "b", 16, 9)
    trade = market.trades[0]
    assert trade.leg.ppm_sell == 800_000
    moves = market.session.state.trades.moves_w
    assert (moves["p1"][0], moves["p2"][0]) == (-13, -7)


@settings(max_examples=40, deadline=None)
@given(fills=st.lists(st.integers(1, 7), max_size=40))
def test_many_small_fills_do_not_pile_up_on_one_member(fills: list[int]) -> None:
    market = Market(PORTFOLIO._replace(impact_ppm={}))
    market.sell("s", "pf", 150, 1)
    for number, watts in enumerate(fills):
        market.buy(f"b{number}", "b", watts, 1)
    moves = market.session.state.trades.moves_w
    total = sum(trade[2] for trade in market.traded)
    if total:
        assert abs(-moves["p1"][0] - 2 * total / 3) < 1
        assert -moves["p1"][0] - moves["p2"][0] == total


def test_a_portfolio_buys_in_full_at_a_limit_without_room() -> None:
    """Three equal members: the mean factor is no whole ppm, and the point must be no worse all the same."""
    members = tuple(resource(name, organisation="PF") for name in ("p1", "p2", "p3"))
    big = tuple(resource(r.resource, 0, 10**9, organisation="PF") for r in members)
    factors = {"p1": PPM, "p2": PPM, "p3": 500_000}
    plans = {r.resource: flat(5 * 10**8) for r in (*big, resource("s"))}
    limit = sum(row * 5 * 10**8 for row in (*factors.values(), PPM)) // PPM
    frame = Frame(
        (*big, resource("s", 0, 10**9)),
        points=(export_point("P", limit),),
        impact_ppm={"P": factors},
        plans_w=plans,
        portfolios=(Portfolio("pf", "PF", ("p1", "p2", "p3")),),
    )
    market = Market(frame)
    market.sell("s", "s", 10**8, 1)
    market.buy("b", "pf", 3 * 10**7, 9)
    assert sum(trade[2] for trade in market.traded) >= 3 * 10**7 - 3


def test_a_balanced_market_trades_one_to_one_in_one_zone() -> None:
    market = Market(FRAME._replace(rulebook=Rulebook(exchange=Exchange.BALANCED), impact_ppm={"P": {"a": 500_000}}))
    market.sell("s", "a", 10, 5, regulation=Regulation.UP)
    assert refusals(market.buy("none", "b", 4, 5)) == [Reason.REGULATION_NOT_STATED]
    market.buy("b", "b", 4, 5, regulation=Regulation.DOWN)
    assert market.traded == [("b", "s", 4, 4, 5)]
    assert market.trades[0].zone == ""
    assert dict(market.session.state.trades.moves_w.items()) == {"a": at_first(4), "b": at_first(-4)}


def test_after_the_gate_nothing_enters_and_the_rest_expires() -> None:
    market = Market(FRAME)
    market.sell("s", "a", 10, 5)
    market.session.send(CloseGate(0))
    assert refusals(market.withdraw("s")) == [Reason.GATE_CLOSED]
    assert refusals(market.amend("s", 5, 5)) == [Reason.GATE_CLOSED]
    assert refusals(market.session.send(CloseGate(0))) == [Reason.GATE_CLOSED]
    assert refusals(market.session.send(PublishForecast("a", flat(1)))) == [Reason.FROZEN]
    market.session.send(ExpireOrders())
    assert market.order("s").status is Status.EXPIRED


def test_the_residual_need_is_bought_in_merit_order_at_each_offer_price() -> None:
    market = Market(FRAME._replace(impact_ppm={"P": {"a": 500_000}}, rulebook=Rulebook(priority=Priority.TIME)))
    market.sell("dear", "a", 10, 5)
    market.sell("cheap", "b", 10, 7)
    market.sell("dearer", "c", 10, 12)
    market.session.send(CloseGate(0), PurchaseResidual("P", at_first(13), 11))
    assert [trade[1:] for trade in market.traded] == [("cheap", 10, 10, 7), ("dear", 3, 6, 5)]
    assert {trade.phase for trade in market.trades} == {Phase.PURCHASE}
    assert {trade.buyer for trade in market.trades} == {DSO}


def test_no_participant_can_pose_as_the_residual_purchase() -> None:
    market = Market(FRAME)
    market.sell("purchase:P:2", "a", 10, 5)
    market.buy("purchase:x", "b", 4, 5)
    assert {trade.phase for trade in market.trades} == {Phase.CONTINUOUS}
    market.session.send(CloseGate(0), PurchaseResidual("P", at_first(3), 11))
    assert market.order("purchase:P:2").organisation == "A"
    assert market.trades[-1].phase is Phase.PURCHASE


def test_a_dso_buys_relief_and_moves_nothing_of_its_own() -> None:
    market = Market(FRAME._replace(impact_ppm={"P": {"a": 500_000}}))
    market.sell("s", "a", 10, 5)
    market.buy("b", DSO, 4, 11)
    assert market.traded == [("b", "s", 4, 8, 5)]
    assert dict(market.session.state.trades.moves_w.items()) == {"a": at_first(-8)}
