"""An owner, or a market operator, without a network: points by their impact factors alone, in exact integers."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from flexpeer.market.needs import CongestionPoint, Direction, Watts
from flexpeer.market.trades import Move
from flexpeer.quantities import PPM

Changes = Sequence[tuple[int, Mapping[int, int]]]
"""Points that moves change, by index, and by how much in each MTU (ppm W)."""


class PointExcess(NamedTuple):
    """How far moves would pass what is allowed at a point (ppm W, negative: room left), and where; headroom in W."""

    excess: int
    element: str
    mtu: int
    headroom_w: int


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
        self._loads: dict[str, list[tuple[int, tuple[int, ...]]]] = {}
        self._flows: list[list[int]] = []
        for index, point in enumerate(self._points):
            sign = 1 if point.direction is Direction.EXPORT else -1
            flow = [0] * len(point.limit_w or ())
            for name, row in impact_ppm.get(point.congestion_point, {}).items():
                load = tuple(sign * ppm for ppm in row)
                self._loads.setdefault(name, []).append((index, load))
                flow = [f + ppm * w for f, ppm, w in zip(flow, load, start_w[name], strict=True)]
            self._flows.append(flow)
        self._limits = [[PPM * limit for limit in point.limit_w or ()] for point in self._points]
        self._allowed = [
            [max(limit, flow) for limit, flow in zip(limits, flows, strict=True)]
            for limits, flows in zip(self._limits, self._flows, strict=True)
        ]
        self._held: dict[int, Changes] = {}

    def excess(self, moves: Sequence[Move]) -> PointExcess:
        """The worst point for a set of moves."""
        worst = PointExcess(-(2**63), "", 0, 0)
        for index, changes in self._changes(moves):
            for mtu, change in changes.items():
                room = self._allowed[index][mtu] - self._flows[index][mtu]
                if change - room > worst.excess:
                    worst = PointExcess(change - room, self._points[index].element, mtu, room // PPM)
        return worst

    def hold(self, match: int, moves: tuple[Move, ...]) -> None:
        """Make the moves current, able to return."""
        changes = self._held[match] = self._changes(moves)
        self._shift(changes, 1)

    def commit(self, match: int) -> None:
        """Keep what was held; what it improved past a limit may not worsen again."""
        for index, changes in self._held.pop(match, ()):
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

    def limit_w(self, element: str, mtu: int) -> int:
        """The lowest limit of an element's points in an MTU."""
        limits = (self._limits[i][mtu] // PPM for i, p in enumerate(self._points) if p.element == element)
        return min(limits, default=0)

    def _changes(self, moves: Sequence[Move]) -> Changes:
        totals: dict[int, dict[int, int]] = {}
        for move in moves:
            for index, ppm in self._loads.get(move.resource, ()):
                total = totals.setdefault(index, {})
                for mtu in move.span.mtus:
                    total[mtu] = total.get(mtu, 0) + ppm[mtu] * move.change_w
        return sorted(totals.items(), key=lambda each: each[0])

    def _shift(self, changes: Changes, sign: int) -> None:
        for index, total in changes:
            for mtu, change in total.items():
                self._flows[index][mtu] += sign * change
