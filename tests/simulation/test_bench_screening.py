"""Random trades at the edge of limits: verdicts beside Newton's, and the rows a benchmark prints."""

import pytest
from tests.cli.program import flexpeer

from flexpeer.bootstrap import _newton_state
from flexpeer.simulation.bench_screening import false_verdicts, trials


@pytest.mark.parametrize("name", [name for name in trials() if not name.startswith("1,")])
def test_no_verdict_on_random_trades_is_false(name: str) -> None:
    found = false_verdicts(trials()[name](), 1_500, 5, _newton_state)
    assert found["grants"] + found["refusals"] == 1_500
    assert min(found["grants"], found["refusals"]) > 50
    assert found["false_grants"] == 0
    assert found["false_refusals"] <= 0.02 * found["refusals"]


def test_cases_begin_with_the_number_of_buses() -> None:
    for name, make in trials().items():
        if not name.startswith("1,"):
            assert make().network.bus_count == int(name.split(" ")[0])


def test_an_unknown_case_is_told_with_the_known_ones() -> None:
    answer = flexpeer("bench", "screening", "--case", "7 buses, screening", "--json")
    assert answer.code == 2
    assert "1,099 buses, screening" in answer.out
