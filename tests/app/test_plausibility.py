"""Inputs that nobody can have meant are said, wherever a result rests on them; plausible days have no warning."""

import json
import re
from pathlib import Path

import pytest
from tests.adapters.scenario_folder import HOURS, Texts, folder_of, swap_hour
from tests.app.grid_days import small_day
from tests.cli.program import flexpeer

from flexpeer.adapters.scenario_files import read_scenario
from flexpeer.app.study.plausibility import flow_warnings, input_warnings

PLAIN = re.compile("No congestion is expected|No limit is passed: nothing|No relief is missing\\.")


def without_thousands(text: str, columns: tuple[str, ...]) -> str:
    """Kilowatts in columns of watts."""
    header, *rows = [line.split(",") for line in text.splitlines()]
    at = [place for place, name in enumerate(header) if name in columns]
    for row in rows:
        for place in at:
            row[place] = row[place][:-3] if row[place].endswith("000") else row[place]
    return "\n".join(map(",".join, [header, *rows])) + "\n"


def in_kw(texts: Texts, file: str, *columns: str) -> Texts:
    return texts | {file: without_thousands(texts[file], columns)}


def zero(texts: Texts, of: str = "") -> Texts:
    rows = re.sub(rf"(,{of}[^,\n]*),-?\d+,", r"\1,0,", texts["forecast.csv"])
    return texts | {"forecast.csv": rows}


def header_only(texts: Texts) -> Texts:
    return texts | {"forecast.csv": texts["forecast.csv"].splitlines()[0] + "\n"}


def less_calm(texts: Texts) -> Texts:
    """Without obligations, which a smaller forecast has no room for."""
    less = {name: text for name, text in texts.items() if name != "allocations.csv"}
    return less | {"resources.csv": less["resources.csv"].replace("-20000000,-20000000", "-20000000,0")}


def run(texts: Texts, folder: Path) -> tuple[dict[str, object], str, str]:
    scenario = folder_of(texts, folder / "scenario")
    told = flexpeer("run", scenario, "--out", folder / "out")
    assert told.code == 0, told.err
    result = json.loads((folder / "out" / "result.json").read_text(encoding="utf-8"))
    return result, told.out, (folder / "out" / "report.html").read_text(encoding="utf-8")


IMPLAUSIBLE = [
    (in_kw(swap_hour(), "forecast.csv", "p_w"), "a thousandth of the range or less is forecast all day for W1, W2, W3"),
    (
        in_kw(swap_hour(), "orders.csv", "quantity_w"),
        "5 of 5 orders are a thousandth of a range or less (A: 10,000 W of",
    ),
    (header_only(swap_hour()), "the forecast is empty"),
    (zero(swap_hour()), "the forecast is 0 throughout"),
    (zero(swap_hour(), "W"), "load and nothing that injects, though W1, W2, W3 could"),
    (
        swap_hour()
        | {"congestion_points.csv": swap_hour()["congestion_points.csv"].replace("60000000", "60000000000")},
        "nothing comes near the limit of Export: at most 80,000,000 W of 60,000,000,000 W",
    ),
    (
        swap_hour() | {"congestion_points.csv": swap_hour()["congestion_points.csv"].replace("60000000", "60000")},
        "the limit of Export is a hundredth of what flows or less: 60,000 W of 80,000,000 W",
    ),
    (
        swap_hour() | {"orders.csv": swap_hour()["orders.csv"].replace(",5000000,", ",50000000000,")},
        "1 orders are a thousand times a range or more (D: 50,000,000,000 W of 10,000,000 W)",
    ),
]


@pytest.mark.parametrize(("texts", "warning"), IMPLAUSIBLE, ids=[warning[:30] for _, warning in IMPLAUSIBLE])
def test_an_implausible_day_says_so_everywhere(tmp_path: Path, texts: Texts, warning: str) -> None:
    result, terminal, report = run(less_calm(texts), tmp_path)
    warnings = result["warnings"]
    assert isinstance(warnings, list)
    assert any(warning in each for each in warnings), warnings
    flat = " ".join(terminal.split())
    for each in warnings:
        assert f"Warning: {each}." in flat
        assert each.replace("'", "&#39;").split("'")[0] in report
    assert not PLAIN.search(terminal)
    assert "No congestion is expected" not in report


def test_a_plausible_day_has_no_warning(tmp_path: Path) -> None:
    result, terminal, report = run(swap_hour(), tmp_path)
    assert result["warnings"] == []
    assert "Warning" not in terminal
    assert "Warning:" not in report


@pytest.mark.parametrize(
    ("changed", "warning"),
    [
        (in_kw(small_day(), "forecast.csv", "p_w"), "a thousandth of the range or less is forecast"),
        (header_only(small_day()), "the forecast is empty"),
        (zero(small_day()), "the forecast is 0 throughout"),
    ],
)
def test_needs_of_an_implausible_day(tmp_path: Path, changed: Texts, warning: str) -> None:
    folder = folder_of(changed, tmp_path)
    found = flexpeer("grid", "needs", folder, "--json").object
    assert any(warning in each for each in found["warnings"])
    told = flexpeer("grid", "needs", folder)
    assert "Warning: " in told.out
    assert not PLAIN.search(told.out)


def test_a_plausible_grid_has_no_warning(tmp_path: Path) -> None:
    assert flexpeer("grid", "needs", folder_of(small_day(), tmp_path), "--json").object["warnings"] == []


def test_what_no_grid_can_carry_is_told_with_the_reason(tmp_path: Path) -> None:
    texts = small_day()
    header, *rows = [line.split(",") for line in texts["forecast.csv"].splitlines()]
    place = header.index("p_w")
    for row in rows:
        row[place] += "000" if row[0] == HOURS[12] and row[place] != "0" else ""
    texts["forecast.csv"] = "\n".join(map(",".join, [header, *rows])) + "\n"
    ranges = [line.split(",") for line in texts["resources.csv"].splitlines()]
    for name in ("p_min_w", "p_max_w"):
        at = ranges[0].index(name)
        for row in ranges[1:]:
            row[at] += "000" if row[at] != "0" else ""
    texts["resources.csv"] = "\n".join(map(",".join, ranges)) + "\n"
    found = flexpeer("grid", "needs", folder_of(texts, tmp_path), "--json")
    assert found.code == 2
    problems = [finding["problem"] for finding in found.object["findings"]]
    assert "no solution" in problems[0]
    assert any("times what the branches at its bus carry" in each for each in problems[1:])


def test_only_stated_limits_of_flows_are_judged(tmp_path: Path) -> None:
    scenario = read_scenario(folder_of(swap_hour(), tmp_path))
    assert input_warnings(scenario, None) == ()
    assert flow_warnings(scenario, {"Found": ((1.0,), (1e9,))}, None) == ()
    assert flow_warnings(scenario, {"Export": ((6e5, -1.0), (6e7, 6e7))}, None) != ()
    assert flow_warnings(scenario, {"Export": ((6.1e5, -1.0), (6e7, 6e7))}, None) == ()
