"""A DSO's side of a market day between organisations: its validator, its FSPs' bids, and what it has promised.

Two-phase commit. A hold is a promise: it is in the ledger before it is answered, so that it outlives the program, and
the commit that may follow cannot fail. Who starts again tries anew, in the same order, what the ledger says was held,
and is where it was. Promises that nobody has decided on stay, and their headroom with them, until the market operator
decides or begins another day. The same decision may come twice.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from flexpeer.app.between.grant_messages import REAL, read_trial, written_bid, written_rows, written_tried
from flexpeer.app.between.letters import AnsweringDesk, Desk, Letter
from flexpeer.app.between.remote_share import HostedShare
from flexpeer.app.between.slope_messages import size, written_responses, written_tangent
from flexpeer.app.between.study_node import StudyNode
from flexpeer.app.gate.share import GateShare
from flexpeer.app.owner.grid_owner import GridOwner
from flexpeer.app.scenario import OrderRow
from flexpeer.errors import bad_input
from flexpeer.grid.limits import Kind
from flexpeer.wire.grants import (
    Abort,
    Began,
    Begin,
    Bids,
    CannotAnswer,
    Commit,
    Cut,
    Done,
    Entry,
    GateCall,
    GateMore,
    Held,
    Hold,
    Question,
    Read,
    Reading,
    Reply,
    Respond,
    Room,
    Rows,
    Slack,
    Started,
    TangentMessage,
    Tangents,
    Tell,
    Try,
    Voltages,
)
from flexpeer.wire.study import StudyQuestion, StudyStart, StudyState

LEDGER = "what this DSO's node has written for these parts"
BIDS_AT_A_TIME, BYTES_AT_A_TIME = 2_000, 400_000
Asked = Try | Cut | Respond | Slack | Read | Voltages
_QUESTIONS: msgspec.msgpack.Decoder[Question] = msgspec.msgpack.Decoder(Question)


class Ledger(Protocol):
    """What outlives the program."""

    def read(self) -> Sequence[Entry]:
        """All entries, oldest first."""

    def append(self, entry: Entry) -> None:
        """Kept for good when this returns; `OSError` if it cannot be kept."""


class Unkept:
    """A ledger that lasts as long as its program."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def read(self) -> Sequence[Entry]:
        """All entries."""
        return self.entries

    def append(self, entry: Entry) -> None:
        """In memory."""
        self.entries.append(entry)


class GrantNode:
    """A DSO through one run of the day or more; `run` is the last one, `tables` what it was told.

    `study` is its part of what the DSOs find together; trials begin once the starting point is known.
    """

    def __init__(self, study: StudyNode, orders: Sequence[OrderRow], ledger: Ledger) -> None:
        self._study, self._orders, self._ledger = study, orders, ledger
        self.run = ""
        self._start_anew()
        for place, entry in enumerate(ledger.read(), 1):
            if not self._repeated(entry):
                raise bad_input("promises", "an entry does not follow from those before it", LEDGER, line=place)

    def _start_anew(self) -> None:
        self.ended = False
        self.tables: dict[str, list[tuple[str, ...]]] = {}
        self._started: GridOwner | None = None
        self._start: StudyState | None = None
        self._tried: Try | None = None
        self._cuts: tuple[int, tuple[TangentMessage, ...]] = (0, ())
        self._share = HostedShare(self._study.resources, GateShare)
        self._promised: dict[int, int] = {}
        self.committed: set[int] = set()

    @property
    def _validator(self) -> GridOwner:
        assert self._started is not None, "only asked once the starting point is known"
        return self._started

    @property
    def in_doubt(self) -> tuple[int, ...]:
        """Promises that nobody has decided on."""
        return tuple(sorted(self._promised))

    def _repeated(self, entry: Entry) -> bool:
        """Whether an entry could be done again; what this DSO's node has written can."""
        match entry.act:
            case Began():
                self._start_anew()
            case Started(state):
                if not self._started_again(state):
                    return False
            case Held(match, tried):
                if self._started is None or match in self._promised or not self._held_again(match, tried):
                    return False
            case Commit(match) | Abort(match):
                if match not in self._promised:
                    return False
                self._decide(entry.act)
        self.run = entry.run
        return True

    def _started_again(self, state: StudyState) -> bool:
        if isinstance(self._study.answer(state), CannotAnswer):
            return False
        self._started, self._start = self._study.started(), state
        return True

    def _held_again(self, match: int, tried: Try) -> bool:
        try:
            if isinstance(self._try(tried), CannotAnswer):
                return False
            self._validator.hold(match, tried.number)
        except (LookupError, ValueError, OverflowError):
            return False
        self._promised[match] = tried.number
        return True

    def answer(self, question: Question, run: str) -> Reply:
        """One question of a run; a `CannotAnswer` changes nothing."""
        if isinstance(question, Begin):
            return self._begin(question, run)
        if run != self.run:
            return CannotAnswer("the day has not begun")
        if isinstance(question, StudyQuestion):
            return self._studied(question)
        if self._started is None and not isinstance(question, Tell):
            return CannotAnswer("the starting point is not known")
        match question:
            case Hold():
                return self._hold(question)
            case Commit() | Abort():
                return self._decided(question)
            case GateCall() | GateMore():
                return self._share.answer(question)
            case Tell(table, rows, last):
                self.tables.setdefault(table, []).extend(rows)
                self.ended = self.ended or last
                return Done()
            case _:
                return self._told(question)

    def _studied(self, question: StudyQuestion) -> Reply:
        """At any time; trials begin once, kept and then done, and from the same state again they have begun."""
        study = self._study
        if not isinstance(question, StudyStart):
            return study.answer(question)
        if self._started is not None:
            return Done() if study.last == self._start else CannotAnswer("the starting point is another")
        if study.last is None or not self._keep(Entry(self.run, Started(study.last))):
            return CannotAnswer("cannot be kept")
        self._started, self._start = study.started(), study.last
        return Done()

    def _told(self, question: Asked) -> Reply:
        """What changes nothing."""
        match question:
            case Try():
                return self._try(question)
            case Cut():
                return self._cut(question)
            case Respond():
                return written_responses(self._validator.responses())
            case Slack():
                return self._slack(question)
            case Read():
                return self._read(question)
            case Voltages(borders):
                known = self._borders.issuperset(borders)
                return (
                    Rows(written_rows(self._validator.voltages(borders))) if known else CannotAnswer("unknown border")
                )

    @property
    def _borders(self) -> set[str]:
        return self._validator.border_names

    def _begin(self, question: Begin, run: str) -> Reply:
        if run != self.run:
            if not self._keep(Entry(run, Began())):
                return CannotAnswer("cannot be kept")
            self.run = run
            self._start_anew()
        some = self._orders[question.first : question.first + BIDS_AT_A_TIME]
        return Bids(tuple(written_bid(row) for row in some), len(self._orders))

    def _try(self, question: Try) -> Reply:
        trial = read_trial(question, len(self._validator.borders), self._validator.periods)
        foreign = any(shift.resource not in self._validator.bus_of for shift in question.shifts)
        if trial is None or foreign or not self._borders.issuperset((*question.drawn, *question.watched)):
            return CannotAnswer("does not fit the area")
        self._tried = question
        return written_tried(self._validator.attempt(trial))

    def _hold(self, question: Hold) -> Reply:
        """Possible, then done, then kept: what cannot be kept is undone."""
        if self._promised.get(question.match) == question.trial:
            return Done()
        if self._tried is None or self._tried.number != question.trial or question.match in self._promised:
            return CannotAnswer("was not tried last")
        try:
            self._validator.hold(question.match, question.trial)
        except (LookupError, ValueError):
            return CannotAnswer("does not fit any more")
        if not self._keep(Entry(self.run, Held(question.match, self._tried))):
            self._validator.abort(question.match)
            return CannotAnswer("cannot be kept")
        self._promised[question.match] = question.trial
        return Done()

    def _decided(self, question: Commit | Abort) -> Reply:
        """Kept, then done. Nothing was promised of what is unknown, so it can be given back but not committed."""
        if question.match not in self._promised:
            stands = question.match in self.committed
            return Done() if stands is isinstance(question, Commit) else CannotAnswer("is not held")
        if not self._keep(Entry(self.run, question)):
            return CannotAnswer("cannot be kept")
        self._decide(question)
        return Done()

    def _keep(self, entry: Entry) -> bool:
        try:
            self._ledger.append(entry)
        except OSError:
            return False
        return True

    def _decide(self, act: Commit | Abort) -> None:
        self._promised.pop(act.match, None)
        if isinstance(act, Commit):
            self.committed.add(act.match)
            self._validator.commit(act.match)
        else:
            self._validator.abort(act.match)

    def _slack(self, question: Slack) -> Reply:
        try:
            return Room(self._validator.slack(question.element, Kind(question.kind), question.mtu))
        except (KeyError, IndexError, ValueError):
            return CannotAnswer("unknown element")

    def _read(self, question: Read) -> Reply:
        try:
            row = self._validator.reading(question.element, Kind(question.kind))
        except (KeyError, ValueError):
            return CannotAnswer("unknown element")
        return Reading(row.astype(REAL).tobytes())

    def _cut(self, question: Cut) -> Reply:
        """As many as a letter takes, one at least; they are found once for a trial."""
        if self._cuts[0] != question.trial:
            try:
                found = self._validator.tangents(question.trial)
            except LookupError:
                return CannotAnswer("was not tried last")
            self._cuts = question.trial, tuple(written_tangent(tangent) for tangent in found)
        some: list[TangentMessage] = []
        bytes_left = BYTES_AT_A_TIME
        for tangent in self._cuts[1][question.first :]:
            bytes_left -= size(tangent)
            if some and bytes_left < 0:
                break
            some.append(tangent)
        return Tangents(tuple(some), len(self._cuts[1]))


def run_of(letter: Letter) -> str:
    """What promises are written down with: the day, and the start of the asker's program."""
    return f"{letter.head.digest.hex()}-{letter.head.since.hex()}"


class GrantDesk(AnsweringDesk):
    """A DSO's desk on a market day. A run is a start of the market operator's program, on the day of the desk."""

    def __init__(self, desk: Desk, node: GrantNode) -> None:
        super().__init__(desk)
        self._node = node

    def answered(self, letter: Letter) -> Reply | None:
        """By the node."""
        try:
            return self._node.answer(_QUESTIONS.decode(letter.body), run_of(letter))
        except (msgspec.DecodeError, RecursionError):
            return None

    @property
    def closed(self) -> bool:
        """Whether the day has ended."""
        return self._node.ended
