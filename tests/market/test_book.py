"""What every book does: one suite for the naive and the compiled one."""

from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexpeer.market.matching.book import Book, Terms
from flexpeer.market.matching.compiled_book import CompiledBook
from flexpeer.market.matching.naive import NaiveBook
from flexpeer.market.rulebook import Priority
from flexpeer.quantities import IMPACT_LIMIT_PPM, PRICE_LIMIT_MINOR

BOOKS = (NaiveBook, CompiledBook)
Make = type[NaiveBook] | type[CompiledBook]
every_book = pytest.mark.parametrize("make", BOOKS)

Entry = tuple[int, int]
PLACES = 4
entries = st.tuples(st.integers(0, PLACES - 1), st.integers(-3, 4))
LATE = 10**6


def terms(*pairs: tuple[int, int], asleep: tuple[int, ...] = ()) -> Terms:
    """Impact factors (own, its) of each place, and which sleep."""
    own, its = np.array([own for own, _ in pairs]), np.array([its for _, its in pairs])
    return Terms(own, its, np.array([place in asleep for place in range(len(pairs))]))


def filled(make: Make, priority: Priority, orders: list[Entry]) -> Book:
    """Orders (place, ask), numbered from 1."""
    book: Book = make(priority)
    for number, (place, ask_minor) in enumerate(orders, 1):
        book.add(number, place, ask_minor)
    return book


@every_book
def test_time_priority_meets_crossing_orders_of_all_places_in_order_of_arrival(make: Make) -> None:
    book = filled(make, Priority.TIME, [(0, 50), (1, 90), (1, 20), (0, 40)])
    assert list(book.candidates(terms((1, 1), (1, 1)), 60, LATE)) == [1, 3, 4]


@every_book
def test_price_time_priority_meets_what_costs_the_taker_least_first(make: Make) -> None:
    book = filled(make, Priority.PRICE_TIME, [(0, 50), (1, 45), (0, 20), (1, 10), (2, 99)])
    assert list(book.candidates(terms((10, 10), (10, 5), (10, 1)), 60, LATE)) == [3, 4, 1]


@every_book
def test_a_buyers_ask_is_its_price_negated(make: Make) -> None:
    """A SELL at -6 of factor 3 meets BUYs at -4 (2), -1 (1) and 0 (3), not -5 (1)."""
    book = filled(make, Priority.PRICE_TIME, [(0, 4), (1, 1), (2, 0), (1, 5)])
    assert list(book.candidates(terms((3, 2), (3, 1), (3, 3)), 6, LATE)) == [3, 2, 1]


@every_book
@pytest.mark.parametrize("priority", Priority)
def test_an_equal_price_crosses_and_only_orders_before_a_number_are_met(make: Make, priority: Priority) -> None:
    book = filled(make, priority, [(0, 3)] * 4)
    assert list(book.candidates(terms((2, 1)), 6, LATE)) == [1, 2, 3, 4]
    assert list(book.candidates(terms((2, 1)), 6, 3)) == [1, 2]
    assert list(book.candidates(terms((2, 1)), 5, LATE)) == []


@every_book
@pytest.mark.parametrize("priority", Priority)
def test_a_place_that_sleeps_or_cannot_exchange_is_not_met(make: Make, priority: Priority) -> None:
    book = filled(make, priority, [(0, 3), (1, 3), (2, 3)])
    assert list(book.candidates(terms((1, 1), (0, 0), (1, 1), asleep=(2,)), 6, LATE)) == [1]


@every_book
@pytest.mark.parametrize("priority", Priority)
def test_an_order_amended_with_loss_of_priority_goes_last(make: Make, priority: Priority) -> None:
    book = filled(make, priority, [(0, 3)] * 3)
    book.remove(1)
    book.add(4, 0, 3)
    assert book.resting() == (2, 3, 4)
    assert len(book) == 3


@every_book
def test_what_does_not_rest_cannot_be_removed(make: Make) -> None:
    book = filled(make, Priority.TIME, [(0, 3)])
    with pytest.raises(KeyError):
        book.remove(2)


@every_book
@pytest.mark.parametrize("priority", Priority)
def test_an_abandoned_iteration_leaves_the_book_intact(make: Make, priority: Priority) -> None:
    book = filled(make, priority, [(number % 3, number % 5) for number in range(100)])
    offered = terms((2, 1), (2, 2), (2, 3))
    before, met = book.resting(), list(book.candidates(offered, 9, LATE))
    for taken in (0, 1, 7):
        assert list(islice(book.candidates(offered, 9, LATE), taken)) == met[:taken]
    assert book.resting() == before
    assert list(book.candidates(offered, 9, LATE)) == met


@every_book
def test_prices_are_compared_exactly_at_the_limits(make: Make) -> None:
    top, ppm = PRICE_LIMIT_MINOR, IMPACT_LIMIT_PPM
    book = filled(make, Priority.PRICE_TIME, [(0, top), (1, top), (1, top - 1), (2, -top)])
    offered = terms((ppm, ppm - 1), (ppm, ppm), (ppm, 1))
    assert list(book.candidates(offered, top, LATE)) == [4, 3, 2]
    assert list(book.candidates(terms((1, ppm - 1), (1, ppm), (1, 1)), -top, LATE)) == [4]


@every_book
@pytest.mark.parametrize("priority", Priority)
def test_the_first_crossing_pair_is_the_one_complete_first(make: Make, priority: Priority) -> None:
    sells, buys = make(priority), make(priority)
    for number, ask in ((1, 50), (4, 30), (6, 10)):
        sells.add(number, 0, ask)
    for number, bid in ((2, 20), (5, 40), (7, 60)):
        buys.add(number, 0, -bid)
    assert [sells.first_crossing(0, buys, 0, (1, 1), after) for after in (0, 4, 5, 6, 7)] == [5, 5, 6, 7, 0]


@pytest.mark.parametrize("priority", Priority)
@settings(max_examples=80, deadline=None)
@given(
    orders=st.lists(entries, max_size=70),
    others=st.lists(entries, max_size=70),
    gone=st.sets(st.integers(1, 70)),
    offered=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3)), min_size=PLACES, max_size=PLACES),
    asleep=st.sets(st.integers(0, PLACES - 1)),
    limit=st.integers(-5, 6),
    before=st.integers(0, 72),
)
def test_both_books_agree(  # noqa: PLR0917
    priority: Priority,
    orders: list[Entry],
    others: list[Entry],
    gone: set[int],
    offered: list[tuple[int, int]],
    asleep: set[int],
    limit: int,
    before: int,
) -> None:
    naive, compiled = (filled(make, priority, orders) for make in BOOKS)
    for number in sorted(gone & set(range(1, len(orders) + 1))):
        naive.remove(number)
        compiled.remove(number)
    assert len(compiled) == len(naive)
    assert compiled.resting() == naive.resting()
    exchange = terms(*offered, asleep=tuple(asleep))
    for bound in (LATE, before):
        assert list(compiled.candidates(exchange, limit, bound)) == list(naive.candidates(exchange, limit, bound))
    opposite = [make(priority) for make in BOOKS]
    for book in opposite:
        for number, (place, ask) in enumerate(others, 100):
            book.add(number - 70 if number % 2 else number, place, ask)
    for place in range(PLACES):
        for at, pair in ((0, (1, 1)), (1, (2, 3))):
            found = [
                one.first_crossing(place, two, at, pair, before)
                for one, two in zip((naive, compiled), opposite, strict=True)
            ]
            assert found[0] == found[1]
