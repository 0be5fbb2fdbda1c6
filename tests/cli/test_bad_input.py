"""Bad input: exit status 2, findings that name the place, as text and as JSON, and nothing written."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.adapters.scenario_folder import HOURS, NOON, Texts, folder_of, swap_hour
from tests.app.grid_days import SMALL_GRID, cigre_day, small_day
from tests.cli.program import everything_in, flexpeer


class Bad(NamedTuple):
    """A scenario with something wrong, and what a finding must say: file, line (None: any), words."""

    name: str
    texts: Callable[[], Texts]
    where: str
    line: int | None
    words: tuple[str, ...]


def changed(make: Callable[[], Texts], file: str, old: str, new: str) -> Callable[[], Texts]:
    """The scenario with the first `old` of a file replaced."""

    def texts() -> Texts:
        found = make()
        assert old in found[file], (file, old)
        return found | {file: found[file].replace(old, new, 1)}

    return texts


def extended(make: Callable[[], Texts], file: str, more: str) -> Callable[[], Texts]:
    def texts() -> Texts:
        found = make()
        return found | {file: found.get(file, "") + more}

    return texts


def without(make: Callable[[], Texts], file: str) -> Callable[[], Texts]:
    def texts() -> Texts:
        found = make()
        del found[file]
        return found

    return texts


def quarter_hours(day: str, hours: list[str]) -> Callable[[], Texts]:
    """The swap hour on another day in quarter-hours that begin at the given times."""

    def texts() -> Texts:
        found = swap_hour()
        found["scenario.toml"] = found["scenario.toml"].replace("2026-01-15", day).replace("= 60", "= 15")
        names = {"W1": 40, "W2": 30, "W3": 30, "BESS": 0, "Boiler": 0, "Load": -20}
        rows = [f"{start},{name},{mw}000000," for name, mw in names.items() for start in hours]
        found["forecast.csv"] = "\n".join(["from,resource,p_w,q_var", *rows]) + "\n"
        found["orders.csv"] = found["orders.csv"].split("\n")[0] + "\n"
        del found["allocations.csv"]
        return found

    return texts


def utc_quarters(day: str, first_utc_hour: str, count: int) -> list[str]:
    """`count` quarter-hours from 22:00 or 23:00 UTC of the day before."""
    date, hour = first_utc_hour.split("T")
    assert date < day
    minutes = [int(hour) * 60 + 15 * k for k in range(count)]
    return [f"{date if m < 1440 else day}T{m // 60 % 24:02}:{m % 60:02}Z" for m in minutes]


SPRING = ("2026-03-29", utc_quarters("2026-03-29", "2026-03-28T23", 92))
AUTUMN = ("2026-10-25", utc_quarters("2026-10-25", "2026-10-24T22", 100))

OUTAGE = f'\n[[outage]]\nelement = "Nowhere"\nfrom = "{NOON}"\nto = "{HOURS[13]}"\n'
CASES = [
    Bad(
        "toml syntax", changed(swap_hour, "scenario.toml", "mtu_minutes = 60", "mtu_minutes ="), "scenario.toml", 4, ()
    ),
    Bad("nan", changed(swap_hour, "forecast.csv", ",40000000,", ",nan,"), "forecast.csv", 2, ("p_w", "nan")),
    Bad(
        "infinite", changed(swap_hour, "orders.csv", "10000000,250", "10000000,inf"), "orders.csv", 2, ("price", "inf")
    ),
    Bad("missing mtu", changed(swap_hour, "forecast.csv", f"{NOON},W2,30000000,\n", ""), "forecast.csv", None, ("W2",)),
    Bad("mtu twice", extended(swap_hour, "forecast.csv", f"{NOON},W2,30000000,\n"), "forecast.csv", 146, ("already",)),
    Bad(
        "negative limit",
        changed(swap_hour, "congestion_points.csv", "60000000", "-1"),
        "congestion_points.csv",
        2,
        ("limit_w",),
    ),
    Bad("no forecast", without(swap_hour, "forecast.csv"), "forecast.csv", None, ()),
    Bad("no orders", without(swap_hour, "orders.csv"), "orders.csv", None, ()),
    Bad("no settings", without(swap_hour, "scenario.toml"), "scenario.toml", None, ()),
    Bad("unknown resource", changed(swap_hour, "orders.csv", "A,1,W3", "A,1,W9"), "orders.csv", 2, ("W9",)),
    Bad(
        "unknown column",
        changed(swap_hour, "orders.csv", "order,arrival", "order,colour"),
        "orders.csv",
        1,
        ("colour",),
    ),
    Bad(
        "unknown organisation", changed(swap_hour, "resources.csv", "W1,Vind", "W1,Wind"), "resources.csv", 2, ("Wind",)
    ),
    Bad("unknown file", extended(swap_hour, "order.csv", "a\n"), "order.csv", None, ()),
    Bad("91 of 92 quarters", quarter_hours(SPRING[0], SPRING[1][:-1]), "forecast.csv", None, ("W1",)),
    Bad(
        "96 of 92 quarters",
        quarter_hours(SPRING[0], utc_quarters(SPRING[0], "2026-03-28T23", 96)),
        "forecast.csv",
        None,
        (),
    ),
    Bad("96 of 100 quarters", quarter_hours(AUTUMN[0], AUTUMN[1][:96]), "forecast.csv", None, ("W1",)),
    Bad(
        "unknown bus of a resource",
        changed(cigre_day, "resources.csv", "Bus 9", "Bus 99"),
        "resources.csv",
        3,
        ("bus", "Bus 99"),
    ),
    Bad(
        "unknown bus of an area",
        extended(cigre_day, "areas.csv", "bus,dso\nBus 77,Region\n"),
        "areas.csv",
        2,
        ("Bus 77",),
    ),
    Bad(
        "unknown bus of a forecast",
        changed(cigre_day, "forecast.csv", "Bus 3", "Bus 33"),
        "forecast.csv",
        None,
        ("Bus 33",),
    ),
    Bad(
        "unknown element of a point",
        extended(
            cigre_day, "congestion_points.csv", "congestion_point,element,direction,limit_w\nX,Line 1-9,export,5\n"
        ),
        "congestion_points.csv",
        2,
        ("element", "Line 1-9"),
    ),
    Bad(
        "unknown element of an outage",
        extended(cigre_day, "scenario.toml", OUTAGE),
        "scenario.toml",
        None,
        ("outage", "Nowhere"),
    ),
    Bad("unknown grid", changed(cigre_day, "scenario.toml", "cigre_mv", "cigre_xv"), "", None, ("cigre_xv",)),
    Bad(
        "no convergence",
        changed(cigre_day, "forecast.csv", "-501700,", "-900000000,"),
        "forecast.csv",
        None,
        ("power flow",),
    ),
    Bad(
        "outage that islands a load",
        extended(cigre_day, "scenario.toml", OUTAGE.replace("Nowhere", "Line 1-2")),
        "",
        None,
        ("12", "Bus 3"),
    ),
    Bad(
        "outage of the only transformer",
        extended(small_day, "scenario.toml", OUTAGE.replace("Nowhere", "T1")),
        "",
        None,
        ("12", "Busbar"),
    ),
    Bad(
        "grid with no source",
        changed(small_day, "grid.json", SMALL_GRID[SMALL_GRID.index('"sources"') :], '"sources": []}'),
        "grid.json",
        None,
        ("source",),
    ),
    Bad("grid cut short", lambda: small_day() | {"grid.json": SMALL_GRID[:200]}, "grid.json", None, ()),
    Bad("grid not there", without(small_day, "grid.json"), "scenario.toml", 5, ("grid.json",)),
    Bad(
        "islanded load in the grid",
        changed(small_day, "grid.json", '"sources"', '"injections": [{"bus": "Island", "p_w": -5}], "sources"'),
        "grid.json",
        None,
        ("Island",),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input_is_reported_and_nothing_is_written(case: Bad, tmp_path: Path) -> None:
    scenario = folder_of(case.texts(), tmp_path / "in")
    before = everything_in(tmp_path)
    told = flexpeer("run", scenario, "--out", tmp_path / "results" / "out")
    asked = flexpeer("run", scenario, "--out", tmp_path / "results" / "out", "--json")
    assert (told.code, asked.code) == (2, 2)
    assert told.out == ""
    assert everything_in(tmp_path) == before
    findings = asked.object["findings"]
    assert any(
        case.where in finding["where"]
        and case.line in (None, finding["line"])
        and all(word in " ".join(map(str, finding.values())) for word in case.words)
        for finding in findings
    ), findings
    for finding in findings[:5]:
        assert finding["problem"] in told.err
        assert finding["expected"]
    assert told.err.rstrip().endswith(f"bad input: {len(findings)} finding(s)")


@pytest.mark.parametrize("day", [SPRING, AUTUMN], ids=["92", "100"])
def test_days_of_92_and_100_quarters_run(day: tuple[str, list[str]], tmp_path: Path) -> None:
    scenario = folder_of(quarter_hours(*day)(), tmp_path / "in")
    answer = flexpeer("run", scenario, "--out", tmp_path / "out", "--json")
    assert answer.code == 0, answer.err
    assert answer.object["periods"] == len(day[1])


FILES = [*swap_hour(), "grid.json"]


@pytest.mark.parametrize(
    "junk", [bytes(range(256)), b"\xff\xfe\x00\x00", b"", b"\x00" * 64], ids=["all", "utf", "none", "zero"]
)
@pytest.mark.parametrize("name", FILES)
def test_binary_in_any_file_is_bad_input(name: str, junk: bytes, tmp_path: Path) -> None:
    scenario = folder_of(small_day() if name == "grid.json" else swap_hour(), tmp_path / "in")
    (scenario / name).write_bytes(junk)
    answer = flexpeer("run", scenario, "--out", tmp_path / "out", "--json")
    assert answer.code == 2
    assert any(name in finding["where"] for finding in answer.object["findings"])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", FILES)
def test_a_folder_where_a_file_belongs_is_bad_input(name: str, tmp_path: Path) -> None:
    scenario = folder_of(small_day() if name == "grid.json" else swap_hour(), tmp_path / "in")
    (scenario / name).unlink()
    (scenario / name).mkdir()
    answer = flexpeer("run", scenario, "--out", tmp_path / "out", "--json")
    assert answer.code == 2
    assert any(name in finding["where"] for finding in answer.object["findings"])


def test_no_folder_or_a_file_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    for scenario in (tmp_path / "nowhere", tmp_path / "file"):
        answer = flexpeer("run", scenario, "--out", tmp_path / "out", "--json")
        assert answer.code == 2
        assert str(scenario) in answer.object["findings"][0]["where"]
    assert everything_in(tmp_path) == {"file"}


@pytest.mark.parametrize("out", ["full", "file", "file/below", "in"])
def test_out_that_cannot_be_used_is_bad_input(out: str, tmp_path: Path) -> None:
    scenario = folder_of(swap_hour(), tmp_path / "in")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("x", encoding="utf-8")
    (tmp_path / "file").write_text("x", encoding="utf-8")
    before = everything_in(tmp_path)
    answer = flexpeer("run", scenario, "--out", tmp_path / out, "--json")
    assert answer.code == 2
    assert str(tmp_path / out) in answer.object["findings"][0]["where"]
    assert flexpeer("demo", "--out", tmp_path / out, "--json").code == 2
    assert everything_in(tmp_path) == before


def test_out_on_a_file_system_that_takes_nothing_is_bad_input(tmp_path: Path) -> None:
    scenario = folder_of(swap_hour(), tmp_path / "in")
    assert flexpeer("run", scenario, "--out", "/proc/flexpeer/out", "--json").code == 2


def test_every_finding_is_reported_at_once(tmp_path: Path) -> None:
    texts = swap_hour()
    texts["orders.csv"] = texts["orders.csv"].replace("10000000,250", "x,250").replace("BESS,SELL", "BESS,LEND")
    texts["forecast.csv"] = texts["forecast.csv"].replace(",40000000,", ",nan,", 1)
    texts["scenario.toml"] = texts["scenario.toml"].replace("= 60", "= 30")
    answer = flexpeer("run", folder_of(texts, tmp_path / "in"), "--out", tmp_path / "out", "--json")
    places = {(finding["where"].rsplit("/", 1)[-1], finding["line"]) for finding in answer.object["findings"]}
    assert {("orders.csv", 2), ("orders.csv", 3), ("forecast.csv", 2)} <= places
    assert any(name == "scenario.toml" for name, _ in places)


def test_one_bad_cell_in_a_million_orders(tmp_path: Path) -> None:
    texts = swap_hour()
    head, row = texts["orders.csv"].split("\n")[:2]
    tail = row.split(",", 2)[2]
    rows = [f"O{n},{n},{tail}" for n in range(1, 1_000_001)]
    rows[765_432] = rows[765_432].replace("10000000", "1e7")
    texts["orders.csv"] = "\n".join([head, *rows]) + "\n"
    scenario = folder_of(texts, tmp_path / "in")
    began = time.process_time()
    answer = flexpeer("run", scenario, "--out", tmp_path / "out", "--json")
    assert time.process_time() - began < 15.0
    assert answer.code == 2
    (finding,) = answer.object["findings"]
    assert (finding["line"], finding["field"]) == (765_434, "quantity_w")
