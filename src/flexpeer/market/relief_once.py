"""How much relief is needed, missing or undelivered, with every watt of it counted once. Grid side, W per MTU.

Congestion points nest: a line behind a transformer behind a connection point, each with a limit of its own. What
relieves one relieves those above it, so their needs are not added up. A point reaches the resources whose impact factor
there is at least half of the largest. Of points that reach the same resources the largest need counts; a point counts
at least what the points within its reach need together; points that reach different resources, or are relieved in
opposite directions, are added up. Where reaches only overlap (meshed grids) this is a lower bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from flexpeer.market.activation import DeliveryVerified
from flexpeer.market.needs import Needs, Watts, relieving
from flexpeer.quantities import PPM, ceil_div


class _Reach(NamedTuple):
    """Points that reach the same resources (`members`, a bit for each), and the largest need of them."""

    upwards: bool
    members: int
    need_w: Watts

    def meets(self, other: _Reach) -> bool:
        """Whether one resource relieves both."""
        return self.upwards is other.upwards and bool(self.members & other.members)

    def nests(self, other: _Reach) -> bool:
        """Whether one of them reaches all that the other does."""
        return self.meets(other) and self.members & other.members in (self.members, other.members)


def once_w(needs: Needs, need_w: Mapping[str, Watts]) -> Watts:
    """The relief that these points need together, per MTU."""
    return _together(_reaches(needs, need_w), needs.mtu_count)


def _reaches(needs: Needs, need_w: Mapping[str, Watts]) -> list[_Reach]:
    """The points that need anything, by what they reach."""
    bits: dict[str, int] = {}
    merged: dict[tuple[bool, int, str], Watts] = {}
    for point, row in sorted(need_w.items()):
        if not any(row):
            continue
        upwards = relieving(needs.points[point].direction).sign > 0
        members = _members(needs, point, max(range(len(row)), key=row.__getitem__), bits)
        key = upwards, members, "" if members else point
        before = merged.get(key, (0,) * needs.mtu_count)
        merged[key] = tuple(max(pair) for pair in zip(before, row, strict=True))
    return [_Reach(upwards, members, row) for (upwards, members, _), row in merged.items()]


def _members(needs: Needs, point: str, mtu: int, bits: dict[str, int]) -> int:
    """The resources a point reaches; `bits` gives each resource its bit."""
    factors = {name: row[mtu] for name, row in needs.impacts_ppm.get(point, {}).items() if row[mtu] > 0}
    largest = max(factors.values(), default=0)
    return sum(1 << bits.setdefault(name, len(bits)) for name, ppm in factors.items() if 2 * ppm >= largest)


def _together(reaches: list[_Reach], mtu_count: int) -> Watts:
    """What is needed within each other's reach counts for the wider one, the widest being taken first."""
    tree: list[tuple[_Reach, int]] = []
    parts = [(reaches, -1)]
    while parts:
        part, above = parts.pop()
        for group in _groups(part):
            widest = max(group, key=lambda reach: (reach.members.bit_count(), reach.members))
            tree.append((widest, above))
            parts.append(([reach for reach in group if reach is not widest], len(tree) - 1))
    within = [[0] * mtu_count for _ in range(len(tree) + 1)]
    for place in reversed(range(len(tree))):
        reach, above = tree[place]
        counted = map(max, reach.need_w, within[place])
        within[above] = [already + more for already, more in zip(within[above], counted, strict=True)]
    return tuple(within[-1])


def _groups(reaches: list[_Reach]) -> Iterable[list[_Reach]]:
    """The reaches in parts that have no resource in common."""
    groups: list[list[_Reach]] = []
    for reach in reaches:
        met = [group for group in groups if any(reach.meets(other) for other in group)]
        groups = [group for group in groups if group not in met]
        groups.append([reach, *(other for group in met for other in group)])
    return groups


def in_series(needs: Needs, need_w: Mapping[str, Watts]) -> list[list[str]]:
    """The points that need anything, in groups: one, and those nested with it that need less energy.

    Nested are points of one direction of which one reaches all the resources that the other reaches. Groups and the
    points in them come by their need, the greatest first, then by name.
    """
    bits: dict[str, int] = {}
    reaches: dict[str, _Reach] = {}
    for point, row in need_w.items():
        if any(row):
            upwards = relieving(needs.points[point].direction).sign > 0
            members = _members(needs, point, max(range(len(row)), key=row.__getitem__), bits)
            reaches[point] = _Reach(upwards, members, row)
    groups: list[list[str]] = []
    for point in sorted(reaches, key=lambda name: (-sum(reaches[name].need_w), name)):
        above = next((group for group in groups if reaches[group[0]].nests(reaches[point])), None)
        if above is None:
            groups.append([point])
        else:
            above.append(point)
    return groups


def undelivered_w(needs: Needs, deliveries: Iterable[DeliveryVerified]) -> Watts:
    """Relief that was sold and not delivered, each watt at the needy point that it would have relieved most."""
    total = [0] * needs.mtu_count
    for verified in deliveries:
        for delivery in verified.deliveries:
            points = [name for name in needs.needs_w if relieving(needs.points[name].direction) is delivery.regulation]
            for mtu, (ordered, done) in enumerate(zip(delivery.ordered_w, delivery.delivered_w, strict=True)):
                if ordered > done:
                    needy = (point for point in points if needs.needs_w[point][mtu] > 0)
                    ppm = max((needs.resource_ppm(point, verified.resource)[mtu] for point in needy), default=0)
                    total[mtu] += ceil_div(max(ppm, 0) * (ordered - done), PPM)
    return tuple(total)
