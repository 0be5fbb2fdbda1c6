"""Signed letters between organisations, each for one run and one start of a program; the rest is dropped, and counted.

A letter says who it is from, which run it belongs to (`digest`: of the outline or the day and its rules), what kind it
is, and a number that rises within a talk. A talk is between two starts of programs: each letter carries the nonce that
its recipient chose and the one that its sender chose. An asker begins with a hello, which does nothing but bring a
welcome with the nonce of who shall answer; a question with a nonce that is not known brings the same, so that a program
that has started again is asked anew. A nonce is for one talk: the first question that carries it begins the talk, ends
the one before, and another nonce is drawn for the next. So no old letter, sent once more by anybody, does anything but
ask for a welcome; the letter that came last brings the same reply again.
"""

from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Protocol

import msgspec

MARKET_OPERATOR = "market-operator"
MOST_BYTES = 1 << 20
"""Of a letter, as much as a NATS server carries unless told otherwise."""

Nonce = Annotated[bytes, msgspec.Meta(max_length=32)]


class Signatures(Protocol):
    """One's own key, and what is known of the others'."""

    def sign(self, text: bytes) -> bytes:
        """With one's own key."""

    def holds(self, sender: str, text: bytes, signature: bytes) -> bool:
        """Whether `sender` signed it; False for an unknown sender."""


class Sort(StrEnum):
    """Of a letter."""

    HELLO = "h"
    WELCOME = "w"
    QUESTION = "q"
    REPLY = "r"


class Head(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """From whom, of which run and sort, in which talk (the recipient's nonce, the sender's), and the how-manieth."""

    sender: str
    digest: Nonce
    sort: Sort
    to: Nonce
    since: Nonce
    number: Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]


class Letter(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A head, a message as written, and the sender's signature of both and the recipient, which need not be told."""

    head: Head
    body: bytes
    signature: bytes


class Dropped(StrEnum):
    """Why a letter was dropped."""

    UNREADABLE = "unreadable"
    NOT_SIGNED = "not signed by its sender for its recipient"
    OTHER_RUN = "of another run"
    OTHER_START = "for another start of the program"
    OLD = "old"


_LETTERS = msgspec.msgpack.Decoder(Letter)
_encode = msgspec.msgpack.Encoder().encode


class Desk:
    """Where an organisation's letters of one run are signed and opened; `nonce` draws one that nobody can guess."""

    def __init__(self, name: str, signatures: Signatures, digest: bytes, nonce: Callable[[], bytes]) -> None:
        self.name, self._signatures, self.digest, self.nonce = name, signatures, digest, nonce
        self.dropped: Counter[Dropped] = Counter()

    def letter(
        self, recipient: str, sort: Sort, talk: tuple[bytes, bytes], number: int, message: msgspec.Struct | None = None
    ) -> bytes:
        """Signed and written; `talk` is the recipient's nonce and one's own."""
        head = Head(self.name, self.digest, sort, *talk, number)
        body = b"" if message is None else _encode(message)
        return _encode(Letter(head, body, self._signatures.sign(_signed(recipient, head, body))))

    def opened(self, written: bytes) -> Letter | None:
        """None, and counted, if it is not a letter of this run to this organisation that its sender signed."""
        letter = _read(written)
        if letter is None:
            self.drop(Dropped.UNREADABLE)
            return None
        text = _signed(self.name, letter.head, letter.body)
        if not self._signatures.holds(letter.head.sender, text, letter.signature):
            self.drop(Dropped.NOT_SIGNED)
            return None
        if letter.head.digest != self.digest:
            self.drop(Dropped.OTHER_RUN)
            return None
        return letter

    def drop(self, why: Dropped) -> None:
        """Count it."""
        self.dropped[why] += 1


def _read(written: bytes) -> Letter | None:
    if len(written) > MOST_BYTES:
        return None
    try:
        return _LETTERS.decode(written)
    except (msgspec.DecodeError, RecursionError):
        return None


def _signed(recipient: str, head: Head, body: bytes) -> bytes:
    return _encode((recipient, head)) + body


class AnsweringDesk:
    """A desk that opens the questions of its `asker`, and has them answered, each once.

    `heard` counts the questions of a talk under way, repeated ones too.
    """

    def __init__(self, desk: Desk, asker: str = MARKET_OPERATOR) -> None:
        self.desk, self.asker = desk, asker
        self.heard = 0
        self._next = desk.nonce()
        self._talk: tuple[bytes, bytes] | None = None
        self._last = 0
        self._reply: bytes | None = None

    def answered(self, letter: Letter) -> msgspec.Struct | None:
        """The reply; None if it carries no question of the kind expected here."""
        raise NotImplementedError

    def reply_to(self, written: bytes) -> bytes | None:
        """The signed reply, or a welcome; None for a letter that is dropped without a word."""
        letter = self.desk.opened(written)
        if letter is None:
            return None
        head = letter.head
        if head.sender != self.asker or head.sort not in (Sort.HELLO, Sort.QUESTION):
            self.desk.drop(Dropped.NOT_SIGNED)
            return None
        talk = head.since, head.to
        if head.sort is Sort.HELLO or (talk != self._talk and head.to != self._next):
            if head.sort is Sort.QUESTION:
                self.desk.drop(Dropped.OTHER_START)
            return self.desk.letter(self.asker, Sort.WELCOME, (head.since, self._next), head.number)
        if talk != self._talk:
            self._talk, self._next, self._last, self._reply = talk, self.desk.nonce(), 0, None
        return self._in_talk(letter, talk)

    def _in_talk(self, letter: Letter, talk: tuple[bytes, bytes]) -> bytes | None:
        number = letter.head.number
        if number < self._last:
            self.desk.drop(Dropped.OLD)
            return None
        self.heard += 1
        if number > self._last:
            reply = self.answered(letter)
            if reply is None:
                self.desk.drop(Dropped.UNREADABLE)
                return None
            self._last, self._reply = number, self.desk.letter(self.asker, Sort.REPLY, talk, number, reply)
        return self._reply
