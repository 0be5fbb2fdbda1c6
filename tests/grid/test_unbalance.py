"""The fullest phase of a low-voltage area, from injections that name their phase."""

import json
from pathlib import Path

import pytest
from tests.cli.program import flexpeer

from flexpeer.grid.assembly import BusRow, GridRows, InjectionRow
from flexpeer.grid.unbalance import unbalances


def rows(*injections: InjectionRow) -> GridRows:
    buses = (BusRow("S", 20.0), BusRow("A1", 0.4, area="A"), BusRow("A2", 0.4, area="A"), BusRow("B1", 0.4, area="B"))
    return GridRows(buses, (), (), (), injections)


def test_the_fullest_phase_is_above_the_mean() -> None:
    found = unbalances(
        rows(
            InjectionRow("A1", -6e3, 0.0, "a"),
            InjectionRow("A2", -3e3, 0.0, "b"),
            InjectionRow("A2", -9e3, 0.0),
            InjectionRow("B1", -5e3, 0.0),
            InjectionRow("S", -5e6, 0.0, "c"),
        )
    )
    [(area, percent)] = found
    assert area == "A"
    assert percent == pytest.approx(100.0 * (3 * 9e3 / 18e3 - 1))


def test_equal_phases_have_none_and_one_phase_alone_has_all() -> None:
    equal = unbalances(rows(*(InjectionRow("A1", -1e3, 0.0, phase) for phase in "abc")))
    assert equal[0].current_percent == pytest.approx(0.0)
    assert unbalances(rows(InjectionRow("B1", 2e3, 0.0, "c")))[0].current_percent == pytest.approx(200.0)
    assert unbalances(rows()) == ()


def test_grid_check_tells_it_and_refuses_other_phases(tmp_path: Path) -> None:
    grid = {
        "format": "flexpeer-grid-1",
        "buses": [{"name": "S", "v_kv": 0.4}, {"name": "H", "v_kv": 0.4, "area": "Village"}],
        "branches": [{"name": "Cable", "from": "S", "to": "H", "r_ohm": 0.05, "x_ohm": 0.02, "rating_a": 100}],
        "sources": [{"name": "Grid", "bus": "S"}],
        "injections": [{"bus": "H", "p_w": -3000, "phase": "a"}, {"bus": "H", "p_w": -6000}],
    }
    path = tmp_path / "grid.json"
    path.write_text(json.dumps(grid))
    found = flexpeer("grid", "check", path, "--json").object
    assert found["converged"]
    assert any("area Village" in told and "67 %" in told for told in found["findings"])
    grid["injections"] = [{"bus": "H", "p_w": -3000, "phase": "n"}]
    path.write_text(json.dumps(grid))
    refused = flexpeer("grid", "check", path, "--json")
    assert refused.code == 2
    assert "phase" in refused.out
