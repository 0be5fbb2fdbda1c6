"""What is flagged for the auditor, and that flagging changes nothing else."""

from tests.market.small_market import Frame, Market, flat, resource

from flexpeer.market.conduct import ConductFlagged
from flexpeer.market.needs import PublishForecast, PublishNeed

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
    before = market.session.state.needs
    assert before.starts_w
    market.buy("b", "e", 5, 9)
    assert market.session.state.conduct.flags
    assert market.session.state.needs is before
