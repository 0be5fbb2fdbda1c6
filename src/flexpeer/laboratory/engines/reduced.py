"""A piece's tree reduced to the buses of some sites and where their ways up meet: what moves elsewhere is nothing.

Where only buses move, equations (1), (2), (5) of `tree` make of (u, l) at a bus what it tells its parent, and of the
parent's (dg, dw) the bus's own, with the transpose:

    (U, L) = T (u, l),    (dg, dw) = T' (dg, dw)_parent + S (u, l)                            (1)

    T = | 1 - r b    a r           | / det,     S = | h T_11 + r T_21   r T_11 |              (2)
        | b h + d r  1 + h|a| - r b |                | r T_11            r T_12 |

Along a way without sites or forks, from bus n over its parent m, these compose to one edge:

    T = T_m T_n,    S = S_n + T_n' S_m T_n                                                    (3)

Where no voltage on the way or below has rows, l and T_21 are 0 and dw makes no price, so T_11 and S_11 do.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from flexpeer.clearing.problem import Flags, Floats, Integers
from flexpeer.clearing.rows import LANES
from flexpeer.compiled import compiled, compiled_apart
from flexpeer.laboratory.engines.tree import INV, A, B, D, H, Messages

T11, T12, T21, T22, S11, S12, S22 = range(0, 7 * LANES, LANES)
U, L = range(0, 2 * LANES, LANES)
NOWHERE = -1


@dataclass(frozen=True)
class Junctions:
    """Buses of a piece that are sites, forks or entries, and its first: `bus`, `parent` among them, -1 first.

    `site` (junctions,) is which site each is, -1 if none; `node` (buses,) the junction of a bus, -1 if none.
    """

    bus: Integers
    parent: Integers
    site: Integers
    node: Integers

    @classmethod
    def of(cls, parent: Integers, sites: Integers, number: Integers, entries: Integers) -> "Junctions":
        """From a piece's `parent`; `sites` are buses of it and `number` theirs; at `entries` pieces with sites hang."""
        kept = np.zeros(len(parent), dtype=np.bool_)
        kept[0] = kept[sites] = kept[entries] = True
        above = np.full(len(parent), NOWHERE)
        reduce_tree(parent, kept, above)
        bus = np.flatnonzero(kept)
        node = np.full(len(parent), NOWHERE)
        node[bus] = np.arange(len(bus))
        site = np.full(len(bus), NOWHERE)
        site[node[sites]] = number
        return cls(bus, np.where(above[bus] < 0, NOWHERE, node[above[bus]]), site, node)


@compiled
def reduce_tree(parent: Integers, kept: Flags, above: Integers) -> None:
    """Keep forks besides what is `kept` already; `above` gets the next kept bus on the way up."""
    found = kept.copy()
    ways = np.zeros(len(parent), dtype=np.int64)
    for n in range(len(parent) - 1, 0, -1):
        kept[n] |= ways[n] > 1
        if found[n] or ways[n] > 0:
            ways[parent[n]] += 1
    kept[0] = True
    for n in range(1, len(parent)):
        above[n] = parent[n] if kept[parent[n]] else above[parent[n]]


class Edges(NamedTuple):
    """Edges above junctions: `parent`, `site` as in `Junctions`, `edge` (junctions, 7 LANES) T and S.

    `deep` (junctions,) says where the l and T_21 of equation (1) count.
    """

    parent: Integers
    site: Integers
    edge: Floats
    deep: Flags


class ReducedTree:
    """Edges of a piece's junctions for one slab; (dg, dw) of the bus above are 0 unless `above` says otherwise."""

    def __init__(self, junctions: Junctions) -> None:
        count = len(junctions.bus)
        self._at = junctions
        edge, deep = np.zeros((count, 7 * LANES)), np.zeros(count, dtype=np.bool_)
        self._edges = Edges(junctions.parent, junctions.site, edge, deep)
        self._moving, self._change = np.zeros((count, 2 * LANES)), np.zeros((count, 2 * LANES))
        self.told, self.above = np.zeros(2 * LANES), np.zeros(2 * LANES)

    def lay(self, parent: Integers, rho: Floats, messages: Messages) -> None:
        """Equations (2), (3) from what `tree.factor` left in `messages`."""
        lay_edges(parent, rho, messages, self._at.bus, self._at.node, self._edges)

    def enter(self, bus: int, told: Floats) -> None:
        """Add what a piece below has told at a bus."""
        self._moving[self._at.node[bus]] += told

    def leave(self, bus: int) -> Floats:
        """(dg, dw) of a bus, for a piece below."""
        return np.asarray(self._change[self._at.node[bus]])

    def carry(self, values: Floats, first: int) -> None:
        """Equation (1) upwards; `values` (sites, periods) move, of which this slab has those from `first`."""
        carry_edges(self._edges, values, first, self._moving, self.told)

    def spread(self, prices: Floats, first: int) -> None:
        """Equation (1) downwards, into `prices` (sites, periods) from `first`; forgets what moved."""
        spread_edges(self._edges, self.above, prices, first, self._moving, self._change)


@compiled
def lay_edges(parent: Integers, rho: Floats, messages: Messages, bus: Integers, node: Integers, edges: Edges) -> None:
    """Equation (3) from every junction to the next, and whether a voltage on the way or below has rows."""
    own, sent, edge, deep = messages.own, messages.sent, edges.edge, edges.deep
    for j in range(len(bus)):
        deep[j] = False
        for t in range(LANES):
            deep[j] |= own[bus[j], D + t] != 0.0
            n = bus[j]
            t11, t12, t21, t22, s11, s12, s22 = edge_of(own[n], sent[n], rho[n], t)
            n = parent[n]
            while n >= 0 and node[n] < 0:
                deep[j] |= own[n, D + t] != 0.0
                m11, m12, m21, m22, p11, p12, p22 = edge_of(own[n], sent[n], rho[n], t)
                x11, x12 = p11 * t11 + p12 * t21, p11 * t12 + p12 * t22
                x21, x22 = p12 * t11 + p22 * t21, p12 * t12 + p22 * t22
                s11 += t11 * x11 + t21 * x21
                s12 += t11 * x12 + t21 * x22
                s22 += t12 * x12 + t22 * x22
                t11, t21 = m11 * t11 + m12 * t21, m21 * t11 + m22 * t21
                t12, t22 = m11 * t12 + m12 * t22, m21 * t12 + m22 * t22
                n = parent[n]
            out = edge[j]
            out[T11 + t], out[T12 + t], out[T21 + t], out[T22 + t] = t11, t12, t21, t22
            out[S11 + t], out[S12 + t], out[S22 + t] = s11, s12, s22


Edge = tuple[float, float, float, float, float, float, float]


@compiled
def edge_of(own: Floats, sent: Floats, r: float, t: int) -> Edge:
    """Equation (2): T_11, T_12, T_21, T_22, S_11, S_12, S_22 of a bus."""
    a, b, d, h, inv = own[A + t], own[B + t], own[D + t], sent[H + t], sent[INV + t]
    t11, t12 = (1.0 - r * b) * inv, a * r * inv
    t21, t22 = (b * h + d * r) * inv, (1.0 - a * h - r * b) * inv
    return t11, t12, t21, t22, h * t11 + r * t21, r * t11, r * t12


@compiled_apart
def carry_edges(edges: Edges, values: Floats, first: int, moving: Floats, told: Floats) -> None:
    """What sites move joins what comes from below in `moving` (junctions, 2 LANES); `told` goes to the piece above."""
    parent, site, edge, deep = edges
    lanes = edge.shape[1] // 7
    for j in range(len(parent) - 1, -1, -1):
        here, e = moving[j], edge[j]
        if site[j] >= 0:
            move = values[site[j], first : first + LANES]
            for t in range(lanes):
                here[U + t] += move[t]
        for t in range(lanes):
            told[U + t] = e[T11 + t] * here[U + t] + e[T12 + t] * here[L + t]
        if deep[j]:
            for t in range(lanes):
                told[L + t] = e[T21 + t] * here[U + t] + e[T22 + t] * here[L + t]
        if parent[j] >= 0:
            up = moving[parent[j]]
            for t in range(2 * lanes if deep[j] else lanes):
                up[t] += told[t]


@compiled_apart
def spread_edges(edges: Edges, above: Floats, prices: Floats, first: int, moving: Floats, change: Floats) -> None:
    """(dg, dw) of junctions into `change`, dg of sites into `prices`; `moving` becomes 0."""
    parent, site, edge, deep = edges
    lanes = edge.shape[1] // 7
    over = above.copy()
    for j in range(len(parent)):
        here, e, out = moving[j], edge[j], change[j]
        if parent[j] >= 0:
            from_above = change[parent[j]]
            for t in range(2 * lanes):
                over[t] = from_above[t]
        for t in range(lanes):
            out[U + t] = e[T11 + t] * over[U + t] + e[S11 + t] * here[U + t]
        if deep[j]:
            for t in range(lanes):
                out[U + t] += e[T21 + t] * over[L + t] + e[S12 + t] * here[L + t]
                out[L + t] = (
                    e[T12 + t] * over[U + t]
                    + e[T22 + t] * over[L + t]
                    + e[S12 + t] * here[U + t]
                    + e[S22 + t] * here[L + t]
                )
        if site[j] >= 0:
            price = prices[site[j], first : first + LANES]
            for t in range(lanes):
                price[t] = out[U + t]
    moving[:] = 0.0
