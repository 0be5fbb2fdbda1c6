"""What every book does: one suite for the naive and the compiled one."""

from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexpeer.market.matching.book import Book
from flexpeer.market.matching.compiled_book import CompiledBook
from flexpeer.market.matching.naive import NaiveBook
from flexpeer.market.orders import Side
from flexpeer.market.rulebook import Priority
from flexpeer.quantities import IMPACT_LIMIT_PPM, PRICE_LIMIT_MINOR

BOOKS = (NaiveBook, CompiledBook)
every_book = pytest.mark.parametrize("make", BOOKS)

Entry = tuple[Side, int, int]
entries = st.tuples(st.sampled_from(Side), st.integers(-3, 4), st.integers(1, 4))


def filled(make: type[NaiveBook] | type[CompiledBook], priority: Priority, orders: list[Entry]) -> Book:
    book: Book = make(priority)
    for number, (side, price_minor, ppm) in enumerate(orders):
        book.add(number, side, price_minor, ppm)
    return book


@every_book
def test_time_priority_meets_crossing_orders_in_order_of_arrival(make: type[NaiveBook] | type[CompiledBook]) -> None:
    book = filled(make, Priority.TIME, [(Side.SELL, 50, 10), (Side.SELL, 90, 10), (Side.SELL, 20, 10)])
    assert list(book.candidates(Side.BUY, 60, 10)) == [0, 2]


@every_book
def test_price_time_priority_meets_the_best_grid_side_price_first(make: type[NaiveBook] | type[CompiledBook]) -> None:
    sells = [(Side.SELL, 50, 10), (Side.SELL, 45, 5), (Side.SELL, 20, 10), (Side.SELL, 10, 5), (Side.SELL, 99, 1)]
    book = filled(make, Priority.PRICE_TIME, sells)
    assert list(book.candidates(Side.BUY, 60, 10)) == [2, 3, 0]


@every_book
def test_a_sell_meets_the_highest_buys_and_negative_prices_cross(make: type[NaiveBook] | type[CompiledBook]) -> None:
    buys = [(Side.BUY, -4, 2), (Side.BUY, -1, 1), (Side.BUY, 0, 3), (Side.BUY, -5, 1)]
    book = filled(make, Priority.PRICE_TIME, buys)
    assert list(book.candidates(Side.SELL, -6, 3)) == [2, 1, 0]


@every_book
@pytest.mark.parametrize("priority", Priority)
def test_an_equal_price_crosses_and_only_orders_before_a_number_are_met(
    make: type[NaiveBook] | type[CompiledBook], priority: Priority
) -> None:
    book = filled(make, priority, [(Side.SELL, 3, 1)] * 4)
    assert list(book.candidates(Side.BUY, 6, 2)) == [0, 1, 2, 3]
    assert list(book.candidates(Side.BUY, 6, 2, before=2)) == [0, 1]
    assert list(book.candidates(Side.BUY, 5, 2)) == []


@every_book
@pytest.mark.parametrize("priority", Priority)
def test_an_order_amended_with_loss_of_priority_goes_last(
    make: type[NaiveBook] | type[CompiledBook], priority: Priority
) -> None:
    book = filled(make, priority, [(Side.BUY, 3, 1)] * 3)
    book.remove(0)
    book.add(3, Side.BUY, 3, 1)
    assert book.resting(Side.BUY) == (1, 2, 3)
    assert book.resting(Side.SELL) == ()
    assert len(book) == 3


@every_book
def test_what_does_not_rest_cannot_be_removed(make: type[NaiveBook] | type[CompiledBook]) -> None:
    book = filled(make, Priority.TIME, [(Side.BUY, 3, 1)])
    with pytest.raises(KeyError):
        book.remove(1)


@every_book
@pytest.mark.parametrize("priority", Priority)
def test_an_abandoned_iteration_leaves_the_book_intact(
    make: type[NaiveBook] | type[CompiledBook], priority: Priority
) -> None:
    book = filled(make, priority, [(Side.SELL, number % 5, 1 + number % 3) for number in range(100)])
    before = book.resting(Side.SELL)
    met = list(book.candidates(Side.BUY, 9, 2))
    for taken in (0, 1, 7):
        assert list(islice(book.candidates(Side.BUY, 9, 2), taken)) == met[:taken]
    assert book.resting(Side.SELL) == before
    assert list(book.candidates(Side.BUY, 9, 2)) == met


@every_book
def test_prices_are_compared_exactly_at_the_limits(make: type[NaiveBook] | type[CompiledBook]) -> None:
    top, ppm = PRICE_LIMIT_MINOR, IMPACT_LIMIT_PPM
    sells = [(Side.SELL, top, ppm - 1), (Side.SELL, top, ppm), (Side.SELL, top - 1, ppm), (Side.SELL, -top, 1)]
    book = filled(make, Priority.PRICE_TIME, sells)
    assert book.resting(Side.SELL) == (3, 2, 1, 0)
    assert list(book.candidates(Side.BUY, top, ppm)) == [3, 2, 1]
    assert list(book.candidates(Side.BUY, -top, 1)) == [3]


@every_book
@pytest.mark.parametrize(("price_minor", "ppm"), [(PRICE_LIMIT_MINOR + 1, 1), (1, 0), (1, IMPACT_LIMIT_PPM + 1)])
def test_what_could_overflow_does_not_enter(
    make: type[NaiveBook] | type[CompiledBook], price_minor: int, ppm: int
) -> None:
    with pytest.raises(AssertionError):
        make(Priority.TIME).add(0, Side.BUY, price_minor, ppm)


@pytest.mark.parametrize("priority", Priority)
@settings(max_examples=60, deadline=None)
@given(
    orders=st.lists(entries, max_size=70), gone=st.sets(st.integers(0, 69)), incoming=entries, before=st.integers(0, 70)
)
def test_both_books_agree(
    priority: Priority, orders: list[Entry], gone: set[int], incoming: Entry, before: int
) -> None:
    naive, compiled = (filled(make, priority, orders) for make in BOOKS)
    for number in sorted(gone & set(range(len(orders)))):
        naive.remove(number)
        compiled.remove(number)
    assert len(compiled) == len(naive)
    assert list(compiled.candidates(*incoming)) == list(naive.candidates(*incoming))
    assert list(compiled.candidates(*incoming, before)) == list(naive.candidates(*incoming, before))
    for side in Side:
        assert compiled.resting(side) == naive.resting(side)
