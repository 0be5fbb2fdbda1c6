"""One DSO's side of a clearing between organisations: it holds its parts of the problem and answers questions.

What a DSO has finished is on its shelf before it says so, and stays there until it hears how the run ended. So a node
that was ended at any moment and starts again with the same shelf accepts what it had finished, once.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from flexpeer.clearing.problem import Floats
from flexpeer.errors import bad_input
from flexpeer.laboratory.between.border_numbers import Lanes, lanes_of, packed, unpacked
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
from flexpeer.laboratory.engines.part_sweeps import PartOutcome, PartSweeps, PieceTold
from flexpeer.laboratory.engines.shares import Part

Step = tuple[Pass, type[Question]]

BEGUN: Step = (Pass.SURVEY, BeginRun)
DONE: Step = (Pass.FINISH, Descend)
FOLLOWS: Mapping[Step, tuple[Step, ...]] = {
    (Pass.SURVEY, Ascend): (BEGUN,),
    (Pass.SURVEY, Descend): ((Pass.SURVEY, Ascend),),
    (Pass.PREDICT, Ascend): ((Pass.SURVEY, Descend), (Pass.CORRECT, Descend)),
    (Pass.PREDICT, Descend): ((Pass.PREDICT, Ascend),),
    (Pass.CORRECT, Ascend): ((Pass.PREDICT, Descend),),
    (Pass.CORRECT, Descend): ((Pass.CORRECT, Ascend),),
    (Pass.PRICE, Ascend): ((Pass.PREDICT, Ascend),),
    (Pass.PRICE, Descend): ((Pass.PRICE, Ascend),),
    (Pass.FINISH, Ascend): ((Pass.PRICE, Descend),),
    (Pass.FINISH, Descend): ((Pass.FINISH, Ascend),),
}
SHARED_ROWS = {Pass.SURVEY: (1,), Pass.PREDICT: (0, 2), Pass.CORRECT: (1,)}
UP_ROWS = {Pass.SURVEY: 4, Pass.PREDICT: 5, Pass.CORRECT: 2, Pass.PRICE: 1, Pass.FINISH: 3}
DOWN_ROWS = {Pass.SURVEY: 4, Pass.PREDICT: 2, Pass.CORRECT: 2, Pass.PRICE: 2, Pass.FINISH: 2}
OFFER_ROWS = 3

SUM_ROWS: Mapping[Step, int] = {
    (Pass.SURVEY, Descend): 2,
    (Pass.PREDICT, Ascend): 2,
    (Pass.PREDICT, Descend): 2,
    (Pass.FINISH, Descend): 4,
}
MOST_ROWS: Mapping[Step, int] = {(Pass.PREDICT, Descend): 2, (Pass.CORRECT, Descend): 2, (Pass.FINISH, Descend): 1}


@dataclass(frozen=True)
class Finished:
    """What a DSO finished in a run, by piece; `close` says how the run ended, once that is known."""

    deal: int
    outcomes: Mapping[int, PartOutcome]
    close: Close | None = None


class Shelf(Protocol):
    """Where one `Finished` is kept, or none."""

    def kept(self) -> Finished | None:
        """What was put there last."""

    def put(self, finished: Finished | None) -> None:
        """Replace it; done for good when this returns."""


class Memory:
    """A shelf that lasts as long as the process."""

    def __init__(self) -> None:
        self._finished: Finished | None = None

    def kept(self) -> Finished | None:
        """What was put there last."""
        return self._finished

    def put(self, finished: Finished | None) -> None:
        """Replace it."""
        self._finished = finished


class AreaNode:
    """A DSO's parts through one or more runs; once an outcome stands there are no more runs."""

    def __init__(self, parts: Iterable[Part], shelf: Shelf | None = None) -> None:
        self._parts = {part.number: part for part in parts}
        self._shelf = Memory() if shelf is None else shelf
        self._finished = self._shelf.kept()
        if self._finished is not None and not self._is_of_these_parts(self._finished):
            raise bad_input("state", "an outcome is not of these parts", "what a node has written for them")
        self._deal = 0
        self.sweeps: dict[int, PartSweeps] = {}
        self._last: dict[int, Step] = {}
        self.closed = None if self._finished is None else self._finished.close

    def _is_of_these_parts(self, finished: Finished) -> bool:
        problems = {number: part.problem for number, part in self.parts.items()}
        return finished.outcomes.keys() <= problems.keys() and all(
            outcome.steps_kw.ndim == 3
            and outcome.steps_kw.shape[1] == problems[number].step_kw.shape[1]
            and {each.shape for each in outcome[1:]} == {problems[number].base_kw.shape}
            for number, outcome in finished.outcomes.items()
        )

    @property
    def parts(self) -> Mapping[int, Part]:
        """What the DSO holds, by piece."""
        return self._parts

    @property
    def accepted(self) -> Mapping[int, PartOutcome]:
        """What stands, by piece; nothing before the run has ended."""
        return {} if self._finished is None or self._finished.close is None else self._finished.outcomes

    @property
    def finished(self) -> bool:
        """Whether an outcome waits for the market operator's word."""
        return self.closed is None and self._finished is not None

    def answer(self, question: Question) -> Reply:
        """One question; a `AreaRefusal` changes nothing."""
        if isinstance(question, BeginRun):
            return self._begin(question)
        if isinstance(question, Close):
            return self._close(question)
        step = (question.what, type(question))
        part = self._parts.get(question.piece)
        if part is None:
            return AreaRefusal(Trouble.FOREIGN, f"piece {question.piece}")
        if self._last.get(question.piece) not in FOLLOWS[step]:
            return AreaRefusal(Trouble.LOST, question.what.name.lower())
        lanes = lanes_of(question.lanes, part.problem.periods)
        told = self._told(part, question, lanes)
        if told is None:
            return AreaRefusal(Trouble.MISFIT, question.what.name.lower())
        self._last[question.piece] = step
        if step == DONE and all(last == DONE for last in self._last.values()):
            self._put(Finished(self._deal, {number: sweeps.outcome for number, sweeps in self.sweeps.items()}))
        return _answer(told, lanes)

    def _put(self, finished: Finished | None) -> None:
        self._shelf.put(finished)
        self._finished = finished

    def _begin(self, begin: BeginRun) -> Reply:
        if self._finished is not None:
            if self._finished.close is not None:
                return AreaRefusal(Trouble.ENDED, f"run {self._finished.deal}")
            if begin.deal <= self._finished.deal:
                return AreaRefusal(Trouble.LOST, f"run {begin.deal}")
            self._put(None)
        self._deal, self.closed = begin.deal, None
        self.sweeps = {number: PartSweeps(part) for number, part in self._parts.items()}
        self._last = dict.fromkeys(self._parts, BEGUN)
        sums = np.sum([sweeps.offer().sums for sweeps in self.sweeps.values()], axis=0)
        return AreaAnswer(Numbers(), {}, packed(sums, None), Numbers())

    def _close(self, close: Close) -> Reply:
        """Heard again it changes nothing; what another run's end says of this one's is void."""
        known = self._finished
        if close.stands and (known is None or known.deal != close.deal):
            return AreaRefusal(Trouble.LOST, f"run {close.deal}")
        if known is not None and not close.stands:
            if known.close is not None or close.deal < known.deal:
                return AreaRefusal(Trouble.LOST, f"run {close.deal}")
            self._put(None)
        elif known is not None and known.close is None:
            self._put(Finished(known.deal, known.outcomes, close))
        self.closed = close
        self._last = {}
        return AreaAnswer(Numbers(), {}, Numbers(), Numbers())

    def _told(self, part: Part, question: Ascend | Descend, lanes: Lanes) -> PieceTold | None:
        """None if a message has not the rows it should have."""
        what, columns, sweeps = question.what, part.problem.periods, self.sweeps[part.number]
        if isinstance(question, Descend):
            above = unpacked(question.above, columns, lanes)
            alone = question.above.rows == 0 if what is Pass.SURVEY else sweeps.alone
            return _down(sweeps, what, above) if _fits(above, 0 if alone else DOWN_ROWS[what]) else None
        shared = unpacked(question.shared, columns, lanes)
        if shared is None or len(shared) not in SHARED_ROWS.get(what, (0,)):
            return None
        below = {number: unpacked(numbers, columns, lanes) for number, numbers in question.below.items()}
        expected = sweeps.part.entries.keys()
        matched = below.keys() <= expected if what is Pass.SURVEY else below.keys() == expected
        if not matched or not all(_fits(rows, UP_ROWS[what]) for rows in below.values()):
            return None
        return _up(sweeps, what, shared, {n: rows for n, rows in below.items() if rows is not None})


class AreasHere:
    """DSOs in the same process."""

    def __init__(self, nodes: Mapping[str, AreaNode]) -> None:
        self._nodes = nodes

    def ask(self, questions: Sequence[tuple[str, Question]]) -> Sequence[Reply | None]:
        """Everybody answers at once."""
        return [self._nodes[dso].answer(question) for dso, question in questions]


def _fits(rows: Floats | None, count: int) -> bool:
    return rows is not None and len(rows) == count


def _up(sweeps: PartSweeps, what: Pass, shared: Floats, below: Mapping[int, Floats]) -> PieceTold:
    match what:
        case Pass.SURVEY:
            return sweeps.survey_up(shared[0], below)
        case Pass.PREDICT:
            return sweeps.predict_up(shared, below)
        case Pass.CORRECT:
            return sweeps.correct_up(shared[0], below)
        case Pass.PRICE:
            return sweeps.price_up(below)
        case Pass.FINISH:
            return sweeps.finish_up(below)


def _down(sweeps: PartSweeps, what: Pass, above: Floats | None) -> PieceTold:
    assert above is not None
    match what:
        case Pass.SURVEY:
            return sweeps.survey_down(above)
        case Pass.PREDICT:
            return sweeps.predict_down(above)
        case Pass.CORRECT:
            return sweeps.correct_down(above)
        case Pass.PRICE:
            return sweeps.price_down(above)
        case _:
            return sweeps.finish_down(above)


def _answer(told: PieceTold, lanes: Lanes) -> AreaAnswer:
    def numbers(values: Floats) -> Numbers:
        """Rows over periods without those that no longer move; others whole."""
        whole = lanes is None or values.shape[1:] != lanes.shape
        return packed(np.asarray(values), None if whole else lanes)

    down = {number: numbers(rows) for number, rows in told.down.items()}
    return AreaAnswer(numbers(told.up), down, numbers(told.sums), numbers(told.most))
