"""Where buses are drawn: a layered tree, sources on the left, one column per hop, leaves one below the other."""

from typing import NamedTuple

import numpy as np

from flexpeer.grid.network import Flags, Floats, Integers, Network
from flexpeer.grid.topology import depths

NO_PARENT = -1


class Tree(NamedTuple):
    """A spanning tree by hops: `parent` and `parent_branch` of each bus, `NO_PARENT` at roots; `order`: root first."""

    parent: Integers
    parent_branch: Integers
    order: tuple[int, ...]


def spanning_tree(network: Network) -> Tree:
    """Breadth first from the sources; what they do not reach gets roots of its own."""
    neighbours: list[list[tuple[int, int]]] = [[] for _ in range(network.bus_count)]
    for branch in np.flatnonzero(network.in_service):
        f, t = int(network.branch_from[branch]), int(network.branch_to[branch])
        neighbours[f].append((t, int(branch)))
        neighbours[t].append((f, int(branch)))
    parent, parent_branch = np.full((2, network.bus_count), NO_PARENT, dtype=np.int64)
    seen = np.zeros(network.bus_count, dtype=np.bool_)
    order: list[int] = []
    hops = depths(network)
    for root in sorted(range(network.bus_count), key=lambda bus: (hops[bus] != 0, bus)):
        if seen[root]:
            continue
        seen[root] = True
        reached = [root, *(r for r in _other_roots(network, hops, root) if not seen[r])]
        seen[reached] = True
        order += _reach(reached, neighbours, (parent, parent_branch, seen))
    return Tree(parent, parent_branch, tuple(order))


def _other_roots(network: Network, hops: Integers, root: int) -> list[int]:
    """The other sources, so that each bus hangs below its nearest one."""
    return [int(b) for b in np.unique(network.source_bus) if b != root] if hops[root] == 0 else []


def _reach(
    queue: list[int], neighbours: list[list[tuple[int, int]]], into: tuple[Integers, Integers, Flags]
) -> list[int]:
    parent, parent_branch, seen = into
    for bus in queue:
        for other, branch in neighbours[bus]:
            if not seen[other]:
                seen[other] = True
                parent[other], parent_branch[other] = bus, branch
                queue.append(other)
    return queue


def places(tree: Tree, kept: Flags) -> tuple[Floats, Floats]:
    """Column and row of each kept bus; a kept bus's way to its root must be kept too."""
    children: dict[int, list[int]] = {}
    column = np.zeros(len(kept))
    for bus in tree.order:
        above = int(tree.parent[bus])
        if kept[bus] and above != NO_PARENT:
            column[bus] = column[above] + 1.0
            children.setdefault(above, []).append(bus)
    size = np.where(kept, 1, 0)
    for bus in reversed(tree.order):
        if kept[bus] and tree.parent[bus] != NO_PARENT:
            size[tree.parent[bus]] += size[bus]
    row = np.zeros(len(kept))
    stack = [bus for bus in reversed(tree.order) if kept[bus] and tree.parent[bus] == NO_PARENT]
    visited: list[int] = []
    while stack:
        bus = stack.pop()
        visited.append(bus)
        stack += sorted(children.get(bus, []), key=lambda child: (-size[child], child))
    leaves = 0.0
    for bus in visited:
        if bus not in children:
            row[bus], leaves = leaves, leaves + 1.0
    for bus in reversed(visited):
        below = children.get(bus)
        if below:
            row[bus] = float(np.mean([row[child] for child in (below[0], below[-1])]))
    return column, row
