"""Organisations in one process, and what they hold put together again."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec
import numpy as np

from flexpeer.app.area_node import AreaNode
from flexpeer.app.border_relay import Areas
from flexpeer.clearing.outcome import Posted
from flexpeer.clearing.pieces import pieces_of
from flexpeer.clearing.problem import Floats, Problem
from flexpeer.clearing.shares import Outline, peers_of, split
from flexpeer.wire.borders import Question, Reply


def names(problem: Problem) -> dict[int, str]:
    return {int(area): f"dso-{area}" for area in np.unique(problem.area)}


def with_random_areas(problem: Problem, seed: int) -> Problem:
    """One to five areas, each in any number of pieces."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 6))
    area = np.zeros(problem.buses, dtype=np.int64)
    for n in range(1, problem.buses):
        area[n] = rng.integers(0, count) if rng.random() < 0.4 else area[problem.parent[n]]
    return replace(problem, area=area)


def nodes_of(problem: Problem) -> tuple[Outline, dict[str, AreaNode]]:
    outline, parts = split(problem, names(problem))
    return outline, {dso: AreaNode(own) for dso, own in parts.items()}


def gathered(problem: Problem, steps_of: Callable[[int], Floats]) -> Floats:
    """Steps (peers, periods, steps) of all pieces; where `steps_of` a piece has no rows, no trade."""
    steps_kw = np.zeros(problem.step_kw.shape)
    for number, piece in enumerate(pieces_of(problem.parent, problem.area)):
        found = steps_of(number)
        if found.size:
            steps_kw[peers_of(problem, piece)] = found
    return steps_kw


def gathered_prices(problem: Problem, posted_of: Callable[[int], Posted]) -> Posted:
    line, voltage = np.zeros(problem.base_kw.shape), np.zeros(problem.base_kw.shape)
    for number, piece in enumerate(pieces_of(problem.parent, problem.area)):
        line[piece.bus], voltage[piece.bus] = posted_of(number).line, posted_of(number).voltage
    return Posted(line, voltage, np.zeros(problem.row_base_kw.shape))


class Traffic:
    """Records what passes, as it would be written, by organisation; some organisations may fall silent."""

    def __init__(self, areas: Areas, silent_from: dict[str, int] | None = None) -> None:
        self._areas, self._silent_from = areas, silent_from or {}
        self.messages: list[tuple[str, bytes]] = []

    def ask(self, questions: Sequence[tuple[str, Question]]) -> Sequence[Reply | None]:
        replies: list[Reply | None] = []
        for dso, question in questions:
            written = msgspec.msgpack.encode(question)
            self.messages.append((dso, written))
            asked = sum(name == dso for name, _ in self.messages)
            if dso in self._silent_from and asked > self._silent_from[dso]:
                replies.append(None)
                continue
            (reply,) = self._areas.ask([(dso, msgspec.msgpack.decode(written, type=Question))])
            self.messages.append((dso, msgspec.msgpack.encode(reply)))
            replies.append(reply)
        return replies
