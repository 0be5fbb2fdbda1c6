"""What it takes to open a market again beside its first run: `python -m benchmarks.reopening [GRID] [ORDERS]`.

GRID is `points` (64 congestion points, no grid) or `feeder` (33 buses, AC). One program trades so many orders on a log
in SQLite, another opens that log: it reads, verifies and folds all events, and has the owners repeat what they held.
CPU seconds of each and the most memory it had, while the gate is open; both must come to the same state.
"""

import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from flexpeer.adapters.store import Store
from flexpeer.app.day import Day
from flexpeer.market.machine import state_hash
from flexpeer.market.timeline import Stage
from flexpeer.simulation.bench_market import MarketCase, NoTimes, feeder_case, orders, points_case
from flexpeer.simulation.engine_process import peak_memory_bytes

CASES = {"points": points_case, "feeder": feeder_case}
TOGETHER = 1_000


class Ran(NamedTuple):
    """One program's work on a log."""

    cpu_s: float
    peak_mb: float
    events: int
    trades: int
    state_hash: str


def first_run(name: str, count: int, where: Path) -> Ran:
    """All orders, each until nobody waits; synced now and then."""
    with Store.open(where) as store:
        case, day = _day(name, store)
        day.due(day.instant(Stage.OPEN))
        needs = day.market.state.needs.needs_w
        hours = [mtu for mtu in range(case.scenario.day.mtu_count) if any(row[mtu] for row in needs.values())]
        stream = orders(case, hours, count)
        began = time.process_time()
        for number, row in enumerate(stream, 1):
            day.place(row)
            if number % TOGETHER == 0:
                day.market.sync()
        day.market.sync()
        return _ran(day, began)


def opened_again(name: str, _count: int, where: Path) -> Ran:
    """The log and nothing else."""
    with Store.open(where) as store:
        began = time.process_time()
        _, day = _day(name, store)
        return _ran(day, began)


def _day(name: str, store: Store) -> tuple[MarketCase, Day]:
    case = CASES[name]()
    return case, Day(case.scenario, store.log("day"), NoTimes(), case.grid)


def _ran(day: Day, began: float) -> Ran:
    cpu_s, state = time.process_time() - began, day.market.state
    return Ran(cpu_s, peak_memory_bytes() / 1e6, state.events, len(state.trades.trades), state_hash(state))


def main(name: str, count: int) -> None:
    """Print a row of the table in `RESULTS.md`."""
    with tempfile.TemporaryDirectory() as folder:
        found = []
        for work in (first_run, opened_again):
            with get_context("spawn").Pool(1) as pool:
                found.append(pool.apply(work, (name, count, Path(folder))))
        first, again = found
        assert first.state_hash == again.state_hash
        each_us = again.cpu_s / again.events * 1e6
        print(
            f"| {name}, {count:,} orders | {first.events:,} | {first.trades:,} "
            f"| {first.cpu_s:.1f} | {again.cpu_s:.1f} | {each_us:.1f} | {first.peak_mb:.0f} | {again.peak_mb:.0f} |"
        )


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "points", int(sys.argv[2]) if len(sys.argv) > 2 else 40_000)
