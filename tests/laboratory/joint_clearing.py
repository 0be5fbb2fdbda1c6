"""Organisations in one process, and what they hold put together again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import msgspec
import numpy as np
import pytest
from scipy.optimize import linprog
from tests.laboratory.instances import rounding_money

from flexpeer.clearing.problem import ClearingProblem, Floats, Integers
from flexpeer.laboratory.between.area_node import AreaNode
from flexpeer.laboratory.between.border_relay import Areas
from flexpeer.laboratory.between.borders import Question, Reply
from flexpeer.laboratory.between.coordination import JointOutcome
from flexpeer.laboratory.engines.central import linear_program
from flexpeer.laboratory.engines.evaluation import grid_cost, moves, state_of
from flexpeer.laboratory.engines.outcome import Posted
from flexpeer.laboratory.engines.part_sweeps import PartOutcome
from flexpeer.laboratory.engines.pieces import pieces_of
from flexpeer.laboratory.engines.shares import Outline, peers_of, split


def names(problem: ClearingProblem) -> dict[int, str]:
    return {int(area): f"dso-{area}" for area in np.unique(problem.area)}


def with_random_areas(problem: ClearingProblem, seed: int) -> ClearingProblem:
    """One to five areas, each in any number of pieces."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 6))
    area = np.zeros(problem.buses, dtype=np.int64)
    for n in range(1, problem.buses):
        area[n] = rng.integers(0, count) if rng.random() < 0.4 else area[problem.parent[n]]
    return replace(problem, area=area)


def nodes_of(problem: ClearingProblem) -> tuple[Outline, dict[str, AreaNode]]:
    outline, parts = split(problem, names(problem))
    return outline, {dso: AreaNode(own) for dso, own in parts.items()}


def gathered(problem: ClearingProblem, steps_of: Callable[[int], Floats]) -> Floats:
    """Steps (peers, periods, steps) of all pieces; where `steps_of` a piece has no rows, no trade."""
    steps_kw = np.zeros(problem.step_kw.shape)
    for number, piece in enumerate(pieces_of(problem.parent, problem.area)):
        found = steps_of(number)
        if found.size:
            steps_kw[peers_of(problem, piece)] = found
    return steps_kw


def gathered_prices(problem: ClearingProblem, posted_of: Callable[[int], Posted]) -> Posted:
    line, voltage = np.zeros(problem.base_kw.shape), np.zeros(problem.base_kw.shape)
    for number, piece in enumerate(pieces_of(problem.parent, problem.area)):
        line[piece.bus], voltage[piece.bus] = posted_of(number).line, posted_of(number).voltage
    return Posted(line, voltage, np.zeros(problem.row_base_kw.shape))


def check_outcome(
    problem: ClearingProblem, outline: Outline, outcomes: Mapping[int, PartOutcome], joint: JointOutcome
) -> None:
    """Feasible in whole watts, borders of trees exactly idle, and certified against what a linear program finds.

    `outcomes` are those of all pieces that took part.
    """
    assert joint.accepted
    pieces = pieces_of(problem.parent, problem.area)
    present = [n for n, hook in enumerate(outline.hooks) if hook.dso not in joint.silent]
    assert sorted(outcomes) == present
    steps_kw = gathered(problem, lambda n: outcomes[n].steps_kw if n in present else np.zeros(0))
    assert (steps_kw >= 0.0).all()
    assert (steps_kw <= problem.step_kw + 1e-9).all()
    assert np.abs(steps_kw * 1000.0 - np.rint(steps_kw * 1000.0)).max(initial=0.0) < 1e-6
    state, idle = state_of(problem, moves(problem, steps_kw)), state_of(problem, None)
    for n in present:
        assert outcomes[n].flow_kw == pytest.approx(state.flow_kw[pieces[n].bus], abs=1e-9)
    heads = [pieces[n].bus[0] for n in present if n and outline.hooks[n].above not in present]
    assert state.flow_kw[heads] == pytest.approx(idle.flow_kw[heads], abs=1e-9)
    bought = joint.no_trade_objective - joint.objective
    assert joint.gap <= 1e-6 * abs(bought) + rounding_money(problem)
    assert joint.gap >= -1e-9 * (1.0 + abs(joint.objective))
    away = set(range(len(outline.hooks))) - set(present)
    if problem.voltage_price == 0.0 or not any(outline.hooks[n].above in present for n in away):
        absent = np.flatnonzero(np.isin(problem.area, [int(dso.removeprefix("dso-")) for dso in joint.silent]))
        gained = best_gain(problem, absent, heads)
        assert -1e-6 * (1.0 + abs(gained)) <= gained - bought <= joint.gap + 1e-6 * (1.0 + abs(gained))


def best_gain(problem: ClearingProblem, absent: Integers, heads: Sequence[int]) -> float:
    """What trade can gain when nobody moves at buses `absent` and flows at `heads` are those of no trade."""
    away = np.isin(problem.peer_bus, absent)
    rest = replace(problem, step_kw=np.where(away[:, None, None], 0.0, problem.step_kw))
    idle = state_of(problem, None)
    program = linear_program(rest)
    low, high = program.low.copy(), program.high.copy()
    flow = rest.step_kw.size + np.arange(rest.base_kw.size).reshape(rest.base_kw.shape)
    low[flow[heads]] = high[flow[heads]] = idle.flow_kw[heads]
    found = cast(Any, linprog)(
        program.cost, A_eq=program.matrix, b_eq=program.right, bounds=np.stack((low, high), axis=1), method="highs"
    )
    assert found.status == 0
    return float(grid_cost(problem, idle).sum() - found.fun)


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
