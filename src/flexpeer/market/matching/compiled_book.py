"""The book the market runs on: a ranked tree for each place; the best of all places is found in compiled code."""

from collections.abc import Iterator

import numpy as np

from flexpeer.compiled import compiled
from flexpeer.market.matching import ranked_tree as tree
from flexpeer.market.matching.book import Book, Numbers, Terms
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
def _best(nodes: tree.Nodes, firsts: Numbers, own: Numbers, its: Numbers, by_price: bool) -> int:
    """The place whose first candidate comes first, or -1."""
    best = -1
    for place in range(len(firsts)):
        node = firsts[place]
        if node == tree.NONE:
            continue
        if best == -1:
            best = place
            continue
        known = firsts[best]
        order = 0
        if by_price:
            order = _cheaper(
                nodes[node, tree.PRICE], own[place], its[place], nodes[known, tree.PRICE], own[best], its[best]
            )
        if order < 0 or (order == 0 and nodes[node, tree.NUMBER] < nodes[known, tree.NUMBER]):
            best = place
    return best


@compiled
def _open(
    nodes: tree.Nodes,
    roots: Numbers,
    own: Numbers,
    its: Numbers,
    asleep: np.ndarray,  # type: ignore[type-arg]
    limit: int,
    by_price: bool,
    firsts: Numbers,
) -> int:
    """Fill in the first candidate of each place; the place whose comes first, or -1."""
    for place in range(len(firsts)):
        firsts[place] = tree.NONE
        if own[place] > 0 and not asleep[place] and roots[place] != tree.NONE:
            firsts[place] = tree.first_match(
                nodes, roots[place], _limit(limit, own[place], its[place]), _UNIT, _NO_NEED
            )
    return int(_best(nodes, firsts, own, its, by_price))


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
def _first_crossing(
    ours: tree.Nodes, root: int, theirs: tree.Nodes, other: int, own: int, its: int, after: int
) -> int:
    """Kernel of `Book.first_crossing`: a watt here counts `own`, one there `its`."""
    if root == tree.NONE or other == tree.NONE:
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
    """Ranked trees, one for each place, in one array; rows of removed orders are used again."""

    def __init__(self, *, by_price: bool) -> None:
        self._by_price = by_price
        self.nodes = np.empty((_FIRST_ROWS, tree.FIELDS), dtype=np.int64)
        self.roots: Numbers = np.full(_FIRST_PLACES, tree.NONE, dtype=np.int64)
        self._free = list(reversed(range(_FIRST_ROWS)))

    def add(self, number: int, place: int, ask_minor: int) -> int:
        """Put an order in; its row."""
        if not self._free:
            rows = len(self.nodes)
            self.nodes = np.concatenate((self.nodes, np.empty_like(self.nodes)))
            self._free.extend(reversed(range(rows, 2 * rows)))
        while place >= len(self.roots):
            self.roots = np.concatenate((self.roots, np.full_like(self.roots, tree.NONE)))
        row = self._free.pop()
        self.nodes[row, tree.NUMBER : tree.CAPACITY + 1] = (number, ask_minor, _UNIT, _NO_NEED)
        self.roots[place] = tree.insert(self.nodes, self.roots[place], row, self._by_price)
        return row

    def remove(self, row: int, place: int) -> None:
        """Take an order out."""
        self.roots[place] = tree.remove(self.nodes, self.roots[place], row)
        self._free.append(row)


class CompiledBook:
    """`Book` on ranked trees; where priority is by price there is a second set of trees by arrival."""

    def __init__(self, priority: Priority) -> None:
        self._by_price = priority is Priority.PRICE_TIME
        self._ranked = _Trees(by_price=self._by_price)
        self._arrived = _Trees(by_price=False) if self._by_price else self._ranked
        self._where: dict[int, tuple[int, int, int]] = {}

    def __len__(self) -> int:
        return len(self._where)

    def add(self, number: int, place: int, ask_minor: int) -> None:
        """See `Book.add`."""
        assert number not in self._where
        assert abs(ask_minor) <= PRICE_LIMIT_MINOR
        row = self._ranked.add(number, place, ask_minor)
        other = self._arrived.add(number, place, ask_minor) if self._by_price else row
        self._where[number] = place, row, other

    def remove(self, number: int) -> None:
        """See `Book.remove`."""
        place, row, other = self._where.pop(number)
        self._ranked.remove(row, place)
        if self._by_price:
            self._arrived.remove(other, place)

    def resting(self) -> tuple[int, ...]:
        """See `Book.resting`."""
        return tuple(sorted(self._where))

    def candidates(self, terms: Terms, limit_minor: int, before: int) -> Iterator[int]:
        """See `Book.candidates`."""
        nodes, roots, own, its = self._ranked.nodes, self._ranked.roots, terms.own, terms.its
        firsts: Numbers = np.empty(min(len(own), len(roots)), dtype=np.int64)
        best = _open(nodes, roots, own, its, terms.asleep, limit_minor, self._by_price, firsts)
        while best >= 0:
            node, number = int(firsts[best]), int(nodes[firsts[best], tree.NUMBER])
            if number < before:
                yield number
            elif not self._by_price:
                firsts[best] = tree.NONE
            if firsts[best] != tree.NONE:
                limit = limit_minor * int(its[best]) // int(own[best])
                firsts[best] = tree.next_match(nodes, node, limit, _UNIT, _NO_NEED)
            best = _best(nodes, firsts, own, its, self._by_price)

    def first_crossing(self, place: int, other: Book, at: int, terms: tuple[int, int], after: int) -> int:
        """See `Book.first_crossing`."""
        assert isinstance(other, CompiledBook)
        ours, theirs = self._arrived, other._arrived
        if place >= len(ours.roots) or at >= len(theirs.roots):
            return 0
        return int(
            _first_crossing(ours.nodes, ours.roots[place], theirs.nodes, theirs.roots[at], *terms, after)
        )
