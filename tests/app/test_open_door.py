"""The door stays open during a sweep: who comes meanwhile waits in line, and everything ends as if nobody had."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.market.small_market import Frame, Market, resource
from tests.market.test_properties import Step, frames, steps

from flexpeer.market.machine import state_hash
from flexpeer.market.orders import PlaceOrder, Side, TimeInForce, WithdrawOrder
from flexpeer.market.reasons import CommandRefused, Reason


def _send(market: Market, stream: list[Step], patience: Random | None) -> dict[int, PlaceOrder]:
    """Orders only, each after the other is through; or, with `patience`, after as many steps as chance has it.

    Returns which batch of the log each order led to.
    """
    came = {}
    for number, step in enumerate(stream):
        command = market.command(
            f"o{number:02}", step.unit, step.side, step.quantity_w, step.price_minor, span=step.span, zone=step.zone,
            time_in_force=TimeInForce.DAY, min_quantity_w=step.quantity_w * step.minimum_percent // 100,
        )  # fmt: skip
        came[len(market.log.batches)] = command
        market.session.submit(command)
        for _ in range(10_000 if patience is None else patience.choice((0, 0, 1, 2, 5))):
            if not market.session.work():
                break
    while market.session.work():
        pass
    return came


@settings(max_examples=120, deadline=None)
@given(frame=frames(), stream=steps(), seed=st.integers(0, 999))
def test_who_comes_during_a_sweep_changes_nothing(frame: Frame, stream: list[Step], seed: int) -> None:
    one_by_one, at_once = Market(frame), Market(frame)
    _send(one_by_one, stream, None)
    _send(at_once, stream, Random(seed))
    refused = [sum(isinstance(e, CommandRefused) for e in market.log.events) for market in (one_by_one, at_once)]
    assert refused[0] == refused[1]
    assert one_by_one.traded == at_once.traded
    assert state_hash(one_by_one.session.state) == state_hash(at_once.session.state)


@settings(max_examples=60, deadline=None)
@given(frame=frames(energy=True), stream=steps(), seed=st.integers(0, 999))
def test_a_market_opened_again_goes_on_where_it_was(frame: Frame, stream: list[Step], seed: int) -> None:
    """After any batch: same state, same books, and owners that answer as those that were there all the time."""
    whole, again = Market(frame), Market(frame)
    came = _send(whole, stream, Random(seed))
    cut = Random(seed).randrange(len(again.log.batches), len(whole.log.batches) + 1)
    again.open_again(whole.log.batches[:cut])
    while len(again.log.batches) < len(whole.log.batches):
        command = came.get(len(again.log.batches))
        if command is None:
            assert again.session.work()
        else:
            again.session.submit(command)
    assert not again.session.work()
    assert again.log.batches == whole.log.batches
    assert state_hash(again.session.state) == state_hash(whole.session.state)


@pytest.mark.parametrize("side", list(Side))
def test_an_order_in_a_match_is_amended_when_it_is_through(side: Side) -> None:
    market = Market(Frame((resource("a"), resource("b"))))
    market.session.submit(market.command("s", "a", Side.SELL, 10, 5))
    market.session.submit(market.command("b", "b", Side.BUY, 4, 6))
    while market.session.state.trades.pending is None:
        assert market.session.work()
    name = "s" if side is Side.SELL else "b"
    events = market.session.submit(WithdrawOrder(name, market.order(name).organisation))
    assert market.traded == [("b", "s", 4, 4, 5)]
    reasons = [event.reason for event in events if isinstance(event, CommandRefused)]
    assert reasons == ([] if side is Side.SELL else [Reason.ORDER_NOT_OPEN])
