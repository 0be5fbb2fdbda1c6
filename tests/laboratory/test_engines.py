from dataclasses import replace

import numpy as np
import pytest
from tests.laboratory.instances import instance, rounding_money, run, untold

from flexpeer.clearing.problem import ClearingProblem
from flexpeer.errors import BadInput
from flexpeer.laboratory.clearing_problems import clearing_problem
from flexpeer.laboratory.engines.central import solve_central
from flexpeer.laboratory.engines.certificate import certify, violation_kw
from flexpeer.laboratory.engines.clearing import clear, unable
from flexpeer.laboratory.engines.interior import clear_coupled, clear_free
from flexpeer.laboratory.engines.outcome import Engine
from flexpeer.laboratory.engines.price_posting import post_prices
from flexpeer.laboratory.engines.silence import clear_with_silent


def scale(problem: ClearingProblem) -> float:
    return 1.0 + float(np.abs(problem.step_price * problem.step_kw).sum() + np.abs(problem.base_kw).sum())


@pytest.mark.parametrize("part", range(4))
def test_price_newton_is_the_central_optimum(part: int) -> None:
    for seed in range(200 * part, 200 * (part + 1)):
        problem = instance(seed)
        optimum = solve_central(problem).objective
        raw = clear_free(problem, np.zeros(problem.buses, dtype=np.int64), untold)
        inside = certify(problem, raw.steps_kw, raw.posted)
        assert raw.status == "converged", seed
        assert raw.steps <= 30, seed
        assert inside.gap <= 1e-6 * scale(problem), seed
        found = run(problem, Engine.PRICE_NEWTON)
        tiny = 1e-9 * scale(problem)
        assert found.certificate.dual_bound <= optimum + tiny, seed
        assert optimum <= found.certificate.objective + tiny, seed
        assert found.certificate.gap <= 1e-6 * scale(problem) + rounding_money(problem), seed
        assert found.max_violation_kw <= 1e-9
        assert np.abs(found.steps_kw * 1e3 - np.rint(found.steps_kw * 1e3)).max(initial=0.0) < 1e-6


def test_tree_sweep_is_the_central_optimum() -> None:
    for seed in range(200):
        problem = instance(seed, flows_only=True)
        optimum = solve_central(problem).objective
        swept, newton = (run(problem, engine) for engine in (Engine.TREE_SWEEP, Engine.PRICE_NEWTON))
        assert swept.certificate.objective == pytest.approx(optimum, abs=1e-8 * scale(problem)), seed
        assert swept.certificate.gap <= 1e-8 * scale(problem), seed
        assert newton.certificate.objective == pytest.approx(optimum, abs=1e-6 * scale(problem)), seed


@pytest.mark.parametrize("part", range(2))
def test_price_newton_with_coupled_peers(part: int) -> None:
    for seed in range(40 * part, 40 * (part + 1)):
        problem = instance(seed, coupled=True)
        optimum = solve_central(problem).objective
        raw = clear_coupled(problem, np.zeros(problem.buses, dtype=np.int64), untold)
        assert raw.status == "converged", seed
        found = run(problem, Engine.PRICE_NEWTON)
        tiny = 1e-7 * scale(problem)
        assert found.certificate.dual_bound <= optimum + tiny, seed
        assert optimum <= found.certificate.objective + tiny, seed
        assert found.certificate.gap <= 2e-6 * scale(problem) + 2.0 * rounding_money(problem), seed
        assert found.max_violation_kw <= 1e-9, seed


STRESS = [(1.0, 1.0), (0.6, 1.0), (0.45, 2.4)]


@pytest.mark.parametrize(("tightness", "sensitivity"), STRESS)
def test_coupled_peers_with_a_bus_each(tightness: float, sensitivity: float) -> None:
    for seed in range(12):
        problem = clearing_problem(
            40, 6, seed, shift=0.4, storage=0.3, tightness=tightness, sensitivity=sensitivity, buses=40
        )
        optimum = solve_central(problem).objective
        found = run(problem, Engine.PRICE_NEWTON)
        assert found.status == "converged", seed
        assert found.steps <= 30, seed
        assert found.certificate.dual_bound <= optimum + 1e-7 * scale(problem), seed
        assert optimum <= found.certificate.objective + 1e-7 * scale(problem), seed
        assert found.certificate.gap <= 2e-6 * scale(problem) + 2.0 * rounding_money(problem), seed
        assert found.max_violation_kw <= 1e-9, seed


@pytest.mark.parametrize(("tightness", "sensitivity"), STRESS)
def test_a_bus_each_at_size(tightness: float, sensitivity: float) -> None:
    problem = clearing_problem(
        1_000, 24, 7, shift=0.2, storage=0.1, tightness=tightness, sensitivity=sensitivity, buses=1_000
    )
    found = run(problem, Engine.PRICE_NEWTON)
    assert found.status == "converged"
    assert found.steps <= 30
    assert found.certificate.gap_relative_to_gain <= 1e-6


@pytest.mark.parametrize("coupled", [False, True])
def test_price_posting_comes_near(coupled: bool) -> None:
    for seed in range(3):
        problem = clearing_problem(60, 6, seed, shift=0.2 * coupled, storage=0.1 * coupled, tightness=0.6)
        optimum = solve_central(problem).objective
        found = run(problem, Engine.PRICE_POSTING)
        assert found.certificate.dual_bound <= optimum + 1e-7
        assert optimum <= found.certificate.objective + 1e-7
        assert found.certificate.gap_relative_to_gain <= 1e-3
        assert found.max_violation_kw <= 1e-9


@pytest.mark.parametrize("stress", [{}, {"tightness": 0.45}, {"sensitivity": 2.4}])
def test_price_newton_with_a_third_of_the_peers_silent_in_every_step(stress: dict[str, float]) -> None:
    problem = clearing_problem(300, 8, 2, **stress)  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    quiet = run(problem, Engine.PRICE_NEWTON)
    answer, found = clear_with_silent(problem, lambda _step: np.flatnonzero(rng.random(300) < 0.3), 1e-4)
    assert answer.status == "converged"
    assert answer.steps <= 40
    assert found.gap_relative_to_gain <= 1e-4
    gain = quiet.certificate.no_trade_objective - quiet.certificate.objective
    assert found.dual_bound <= quiet.certificate.objective
    assert found.objective - quiet.certificate.objective <= 1e-4 * gain
    assert violation_kw(problem, answer.steps_kw) == 0.0


def test_whoever_is_never_silent_takes_the_same_steps() -> None:
    problem = clearing_problem(100, 4, 3)
    _, found = clear_with_silent(problem, lambda _step: np.zeros(0, dtype=np.int64), 1e-6)
    quiet = run(problem, Engine.PRICE_NEWTON).certificate
    assert found.objective == pytest.approx(quiet.objective, abs=1e-5 * (quiet.no_trade_objective - quiet.objective))


def test_price_posting_with_a_third_of_the_peers_silent_in_every_round() -> None:
    problem = clearing_problem(60, 6, 3)
    rng = np.random.default_rng(1)
    answer = post_prices(problem, untold, 1e-3, lambda _round: np.flatnonzero(rng.random(problem.peers) < 0.3))
    assert answer.status == "converged"
    assert certify(problem, answer.steps_kw, answer.posted).gap_relative_to_gain <= 1e-3


@pytest.mark.parametrize("seed", range(3))
def test_meshed_grid_by_rows(seed: int) -> None:
    tree = clearing_problem(60, 4, seed, tightness=3.0)
    rng = np.random.default_rng(seed)
    factor = rng.uniform(-0.6, 0.6, (4, tree.buses)) * (rng.random((4, tree.buses)) < 0.5)
    base = factor @ tree.base_kw
    problem = replace(tree, row_factor=factor, row_base_kw=base, row_limit_kw=0.6 * np.abs(base) + 1.0, row_price=5.0)
    optimum = solve_central(problem)
    central = run(problem, Engine.CENTRAL)
    assert central.certificate.gap == pytest.approx(0.0, abs=1e-6)
    posted = run(problem, Engine.PRICE_POSTING)
    assert posted.certificate.dual_bound <= optimum.objective + 1e-7 <= posted.certificate.objective + 2e-7
    assert posted.certificate.gap_relative_to_gain <= 1e-3
    newton = run(problem, Engine.PRICE_NEWTON)
    assert newton.certificate.dual_bound <= optimum.objective + 1e-7 <= newton.certificate.objective + 2e-7
    assert newton.certificate.gap_relative_to_gain <= 1e-5
    coupled = replace(problem, peer_kind=np.ones(problem.peers, dtype=np.int64))
    assert unable(coupled, Engine.PRICE_NEWTON) is not None
    with pytest.raises(BadInput, match="meshed"):
        clear(coupled, Engine.PRICE_NEWTON, untold)


@pytest.mark.parametrize("seed", range(4))
def test_areas_hand_over_border_messages_only_and_find_the_same(seed: int) -> None:
    for coupled in (0.0, 0.2):
        problem = clearing_problem(80, 10, seed, shift=coupled, storage=coupled)
        found = [clear(problem, Engine.PRICE_NEWTON, untold, area).certificate.objective
                 for area in (problem.area, np.zeros(problem.buses, dtype=np.int64))]  # fmt: skip
        assert len(set(problem.area)) > 1 or problem.buses < 20
        assert found[0] == pytest.approx(found[1], rel=1e-12 if not coupled else 1e-7)


def test_all_or_nothing_steps_are_taken_whole_or_not() -> None:
    problem = clearing_problem(80, 4, 5)
    whole = np.random.default_rng(0).random((problem.peers, problem.steps)) < 0.3
    relaxed = run(problem, Engine.PRICE_NEWTON)
    found = run(replace(problem, step_whole=whole), Engine.PRICE_NEWTON)
    part = np.broadcast_to(whole[:, None, :], problem.step_kw.shape)
    taken = found.steps_kw[part] / np.maximum(problem.step_kw[part], 1e-12)
    assert (np.minimum(np.abs(taken), np.abs(taken - 1.0)) < 1e-6).all()
    assert found.certificate.objective >= relaxed.certificate.dual_bound - 1e-7
    assert found.certificate.gap_relative_to_gain < 0.02


def test_stress_at_size() -> None:
    for ties in (False, True):
        problem = clearing_problem(400, 24, 7, tightness=0.45, sensitivity=2.4, ties=ties)
        found = run(problem, Engine.PRICE_NEWTON)
        assert found.status == "converged"
        assert found.steps <= 30
        assert found.certificate.gap_relative_to_gain <= 1e-6
    coupled = clearing_problem(400, 24, 7, tightness=0.45, sensitivity=2.4, shift=0.2, storage=0.1)
    found = run(coupled, Engine.PRICE_NEWTON)
    assert found.status == "converged"
    assert found.certificate.gap_relative_to_gain <= 1e-6
