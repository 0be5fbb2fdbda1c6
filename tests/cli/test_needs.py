"""`flexpeer grid needs`: hour by hour, every voltage, at the least cost, and no more said than is known."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.adapters.scenario_folder import folder_of
from tests.app.grid_days import Day, small_day
from tests.cli.program import flexpeer

FIELD = Path(__file__).parents[1] / "field"
EVENING, NEXT = "2026-02-10T18:00+01:00", "2026-02-10T19:00+01:00"


def needs(folder: Path, code: int = 0) -> dict[str, Any]:
    answer = flexpeer("grid", "needs", folder, "--json")
    assert answer.code == code, answer
    return answer.object


def moved(found: dict[str, Any], hour: str) -> dict[str, int]:
    return {move["resource"]: move["change_w"] for move in found["moves"] if move["from"] == hour}


def copied(case: str, to: Path) -> Path:
    shutil.copytree(FIELD / case, to, dirs_exist_ok=True)
    return to


def replaced(folder: Path, file: str, *pairs: tuple[str, str]) -> None:
    text = (folder / file).read_text(encoding="utf-8")
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    (folder / file).write_text(text, encoding="utf-8")


def test_an_hour_that_cannot_be_relieved_changes_nothing_in_another() -> None:
    alone = needs(FIELD / "market-needs-one-stuck/alone")
    stuck = needs(FIELD / "market-needs-one-stuck/stuck", code=1)
    assert moved(alone, EVENING) == moved(stuck, EVENING) == {"F": 47_306}
    assert moved(stuck, NEXT) == {"F": 120_000}
    assert [(row["from"], row["out_of_reach"]) for row in stuck["left"]] == [(NEXT, True)]
    told = flexpeer("grid", "needs", FIELD / "market-needs-one-stuck/stuck").out
    assert "Not enough: past its limit whatever moves, T at 19:00." in told


def test_neither_orders_nor_columns_with_defaults_are_asked_for(tmp_path: Path) -> None:
    found = needs(FIELD / "market-needs-wants-orders/scenario")
    assert found == needs(FIELD / "market-needs-one-stuck/alone")
    folder = copied("market-needs-wants-orders/scenario", tmp_path / "bare")
    replaced(folder, "resources.csv", ("kind,", ""), ("E,,", "E,"))
    rows = (folder / "forecast.csv").read_text(encoding="utf-8").splitlines()
    assert rows[0].endswith(",q_var")
    (folder / "forecast.csv").write_text("".join(row.rpartition(",")[0] + "\n" for row in rows), encoding="utf-8")
    without = needs(folder)
    assert [need["from"] for need in without["needs"]] == [EVENING]
    assert without["needs"][0]["need_w"] < found["needs"][0]["need_w"]
    (folder / "orders.csv").write_text("not,orders\n", encoding="utf-8")
    assert needs(folder) == without


def test_two_lines_from_one_substation_have_a_voltage_point_each(tmp_path: Path) -> None:
    found = needs(FIELD / "market-one-voltage-point/scenario")
    assert {(row["congestion_point"], row["direction"]) for row in found["needs"]} == {("E1", "low"), ("E2", "low")}
    need = {row["congestion_point"]: row["need_w"] for row in found["needs"]}
    moves = moved(found, EVENING)
    assert moves["F1"] == pytest.approx(need["E1"], rel=2e-3)
    assert moves["F2"] == pytest.approx(need["E2"], rel=2e-3)
    folder = copied("market-one-voltage-point/scenario", tmp_path / "one")
    replaced(folder, "orders.csv", (",75,,,,", ",75,E2,,,"))
    done = flexpeer("run", folder, "--out", tmp_path / "out", "--json").object
    assert done["congestions_before"] == 2
    assert done["congestions_after"] == 1


def one_line(to: Path) -> Path:
    """E2 behind E1 instead of beside it."""
    folder = copied("market-one-voltage-point/scenario", to)
    near = '"from": "S", "to": "E1", "r_ohm": 12, "x_ohm": 6'
    far, behind = '"from": "S", "to": "E2", "r_ohm": 12, "x_ohm": 6', '"from": "E1", "to": "E2", "r_ohm": 2, "x_ohm": 1'
    replaced(folder, "grid.json", (near, near.replace("12", "6.5")), (far, behind))
    return folder


def test_buses_along_one_line_have_one_point(tmp_path: Path) -> None:
    found = needs(one_line(tmp_path / "scenario"))
    assert {row["congestion_point"] for row in found["needs"]} == {"E2"}
    assert not found["left"]
    done = flexpeer("run", tmp_path / "scenario", "--out", tmp_path / "out", "--json").object
    assert done["congestions_before"] == 2


def test_a_point_has_the_need_of_all_the_buses_that_it_stands_for(tmp_path: Path) -> None:
    """With a narrower band E1 is further past it than what brings E2 back would undo: the point at E2 says so."""
    folder = one_line(tmp_path)
    wide = needs(folder)
    (folder / "voltage_bands.csv").write_text(f"bus,from,to,v_min_pu,v_max_pu\nE1,{EVENING},{NEXT},0.9115,\n", "utf-8")
    narrow = needs(folder)
    assert {row["congestion_point"] for row in narrow["needs"]} == {"E2"}
    assert narrow["needs"][0]["need_w"] > 1.02 * wide["needs"][0]["need_w"]


def with_costs(texts: dict[str, str], **costs: str) -> dict[str, str]:
    head, *rows = texts["resources.csv"].splitlines()
    priced = [f"{row},{costs.get(row.split(',')[0], '')}" for row in rows]
    return texts | {"resources.csv": "\n".join([head + ",cost", *priced, ""])}


def test_the_least_cost_takes_the_cheaper_and_says_what_it_costs(tmp_path: Path) -> None:
    power = needs(folder_of(small_day(), tmp_path / "power"))
    assert power["cost"] is None
    named = {move["resource"] for move in power["moves"]}
    assert len(named) == 1
    (dear,) = named
    costs = {"WA": "30", "WB": "30", "WC": "30"} | {dear: "300"}
    money = needs(folder_of(with_costs(small_day(), **costs), tmp_path / "money"))
    assert dear not in {move["resource"] for move in money["moves"]}
    assert money["moved_wh"] >= power["moved_wh"]
    assert money["cost"] == pytest.approx(30 * money["moved_wh"] / 1e6)
    assert money["cost"] < 300 * power["moved_wh"] / 1e6
    assert sum(move["cost"] for move in money["moves"]) == pytest.approx(money["cost"])
    told = flexpeer("grid", "needs", tmp_path / "money").out
    assert "Least cost" in told
    assert "cost, SEK" in told
    assert "2026-01-15T12:00+01:00" in told
    assert f"{money['cost']:,.2f} SEK" in told


def test_who_states_no_cost_moves_last(tmp_path: Path) -> None:
    found = needs(folder_of(with_costs(small_day(), WC="900"), tmp_path))
    assert {move["resource"] for move in found["moves"]} == {"WC"}


def test_a_rated_branch_stated_by_hand_is_the_point_that_is_found(tmp_path: Path) -> None:
    head = "congestion_point,element,direction,limit_w\n"
    stated = small_day() | {"congestion_points.csv": head + "Cable 3,Cable 3,export,\n"}
    by_hand, found = Day(stated, tmp_path / "hand"), Day(small_day(), tmp_path / "found")
    (point,) = by_hand.outcome.points
    assert any(point.need_w)
    assert by_hand.outcome.points == found.outcome.points
    assert by_hand.outcome.start_w == found.outcome.start_w


@pytest.mark.parametrize("element", ["Overlying grid", "Cable 4"])
def test_what_has_no_rating_needs_a_limit(element: str, tmp_path: Path) -> None:
    head = "congestion_point,element,direction,limit_w\n"
    texts = small_day() | {"congestion_points.csv": head + f"P,{element},export,\n"}
    texts["grid.json"] = texts["grid.json"].replace('"b_us": 120, "rating_a": 250', '"b_us": 120')
    answer = flexpeer("grid", "needs", folder_of(texts, tmp_path))
    assert answer.code == 2
    assert f"there is no limit, and '{element}' has no rating" in answer.err.replace("\n", " ")
