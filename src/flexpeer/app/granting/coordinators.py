"""Granting over all owners: reserve a match with everyone it concerns, then commit or abort.

Owners see their own network only. Between neighbours travel the voltage at a border (down) and the power drawn
there (up), to and fro until both stand still; a trade fits when every owner's assessment fits. The largest whole
quantity that fits is searched jointly. An owner that does not answer grants nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

import numpy as np

from flexpeer.app.granting.joint_check import Borders, JointAssessment, mtus_of, within
from flexpeer.app.granting.ramps import ramp_of
from flexpeer.app.owner.grid_owner import GridOwner, PointExcess, PointOwner
from flexpeer.app.ports import Owner, OwnerSilent
from flexpeer.grid.bracket import Bracket
from flexpeer.grid.limits import TOLERANCE, Kind
from flexpeer.grid.network import Integers
from flexpeer.grid.screening import bracket_of, largest
from flexpeer.market.granting import SILENT, Freed, RecordVerdict, raise_limit_w
from flexpeer.market.matching.view import View
from flexpeer.market.trades import Decision, GridVerdict, Match, Move, match_moves
from flexpeer.quantities import PPM

WAKE_SLACK_PPM = 100
"""How much of its limit an element must have more room than when it bound, before meetings wake."""


class Holding(NamedTuple):
    """Who holds a match, in the order in which they were asked, and its MTUs."""

    owners: list[str]
    mtus: list[int]


NOTHING_HELD = Holding([], [])
PER_MTU = (Kind.LOADING, Kind.HIGH, Kind.LOW)
"""Limits that are about one MTU."""


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


class GridCoordinator:
    """All owners of a grid, parents first. `element_of` names each zone's element, `home` each resource's owner.

    `borders` joins them.
    """

    def __init__(self, owners: Sequence[Owner], element_of: Mapping[str, str], home: Mapping[str, str]) -> None:
        self.borders = Borders(owners, home)
        here = [owner for owner in owners if isinstance(owner, GridOwner)]
        self._sole = here[0] if len(owners) == len(here) == 1 else None
        self._element_of = element_of
        self._held: dict[int, Holding] = {}
        self._failed_at: dict[str, int | None] = {}
        self._watched: dict[int | None, dict[Freed, tuple[Kind, float]]] = {}
        self._changed: dict[str, set[int | None]] = {}

    @property
    def elsewhere(self) -> bool:
        """Whether an owner is another program."""
        return any(owner.elsewhere for owner in self.borders.owners.values())

    def reserve(self, view: View, match: Match) -> RecordVerdict:
        """Ask every owner; hold the largest quantity that all grant."""
        try:
            return self._reserve(view, match)
        except OwnerSilent as silent:
            self.abort((match.match,))
            return _silence(match, silent)

    def _reserve(self, view: View, match: Match) -> RecordVerdict:
        joint = Joint(self.borders, view, match, self._sole)
        full = self._first_failing(match, joint) or joint(match.quantity_w)
        if full.worst[0] <= TOLERANCE:
            return self._hold(match, full, match.quantity_w, 0, None)
        raised_w = self._raise(view, match, full, joint)
        if raised_w:
            return self._hold(match, joint(match.quantity_w, raised_w), match.quantity_w, raised_w, None)
        search = _Search(joint, view.needs.rulebook.quantity_tick_w, match.quantity_w, full)
        fits, quantity = search.largest(), view.tradeable_w(match, search.quantity_w)
        if quantity != search.quantity_w:
            fits = joint(quantity) if quantity else None
            quantity = quantity if fits is not None and fits.worst[0] <= TOLERANCE else 0
        return self._hold(match, fits if quantity else None, quantity, 0, search.too_much)

    def repeat(self, match: Match, moves: Sequence[Move], verdicts: Sequence[GridVerdict]) -> None:
        """Hold again what was granted in an earlier run of the program, and heed what bound."""
        try:
            self._heed(match, verdicts)
            if moves:
                self._hold_all(match.match, JointAssessment(self.borders, moves))
        except OwnerSilent as silent:
            self._changed.setdefault(silent.owner, set()).update(mtu for move in moves for mtu in move.span.mtus)

    def hold(self, match: int, moves: Sequence[Move]) -> tuple[GridVerdict, ...]:
        """The answers to moves that are granted whole or not at all; they are held if all grant."""
        try:
            joint = JointAssessment(self.borders, moves)
            if joint.worst[0] > TOLERANCE:
                return (self._binding_verdict(joint, Decision.REFUSED),)
            self._hold_all(match, joint)
        except OwnerSilent as silent:
            self.abort((match,))
            return (GridVerdict(silent.owner, Decision.REFUSED, SILENT),)
        return tuple(GridVerdict(owner, Decision.GRANTED) for owner, _ in joint.touched)

    def _hold_all(self, match: int, joint: JointAssessment) -> None:
        """Everyone touched holds; who is silent may hold all the same, and is told to give it back."""
        holding = self._held[match] = Holding([], joint.mtus.tolist())
        for owner, _ in joint.touched:
            holding.owners.append(owner)
            self._changed.setdefault(owner, set()).update(holding.mtus)
            joint.hold(match, owner)

    def _first_failing(self, match: Match, joint: Joint) -> JointAssessment | None:
        """A single MTU of several in which the match does not fit: the one where one of its zone failed last."""
        mtu = self._failed_at.get(match.legs[0].zone)
        several = sum(len(leg.span) for leg in match.legs) > 1
        if mtu is None or not several or not any(leg.span.first <= mtu < leg.span.end for leg in match.legs):
            return None
        alone = joint(match.quantity_w, 0, mtu)
        return alone if alone.worst[0] > TOLERANCE else None

    def _raise(self, view: View, match: Match, full: JointAssessment, joint: Joint) -> int:
        """The least the seller must move beyond the exchange where AC finds the zone's own point worse."""
        _, _, binding = full.worst
        if binding is None or binding.element != self._element_of.get(match.legs[0].zone):
            return 0
        tick = view.needs.rulebook.quantity_tick_w
        most = min(raise_limit_w(view, match, match.quantity_w), match.legs[0].quantity_sell_w // 20) // tick
        if most <= 0 or joint(match.quantity_w, most * tick).worst[0] > TOLERANCE:
            return 0
        less = largest(lambda ticks: joint(match.quantity_w, (most - ticks) * tick).worst[0], most)
        return (most - less) * tick

    def _hold(
        self,
        match: Match,
        held: JointAssessment | None,
        quantity_w: int,
        raised_w: int,
        too_much: JointAssessment | None,
    ) -> RecordVerdict:
        """Hold what fits; `too_much` is the least that does not, and names what binds."""
        asked = too_much or held
        verdicts = (
            [GridVerdict(owner, Decision.GRANTED) for owner, tried in asked.touched if tried.fits] if asked else []
        )
        if too_much is not None:
            binding = self._binding_verdict(too_much, Decision.REDUCED if quantity_w else Decision.REFUSED)
            verdicts = [*(v for v in verdicts if v.owner != binding.owner), binding]
        self._heed(match, verdicts)
        if held is not None:
            self._hold_all(match.match, held)
        return RecordVerdict(match.match, quantity_w, raised_w, tuple(verdicts))

    def _binding_verdict(self, too_much: JointAssessment, decision: Decision) -> GridVerdict:
        """Who refuses, where and with what headroom."""
        _, name, binding = too_much.worst
        if binding is None:
            return GridVerdict(name, decision, "power flow", int(too_much.mtus[0]), 0)
        headroom_w = max(0, int(binding.headroom_w))
        return GridVerdict(name, decision, binding.element, binding.mtu, headroom_w, str(binding.kind))

    def _heed(self, match: Match, verdicts: Sequence[GridVerdict]) -> None:
        """Watch the place that binds from now on, and try its MTU first the next time."""
        binding = next((verdict for verdict in verdicts if verdict.decision is not Decision.GRANTED), None)
        if binding is None or binding.element == SILENT:
            return
        zone = match.legs[0].zone
        self._failed_at[zone] = binding.mtu if binding.kind else None
        if binding.kind:
            place, kind = Freed(binding.owner, binding.element, binding.mtu), Kind(binding.kind)
            slack = self._slack(place, kind)
            watched = self._watched.setdefault(_watched_at(binding.mtu, kind), {})
            _, before = watched.get(place, (kind, slack))
            watched[place] = (kind, min(before, slack))

    def unwatch(self, place: Freed) -> None:
        """Nothing sleeps at this place any more."""
        for mtu in (place.mtu, None):
            self._watched.get(mtu, {}).pop(place, None)

    def _slack(self, place: Freed, kind: Kind) -> float:
        return self.borders.owners[place.owner].slack(place.element, kind, place.mtu or 0)

    def commit(self, match: int) -> tuple[Freed, ...]:
        """Make a reservation final; the watched places with `WAKE_SLACK_PPM` more room than when they bound."""
        for owner in self._held.pop(match, NOTHING_HELD).owners:
            self.borders.commit(match, owner)
        changed, self._changed = self._changed, {}
        return self._freed(changed, WAKE_SLACK_PPM / PPM)

    def freed(self) -> tuple[Freed, ...]:
        """The watched places with any more room than when they bound."""
        every = set(self._watched)
        return self._freed(dict.fromkeys(self.borders.owners, every), TOLERANCE)

    def _freed(self, changed: Mapping[str, AbstractSet[int | None]], slack: float) -> tuple[Freed, ...]:
        """Places with more room than when they bound, by a fraction of their limit; silent owners': none.

        `changed` are the MTUs in which each owner's state did. A limit of power may be about the mean of an hour, and
        is looked at all the same.
        """
        freed, silent = [], set[str]()
        for place, kind, before in self._watched_in(changed):
            if place.owner in silent:
                continue
            try:
                now = self._slack(place, kind)
            except OwnerSilent:
                silent.add(place.owner)
                self._changed.setdefault(place.owner, set()).update(changed[place.owner])
                continue
            if now > before + slack:
                freed.append(place)
            elif now < before:
                self._watched[_watched_at(place.mtu, kind)][place] = (kind, now)
        return tuple(freed)

    def _watched_in(self, changed: Mapping[str, AbstractSet[int | None]]) -> list[tuple[Freed, Kind, float]]:
        """The watched places in MTUs in which their owner's state changed."""
        mtus = {None}.union(*changed.values())
        return [
            (place, kind, before)
            for mtu in sorted(mtus & self._watched.keys(), key=lambda mtu: -1 if mtu is None else mtu)
            for place, (kind, before) in self._watched[mtu].items()
            if place.owner in changed and (mtu is None or mtu in changed[place.owner])
        ]

    def abort(self, matches: tuple[int, ...]) -> None:
        """Give reservations back, the last one first."""
        for match in reversed(matches):
            held = self._held.pop(match, NOTHING_HELD)
            for owner in reversed(held.owners):
                self._changed.setdefault(owner, set()).update(held.mtus)
                self.borders.abort(match, owner)


def _watched_at(mtu: int | None, kind: Kind) -> int | None:
    """Under which MTU a place is watched: None where its limit is about more than one."""
    return mtu if kind in PER_MTU else None


def _silence(match: Match, silent: OwnerSilent) -> RecordVerdict:
    """A refusal for want of an answer."""
    return RecordVerdict(match.match, 0, 0, (GridVerdict(silent.owner, Decision.REFUSED, SILENT),))


class PointCoordinator:
    """Owners who know congestion points by impact factors alone."""

    elsewhere = False

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
        binding = worst(quantity)
        if binding[0].excess > 0:
            quantity = self._largest(lambda n: worst(n * tick)[0].excess, quantity // tick) * tick
            binding = worst(min(quantity + tick, match.quantity_w))
        quantity = view.tradeable_w(match, quantity)
        if quantity == match.quantity_w:
            verdicts = tuple(GridVerdict(each.owner, Decision.GRANTED) for each in self._owners)
        else:
            verdicts = self._partly(quantity, *binding)
        moves = match_moves(view.participants, view.orders, match.at(quantity)) if quantity else ()
        self.repeat(match, moves, verdicts)
        return RecordVerdict(match.match, quantity, 0, verdicts)

    def repeat(self, match: Match, moves: Sequence[Move], verdicts: Sequence[GridVerdict]) -> None:
        """Watch the place that binds from now on, and hold what is granted."""
        bound = (v for v in verdicts if v.decision is not Decision.GRANTED and v.element != SILENT)
        for verdict in bound:
            owner = next(each for each in self._owners if each.owner == verdict.owner)
            place = Freed(verdict.owner, verdict.element, verdict.mtu)
            room = owner.room(verdict.element, verdict.mtu or 0)
            _, before = self._watched.get(place, (owner, room))
            self._watched[place] = (owner, min(before, room))
        if moves:
            holding = self._held[match.match] = []
            for each in self._owners:
                holding.append(each)
                each.hold(match.match, tuple(moves))

    def unwatch(self, place: Freed) -> None:
        """Nothing sleeps at this place any more."""
        self._watched.pop(place, None)

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

    def _partly(self, quantity: int, binding: PointExcess, owner: PointOwner) -> tuple[GridVerdict, ...]:
        """The answers where the least that does not fit is bound by one owner's point."""
        granted = (GridVerdict(each.owner, Decision.GRANTED) for each in self._owners if each is not owner)
        decision = Decision.REDUCED if quantity else Decision.REFUSED
        return *granted, GridVerdict(owner.owner, decision, binding.element, binding.mtu, binding.headroom_w)

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
        return self._freed(WAKE_SLACK_PPM)

    def freed(self) -> tuple[Freed, ...]:
        """The watched places with any more headroom than when they bound."""
        return self._freed(0)

    def _freed(self, slack_ppm: int) -> tuple[Freed, ...]:
        freed = []
        for place, (owner, room) in list(self._watched.items()):
            now = owner.room(place.element, place.mtu or 0)
            if now > room + owner.limit_w(place.element, place.mtu or 0) * slack_ppm:
                freed.append(place)
            elif now < room:
                self._watched[place] = (owner, now)
        return tuple(freed)

    def abort(self, matches: tuple[int, ...]) -> None:
        """Give reservations back, the last one first."""
        for match in reversed(matches):
            for owner in self._held.pop(match, []):
                owner.abort(match)
