"""A good folder reads as what it says, however it is laid out."""

import time
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from tests.adapters.scenario_folder import HOURS, NOON, ONE, folder_of, swap_hour

from flexpeer.adapters.scenario_files import read_scenario
from flexpeer.app.scenario import OutageRow
from flexpeer.errors import BadInput
from flexpeer.market.rulebook import Priority
from flexpeer.periods import Span, parse_instant

MW = 1_000_000


def test_the_swap_hour_reads_as_written(tmp_path: Path) -> None:
    scenario = read_scenario(folder_of(swap_hour(), tmp_path))
    assert scenario.name == "Swap hour"
    assert scenario.day.mtu_count == 24
    assert scenario.rulebook.priority is Priority.PRICE_TIME
    assert scenario.grid_source is None
    assert scenario.meter_w is None
    assert [(each.order, each.side, each.quantity_w, each.price_minor) for each in scenario.orders] == [
        ("A", "SELL", 10 * MW, 25_000),
        ("B", "SELL", 3 * MW, 30_000),
        ("C", "BUY", 8 * MW, 42_000),
        ("D", "SELL", 5 * MW, 18_000),
        ("E", "BUY", 6 * MW, 30_000),
    ]
    assert {(each.start, each.end) for each in scenario.orders} == {(parse_instant(NOON), parse_instant(ONE))}
    assert scenario.resource_forecast["W1"].p_w == (40 * MW,) * 24
    assert scenario.resource_forecast["Load"].q_var == (0,) * 24
    assert scenario.obligations_w is not None
    assert scenario.obligations_w["W1"] == (0,) * 12 + (8 * MW,) + (0,) * 11
    assert scenario.impact_ppm is not None
    assert scenario.impact_ppm["Export"]["Boiler"] == (MW,) * 24


def test_resources_keep_their_optional_columns(tmp_path: Path) -> None:
    w1, w2, w3, *_ = read_scenario(folder_of(swap_hour(), tmp_path)).resources
    assert (w1.conditional, w1.agreement_date, w1.cost_minor) == (True, date(2019, 5, 1), None)
    assert (w2.cost_minor, w3.cost_minor, w3.conditional, w3.agreement_date) == (1_250, -100, True, None)


def test_the_layout_of_a_file_does_not_matter(tmp_path: Path) -> None:
    texts = swap_hour()
    plain = read_scenario(folder_of(texts, tmp_path / "plain"))
    rows = [line.split(",")[::-1] for line in texts["orders.csv"].splitlines()]
    texts["orders.csv"] = "\ufeff" + "\r\n".join(",".join(f'"{cell}"' for cell in row) for row in rows) + "\r\n\r\n"
    texts["scenario.toml"] = "\ufeff" + texts["scenario.toml"].replace("\n", "\r\n")
    assert read_scenario(folder_of(texts, tmp_path / "odd")) == plain


@pytest.mark.parametrize(("day", "quarters"), [("2026-03-29", 92), ("2026-10-25", 100)])
def test_days_of_23_and_25_hours_need_their_own_number_of_rows(tmp_path: Path, day: str, quarters: int) -> None:
    texts = swap_hour()
    for name in ("allocations.csv", "forecast.csv"):
        texts[name] = texts[name].splitlines()[0] + "\n"
    texts["scenario.toml"] = texts["scenario.toml"].replace("2026-01-15", day).replace("= 60", "= 15")
    start = read_scenario(folder_of(texts, tmp_path)).day.start
    stamps = [time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime(60 * (start + 15 * each))) for each in range(quarters)]
    texts["forecast.csv"] += "".join(f"{stamp},W1,{row},-1\n" for row, stamp in enumerate(stamps))
    profile = read_scenario(folder_of(texts, tmp_path)).resource_forecast["W1"]
    assert profile.p_w == tuple(range(quarters))
    assert profile.q_var == (-1,) * quarters


def test_a_factor_of_one_mtu_goes_before_that_of_the_day(tmp_path: Path) -> None:
    texts = swap_hour()
    texts["impact_factors.csv"] = (
        f"congestion_point,resource,ppm,from\nExport,W1,5,{HOURS[1]}\nExport,W1,7,\nExport,W2,9,{HOURS[2]}\n"
    )
    factors = (read_scenario(folder_of(texts, tmp_path)).impact_ppm or {})["Export"]
    assert factors == {"W1": (7, 5) + (7,) * 22, "W2": (0, 0, 9) + (0,) * 21}


def test_outages_hold_in_every_mtu_they_touch(tmp_path: Path) -> None:
    texts = swap_hour()
    texts["scenario.toml"] += (
        '[[outage]]\nelement = "L1"\nfrom = 2026-01-14T08:00:00+01:00\nto = "2026-01-15T02:30+01:00"\n'
        '[[outage]]\nelement = "L2"\nfrom = "2026-01-15T22:59Z"\nto = 2026-02-01T00:00:00Z\nlimit_w = 0\n'
    )
    outages = read_scenario(folder_of(texts, tmp_path)).outages
    assert outages == (OutageRow("L1", Span(0, 3), None), OutageRow("L2", Span(23, 24), 0))


def test_settings_are_exact(tmp_path: Path) -> None:
    texts = swap_hour()
    texts["scenario.toml"] += (
        "price_cap = 5000.25\nprice_tick = 0.10\nfee_per_mwh = 1.5\n"
        "[alternative]\noverdraw = 2800.1\nwacc = 0.055\nlifetime_years = 40\n[costs]\nper_trade = 0.1\n"
    )
    scenario = read_scenario(folder_of(texts, tmp_path))
    rules = scenario.rulebook
    assert (rules.price_cap_minor, rules.price_tick_minor, rules.fee_minor_per_mwh) == (500_025, 10, 150)
    assert scenario.alternative.overdraw == Decimal("2800.1")
    assert scenario.alternative.wacc == Decimal("0.055")
    assert scenario.costs.per_trade == Decimal("0.1")


def test_words_of_orders_are_put_in_one_case(tmp_path: Path) -> None:
    texts = swap_hour()
    texts["orders.csv"] = (
        "order,arrival,resource,side,from,to,quantity_w,price,regulation,time_in_force,congestion_point,min_quantity_w\n"
        f"A,-1,Region,buy,{NOON},{HOURS[11]},0,-0.05,down,FOK,Export,-3\nB,7,Vind,Sell,2020-01-01T00:07Z,{ONE},-5,1.5,,,,\n"
    )
    first, second = read_scenario(folder_of(texts, tmp_path)).orders
    assert (first.side, first.regulation, first.time_in_force, first.price_minor) == ("BUY", "DOWN", "fok", -5)
    assert (second.side, second.regulation, second.time_in_force, second.quantity_w) == ("SELL", None, "day", -5)


def test_readings_around_the_day_are_history(tmp_path: Path) -> None:
    texts = swap_hour()
    readings = "".join(f"W1,{hour},5\n" for hour in HOURS)
    texts["meter.csv"] = f"resource,from,p_w\nW1,2026-01-14T23:00+01:00,3\n{readings}W2,2026-01-16T00:00+01:00,-4\n"
    scenario = read_scenario(folder_of(texts, tmp_path))
    assert scenario.meter_w == {"W1": (5,) * 24}
    start = scenario.day.start
    assert scenario.meter_history_w == {"W1": {start - 60: 3}, "W2": {start + 24 * 60: -4}}


def test_balanced_exchange_needs_neither_points_nor_factors(tmp_path: Path) -> None:
    texts = swap_hour()
    texts["scenario.toml"] += 'exchange = "balanced"\n'
    del texts["congestion_points.csv"], texts["impact_factors.csv"]
    scenario = read_scenario(folder_of(texts, tmp_path))
    assert scenario.congestion_points is None
    assert scenario.impact_ppm is None


def test_a_long_file_with_one_bad_cell_has_one_finding(tmp_path: Path) -> None:
    texts = swap_hour()
    rows = [f"O{row},{row},W1,BUY,{NOON},{ONE},{row},{row % 97}.25\n" for row in range(50_000)]
    rows[40_000] = rows[40_000].replace(",40000,", ",40000.0,").replace("O40000,40000.0", "O40000,40000")
    texts["orders.csv"] = texts["orders.csv"].splitlines()[0] + "\n" + "".join(rows)
    with pytest.raises(BadInput) as bad:
        read_scenario(folder_of(texts, tmp_path))
    (found,) = bad.value.findings
    assert (found.where, found.line, found.field) == ("orders.csv", 40_002, "quantity_w")
    assert "'40000.0'" in found.problem
