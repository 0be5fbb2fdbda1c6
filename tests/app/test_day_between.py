"""A market day between organisations is the day of one process, and what happens when one is silent or starts again."""

from pathlib import Path

import pytest
from tests.app.grid_days import CIGRE_UNITS, SMALL_UNITS, cigre_day, small_day
from tests.app.split_days import LettersHere, Whole, run_split, trades_of
from tests.app.test_grid_day_trades import AREA_CASES, cigre_areas, random_orders, with_orders


@pytest.mark.parametrize("areas", AREA_CASES)
@pytest.mark.parametrize("seed", range(2))
def test_the_trades_are_those_of_one_process(areas: str, seed: int, tmp_path: Path) -> None:
    texts = AREA_CASES[areas](with_orders(small_day(), random_orders(SMALL_UNITS, ["Cable 3"], seed)))
    whole = Whole(texts, tmp_path)
    operator, shares = whole.split()
    outcome, owners = run_split(operator, LettersHere(shares))
    expected = whole.run()
    assert trades_of(expected)
    assert trades_of(outcome) == trades_of(expected)
    assert outcome.refusals == expected.refusals
    assert outcome.after_w == expected.after_w
    assert outcome.state.needs.needs_w == expected.state.needs.needs_w
    assert not any(owner.undelivered or owner.lost for owner in owners)


def test_on_cigre_too(tmp_path: Path) -> None:
    points = ["Line 1-2", "Line 2-3", "Line 3-8", "Line 7-8"]
    whole = Whole(cigre_areas(with_orders(cigre_day(), random_orders(CIGRE_UNITS, points, 1))), tmp_path)
    operator, shares = whole.split()
    outcome, _ = run_split(operator, LettersHere(shares))
    assert trades_of(outcome) == trades_of(whole.run()) != []
