"""A program that writes a store, for tests that end it: `write` until killed, `fill` until there is no room.

`write` loads once: for every line that it reads it forks a program that writes, tells `pid N` and, when that has
ended, `ended`. The numbers between are the records that are acknowledged.
"""

import os
import resource
import signal
import sys
from itertools import count
from pathlib import Path
from typing import NoReturn

from tests.adapters.stored import operator

from flexpeer.adapters.store import Store, StoreFailed
from flexpeer.market.orders import GateOpened
from flexpeer.market.reasons import CommandRefused, Reason
from flexpeer.market.timeline import Stage, StageReached

MOST_BYTES = 400_000
LARGE_BYTES = 1_000


def _say(text: object) -> None:
    os.write(1, f"{text}\n".encode())


def write(where: str) -> None:
    """A writing program after another."""
    for _ in sys.stdin:
        child = os.fork()
        if not child:
            _append(Path(where) if "://" not in where else where)
        _say(f"pid {child}")
        os.waitpid(child, 0)
        _say("ended")


def _append(where: Path | str) -> NoReturn:
    """Batches of one to three numbers in order, each beside one of another log; now and then one that is signed."""
    with Store.open(where) as store:
        store.sign_with(operator())
        log, other = store.log("day"), store.log("registry")
        while True:
            log.append([GateOpened(log.n + 1 + k) for k in range(1 + log.n % 3)])
            other.append([StageReached(Stage.OPEN, log.n) if log.n % 7 == 0 else GateOpened(log.n)])
            store.sync()
            _say(log.n)


def fill(where: str) -> None:
    """Append and acknowledge until there is no room; then 3."""
    with Store.open(Path(where) if "://" not in where else where) as store:
        log = store.log("day")
        try:
            for number in count(log.n + 1):
                log.append([CommandRefused(str(number), os.urandom(LARGE_BYTES).hex(), Reason.FROZEN)])
                log.sync()
                _say(number)
        except StoreFailed as error:
            sys.stderr.write(f"{error}\n")
            sys.exit(3)


def fill_limited(where: str) -> None:
    """The same, where files may not grow beyond a limit."""
    Store.open(Path(where)).close()
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_BYTES, MOST_BYTES))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    fill(where)


if __name__ == "__main__":
    {"write": write, "fill": fill, "fill_limited": fill_limited}[sys.argv[1]](sys.argv[2])
