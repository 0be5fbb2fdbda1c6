"""The market operator's relay: it knows who borders whom, and hands border messages on, level by level of the tree."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np

from flexpeer.app.area_node import DOWN_ROWS, UP_ROWS
from flexpeer.app.border_numbers import Lanes, lane_bits, packed, unpacked
from flexpeer.clearing.problem import Floats
from flexpeer.clearing.shares import Outline
from flexpeer.wire.borders import Answer, Ascend, Descend, Numbers, Pass, Question, Reply

IDLE_ROW = 2


class Areas(Protocol):
    """How the market operator reaches the DSOs."""

    def ask(self, questions: Sequence[tuple[str, Question]]) -> Sequence[Reply | None]:
        """Replies in the order of (DSO, question); None where a DSO was silent until its time was up."""


class Silent(Exception):
    """These DSOs did not answer, or not what was asked."""

    def __init__(self, dsos: Sequence[str]) -> None:
        super().__init__(", ".join(dsos))
        self.dsos = tuple(dsos)


class Tally(NamedTuple):
    """What all pieces' sums add up to, and the largest of their largest values."""

    sums: Floats
    most: Floats


@dataclass
class Relay:
    """Hands messages from piece to piece, level by level; `held` (periods,) are the flows of borders left out."""

    outline: Outline
    areas: Areas
    held: Mapping[int, Floats]
    levels: list[list[int]] = field(init=False)
    idle: dict[int, Floats] = field(default_factory=dict)

    def __post_init__(self) -> None:
        depth: dict[int, int] = {}
        for number, hook in enumerate(self.outline.hooks):
            if number not in self.held and (hook.above < 0 or hook.above in depth):
                depth[number] = depth.get(hook.above, -1) + 1
        self.levels = [[n for n in depth if depth[n] == level] for level in range(max(depth.values(), default=-1) + 1)]
        self.numbers = sorted(depth)

    def up(self, what: Pass, shared: Floats | None = None, lanes: Lanes = None) -> Tally:
        """From the lowest pieces to the root; levels of no borders at once."""
        common = Numbers() if shared is None else packed(shared, lanes)
        told, answers = dict[int, Numbers](), dict[int, Answer]()
        for level in reversed(self.levels) if UP_ROWS[what] else [self.numbers]:
            questions = []
            for n in level:
                below = self.outline.below[n] if UP_ROWS[what] else ()
                borders = {k: told[k] if k in told else self._held(what, k, lanes) for k in below}
                questions.append((n, Ascend(what, n, lane_bits(lanes), common, borders)))
            answers |= self._asked(questions)
            told |= {n: answers[n].up for n in level}
        if what is Pass.SURVEY:
            self.idle = {n: self._rows(told[n], self.outline.periods, None, n)[IDLE_ROW] for n in self.numbers}
        return self._tally(what, answers, lanes)

    def down(self, what: Pass, lanes: Lanes = None) -> Tally:
        """From the root down; the root has zeros above it."""
        root = packed(np.zeros((DOWN_ROWS[what], self.outline.periods)), lanes)
        told, answers = {0: root}, dict[int, Answer]()
        for level in self.levels:
            found = self._asked([(n, Descend(what, n, lane_bits(lanes), told[n])) for n in level])
            for n, answer in found.items():
                if set(answer.down) != set(self.outline.below[n]):
                    raise Silent([self.outline.hooks[n].dso])
                told |= answer.down
            answers |= found
        return self._tally(what, answers, lanes)

    def _held(self, what: Pass, piece: int, lanes: Lanes) -> Numbers:
        """What a border left out tells: the flow of no trade, and no answer to any price."""
        rows = np.zeros((UP_ROWS[what], self.outline.periods))
        flows = {Pass.SURVEY: slice(0, 4), Pass.PREDICT: slice(0, 1), Pass.FINISH: slice(0, 1)}
        if what in flows:
            rows[flows[what]] = self.held[piece]
        return packed(rows, lanes)

    def _asked(self, questions: Sequence[tuple[int, Ascend | Descend]]) -> dict[int, Answer]:
        owners = [self.outline.hooks[n].dso for n, _ in questions]
        replies = self.areas.ask([(owner, question) for owner, (_, question) in zip(owners, questions, strict=True)])
        answers = {n: reply for (n, _), reply in zip(questions, replies, strict=True) if isinstance(reply, Answer)}
        lacking = [owner for owner, (n, _) in zip(owners, questions, strict=True) if n not in answers]
        if lacking:
            raise Silent(list(dict.fromkeys(lacking)))
        return answers

    def _tally(self, what: Pass, answers: Mapping[int, Answer], lanes: Lanes) -> Tally:
        """Sums over periods, or over all of the day when a run finishes."""
        columns = 1 if what is Pass.FINISH else self.outline.periods
        lanes = None if what is Pass.FINISH else lanes
        sums, most = (
            [self._rows(numbers, columns, lanes, n) for n, numbers in parts]
            for parts in ([(n, answers[n].sums) for n in self.numbers], [(n, answers[n].most) for n in self.numbers])
        )
        odd = [
            n
            for n, a, b in zip(self.numbers, sums, most, strict=True)
            if (len(a), len(b)) != (len(sums[0]), len(most[0]))
        ]
        if odd:
            raise Silent([self.outline.hooks[n].dso for n in odd])
        return Tally(np.sum(sums, axis=0), np.max(most, axis=0))

    def _rows(self, numbers: Numbers, columns: int, lanes: Lanes, piece: int) -> Floats:
        rows = unpacked(numbers, columns, lanes)
        if rows is None:
            raise Silent([self.outline.hooks[piece].dso])
        return rows
