"""One DSO's side of a clearing between organisations: it holds its parts of the problem and answers questions."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from flexpeer.app.border_numbers import Lanes, lanes_of, packed, unpacked
from flexpeer.clearing.part_sweeps import PartOutcome, PartSweeps, Told
from flexpeer.clearing.problem import Floats
from flexpeer.clearing.shares import Part
from flexpeer.wire.borders import Answer, Ascend, Close, Descend, Numbers, Pass, Question, Refusal, Reply

Step = tuple[Pass, type[Question]]

FOLLOWS: Mapping[Step, tuple[Step, ...]] = {
    (Pass.SURVEY, Ascend): ((Pass.OFFER, Ascend),),
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
UP_ROWS = {Pass.OFFER: 0, Pass.SURVEY: 4, Pass.PREDICT: 6, Pass.CORRECT: 2, Pass.PRICE: 1, Pass.FINISH: 1}
DOWN_ROWS = {Pass.SURVEY: 4, Pass.PREDICT: 2, Pass.CORRECT: 2, Pass.PRICE: 2, Pass.FINISH: 1}

SUM_ROWS: Mapping[Step, int] = {
    (Pass.OFFER, Ascend): 3,
    (Pass.SURVEY, Descend): 2,
    (Pass.PREDICT, Ascend): 2,
    (Pass.PREDICT, Descend): 2,
    (Pass.FINISH, Descend): 4,
}
MOST_ROWS: Mapping[Step, int] = {(Pass.PREDICT, Descend): 2, (Pass.CORRECT, Descend): 2, (Pass.FINISH, Descend): 1}


class AreaNode:
    """A DSO's parts through one or more runs; `accepted` holds what stands after the last, by piece."""

    def __init__(self, parts: Iterable[Part]) -> None:
        self._parts = {part.number: part for part in parts}
        self.sweeps: dict[int, PartSweeps] = {}
        self._last: dict[int, Step] = {}
        self.accepted: dict[int, PartOutcome] = {}
        self.closed: Close | None = None

    @property
    def parts(self) -> Mapping[int, Part]:
        """What the DSO holds, by piece."""
        return self._parts

    @property
    def finished(self) -> bool:
        """Whether an outcome waits for the market operator's word."""
        return self.closed is None and (Pass.FINISH, Descend) in self._last.values()

    def answer(self, question: Question) -> Reply:
        """One question; a `Refusal` changes nothing."""
        if isinstance(question, Close):
            return self._close(question)
        step = (question.what, type(question))
        part = self._parts.get(question.piece)
        if part is None:
            return Refusal(f"piece {question.piece} is another's")
        if step != (Pass.OFFER, Ascend) and self._last.get(question.piece) not in FOLLOWS.get(step, ()):
            return Refusal(f"{question.what.name.lower()} is out of order")
        lanes = lanes_of(question.lanes, part.problem.periods)
        told = self._told(part, question, lanes)
        if told is None:
            return Refusal(f"{question.what.name.lower()} does not fit the piece")
        self._last[question.piece] = step
        return _answer(told, lanes)

    def _close(self, close: Close) -> Reply:
        if not all(self._last.get(number) == (Pass.FINISH, Descend) for number in close.pieces):
            return Refusal("nothing is finished there")
        self.accepted = {number: self.sweeps[number].outcome for number in close.pieces}
        self.closed = close
        return Answer(Numbers(), {}, Numbers(), Numbers())

    def _told(self, part: Part, question: Ascend | Descend, lanes: Lanes) -> Told | None:
        """None if a message has not the rows it should have."""
        what, columns = question.what, part.problem.periods
        if isinstance(question, Descend):
            above = unpacked(question.above, columns, lanes)
            return _down(self.sweeps[part.number], what, above) if _fits(above, DOWN_ROWS[what]) else None
        shared = unpacked(question.shared, columns, lanes)
        if shared is None or len(shared) not in SHARED_ROWS.get(what, (0,)):
            return None
        below = {number: unpacked(numbers, columns, lanes) for number, numbers in question.below.items()}
        expected = part.entries if what is not Pass.OFFER else ()
        if set(below) != set(expected) or not all(_fits(rows, UP_ROWS[what]) for rows in below.values()):
            return None
        if what is Pass.OFFER:
            self.sweeps[part.number] = PartSweeps(part)
        return _up(self.sweeps[part.number], what, shared, {n: rows for n, rows in below.items() if rows is not None})


class AreasHere:
    """DSOs in the same process."""

    def __init__(self, nodes: Mapping[str, AreaNode]) -> None:
        self._nodes = nodes

    def ask(self, questions: Sequence[tuple[str, Question]]) -> Sequence[Reply | None]:
        """Everybody answers at once."""
        return [self._nodes[dso].answer(question) for dso, question in questions]


def _fits(rows: Floats | None, count: int) -> bool:
    return rows is not None and len(rows) == count


def _up(sweeps: PartSweeps, what: Pass, shared: Floats, below: Mapping[int, Floats]) -> Told:
    match what:
        case Pass.OFFER:
            return sweeps.offer()
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


def _down(sweeps: PartSweeps, what: Pass, above: Floats | None) -> Told:
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


def _answer(told: Told, lanes: Lanes) -> Answer:
    def numbers(values: Floats) -> Numbers:
        """Rows over periods without those that no longer move; others whole."""
        whole = lanes is None or values.shape[1:] != lanes.shape
        return packed(np.asarray(values), None if whole else lanes)

    down = {number: numbers(rows) for number, rows in told.down.items()}
    return Answer(numbers(told.up), down, numbers(told.sums), numbers(told.most))
