import sys
from dataclasses import replace

import numpy as np
import pytest
from tests.cli.program import flexpeer

from flexpeer.errors import BadInput
from flexpeer.grid.cigre import cigre_mv
from flexpeer.simulation import bench_grid
from flexpeer.simulation.bench_grid import case_rows, rows
from flexpeer.simulation.bench_grid_cases import COMPOSED, MTUS, GridCase, cases, injections
from flexpeer.simulation.rivals import ENGINES, OURS

COLUMNS = {
    "case",
    "engine",
    "version",
    "median_s",
    "per_second",
    "ratio_to_ours",
    "peak_memory_bytes",
    "max_voltage_difference_pu",
    "lower_bound",
}
AGREED_PU = 1e-6
RIVALS = ("lightsim2grid", "pandapower", "simbench")


def tiny(*, whole: bool) -> GridCase:
    """CIGRE MV with what rivals model in their own ways: taps, shifts, magnetising branches, shunts, open lines."""
    grid = cigre_mv()
    network = grid.network
    units = np.array(network.branch_kinds) == "transformer"
    changed = replace(
        network,
        tap=np.where(units, 0.97, 1.0),
        shift_rad=np.where(units, np.pi / 6.0, 0.0),
        g_pu=np.where(units, 2e-3, network.g_pu),
        b_pu=np.where(units, -5e-3, network.b_pu),
    )
    return GridCase("15 buses, test", changed, *injections(grid, 0.6, 6, 1), whole)


def silent(_text: str) -> None:
    """Tell nobody."""


def test_every_engine_solves_the_same_problem() -> None:
    told: list[str] = []
    found = case_rows(tiny(whole=True), told.append)
    installed = [name for name, engine in ENGINES.items() if engine.installed()]
    assert [row["engine"] for row in found] == installed
    assert found[0]["engine"] == OURS
    assert found[0]["ratio_to_ours"] == 1.0
    for row in found:
        assert row.keys() == COLUMNS
        assert row["median_s"] > 0.0
        assert row["peak_memory_bytes"] > 10_000_000
        assert row["max_voltage_difference_pu"] < AGREED_PU
        assert not row["lower_bound"]
    assert told == [f"15 buses, test: {name}" for name in installed]


@pytest.mark.usefixtures("alone")
def test_an_engine_that_takes_too_long_is_stopped_and_its_row_is_a_bound() -> None:
    for row in case_rows(tiny(whole=False), silent, limit_s=1e-4):
        assert row["lower_bound"]
        assert row["median_s"] == 1e-4
        assert row["peak_memory_bytes"] > 10_000_000
        assert row["max_voltage_difference_pu"] < AGREED_PU


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No rival is installed but the one that flexpeer needs anyway."""
    for module in RIVALS:
        monkeypatch.setitem(sys.modules, module, None)


@pytest.mark.usefixtures("alone")
def test_missing_rivals_are_told_and_ours_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_grid, "cases", lambda _published: {"15 buses, test": lambda: tiny(whole=False)})
    shown = flexpeer("bench", "grid", "--case", "15 buses, test", "--json").object
    assert shown["missing"] == list(RIVALS)
    assert [row["engine"] for row in shown["rows"]] == [
        "flexpeer",
        "power-grid-model, Newton",
        "power-grid-model, iterative current",
    ]
    table = flexpeer("bench", "grid", "--case", "15 buses, test")
    assert "| flexpeer |" in table.out
    assert "not installed: lightsim2grid, pandapower, simbench (make bench-deps)" in table.err


def test_an_unknown_case_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadInput, match="1,099 buses, power flow, year"):
        rows(None, silent, "1 bus")


def test_names_begin_with_the_number_of_buses() -> None:
    assert list(cases(None)) == [name for name, *_ in COMPOSED]
    for name, compose, periods, _whole in COMPOSED:
        assert name.startswith(f"{compose()[0].network.bus_count:,} buses, power flow, ")
        assert periods in (96, 35_136) or periods > 10_000


def test_injections_are_those_of_the_seed_and_turn_around_at_noon() -> None:
    grid = cigre_mv()
    (p_w, q_var), (again, _), (other, _) = (injections(grid, 0.5, 2 * MTUS, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(p_w, again)
    assert (p_w != other).any()
    loaded = (grid.p_w != 0.0) | (grid.q_var != 0.0)
    assert not p_w[~loaded].any()
    assert not q_var[~loaded].any()
    noon, evening = p_w[loaded, MTUS // 2], p_w[loaded, 74]
    assert (noon > 0.0).any()
    assert (evening < 0.0).all()
