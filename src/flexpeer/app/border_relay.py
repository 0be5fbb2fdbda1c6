"""The market operator's relay: it knows who borders whom, and hands border messages on, level by level of the tree."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from flexpeer.app.area_node import DOWN_ROWS, MOST_ROWS, SUM_ROWS, UP_ROWS, Step
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


class Relay:
    """Hands messages from piece to piece, level by level; `held` (periods,) are the flows of borders left out.

    `numbers` are the pieces that take part, `idle` what their borders carry without trade, once surveyed.
    """

    def __init__(self, outline: Outline, areas: Areas, held: Mapping[int, Floats]) -> None:
        self.outline, self._areas, self._left_out = outline, areas, held
        self.idle: dict[int, Floats] = {}
        depth: dict[int, int] = {}
        for number, hook in enumerate(outline.hooks):
            if number not in held and (hook.above < 0 or hook.above in depth):
                depth[number] = depth.get(hook.above, -1) + 1
        self._levels = [[n for n in depth if depth[n] == level] for level in range(max(depth.values(), default=-1) + 1)]
        self.numbers = sorted(depth)

    def up(self, what: Pass, shared: Floats | None = None, lanes: Lanes = None) -> Tally:
        """From the lowest pieces to the root; of all at once where no border tells anything."""
        common = Numbers() if shared is None else packed(shared, lanes)
        told, answers = dict[int, Numbers](), dict[int, Answer]()
        for level in reversed(self._levels) if UP_ROWS[what] else [self.numbers]:
            questions = []
            for n in level:
                below = self.outline.below[n] if UP_ROWS[what] else ()
                borders = {k: told[k] if k in told else self._held(what, k, lanes) for k in below}
                questions.append((n, Ascend(what, n, lane_bits(lanes), common, borders)))
            answers |= self._asked(questions)
            for n in level:
                border = self._rows(answers[n].up, UP_ROWS[what], lanes, n)
                told[n] = answers[n].up
                if what is Pass.SURVEY:
                    self.idle[n] = border[IDLE_ROW]
        return self._tally((what, Ascend), answers, lanes)

    def down(self, what: Pass, lanes: Lanes = None) -> Tally:
        """From the root down; the root has zeros above it."""
        root = packed(np.zeros((DOWN_ROWS[what], self.outline.periods)), lanes)
        told, answers = {0: root}, dict[int, Answer]()
        for level in self._levels:
            found = self._asked([(n, Descend(what, n, lane_bits(lanes), told[n])) for n in level])
            for n, answer in found.items():
                if set(answer.down) != set(self.outline.below[n]):
                    raise self._blamed([n])
                for border in answer.down.values():
                    self._rows(border, DOWN_ROWS[what], lanes, n)
                told |= answer.down
            answers |= found
        return self._tally((what, Descend), answers, lanes)

    def _held(self, what: Pass, piece: int, lanes: Lanes) -> Numbers:
        """What a border left out tells: the flow of no trade, and no answer to any price."""
        rows = np.zeros((UP_ROWS[what], self.outline.periods))
        flows = {Pass.SURVEY: slice(0, 4), Pass.PREDICT: slice(0, 1), Pass.FINISH: slice(0, 1)}
        if what in flows:
            rows[flows[what]] = self._left_out[piece]
        return packed(rows, lanes)

    def _asked(self, questions: Sequence[tuple[int, Ascend | Descend]]) -> dict[int, Answer]:
        replies = self._areas.ask([(self.outline.hooks[n].dso, question) for n, question in questions])
        answers = {n: reply for (n, _), reply in zip(questions, replies, strict=True) if isinstance(reply, Answer)}
        lacking = [n for n, _ in questions if n not in answers]
        if lacking:
            raise self._blamed(lacking)
        return answers

    def _tally(self, step: Step, answers: Mapping[int, Answer], lanes: Lanes) -> Tally:
        columns, lanes = (1, None) if step[0] is Pass.FINISH else (self.outline.periods, lanes)
        sums, most = (
            [self._rows(numbers, rows.get(step, 0), lanes, n, columns) for n, numbers in parts]
            for rows, parts in (
                (SUM_ROWS, [(n, answers[n].sums) for n in self.numbers]),
                (MOST_ROWS, [(n, answers[n].most) for n in self.numbers]),
            )
        )
        return Tally(np.sum(sums, axis=0), np.max(most, axis=0))

    def _rows(self, numbers: Numbers, count: int, lanes: Lanes, piece: int, columns: int | None = None) -> Floats:
        """So many rows; whoever sent others is as good as silent."""
        rows = unpacked(numbers, self.outline.periods if columns is None else columns, lanes)
        if rows is None or len(rows) != count:
            raise self._blamed([piece])
        return rows

    def _blamed(self, pieces: Sequence[int]) -> Silent:
        return Silent(list(dict.fromkeys(self.outline.hooks[n].dso for n in pieces)))
