"""`docs/reference/scenario.md` has every file, column and key of the code, and no other."""

import re
import tomllib
from pathlib import Path

import pytest

from flexpeer.adapters.scenario_files.layouts import LAYOUTS, MANDATORY, Layout
from flexpeer.adapters.scenario_files.operation import OPERATION_TABLES
from flexpeer.adapters.scenario_files.settings import RULE_KEYS
from flexpeer.market.kpi import Alternative, Costs
from flexpeer.market.rulebook import Rulebook
from flexpeer.market.timeline import Timeline

DOCUMENT = (Path(__file__).parents[2] / "docs/reference/scenario.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", DOCUMENT, re.MULTILINE | re.DOTALL))


def rows(section: str) -> list[list[str]]:
    found = re.findall(r"^\| (`.*) \|$", SECTIONS[section], re.MULTILINE)
    return [[cell.strip() for cell in row.split("|")] for row in found]


def test_every_file_has_a_section() -> None:
    assert list(SECTIONS) == ["scenario.toml", *(layout.file for layout in LAYOUTS)]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.file)
def test_every_column_is_documented(layout: Layout) -> None:
    documented = rows(layout.file)
    assert [row[0].strip("`") for row in documented] == list(layout.names)
    for column, (_, meaning, default) in zip(layout.columns, documented, strict=True):
        assert meaning.startswith("optional") is not column.required
        assert bool(default) is (column.default is not MANDATORY)
    absent = "May be absent" in SECTIONS[layout.file]
    assert absent is not layout.required


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.file)
def test_every_example_row_reads(layout: Layout) -> None:
    example = re.search(r"^Example: `(.*)`$", SECTIONS[layout.file], re.MULTILINE)
    assert example is not None
    cells = example[1].split(",")
    assert len(cells) == len(layout.columns)
    for column, cell in zip(layout.columns, cells, strict=True):
        assert column.default is not MANDATORY if not cell else column.read(cell) is not None


def test_defaults_of_choices_are_those_of_the_rulebook() -> None:
    told = {row[0].strip("`"): row[2].strip("`").strip('"') for row in rows("scenario.toml")}
    for field in Rulebook.__struct_fields__:
        value = getattr(Rulebook(), field)
        if isinstance(value, str):
            assert told[f"rulebook.{field}"] == value


def test_every_key_is_documented() -> None:
    rules = [RULE_KEYS.get(field, field) for field in Rulebook.__struct_fields__]
    keys = ["name", "delivery_day", "timezone", "mtu_minutes", "currency", "grid.source"]
    keys += [f"rulebook.{rule}" for rule in rules if rule != "timeline"]
    keys += [f"timeline.{key}" for key in Timeline.__struct_fields__]
    keys += [f"alternative.{key}" for key in Alternative.__struct_fields__]
    keys += [f"costs.{key}" for key in Costs.__struct_fields__]
    tables = {
        "outage": ("element", "from", "to", "limit_w"),
        "switching": ("element", "state", "from", "to"),
        "overhead": ("elements", "t_max_c", "t_ref_c"),
        "unbalance": ("area", "current_percent", "voltage_percent"),
    }
    assert tuple(tables) == OPERATION_TABLES
    keys += [f"{table}.{key}" for table, names in tables.items() for key in names]
    documented = [name.strip("` ") for row in rows("scenario.toml") for name in row[0].split(",")]
    assert sorted(documented) == sorted(keys)


def test_the_example_is_toml() -> None:
    example = re.search(r"```toml\n(.*?)```", DOCUMENT, re.DOTALL)
    assert example is not None
    assert tomllib.loads(example[1])["name"] == "Swap hour"
