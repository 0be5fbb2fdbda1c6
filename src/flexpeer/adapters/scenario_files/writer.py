"""Writes a scenario as a folder that `read_scenario` reads back exactly."""

import csv
import json
import shutil
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from flexpeer.adapters.scenario_files import layouts
from flexpeer.adapters.scenario_files.layouts import Layout
from flexpeer.adapters.scenario_files.order_rows import said_with
from flexpeer.adapters.scenario_files.settings import RULE_KEYS, SETTINGS_FILE
from flexpeer.adapters.scenario_files.toml_values import moment_text
from flexpeer.adapters.scenario_files.workbooks import SHEETS_OF_ALL
from flexpeer.app.scenario import Scenario
from flexpeer.market.timeline import Moment, Timeline
from flexpeer.periods import local_text
from flexpeer.quantities import MINOR_PER_MAJOR, decimal_text

Rows = Iterable[Iterable[Any]]


def write_scenario(scenario: Scenario, folder: Path, grid_file: Path | None = None) -> None:
    """Write the files of a scenario into `folder`, which is made where needed; files of an earlier scenario go.

    `grid_file` is copied to the name `scenario.grid_source` has; leave it out for a named grid. Every
    portfolio must have its entry in `portfolio_fsp`. A factor equal at all MTUs takes one row without `from`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SETTINGS_FILE).write_text("\n".join(_settings(scenario)) + "\n", encoding="utf-8")
    if grid_file is not None and scenario.grid_source is not None:
        target = folder / scenario.grid_source
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(grid_file, target)
    for layout in layouts.LAYOUTS:
        for file in (layout.file, f"{layout.table}.xlsx"):
            (folder / file).unlink(missing_ok=True)
    (folder / SHEETS_OF_ALL).unlink(missing_ok=True)
    for layout, rows in _files(scenario):
        with (folder / layout.file).open("w", encoding="utf-8", newline="") as stream:
            lines = csv.writer(stream, lineterminator="\n")
            lines.writerow(layout.names)
            lines.writerows([cell_text(value) for value in row] for row in rows)


def cell_text(value: Any) -> str:
    """A value as a cell has it."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def price_text(minor: int | None) -> str | None:
    """Minor units as a price in major units."""
    return None if minor is None else decimal_text(Decimal(minor) / MINOR_PER_MAJOR)


def _settings(scenario: Scenario) -> Iterator[str]:
    day = scenario.day
    yield f"name = {_quoted(scenario.name)}"
    yield f"delivery_day = {day.delivery_day.isoformat()}"
    yield f"timezone = {_quoted(day.timezone)}"
    yield f"mtu_minutes = {day.mtu_minutes}"
    yield f"currency = {_quoted(scenario.currency)}"
    if scenario.grid_source is not None:
        yield from ("", "[grid]", f"source = {_quoted(scenario.grid_source)}")
    for table, struct in (
        ("rulebook", scenario.rulebook),
        ("alternative", scenario.alternative),
        ("costs", scenario.costs),
        ("timeline", scenario.rulebook.timeline),
    ):
        keys = list(_changed(struct))
        yield from ("", f"[{table}]", *keys) if keys else ()
    for outage in scenario.outages:
        yield from ("", "[[outage]]", f"element = {_quoted(outage.element)}")
        yield f"from = {_quoted(day.local(outage.span.first))}"
        yield f"to = {_quoted(day.local(outage.span.end))}"
        if outage.limit_w is not None:
            yield f"limit_w = {outage.limit_w}"
    for switching in scenario.switching:
        yield from ("", "[[switching]]", f"element = {_quoted(switching.element)}")
        yield f'state = "{"closed" if switching.closed else "open"}"'
        yield f"from = {_quoted(day.local(switching.span.first))}"
        yield f"to = {_quoted(day.local(switching.span.end))}"
    for line in scenario.overhead:
        yield from ("", "[[overhead]]", f"elements = {json.dumps(list(line.elements), ensure_ascii=False)}")
        yield from (f"t_max_c = {line.t_max_c!r}", f"t_ref_c = {line.t_ref_c!r}")
    for margin in scenario.unbalance:
        yield from ("", "[[unbalance]]", *([f"area = {_quoted(margin.area)}"] if margin.area else []))
        yield from (f"current_percent = {margin.current_percent!r}", f"voltage_percent = {margin.voltage_percent!r}")


def _changed(struct: Any) -> Iterator[str]:
    """The keys of a struct that differ from their defaults."""
    default = type(struct)()
    for field in struct.__struct_fields__:
        value = getattr(struct, field)
        if value != getattr(default, field) and not isinstance(value, Timeline):
            yield f"{RULE_KEYS.get(field, field)} = {_toml(price_text(value) if field in RULE_KEYS else value, field)}"


def _toml(value: Any, field: str) -> str:
    if isinstance(value, Decimal):
        return decimal_text(value)
    if isinstance(value, Moment):
        return _quoted(moment_text(value))
    return _quoted(value) if isinstance(value, str) and field not in RULE_KEYS else str(value)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _files(scenario: Scenario) -> Iterator[tuple[Layout, Rows]]:
    """The files to write, absent ones left out, with their rows in the order of the layout's columns."""
    yield layouts.ORGANISATIONS, _structs(scenario.organisations)
    if scenario.areas:
        yield layouts.AREAS, scenario.areas.items()
    yield layouts.RESOURCES, _structs(scenario.resources, price_at=8)
    if scenario.portfolios:
        yield layouts.PORTFOLIOS, _portfolios(scenario)
    yield layouts.FORECAST, _forecast(scenario)
    if scenario.congestion_points is not None:
        yield layouts.CONGESTION_POINTS, _structs(scenario.congestion_points)
    if scenario.ratings:
        yield layouts.RATINGS, _between(scenario, scenario.ratings)
    if scenario.bands:
        yield layouts.VOLTAGE_BANDS, _between(scenario, scenario.bands)
    if scenario.temperature_c is not None:
        yield layouts.WEATHER, ([scenario.day.local(m), t] for m, t in enumerate(scenario.temperature_c))
    if scenario.impact_ppm is not None:
        yield layouts.IMPACT_FACTORS, _impact(scenario, scenario.impact_ppm)
    if scenario.obligations_w is not None:
        yield layouts.ALLOCATIONS, _obligations(scenario, scenario.obligations_w)
    yield layouts.ORDERS, _orders(scenario)
    if scenario.meter_w is not None:
        yield layouts.METER, _meter(scenario, scenario.meter_w)


def _structs(structs: Iterable[Any], price_at: int | None = None) -> Iterator[list[Any]]:
    for struct in structs:
        row = [getattr(struct, field) for field in struct.__struct_fields__]
        if price_at is not None:
            row[price_at] = price_text(row[price_at])
        yield row


def _portfolios(scenario: Scenario) -> Iterator[list[Any]]:
    for portfolio, resources in scenario.portfolios.items():
        yield from ([portfolio, scenario.portfolio_fsp[portfolio], resource] for resource in resources)


def _forecast(scenario: Scenario) -> Iterator[list[Any]]:
    named = [(bus, None, profile) for bus, profile in scenario.bus_forecast.items()]
    for bus, resource, profile in [*named, *((None, name, each) for name, each in scenario.resource_forecast.items())]:
        low, high = ((each or (None,) * len(profile.p_w)) for each in (profile.p_low_w, profile.p_high_w))
        for mtu, row in enumerate(zip(profile.p_w, profile.q_var, low, high, strict=True)):
            yield [scenario.day.local(mtu), bus, resource, *row]


def _between(scenario: Scenario, structs: Iterable[Any]) -> Iterator[list[Any]]:
    """Rows whose second and third fields are instants."""
    for row in _structs(structs):
        row[1:3] = (local_text(instant, scenario.day.timezone) for instant in row[1:3])
        yield row


def _impact(scenario: Scenario, impact_ppm: dict[str, dict[str, tuple[int, ...]]]) -> Iterator[list[Any]]:
    for point, factors in impact_ppm.items():
        for resource, ppm in factors.items():
            if len(set(ppm)) == 1:
                yield [point, resource, ppm[0], None]
            else:
                yield from ([point, resource, each, scenario.day.local(mtu)] for mtu, each in enumerate(ppm))


def _obligations(scenario: Scenario, obligations_w: dict[str, tuple[int, ...]]) -> Iterator[list[Any]]:
    for resource, of_day in obligations_w.items():
        for mtu, obligation_w in enumerate(of_day):
            if obligation_w or (mtu == 0 and not any(of_day)):
                yield [resource, scenario.day.local(mtu), obligation_w]


def _orders(scenario: Scenario) -> Iterator[list[Any]]:
    names = layouts.ORDERS.names
    for row in _structs(scenario.orders, price_at=7):
        row[4:6] = (local_text(instant, scenario.day.timezone) for instant in row[4:6])
        said = said_with(row[names.index("action")])
        yield [value if name in said else None for name, value in zip(names, row, strict=True)]


def _meter(scenario: Scenario, meter_w: dict[str, tuple[int, ...]]) -> Iterator[list[Any]]:
    for resource, of_day in meter_w.items():
        yield from ([resource, scenario.day.local(mtu), p_w] for mtu, p_w in enumerate(of_day))
    for resource, readings in scenario.meter_history_w.items():
        for instant, p_w in readings.items():
            yield [resource, local_text(instant, scenario.day.timezone), p_w]
