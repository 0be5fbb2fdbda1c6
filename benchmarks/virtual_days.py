"""Seven days in a row on one service, and what memory each leaves behind: `python benchmarks/virtual_days.py [ORDERS]`.

Each day of a market of 64 congestion points gets so many orders, all days on one writer and one SQLite store. A line
for each day says what the program holds after it, its log included; what grew beyond the days' own would grow from line
to line.
"""

import gc
import sys
import tempfile
from datetime import timedelta
from functools import partial
from pathlib import Path

import msgspec

from flexpeer.adapters.scenario_files.writer import write_scenario
from flexpeer.adapters.store import Store
from flexpeer.api.service import Service
from flexpeer.market.timeline import Stage
from flexpeer.market_store import Opened, make_market, open_market
from flexpeer.serving import settings_of
from flexpeer.simulation.bench_market import DAY, MarketCase, orders, points_case

DAYS = 7


def resident_mb() -> float:
    """What the program has in memory now."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 1e6


def moved(case: MarketCase, days: int) -> MarketCase:
    """The same case some days later."""
    day = msgspec.structs.replace(case.scenario.day, delivery_day=DAY.delivery_day + timedelta(days=days))
    return case._replace(scenario=msgspec.structs.replace(case.scenario, day=day))


def play(market: Opened, service: Service, case: MarketCase, count: int) -> None:
    """A day from the opening of its gate to its settlement."""
    day = market.days[str(case.scenario.day.delivery_day)].day
    shift = day.scenario.day.start - DAY.start

    def reach(stage: Stage) -> None:
        at = max(day.instant(stage), service.clock.now())
        service.ask(lambda: service.move_clock(at)).result()

    reach(Stage.OPEN)
    for row in orders(case, list(range(DAY.mtu_count)), count):
        later = msgspec.structs.replace(row, start=row.start + shift, end=row.end + shift)
        service.ask(partial(day.place, later)).result()
    reach(Stage.CONFIRMED)


def main(count: int) -> None:
    """Print a line for each day."""
    case = points_case()
    with tempfile.TemporaryDirectory() as folder:
        data, cases = Path(folder) / "market", [moved(case, number) for number in range(DAYS)]
        data.mkdir()
        for number, each in enumerate(cases):
            write_scenario(each.scenario, Path(folder) / str(number))
        with Store.open(data) as store:
            make_market(store, data, [Path(folder) / str(number) for number in range(DAYS)], demo=False)
            market = open_market(store, settings_of({"data": data, "clock": "virtual"}))
            service = Service(market.days, market.registry, market.clock, lambda: None, market.standing.renew)
            service.start()
            before = resident_mb()
            print(f"{DAYS} days announced: {before:.0f} MB", flush=True)
            for each in cases:
                play(market, service, each, count)
                now = resident_mb()
                print(f"{each.scenario.day.delivery_day}: {now:.0f} MB, {now - before:+.1f} MB", flush=True)
                before = now
            service.stop()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
