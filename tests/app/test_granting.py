"""Owners without a grid: what they grant, hold, give back and report; and what happens when one is silent."""

from collections.abc import Sequence

import pytest
from tests.market.small_market import FOK, Frame, Market, export_point, flat, resource

from flexpeer.app.granting.point_coordinator import PointCoordinator
from flexpeer.app.market import Market as Session
from flexpeer.app.owner.point_owner import PointOwner
from flexpeer.app.ports import OwnerSilent
from flexpeer.market.granting import RecordVerdict
from flexpeer.market.machine import view
from flexpeer.market.matching.view import View
from flexpeer.market.needs import CongestionPoint, Direction
from flexpeer.market.trades import Decision, GridVerdict, Match, MatchProposed, Move, VerdictRecorded
from flexpeer.market.waking import Freed
from flexpeer.periods import Span
from flexpeer.quantities import PPM
from flexpeer.wire.gate import GateHolding

HOUR = Span(0, 1)


def owner(limit_w: int, direction: Direction = Direction.EXPORT, start_w: int = 100, ppm: int = PPM) -> PointOwner:
    point = CongestionPoint("P", "line", direction, "GRID", flat(limit_w))
    return PointOwner("GRID", [point], {"P": {"a": flat(ppm)}}, {"a": flat(start_w)})


@pytest.mark.parametrize(
    ("limit_w", "change_w", "excess_w"),
    [(110, 10, 0), (110, 11, 1), (110, -500, -510), (90, 1, 1), (90, 0, 0), (90, -3, -3)],
)
def test_what_exceeds_is_counted_from_the_limit_or_from_what_is_past_it(
    limit_w: int, change_w: int, excess_w: int
) -> None:
    assert owner(limit_w).excess([Move("a", HOUR, change_w)])[0] == excess_w * PPM


def test_withdrawal_loads_an_import_point() -> None:
    importing = owner(110, Direction.IMPORT, start_w=-100)
    assert importing.excess([Move("a", HOUR, -11)])[0] == PPM
    assert importing.excess([Move("a", HOUR, 11)])[0] == -21 * PPM


def test_factors_are_exact_to_the_millionth_of_a_watt() -> None:
    precise = owner(34, ppm=333_334)
    assert precise.excess([Move("a", HOUR, 2)])[0] == 102 * 333_334 - 34 * PPM


def test_what_is_improved_past_a_limit_may_not_worsen_again_once_final() -> None:
    past = owner(50)
    past.hold(1, (Move("a", HOUR, -20),))
    past.abort(1)
    assert past.excess([Move("a", HOUR, 0)])[0] == 0
    past.hold(2, (Move("a", HOUR, -20),))
    past.commit(2)
    assert past.excess([Move("a", HOUR, 1)])[0] == PPM
    past.hold(3, (Move("a", HOUR, -40),))
    past.commit(3)
    assert past.excess([Move("a", HOUR, 10)])[0] == 0


def test_moves_of_resources_elsewhere_concern_nobody() -> None:
    assert owner(0).excess([Move("elsewhere", HOUR, 1000)])[0] < 0


WIDE = Frame(tuple(resource(name) for name in "abc"))
NARROW = WIDE._replace(
    points=(export_point("P"), export_point("R", 504), export_point("S", 60)),
    impact_ppm={"R": {"a": 0, "b": PPM, "c": 0}, "S": {"a": 0, "b": 100_000, "c": 0}},
)


def verdicts(market: Market) -> list[VerdictRecorded]:
    return [event for event in market.log.events if isinstance(event, VerdictRecorded)]


def test_the_largest_quantity_that_fits_is_granted_and_the_reason_says_where() -> None:
    market = Market(NARROW)
    market.sell("s", "a", 20, 5, zone="P")
    market.buy("b", "b", 20, 5, zone="P")
    assert market.traded == [("b", "s", 4, 4, 5)]
    binding = verdicts(market)[0].verdicts[-1]
    assert (binding.owner, binding.decision, binding.element, binding.mtu) == ("GRID", Decision.REDUCED, "line R", 0)
    assert binding.headroom_w == 4


def test_the_element_named_is_the_one_that_binds_what_was_granted() -> None:
    """At 400 W line S is further past its limit, but it is line R that has no room at all."""
    frame = WIDE._replace(
        points=(export_point("P"), export_point("R", 50), export_point("S", 600)),
        impact_ppm={"R": {"a": 0, "b": 100_000, "c": 0}, "S": {"a": 0, "b": PPM, "c": 0}},
    )
    market = Market(frame)
    market.sell("s", "a", 400, 5, zone="P")
    market.buy("b", "b", 400, 5, zone="P")
    assert market.traded == []
    binding = verdicts(market)[0].verdicts[-1]
    assert (binding.decision, binding.element, binding.headroom_w) == (Decision.REFUSED, "line R", 0)


def test_a_refused_pair_leaves_the_taker_to_the_next() -> None:
    frame = WIDE._replace(
        points=(export_point("P"), export_point("R", 500)), impact_ppm={"R": {"a": 0, "b": PPM, "c": PPM}}
    )
    market = Market(frame)
    market.sell("far", "a", 20, 1, zone="P")
    market.sell("near", "c", 20, 5, zone="P")
    market.buy("b", "b", 10, 5, zone="P")
    assert [verdict.quantity_w for verdict in verdicts(market)] == [0, 10]
    assert market.traded == [("b", "near", 10, 10, 5)]


CROWDED = Frame(
    tuple(resource(name) for name in "abcef"),
    points=(export_point("P"), export_point("Q"), export_point("R", 1500)),
    impact_ppm={"R": {"a": 0, "f": 0}},
)


@pytest.mark.parametrize(("first", "second"), [("b", "c"), ("c", "b")])
def test_sleeping_meetings_wake_in_order_of_arrival_when_headroom_is_freed(first: str, second: str) -> None:
    """b and c find no room at R; a trade elsewhere makes 15 W of it."""
    market = Market(CROWDED)
    market.sell("s", "a", 100, 1, zone="P")
    for name in (first, second):
        market.buy(name, name, 10, 5, zone="P")
    assert market.traded == []
    assert len(market.session.state.matching.blocks) == 1
    market.sell("e", "e", 15, 8, zone="Q")
    market.buy("f", "f", 15, 8, zone="Q")
    assert [trade[:3] for trade in market.traded] == [("f", "e", 15), (first, "s", 10), (second, "s", 5)]
    assert len(market.session.state.matching.blocks) == 1


def test_headroom_held_by_a_released_reservation_wakes_nobody() -> None:
    market = Market(CROWDED)
    market.sell("s", "a", 100, 1, zone="P")
    market.buy("b", "b", 10, 5, zone="P")
    market.sell("e", "e", 15, 8, zone="Q")
    market.buy("f", "f", 16, 8, zone="Q", time_in_force=FOK)
    assert market.traded == []
    assert len(market.session.state.matching.blocks) == 1


def test_a_meeting_reduced_for_a_released_order_does_not_sleep() -> None:
    """R has room for 4 W: fill-or-kill over 5 W is released, and another order of the same resource may have the 4."""
    market = Market(NARROW)
    market.sell("s", "a", 20, 5, zone="P")
    market.buy("killed", "b", 5, 5, zone="P", time_in_force=FOK)
    assert market.traded == []
    assert len(market.session.state.matching.blocks) == 0
    market.buy("b", "b", 4, 5, zone="P")
    assert market.traded == [("b", "s", 4, 4, 5)]


def test_whoever_asks_while_a_meeting_sleeps_is_not_asked_about_again() -> None:
    market = Market(CROWDED)
    market.sell("s", "a", 100, 1, zone="P")
    market.buy("b", "b", 10, 5, zone="P")
    market.buy("b2", "b", 10, 7, zone="P")
    assert len(verdicts(market)) == 1


class SilentOwner(PointOwner):
    """Answers only when told to."""

    silent = True
    silent_on_hold = False

    def excess(self, moves: Sequence[Move]) -> tuple[int, str, int, int]:  # type: ignore[override]
        """No answer."""
        if self.silent:
            raise OwnerSilent(self.owner)
        return super().excess(moves)

    def hold(self, match: int, moves: tuple[Move, ...]) -> None:
        """No answer."""
        super().hold(match, moves)
        if self.silent_on_hold:
            raise OwnerSilent(self.owner)


def two_owners() -> tuple[Market, PointOwner, SilentOwner]:
    answering = WIDE.owner()
    point = CongestionPoint("Z", "line Z", Direction.EXPORT, "OTHER", flat(10**6))
    silent = SilentOwner("OTHER", [point], {"Z": {"b": flat(PPM)}}, {"b": flat(500)})
    return Market(WIDE, PointCoordinator([answering, silent])), answering, silent


def test_a_silent_owner_grants_nothing_holds_nothing_and_blocks_nobody() -> None:
    market, answering, silent = two_owners()
    before = [answering.room("line P", mtu) for mtu in range(24)]
    market.sell("s", "a", 20, 5)
    market.buy("b", "b", 20, 5)
    assert market.traded == []
    verdict = verdicts(market)[0]
    assert verdict.quantity_w == 0
    assert GridVerdict("OTHER", Decision.REFUSED, "no answer") in verdict.verdicts
    assert [answering.room("line P", mtu) for mtu in range(24)] == before
    assert market.session.state.trades.pending is None
    silent.silent = False
    market.buy("c", "c", 20, 5)
    assert market.traded == [("c", "s", 20, 20, 5)]


def test_what_others_hold_is_given_back_when_one_is_silent_on_holding() -> None:
    market, answering, silent = two_owners()
    silent.silent, silent.silent_on_hold = False, True
    before = answering.room("line P", 0)
    market.sell("s", "a", 20, 5)
    market.buy("b", "b", 10, 5)
    assert market.traded == []
    assert answering.room("line P", 0) == before
    assert silent.room("line Z", 0) == (10**6 - 500) * PPM


class Stubborn:
    """Owners whose first answer is impossible; the seller may be raised."""

    def __init__(self, quantity_w: int, raised_w: int) -> None:
        self.answer = (quantity_w, raised_w)
        self.aborted: list[int] = []

    elsewhere = False

    def reserve(self, _view: View, match: Match) -> RecordVerdict:
        """The same answer to everything."""
        return RecordVerdict(match.match, *self.answer, ())

    def repeat(self, _match: Match, _moves: Sequence[Move], _verdicts: Sequence[GridVerdict]) -> None:
        """Never asked."""
        raise AssertionError("nothing is opened again here")

    def unwatch(self, place: Freed) -> None:
        """Nothing is watched."""

    def share(self, _dso: str, _held: GateHolding) -> None:
        """Nothing is cleared."""

    def hold(self, _match: int, _moves: Sequence[Move]) -> tuple[GridVerdict, ...]:
        """Never asked."""
        raise AssertionError("nothing is cleared here")

    def commit(self, _match: int) -> tuple[Freed, ...]:
        """Nothing freed."""
        return ()

    def freed(self) -> tuple[Freed, ...]:
        """Nothing freed."""
        return ()

    def abort(self, matches: tuple[int, ...]) -> None:
        """Remember."""
        self.aborted += matches


@pytest.mark.parametrize(("quantity_w", "raised_w"), [(21, 0), (-1, 0), (20, -1), (20, 81), (20, 21)])
def test_an_impossible_answer_is_as_good_as_none(quantity_w: int, raised_w: int) -> None:
    """The seller has 100 W and asks 5, the buyer of 20 W pays 10: the seller moves 40 W at most."""
    owners = Stubborn(quantity_w, raised_w)
    market = Market(WIDE, owners)
    market.sell("s", "a", 100, 5)
    market.buy("b", "b", 20, 10)
    assert market.traded == []
    assert owners.aborted == [1]


@pytest.mark.parametrize("raised_w", [0, 3, 20])
def test_a_seller_is_raised_within_its_order_and_both_prices(raised_w: int) -> None:
    market = Market(WIDE, Stubborn(20, raised_w))
    market.sell("s", "a", 100, 5)
    market.buy("b", "b", 20, 10)
    assert market.traded == [("b", "s", 20, 20 + raised_w, 5)]
    assert market.order("s").remaining_w == 80 - raised_w
    assert market.session.state.trades.moves_w["a"][0] == -20 - raised_w
    assert market.trades[0].amount(60) == 5 * (20 + raised_w) * 60


def test_a_session_proposes_nothing_without_owners() -> None:
    market = Market(WIDE)
    session: Session = market.session
    assert view(session.state).trades is session.state.trades
    assert not any(isinstance(event, MatchProposed) for event in market.log.events)
