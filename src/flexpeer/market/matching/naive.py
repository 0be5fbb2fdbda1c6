"""The oracle of the books: lists and fractions, to be read rather than run. It passes the same tests."""

from bisect import insort
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from flexpeer.market.matching.book import Book, Terms
from flexpeer.market.rulebook import Priority


class Resting(NamedTuple):
    """A resting order: its place in the order of arrival, its place in the grid, and what it asks for a watt."""

    number: int
    place: int
    ask_minor: int


def _cost(order: Resting, terms: Terms) -> Fraction:
    """What a watt of the order costs the taker, per watt of its own."""
    return Fraction(order.ask_minor * int(terms.own[order.place]), int(terms.its[order.place]))


class NaiveBook:
    """One list in order of arrival; candidates are found by going through it."""

    def __init__(self, priority: Priority) -> None:
        self._by_price = priority is Priority.PRICE_TIME
        self._resting: list[Resting] = []

    def __len__(self) -> int:
        return len(self._resting)

    def add(self, number: int, place: int, ask_minor: int) -> None:
        """See `Book.add`."""
        assert all(order.number != number for order in self._resting)
        insort(self._resting, Resting(number, place, ask_minor))

    def remove(self, number: int) -> None:
        """See `Book.remove`."""
        found = [order for order in self._resting if order.number == number]
        if not found:
            raise KeyError(number)
        self._resting.remove(found[0])

    def resting(self) -> tuple[int, ...]:
        """See `Book.resting`."""
        return tuple(order.number for order in self._resting)

    def candidates(self, terms: Terms, limit_minor: int, before: int) -> Iterator[int]:
        """See `Book.candidates`."""
        crossing = [
            order
            for order in self._resting
            if order.number < before
            and order.place < len(terms.own)
            and terms.own[order.place] > 0
            and not terms.asleep[order.place]
            and _cost(order, terms) <= limit_minor
        ]
        if self._by_price:
            crossing.sort(key=lambda order: (_cost(order, terms), order.number))
        yield from (order.number for order in crossing)

    def first_crossing(self, place: int, other: Book, at: int, terms: tuple[int, int], after: int) -> int:
        """See `Book.first_crossing`."""
        assert isinstance(other, NaiveBook)
        own, its = terms
        later = [
            max(one.number, two.number)
            for one in self._resting
            for two in other._resting
            if one.place == place and two.place == at and one.ask_minor * its <= -two.ask_minor * own
        ]
        return min((number for number in later if number > after), default=0)
