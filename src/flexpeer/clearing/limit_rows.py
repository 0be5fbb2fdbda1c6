"""Every limit of a problem as a row over its buses: s = idle + A x with s within a band, at a price beyond.

| limits | A | band |
|---|---|---|
| root | 1 | the exchange: import and export price, subscription; left out where all of that costs nothing |
| lines | 1 for what is below | +- line limit |
| voltages | sum of rho on the path that both share | the voltage band |
| rows | `row_factor` | +- row limit |

For grids of up to some thousand buses where lines or voltages have limits; a star with nothing but rows has any size.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from flexpeer.clearing import layout
from flexpeer.clearing.layout import DeviceSlopes, Reach
from flexpeer.clearing.problem import ClearingProblem, Flags, Floats, Integers

Sparse = sp.csr_array


@dataclass(frozen=True)
class Bands:
    """What limits there are, without who moves them: `idle`, `low`, `high` (limits, periods), `price` (limits,).

    With `exchange` the first limit is the root's, and its band is not used.
    """

    idle: Floats
    low: Floats
    high: Floats
    price: Floats
    exchange: ClearingProblem | None = None

    def reached(self, least: Floats, most: Floats) -> Flags:
        """The limits (limits,) that moves between `least` and `most` (limits, periods) can reach."""
        past = (self.idle + most > self.high) | (self.idle + least < self.low)
        reached = past.any(axis=1) & (self.price > 0.0)
        if self.exchange is not None:
            reached[0] = True
        return np.asarray(reached)

    def kept(self, reached: Flags) -> "Bands":
        """Only these."""
        idle, low, high, price = (values[reached] for values in (self.idle, self.low, self.high, self.price))
        return Bands(idle, low, high, price, self.exchange)

    def start(self, periods: Integers) -> Floats:
        """-q (limits, LANES) that limits answer to at first."""
        price = np.zeros((len(self.price), len(periods)))
        if self.exchange is not None:
            price[0] = -layout.root_price(self.exchange, periods)
        return price

    def full_import(self, least: Floats, most: Floats) -> Floats:
        """What the exchange costs where its rows begin (periods,), for moves (limits, periods)."""
        if self.exchange is None:
            return np.zeros(self.idle.shape[1])
        every = np.arange(self.idle.shape[1])
        kind = _root(self.exchange, every, self.idle[:1] + least[:1], self.idle[:1] + most[:1], self.idle[:1])
        return np.asarray(-kind.low[0] * self.exchange.import_price)

    def slopes(self, periods: Integers, least: Floats, most: Floats, moved: Floats) -> list[DeviceSlopes]:
        """Devices that all have rows; moves are (limits, LANES) of the `periods`."""
        idle, first = self.idle[:, periods], 0 if self.exchange is None else 1
        low, high, start = idle + least, idle + most, idle + moved
        root = [] if self.exchange is None else [_root(self.exchange, periods, low[:1], high[:1], start[:1])]
        band = self.low[first:, periods], self.high[first:, periods]
        every = np.ones(len(idle) - first, dtype=np.bool_)
        rest = layout.banded(every, (low[first:], high[first:]), band, start[first:], self.price[first:])
        return [*root, rest]


def _root(problem: ClearingProblem, periods: Integers, low: Floats, high: Floats, start: Floats) -> DeviceSlopes:
    """The exchange, for flows (1, LANES) at their least, their largest and first."""
    ends = np.zeros((2, 1, problem.periods))
    ends[0, :, periods], ends[1, :, periods] = low.T, high.T
    reach = Reach(ends[0], ends[1], ends[0], ends[1])
    return layout.root_exchange(problem, reach, periods, start)
