"""All areas of `LANES` periods, in process: hands border messages over and adds up what all rows have in common."""

import numpy as np

from flexpeer.clearing.price_newton import Rounding, coarse, rough
from flexpeer.clearing.problem import Floats, Integers
from flexpeer.clearing.rows import LANES, MOVE
from flexpeer.laboratory.engines.area import PieceDevices, Plan


class Slab:
    """Periods first to first + LANES; those beyond the last are the last again and `live` is False there."""

    def __init__(self, plan: Plan, first: int) -> None:
        periods = np.arange(first, first + LANES)
        self.live = periods < plan.problem.periods
        self.periods: Integers = np.minimum(periods, plan.problem.periods - 1)
        self.areas = [PieceDevices(plan, number, self.periods) for number in range(len(plan.pieces))]
        self._start(plan)
        self.size = 2 * sum(len(area.rows) for area in self.areas)

    def _start(self, plan: Plan) -> None:
        """Flows by one sweep up and voltages by one down; then every area lays out its grid."""
        flows = [area.injection() for area in self.areas]
        for number in range(len(self.areas) - 1, -1, -1):
            piece, flow = self.areas[number].piece, flows[number]
            for n in range(len(flow) - 1, 0, -1):
                flow[piece.parent[n]] += flow[n]
            if piece.above >= 0:
                flows[piece.above][piece.entry] += flow[0]
        levels: list[Floats] = []
        for area, flow in zip(self.areas, flows, strict=True):
            level = area.rho[:, None] * flow
            level[0] += levels[area.piece.above][area.piece.entry] if area.piece.above >= 0 else 0.0
            for n in range(1, len(level)):
                level[n] += level[area.piece.parent[n]]
            levels.append(level)
            area.lay_grid(plan, flow, level)

    def full_import(self) -> Floats:
        """Where the exchange's rows begin, kW imported (LANES,); their cost counts from there."""
        root = self.areas[0]
        return np.asarray(-root.given[len(root.piece.bus)])

    def gather(self) -> tuple[Floats, Floats]:
        """Sum of v z + s y and cost of all rows, each (LANES,)."""
        for area in reversed(self.areas):
            area.gather()
        for area in reversed(self.areas):
            area.lack()
            if area.piece.above >= 0:
                self.areas[area.piece.above].below[area.piece.entry] += area.outflow
        totals = np.sum([coarse(area.totals) for area in self.areas], axis=0)
        return totals[:LANES], totals[LANES:]

    def predict(self) -> tuple[Floats, Floats, Floats]:
        """Factor, take the affine step and probe it: linear and product sums (LANES,), reach (2 LANES,)."""
        self.factor()
        self.sweep(rough)
        return self.probe()

    def factor(self) -> None:
        """Eliminate the tree from the leaves up; the devices' affine R are what moves."""
        for area in reversed(self.areas):
            area.factor()
            if area.piece.above >= 0:
                self.areas[area.piece.above].messages.own[area.piece.entry] += area.messages.answer_told
            area.move[:] = area.answer[:, MOVE : MOVE + LANES]

    def probe(self) -> tuple[Floats, Floats, Floats]:
        """What the affine step does: linear and product sums (LANES,), reach (2 LANES,)."""
        for area in self.areas:
            area.probe()
        totals = np.sum([rough(area.totals) for area in self.areas], axis=0)
        return totals[:LANES], totals[LANES:], self._reach()

    def correct(self, aim: Floats) -> Floats:
        """The step that aims at complementarity `aim` (LANES,): reach (2 LANES,)."""
        self.aim(aim)
        self.sweep()
        return self.bound(aim)

    def aim(self, aim: Floats) -> None:
        """The devices' R of the corrected step are what moves."""
        for area in self.areas:
            area.correct(aim)

    def bound(self, aim: Floats) -> Floats:
        """How far the corrected step could go."""
        for area in self.areas:
            area.bound(aim)
        return self._reach()

    def advance(self, aim: Floats, length: Floats) -> None:
        """Go `length` (2 LANES,), primal and dual."""
        for area in self.areas:
            area.advance(aim, length)

    def sweep(self, told: Rounding = coarse) -> None:
        """Carry what moves up and spread prices down, rounded where it passes a border."""
        for area in self.areas:
            area.messages.moving[:] = 0.0
        for area in reversed(self.areas):
            area.carry()
            if area.piece.above >= 0:
                self.areas[area.piece.above].messages.moving[area.piece.entry] += told(area.messages.told[0])
        for area in self.areas:
            if area.piece.above >= 0:
                upper = self.areas[area.piece.above]
                area.messages.above[0] = told(upper.handed_down(area.piece.entry)).ravel()
            area.spread()

    def _reach(self) -> Floats:
        return rough(np.max([area.reach for area in self.areas], axis=0))
