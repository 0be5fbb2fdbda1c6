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

from dataclasses import dataclass

import numpy as np

from flexpeer.clearing.evaluation import sum_up
from flexpeer.clearing.problem import WATTS_PER_KW, Floats, Integers, Problem
from flexpeer.compiled import compiled

GRAIN = 2.0**-32
FAR_W = 2**50
SPARE = 3
ROUNDING_W = 1e-3


@dataclass(frozen=True)
class Preorder:
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


@dataclass(frozen=True)
class Entries:
    """Steps a period may still take: `bus`, `order` (ties), `sign`, `price` per kWh, `watts`, each (entries,)."""

    bus: Integers
    order: Integers
    sign: Integers
    price: Floats
    watts: Integers


@dataclass(frozen=True)
class Bends:
    """Where h' of each line bends, in watts of its subtree's moves (buses, 3), and h' between (buses, 4)."""

    at: Integers
    slope: Floats


def bends_of(problem: Problem, period: int, base_kw: Floats) -> Bends:
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


@compiled
def _merge(slope: Floats, order: Integers, begin: int, end: int, at: Integers, spare: Integers) -> None:
    """Sort at[begin:end] by (slope, order) of what it points at, from the runs that are there."""
    ends = [begin]
    for i in range(begin + 1, end):
        a, b = at[i - 1], at[i]
        if slope[b] < slope[a] or (slope[b] == slope[a] and order[b] < order[a]):
            ends.append(i)
    ends.append(end)
    while len(ends) > 2:
        left = [begin]
        for run in range(0, len(ends) - 1, 2):
            if run + 2 < len(ends):
                _join(slope, order, (ends[run], ends[run + 1], ends[run + 2]), at, spare)
                left.append(ends[run + 2])
            else:
                left.append(ends[run + 1])
        ends = left


@compiled
def _join(slope: Floats, order: Integers, run: tuple[int, int, int], at: Integers, spare: Integers) -> None:
    """Merge at[run[0]:run[1]] and at[run[1]:run[2]]."""
    begin, middle, end = run
    spare[begin:end] = at[begin:end]
    i, j = begin, middle
    for k in range(begin, end):
        first = j >= end
        if i < middle and j < end:
            a, b = spare[i], spare[j]
            first = slope[a] < slope[b] or (slope[a] == slope[b] and order[a] <= order[b])
        if first:
            at[k] = spare[i]
            i += 1
        else:
            at[k] = spare[j]
            j += 1


@compiled
def _bend(
    slope: Floats, watts: Integers, ids: Integers, order: Integers, at: Integers, stretch: tuple[int, int],
    value: int, places: Integers, slopes: Floats,
) -> None:  # fmt: skip
    """Equation (2) on the sorted at[stretch], whose curve begins at `value`; spare places come first in it."""
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
            while ids[at[free]] >= 0:
                free += 1
            new = at[free]
            slope[new], watts[new], ids[new], order[new] = slope[e] + slopes[zone], room, ids[e], order[e]
            watts[e] -= room
            value += room


@compiled
def _sweep(
    place: Integers, size: Integers, first: Integers, least: Integers, most: Integers, places: Integers,
    slopes: Floats, slope: Floats, watts: Integers, ids: Integers, order: Integers,
) -> None:  # fmt: skip
    """From the last subtree to the root; entries of the bus at place k are first[k] to first[k + 1]."""
    bus_at = np.empty(len(place), dtype=np.int64)
    for n in range(len(place)):
        bus_at[place[n]] = n
    at = np.arange(len(slope))
    spare = np.empty(len(slope), dtype=np.int64)
    for k in range(len(place) - 1, -1, -1):
        n = bus_at[k]
        if n > 0 and least[n] >= places[n, 0] and most[n] <= places[n, 1]:
            continue
        begin, end = first[k], first[k + size[n]]
        _merge(slope, order, begin, end, at, spare)
        _bend(slope, watts, ids, order, at, (begin, end), least[n], places[n], slopes[n])


def sweep(problem: Problem, tree: Preorder, entries: Entries, bends: Bends) -> Integers:
    """Watts each entry takes of its step, (entries,)."""
    buses, count = problem.buses, len(entries.bus)
    if count == 0:
        return np.zeros(0, dtype=np.int64)
    signed = np.where(entries.sign > 0, entries.watts, -entries.watts)
    span = np.zeros((buses, 2))
    np.add.at(span[:, 0], entries.bus, np.minimum(signed, 0))
    np.add.at(span[:, 1], entries.bus, np.maximum(signed, 0))
    sum_up(problem.parent, span)
    least, most = np.rint(span.T).astype(np.int64)
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
    _sweep(tree.place, tree.size, first, least, most, bends.at, bends.slope, toward, watts, ids, order)
    chosen = (ids >= 0) & ((toward < 0.0) | ((toward == 0.0) & (entries.sign[ids] < 0)))
    taken = np.zeros(count, dtype=np.int64)
    np.add.at(taken, ids[chosen], watts[chosen])
    return np.where(entries.sign > 0, taken, entries.watts - taken)


def prices(problem: Problem, entries: Entries, taken: Integers, bends: Bends) -> Floats:
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
def _support(
    parent: Integers, up: Floats, down: Floats, next_slope: Floats, last_slope: Floats, price: Floats
) -> None:
    for n in range(len(parent) - 1, 0, -1):
        up[parent[n]] = min(up[parent[n]], up[n] + next_slope[n])
        down[parent[n]] = max(down[parent[n]], down[n] + last_slope[n])
    for n in range(len(parent)):
        above = price[parent[n]] if n > 0 else 0.0
        low, high = max(-up[n], above + last_slope[n]), min(-down[n], above + next_slope[n])
        price[n] = min(max(above, low), high) if n > 0 else 0.5 * (low + high)
