"""Each thing wrong with a folder gives precisely its findings, and many at once are all reported."""

from pathlib import Path
from typing import NamedTuple

import pytest
from tests.adapters.scenario_folder import HOURS, NOON, ONE, Texts, folder_of, swap_hour

from flexpeer.adapters.scenario_files import read_scenario
from flexpeer.adapters.scenario_files.findings import FINDINGS_PER_FILE
from flexpeer.errors import BadInput, Finding

TOML, ORGANISATIONS, AREAS, RESOURCES = "scenario.toml", "organisations.csv", "areas.csv", "resources.csv"
PORTFOLIOS, FORECAST, POINTS, FACTORS = "portfolios.csv", "forecast.csv", "congestion_points.csv", "impact_factors.csv"
ALLOCATIONS, ORDERS, METER = "allocations.csv", "orders.csv", "meter.csv"
GRID = '[grid]\nsource = "cigre_mv"\n'


class Place(NamedTuple):
    """Where a finding is, and a part of its problem."""

    line: int
    field: str
    problem: str


def findings_of(texts: Texts, folder: Path) -> tuple[Finding, ...]:
    with pytest.raises(BadInput) as bad:
        read_scenario(folder_of(texts, folder))
    assert all(found.expected for found in bad.value.findings)
    return bad.value.findings


def check(texts: Texts, folder: Path, file: str, places: list[Place]) -> None:
    found = findings_of(texts, folder)
    assert [(each.where, each.line, each.field) for each in found] == [(file, p.line, p.field) for p in places]
    for each, place in zip(found, places, strict=True):
        assert place.problem in each.problem


REPLACED = [
    (ORDERS, "8000000,420", "8000000.0,420", [Place(4, "quantity_w", "'8000000.0' is not a whole number")]),
    (ORDERS, "8000000,420", "NaN,420", [Place(4, "quantity_w", "whole number")]),
    (ORDERS, "8000000,420", "1e3,420", [Place(4, "quantity_w", "whole number")]),
    (ORDERS, "8000000,420", "1_000,420", [Place(4, "quantity_w", "whole number")]),
    (ORDERS, "8000000,420", " 8,420", [Place(4, "quantity_w", "whole number")]),
    (ORDERS, "8000000,420", "٣,420", [Place(4, "quantity_w", "whole number")]),
    (ORDERS, "8000000,420", ",420", [Place(4, "quantity_w", "empty")]),
    (ORDERS, "8000000,420", f"{10**18},420", [Place(4, "quantity_w", "too large")]),
    (ORDERS, "8000000,420", "8000000,42.005", [Place(4, "price", "more than two decimals")]),
    (ORDERS, "8000000,420", "8000000,inf", [Place(4, "price", "no price")]),
    (ORDERS, "W1,BUY", "W9,BUY", [Place(4, "resource", "there is no resource, portfolio or organisation W9")]),
    (ORDERS, "W1,BUY", "W1,HOLD", [Place(4, "side", "'HOLD' is not known")]),
    (ORDERS, "C,3", "C,2", [Place(4, "arrival", "2 does not follow 2")]),
    (ORDERS, "C,3", "A,3", [Place(4, "order", "already on line 2")]),
    (ORDERS, f"BUY,{NOON},{ONE},8", f"BUY,2026-01-15T12:00:30Z,{ONE},8", [Place(4, "from", "whole minute")]),
    (ORDERS, f"BUY,{NOON},{ONE},8", f"BUY,2026-02-30T12:00Z,{ONE},8", [Place(4, "from", "is not a time")]),
    (ORDERS, "8000000,420", "8000000", [Place(4, "", "7 fields")]),
    (ORDERS, "8000000,420", "8000000,420,", [Place(4, "", "9 fields")]),
    (ORDERS, "C,3", '"C,3', [Place(4, "", "not CSV")]),
    (ORDERS, "C,3", '"C"x,3', [Place(4, "", "not CSV")]),
    (ORDERS, "C,3", "\udcff,3", [Place(4, "order", "is not UTF-8")]),
    (ORDERS, "order,", "\udcfforder,", [Place(1, "", "header is not UTF-8")]),
    (ORDERS, "order,arrival", "order, arrival", [Place(1, " arrival", "unknown"), Place(1, "arrival", "missing")]),
    (
        ORDERS,
        "price",
        "price,price",
        [Place(1, "price", "twice"), Place(2, "", "every row has 8 fields and the header 9")],
    ),
    (
        ORGANISATIONS,
        "Region,REGIONAL_DSO",
        "Region,OBSERVER",
        [Place(0, "role", "no DSO"), Place(3, "parent", "OBSERVER")],
    ),
    (ORGANISATIONS, "REGIONAL_DSO", "TSO", [Place(2, "role", "'TSO' is not known")]),
    (ORGANISATIONS, "FSP,Region", "FSP,Nord", [Place(3, "parent", "no organisation Nord")]),
    (ORGANISATIONS, "FSP,Region", "FSP,Flex", [Place(3, "parent", "Flex is no DSO")]),
    (ORGANISATIONS, "REGIONAL_DSO,", "REGIONAL_DSO,Region", [Place(2, "parent", "above itself")]),
    (ORGANISATIONS, "Flex,AGG", "Flex,FSP,\nFlex,AGG", [Place(5, "organisation", "already on line 4")]),
    (RESOURCES, "W1,Vind", "W1,Wind", [Place(2, "fsp", "no organisation Wind")]),
    (RESOURCES, "W1,Vind", "W1 ,Vind", [Place(2, "resource", "spaces around it")]),
    (RESOURCES, "wind,0,40000000", "wind,41000000,40000000", [Place(2, "p_min_w", "above p_max_w")]),
    (RESOURCES, "wind,0,40000000", f"wind,0,{10**12}", [Place(2, "p_max_w", "out of range")]),
    (RESOURCES, "2019-05-01", "2019-05-32", [Place(2, "agreement_date", "calendar")]),
    (RESOURCES, "2019-05-01", "20190501", [Place(2, "agreement_date", "not a date")]),
    (RESOURCES, "40000000,true", "40000000,yes", [Place(2, "conditional", "neither true nor false")]),
    (
        RESOURCES,
        "Load,Flex,,load",
        "Flex,Flex,,x,0,0,,,\nLoad,Flex,,load",
        [Place(7, "resource", "Flex is also an organisation")],
    ),
    (
        FORECAST,
        f"{HOURS[3]},W1,",
        f"{HOURS[4]},W1,",
        [Place(2, "from", "1 of 24"), Place(6, "resource", "resource and from are already on line 5")],
    ),
    (
        FORECAST,
        f"{HOURS[3]},W1,40000000,\n",
        "",
        [Place(2, "from", f"W1 has no row for 1 of 24 MTUs, first {HOURS[3]}")],
    ),
    (FORECAST, f"{HOURS[3]},W1,", "2026-01-15T03:15+01:00,W1,", [Place(5, "from", "not on a boundary of 60")]),
    (FORECAST, f"{HOURS[3]},W1,", "2026-01-16T00:00+01:00,W1,", [Place(5, "from", "outside the delivery day")]),
    (FORECAST, f"{HOURS[3]},W1,", f"{HOURS[3]},,", [Place(2, "from", "1 of 24"), Place(5, "resource", "neither")]),
    (FORECAST, f"{HOURS[3]},W1,", "never,W1,", [Place(5, "from", "'never' is not a time")]),
    (POINTS, "export,60000000", "export,-1", [Place(2, "limit_w", "negative")]),
    (POINTS, "export,60000000", "export,", [Place(2, "limit_w", "empty")]),
    (POINTS, "export,60000000", "up,6", [Place(2, "direction", "'up' is not known")]),
    (POINTS, "limit_w\nExport,T1,export,60000000", "limit_pu\nExport,T1,high,1.05", [Place(2, "direction", "[grid]")]),
    (POINTS, "limit_w\n", "limit_w,dso\n", [Place(2, "", "4 fields")]),
    (
        POINTS,
        "direction,limit_w\nExport,T1,export,60000000",
        "direction\nExport,T1,export",
        [Place(1, "limit_w", "missing")],
    ),
    (
        POINTS,
        ",limit_w\nExport",
        ",limit_w,dso\nEast,T2,import,1,Vind\nExport",
        [Place(2, "dso", "no DSO"), Place(3, "", "4")],
    ),
    (FACTORS, "Export,W1,1000000", "Export,W1,0.9", [Place(2, "ppm", "whole number")]),
    (FACTORS, "Export,W1,1000000", "Import,W1,9", [Place(2, "congestion_point", "no congestion point Import")]),
    (FACTORS, "Export,W1,1000000", "Export,W2,9", [Place(3, "congestion_point", "line 2")]),
    (FACTORS, "Export,W1,1000000", "Export,W1,8000001", [Place(2, "ppm", "out of range")]),
    (ALLOCATIONS, "8000000", "-1", [Place(2, "obligation_w", "negative")]),
    (ALLOCATIONS, "W2,", "W1,", [Place(3, "resource", "line 2")]),
    (TOML, 'name = "Swap hour"\n', "", [Place(0, "name", "missing")]),
    (TOML, "2026-01-15", '"15 January"', [Place(2, "delivery_day", "not a date")]),
    (TOML, "Europe/Stockholm", "Europe/Ankeborg", [Place(3, "timezone", "not a known time zone")]),
    (TOML, "= 60", "= 30", [Place(4, "mtu_minutes", "30 is not known")]),
    (TOML, "= 60", "= true", [Place(4, "mtu_minutes", "true is not known")]),
    (TOML, "SEK", "kronor", [Place(5, "currency", "not a currency code")]),
    (TOML, "price_time", "size", [Place(8, "rulebook.priority", "'size' is not known")]),
    (TOML, "priority =", "preority =", [Place(8, "rulebook.preority", "unknown rule 'preority'")]),
    (
        TOML,
        "[rulebook]\n",
        "[rulebook]\nresidual = 'central'\n",
        [Place(8, "rulebook.residual", "'central' is not known")],
    ),
    (TOML, "[rulebook]\n", "[rulebook]\nprice_cap = 1.005\n", [Place(8, "rulebook.price_cap", "two decimals")]),
    (TOML, "[rulebook]\n", "[rulebook]\nprice_cap = nan\n", [Place(8, "rulebook.price_cap", "finite")]),
    (TOML, "[rulebook]\n", "[rulebook]\nmin_quantity_w = 0\n", [Place(8, "rulebook.min_quantity_w", "out of range")]),
    (
        TOML,
        "[rulebook]\n",
        "[costs]\nrent = 1\n[rulebook]\n",
        [Place(8, "costs.rent", "unknown key of [costs] 'rent'")],
    ),
    (TOML, "[rulebook]\n", "[alternative]\nwacc = 5.5\n[rulebook]\n", [Place(8, "alternative.wacc", "not below 1")]),
    (TOML, "[rulebook]\n", "[rules]\n[rulebook]\n", [Place(7, "rules", "unknown key 'rules'")]),
    (TOML, "[rulebook]\n", "[grid]\n[rulebook]\n", [Place(7, "grid.source", "missing")]),
    (TOML, "[rulebook]\n", "[rulebook\n", [Place(7, "", "column 10")]),
    (TOML, "Swap", "\udcff", [Place(1, "", "not UTF-8")]),
]


@pytest.mark.parametrize(("file", "old", "new", "places"), REPLACED, ids=lambda value: str(value)[:40])
def test_one_fault_gives_its_findings(tmp_path: Path, file: str, old: str, new: str, places: list[Place]) -> None:
    texts = swap_hour()
    assert old in texts[file]
    texts[file] = texts[file].replace(old, new, 1)
    if file == TOML and "[grid]" in new:
        texts[RESOURCES] = texts[RESOURCES].replace("Vind,,", "Vind,B,").replace("Flex,,", "Flex,B,")
    check(texts, tmp_path, file, places)


WHOLE_DAY = "".join(f"W1,{hour},5\n" for hour in HOURS)
ADDED = [
    (PORTFOLIOS, "portfolio,fsp,resource\nG,Vind,W9\n", [Place(2, "resource", "no resource W9")]),
    (PORTFOLIOS, "portfolio,fsp,resource\nG,Vind,W1\nG,Flex,W2\n", [Place(3, "fsp", "of Vind above")]),
    (PORTFOLIOS, "portfolio,fsp,resource\nG,Vind,W1\nG,Vind,W1\n", [Place(3, "portfolio", "line 2")]),
    (PORTFOLIOS, "portfolio,fsp,resource\nW2,Vind,W1\n", [Place(2, "portfolio", "W2 is also a resource")]),
    (AREAS, "bus,dso\nB,Nord\nB,Region\n", [Place(2, "dso", "no organisation Nord"), Place(3, "bus", "line 2")]),
    (AREAS, "bus,dso\nB,Vind\n", [Place(2, "dso", "Vind is no DSO but FSP")]),
    (METER, f"resource,from,p_w\n{WHOLE_DAY}W9,2026-01-14T00:00Z,1\n", [Place(26, "resource", "no resource W9")]),
    (METER, f"resource,from,p_w\n{WHOLE_DAY[28:]}", [Place(2, "from", "1 of 24")]),
    (METER, "resource,from,p_w\nW1,2025-01-14T00:05Z,1\n", [Place(2, "from", "not on a boundary")]),
    (METER, "", [Place(1, "", "empty")]),
    ("order.csv", "order\n", [Place(0, "", "unknown file")]),
]


@pytest.mark.parametrize(("file", "text", "places"), ADDED, ids=lambda value: str(value)[:40])
def test_one_faulty_file_gives_its_findings(tmp_path: Path, file: str, text: str, places: list[Place]) -> None:
    check(swap_hour() | {file: text}, tmp_path, file, places)


@pytest.mark.parametrize("file", [TOML, ORGANISATIONS, RESOURCES, FORECAST, POINTS, FACTORS, ORDERS])
def test_a_missing_file_is_one_finding(tmp_path: Path, file: str) -> None:
    texts = swap_hour()
    del texts[file]
    check(texts, tmp_path, file, [Place(0, "", "missing")])


def test_a_missing_folder_is_one_finding(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such folder"):
        read_scenario(tmp_path / "nowhere")


def test_with_a_grid_points_and_resources_must_say_where_they_are(tmp_path: Path) -> None:
    texts = swap_hour()
    texts[TOML] += GRID
    texts[RESOURCES] = texts[RESOURCES].replace("Vind,,", "Vind,B,").replace("Flex,,", "Flex,B,", 2)
    texts[POINTS] = texts[POINTS].replace("T1", "")
    found = findings_of(texts, tmp_path)
    assert [(each.where, each.line, each.field) for each in found] == [(RESOURCES, 7, "bus"), (POINTS, 2, "element")]


def test_voltage_limits_are_per_unit(tmp_path: Path) -> None:
    texts = swap_hour()
    texts[TOML] += GRID
    texts[RESOURCES] = texts[RESOURCES].replace("Vind,,", "Vind,B,").replace("Flex,,", "Flex,B,")
    texts[POINTS] = (
        "congestion_point,element,direction,limit_w,limit_pu\nExport,B,high,,nan\nLow,B,LOW,5,0.95\nUp,B,high,,0\n"
    )
    places = [Place(2, "limit_pu", "number"), Place(3, "limit_w", "has no limit_w"), Place(4, "limit_pu", "above zero")]
    check(texts, tmp_path, POINTS, places)


def test_a_grid_file_that_is_not_there_is_a_finding(tmp_path: Path) -> None:
    texts = swap_hour()
    texts[TOML] += '[grid]\nsource = "grid.json"\n'
    texts[RESOURCES] = texts[RESOURCES].replace("Vind,,", "Vind,B,").replace("Flex,,", "Flex,B,")
    check(texts, tmp_path, TOML, [Place(10, "grid.source", "no file 'grid.json'")])


def test_outages_are_checked_each_at_its_own_line(tmp_path: Path) -> None:
    texts = swap_hour()
    texts[TOML] += (
        '[[outage]]\nelement = "L1"\nfrom = 2026-01-15T08:00:00\nto = 2026-01-15T16:00:00Z\n'
        '[[outage]]\nelement = "L2"\nfrom = 2026-01-17T08:00:00Z\nto = 2026-01-18T08:00:00Z\nlimit_w = -1\n'
        '[[outage]]\nfrom = "2026-01-15T08:00Z"\nto = "2026-01-15T08:00Z"\n'
    )
    places = [
        Place(11, "outage.from", "no UTC offset"),
        Place(15, "outage.from", "does not touch"),
        Place(17, "outage.limit_w", "out of range"),
        Place(18, "outage.element", "missing"),
        Place(20, "outage.to", "ends before it begins"),
    ]
    check(texts, tmp_path, TOML, places)


def test_faults_in_many_files_are_all_reported_in_order(tmp_path: Path) -> None:
    texts = swap_hour()
    texts["meters.csv"] = ""
    texts[ORDERS] = texts[ORDERS].replace("W2,BUY", "W7,HOLD").replace("10000000,250", "x,y")
    texts[FORECAST] = texts[FORECAST].replace(HOURS[5], "5 o'clock", 1)
    texts[RESOURCES] = texts[RESOURCES].replace("W3,Vind", "W2,Nobody").replace("agreement_date", "date")
    texts[TOML] = texts[TOML].replace("price_time", "size")
    found = findings_of(texts, tmp_path)
    assert [(each.where, each.line, each.field) for each in found] == [
        (TOML, 8, "rulebook.priority"),
        (RESOURCES, 1, "date"),
        (RESOURCES, 4, "resource"),
        (RESOURCES, 4, "fsp"),
        (FORECAST, 7, "from"),
        *((FORECAST, line, "resource") for line in range(50, 74)),
        (FACTORS, 4, "resource"),
        (ALLOCATIONS, 4, "resource"),
        (ORDERS, 2, "resource"),
        (ORDERS, 2, "quantity_w"),
        (ORDERS, 2, "price"),
        (ORDERS, 6, "resource"),
        (ORDERS, 6, "side"),
        ("meters.csv", 0, ""),
    ]


def test_a_file_lists_so_many_findings_and_says_that_there_are_more(tmp_path: Path) -> None:
    texts = swap_hour()
    header = texts[ORDERS].splitlines()[0]
    texts[ORDERS] = header + "\n" + "".join(f"O{row},{row},W9,BUY,{NOON},{ONE},x,y\n" for row in range(5_000))
    found = findings_of(texts, tmp_path)
    assert len(found) == FINDINGS_PER_FILE + 1
    assert [each.line for each in found] == sorted(each.line for each in found)
    assert "more findings" in found[-1].problem


def test_just_as_many_as_are_listed_are_no_more(tmp_path: Path) -> None:
    texts = swap_hour()
    header = texts[ORDERS].splitlines()[0]
    rows = range(FINDINGS_PER_FILE)
    texts[ORDERS] = header + "\n" + "".join(f"O{row},{row},W1,BUY,{NOON},{ONE},x,1\n" for row in rows)
    assert [each.line for each in findings_of(texts, tmp_path)] == [row + 2 for row in rows]


CHANGING = "order,arrival,resource,side,from,to,quantity_w,price,regulation,time_in_force,action\n"
OFFER = f"A,1,W3,SELL,{NOON},{ONE},1000000,250,,,\n"
CHANGED = [
    ("A,2,,,,,,,,,cancel\n", [Place(3, "action", "'cancel' is not known")]),
    ("A,2,,,,,,,,,amend\n", [Place(3, "quantity_w", "neither quantity_w nor price")]),
    ("A,1,,,,,,9,,,amend\n", [Place(3, "arrival", "does not follow")]),
    ("Z,2,,,,,,9,,,amend\n", [Place(3, "order", "no row above places order Z")]),
    ("Z,2,,,,,,,,,withdraw\n" + OFFER.replace("A,1", "Z,3"), [Place(3, "order", "no row above places order Z")]),
    ("A,2,,,,,many,,,,amend\n", [Place(3, "quantity_w", "not a whole number")]),
    ("A,2,W3,SELL,,,1,,,,amend\n", [Place(3, "resource", "has no resource"), Place(3, "side", "has no side")]),
    ("A,2,,,,,,2,DOWN,day,amend\n", [Place(3, "regulation", "no regulation"), Place(3, "time_in_force", "has no")]),
    ("A,2,,,,,,2,,,withdraw\n", [Place(3, "price", "a row with action withdraw has no price")]),
    ("A,2,,,,,,,,,withdraw\n" + OFFER.replace("A,1", "A,3"), [Place(4, "order", "already on line 2")]),
    ("B,2,,,,,1,2,,,place\n", [Place(3, field, "empty") for field in ("resource", "side", "from", "to")]),
]


@pytest.mark.parametrize(("rows", "places"), CHANGED, ids=lambda value: str(value)[:40])
def test_a_row_that_changes_an_order_wrongly(tmp_path: Path, rows: str, places: list[Place]) -> None:
    check(swap_hour() | {ORDERS: CHANGING + OFFER + rows}, tmp_path, ORDERS, places)


def test_what_could_not_be_read_vouches_for_no_order(tmp_path: Path) -> None:
    rows = OFFER + "Y ,2,W3,SELL,,,,,,,\nZ,3,,,,,,9,,,amend\n"
    found = findings_of(swap_hour() | {ORDERS: CHANGING + rows}, tmp_path)
    assert [each.field for each in found if each.line == 4] == []
