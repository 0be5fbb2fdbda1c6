"""Questions under way: what to send when, whose reply has come, who is silent; a transport brings the clock and sends.

Letters may be lost, late, doubled or out of order. A question is sent again every `AGAIN_S` until its reply has come or
`timeout_s` are over; each DSO has one under way, and its letters are numbered one by one, so it can tell a gap.
"""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from msgspec import Struct

from flexpeer.app.between.letters import Desk, Dropped, Letter

AGAIN_S = 0.5


@dataclass(frozen=True)
class _Open:
    """A question under way: its place among those asked, its letter, when it is due again and when time is up."""

    place: int
    number: int
    letter: bytes
    again_s: float
    until_s: float


class Asking:
    """Questions of one run; bytes are counted by DSO, once for each question and reply.

    `read` finds the reply in a letter, None if it has none of the kind that is asked for.
    """

    def __init__(self, desk: Desk, run: int, timeout_s: float, read: Callable[[Letter], Any | None]) -> None:
        self._desk, self._run, self._timeout_s, self._read = desk, run, timeout_s, read
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
        if not self._waiting[dso]:
            return
        place, question = self._waiting[dso].popleft()
        self._numbers[dso] += 1
        letter = self._desk.letter(dso, self._run, self._numbers[dso], question)
        self.sent_bytes[dso] += len(letter)
        self._open[dso] = _Open(place, self._numbers[dso], letter, now_s, now_s + self._timeout_s)

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
        """A letter for the market operator; dropped and counted if it replies to nothing under way."""
        letter = self._desk.opened(written)
        if letter is None:
            return
        dso = letter.head.sender
        asked = self._open.get(dso)
        if asked is None or (letter.head.run, letter.head.number) != (self._run, asked.number):
            self._desk.drop(Dropped.OLD)
            return
        reply = self._read(letter)
        if reply is None:
            self._desk.drop(Dropped.UNREADABLE)
            return
        self.received_bytes[dso] += len(written)
        self.replies[asked.place] = reply
        self._next(dso, now_s)
