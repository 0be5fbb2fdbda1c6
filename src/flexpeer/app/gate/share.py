"""One DSO's orders at gate closure: what they could still do, and their part in the clearing of all.

    min  sum_o  -+price_o hours_o x_o              - for BUY, + for SELL
    s.t. -back_o <= x_o <= more_o                                                              (1)
         sum_buy a x - sum_sell a x <= room        per zone and MTU; a: impact factor or 1      (2)
         contents of resources with energy limits  at the end of each MTU                       (3)
         flow + slope x <= allowed                 tangents where AC power flow finds more      (4)

x_o is what more is executed of order o in all its MTUs at once, so an order over several MTUs keeps one quantity. The
sums run over the orders of all DSOs; a share knows its own columns of them and gives away sums over its orders only
(`clearing.row_party`). All members of a portfolio are at one DSO, so that (3) is a DSO's own.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import ceil, floor

import numpy as np
import scipy.sparse as sp

from flexpeer.app.gate.rounding import SLACK, Watts
from flexpeer.app.optimum import Row
from flexpeer.clearing.problem import WATTS_PER_KW, Flags, Floats, PeerKind, Problem
from flexpeer.clearing.responses import least, spent
from flexpeer.clearing.row_party import PeersHere, Sparse
from flexpeer.market.energy import energy_room
from flexpeer.market.machine import State, view
from flexpeer.market.orders import Order, Side
from flexpeer.market.pool import Cleared, acts, back_w, beyond_energy, loading_ppm_w, more_w
from flexpeer.quantities import PPM

SNAP_W, SNAP_MINOR = 0.05, 0.01
Place = tuple[str, int]


class GateShare:
    """A DSO's orders that can be cleared, in order of arrival; `change_w` (orders,) is what they are allocated.

    `low_w`, `high_w` (orders,) are the bounds of (1); `value` (orders,) what a watt more executed is worth, minor
    units per day; `factor` (rows, orders) its columns of (2) to (4), in units of each row's own.
    """

    def __init__(self, state: State, orders: Sequence[Order]) -> None:
        assert state.needs.day is not None, "the gate closes in a day"
        self._state, self._view, self.orders = state, view(state), orders
        self.low_w = np.array([-back_w(self._view, order) for order in orders], dtype=np.float64)
        self.high_w = np.array([more_w(order) for order in orders], dtype=np.float64)
        self._relieves = np.array([order.side is Side.SELL for order in orders], dtype=np.bool_)
        self._hours = state.needs.day.mtu_minutes / 60.0
        self._executed_w = np.array([order.executed_w for order in orders], dtype=np.float64)
        self._least_w = np.array([order.min_quantity_w for order in orders], dtype=np.float64)
        self._first = np.array([order.span.first for order in orders], dtype=np.int64)
        self._length = np.array([len(order.span) for order in orders], dtype=np.int64)
        self._told: set[tuple[str, float, int]] = set()
        self._slopes = [self._slopes_of(order) for order in orders]
        signed = [o.price_minor * len(o.span) * (1 if o.side is Side.BUY else -1) for o in orders]
        self.value = np.array(signed, dtype=np.float64) * self._hours / 1e6
        self.factor = Sparse((0, len(orders)))
        self.change_w, self._price = np.zeros(len(orders)), np.zeros(len(orders))

    def _slopes_of(self, order: Order) -> Mapping[str, float]:
        """Change of each resource's injection per watt of an order."""
        shares = self._state.participants.shares(order.unit, PPM)
        return {name: order.regulation.sign * share / PPM for name, share in shares.items()}

    @property
    def places(self) -> set[Place]:
        """Zones and MTUs that its orders load or relieve."""
        return {(order.zone, mtu) for order in self.orders for mtu in order.span.mtus}

    def add_balances(self, places: Sequence[Place]) -> None:
        """Rows (2) of `places`."""
        at = {place: row for row, place in enumerate(places)}
        entries = (
            (at[order.zone, mtu], column, float(loading))
            for column, order in enumerate(self.orders)
            for mtu, loading in zip(order.span.mtus, loading_ppm_w(self._view, order, 1), strict=True)
        )
        self._add(entries, len(places))

    def add_tangents(self, rows: Sequence[Row]) -> None:
        """Rows (4)."""
        entries = (
            (at, column, sum(slope * row.slopes.get(name, 0.0) for name, slope in self._slopes[column].items()))
            for at, row in enumerate(rows)
            for column, order in enumerate(self.orders)
            if order.span.first <= row.mtu < order.span.end
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

    def largest(self) -> Floats:
        """The largest size of its factors in each row, (rows,)."""
        return np.asarray(abs(self.factor).max(axis=1).toarray()).ravel()

    def moves_w(self) -> dict[str, Floats]:
        """What its allocation moves of each resource, per MTU."""
        moves: dict[str, Floats] = {}
        for order, slopes, change in zip(self.orders, self._slopes, self.change_w, strict=True):
            for name, slope in slopes.items():
                row = moves.setdefault(name, np.zeros(self._state.needs.mtu_count))
                row[order.span.first : order.span.end] += slope * change
        return moves

    def add_past_energy(self) -> Floats:
        """Add the rows (3) that its allocation passes most and that were not there before; their bounds."""
        moves = self.moves_w()
        resources = self._state.participants.resources
        names = [name for name in sorted(moves) if resources[name].energy_wm is not None]
        pairs = [pair for name in names for pair in self._energy(name, moves[name])]
        if pairs:
            self._append(Sparse(np.array([row for row, _ in pairs])))
        return np.array([bound for _, bound in pairs], dtype=np.float64)

    def leave_out_tired(self) -> bool:
        """Leave out the portfolios of a resource that whole watts take past its energy limits; whether there was one.

        Only how members share an order's watts can do that once all rows (3) that matter are there.
        """
        tired = beyond_energy(self._view, tuple(self.cleared()))
        parts = [0.0 < abs(slopes.get(tired or "", 0.0)) < 1.0 for slopes in self._slopes]
        self.low_w[parts] = self.high_w[parts] = 0.0
        return any(parts)

    def _energy(self, name: str, moves_w: Floats) -> Iterator[tuple[Floats, float]]:
        needs, minutes = self._state.needs, round(60 * self._hours)
        moved = self._state.trades.moves_w.get(name, (0,) * needs.mtu_count)
        room = energy_room(self._state.participants.resources[name], needs.start_w(name), moved, minutes)
        slope = np.array([slopes.get(name, 0.0) for slopes in self._slopes])
        drawn, shared = np.cumsum(moves_w), self._shared(slope)
        for sign, rooms_wm in ((1.0, room.less_wm), (-1.0, room.more_wm)):
            past = sign * drawn - np.array(rooms_wm) / minutes + shared
            for mtu in np.flatnonzero(_peaks(past) & (past > SLACK)):
                if (name, sign, int(mtu)) in self._told:
                    continue
                self._told.add((name, sign, int(mtu)))
                so_far = np.clip(mtu + 1 - self._first, 0, self._length)
                yield sign * slope * so_far, max(rooms_wm[mtu] / minutes - shared, 0.0)

    def _shared(self, slope: Floats) -> float:
        """What rounding may add where members of a portfolio share an order: a watt in each of its MTUs."""
        return float(self._length[(slope != 0.0) & (np.abs(slope) != 1.0)].sum())

    def party(self, scale: Floats) -> PeersHere:
        """Its orders as peers of a star's buses, kW and minor units; rows are divided by `scale` (rows,)."""
        factor = Sparse(sp.diags_array(1.0 / scale) @ self.factor)
        return PeersHere(self._star(), np.arange(1, len(self.orders) + 1), factor)

    def _star(self) -> Problem:
        count, value = len(self.orders), self.value * WATTS_PER_KW
        unlimited, none = np.full((count + 1, 1), np.inf), np.zeros(count + 1)
        return Problem(
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
            step_kw=np.maximum(np.stack((self.high_w, -self.low_w), axis=1)[:, None, :], 0.0) / WATTS_PER_KW,
            step_price=np.stack((-value, value), axis=1)[:, None, :],
            peer_kind=np.full(count, PeerKind.FREE, dtype=np.int64),
            energy_kwh=np.zeros(count),
            energy_start_kwh=np.zeros(count),
        )

    def take(self, party: PeersHere, price: Floats) -> None:
        """What a party has come to at prices of rows (rows,), per unit of each row, is what is allocated."""
        steps_kw = np.zeros((len(self.orders), 1, 2))
        party.read(steps_kw)
        change_w = (steps_kw[:, 0, 0] - steps_kw[:, 0, 1]) * WATTS_PER_KW
        nearest = np.rint(change_w)
        self.change_w = np.where(np.abs(change_w - nearest) < SNAP_W, nearest, change_w)
        self._price = np.asarray(self.factor.T @ price)

    def halve(self) -> None:
        """Half of it, and no more than that."""
        self.change_w = np.trunc(self.change_w / 2.0)
        self.low_w, self.high_w = np.minimum(self.change_w, 0.0), np.maximum(self.change_w, 0.0)

    def narrow(self) -> bool:
        """Whether orders are left with something executed, but less than their minimum acceptance.

        They keep what they have, or get nothing.
        """
        executed = self._executed_w + self.change_w
        below = np.flatnonzero((executed > 0.0) & (executed < self._least_w))
        for at in below:
            order = self.orders[int(at)]
            self.low_w[at] = max(self.low_w[at], min(order.min_quantity_w - order.executed_w, 0))
            self.high_w[at] = self.high_w[at] if order.executed_w else 0.0
        return len(below) > 0

    def watts(self) -> Watts:
        """Its allocation, to be rounded to whole watts."""
        rounded = np.where(self._relieves, np.ceil(self.change_w - SLACK), np.floor(self.change_w + SLACK))
        self.change_w = np.clip(rounded, self.low_w, self.high_w)
        return Watts(self.factor, (self.low_w, self.high_w), self.value, self._price, self.change_w)

    def used(self) -> Floats:
        """What it takes of each row, (rows,)."""
        return np.asarray(self.factor @ self.change_w)

    def worth(self) -> tuple[float, float]:
        """What its allocation gains, and what its orders miss at their prices; minor units per day."""
        star, kw = self._star(), self.change_w / WATTS_PER_KW
        steps_kw = np.stack((np.maximum(kw, 0.0), np.maximum(-kw, 0.0)), axis=1)[:, None, :]
        g = np.concatenate(([0.0], self._price * WATTS_PER_KW))[:, None]
        paid = spent(steps_kw, star.step_price, star.step_sign, star.peer_bus, g).sum()
        return float(self.value @ self.change_w), float(paid - least(star, g).sum())

    def cleared(self) -> Iterator[Cleared]:
        """Each order's share at its place's price per MWh, rounded in the pool's favour and never past its limit."""
        for at, order in enumerate(self.orders):
            change_w = int(self.change_w[at])
            if not change_w:
                continue
            sign = 1.0 if order.side is Side.BUY else -1.0
            per_mwh = sign * float(self._price[at]) * 1e6 / (self._hours * len(order.span))
            yield Cleared(order.order, change_w, _rounded(order, change_w, per_mwh))


def _peaks(values: Floats) -> Flags:
    """Where values are larger than before and no smaller than after; what lies between mostly follows from there."""
    ends = [-np.inf]
    return np.asarray((values > np.append(ends, values[:-1])) & (values >= np.append(values[1:], ends)))


def _rounded(order: Order, change_w: int, per_mwh: float) -> int:
    if acts(order, change_w) is Side.BUY:
        return min(ceil(per_mwh - SNAP_MINOR), order.price_minor)
    return max(floor(per_mwh + SNAP_MINOR), order.price_minor)


def shares_of(state: State) -> dict[str, GateShare]:
    """The orders that can be cleared, by the DSO of their unit; a DSO's own orders are its own."""
    here, found = view(state), dict[str, list[Order]]()
    for order in sorted(state.orders.orders.values(), key=lambda order: order.number):
        if back_w(here, order) or more_w(order):
            members = state.participants.members(order.unit)
            found.setdefault(members[0].dso if members else order.unit, []).append(order)
    return {dso: GateShare(state, orders) for dso, orders in sorted(found.items())}
