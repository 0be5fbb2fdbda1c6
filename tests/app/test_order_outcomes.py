"""What became of every order: by hand, and against the state at every moment of random markets."""

import pytest
from hypothesis import given, settings
from tests.market.small_market import FAK, FOK, Frame, Market, at_first, export_point, resource
from tests.market.test_properties import Step, frames, play, steps

from flexpeer.app.views.orders import OrderLine, OrderOutcomes
from flexpeer.market.machine import Event
from flexpeer.market.matching.meetings import SweepEnded
from flexpeer.market.orders import Status
from flexpeer.market.trades import TradeConcluded


def told(market: Market) -> dict[str, OrderLine]:
    """By order, from the log alone."""
    outcomes = OrderOutcomes()
    for event in market.log.events:
        outcomes.note(event)
    return {line.order: line for line in outcomes.rows()}


def small(*units: str, limit_w: int = 10**9) -> Market:
    """Sellers and buyers with plans of 500 W at one point."""
    return Market(Frame(tuple(resource(name) for name in units), points=(export_point("P", limit_w),)))


def test_every_status() -> None:
    market = small("s", "b")
    market.sell("whole", "s", 10, 5)
    market.buy("part", "b", 30, 5)
    market.sell("dear", "s", 10, 9)
    market.sell("fak", "s", 50, 5, time_in_force=FAK)
    market.buy("fok", "b", 5, 1, time_in_force=FOK)
    market.buy("gone", "b", 5, 1)
    market.withdraw("gone")
    market.sell("none", "s", 0, 5)
    found = {name: (str(line.status), line.filled_w, line.left_w, line.trades) for name, line in told(market).items()}
    assert found == {
        "whole": ("filled", 10, 0, 1),
        "part": ("filled", 30, 0, 2),
        "dear": ("untraded", 0, 10, 0),
        "fak": ("killed", 20, 30, 1),
        "fok": ("killed", 0, 5, 0),
        "gone": ("withdrawn", 0, 5, 0),
        "none": ("refused", 0, None, 0),
    }
    lines = told(market)
    assert [line.arrival for line in lines.values()] == [1, 2, 3, 4, 5, 6, 8]
    assert lines["none"].reason == "wrong_quantity"
    assert lines["none"].organisation == "S"
    assert lines["dear"].reason == lines["fak"].reason == "no_counterparty"
    assert lines["gone"].reason == lines["whole"].reason == ""


def test_a_rest_that_is_left_is_partly_traded() -> None:
    market = small("s", "b")
    market.sell("s1", "s", 30, 5)
    market.buy("b1", "b", 10, 5)
    market.amend("s1", 25, 5)
    line = told(market)["s1"]
    assert (line.status, line.filled_w, line.left_w) == ("partly", 10, 15)


def test_who_accepts_no_less_is_named_to_both() -> None:
    market = small("s", "b")
    market.sell("s1", "s", 30, 5, min_quantity_w=20)
    market.buy("b1", "b", 10, 5)
    for name in ("s1", "b1"):
        line = told(market)[name]
        assert (line.reason, line.owner, line.element, line.mtu) == ("minimum_acceptance", "S", "s1", 0)


@pytest.mark.parametrize(("more", "reason"), [({"min_quantity_w": 20}, "minimum_acceptance"), ({}, "fill_or_kill")])
def test_who_gets_less_than_its_own_condition(more: dict[str, object], reason: str) -> None:
    market = small("s", "b")
    market.sell("s1", "s", 10, 5)
    market.buy("b1", "b", 30, 5, **(more or {"time_in_force": FOK}))
    assert not market.trades
    for name in ("s1", "b1"):
        line = told(market)[name]
        assert (line.reason, line.owner, line.element) == (reason, "B", "b1")


def test_an_organisation_does_not_trade_with_itself_and_is_told() -> None:
    market = Market(Frame((resource("a"), resource("e", organisation="A"))))
    market.sell("s1", "a", 10, 5)
    market.buy("b1", "e", 10, 5)
    for name in ("s1", "b1"):
        line = told(market)[name]
        assert (line.reason, line.owner) == ("self_trade", "A")
        assert "b1/s1" in line.detail


def test_what_the_grid_refused_to_two_places_is_told_to_orders_it_was_not_asked_about() -> None:
    """P is relieved by c alone, Q is full: what b does for a is refused once; a2 and b2, b1 are of the same places."""
    factors = {"P": {}, "Q": {"b": -1_000_000, "a": 0}}
    frame = Frame(
        (resource("a"), resource("b")),
        points=(export_point("P"), export_point("Q", at_first(-500, then=10**9))),
        impact_ppm=factors,
    )
    market = Market(frame)
    market.sell("b1", "b", 10, 5, zone="P")
    market.buy("a1", "a", 10, 5, zone="P")
    market.buy("a2", "a", 10, 7, zone="P")
    market.buy("a3", "a", 10, 4, zone="P")
    assert not market.trades
    lines = told(market)
    for name in ("b1", "a1", "a2"):
        assert (lines[name].reason, lines[name].element) == ("grid_limit", "line Q")
    assert lines["a3"].reason == "no_counterparty"


def test_what_the_clearing_took_back_is_said() -> None:
    market = small("s", "b")
    market.sell("s1", "s", 30, 5)
    market.buy("b1", "b", 30, 5)
    outcomes = OrderOutcomes()
    for event in market.log.events:
        outcomes.note(event)
    (trade,) = market.trades
    for given_w in (10, 20):
        outcomes.note(TradeConcluded(trade, {}, {"s1": -given_w}))
        (line,) = (each for each in outcomes.rows() if each.order == "s1")
        assert line.detail.endswith(f"{30 if given_w == 20 else 10} W of what it traded taken back in the clearing")
    assert (line.status, line.filled_w, line.left_w) == ("untraded", 0, 30)


def test_put_off_is_a_few_a_sweep() -> None:
    market = Market(Frame((resource("a", 0, 10_000), resource("e", 0, 10_000, organisation="A"))))
    for number in range(20):
        market.sell(f"s{number}", "a", 10, 5)
    (ended,) = [each for each in market.buy("b1", "e", 10, 5) if isinstance(each, SweepEnded)]
    assert [each.pairs for each in ended.put_off] == [(("b1", f"s{number}"),) for number in range(8)]


@settings(max_examples=30, deadline=None)
@given(frame=frames(energy=True), stream=steps())
def test_rows_say_at_any_moment_what_the_state_says(frame: Frame, stream: list[Step]) -> None:
    market, outcomes = Market(frame), OrderOutcomes()
    for event in market.log.events:
        outcomes.note(event)
    market.session.listen(outcomes.note)
    market.session.listen(lambda event: check(market, outcomes, event))
    play(market, stream)
    assert outcomes.rows() == tuple(told(market).values())


def check(market: Market, outcomes: OrderOutcomes, event: Event) -> None:
    """After a sweep, as in between some steps of one event are still to come."""
    if not isinstance(event, SweepEnded):
        return
    lines = {line.order: line for line in outcomes.rows()}
    state = market.session.state
    for order in state.orders.orders.values():
        line = lines[order.order]
        assert (line.filled_w, line.left_w) == (order.executed_w, order.remaining_w)
        ended = {Status.WITHDRAWN: "withdrawn", Status.KILLED: "killed", Status.FILLED: "filled"}
        assert line.status == ended.get(order.status, "partly" if order.executed_w else "untraded")
        in_legs = [t for t in state.trades.trades.values() if order.order in (t.leg.buy, t.leg.sell)]
        assert line.trades == len(in_legs)
        assert bool(line.reason) is (line.status in ("partly", "untraded", "killed"))
        assert line.reason != "self_trade" or line.owner == order.organisation
    refused = [line for line in lines.values() if line.order not in state.orders.orders]
    assert all(line.status == "refused" for line in refused)
