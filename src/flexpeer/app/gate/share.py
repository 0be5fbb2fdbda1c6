"""One DSO's orders at gate closure: what they could still do, and their part in the clearing of all.

    min  sum_o  -+price_o hours_o x_o              - for BUY, + for SELL
    s.t. low_o <= x_o <= high_o                                                                (1)
         sum_buy a x - sum_sell a x <= room        per congestion point and MTU; a: impact factor or 1   (2)
         sum_own buy a x - sum_others' sell a x <= room    per organisation on both sides of one         (3)
         contents of resources with energy limits  at the end of each MTU                       (4)
         flow + slope x <= allowed                 tangents where AC power flow finds more      (5)

x_o is what more is executed of order o in all its MTUs at once, so an order over several MTUs keeps one quantity. A
DSO's purchase is a BUY that loads its own point alone. The sums run over the orders of all DSOs; a share knows its own
columns of them and gives away sums over its orders only (`clearing.row_party`). All members of a portfolio are at one
DSO, so that (4) is a DSO's own.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from fractions import Fraction
from math import ceil, floor

import numpy as np
import scipy.sparse as sp

from flexpeer.app.gate.moved import Moved
from flexpeer.app.gate.rounding import SLACK, Watts
from flexpeer.app.ports import LimitRow, Opening, ShareStanding
from flexpeer.clearing.problem import WATTS_PER_KW, ClearingProblem, Flags, Floats, Integers, PeerKind
from flexpeer.clearing.row_party import PeersHere, Sparse
from flexpeer.market.pool import At, Both, Cleared
from flexpeer.wire.gate import GateHolding, GateOrder

SNAP_W, SNAP_MINOR = 0.05, 0.01
TRIED = ("active", "_must", "_tried", "low_w", "change_w", "_price")
TRIED_ALONE = ("active", "_must", "change_w")


class GateShare:
    """A DSO's orders that can be cleared, in order of arrival; `change_w` (orders,) is what they are allocated.

    `low_w`, `high_w` (orders,) are the bounds of (1) of orders that take part (`active`); `value` (orders,) is what a
    watt more executed is worth, minor units per day; `factor` (rows, orders) its columns of (2) to (5), in units of the
    row. See `Share` in `app/ports.py` for what it is asked.
    """

    def __init__(self, held: GateHolding) -> None:
        self.orders = orders = held.orders
        self.low_w = np.array([-order.back_w for order in orders], dtype=np.float64)
        self.high_w = np.array([order.more_w for order in orders], dtype=np.float64)
        self._relieves = np.array([not order.buys for order in orders], dtype=np.bool_)
        self._hours = held.mtu_minutes / 60.0
        self._executed_w = np.array([order.executed_w for order in orders], dtype=np.float64)
        self._tick = float(held.tick_w)
        self._least_w = np.array([order.least_w for order in orders], dtype=np.float64)
        self._length = np.array([order.length for order in orders], dtype=np.int64)
        self._told: set[tuple[str, float, int]] = set()
        self._moved = Moved(held)
        self._counts = [{(point, mtu): ppm for point, mtu, ppm in order.counts} for order in orders]
        self.active = np.ones(len(orders), dtype=np.bool_)
        self._must, self._tried, self._heard = np.zeros((3, len(orders)), dtype=np.bool_)
        signed = [each.price_minor * each.length * (1 if each.buys else -1) for each in orders]
        self.value = np.array(signed, dtype=np.float64) * self._hours / 1e6
        self.factor = Sparse((0, len(orders)))
        self._on_both: frozenset[str] = frozenset()
        self._alike = self._those_alike()
        self.change_w, self._price = np.zeros(len(orders)), np.zeros(len(orders))
        self._party: PeersHere | None = None
        self._watts: Watts | None = None
        self._before: dict[str, Floats] = {}
        self._kept: dict[str, Floats] = {}

    def opening(self) -> Opening:
        """See `Share`."""
        worth = tuple(sorted(self._worth_most().items()))
        limited = self._moved.shares_energy
        return Opening(tuple(sorted(self._loaded())), tuple(sorted(self._sides())), worth, self._costs_least(), limited)

    def _loaded(self) -> set[At]:
        """As BUYs, or as SELLs that are taken back."""
        loading = [order.buys or low_w < 0.0 for order, low_w in zip(self.orders, self.low_w, strict=True)]
        return {at for loads, counts in zip(loading, self._counts, strict=True) for at in counts if loads}

    def _sides(self) -> set[tuple[Both, bool]]:
        return {
            ((order.organisation, at), order.buys)
            for order, counts in zip(self.orders, self._counts, strict=True)
            for at in counts
        }

    def add_balances(self, places: Sequence[At]) -> None:
        """Rows (2) of `places`."""
        at = {place: row for row, place in enumerate(places)}
        entries = (
            (at[place], column, float(ppm))
            for column, counts in enumerate(self._counts)
            for place, ppm in counts.items()
            if place in at
        )
        self._add(entries, len(places))

    def add_sides(self, both: Sequence[Both]) -> None:
        """Rows (3) of organisations."""
        self._on_both = frozenset(organisation for organisation, _ in both)
        self._alike = self._those_alike()
        entries = (
            (row, column, float(counts[at]))
            for row, (organisation, at) in enumerate(both)
            for column, (order, counts) in enumerate(zip(self.orders, self._counts, strict=True))
            if at in counts and (order.organisation == organisation) is order.buys
        )
        self._add(entries, len(both))

    def add_tangents(self, rows: Sequence[LimitRow]) -> None:
        """Rows (5)."""
        entries = (
            (at, column, sum(slope * row.slopes.get(name, 0.0) for name, slope in order.slopes.items()))
            for at, row in enumerate(rows)
            for column, order in enumerate(self.orders)
            if order.first <= row.mtu < order.first + order.length
        )
        self._add(entries, len(rows))

    def add_foreign(self, count: int) -> None:
        """Rows that its orders are not in."""
        self._add((), count)

    def _add(self, entries: Iterable[tuple[int, int, float]], count: int) -> None:
        """Append `count` rows from (row, order, factor)."""
        listed = np.array(list(entries), dtype=np.float64).reshape(-1, 3)
        at = listed[:, 0].astype(np.int64), listed[:, 1].astype(np.int64)
        self._append(Sparse((listed[:, 2], at), shape=(count, len(self.orders))))

    def _append(self, rows: Sparse) -> None:
        self.factor = Sparse(sp.vstack((self.factor, rows)))

    def standing(self) -> ShareStanding:
        """See `Share`."""
        active = self.factor[:, np.flatnonzero(self.active)]
        some = active.shape[1] > 0
        largest = np.asarray(abs(active).max(axis=1).toarray()).ravel() if some else np.zeros(active.shape[0])
        base = np.asarray(self.factor @ self._base_w())
        return ShareStanding(some, float(np.abs(self.value[self.active]).max(initial=0.0)), largest, base)

    def moves_w(self) -> dict[str, Floats]:
        """What its allocation moves of each resource, per MTU."""
        return dict(zip(self._moved.names, self._moved.w(self.change_w), strict=True))

    def add_past_energy(self) -> Floats:
        """Add the rows (4), and those of ranges, that its allocation passes and that were not there; their bounds."""
        moves_w = self._moved.w(self.change_w)
        pairs = [*self._moved.past_energy(moves_w, self._told), *self._moved.past_range(moves_w, self._told)]
        if pairs:
            self._append(Sparse(np.array([row for row, _ in pairs])))
        return np.array([bound for _, bound in pairs], dtype=np.float64)

    def leave_out_members(self, resource: str) -> bool:
        """See `Share`."""
        parts = [0.0 < abs(order.slopes.get(resource, 0.0)) < 1.0 for order in self.orders]
        self.active[parts] = self._must[parts] = False
        return any(parts)

    def party(self, scale: Floats) -> PeersHere:
        """Its orders that take part as peers of a star's buses, kW and minor units; rows divided by `scale` (rows,)."""
        factor = Sparse(sp.diags_array(1.0 / scale) @ self.factor[:, np.flatnonzero(self.active)])
        self._party = PeersHere(self._star(), np.arange(1, factor.shape[1] + 1), factor)
        return self._party

    def bounds_w(self) -> tuple[Floats, Floats]:
        """What each order may do, (orders,) each: nothing if left out, at least its minimum acceptance if it must."""
        least = np.where(self._must, np.maximum(self._least_w - self._executed_w, 0.0), self.low_w)
        return np.asarray(np.where(self.active, least, 0.0)), np.asarray(np.where(self.active, self.high_w, 0.0))

    def _base_w(self) -> Floats:
        """Where free steps begin: at nothing, or at the bound next to it."""
        low, high = self.bounds_w()
        return np.clip(np.zeros(len(low)), low, high)

    def _star(self) -> ClearingProblem:
        active = np.flatnonzero(self.active)
        count, value = len(active), self.value[active] * WATTS_PER_KW
        low, high = (bound[active] for bound in self.bounds_w())
        base = self._base_w()[active]
        unlimited, none = np.full((count + 1, 1), np.inf), np.zeros(count + 1)
        return ClearingProblem(
            parent=np.array([-1, *[0] * count]),
            area=np.zeros(count + 1, dtype=np.int64),
            base_kw=np.zeros((count + 1, 1)),
            line_limit_kw=unlimited,
            line_price=0.0,
            root_limit_price=0.0,
            voltage_price=0.0,
            import_price=np.zeros(1),
            export_price=np.zeros(1),
            voltage_drop=none,
            voltage_low=-np.inf,
            voltage_high=np.inf,
            peer_bus=np.arange(1, count + 1),
            step_sign=np.array([1, -1]),
            step_kw=np.stack((high - base, base - low), axis=1)[:, None, :] / WATTS_PER_KW,
            step_price=np.stack((-value, value), axis=1)[:, None, :],
            peer_kind=np.full(count, PeerKind.FREE, dtype=np.int64),
            energy_kwh=np.zeros(count),
            energy_start_kwh=np.zeros(count),
        )

    def take(self, price: Floats) -> None:
        """What its party has come to at prices of rows (rows,), per unit of each row, is what is allocated."""
        active, change_w = np.flatnonzero(self.active), self._base_w()
        steps_kw = np.zeros((len(active), 1, 2))
        if self._party is not None:
            self._party.read(steps_kw)
        self._party = None
        change_w[active] += np.nan_to_num(steps_kw[:, 0, 0] - steps_kw[:, 0, 1]) * WATTS_PER_KW
        nearest = np.rint(change_w)
        self.change_w = np.where(np.abs(change_w - nearest) < SNAP_W, nearest, change_w)
        self._price = np.asarray(self.factor.T @ price)

    def halve(self) -> None:
        """Half of it, and no more than that; nothing of what must be a minimum at least."""
        halved = np.trunc(self.change_w / 2.0 / self._tick) * self._tick
        below = (self._executed_w + halved > 0.0) & (self._executed_w + halved < self._least_w)
        kept = np.where(self._executed_w > 0.0, np.minimum(self._least_w - self._executed_w, 0.0), 0.0)
        self.change_w = np.where(below, kept, halved)
        self._must[:] = False
        self.low_w, self.high_w = np.minimum(self.change_w, 0.0), np.maximum(self.change_w, 0.0)

    def short_of_minimum(self) -> bool:
        """Whether orders are left with something executed, but less than their minimum acceptance.

        Those nearer to it than to nothing must reach it from now on, once; others keep what they have, or are left out.
        """
        executed = self._executed_w + self.change_w
        below = self.active & (executed > 0.0) & (executed < self._least_w)
        nearer = below & (self._executed_w == 0.0) & ~self._tried & (2.0 * executed >= self._least_w)
        self._must |= nearer
        self._tried |= below
        rest = below & ~nearer
        self.low_w[rest] = np.maximum(self.low_w[rest], np.minimum(self._least_w - self._executed_w, 0.0)[rest])
        self._must &= ~rest
        self.active &= ~(rest & (self._executed_w == 0.0))
        return bool(below.any())

    def last_held(self, rows: Flags) -> int | None:
        """The number of the last order that is held to its minimum acceptance and takes of these rows (rows,)."""
        takes = (self.factor[np.flatnonzero(rows)].toarray() * self.change_w > 0.0).any(axis=0)
        return max((self.orders[int(at)].number for at in np.flatnonzero(self._must & takes)), default=None)

    def leave_out(self, number: int) -> None:
        """The order of a number takes no part any more."""
        out = np.array([order.number == number for order in self.orders])
        self.active &= ~out
        self._must &= ~out

    def _worth_most(self) -> dict[At, float]:
        """What a ppm of relief is worth at most to those who load a point and MTU, minor units per day and W."""
        most: dict[At, float] = {}
        for at, counts in enumerate(self._counts):
            loads = (self.low_w if self._relieves[at] else self.high_w)[at] != 0.0
            bid = -self.value[at] if self._relieves[at] else self.value[at]
            for place, ppm in counts.items() if loads else ():
                most[place] = max(most.get(place, -np.inf), bid / abs(ppm))
        return most

    def _costs_least(self) -> float:
        """What a ppm of relief costs at least, minor units per day and W; infinite where nobody gives any."""
        least = np.inf
        for at, counts in enumerate(self._counts):
            relieves = (self.high_w if self._relieves[at] else self.low_w)[at] != 0.0
            ask = -self.value[at] if self._relieves[at] else self.value[at]
            if counts and relieves:
                least = min(least, ask / sum(abs(ppm) for ppm in counts.values()))
        return least

    def leave_out_hopeless(self, worth: Mapping[At, float], cost: float, roomy: Set[At]) -> None:
        """Leave out SELLs that ask more than relief is `worth` where they give it, and BUYs that cannot trade at all.

        Those bid less than nothing and less than relief `cost`s: relief that others pay for may be left over, for
        nothing. Where there is room beside (`roomy`) a BUY need not be served by anybody.
        """
        for at, counts in enumerate(self._counts):
            if self.low_w[at] < 0.0:
                continue
            if self._relieves[at]:
                most = sum(max(worth.get(place, 0.0), 0.0) * abs(ppm) for place, ppm in counts.items())
                self.active[at] = -self.value[at] <= most * (1.0 + 1e-9)
            else:
                load = sum(ppm for place, ppm in counts.items() if place not in roomy)
                self.active[at] = self.value[at] >= min(cost * load if load else 0.0, 0.0) - 1e-12

    def leave_out_losers(self) -> bool:
        """Leave out accepted orders that their prices make worse off than their limits; whether there were any."""
        margin = 1e-6 + SNAP_MINOR * self._minor_per_w()
        missing = np.where(self.change_w > 0.0, self._price - self.value, self.value - self._price)
        losers = self.active & (self.change_w != 0.0) & (missing > margin + 1e-7 * np.abs(self.value))
        self.active &= ~losers
        self._must &= ~losers
        return bool(losers.any())

    def _minor_per_w(self) -> Floats:
        """What a minor unit per MWh is for a watt through all MTUs of an order, (orders,)."""
        return np.asarray(self._hours * self._length / 1e6)

    def hear_accepted(self) -> bool:
        """See `Share`."""
        self._heard = np.asarray(self.change_w != 0.0)
        return bool(self._heard.any())

    def hear_more(self) -> bool:
        """Whoever takes part and would take anything, not only a minimum acceptance or more."""
        up = (self.high_w > 0.0) & (self.value > self._price)
        down = (self.low_w < 0.0) & (self.value < self._price)
        gain = np.abs(self.value - self._price) > SNAP_MINOR * self._minor_per_w() + 1e-7 * np.abs(self.value)
        more = self.active & ~self._heard & ~self._out() & (up | down) & gain
        self._heard |= more
        return bool(more.any())

    def only_heard(self) -> None:
        """None of them must."""
        self._before = {name: getattr(self, name) for name in TRIED_ALONE}
        self.active, self._must = self._heard.copy(), np.zeros_like(self._must)

    def restore(self) -> None:
        """See `Share`."""
        for name, values in self._before.items():
            setattr(self, name, values)

    def _out(self) -> Flags:
        """Orders with a minimum acceptance that get nothing."""
        return np.asarray((self._executed_w == 0.0) & (self._least_w > 0.0) & (self.change_w == 0.0))

    def least_gain(self) -> float | None:
        """The least that an accepted order gains at its price, per watt; None without any."""
        taking = np.flatnonzero(self.change_w)
        return float(np.abs(self.value - self._price)[taking].min()) if len(taking) else None

    def leave_out_least(self) -> None:
        """Leave out the accepted order that gains least."""
        taking = np.flatnonzero(self.change_w)
        at = taking[np.abs(self.value - self._price)[taking].argmin()]
        self.active[at] = self._must[at] = False
        self.change_w[at] = 0.0

    def remember(self) -> None:
        """See `Share`."""
        self._kept = {name: np.array(getattr(self, name)) for name in TRIED}

    def go_back(self) -> None:
        """See `Share`."""
        for name, values in self._kept.items():
            setattr(self, name, values.copy())

    def to_watts(self) -> None:
        """See `Share`."""
        tick = self._tick
        up, down = (np.ceil(self.change_w / tick - SLACK) * tick), (np.floor(self.change_w / tick + SLACK) * tick)
        self.change_w = np.clip(np.where(self._relieves, up, down), *self.bounds_w())
        self._watts = Watts(self.factor, self.bounds_w(), self.value, self._price, self.change_w, tick)

    def repair(self, room: Floats, *, heeding: bool) -> Floats:
        """See `Share`."""
        return self._rounded().repair(room, heeding=heeding)

    def improve(self, room: Floats) -> Floats:
        """See `Share`."""
        return self._rounded().improve(room)

    def _rounded(self) -> Watts:
        assert self._watts is not None, "watts are whole before they are repaired"
        return self._watts

    def used(self) -> Floats:
        """What it takes of each row, (rows,)."""
        return np.asarray(self.factor @ self.change_w)

    def worth(self) -> tuple[float, float]:
        """What its allocation gains, and what its orders miss at their prices; minor units per day.

        Orders left out, and those that only a minimum acceptance keeps from gaining, miss nothing: the set is fixed.
        """
        low, high = (np.where(self._out(), 0.0, bound) for bound in self.bounds_w())
        better = self.value - self._price
        most = np.maximum(better * low, better * high)
        return float(self.value @ self.change_w), float((most - better * self.change_w).sum())

    def by_arrival(self) -> None:
        """Of orders that differ in arrival only, the first gets what it can, then the next."""
        for alike in self._alike:
            group = alike[self.active[alike] & ~self._must[alike]]
            total = self.change_w[group].sum()
            for at in group:
                self.change_w[at] = min(total, self.high_w[at])
                total -= self.change_w[at]

    def _those_alike(self) -> list[Integers]:
        """Groups of orders that differ in arrival only, none of an organisation on both sides of a point."""
        alike: dict[int, list[int]] = {}
        for at, order in enumerate(self.orders):
            if order.alike and order.organisation not in self._on_both:
                alike.setdefault(order.alike, []).append(at)
        return [np.array(group) for group in alike.values() if len(group) > 1]

    def cleared(self, lean: Fraction) -> Sequence[Cleared]:
        """At its place's price per MWh, rounded in the pool's favour and never past its limit."""
        return tuple(self._cleared(lean))

    def _cleared(self, lean: Fraction) -> Iterator[Cleared]:
        for at, order in enumerate(self.orders):
            change_w = int(self.change_w[at])
            if not change_w:
                continue
            sign = 1.0 if order.buys else -1.0
            rounded = _rounded(order, change_w, sign * float(self._price[at]) / float(self._minor_per_w()[at]))
            yield Cleared(order.order, change_w, _leaned(order.price_minor, rounded, lean))


def _rounded(order: GateOrder, change_w: int, per_mwh: float) -> int:
    if order.buys is (change_w > 0):
        return min(ceil(per_mwh - SNAP_MINOR), order.price_minor)
    return max(floor(per_mwh + SNAP_MINOR), order.price_minor)


def _leaned(limit_minor: int, price_minor: int, lean: Fraction) -> int:
    """A price moved towards a limit, by whole minor units and never past it."""
    way = limit_minor - price_minor
    return price_minor + (ceil(way * lean) if way > 0 else floor(way * lean))
