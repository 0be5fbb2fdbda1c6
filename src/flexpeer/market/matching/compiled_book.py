"""The book the market runs on: a ranked tree for each place; the best of all places is found in compiled code."""

from collections.abc import Iterator
from functools import cache

import numpy as np

from flexpeer.compiled import compiled
from flexpeer.market.matching import ranked_tree as tree
from flexpeer.market.matching.book import Book, Flags, Numbers, Terms
from flexpeer.market.rulebook import Priority
from flexpeer.quantities import PRICE_LIMIT_MINOR

_FIRST_ROWS, _FIRST_PLACES = 32, 8
_NO_NEED = 0
_UNIT = 1


@compiled
def _limit(limit: int, own: int, its: int) -> int:
    """The highest ask that crosses a taker's limit."""
    return limit * its // own


@compiled
def _cheaper(ask: int, own: int, its: int, other_ask: int, other_own: int, other_its: int) -> int:
    """The sign of the difference of two costs ask * own / its, exactly: by whole parts, then by remainders."""
    one, other = ask * own, other_ask * other_own
    whole, other_whole = one // its, other // other_its
    if whole != other_whole:
        return -1 if whole < other_whole else 1
    rest, other_rest = (one - whole * its) * other_its, (other - other_whole * other_its) * its
    return -1 if rest < other_rest else (1 if rest > other_rest else 0)


@compiled
def _best(nodes: tree.Nodes, firsts: Numbers, places: Numbers, own: Numbers, its: Numbers, by_price: bool) -> int:
    """The tree whose first candidate comes first, or -1; `places` are the places of the trees."""
    best = -1
    for at in range(len(firsts)):
        node = firsts[at]
        if node == tree.NONE:
            continue
        if best == -1:
            best = at
            continue
        known, place, other = firsts[best], places[at], places[best]
        order = 0
        if by_price:
            order = _cheaper(
                nodes[node, tree.PRICE], own[place], its[place], nodes[known, tree.PRICE], own[other], its[other]
            )
        if order < 0 or (order == 0 and nodes[node, tree.NUMBER] < nodes[known, tree.NUMBER]):
            best = at
    return best


@compiled
def _open(  # noqa: PLR0913, PLR0917 (a kernel takes arrays one by one)
    nodes: tree.Nodes,
    roots: Numbers,
    places: Numbers,
    own: Numbers,
    its: Numbers,
    asleep: Flags,
    limit: int,
    by_price: bool,
    firsts: Numbers,
) -> int:
    """Fill in the first candidate of each tree; the one whose comes first, or -1."""
    for at in range(len(firsts)):
        firsts[at], place = tree.NONE, places[at]
        if roots[at] != tree.NONE and place < len(own) and own[place] > 0 and not asleep[place]:
            firsts[at] = tree.first_match(nodes, roots[at], _limit(limit, own[place], its[place]), _UNIT, _NO_NEED)
    return int(_best(nodes, firsts, places, own, its, by_price))


@compiled
def _after(nodes: tree.Nodes, root: int, after: int, limit: int) -> int:
    """The first node by arrival with a number above `after` that asks `limit` at most, or `NONE`."""
    found, node = tree.NONE, root
    while node != tree.NONE:
        if nodes[node, tree.NUMBER] > after:
            found, node = node, nodes[node, tree.LEFT]
        else:
            node = nodes[node, tree.RIGHT]
    if found == tree.NONE or nodes[found, tree.PRICE] <= limit:
        return int(found)
    return int(tree.next_match(nodes, found, limit, _UNIT, _NO_NEED))


@compiled
def _least_ask(nodes: tree.Nodes, root: int, before: int) -> int:
    """The lowest ask among numbers below `before`; 4 times the limit of prices if there is none."""
    least, node = 4 * PRICE_LIMIT_MINOR, root
    while node != tree.NONE:
        if nodes[node, tree.NUMBER] < before:
            least = min(least, nodes[node, tree.PRICE])
            left = nodes[node, tree.LEFT]
            if left != tree.NONE:
                least = min(least, nodes[nodes[left, tree.BEST], tree.PRICE])
            node = nodes[node, tree.RIGHT]
        else:
            node = nodes[node, tree.LEFT]
    return int(least)


@compiled
def _first_crossing(ours: tree.Nodes, root: int, theirs: tree.Nodes, other: int, own: int, its: int, after: int) -> int:
    """Kernel of `Book.first_crossing`: a watt here counts `own`, one there `its`."""
    if tree.NONE in (root, other):
        return 0
    our_limit = _limit(-theirs[theirs[other, tree.BEST], tree.PRICE], its, own)
    their_limit = _limit(-ours[ours[root, tree.BEST], tree.PRICE], own, its)
    one, two = _after(ours, root, after, our_limit), _after(theirs, other, after, their_limit)
    while one != tree.NONE or two != tree.NONE:
        if two == tree.NONE or (one != tree.NONE and ours[one, tree.NUMBER] < theirs[two, tree.NUMBER]):
            number = ours[one, tree.NUMBER]
            if ours[one, tree.PRICE] <= _limit(-_least_ask(theirs, other, number), its, own):
                return int(number)
            one = tree.next_match(ours, one, our_limit, _UNIT, _NO_NEED)
        else:
            number = theirs[two, tree.NUMBER]
            if theirs[two, tree.PRICE] <= _limit(-_least_ask(ours, root, number), own, its):
                return int(number)
            two = tree.next_match(theirs, two, their_limit, _UNIT, _NO_NEED)
    return 0


class _Trees:
    """Ranked trees, one for each place with orders, in one array; rows of removed orders are used again."""

    def __init__(self, *, by_price: bool) -> None:
        self._by_price = by_price
        self.nodes = np.empty((_FIRST_ROWS, tree.FIELDS), dtype=np.int64)
        self.roots: Numbers = np.full(_FIRST_PLACES, tree.NONE, dtype=np.int64)
        self._free = list(reversed(range(_FIRST_ROWS)))

    def add(self, number: int, at: int, ask_minor: int) -> int:
        """Put an order in a tree; its row."""
        if not self._free:
            rows = len(self.nodes)
            self.nodes = np.concatenate((self.nodes, np.empty_like(self.nodes)))
            self._free.extend(reversed(range(rows, 2 * rows)))
        while at >= len(self.roots):
            self.roots = np.concatenate((self.roots, np.full_like(self.roots, tree.NONE)))
        row = self._free.pop()
        self.nodes[row, tree.NUMBER : tree.CAPACITY + 1] = (number, ask_minor, _UNIT, _NO_NEED)
        self.roots[at] = tree.insert(self.nodes, self.roots[at], row, self._by_price)
        return row

    def remove(self, row: int, at: int) -> None:
        """Take an order out."""
        self.roots[at] = tree.remove(self.nodes, self.roots[at], row)
        self._free.append(row)


class CompiledBook:
    """`Book` on ranked trees; where priority is by price there is a second set of trees by arrival.

    Orders enter the trees when somebody looks: those that leave before, as while a log is repeated, never do.
    """

    def __init__(self, priority: Priority) -> None:
        self._by_price = priority is Priority.PRICE_TIME
        self._ranked = _Trees(by_price=self._by_price)
        self._arrived = _Trees(by_price=False) if self._by_price else self._ranked
        self._where: dict[int, tuple[int, int, int]] = {}
        self._coming: dict[int, tuple[int, int]] = {}
        self._tree_of: dict[int, int] = {}
        self._places: Numbers = np.empty(_FIRST_PLACES, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._where) + len(self._coming)

    def add(self, number: int, place: int, ask_minor: int) -> None:
        """See `Book.add`."""
        assert number not in self._where
        assert number not in self._coming
        assert abs(ask_minor) <= PRICE_LIMIT_MINOR
        self._coming[number] = place, ask_minor

    def remove(self, number: int) -> None:
        """See `Book.remove`."""
        if self._coming.pop(number, None) is not None:
            return
        at, row, other = self._where.pop(number)
        self._ranked.remove(row, at)
        if self._by_price:
            self._arrived.remove(other, at)

    def _let_in(self) -> None:
        """Those that have come enter the trees."""
        for number, (place, ask_minor) in self._coming.items():
            at = self._tree_of.setdefault(place, len(self._tree_of))
            if at == len(self._places):
                self._places = np.concatenate((self._places, np.empty_like(self._places)))
            self._places[at] = place
            row = self._ranked.add(number, at, ask_minor)
            other = self._arrived.add(number, at, ask_minor) if self._by_price else row
            self._where[number] = at, row, other
        self._coming.clear()

    def resting(self) -> tuple[int, ...]:
        """See `Book.resting`."""
        return tuple(sorted((*self._where, *self._coming)))

    def candidates(self, terms: Terms, limit_minor: int, before: int) -> Iterator[int]:
        """See `Book.candidates`."""
        self._let_in()
        nodes, places, (own, its, asleep) = self._ranked.nodes, self._places, terms
        firsts: Numbers = np.empty(len(self._tree_of), dtype=np.int64)
        best = _open(nodes, self._ranked.roots, places, own, its, asleep, limit_minor, self._by_price, firsts)
        while best >= 0:
            node, place = int(firsts[best]), places[best]
            number = int(nodes[node, tree.NUMBER])
            if number < before:
                yield number
            elif not self._by_price:
                firsts[best] = tree.NONE
            if firsts[best] != tree.NONE:
                limit = limit_minor * int(its[place]) // int(own[place])
                firsts[best] = tree.next_match(nodes, node, limit, _UNIT, _NO_NEED)
            best = _best(nodes, firsts, places, own, its, self._by_price)

    def first_crossing(self, place: int, other: Book, at: int, terms: tuple[int, int], after: int) -> int:
        """See `Book.first_crossing`."""
        assert isinstance(other, CompiledBook)
        self._let_in()
        other._let_in()
        ours, theirs = self._tree_of.get(place), other._tree_of.get(at)
        if ours is None or theirs is None:
            return 0
        own, its = self._arrived, other._arrived
        return int(_first_crossing(own.nodes, own.roots[ours], its.nodes, its.roots[theirs], *terms, after))


@cache
def load_kernels() -> None:
    """Have every kernel ready, once in a program: otherwise the first to come in a market waits for all of them."""
    one: Numbers = np.ones(1, dtype=np.int64)
    terms = Terms(one, one, np.zeros(1, dtype=bool))
    for priority in Priority:
        ours, theirs = CompiledBook(priority), CompiledBook(priority)
        for book in (ours, theirs):
            book.add(1, 0, 0)
            book.add(2, 0, 0)
        assert list(ours.candidates(terms, 0, 3)) == [1, 2]
        ours.first_crossing(0, theirs, 0, (1, 1), 0)
        ours.remove(1)
