"""Every book of the market, folded from the same events as the state and rebuilt from it at will."""

from collections.abc import Callable, Iterable, Iterator

from flexpeer.market.matching.book import Book
from flexpeer.market.matching.view import View
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
from flexpeer.market.trades import TradeConcluded
from flexpeer.periods import Span

MakeBook = Callable[[], Book]


class Books:
    """One book for each zone and span with open orders."""

    def __init__(self, make_book: MakeBook) -> None:
        self._make_book = make_book
        self._books: dict[tuple[str, Span], Book] = {}
        self._spans: dict[str, tuple[Span, ...]] = {}
        self._spans_from: dict[tuple[str, int], tuple[Span, ...]] = {}
        self._resting: dict[str, tuple[int, tuple[str, Span]]] = {}
        self._order_of: dict[int, str] = {}

    def evolve(self, view: View, event: object) -> None:
        """Follow an event; `view` is the market after it."""
        match event:
            case OrderPlaced(order, _):
                self._add(view, order)
            case OrderAmended(order_id):
                self._drop(order_id)
                self._add(view, view.orders.orders[order_id])
            case OrderWithdrawn() | OrderKilled() | OrderExpired():
                self._drop(event.order)
            case TradeConcluded():
                for order_id in event.fills_w:
                    order = view.orders.orders[order_id]
                    if order.status is not Status.OPEN:
                        self._drop(order_id)
                    elif order_id not in self._resting:
                        self._add(view, order)
            case _:
                pass

    def rebuild(self, view: View) -> None:
        """Forget everything and take the open orders of a state."""
        self.__init__(self._make_book)  # type: ignore[misc]
        for order in sorted(view.orders.orders.values(), key=lambda order: order.number):
            self._add(view, order)

    def spans(self, zone: str) -> tuple[Span, ...]:
        """The spans that orders of a zone have had, in order."""
        return self._spans.get(zone, ())

    def spans_from(self, zone: str, first: int) -> tuple[Span, ...]:
        """The spans of `spans` that begin at an MTU."""
        return self._spans_from.get((zone, first), ())

    def meets(self, view: View, order: Order, span: Span, before: int) -> Iterator[Order]:
        """Open orders of the other side of `order` in the book of `span`, in priority order.

        Within the order's own span only those that cross it at the first MTU; the caller compares the others.
        Only orders that arrived before number `before`.
        """
        book = self._books.get((order.zone, span))
        if book is None:
            return
        if order.span.covers(span):
            ppm = view.ppm(order)[span.first]
            numbers: Iterable[int] = book.candidates(order.side, order.price_minor, ppm, before)
        else:
            numbers = (number for number in book.resting(order.side.opposite) if number < before)
        for number in numbers:
            met = view.current(self._order_of[number], number)
            if met is not None and met.organisation != order.organisation:
                yield met

    def resting(self, zone: str, span: Span, side: Side) -> tuple[str, ...]:
        """Ids of the orders of one side in a book, in order of priority."""
        book = self._books.get((zone, span))
        return tuple(self._order_of[number] for number in book.resting(side)) if book is not None else ()

    def _add(self, view: View, order: Order) -> None:
        if order.status is not Status.OPEN:
            return
        place = (order.zone, order.span)
        book = self._books.get(place)
        if book is None:
            book = self._books[place] = self._make_book()
            self._spans[order.zone] = tuple(sorted((*self.spans(order.zone), order.span)))
            start = (order.zone, order.span.first)
            self._spans_from[start] = tuple(sorted((*self.spans_from(*start), order.span)))
        book.add(order.number, order.side, order.price_minor, view.ppm(order)[order.span.first])
        self._resting[order.order] = (order.number, place)
        self._order_of[order.number] = order.order

    def _drop(self, order_id: str) -> None:
        known = self._resting.pop(order_id, None)
        if known is not None:
            number, place = known
            self._books[place].remove(number)
            del self._order_of[number]
