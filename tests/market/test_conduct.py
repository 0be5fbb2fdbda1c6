"""What is flagged for the auditor, and that flagging changes nothing else."""

import pytest
from tests.market.small_market import DAY, Frame, Market, at_first, flat, resource

from flexpeer.market.activation import RecordMeter, VerifyDelivery
from flexpeer.market.conduct import ConductFlagged
from flexpeer.market.needs import ImposeCurtailment, PublishForecast, PublishNeed
from flexpeer.market.orders import CloseGate
from flexpeer.market.reasons import CommandRefused, Reason
from flexpeer.market.rulebook import BaselineMethod

FRAME = Frame(tuple(resource(name) for name in "abcd"))


def test_nobody_trades_with_itself_and_both_sides_are_flagged_once() -> None:
    frame = FRAME._replace(resources=(*FRAME.resources, resource("e", organisation="A")))
    market = Market(frame)
    market.sell("s", "a", 5, 5)
    market.buy("b", "e", 5, 9)
    market.buy("b2", "e", 5, 9)
    assert market.traded == []
    flags = [f for f in market.session.state.conduct.flags if f.conduct == "both_sides"]
    assert [(flag.organisation, flag.subject) for flag in flags] == [("A", "b")]


def test_a_plan_that_moves_after_the_need_is_flagged() -> None:
    market = Market(FRAME)
    market.session.send(PublishForecast("a", flat(400)))
    assert not market.session.state.conduct.flags
    market.session.send(PublishNeed("P", flat(1)), PublishForecast("a", flat(400)))
    assert not market.session.state.conduct.flags
    market.session.send(PublishForecast("a", flat(300)))
    assert list(market.session.state.conduct.flags) == [ConductFlagged("A", "plan_moved_after_need", "a")]


def test_a_flag_leaves_what_the_day_has_derived() -> None:
    market = Market(FRAME._replace(resources=(*FRAME.resources, resource("e", organisation="A"))))
    market.sell("s", "a", 5, 5)
    before, places = market.session.state.needs, market.session.books.places
    market.buy("b", "e", 5, 9)
    assert market.session.state.conduct.flags
    assert market.session.state.needs is before
    assert market.session.books.places is places


def flagged(market: Market) -> list[str]:
    return [flag.conduct for flag in market.session.state.conduct.flags]


def sold_from_plan(baseline: BaselineMethod = BaselineMethod.PLAN) -> Market:
    """a sells 200 W DOWN in hours 1 and 2, from a plan of 500 W."""
    market = Market(Frame((resource("a", baseline=baseline), resource("b"))))
    market.sell("s", "a", 200, 10_000, span=(1, 3))
    market.buy("b", "b", 200, 10_000, span=(1, 3))
    market.session.send(CloseGate(0))
    return market


def read(market: Market, name: str, *watts: int, days_before: int = 0, then: int = 300) -> None:
    row = at_first(*watts, then=then)
    readings = {DAY.instant(mtu) - days_before * 24 * 60: watt for mtu, watt in enumerate(row)}
    market.session.send(RecordMeter(name, readings))


@pytest.mark.parametrize(("past", "expected"), [(499, ["plan_above_past_meter"]), (500, []), (900, [])])
def test_a_plan_that_was_sold_from_is_compared_with_past_days(past: int, expected: list[str]) -> None:
    """Tuesday 10 February: Monday counts, the weekend before does not; of the past days the highest."""
    market = sold_from_plan()
    read(market, "a", 0, 999, 999, days_before=2)
    read(market, "a", 0, 100, 100, days_before=4)
    assert "plan_above_past_meter" in flagged(market)
    market = sold_from_plan()
    read(market, "a", 0, past, past, days_before=1, then=0)
    read(market, "a", 0, past, past, days_before=1, then=0)
    assert flagged(market) == expected


def test_a_plan_that_nothing_depends_on_is_not_flagged() -> None:
    market = sold_from_plan()
    read(market, "b", 0, 1, 1, days_before=1)
    assert flagged(market) == []


def test_a_plan_that_is_curtailed_is_compared_too() -> None:
    market = Market(Frame((resource("a", conditional=True), resource("b"))))
    market.session.send(PublishNeed("P", at_first(100)), ImposeCurtailment("a", at_first(100)))
    read(market, "a", 499, days_before=1)
    assert flagged(market) == ["plan_above_past_meter"]


@pytest.mark.parametrize(
    ("baseline", "around", "expected"),
    [
        (BaselineMethod.PLAN, 300, ["delivered_by_plan_only"]),
        (BaselineMethod.PLAN, 339, ["delivered_by_plan_only"]),
        (BaselineMethod.PLAN, 340, []),
        (BaselineMethod.PLAN, 500, []),
        (BaselineMethod.ZERO, 300, []),
    ],
)
def test_a_delivery_that_only_the_plan_shows_is_told_apart(
    baseline: BaselineMethod, around: int, expected: list[str]
) -> None:
    """At 300 W in the hours sold: 200 W less than planned. At least 40 W, 20 %, must be seen on the meter."""
    market = sold_from_plan(baseline)
    read(market, "a", around, 300, 300, then=around)
    market.session.send(VerifyDelivery("a"), VerifyDelivery("a"))
    (delivery,) = market.session.state.activations.deliveries["a"].deliveries
    assert delivery.metered_w[1] == min(200, around - 300)
    assert delivery.delivered_w[1] == (0 if baseline is BaselineMethod.ZERO else 200)
    assert flagged(market) == expected


@pytest.mark.parametrize(("watts", "refused"), [(0, False), (100, False), (900, False), (99, True), (901, True)])
def test_a_plan_is_within_the_range(watts: int, refused: bool) -> None:
    market = Market(Frame((resource("a", 100, 900), resource("b"))))
    events = market.session.send(PublishForecast("a", at_first(500, 500, watts, then=500)))
    reasons = [event.reason for event in events if isinstance(event, CommandRefused)]
    assert reasons == ([Reason.OUTSIDE_RANGE] if refused else [])
    assert market.session.state.needs.plans_w["a"][2] == (500 if refused else watts)
