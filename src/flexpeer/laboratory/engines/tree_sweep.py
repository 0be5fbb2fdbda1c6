"""E3, the exact tree sweep: whole watts, flow limits only, one period at a time.

A bus's residual supply curve says what one watt more out of its subtree costs. It is a list of entries
(slope, watts), ascending: a step up enters with its price, a step down (its taking back) with minus its
price. On the way up

    curves of children and of the bus's own steps are merged,                                 (1)
    a line adds h' to the slopes: -P below -F, 0 within, +P above F, split at whole watts,    (2)

and at the root, whose line holds the exchange's prices, every entry of negative slope is taken (3). An
entry keeps its place in its subtree's order on the whole way, so (3) decides for all buses at once and
nothing has to come down but prices:

    g_n in [-dearest next watt, -cheapest last watt] of its own curve, nearest to g_parent    (4)

The matrix of (2) in `problem` is totally unimodular, so whole watts are the optimum of the relaxation too.
Slopes are multiples of 2^-32, which makes sums exact. Subtrees are consecutive in preorder, so a curve is a
stretch of one array and (1) is a merge sort that finds the runs its children left; entries that split take
one of the spare places each line brings. Ties go to the earlier order.
"""

from typing import NamedTuple

import numpy as np

from flexpeer.clearing.problem import WATTS_PER_KW, ClearingProblem, Floats, Integers
from flexpeer.compiled import compiled
from flexpeer.laboratory.engines.evaluation import sum_up

GRAIN = 2.0**-32
FAR_W = 2**50
SPARE = 3
ROUNDING_W = 1e-3


class Preorder(NamedTuple):
    """Subtrees as stretches: bus n is `place[n]`-th, its subtree `size[n]` buses from there."""

    place: Integers
    size: Integers


def preorder(parent: Integers) -> Preorder:
    """Each bus before all below it, those consecutive."""
    size = np.ones((len(parent), 1))
    sum_up(parent, size)
    place, free = np.zeros(len(parent), dtype=np.int64), np.ones(len(parent), dtype=np.int64)
    _place(parent, size[:, 0].astype(np.int64), place, free)
    return Preorder(place, size[:, 0].astype(np.int64))


@compiled
def _place(parent: Integers, size: Integers, place: Integers, free: Integers) -> None:
    for n in range(1, len(parent)):
        place[n] = place[parent[n]] + free[parent[n]]
        free[parent[n]] += size[n]


class Entries(NamedTuple):
    """Steps a period may still take: `bus`, `order` (ties), `sign`, `price` per kWh, `watts`, each (entries,)."""

    bus: Integers
    order: Integers
    sign: Integers
    price: Floats
    watts: Integers


class Bends(NamedTuple):
    """Where h' of each line bends, in watts of its subtree's moves (buses, 3), and h' between (buses, 4)."""

    at: Integers
    slope: Floats


def bends_of(problem: ClearingProblem, period: int, base_kw: Floats) -> Bends:
    """Equation (2) for base injections (buses,) kW; a line that bends nowhere is far from its limit."""
    flow = base_kw[:, None].copy()
    sum_up(problem.parent, flow)
    limit = problem.line_limit_kw[:, period]
    low, high = (-limit - flow[:, 0]) * WATTS_PER_KW, (limit - flow[:, 0]) * WATTS_PER_KW
    at = np.empty((problem.buses, 3))
    at[:, 0], at[:, 1] = np.ceil(low - ROUNDING_W), np.floor(high + ROUNDING_W)
    at[:, 1:] = np.maximum(at[:, 1:2], at[:, :1])
    at[0] = at[0, 0], np.rint(-flow[0, 0] * WATTS_PER_KW), at[0, 1]
    price = np.array([-problem.line_price, 0.0, problem.line_price, problem.line_price])
    slope = np.tile(price, (problem.buses, 1))
    bought, sold, extra = problem.import_price[period], problem.export_price[period], problem.root_limit_price
    slope[0] = -bought - extra, -bought, -sold, extra - sold
    return Bends(np.clip(at, -FAR_W, FAR_W).astype(np.int64), np.rint(slope / GRAIN) * GRAIN)


class Curve(NamedTuple):
    """Entries: slope per kWh, watts, the step each belongs to (-1: a spare place) and its order; `at` sorts them."""

    slope: Floats
    watts: Integers
    step: Integers
    order: Integers
    at: Integers
    spare: Integers


@compiled
def _before(curve: Curve, a: int, b: int) -> bool:
    """Whether entry a comes before entry b, or with it."""
    slope, order = curve.slope, curve.order
    return bool(slope[a] < slope[b] or (slope[a] == slope[b] and order[a] <= order[b]))


@compiled
def _merge(curve: Curve, begin: int, end: int) -> None:
    """Sort at[begin:end] from the runs that are there."""
    at = curve.at
    ends = [begin, *[i for i in range(begin + 1, end) if not _before(curve, at[i - 1], at[i])], end]
    while len(ends) > 2:
        left = [begin]
        for run in range(0, len(ends) - 1, 2):
            if run + 2 < len(ends):
                _join(curve, ends[run], ends[run + 1], ends[run + 2])
                left.append(ends[run + 2])
            else:
                left.append(ends[run + 1])
        ends = left


@compiled
def _join(curve: Curve, begin: int, middle: int, end: int) -> None:
    """Merge at[begin:middle] and at[middle:end]."""
    at, spare = curve.at, curve.spare
    spare[begin:end] = at[begin:end]
    i, j = begin, middle
    for k in range(begin, end):
        if j >= end or (i < middle and _before(curve, spare[i], spare[j])):
            at[k] = spare[i]
            i += 1
        else:
            at[k] = spare[j]
            j += 1


@compiled
def _bend(curve: Curve, stretch: tuple[int, int], value: int, places: Integers, slopes: Floats) -> None:
    """Equation (2) on the sorted at[stretch], whose curve begins at `value`; spare places come first in it."""
    slope, watts, step, order, at, _ = curve
    zone, free = 0, stretch[0]
    for k in range(stretch[0], stretch[1]):
        e = at[k]
        while watts[e] > 0:
            while zone < len(places) and value >= places[zone]:
                zone += 1
            room = places[zone] - value if zone < len(places) else watts[e]
            if watts[e] <= room:
                value += watts[e]
                slope[e] += slopes[zone]
                break
            while step[at[free]] >= 0:
                free += 1
            new = at[free]
            slope[new], watts[new], step[new], order[new] = slope[e] + slopes[zone], room, step[e], order[e]
            watts[e] -= room
            value += room


@compiled
def _sweep(tree: Preorder, first: Integers, span: Integers, bends: Bends, curve: Curve) -> None:
    """From the last subtree to the root; entries of the bus at place k are first[k] to first[k + 1].

    `span` (2, buses) is the least and most watts a subtree's entries can make.
    """
    buses = len(tree.place)
    bus_at = np.empty(buses, dtype=np.int64)
    for n in range(buses):
        bus_at[tree.place[n]] = n
    for k in range(buses - 1, -1, -1):
        n = bus_at[k]
        if n > 0 and span[0, n] >= bends.at[n, 0] and span[1, n] <= bends.at[n, 1]:
            continue
        begin, end = first[k], first[k + tree.size[n]]
        _merge(curve, begin, end)
        _bend(curve, (begin, end), span[0, n], bends.at[n], bends.slope[n])


def sweep(problem: ClearingProblem, tree: Preorder, entries: Entries, bends: Bends) -> Integers:
    """Watts each entry takes of its step, (entries,)."""
    buses, count = problem.buses, len(entries.bus)
    if count == 0:
        return np.zeros(0, dtype=np.int64)
    signed = np.where(entries.sign > 0, entries.watts, -entries.watts)
    span = np.zeros((buses, 2))
    np.add.at(span[:, 0], entries.bus, np.minimum(signed, 0))
    np.add.at(span[:, 1], entries.bus, np.maximum(signed, 0))
    sum_up(problem.parent, span)
    bus = np.concatenate((entries.bus, np.repeat(np.arange(buses), SPARE)))
    real = np.arange(len(bus)) < count
    rank = np.lexsort((~real, tree.place[bus]))
    spares = len(bus) - count
    toward = np.rint(np.concatenate((entries.price * entries.sign, np.full(spares, -np.inf))) / GRAIN)[rank] * GRAIN
    watts, ids, order = (
        np.concatenate((values, np.full(spares, fill)))[rank]
        for values, fill in ((entries.watts, 0), (np.arange(count), -1), (entries.order * entries.sign, 0))
    )
    first = np.searchsorted(tree.place[bus][rank], np.arange(buses + 1))
    curve = Curve(toward, watts, ids, order, np.arange(len(bus)), np.empty(len(bus), dtype=np.int64))
    _sweep(tree, first, np.rint(span.T).astype(np.int64), bends, curve)
    chosen = (ids >= 0) & ((toward < 0.0) | ((toward == 0.0) & (entries.sign[ids] < 0)))
    taken = np.zeros(count, dtype=np.int64)
    np.add.at(taken, ids[chosen], watts[chosen])
    return np.where(entries.sign > 0, taken, entries.watts - taken)


def prices(problem: ClearingProblem, entries: Entries, taken: Integers, bends: Bends) -> Floats:
    """Equation (4): g (buses,) per kWh, at the root the middle of what supports the outcome."""
    up, down = np.full(problem.buses, np.inf), np.full(problem.buses, -np.inf)
    toward = np.rint(entries.price * entries.sign / GRAIN) * GRAIN
    rises = entries.sign > 0
    more, some = np.where(rises, taken < entries.watts, taken > 0), np.where(rises, taken > 0, taken < entries.watts)
    np.minimum.at(up, entries.bus[more], toward[more])
    np.maximum.at(down, entries.bus[some], toward[some])
    moved = np.zeros((problem.buses, 1))
    np.add.at(moved[:, 0], entries.bus, taken * entries.sign)
    sum_up(problem.parent, moved)
    value = np.rint(moved).astype(np.int64)
    rows = np.arange(problem.buses)
    next_slope = bends.slope[rows, (value >= bends.at).sum(axis=1)]
    last_slope = bends.slope[rows, (value > bends.at).sum(axis=1)]
    price = np.empty(problem.buses)
    _support(problem.parent, up, down, next_slope, last_slope, price)
    return price


@compiled
def _support(parent: Integers, up: Floats, down: Floats, next_slope: Floats, last_slope: Floats, price: Floats) -> None:
    for n in range(len(parent) - 1, 0, -1):
        up[parent[n]] = min(up[parent[n]], up[n] + next_slope[n])
        down[parent[n]] = max(down[parent[n]], down[n] + last_slope[n])
    for n in range(len(parent)):
        above = price[parent[n]] if n > 0 else 0.0
        low, high = max(-up[n], above + last_slope[n]), min(-down[n], above + next_slope[n])
        price[n] = min(max(above, low), high) if n > 0 else 0.5 * (low + high)
