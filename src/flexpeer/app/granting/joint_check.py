"""What moves would do in all areas at once, found from numbers at borders alone.

Between neighbours travel the voltage at a border (down) and the power drawn there (up), to and fro until both stand
still. Whoever joins them asks each owner to try its own moves, and knows borders by their names, never a bus.
"""

from collections.abc import Mapping, Sequence, Set
from itertools import count
from typing import NamedTuple

import numpy as np

from flexpeer.app.ports import BorderEnd, Owner, OwnerSilent, Tangent, Trial, Tried
from flexpeer.grid.network import Complexes, Integers
from flexpeer.grid.screening import Binding
from flexpeer.market.trades import Move
from flexpeer.periods import Span

BORDER_V_PU = 1e-9
BORDER_W = 1e-4
ROUNDS = 40


class _Before(NamedTuple):
    """Accepted voltages of an owner in some MTUs, to return to."""

    mtus: Integers
    used: Complexes
    told: Complexes


class Borders:
    """All owners, parents first, and the accepted voltages at their borders; `home` is whose each resource is.

    An owner that is not among them grants nothing, and its borders are held. Who is not concerned by a change is not
    asked about it.
    """

    def __init__(self, owners: Sequence[Owner], home: Mapping[str, str]) -> None:
        self.owners = {owner.owner: owner for owner in owners}
        self.home = home
        self.watched = {
            name: tuple(border.name for child in owners for border in child.borders if border.parent == name)
            for name in self.owners
        }
        self._numbers = count(1)
        self._used: dict[str, Complexes] = {}
        self._told: dict[str, Complexes] = {}
        self._held: dict[tuple[str, int], _Before] = {}

    def number(self) -> int:
        """A number no trial had."""
        return next(self._numbers)

    def used(self, owner: str) -> Complexes:
        """Voltages an area takes at its own borders, (borders, periods)."""
        if owner not in self._used:
            here = self.owners[owner]
            self._used[owner] = here.voltages([border.name for border in here.borders])
        return self._used[owner]

    def told(self, owner: str, border: str) -> Complexes:
        """The voltage an owner tells the area below a border, (periods,)."""
        if owner not in self._told:
            self._told[owner] = self.owners[owner].voltages(self.watched[owner])
        row: Complexes = self._told[owner][self.watched[owner].index(border)]
        return row

    def hold(self, match: int, trial: Trial, tried: Tried, owner: str) -> None:
        """The owner holds a trial: its border voltages are the accepted ones from now on."""
        self.owners[owner].hold(match, trial.number)
        mtus = trial.mtus
        used, told = self._used.get(owner), self._told.get(owner)
        if used is None and told is None:
            return
        nothing = np.zeros((0, len(mtus)), dtype=np.complex128)
        before = _Before(
            mtus, nothing if used is None else used[:, mtus].copy(), nothing if told is None else told[:, mtus].copy()
        )
        self._held[owner, match] = before
        if used is not None and trial.border_v is not None:
            used[:, mtus] = trial.border_v
        if told is not None:
            told[:, mtus] = tried.voltages

    def commit(self, match: int, owner: str) -> None:
        """Keep what was held."""
        self._held.pop((owner, match), None)
        self.owners[owner].commit(match)

    def abort(self, match: int, owner: str) -> None:
        """Return to what was before."""
        before = self._held.pop((owner, match), None)
        if before is not None:
            for table, rows in ((self._used.get(owner), before.used), (self._told.get(owner), before.told)):
                if table is not None and len(rows) == len(table):
                    table[:, before.mtus] = rows
        self.owners[owner].abort(match)


class _Part:
    """One owner's share of a joint assessment under way."""

    def __init__(self, owner: Owner, moves: tuple[Move, ...]) -> None:
        self.owner = owner
        self.moves = moves
        self.drawn: dict[str, Complexes] = {}
        self.border_v: Complexes | None = None
        self.stale = len(moves) > 0
        self.trial: Trial | None = None
        self.tried: Tried | None = None


class JointAssessment:
    """What a set of moves would do in all areas at once."""

    def __init__(self, borders: Borders, moves: Sequence[Move]) -> None:
        self._borders = borders
        self.mtus = mtus_of({move.span for move in moves})
        own: dict[str, list[Move]] = {name: [] for name in borders.owners}
        for move in moves:
            if (name := borders.home.get(move.resource)) is not None:
                if name not in own:
                    raise OwnerSilent(name)
                own[name].append(move)
        self._parts = {name: _Part(owner, tuple(own[name])) for name, owner in borders.owners.items()}
        self._worst: tuple[float, str, Binding | None] | None = None
        self.converged = self._settle()

    @property
    def touched(self) -> list[tuple[str, Tried]]:
        """The owners whose grid changes, with what they found."""
        return [(name, part.tried) for name, part in self._parts.items() if part.tried is not None]

    @property
    def worst(self) -> tuple[float, str, Binding | None]:
        """The largest excess, whose it is, and what binds; nothing fits that did not converge."""
        if self._worst is None:
            self._worst = self._most() if self.converged else self._unsettled()
        return self._worst

    def _most(self) -> tuple[float, str, Binding | None]:
        if not self.touched:
            return 0.0, "", None
        owner, tried = max(self.touched, key=lambda each: each[1].excess)
        return tried.excess, owner, tried.binding

    def _unsettled(self) -> tuple[float, str, Binding | None]:
        owner, tried = next(((o, t) for o, t in self.touched if not t.converged), self.touched[0])
        return np.inf, owner, tried.binding

    @property
    def bound_at(self) -> int | None:
        """The MTU of what binds; None without a power flow."""
        _, _, binding = self.worst
        return None if binding is None else binding.mtu

    @property
    def slack(self) -> float:
        """Room, in the accepted state, of the element that binds, as a fraction of its limit."""
        _, name, binding = self.worst
        if binding is None:
            return 0.0
        return self._borders.owners[name].slack(binding.element, binding.kind, binding.mtu)

    def hold(self, match: int, owner: str) -> None:
        """Have an owner hold what it tried last."""
        part = self._parts[owner]
        assert part.trial is not None, "only who is touched holds"
        assert part.tried is not None, "only who is touched holds"
        self._borders.hold(match, part.trial, part.tried, owner)

    def tangents(self, owner: str) -> tuple[Tangent, ...]:
        """An owner's limits that are passed, (mtus,) in order of `mtus`."""
        part = self._parts[owner]
        return () if part.trial is None else part.owner.tangents(part.trial.number)

    def _settle(self) -> bool:
        """Assess what is stale, children first, and carry borders up and down until they stand still."""
        for _ in range(ROUNDS):
            for part in reversed(self._parts.values()):
                if part.stale and not self._assess(part):
                    return False
            if len(self._parts) == 1 or not self._carry_voltages():
                return True
        return False

    def _assess(self, part: _Part) -> bool:
        watched = self._borders.watched[part.owner.owner]
        part.trial = Trial(self._borders.number(), part.moves, self.mtus, dict(part.drawn), part.border_v, watched)
        part.tried = part.owner.attempt(part.trial)
        part.stale = False
        if part.tried.converged:
            self._carry_power(part.owner, part.tried)
        return part.tried.converged

    def _carry_power(self, child: Owner, tried: Tried) -> None:
        """Tell parents what an area now draws more at its borders, where that moved."""
        for border, row in zip(child.borders, tried.drawn, strict=True):
            parent = self._parts.get(border.parent)
            if parent is not None and np.abs(row - parent.drawn.get(border.name, 0.0)).max() > BORDER_W:
                parent.drawn[border.name] = row
                parent.stale = True

    def _carry_voltages(self) -> bool:
        """Give children the voltages at their borders; whether any moved."""
        moved = False
        for name, part in self._parts.items():
            if not part.owner.borders:
                continue
            used = self._borders.used(name)[:, self.mtus] if part.border_v is None else part.border_v
            new = np.array([self._voltage(end, row) for end, row in zip(part.owner.borders, used, strict=True)])
            if np.abs(new - used).max() > BORDER_V_PU:
                part.border_v, part.stale, moved = new, True, True
        return moved

    def _voltage(self, border: BorderEnd, held: Complexes) -> Complexes:
        """As the parent says; as it is where that does not take part."""
        if border.parent not in self._parts:
            return held
        tried = self._parts[border.parent].tried
        if tried is None:
            accepted: Complexes = self._borders.told(border.parent, border.name)[self.mtus]
            return accepted
        told: Complexes = tried.voltages[self._borders.watched[border.parent].index(border.name)]
        return told


def mtus_of(spans: Set[Span]) -> Integers:
    """The MTUs of spans, in order."""
    if len(spans) == 1:
        (span,) = spans
        return np.arange(span.first, span.end)
    return np.array(sorted({mtu for span in spans for mtu in span.mtus}), dtype=np.int64)


def within(moves: Sequence[Move], mtu: int) -> tuple[Move, ...]:
    """The part of some moves that is in one MTU."""
    span = Span(mtu, mtu + 1)
    return tuple(Move(m.resource, span, m.change_w) for m in moves if m.span.first <= mtu < m.span.end)
