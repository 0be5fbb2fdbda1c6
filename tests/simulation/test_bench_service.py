"""What the benchmark of a service serves."""

from pathlib import Path

import pytest

from flexpeer.bench_service import CASES, _write
from flexpeer.bootstrap import read_whole


@pytest.mark.parametrize("case", CASES)
def test_every_case_is_a_scenario_that_can_be_served(case: str, tmp_path: Path) -> None:
    given = CASES[case].case()
    _write(given, tmp_path / "scenario")
    scenario, grid = read_whole(tmp_path / "scenario")
    assert scenario.resources == given.scenario.resources
    assert (grid is None) == (given.grid is None)
