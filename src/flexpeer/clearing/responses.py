"""What a peer would do at given prices, exactly: its share of the dual bound.

A coupled peer's store e_t = e_(t-1) - x_t (kWh, periods of one hour) starts and ends at the same level; J_t(e), the
least cost of being at e after t periods, is convex and piecewise linear:

    J_t(e) = min_x J_(t-1)(e + x) + c_t(x) + g_t x,    0 <= e <= capacity                     (1)

so, as a list of (slope, length) ascending, J_t merges the steps of period t with J_(t-1) and is cut at the ends.
A peer that shifts is one whose capacity has no ends.
"""

import numpy as np

from flexpeer.clearing.problem import ClearingProblem, Floats, Integers, PeerKind
from flexpeer.compiled import compiled


@compiled
def least_free(kw: Floats, price: Floats, sign: Integers, bus: Integers, g: Floats, peers: Integers) -> Floats:
    """Min c(x) + g x of free peers, summed over periods, (peers,)."""
    best = np.zeros(len(peers))
    for i in range(len(peers)):
        for t in range(kw.shape[1]):
            for k in range(len(sign)):
                best[i] += kw[peers[i], t, k] * min(0.0, price[peers[i], t, k] + sign[k] * g[bus[peers[i]], t])
    return best


@compiled
def spent(v: Floats, price: Floats, sign: Integers, bus: Integers, g: Floats) -> Floats:
    """c(x) + g x of all peers at their steps v, summed over periods, (peers,)."""
    cost = np.zeros(v.shape[0])
    for i in range(v.shape[0]):
        for t in range(v.shape[1]):
            for k in range(len(sign)):
                cost[i] += v[i, t, k] * (price[i, t, k] + sign[k] * g[bus[i], t])
    return cost


@compiled
def least_stored(kw: Floats, slope: Floats, capacity: float, start: float) -> float:
    """Equation (1) for one peer: kw (periods, steps), `slope` (periods, steps) of drawing e down by each step up.

    `slope` is what one kW more injected costs with the price included; steps down come as negative kw.
    """
    periods, steps = kw.shape
    slopes, lengths = np.zeros(periods * steps + 1), np.zeros(periods * steps + 1)
    count, low, value = 0, start, 0.0
    for t in range(periods):
        for k in range(steps):
            if kw[t, k] > 0.0:
                low -= kw[t, k]
                value += kw[t, k] * slope[t, k]
            at = count
            while at > 0 and slopes[at - 1] > -slope[t, k]:
                slopes[at], lengths[at] = slopes[at - 1], lengths[at - 1]
                at -= 1
            slopes[at], lengths[at] = -slope[t, k], abs(kw[t, k])
            count += 1
        low, value, count = _cut(slopes, lengths, count, low, value, capacity)
    at = 0
    while at < count and low < start:
        moved = min(lengths[at], start - low)
        value += moved * slopes[at]
        low += moved
        at += 1
    return value


@compiled
def _cut(
    slopes: Floats, lengths: Floats, count: int, low: float, value: float, capacity: float
) -> tuple[float, float, int]:
    """Cut a curve that begins at `low` with `value` to 0 ... capacity; an infinite capacity has no ends."""
    if np.isinf(capacity):
        return low, value, count
    dropped, high = 0, low
    while dropped < count and low < 0.0:
        moved = min(lengths[dropped], -low)
        value += moved * slopes[dropped]
        lengths[dropped] -= moved
        low += moved
        if low < 0.0:
            dropped += 1
    kept, high = 0, low
    for at in range(dropped, count):
        length = min(lengths[at], capacity - high)
        if length > 0.0:
            slopes[kept], lengths[kept] = slopes[at], length
            high += length
            kept += 1
    return low, value, kept


def least(problem: ClearingProblem, g: Floats) -> Floats:
    """Min c_i(x) + g x of every peer over what it may do, summed over periods, (peers,); g (buses, periods)."""
    best = np.zeros(problem.peers)
    free = np.flatnonzero(problem.peer_kind == PeerKind.FREE)
    kw, price, sign = problem.step_kw, problem.step_price, problem.step_sign
    best[free] = least_free(kw, price, sign, problem.peer_bus, g, free)
    for i in problem.coupled:
        capacity = problem.energy_kwh[i] if problem.peer_kind[i] == PeerKind.STORAGE else np.inf
        start = problem.energy_start_kwh[i] if problem.peer_kind[i] == PeerKind.STORAGE else 0.0
        slope = price[i] * sign + g[problem.peer_bus[i]][:, None]
        best[i] = least_stored(kw[i] * sign, slope, float(capacity), float(start))
    return best
