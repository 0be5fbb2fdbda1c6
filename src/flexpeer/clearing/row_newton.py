"""E1 where every limit is a row: meshed grids, and orders at the gate.

With A (limits, buses) what a kW injected at a bus adds to a limit and q the limits' prices, a bus has the price
g = root price + A' q. Buses answer a change of price with R - W dg, limits, as devices of price -q, with R_s + W_s dq
(see `rows`). So Newton's equations are

    (A W A' + W_s) dq = A R - R_s + (idle + A x - s)                                          (1)

A W A', A R and A x are sums over all peers: parties (`row_party`) tell their shares of them and hear dq; nobody sees
another's bids, and who solves (1) sees none. The loop is that of `price_newton`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from flexpeer.clearing.group import Group
from flexpeer.clearing.layout import scale_of
from flexpeer.clearing.limit_rows import Bands
from flexpeer.clearing.price_newton import RELATIVE, NewtonStatus, Tolerance, coarse, solve
from flexpeer.clearing.problem import Floats
from flexpeer.clearing.row_equations import Equations
from flexpeer.clearing.row_party import Party, slabs
from flexpeer.clearing.rows import LANES, SUM, WEIGHT


class LimitSystem:
    """The limits of a slab and the parties behind them; `base` (limits, LANES) is idle less where rows begin."""

    def __init__(
        self, parties: Sequence[Party], slab: int, limits: Group, base: Floats, equations: Equations, size: int
    ) -> None:
        self._parties, self._slab, self.limits, self._base, self.size = parties, slab, limits, base, size
        self._equations = equations

    def gather(self) -> tuple[Floats, Floats]:
        """Gap and cost; equation (1) is factorised."""
        self.limits.gather()
        answer, told = self.limits.answer, [party.gather(self._slab) for party in self._parties]
        self._rest = self._base + sum(t.moved for t in told) - answer[:, SUM : SUM + LANES]
        self._move = np.sum([t.move for t in told], axis=0)
        lanes = zip(*(t.weight for t in told), strict=True)
        self._solvers = [
            self._equations.factorised(shares, answer[:, WEIGHT + lane]) for lane, shares in enumerate(lanes)
        ]
        totals = np.sum([self.limits.totals, *(t.totals for t in told)], axis=0)
        return totals[:LANES], totals[LANES:]

    def predict(self) -> tuple[Floats, Floats, Floats]:
        """The affine step: linear and product sums, and its reach."""
        change = self._solved(self._move - self.limits.moves())
        self.limits.probe()
        found = [party.probe(self._slab, change) for party in self._parties]
        totals = np.sum([self.limits.totals, *(sums for sums, _ in found)], axis=0)
        return totals[:LANES], totals[LANES:], self._furthest([reach for _, reach in found])

    def correct(self, aim: Floats) -> Floats:
        """Reach of the corrected step."""
        moves = [party.correct(self._slab, aim) for party in self._parties]
        change = self._solved(np.sum(moves, axis=0) - self.limits.corrected(aim))
        self.limits.bound(aim)
        return self._furthest([party.bound(self._slab, change, aim) for party in self._parties])

    def advance(self, aim: Floats, length: Floats) -> None:
        """Take it."""
        self.limits.advance(aim, length)
        for party in self._parties:
            party.advance(self._slab, aim, length)

    def _solved(self, right: Floats) -> Floats:
        """Change dq by equation (1), (limits, LANES), which limits hear at once."""
        right, last = right + self._rest, len(self._solvers) - 1
        found = [solver.solve(right[:, lane]) for lane, solver in enumerate(self._solvers)]
        change = np.stack([found[min(lane, last)] for lane in range(LANES)], axis=1)
        self.limits.step[:] = -change
        return change

    def _furthest(self, reach: list[Floats]) -> Floats:
        return coarse(np.max([self.limits.reach, *reach], axis=0))


@dataclass(frozen=True)
class Priced:
    """Prices q (limits, periods) of all limits, steps taken, and how it ended."""

    price: Floats
    steps: int
    status: NewtonStatus


class Grid:
    """The limits that matter, as whoever solves equation (1) lays them out from what parties surveyed."""

    def __init__(self, parties: Sequence[Party], bands: Bands, periods: int) -> None:
        self._parties = parties
        price, self._kw, count = np.sum([party.offer() for party in parties], axis=0)
        self._typical = scale_of(price / np.maximum(1.0, count))
        surveys = [party.survey(self._typical) for party in parties]
        least, most, start = (
            np.sum([getattr(survey, name) for survey in surveys], axis=0) for name in ("least", "most", "start")
        )
        self.reached = bands.reached(least, most)
        self._bands, self.slabs = bands.kept(self.reached), slabs(periods)
        patterns = [party.keep(self.reached) for party in parties]
        self._equations = Equations(patterns, int(self.reached.sum()))
        self._least, self._most, self._start = least[self.reached], most[self.reached], start[self.reached]
        self._rows = sum(survey.rows for survey in surveys)
        self._level = np.sum([survey.level for survey in surveys], axis=0) / max(self._rows, 1)

    def system(self, slab: int) -> LimitSystem:
        """One slab, as it starts."""
        periods, _ = self.slabs[slab]
        moves = self._least[:, periods], self._most[:, periods], self._start[:, periods]
        kinds, price = self._bands.slopes(periods, *moves), self._bands.start(periods)
        ends = np.cumsum([len(kind.at) for kind in kinds])[:-1]
        level, spread = self._level[periods], self._typical[periods]
        rows = [k.rows(p, level, spread) for k, p in zip(kinds, np.split(price, ends), strict=True)]
        count = np.concatenate([np.full(len(kind.at), kind.width.shape[1]) for kind in kinds])
        limits = Group(np.concatenate(rows), np.concatenate([kind.sign() for kind in kinds]), count, price)
        base = self._bands.idle[:, periods] - np.concatenate([kind.low for kind in kinds])
        size = 2 * (self._rows + len(limits.rows))
        return LimitSystem(self._parties, slab, limits, base, self._equations, size)

    def tolerance(self, idle: Floats, relative: float) -> Tolerance:
        """Of all periods, for what no trade costs (periods,)."""
        constant = self._bands.full_import(self._least, self._most)
        return Tolerance.of(relative, idle, self._typical * self._kw, constant)


def price_limits(
    parties: Sequence[Party], bands: Bands, idle: Floats, tell: Callable[[int, int], None], relative: float = RELATIVE
) -> Priced:
    """Price-Newton among `parties`; `idle` (periods,) is the cost without trade. What is taken is at the parties."""
    grid = Grid(parties, bands, len(idle))
    tolerance = grid.tolerance(idle, relative)
    q, steps, status = np.zeros((len(grid.reached), len(idle))), 0, NewtonStatus.CONVERGED
    for slab, (periods, live) in enumerate(grid.slabs):
        system = grid.system(slab)
        progress = solve(system, tolerance.at(periods))
        q[np.ix_(grid.reached, periods[live])] = -system.limits.price[:, live]
        steps = max(steps, progress.steps)
        status = status if progress.status is NewtonStatus.CONVERGED else progress.status
        tell(int(periods[-1]) + 1, len(idle))
    return Priced(q, steps, status)
