"""Coupled peers in price-Newton: each eliminates its own periods, in time proportional to their number.

Peer i keeps e_t = e_(t-1) - x_t (kWh in its store, or owed to other periods), price l_t of that equation. Its steps
answer to p = g + l, its level e_t, a row of size capacity, to l_t - l_(t+1). With W, R of the steps and w, r of the
levels (see `rows`; w = 0 where there is no level: before the first period and after the last), the change of l
solves

    (W_t + w_t + w_(t-1)) dl_t - w_t dl_(t+1) - w_(t-1) dl_(t-1)
        = R_t + r_t - r_(t-1) + (x_t + e_t - e_(t-1)) - W_t dg_t                              (1)

a chain of conductances w between nodes grounded by W. Elimination from either end keeps the conductance to ground seen
so far, a_t = W_t + w_(t-1) a_(t-1) / (a_(t-1) + w_(t-1)), a sum of positive terms (2). What the peer answers to a price
in one period alone is W_t in series with the rest of the chain (3).

Arrays are (periods, peers): the recursions run over periods and peers lie side by side in vectors.
"""

from typing import NamedTuple

import numpy as np

from flexpeer.clearing.problem import Floats, Integers
from flexpeer.compiled import compiled, compiled_apart

BLOCK = 64


class PeerChains(NamedTuple):
    """Eliminated chains: W, (3), w/(a + w) and 1/(a + w), all (periods, peers)."""

    ground: Floats
    own: Floats
    pass_on: Floats
    inverse: Floats

    @classmethod
    def of(cls, ground: Floats, link: Floats) -> "PeerChains":
        """From W and w, with w zero in the last period."""
        seen, own = np.empty(ground.shape), np.empty(ground.shape)
        eliminate(ground, link, seen, own)
        inverse = 1.0 / (seen + link)
        return cls(ground, own, link * inverse, inverse)

    def solve(self, right: Floats) -> Floats:
        """Equation (1) for a right-hand side, which is used up."""
        change = np.empty(right.shape)
        solve_chain(self.pass_on, self.inverse, right, change)
        return change

    def answer(self, price: Floats) -> Floats:
        """Dl for a change of prices at the peers alone."""
        return self.solve(-self.ground * price)


@compiled
def eliminate(ground: Floats, link: Floats, seen: Floats, own: Floats) -> None:
    """Equations (2), into `seen`, and (3), into `own`; `link` is w with zeros in the last period."""
    last = ground.shape[0] - 1
    for i in range(ground.shape[1]):
        left = 0.0
        for t in range(last + 1):
            seen[t, i] = ground[t, i] + left
            own[t, i] = left
            left = series(seen[t, i], link[t, i])
        right = 0.0
        for t in range(last, -1, -1):
            side = own[t, i] + right
            own[t, i] = series(ground[t, i], side)
            if t > 0:
                right = series(ground[t, i] + right, link[t - 1, i])


@compiled
def series(a: float, b: float) -> float:
    """Two conductances in series."""
    return a * b / (a + b) if a > 0.0 and b > 0.0 else 0.0


@compiled_apart
def solve_chain(pass_on: Floats, inverse: Floats, right: Floats, change: Floats) -> None:
    """Equation (1): forward elimination in `right`, then back into `change`."""
    last, peers = right.shape[0] - 1, right.shape[1]
    for t in range(last):
        here, then, share = right[t], right[t + 1], pass_on[t]
        for i in range(peers):
            then[i] += here[i] * share[i]
    here, after, inv = right[last], change[last], inverse[last]
    for i in range(peers):
        after[i] = here[i] * inv[i]
    for t in range(last - 1, -1, -1):
        here, after, then, share, inv = right[t], change[t], change[t + 1], pass_on[t], inverse[t]
        for i in range(peers):
            after[i] = here[i] * inv[i] + share[i] * then[i]


@compiled
def add_up(values: Floats, site: Integers, total: Floats) -> None:
    """Add values (periods, peers) of the peers of each site to `total` (sites, periods or more)."""
    for t in range(values.shape[0]):
        for i in range(len(site)):
            total[site[i], t] += values[t, i]


def blocks_of(chains: "PeerChains") -> Floats:
    """Its four arrays for `BLOCK` peers at a time, (blocks, 4, periods, BLOCK); peers that are none have zeros."""
    periods, peers = chains.ground.shape
    padded = np.zeros((len(chains), periods, -(-peers // BLOCK) * BLOCK))
    padded[:, :, :peers] = chains
    return np.ascontiguousarray(padded.reshape(len(chains), periods, -1, BLOCK).transpose(2, 0, 1, 3))


@compiled_apart
def beyond(blocks: Floats, site: Integers, price: Floats, total: Floats) -> None:
    """Add to `total` the sum over the peers of a site of W (dg + dl) - own dg, for dg = `price`.

    Both are (sites, periods or more); `blocks` are those of `blocks_of`.
    """
    periods = blocks.shape[2]
    at, right, change = np.zeros((periods, BLOCK)), np.empty((periods, BLOCK)), np.empty((periods, BLOCK))
    for b in range(len(blocks)):
        ground, own, pass_on, inverse = blocks[b, 0], blocks[b, 1], blocks[b, 2], blocks[b, 3]
        here = site[b * BLOCK : (b + 1) * BLOCK]
        for i in range(len(here)):
            for t in range(periods):
                at[t, i] = price[here[i], t]
        right[:] = -ground * at
        solve_chain(pass_on, inverse, right, change)
        at[:] = ground * (at + change) - own * at
        for i in range(len(here)):
            for t in range(periods):
                total[here[i], t] += at[t, i]
