"""Signed letters between organisations: what is not signed by whom it says it is from is dropped, and counted.

A letter carries the run and a number. A run begins later than the one before, and within a run numbers only rise, so
that an old letter, sent once more by anybody, does nothing; the letter that came last may be asked for again. A
question that does not follow the one before by one is refused, unless it begins or ends something: whoever missed one,
or was ended and started again in between, has lost the thread.
"""

from collections import Counter
from enum import StrEnum
from typing import Protocol

import msgspec

MARKET_OPERATOR = "market-operator"


class Signatures(Protocol):
    """One's own key, and what is known of the others'."""

    def sign(self, text: bytes) -> bytes:
        """With one's own key."""

    def holds(self, sender: str, text: bytes, signature: bytes) -> bool:
        """Whether `sender` signed it; False for an unknown sender."""


class Head(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """From whom, in which run, and the how-manieth."""

    sender: str
    run: int
    number: int


class Letter(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A head, a message as written, and the sender's signature of both and the recipient, which need not be told."""

    head: Head
    body: bytes
    signature: bytes


class Dropped(StrEnum):
    """Why a letter was dropped."""

    UNREADABLE = "unreadable"
    NOT_SIGNED = "not signed by its sender for its recipient"
    OLD = "old"


_LETTERS = msgspec.msgpack.Decoder(Letter)
_encode = msgspec.msgpack.Encoder().encode


class Desk:
    """Where an organisation's letters are signed and opened."""

    def __init__(self, name: str, signatures: Signatures) -> None:
        self.name, self._signatures = name, signatures
        self.dropped: Counter[Dropped] = Counter()

    def letter(self, recipient: str, run: int, number: int, message: msgspec.Struct) -> bytes:
        """Signed and written."""
        head, body = Head(self.name, run, number), _encode(message)
        return _encode(Letter(head, body, self._signatures.sign(_signed(recipient, head, body))))

    def opened(self, written: bytes) -> Letter | None:
        """None, and counted, if it is not a letter to this organisation that its sender signed."""
        try:
            letter = _LETTERS.decode(written)
        except msgspec.DecodeError:
            self.drop(Dropped.UNREADABLE)
            return None
        text = _signed(self.name, letter.head, letter.body)
        if not self._signatures.holds(letter.head.sender, text, letter.signature):
            self.drop(Dropped.NOT_SIGNED)
            return None
        return letter

    def drop(self, why: Dropped) -> None:
        """Count it."""
        self.dropped[why] += 1


def _signed(recipient: str, head: Head, body: bytes) -> bytes:
    return _encode((recipient, head)) + body


class AnsweringDesk:
    """A desk that opens the questions of its `asker`, the market operator, and has them answered, each once."""

    def __init__(self, desk: Desk, last: tuple[int, int] = (0, 0), asker: str = MARKET_OPERATOR) -> None:
        self.desk, self.asker = desk, asker
        self._last = last
        self._reply: bytes | None = None

    def answered(self, letter: Letter) -> msgspec.Struct | None:
        """The reply; None if it carries no question of the kind expected here."""
        raise NotImplementedError

    def reply_to(self, written: bytes) -> bytes | None:
        """The signed reply; None for a letter that is dropped."""
        letter = self.desk.opened(written)
        if letter is None:
            return None
        head = letter.head
        if head.sender != self.asker:
            self.desk.drop(Dropped.NOT_SIGNED)
            return None
        if (head.run, head.number) == self._last:
            return self._reply
        if (head.run, head.number) < self._last:
            self.desk.drop(Dropped.OLD)
            return None
        reply = self.answered(letter)
        if reply is None:
            self.desk.drop(Dropped.UNREADABLE)
            return None
        self._last = (head.run, head.number)
        self._reply = self.desk.letter(self.asker, head.run, head.number, reply)
        return self._reply
