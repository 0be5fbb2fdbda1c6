"""A scenario made in code is the scenario that its files would be, and what is wrong with it is one error."""

import csv
import io
import tomllib
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.adapters.scenario_folder import Texts, folder_of, swap_hour
from tests.app.grid_days import orders, small_day
from tests.app.test_grid_day_trades import three_levels
from tests.app.test_grids_of_several import apart
from tests.cli.test_results_grid import SWAPS

import flexpeer
from flexpeer.adapters.scenario_files.layouts import LAYOUTS
from flexpeer.library.made import LAYOUT_OF

Made = tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]


def parts(texts: Texts) -> Made:
    """Settings and tables, with Python's types where a text is a number, a time or empty."""
    tables = {
        name.removesuffix(".csv"): [{k: cell(v) for k, v in row.items()} for row in csv.DictReader(io.StringIO(text))]
        for name, text in texts.items()
        if name.endswith(".csv")
    }
    return tomllib.loads(texts["scenario.toml"], parse_float=Decimal), tables


def cell(text: str) -> Any:
    if text.lower() in ("true", "false", ""):
        return {"true": True, "false": False, "": None}[text.lower()]
    for read in (int, Decimal, date.fromisoformat, datetime.fromisoformat):
        try:
            return read(text)
        except (ValueError, ArithmeticError):
            continue
    return text


def test_records_are_the_scenario_of_the_files(tmp_path: Path) -> None:
    settings, tables = parts(swap_hour())
    made = flexpeer.scenario(settings, **tables)
    read = flexpeer.read(folder_of(swap_hour(), tmp_path / "files"))
    assert made.run().state_hash == read.run().state_hash
    made.write(tmp_path / "written")
    assert flexpeer.read(tmp_path / "written").run().state_hash == read.run().state_hash


def test_frames_are_the_scenario_of_the_files(tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas", reason="the extra `frames`")
    texts = swap_hour()
    frames = {n.removesuffix(".csv"): pd.read_csv(io.StringIO(t)) for n, t in texts.items() if n.endswith(".csv")}
    frames["orders"]["congestion_point"] = None
    frames["orders"]["from"] = pd.to_datetime(frames["orders"]["from"])
    frames["resources"]["energy_wh"] = [float("nan")] * 3 + [4_000_000] * 1 + [float("nan")] * 2
    texts["resources.csv"] = "".join(
        f"{line},{more}\n"
        for line, more in zip(
            texts["resources.csv"].splitlines(), ["energy_wh", "", "", "", "4000000", "", ""], strict=True
        )
    )
    made = flexpeer.scenario(parts(texts)[0], **frames)
    assert made.run().state_hash == flexpeer.read(folder_of(texts, tmp_path)).run().state_hash


def test_a_grid_is_named_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = small_day() | {"orders.csv": orders(SWAPS)}
    of_files = flexpeer.read(folder_of(texts, tmp_path / "files")).run()
    monkeypatch.chdir(tmp_path)
    known, tables = parts(texts)
    made = flexpeer.scenario(known | {"grid": {"source": Path("files") / "grid.json"}}, **tables)
    assert made.run().state_hash == of_files.state_hash
    made.write("written")
    assert not (tmp_path / "written" / "grid.json").is_symlink()
    assert flexpeer.read("written").run().state_hash == of_files.state_hash


def test_a_grid_file_that_names_others_finds_them(tmp_path: Path) -> None:
    of_all = three_levels(small_day() | {"orders.csv": orders(SWAPS)})
    folder = folder_of(of_all, tmp_path / "files")
    apart(folder)
    of_files = flexpeer.read(folder)
    known, tables = parts({path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()})
    made = flexpeer.scenario(known | {"grid": {"source": folder / "grids.toml"}}, **tables)
    assert made.run().state_hash == of_files.run().state_hash
    made.write(tmp_path / "written")
    assert flexpeer.read(tmp_path / "written").run().state_hash == of_files.run().state_hash


def test_tables_of_settings_are_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = small_day() | {"orders.csv": orders(SWAPS)}
    folder_of(texts, tmp_path)
    monkeypatch.chdir(tmp_path)
    known, tables = parts(texts)
    first = datetime.fromisoformat(f"{known['delivery_day']}T10:00+01:00")
    out = [{"element": "Cable 3", "from": first, "to": first.replace(hour=12), "limit_w": 0}]
    before, after = (
        flexpeer.scenario(known | {"outage": outages}, **tables).run().congestions_before for outages in ([], out)
    )
    assert (before, after) == (4, 6)
    with pytest.raises(flexpeer.BadInput, match="Cable 9"):
        flexpeer.scenario(known | {"outage": [out[0] | {"element": "Cable 9"}]}, **tables)


def test_every_finding_is_in_one_error() -> None:
    settings, tables = parts(swap_hour())
    settings["mtu_minutes"] = 20
    settings["rulebook"]["priority"] = "rank"
    tables["orders"][1]["quantity_w"] = 1.5
    tables["orders"][3]["side"] = "KEEP"
    tables["resources"][0] |= {"fsp": "Nobody", "colour": "red"}
    with pytest.raises(flexpeer.BadInput) as error:
        flexpeer.scenario(settings, **tables | {"traders": [], "allocations": [1, {"resource": "W1"}]})
    found = [(f.where, f.line, f.field) for f in error.value.findings]
    assert found == [
        ("traders", 0, ""),
        ("allocations.csv", 2, ""),
        ("scenario.toml", 0, "mtu_minutes"),
        ("scenario.toml", 0, "rulebook.priority"),
        ("resources.csv", 1, "colour"),
        ("resources.csv", 2, "fsp"),
        ("allocations.csv", 1, "from"),
        ("allocations.csv", 1, "obligation_w"),
        ("orders.csv", 3, "quantity_w"),
        ("orders.csv", 5, "side"),
    ]


def test_no_text_is_taken_for_another() -> None:
    settings, tables = parts(swap_hour())
    for name in ('A "B"\\', "Å, or ö", "1.50", "true"):
        tables["orders"][0]["order"] = name
        day = flexpeer.scenario({**settings, "name": name}, **tables)
        assert (day.name, day.run().records("orders")[0]["order"]) == (name, name)
    for name in ("\u2028", "x\x7f", "a\nb", "\ud800", "\r\n"):
        settings, tables = parts(swap_hour())
        with pytest.raises(flexpeer.BadInput) as error:
            flexpeer.scenario({**settings, "name": name}, **tables)
        assert [finding.where for finding in error.value.findings] == ["scenario.toml"]
        tables["orders"][0]["order"] = name
        tables["orders"][4]["order"] = " E"
        with pytest.raises(flexpeer.BadInput) as error:
            flexpeer.scenario(settings, **tables)
        places = [(finding.where, finding.line) for finding in error.value.findings]
        assert places == [("orders.csv", 2), ("orders.csv", 6)]


def test_settings_that_are_none_are_findings() -> None:
    _, tables = parts(swap_hour())
    with pytest.raises(flexpeer.BadInput, match="name") as error:
        flexpeer.scenario(
            {"name": None, "delivery_day": object(), "grid": 7, "mtu_minutes": [15], "costs": {}}, **tables
        )
    assert {"name", "delivery_day", "grid", "mtu_minutes"} <= {f.field for f in error.value.findings}


def test_every_file_has_its_table() -> None:
    assert [layout.file for layout in LAYOUTS] == [f"{name}.csv" for name in LAYOUT_OF]
