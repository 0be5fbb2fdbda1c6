"""Tables that change in place, where many events are folded and nobody is shown a state in between.

The tables of a state are persistent: an old state stays as it was, and a change costs a copy of a path.
"""

from __future__ import annotations

from typing import TypeVar, cast

from rpds import HashTrieMap

K = TypeVar("K")
V = TypeVar("V")


class ChangingTable(dict[K, V]):
    """Stands for a persistent table; the one before a change is not to be used any more."""

    __slots__ = ()

    def insert(self, key: K, value: V) -> ChangingTable[K, V]:
        """This one, with a value under a key."""
        self[key] = value
        return self

    def discard(self, key: K) -> ChangingTable[K, V]:
        """This one, without a key."""
        self.pop(key, None)
        return self


def changing(table: HashTrieMap[K, V]) -> HashTrieMap[K, V]:
    """The same content, in a table of one's own."""
    return cast("HashTrieMap[K, V]", ChangingTable(table))


def persistent(table: HashTrieMap[K, V]) -> HashTrieMap[K, V]:
    """The same content, as every state has it."""
    return HashTrieMap(table) if isinstance(table, ChangingTable) else table
