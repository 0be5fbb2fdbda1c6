"""The reference is complete both ways: all there is is documented, and nothing that is not there."""

import importlib
import json
import re
from pathlib import Path

import pytest
import typer.main
from sqlalchemy import Table
from tests.docs.pages import DOCS, ROOT, names, rows, section
from tests.docs.reference_tables import REFERENCE, members, replaced, tables

from flexpeer.adapters.organisation_files import COLUMNS, FOLDER
from flexpeer.adapters.results_files import TABLES
from flexpeer.adapters.scenario_files.settings import RULE_KEYS
from flexpeer.adapters.store.tables import METADATA
from flexpeer.bootstrap import LOG_NAME, run_folder
from flexpeer.cli import app
from flexpeer.market.kpi import KpiReport
from flexpeer.market.machine import Command, Event
from flexpeer.market.reasons import EXPECTED, Reason
from flexpeer.market.rulebook import Rulebook

RESULTS = REFERENCE / "results.md"
CODE_WORD = re.compile(r"`([^`]+)`")


@pytest.mark.parametrize("part", tables(), ids=lambda part: part[1])
def test_generated_tables_are_current(part: tuple[Path, str]) -> None:
    page, name = part
    text = page.read_text(encoding="utf-8")
    assert text == replaced(text, name, tables()[part]), "run: python -m tests.docs.reference_tables"


def test_every_command_event_and_reason_has_its_place() -> None:
    for page, union in (("commands.md", Command), ("events.md", Event)):
        text = (REFERENCE / page).read_text(encoding="utf-8")
        for cls in members(union):
            assert text.count(f"### {cls.__name__}\n") == 1
    assert names((REFERENCE / "reasons.md").read_text(encoding="utf-8")) == [str(reason) for reason in Reason]
    assert set(EXPECTED) == set(Reason)


@pytest.mark.parametrize("file", TABLES)
def test_result_columns(file: str) -> None:
    assert names(section(RESULTS, file)) == list(TABLES[file])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("results") / "out"
    run_folder(DOCS / "examples" / "maintenance-hours", out, lambda _done, _total: None)
    return out


def test_result_files(finished: Path) -> None:
    listed = rows(RESULTS.read_text(encoding="utf-8").split("\n## ")[0])
    documented = {word for row in listed for word in CODE_WORD.findall(row[0])}
    assert documented == {path.name for path in finished.iterdir()}
    assert {*TABLES, LOG_NAME, FOLDER, "result.json", "report.html"} == documented
    words = [word for row in rows(section(RESULTS, FOLDER)) for word in CODE_WORD.findall(row[0])]
    assert sorted(words) == sorted(COLUMNS)


def test_result_keys(finished: Path) -> None:
    result = json.loads((finished / "result.json").read_text(encoding="utf-8"))
    top = section(RESULTS, "result.json").split("\n### ")[0]
    assert sorted(names(top)) == sorted(result)
    assert sorted(names(section(RESULTS, "kpi"))) == sorted(KpiReport.__struct_fields__)
    assert sorted(result["kpi"]) == sorted(KpiReport.__struct_fields__)


def test_example_sums_to_zero_and_nothing_is_worse(finished: Path) -> None:
    result = json.loads((finished / "result.json").read_text(encoding="utf-8"))
    assert result["settlement_sum"] == 0
    assert result["worsened_by_market"] == 0
    assert result["congestions"] == []


def test_rulebook() -> None:
    documented = {row[0].strip("`"): row for row in rows((REFERENCE / "rulebook.md").read_text(encoding="utf-8"))}
    fields = {RULE_KEYS.get(name, name): name for name in Rulebook.__struct_fields__ if name != "timeline"}
    assert sorted(documented) == sorted(fields)
    for rule, field in fields.items():
        value = getattr(Rulebook(), field)
        default = documented[rule][2].strip("`")
        if hasattr(value, "value"):
            words = [*re.findall(r"(?:^|\. )`(\w+)`:", documented[rule][1])]
            assert words == [str(word) for word in type(value)], rule
            assert default == value
        elif field.endswith("_minor") or "_minor_" in field:
            assert default == ("none" if value is None else f"{value / 100:g}"), rule
        else:
            assert default.split(" ")[0] == ("5000" if value is None else str(value)), rule


@pytest.mark.parametrize("table", METADATA.sorted_tables, ids=lambda table: table.name)
def test_store_tables(table: Table) -> None:
    assert names(section(REFERENCE / "store.md", table.name)) == [column.name for column in table.columns]


def test_command_line() -> None:
    text = (REFERENCE / "cli.md").read_text(encoding="utf-8")
    found = dict(_commands(typer.main.get_command(app), "flexpeer"))
    assert sorted(re.findall(r"^## `(.+)`$", text, re.MULTILINE)) == sorted(found)
    for command, options in found.items():
        listed = [word for row in rows(section(REFERENCE / "cli.md", command)) for word in CODE_WORD.findall(row[0])]
        assert sorted(listed) == sorted(options), command


def _commands(command: object, path: str) -> list[tuple[str, list[str]]]:
    """Every command by its words, with its options (long form) and arguments (capitals)."""
    options = [
        max(param.opts, key=len) if param.param_type_name == "option" else (param.name or "").upper()
        for param in getattr(command, "params", [])
        if "--help" not in param.opts
    ]
    inner = getattr(command, "commands", {})
    found = [entry for name, sub in inner.items() for entry in _commands(sub, f"{path} {name}")]
    return [*([(path, options)] if options or not inner else []), *found]


def test_glossary() -> None:
    table = rows((REFERENCE / "glossary.md").read_text(encoding="utf-8"))
    words = [row[0] for row in table]
    assert len(words) == len(set(words))
    for _, meaning, code, test in table:
        assert meaning
        module, _, name = code.strip("`").rpartition(".")
        assert hasattr(importlib.import_module(module), name), code
        assert (ROOT / test.strip("`")).is_file(), test
