"""E1 with coupled peers: all periods in one Newton step, sweeps of the tree preconditioning conjugate gradients.

With M the answer of coupled peers to prices over all periods, diag(M) what each answers to its own period
(`chain`), and G the sweeps of `tree` with diag(M) among the weights, the prices at buses solve

    (G^-1 + E) dg = b,   E = M - diag(M)                                                      (1)

Conjugate gradients on (1), preconditioned by G, need one sweep and one pass over coupled peers each, since
G^-1 p of a search direction p follows from the residuals: with z = G r, p = z + beta p also G^-1 p = r + beta G^-1 p
(2). They start from G b, whose residual -E G b lies at buses of coupled peers, as all others then do. What is left
of it enters the next Newton step as a balance that lacks something, and the last step's in the certificate: so they may
go on for long. Within them only sites move, so they sweep the tree of `reduced`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flexpeer.clearing.group import Group
from flexpeer.clearing.layout import PeerRows, root_price
from flexpeer.clearing.problem import Floats, Integers
from flexpeer.clearing.rows import LANES, SUM, WEIGHT
from flexpeer.compiled import compiled_apart
from flexpeer.laboratory.engines.area import Plan
from flexpeer.laboratory.engines.chain import PeerChains, add_up, beyond, blocks_of
from flexpeer.laboratory.engines.pieces import Piece
from flexpeer.laboratory.engines.reduced import Junctions, ReducedTree
from flexpeer.laboratory.engines.slab import Slab
from flexpeer.laboratory.engines.stores import levels_of, sizes, steps_of

SOLVE_LIMIT = 3000
PREDICTING, CORRECTING = 1e-2, 1e-3


@dataclass(frozen=True)
class Sites:
    """Where coupled peers are: `index` the peers, `bus` of each distinct site, `of` the site of each peer."""

    index: Integers
    bus: Integers
    of: Integers


class CoupledSlabs:
    """All slabs as one system: sums and step lengths are common to all periods, so of one lane."""

    def __init__(self, plan: Plan) -> None:
        problem = plan.problem
        index = problem.coupled
        bus, of = np.unique(problem.peer_bus[index], return_inverse=True)
        self.sites, self.peers = Sites(index, bus, of), PeerRows.of(problem, index)
        self.slabs = [Slab(plan, first) for first in range(0, problem.periods, LANES)]
        self.steps: list[Group] = []
        self.levels: list[Group] = []
        for slab in self.slabs:
            spread = plan.typical[slab.periods]
            price = np.tile(root_price(problem, slab.periods), (len(index), 1))
            self.steps.append(steps_of(problem, self.peers, index, slab.periods, price, spread))
            self.levels.append(levels_of(problem, index, slab.periods, slab.live, spread))
        self._start = sizes(problem, index)[1]
        self._shape = (problem.periods, len(index))
        rows = sum(slab.size for slab in self.slabs) // len(self.slabs) + 2 * (len(self.peers.peer) + len(index))
        self.size = rows * problem.periods
        self.place = _placed(plan.pieces, bus)
        junctions = _junctions(plan.pieces, self.place)
        self.trees = [{number: ReducedTree(at) for number, at in junctions.items()} for _ in self.slabs]
        self.solves = 0

    def _groups(self) -> list[Group]:
        return self.steps + self.levels

    def _total(self, per_slab: list[Floats]) -> Floats:
        return np.array([sum(values[slab.live].sum() for values, slab in zip(per_slab, self.slabs, strict=True))])

    def _totals(self, own: Sequence[tuple[Floats, ...]]) -> tuple[Floats, Floats]:
        pairs = []
        for half in (0, 1):
            at = slice(half * LANES, (half + 1) * LANES)
            groups = [s.totals[at] + e.totals[at] for s, e in zip(self.steps, self.levels, strict=True)]
            pairs.append(self._total([values[half] + group for values, group in zip(own, groups, strict=True)]))
        return pairs[0], pairs[1]

    def _reach(self, own: list[Floats]) -> Floats:
        found = []
        for half in (0, 1):
            at = slice(half * LANES, (half + 1) * LANES)
            for k, slab in enumerate(self.slabs):
                both = np.maximum(self.steps[k].reach[at], self.levels[k].reach[at])
                found.append((half, np.maximum(both, own[k][at])[slab.live].max()))
        return np.array([max(value for h, value in found if h == half) for half in (0, 1)])

    def _joined(self, parts: list[Floats]) -> Floats:
        """(devices, LANES) of each slab as (periods, devices)."""
        return np.concatenate([part[:, slab.live].T for part, slab in zip(parts, self.slabs, strict=True)])

    def _part(self, values: Floats, k: int) -> Floats:
        """(periods, devices) as (devices, LANES) of a slab."""
        return np.asarray(values[self.slabs[k].periods].T * self.slabs[k].live)

    def gather(self) -> tuple[Floats, Floats]:
        """Gap and cost of all periods."""
        own = [slab.gather() for slab in self.slabs]
        for group in self._groups():
            group.gather()
        totals = self._totals(own)
        self._eliminate()
        return totals

    def _eliminate(self) -> None:
        """Every coupled peer eliminates its periods; buses get what it answers in one."""
        at = slice(WEIGHT, WEIGHT + LANES)
        link = self._joined([group.answer[:, at] for group in self.levels])
        link[-1] = 0.0
        self._chains = PeerChains.of(self._joined([group.answer[:, at] for group in self.steps]), link)
        self._blocks = blocks_of(self._chains)
        x, level = (
            self._joined([g.answer[:, SUM : SUM + LANES] for g in groups]) for groups in (self.steps, self.levels)
        )
        level[-1] = self._start
        self._lack = x + level - np.concatenate((self._start[None], level[:-1]))
        own, moved = self._at_sites(self._chains.own), self._at_sites(x)
        for k, slab in enumerate(self.slabs):
            lanes = _lanes(k)
            for area, (mine, bus) in zip(slab.areas, self.place, strict=True):
                area.answer[bus, at] += own[mine, lanes]
                area.rest[bus] += moved[mine, lanes]

    def _blank(self) -> Floats:
        """Zeros at sites, (sites, LANES of every slab)."""
        return np.zeros((len(self.sites.bus), LANES * len(self.slabs)))

    def _at_sites(self, values: Floats) -> Floats:
        """Sums of values (periods, peers) over the peers of each site."""
        total = self._blank()
        add_up(values, self.sites.of, total)
        return total

    def predict(self) -> tuple[Floats, Floats, Floats]:
        """The affine step and what it does."""
        for slab, trees in zip(self.slabs, self.trees, strict=True):
            slab.factor()
            for number, tree in trees.items():
                area = slab.areas[number]
                tree.lay(area.piece.parent, area.rho, area.messages)
        self._solve([g.moves() for g in self.steps], [g.moves() for g in self.levels], PREDICTING)
        own = [slab.probe() for slab in self.slabs]
        for group in self._groups():
            group.probe()
        return *self._totals(own), self._reach([reach for _, _, reach in own])

    def correct(self, aim: Floats) -> Floats:
        """The corrected step and its reach."""
        for slab in self.slabs:
            slab.aim(np.full(LANES, aim[0]))
        lanes = np.full(LANES, aim[0])
        self._solve([g.corrected(lanes) for g in self.steps], [g.corrected(lanes) for g in self.levels], CORRECTING)
        for group in self._groups():
            group.bound(lanes)
        return self._reach([slab.bound(lanes) for slab in self.slabs])

    def advance(self, aim: Floats, length: Floats) -> None:
        """Take it."""
        lanes, lengths = np.full(LANES, aim[0]), np.repeat(length, LANES)
        for slab in self.slabs:
            slab.advance(lanes, lengths)
        for group in self._groups():
            group.advance(lanes, lengths)

    def _solve(self, step_moves: list[Floats], level_moves: list[Floats], accuracy: float) -> None:
        """Prices of the Newton step for given R of steps and levels; slabs hold the R of their own devices."""
        moves, levels = self._joined(step_moves), self._joined(level_moves)
        levels[-1] = 0.0
        right = moves + levels + self._lack
        right[1:] -= levels[:-1]
        still = self._chains.solve(right)
        self._push(self._at_sites(moves - self._chains.ground * still))
        price = self._conjugate(self._sweep(), accuracy)
        self._push(-self._beyond(price))
        self._set_steps(self._sweep()[self.sites.of, : self._shape[0]].T, still)

    def _set_steps(self, price: Floats, still: Floats) -> None:
        change = self._chains.answer(price) + still
        drop = change.copy()
        drop[:-1] -= change[1:]
        drop[-1] = 0.0
        for k in range(len(self.slabs)):
            self.steps[k].step[:] = self._part(price + change, k)
            self.levels[k].step[:] = self._part(drop, k)

    def _beyond(self, price: Floats) -> Floats:
        """E times prices at sites."""
        total = self._blank()
        beyond(self._blocks, self.sites.of, price, total)
        return total

    def _push(self, values: Floats) -> None:
        for k, slab in enumerate(self.slabs):
            for area, (mine, bus) in zip(slab.areas, self.place, strict=True):
                area.move[bus] += values[mine, _lanes(k)]

    def _sweep(self) -> Floats:
        """Sweep what buses, lines and voltages move; prices at sites."""
        prices = self._blank()
        for k, slab in enumerate(self.slabs):
            slab.sweep()
            for area, (mine, bus) in zip(slab.areas, self.place, strict=True):
                prices[mine, _lanes(k)] = area.step[bus]
        return prices

    def respond(self, values: Floats) -> Floats:
        """G times values at sites: sweeps of reduced trees, as nothing else moves."""
        prices = np.empty(values.shape)
        for k, (slab, trees) in enumerate(zip(self.slabs, self.trees, strict=True)):
            for number in reversed(trees):
                trees[number].carry(values, k * LANES)
                piece = slab.areas[number].piece
                if piece.above >= 0:
                    trees[piece.above].enter(piece.entry, trees[number].told)
            for number, tree in trees.items():
                piece = slab.areas[number].piece
                if piece.above >= 0:
                    tree.above[:] = trees[piece.above].leave(piece.entry)
                tree.spread(prices, k * LANES)
        return prices

    def _conjugate(self, price: Floats, accuracy: float) -> Floats:
        """Equations (1), (2) from `price` = G b."""
        residual = -self._beyond(price)
        z = self.respond(residual)
        direction, image = z.copy(), residual.copy()
        fit = first = inner(residual, z)
        for _ in range(SOLVE_LIMIT):
            if fit <= accuracy**2 * first or fit <= 0.0:
                break
            self.solves += 1
            applied = image.copy()
            beyond(self._blocks, self.sites.of, direction, applied)
            go_along(fit / inner(direction, applied), direction, applied, price, residual)
            z = self.respond(residual)
            before, fit = fit, inner(residual, z)
            turn(fit / before, z, residual, direction, image)
        return price


@compiled_apart
def inner(left: Floats, right: Floats) -> float:
    """Sum of products at sites."""
    total = np.zeros(left.shape[1])
    for i in range(left.shape[0]):
        for t in range(left.shape[1]):
            total[t] += left[i, t] * right[i, t]
    return float(total.sum())


@compiled_apart
def go_along(length: float, direction: Floats, applied: Floats, price: Floats, residual: Floats) -> None:
    """Move the price by `length` of `direction`, the residual by what that applies."""
    for i in range(price.shape[0]):
        for t in range(price.shape[1]):
            price[i, t] += length * direction[i, t]
            residual[i, t] -= length * applied[i, t]


@compiled_apart
def turn(ratio: float, z: Floats, residual: Floats, direction: Floats, image: Floats) -> None:
    """Equation (2): the next direction and its image, in place."""
    for i in range(z.shape[0]):
        for t in range(z.shape[1]):
            direction[i, t] = z[i, t] + ratio * direction[i, t]
            image[i, t] = residual[i, t] + ratio * image[i, t]


def _lanes(slab: int) -> slice:
    return slice(slab * LANES, (slab + 1) * LANES)


def _placed(pieces: Sequence[Piece], sites: Integers) -> list[tuple[Integers, Integers]]:
    """For each piece, which sites it has and their bus in it."""
    found = []
    for piece in pieces:
        mine = np.flatnonzero(np.isin(sites, piece.bus))
        found.append((mine, np.searchsorted(piece.bus, sites[mine])))
    return found


def _junctions(pieces: Sequence[Piece], place: list[tuple[Integers, Integers]]) -> dict[int, Junctions]:
    """Of every piece that has sites in it or below, upper pieces first."""
    entries: dict[int, list[int]] = {}
    for number in range(len(pieces) - 1, -1, -1):
        piece = pieces[number]
        if (len(place[number][0]) or number in entries) and piece.above >= 0:
            entries.setdefault(piece.above, []).append(piece.entry)
    return {
        number: Junctions.of(piece.parent, bus, mine, np.array(entries.get(number, []), dtype=np.int64))
        for number, (piece, (mine, bus)) in enumerate(zip(pieces, place, strict=True))
        if len(mine) or number in entries
    }
