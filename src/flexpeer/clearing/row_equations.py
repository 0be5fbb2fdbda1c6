"""Equation (1) of `row_newton`, sparse: what is the same in all its steps is found once, the rest is compiled.

Which limits share a bus is a `Pattern`, the lower triangle of A A'. Parties tell the numbers of A W A' at theirs.
Joined and put in an order that fills little (minimum degree), the matrix M is factorised row by row, M = L D L':

    y = M_k. - sum_i y_i L_.i,   L_ki = y_i / D_i,   D_k = M_kk - sum_i L_ki y_i                     (1)

over the columns i < k that the elimination tree says row k of L has, ascending from each entry of M_k.
Source: Davis, Direct Methods for Sparse Linear Systems, SIAM 2006, ch. 4.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from flexpeer.clearing.price_newton import SingularError
from flexpeer.clearing.problem import Floats, Integers
from flexpeer.compiled import compiled

RIDGE = 1e-12


class Pattern(NamedTuple):
    """Entries of a lower triangle row by row: those of row n, ascending, are at `first[n]` to `first[n + 1]`."""

    first: Integers
    column: Integers

    @classmethod
    def of(cls, matrix: sp.csr_array) -> "Pattern":
        """The lower triangle of a symmetric matrix."""
        lower = sp.csr_array(sp.tril(matrix))
        lower.sort_indices()
        return cls(lower.indptr.astype(np.int64), lower.indices.astype(np.int64))

    @property
    def row(self) -> Integers:
        """Of each entry."""
        return np.repeat(np.arange(len(self.first) - 1), np.diff(self.first))


class Factor:
    """A (limits, buses) of a party, by limits and by buses.

    What it is multiplied with has LANES columns, of which `lanes` count; the others repeat the last of these.
    """

    def __init__(self, matrix: sp.csr_array) -> None:
        self.matrix = matrix
        self._rows, self._columns = _arrays(matrix), _arrays(sp.csr_array(matrix.T))
        self._limits, self._buses = matrix.shape
        ones = sp.csr_array((np.ones(matrix.nnz), matrix.indices, matrix.indptr), shape=matrix.shape)
        self.pattern = Pattern.of(sp.csr_array(ones @ ones.T))

    def at_limits(self, at_buses: Floats, lanes: int) -> Floats:
        """A x."""
        found = np.empty((self._limits, at_buses.shape[1]))
        _multiplied(*self._rows, at_buses, lanes, found)
        return found

    def at_buses(self, at_limits: Floats, lanes: int, out: Floats) -> None:
        """A' q, into `out`."""
        _multiplied(*self._columns, at_limits, lanes, out)

    def weighted(self, weight: Floats) -> Floats:
        """A W A' at its pattern, (entries,), for weights (buses,)."""
        found = np.zeros(len(self.pattern.column))
        _weighted(self._rows, self._columns, weight, self.pattern.first, self.pattern.column, found)
        return found


def _arrays(matrix: sp.csr_array) -> tuple[Integers, Integers, Floats]:
    matrix.sort_indices()
    return matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64), matrix.data.astype(np.float64)


class Equations:
    """M of limits whose parties have these patterns; it has a diagonal whoever has none."""

    def __init__(self, patterns: Sequence[Pattern], limits: int) -> None:
        own = np.arange(limits) * (limits + 1)
        keys = [pattern.row * limits + pattern.column for pattern in patterns]
        every = np.unique(np.concatenate((own, *keys)))
        order = _ordered(every // limits, every % limits, limits)
        place = np.empty(limits, dtype=np.int64)
        place[order] = np.arange(limits)
        row, column = place[every // limits], place[every % limits]
        row, column = np.maximum(row, column), np.minimum(row, column)
        listed = np.lexsort((column, row))
        at = np.empty(len(every), dtype=np.int64)
        at[listed] = np.arange(len(every))
        self._order, self._size = order, len(every)
        self._own, self._parts = at[np.searchsorted(every, own)], [at[np.searchsorted(every, key)] for key in keys]
        self._row, self._column = row[listed], column[listed]
        self._first = np.searchsorted(self._row, np.arange(limits + 1))
        self._parent, count = _tree(self._first, self._column)
        self._ends = np.concatenate(([0], np.cumsum(count)))

    def factorised(self, shares: Sequence[Floats], own: Floats) -> "Factorised":
        """Of the parties' numbers, (entries,) each, and what limits' own add to the diagonal (limits,)."""
        values = np.zeros(self._size)
        for at, share in zip(self._parts, shares, strict=True):
            values[at] += share
        values[self._own] += own
        scale = 1.0 / np.sqrt(values[self._own])[self._order]
        values *= scale[self._row] * scale[self._column]
        below, lower = np.empty(self._ends[-1], dtype=np.int64), np.empty(self._ends[-1])
        pivots = np.empty(len(own))
        matrix = self._first, self._column, values
        if not _factorise(matrix, self._parent, self._ends, below, lower, pivots):
            raise SingularError
        return Factorised(self._order, scale, self._ends, below, lower, pivots)


class Factorised(NamedTuple):
    """L (column by column, from `ends[i]` to `ends[i + 1]`) and D of M, scaled to a diagonal of ones, in `order`.

    The ridge decides between limits that say the same; what it leaves of equation (1) is in the next step's right side.
    """

    order: Integers
    scale: Floats
    ends: Integers
    below: Integers
    lower: Floats
    pivots: Floats

    def solve(self, right: Floats) -> Floats:
        """For one right side (limits,)."""
        found = self.scale * right[self.order]
        _substitute(self.ends, self.below, self.lower, self.pivots, found)
        solved = np.empty(len(right))
        solved[self.order] = self.scale * found
        return solved


@compiled
def _ordered(row: Integers, column: Integers, limits: int) -> Integers:
    """Limits in order of elimination: next is who has the fewest neighbours left, the first of equals."""
    joined = np.zeros((limits, limits), dtype=np.bool_)
    for j in range(len(row)):
        joined[row[j], column[j]] = joined[column[j], row[j]] = True
    degree = joined.sum(axis=1)
    order, left, near = np.empty(limits, np.int64), np.ones(limits, np.bool_), np.empty(limits, np.int64)
    for place in range(limits):
        least = -1
        for i in range(limits):
            if left[i] and (least < 0 or degree[i] < degree[least]):
                least = i
        order[place], left[least], count = least, False, 0
        for i in range(limits):
            if left[i] and joined[least, i]:
                near[count] = i
                degree[i] -= 1
                count += 1
        for i in near[:count]:
            for k in near[:count]:
                if not joined[i, k]:
                    joined[i, k] = True
                    degree[i] += 1
    return order


@compiled
def _multiplied(first: Integers, column: Integers, factor: Floats, x: Floats, lanes: int, out: Floats) -> None:
    """The first lanes; the others repeat the last of them."""
    for i in range(len(first) - 1):
        for t in range(lanes):
            total = 0.0
            for j in range(first[i], first[i + 1]):
                total += factor[j] * x[column[j], t]
            out[i, t] = total
        for t in range(lanes, out.shape[1]):
            out[i, t] = out[i, lanes - 1]


@compiled
def _weighted(
    rows: tuple[Integers, Integers, Floats],
    columns: tuple[Integers, Integers, Floats],
    weight: Floats,
    first: Integers,
    column: Integers,
    out: Floats,
) -> None:
    """Sum over buses b of A_ib W_b A_kb for k <= i, gathered limit by limit."""
    row_first, row_bus, row_factor = rows
    bus_first, bus_limit, bus_factor = columns
    sums = np.zeros(len(first) - 1)
    for i in range(len(first) - 1):
        for j in range(row_first[i], row_first[i + 1]):
            bus = row_bus[j]
            times = row_factor[j] * weight[bus]
            for k in range(bus_first[bus], bus_first[bus + 1]):
                if bus_limit[k] > i:
                    break
                sums[bus_limit[k]] += times * bus_factor[k]
        for j in range(first[i], first[i + 1]):
            out[j] = sums[column[j]]
            sums[column[j]] = 0.0


@compiled
def _tree(first: Integers, column: Integers) -> tuple[Integers, Integers]:
    """The elimination tree, -1 at its roots, and how many entries each column of L has."""
    limits = len(first) - 1
    parent, count, seen = np.full(limits, -1), np.zeros(limits, dtype=np.int64), np.full(limits, -1)
    for k in range(limits):
        seen[k] = k
        for j in range(first[k], first[k + 1]):
            i = column[j]
            while seen[i] != k:
                if parent[i] == -1:
                    parent[i] = k
                count[i] += 1
                seen[i] = k
                i = parent[i]
    return parent, count


@compiled
def _factorise(
    matrix: tuple[Integers, Integers, Floats],
    parent: Integers,
    ends: Integers,
    below: Integers,
    lower: Floats,
    pivots: Floats,
) -> bool:
    """Equation (1); False where a pivot is not above zero."""
    first, column, values = matrix
    limits = len(pivots)
    y, seen, path, used = np.zeros(limits), np.full(limits, -1), np.empty(limits, np.int64), ends[:-1].copy()
    for k in range(limits):
        seen[k], top, pivot = k, limits, RIDGE
        for j in range(first[k], first[k + 1]):
            i, length = column[j], 0
            if i == k:
                pivot += values[j]
                continue
            y[i] = values[j]
            while seen[i] != k:
                path[length] = i
                seen[i] = k
                length += 1
                i = parent[i]
            while length > 0:
                length -= 1
                top -= 1
                path[top] = path[length]
        for at in range(top, limits):
            i = path[at]
            move, y[i] = y[i], 0.0
            for j in range(ends[i], used[i]):
                y[below[j]] -= lower[j] * move
            share = move / pivots[i]
            pivot -= share * move
            below[used[i]], lower[used[i]] = k, share
            used[i] += 1
        if not pivot > 0.0:
            return False
        pivots[k] = pivot
    return True


@compiled
def _substitute(ends: Integers, below: Integers, lower: Floats, pivots: Floats, x: Floats) -> None:
    """L D L' x = right, in place."""
    limits = len(pivots)
    for i in range(limits):
        for j in range(ends[i], ends[i + 1]):
            x[below[j]] -= lower[j] * x[i]
    for i in range(limits - 1, -1, -1):
        x[i] /= pivots[i]
        for j in range(ends[i], ends[i + 1]):
            x[i] -= lower[j] * x[below[j]]
