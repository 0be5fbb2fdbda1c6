"""Nobody has the whole grid: what DSOs find together, by numbers at their borders, is what the joined grid says."""

from pathlib import Path

import numpy as np
import pytest
from tests.adapters.scenario_folder import Texts
from tests.app.grid_days import CIGRE_UNITS, SMALL_UNITS, _Watch, cigre_day, small_day
from tests.app.split_days import Whole, trades_of
from tests.app.test_grid_day_trades import cigre_areas, random_orders, three_levels, with_orders
from tests.market.small_market import MemoryLog

from flexpeer.app.day import Day
from flexpeer.app.day_split import without_grid
from flexpeer.app.study.area_study import area_studies
from flexpeer.app.study.grid_day import build
from flexpeer.app.study.joint_side import JointSide
from flexpeer.app.study.physical_side import margin_ppm
from flexpeer.app.views.outcome import DayOutcome

SMALL = three_levels(with_orders(small_day(), random_orders(SMALL_UNITS, ["Cable 3"], 3)))
CIGRE = cigre_areas(with_orders(cigre_day(), random_orders(CIGRE_UNITS, ["Line 1-2", "Line 2-3", "Line 3-8"], 1)))


def joint(whole: Whole) -> tuple[JointSide, Day]:
    """The same day by areas that each know their own grid."""
    studies = area_studies(whole.scenario, build(whole.scenario, whole.grid), margin_ppm(whole.scenario))
    home = {name: study.owner for study in studies for name in study.resources}
    scenario = without_grid(whole.scenario, home)
    side = JointSide(scenario, studies)
    return side, Day(scenario, MemoryLog(), _Watch(), told=side)


def points(outcome: DayOutcome) -> list[object]:
    return [outcome.state.needs.points[name] for name in sorted(outcome.state.needs.points)]


@pytest.mark.parametrize("texts", [SMALL, CIGRE], ids=["three levels", "CIGRE"])
def test_the_day_is_that_on_the_joined_grid(texts: Texts, tmp_path: Path) -> None:
    whole = Whole(texts, tmp_path)
    together = whole.run()
    side, day = joint(whole)
    apart = day.run()
    assert side.apart == ()
    assert points(apart) == points(together) != []
    for name, row in together.state.needs.needs_w.items():
        np.testing.assert_allclose(apart.state.needs.needs_w[name], row, rtol=1e-6, atol=1.0)
    assert dict(apart.state.needs.impacts_ppm.items()) == dict(together.state.needs.impacts_ppm.items())
    assert trades_of(apart) == trades_of(together) != []
