"""Granting over all owners: reserve a match with everyone it concerns, then commit or abort.

Owners see their own network only. Between neighbours travel the voltage at a border (down) and the power drawn
there (up), to and fro until both stand still; a trade fits when every owner's assessment fits. The largest whole
quantity that fits is searched jointly. An owner that does not answer grants nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np

from flexpeer.app.validator import GridOwner, PointExcess, PointOwner
from flexpeer.grid.limits import TOLERANCE, Kind
from flexpeer.grid.network import Complexes, Integers
from flexpeer.grid.screening import Assessment, largest
from flexpeer.market.granting import Freed, RecordVerdict, raise_limit_w
from flexpeer.market.matching.view import View
from flexpeer.market.trades import Decision, GridVerdict, Match, Move, match_moves
from flexpeer.periods import Span

BORDER_V_PU = 1e-9
BORDER_W = 1e-4
ROUNDS = 40
WAKE_SLACK = 1e-4
SILENT = "no answer"


class OwnerSilent(Exception):
    """An owner did not answer in time; whoever carries messages to it raises this."""

    def __init__(self, owner: str) -> None:
        super().__init__(owner)
        self.owner = owner


class _Part:
    """One owner's share of a joint assessment under way."""

    def __init__(self, owner: GridOwner, moves: Sequence[Move], mtus: Integers) -> None:
        self.owner = owner
        self.buses, change = owner.injection_change(moves, mtus)
        self.change: Complexes = change.astype(np.complex128)
        self.border_v: Complexes | None = None
        self.assessment: Assessment | None = None
        self.stale = len(self.buses) > 0


class JointAssessment:
    """What a set of moves would do in all areas at once. `parts` are parents first."""

    def __init__(self, owners: Sequence[GridOwner], moves: Sequence[Move]) -> None:
        self.mtus = np.unique(np.concatenate([np.arange(m.span.first, m.span.end) for m in moves]))
        self.parts = {owner.owner: _Part(owner, moves, self.mtus) for owner in owners}
        self.converged = self._settle()

    @property
    def touched(self) -> list[tuple[GridOwner, Assessment]]:
        """The owners whose grid changes, with their assessments."""
        return [(part.owner, part.assessment) for part in self.parts.values() if part.assessment is not None]

    @property
    def worst(self) -> tuple[float, str, Assessment | None]:
        """The largest excess, whose it is, and the assessment; nothing fits that did not converge."""
        if not self.converged:
            owner, assessment = next(((o, a) for o, a in self.touched if not a.converged), self.touched[0])
            return np.inf, owner.owner, assessment
        return max(((a.excess, o.owner, a) for o, a in self.touched), key=lambda row: row[0])

    @property
    def bound_at(self) -> int | None:
        """The MTU of what binds; None without a power flow."""
        _, _, assessment = self.worst
        return None if assessment is None or assessment.binding is None else assessment.binding.mtu

    @property
    def slack(self) -> float:
        """Room, in the accepted state, of the element that binds, as a fraction of its limit."""
        _, name, assessment = self.worst
        binding = None if assessment is None else assessment.binding
        return 0.0 if binding is None else self.parts[name].owner.slack(binding.element, binding.kind, binding.mtu)

    def _settle(self) -> bool:
        """Assess what is stale, children first, and carry borders up and down until they stand still."""
        for _ in range(ROUNDS):
            for part in reversed(self.parts.values()):
                if part.stale and not self._assess(part):
                    return False
            if not self._carry_voltages():
                return True
        return False

    def _assess(self, part: _Part) -> bool:
        before = None if part.assessment is None else part.owner.border_power_w(part.assessment)
        part.assessment = part.owner.assess(self.mtus, part.buses, part.change, part.border_v)
        part.stale = False
        if part.assessment.converged:
            power = part.owner.border_power_w(part.assessment)
            self._carry_power(part, power if before is None else power - before)
        return part.assessment.converged

    def _carry_power(self, part: _Part, more_w: Complexes) -> None:
        """What an area draws more at its borders is less injection at its parents' buses."""
        for border, row in zip(part.owner.area.borders, more_w, strict=True):
            if np.abs(row).max() > BORDER_W:
                parent = self.parts[border.parent]
                parent.buses = np.append(parent.buses, parent.owner.area.bus_at(border.bus_name))
                parent.change = np.vstack([parent.change, -row[None, :]])
                parent.stale = True

    def _carry_voltages(self) -> bool:
        """Give children the voltages at their borders; whether any moved."""
        moved = False
        for part in self.parts.values():
            borders = part.owner.area.borders
            if not borders:
                continue
            new = np.array([self._voltage(b.parent, b.bus_name) for b in borders])
            used = part.border_v
            if used is None:
                sources = part.owner.area.network.source_bus[[b.source for b in borders]]
                used = part.owner.screen.v[sources][:, self.mtus]
            if np.abs(new - used).max() > BORDER_V_PU:
                part.border_v, part.stale, moved = new, True, True
        return moved

    def _voltage(self, parent: str, bus_name: str) -> Complexes:
        part = self.parts[parent]
        bus = part.owner.area.bus_at(bus_name)
        state = part.owner.screen.v[:, self.mtus] if part.assessment is None else part.assessment.v_new
        at_bus: Complexes = state[bus]
        return at_bus


def _within(moves: Sequence[Move], mtu: int) -> list[Move]:
    """The part of some moves that is in one MTU."""
    return [m._replace(span=Span(mtu, mtu + 1)) for m in moves if m.span.first <= mtu < m.span.end]


class Joint(Protocol):
    """What a match would do at a quantity, in all its MTUs or in one."""

    def __call__(self, quantity_w: int, raised_w: int = 0, mtu: int | None = None) -> JointAssessment:
        """Assess it."""


class _Search:
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
        tried = {self.quantity_w // self._tick_w: self.too_much}

        def excess(ticks: int) -> float:
            """At a number of ticks; at none, minus the room of what binds."""
            if ticks == 0:
                return -self.too_much.slack
            if ticks not in tried:
                tried[ticks] = self._joint(ticks * self._tick_w, 0, mtu)
            return tried[ticks].worst[0]

        ticks = largest(excess, self.quantity_w // self._tick_w)
        self.quantity_w = ticks * self._tick_w
        self.too_much = tried.get(ticks + 1, self.too_much)


class GridCoordinator:
    """All owners of a grid, parents first. `element_of` names each zone's element."""

    def __init__(self, owners: Sequence[GridOwner], element_of: Mapping[str, str]) -> None:
        self._owners = tuple(owners)
        self._element_of = element_of
        self._held: dict[int, list[GridOwner]] = {}
        self._failed_at: dict[str, int | None] = {}
        self._watched: dict[Freed, tuple[GridOwner, Kind, float]] = {}

    def reserve(self, view: View, match: Match) -> RecordVerdict:
        """Ask every owner; hold the largest quantity that all grant."""
        try:
            return self._reserve(view, match)
        except OwnerSilent as silent:
            self.abort((match.match,))
            return _silence(match, silent)

    def _reserve(self, view: View, match: Match) -> RecordVerdict:
        def joint(quantity_w: int, raised_w: int = 0, mtu: int | None = None) -> JointAssessment:
            """The match at another quantity; with `mtu`, what it does in that one alone."""
            moves = match_moves(view.participants, view.orders, match.at(quantity_w, raised_w))
            return JointAssessment(self._owners, moves if mtu is None else _within(moves, mtu))

        full = self._first_failing(match, joint) or joint(match.quantity_w)
        if full.worst[0] <= TOLERANCE:
            return self._hold(match, full, match.quantity_w, 0, None)
        raised_w = self._raise(view, match, full, joint)
        if raised_w:
            return self._hold(match, joint(match.quantity_w, raised_w), match.quantity_w, raised_w, None)
        search = _Search(joint, view.needs.rulebook.quantity_tick_w, match.quantity_w, full)
        fits = search.largest()
        return self._hold(match, fits, search.quantity_w, 0, search.too_much)

    def hold(self, match: int, moves: Sequence[Move]) -> tuple[GridVerdict, ...]:
        """The answers to moves that are granted whole or not at all; they are held if all grant."""
        try:
            joint = JointAssessment(self._owners, moves)
        except OwnerSilent as silent:
            return (GridVerdict(silent.owner, Decision.REFUSED, SILENT),)
        if joint.worst[0] > TOLERANCE:
            return (self._binding_verdict(joint, Decision.REFUSED),)
        self._held[match] = [owner for owner, _ in joint.touched]
        for owner, assessment in joint.touched:
            owner.hold(match, assessment)
        return tuple(GridVerdict(owner.owner, Decision.GRANTED) for owner, _ in joint.touched)

    def _first_failing(self, match: Match, joint: Joint) -> JointAssessment | None:
        """A single MTU of several in which the match does not fit: the one where one of its zone failed last."""
        mtu = self._failed_at.get(match.zone)
        several = sum(len(leg.span) for leg in match.legs) > 1
        if mtu is None or not several or not any(leg.span.first <= mtu < leg.span.end for leg in match.legs):
            return None
        alone = joint(match.quantity_w, 0, mtu)
        return alone if alone.worst[0] > TOLERANCE else None

    def _raise(self, view: View, match: Match, full: JointAssessment, joint: Joint) -> int:
        """The least the seller must move beyond the exchange where AC finds the zone's own point worse."""
        _, _, assessment = full.worst
        binding = assessment.binding if assessment is not None else None
        if binding is None or binding.element != self._element_of.get(match.zone):
            return 0
        cap = min(raise_limit_w(view, match, match.quantity_w), match.legs[0].quantity_sell_w // 20)
        if cap <= 0 or joint(match.quantity_w, cap).worst[0] > TOLERANCE:
            return 0
        return cap - largest(lambda less: joint(match.quantity_w, cap - less).worst[0], cap)

    def _hold(
        self,
        match: Match,
        held: JointAssessment | None,
        quantity_w: int,
        raised_w: int,
        too_much: JointAssessment | None,
    ) -> RecordVerdict:
        """Hold what fits; `too_much` is the least that does not, and names what binds."""
        touched = [] if held is None else held.touched
        holding = self._held[match.match] = []
        for owner, assessment in touched:
            holding.append(owner)
            owner.hold(match.match, assessment)
        asked = touched if too_much is None else too_much.touched
        verdicts = [GridVerdict(owner.owner, Decision.GRANTED) for owner, assessment in asked if assessment.fits]
        if too_much is not None:
            self._failed_at[match.zone] = too_much.bound_at
            binding = self._binding_verdict(too_much, Decision.REDUCED if quantity_w else Decision.REFUSED)
            verdicts = [*(v for v in verdicts if v.owner != binding.owner), binding]
        return RecordVerdict(match.match, quantity_w, raised_w, tuple(verdicts))

    def _binding_verdict(self, too_much: JointAssessment, decision: Decision) -> GridVerdict:
        """Who refuses, where and with what headroom; the place is watched from now on."""
        _, name, assessment = too_much.worst
        binding = assessment.binding if assessment is not None else None
        if binding is None:
            return GridVerdict(name, decision, "power flow", int(too_much.mtus[0]), 0)
        owner = too_much.parts[name].owner
        place = Freed(name, binding.element, binding.mtu)
        slack = owner.slack(binding.element, binding.kind, binding.mtu)
        _, _, before = self._watched.get(place, (owner, binding.kind, slack))
        self._watched[place] = (owner, binding.kind, min(before, slack))
        return GridVerdict(name, decision, binding.element, binding.mtu, max(0, int(binding.headroom_w)))

    def commit(self, match: int) -> tuple[Freed, ...]:
        """Make a reservation final; the watched places with `WAKE_SLACK` more room than when they bound."""
        for owner in self._held.pop(match, []):
            owner.commit(match)
        return self.freed(WAKE_SLACK)

    def freed(self, slack: float = TOLERANCE) -> tuple[Freed, ...]:
        """The watched places with more room than when they bound, by at least a fraction of their limit."""
        freed = []
        for place, (owner, kind, before) in list(self._watched.items()):
            now = owner.slack(place.element, kind, place.mtu or 0)
            if now > before + slack:
                freed.append(place)
                del self._watched[place]
            elif now < before:
                self._watched[place] = (owner, kind, now)
        return tuple(freed)

    def abort(self, matches: tuple[int, ...]) -> None:
        """Give reservations back, the last one first."""
        for match in reversed(matches):
            for owner in reversed(self._held.pop(match, [])):
                owner.abort(match)


def _silence(match: Match, silent: OwnerSilent) -> RecordVerdict:
    """A refusal for want of an answer."""
    return RecordVerdict(match.match, 0, 0, (GridVerdict(silent.owner, Decision.REFUSED, SILENT),))


class PointCoordinator:
    """Owners who know congestion points by impact factors alone."""

    def __init__(self, owners: Sequence[PointOwner]) -> None:
        self._owners = tuple(owners)
        self._held: dict[int, list[PointOwner]] = {}
        self._watched: dict[Freed, tuple[PointOwner, int]] = {}

    def reserve(self, view: View, match: Match) -> RecordVerdict:
        """Ask every owner; hold the largest quantity that all grant."""
        try:
            return self._reserve(view, match)
        except OwnerSilent as silent:
            self.abort((match.match,))
            return _silence(match, silent)

    def _reserve(self, view: View, match: Match) -> RecordVerdict:
        def worst(quantity_w: int) -> tuple[PointExcess, PointOwner]:
            """The largest excess at a quantity, and whose it is."""
            moves = match_moves(view.participants, view.orders, match.at(quantity_w))
            return max(((o.excess(moves), o) for o in self._owners), key=lambda row: row[0].excess)

        tick = view.needs.rulebook.quantity_tick_w
        quantity = match.quantity_w
        if worst(quantity)[0].excess > 0:
            quantity = self._largest(lambda n: worst(n * tick)[0].excess, quantity // tick) * tick
        binding = worst(min(quantity + tick, match.quantity_w))
        if quantity:
            holding = self._held[match.match] = []
            for each in self._owners:
                holding.append(each)
                each.hold(match.match, match_moves(view.participants, view.orders, match.at(quantity)))
        if quantity == match.quantity_w:
            granted = (GridVerdict(each.owner, Decision.GRANTED) for each in self._owners)
            return RecordVerdict(match.match, quantity, 0, tuple(granted))
        return self._partly(match, quantity, *binding)

    def hold(self, match: int, moves: Sequence[Move]) -> tuple[GridVerdict, ...]:
        """The answers to moves that are granted whole or not at all; they are held if all grant."""
        try:
            binding = max((owner.excess(moves), owner.owner) for owner in self._owners)
        except OwnerSilent as silent:
            return (GridVerdict(silent.owner, Decision.REFUSED, SILENT),)
        excess, name = binding
        if excess.excess > 0:
            return (GridVerdict(name, Decision.REFUSED, excess.element, excess.mtu, excess.headroom_w),)
        self._held[match] = list(self._owners)
        for owner in self._owners:
            owner.hold(match, tuple(moves))
        return tuple(GridVerdict(owner.owner, Decision.GRANTED) for owner in self._owners)

    def _partly(self, match: Match, quantity: int, binding: PointExcess, owner: PointOwner) -> RecordVerdict:
        """The answer where the least that does not fit is bound by one owner's point; it is watched from now on."""
        verdicts = [GridVerdict(each.owner, Decision.GRANTED) for each in self._owners if each is not owner]
        decision = Decision.REDUCED if quantity else Decision.REFUSED
        verdicts.append(GridVerdict(owner.owner, decision, binding.element, binding.mtu, binding.headroom_w))
        room = owner.room(binding.element, binding.mtu)
        place = Freed(owner.owner, binding.element, binding.mtu)
        _, before = self._watched.get(place, (owner, room))
        self._watched[place] = (owner, min(before, room))
        return RecordVerdict(match.match, quantity, 0, tuple(verdicts))

    def _largest(self, excess: Callable[[int], int], ticks: int) -> int:
        low, high = 0, ticks
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if excess(middle) <= 0 else (low, middle)
        return low

    def commit(self, match: int) -> tuple[Freed, ...]:
        """Make a reservation final; the watched places with more headroom than when they bound."""
        for owner in self._held.pop(match, []):
            owner.commit(match)
        return self.freed()

    def freed(self) -> tuple[Freed, ...]:
        """The watched places with more headroom than when they bound."""
        freed = []
        for place, (owner, room) in list(self._watched.items()):
            now = owner.room(place.element, place.mtu or 0)
            if now > room:
                freed.append(place)
                del self._watched[place]
            else:
                self._watched[place] = (owner, now)
        return tuple(freed)

    def abort(self, matches: tuple[int, ...]) -> None:
        """Give reservations back, the last one first."""
        for match in reversed(matches):
            for owner in self._held.pop(match, []):
                owner.abort(match)
