"""Closing in on the largest quantity that fits, in few evaluations of a grid check."""

import math
from dataclasses import dataclass, replace

FLAT = 1e-5


@dataclass(frozen=True)
class Bracket:
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

    def guess(self) -> int:
        """Where to look next, strictly between."""
        if self.slow_turns >= 2:
            found = (self.low + self.high) // 2
        elif math.isfinite(self.far_over) and self.far_over > self.over:
            found = self.high - math.ceil(self.over * (self.far - self.high) / (self.far_over - self.over))
        elif math.isfinite(self.over) and math.isfinite(self.under) and self.under < -FLAT:
            found = self.low + math.floor((self.high - self.low) * self.under / (self.under - self.over))
        else:
            found = (self.low + self.high) // 2
        return min(max(found, self.low + 1), self.high - 1)

    def narrowed(self, quantity_w: int, over: float) -> "Bracket":
        """The bracket once the excess over the goal is known at a quantity between."""
        low, high = (quantity_w, self.high) if over <= 0 else (self.low, quantity_w)
        slow_turns = self.slow_turns + 1 if 2 * (high - low) > self.high - self.low else 0
        if over <= 0:
            return replace(self, low=low, under=over, slow_turns=slow_turns)
        return Bracket(low, self.under, high, over, self.high, self.over, slow_turns)
