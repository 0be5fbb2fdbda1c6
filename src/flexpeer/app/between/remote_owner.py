"""Grid owners elsewhere: what is asked of each as messages, and what to do while one is silent.

A silent owner grants nothing. It is not asked again for the next 1, 2, 4, ... questions, so that nobody waits for it
each time. Decisions stand whether or not they arrive: those it has not heard come before any other question. One that
does not know what it promised has lost its ledger, and grants nothing any more this day.
"""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec
import numpy as np

from flexpeer.app.between.grant_messages import REAL, read_bids, read_rows, read_tried, written_trial
from flexpeer.app.between.letters import Letter
from flexpeer.app.between.slope_messages import read_responses, read_tangents
from flexpeer.app.joint_check import BorderEnd, OwnerSilent, Trial, Tried
from flexpeer.app.scenario import OrderRow
from flexpeer.app.tangents import Responses, Tangent
from flexpeer.grid.limits import Kind
from flexpeer.grid.network import Complexes, Floats
from flexpeer.wire.grants import (
    Abort,
    Begin,
    Bids,
    Commit,
    Cut,
    Done,
    Hold,
    Question,
    Read,
    Reading,
    Refused,
    Reply,
    Respond,
    Room,
    Rows,
    Slack,
    Tangents,
    Tell,
    Voltages,
)
from flexpeer.wire.grants import Responses as ResponsesMessage
from flexpeer.wire.grants import Tangent as TangentMessage
from flexpeer.wire.grants import Tried as TriedMessage

MOST_SKIPPED = 64
ROWS_AT_A_TIME = 2_000


class Post(Protocol):
    """Carries questions to DSOs."""

    def ask(self, questions: Sequence[tuple[str, Question]]) -> Sequence[Reply | None]:
        """The replies, in the same order; None for who was silent until the time was up."""


class Address(NamedTuple):
    """An owner as the market operator knows it: its name, the one its letters go to, and where its area hangs."""

    owner: str
    name: str
    borders: tuple[BorderEnd, ...]


class RemoteOwner:
    """One owner behind a post; `lost` are matches it has promised and does not know any more."""

    def __init__(self, address: Address, post: Post, periods: int) -> None:
        self._address, self._post, self._periods = address, post, periods
        self._undelivered: deque[Commit | Abort] = deque()
        self._skip = self._skips = 0
        self._begun = False
        self._tried = 0
        self.silences = 0
        self.lost: list[int] = []

    @property
    def owner(self) -> str:
        """The DSO."""
        return self._address.owner

    @property
    def borders(self) -> tuple[BorderEnd, ...]:
        """Where its area hangs on others."""
        return self._address.borders

    @property
    def undelivered(self) -> tuple[int, ...]:
        """Matches whose decision it has not confirmed."""
        return tuple(decision.match for decision in self._undelivered)

    def bids(self) -> list[OrderRow]:
        """Begin the day there, and what its FSPs bid; `OwnerSilent` if it does not answer, or not fully."""
        found: list[OrderRow] = []
        while True:
            reply = self._ask(Begin(len(found)))
            if not isinstance(reply, Bids):
                raise OwnerSilent(self.owner)
            found += read_bids(reply.bids)
            if not reply.bids or len(found) >= reply.count:
                return found

    def voltages(self, borders: Sequence[str]) -> Complexes:
        """Accepted voltages at borders, (borders, periods), per unit."""
        if not borders:
            return np.zeros((0, self._periods), dtype=np.complex128)
        reply = self._ask(Voltages(tuple(borders)))
        rows = read_rows(reply.data, len(borders), self._periods) if isinstance(reply, Rows) else None
        if rows is None:
            raise OwnerSilent(self.owner)
        return rows

    def attempt(self, trial: Trial) -> Tried:
        """Try it; the last one tried may be held."""
        reply = self._ask(written_trial(trial))
        tried = read_tried(reply, trial, len(self.borders)) if isinstance(reply, TriedMessage) else None
        if tried is None:
            raise OwnerSilent(self.owner)
        self._tried = len(trial.mtus)
        return tried

    def hold(self, match: int, trial: int) -> None:
        """Have it promise a trial."""
        if not isinstance(self._ask(Hold(match, trial)), Done):
            raise OwnerSilent(self.owner)

    def commit(self, match: int) -> None:
        """Tell it, now or as soon as it answers again."""
        self._decide(Commit(match))

    def abort(self, match: int) -> None:
        """Tell it, now or as soon as it answers again."""
        self._decide(Abort(match))

    def slack(self, element: str, kind: Kind, mtu: int) -> float:
        """Room of an element in the accepted state, as a fraction of its limit."""
        reply = self._ask(Slack(element, str(kind), mtu))
        if not isinstance(reply, Room):
            raise OwnerSilent(self.owner)
        return reply.slack

    def tangents(self, trial: int) -> tuple[Tangent, ...]:
        """Limits that the trial of this number, the last one, takes past what is allowed, in its MTUs."""
        found: list[TangentMessage] = []
        while True:
            reply = self._ask(Cut(trial, len(found)))
            if not isinstance(reply, Tangents):
                raise OwnerSilent(self.owner)
            found += reply.tangents
            if not reply.tangents or len(found) >= reply.count:
                break
        tangents = read_tangents(found, self._tried)
        if tangents is None:
            raise OwnerSilent(self.owner)
        return tangents

    def responses(self) -> Responses:
        """How its borders respond in the accepted state, in every MTU."""
        reply = self._ask(Respond())
        found = read_responses(reply, self._periods) if isinstance(reply, ResponsesMessage) else None
        if found is None:
            raise OwnerSilent(self.owner)
        return found

    def reading(self, element: str, kind: Kind) -> Floats:
        """What a limit is about in the accepted state, (periods,), in the unit of its kind."""
        reply = self._ask(Read(element, str(kind)))
        if not isinstance(reply, Reading) or len(reply.data) != self._periods * REAL.itemsize:
            raise OwnerSilent(self.owner)
        return np.frombuffer(reply.data, dtype=REAL).astype(np.float64)

    def tell(self, tables: Sequence[tuple[str, Sequence[tuple[str, ...]]]]) -> bool:
        """End the day there with what concerns its FSPs; False if it may not have heard all of it."""
        self._skip = 0
        try:
            for table, rows in tables:
                for first in range(0, len(rows), ROWS_AT_A_TIME):
                    self._ask(Tell(table, tuple(rows[first : first + ROWS_AT_A_TIME]), False))
            self._ask(Tell("", (), True))
        except OwnerSilent:
            return False
        return not self.lost

    def _decide(self, decision: Commit | Abort) -> None:
        self._undelivered.append(decision)
        if self._skip == 0:
            try:
                self._deliver()
            except OwnerSilent:
                return

    def _deliver(self) -> None:
        while self._undelivered:
            decision = self._undelivered[0]
            reply = self._reply(decision)
            self._undelivered.popleft()
            if isinstance(reply, Refused) and isinstance(decision, Commit):
                self.lost.append(decision.match)

    def _ask(self, question: Question) -> Reply:
        if self._skip:
            self._skip -= 1
            raise OwnerSilent(self.owner)
        self._deliver()
        if self.lost and not isinstance(question, Tell):
            raise OwnerSilent(self.owner)
        if not self._begun and not isinstance(question, Begin):
            self._reply(Begin(0))
        reply = self._reply(question)
        self._begun = True
        return reply

    def _reply(self, question: Question) -> Reply:
        (reply,) = self._post.ask([(self._address.name, question)])
        if reply is None:
            self.silences += 1
            self._skips = min(max(1, 2 * self._skips), MOST_SKIPPED)
            self._skip = self._skips
            raise OwnerSilent(self.owner)
        self._skips = 0
        return reply


_REPLIES: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)


def grant_reply_in(letter: Letter) -> Reply | None:
    """The reply a letter carries; None if it carries none."""
    try:
        return _REPLIES.decode(letter.body)
    except msgspec.DecodeError:
        return None
