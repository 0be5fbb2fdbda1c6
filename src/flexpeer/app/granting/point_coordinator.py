"""Granting by owners who know congestion points by impact factors alone."""

from collections.abc import Callable, Sequence

from flexpeer.app.granting.silence import silence
from flexpeer.app.owner.point_owner import PointExcess, PointOwner
from flexpeer.app.ports import OwnerSilent
from flexpeer.market import waking
from flexpeer.market.granting import SILENT, RecordVerdict
from flexpeer.market.matching.view import View
from flexpeer.market.trades import Decision, GridVerdict, Match, Move, match_moves
from flexpeer.market.waking import Freed
from flexpeer.wire.gate import GateHolding


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
            return silence(match, silent)

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

    def share(self, _dso: str, _held: GateHolding) -> None:
        """Everybody is here."""

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
        return self._freed(waking.WAKE_SLACK_PPM)

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
