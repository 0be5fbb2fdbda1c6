"""A day from Python is the day of `flexpeer run`: its tables cell by cell, its files byte for byte, its figures."""

import csv
import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.adapters.scenario_folder import folder_of, swap_hour
from tests.app.grid_days import orders, small_day
from tests.cli.program import flexpeer as program
from tests.cli.test_results_grid import SWAPS

import flexpeer
from flexpeer.adapters.results_files import TABLES
from flexpeer.library import tables
from flexpeer.library.tables import CellType

OTHER_RULES = {"priority": "time", "quantity_tick_w": 1_000_000, "price_cap": 350.5}
FIELD = Path(__file__).parents[1] / "field"


class Both:
    """The same scenario as the program runs it and as the library does."""

    def __init__(self, texts: dict[str, str], folder: Path) -> None:
        self.scenario = folder_of(texts, folder / "in")
        self.out = folder / "out"
        assert program("run", self.scenario, "--out", self.out).code == 0
        self.day = flexpeer.read(self.scenario)
        self.result = self.day.run()

    def told(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.out / "result.json").read_text(encoding="utf-8"))
        return found


def metered() -> dict[str, str]:
    """The swap hour with what its meters read: a quarter of what was sold is not there."""
    texts = swap_hour()
    readings = texts["forecast.csv"].splitlines()[1:]
    rows = [f"{resource},{hour},{power}" for hour, resource, power, _ in (row.split(",") for row in readings)]
    return texts | {"meter.csv": "\n".join(["resource,from,p_w", *rows]) + "\n"}


@pytest.fixture(scope="module", params=["without a grid", "with a grid"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Both:
    texts = metered() if request.param == "without a grid" else small_day() | {"orders.csv": orders(SWAPS)}
    return Both(texts, tmp_path_factory.mktemp("both"))


def written(value: Any) -> str:
    """A typed cell as files have it."""
    if value is None:
        return ""
    return value.isoformat(timespec="minutes") if isinstance(value, datetime) else str(value)


OF_TYPE = {CellType.TEXT: str, CellType.WHOLE: int, CellType.EXACT: Decimal, CellType.TIME: datetime}


@pytest.mark.parametrize("file", TABLES)
def test_tables_are_the_files_with_types(both: Both, file: str) -> None:
    with (both.out / file).open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    table = file.removesuffix(".csv")
    found = both.result.records(table)
    assert [{name: written(cell) for name, cell in row.items()} for row in found] == rows
    for name, cell_type in both.result.TABLES[table].items():
        assert {type(row[name]) for row in found} <= {OF_TYPE[cell_type], type(None)}, name
        numbers = {row[name] for row in rows} - {""}
        if cell_type is CellType.TEXT and numbers and not name.startswith("order"):
            assert not all(cell.lstrip("-").replace(".", "").isdigit() for cell in numbers), f"{name} holds numbers"


def test_what_is_written_is_what_the_program_writes(both: Both, tmp_path: Path) -> None:
    both.result.write(tmp_path / "again")
    written, again = ({p.relative_to(root) for p in root.rglob("*")} for root in (both.out, tmp_path / "again"))
    assert again == written
    for path in written:
        if path.name not in ("result.json", "report.html") and (both.out / path).is_file():
            assert (tmp_path / "again" / path).read_bytes() == (both.out / path).read_bytes(), path
    told = json.loads((tmp_path / "again" / "result.json").read_text(encoding="utf-8"))
    assert told | {"timings_s": 0} == both.told() | {"timings_s": 0}
    with pytest.raises(flexpeer.BadInput, match="not empty"):
        both.result.write(tmp_path / "again")


def test_figures_are_those_of_result_json(both: Both) -> None:
    told = both.told() | {"timings_s": 0}
    assert json.loads(json.dumps(both.result.figures | {"timings_s": 0})) == told
    assert both.result.welfare == told["welfare"]
    assert both.result.kpi["opex"] == told["kpi"]["opex"]
    assert both.result.figures["trades"] == len(both.result.records("trades"))
    assert {"trades", "welfare", "write"} <= set(dir(both.result))
    with pytest.raises(AttributeError, match=r"has no 'wealth'; it has .*welfare"):
        _ = both.result.wealth


def test_a_day_runs_again_as_it_was(both: Both) -> None:
    assert both.day.run().state_hash == both.result.state_hash


def test_other_rules_are_those_of_a_scenario_that_says_so(tmp_path: Path) -> None:
    texts = swap_hour()
    day = flexpeer.read(folder_of(texts, tmp_path / "own"))
    rules = "\n".join(f"{key} = {json.dumps(value)}" for key, value in OTHER_RULES.items())
    head = texts["scenario.toml"].partition("[rulebook]")[0]
    said = flexpeer.read(folder_of(texts | {"scenario.toml": f"{head}[rulebook]\n{rules}\n"}, tmp_path / "said"))
    assert day.run(rulebook=OTHER_RULES).state_hash == said.run().state_hash != day.run().state_hash
    assert said.rulebook == day.rulebook | OTHER_RULES | {"price_cap": Decimal("350.5")}
    assert day.rulebook["priority"] == "price_time"


def test_all_that_is_wrong_with_rules_is_one_error(tmp_path: Path) -> None:
    day = flexpeer.read(folder_of(swap_hour(), tmp_path))
    with pytest.raises(flexpeer.BadInput) as error:
        day.run(rulebook={"priority": "rank", "price_cap": 0.001, "kindness": 1, "min_quantity_w": True})
    fields = [finding.field for finding in error.value.findings]
    assert sorted(fields) == [f"rulebook.{rule}" for rule in ("kindness", "min_quantity_w", "price_cap", "priority")]


def test_rules_that_need_points_are_refused_where_there_are_none(tmp_path: Path) -> None:
    texts = {name: text for name, text in swap_hour().items() if name.partition("_")[0] not in ("congestion", "impact")}
    texts["scenario.toml"] += 'exchange = "balanced"\n'
    texts["orders.csv"] = texts["orders.csv"].splitlines()[0] + "\n"
    day = flexpeer.read(folder_of(texts, tmp_path))
    assert day.run().figures["trades"] == 0
    with pytest.raises(flexpeer.BadInput, match="needs congestion points"):
        day.run(rulebook={"exchange": "neutral"})


def test_frames_have_the_types_of_the_cells(both: Both) -> None:
    pytest.importorskip("pandas", reason="the extra `frames`")
    trades, cells = both.result.trades, both.result.orders
    assert list(trades.columns) == list(TABLES["trades.csv"])
    assert str(trades["from"].dtype) == "datetime64[s, Europe/Stockholm]"
    assert trades["quantity_buy_w"].dtype == "int64"
    assert isinstance(trades["amount"][0], Decimal)
    assert sum(trades["amount"]) == sum(row["amount"] for row in both.result.records("trades"))
    assert str(cells["headroom_w"].dtype) in ("Int64", "int64")
    assert cells["trades"].dtype == "int64"
    for table in both.result.TABLES:
        frame = getattr(both.result, table)
        assert len(frame) == len(both.result.records(table))
        assert frame.isna().sum().sum() == sum(v is None for row in both.result.records(table) for v in row.values())


def test_without_pandas_tables_are_records(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "find_spec", lambda _name: None)
    assert both.result.trades == both.result.records("trades")
    assert both.result.trades[0]["from"].tzinfo is not None


def test_needs_are_those_of_the_command_and_want_no_orders(tmp_path: Path) -> None:
    folder = FIELD / "market-needs-wants-orders/scenario"
    day = flexpeer.read(folder)
    found, told = day.needs(), program("grid", "needs", folder, "--json").object
    assert json.loads(json.dumps(found.figures)) == told
    assert [row["need_w"] for row in found.records("needs")] == [row["need_w"] for row in told["needs"]]
    assert [row["from"].isoformat(timespec="minutes") for row in found.records("moves")] == [
        row["from"] for row in told["moves"]
    ]
    with pytest.raises(flexpeer.BadInput, match=r"orders\.csv: the file is missing"):
        day.run()
    day.write(tmp_path / "copy")
    assert {p.name for p in (tmp_path / "copy").iterdir()} == {p.name for p in folder.iterdir()}


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    flexpeer.read(folder_of(swap_hour(), tmp_path)).run(progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (5, 5)
