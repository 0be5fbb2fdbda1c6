"""Price-Newton when some peers are silent in some steps: who does not answer is frozen and catches up when it does.

A frozen peer's rows answer no price, W = R = 0: for the step they are out of the passes, their injection is base
injection, and what they hold of gap and cost is added to the sums. Prices move on without them, so they come back with
rows whose duals no longer fit their price; equation (4) of `rows` takes that in with the next step. The sum of v z +
s y stays large while anybody is behind, so steps end on the certificate of where all stand, as price-posting's rounds.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from flexpeer.clearing.price_newton import RELATIVE, NewtonStatus, go
from flexpeer.clearing.problem import ClearingProblem, Integers
from flexpeer.clearing.rows import LANES, C, S, V, Y, Z
from flexpeer.laboratory.engines.area import PieceDevices, Plan
from flexpeer.laboratory.engines.certificate import Certificate, certify
from flexpeer.laboratory.engines.finishing import finish
from flexpeer.laboratory.engines.interior import Result, tolerance
from flexpeer.laboratory.engines.outcome import Engine, EngineAnswer
from flexpeer.laboratory.engines.pieces import without_idle_limits
from flexpeer.laboratory.engines.slab import Slab

SILENT_LIMIT = 60
LOOK = 5

Silent = Callable[[int], Integers]


class Frozen:
    """An area's rows with those of silent peers put aside for a step; `gap`, `cost` (LANES,) are of those."""

    def __init__(self, area: PieceDevices) -> None:
        self._area, self._count = area, area.count
        self._rows, self._sign, self._first, self._given = area.rows, area.sign, area.first, area.given.copy()
        self._device = np.repeat(np.arange(len(area.count)), area.count)
        self._heard = np.ones(len(area.rows), dtype=np.bool_)
        self.gap, self.cost = np.zeros(LANES), np.zeros(LANES)

    def put_aside(self, silent: Integers) -> None:
        """Rows of these peers, until `put_back`."""
        area, heard = self._area, self._heard
        peer = area.peers.peer
        heard[: len(peer)] = ~np.isin(peer, silent)
        aside = self._rows[~heard]
        np.add.at(area.given, self._device[~heard], self._sign[~heard, None] * aside[:, V : V + LANES])
        v, s, z, y, c = (aside[:, at : at + LANES] for at in (V, S, Z, Y, C))
        self.gap, self.cost = (v * z + s * y).sum(axis=0), (c * v).sum(axis=0)
        area.rows, area.sign = self._rows[heard], self._sign[heard]
        left = np.bincount(self._device[heard], minlength=len(self._count))
        area.first = np.concatenate(([0], np.cumsum(left)))

    def put_back(self) -> None:
        """All rows, those that were heard as the step has left them."""
        area = self._area
        self._rows[self._heard] = area.rows
        area.rows, area.sign, area.first, area.given = self._rows, self._sign, self._first, self._given.copy()


class PatientSlab:
    """A slab of which some peers are silent in every step."""

    def __init__(self, plan: Plan, first: int) -> None:
        self.slab = Slab(plan, first)
        self._frozen = [Frozen(area) for area in self.slab.areas]
        self._tolerance = tolerance(plan, self.slab, RELATIVE)

    def step(self, silent: Integers) -> None:
        """One Newton step of all others; periods that have arrived stay."""
        for frozen in self._frozen:
            frozen.put_aside(silent)
        aside = np.sum([(frozen.gap, frozen.cost) for frozen in self._frozen], axis=0)
        gap, cost = np.stack(self.slab.gather()) + aside
        go(self.slab, gap, self._tolerance.unmet(gap, cost))
        for frozen in self._frozen:
            frozen.put_back()


def clear_with_silent(problem: ClearingProblem, silent: Silent, relative: float) -> tuple[EngineAnswer, Certificate]:
    """Steps until the certificate is within `relative` of the gain, or the best of `SILENT_LIMIT` steps.

    Free peers on a tree, in whole watts; `silent` names who is silent in a step.
    """
    problem = without_idle_limits(problem)
    plan = Plan.of(problem, np.zeros(problem.buses, dtype=np.int64))
    slabs = [PatientSlab(plan, first) for first in range(0, problem.periods, LANES)]
    best: tuple[EngineAnswer, Certificate] | None = None
    for done in range(SILENT_LIMIT):
        now = silent(done)
        for slab in slabs:
            slab.step(now)
        if (done + 1) % LOOK:
            continue
        found = _looked(problem, slabs, done + 1)
        if best is None or found[1].gap < best[1].gap:
            best = found
        if found[1].gap_relative_to_gain <= relative:
            return replace(found[0], status=NewtonStatus.CONVERGED.value), found[1]
    assert best is not None
    return best


def _looked(problem: ClearingProblem, slabs: Sequence[PatientSlab], done: int) -> tuple[EngineAnswer, Certificate]:
    result = Result(problem)
    for slab in slabs:
        result.read(slab.slab)
    posted = result.posted()
    finish(problem, result.steps_kw, posted)
    answer = EngineAnswer(result.steps_kw, posted, Engine.PRICE_NEWTON, NewtonStatus.STEP_LIMIT.value, done)
    return answer, certify(problem, answer.steps_kw, posted)
