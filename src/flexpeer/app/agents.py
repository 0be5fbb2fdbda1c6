"""Peers' own agents: each holds its bids, and is asked by its DSO as the DSO is asked by the market operator.

To its DSO an agent is a piece below the bus where the peer is: one bus, without a limit or a voltage drop. With every
pass the DSO asks its agents, adds their sums to its own, and keeps their borders to itself, so that what it answers is
what a DSO that held the bids would answer. An agent that is silent is played by the proxy, if its bids were left at the
DSO: the proxy is told all the agent was told, and so stands where the agent stood. Without bids there is nothing to
play: the run begins again, and the agent has no part in it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from flexpeer.app.area_node import MOST_ROWS, SUM_ROWS, UP_ROWS, AreaNode, Step
from flexpeer.app.border_numbers import Lanes, lanes_of, packed, unpacked
from flexpeer.app.border_relay import Areas
from flexpeer.clearing.part_sweeps import PartOutcome
from flexpeer.clearing.problem import Integers, Problem
from flexpeer.clearing.shares import Part
from flexpeer.wire.borders import Answer, Ascend, Close, Descend, Numbers, Pass, Question, Refusal, Reply

FIRST_AGENT = 1_000_000
"""Agents' pieces are numbered from here, those of the market's outline below."""


def apart(part: Part, pieces: Mapping[int, int]) -> tuple[Part, list[Part]]:
    """The part without some of its peers, and theirs, numbered as `pieces` says by peer, below the peers' buses."""
    problem, entries = part.problem, dict(part.entries)
    entries |= {piece: int(problem.peer_bus[peer]) for peer, piece in pieces.items()}
    others = np.setdiff1d(np.arange(problem.peers), list(pieces))
    own = Part(part.number, _with_peers(problem, others), entries)
    return own, [Part(piece, _alone(problem, peer), {}) for peer, piece in pieces.items()]


def _with_peers(problem: Problem, peers: Integers) -> Problem:
    return replace(
        problem, peer_bus=problem.peer_bus[peers], step_kw=problem.step_kw[peers], step_price=problem.step_price[peers],
        peer_kind=problem.peer_kind[peers], energy_kwh=problem.energy_kwh[peers],
        energy_start_kwh=problem.energy_start_kwh[peers],
    )  # fmt: skip


def _alone(problem: Problem, peer: int) -> Problem:
    """One peer at one bus; of the market's prices only those that are public."""
    own = _with_peers(problem, np.array([peer]))
    nothing = np.zeros((1, problem.periods))
    return replace(
        own, parent=np.array([-1]), area=np.zeros(1, dtype=np.int64), base_kw=nothing, line_limit_kw=nothing + np.inf,
        line_price=0.0, root_limit_price=0.0, voltage_price=0.0, voltage_drop=np.zeros(1), voltage_low=-np.inf,
        voltage_high=np.inf, peer_bus=np.zeros(1, dtype=np.int64),
    )  # fmt: skip


@dataclass(frozen=True)
class Staff:
    """A DSO's agents: their names by piece, how they are reached, and the parts of those who left their bids."""

    names: Mapping[int, str]
    reached: Areas
    left: Mapping[int, Part]


class HostNode(AreaNode):
    """A DSO's parts, some of whose peers are played by agents; they are told how a run ended as the DSO is.

    `silent` are agents that take part no more, `proxies` those played here, `unconfirmed` did not confirm the end.
    """

    def __init__(self, parts: Iterable[Part], staff: Staff) -> None:
        super().__init__(parts)
        self._staff = staff
        self._told_to: dict[int, list[Question]] = {n: [] for n in staff.names}
        self.silent: list[int] = []
        self.proxies: dict[int, AreaNode] = {}
        self.unconfirmed: list[int] = []

    @property
    def parts(self) -> Mapping[int, Part]:
        """What the DSO holds, and plays, by piece."""
        return {**self._parts, **{n: self._staff.left[n] for n in self.proxies}}

    @property
    def names(self) -> Mapping[int, str]:
        """Agents by piece."""
        return self._staff.names

    def agents_of(self, piece: int) -> list[int]:
        """The agents' pieces below a piece."""
        entries = self._parts[piece].entries if piece in self._parts else {}
        return sorted(n for n in entries if n in self._staff.names)

    def answer(self, question: Question) -> Reply:
        """One question, agents asked in between."""
        match question:
            case Close():
                return self._ended(question, super().answer(question))
            case Ascend():
                return self._up(question)
            case Descend():
                return self._down(question)

    def _up(self, question: Ascend) -> Reply:
        first = question.what is Pass.OFFER
        agents = self.agents_of(question.piece)
        asked: dict[int, Question] = {n: msgspec.structs.replace(question, piece=n, below={}) for n in agents}
        found = self._asked(asked, begins=first)
        if found is None:
            return self._begin_again()
        below = {} if first else {n: self._border(question, found.get(n)) for n in agents}
        own = super().answer(msgspec.structs.replace(question, below=question.below | below))
        return own if isinstance(own, Refusal) else self._added(question, own, list(found.values()))

    def _down(self, question: Descend) -> Reply:
        own = super().answer(question)
        if isinstance(own, Refusal):
            return own
        agents = self.agents_of(question.piece)
        found = self._asked({n: msgspec.structs.replace(question, piece=n, above=own.down[n]) for n in agents})
        if found is None:
            return self._begin_again()
        outward = {n: rows for n, rows in own.down.items() if n not in agents}
        return self._added(question, msgspec.structs.replace(own, down=outward), list(found.values()))

    def _begin_again(self) -> Refusal:
        """An agent is lost in the middle of a run: whatever comes next, before a new beginning, is out of order."""
        self._last.clear()
        return Refusal("an agent is silent: the run is out of order")

    def _asked(self, questions: Mapping[int, Question], begins: bool = False) -> dict[int, Answer] | None:
        """Answers of agents and proxies by piece; None if one without bids here is silent in the middle of a run."""
        found = self._replies({n: question for n, question in questions.items() if n not in self.silent})
        lost = [n for n in questions if n not in found and n not in self.silent]
        self.silent += lost
        self.proxies |= {n: self._proxy(n) for n in lost if n in self._staff.left}
        for n, question in questions.items():
            if begins:
                self._told_to[n].clear()
            self._told_to[n].append(question)
            if n in self.proxies and isinstance(reply := self.proxies[n].answer(question), Answer):
                found[n] = reply
        return found if begins or all(n in self.proxies for n in lost) else None

    def _replies(self, questions: Mapping[int, Question]) -> dict[int, Answer]:
        """Of those who answer, and what fits."""
        replies = self._staff.reached.ask([(self._staff.names[n], question) for n, question in questions.items()])
        return {
            n: reply
            for n, reply in zip(questions, replies, strict=True)
            if isinstance(reply, Answer) and self._fits(questions[n], reply)
        }

    def _proxy(self, agent: int) -> AreaNode:
        """The agent as all it was told has left it."""
        proxy = AreaNode([self._staff.left[agent]])
        for question in self._told_to[agent]:
            proxy.answer(question)
        return proxy

    def _ended(self, close: Close, own: Reply) -> Reply:
        """Agents are told what their DSO was told; what a proxy finished is the DSO's to keep."""
        if isinstance(own, Refusal):
            return own
        standing = [n for piece in close.pieces for n in self.agents_of(piece)]
        closes: dict[int, Question] = {
            n: Close((n,) if n in standing and n not in self.silent else (), close.status)
            for n in self._staff.names
            if n not in self.proxies
        }
        confirmed = self._replies(closes)
        self.unconfirmed = [n for n in closes if n not in confirmed and n not in self.silent]
        self.accepted |= self._played(close, standing)
        return own

    def _played(self, close: Close, standing: Sequence[int]) -> dict[int, PartOutcome]:
        for n, proxy in self.proxies.items():
            proxy.answer(Close((n,) if n in standing else (), close.status))
        return {n: outcome for proxy in self.proxies.values() for n, outcome in proxy.accepted.items()}

    def _lanes(self, question: Ascend | Descend) -> tuple[int, Lanes]:
        """How many periods there are, and which are asked for."""
        periods = next(iter(self._parts.values())).problem.periods
        return periods, lanes_of(question.lanes, periods)

    def _border(self, question: Ascend, answer: Answer | None) -> Numbers:
        """What the agent's piece tells; no flow, and no answer to any price, of one that takes no part."""
        periods, lanes = self._lanes(question)
        return packed(np.zeros((UP_ROWS[question.what], periods)), lanes) if answer is None else answer.up

    def _fits(self, question: Question, answer: Answer) -> bool:
        if isinstance(question, Close):
            return True
        step, (periods, lanes) = _step(question), self._lanes(question)
        up = UP_ROWS[question.what] if isinstance(question, Ascend) else 0
        columns, those = (1, None) if question.what is Pass.FINISH else (periods, lanes)
        parts = (
            (answer.up, up, periods, lanes),
            (answer.sums, SUM_ROWS.get(step, 0), columns, those),
            (answer.most, MOST_ROWS.get(step, 0), columns, those),
        )
        rows = [(unpacked(numbers, width, chosen), count) for numbers, count, width, chosen in parts]
        return not answer.down and all(found is not None and len(found) == count for found, count in rows)

    def _added(self, question: Ascend | Descend, own: Answer, theirs: Sequence[Answer]) -> Answer:
        """The DSO's sums with those of its agents, and the largest of their largest values."""
        periods, lanes = (1, None) if question.what is Pass.FINISH else self._lanes(question)
        step = _step(question)

        def together(numbers: Sequence[Numbers], add: np.ufunc, rows: int) -> Numbers:
            if not rows:
                return numbers[0]
            values = [found for given in numbers if (found := unpacked(given, periods, lanes)) is not None]
            return packed(add.reduce(values, axis=0), lanes)

        sums = together([own.sums, *(answer.sums for answer in theirs)], np.add, SUM_ROWS.get(step, 0))
        most = together([own.most, *(answer.most for answer in theirs)], np.maximum, MOST_ROWS.get(step, 0))
        return msgspec.structs.replace(own, sums=sums, most=most)


def _step(question: Ascend | Descend) -> Step:
    return question.what, type(question)
