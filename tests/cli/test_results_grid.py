"""What `flexpeer run` promises with a grid."""

import csv
import json
from pathlib import Path

import pytest
from tests.adapters.scenario_folder import Texts, folder_of
from tests.adapters.test_gridfile_csv import write
from tests.app.grid_days import SMALL_GRID, Ask, cigre_day, orders, small_day
from tests.cli.program import flexpeer

from flexpeer.adapters.newton import name_and_version

SWAPS = [
    Ask("HB", "SELL", 2_000_000, 200, "Cable 3"),
    Ask("WA", "BUY", 700_000, 400, "Cable 3"),
    Ask("WC", "BUY", 300_000, 350, "Cable 3"),
]


def run(texts: Texts, folder: Path) -> Path:
    answer = flexpeer("run", folder_of(texts, folder / "in"), "--out", folder / "out", "--json")
    assert answer.code == 0, answer.err
    assert answer.object == json.loads((folder / "out" / "result.json").read_text(encoding="utf-8"))
    return folder / "out"


def test_a_day_on_a_grid(tmp_path: Path) -> None:
    out = run(small_day() | {"orders.csv": orders(SWAPS)}, tmp_path)
    result = json.loads((out / "result.json").read_text(encoding="utf-8"))
    assert (result["congestions_before"], result["congestions_after"], result["worsened_by_market"]) == (4, 0, 0)
    assert result["max_loading_percent_before"] == pytest.approx(111.309, abs=1e-3)
    assert result["max_loading_percent_after"] <= 100.0001
    assert 0.95 <= result["min_voltage_pu_after"] <= 1.06
    assert result["verified_by"] == name_and_version()
    assert result["verification_difference_pu"] < 1e-7
    assert result["trades"] == 2
    assert flexpeer("replay", out / "events.log", "--json").object["state_hash"] == result["state_hash"]


def test_the_story_is_told_to_people(tmp_path: Path) -> None:
    scenario = folder_of(small_day() | {"orders.csv": orders(SWAPS)}, tmp_path / "in")
    told = flexpeer("run", scenario, "--out", tmp_path / "out")
    assert told.code == 0
    for words in ("Cable 3", "made nothing worse", "2 trades", "WA", str(tmp_path / "out")):
        assert words in told.out.replace("\n", "")


def test_needs_are_listed_for_every_mtu(tmp_path: Path) -> None:
    out = run(cigre_day(), tmp_path)
    with (out / "needs.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * 24
    assert {row["element"] for row in rows} == {"Line 1-2", "Line 2-3", "Line 3-8", "Line 7-8"}
    assert all((int(row["need_w"]) > 0) == (row["from"][11:13] in ("10", "11", "12", "13")) for row in rows)


def test_a_grid_without_any_rating(tmp_path: Path) -> None:
    """Nothing is loaded where nothing has a rating: null, not NaN."""
    grid = json.loads(SMALL_GRID)
    for branch in grid["branches"]:
        branch["rating_a"] = None
    grid["branches"].append(
        {"name": "T1", "from": "Substation", "to": "Busbar", "kind": "bank", "r_ohm": 0.1, "x_ohm": 1.9}
    )
    del grid["transformers"]
    out = run(small_day() | {"grid.json": json.dumps(grid)}, tmp_path)
    result = json.loads((out / "result.json").read_text(encoding="utf-8"))
    assert result["max_loading_percent_before"] is None
    assert result["max_loading_percent_after"] is None


def test_the_same_day_twice_is_the_same_log(tmp_path: Path) -> None:
    texts = small_day() | {"orders.csv": orders(SWAPS)}
    first, second = run(texts, tmp_path / "1"), run(texts, tmp_path / "2")
    assert (first / "events.log").read_bytes() == (second / "events.log").read_bytes()


def test_a_grid_in_a_folder_of_csv_files(tmp_path: Path) -> None:
    """The same grid in another format is the same day."""
    texts = small_day() | {"orders.csv": orders(SWAPS)}
    in_json = run(texts, tmp_path / "json")
    texts["scenario.toml"] = texts["scenario.toml"].replace('"grid.json"', '"grid"')
    del texts["grid.json"]
    write(folder_of(texts, tmp_path / "csv" / "in") / "grid", json.loads(SMALL_GRID))
    in_csv = run(texts, tmp_path / "csv")
    hashes = [json.loads((out / "result.json").read_text())["state_hash"] for out in (in_json, in_csv)]
    assert hashes[0] == hashes[1]


def test_grid_check(tmp_path: Path) -> None:
    (tmp_path / "grid.json").write_text(SMALL_GRID, encoding="utf-8")
    found = flexpeer("grid", "check", tmp_path / "grid.json", "--json")
    assert found.code == 0
    assert (found.object["buses"], found.object["branches"], found.object["converged"]) == (6, 5, True)
    assert any("Island" in finding for finding in found.object["findings"])
    heavy = SMALL_GRID.replace('"sources"', '"injections": [{"bus": "C", "p_w": -900000000}], "sources"')
    (tmp_path / "heavy.json").write_text(heavy, encoding="utf-8")
    assert flexpeer("grid", "check", tmp_path / "heavy.json", "--json").code == 1
    (tmp_path / "broken.json").write_text(SMALL_GRID[:99], encoding="utf-8")
    for name in ("broken.json", "nowhere.json"):
        answer = flexpeer("grid", "check", tmp_path / name, "--json")
        assert answer.code == 2
        assert name in answer.object["findings"][0]["where"]
    assert flexpeer("grid", "check", tmp_path / "heavy.json").code == 1
    assert flexpeer("grid", "check", "cigre_mv").code == 0
