"""Nobody has the whole grid: what DSOs find together, by numbers at their borders, is what the joined grid says."""

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import msgspec
import numpy as np
import pytest
from tests.adapters.scenario_folder import Texts
from tests.app.grid_days import CIGRE_UNITS, SMALL_UNITS, _Watch, cigre_day, small_day
from tests.app.split_days import LettersHere, Whole, trades_of
from tests.app.test_day_between import message_of, texts_in
from tests.app.test_grid_day_trades import cigre_areas, random_orders, three_levels, with_orders
from tests.market.small_market import MemoryLog

from flexpeer.app.between.remote_owner import Nonsense, RemoteOwner
from flexpeer.app.between.remote_study import RemoteStudy
from flexpeer.app.day import Day
from flexpeer.app.day_split import DsoShare, OperatorShare, gather_bids
from flexpeer.app.ports import Batch
from flexpeer.app.study.area_study import AreaStudy
from flexpeer.app.study.joint_side import JointSide
from flexpeer.app.views.outcome import DayOutcome
from flexpeer.market.trades import TradeConcluded
from flexpeer.wire.grants import Question, Reply
from flexpeer.wire.study import StudyNeeds, StudyQuestion, StudyReply

SMALL = three_levels(with_orders(small_day(), random_orders(SMALL_UNITS, ["Cable 3"], 3, 16)))
CIGRE = cigre_areas(with_orders(cigre_day(), random_orders(CIGRE_UNITS, ["Line 1-2", "Line 2-3"], 1, 16)))
STUDY = get_args(StudyQuestion | StudyReply)
Split = tuple[OperatorShare, dict[str, DsoShare]]


class Leaving(LettersHere):
    """One DSO that hears nothing once needs are asked for."""

    def __init__(self, shares: dict[str, DsoShare], leaves: str) -> None:
        super().__init__(shares)
        self.leaves, self.left = leaves, False

    def carried(self, name: str, written: bytes) -> bytes | None:
        """Nothing comes of letters to who has left."""
        return None if self.left and name == self.leaves else super().carried(name, written)

    def ask(self, questions: Sequence[tuple[str, Question]]) -> Sequence[Reply | Nonsense | None]:
        """One after the other."""
        self.left = self.left or any(isinstance(question, StudyNeeds) for _, question in questions)
        return super().ask(questions)


def by_letters(
    operator: OperatorShare, post: LettersHere, batches: Sequence[Batch] = ()
) -> tuple[JointSide, DayOutcome, MemoryLog]:
    """The market operator's side of the day."""
    owners: list[RemoteOwner] = operator.reached(post)
    scenario, _ = gather_bids(operator, owners)
    side, log = JointSide(scenario, [RemoteStudy(owner) for owner in owners]), MemoryLog()
    log.batches = list(batches)
    return side, Day(scenario, log, _Watch(), told=side).run(), log


def assert_the_same(apart: DayOutcome, together: DayOutcome) -> None:
    """Points, needs within 1 W per MW, factors and trades."""
    mine, theirs = apart.state.needs, together.state.needs
    assert dict(mine.points.items()) == dict(theirs.points.items()) != {}
    for name, row in theirs.needs_w.items():
        np.testing.assert_allclose(mine.needs_w[name], row, rtol=1e-6, atol=1.0)
    assert dict(mine.impacts_ppm.items()) == dict(theirs.impacts_ppm.items())
    assert trades_of(apart) == trades_of(together)


@pytest.mark.parametrize("texts", [SMALL, CIGRE], ids=["three levels", "CIGRE"])
def test_the_day_is_that_on_the_joined_grid(texts: Texts, tmp_path: Path) -> None:
    """In process; the three-level grid, a region above two that hang on each other, by letters too."""
    whole = Whole(texts, tmp_path)
    together, (operator, shares) = whole.run(), whole.split()
    scenario = msgspec.structs.replace(operator.scenario, orders=whole.scenario.orders)
    side = JointSide(scenario, [AreaStudy(*share) for share in shares.values()])
    apart = Day(scenario, MemoryLog(), _Watch(), told=side).run()
    assert (side.apart, side.silent) == ((), {})
    assert_the_same(apart, together)
    assert trades_of(together) or texts is CIGRE


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Whole, Split]:
    whole = Whole(SMALL, tmp_path_factory.mktemp("study"))
    return whole, whole.split()


def test_by_letters_it_is_the_same_day(small: tuple[Whole, Split]) -> None:
    """And its letters hold numbers of borders, points and a DSO's own resources, but nothing of the network."""
    whole, (operator, shares) = small
    post = LettersHere(shares)
    side, outcome, log = by_letters(operator, post)
    assert (side.apart, side.silent) == ((), {})
    assert_the_same(outcome, whole.run())
    points = {point.element for point in outcome.state.needs.points.values()}
    network = {*whole.grid.network.bus_names, *whole.grid.network.branch_names} - points
    messages = [message for message in (message_of(*letter) for letter in post.letters) if isinstance(message, STUDY)]
    assert {type(message) for message in messages} == set(STUDY)
    assert network.isdisjoint(text for message in messages for text in texts_in(message))
    traded = [n for n, b in enumerate(log.batches) if any(isinstance(e, TradeConcluded) for e in b)]
    post.start_operator()
    post.start("village")
    _, again, _ = by_letters(operator, post, log.batches[: traded[1]])
    assert again.state_hash == outcome.state_hash


def test_a_silent_dso_costs_its_own_area_only(small: tuple[Whole, Split]) -> None:
    _, (operator, shares) = small
    side, outcome, _ = by_letters(operator, Leaving(shares, "village"))
    assert list(side.silent) == ["Village"]
    own = {row.resource for row in shares["village"].scenario.resources}
    traded = {name for trade in trades_of(outcome) for name in (trade.leg.buy_unit, trade.leg.sell_unit)}
    assert traded
    assert traded.isdisjoint(own)
