"""Every book of the market, folded from the same events as the state and rebuilt from it at will."""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from flexpeer.compiled import compiled
from flexpeer.market.matching.book import Book, Numbers, Terms
from flexpeer.market.matching.meetings import (
    Block,
    LineMoved,
    Matching,
    Meeting,
    MeetingBlocked,
    MeetingsWoken,
    SweepEnded,
    WakingEnded,
)
from flexpeer.market.matching.view import View, place_of
from flexpeer.market.needs import Needs, Regulation
from flexpeer.market.orders import (
    Order,
    OrderAmended,
    OrderExpired,
    OrderKilled,
    OrderWithdrawn,
    Side,
    Status,
)
from flexpeer.market.participants import Participants
from flexpeer.market.places import Place, Places
from flexpeer.market.rulebook import Exchange
from flexpeer.market.trades import ReservationsReleased, TradeConcluded
from flexpeer.periods import Span

MakeBook = Callable[[], Book]


class Page(NamedTuple):
    """Which book: orders of one side, regulation and span rest together."""

    side: Side
    regulation: Regulation
    span: Span

    def opposite(self, span: Span) -> Page:
        """The page of those it trades with, of a span."""
        return Page(self.side.opposite, self.regulation.opposite, span)


class Stand(NamedTuple):
    """A book, the places that have had orders in it, and the index of each."""

    book: Book
    places: list[Place]
    at: dict[str, int]


@compiled
def _exchange(loads: Numbers, reliefs: Numbers, most_load: Numbers, most_relief: Numbers) -> None:
    """The impact factors that set the ratio of each pair (rows); 0 and 0 where the seller cannot serve the buyer.

    `loads`, `reliefs` are (pairs or 1, points x MTUs), ppm, 0 where an order does not count. As `Places.ratio`.
    """
    for pair in range(len(most_load)):
        load_row, relief_row = loads[pair % len(loads)], reliefs[pair % len(reliefs)]
        most_load[pair], most_relief[pair] = 0, 1
        for at in range(len(load_row)):
            load, relief = load_row[at], relief_row[at]
            if load == 0:
                continue
            if relief == 0:
                most_load[pair], most_relief[pair] = 0, 0
                break
            if load * most_relief[pair] > most_load[pair] * relief:
                most_load[pair], most_relief[pair] = load, relief
        if most_load[pair] == 0:
            most_relief[pair] = 0


class Books:
    """One book for each side, regulation and span with orders, and on what terms places exchange."""

    def __init__(self, make_book: MakeBook) -> None:
        self._make_book = make_book
        self.places = Places(Participants(), Needs())
        self._pages: dict[Page, Stand] = {}
        self._spans: dict[tuple[Side, Regulation], tuple[Span, ...]] = {}
        self._around: dict[Page, tuple[Span, ...]] = {}
        self._terms: dict[tuple[str, Page, Span], Terms] = {}
        self._factors: dict[tuple[str, Regulation, Side], Numbers] = {}
        self._counts: dict[tuple[Page, Span], Numbers] = {}
        self._blocks: dict[str, Block] = {}
        self._asleep: dict[tuple[str, Page], set[str]] = {}
        self._asleep_at: dict[tuple[str, str, int | None], set[str]] = {}
        self._awake: set[str] = set()
        self._tentative: list[str] = []
        self._line: list[tuple[int, str]] = []
        self._resting: dict[str, tuple[int, Page, str]] = {}
        self._order_of: dict[int, str] = {}
        self._of_unit: dict[str, set[str]] = {}
        self._reached = 0

    def evolve(self, view: View, event: object) -> None:
        """Follow an event; `view` is the market after it. Orders rest here once they have had their first sweep."""
        self._follow(view)
        match event:
            case OrderAmended(order_id):
                self._drop(order_id)
                self._rest(view.orders.orders[order_id])
            case SweepEnded(order_id, number):
                self._reached = max(self._reached, number)
                self._tentative.clear()
                self._rest(view.orders.orders[order_id])
            case OrderWithdrawn() | OrderKilled() | OrderExpired():
                self._drop(event.order)
            case TradeConcluded():
                for order_id in event.fills_w:
                    self._filled(view.orders.orders[order_id])
            case _:
                self._follow_meetings(event)

    def _filled(self, order: Order) -> None:
        if order.status is not Status.OPEN:
            self._drop(order.order)
        else:
            self._rest(order)

    def _rest(self, order: Order) -> None:
        if order.number <= self._reached and order.order not in self._resting:
            self._add(order)

    def _follow_meetings(self, event: object) -> None:
        match event:
            case MeetingBlocked(name, block):
                self._sleep(name, block)
            case MeetingsWoken(names, _, later):
                for name in () if later else names:
                    self._wake(name)
                self._line = [(0, name) for name in sorted(self._awake)]
            case LineMoved(_, names):
                for name in names:
                    self._wake(name)
                self._line = [(0, name) for name in sorted(self._awake)]
            case ReservationsReleased():
                for name in self._tentative:
                    self._wake(name)
                    self._awake.discard(name)
                self._tentative.clear()
            case WakingEnded():
                self._awake.clear()
            case _:
                pass

    def rebuild(self, view: View, matching: Matching) -> None:
        """Forget everything and take the open orders of a state, and what sleeps or has woken."""
        self.__init__(self._make_book)  # type: ignore[misc]
        self._reached = matching.reached
        for order in sorted(view.orders.orders.values(), key=lambda order: order.number):
            self._rest(order)
        for name, block in matching.blocks.items():
            self._sleep(name, block)
        self._awake = set(matching.awake)
        self._line = [(0, name) for name in sorted(self._awake)]

    def spans_from(self, side: Side, regulation: Regulation, first: int) -> Iterator[Span]:
        """The spans that orders of a side and regulation have had from an MTU on, in order."""
        spans = self._spans.get((side, regulation), ())
        for at in range(bisect_left(spans, Span(first, first)), len(spans)):
            if spans[at].first != first:
                return
            yield spans[at]

    def spans_around(self, page: Page) -> tuple[Span, ...]:
        """The longer spans, which cover its own, that orders of a page's side and regulation have had, in order."""
        known = self._around.get(page)
        if known is None:
            spans = self._spans.get((page.side, page.regulation), ())
            known = tuple(span for span in spans if span != page.span and span.covers(page.span))
            self._around[page] = known
        return known

    def meets(
        self, view: View, order: Order, span: Span, before: int, own: list[Order] | None = None
    ) -> Iterator[Order]:
        """Open orders of the other side that cross this one in the book of a span, in priority order.

        Only those that came before a number and are of another organisation; others of its own join `own`. Of its own
        span only from places it does not avoid because their meeting sleeps.
        """
        page = Page(order.side, order.regulation, order.span)
        stand = self._pages.get(page.opposite(span))
        if stand is None or not len(stand.book):
            return
        terms = self._of(view, order, page, span)
        limit = order.price_minor if order.side is Side.BUY else -order.price_minor
        for number in stand.book.candidates(terms, limit, before):
            met = view.current(self._order_of[number], number)
            if met is None:
                continue
            if met.organisation != order.organisation:
                yield met
            elif own is not None:
                own.append(met)

    def of_unit(self, unit: str) -> list[str]:
        """Orders of a unit that rest, in order of arrival."""
        return sorted(self._of_unit.get(unit, ()), key=lambda order: self._resting[order][0])

    def resting(self, page: Page) -> tuple[str, ...]:
        """Ids of the orders in a book, in order of arrival."""
        stand = self._pages.get(page)
        return tuple(self._order_of[number] for number in stand.book.resting()) if stand is not None else ()

    def next_woken(self, awake: Mapping[str, object], after: int) -> int | None:
        """The first number above one whose order crosses an earlier one in a meeting that has woken."""
        while self._line:
            known, name = self._line[0]
            if name not in awake:
                heapq.heappop(self._line)
                continue
            number = self._first_crossing(name, after)
            if number == 0:
                heapq.heappop(self._line)
            elif number > known:
                heapq.heapreplace(self._line, (number, name))
            else:
                return number
        return None

    def named(self, number: int) -> str:
        """The order that rests under a number."""
        return self._order_of[number]

    def _first_crossing(self, name: str, after: int) -> int:
        meeting = Meeting.read(name)
        if meeting is None:
            return 0
        sells = self._pages.get(Page(Side.SELL, meeting.relieved_by, meeting.span))
        buys = self._pages.get(Page(Side.BUY, meeting.relieved_by.opposite, meeting.span))
        if sells is None or buys is None or meeting.buy not in buys.at or meeting.sell not in sells.at:
            return 0
        place, at = sells.at[meeting.sell], buys.at[meeting.buy]
        ratio = self.places.ratio(buys.places[at], sells.places[place], meeting.relieved_by, meeting.span)
        if ratio is None:
            return 0
        return sells.book.first_crossing(place, buys.book, at, (ratio.ppm_sell, ratio.ppm_buy), after)

    def asleep_at(self, owner: str, element: str, mtu: int | None) -> list[str]:
        """What sleeps because of an element."""
        return sorted(self._asleep_at.get((owner, element, mtu), ()))

    def meetings_of(self, order: Order) -> Iterator[str]:
        """The meetings of an order's place that do not sleep."""
        page = Page(order.side, order.regulation, order.span)
        stand = self._pages.get(page.opposite(order.span))
        sells = order.side is Side.SELL
        relieved_by = order.regulation if sells else order.regulation.opposite
        for place in stand.places if stand else ():
            its = self.places.name(place)
            buy, sell = (its, order.place) if sells else (order.place, its)
            name = Meeting(buy, sell, relieved_by, order.span).name
            if name not in self._blocks:
                yield name

    def _sleep(self, name: str, block: Block) -> None:
        """A meeting is avoided from now on."""
        self._wake(name)
        self._awake.discard(name)
        self._blocks[name] = block
        self._asleep_at.setdefault((block.owner, block.element, block.mtu), set()).add(name)
        if block.tentative:
            self._tentative.append(name)
        self._mark(name, asleep=True)

    def _wake(self, name: str) -> None:
        """A meeting is no longer avoided."""
        block = self._blocks.pop(name, None)
        if block is not None:
            self._asleep_at[block.owner, block.element, block.mtu].discard(name)
            self._mark(name, asleep=False)
        self._awake.add(name)

    def _mark(self, name: str, *, asleep: bool) -> None:
        meeting = Meeting.read(name)
        if meeting is None:
            return
        for side, own, its in ((Side.BUY, meeting.buy, meeting.sell), (Side.SELL, meeting.sell, meeting.buy)):
            regulation = meeting.relieved_by if side is Side.SELL else meeting.relieved_by.opposite
            page = Page(side, regulation, meeting.span)
            others = self._asleep.setdefault((own, page), set())
            others.add(its) if asleep else others.discard(its)
            terms, stand = self._terms.get((own, page, meeting.span)), self._pages.get(page.opposite(meeting.span))
            at = stand.at.get(its) if stand else None
            if terms is not None and at is not None and at < len(terms):
                terms.asleep[at] = asleep

    def _of(self, view: View, order: Order, page: Page, span: Span) -> Terms:
        """The terms of an order's place in the book of a span."""
        self._follow(view)
        key = (order.place, page, span)
        terms = self._terms.get(key)
        if terms is None:
            terms = self._terms[key] = Terms()
        stand = self._pages[page.opposite(span)]
        if len(terms) < len(stand.places):
            self._extend(terms, order, page, stand, span)
        return terms

    def _follow(self, view: View) -> None:
        """Forget what was derived from other participants, points or needs."""
        if view.places is not self.places:
            self.places = view.places
            self._terms.clear()
            self._factors.clear()
            self._counts.clear()

    def _extend(self, terms: Terms, order: Order, page: Page, stand: Stand, span: Span) -> None:
        known, new = len(terms), stand.places[len(terms) :]
        if self.places.needs.rulebook.exchange is Exchange.BALANCED:
            alike = np.array([place.zone == order.zone for place in new], dtype=np.int64)
            terms.extend(alike, alike)
        else:
            common = span if order.span.covers(span) else order.span
            own = self._factor(place_of(order), page.regulation, page.side, common)[None, :]
            its = self._counted(page.opposite(span), stand, common)[known:]
            found = np.zeros((2, len(new)), dtype=np.int64)
            loads, reliefs = (own, its) if page.side is Side.BUY else (its, own)
            _exchange(loads, reliefs, found[0], found[1])
            terms.extend(found[0], found[1]) if page.side is Side.BUY else terms.extend(found[1], found[0])
        asleep = self._asleep.get((order.place, page)) if span == order.span else None
        if asleep:
            terms.asleep[known:] = [self.places.name(place) in asleep for place in new]

    def _counted(self, page: Page, stand: Stand, span: Span) -> Numbers:
        """What `_factor` has of each place of a book for a span within the book's own, (places, points x MTUs)."""
        known = self._counts.get((page, span))
        new = stand.places[0 if known is None else len(known) :]
        if new:
            rows = np.stack([self._factor(place, page.regulation, page.side, span) for place in new])
            known = self._counts[page, span] = rows if known is None else np.concatenate((known, rows))
        assert known is not None, "a book has places"
        return known

    def _factor(self, place: Place, regulation: Regulation, side: Side, span: Span) -> Numbers:
        """What a watt of a place's orders counts for at each point and MTU of a span, one after the other, ppm."""
        key = (self.places.name(place), regulation, side)
        known = self._factors.get(key)
        if known is None:
            sells = side is Side.SELL
            relieved_by = regulation if sells else regulation.opposite
            rows = self.places.reliefs_ppm(place, relieved_by) if sells else self.places.loads_ppm(place, relieved_by)
            known = np.array(rows, dtype=np.int64).reshape(len(rows), self.places.needs.mtu_count)
            self._factors[key] = known
        return np.ascontiguousarray(known[:, span.first : span.end]).ravel()

    def _add(self, order: Order) -> None:
        if order.status is not Status.OPEN or order.residual:
            return
        page = Page(order.side, order.regulation, order.span)
        stand = self._pages.get(page)
        if stand is None:
            stand = self._pages[page] = Stand(self._make_book(), [], {})
            group = (order.side, order.regulation)
            self._spans[group] = tuple(sorted((*self._spans.get(group, ()), order.span)))
            self._around.clear()
        at = stand.at.setdefault(order.place, len(stand.places))
        if at == len(stand.places):
            stand.places.append(place_of(order))
        stand.book.add(order.number, at, order.price_minor if order.side is Side.SELL else -order.price_minor)
        self._resting[order.order] = (order.number, page, order.unit)
        self._order_of[order.number] = order.order
        self._of_unit.setdefault(order.unit, set()).add(order.order)

    def _drop(self, order_id: str) -> None:
        known = self._resting.pop(order_id, None)
        if known is not None:
            number, page, unit = known
            self._pages[page].book.remove(number)
            del self._order_of[number]
            self._of_unit[unit].discard(order_id)
