from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.laboratory.instances import instance, run

from flexpeer.clearing.problem import ClearingProblem
from flexpeer.laboratory.clearing_problems import clearing_problem
from flexpeer.laboratory.engines.certificate import certify, digest, publish, refuted
from flexpeer.laboratory.engines.evaluation import cheapest_steps, grid_cost, moves, state_of, step_cost
from flexpeer.laboratory.engines.outcome import Engine, Posted
from flexpeer.laboratory.engines.payments import payments

SEEDS = range(12)


def optimum(problem: ClearingProblem) -> float:
    return run(problem, Engine.CENTRAL).certificate.objective


@given(st.integers(0, 10_000), st.booleans())
@settings(max_examples=60, deadline=None)
def test_any_prices_give_a_bound_and_every_term_is_its_owners_loss(seed: int, coupled: bool) -> None:
    problem = instance(seed % 50, coupled=coupled)
    rng = np.random.default_rng(seed)
    posted = Posted.clipped(
        problem,
        rng.normal(0.0, 4.0, problem.base_kw.shape),
        rng.normal(0.0, 4000.0, problem.base_kw.shape),
        np.zeros(problem.row_base_kw.shape),
    )
    found = run(problem, Engine.CENTRAL)
    certificate = certify(problem, found.steps_kw, posted)
    scale = 1e-8 * (1.0 + abs(certificate.objective) + abs(certificate.dual_bound))
    assert certificate.dual_bound <= found.certificate.dual_bound + scale
    assert certificate.terms().min() >= -scale
    assert certificate.terms().sum() == pytest.approx(certificate.gap, abs=scale)


@pytest.mark.parametrize("seed", SEEDS)
def test_another_bid_never_lowers_welfare_and_a_tighter_limit_never_raises_it(seed: int) -> None:
    problem = instance(seed)
    cost = optimum(problem)
    fewer = problem.step_kw.copy()
    fewer[0, :, 0] = 0.0
    assert optimum(replace(problem, step_kw=fewer)) >= cost - 1e-7
    assert optimum(replace(problem, line_limit_kw=0.8 * problem.line_limit_kw)) >= cost - 1e-7


@pytest.mark.parametrize("seed", SEEDS)
def test_names_and_units_change_nothing(seed: int) -> None:
    problem = instance(seed)
    cost = run(problem, Engine.PRICE_NEWTON).certificate
    order = np.random.default_rng(seed).permutation(problem.peers)
    renamed = replace(
        problem, peer_bus=problem.peer_bus[order], step_kw=problem.step_kw[order], step_price=problem.step_price[order]
    )
    other = run(renamed, Engine.PRICE_NEWTON).certificate
    assert other.objective == pytest.approx(cost.objective, abs=cost.gap + other.gap + 1e-9)
    scaled = replace(
        problem, step_price=10 * problem.step_price, import_price=10 * problem.import_price,
        export_price=10 * problem.export_price, line_price=10 * problem.line_price,
        root_limit_price=10 * problem.root_limit_price, voltage_price=10 * problem.voltage_price,
    )  # fmt: skip
    dear = run(scaled, Engine.PRICE_NEWTON).certificate
    assert dear.objective == pytest.approx(10 * cost.objective, abs=10 * cost.gap + dear.gap + 1e-8)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_line_within_its_limit_has_no_price(seed: int) -> None:
    problem = instance(seed)
    found = run(problem, Engine.PRICE_NEWTON)
    slack = problem.line_limit_kw[1:] - np.abs(found.state.flow_kw[1:])
    free = slack > 0.05
    assert np.abs(found.posted.line[1:][free]).max(initial=0.0) < 1e-3


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("engine", [Engine.PRICE_NEWTON, Engine.CENTRAL])
def test_payments_and_rent_balance(seed: int, engine: Engine) -> None:
    problem = instance(seed)
    found = run(problem, engine)
    paid = payments(problem, found.x_kw, found.posted)
    assert paid.total == pytest.approx(0.0, abs=1e-9 * (1.0 + np.abs(paid.peers).sum() + np.abs(paid.base).sum()))
    lost = found.certificate.peer_term
    own = step_cost(problem, found.steps_kw).sum(axis=1)
    assert (paid.peers - own >= -lost - 1e-9).all()


def test_meshed_payments_balance() -> None:
    tree = clearing_problem(30, 3, 2)
    factor = np.random.default_rng(0).uniform(-0.5, 0.5, (3, tree.buses))
    base = factor @ tree.base_kw
    problem = replace(tree, row_factor=factor, row_base_kw=base, row_limit_kw=0.7 * np.abs(base), row_price=4.0)
    found = run(problem, Engine.CENTRAL)
    assert payments(problem, found.x_kw, found.posted).total == pytest.approx(0.0, abs=1e-7)


@pytest.mark.parametrize("seed", range(60))
def test_tree_sweep_is_what_trying_everything_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    problem = instance(seed, flows_only=True)
    peers = 2
    problem = replace(
        problem, base_kw=np.round(problem.base_kw[:, :1] / 1000.0, 3),
        line_limit_kw=rng.integers(0, 6, (problem.buses, 1)) / 1000.0,
        import_price=problem.import_price[:1], export_price=problem.export_price[:1], peer_bus=problem.peer_bus[:peers],
        step_kw=rng.integers(0, 3, (peers, 1, 4)) / 1000.0, step_price=problem.step_price[:peers, :1],
        peer_kind=problem.peer_kind[:peers], energy_kwh=np.zeros(peers), energy_start_kwh=np.zeros(peers),
    )  # fmt: skip
    choices = [np.arange(round(1000 * most) + 1) / 1000.0 for most in problem.step_kw.ravel()]
    best = np.inf
    for steps in product(*choices):
        taken = np.array(steps).reshape(problem.step_kw.shape)
        cost = step_cost(problem, taken).sum() + grid_cost(problem, state_of(problem, moves(problem, taken))).sum()
        best = min(best, float(cost))
    found = run(problem, Engine.TREE_SWEEP)
    assert found.certificate.objective == pytest.approx(best, abs=1e-9)
    assert found.certificate.gap == pytest.approx(0.0, abs=1e-9)


def test_earlier_orders_come_first_at_ties() -> None:
    tied = clearing_problem(2, 1, 0)
    problem = replace(
        tied, voltage_price=0.0, base_kw=np.zeros((2, 1)), peer_bus=np.array([1, 1]),
        step_kw=np.array([[[2.0, 0, 0, 0]], [[2.0, 0, 0, 0]]]), step_price=np.full((2, 1, 4), 0.01),
        line_limit_kw=np.array([[50.0], [3.0]]), export_price=np.array([1.0]), import_price=np.array([1.0]),
    )  # fmt: skip
    for engine in (Engine.TREE_SWEEP, Engine.PRICE_NEWTON):
        assert run(problem, engine).x_kw.ravel().tolist() == [2.0, 1.0], engine


def test_cheapest_steps_of_a_move() -> None:
    problem = clearing_problem(5, 2, 0)
    x = moves(problem, 0.4 * problem.step_kw)
    cost, steps = cheapest_steps(problem, x)
    np.testing.assert_allclose(moves(problem, steps), x, atol=1e-12)
    assert (cost <= step_cost(problem, 0.4 * problem.step_kw) + 1e-12).all()


def test_opened_terms_prove_the_published_gap_and_lies_do_not() -> None:
    terms, salts = {"a": 1.0, "b": 0.5}, {"a": b"x", "b": b"y"}
    published = publish(terms, salts)
    assert refuted(published, terms, salts, 1.0) == []
    assert refuted(published, {"a": 1.0}, salts, 1.0)
    assert refuted(published, {"a": 1.5, "b": 0.0}, salts, 1.0)
    negative = {"a": -1.0, "b": 0.0}
    assert any("negative" in line for line in refuted(publish(negative, salts), negative, salts, 1.0))
    assert digest("a", 1.0, b"x") != digest("a", 1.0, b"y")
