"""Obligations decided elsewhere: within the resource's range, in the direction that relieves."""

from tests.market.small_market import Frame, Market, at_first, resource

from flexpeer.market.needs import CurtailmentAllocated, ImposeCurtailment
from flexpeer.market.reasons import CommandRefused, Reason


def market() -> Market:
    return Market(Frame((resource("w", 100, 1000),)))


def test_an_obligation_down_to_the_range_is_executed() -> None:
    [event] = market().session.send(ImposeCurtailment("w", at_first(400)))
    assert event == CurtailmentAllocated({"w": at_first(-400)})


def test_a_watt_beyond_the_range_is_refused() -> None:
    day = market()
    [event] = day.session.send(ImposeCurtailment("w", at_first(0, 401)))
    assert isinstance(event, CommandRefused)
    assert event.reason is Reason.OUTSIDE_RANGE
    assert event.detail.endswith("400 W")
    assert day.session.state.needs.curtailment_w.get("w") is None
