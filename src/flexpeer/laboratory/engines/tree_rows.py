"""The rows of a tree's lines and voltages, as `clearing.layout` lays out rows; the typical price of peers' steps."""

import numpy as np

from flexpeer.clearing.layout import LEAST, DeviceSlopes, Reach, banded
from flexpeer.clearing.problem import ClearingProblem, Floats, Integers
from flexpeer.compiled import compiled


def lines(
    problem: ClearingProblem, reach: Reach, bus: Integers, periods: Integers, root: bool, start: Floats
) -> DeviceSlopes:
    """The lines among `bus` that can reach their limit, without the root if it is among them."""
    at = np.ix_(bus, periods)
    low, high, limit = reach.flow_low[at], reach.flow_high[at], problem.line_limit_kw[at]
    active = np.any((high > limit) | (low < -limit), axis=1) & (problem.line_price > 0.0)
    active[0] &= not root
    return banded(active, (low, high), (-limit, limit), start, problem.line_price)


def voltages(problem: ClearingProblem, reach: Reach, bus: Integers, periods: Integers, start: Floats) -> DeviceSlopes:
    """The voltages among `bus` that can leave their band."""
    at = np.ix_(bus, periods)
    low, high = reach.voltage_low[at], reach.voltage_high[at]
    band = (np.full(low.shape, problem.voltage_low), np.full(low.shape, problem.voltage_high))
    active = np.any((high > band[1]) | (low < band[0]), axis=1) & (problem.voltage_price > 0.0)
    return banded(active, (low, high), band, start, problem.voltage_price)


def held(idle: Floats, low: Floats, high: Floats, start: Floats, dear: float) -> DeviceSlopes:
    """The first line where its flow is to be `idle`: within reach, but `dear` off it; all (LANES,)."""
    margin = 0.1 * (high - low) + LEAST
    width = np.stack((idle - low + margin, high - idle + margin))[None] * 2.0
    return DeviceSlopes(np.zeros(1, dtype=np.int64), idle[None], start[None], width, np.full(width.shape, dear))


@compiled
def typical_price(price: Floats) -> Floats:
    """Mean size of step prices (peers, periods, steps) per period, (periods,)."""
    mean = np.zeros(price.shape[1])
    for i in range(price.shape[0]):
        for t in range(price.shape[1]):
            for k in range(price.shape[2]):
                mean[t] += abs(price[i, t, k])
    return np.asarray(mean / max(1, price.shape[0] * price.shape[2]))
