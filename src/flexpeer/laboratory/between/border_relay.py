"""The market operator's relay: it knows who borders whom, and hands border messages on, level by level of the tree."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from flexpeer.clearing.problem import Floats
from flexpeer.laboratory.between.area_node import DOWN_ROWS, MOST_ROWS, SUM_ROWS, UP_ROWS, Step
from flexpeer.laboratory.between.border_numbers import Lanes, lane_bits, packed, unpacked
from flexpeer.laboratory.between.borders import (
    AreaAnswer,
    AreaRefusal,
    Ascend,
    Descend,
    Numbers,
    Pass,
    Question,
    Reply,
    Trouble,
)
from flexpeer.laboratory.engines.shares import Outline


class Areas(Protocol):
    """How the market operator reaches the DSOs."""

    def ask(self, questions: Sequence[tuple[str, Question]]) -> Sequence[Reply | None]:
        """Replies in the order of (DSO, question); None where a DSO was silent until its time was up."""


class Interrupted(Exception):
    """A run that cannot go on: these DSOs did not answer or have lost the thread; those answered what cannot be."""

    def __init__(self, lost: Sequence[str], wrong: Sequence[str]) -> None:
        super().__init__(", ".join([*lost, *wrong]))
        self.lost, self.wrong = tuple(lost), tuple(wrong)


class Tally(NamedTuple):
    """What all pieces' sums add up to, and the largest of their largest values."""

    sums: Floats
    most: Floats


class Relay:
    """Hands messages from piece to piece, level by level, among the DSOs that are `present`.

    `numbers` are their pieces. Where the piece above is of somebody else, a piece is the first of a tree of its own.
    """

    def __init__(self, outline: Outline, areas: Areas, present: Collection[str]) -> None:
        self.outline, self._areas = outline, areas
        depth: dict[int, int] = {}
        for number, hook in enumerate(outline.hooks):
            if hook.dso in present:
                depth[number] = depth.get(hook.above, -1) + 1
        self._depth = depth
        self._levels = [[n for n in depth if depth[n] == level] for level in range(max(depth.values(), default=-1) + 1)]
        self.numbers = sorted(depth)

    def up(self, what: Pass, shared: Floats | None = None, lanes: Lanes = None) -> Tally:
        """From the lowest pieces up."""
        common = Numbers() if shared is None else packed(shared, lanes)
        told, answers = dict[int, Numbers](), dict[int, AreaAnswer]()
        for level in reversed(self._levels):
            questions = []
            for n in level:
                borders = {k: told[k] for k in self._below(n)}
                questions.append((n, Ascend(what, n, lane_bits(lanes), common, borders)))
            answers |= self._asked(questions)
            for n in level:
                alone = self._depth[n] == 0 and what is not Pass.SURVEY
                self._rows(answers[n].up, 0 if alone else UP_ROWS[what], lanes, n)
                told[n] = answers[n].up
        return self._tally((what, Ascend), answers, lanes)

    def down(self, what: Pass, lanes: Lanes = None) -> Tally:
        """From the first pieces down; nobody is above those."""
        told, answers = dict[int, Numbers](), dict[int, AreaAnswer]()
        for level in self._levels:
            found = self._asked([(n, Descend(what, n, lane_bits(lanes), told.get(n, Numbers()))) for n in level])
            for n, answer in found.items():
                if set(answer.down) != set(self._below(n)):
                    raise self._wrong(n)
                for border in answer.down.values():
                    self._rows(border, DOWN_ROWS[what], lanes, n)
                told |= answer.down
            answers |= found
        return self._tally((what, Descend), answers, lanes)

    def _below(self, piece: int) -> Sequence[int]:
        return [n for n in self.outline.below[piece] if n in self._depth]

    def _asked(self, questions: Sequence[tuple[int, Ascend | Descend]]) -> dict[int, AreaAnswer]:
        replies = self._areas.ask([(self.outline.hooks[n].dso, question) for n, question in questions])
        answers, lost, wrong = dict[int, AreaAnswer](), dict[str, None](), dict[str, None]()
        for (n, _), reply in zip(questions, replies, strict=True):
            if isinstance(reply, AreaAnswer):
                answers[n] = reply
            else:
                (lost if lost_thread(reply) else wrong)[self.outline.hooks[n].dso] = None
        if lost or wrong:
            raise Interrupted([dso for dso in lost if dso not in wrong], list(wrong))
        return answers

    def _tally(self, step: Step, answers: Mapping[int, AreaAnswer], lanes: Lanes) -> Tally:
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
        """So many rows, or whoever sent others is wrong."""
        rows = unpacked(numbers, self.outline.periods if columns is None else columns, lanes)
        if rows is None or len(rows) != count:
            raise self._wrong(piece)
        return rows

    def _wrong(self, piece: int) -> Interrupted:
        return Interrupted([], [self.outline.hooks[piece].dso])


def lost_thread(reply: Reply | None) -> bool:
    """Whether a DSO that did not answer may, when all begin again."""
    return reply is None or (isinstance(reply, AreaRefusal) and reply.why is Trouble.LOST)
