"""A program that writes a store, for tests that end it: `write` until killed, `fill` until the disk is full."""

import resource
import signal
import sys
from itertools import count
from pathlib import Path
from random import Random

from flexpeer.adapters.store import Store, StoreFailed
from flexpeer.market.orders import GateOpened

MOST_BYTES = 400_000


def write(where: str) -> None:
    """Append and acknowledge: numbers in order, batches of one to three."""
    chance = Random(0)
    with Store.open(where if where.startswith("postgresql:") else Path(where)) as store:
        log = store.log("day")
        while True:
            log.append([GateOpened(log.n + 1 + k) for k in range(1 + chance.randrange(3))])
            log.sync()
            print(log.n, flush=True)


def fill(folder: str) -> None:
    """Append and acknowledge until no file may grow any more; then exit 3."""
    with Store.open(Path(folder)) as store:
        log = store.log("day")
        resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_BYTES, MOST_BYTES))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            for number in count(1):
                log.append([GateOpened(number)])
                log.sync()
                print(number, flush=True)
        except StoreFailed:
            sys.exit(3)


if __name__ == "__main__":
    {"write": write, "fill": fill}[sys.argv[1]](sys.argv[2])
