"""The session: what is logged, what happened, what listeners hear, and a log that refuses."""

import pytest
from tests.market.small_market import DAY, Frame, Market, MemoryLog, resource

from flexpeer.app.market import Market as Session
from flexpeer.app.ports import Batch
from flexpeer.market.machine import Event, evolve, state_hash
from flexpeer.market.needs import OpenDay
from flexpeer.market.reasons import CommandRefused, Reason
from flexpeer.market.rulebook import Rulebook
from flexpeer.market.trades import TradeConcluded

FRAME = Frame((resource("a"), resource("b")))


def test_everything_that_happens_is_logged_told_and_returned_in_one_order() -> None:
    market = Market(FRAME)
    heard: list[Event] = []
    market.session.listen(heard.append)
    before = len(market.log.events)
    happened = market.sell("s", "a", 10, 5) + market.buy("b", "b", 10, 5)
    assert happened == heard == market.log.events[before:]
    assert sum(isinstance(event, TradeConcluded) for event in happened) == 1
    assert market.session.state.events == len(market.log.events)


class FullDisk(MemoryLog):
    """Takes so many events, then no more."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def append(self, events: Batch) -> None:
        """Keep them all or raise."""
        if len(self.events) + len(events) > self.room:
            raise OSError("no space left")
        super().append(events)


def test_what_cannot_be_logged_has_not_happened() -> None:
    log = FullDisk(1)
    session = Session(log)
    session.send(OpenDay(DAY, Rulebook(), "SEK"))
    before = state_hash(session.state)
    with pytest.raises(OSError, match="no space"):
        session.send(OpenDay(DAY, Rulebook(), "SEK"))
    assert state_hash(session.state) == before
    assert len(log.events) == 1


def test_a_day_is_opened_once() -> None:
    session = Session(MemoryLog())
    session.send(OpenDay(DAY, Rulebook(), "SEK"))
    assert session.send(OpenDay(DAY, Rulebook(), "EUR")) == [
        CommandRefused("OpenDay", "2026-02-10", Reason.ALREADY_KNOWN)
    ]
    assert session.state.needs.currency == "SEK"


def test_states_of_the_past_stay_as_they_were() -> None:
    """Evolving shares structure; nothing of an older state changes."""
    market = Market(FRAME)
    market.sell("s", "a", 10, 5)
    earlier, known = market.session.state, state_hash(market.session.state)
    market.buy("b", "b", 10, 5)
    assert state_hash(earlier) == known != state_hash(market.session.state)
    assert evolve(earlier, CommandRefused("x", "", Reason.FROZEN)).events == earlier.events + 1
