"""What `flexpeer run` promises: files, columns, keys, types, exit status; and that a log leads to the same state."""

import csv
import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.adapters.scenario_folder import NOON, ONE, Texts, folder_of, swap_hour
from tests.cli.program import PROGRESS, Answer, everything_in, flexpeer

COLUMNS = {
    "trades.csv": [
        "trade", "order_buy", "order_sell", "congestion_point", "from", "to", "quantity_buy_w", "quantity_sell_w",
        "price", "amount",
    ],
    "schedules.csv": ["resource", "from", "before_w", "after_w"],
}  # fmt: skip
ORGANISATIONS = ("Flex", "Region", "Vind")
FILES = {
    "trades.csv", "refusals.csv", "confirmations.csv", "deliveries.csv", "orders.csv", "schedules.csv",
    "settlement.csv", "needs.csv", "events.log", "report.html", "result.json", "organisations",
    *(f"organisations/{name}.{ending}" for name in ORGANISATIONS for ending in ("html", "csv")),
}  # fmt: skip
COUNTS = ("periods", "congestions_before", "congestions_after", "orders", "trades", "refused_by_grid", "volume_wh")
NUMBERS = ("welfare", "welfare_optimum", "efficiency", "settlement_sum")
OF_A_GRID = ("max_loading_percent_before", "max_loading_percent_after", "min_voltage_pu_after", "verified_by")


class Run:
    """A finished run: its folder and what the program said."""

    def __init__(self, scenario: Path, out: Path, *options: str) -> None:
        self.out = out
        self.answer: Answer = flexpeer("run", scenario, "--out", out, *options)

    def rows(self, name: str) -> list[dict[str, str]]:
        with (self.out / name).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    @property
    def result(self) -> dict[str, Any]:
        found = json.loads((self.out / "result.json").read_text(encoding="utf-8"))
        assert isinstance(found, dict)
        return found


@pytest.fixture(scope="module")
def swap(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("swap")
    return Run(folder_of(swap_hour(), folder / "in"), folder / "out", "--json")


def test_every_file_is_written_and_nothing_else(swap: Run) -> None:
    assert swap.answer.code == 0
    assert everything_in(swap.out) == FILES
    assert everything_in(swap.out.parent) & {f"out/{name}" for name in FILES} == {f"out/{name}" for name in FILES}
    assert {path.name for path in swap.out.parent.iterdir()} == {"in", "out"}


def test_the_result_tells_whose_files_are_whose(swap: Run) -> None:
    assert swap.result["organisations"] == [
        {"organisation": name, "html": f"organisations/{name}.html", "csv": f"organisations/{name}.csv"}
        for name in ORGANISATIONS
    ]


def test_documented_columns_come_first(swap: Run) -> None:
    for name, columns in COLUMNS.items():
        header = (swap.out / name).read_text(encoding="utf-8").split("\n", 1)[0].split(",")
        assert header[: len(columns)] == columns, name


def test_the_swap_hour_worked_by_hand(swap: Run) -> None:
    """W1's C meets B at B's 300 (A is W1's own FSP's); the rest of C is resting when D arrives, so D gets C's 420."""
    columns = ("order_buy", "order_sell", "quantity_buy_w", "quantity_sell_w", "price", "amount")
    assert [tuple(row[column] for column in columns) for row in swap.rows("trades.csv")] == [
        ("C", "B", "3000000", "3000000", "300", "900"),
        ("C", "D", "5000000", "5000000", "420", "2100"),
    ]
    assert {(row["from"], row["to"]) for row in swap.rows("trades.csv")} == {(NOON, ONE)}


def test_amount_is_price_times_quantity_times_hours(swap: Run) -> None:
    rows = swap.rows("trades.csv")
    assert rows
    for row in rows:
        sides = {
            Decimal(row["price"]) * Decimal(row[side]) / 1_000_000 for side in ("quantity_buy_w", "quantity_sell_w")
        }
        assert Decimal(row["amount"]) in sides


def test_schedules_follow_from_forecast_obligation_and_trades(swap: Run) -> None:
    after = {(row["resource"], row["from"]): int(row["after_w"]) for row in swap.rows("schedules.csv")}
    before = {(row["resource"], row["from"]): int(row["before_w"]) for row in swap.rows("schedules.csv")}
    owed = {"W1": 8_000_000, "W2": 6_000_000, "W3": 6_000_000}
    unit = {"A": "W3", "B": "BESS", "C": "W1", "D": "Boiler", "E": "W2"}
    expected = {key: watts - (owed.get(key[0], 0) if key[1] == NOON else 0) for key, watts in before.items()}
    for row in swap.rows("trades.csv"):
        expected[unit[row["order_buy"]], NOON] += int(row["quantity_buy_w"])
        expected[unit[row["order_sell"]], NOON] -= int(row["quantity_sell_w"])
    assert after == expected
    assert len(after) == 6 * 24


def test_result_has_the_keys_and_types(swap: Run) -> None:
    result = swap.result
    for key in COUNTS:
        assert type(result[key]) is int, key
    for key in NUMBERS:
        assert type(result[key]) in (int, float), key
    for key in OF_A_GRID:
        assert result[key] is None, key
    assert result["settlement_sum"] == 0
    assert result["periods"] == 24
    assert (result["congestions_before"], result["congestions_after"]) == (24, 23)
    assert isinstance(result["kpi"]["cost_vs_grid_alternative"], dict)
    assert {"opex", "res_curtailment_reduction"} <= result["kpi"].keys()
    assert len(result["state_hash"]) == 64
    assert all(seconds >= 0 for seconds in result["timings_s"].values())


def test_json_prints_the_same_object(swap: Run) -> None:
    assert swap.answer.object == swap.result


def test_welfare_is_bought_less_sold_at_limit_prices(swap: Run) -> None:
    limit = {"A": 250, "B": 300, "C": 420, "D": 180, "E": 300}
    welfare = sum(
        limit[row["order_buy"]] * int(row["quantity_buy_w"]) - limit[row["order_sell"]] * int(row["quantity_sell_w"])
        for row in swap.rows("trades.csv")
    )
    assert swap.result["welfare"] == welfare / 1e6
    assert swap.result["welfare"] <= swap.result["welfare_optimum"]


def test_settlement_sums_to_zero(swap: Run) -> None:
    rows = swap.rows("settlement.csv")
    assert sum(Decimal(row["amount"]) for row in rows if row["amount"]) == 0
    assert sum(Decimal(row["invoiced"]) for row in rows if row["invoiced"]) == 0


def test_confirmations_are_the_trades_seen_from_both_sides(swap: Run) -> None:
    seen = {(row["trade"], row["side"]): Decimal(row["remuneration"]) for row in swap.rows("confirmations.csv")}
    for row in swap.rows("trades.csv"):
        assert seen.pop((row["trade"], "SELL")) == Decimal(row["amount"])
        assert seen.pop((row["trade"], "BUY")) == -Decimal(row["amount"])
    assert not seen


def test_replay_leads_to_the_same_state(swap: Run) -> None:
    answer = flexpeer("replay", swap.out / "events.log", "--json")
    assert answer.code == 0
    assert answer.object["state_hash"] == swap.result["state_hash"]


def test_audit_finds_nothing(swap: Run) -> None:
    answer = flexpeer("audit", "verify", swap.out / "events.log", "--json")
    assert answer.code == 0
    assert answer.object["whole"] is True
    assert flexpeer("audit", "verify", swap.out / "events.log").out.startswith("whole: ")


def test_a_run_is_repeatable(swap: Run, tmp_path: Path) -> None:
    again = Run(folder_of(swap_hour(), tmp_path / "in"), tmp_path / "out")
    for name in FILES - {"result.json", "report.html", "organisations"}:
        assert (again.out / name).read_bytes() == (swap.out / name).read_bytes(), name
    assert {k: v for k, v in again.result.items() if k != "timings_s"} == {
        k: v for k, v in swap.result.items() if k != "timings_s"
    }


def test_a_day_without_orders_or_points_is_still_a_result(tmp_path: Path) -> None:
    texts = swap_hour() | {"orders.csv": swap_hour()["orders.csv"].split("\n")[0] + "\n"}
    run = Run(folder_of(texts, tmp_path / "in"), tmp_path / "out", "--json")
    assert run.answer.code == 0
    assert (run.answer.object["orders"], run.answer.object["trades"]) == (0, 0)
    assert Run(tmp_path / "in", tmp_path / "told").answer.code == 0


@pytest.mark.parametrize("out", ["new", "new/deeper/still", "empty"])
def test_out_may_be_new_or_empty(out: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    run = Run(folder_of(swap_hour(), tmp_path / "in"), tmp_path / out)
    assert run.answer.code == 0
    assert everything_in(tmp_path / out) == FILES


def test_out_may_be_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = folder_of(swap_hour(), tmp_path / "in")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert flexpeer("run", scenario, "--out", ".").code == 0
    assert everything_in(tmp_path / "empty") == FILES


def test_out_may_be_a_link_to_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    assert Run(folder_of(swap_hour(), tmp_path / "in"), tmp_path / "link").answer.code == 0
    assert everything_in(tmp_path / "empty") == FILES


def test_the_program_runs_as_a_module(tmp_path: Path) -> None:
    scenario = folder_of(swap_hour(), tmp_path / "in")
    words = [sys.executable, "-m", "flexpeer", "run", str(scenario), "--out", str(tmp_path / "out"), "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, PROGRESS.sub("", done.stderr)) == (0, "")
    assert json.loads(done.stdout) == json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))


def test_dso_alternatives_are_keyed_by_name(tmp_path: Path) -> None:
    texts: Texts = swap_hour()
    texts["scenario.toml"] += "\n[alternative]\noverdraw = 2800\ntemporary_subscription = 260\n"
    kpi = Run(folder_of(texts, tmp_path / "in"), tmp_path / "out", "--json").answer.object["kpi"]
    assert kpi["cost_vs_grid_alternative"].keys() == {"overdraw", "temporary_subscription"}
