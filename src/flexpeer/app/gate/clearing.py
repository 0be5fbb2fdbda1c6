"""At gate closure: what is left is cleared by the DSOs together, and granted by the owners whole or not at all.

Every DSO holds its own orders (`share`); price-Newton on rows prices the limits known so far from sums over them;
the DSOs round to whole watts in turn; energy limits and, with a grid, AC power flow of all moves say which limits are
passed beside. These are added, until there is none or `ROUNDS` have passed; then less and less of the allocation is
asked for. Owners are asked last and have the last word.
"""

from math import ceil

import numpy as np

from flexpeer.app.gate.rounding import SLACK
from flexpeer.app.gate.share import shares_of
from flexpeer.app.optimum import Cuts, Row
from flexpeer.app.session import Session
from flexpeer.clearing.limit_rows import Bands
from flexpeer.clearing.problem import WATTS_PER_KW, Floats
from flexpeer.clearing.row_newton import price_limits
from flexpeer.market.machine import view
from flexpeer.market.pool import Cleared, room_ppm_w
from flexpeer.quantities import PPM

ROUNDS = 32
HALVINGS = 6
REPAIRS = 4
DEAREST = 1e4


class GateClearing:
    """One clearing at the gate. `cuts` finds limits that AC power flow says are missing.

    It knows how much room each limit has and what passing it costs (`DEAREST` times what any order is worth, so none
    is passed), and sums over DSOs; no order.
    """

    def __init__(self, session: Session, cuts: Cuts) -> None:
        self._session, self._cuts = session, cuts
        self._shares = list(shares_of(session.state).values())
        places = sorted({place for share in self._shares for place in share.places})
        rooms = room_ppm_w(view(session.state))
        for share in self._shares:
            share.add_balances(places)
        self._bound = np.array([float(rooms.get(place, 0)) for place in places])
        self._price, self._margin = np.zeros(len(places)), np.zeros(len(places))
        self.rounds = 0
        if self._shares:
            self._add_tangents(list(cuts.first()))

    def run(self) -> bool:
        """Whether anything was cleared."""
        if not self._shares:
            return False
        self._find_feasible()
        for _ in range(HALVINGS + 1):
            cleared = self._cleared()
            if not cleared:
                return False
            if self._session.clear(cleared, self._gap_ppm()):
                return True
            for share in self._shares:
                share.halve()
            self._round()
        return False

    def _find_feasible(self) -> None:
        """An allocation that violates nothing known, or the last one tried."""
        while True:
            self.rounds += 1
            self._solve()
            kept = self._round()
            if self.rounds == ROUNDS or (kept and not self._add_past_energy() and not self._add_past_limits()):
                return

    def _solve(self) -> None:
        """Prices of all rows, and what every DSO's orders do at them."""
        largest = np.max([share.largest() for share in self._shares], axis=0)
        scale = np.where(largest > 0.0, largest, 1.0)
        bound = ((self._bound - self._margin) / scale / WATTS_PER_KW)[:, None]
        worth = max(float(np.abs(share.value).max()) for share in self._shares) * WATTS_PER_KW
        price = np.full(len(bound), DEAREST * max(worth, 1.0))
        bands = Bands(np.zeros(bound.shape), np.full(bound.shape, -np.inf), bound, price)
        parties = [share.party(scale) for share in self._shares]
        found = price_limits(parties, bands, np.zeros(1), _untold)
        self._price = np.maximum(found.price[:, 0], 0.0) / scale / WATTS_PER_KW
        for share, party in zip(self._shares, parties, strict=True):
            share.take(party, self._price)

    def _round(self) -> bool:
        """Whole watts within bounds, which are narrowed for orders left below their minimum acceptance.

        Whether all rows are kept. If not, other prices will: of narrower bounds, or aimed below what watts passed.
        """
        narrowed = False
        while True:
            turns = [share.watts() for share in self._shares]
            room = self._bound - np.sum([share.used() for share in self._shares], axis=0)
            for repair in range(REPAIRS):
                for watts in turns:
                    watts.repair(room, heeding=repair > 0)
            for watts in turns:
                watts.improve(room)
            below = [share.narrow() for share in self._shares]
            if not any(below):
                break
            narrowed = True
        if not narrowed:
            self._margin = np.minimum(self._margin + np.where(room < -SLACK, np.ceil(-room), 0.0), self._bound)
        return bool((room >= -SLACK).all())

    def _add_past_energy(self) -> bool:
        """Let every DSO add what its own resources' energy limits allow; whether any did."""
        before = len(self._bound)
        for share in self._shares:
            bound = share.add_past_energy()
            for other in self._shares:
                if other is not share:
                    other.add_foreign(len(bound))
            self._more_rows(bound)
        tired = [] if len(self._bound) > before else [share.leave_out_tired() for share in self._shares]
        return len(self._bound) > before or any(tired)

    def _add_past_limits(self) -> bool:
        """Add the limits that AC power flow of all moves finds passed; whether there were any."""
        moves: dict[str, Floats] = {}
        for share in self._shares:
            moves |= share.moves_w()
        return self._add_tangents(list(self._cuts.violated(moves)))

    def _add_tangents(self, rows: list[Row]) -> bool:
        for share in self._shares:
            share.add_tangents(rows)
        self._more_rows(np.array([max(row.room_w, 0.0) for row in rows]))
        return bool(rows)

    def _more_rows(self, bound: Floats) -> None:
        self._bound = np.concatenate((self._bound, bound))
        self._margin = np.concatenate((self._margin, np.zeros(len(bound))))

    def _cleared(self) -> tuple[Cleared, ...]:
        return tuple(each for share in self._shares for each in share.cleared())

    def _gap_ppm(self) -> int:
        """How far the whole watts can be from the optimum, in parts per million of their gain, rounded up.

        The sum of what orders miss at their prices and of what the rows' prices leave unused (`certificate`).
        """
        gains, missed = zip(*(share.worth() for share in self._shares), strict=True)
        room = self._bound - np.sum([share.used() for share in self._shares], axis=0)
        gain, gap = sum(gains), sum(missed) + float(self._price @ np.maximum(room, 0.0))
        return ceil(gap / gain * PPM) if gain > 0.0 else 0


def _untold(_done: int, _total: int) -> None:
    """Nobody follows the rounds."""
