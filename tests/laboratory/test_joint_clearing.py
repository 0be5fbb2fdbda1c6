from dataclasses import replace

import numpy as np
import pytest
from tests.laboratory.instances import instance, rewired, rounding_money, untold
from tests.laboratory.joint_clearing import (
    Traffic,
    check_outcome,
    gathered,
    gathered_prices,
    names,
    nodes_of,
    with_random_areas,
)

from flexpeer.clearing.problem import ClearingProblem, Floats
from flexpeer.laboratory.between.area_node import AreaNode, AreasHere
from flexpeer.laboratory.between.border_relay import Areas, Relay
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
from flexpeer.laboratory.between.coordination import JOINT_RELATIVE, NOBODY, begin, clear_together, newton, price
from flexpeer.laboratory.clearing_problems import clearing_problem
from flexpeer.laboratory.engines.certificate import certify
from flexpeer.laboratory.engines.evaluation import moves, state_of
from flexpeer.laboratory.engines.interior import clear_free
from flexpeer.laboratory.engines.part_sweeps import PartSweeps
from flexpeer.laboratory.engines.pieces import pieces_of, without_idle_limits
from flexpeer.laboratory.engines.shares import Outline, split

KB_PER_DSO_DAY = 50.0


def sweeps_of(nodes: dict[str, AreaNode]) -> dict[int, PartSweeps]:
    return {number: sweeps for node in nodes.values() for number, sweeps in node.sweeps.items()}


def begun(outline: Outline, areas: Areas, deal: int) -> tuple[Relay, Floats]:
    present, offers = begin(outline, areas, deal, outline.dsos)
    return Relay(outline, areas, present), offers


def problem_of(seed: int) -> ClearingProblem:
    return with_random_areas(instance(seed), seed)


@pytest.mark.parametrize("seed", range(60))
def test_many_organisations_are_one_process(seed: int) -> None:
    problem = without_idle_limits(problem_of(seed))
    outline, nodes = nodes_of(problem)
    areas = AreasHere(nodes)
    relay, offers = begun(outline, areas, 1)
    progress = newton(relay, offers)
    price(relay)
    found = sweeps_of(nodes)
    steps_kw = gathered(problem, lambda number: found[number].steps_kw)
    together = certify(problem, steps_kw, gathered_prices(problem, lambda number: found[number].posted))
    answer = clear_free(problem, problem.area, untold, JOINT_RELATIVE)
    alone = certify(problem, answer.steps_kw, answer.posted)
    scale = 1.0 + abs(alone.objective)
    assert progress.steps == answer.steps
    assert progress.status.value == answer.status
    assert abs(together.objective - alone.objective) <= 1e-12 * scale
    assert abs(together.dual_bound - alone.dual_bound) <= 1e-12 * scale


@pytest.mark.parametrize("seed", range(60))
def test_the_sum_of_what_each_adds_is_the_certificate(seed: int) -> None:
    problem = without_idle_limits(problem_of(seed))
    outline, nodes = nodes_of(problem)
    joint = clear_together(outline, AreasHere(nodes), print)
    found = sweeps_of(nodes)
    accepted = {number: outcome for node in nodes.values() for number, outcome in node.accepted.items()}
    steps_kw = gathered(problem, lambda number: accepted[number].steps_kw)
    whole = certify(problem, steps_kw, gathered_prices(problem, lambda number: found[number].posted))
    scale = 1e-9 * (1.0 + abs(whole.objective) + abs(whole.dual_bound) + abs(whole.no_trade_objective))
    assert joint.objective == pytest.approx(whole.objective, abs=scale)
    assert joint.dual_bound == pytest.approx(whole.dual_bound, abs=scale)
    assert joint.no_trade_objective == pytest.approx(whole.no_trade_objective, abs=scale)
    watts = steps_kw * 1000.0
    assert np.abs(watts - np.rint(watts)).max(initial=0.0) < 1e-6
    assert joint.max_violation_kw < 1e-9
    flow = state_of(problem, moves(problem, steps_kw)).flow_kw
    at_root = next(outcome for number, outcome in accepted.items() if number == 0)
    assert at_root.flow_kw[0] == pytest.approx(flow[0], abs=1e-9)
    gain = joint.no_trade_objective - joint.objective
    assert -scale <= joint.gap <= 1e-6 * abs(gain) + rounding_money(problem)


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("flows_only", [True, False])
def test_whoever_is_silent_costs_only_its_own_area(seed: int, flows_only: bool) -> None:
    """From any moment on; the others' outcome is that of the grid with the borders to them held, by linear program."""
    problem = with_random_areas(instance(seed, flows_only=flows_only), seed)
    rng = np.random.default_rng(seed)
    for silent in nodes_of(problem)[0].dsos:
        outline, nodes = nodes_of(problem)
        told: list[str] = []
        asked = int(rng.integers(0, 60))
        joint = clear_together(outline, Traffic(AreasHere(nodes), {silent: asked}), told.append)
        if joint.silent:
            assert joint.silent == (silent,)
            assert not nodes[silent].accepted
        elif silent not in joint.unconfirmed:
            assert nodes[silent].accepted
        if len(outline.dsos) > len(joint.silent):
            present = [n for n, hook in enumerate(outline.hooks) if hook.dso not in joint.silent]
            sweeps = sweeps_of(nodes)
            check_outcome(problem, outline, {n: sweeps[n].outcome for n in present}, joint)
        else:
            assert joint.status == NOBODY


def test_what_rounding_leaves_below_a_border_that_is_held_is_shared() -> None:
    """The first piece of the tree has no peers, so those below have to make up for each other's watts."""
    owed = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        problem = rewired(clearing_problem(24, 6, seed, ties=True, sensitivity=2.4), rng, 6)
        problem = replace(
            problem, parent=np.array([-1, 0, 1, 1, 1, 2]), area=np.array([0, 1, 2, 3, 4, 5]),
            peer_bus=rng.integers(2, 6, problem.peers), line_limit_kw=2.0 * problem.line_limit_kw,
        )  # fmt: skip
        outline, nodes = nodes_of(problem)
        joint = clear_together(outline, Traffic(AreasHere(nodes), {"dso-0": 0}), lambda _text: None)
        sweeps = sweeps_of(nodes)
        outcomes = {n: sweeps[n].outcome for n in range(1, 6)}
        check_outcome(problem, outline, outcomes, joint)
        owed += bool(sweeps[1].owed.any())
    assert owed > 5


def test_nothing_is_traded_when_nobody_answers() -> None:
    outline, nodes = nodes_of(problem_of(3))
    joint = clear_together(outline, Traffic(AreasHere(nodes), dict.fromkeys(outline.dsos, 0)), lambda _text: None)
    assert (joint.accepted, joint.status, joint.silent) == (False, NOBODY, tuple(outline.dsos))


def test_who_does_not_hear_the_end_is_named() -> None:
    outline, nodes = nodes_of(problem_of(3))
    whole = Traffic(AreasHere(nodes))
    clear_together(outline, whole, print)
    last = outline.dsos[-1]
    questions = sum(dso == last for dso, _ in whole.messages)
    again, others = nodes_of(problem_of(3))
    joint = clear_together(again, Traffic(AreasHere(others), {last: questions - 2}), print)
    assert joint.accepted
    assert joint.unconfirmed == (last,)
    assert not others[last].accepted


def with_own_digits(problem: ClearingProblem) -> ClearingProblem:
    """Every number of its own, so that none of them is in a message by chance."""
    rng = np.random.default_rng(0)

    def own(values: Floats) -> Floats:
        return np.asarray(values * (1.0 + rng.uniform(1e-8, 1e-6, values.shape)))

    return replace(
        problem, step_kw=own(problem.step_kw), step_price=own(problem.step_price), base_kw=own(problem.base_kw),
        voltage_drop=own(problem.voltage_drop), line_limit_kw=own(problem.line_limit_kw),
    )  # fmt: skip


@pytest.fixture(scope="module")
def day() -> tuple[ClearingProblem, Traffic]:
    problem = with_own_digits(clearing_problem(1000, 24))
    outline, nodes = nodes_of(problem)
    traffic = Traffic(AreasHere(nodes))
    joint = clear_together(outline, traffic, print)
    assert joint.accepted
    assert joint.gap <= 1e-6 * (joint.no_trade_objective - joint.objective)
    return problem, traffic


def test_no_bid_and_no_element_leaves_an_organisation(day: tuple[ClearingProblem, Traffic]) -> None:
    """Numbers at buses and peers would show in the bytes; what a bus alone in its area injects is its border's sum."""
    problem, traffic = day
    written = b"".join(message for _, message in traffic.messages)
    eights = {written[i : i + 8] for i in range(len(written) - 7)}
    crowded = np.flatnonzero(np.bincount(problem.area)[problem.area] > 1)
    own = (problem.step_price, problem.step_kw, problem.voltage_drop, problem.line_limit_kw, problem.base_kw[crowded])
    secret = {value.tobytes() for array in own for value in array.ravel() if value}
    assert len(secret) > 100_000
    assert not secret & eights
    assert not any(name in written for name in (b"step", b"peer", b"bus", b"limit", b"line"))


def test_a_day_of_an_organisation_is_small(day: tuple[ClearingProblem, Traffic]) -> None:
    """What a DSO sends and receives, on average; the root's has seven borders more than others."""
    problem, traffic = day
    dsos = np.unique(problem.area).size
    assert sum(len(message) for _, message in traffic.messages) / dsos / 1000.0 <= KB_PER_DSO_DAY


def test_a_hard_day_of_an_organisation_is_small_too() -> None:
    problem = clearing_problem(1000, 24, tightness=0.45, sensitivity=2.4)
    outline, nodes = nodes_of(problem)
    traffic = Traffic(AreasHere(nodes))
    joint = clear_together(outline, traffic, print)
    assert joint.gap <= 1e-6 * (joint.no_trade_objective - joint.objective)
    assert sum(len(message) for _, message in traffic.messages) / len(nodes) / 1000.0 <= KB_PER_DSO_DAY


def test_questions_that_do_not_fit_are_refused_and_change_nothing() -> None:
    problem = problem_of(3)
    outline, nodes = nodes_of(problem)
    root = nodes[outline.dsos[0]]
    clear_together(outline, AreasHere(nodes), print)
    before = dict(root.accepted)
    none = Numbers()
    for question, why in (
        (Ascend(Pass.SURVEY, 999, b"", none, {}), Trouble.FOREIGN),
        (Ascend(Pass.PREDICT, 0, b"", none, {}), Trouble.LOST),
        (Descend(Pass.SURVEY, 0, b"", none), Trouble.LOST),
        (BeginRun(9), Trouble.ENDED),
        (Close(9, True, "converged"), Trouble.LOST),
        (Close(9, False, "converged"), Trouble.LOST),
    ):
        reply = root.answer(question)
        assert isinstance(reply, AreaRefusal), question
        assert reply.why is why, question
    assert root.accepted == before
    again = AreaNode(root.parts.values())
    assert isinstance(again.answer(BeginRun(1)), AreaAnswer)
    one = Numbers(1, np.ones(problem.periods).tobytes())
    wrong = Numbers(1, np.full(problem.periods, np.nan).tobytes())
    for shared, below in ((wrong, {}), (Numbers(1, b"123"), {}), (none, {}), (one, {999: one}), (one, {1: one})):
        reply = again.answer(Ascend(Pass.SURVEY, 0, b"", shared, below))
        assert isinstance(reply, AreaRefusal)
        assert reply.why is Trouble.MISFIT
    assert isinstance(again.answer(Ascend(Pass.SURVEY, 0, b"", one, {})), AreaAnswer)


def test_an_end_is_heard_once() -> None:
    """Heard again it changes nothing, an older one is void, and what is not to stand is gone."""
    outline, nodes = nodes_of(problem_of(3))
    clear_together(outline, AreasHere(nodes), print)
    node = nodes[outline.dsos[0]]
    assert isinstance(node.answer(Close(1, True, "converged")), AreaAnswer)
    assert sorted(node.accepted) == sorted(node.parts)
    outline, nodes = nodes_of(problem_of(3))
    areas = Traffic(AreasHere(nodes))
    relay, offers = begun(outline, areas, 5)
    newton(relay, offers)
    price(relay)
    relay.up(Pass.FINISH)
    relay.down(Pass.FINISH)
    for node in nodes.values():
        assert node.finished
        assert isinstance(node.answer(Close(4, False, "converged")), AreaRefusal)
        assert isinstance(node.answer(BeginRun(5)), AreaRefusal)
        assert isinstance(node.answer(Close(4, True, "converged")), AreaRefusal)
        assert node.finished
        assert isinstance(node.answer(Close(6, False, "converged")), AreaAnswer)
        assert not node.finished
        assert not node.accepted


class Wrong(AreaNode):
    """Answers the corrected pass as no border can be."""

    def answer(self, question: Question) -> Reply:
        reply = super().answer(question)
        if isinstance(reply, AreaAnswer) and isinstance(question, Ascend) and question.what is Pass.CORRECT:
            return AreaAnswer(Numbers(1, reply.up.data), reply.down, reply.sums, reply.most)
        return reply


def test_who_answers_what_cannot_be_is_left_out_and_nobody_else() -> None:
    problem = clearing_problem(200, 4)
    outline, parts = split(problem, names(problem))
    nodes = {dso: AreaNode(own) for dso, own in parts.items()}
    nodes["dso-2"] = Wrong(parts["dso-2"])
    joint = clear_together(outline, AreasHere(nodes), lambda _text: None)
    assert joint.accepted
    assert joint.silent == ("dso-2",)
    assert nodes["dso-0"].accepted
    assert not nodes["dso-2"].accepted


def test_a_border_is_held_where_sizes_are_no_whole_watts() -> None:
    problem = with_own_digits(clearing_problem(200, 4))
    outline, nodes = nodes_of(problem)
    joint = clear_together(outline, Traffic(AreasHere(nodes), {"dso-0": 30}), lambda _text: None)
    idle = state_of(problem, None).flow_kw
    pieces = pieces_of(problem.parent, problem.area)
    assert joint.silent == ("dso-0",)
    for number, sweeps in sweeps_of(nodes).items():
        if number:
            assert sweeps.outcome.flow_kw[0] == pytest.approx(idle[pieces[number].bus[0]], abs=1e-9)
            assert (sweeps.steps_kw >= 0.0).all()
            assert (sweeps.steps_kw <= sweeps.part.problem.step_kw + 1e-9).all()
