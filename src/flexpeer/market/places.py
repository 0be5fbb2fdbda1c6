"""Where orders are: what a unit does at each congestion point, and how the orders of two places exchange.

A place is a node (for a portfolio: its mix of nodes) and, where the order names one, the congestion point it is
restricted to. Orders of one place have the same impact on every point, so whatever depends on two places only is
found once for all their orders.
"""

from __future__ import annotations

from hashlib import sha256
from typing import NamedTuple

import msgspec

from flexpeer.market.needs import Needs, Regulation, Watts, relieving
from flexpeer.market.participants import Participants
from flexpeer.market.rulebook import Exchange
from flexpeer.periods import Span
from flexpeer.quantities import PPM, ceil_div

EVERYWHERE = ""
"""The congestion point of an order that names none."""


class Ratio(NamedTuple):
    """For a watt of the buyer the seller moves `ppm_buy / ppm_sell` watts: the impact factors at `point`.

    That is the point and MTU where it is most, so that no point the buyer loads is worse; 1 and 1 at no point under
    balanced exchange.
    """

    point: str
    ppm_buy: int
    ppm_sell: int


class Place(NamedTuple):
    """Where an order is: its unit (any of the place), and the point it is restricted to or `EVERYWHERE`."""

    unit: str
    zone: str


class Places:
    """What places do under one set of participants, points and needs. It remembers what it has derived."""

    def __init__(self, participants: Participants, needs: Needs) -> None:
        self.participants, self.needs = participants, needs
        self._names: dict[Place, str] = {}
        self._impacts: dict[tuple[str, str, bool], Watts] = {}
        self._impacted: dict[tuple[str, bool], dict[str, Watts]] = {}
        self._quiet = not any(any(row) for row in needs.needs_w.values())
        self._limited: dict[str, bool] = {}
        self._needed: dict[str, tuple[bool, ...]] = {}
        self._starts: dict[str, Watts] = {}
        self._points: dict[Regulation, tuple[str, ...]] = {}
        self._relieved: dict[Regulation, frozenset[str]] = {}
        self._ratios: dict[tuple[str, str, Regulation, int, int], Ratio | None] = {}
        self._reaches: dict[tuple[str, Regulation, int, int, bool], int] = {}
        self._counted: dict[tuple[str, Regulation, int, int], tuple[tuple[str, int], ...]] = {}

    def current(self, participants: Participants, needs: Needs) -> Places:
        """These, or new ones where what they were derived from has changed."""
        same = participants is self.participants and needs is self.needs
        return self if same else Places(participants, needs)

    def name(self, place: Place) -> str:
        """The same for all units and restrictions that trade alike."""
        known = self._names.get(place)
        if known is None:
            known = self._names[place] = self._named(place)
        return known

    def _named(self, place: Place) -> str:
        members = self.participants.members(place.unit)
        if len(members) == 1:
            resource = members[0].resource
            rows = {p: row for p in sorted(self.needs.points) if any(row := self.needs.resource_ppm(p, resource))}
            where = f"{members[0].node}/{sha256(msgspec.json.encode(rows)).hexdigest()[:8]}"
        else:
            where = place.unit
        return f"{where}@{place.zone}" if place.zone else where

    def start_w(self, resource: str) -> Watts:
        """A resource's starting point."""
        known = self._starts.get(resource)
        if known is None:
            known = self._starts[resource] = self.needs.start_w(resource)
        return known

    def limited(self, unit: str) -> bool:
        """Whether a resource behind a unit has energy limits."""
        known = self._limited.get(unit)
        if known is None:
            known = any(member.energy_wm is not None for member in self.participants.members(unit))
            self._limited[unit] = known
        return known

    def impact_ppm(self, unit: str, point: str, *, buys: bool = False) -> Watts:
        """Impact factors of a unit at a point, one per MTU.

        A portfolio's are weighted by its members' ranges, rounded down for what it sells and up for what it buys, so
        that no point is worse. A DSO's own purchase has 1 at the point it names.
        """
        key = (unit, point, buys)
        known = self._impacts.get(key)
        if known is None:
            known = self._impacts[key] = self._derived_ppm(unit, point, buys=buys)
        return known

    def _derived_ppm(self, unit: str, point: str, *, buys: bool) -> Watts:
        members = self.participants.members(unit)
        if not members:
            return (PPM,) * self.needs.mtu_count
        rows = [self.needs.resource_ppm(point, member.resource) for member in members]
        if len(rows) == 1:
            return rows[0]
        weights = [member.p_max_w - member.p_min_w for member in members]
        whole = sum(weights)
        totals = [sum(w * r for w, r in zip(weights, column, strict=True)) for column in zip(*rows, strict=True)]
        return tuple(ceil_div(total, whole) if buys else total // whole for total in totals)

    def points(self, relieved_by: Regulation) -> tuple[str, ...]:
        """The congestion points that a regulation relieves, by name."""
        known = self._points.get(relieved_by)
        if known is None:
            points = sorted(self.needs.points.items())
            known = tuple(name for name, point in points if relieving(point.direction) is relieved_by)
            self._points[relieved_by] = known
        return known

    def in_need(self, point: str, mtu: int) -> bool:
        """Whether orders that name no point count at this one in an MTU.

        Also as long as its need is not published, and on a day on which no point is in need at all.
        """
        need = self.needs.needs_w.get(point)
        return self._quiet or need is None or need[mtu] > 0

    def counted(self, zone: str, relieved_by: Regulation, span: Span) -> tuple[tuple[str, int], ...]:
        """Points and MTUs at which an order counts: those of the point it names, else all of its direction in need."""
        key = (zone, relieved_by, span.first, span.end)
        known = self._counted.get(key)
        if known is None:
            points = (zone,) if zone else self.points(relieved_by)
            known = tuple((p, mtu) for p in points for mtu in span.mtus if zone or self.in_need(p, mtu))
            self._counted[key] = known
        return known

    def reach(self, place: Place, relieved_by: Regulation, span: Span, *, buys: bool) -> int:
        """The impact factor that decides whether orders of a place count in a span.

        The least at the point they name; else the largest at any where they would count.
        """
        key = (self.name(place), relieved_by, span.first, span.end, buys)
        known = self._reaches.get(key)
        if known is None:
            impacts = [
                row[mtu]
                for point, row in self._impacted_ppm(place.unit, buys=buys).items()
                if place.zone or point in self._relieved_by(relieved_by)
                for mtu in span.mtus
                if self._counts_at(place.zone, point, mtu)
            ]
            impacts += [0] * (len(impacts) < len(self.counted(place.zone, relieved_by, span)))
            known = self._reaches[key] = min(impacts) if place.zone else max(impacts)
        return known

    def _impacted_ppm(self, unit: str, *, buys: bool) -> dict[str, Watts]:
        """The points at which a unit has any impact, with its factors."""
        known = self._impacted.get((unit, buys))
        if known is None:
            members = self.participants.members(unit)
            if len(members) == 1:
                name, tables = members[0].resource, self.needs.impacts_ppm.items()
                found = {point: table[name] for point, table in tables if name in table and point in self.needs.points}
            else:
                found = {point: self.impact_ppm(unit, point, buys=buys) for point in self.needs.points}
            known = self._impacted[unit, buys] = {point: row for point, row in found.items() if any(row)}
        return known

    def ratio(self, buy: Place, sell: Place, relieved_by: Regulation, span: Span) -> Ratio | None:
        """How orders of two places exchange over a span; None where the seller cannot serve the buyer.

        `relieved_by` is the seller's regulation. The seller needs an impact wherever the buyer loads a point at which
        it counts.
        """
        key = (self.name(buy), self.name(sell), relieved_by, span.first, span.end)
        if key not in self._ratios:
            self._ratios[key] = self._ratio(buy, sell, relieved_by, span)
        return self._ratios[key]

    def _ratio(self, buy: Place, sell: Place, relieved_by: Regulation, span: Span) -> Ratio | None:
        if self.needs.rulebook.exchange is Exchange.BALANCED:
            return Ratio(buy.zone, 1, 1) if buy.zone == sell.zone else None
        floor = max(self.needs.rulebook.min_impact_ppm, 1)
        most: Ratio | None = None
        loads, reliefs = self._impacted_ppm(buy.unit, buys=True), self._impacted_ppm(sell.unit, buys=False)
        for point in sorted(loads):
            if not buy.zone and point not in self._relieved_by(relieved_by):
                continue
            for mtu in span.mtus:
                load = loads[point][mtu]
                if load <= 0 or not self._counts_at(buy.zone, point, mtu):
                    continue
                relief = reliefs[point][mtu] if point in reliefs and sell.zone in (EVERYWHERE, point) else 0
                if relief < floor:
                    return None
                if most is None or load * most.ppm_sell > most.ppm_buy * relief:
                    most = Ratio(point, load, relief)
        return most

    def loads_ppm(self, place: Place, relieved_by: Regulation) -> dict[str, Watts]:
        """What a watt that a place buys loads points with, where it counts there, per MTU; the others are left out."""
        rows = {
            point: tuple([ppm if ppm > 0 and counts else 0 for ppm, counts in zip(row, needed, strict=True)])
            for point, row in self._impacted_ppm(place.unit, buys=True).items()
            if point in self._relieved_by(relieved_by) and (needed := self._counting(place.zone, point))
        }
        return {point: row for point, row in rows.items() if any(row)}

    def reliefs_ppm(self, place: Place, relieved_by: Regulation) -> dict[str, Watts]:
        """What a watt that a place sells relieves points by, per MTU, 0 below the least impact; others are left out."""
        floor = max(self.needs.rulebook.min_impact_ppm, 1)
        rows = {
            point: tuple(ppm if ppm >= floor else 0 for ppm in row)
            for point, row in self._impacted_ppm(place.unit, buys=False).items()
            if point in self._relieved_by(relieved_by) and place.zone in (EVERYWHERE, point)
        }
        return {point: row for point, row in rows.items() if any(row)}

    def _counting(self, zone: str, point: str) -> tuple[bool, ...]:
        """`_counts_at` in every MTU, or nothing where it is so in none."""
        if zone:
            return (True,) * self.needs.mtu_count if zone == point else ()
        known = self._needed.get(point)
        if known is None:
            known = self._needed[point] = tuple(self.in_need(point, mtu) for mtu in range(self.needs.mtu_count))
        return known

    def _counts_at(self, zone: str, point: str, mtu: int) -> bool:
        """Whether an order restricted to a point, or to none, counts at a point of its direction."""
        return zone == point if zone else self.in_need(point, mtu)

    def _relieved_by(self, regulation: Regulation) -> frozenset[str]:
        known = self._relieved.get(regulation)
        if known is None:
            known = self._relieved[regulation] = frozenset(self.points(regulation))
        return known
