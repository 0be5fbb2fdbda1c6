"""The resting orders of one side as a ranked tree: kernels of the compiled book.

A treap (Seidel & Aragon, Algorithmica 16, 1996): a binary search tree by rank that is at the same time
a heap by a hash of the number, hence of expected depth O(log n) whatever comes in. Ranks are by arrival or
by grid-side price and then arrival. Each node also sums up its subtree, so that the next order which
both crosses and can move a whole watt is found without visiting those that cannot:

| column | holds |
|---|---|
| `LEFT`, `RIGHT`, `PARENT` | rows of the neighbours, or `NONE` |
| `NUMBER` | place in the order of arrival |
| `PRICE` | what ranks lowest first: a SELL's price, a BUY's price negated; minor units per MWh |
| `PPM` | impact factor |
| `CAPACITY` | what a peer's `need` must not exceed |
| `WIDEST` | largest capacity of the subtree |
| `BEST` | row of the subtree's best grid-side price |

Nodes are rows of one int64 array `(orders, FIELDS)`; a tree is the row of its root, or `NONE` when empty.
A peer is `(limit, ppm, need)`, its limit being a BUY's price or a SELL's price negated: it crosses a node
when `limit * node's ppm >= node's price * ppm`, which is `crossing.crosses` for either side.
"""

import numpy as np
from numpy.typing import NDArray

from flexpeer.compiled import compiled

LEFT, RIGHT, PARENT, NUMBER, PRICE, PPM, CAPACITY, WIDEST, BEST = range(9)
FIELDS = 9
NONE = -1

Nodes = NDArray[np.int64]


@compiled
def _chance(number: int) -> int:
    """A 32 bit hash of the number (the finaliser of MurmurHash3): the same tree at every replay."""
    mixed = number & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 16)) * 0x85EBCA6B) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 13)) * 0xC2B2AE35) & 0xFFFFFFFF
    return mixed ^ (mixed >> 16)


@compiled
def _ranks_before(nodes: Nodes, one: int, other: int, by_price: bool) -> bool:
    if by_price:
        left = nodes[one, PRICE] * nodes[other, PPM]
        right = nodes[other, PRICE] * nodes[one, PPM]
        if left != right:
            return bool(left < right)
    return bool(nodes[one, NUMBER] < nodes[other, NUMBER])


@compiled
def _sum_up(nodes: Nodes, node: int) -> bool:
    """Sum the subtree up from the node and its children; whether anything changed."""
    widest = nodes[node, CAPACITY]
    best = node
    for link in (LEFT, RIGHT):
        child = nodes[node, link]
        if child != NONE:
            widest = max(widest, nodes[child, WIDEST])
            if _ranks_before(nodes, nodes[child, BEST], best, True):
                best = nodes[child, BEST]
    changed = bool(widest != nodes[node, WIDEST] or best != nodes[node, BEST])
    nodes[node, WIDEST] = widest
    nodes[node, BEST] = best
    return changed


@compiled
def refresh(nodes: Nodes, node: int) -> None:
    """Carry a change at a node (its capacity, a child) to the sums above it."""
    while node != NONE and _sum_up(nodes, node):
        node = nodes[node, PARENT]


@compiled
def _replace_child(nodes: Nodes, parent: int, child: int, successor: int) -> None:
    if parent != NONE:
        link = LEFT if nodes[parent, LEFT] == child else RIGHT
        nodes[parent, link] = successor


@compiled
def _rotate_up(nodes: Nodes, node: int) -> None:
    """Let a node and its parent change places; ranks and sums stay right."""
    parent = nodes[node, PARENT]
    grandparent = nodes[parent, PARENT]
    near, far = (LEFT, RIGHT) if nodes[parent, LEFT] == node else (RIGHT, LEFT)
    inner = nodes[node, far]
    nodes[parent, near] = inner
    if inner != NONE:
        nodes[inner, PARENT] = parent
    nodes[node, far] = parent
    nodes[parent, PARENT] = node
    nodes[node, PARENT] = grandparent
    _replace_child(nodes, grandparent, parent, node)
    nodes[node, WIDEST] = nodes[parent, WIDEST]
    nodes[node, BEST] = nodes[parent, BEST]
    _sum_up(nodes, parent)


@compiled
def insert(nodes: Nodes, root: int, node: int, by_price: bool) -> int:
    """Put a node, its `NUMBER` to `CAPACITY` filled in, in its place; the new root."""
    parent, link, below = NONE, LEFT, root
    while below != NONE:
        parent = below
        link = LEFT if _ranks_before(nodes, node, parent, by_price) else RIGHT
        below = nodes[parent, link]
    nodes[node, LEFT] = NONE
    nodes[node, RIGHT] = NONE
    nodes[node, PARENT] = parent
    nodes[node, WIDEST] = nodes[node, CAPACITY]
    nodes[node, BEST] = node
    if parent == NONE:
        return node
    nodes[parent, link] = node
    refresh(nodes, parent)
    chance = _chance(nodes[node, NUMBER])
    while parent != NONE and _chance(nodes[parent, NUMBER]) < chance:
        _rotate_up(nodes, node)
        parent = nodes[node, PARENT]
    return node if parent == NONE else root


@compiled
def _likelier_child(nodes: Nodes, node: int) -> int:
    left, right = int(nodes[node, LEFT]), int(nodes[node, RIGHT])
    if left == NONE:
        return right
    if right == NONE:
        return left
    return left if _chance(nodes[left, NUMBER]) > _chance(nodes[right, NUMBER]) else right


@compiled
def remove(nodes: Nodes, root: int, node: int) -> int:
    """Take a node out of its tree; the new root."""
    child = _likelier_child(nodes, node)
    if root == node:
        root = child
    while child != NONE:
        _rotate_up(nodes, child)
        child = _likelier_child(nodes, node)
    parent = nodes[node, PARENT]
    _replace_child(nodes, parent, node, NONE)
    refresh(nodes, parent)
    return root


@compiled
def _reaches(nodes: Nodes, node: int, limit: int, ppm: int, need: int) -> bool:
    """Whether the subtree may hold a match: it has the price and it has the capacity."""
    if node == NONE or nodes[node, WIDEST] < need:
        return False
    best = nodes[node, BEST]
    return bool(limit * nodes[best, PPM] >= nodes[best, PRICE] * ppm)


@compiled
def _meets(nodes: Nodes, node: int, limit: int, ppm: int, need: int) -> bool:
    return bool(nodes[node, CAPACITY] >= need and limit * nodes[node, PPM] >= nodes[node, PRICE] * ppm)


@compiled
def next_match(nodes: Nodes, node: int, limit: int, ppm: int, need: int) -> int:
    """The first node that ranks after `node` and matches the peer, or `NONE`."""
    while node != NONE:
        below = nodes[node, RIGHT]
        if _reaches(nodes, below, limit, ppm, need):
            while below != NONE:
                node = below
                below = nodes[node, LEFT] if _reaches(nodes, nodes[node, LEFT], limit, ppm, need) else NONE
        else:
            while nodes[node, PARENT] != NONE and nodes[nodes[node, PARENT], RIGHT] == node:
                node = nodes[node, PARENT]
            node = nodes[node, PARENT]
        if node != NONE and _meets(nodes, node, limit, ppm, need):
            return node
    return NONE


@compiled
def first_match(nodes: Nodes, root: int, limit: int, ppm: int, need: int) -> int:
    """The first node by rank that matches the peer, or `NONE`."""
    if not _reaches(nodes, root, limit, ppm, need):
        return NONE
    while _reaches(nodes, nodes[root, LEFT], limit, ppm, need):
        root = nodes[root, LEFT]
    return root if _meets(nodes, root, limit, ppm, need) else next_match(nodes, root, limit, ppm, need)
