"""Closing in on the largest quantity that fits, in few evaluations of a grid check."""

import math
from typing import NamedTuple

from flexpeer.compiled import compiled

FLAT = 1e-5


class Bracket(NamedTuple):
    """A quantity that fits and a larger one that does not, closing in on the border between them.

    The excess is the largest of many nearly straight lines. Two points above the border mostly lie on the
    line that binds, so they are extrapolated; a chord from below helps only where the same line binds there.
    """

    low: int
    under: float
    high: int
    over: float
    far: int = 0
    far_over: float = math.inf
    slow_turns: int = 0


@compiled
def guess(bracket: Bracket) -> int:
    """Where to look next, strictly between."""
    low, under, high, over, far, far_over, slow_turns = bracket
    width = high - low
    if slow_turns < 2 and math.isfinite(far_over) and far_over > over:
        found = high - math.ceil(min(over * (far - high) / (far_over - over), float(width)))
    elif slow_turns < 2 and math.isfinite(over) and math.isfinite(under) and under < -FLAT:
        found = low + math.floor(width * under / (under - over))
    else:
        found = (low + high) // 2
    return int(min(max(found, low + 1), high - 1))


@compiled
def closed_in(bracket: Bracket, quantity_w: int, over: float) -> Bracket:
    """The bracket once the excess over the goal is known at a quantity between."""
    fits = over <= 0
    low, high = (quantity_w, bracket.high) if fits else (bracket.low, quantity_w)
    slow_turns = bracket.slow_turns + 1 if 2 * (high - low) > bracket.high - bracket.low else 0
    if fits:
        return Bracket(low, over, high, bracket.over, bracket.far, bracket.far_over, slow_turns)
    return Bracket(low, bracket.under, high, over, bracket.high, bracket.over, slow_turns)
