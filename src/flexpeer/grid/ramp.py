"""The largest quantity of a change that fits, all of the search in one compiled call.

A quantity of n ticks moves, for each row of a ramp, `sign_w * r(n * times / over)` watts at a bus in the MTUs from
`first` to `end`: r rounds up where `up` is 1, else down. That is how whole watts follow from impact factors.
"""

from typing import NamedTuple

import numpy as np

from flexpeer.compiled import compiled
from flexpeer.grid.bracket import Bracket, closed_in, guess
from flexpeer.grid.checking import GridCheck
from flexpeer.grid.excess import NO_SOURCES, Change, checked
from flexpeer.grid.limits import TOLERANCE
from flexpeer.grid.network import Complexes, Integers


class RampRow(NamedTuple):
    """A row of a ramp."""

    bus: int
    first: int
    end: int
    sign_w: int
    times: int
    over: int
    up: int


@compiled
def change_at(ramp: Integers, ticks: int, mtus: Integers, no_sources: Complexes) -> Change:
    """The change at a number of ticks, in some MTUs; `ramp` is (rows, fields of `RampRow`)."""
    moved_va = np.zeros((len(ramp), len(mtus)), dtype=np.complex128)
    for row in range(len(ramp)):
        _, first, end, sign_w, times, over, up = ramp[row]
        whole = ticks * times // over
        if up == 1 and whole * over != ticks * times:
            whole += 1
        for k in range(len(mtus)):
            if first <= mtus[k] < end:
                moved_va[row, k] = sign_w * whole
    return Change(np.ascontiguousarray(ramp[:, 0]), moved_va, no_sources, mtus)


@compiled
def _closed(grid: GridCheck, ramp: Integers, mtus: Integers, no_sources: Complexes, bracket: Bracket) -> int:
    """Close a bracket of ticks; the most that fits, -1 where a power flow did not settle."""
    goal = TOLERANCE / 2
    while bracket.high - bracket.low > 1:
        ticks = guess(bracket)
        _, _, settled, found = checked(grid.circuit, grid.now, change_at(ramp, ticks, mtus, no_sources))
        if not settled:
            return -1
        bracket = closed_in(bracket, ticks, found.excess - goal)
    return bracket.low


def closed(grid: GridCheck, ramp: Integers, mtus: Integers, bracket: Bracket) -> int | None:
    """Close a bracket of ticks, as `screening.largest` does; None where another method must find a state."""
    ticks = int(_closed(grid, ramp, mtus, NO_SOURCES, bracket))
    return None if ticks < 0 else ticks
