"""A whole congested market day, order by order: the door, the books, the grid check of every match, and the log.

With a grid: the 33-bus feeder of Baran & Wu (IEEE Transactions on Power Delivery 4(2), 1989), 24 hours, with ratings
that the evening's load passes in three elements in series (line 1, line 2 and line 6), full AC check of every match.
Also 1,099 buses in 96 quarter-hours (`bench_grid_cases`), with the connection point, a transformer, a line and every
low-voltage transformer of one feeder past their limits in the evening. Without a grid: 64 congestion points, four in
series in each of sixteen feeders. A tenth of the orders span two MTUs.
The published 33-bus market of the literature settles 12 to 21 bids per CPU second.
"""

import tempfile
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from datetime import date
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from msgspec.structs import replace

from flexpeer import __version__
from flexpeer.app.day import Day
from flexpeer.app.ports import EventLog
from flexpeer.app.scenario import (
    CongestionPointRow,
    OrderRow,
    OrganisationRow,
    OutageRow,
    Profile,
    ResourceRow,
    Scenario,
)
from flexpeer.app.study.grid_day import GridInput
from flexpeer.errors import bad_input
from flexpeer.grid.assembly import BranchRow, BusRow, GridRows, SourceRow, assemble
from flexpeer.grid.network import Floats, Network
from flexpeer.market.kpi import Alternative, Costs
from flexpeer.market.machine import Event
from flexpeer.market.rulebook import Residual, Rulebook
from flexpeer.market.timeline import Stage
from flexpeer.market.trades import MatchProposed
from flexpeer.periods import MarketDay, Span
from flexpeer.quantities import PPM
from flexpeer.simulation.bench_grid_cases import cases as grid_cases
from flexpeer.simulation.engine_process import peak_memory_bytes

DAY = MarketDay(date(2026, 11, 24), "Europe/Stockholm", 60)
QUARTERS = MarketDay(date(2026, 11, 24), "Europe/Stockholm", 15)
KV = 12.66
FEEDER = (
    (1, 2, 0.0922, 0.0470, 100, 60), (2, 3, 0.4930, 0.2511, 90, 40), (3, 4, 0.3660, 0.1864, 120, 80),
    (4, 5, 0.3811, 0.1941, 60, 30), (5, 6, 0.8190, 0.7070, 60, 20), (6, 7, 0.1872, 0.6188, 200, 100),
    (7, 8, 0.7114, 0.2351, 200, 100), (8, 9, 1.0300, 0.7400, 60, 20), (9, 10, 1.0440, 0.7400, 60, 20),
    (10, 11, 0.1966, 0.0650, 45, 30), (11, 12, 0.3744, 0.1238, 60, 35), (12, 13, 1.4680, 1.1550, 60, 35),
    (13, 14, 0.5416, 0.7129, 120, 80), (14, 15, 0.5910, 0.5260, 60, 10), (15, 16, 0.7463, 0.5450, 60, 20),
    (16, 17, 1.2890, 1.7210, 60, 20), (17, 18, 0.7320, 0.5740, 90, 40), (2, 19, 0.1640, 0.1565, 90, 40),
    (19, 20, 1.5042, 1.3554, 90, 40), (20, 21, 0.4095, 0.4784, 90, 40), (21, 22, 0.7089, 0.9373, 90, 40),
    (3, 23, 0.4512, 0.3083, 90, 50), (23, 24, 0.8980, 0.7091, 420, 200), (24, 25, 0.8960, 0.7011, 420, 200),
    (6, 26, 0.2030, 0.1034, 60, 25), (26, 27, 0.2842, 0.1447, 60, 25), (27, 28, 1.0590, 0.9337, 60, 20),
    (28, 29, 0.8042, 0.7006, 120, 70), (29, 30, 0.5075, 0.2585, 200, 600), (30, 31, 0.9744, 0.9630, 150, 70),
    (31, 32, 0.3105, 0.3619, 210, 100), (32, 33, 0.3410, 0.5302, 60, 40),
)  # fmt: skip
"""From, to, ohm, ohm, and the load at the far end, kW and kvar."""
RATED_A = {(1, 2): 150.0, (2, 3): 132.0, (5, 6): 78.0}
SHAPE = (62, 58, 56, 55, 57, 64, 78, 84, 82, 80, 79, 80, 81, 80, 80, 84, 93, 97, 96, 92, 86, 80, 72, 66)
"""The load of each hour, percent of the feeder's nominal load."""
FEEDERS, LEVELS, BEHIND = 16, 4, 8
NESTED: dict[str, tuple[object, ...]] = {
    "Source": (*range(1, 15),),
    "Trafo 0-1": (*range(1, 12),),
    "Line 1-2": (*range(2, 12),),
    **{f"Trafo 5.{n} {k}0-{k}1": (f"5.{n}",) for n, k in enumerate("RRRRC", 1)},
}
"""Elements past their limits of the 1,099 buses, and the nodes or feeders behind them."""
IMPORTED, EXPORTED = 0.93, 1.05
Rows = list[dict[str, Any]]
OpenLog = Callable[[Path], AbstractContextManager[EventLog]]


class NoTimes:
    """Times nothing."""

    def stage(self, _name: str, /) -> AbstractContextManager[None]:
        """Nothing."""
        return nullcontext()

    def progress(self, done: int, total: int, /) -> None:
        """Nothing."""

    def timings_s(self) -> dict[str, float]:
        """Nothing."""
        return {}


class MarketCase(NamedTuple):
    """A scenario without orders, its grid if any, the units that trade, and how large their orders are."""

    scenario: Scenario
    grid: GridInput | None
    units: tuple[str, ...]
    largest_w: int


def feeder_case() -> MarketCase:
    """33 buses, 24 hours, AC."""
    network = _network()
    index = {name: at for at, name in enumerate(network.bus_names)}
    branches = {name: at for at, name in enumerate(network.branch_names)}
    loads = {str(row[1]): (row[4] * 1000, row[5] * 1000) for row in FEEDER}
    forecast = {
        bus: Profile(tuple(-p * s // 100 for s in SHAPE), tuple(-q * s // 100 for s in SHAPE))
        for bus, (p, q) in loads.items()
    }
    units = tuple(ResourceRow(f"unit {bus}", f"FSP {bus}", bus, "flexible", -(10**9), 10**9) for bus in loads)
    given = GridInput(network, index.get, branches.get)
    return MarketCase(_scenario(units, forecast, None, None), given, tuple(u.resource for u in units), 3_000)


def _network() -> Network:
    buses = tuple(BusRow(str(n), KV, 0.88, 1.1) for n in range(1, 34))
    lines = tuple(
        BranchRow(f"line {f}-{t}", "line", str(f), str(t), r, x, rating_from_a=RATED_A.get((f, t), 400.0),
                  rating_to_a=RATED_A.get((f, t), 400.0))
        for f, t, r, x, _, _ in FEEDER
    )  # fmt: skip
    return assemble(GridRows(buses, lines, (), (SourceRow("grid", "1"),), ()))


def wide_case() -> MarketCase:
    """1,099 buses, 96 quarter-hours, AC."""
    case = grid_cases(None)["1,099 buses, power flow, day"]()
    network, draws = case.network, np.flatnonzero(case.q_var.any(axis=1))
    forecast = {
        network.bus_names[bus]: Profile(tuple(np.rint(case.p_w[bus]).astype(int).tolist()),
                                        tuple(np.rint(case.q_var[bus]).astype(int).tolist()))
        for bus in map(int, draws)
    }  # fmt: skip
    units = tuple(ResourceRow(f"unit {bus}", f"FSP {bus}", bus, "flexible", -(10**9), 10**9) for bus in forecast)
    index = {name: at for at, name in enumerate(network.bus_names)}
    branches = {name: at for at, name in enumerate(network.branch_names)}
    limits = tuple(OutageRow(name, Span(0, 96), _limit_w(forecast, behind)) for name, behind in NESTED.items())
    scenario = replace(_scenario(units, forecast, None, None), day=QUARTERS, outages=limits)
    return MarketCase(scenario, GridInput(network, index.get, branches.get), tuple(u.resource for u in units), 3_000)


def _limit_w(forecast: dict[str, Profile], behind: Iterable[object]) -> int:
    """A limit that what is drawn behind an element passes at its peak, and what is fed in does not."""
    nodes = {str(each) for each in behind}
    names = [name for name in forecast if not nodes.isdisjoint(_behind(name))]
    net_w: Floats = np.sum([forecast[name].p_w for name in names], axis=0)
    return round(max(-IMPORTED * float(net_w.min()), EXPORTED * float(net_w.max())))


def _behind(bus: str) -> tuple[str, str]:
    """The feeder and the node of a bus."""
    feeder = bus.split(" ")[1]
    return feeder, feeder.partition(".")[0]


def points_case() -> MarketCase:
    """64 points without a grid, four in series in each feeder: eight units behind the last, two behind the others."""
    units: list[ResourceRow] = []
    factors: dict[str, dict[str, tuple[int, ...]]] = {}
    points: list[CongestionPointRow] = []
    for feeder in range(FEEDERS):
        levels = [f"F{feeder:02}L{level}" for level in range(LEVELS)]
        factors |= {level: {} for level in levels}
        for depth in range(LEVELS):
            for n in range(BEHIND if depth == LEVELS - 1 else 2):
                name = f"u{feeder}.{depth}.{n}"
                units.append(ResourceRow(name, f"FSP {feeder} {n}", "", "flexible", -(10**9), 10**9))
                for above, level in enumerate(levels[: depth + 1]):
                    factors[level][name] = (PPM - 30_000 * (depth - above),) * DAY.mtu_count
            load = f"load{feeder}.{depth}"
            units.append(ResourceRow(load, "Loads", "", "load", -(10**9), 0))
            for level in levels[: depth + 1]:
                factors[level][load] = (PPM,) * DAY.mtu_count
        limits = [10**6 * (LEVELS - depth) for depth in range(LEVELS)]
        points += [
            CongestionPointRow(p, p, "import", limit, None, None) for p, limit in zip(levels, limits, strict=True)
        ]
    loads = {f"load{f}.{d}": _flat(-1_010_000) for f in range(FEEDERS) for d in range(LEVELS)}
    given = _scenario(tuple(units), {}, tuple(points), factors, loads)
    return MarketCase(given, None, tuple(u.resource for u in units if u.kind == "flexible"), 3_000)


def _flat(watts: int) -> Profile:
    return Profile((watts,) * DAY.mtu_count, (0,) * DAY.mtu_count)


def _scenario(
    units: tuple[ResourceRow, ...],
    buses: dict[str, Profile],
    points: tuple[CongestionPointRow, ...] | None,
    factors: dict[str, dict[str, tuple[int, ...]]] | None,
    plans: dict[str, Profile] | None = None,
) -> Scenario:
    names = sorted({unit.fsp for unit in units})
    return Scenario(
        name="benchmark",
        day=DAY,
        currency="EUR",
        grid_source=None,
        rulebook=Rulebook(residual=Residual.NONE),
        alternative=Alternative(),
        costs=Costs(),
        organisations=(OrganisationRow("DSO", "REGIONAL_DSO", None), *(OrganisationRow(o, "FSP", None) for o in names)),
        areas={},
        resources=units,
        portfolios={},
        bus_forecast=buses,
        resource_forecast=plans or {},
        congestion_points=points,
        impact_ppm=factors,
        obligations_w=None,
        outages=(),
        orders=(),
        meter_w=None,
    )


def hours_in_need(day: Day) -> list[int]:
    """MTUs in which some point of an open day needs relief."""
    needs = day.market.state.needs.needs_w
    return [mtu for mtu in range(day.scenario.day.mtu_count) if any(row[mtu] for row in needs.values())]


def orders(case: MarketCase, hours: list[int], count: int, seed: int = 1) -> list[OrderRow]:
    """A stream in the hours that need relief: random units, sides, quantities and prices."""
    chance, rows, day = Random(seed), [], case.scenario.day
    for number in range(1, count + 1):
        first = chance.choice(hours)
        length = 2 if chance.random() < 0.1 and first + 1 in hours else 1
        side = chance.choice(("BUY", "SELL"))
        price = chance.randint(5_000, 15_000) if side == "SELL" else chance.randint(4_000, 14_000)
        unit, quantity = chance.choice(case.units), chance.randint(100, case.largest_w)
        rows.append(
            OrderRow(f"o{number}", number, unit, side, day.instant(first), day.instant(first + length), quantity, price)
        )
    return rows


CASES: dict[str, tuple[Callable[[], MarketCase], int]] = {
    "33 buses, AC, 10,000 orders": (feeder_case, 10_000),
    "33 buses, AC, 100,000 orders": (feeder_case, 100_000),
    "1,099 buses, 96 MTUs, AC, 10,000 orders": (wide_case, 10_000),
    "64 points, 100,000 orders": (points_case, 100_000),
    "64 points, 1,000,000 orders": (points_case, 1_000_000),
}


def rows(open_log: OpenLog, case: str | None, tell: Callable[[str], None]) -> Rows:
    """One row for each case, or for one."""
    if case is not None and case not in CASES:
        raise bad_input("bench", f"unknown case {case!r}", ", ".join(CASES))
    found = []
    for name in [case] if case else CASES:
        tell(name)
        found.append(_row(name, open_log))
    return found


def _row(name: str, open_log: OpenLog) -> dict[str, Any]:
    make, count = CASES[name]
    given = make()
    _run(given, 500, open_log)
    seconds, day, checks = _run(given, count, open_log)
    state = day.market.state
    return {
        "case": name,
        "engine": "flexpeer",
        "version": __version__,
        "seconds": seconds,
        "per_second": count / seconds,
        "trades": len(state.trades.trades),
        "checks_per_order": checks / count,
        "events_per_order": state.events / count,
        "peak_memory_bytes": peak_memory_bytes(),
        "ratio_to_ours": 1.0,
    }


def _run(case: MarketCase, count: int, open_log: OpenLog) -> tuple[float, Day, int]:
    """Seconds for a stream from the first order to the last, the day, and how many matches the owners checked."""
    with tempfile.TemporaryDirectory() as folder, open_log(Path(folder) / "events.log") as log:
        day = Day(case.scenario, log, NoTimes(), case.grid)
        day.due(day.instant(Stage.OPEN))
        hours, checks = hours_in_need(day), 0

        def count_checks(event: Event) -> None:
            nonlocal checks
            checks += isinstance(event, MatchProposed)

        day.market.listen(count_checks)
        stream = orders(case, hours, count)
        began = perf_counter()
        for row in stream:
            day.place(row)
        return perf_counter() - began, day, checks
