"""What can be wrong with the rows of one file: duplicates, order, cells that contradict each other."""

from collections.abc import Callable, Iterator

from flexpeer.adapters.scenario_files import layouts
from flexpeer.adapters.scenario_files.order_rows import ORDER_CHECKS
from flexpeer.adapters.scenario_files.settings import Settings
from flexpeer.adapters.scenario_files.tables import BAD, Table
from flexpeer.adapters.scenario_files.times import FoundRow, index_days_mtus, index_mtus, missing_mtus
from flexpeer.periods import MarketDay

Tables = dict[str, Table]
Check = Callable[[Table], Iterator[FoundRow]]

UNIQUE = {
    layouts.ORGANISATIONS.file: ("organisation",),
    layouts.AREAS.file: ("bus",),
    layouts.RESOURCES.file: ("resource",),
    layouts.PORTFOLIOS.file: ("portfolio", "resource"),
    layouts.FORECAST.file: ("bus", "resource", "from"),
    layouts.CONGESTION_POINTS.file: ("congestion_point",),
    layouts.RATINGS.file: ("element", "from", "to"),
    layouts.VOLTAGE_BANDS.file: ("bus", "from", "to"),
    layouts.WEATHER.file: ("from",),
    layouts.IMPACT_FACTORS.file: ("congestion_point", "resource", "from"),
    layouts.ALLOCATIONS.file: ("resource", "from"),
    layouts.METER.file: ("resource", "from"),
}


def check_rows(tables: Tables, settings: Settings) -> None:
    """Note all that is wrong within each file; times of single MTUs become MTU indexes on the way."""
    if settings.day is not None:
        _check_times(tables, settings.day)
    for table in tables.values():
        if table.layout.file in UNIQUE:
            table.findings.extend(_duplicates(table, UNIQUE[table.layout.file]))
    _note(tables, layouts.RESOURCES, _ranges, _energies)
    _note(tables, layouts.FORECAST, _bus_or_resource, _quantiles)
    _note(tables, layouts.RATINGS, _spans)
    _note(tables, layouts.VOLTAGE_BANDS, _spans, _bands)
    _check_weather(tables[layouts.WEATHER.file], settings)
    _note(tables, layouts.PORTFOLIOS, _portfolio_owners)
    _note(tables, layouts.ORDERS, *ORDER_CHECKS)
    _note(tables, layouts.CONGESTION_POINTS, _limits)
    if settings.gridless:
        _note(tables, layouts.CONGESTION_POINTS, _voltages_without_grid, _flows_without_limit)
    elif settings.gridless is False:
        _note(tables, layouts.RESOURCES, _buses)
        _note(tables, layouts.CONGESTION_POINTS, _elements)


def _note(tables: Tables, layout: layouts.Layout, *checks: Check) -> None:
    table = tables[layout.file]
    for check in checks:
        table.findings.extend(check(table))


def _check_times(tables: Tables, day: MarketDay) -> None:
    for layout in (layouts.FORECAST, layouts.WEATHER, layouts.IMPACT_FACTORS, layouts.ALLOCATIONS):
        index_days_mtus(tables[layout.file], day)
    forecast, meter = tables[layouts.FORECAST.file], tables[layouts.METER.file]
    index_mtus(meter, day)
    for key in ("bus", "resource"):
        forecast.findings.extend(missing_mtus(forecast, key, day))
    meter.findings.extend(missing_mtus(meter, "resource", day))


def _duplicates(table: Table, names: tuple[str, ...]) -> Iterator[FoundRow]:
    columns = [table.column(name) for name in names]
    keys = columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))
    if len(set(keys)) == len(keys):
        return
    begun: dict[tuple[object, ...], int] = {}
    for line, *key in table.rows(*names):
        first = begun.setdefault(tuple(key), line)
        if first != line:
            filled = [name for name, value in zip(names, key, strict=True) if value is not None]
            same = f"{names[0]} {key[0]} is" if len(names) == 1 else f"the same {' and '.join(filled)} are"
            yield line, (filled or names)[0], f"{same} already on line {first}", "each once"


def _bus_or_resource(table: Table) -> Iterator[FoundRow]:
    expected = "a bus or a resource, and not both"
    if table.header and not {"bus", "resource"} & set(table.header):
        yield 1, "resource", "there is neither a column bus nor a column resource", expected
        return
    for line, bus, resource in table.rows("bus", "resource"):
        if (bus is None) == (resource is None):
            yield (
                line,
                "resource",
                "there is neither a bus nor a resource" if bus is None else "there are both",
                expected,
            )


def _quantiles(table: Table) -> Iterator[FoundRow]:
    for line, p_w, low, high in table.rows("p_w", "p_low_w", "p_high_w"):
        if low is not None and low > p_w:
            yield line, "p_low_w", f"{low} is above p_w {p_w}", "p_low_w at most p_w"
        if high is not None and high < p_w:
            yield line, "p_high_w", f"{high} is below p_w {p_w}", "p_high_w at least p_w"


def _spans(table: Table) -> Iterator[FoundRow]:
    for line, start, end in table.rows("from", "to"):
        if start >= end:
            yield line, "to", "it ends before it begins", "a time after from"


def _bands(table: Table) -> Iterator[FoundRow]:
    for line, low, high in table.rows("v_min_pu", "v_max_pu"):
        if low is None and high is None:
            yield line, "v_min_pu", "there is neither v_min_pu nor v_max_pu", "at least one of them"
        elif low is not None and high is not None and low > high:
            yield line, "v_min_pu", f"{low} is above v_max_pu {high}", "v_min_pu at most v_max_pu"


def _check_weather(table: Table, settings: Settings) -> None:
    """Every MTU has a temperature, below that of the conductors it cools; the file is there if lines depend on it."""
    hottest = min((line.t_max_c for line in settings.overhead), default=None)
    if hottest is None:
        return
    if not table.present:
        table.findings.add(0, "", "the file is missing and there are [[overhead]] lines", "a temperature for every MTU")
        return
    for line, _, temperature in table.rows("from", "temperature_c"):
        if temperature >= hottest:
            expected = f"below t_max_c {hottest:g} of the [[overhead]] lines"
            table.findings.add(line, "temperature_c", f"{temperature:g} is too hot", expected)
    there = {mtu for _, mtu in table.rows("from")}
    if settings.day is not None and not table.partial and BAD not in table.column("from"):
        missing = sorted(set(range(settings.day.mtu_count)) - there)
        if missing:
            problem = f"{len(missing)} MTUs have no row, first {settings.day.local(missing[0])}"
            table.findings.add(0, "from", problem, "one row for every MTU of the delivery day")


def _ranges(table: Table) -> Iterator[FoundRow]:
    for line, low, high in table.rows("p_min_w", "p_max_w"):
        if low > high:
            yield line, "p_min_w", f"{low} is above p_max_w {high}", "p_min_w at most p_max_w"


def _energies(table: Table) -> Iterator[FoundRow]:
    for line, energy, start in table.rows("energy_wh", "energy_start_wh"):
        if start is not None and (energy is None or start > energy):
            problem = f"{start} is above energy_wh {energy}" if energy is not None else "there is no energy_wh"
            yield line, "energy_start_wh", problem, "at most energy_wh"


def _buses(table: Table) -> Iterator[FoundRow]:
    for line, bus in table.rows("bus"):
        if not bus:
            yield line, "bus", "the cell is empty", "a bus of the grid"


def _elements(table: Table) -> Iterator[FoundRow]:
    for line, element in table.rows("element"):
        if not element:
            yield line, "element", "the cell is empty", "an element of the grid"


def _portfolio_owners(table: Table) -> Iterator[FoundRow]:
    owners: dict[str, str] = {}
    for line, portfolio, fsp in table.rows("portfolio", "fsp"):
        owner = owners.setdefault(portfolio, fsp)
        if owner != fsp:
            yield line, "fsp", f"portfolio {portfolio} is of {owner} above", "one fsp for each portfolio"


def _limits(table: Table) -> Iterator[FoundRow]:
    """A voltage has its own limit; a flow has none in per unit."""
    for line, direction, limit_w, limit_pu in table.rows("direction", "limit_w", "limit_pu"):
        flow = direction in layouts.FLOW_DIRECTIONS
        if limit_pu is None and not flow:
            yield line, "limit_pu", "the cell is empty", f"a limit for direction {direction}"
        wrong, other = ("limit_pu", limit_pu) if flow else ("limit_w", limit_w)
        if other is not None:
            yield line, wrong, f"a point of direction {direction} has no {wrong}", "nothing"


def _flows_without_limit(table: Table) -> Iterator[FoundRow]:
    if table.header and not {"limit_w", "limit_pu"} & set(table.header):
        yield 1, "limit_w", "column limit_w is missing", "limit_w, or limit_pu for voltages"
        return
    for line, direction, limit_w in table.rows("direction", "limit_w"):
        if limit_w is None and direction in layouts.FLOW_DIRECTIONS:
            yield line, "limit_w", "the cell is empty", f"a limit for direction {direction}"


def _voltages_without_grid(table: Table) -> Iterator[FoundRow]:
    for line, direction in table.rows("direction"):
        if direction in layouts.VOLTAGE_DIRECTIONS:
            problem = f"a point of direction {direction} needs a [grid] in scenario.toml"
            yield line, "direction", problem, "export or import"
