"""E1 on a whole problem: its periods slab by slab, and what the rows of a slab say as steps and prices."""

from collections.abc import Callable

import numpy as np

from flexpeer.clearing.layout import take_steps
from flexpeer.clearing.price_newton import RELATIVE, NewtonStatus, Tolerance, solve
from flexpeer.clearing.problem import ClearingProblem, Integers
from flexpeer.clearing.rows import LANES
from flexpeer.laboratory.engines.area import PieceDevices, Plan
from flexpeer.laboratory.engines.coupled_newton import CoupledSlabs
from flexpeer.laboratory.engines.outcome import Engine, EngineAnswer, Posted
from flexpeer.laboratory.engines.slab import Slab

COUPLED_RELATIVE = 1e-7


class Result:
    """Steps (peers, periods, steps) and prices y, z (buses, periods), filled slab by slab."""

    def __init__(self, problem: ClearingProblem) -> None:
        self._problem = problem
        self.steps_kw = np.zeros(problem.step_kw.shape)
        self._line, self._voltage = np.zeros(problem.base_kw.shape), np.zeros(problem.base_kw.shape)

    def read(self, slab: Slab) -> None:
        """Take over what a slab has found."""
        live = slab.periods[slab.live]
        for area in slab.areas:
            self._read_peers(area, slab)
            bus, buses = area.piece.bus, len(area.piece.bus)
            self._line[np.ix_(bus, live)] = -area.price[buses : 2 * buses][:, slab.live]
            self._voltage[np.ix_(bus, live)] = -area.price[2 * buses : 3 * buses][:, slab.live]

    def _read_peers(self, area: PieceDevices, slab: Slab) -> None:
        peers = area.peers
        kw = self._problem.step_kw
        take_steps(area.rows[: len(peers.peer)], peers.peer, peers.step, slab.periods, slab.live, kw, self.steps_kw)

    def read_coupled(self, slabs: CoupledSlabs) -> None:
        """Take over every slab and the steps of coupled peers."""
        peers, kw = slabs.peers, self._problem.step_kw
        for slab, group in zip(slabs.slabs, slabs.steps, strict=True):
            self.read(slab)
            take_steps(group.rows, peers.peer, peers.step, slab.periods, slab.live, kw, self.steps_kw)

    def posted(self) -> Posted:
        """Prices clipped to their bounds."""
        return Posted.clipped(self._problem, self._line, self._voltage, np.zeros(self._problem.row_base_kw.shape))


def tolerance(plan: Plan, slab: Slab, relative: float) -> Tolerance:
    """Of a slab's lanes; where trade gains nothing, of what the steps are worth."""
    constant = slab.full_import() * plan.problem.import_price[slab.periods]
    return Tolerance.of(relative, plan.idle[slab.periods], plan.worth[slab.periods], constant)


def clear_free(
    problem: ClearingProblem, area: Integers, on_progress: Callable[[int, int], None], relative: float = RELATIVE
) -> EngineAnswer:
    """Price-Newton for free peers, tree grids; `area` (buses,) says who sweeps what. Not in whole watts yet."""
    plan, result = Plan.of(problem, area), Result(problem)
    most, status = 0, NewtonStatus.CONVERGED
    for first in range(0, problem.periods, LANES):
        slab = Slab(plan, first)
        progress = solve(slab, tolerance(plan, slab, relative))
        result.read(slab)
        most = max(most, progress.steps)
        status = status if progress.status is NewtonStatus.CONVERGED else progress.status
        on_progress(min(first + LANES, problem.periods), problem.periods)
    return EngineAnswer(result.steps_kw, result.posted(), Engine.PRICE_NEWTON, status.value, most)


def clear_coupled(
    problem: ClearingProblem,
    area: Integers,
    on_progress: Callable[[int, int], None],
    relative: float = COUPLED_RELATIVE,
) -> EngineAnswer:
    """Price-Newton with coupled peers: all periods at once. Not in whole watts yet."""
    plan, result = Plan.of(problem, area), Result(problem)
    slabs = CoupledSlabs(plan)
    lanes = [tolerance(plan, slab, relative) for slab in slabs.slabs]
    live = [slab.live for slab in slabs.slabs]
    idle, floor = (
        np.array([sum(part[on].sum() for part, on in zip(parts, live, strict=True))])
        for parts in ([lane.without for lane in lanes], [lane.floor for lane in lanes])
    )
    progress = solve(slabs, Tolerance(relative, idle, floor))
    result.read_coupled(slabs)
    on_progress(problem.periods, problem.periods)
    return EngineAnswer(result.steps_kw, result.posted(), Engine.PRICE_NEWTON, progress.status.value, progress.steps)
