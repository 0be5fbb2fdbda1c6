import numpy as np
import pytest
from tests.app.joint_clearing import Traffic, gathered, gathered_prices, nodes_of, with_random_areas
from tests.clearing.instances import instance, rounding_money, untold

from flexpeer.app.area_node import AreaNode, AreasHere
from flexpeer.app.border_relay import Relay
from flexpeer.app.coordination import ROOT_SILENT, UNANSWERED, clear_together, newton, price
from flexpeer.clearing.certificate import certify
from flexpeer.clearing.evaluation import moves, state_of
from flexpeer.clearing.interior import clear_free
from flexpeer.clearing.part_sweeps import PartSweeps
from flexpeer.clearing.pieces import without_idle_limits
from flexpeer.clearing.problem import Floats, Problem
from flexpeer.simulation.clearing_problems import clearing_problem

KB_PER_DSO_DAY = 50.0


def sweeps_of(nodes: dict[str, AreaNode]) -> dict[int, PartSweeps]:
    return {number: sweeps for node in nodes.values() for number, sweeps in node.sweeps.items()}


def problem_of(seed: int) -> Problem:
    return with_random_areas(instance(seed), seed)


@pytest.mark.parametrize("seed", range(60))
def test_many_organisations_are_one_process(seed: int) -> None:
    problem = without_idle_limits(problem_of(seed))
    outline, nodes = nodes_of(problem)
    relay = Relay(outline, AreasHere(nodes), {})
    progress = newton(relay)
    price(relay)
    found = sweeps_of(nodes)
    steps_kw = gathered(problem, lambda number: found[number].steps_kw)
    together = certify(problem, steps_kw, gathered_prices(problem, lambda number: found[number].posted))
    answer = clear_free(problem, problem.area, untold)
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
