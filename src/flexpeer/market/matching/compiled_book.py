"""The book the market runs on: one ranked tree per side, O(log n) to add, remove and find the next candidate."""

from collections.abc import Iterator

import numpy as np

from flexpeer.market.matching import ranked_tree as tree
from flexpeer.market.matching.crossing import within_bounds
from flexpeer.market.orders import Side
from flexpeer.market.rulebook import Priority
from flexpeer.quantities import PRICE_LIMIT_MINOR

_FIRST_ROWS = 32
_CAPACITY = 0


class CompiledBook:
    """`Book` on `ranked_tree`; rows of removed orders are used again."""

    def __init__(self, priority: Priority) -> None:
        self._by_price = priority is Priority.PRICE_TIME
        self._nodes = np.empty((_FIRST_ROWS, tree.FIELDS), dtype=np.int64)
        self._root = {Side.BUY: tree.NONE, Side.SELL: tree.NONE}
        self._row: dict[int, int] = {}
        self._side: dict[int, Side] = {}
        self._free = list(reversed(range(_FIRST_ROWS)))

    def __len__(self) -> int:
        return len(self._row)

    def _new_row(self) -> int:
        if not self._free:
            rows = len(self._nodes)
            self._nodes = np.concatenate((self._nodes, np.empty_like(self._nodes)))
            self._free.extend(reversed(range(rows, 2 * rows)))
        return self._free.pop()

    def add(self, number: int, side: Side, price_minor: int, ppm: int) -> None:
        """See `Book.add`."""
        assert number not in self._row
        assert within_bounds(price_minor, ppm)
        row = self._new_row()
        ranked_price = price_minor if side is Side.SELL else -price_minor
        self._nodes[row, tree.NUMBER : tree.CAPACITY + 1] = (number, ranked_price, ppm, _CAPACITY)
        self._root[side] = int(tree.insert(self._nodes, self._root[side], row, self._by_price))
        self._row[number] = row
        self._side[number] = side

    def remove(self, number: int) -> None:
        """See `Book.remove`."""
        row = self._row.pop(number)
        side = self._side.pop(number)
        self._root[side] = int(tree.remove(self._nodes, self._root[side], row))
        self._free.append(row)

    def resting(self, side: Side) -> tuple[int, ...]:
        """See `Book.resting`."""
        return tuple(self._matches(self._root[side], PRICE_LIMIT_MINOR, 1))

    def candidates(self, side: Side, price_minor: int, ppm: int, before: int | None = None) -> Iterator[int]:
        """See `Book.candidates`."""
        limit = price_minor if side is Side.BUY else -price_minor
        for number in self._matches(self._root[side.opposite], limit, ppm):
            if before is None or number < before:
                yield number
            elif not self._by_price:
                return

    def _matches(self, root: int, limit: int, ppm: int) -> Iterator[int]:
        node = tree.first_match(self._nodes, root, limit, ppm, _CAPACITY)
        while node != tree.NONE:
            yield int(self._nodes[node, tree.NUMBER])
            node = tree.next_match(self._nodes, node, limit, ppm, _CAPACITY)
