"""What a peer answers in price-posting: its cheapest move near where it last stood.

    x = argmin c(x) + p x + r/2 |x - a|^2                                                     (1)

with p twice the posted price and `a` where the peer stood. A period's cost is a list of (slope, length) ascending from the
least x, so without coupling (1) is a walk along it. A coupled peer keeps e_t = e_(t-1) - x_t within its store. With x_t(l) the
answer of period t to p + l, the least-cost way to any level is, as a function of its marginal cost l,

    E_t(l) = clip(E_(t-1)(l) - x_t(l), 0, capacity),   E_0 = start                            (2)

which ascends; backwards from E_T(l) = start, l stays as it is until a clipped level stops it, and is sought anew there (3).
"""

import numpy as np

from flexpeer.clearing.problem import Floats, Integers
from flexpeer.compiled import compiled

BISECTIONS = 60


@compiled
def nearest(slope: Floats, length: Floats, least: float, price: float, weight: float, at: float) -> float:
    """Equation (1) for one period: a walk along its steps."""
    x = least
    for k in range(len(slope)):
        wish = at - (slope[k] + price) / weight
        if wish <= x:
            return x
        if wish < x + length[k]:
            return wish
        x += length[k]
    return x


@compiled
def answer_free(
    slope: Floats, length: Floats, least: Floats, asked: Integers, bus: Integers, g: Floats, weight: float,
    at: Floats, x: Floats,
) -> None:  # fmt: skip
    """Equation (1) of the peers `asked` into `x` (peers, periods); p is twice g (buses, periods)."""
    for i in asked:
        for t in range(x.shape[1]):
            x[i, t] = nearest(slope[i, t], length[i, t], least[i, t], 2.0 * g[bus[i], t], weight, at[i, t])


@compiled
def _level(
    parts: tuple[Floats, Floats, Floats], price: Floats, weight: float, at: Floats, last: int, extra: float,
    store: tuple[float, float, float],
) -> float:  # fmt: skip
    """Equation (2): E_last before its clip, for marginal cost `extra`."""
    slope, length, least = parts
    low, high, level = store
    for t in range(last + 1):
        level = level if t == 0 else min(max(level, low), high)
        level -= nearest(slope[t], length[t], least[t], price[t] + extra, weight, at[t])
    return level


@compiled
def _sought(
    parts: tuple[Floats, Floats, Floats], price: Floats, weight: float, at: Floats, last: int, level: float,
    store: tuple[float, float, float],
) -> float:  # fmt: skip
    """l at which E_last, before its clip, is `level`, by bisection between bounds that reach every x."""
    low, high = -1.0, 1.0
    while _level(parts, price, weight, at, last, low, store) > level and low > -1e12:
        low *= 4.0
    while _level(parts, price, weight, at, last, high, store) < level and high < 1e12:
        high *= 4.0
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        if _level(parts, price, weight, at, last, middle, store) < level:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


@compiled
def answer_coupled(
    parts: tuple[Floats, Floats, Floats], price: Floats, weight: float, at: Floats, store: tuple[float, float, float],
    x: Floats,
) -> None:  # fmt: skip
    """Equation (3) of one peer into `x` (periods,); `price` is p, `store` its least and largest level (may be infinite) and start."""
    slope, length, least = parts
    extra, goal = 0.0, store[2]
    seek = True
    for t in range(len(price) - 1, -1, -1):
        if seek:
            extra = _sought(parts, price, weight, at, t, goal, store)
        x[t] = nearest(slope[t], length[t], least[t], price[t] + extra, weight, at[t])
        if t > 0:
            raw = _level(parts, price, weight, at, t - 1, extra, store)
            seek = raw < store[0] or raw > store[1]
            goal = min(max(raw, store[0]), store[1])
    _balance(x, length, least)


@compiled
def _balance(x: Floats, length: Floats, least: Floats) -> None:
    """Take what bisection left of the sum from the first periods that have room for it."""
    left = np.sum(x)
    for t in range(len(x)):
        moved = min(max(x[t] - left, least[t]), least[t] + np.sum(length[t]))
        left -= x[t] - moved
        x[t] = moved
