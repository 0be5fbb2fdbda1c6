"""Questions under way: what to send when, whose reply has come, who is silent; a transport brings the clock and sends.

Letters may be lost, late, doubled or out of order. A question is sent again every `AGAIN_S` until its reply has come or
`timeout_s` are over; each DSO has one under way, and its letters are numbered one by one, so it can tell a gap. Whoever
has not been heard, or has started again, is greeted first; its welcome brings the nonce that questions must carry.
"""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from msgspec import Struct

from flexpeer.app.between.letters import Desk, Dropped, Head, Letter, Sort

AGAIN_S = 0.5
MOST_WELCOMES = 8


@dataclass(frozen=True)
class _Open:
    """A question under way: its place among those asked, its letter, when it is due again and when time is up."""

    place: int
    question: Struct
    number: int
    letter: bytes
    again_s: float
    until_s: float
    welcomes: int = 0


class OpenQuestions:
    """Questions of one start of a program; bytes are counted by DSO, once for each letter and reply.

    `read` finds the reply in a letter; what it makes of one that holds none is the reply.
    """

    def __init__(self, desk: Desk, timeout_s: float, read: Callable[[Letter], Any]) -> None:
        self._desk, self._timeout_s, self._read = desk, timeout_s, read
        self._own = desk.nonce()
        self._theirs: dict[str, bytes] = {}
        self._numbers: Counter[str] = Counter()
        self._waiting: dict[str, deque[tuple[int, Struct]]] = {}
        self._open: dict[str, _Open] = {}
        self.replies: list[Any | None] = []
        self.sent_bytes: Counter[str] = Counter()
        self.received_bytes: Counter[str] = Counter()

    def begin(self, questions: Sequence[tuple[str, Struct]], now_s: float) -> None:
        """All at once to different DSOs, in order to the same one; `replies` will be in the order of questions."""
        self.replies = [None] * len(questions)
        self._waiting = {dso: deque() for dso, _ in questions}
        for place, (dso, question) in enumerate(questions):
            self._waiting[dso].append((place, question))
        self._open = {}
        for dso in self._waiting:
            self._next(dso, now_s)

    def _next(self, dso: str, now_s: float) -> None:
        self._open.pop(dso, None)
        if self._waiting[dso]:
            place, question = self._waiting[dso].popleft()
            letter = self._written(dso, question)
            self._open[dso] = _Open(place, question, self._numbers[dso], letter, now_s, now_s + self._timeout_s)

    def _written(self, dso: str, question: Struct) -> bytes:
        """The question, or a hello to who has not said which nonce it takes."""
        self._numbers[dso] += 1
        known = self._theirs.get(dso)
        sort, message = (Sort.HELLO, None) if known is None else (Sort.QUESTION, question)
        letter = self._desk.letter(dso, sort, (known or b"", self._own), self._numbers[dso], message)
        self.sent_bytes[dso] += len(letter)
        return letter

    def due(self, now_s: float) -> Sequence[tuple[str, bytes]]:
        """Letters to send now, by DSO; of one whose time is up nothing more is asked."""
        letters = []
        for dso, asked in list(self._open.items()):
            if now_s >= asked.until_s:
                del self._open[dso]
            elif now_s >= asked.again_s:
                letters.append((dso, asked.letter))
                self._open[dso] = replace(asked, again_s=now_s + AGAIN_S)
        return letters

    @property
    def next_s(self) -> float | None:
        """When `due` has something to do again; None once every question has its reply or its time is up."""
        return min((min(asked.again_s, asked.until_s) for asked in self._open.values()), default=None)

    def received(self, written: bytes, now_s: float) -> None:
        """A letter for the asker; dropped and counted if it replies to nothing under way."""
        letter = self._desk.opened(written)
        if letter is None:
            return
        dso = letter.head.sender
        asked = self._open.get(dso)
        if asked is None or letter.head.number != asked.number:
            self._desk.drop(Dropped.OLD)
        elif not self._is_for_me(letter.head):
            self._desk.drop(Dropped.OTHER_START)
        elif letter.head.sort is Sort.WELCOME:
            self._welcomed(dso, asked, letter.head, now_s)
        else:
            self.replies[asked.place] = self._read(letter)
            self._next(dso, now_s)
        self.received_bytes[dso] += len(written)

    def _is_for_me(self, head: Head) -> bool:
        answers = head.sort is Sort.WELCOME or (head.sort is Sort.REPLY and head.since == self._theirs.get(head.sender))
        return answers and head.to == self._own

    def _welcomed(self, dso: str, asked: _Open, head: Head, now_s: float) -> None:
        """Ask with the nonce it has told; nobody tells others for ever."""
        if asked.welcomes == MOST_WELCOMES:
            self._desk.drop(Dropped.OLD)
            return
        self._theirs[dso] = head.since
        letter = self._written(dso, asked.question)
        self._open[dso] = replace(
            asked, letter=letter, number=self._numbers[dso], again_s=now_s, welcomes=asked.welcomes + 1
        )
