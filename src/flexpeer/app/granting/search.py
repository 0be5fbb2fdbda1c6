"""The largest quantity of a match that all owners grant."""

import numpy as np

from flexpeer.app.granting.joint_check import Borders, JointAssessment, mtus_of, within
from flexpeer.app.granting.ramps import ramp_of
from flexpeer.app.owner.grid_owner import GridOwner
from flexpeer.grid.bracket import Bracket
from flexpeer.grid.limits import TOLERANCE
from flexpeer.grid.network import Integers
from flexpeer.grid.screening import bracket_of, largest
from flexpeer.market.matching.view import View
from flexpeer.market.trades import Match, Move, match_moves


class Joint:
    """What a match would do at a quantity, in all its MTUs or in one; the same as last is not asked again."""

    def __init__(self, borders: Borders, view: View, match: Match, sole: GridOwner | None) -> None:
        self._borders, self._view, self._match, self._sole = borders, view, match, sole
        self._last: tuple[tuple[Move, ...], JointAssessment] | None = None
        self._ramp: tuple[Integers | None, Integers] | None = None

    def __call__(self, quantity_w: int, raised_w: int = 0, mtu: int | None = None) -> JointAssessment:
        """Assess it."""
        whole = quantity_w == self._match.quantity_w and not raised_w
        match = self._match if whole else self._match.at(quantity_w, raised_w)
        moves = match_moves(self._view.participants, self._view.orders, match)
        moves = moves if mtu is None else within(moves, mtu)
        if self._last is None or self._last[0] != moves:
            self._last = moves, JointAssessment(self._borders, moves)
        return self._last[1]

    def closed(self, mtu: int | None, bracket: Bracket) -> int | None:
        """The most ticks in a bracket that fit, in all MTUs or in one; None if only assessments can tell."""
        if self._sole is None:
            return None
        if self._ramp is None:
            self._ramp = (
                ramp_of(self._view, self._match, self._sole.bus_of),
                mtus_of({leg.span for leg in self._match.legs}),
            )
        ramp, mtus = self._ramp
        return None if ramp is None else self._sole.closed(ramp, mtus if mtu is None else np.array([mtu]), bracket)


class Search:
    """The largest quantity of a match that fits: first in the MTU where it binds, then in all, until nothing binds.

    `too_much` is the nearest larger quantity assessed, which names what binds.
    """

    def __init__(self, joint: Joint, tick_w: int, quantity_w: int, full: JointAssessment) -> None:
        self._joint = joint
        self._tick_w = tick_w
        self.quantity_w = quantity_w
        self.too_much = full

    def largest(self) -> JointAssessment | None:
        """The assessment at the largest quantity, or None if nothing fits."""
        while self.quantity_w:
            before = self.quantity_w
            self._narrow(self.too_much.bound_at)
            if self.quantity_w == before:
                self._narrow(None)
            whole = self._joint(self.quantity_w) if self.quantity_w else None
            if whole is not None and whole.worst[0] <= TOLERANCE:
                return whole
            if whole is None or self.quantity_w == before:
                break
            self.too_much = whole
        self.quantity_w = 0
        return None

    def _narrow(self, mtu: int | None) -> None:
        """Lower the quantity to the largest that fits in one MTU, or in all."""
        before = self.quantity_w // self._tick_w
        tried = {before: self.too_much}

        def excess(ticks: int) -> float:
            """At a number of ticks; at none, minus the room of what binds."""
            if ticks == 0:
                return -self.too_much.slack
            return at(ticks).worst[0]

        def at(ticks: int) -> JointAssessment:
            """At a number of ticks, each once."""
            if ticks not in tried:
                tried[ticks] = self._joint(ticks * self._tick_w, 0, mtu)
            return tried[ticks]

        bracket = bracket_of(-self.too_much.slack, before, self.too_much.worst[0])
        ticks = self._joint.closed(mtu, bracket)
        if ticks is None:
            ticks = largest(excess, before)
        elif bracket.high:
            at(ticks + 1)
        self.quantity_w = ticks * self._tick_w
        self.too_much = tried.get(ticks + 1, self.too_much)
