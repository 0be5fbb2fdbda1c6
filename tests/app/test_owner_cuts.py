"""Owners' tangents joined at borders are those of the whole grid, which none of them sees."""

from pathlib import Path

import numpy as np
import pytest
from tests.app.grid_days import SMALL_UNITS, Day, small_day
from tests.app.test_grid_day_trades import random_orders, three_levels, with_orders

from flexpeer.app.granting.grid_coordinator import GridCoordinator
from flexpeer.app.granting.owner_cuts import OwnerCuts
from flexpeer.app.ports import LimitRow
from flexpeer.app.study.grid_cuts import GridCuts

MOST_W = 3e6


def vector(row: LimitRow, names: list[str]) -> np.ndarray:
    return np.array([row.slopes.get(name, 0.0) for name in names])


def nearest(row: LimitRow, others: list[LimitRow], names: list[str]) -> tuple[float, float]:
    """How far the slopes and the room of the most similar row in its MTU are, as fractions."""
    here = vector(row, names)
    found = [
        (float(np.abs(vector(other, names) - here).max()), abs(other.room_w - row.room_w))
        for other in others
        if other.mtu == row.mtu
    ]
    return min(found, default=(np.inf, np.inf))


@pytest.mark.parametrize("seed", range(4))
def test_tangents_of_three_areas_are_those_of_the_whole(seed: int, tmp_path: Path) -> None:
    day = Day(three_levels(with_orders(small_day(), random_orders(SMALL_UNITS, ["Cable 1"], seed, 6))), tmp_path)
    owners, rng = day.owners, np.random.default_rng(seed)
    assert isinstance(owners, GridCoordinator)
    assert day.market.physical is not None
    names = sorted(day.market.market.state.participants.resources)
    moves = {name: np.round(rng.uniform(-MOST_W, MOST_W, 24)) for name in names}
    joined = list(OwnerCuts(owners.borders).violated(moves))
    whole = list(GridCuts(day.market.physical.grid, day.market.after_w()).violated(moves))
    assert len(whole) >= 2
    for row in whole:
        slopes, room_w = nearest(row, joined, names)
        assert slopes < 0.03
        assert room_w < 0.03 * MOST_W


def test_without_moves_nothing_is_passed(tmp_path: Path) -> None:
    day = Day(three_levels(small_day()), tmp_path)
    owners = day.owners
    assert isinstance(owners, GridCoordinator)
    nothing = {name: np.zeros(24) for name in day.market.market.state.participants.resources}
    assert list(OwnerCuts(owners.borders).violated(nothing)) == []
