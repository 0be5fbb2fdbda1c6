"""Variants: each row is what a run of its own says, in this process or another, and one that fails says why."""

import csv
import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from tests.adapters.scenario_folder import folder_of, swap_hour
from tests.cli.program import flexpeer as program

import flexpeer
from flexpeer.library import variants
from flexpeer.library.days import PlannedDay
from flexpeer.library.variants import _Process, outcome_of, sweep

PRIORITIES, TICKS = ["time", "price_time"], [1, 1_000_000, 4_000_000]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of(swap_hour(), tmp_path_factory.mktemp("sweep"))


@pytest.fixture(scope="module")
def balanced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scenario that can run with balanced exchange only."""
    texts = {name: text for name, text in swap_hour().items() if name.partition("_")[0] not in ("congestion", "impact")}
    texts["scenario.toml"] += 'exchange = "balanced"\n'
    texts["orders.csv"] = texts["orders.csv"].splitlines()[0] + "\n"
    return folder_of(texts, tmp_path_factory.mktemp("balanced"))


def nobody(_done: int, _total: int) -> None:
    """Progress that nobody looks at."""


def test_each_row_is_a_run_of_its_own(folder: Path) -> None:
    day = flexpeer.read(folder)
    told: list[tuple[int, int]] = []
    rows = sweep(
        day, {"priority": PRIORITIES, "quantity_tick_w": TICKS}, 1, lambda done, total: told.append((done, total))
    )
    assert [(row["priority"], row["quantity_tick_w"]) for row in rows] == list(product(PRIORITIES, TICKS))
    assert [row["variant"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert told == [(done, 6) for done in range(1, 7)]
    for row in rows:
        alone = day.run(rulebook={rule: row[rule] for rule in ("priority", "quantity_tick_w")})
        assert (row["state_hash"], row["welfare"], row["trades"]) == (
            alone.state_hash,
            alone.welfare,
            alone.figures["trades"],
        )
        assert row["kpi.opex"] == alone.kpi["opex"]
        assert row["error"] is None
    assert len({row["state_hash"] for row in rows}) == 6
    assert not {"conduct", "notes", "timings_s"} & set(rows[0])


def test_the_table_is_a_frame_with_a_row_for_each(folder: Path) -> None:
    pytest.importorskip("pandas", reason="the extra `frames`")
    frame = flexpeer.read(folder).sweep(priority=PRIORITIES, quantity_tick_w=TICKS)
    assert frame.shape[0] == 6
    assert list(frame.columns[:3]) == ["variant", "priority", "quantity_tick_w"]
    assert frame.columns[-1] == "error"
    assert frame["welfare"].dtype == "float64"


def test_a_variant_that_fails_is_a_row_that_says_why(balanced: Path, tmp_path: Path) -> None:
    answer = program("sweep", balanced, "--rule", "exchange=neutral,balanced", "--out", tmp_path / "rows.csv", "--json")
    assert answer.code == 1
    neutral, one_to_one = answer.object["rows"]
    assert neutral["error"].startswith("run [rulebook.exchange]: with neutral a scenario without a grid needs")
    assert set(neutral) == {"variant", "exchange", "error"}
    assert (one_to_one["trades"], one_to_one["error"]) == (0, None)
    with (tmp_path / "rows.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["exchange"], row["trades"], row["error"]) for row in rows] == [
        ("neutral", "", neutral["error"]),
        ("balanced", "0", ""),
    ]
    told = program("sweep", balanced, "--rule", "exchange=neutral")
    assert told.code == 1
    assert "failed" in told.out
    assert "Variant 1: run [rulebook.exchange]" in " ".join(told.out.split())


def test_whatever_ends_a_variant_is_its_row(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("of all things")

    day = flexpeer.read(folder)
    monkeypatch.setattr(PlannedDay, "run", broken)
    assert outcome_of(day, {}) == {"error": "ZeroDivisionError: of all things"}


def test_what_is_no_rule_or_value_is_one_error_before_anything_runs(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(flexpeer.BadInput) as error:
        flexpeer.read(folder).sweep(priority=["time", "rank"], kindness=[1], price_cap=[100, 0.001], cliff_percent=[])
    fields = [finding.field.removeprefix("rulebook.") for finding in error.value.findings]
    assert fields == ["priority", "kindness", "price_cap", "cliff_percent"]
    for rules in (["priority"], ["priority=time", "priority=price_time"], ["=1"], ["priority="], ["price_cap=1e3"]):
        answer = program("sweep", folder, *(word for rule in rules for word in ("--rule", rule)), "--json")
        assert (answer.code, answer.object["error"]) == (2, "bad input"), rules
    assert program("sweep", folder, "--rule", "priority=time", "--out", tmp_path).code == 2
    assert program("sweep", folder, "--rule", "priority=time", "--out", tmp_path / "no" / "rows.csv").code == 2


def test_the_command_tells_what_the_library_does(folder: Path, tmp_path: Path) -> None:
    answer = program("sweep", folder, "--rule", "priority=time,price_time", "--rule", "price_cap=350.5,-1", "--json")
    assert answer.code == 0
    rows = sweep(flexpeer.read(folder), {"priority": PRIORITIES, "price_cap": [350.5, -1]}, 1, nobody)
    assert answer.object["rows"] == json.loads(json.dumps(rows))
    out = tmp_path / "rows.csv"
    told = program("sweep", folder, "--rule", "priority=time", "--out", out)
    assert told.code == 0
    assert "All figures are in" in told.out
    assert out.read_text(encoding="utf-8").count("\n") == 2


def test_processes_of_their_own_say_the_same_and_one_that_is_killed_says_so(folder: Path) -> None:
    """One process is enough to see both: it is killed between two variants."""
    day, process = flexpeer.read(folder), _Process(folder)
    try:
        here = outcome_of(day, {"priority": "time"})
        assert process.run({"priority": "time"}) == here
        assert process._pool is not None
        for each in list(process._pool._processes.values()):
            each.kill()
            each.join()
        assert "its process ended" in process.run({"priority": "time"})["error"]
        assert process._pool is None, "the next variant gets a new one"
    finally:
        process.close()


class Pretended:
    """A process whose rows are known."""

    def __init__(self, _folder: Path) -> None:
        self.closed = False

    def run(self, rules: dict[str, Any]) -> dict[str, Any]:
        return {"welfare": rules["quantity_tick_w"], "error": None}

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(("worth", "elsewhere"), [(0.0, 2), (1e9, 0)])
def test_processes_are_started_where_that_is_sooner(
    folder: Path, monkeypatch: pytest.MonkeyPatch, worth: float, elsewhere: int
) -> None:
    monkeypatch.setattr(variants, "WORTH_A_START_S", worth)
    monkeypatch.setattr(variants, "_Process", Pretended)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    rows = sweep(flexpeer.read(folder), {"quantity_tick_w": TICKS}, None, nobody)
    assert [row["quantity_tick_w"] for row in rows] == TICKS
    assert sum(row["welfare"] == row["quantity_tick_w"] for row in rows) == elsewhere
