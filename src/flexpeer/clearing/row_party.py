"""What a party does in E1 on rows: it holds the peers of some buses, and only sums over them leave it.

| pass | in | out |
|---|---|---|
| offer | | sums of step prices' size, of step kW, and how many steps, (periods,) each |
| survey | the scale of prices | A x at its least, its largest, and first; complementarity, rows |
| keep | which limits can be reached at all | which of them share a bus |
| gather | | shares of A W A', A R, A x; gap and cost |
| probe, correct, bound, advance | dq; aim; dq and aim; aim and length | as in `price_newton` |

A (limits, buses of the party) is what a kW injected at a bus adds to a limit; see `row_newton` for W, R and q.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import scipy.sparse as sp

from flexpeer.clearing import layout
from flexpeer.clearing.group import Group
from flexpeer.clearing.layout import PeerRows, add_peers, extreme_moves, take_steps
from flexpeer.clearing.problem import ClearingProblem, Flags, Floats, Integers
from flexpeer.clearing.row_equations import Factor, Pattern
from flexpeer.clearing.rows import LANES, SUM, WEIGHT

Sparse = sp.csr_array


class RowSurvey(NamedTuple):
    """A x (limits, periods) at its least, at its largest and to start with; sum of v z (periods,), rows a period."""

    least: Floats
    most: Floats
    start: Floats
    level: Floats
    rows: int


class Told(NamedTuple):
    """Shares of A W A' at the party's pattern for each live lane, of A R, A x (limits, LANES); gap, cost (2 LANES,)."""

    weight: Sequence[Floats]
    move: Floats
    moved: Floats
    totals: Floats


class Party(Protocol):
    """Who holds the peers of some buses; dq is (limits, LANES), `aim` (LANES,), reach and length (2 LANES,)."""

    def offer(self) -> Floats:
        """(3, periods)."""

    def survey(self, typical: Floats) -> RowSurvey:
        """Where its peers begin, and how far they can go, given the scale of prices (periods,)."""

    def keep(self, limits: Flags) -> Pattern:
        """Only these limits (limits,) matter; where its shares of A W A' are."""

    def gather(self, slab: int) -> Told:
        """What its peers are at, and would do; slab by slab of LANES periods."""

    def probe(self, slab: int, change: Floats) -> tuple[Floats, Floats]:
        """Linear and product sums (2 LANES,) of the affine step, and its reach."""

    def correct(self, slab: int, aim: Floats) -> Floats:
        """A R of the step that aims at complementarity `aim`."""

    def bound(self, slab: int, change: Floats, aim: Floats) -> Floats:
        """Reach of the corrected step."""

    def advance(self, slab: int, aim: Floats, length: Floats) -> None:
        """Take it."""


def slabs(periods: int) -> list[tuple[Integers, Flags]]:
    """The periods of each slab, the last one repeated, and which of its lanes are live."""
    found = []
    for first in range(0, periods, LANES):
        lanes = np.arange(first, first + LANES)
        found.append((np.minimum(lanes, periods - 1), lanes < periods))
    return found


class PeersHere:
    """A party in this process. `problem` has its peers, `bus` (buses,) says where they are, `factor` is its A."""

    def __init__(self, problem: ClearingProblem, bus: Integers, factor: Sparse) -> None:
        self._problem, self._bus, self._factor = problem, bus, factor
        self.index = layout.free_peers(problem, bus)
        self._rows = PeerRows.of(problem, self.index)
        self._place = np.searchsorted(bus, problem.peer_bus)
        self._groups: list[Group] = []
        self._slabs = slabs(problem.periods)

    def offer(self) -> Floats:
        """See `Party`."""
        price, kw = self._problem.step_price[self.index], self._problem.step_kw[self.index]
        count = np.full(self._problem.periods, float(price.shape[0] * price.shape[2]))
        return np.stack((np.abs(price).sum(axis=(0, 2)), kw.sum(axis=(0, 2)), count))

    def survey(self, typical: Floats) -> RowSurvey:
        """See `Party`."""
        p, count = self._problem, np.bincount(self._place[self._rows.peer], minlength=len(self._bus))
        start, level = np.zeros((len(self._bus), p.periods)), np.zeros(p.periods)
        for periods, live in self._slabs:
            price = layout.root_price(p, periods)
            rows = self._rows.rows(p, periods, price, typical[periods])
            group = Group(rows, self._rows.sign, count, np.tile(price, (len(self._bus), 1)))
            moved, products = np.zeros((len(self._bus), LANES)), np.zeros(LANES)
            layout.injected(rows, self._rows.sign, count, moved, products)
            start[:, periods[live]], level[periods[live]] = moved[:, live], products[live]
            self._groups.append(group)
        least, most = self._extremes()
        return RowSurvey(least, most, self._factor @ start, level, len(self._rows.peer))

    def _extremes(self) -> tuple[Floats, Floats]:
        p, ends = self._problem, []
        for moves in extreme_moves(p.step_kw[self.index], p.step_sign):
            swing = np.zeros((len(self._bus), p.periods))
            add_peers(self._place[self.index], moves, swing)
            ends.append(swing)
        up, down = self._factor.maximum(0.0), self._factor.minimum(0.0)
        return up @ ends[0] + down @ ends[1], up @ ends[1] + down @ ends[0]

    def keep(self, limits: Flags) -> Pattern:
        """See `Party`."""
        self._kept = Factor(Sparse(self._factor[np.flatnonzero(limits)]))
        return self._kept.pattern

    def gather(self, slab: int) -> Told:
        """See `Party`."""
        group, (_, live) = self._groups[slab], self._slabs[slab]
        group.gather()
        weight, moved = group.answer[:, WEIGHT : WEIGHT + LANES], group.answer[:, SUM : SUM + LANES]
        shares = [self._kept.weighted(weight[:, lane]) for lane in np.flatnonzero(live)]
        return Told(shares, self._at_limits(slab, group.moves()), self._at_limits(slab, moved), group.totals)

    def _at_limits(self, slab: int, at_buses: Floats) -> Floats:
        return self._kept.at_limits(at_buses, int(self._slabs[slab][1].sum()))

    def _hear(self, slab: int, change: Floats) -> Group:
        """Its devices on a slab, told of a change of prices."""
        group = self._groups[slab]
        self._kept.at_buses(change, int(self._slabs[slab][1].sum()), group.step)
        return group

    def probe(self, slab: int, change: Floats) -> tuple[Floats, Floats]:
        """See `Party`."""
        group = self._hear(slab, change)
        group.probe()
        return group.totals, group.reach

    def correct(self, slab: int, aim: Floats) -> Floats:
        """See `Party`."""
        return self._at_limits(slab, self._groups[slab].corrected(aim))

    def bound(self, slab: int, change: Floats, aim: Floats) -> Floats:
        """See `Party`."""
        group = self._hear(slab, change)
        group.bound(aim)
        return group.reach

    def advance(self, slab: int, aim: Floats, length: Floats) -> None:
        """See `Party`."""
        self._groups[slab].advance(aim, length)

    def read(self, steps_kw: Floats) -> None:
        """What its peers have come to, into steps (peers, periods, steps)."""
        for group, (periods, live) in zip(self._groups, self._slabs, strict=True):
            peer, step = self._rows.peer, self._rows.step
            take_steps(group.rows, peer, step, periods, live, self._problem.step_kw, steps_kw)
