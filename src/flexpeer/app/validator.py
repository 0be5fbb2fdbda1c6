"""One grid owner's part in granting: its own network and limits, and nobody else's.

What crosses its border is the complex voltage its parent dictates and the power it then draws; moves reach it
as watts at its own buses. `PointOwner` is an owner, or a market operator, without a network: it knows
congestion points by their impact factors alone, in exact integers.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from flexpeer.grid.areas import Area
from flexpeer.grid.limits import Kind
from flexpeer.grid.network import Complexes, Floats, Integers
from flexpeer.grid.screening import Assessment, Snapshot, TradeScreen
from flexpeer.market.needs import CongestionPoint, Direction, Watts
from flexpeer.market.trades import Move
from flexpeer.quantities import PPM


class PointExcess(NamedTuple):
    """How far moves would pass what is allowed at a point (ppm W, negative: room left), and where; headroom in W."""

    excess: int
    element: str
    mtu: int
    headroom_w: int


class GridOwner:
    """The validator of one area: assesses changes, holds them, takes them back."""

    def __init__(self, area: Area, screen: TradeScreen, bus_of: Mapping[str, int]) -> None:
        self.area = area
        self.screen = screen
        self._bus_of = bus_of
        self._border_sources = np.array([border.source for border in area.borders], dtype=np.int64)
        self._held: dict[int, Snapshot] = {}

    @property
    def owner(self) -> str:
        """The DSO."""
        return self.area.owner

    def injection_change(self, moves: Sequence[Move], mtus: Integers) -> tuple[Integers, Floats]:
        """Own moves as changes of injection (buses, mtus), W."""
        own = [move for move in moves if move.resource in self._bus_of]
        buses = np.array([self._bus_of[move.resource] for move in own], dtype=np.int64)
        changes = np.zeros((len(own), len(mtus)))
        for row, move in enumerate(own):
            touched = (mtus >= move.span.first) & (mtus < move.span.end)
            changes[row, touched] = float(move.change_w)
        return buses, changes

    def assess(
        self, mtus: Integers, buses: Integers, change: Complexes, border_v: Complexes | None = None
    ) -> Assessment:
        """What a change of injections (W + j var) and of border voltages (borders, mtus) would do."""
        source_v = None
        if border_v is not None:
            source_v = self.screen.v[self.area.network.source_bus][:, mtus].copy()
            source_v[self._border_sources] = border_v
        return self.screen.evaluate(buses, mtus, change.real, change.imag, source_v)

    def border_power_w(self, assessment: Assessment) -> Complexes:
        """How much more the area draws at each border than in its accepted state (borders, mtus), W + j var."""
        now = self.screen.source_power_w(assessment.mtus)
        change: Complexes = (assessment.source_power_w - now)[self._border_sources]
        return change

    def hold(self, match: int, assessment: Assessment) -> None:
        """Make a change current, able to return."""
        self._held[match] = self.screen.snapshot(assessment.mtus)
        self.screen.accept(assessment)

    def commit(self, match: int) -> None:
        """Keep what was held."""
        self._held.pop(match, None)

    def abort(self, match: int) -> None:
        """Return to the state before the match was held."""
        snapshot = self._held.pop(match, None)
        if snapshot is not None:
            self.screen.restore(snapshot)

    def slack(self, element: str, kind: Kind, mtu: int) -> float:
        """Room of an element in the accepted state, as a fraction of its limit."""
        return self.screen.slack(element, kind, mtu)


class PointOwner:
    """Congestion points by impact factors alone: flow = sum(ppm x p), compared exactly (units: ppm W).

    `flows` and `allowed` are in the loading direction, per point and MTU; what is past its limit may not worsen.
    """

    def __init__(
        self,
        owner: str,
        points: Sequence[CongestionPoint],
        impact_ppm: Mapping[str, Mapping[str, Sequence[int]]],
        start_w: Mapping[str, Watts],
    ) -> None:
        self.owner = owner
        self._points = [point for point in points if point.limit_w is not None]
        self._signs = [1 if point.direction is Direction.EXPORT else -1 for point in self._points]
        self._ppm = [impact_ppm.get(point.congestion_point, {}) for point in self._points]
        self._flows = [
            [
                sign * sum(row[mtu] * start_w[name][mtu] for name, row in ppm.items())
                for mtu in range(len(point.limit_w or ()))
            ]
            for point, sign, ppm in zip(self._points, self._signs, self._ppm, strict=True)
        ]
        self._limits = [[PPM * limit for limit in point.limit_w or ()] for point in self._points]
        self._allowed = [
            [max(limit, flow) for limit, flow in zip(limits, flows, strict=True)]
            for limits, flows in zip(self._limits, self._flows, strict=True)
        ]
        self._held: dict[int, tuple[Move, ...]] = {}

    def excess(self, moves: Sequence[Move]) -> PointExcess:
        """The worst point for a set of moves."""
        worst = PointExcess(-(2**63), "", 0, 0)
        for index, changes in enumerate(self._changes(moves)):
            for mtu, change in changes.items():
                room = self._allowed[index][mtu] - self._flows[index][mtu]
                if change - room > worst.excess:
                    worst = PointExcess(change - room, self._points[index].element, mtu, room // PPM)
        return worst

    def hold(self, match: int, moves: tuple[Move, ...]) -> None:
        """Make the moves current, able to return."""
        self._held[match] = moves
        self._shift(moves, 1)

    def commit(self, match: int) -> None:
        """Keep what was held; what it improved past a limit may not worsen again."""
        for index, changes in enumerate(self._changes(self._held.pop(match, ()))):
            for mtu in changes:
                flow = max(self._limits[index][mtu], self._flows[index][mtu])
                self._allowed[index][mtu] = min(self._allowed[index][mtu], flow)

    def abort(self, match: int) -> None:
        """Return to the flows before the match was held."""
        self._shift(self._held.pop(match, ()), -1)

    def room(self, element: str, mtu: int) -> int:
        """Headroom of an element's points in an MTU, exactly (ppm W)."""
        rooms = (
            self._allowed[i][mtu] - self._flows[i][mtu] for i, p in enumerate(self._points) if p.element == element
        )
        return min(rooms, default=0)

    def _changes(self, moves: Sequence[Move]) -> list[dict[int, int]]:
        totals: list[dict[int, int]] = [{} for _ in self._points]
        for move in moves:
            for index, (sign, ppm) in enumerate(zip(self._signs, self._ppm, strict=True)):
                row = ppm.get(move.resource)
                if row is None:
                    continue
                for mtu in move.span.mtus:
                    change = sign * row[mtu] * move.change_w
                    totals[index][mtu] = totals[index].get(mtu, 0) + change
        return totals

    def _shift(self, moves: Sequence[Move], sign: int) -> None:
        for flows, changes in zip(self._flows, self._changes(moves), strict=True):
            for mtu, change in changes.items():
                flows[mtu] += sign * change
