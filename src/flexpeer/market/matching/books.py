"""Every book of the market, folded from the same events as the state and rebuilt from it at will."""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from flexpeer.market.matching.book import Book, Flags, Terms
from flexpeer.market.matching.crossing import may_meet
from flexpeer.market.matching.exchange import PlaceTerms
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
from flexpeer.market.matching.view import View
from flexpeer.market.needs import Needs, Regulation
from flexpeer.market.orders import (
    Order,
    OrderAmended,
    OrderExpired,
    OrderKilled,
    OrderPlaced,
    OrderWithdrawn,
    Side,
    Status,
)
from flexpeer.market.participants import Participants
from flexpeer.market.places import Places
from flexpeer.market.trades import MatchProposed, ReservationsReleased, TradeConcluded, VerdictRecorded
from flexpeer.periods import Span

MakeBook = Callable[[], Book]
NOTHING_TO_FOLLOW = frozenset((OrderPlaced, MatchProposed, VerdictRecorded))
"""Events that change no book."""


class Page(NamedTuple):
    """Which book: orders of one side, regulation and span rest together."""

    side: Side
    regulation: Regulation
    span: Span

    def opposite(self, span: Span) -> Page:
        """The page of those it trades with, of a span."""
        return Page(self.side.opposite, self.regulation.opposite, span)


class Stand(NamedTuple):
    """A book, and the names of the places that have had orders in it, in that order."""

    book: Book
    places: dict[str, None]


class Books:
    """One book for each side, regulation and span with orders, and on what terms places exchange."""

    def __init__(self, make_book: MakeBook) -> None:
        self._make_book = make_book
        self.places = Places(Participants(), Needs())
        self._exchange = PlaceTerms(self.places)
        self._pages: dict[Page, Stand] = {}
        self._spans: dict[tuple[Side, Regulation], tuple[Span, ...]] = {}
        self._around: dict[Page, tuple[Span, ...]] = {}
        self._blocks: dict[str, Block] = {}
        self._asleep: dict[tuple[str, Page], Flags] = {}
        self._nobody: Flags = np.zeros(64, dtype=np.bool_)
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
            case TradeConcluded():
                for order_id in event.fills_w:
                    self._filled(view.orders.orders[order_id])
            case SweepEnded(order_id, number):
                self._reached = max(self._reached, number)
                self._tentative.clear()
                self._rest(view.orders.orders[order_id])
            case OrderAmended(order_id):
                self._drop(order_id)
                self._rest(view.orders.orders[order_id])
            case OrderWithdrawn() | OrderKilled() | OrderExpired():
                self._drop(event.order)
            case _:
                self._follow_meetings(view, event)

    def _filled(self, order: Order) -> None:
        if order.status is not Status.OPEN:
            self._drop(order.order)
        else:
            self._rest(order)

    def _rest(self, order: Order) -> None:
        if order.number <= self._reached and order.order not in self._resting:
            self._add(order)

    def _follow_meetings(self, view: View, event: object) -> None:
        match event:
            case MeetingBlocked(name, block):
                self._sleep(view, name, block)
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
            self._sleep(view, name, block)
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
        terms = self._terms(view, order, page, span)
        limit = order.price_minor if order.side is Side.BUY else -order.price_minor
        for number in stand.book.candidates(terms, limit, before):
            met = view.current(self._order_of[number], number)
            if met is None:
                continue
            if may_meet(met.organisation, order.organisation):
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
        at, place = self._exchange.at(meeting.buy), self._exchange.at(meeting.sell)
        if sells is None or buys is None or at is None or place is None:
            return 0
        known = self._exchange.known
        ratio = self.places.ratio(known[at], known[place], meeting.relieved_by, meeting.span)
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
        for its in stand.places if stand else ():
            buy, sell = (its, order.place) if sells else (order.place, its)
            name = Meeting(buy, sell, relieved_by, order.span).name
            if name not in self._blocks:
                yield name

    def _sleep(self, view: View, name: str, block: Block) -> None:
        """A meeting is avoided from now on."""
        self._wake(name)
        self._awake.discard(name)
        self._blocks[name] = block
        self._asleep_at.setdefault((block.owner, block.element, block.mtu), set()).add(name)
        if block.tentative:
            self._tentative.append(name)
        for order in block.orders:
            self._exchange.index(view.orders.orders[order])
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
            at, page = self._exchange.at(its), Page(side, regulation, meeting.span)
            assert at is not None, "a meeting sleeps between places of orders"
            self._sleepers(own, page)[at] = asleep

    def _sleepers(self, place: str, page: Page) -> Flags:
        """Which places those of one do not meet for now in the book opposite a page."""
        known, count = self._asleep.get((place, page)), len(self._exchange.known)
        if known is None or len(known) < count:
            room = np.zeros(2 * count, dtype=np.bool_)
            if known is not None:
                room[: len(known)] = known
            known = self._asleep[place, page] = room
        return known

    def _terms(self, view: View, order: Order, page: Page, span: Span) -> Terms:
        """The terms of an order's place in the book of a span."""
        self._follow(view)
        rates = self._exchange.of(order, span if order.span.covers(span) else order.span)
        if span == order.span and (order.place, page) in self._asleep:
            return Terms(rates.own, rates.its, self._sleepers(order.place, page))
        if len(self._nobody) < len(rates.own):
            self._nobody = np.zeros(2 * len(rates.own), dtype=np.bool_)
        return Terms(rates.own, rates.its, self._nobody)

    def _follow(self, view: View) -> None:
        """Forget what was derived from other participants, points or needs."""
        self.places = view.places
        self._exchange.follow(view.places)

    def _add(self, order: Order) -> None:
        if order.status is not Status.OPEN or order.residual:
            return
        page = Page(order.side, order.regulation, order.span)
        stand = self._pages.get(page)
        if stand is None:
            stand = self._pages[page] = Stand(self._make_book(), {})
            group = (order.side, order.regulation)
            self._spans[group] = tuple(sorted((*self._spans.get(group, ()), order.span)))
            self._around.clear()
        stand.places[order.place] = None
        ask_minor = order.price_minor if order.side is Side.SELL else -order.price_minor
        stand.book.add(order.number, self._exchange.index(order), ask_minor)
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
