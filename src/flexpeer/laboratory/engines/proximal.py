"""What a peer answers in price-posting: its cheapest move near where it last stood.

    x = argmin c(x) + p x + r/2 |x - a|^2                                                     (1)

with p twice the posted price and `a` where the peer stood. A period's cost is a list of (slope, length) ascending
from the least x, so without coupling (1) is a walk along it. A coupled peer keeps e_t = e_(t-1) - x_t within its
store. With x_t(l) the answer of period t to p + l, the least-cost way to any level is, as a function of its
marginal cost l,

    E_t(l) = clip(E_(t-1)(l) - x_t(l), 0, capacity),   E_0 = start                            (2)

which ascends; backwards from E_T(l) = start, l stays as it is until a clipped level stops it, and is sought anew
there (3).
"""

from typing import NamedTuple

import numpy as np

from flexpeer.clearing.problem import Floats, Integers
from flexpeer.compiled import compiled

BISECTIONS = 60
FAR = 1e12


@compiled
def nearest(slope: Floats, length: Floats, least: float, price: float, weight: float, at: float) -> float:
    """Equation (1) for one period: a walk along its steps."""
    x = least
    for k in range(len(slope)):
        wish: float = at - (slope[k] + price) / weight
        if wish <= x:
            return x
        if wish < x + length[k]:
            return wish
        x += float(length[k])
    return x


class PeerCosts(NamedTuple):
    """Costs as lists: slope, length (peers, periods, steps), least x (peers, periods); or those of one peer."""

    slope: Floats
    length: Floats
    least: Floats


class LevelBounds(NamedTuple):
    """Least and largest level, which may be infinite, and the one it starts and ends at, kWh."""

    low: float
    high: float
    start: float


class Pull(NamedTuple):
    """p, a (periods,) and r of (1)."""

    price: Floats
    at: Floats
    weight: float


@compiled
def answer_free(costs: PeerCosts, asked: Integers, price: Floats, weight: float, at: Floats, x: Floats) -> None:
    """Equation (1) of the peers `asked` into `x`; `price`, p, `at` and `x` are (peers, periods)."""
    for i in asked:
        for t in range(x.shape[1]):
            slope, length = costs.slope[i, t], costs.length[i, t]
            x[i, t] = nearest(slope, length, costs.least[i, t], price[i, t], weight, at[i, t])


@compiled
def _one(costs: PeerCosts, pull: Pull, t: int, extra: float) -> float:
    """x_t(extra)."""
    return nearest(costs.slope[t], costs.length[t], costs.least[t], pull.price[t] + extra, pull.weight, pull.at[t])


@compiled
def _level(costs: PeerCosts, pull: Pull, store: LevelBounds, last: int, extra: float) -> float:
    """Equation (2): E_last before its clip, for marginal cost `extra`."""
    level = store.start
    for t in range(last + 1):
        level = level if t == 0 else min(max(level, store.low), store.high)
        level -= _one(costs, pull, t, extra)
    return level


@compiled
def _sought(costs: PeerCosts, pull: Pull, store: LevelBounds, last: int, level: float) -> float:
    """The l at which E_last, before its clip, is `level`, by bisection between bounds that reach every x."""
    low, high = -1.0, 1.0
    while _level(costs, pull, store, last, low) > level and low > -FAR:
        low *= 4.0
    while _level(costs, pull, store, last, high) < level and high < FAR:
        high *= 4.0
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        if _level(costs, pull, store, last, middle) < level:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


@compiled
def answer_coupled(costs: PeerCosts, pull: Pull, store: LevelBounds, x: Floats) -> None:
    """Equation (3) of one peer into `x` (periods,)."""
    extra, goal, seek = 0.0, store.start, True
    for t in range(len(x) - 1, -1, -1):
        if seek:
            extra = _sought(costs, pull, store, t, goal)
        x[t] = _one(costs, pull, t, extra)
        if t > 0:
            raw = _level(costs, pull, store, t - 1, extra)
            seek = raw < store.low or raw > store.high
            goal = min(max(raw, store.low), store.high)
    _balance(x, costs.length, costs.least)


@compiled
def _balance(x: Floats, length: Floats, least: Floats) -> None:
    """Take what bisection left of the sum from the first periods that have room for it."""
    left = np.sum(x)
    for t in range(len(x)):
        moved = min(max(x[t] - left, least[t]), least[t] + np.sum(length[t]))
        left -= x[t] - moved
        x[t] = moved
