"""At gate closure: what is left is cleared by the DSOs together, and granted by the owners whole or not at all.

Every DSO holds its own orders (`share`); price-Newton on rows prices the limits known so far from sums over them;
the DSOs round to whole watts in turn; energy limits and, with a grid, AC power flow of all moves say which limits are
passed beside. These are added, until there is none or `ROUNDS` have passed; then less and less of the allocation is
asked for. Orders that end below their minimum acceptance, or that only a loss would bring to it, are left out and the
rest is solved again: an order may be rejected though its price looks good, none is accepted at a loss.

Then the allocation stands and is priced by the orders in it alone; of those that got nothing only such are heard as
would gain at these prices. Owners are asked last and have the last word.
"""

import sys
from collections.abc import Mapping, Sequence, Set
from fractions import Fraction
from math import ceil

import numpy as np

from flexpeer.app.gate.holding import holdings_of
from flexpeer.app.gate.rounding import SLACK
from flexpeer.app.gate.share import GateShare
from flexpeer.app.market import Market
from flexpeer.app.ports import Cuts, LimitRow, Opening, OwnerSilent, Share, ShareLost
from flexpeer.clearing.limit_rows import Bands
from flexpeer.clearing.price_newton import NewtonStatus
from flexpeer.clearing.problem import WATTS_PER_KW, Flags, Floats
from flexpeer.clearing.row_newton import price_limits
from flexpeer.market.machine import view
from flexpeer.market.orders import Status
from flexpeer.market.pool import At, Both, Cleared, balance, beyond_energy, paid_at_most, room_beside_ppm_w, room_ppm_w
from flexpeer.quantities import PPM

ROUNDS = 48
HALVINGS = 6
REPAIRS = 4
HEARINGS = 12
LEANINGS = 40
DEAREST = 1e4


def clear_at_gate(market: Market, cuts: Cuts) -> bool:
    """Whether anything was cleared. `cuts` finds limits that AC power flow says are missing.

    Who does not answer in the middle is left out; for who answers and has lost its share, this program takes its part.
    The others begin anew.
    """
    assert market.owners is not None, "the owners are known when the gate closes"
    held, here = holdings_of(market.state), set[str]()
    while True:
        try:
            there = {dso: market.owners.share(dso, each) for dso, each in held.items() if dso not in here}
            shares = [there.get(dso) or GateShare(each) for dso, each in held.items()]
            return _GateClearing(market, cuts, shares).run()
        except OwnerSilent as silent:
            del held[silent.owner]
        except ShareLost as lost:
            here.add(lost.owner)


class _GateClearing:
    """One clearing at the gate.

    It knows how much room each limit has and what passing it costs (`DEAREST` times what any order is worth, so none
    is passed), and sums over DSOs; no order.
    """

    def __init__(self, market: Market, cuts: Cuts, shares: Sequence[Share]) -> None:
        self._market, self._cuts, self._shares = market, cuts, shares
        self._view = view(market.state, market.books)
        self._bound = self._price = self._margin = np.zeros(0)
        self._status = NewtonStatus.CONVERGED
        self._certified_ppm = sys.maxsize
        self._limited = False
        self.rounds = 0

    def _open(self) -> None:
        """The rows that are known before anything is solved."""
        opened = [share.opening() for share in self._shares]
        self._limited = any(each.limited for each in opened)
        places: list[At] = sorted({at for each in opened for at in each.loaded})
        both, wanted = _on_both_sides(opened), _wanted(self._market)
        rooms = {at: room for at, room in room_ppm_w(self._view).items() if at not in wanted}
        beside = room_beside_ppm_w(self._view)
        for share in self._shares:
            share.add_balances(places)
            share.add_sides(both)
        bounds = [*(rooms.get(place, 0) for place in places), *(beside(*each) for each in both)]
        self._more_rows(np.array(bounds, dtype=np.float64))
        self._leave_out_hopeless(opened, {at for at, room in rooms.items() if room > 0})
        self._add_tangents(list(self._cuts.first()))

    def _leave_out_hopeless(self, opened: Sequence[Opening], roomy: Set[At]) -> None:
        """Whoever could trade with nobody takes no part, so that it moves no price."""
        worth: dict[At, float] = {}
        for at, most in (pair for each in opened for pair in each.worth):
            worth[at] = max(worth.get(at, most), most)
        cost = min(each.cost for each in opened)
        for share in self._shares:
            share.leave_out_hopeless(worth, cost, roomy)

    def run(self) -> bool:
        """Whether anything was cleared."""
        if not self._shares:
            return False
        self._open()
        self._find_feasible()
        for _ in range(HALVINGS + 1):
            cleared = self._priced()
            if not cleared:
                return False
            gap_ppm = min(self._certified_ppm, self._gap_ppm())
            if self._market.clear(cleared, gap_ppm, self._status.value):
                return True
            self._certified_ppm = sys.maxsize
            self._halve()
            self._price_accepted()
        return False

    def _halve(self) -> None:
        """Less of everything, still in whole watts, with nobody below its minimum acceptance."""
        for share in self._shares:
            share.halve()
        for _ in range(REPAIRS):
            self._round()
            short = [share.short_of_minimum() for share in self._shares]
            if not any(short):
                return

    def _find_feasible(self) -> None:
        """An allocation that violates nothing known and leaves nobody with a loss, or the last one tried."""
        passed = np.zeros(0)
        while True:
            self.rounds += 1
            self._solve()
            unkept = self._room() < -SLACK
            before, passed = passed.sum(), self._round()
            if self.rounds >= ROUNDS:
                return
            if before and passed.sum() >= before:
                self._release_last(unkept | (passed > 0.0))
            short = [share.short_of_minimum() for share in self._shares]
            added = self._add_past_energy()
            if any(short) or added or passed.any():
                continue
            if self._add_past_limits():
                continue
            self._certified_ppm = self._gap_ppm()
            self._price_accepted()
            losers = [share.leave_out_losers() for share in self._shares]
            if not any(losers):
                return

    def _room(self) -> Floats:
        """What rows have left, (rows,)."""
        return np.asarray(self._bound - np.sum([share.used() for share in self._shares], axis=0))

    def _solve(self) -> None:
        """Prices of all rows, and what every DSO's orders do at them."""
        standing = [share.standing() for share in self._shares]
        largest = np.max([each.largest for each in standing], axis=0)
        scale = np.where(largest > 0.0, largest, 1.0)
        base = np.sum([each.base for each in standing], axis=0)
        bound = ((self._bound - self._margin - base) / scale / WATTS_PER_KW)[:, None]
        worth = max(each.dearest for each in standing) * WATTS_PER_KW
        price = np.full(len(bound), DEAREST * max(worth, 1.0))
        bands = Bands(np.zeros(bound.shape), np.full(bound.shape, -np.inf), bound, price)
        parties = [share.party(scale) for share, each in zip(self._shares, standing, strict=True) if each.any]
        if not parties:
            return
        found = price_limits(parties, bands, np.zeros(1), _untold)
        self._status = found.status
        self._price = np.maximum(np.nan_to_num(found.price[:, 0]), 0.0) / scale / WATTS_PER_KW
        for share in self._shares:
            share.take(self._price)

    def _release_last(self, passed: Flags) -> None:
        """Where no price keeps rows (rows,): whoever came last of those held to minima there goes.

        `passed` are those that prices alone passed, too: whole watts may keep them at the cost of others.
        """
        last = [share.last_held(passed) for share in self._shares]
        came = max((number for number in last if number is not None), default=None)
        if came is not None:
            self._shares[last.index(came)].leave_out(came)
            self._margin[:] = 0.0

    def _round(self) -> Floats:
        """Whole watts within bounds; by how much rows are passed, (rows,): from now on prices aim below by that."""
        for share in self._shares:
            share.to_watts()
        room = self._room()
        for repair in range(REPAIRS):
            for share in self._shares:
                room = share.repair(room, heeding=repair > 0)
        for share in self._shares:
            room = share.improve(room)
            share.by_arrival()
        passed = np.where(room < -SLACK, np.ceil(-room), 0.0)
        self._margin = self._margin + passed
        return passed

    def _priced(self) -> tuple[Cleared, ...]:
        """The allocation at prices that the orders in it support, such that the pool is not short; () for none.

        Where even everybody's own limits leave it short: without those who gain least, twice as many each time; once
        that is enough, again from before the last of them went, until the last one alone makes the difference.
        """
        cleared, leaving = self._supported(), 1
        while cleared is None:
            for share in self._shares:
                share.remember()
            if not self._leave_out_the_least(leaving):
                return ()
            cleared = self._supported()
            if cleared is None:
                leaving *= 2
            elif leaving > 1:
                for share in self._shares:
                    share.go_back()
                cleared, leaving = None, 1
        return cleared

    def _supported(self) -> tuple[Cleared, ...] | None:
        """The allocation at prices that lean towards the orders' own limits as little as the pool needs.

        No seller is paid more than traded buyers support: where its watts are worth more to another order of its own
        resource (energy limits), the pool keeps the difference.
        """
        cleared = self._cleared()
        most_minor = paid_at_most(self._view, cleared)
        found = _bounded(cleared, most_minor)
        if balance(self._view, found) >= 0:
            return found
        found = _bounded(self._cleared(Fraction(1)), most_minor)
        if balance(self._view, found) < 0:
            return None
        least, enough = 0, LEANINGS
        while least < enough:
            step = (least + enough) // 2
            leaned = _bounded(self._cleared(Fraction(1, 2 ** (LEANINGS - step))), most_minor)
            if balance(self._view, leaned) >= 0:
                found, enough = leaned, step
            else:
                least = step + 1
        return found

    def _price_accepted(self) -> None:
        """Prices of the allocation by the orders in it, and by those that would gain at such prices."""
        if not sum(share.hear_accepted() for share in self._shares):
            return
        for _ in range(HEARINGS):
            for share in self._shares:
                share.only_heard()
            self._solve()
            for share in self._shares:
                share.restore()
            if not sum(share.hear_more() for share in self._shares):
                return

    def _leave_out_the_least(self, count: int) -> bool:
        """Try without the `count` orders that gain least; whether there was any."""
        for place in range(count):
            gains = [share.least_gain() for share in self._shares]
            least = min((gain for gain in gains if gain is not None), default=None)
            if least is None:
                if place == 0:
                    return False
                break
            self._shares[gains.index(least)].leave_out_least()
        self._find_feasible()
        return True

    def _add_past_energy(self) -> bool:
        """Let every DSO add what its own resources' energy limits allow; whether any did."""
        before = len(self._bound)
        for share in self._shares:
            bound = share.add_past_energy()
            for other in self._shares:
                if other is not share:
                    other.add_foreign(len(bound))
            self._more_rows(bound)
        return len(self._bound) > before or self._leave_out_tired()

    def _leave_out_tired(self) -> bool:
        """Leave out portfolios of a resource that whole watts take past its energy limits; whether there were any.

        Only how members share an order's watts can do that once all rows that matter are there.
        """
        tired = beyond_energy(self._view, self._cleared()) if self._limited else None
        return tired is not None and sum(share.leave_out_members(tired) for share in self._shares) > 0

    def _add_past_limits(self) -> bool:
        """Add the limits that AC power flow of all moves finds passed; whether there were any."""
        moves: dict[str, Floats] = {}
        for share in self._shares:
            moves |= dict(share.moves_w())
        return self._add_tangents(list(self._cuts.violated(moves)))

    def _add_tangents(self, rows: list[LimitRow]) -> bool:
        """No move keeps them; but one that would let this allocation pass then, as losses bend a limit, is as found."""
        for share in self._shares:
            share.add_tangents(rows)
        found = np.array([row.room_w for row in rows])
        used = np.sum([share.used()[len(self._bound) :] for share in self._shares], axis=0)
        kept = np.maximum(found, 0.0)
        self._more_rows(np.where(used > kept + SLACK, kept, found))
        return bool(rows)

    def _more_rows(self, bound: Floats) -> None:
        self._bound = np.concatenate((self._bound, bound))
        self._margin = np.concatenate((self._margin, np.zeros(len(bound))))
        self._price = np.concatenate((self._price, np.zeros(len(bound))))

    def _cleared(self, lean: Fraction = Fraction(0)) -> tuple[Cleared, ...]:
        return tuple(each for share in self._shares for each in share.cleared(lean))

    def _gap_ppm(self) -> int:
        """How far the whole watts can be from the optimum, in parts per million of their gain, rounded up.

        The sum of what orders miss at their prices and of what the rows' prices leave unused (`certificate`). Any
        prices give a bound: those of the solution with its minima held or those that are paid; the better one counts.
        A gain of less than a minor unit counts as one.
        """
        gains, missed = zip(*(share.worth() for share in self._shares), strict=True)
        gain: float = max(sum(gains), 1.0)
        gap: float = sum(missed) + float(self._price @ np.maximum(self._room(), 0.0))
        return ceil(gap / gain * PPM)


def _bounded(cleared: Sequence[Cleared], most_minor: Mapping[str, int]) -> tuple[Cleared, ...]:
    """With nobody paid more than `most_minor`, by order."""
    return tuple(
        Cleared(each.order, each.change_w, min(each.price_minor, most_minor.get(each.order, each.price_minor)))
        for each in cleared
    )


def _wanted(market: Market) -> set[At]:
    """Where DSOs want more relief: what is there already is not enough, and no room for anybody."""
    orders = market.state.orders.orders.values()
    return {(o.zone, mtu) for o in orders if o.residual and o.status is Status.OPEN for mtu in o.span.mtus}


def _on_both_sides(opened: Sequence[Opening]) -> list[Both]:
    """Organisations whose orders can both load and relieve a point in an MTU."""
    sides: dict[Both, set[bool]] = {}
    for both, loads in (pair for each in opened for pair in each.sides):
        sides.setdefault(both, set()).add(loads)
    return sorted(both for both, found in sides.items() if len(found) > 1)


def _untold(_done: int, _total: int) -> None:
    """Nobody follows the rounds."""
