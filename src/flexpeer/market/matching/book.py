"""The seam of matching: one book of resting orders, all of one zone and one span of MTUs."""

from collections.abc import Iterator
from typing import Protocol

from flexpeer.market.orders import Side


class Book(Protocol):
    """The resting orders of a zone and span, in the order of priority the book was made with.

    It knows sides, prices and impact factors; what remains of an order, its minimum acceptance and its
    owner are the caller's. `naive.NaiveBook` is the oracle, `compiled_book.CompiledBook` the engine.
    """

    def add(self, number: int, side: Side, price_minor: int, ppm: int) -> None:
        """Let an order rest. `number` is its place in the order of arrival and new to this book.

        An order amended with loss of priority is removed and added under its new number.
        """

    def remove(self, number: int) -> None:
        """Take a resting order out; a KeyError when it does not rest here."""

    def __len__(self) -> int:
        """How many orders rest, of both sides."""

    def resting(self, side: Side) -> tuple[int, ...]:
        """The numbers of one side, in order of priority."""

    def candidates(self, side: Side, price_minor: int, ppm: int, before: int | None = None) -> Iterator[int]:
        """The resting orders that an incoming order of `side` crosses, in the order in which it meets them.

        Lazy, and may be left at any point. The book must not change while it is being iterated. With
        `before`, only orders that arrived before that number.
        """
