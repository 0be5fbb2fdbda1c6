"""E1 where every limit is a row: the same optimum as one linear program, whoever holds which peers."""

from dataclasses import replace

import numpy as np
import pytest
from tests.laboratory.instances import instance, rounding_money, run, untold

from flexpeer.clearing.problem import ClearingProblem, Floats
from flexpeer.clearing.row_newton import price_limits
from flexpeer.clearing.row_party import PeersHere, Sparse
from flexpeer.laboratory.engines.central import solve_central
from flexpeer.laboratory.engines.certificate import certify
from flexpeer.laboratory.engines.evaluation import grid_cost, state_of
from flexpeer.laboratory.engines.meshed import LimitRows, clear_rows
from flexpeer.laboratory.engines.outcome import Engine

SEEDS = 100


def meshed(seed: int, least_rows: int = 1) -> ClearingProblem:
    """A tree with limits of its own and some rows beside, of which two say the same."""
    tree, rng = instance(seed), np.random.default_rng(seed + 999)
    rows = int(rng.integers(least_rows, 6))
    factor = np.round(rng.normal(0.0, 0.5, (rows, tree.buses)), 3)
    base = np.round(rng.normal(0.0, 4.0, (rows, tree.periods)), 3)
    limit = np.round(rng.uniform(0.0, 6.0, (rows, tree.periods)), 3)
    factor, base, limit = (np.concatenate((part, part[-1:])) for part in (factor, base, limit))
    price = float(rng.uniform(0.5, 20.0))
    return replace(tree, row_factor=factor, row_base_kw=base, row_limit_kw=limit, row_price=price)


@pytest.mark.parametrize("first", range(0, SEEDS, 25))
def test_meshed_instances_are_solved_and_certified(first: int) -> None:
    for seed in range(first, first + 25):
        problem = meshed(seed)
        optimum = solve_central(problem).objective
        before = clear_rows(problem, problem.area, untold)
        exact = certify(problem, before.steps_kw, before.posted)
        scale = 1.0 + abs(exact.no_trade_objective)
        assert before.status == "converged", seed
        assert exact.dual_bound <= optimum + 1e-9 * scale <= exact.objective + 2e-9 * scale, seed
        assert exact.gap <= 1e-6 * (exact.no_trade_objective - exact.objective) + 1e-7 * scale, seed
        found = run(problem, Engine.PRICE_NEWTON)
        assert found.certificate.gap <= 1e-7 * scale + rounding_money(problem), seed
        assert found.max_violation_kw <= 1e-9, seed


def test_a_tree_by_rows_costs_what_its_sweeps_find() -> None:
    for seed in range(30):
        problem = instance(seed)
        swept = run(problem, Engine.PRICE_NEWTON).certificate.objective
        found = clear_rows(problem, problem.area, untold)
        cost = certify(problem, found.steps_kw, found.posted).objective
        gain = abs(grid_cost(problem, state_of(problem, None)).sum() - cost)
        assert cost == pytest.approx(swept, abs=1e-6 * gain + rounding_money(problem) + 1e-6), seed


@pytest.mark.parametrize("seed", range(5))
def test_parties_find_together_what_one_would(seed: int) -> None:
    problem = meshed(seed)
    costs = []
    for area in (problem.area, np.zeros(problem.buses, dtype=np.int64), np.arange(problem.buses)):
        found = clear_rows(problem, area, untold)
        costs.append(certify(problem, found.steps_kw, found.posted).objective)
    assert costs == pytest.approx([costs[0]] * 3, rel=1e-9)


class Overheard(PeersHere):
    """A party that notes how many numbers it gives away of each limit."""

    heard: list[Floats]

    def correct(self, slab: int, aim: Floats) -> Floats:
        """As told."""
        told = super().correct(slab, aim)
        self.heard.append(told)
        return told


def test_what_leaves_a_party_is_a_sum_per_limit() -> None:
    problem = meshed(7)
    limits = LimitRows.of(problem)
    party = Overheard(problem, np.arange(problem.buses), Sparse(limits.factor))
    party.heard = []
    found = price_limits([party], limits.bands, grid_cost(problem, state_of(problem, None)), untold)
    assert len(party.heard) == found.steps > 0
    assert all(len(told) <= len(found.price) for told in party.heard)


def test_without_any_limit_every_step_that_gains_is_taken() -> None:
    problem = replace(
        instance(3), row_factor=np.zeros((0, 0)), line_price=0.0, root_limit_price=0.0, voltage_price=0.0,
        import_price=np.zeros(instance(3).periods), export_price=np.zeros(instance(3).periods),
    )  # fmt: skip
    found = clear_rows(problem, problem.area, untold)
    gains = problem.step_price < -1e-6
    assert np.allclose(found.steps_kw[gains], problem.step_kw[gains], rtol=1e-5, atol=1e-5)
    assert np.allclose(found.steps_kw[problem.step_price > 1e-6], 0.0, atol=1e-5)
