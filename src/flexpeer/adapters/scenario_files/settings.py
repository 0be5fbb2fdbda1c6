"""`scenario.toml`: the day, the grid's source, the rulebook, the alternative, the costs; how the grid is run."""

import os
import re
import tomllib
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from flexpeer.adapters.reading import TOO_DEEP, bytes_of
from flexpeer.adapters.scenario_files import toml_values as toml
from flexpeer.adapters.scenario_files.findings import Findings
from flexpeer.adapters.scenario_files.operation import OPERATION_TABLES, read_operation
from flexpeer.adapters.scenario_files.toml_values import Place, TomlSection
from flexpeer.app.scenario import OutageRow, Overhead, Switching, Unbalance
from flexpeer.market.kpi import Alternative, Costs
from flexpeer.market.rulebook import Exchange, Rulebook
from flexpeer.market.timeline import Timeline
from flexpeer.periods import MTU_MINUTES, MarketDay, local_midnight
from flexpeer.quantities import PPM, PRICE_LIMIT_MINOR, QUANTITY_LIMIT_W

SETTINGS_FILE: Final = "scenario.toml"
DEFAULT_TIMEZONE: Final = "Europe/Stockholm"
DEFAULT_CURRENCY: Final = "SEK"
TABLES: Final = ("grid", "rulebook", "alternative", "costs", "timeline")

_COUNT: Final = (0, 10**9)
_RULE_RANGES: Final = {
    "need_margin_ppm": (0, PPM - 1),
    "min_quantity_w": (1, QUANTITY_LIMIT_W),
    "quantity_tick_w": (1, QUANTITY_LIMIT_W),
    "price_tick_minor": (1, PRICE_LIMIT_MINOR),
    "price_cap_minor": (-PRICE_LIMIT_MINOR, PRICE_LIMIT_MINOR),
    "min_impact_ppm": (1, 8 * PPM),
    "cliff_percent": (0, 100),
    "need_quantile_percent": (50, 90),
    "fee_minor_per_mwh": (0, PRICE_LIMIT_MINOR),
}
_ALTERNATIVE_RANGES: Final = {
    "lifetime_years": (1, 1_000),
    "deferral_years": (1, 1_000),
    "congested_days_per_year": (0, 366),
}
RULE_KEYS: Final = {
    "price_cap_minor": "price_cap",
    "price_tick_minor": "price_tick",
    "fee_minor_per_mwh": "fee_per_mwh",
}


class Settings(msgspec.Struct, frozen=True):
    """What stands in `scenario.toml`; None (also for the rulebook and so on) where it could not be read.

    `grid_source` is as written; `gridless` says that there is no `[grid]` at all.
    """

    name: str | None = None
    day: MarketDay | None = None
    currency: str | None = None
    grid_source: str | None = None
    gridless: bool | None = None
    rulebook: Rulebook | None = None
    alternative: Alternative | None = None
    costs: Costs | None = None
    outages: tuple[OutageRow, ...] = ()
    switching: tuple[Switching, ...] = ()
    overhead: tuple[Overhead, ...] = ()
    unbalance: tuple[Unbalance, ...] = ()

    @property
    def needs_points(self) -> bool:
        """Whether congestion points and impact factors must be given: no grid, and no 1:1 exchange."""
        return self.gridless is True and self.rulebook is not None and self.rulebook.exchange is not Exchange.BALANCED


class _Key(NamedTuple):
    key: str
    field: str
    read: Callable[[Any], Any]
    expected: str


def read_settings(folder: Path) -> tuple[Settings, Findings]:
    """What `scenario.toml` in `folder` says, and all that is wrong with it."""
    findings = Findings(SETTINGS_FILE)
    document = _document(folder / SETTINGS_FILE, findings)
    return (Settings(), findings) if document is None else (_settings(folder, *document, findings), findings)


def _document(path: Path, findings: Findings) -> tuple[dict[str, Any], dict[Place, int]] | None:
    """The TOML values with the line of each key."""
    try:
        raw = bytes_of(path)
    except FileNotFoundError:
        findings.add(0, "", "the file is missing", "a TOML file with name, delivery_day and mtu_minutes")
        return None
    except OSError as error:
        findings.add(0, "", f"the file cannot be read ({error.strerror})", "a readable file")
        return None
    try:
        text = raw.decode("utf-8-sig").replace("\r\n", "\n")
        return tomllib.loads(text, parse_float=Decimal), toml.key_lines(text)
    except UnicodeDecodeError as error:
        findings.add(raw[: error.start].count(b"\n") + 1, "", "the line is not UTF-8", "UTF-8 text")
    except ValueError as error:
        place = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        line = int(place[1]) if place else text.count("\n") + 1
        findings.add(line, "", f"not TOML: {error}", "TOML 1.0")
    except RecursionError:
        findings.add(0, "", TOO_DEEP, "TOML 1.0")
    return None


def _settings(folder: Path, values: dict[str, Any], lines: dict[Place, int], findings: Findings) -> Settings:
    top = TomlSection("", values, lines, findings)
    name = top.need("name", toml.text, "a name in quotes")
    day = _day(top)
    currency = top.take("currency", toml.currency, 'three capitals, such as "SEK"', DEFAULT_CURRENCY)

    def section(table: str) -> TomlSection | None:
        nothing: dict[str, Any] = {}
        found = top.take(table, toml.table, f"a table [{table}]", nothing)
        return None if found is None else TomlSection(table, found, lines, findings)

    grid, rulebook, alternative, costs, timeline = map(section, TABLES)

    def sections(table: str) -> list[TomlSection]:
        none: list[dict[str, Any]] = []
        found = top.take(table, toml.tables, f"tables [[{table}]]", none) or none
        return [TomlSection(table, each, lines, findings, place) for place, each in enumerate(found)]

    operation = read_operation({table: sections(table) for table in OPERATION_TABLES}, day)
    top.done()
    return Settings(
        name=name,
        day=day,
        currency=currency,
        grid_source=_grid_source(grid, folder) if grid and "grid" in values else None,
        gridless="grid" not in values,
        rulebook=_with_timeline(_struct(Rulebook, rulebook, rule_keys()), timeline, day),
        alternative=_struct(Alternative, alternative, _alternative_keys()),
        costs=_struct(Costs, costs, [_Key(key, key, toml.amount, "a number, zero or more") for key in _names(Costs)]),
        outages=operation.outages,
        switching=operation.switching,
        overhead=operation.overhead,
        unbalance=operation.unbalance,
    )


def _day(top: TomlSection) -> MarketDay | None:
    day = top.need("delivery_day", toml.delivery_day, "a date as YYYY-MM-DD")
    timezone = top.take("timezone", toml.zone, f'an IANA time zone, such as "{DEFAULT_TIMEZONE}"', DEFAULT_TIMEZONE)
    minutes = top.need("mtu_minutes", toml.one_of(MTU_MINUTES), "15 or 60")
    if day is None or timezone is None or minutes is None:
        return None
    length = local_midnight(day + timedelta(days=1), timezone) - local_midnight(day, timezone)
    if length <= 0 or length % minutes:
        top.add("mtu_minutes", f"the day has {length} minutes in {timezone}", "a day of whole market time units")
        return None
    return MarketDay(day, timezone, minutes)


def _grid_source(grid: TomlSection, folder: Path) -> str | None:
    source = grid.need("source", toml.text, "a grid file of this folder or the name of a grid")
    grid.done()
    names_a_file = source is not None and not source.startswith("simbench:") and ("." in source or "/" in source)
    if source is not None and names_a_file and not os.path.exists(folder / source):
        grid.add("source", f"there is no file {toml.toml_shown(source)}", "a grid file of this folder")
        return None
    return source


def _names(struct: type[msgspec.Struct]) -> tuple[str, ...]:
    return struct.__struct_fields__


def _struct(struct: Callable[..., Any], section: TomlSection | None, keys: list[_Key]) -> Any:
    """The struct with the keys that stand in the section, or None where one of them cannot be read."""
    if section is None:
        return None
    absent = object()
    values = {key.field: section.take(key.key, key.read, key.expected, absent) for key in keys}
    section.done()
    if None in values.values():
        return None
    return struct(**{field: value for field, value in values.items() if value is not absent})


def rule_keys() -> list[_Key]:
    """Every rule as a key of `[rulebook]`; prices are in major units there."""
    return [_rule_key(field) for field in msgspec.structs.fields(Rulebook) if field.name != "timeline"]


def _rule_key(field: msgspec.structs.FieldInfo) -> _Key:
    key = RULE_KEYS.get(field.name, field.name)
    if isinstance(field.type, type) and issubclass(field.type, StrEnum):
        expected = "one of " + ", ".join(f'"{value}"' for value in field.type)
        return _Key(key, field.name, toml.one_of(field.type), expected)
    low, high = _RULE_RANGES[field.name]
    if key != field.name:
        return _Key(key, field.name, toml.price_minor(low, high), "major units per MWh with at most two decimals")
    return _Key(key, field.name, toml.whole_between(low, high), f"a whole number from {low} to {high}")


def _with_timeline(rulebook: Rulebook | None, section: TomlSection | None, day: MarketDay | None) -> Rulebook | None:
    """The rulebook with `[timeline]`, whose times must follow each other."""
    expected = 'a time such as "D-1 09:00"'
    names = _names(Timeline)
    keys = [_Key(name, name, toml.moment, expected) for name in names if name != "settlement"]
    late = "at the end of the month, or " + expected
    timeline: Timeline | None = _struct(Timeline, section, [*keys, _Key("settlement", "settlement", toml.moment, late)])
    if rulebook is None or timeline is None or section is None or day is None:
        return None
    instants = timeline.instants(day)
    for name, (_, before), (_, at) in zip(names[1:], instants, instants[1:], strict=False):
        if at < before or (name == "gate_closure" and at == before):
            section.add(name, "it comes before the stage that it follows", "times in the order of the stages")
            return None
    return msgspec.structs.replace(rulebook, timeline=timeline)


def _alternative_keys() -> list[_Key]:
    keys = []
    for name in _names(Alternative):
        if name in _ALTERNATIVE_RANGES:
            low, high = _ALTERNATIVE_RANGES[name]
            keys.append(_Key(name, name, toml.whole_between(low, high), f"a whole number from {low} to {high}"))
        elif name == "wacc":
            keys.append(_Key(name, name, toml.fraction, "a fraction below 1, such as 0.055"))
        else:
            keys.append(_Key(name, name, toml.amount, "a number, zero or more"))
    return keys
