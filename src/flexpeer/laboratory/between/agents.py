"""Peers' own agents: each holds its bids, and is asked by its DSO as the DSO is asked by the market operator.

To its DSO an agent is a piece below the bus where the peer is: one bus, without a limit or a voltage drop. With every
pass the DSO asks its agents, adds their sums to its own, and keeps their borders to itself, so that what it answers is
what a DSO that held the bids would answer. An agent that is silent is played by the proxy, if its bids were left at the
DSO: the proxy is told all the agent was told, and so stands where the agent stood. Without bids there is nothing to
play: the DSO has lost the thread and the run begins again, without the agent unless it answers then.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import msgspec
import numpy as np

from flexpeer.clearing.problem import ClearingProblem
from flexpeer.laboratory.between.area_node import MOST_ROWS, OFFER_ROWS, SUM_ROWS, UP_ROWS, AreaNode, Shelf
from flexpeer.laboratory.between.border_numbers import Lanes, lanes_of, packed, unpacked
from flexpeer.laboratory.between.border_relay import Areas
from flexpeer.laboratory.between.borders import (
    AreaAnswer,
    AreaRefusal,
    Ascend,
    BeginRun,
    Close,
    Descend,
    Numbers,
    Pass,
    Question,
    Reply,
    Trouble,
)
from flexpeer.laboratory.engines.shares import Part

FIRST_AGENT = 1_000_000
"""Agents' pieces are numbered from here, those of the market's outline below."""
CHANCES = 3


def apart(part: Part, pieces: Mapping[int, int]) -> tuple[Part, list[Part]]:
    """The part without some of its peers, and theirs, numbered as `pieces` says by peer, below the peers' buses."""
    problem, entries = part.problem, dict(part.entries)
    entries |= {piece: int(problem.peer_bus[peer]) for peer, piece in pieces.items()}
    others = np.setdiff1d(np.arange(problem.peers), list(pieces))
    nothing = np.zeros(problem.periods)
    below_kw = {**part.below_kw, **dict.fromkeys(pieces.values(), nothing)}
    own = replace(part, problem=problem.with_peers(others), entries=entries, below_kw=below_kw)
    return own, [Part(piece, _alone(problem, peer), {}, {}, nothing) for peer, piece in pieces.items()]


def _alone(problem: ClearingProblem, peer: int) -> ClearingProblem:
    """One peer at one bus; of the market's prices only those that are public."""
    own = problem.with_peers(np.array([peer]))
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

    `silent` are agents without a part in the run, `proxies` those played here, `unconfirmed` did not confirm the end.
    Who falls silent is asked again when a run begins, `CHANCES` times in all.
    """

    def __init__(self, parts: Iterable[Part], staff: Staff, shelf: Shelf | None = None) -> None:
        self._staff = staff
        super().__init__(parts, shelf)
        self._told_to: dict[int, list[Question]] = {n: [] for n in staff.names}
        self._losses: Counter[int] = Counter()
        self.silent: list[int] = []
        self.proxies: dict[int, AreaNode] = {}
        self.unconfirmed: list[int] = []

    @property
    def parts(self) -> Mapping[int, Part]:
        """What the DSO holds, and what those left who take no part by themselves, by piece."""
        return {**self._parts, **self._staff.left}

    @property
    def names(self) -> Mapping[int, str]:
        """Agents by piece."""
        return self._staff.names

    def _below(self, piece: int) -> list[int]:
        """The agents' pieces below a piece that take part, played here or not."""
        entries = self._parts[piece].entries if piece in self._parts else {}
        return sorted(n for n in entries if n in self.names and (n in self.proxies or n not in self.silent))

    def answer(self, question: Question) -> Reply:
        """One question, agents asked in between."""
        match question:
            case BeginRun():
                return self._begun(question, super().answer(question))
            case Ascend():
                return self._up(question)
            case Descend():
                return self._down(question)
            case Close():
                return self._ended(question, super().answer(question))

    def _begun(self, begin: BeginRun, own: Reply) -> Reply:
        """Who does not answer now has no part in the run."""
        if isinstance(own, AreaRefusal):
            return own
        self._told_to = {n: [] for n in self.names}
        self.silent = [n for n in self.names if n in self.proxies or self._losses[n] >= CHANCES]
        found, _ = self._asked({n: begin for n in self.names if n in self.proxies or n not in self.silent})
        return self._added(begin, own, found)

    def _up(self, question: Ascend) -> Reply:
        found, whole = self._asked(
            {n: msgspec.structs.replace(question, piece=n, below={}) for n in self._below(question.piece)}
        )
        if not whole:
            return self._lost(question)
        below = question.below | {n: answer.up for n, answer in found.items()}
        own = super().answer(msgspec.structs.replace(question, below=below))
        return own if isinstance(own, AreaRefusal) else self._added(question, own, found)

    def _down(self, question: Descend) -> Reply:
        own = super().answer(question)
        if isinstance(own, AreaRefusal):
            return own
        agents = self._below(question.piece)
        found, whole = self._asked({n: msgspec.structs.replace(question, piece=n, above=own.down[n]) for n in agents})
        if not whole:
            return self._lost(question)
        self._keep()
        outward = {n: rows for n, rows in own.down.items() if n not in agents}
        return self._added(question, msgspec.structs.replace(own, down=outward), found)

    def _lost(self, question: Ascend | Descend) -> AreaRefusal:
        """An agent is lost in the middle of a run: nothing but a new beginning can follow."""
        self._last.clear()
        return AreaRefusal(Trouble.LOST, question.what.name.lower())

    def _keep(self) -> None:
        """What proxies have finished is kept with what the DSO has."""
        if self._finished is not None and self.proxies:
            played = {n: sweeps.outcome for proxy in self.proxies.values() for n, sweeps in proxy.sweeps.items()}
            self._put(replace(self._finished, outcomes={**self._finished.outcomes, **played}))

    def _asked(self, questions: Mapping[int, Question]) -> tuple[dict[int, AreaAnswer], bool]:
        """Answers of agents and proxies by piece; whether they are all there, played if need be."""
        found = self._replies({n: question for n, question in questions.items() if n not in self.silent})
        lost = [n for n in questions if n not in found and n not in self.silent]
        self.silent += lost
        self._losses.update(lost)
        self.proxies |= {n: self._proxy(n) for n in lost if n in self._staff.left}
        for n, question in questions.items():
            self._told_to[n].append(question)
            if n in self.proxies and isinstance(reply := self.proxies[n].answer(question), AreaAnswer):
                found[n] = reply
        return found, len(found) == len(questions)

    def _replies(self, questions: Mapping[int, Question]) -> dict[int, AreaAnswer]:
        """Of those who answer, and what fits."""
        replies = self._staff.reached.ask([(self._staff.names[n], question) for n, question in questions.items()])
        return {
            n: reply
            for n, reply in zip(questions, replies, strict=True)
            if isinstance(reply, AreaAnswer) and self._fits(questions[n], reply)
        }

    def _proxy(self, agent: int) -> AreaNode:
        """The agent as all it was told has left it."""
        proxy = AreaNode([self._staff.left[agent]])
        for question in self._told_to[agent]:
            proxy.answer(question)
        return proxy

    def _ended(self, close: Close, own: Reply) -> Reply:
        """Agents hear what their DSO heard: it stands at those who have finished the same run."""
        if isinstance(own, AreaRefusal):
            return own
        for proxy in self.proxies.values():
            proxy.answer(close)
        asked: dict[int, Question] = {n: close for n in self.names if n not in self.proxies}
        confirmed = self._replies(asked)
        self.unconfirmed = [n for n in asked if n not in confirmed and n not in self.silent]
        return own

    def _fits(self, question: Question, answer: AreaAnswer) -> bool:
        """Whether an answer has the rows it should have."""
        if isinstance(question, Close):
            return True
        shape = self._shape(question)
        up = UP_ROWS[question.what] if isinstance(question, Ascend) else 0
        parts = (
            (answer.up, up, shape.borders),
            (answer.sums, shape.sums, shape.own),
            (answer.most, shape.most, shape.own),
        )
        rows = [(unpacked(numbers, *columns), count) for numbers, count, columns in parts]
        return not answer.down and all(found is not None and len(found) == count for found, count in rows)

    def _added(
        self, question: BeginRun | Ascend | Descend, own: AreaAnswer, found: Mapping[int, AreaAnswer]
    ) -> AreaAnswer:
        """The DSO's sums with those of its agents, and the largest of their largest values."""
        shape = self._shape(question)
        answers = [own, *found.values()]

        def together(numbers: Sequence[Numbers], add: np.ufunc, rows: int) -> Numbers:
            """Everybody's numbers as one."""
            if not rows:
                return numbers[0]
            values = [each for given in numbers if (each := unpacked(given, *shape.own)) is not None]
            return packed(add.reduce(values, axis=0), shape.own[1])

        sums = together([answer.sums for answer in answers], np.add, shape.sums)
        most = together([answer.most for answer in answers], np.maximum, shape.most)
        return msgspec.structs.replace(own, sums=sums, most=most)

    def _shape(self, question: BeginRun | Ascend | Descend) -> "_Shape":
        periods = next(iter(self._parts.values())).problem.periods
        if isinstance(question, BeginRun):
            return _Shape((periods, None), (periods, None), OFFER_ROWS, 0)
        step, columns = (question.what, type(question)), (periods, lanes_of(question.lanes, periods))
        own = (1, None) if question.what is Pass.FINISH else columns
        return _Shape(columns, own, SUM_ROWS.get(step, 0), MOST_ROWS.get(step, 0))


class _Shape(NamedTuple):
    """How many columns, and which lanes of them, borders and sums have; rows of sums and of largest values."""

    borders: tuple[int, Lanes]
    own: tuple[int, Lanes]
    sums: int
    most: int
