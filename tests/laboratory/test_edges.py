from dataclasses import replace

import numpy as np
import pytest
from tests.laboratory.instances import Change, run

from flexpeer.clearing.problem import ClearingProblem, require_sound
from flexpeer.laboratory.clearing_problems import clearing_problem
from flexpeer.laboratory.engines.central import solve_central
from flexpeer.laboratory.engines.outcome import Engine


def nobody(p: ClearingProblem) -> ClearingProblem:
    names = ("peer_bus", "step_kw", "step_price", "peer_kind", "energy_kwh", "energy_start_kwh")
    return replace(p, **{name: getattr(p, name)[:0] for name in names})


def in_watts(p: ClearingProblem) -> ClearingProblem:
    return replace(
        p, step_kw=p.step_kw * 1e3, base_kw=p.base_kw * 1e3, line_limit_kw=p.line_limit_kw * 1e3,
        voltage_drop=p.voltage_drop / 1e3,
    )  # fmt: skip


EDGES: dict[str, Change] = {
    "no peers": nobody,
    "steps of no size": lambda p: replace(p, step_kw=0.0 * p.step_kw),
    "no limits": lambda p: replace(p, line_limit_kw=np.full(p.line_limit_kw.shape, np.inf)),
    "limits far away": lambda p: replace(p, line_limit_kw=np.full(p.line_limit_kw.shape, 1e9)),
    "limits of zero": lambda p: replace(p, line_limit_kw=0.0 * p.line_limit_kw),
    "relief for nothing": lambda p: replace(p, line_price=0.0, root_limit_price=0.0),
    "no band": lambda p: replace(p, voltage_low=-np.inf, voltage_high=np.inf),
    "half a band": lambda p: replace(p, voltage_low=-np.inf),
    "import at the price of export": lambda p: replace(p, import_price=p.export_price.copy()),
    "negative prices": lambda p: replace(p, import_price=p.import_price - 1.0, export_price=p.export_price - 1.0),
    "nothing worth trading": lambda p: replace(p, step_price=p.step_price + 50.0),
    "dear relief": lambda p: replace(p, line_price=1e4, root_limit_price=1e4, line_limit_kw=0.5 * p.line_limit_kw),
    "other units": in_watts,
    "sizes between watts": lambda p: replace(p, step_kw=p.step_kw + 0.00033),
}
COUPLED: dict[str, Change] = {
    "empty stores": lambda p: replace(p, energy_kwh=0.0 * p.energy_kwh, energy_start_kwh=0.0 * p.energy_kwh),
    "full at the start": lambda p: replace(p, energy_start_kwh=p.energy_kwh.copy()),
    "up only": lambda p: replace(p, step_sign=np.ones(4, dtype=np.int64)),
    "sizes between watts": lambda p: replace(p, step_kw=p.step_kw * 1.00037, energy_kwh=p.energy_kwh * 1.0003),
}


def near_optimal(problem: ClearingProblem, engine: Engine) -> None:
    require_sound(problem, "edge")
    optimum = solve_central(problem).objective
    found = run(problem, engine)
    slack = 1e-6 * (1.0 + abs(optimum))
    assert found.status in ("converged", "optimal")
    assert found.certificate.dual_bound - slack <= optimum <= found.certificate.objective + slack
    gain = found.certificate.no_trade_objective - found.certificate.objective
    assert found.certificate.gap <= 1e-4 + 1e-6 * gain
    assert found.max_violation_kw < 1e-8


@pytest.mark.parametrize("edge", EDGES)
def test_edges(edge: str) -> None:
    problem = EDGES[edge](clearing_problem(40, 5, 3))
    near_optimal(problem, Engine.PRICE_NEWTON)
    near_optimal(replace(problem, voltage_price=0.0), Engine.CENTRAL)
    if edge != "sizes between watts":
        near_optimal(replace(problem, voltage_price=0.0), Engine.TREE_SWEEP)


@pytest.mark.parametrize("edge", COUPLED)
def test_coupled_edges(edge: str) -> None:
    near_optimal(COUPLED[edge](clearing_problem(40, 5, 3, shift=0.3, storage=0.3)), Engine.PRICE_NEWTON)


def test_one_period_and_a_chain() -> None:
    near_optimal(clearing_problem(20, 1, 1, shift=0.4, storage=0.4), Engine.PRICE_NEWTON)
    chain = replace(clearing_problem(400, 5, 2), parent=np.arange(50) - 1)
    near_optimal(replace(chain, voltage_price=0.0), Engine.TREE_SWEEP)
