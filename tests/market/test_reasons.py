"""Every reason of the market is given by some command, and says what would have been accepted."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace
from tests.market.small_market import DSO, Frame, Market, at_first, export_point, flat, resource

from flexpeer.market import participants
from flexpeer.market.activation import RecordMeter, VerifyDelivery
from flexpeer.market.granting import RecordVerdict
from flexpeer.market.machine import Command, State, decide, evolve
from flexpeer.market.needs import Direction, PublishForecast, PublishNeed, Regulation
from flexpeer.market.orders import CloseGate, OpenGate, Side, WithdrawOrder
from flexpeer.market.participants import Check, FormPortfolio, Organisation, Portfolio, RegisterOrganisation, Role
from flexpeer.market.pool import Cleared, ClearOrders
from flexpeer.market.purchase import PurchaseResidual
from flexpeer.market.reasons import EXPECTED, CommandRefused, Reason
from flexpeer.market.rulebook import Exchange, Rulebook
from flexpeer.market.timeline import ReachStage, Stage
from flexpeer.market.trades import Decision, GridVerdict

FRAME = Frame((resource("a"), resource("b"), resource("far")), impact_ppm={"P": {"far": 0}})
IMPORT_POINT = replace(export_point("M"), direction=Direction.IMPORT)
TWO_POINTS = FRAME._replace(points=(export_point("P"), export_point("Q")))


def opened(frame: Frame = FRAME, **rules: object) -> Market:
    return Market(frame._replace(rulebook=Rulebook(**rules)))  # type: ignore[arg-type]


def reasons(market: Market, *commands: Command) -> list[Reason]:
    events = market.session.send(*commands)
    return [event.reason for event in events if isinstance(event, CommandRefused)]


def of_order(
    market: Market, unit: str = "a", side: Side = Side.SELL, quantity_w: int = 10, **more: object
) -> list[Reason]:
    price = more.pop("price_minor", 5)
    return reasons(market, market.command("o", unit, side, quantity_w, price, **more))  # type: ignore[arg-type]


def not_open() -> list[Reason]:
    market = opened()
    fresh = State()
    for event in market.log.events:
        if type(event).__name__ == "GateOpened":
            break
        fresh = evolve(fresh, event)
    market.session.state = fresh
    return of_order(market)


def closed() -> Market:
    market = opened()
    market.session.send(CloseGate(0))
    return market


def unchecked() -> list[Reason]:
    market = opened()
    market.session.send(participants.RecordGridCheck("a", Check(DSO, False, ("voltage",))))
    return of_order(market)


def via_another() -> list[Reason]:
    market = opened()
    market.session.send(RegisterOrganisation(Organisation("L", Role.LOCAL_DSO, DSO)))
    command = market.command("o", "a", Side.SELL, 10, 5)
    return reasons(market, replace(command, via="L"))


def of_another() -> list[Reason]:
    market = opened()
    command = market.command("o", "a", Side.SELL, 10, 5)
    return reasons(market, replace(command, organisation="B"))


def half_hour() -> list[Reason]:
    market = opened()
    command = market.command("o", "a", Side.SELL, 10, 5)
    return reasons(market, replace(command, end=command.start + 30))


def committed() -> list[Reason]:
    market = opened()
    market.sell("first", "a", 495, 5)
    return of_order(market)


def duplicate() -> list[Reason]:
    market = opened()
    market.sell("o", "a", 11, 5)
    return of_order(market)


def pending(what: Callable[[State, Market], list[object]]) -> list[Reason]:
    """What a machine answers while a match waits for its verdicts."""
    market = opened()
    market.sell("s", "a", 10, 5)
    market.buy("b", "b", 10, 6)
    state, seen = State(), []
    for event in market.log.events:
        state = evolve(state, event)
        seen.append(event)
        if type(event).__name__ == "MatchProposed":
            break
    return [event.reason for event in what(state, market) if isinstance(event, CommandRefused)]


def answered(match: int, quantity_w: int) -> list[Reason]:
    return pending(
        lambda state, market: [*decide(state, market.session.books, RecordVerdict(match, quantity_w, 0, ()))]
    )


def placed_while_pending() -> list[Reason]:
    return pending(lambda state, market: [*decide(state, market.session.books, WithdrawOrder("b", "B"))])


def filled_then_withdrawn() -> list[Reason]:
    market = opened()
    market.sell("s", "a", 10, 5)
    market.buy("b", "b", 10, 6)
    return [e.reason for e in market.withdraw("s") if isinstance(e, CommandRefused)]


def unread() -> list[Reason]:
    market = opened()
    market.sell("s", "a", 10, 5)
    market.buy("b", "b", 10, 6)
    return reasons(market, CloseGate(0), VerifyDelivery("a"))


def cleared(*allocation: Cleared, energy_wm: int | None = None, bid: int = 4, buyer: str | None = None) -> list[Reason]:
    """The answer to an allocation of a SELL at 5 and a BUY at 4, which did not meet (of one organisation: nor at 6)."""
    market = Market(Frame((resource("a", energy_wm=energy_wm), resource("b", organisation=buyer or "B"))))
    market.sell("s", "a", 10, 5)
    market.buy("b", "b", 10, bid)
    return reasons(market, CloseGate(0), ClearOrders(allocation, (), 0))


def unrelieved() -> list[Reason]:
    market = opened()
    market.session.send(PublishNeed("P", at_first(0, 5)))
    return of_order(market)


def both_ways() -> list[Reason]:
    return of_order(opened(Frame((resource("a"),), (export_point("P"), IMPORT_POINT))))


NOBODY = resource("n", organisation="nobody")

PRODUCERS: dict[Reason, Callable[[], list[Reason]]] = {
    Reason.ALREADY_KNOWN: lambda: reasons(opened(), OpenGate(0)),
    Reason.UNKNOWN_ORGANISATION: lambda: reasons(opened(), participants.RegisterResource(NOBODY)),
    Reason.WRONG_ROLE: lambda: reasons(opened(), participants.RegisterResource(resource("n", organisation=DSO))),
    Reason.UNKNOWN_RESOURCE: lambda: of_order(opened(), "nothing"),
    Reason.RANGE_UPSIDE_DOWN: lambda: reasons(
        opened(), participants.RegisterResource(resource("n", 5, 4, organisation="A"))
    ),
    Reason.NOT_QUALIFIED: unchecked,
    Reason.NOT_VIA_ITS_DSO: via_another,
    Reason.NOT_ITS_RESOURCE: of_another,
    Reason.NOT_THIS_DAY: lambda: reasons(opened(), PublishForecast("a", (1, 2))),
    Reason.FROZEN: lambda: reasons(closed(), PublishForecast("a", flat(1))),
    Reason.GATE_NOT_OPEN: not_open,
    Reason.GATE_CLOSED: lambda: of_order(closed()),
    Reason.GATE_NOT_CLOSED: lambda: reasons(opened(), PurchaseResidual("P", flat(1), 5)),
    Reason.UNKNOWN_CONGESTION_POINT: lambda: of_order(opened(), zone="nowhere"),
    Reason.CONGESTION_POINT_NOT_STATED: lambda: of_order(opened(TWO_POINTS), DSO, side=Side.BUY),
    Reason.NO_CONGESTION: unrelieved,
    Reason.REGULATION_NOT_STATED: both_ways,
    Reason.IMPOSSIBLE_PERIOD: half_hour,
    Reason.WRONG_REGULATION: lambda: of_order(opened(), regulation=Regulation.UP),
    Reason.WRONG_QUANTITY: lambda: of_order(opened(min_quantity_w=20)),
    Reason.WRONG_QUANTITY_TICK: lambda: of_order(opened(quantity_tick_w=4)),
    Reason.WRONG_MIN_QUANTITY: lambda: of_order(opened(), min_quantity_w=11),
    Reason.WRONG_PRICE_TICK: lambda: of_order(opened(price_tick_minor=2)),
    Reason.PRICE_OUTSIDE_CAP: lambda: of_order(opened(price_cap_minor=4)),
    Reason.NO_IMPACT: lambda: of_order(opened(), "far"),
    Reason.RESERVED_NAME: lambda: reasons(opened(), RegisterOrganisation(Organisation("", Role.FSP))),
    Reason.OUTSIDE_RANGE: lambda: of_order(opened(), quantity_w=501),
    Reason.ALREADY_COMMITTED: committed,
    Reason.DUPLICATE_KEY: duplicate,
    Reason.DSO_ONLY_BUYS: lambda: of_order(opened(), DSO),
    Reason.UNKNOWN_ORDER: lambda: reasons(opened(), WithdrawOrder("nothing", "A")),
    Reason.ORDER_NOT_OPEN: filled_then_withdrawn,
    Reason.STAGE_OUT_OF_ORDER: lambda: reasons(opened(), ReachStage(Stage.SETTLED, 0)),
    Reason.MATCH_PENDING: placed_while_pending,
    Reason.NO_SUCH_MATCH: lambda: answered(7, 0),
    Reason.VERDICT_IMPOSSIBLE: lambda: answered(1, 11),
    Reason.PRICE_PAST_LIMIT: lambda: cleared(Cleared("s", 10, 4), Cleared("b", 10, 4)),
    Reason.POINT_WORSE: lambda: cleared(Cleared("b", 10, 4)),
    Reason.PAST_ENERGY: lambda: cleared(Cleared("s", 10, 5), energy_wm=60),
    Reason.SELF_TRADE: lambda: cleared(Cleared("s", 10, 5), Cleared("b", 10, 6), bid=6, buyer="A"),
    Reason.PRICE_UNSUPPORTED: lambda: cleared(Cleared("s", 10, 6)),
    Reason.ACCOUNT_SHORT: lambda: cleared(Cleared("s", 10, 5), Cleared("b", 10, 4)),
    Reason.NOTHING_SOLD: lambda: reasons(opened(), VerifyDelivery("a")),
    Reason.NO_METER_READING: unread,
}


@pytest.mark.parametrize("reason", list(Reason))
def test_some_command_is_refused_for_it(reason: Reason) -> None:
    assert PRODUCERS[reason]() == [reason]


@pytest.mark.parametrize("reason", list(Reason))
def test_it_says_what_would_have_been_accepted(reason: Reason) -> None:
    assert len(EXPECTED[reason]) > 10


def test_no_expectation_is_left_over() -> None:
    assert set(EXPECTED) == set(Reason)


def test_a_refusal_changes_nothing_but_the_count() -> None:
    market = opened()
    before = market.session.state
    of_order(market, "nothing")
    after = market.session.state
    assert after.events == before.events + 1
    assert (after.orders, after.trades, after.needs, after.matching) == (
        before.orders, before.trades, before.needs, before.matching,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ((), Reason.UNKNOWN_RESOURCE),
        (("a", "nothing"), Reason.UNKNOWN_RESOURCE),
        (("a", "b"), Reason.NOT_ITS_RESOURCE),
    ],
)
def test_portfolios_are_of_one_organisation(members: tuple[str, ...], reason: Reason) -> None:
    assert reasons(opened(), FormPortfolio(Portfolio("pf", "A", members))) == [reason]


@pytest.mark.parametrize(
    ("allocation", "reason"),
    [
        ((Cleared("nothing", 1, 5),), Reason.UNKNOWN_ORDER),
        ((Cleared("s", 11, 5),), Reason.WRONG_QUANTITY),
        ((Cleared("s", 0, 5),), Reason.WRONG_QUANTITY),
        ((Cleared("s", -1, 5),), Reason.WRONG_QUANTITY),
        ((Cleared("s", 1, 5), Cleared("s", 1, 5)), Reason.ALREADY_KNOWN),
    ],
)
def test_an_impossible_allocation_is_refused_whole(allocation: tuple[Cleared, ...], reason: Reason) -> None:
    assert cleared(*allocation) == [reason]


def test_an_allocation_waits_for_the_gate_and_for_every_owner() -> None:
    assert reasons(opened(), ClearOrders((), (), 0)) == [Reason.GATE_NOT_CLOSED]
    refusal = GridVerdict(DSO, Decision.REFUSED, "line P", 0)
    assert reasons(closed(), ClearOrders((), (refusal,), 0)) == [Reason.VERDICT_IMPOSSIBLE]


def test_other_commands_about_unknown_things_are_refused() -> None:
    market = opened()
    assert reasons(market, PublishNeed("nowhere", flat(0))) == [Reason.UNKNOWN_CONGESTION_POINT]
    assert reasons(market, PublishNeed("P", at_first(1)[:-1])) == [Reason.NOT_THIS_DAY]
    assert reasons(market, RecordMeter("nothing", {})) == [Reason.UNKNOWN_RESOURCE]
    assert reasons(market, participants.RecordGridCheck("a", Check("A", True))) == [Reason.WRONG_ROLE]
    assert reasons(opened(exchange=Exchange.BALANCED), PurchaseResidual("P", flat(0), 1)) == [Reason.GATE_NOT_CLOSED]
