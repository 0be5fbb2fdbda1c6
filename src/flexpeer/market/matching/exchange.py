"""On what terms places exchange, found once for all orders of two places: `Places.ratio` for many pairs at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flexpeer.compiled import compiled
from flexpeer.market.matching.book import Numbers
from flexpeer.market.matching.view import place_of
from flexpeer.market.needs import Regulation, Watts
from flexpeer.market.orders import Order, Side
from flexpeer.market.places import Place, Places
from flexpeer.market.rulebook import Exchange
from flexpeer.periods import Span

NO_POINT = -1


class PlaceFactors:
    """What a watt of each place counts for on one side and regulation, at the points where it counts at all.

    `points` (places, most points) are these points in ascending order, then `NO_POINT`; `ppm` (places, most points,
    MTUs) the impact factors there, 0 in MTUs in which an order does not count.
    """

    def __init__(self, mtu_count: int) -> None:
        self.count = 0
        self.points: Numbers = np.full((8, 4), NO_POINT, dtype=np.int64)
        self.ppm: Numbers = np.zeros((8, 4, mtu_count), dtype=np.int64)

    def add(self, rows: Sequence[tuple[int, Watts]]) -> None:
        """The next place, by the indexes and factors of the points where it counts, in ascending order."""
        places, most, mtu_count = self.ppm.shape
        if self.count == places or len(rows) > most:
            shape = (2 * places if self.count == places else places, max(most, len(rows)))
            points, ppm = np.full(shape, NO_POINT, dtype=np.int64), np.zeros((*shape, mtu_count), dtype=np.int64)
            points[:places, :most], ppm[:places, :most] = self.points, self.ppm
            self.points, self.ppm = points, ppm
        for at, (point, row) in enumerate(rows):
            self.points[self.count, at], self.ppm[self.count, at] = point, row
        self.count += 1


@compiled
def _set_ratio(
    loads: Numbers, loaded: Numbers, reliefs: Numbers, relieved: Numbers, first: int, end: int
) -> tuple[int, int]:
    """The impact factors that set the ratio of two places in a span; 0 and 0 where the seller cannot serve the buyer.

    `loads`, `reliefs` are (points, MTUs) at the points `loaded` and `relieved`, as `PlaceFactors` has them.
    """
    most_load, most_relief, at = 0, 1, 0
    for load in range(len(loaded)):
        if loaded[load] == NO_POINT:
            break
        while at < len(relieved) and NO_POINT < relieved[at] < loaded[load]:
            at += 1
        there = at < len(relieved) and relieved[at] == loaded[load]
        for mtu in range(first, end):
            load_ppm, relief_ppm = loads[load, mtu], reliefs[at, mtu] if there else 0
            if load_ppm == 0:
                continue
            if relief_ppm == 0:
                return 0, 0
            if load_ppm * most_relief > most_load * relief_ppm:
                most_load, most_relief = load_ppm, relief_ppm
    return (most_load, most_relief) if most_load else (0, 0)


@compiled
def _fill(  # noqa: PLR0913, PLR0917 (a kernel takes arrays one by one)
    buys: bool, own: Numbers, own_points: Numbers, its: Numbers, its_points: Numbers, first: int, end: int,
    known: int, own_ppm: Numbers, its_ppm: Numbers,
) -> None:  # fmt: skip
    """The impact factors on which a taker, who buys or sells, exchanges with each place from `known` on."""
    for place in range(known, len(own_ppm)):
        if buys:
            load, relief = _set_ratio(own, own_points, its[place], its_points[place], first, end)
            own_ppm[place], its_ppm[place] = load, relief
        else:
            load, relief = _set_ratio(its[place], its_points[place], own, own_points, first, end)
            own_ppm[place], its_ppm[place] = relief, load


class Rates:
    """The impact factors on which one place exchanges with every other, as `Terms` has them; rows that grow."""

    def __init__(self) -> None:
        self.own: Numbers = np.zeros(0, dtype=np.int64)
        self.its: Numbers = np.zeros(0, dtype=np.int64)
        self._room: Numbers = np.zeros((2, 0), dtype=np.int64)

    def grow(self, count: int) -> None:
        """So many places from now on; the new ones are to be filled in."""
        known = len(self.own)
        if count > self._room.shape[1]:
            room = np.zeros((2, max(count, 2 * known)), dtype=np.int64)
            room[:, :known] = self._room[:, :known]
            self._room = room
        self.own, self.its = self._room[0, :count], self._room[1, :count]


class PlaceTerms:
    """The places of all orders that have rested, by index, and how each exchanges with all of them."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.known: list[Place] = []
        self._at: dict[str, int] = {}
        self._factors: dict[tuple[Side, Regulation], PlaceFactors] = {}
        self._rates: dict[tuple[str, Side, Regulation, Span], Rates] = {}

    def follow(self, places: Places) -> None:
        """Forget what was derived from other participants, points or needs."""
        if places is not self.places:
            self.places = places
            self._factors.clear()
            self._rates.clear()

    def index(self, order: Order) -> int:
        """The index of an order's place."""
        at = self._at.get(order.place)
        if at is None:
            at = self._at[order.place] = len(self.known)
            self.known.append(place_of(order))
        return at

    def at(self, place: str) -> int | None:
        """The index of a place by its name, if an order has rested there."""
        return self._at.get(place)

    def of(self, order: Order, span: Span) -> Rates:
        """How an order's place exchanges with all places in a span."""
        at, key = self.index(order), (order.place, order.side, order.regulation, span)
        rates = self._rates.get(key)
        if rates is None:
            rates = self._rates[key] = Rates()
        if len(rates.own) < len(self.known):
            self._extend(rates, order, at, span)
        return rates

    def _extend(self, rates: Rates, order: Order, at: int, span: Span) -> None:
        known = len(rates.own)
        rates.grow(len(self.known))
        if self.places.needs.rulebook.exchange is Exchange.BALANCED:
            rates.own[known:] = rates.its[known:] = [place.zone == order.zone for place in self.known[known:]]
            return
        own = self._factors_of(order.side, order.regulation)
        its = self._factors_of(order.side.opposite, order.regulation.opposite)
        _fill(
            order.side is Side.BUY, own.ppm[at], own.points[at], its.ppm, its.points, span.first, span.end, known,
            rates.own, rates.its,
        )  # fmt: skip

    def _factors_of(self, side: Side, regulation: Regulation) -> PlaceFactors:
        found = self._factors.get((side, regulation))
        if found is None:
            found = self._factors[side, regulation] = PlaceFactors(self.places.needs.mtu_count)
        if found.count == len(self.known):
            return found
        relieved_by = regulation if side is Side.SELL else regulation.opposite
        ppm = self.places.reliefs_ppm if side is Side.SELL else self.places.loads_ppm
        index = {point: at for at, point in enumerate(self.places.points(relieved_by))}
        while found.count < len(self.known):
            rows = ppm(self.known[found.count], relieved_by)
            found.add(sorted((index[point], row) for point, row in rows.items()))
        return found
