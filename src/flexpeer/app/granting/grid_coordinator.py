"""Granting over all owners: reserve a match with everyone it concerns, then commit or abort.

Owners see their own network only. Between neighbours travel the voltage at a border (down) and the power drawn
there (up), to and fro until both stand still; a trade fits when every owner's assessment fits. The largest whole
quantity that fits is searched jointly. An owner that does not answer grants nothing.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from flexpeer.app.granting.joint_check import Borders, JointAssessment
from flexpeer.app.granting.search import Joint, Search
from flexpeer.app.granting.silence import silence
from flexpeer.app.owner.grid_owner import GridOwner
from flexpeer.app.ports import Owner, OwnerSilent, Share
from flexpeer.grid.limits import TOLERANCE, Kind
from flexpeer.grid.screening import largest
from flexpeer.market import waking
from flexpeer.market.granting import SILENT, RecordVerdict, raise_limit_w
from flexpeer.market.matching.view import View
from flexpeer.market.trades import Decision, GridVerdict, Match, Move
from flexpeer.market.waking import Freed
from flexpeer.quantities import PPM
from flexpeer.wire.gate import GateHolding


class Holding(NamedTuple):
    """Who holds a match, in the order in which they were asked, and its MTUs."""

    owners: list[str]
    mtus: list[int]


NOTHING_HELD = Holding([], [])
PER_MTU = (Kind.LOADING, Kind.HIGH, Kind.LOW)
"""Limits that are about one MTU."""


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
            return silence(match, silent)

    def _reserve(self, view: View, match: Match) -> RecordVerdict:
        joint = Joint(self.borders, view, match, self._sole)
        full = self._first_failing(match, joint) or joint(match.quantity_w)
        if full.worst[0] <= TOLERANCE:
            return self._hold(match, full, match.quantity_w, 0, None)
        raised_w = self._raise(view, match, full, joint)
        if raised_w:
            return self._hold(match, joint(match.quantity_w, raised_w), match.quantity_w, raised_w, None)
        search = Search(joint, view.needs.rulebook.quantity_tick_w, match.quantity_w, full)
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

    def share(self, dso: str, held: GateHolding) -> Share | None:
        """A DSO's part in a clearing, if another program takes it."""
        owner = self.borders.owners.get(dso)
        return None if owner is None else owner.share(held)

    def _slack(self, place: Freed, kind: Kind) -> float:
        return self.borders.owners[place.owner].slack(place.element, kind, place.mtu or 0)

    def commit(self, match: int) -> tuple[Freed, ...]:
        """Make a reservation final; the watched places with `WAKE_SLACK_PPM` more room than when they bound."""
        for owner in self._held.pop(match, NOTHING_HELD).owners:
            self.borders.commit(match, owner)
        changed, self._changed = self._changed, {}
        return self._freed(changed, waking.WAKE_SLACK_PPM / PPM)

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
