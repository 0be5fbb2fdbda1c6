"""Grid owners elsewhere: what is asked of each as messages, and what to do while one is silent.

A silent owner grants nothing. It is not asked again for the next 1, 2, 4, ... questions, so that nobody waits for it
each time. One that answers what cannot be, by mistake or on purpose, is silenced for the day, and the reason is told.
Decisions stand whether or not they arrive: those it has not heard come before any other question. One that does not
know what it promised has lost its ledger, and grants nothing any more this day.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, NoReturn, Protocol, TypeVar

import msgspec
import numpy as np

from flexpeer.app.between.grant_messages import REAL, read_bids, read_tried, read_voltages, written_trial
from flexpeer.app.between.letters import Letter
from flexpeer.app.between.remote_share import far_share
from flexpeer.app.between.slope_messages import read_responses, read_tangents
from flexpeer.app.ports import BorderEnd, OwnerSilent, Responses, Share, ShareLost, Slopes, Tangent, Trial, Tried
from flexpeer.app.scenario import OrderRow
from flexpeer.grid.limits import Kind
from flexpeer.grid.network import Complexes, Floats
from flexpeer.wire.gate import GateHolding
from flexpeer.wire.grants import (
    Abort,
    Begin,
    Bids,
    CannotAnswer,
    Commit,
    Cut,
    Done,
    GateCall,
    GateMore,
    GateValue,
    Hold,
    Question,
    Read,
    Reading,
    Reply,
    Respond,
    ResponsesMessage,
    Room,
    Rows,
    Slack,
    TangentMessage,
    Tangents,
    Tell,
    TriedMessage,
    Voltages,
)

MOST_SKIPPED = 64
ROWS_AT_A_TIME = 2_000
MOST_PAGES = 1_000
MOST_TOLD = 1_000_000
MOST_SLACK = 1e9
MOST_READ = 1e12


class Nonsense(msgspec.Struct, frozen=True):
    """A letter that holds no reply at all."""


P = TypeVar("P")
R = TypeVar("R", bound=Reply)


class Post(Protocol):
    """Carries questions to DSOs."""

    def ask(self, questions: Sequence[tuple[str, Question]]) -> Sequence[Reply | Nonsense | None]:
        """The replies, in the same order; None for who was silent until the time was up."""


class Address(NamedTuple):
    """An owner as the market operator knows it: its name, the one its letters go to, and where its area hangs."""

    owner: str
    name: str
    borders: tuple[BorderEnd, ...]


class Domain(NamedTuple):
    """What an owner can speak of: resources of its own, and borders where areas hang on it."""

    resources: frozenset[str]
    below: frozenset[str]


class RemoteOwner:
    """One owner behind a post; `lost` are matches it has promised and does not know any more.

    `silenced` says what it answered that cannot be; None as long as it has not.
    """

    elsewhere = True

    def __init__(self, address: Address, domain: Domain, post: Post, periods: int) -> None:
        self._address, self._domain, self._post, self._periods = address, domain, post, periods
        self._undelivered: deque[Commit | Abort] = deque()
        self._skip = self._skips = 0
        self._begun = False
        self._tried = 0
        self.silences = 0
        self.lost: list[int] = []
        self.silenced: str | None = None

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
        for page in self.pages(Begin, Bids, lambda reply: (reply.bids, reply.count)):
            some = read_bids(page)
            if some is None:
                raise self.wrong("its bids have names or numbers that are none")
            found += some
        return found

    def voltages(self, borders: Sequence[str]) -> Complexes:
        """Accepted voltages at borders, (borders, periods), per unit."""
        if not borders:
            return np.zeros((0, self._periods), dtype=np.complex128)
        reply = self.expect(Voltages(tuple(borders)), Rows)
        rows = read_voltages(reply.data, len(borders), self._periods)
        if rows is None:
            raise self.wrong("its voltages are none")
        return rows

    def attempt(self, trial: Trial) -> Tried:
        """Try it; the last one tried may be held."""
        reply = self.expect(written_trial(trial), TriedMessage)
        tried = read_tried(reply, trial, len(self.borders))
        if tried is None:
            raise self.wrong("what it says of a trial does not fit what it was asked")
        self._tried = len(trial.mtus)
        return tried

    def hold(self, match: int, trial: int) -> None:
        """Have it promise a trial."""
        self.expect(Hold(match, trial), Done)

    def commit(self, match: int) -> None:
        """Tell it, now or as soon as it answers again."""
        self._decide(Commit(match))

    def abort(self, match: int) -> None:
        """Tell it, now or as soon as it answers again."""
        self._decide(Abort(match))

    def slack(self, element: str, kind: Kind, mtu: int) -> float:
        """Room of an element in the accepted state, as a fraction of its limit."""
        slack = self.expect(Slack(element, str(kind), mtu), Room).slack
        if not abs(slack) <= MOST_SLACK:
            raise self.wrong(f"it has room for {slack:g} of a limit")
        return slack

    def tangents(self, trial: int) -> tuple[Tangent, ...]:
        """Limits that the trial of this number, the last one, takes past what is allowed, in its MTUs."""
        found: list[TangentMessage] = []
        for page in self.pages(lambda first: Cut(trial, first), Tangents, lambda reply: (reply.tangents, reply.count)):
            found += page
        tangents = read_tangents(found, self._tried)
        if tangents is None or not all(self._speaks_of(tangent.slopes) for tangent in tangents):
            raise self.wrong("its tangents do not fit its area")
        return tangents

    def responses(self) -> Responses:
        """How its borders respond in the accepted state, in every MTU."""
        found = read_responses(self.expect(Respond(), ResponsesMessage), self._periods)
        if found is None or not self._speaks_of_all(found):
            raise self.wrong("its responses do not fit its area")
        return found

    def _speaks_of_all(self, found: Responses) -> bool:
        own = {border.name for border in self.borders}
        slopes = [*found.given.values(), *found.felt.values()]
        whole = found.given.keys() == own and found.felt.keys() == self._domain.below
        return whole and all(map(self._speaks_of, slopes)) and not any(each.above for each in found.given.values())

    def _speaks_of(self, slopes: Slopes) -> bool:
        own = {border.name for border in self.borders}
        within = slopes.own.keys() <= self._domain.resources and slopes.below.keys() <= self._domain.below
        return within and slopes.above.keys() <= own

    def share(self, held: GateHolding) -> Share:
        """Its part in a clearing."""
        return far_share(held, self)

    def ask_gate(self, question: GateCall | GateMore) -> GateValue:
        """About its part in a clearing; `ShareLost` if it has none."""
        return self.expect(question, GateValue, ShareLost)

    def refuse(self, reason: str) -> NoReturn:
        """It is asked no more."""
        raise self.wrong(reason)

    def reading(self, element: str, kind: Kind) -> Floats:
        """What a limit is about in the accepted state, (periods,), in the unit of its kind."""
        reply = self.expect(Read(element, str(kind)), Reading)
        if len(reply.data) != self._periods * REAL.itemsize:
            raise self.wrong("it reads another day")
        row = np.frombuffer(reply.data, dtype=REAL).astype(np.float64)
        if not (np.abs(row) <= MOST_READ).all():
            raise self.wrong("it reads what no meter can")
        return row

    def tell(self, tables: Sequence[tuple[str, Sequence[tuple[str, ...]]]]) -> bool:
        """End the day there with what concerns its FSPs; False if it may not have heard all of it."""
        self._skip, done = 0, True
        try:
            for table, rows in tables:
                for first in range(0, len(rows), ROWS_AT_A_TIME):
                    reply = self._ask(Tell(table, tuple(rows[first : first + ROWS_AT_A_TIME]), False))
                    done = done and isinstance(reply, Done)
            done = isinstance(self._ask(Tell("", (), True)), Done) and done
        except OwnerSilent:
            return False
        return done and not self.lost and self.silenced is None

    def _decide(self, decision: Commit | Abort) -> None:
        self._undelivered.append(decision)
        if self._skip == 0 and self.silenced is None:
            try:
                self._deliver()
            except OwnerSilent:
                return

    def _deliver(self) -> None:
        while self._undelivered:
            decision = self._undelivered[0]
            reply = self._reply(decision)
            if not isinstance(reply, Done | CannotAnswer):
                raise self.wrong(f"it answers a {type(decision).__name__} with {type(reply).__name__}")
            self._undelivered.popleft()
            if isinstance(reply, CannotAnswer) and isinstance(decision, Commit):
                self.lost.append(decision.match)

    @property
    def domain(self) -> Domain:
        """What it can speak of."""
        return self._domain

    @property
    def periods(self) -> int:
        """MTUs of the day."""
        return self._periods

    def wrong(self, reason: str) -> OwnerSilent:
        """It is asked no more; to be raised."""
        self.silenced = self.silenced or reason
        return OwnerSilent(self.owner)

    def expect(self, question: Question, kind: type[R], cannot: type[OwnerSilent] | type[ShareLost] = OwnerSilent) -> R:
        """The reply of this kind; `cannot` is raised if it says that it cannot."""
        reply = self._ask(question)
        if isinstance(reply, kind):
            return reply
        if isinstance(reply, CannotAnswer):
            raise cannot(self.owner)
        raise self.wrong(f"it answers a {type(question).__name__} with {type(reply).__name__}")

    def pages(
        self, question: Callable[[int], Question], kind: type[R], read: Callable[[R], tuple[Sequence[P], int]]
    ) -> Iterator[Sequence[P]]:
        """Some at a time until there are as many as it says from the first page on."""
        told = said = 0
        for page in range(MOST_PAGES):
            some, count = read(self.expect(question(told), kind))
            told += len(some)
            said = count if page == 0 else said
            if count != said or not told <= count <= MOST_TOLD or (told < count and not some):
                break
            yield some
            if told == count:
                return
        raise self.wrong("it announces more or fewer than it brings")

    def _ask(self, question: Question) -> Reply | Nonsense:
        if self.silenced is not None and not isinstance(question, Tell):
            raise OwnerSilent(self.owner)
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

    def _reply(self, question: Question) -> Reply | Nonsense:
        (reply,) = self._post.ask([(self._address.name, question)])
        if reply is None:
            self.silences += 1
            self._skips = min(max(1, 2 * self._skips), MOST_SKIPPED)
            self._skip = self._skips
            raise OwnerSilent(self.owner)
        self._skips = 0
        return reply


_REPLIES: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)


def grant_reply_in(letter: Letter) -> Reply | Nonsense:
    """The reply a letter carries."""
    try:
        return _REPLIES.decode(letter.body)
    except (msgspec.DecodeError, RecursionError):
        return Nonsense()
