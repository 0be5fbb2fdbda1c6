"""The central optimum of all orders within the same limits: what perfect foresight and no order of arrival would earn.

    max  sum_o  sign_o price_o hours_o q_o               sign +1 for BUY, -1 for SELL
    s.t. low_o <= q_o <= high_o                          (1)
         sum_buy a q <= sum_sell a q   per congestion point and MTU     (2)  a: impact factor (neutral) or 1 (balanced)
         sum_own buy a q <= sum_others' sell a q   per organisation on both sides of one    (3)
         flow_start + sum_o s_o q_o <= allowed           (4)  per limit and MTU, first order
         energy limits of each resource                  (5)

Minimum acceptance and whole watts are relaxed, so it is an upper bound for the linear model. Orders that may not rest
(fill-and-kill, fill-or-kill) count with what they traded on arrival, since nobody could have had more from them later;
a DSO's purchase with what it bought, and wanted to the last. With a grid, (4) starts empty; AC power flow of each
solution adds the rows it violates until none is left. Solved by HiGHS.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from flexpeer.app.ports import Cuts, LimitRow
from flexpeer.grid.network import Floats
from flexpeer.loading import when_used
from flexpeer.market.machine import State, view
from flexpeer.market.orders import Order, Side, TimeInForce
from flexpeer.market.pool import At, counts_ppm
from flexpeer.market.rulebook import Exchange
from flexpeer.quantities import MONEY_PER_MINOR, PPM

CUT_ROUNDS = 8
PLACES = 1_000_000
optimize = when_used("scipy.optimize")


class _Builder:
    """Rows of the linear programme, collected as triplets; watts are scaled to kW."""

    def __init__(self) -> None:
        self.entries: list[tuple[int, int, float]] = []
        self.bounds: list[float] = []

    def add(self, coefficients: Mapping[int, float], bound: float) -> None:
        """One row: coefficients by column, and its right-hand side."""
        row = len(self.bounds)
        self.entries += [(row, column, value) for column, value in coefficients.items()]
        self.bounds.append(bound)

    def matrix(self, columns: int) -> csr_matrix:
        """All rows, (rows, columns)."""
        rows, cols, values = zip(*self.entries, strict=True) if self.entries else ((), (), ())
        return csr_matrix((values, (rows, cols)), shape=(len(self.bounds), columns))


def welfare_optimum(state: State, cuts: Cuts) -> int | None:
    """The optimum as money, to a millionth of a minor unit; None if there is no order, or the solver fails."""
    orders = sorted(state.orders.orders.values(), key=lambda order: order.number)
    if not orders or state.needs.day is None:
        return None
    hours = state.needs.day.mtu_minutes / 60.0
    worth = np.array([_sign(o) * o.price_minor * hours * len(o.span) / 1000.0 for o in orders])
    below = _energy_rows(state, orders)
    _balances(state, orders, below)
    bounds = _bounds_kw(orders)
    for row in cuts.first():
        below.add(*_limit_row(state, orders, row))
    for _ in range(CUT_ROUNDS + 1):
        quantities = _solve(worth, bounds, below)
        if quantities is None:
            return None
        optimum = round(float(worth @ quantities) * PLACES) * MONEY_PER_MINOR // PLACES
        rows = list(cuts.violated(_moves(state, orders, quantities)))
        if not rows:
            break
        for row in rows:
            below.add(*_limit_row(state, orders, row))
    return optimum


def _sign(order: Order) -> int:
    return 1 if order.side is Side.BUY else -1


def _bounds_kw(orders: list[Order]) -> list[tuple[float, float]]:
    """Equation (1)."""
    last = {(order.zone, order.span.first): order.order for order in orders if order.residual}
    bounds = []
    for order in orders:
        replaced = order.residual and last[order.zone, order.span.first] != order.order
        waits = order.time_in_force is TimeInForce.DAY and not replaced
        bounds.append(
            (0.0 if order.residual or waits else order.executed_w, order.quantity_w if waits else order.executed_w)
        )
    return [(low / 1000.0, high / 1000.0) for low, high in bounds]


def _solve(worth: Floats, bounds: list[tuple[float, float]], below: _Builder) -> Floats | None:
    """Quantities, kW; None if HiGHS finds no optimum."""
    limits: dict[str, Any] = {"A_ub": below.matrix(len(bounds)), "b_ub": below.bounds} if below.bounds else {}
    found = optimize.linprog(-worth, bounds=bounds, method="highs", **limits)
    if found.status != 0 or found.x is None:
        return None
    quantities: Floats = np.asarray(found.x, dtype=np.float64)
    return quantities


def _balances(state: State, orders: list[Order], below: _Builder) -> None:
    """Equations (2) and (3)."""
    market = view(state)
    counts = [counts_ppm(market, order) for order in orders]
    scale = PPM if state.needs.rulebook.exchange is Exchange.NEUTRAL else 1
    points: dict[At, dict[int, float]] = {}
    for column, count in enumerate(counts):
        for at, ppm in count.items():
            points.setdefault(at, {})[column] = ppm / scale
    for _, row in sorted(points.items()):
        if max(row.values()) > 0.0:
            below.add(row, 0.0)
            for both in _on_both_sides(orders, row):
                below.add({c: f for c, f in row.items() if (orders[c].organisation == both) is (f > 0.0)}, 0.0)


def _on_both_sides(orders: list[Order], row: Mapping[int, float]) -> list[str]:
    loading = {orders[column].organisation for column, factor in row.items() if factor > 0.0}
    return sorted(loading & {orders[column].organisation for column, factor in row.items() if factor < 0.0})


def _energy_rows(state: State, orders: list[Order]) -> _Builder:
    """Equation (5): contents at the end of every MTU within bounds, unless the plan is outside already."""
    builder = _Builder()
    assert state.needs.day is not None, "there are orders"
    hours, count = state.needs.day.mtu_minutes / 60.0, state.needs.mtu_count
    for resource in state.participants.resources.values():
        if resource.energy_wm is None:
            continue
        columns = {c: _share(state, o, resource.resource) for c, o in enumerate(orders)}
        active = {c: share for c, share in columns.items() if share}
        if not active:
            continue
        storage = resource.energy_start_wm is not None
        content = np.full(count, (resource.energy_start_wm or 0) / 60_000.0)
        if storage:
            content -= np.cumsum(state.needs.start_w(resource.resource)) * hours / 1000.0
        low, high = (0.0 if storage else -resource.energy_wm / 60_000.0), resource.energy_wm / 60_000.0
        for mtu in range(count):
            used = {
                c: share * hours * max(0, min(mtu + 1, orders[c].span.end) - orders[c].span.first)
                for c, share in active.items()
            }
            used = {c: value for c, value in used.items() if value}
            if used:
                builder.add(used, max(content[mtu] - low, 0.0))
                builder.add({c: -value for c, value in used.items()}, max(high - content[mtu], 0.0))
    return builder


def _share(state: State, order: Order, resource: str) -> float:
    """Change of a resource's injection per watt of an order."""
    shares = state.participants.shares(order.unit, PPM)
    return order.regulation.sign * shares.get(resource, 0) / PPM


def _limit_row(state: State, orders: list[Order], row: LimitRow) -> tuple[dict[int, float], float]:
    coefficients = {}
    for column, order in enumerate(orders):
        if order.span.first <= row.mtu < order.span.end:
            shares = state.participants.shares(order.unit, PPM)
            slope = sum(
                order.regulation.sign * share / PPM * row.slopes.get(name, 0.0) for name, share in shares.items()
            )
            if slope:
                coefficients[column] = slope
    return coefficients, max(row.room_w, 0.0) / 1000.0


def _moves(state: State, orders: list[Order], quantities_kw: Floats) -> dict[str, Floats]:
    moves: dict[str, Floats] = {}
    for order, kilowatts in zip(orders, quantities_kw, strict=True):
        for name, share in state.participants.shares(order.unit, PPM).items():
            row = moves.setdefault(name, np.zeros(state.needs.mtu_count))
            row[order.span.first : order.span.end] += order.regulation.sign * share / PPM * kilowatts * 1000.0
    return moves
