"""Reads a scenario folder, or says everything that is wrong with it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flexpeer.adapters.scenario_files import layouts
from flexpeer.adapters.scenario_files.checks import Tables, check_rows
from flexpeer.adapters.scenario_files.layouts import LAYOUTS, Layout
from flexpeer.adapters.scenario_files.local_times import LocalTimes
from flexpeer.adapters.scenario_files.order_rows import order_rows
from flexpeer.adapters.scenario_files.references import check_references
from flexpeer.adapters.scenario_files.settings import Settings, read_settings
from flexpeer.adapters.scenario_files.sheets import SheetFolder
from flexpeer.adapters.scenario_files.tables import BAD, Table, read_table
from flexpeer.adapters.scenario_files.wide import Known
from flexpeer.app.scenario import (
    BandRow,
    CongestionPointRow,
    OrderRow,
    OrganisationRow,
    Profile,
    RatingRow,
    ResourceRow,
    Scenario,
)
from flexpeer.errors import BadInput, bad_input
from flexpeer.periods import MarketDay


def read_scenario(folder: Path, unread: Sequence[Layout] = ()) -> Scenario:
    """The scenario in a folder, as if files of `unread` were absent; raises `BadInput` with all findings.

    They are in file and line order. Files come in the order `scenario.toml`, then as in `layouts.LAYOUTS`. At most
    `findings.FINDINGS_PER_FILE` findings of a file are listed.
    """
    if not folder.is_dir():
        raise bad_input(str(folder), "there is no such folder", "a scenario folder with scenario.toml")
    settings, found = read_settings(folder)
    sheets = SheetFolder(folder)
    tables = read_tables(sheets, settings, LAYOUTS, unread)
    check_rows(tables, settings)
    check_references(tables, settings)
    findings = [*found.in_order(), *(each for table in tables.values() for each in table.findings.in_order())]
    findings += [*sheets.strangers(), *sheets.findings]
    if findings:
        raise BadInput(findings)
    return _scenario(settings, tables)


def read_orders(folder: Path) -> tuple[MarketDay, tuple[OrderRow, ...]]:
    """The day and the orders of a folder, whatever else is in it: whether what they name exists, the market says.

    Raises `BadInput` with the findings of `scenario.toml` and `orders.csv`.
    """
    settings, found = read_settings(folder)
    sheets = SheetFolder(folder)
    tables = read_tables(sheets, settings, LAYOUTS)
    check_rows(tables, settings)
    findings = [*found.in_order(), *tables[layouts.ORDERS.file].findings.in_order(), *sheets.findings]
    if findings:
        raise BadInput(findings)
    assert settings.day is not None
    return settings.day, order_rows(tables[layouts.ORDERS.file])


def read_tables(
    sheets: SheetFolder, settings: Settings, wanted: Sequence[Layout], unread: Sequence[Layout] = ()
) -> Tables:
    """The tables of a folder in the order of `LAYOUTS`, which is that in which they know each other's ids."""
    known = Known(LocalTimes(settings.day), gridless=settings.gridless is True)
    tables: Tables = {}
    for layout in (each for each in LAYOUTS if each in wanted):
        table = tables[layout.file] = Table(layout) if layout in unread else read_table(sheets, layout, known)
        if layout is layouts.AREAS:
            known = known._replace(buses=frozenset(table.column("bus")) - {BAD})
        elif layout is layouts.RESOURCES:
            known = known._replace(resources=frozenset(table.column("resource")) - {BAD})
    return tables


def _scenario(settings: Settings, tables: Tables) -> Scenario:
    """The scenario of settings and tables without findings."""
    day, rulebook, costs, alternative = settings.day, settings.rulebook, settings.costs, settings.alternative
    assert day is not None
    assert rulebook is not None
    assert costs is not None
    assert alternative is not None
    meter = tables[layouts.METER.file]
    within, around = _readings(meter, day.start, day.mtu_minutes, day.mtu_count)
    return Scenario(
        name=settings.name or "",
        day=day,
        currency=settings.currency or "",
        grid_source=settings.grid_source,
        rulebook=rulebook,
        alternative=alternative,
        costs=costs,
        organisations=_structs(OrganisationRow, tables, layouts.ORGANISATIONS),
        areas={bus: dso for _, bus, dso in tables[layouts.AREAS.file].rows("bus", "dso")},
        resources=_structs(ResourceRow, tables, layouts.RESOURCES),
        portfolios=_portfolios(tables[layouts.PORTFOLIOS.file]),
        bus_forecast=_profiles(tables[layouts.FORECAST.file], "bus", day.mtu_count),
        resource_forecast=_profiles(tables[layouts.FORECAST.file], "resource", day.mtu_count),
        congestion_points=_optional(tables, layouts.CONGESTION_POINTS, _points(tables)),
        impact_ppm=_optional(tables, layouts.IMPACT_FACTORS, _impact(tables, day.mtu_count)),
        obligations_w=_optional(tables, layouts.ALLOCATIONS, _obligations(tables, day.mtu_count)),
        outages=settings.outages,
        orders=order_rows(tables[layouts.ORDERS.file]),
        meter_w=within if meter.present else None,
        meter_history_w=around,
        switching=settings.switching,
        overhead=settings.overhead,
        unbalance=settings.unbalance,
        ratings=_structs(RatingRow, tables, layouts.RATINGS),
        bands=_structs(BandRow, tables, layouts.VOLTAGE_BANDS),
        temperature_c=_optional(tables, layouts.WEATHER, _temperatures(tables[layouts.WEATHER.file], day.mtu_count)),
        portfolio_fsp={name: fsp for _, name, fsp in tables[layouts.PORTFOLIOS.file].rows("portfolio", "fsp")},
    )


def _structs(struct: Any, tables: Tables, layout: Layout) -> tuple[Any, ...]:
    return tuple(map(struct, *map(tables[layout.file].column, layout.names)))


def _optional(tables: Tables, layout: Layout, value: Any) -> Any:
    return value if tables[layout.file].present else None


def _points(tables: Tables) -> tuple[CongestionPointRow, ...]:
    return _structs(CongestionPointRow, tables, layouts.CONGESTION_POINTS)


def _portfolios(table: Table) -> dict[str, tuple[str, ...]]:
    members: dict[str, list[str]] = {}
    for _, portfolio, resource in table.rows("portfolio", "resource"):
        members.setdefault(portfolio, []).append(resource)
    return {portfolio: tuple(resources) for portfolio, resources in members.items()}


def _profiles(table: Table, key: str, count: int) -> dict[str, Profile]:
    """Powers by MTU; quantiles only where a row has one, and p_w in its other MTUs."""
    powers: dict[str, tuple[list[int], ...]] = {}
    spread: set[str] = set()
    for _, name, mtu, p_w, q_var, low, high in table.rows(key, "from", "p_w", "q_var", "p_low_w", "p_high_w"):
        if name is None:
            continue
        row = powers.setdefault(name, tuple([0] * count for _ in range(4)))
        values = (p_w, q_var, p_w if low is None else low, p_w if high is None else high)
        for series, value in zip(row, values, strict=True):
            series[mtu] = value
        if low is not None or high is not None:
            spread.add(name)
    return {name: Profile(*map(tuple, row if name in spread else row[:2])) for name, row in powers.items()}


def _temperatures(table: Table, count: int) -> tuple[float, ...]:
    by_mtu = {mtu: temperature for _, mtu, temperature in table.rows("from", "temperature_c")}
    return tuple(by_mtu.get(mtu, 0.0) for mtu in range(count))


def _impact(tables: Tables, count: int) -> dict[str, dict[str, tuple[int, ...]]]:
    """Factors per MTU; a row without `from` holds where no row has that MTU, and 0 where there is neither."""
    rows = list(tables[layouts.IMPACT_FACTORS.file].rows("congestion_point", "resource", "ppm", "from"))
    factors: dict[str, dict[str, list[int]]] = {}
    for _, point, resource, ppm, mtu in sorted(rows, key=lambda row: row[4] is not None):
        of_pair = factors.setdefault(point, {}).setdefault(resource, [0] * count)
        of_pair[slice(None) if mtu is None else slice(mtu, mtu + 1)] = [ppm] * (count if mtu is None else 1)
    return {point: {name: tuple(each) for name, each in of.items()} for point, of in factors.items()}


def _obligations(tables: Tables, count: int) -> dict[str, tuple[int, ...]]:
    obligations: dict[str, list[int]] = {}
    for _, resource, mtu, obligation_w in tables[layouts.ALLOCATIONS.file].rows("resource", "from", "obligation_w"):
        obligations.setdefault(resource, [0] * count)[mtu] = obligation_w
    return {resource: tuple(each) for resource, each in obligations.items()}


def _readings(
    meter: Table, start: int, minutes: int, count: int
) -> tuple[dict[str, tuple[int, ...]], dict[str, dict[int, int]]]:
    """The readings of the day by MTU, and those around it by instant."""
    within: dict[str, list[int]] = {}
    around: dict[str, dict[int, int]] = {}
    for _, resource, mtu, p_w in meter.rows("resource", "from", "p_w"):
        if 0 <= mtu < count:
            within.setdefault(resource, [0] * count)[mtu] = p_w
        else:
            around.setdefault(resource, {})[start + mtu * minutes] = p_w
    return {resource: tuple(each) for resource, each in within.items()}, around
