"""A post office in virtual time that loses, delays, doubles and reorders letters; nodes that are ended and started."""

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
from tests.app.seals import DIGEST, Seals, desk_of, nonce

from flexpeer.app.between.asking import OpenQuestions
from flexpeer.app.between.letters import MARKET_OPERATOR, Desk, Sort
from flexpeer.laboratory.between.area_letters import AreaDesk, reply_in
from flexpeer.laboratory.between.area_node import AreaNode, Finished, Memory
from flexpeer.laboratory.between.borders import BeginRun, Question, Reply
from flexpeer.laboratory.between.coordination import CHANCES, JointOutcome, RunDecision, Unwritten, clear_together
from flexpeer.laboratory.engines.shares import Outline, Part

TIMEOUT_S = 10.0
FOR_EVER_S = 1e9


@dataclass(frozen=True)
class Weather:
    """Chances of a letter to be lost, doubled, and very late; its usual delay in seconds."""

    lost: float = 0.0
    doubled: float = 0.0
    late: float = 0.0
    delay_s: float = 0.01
    late_s: float = 40.0


@dataclass
class Fall:
    """A DSO ends when it has read its `letter`-th letter, `before` or after acting on it, and starts again later."""

    dso: str
    letter: int
    before: bool
    down_s: float


class Ended(Exception):
    """The market operator was ended."""


class Shelf(Memory):
    """Survives its node; what stands is counted."""

    def __init__(self) -> None:
        super().__init__()
        self.stood: list[int] = []

    def put(self, finished: Finished | None) -> None:
        super().put(finished)
        if finished is not None and finished.close is not None:
            self.stood.append(finished.deal)


class OnceDesk(Desk):
    """Nothing is answered anew twice."""

    def __init__(self, name: str) -> None:
        super().__init__(name, Seals(name), DIGEST, nonce)
        self._answered: set[tuple[tuple[bytes, bytes], int]] = set()

    def letter(
        self, recipient: str, sort: Sort, talk: tuple[bytes, bytes], number: int, message: msgspec.Struct | None = None
    ) -> bytes:
        assert sort is Sort.WELCOME or (talk, number) not in self._answered
        if sort is Sort.REPLY:
            self._answered.add((talk, number))
        return super().letter(recipient, sort, talk, number, message)


class Journal(Unwritten):
    """Survives the market operator, who may be ended as it writes, before or after."""

    def __init__(self) -> None:
        super().__init__(0)
        self.fall: tuple[int, bool] | None = None
        self.written = 0

    def write(self, decision: RunDecision) -> None:
        self.written += 1
        due = self.fall is not None and self.fall[0] == self.written
        if due and self.fall == (self.written, True):
            self.fall = None
            raise Ended
        super().write(decision)
        if due:
            self.fall = None
            raise Ended


@dataclass
class World:
    """The organisations, what they keep, and the letters between them; one seed makes one course of events."""

    outline: Outline
    parts: Mapping[str, Sequence[Part]]
    seed: int = 0
    weather: Weather = field(default_factory=Weather)
    falls: Sequence[Fall] = ()
    operator_fall: tuple[int, bool] | None = None
    now_s: float = 0.0

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)
        self._post: list[tuple[float, int, str, bytes]] = []
        self._count = 0
        self.shelves = {dso: Shelf() for dso in self.outline.dsos}
        self.journal = Journal()
        self.desks: dict[str, AreaDesk] = {}
        self._up_again: dict[str, float] = {}
        self.read: Counter[str] = Counter()
        self.asked = self.begun = 0
        self.longest_s = 0.0
        self.told: list[str] = []
        for dso in self.outline.dsos:
            self.start(dso)

    def start(self, dso: str) -> None:
        """Anew, with what is on its shelf and nothing else."""
        self._up_again.pop(dso, None)
        self.desks[dso] = AreaDesk(OnceDesk(dso), AreaNode(self.parts[dso], self.shelves[dso]))

    def run(self) -> JointOutcome:
        """The market operator's program, started again as often as it is ended."""
        while True:
            self.journal.run += 1_000
            self._asking = OpenQuestions(desk_of(MARKET_OPERATOR), TIMEOUT_S, reply_in)
            try:
                return clear_together(self.outline, self, self.told.append, self.journal)
            except Ended:
                continue

    def ask(self, questions: Sequence[tuple[str, Question]]) -> Sequence[Reply | None]:
        """As a transport does, in virtual time."""
        self.asked += 1
        self.begun += any(isinstance(question, BeginRun) for _, question in questions)
        self._operator_may_fall(before=True)
        began_s = self.now_s
        self._asking.begin(questions, self.now_s)
        while self._asking.next_s is not None:
            for dso, letter in self._asking.due(self.now_s):
                self._send(dso, letter)
            self._pass_time()
        most = max(Counter(dso for dso, _ in questions).values(), default=0)
        self.longest_s = max(self.longest_s, (self.now_s - began_s) / max(most, 1))
        self._operator_may_fall(before=False)
        return self._asking.replies

    def _operator_may_fall(self, *, before: bool) -> None:
        if self.operator_fall == (self.asked, before):
            self.operator_fall = None
            raise Ended

    def _send(self, to: str, letter: bytes) -> None:
        for _ in range(1 + (self._rng.random() < self.weather.doubled)):
            if self._rng.random() >= self.weather.lost:
                late = self._rng.random() < self.weather.late
                delay = self._rng.exponential(self.weather.late_s if late else self.weather.delay_s)
                self._count += 1
                heapq.heappush(self._post, (self.now_s + delay, self._count, to, letter))

    def _pass_time(self) -> None:
        """Until a letter arrives or something is due again."""
        until = self._asking.next_s
        if until is None:
            return
        if not self._post or self._post[0][0] > until:
            self.now_s = max(self.now_s, until)
            return
        self.now_s, _, to, letter = heapq.heappop(self._post)
        if to == MARKET_OPERATOR:
            self._asking.received(letter, self.now_s)
        else:
            self._read(to, letter)

    def _read(self, dso: str, letter: bytes) -> None:
        if self._up_again.get(dso, 0.0) > self.now_s:
            return
        if dso in self._up_again:
            self.start(dso)
        self.read[dso] += 1
        fall = next((fall for fall in self.falls if (fall.dso, fall.letter) == (dso, self.read[dso])), None)
        if fall is None or not fall.before:
            reply = self.desks[dso].reply_to(letter)
            if fall is None and reply is not None:
                self._send(MARKET_OPERATOR, reply)
        if fall is not None:
            self._up_again[dso] = self.now_s + fall.down_s

    @property
    def most_beginnings(self) -> int:
        """Of one market operator's program."""
        return 1 + CHANCES * len(self.outline.dsos)
