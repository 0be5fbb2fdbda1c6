"""What is left at gate closure as a clearing problem: one period, one peer per order, one row per limit.

    min  sum_o  -+price_o hours_o x_o              - for BUY, + for SELL
    s.t. -back_o <= x_o <= more_o                                                              (1)
         sum_buy a x - sum_sell a x <= room        per zone and MTU; a: impact factor or 1      (2)
         contents of resources with energy limits  at the end of each MTU                       (3)
         flow + slope x <= allowed                 tangents where AC power flow finds more      (4)

x_o is what more is executed of order o in all its MTUs at once, so an order over several MTUs keeps one quantity. Each
order has its own bus of a star without limits; all limits are rows, as of a meshed grid, with one side that binds.
To pass a row costs `DEAREST` times what any order is worth, so none is; nothing, x = 0, is within all of them.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from flexpeer.app.optimum import Row
from flexpeer.clearing.problem import Floats, Integers, PeerKind, Problem
from flexpeer.market.energy import energy_room
from flexpeer.market.machine import State, view
from flexpeer.market.orders import Order, Side
from flexpeer.market.pool import back_w, loading_ppm_w, more_w, room_ppm_w
from flexpeer.quantities import PPM

WATTS_PER_KW = 1000.0
DEAREST = 1e4
SLACK = 1e-6


@dataclass(frozen=True)
class Limits:
    """Rows (rows, orders) x (W) <= bound (rows,), in units of their own; those of (2) are ppm W, exact."""

    factor: Floats
    bound: Floats

    def with_rows(self, more: "Limits") -> "Limits":
        """These and more."""
        return Limits(np.vstack((self.factor, more.factor)), np.concatenate((self.bound, more.bound)))


class GateOrders:
    """The orders that can be cleared, in order of arrival, and how far each may move.

    `low_w`, `high_w` (orders,) are the bounds of (1); `value` (orders,) what a watt more executed is worth, minor
    units per day; `relieves` (orders,) says which are SELLs.
    """

    def __init__(self, state: State) -> None:
        assert state.needs.day is not None, "the gate closes in a day"
        self.state, self.view = state, view(state)
        ordered = sorted(state.orders.orders.values(), key=lambda order: order.number)
        self.orders = [order for order in ordered if back_w(self.view, order) or more_w(order)]
        self.low_w = np.array([-back_w(self.view, order) for order in self.orders], dtype=np.float64)
        self.high_w = np.array([more_w(order) for order in self.orders], dtype=np.float64)
        self.relieves = np.array([order.side is Side.SELL for order in self.orders], dtype=np.bool_)
        self.hours = state.needs.day.mtu_minutes / 60.0
        self._executed_w = np.array([order.executed_w for order in self.orders], dtype=np.float64)
        self._least_w = np.array([order.min_quantity_w for order in self.orders], dtype=np.float64)
        self._first = np.array([order.span.first for order in self.orders], dtype=np.int64)
        self._length = np.array([len(order.span) for order in self.orders], dtype=np.int64)
        self._told: set[tuple[str, float, int]] = set()
        self._slopes = [self._slopes_of(order) for order in self.orders]
        signed = [o.price_minor * len(o.span) * (1 if o.side is Side.BUY else -1) for o in self.orders]
        self.value = np.array(signed, dtype=np.float64) * self.hours / 1e6

    def below_minimum(self, change_w: Floats) -> Integers:
        """Orders that changes (orders,) leave with something executed, but less than their minimum acceptance."""
        executed = self._executed_w + change_w
        return np.flatnonzero((executed > 0.0) & (executed < self._least_w))

    def balances(self) -> Limits:
        """Rows (2)."""
        return self._stacked(self._balances())

    def _stacked(self, pairs: Iterable[tuple[Floats, float]]) -> Limits:
        rows = list(pairs)
        factor = np.array([row for row, _ in rows]).reshape(len(rows), len(self.orders))
        return Limits(factor, np.array([bound for _, bound in rows]))

    def tangents(self, cuts: Iterable[Row]) -> Limits:
        """Rows (4)."""
        rows = list(cuts)
        factor = np.zeros((len(rows), len(self.orders)))
        for at, row in enumerate(rows):
            for column, order in enumerate(self.orders):
                if order.span.first <= row.mtu < order.span.end:
                    factor[at, column] = sum(s * row.slopes.get(name, 0.0) for name, s in self._slopes[column].items())
        return Limits(factor, np.array([max(row.room_w, 0.0) for row in rows]))

    def moves_w(self, change_w: Floats) -> dict[str, Floats]:
        """What changes (orders,) of executed watts move of each resource, per MTU."""
        moves: dict[str, Floats] = {}
        for order, slopes, change in zip(self.orders, self._slopes, change_w, strict=True):
            for name, slope in slopes.items():
                row = moves.setdefault(name, np.zeros(self.state.needs.mtu_count))
                row[order.span.first : order.span.end] += slope * change
        return moves

    def _slopes_of(self, order: Order) -> Mapping[str, float]:
        """Change of each resource's injection per watt of an order."""
        shares = self.state.participants.shares(order.unit, PPM)
        return {name: order.regulation.sign * share / PPM for name, share in shares.items()}

    def _balances(self) -> Iterable[tuple[Floats, float]]:
        rooms, rows = room_ppm_w(self.view), dict[tuple[str, int], Floats]()
        for column, order in enumerate(self.orders):
            for mtu, loading in zip(order.span.mtus, loading_ppm_w(self.view, order, 1), strict=True):
                rows.setdefault((order.zone, mtu), np.zeros(len(self.orders)))[column] = loading
        return ((rows[place], float(rooms.get(place, 0))) for place in sorted(rows))

    def past_energy(self, change_w: Floats) -> Limits:
        """Rows (3) that changes (orders,) pass and that have not been told before."""
        moves = self.moves_w(change_w)
        names = [name for name in sorted(moves) if self.state.participants.resources[name].energy_wm is not None]
        return self._stacked(pair for name in names for pair in self._energy(name, moves[name]))

    def _energy(self, name: str, moves_w: Floats) -> Iterator[tuple[Floats, float]]:
        needs, minutes = self.state.needs, round(60 * self.hours)
        moved = self.state.trades.moves_w.get(name, (0,) * needs.mtu_count)
        room = energy_room(self.state.participants.resources[name], needs.start_w(name), moved, minutes)
        slope = np.array([slopes.get(name, 0.0) for slopes in self._slopes])
        drawn = np.cumsum(moves_w)
        for sign, rooms_wm in ((1.0, room.less_wm), (-1.0, room.more_wm)):
            for mtu in np.flatnonzero(sign * drawn > np.array(rooms_wm) / minutes - self._shared(slope) + SLACK):
                if (name, sign, int(mtu)) in self._told:
                    continue
                self._told.add((name, sign, int(mtu)))
                so_far = np.clip(mtu + 1 - self._first, 0, self._length)
                yield sign * slope * so_far, max(rooms_wm[mtu] / minutes - self._shared(slope), 0.0)

    def _shared(self, slope: Floats) -> float:
        """What rounding may add where members of a portfolio share an order: a watt in each of its MTUs."""
        return float(self._length[(slope != 0.0) & (np.abs(slope) != 1.0)].sum())

    def problem(self, limits: Limits, low_w: Floats, high_w: Floats) -> Problem:
        """Everything as arrays of `clearing`, kW and minor units; rows scaled to a largest factor of 1."""
        count, rows = len(self.orders), len(limits.bound)
        scale = np.abs(limits.factor).max(axis=1, initial=0.0)
        scale = np.where(scale > 0.0, scale, 1.0)
        factor, bound = limits.factor / scale[:, None], limits.bound / scale / WATTS_PER_KW
        half = np.abs(factor) @ (high_w - low_w) / WATTS_PER_KW + np.abs(bound) + 1.0
        value = self.value * WATTS_PER_KW
        star, none = np.full((count + 1, 1), np.inf), np.zeros(count + 1)
        return Problem(
            parent=np.array([-1, *[0] * count]),
            area=np.zeros(count + 1, dtype=np.int64),
            base_kw=np.zeros((count + 1, 1)),
            line_limit_kw=star,
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
            step_kw=np.maximum(np.stack((high_w, -low_w), axis=1)[:, None, :], 0.0) / WATTS_PER_KW,
            step_price=np.stack((-value, value), axis=1)[:, None, :],
            peer_kind=np.full(count, PeerKind.FREE, dtype=np.int64),
            energy_kwh=np.zeros(count),
            energy_start_kwh=np.zeros(count),
            row_factor=np.hstack((np.zeros((rows, 1)), factor)),
            row_base_kw=(half - bound)[:, None],
            row_limit_kw=half[:, None],
            row_price=DEAREST * float(np.abs(value).max(initial=1.0)),
        )
