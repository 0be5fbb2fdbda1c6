"""The seam of matching: the resting orders of one side, regulation and span, place by place."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Flags = NDArray[np.bool_]


class Terms(NamedTuple):
    """On what terms the orders of one place exchange with each place there is, by its index.

    A taker that would pay `limit` (a BUY's price, or a SELL's negated) for a watt crosses a resting order that asks
    `ask` (a SELL's price, or a BUY's negated) when `ask * own <= limit * its`: `own` and `its` are the impact factors
    that set the ratio. `own` is 0 for a place it cannot exchange with; `asleep` marks those it does not meet for now.
    """

    own: Numbers
    its: Numbers
    asleep: Flags


class Book(Protocol):
    """Resting orders by place, in the priority the book was made with.

    It knows what orders ask for a watt and when they came; what remains of them, their minimum acceptance and their
    owner are the caller's. `naive.NaiveBook` is the oracle, `compiled_book.CompiledBook` the engine.
    """

    def add(self, number: int, place: int, ask_minor: int) -> None:
        """Let an order rest at the place of this index. `number` is its place in the order of arrival, new here."""

    def remove(self, number: int) -> None:
        """Take a resting order out; a KeyError when it does not rest here."""

    def __len__(self) -> int:
        """How many orders rest."""

    def resting(self) -> tuple[int, ...]:
        """All numbers, in order of arrival."""

    def candidates(self, terms: Terms, limit_minor: int, before: int) -> Iterator[int]:
        """The resting orders that a taker crosses, in the order in which it meets them; only those before a number.

        By arrival, or by what a watt costs the taker and then arrival. Lazy, and may be left at any point; the book
        must not change meanwhile.
        """

    def first_crossing(self, place: int, other: "Book", at: int, terms: tuple[int, int], after: int) -> int:
        """The first order after a number, of here or of a place of the `other` side, that an earlier one there crosses.

        `terms` are the impact factors of this book's place and the other's. 0 if there is none.
        """
