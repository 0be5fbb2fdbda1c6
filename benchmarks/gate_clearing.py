"""CPU seconds of the clearing at the gate: `python -m benchmarks.gate_clearing [SCENARIO]`; else the built-in day."""

import sys
import tempfile
import time
from pathlib import Path

from tests.cases.days import NoWatch
from tests.market.small_market import MemoryLog

from flexpeer.app.day import Day
from flexpeer.bootstrap import NewtonVerifier, grid_input, read_whole, write_demo
from flexpeer.market.timeline import Stage
from flexpeer.market.trades import OrdersCleared


def main(folder: Path) -> None:
    """Run a scenario to its gate, and clear; kernels that are not in the cache are compiled meanwhile."""
    given, opened = read_whole(folder)
    log = MemoryLog()
    day = Day(given, log, NoWatch(), grid_input(given, opened), NewtonVerifier())
    day.due(day.instant(Stage.OPEN))
    day._trade()
    day.due(day.instant(Stage.CLOSED))
    before = time.process_time()
    day.due(day.instant(Stage.CLEARED))
    seconds = time.process_time() - before
    gaps = [event.gap_ppm for event in log.events if isinstance(event, OrdersCleared)]
    print(f"{len(given.orders)} orders, {seconds:.2f} s CPU, gaps in ppm {gaps}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as scratch:
            write_demo(Path(scratch) / "demo")
            main(Path(scratch) / "demo")
