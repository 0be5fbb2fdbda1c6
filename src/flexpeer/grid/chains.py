"""Passive nodes that leave the iteration: the first columns of the factorisation, eliminated without fill.

A node without injection and with at most two neighbours a and b obeys

    0 = y_pp v_p + y_pa v_a + y_pb v_b                          (1)

so it can go first, and an edge a-b takes the place of its two (Kron's reduction of a chain). Its row of the right-hand
side stays zero: power flow iterates on the other nodes alone and finds v_p by (1) once they stand still.
"""

from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array, csc_array, csr_array

from flexpeer.compiled import compiled
from flexpeer.grid.network import Complexes, Flags, Integers

SMALL_PIVOT = 1e-3


class Chains(NamedTuple):
    """What was eliminated, in order, and the matrix of the rest.

    `eliminated` and `rest` are nodes. Each eliminated node has two places for neighbours (-1: none) with its entries of
    L below, and of U beside, a unit diagonal; `pivot` is D.
    """

    eliminated: Integers
    neighbour: Integers
    l_value: Complexes
    u_value: Complexes
    pivot: Complexes
    rest: Integers
    reduced: csc_array


class _Edges(NamedTuple):
    """A matrix by its edges, which change while nodes are eliminated.

    Neighbours of each node, `degree` many from slot `start` on, with the entries to and from them; the diagonal.
    """

    start: Integers
    degree: Integers
    other: Integers
    to_other: Complexes
    from_other: Complexes
    diagonal: Complexes


def eliminate(y: csc_array, passive: Flags) -> Chains:
    """Eliminate from `y` (nodes, nodes), whose pattern is symmetric, the `passive` nodes (nodes,) that (1) allows."""
    edges = _edges(y)
    order, neighbour, l_value, u_value = _run(edges, passive)
    gone = np.zeros(y.shape[0], dtype=np.bool_)
    gone[order] = True
    rest = np.flatnonzero(~gone)
    return Chains(order, neighbour, l_value, u_value, edges.diagonal[order], rest, _reduced(edges, gone, rest))


def _edges(y: csc_array) -> _Edges:
    """The matrix by its edges."""
    rows, columns = csr_array(y), csc_array(y)
    rows.sort_indices()
    columns.sort_indices()
    count = y.shape[0]
    owner = np.repeat(np.arange(count), np.diff(rows.indptr))
    beside = owner != rows.indices
    degree = np.bincount(owner[beside], minlength=count).astype(np.int64)
    return _Edges(
        np.concatenate([[0], np.cumsum(degree)[:-1]]).astype(np.int64),
        degree,
        rows.indices[beside].astype(np.int64),
        rows.data[beside].astype(np.complex128),
        columns.data[beside].astype(np.complex128),
        np.asarray(y.diagonal(), dtype=np.complex128),
    )


def _reduced(edges: _Edges, gone: Flags, rest: Integers) -> csc_array:
    """The matrix of the nodes that are left."""
    count = len(edges.degree)
    room = np.diff(np.append(edges.start, len(edges.other)))
    owner = np.repeat(np.arange(count), room)
    used = np.arange(len(edges.other)) - edges.start[owner] < edges.degree[owner]
    kept = np.flatnonzero(used & ~gone[owner])
    place = np.cumsum(~gone) - 1
    own = np.arange(len(rest))
    at = (np.concatenate([place[owner[kept]], own]), np.concatenate([place[edges.other[kept]], own]))
    entries = np.concatenate([edges.to_other[kept], edges.diagonal[rest]])
    return csc_array(coo_array((entries, at), shape=(len(rest), len(rest))))


@compiled
def _run(edges: _Edges, passive: Flags) -> tuple[Integers, Integers, Complexes, Complexes]:
    """Eliminate until no passive node has at most two neighbours; a node may come up when a neighbour has gone."""
    count, done = len(edges.degree), 0
    order = np.empty(count, dtype=np.int64)
    neighbour = np.full((count, 2), -1, dtype=np.int64)
    l_value = np.zeros((count, 2), dtype=np.complex128)
    u_value = np.zeros((count, 2), dtype=np.complex128)
    gone = np.zeros(count, dtype=np.bool_)
    waiting = [node for node in range(count) if passive[node] and edges.degree[node] <= 2]
    while waiting:
        node = waiting.pop()
        if gone[node] or not _may_go(edges, node):
            continue
        gone[node] = True
        order[done] = node
        for k in range(edges.degree[node]):
            slot = edges.start[node] + k
            neighbour[done, k] = edges.other[slot]
            l_value[done, k] = edges.from_other[slot] / edges.diagonal[node]
            u_value[done, k] = edges.to_other[slot] / edges.diagonal[node]
        _leave(edges, node, neighbour[done], l_value[done], u_value[done])
        for other in neighbour[done]:
            if other >= 0 and passive[other] and edges.degree[other] <= 2:
                waiting.append(other)  # noqa: PERF401
        done += 1
    return order[:done], neighbour[:done], l_value[:done], u_value[:done]


@compiled
def _may_go(edges: _Edges, node: int) -> bool:
    """Whether a node has one or two neighbours and a pivot to divide by."""
    size = 0.0
    for slot in range(edges.start[node], edges.start[node] + edges.degree[node]):
        size += abs(edges.to_other[slot])
    return bool(1 <= edges.degree[node] <= 2 and abs(edges.diagonal[node]) > SMALL_PIVOT * size)


@compiled
def _leave(edges: _Edges, node: int, neighbour: Integers, l_value: Complexes, u_value: Complexes) -> None:
    """Take a node out: what its neighbours see of it, and of each other through it."""
    pivot, a, b = edges.diagonal[node], neighbour[0], neighbour[1]
    for k in range(edges.degree[node]):
        edges.diagonal[neighbour[k]] -= l_value[k] * pivot * u_value[k]
    if b < 0:
        _rejoin(edges, a, node, -1, (0j, 0j))
        return
    a_to_b, b_to_a = -l_value[0] * pivot * u_value[1], -l_value[1] * pivot * u_value[0]
    _rejoin(edges, a, node, b, (a_to_b, b_to_a))
    _rejoin(edges, b, node, a, (b_to_a, a_to_b))


@compiled
def _rejoin(edges: _Edges, node: int, gone: int, new: int, entries: tuple[complex, complex]) -> None:
    """At `node`, let the edge to `new` (-1: none) take the place of the one to `gone`, beside one that is there."""
    first, last = edges.start[node], edges.start[node] + edges.degree[node] - 1
    at, there = -1, -1
    for slot in range(first, last + 1):
        if edges.other[slot] == gone:
            at = slot
        elif edges.other[slot] == new:
            there = slot
    if there < 0 <= new:
        edges.other[at], edges.to_other[at], edges.from_other[at] = new, entries[0], entries[1]
        return
    if there >= 0:
        edges.to_other[there] += entries[0]
        edges.from_other[there] += entries[1]
    edges.other[at] = edges.other[last]
    edges.to_other[at], edges.from_other[at] = edges.to_other[last], edges.from_other[last]
    edges.degree[node] -= 1
