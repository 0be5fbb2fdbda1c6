"""The tables of a day, each number against the day it was made from."""

import csv
from decimal import Decimal
from pathlib import Path

import pytest
from tests.app.grid_days import SMALL_UNITS, Ask, Day, orders, small_day

from flexpeer.adapters.results_files import TABLES, write_results
from flexpeer.app.views.results import result_object

ASKS = [
    Ask("HB", "SELL", 2_000_001, 200, "Cable 3"),
    Ask("WA", "BUY", 700_003, 400, "Cable 3"),
    Ask("WC", "BUY", 0, 350, "Cable 3"),
    Ask("WB", "BUY", 300_007, 350, "Cable 3"),
]


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Day:
    texts = small_day() | {"orders.csv": orders(ASKS).replace("400,", "399.97,")}
    return Day(texts, tmp_path_factory.mktemp("day"))


@pytest.fixture(scope="module")
def folder(day: Day, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("out")
    write_results(day.outcome, result_object(day.outcome, "0" * 64), "<html></html>", found)
    return found


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_table_has_its_columns_and_unix_lines(folder: Path) -> None:
    for name, columns in TABLES.items():
        text = (folder / name).read_bytes()
        assert text.split(b"\n")[0].decode() == ",".join(columns)
        assert b"\r" not in text
        assert text.endswith(b"\n")


def test_amounts_are_exact(day: Day, folder: Path) -> None:
    assert [row["trade"] for row in rows(folder, "trades.csv")] == [trade.trade for trade in day.trades]
    for row, trade in zip(rows(folder, "trades.csv"), day.trades, strict=True):
        resting_w = trade.leg.quantity_sell_w if trade.leg.resting == "SELL" else trade.leg.quantity_buy_w
        assert Decimal(row["amount"]) == Decimal(row["price"]) * resting_w / 1_000_000
        assert Decimal(row["price"]) * 100 == trade.leg.price_minor


def test_a_refused_order_is_listed_with_its_reason(folder: Path) -> None:
    assert [(row["order"], row["reason"]) for row in rows(folder, "refusals.csv")] == [("3", "wrong_quantity")]


def test_schedules_are_all_resources_in_all_mtus(day: Day, folder: Path) -> None:
    found = rows(folder, "schedules.csv")
    assert len(found) == len(SMALL_UNITS) * day.mtus
    for column, schedule in (
        ("before_w", day.outcome.before_w),
        ("start_w", day.outcome.start_w),
        ("after_w", day.outcome.after_w),
    ):
        assert {name: tuple(int(r[column]) for r in found if r["resource"] == name) for name in schedule} == schedule


def test_needs_and_what_is_left(day: Day, folder: Path) -> None:
    (point,) = day.outcome.points
    found = rows(folder, "needs.csv")
    assert tuple(int(row["need_w"]) for row in found) == point.need_w
    assert tuple(int(row["residual_need_w"]) for row in found) == point.residual_need_w
    assert {(row["congestion_point"], row["element"], row["direction"], row["dso"]) for row in found} == {
        ("Cable 3", "Cable 3", "export", "Region")
    }


def test_settlement_is_balanced_to_the_last_decimal(folder: Path) -> None:
    found = rows(folder, "settlement.csv")
    assert any(row["amount"] for row in found)
    assert sum(Decimal(row["amount"] or 0) for row in found) == 0
    assert sum(Decimal(row["invoiced"] or 0) for row in found) == 0
    assert all(Decimal(row["invoiced"] or 0) * 100 % 1 == 0 for row in found)


def test_confirmations_mirror_the_trades(day: Day, folder: Path) -> None:
    found = {(row["trade"], row["side"]): row for row in rows(folder, "confirmations.csv")}
    assert len(found) == 2 * len(day.trades)
    for trade in day.trades:
        buy, sell = found[trade.trade, "BUY"], found[trade.trade, "SELL"]
        assert int(buy["quantity_w"]) == trade.leg.quantity_buy_w
        assert int(sell["quantity_w"]) == trade.leg.quantity_sell_w
        assert Decimal(buy["remuneration"]) == -Decimal(sell["remuneration"]) < 0
        assert (buy["organisation"], sell["organisation"]) == (trade.buyer, trade.seller)
