"""Small random clearing problems, and what is asked of every engine."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from flexpeer.clearing.problem import ClearingProblem
from flexpeer.laboratory.clearing_problems import clearing_problem
from flexpeer.laboratory.engines.clearing import Outcome, clear
from flexpeer.laboratory.engines.outcome import Engine

WATT_KW = 1e-3


def untold(_done: int, _total: int) -> None:
    return None


def run(problem: ClearingProblem, engine: Engine) -> Outcome:
    return clear(problem, engine, untold)


def instance(seed: int, *, coupled: bool = False, flows_only: bool = False) -> ClearingProblem:
    """Tiny, with the stress set among the draws: limits x 0.45 to 1, voltages x 1 or 2.4, five prices in all."""
    rng = np.random.default_rng(seed)
    problem = clearing_problem(
        int(rng.integers(2, 30)), int(rng.integers(2, 5)), seed,
        shift=0.3 * coupled, storage=0.3 * coupled, tightness=float(rng.choice([0.45, 0.75, 1.0])),
        sensitivity=float(rng.choice([1.0, 2.4])), ties=bool(rng.random() < 0.3),
    )  # fmt: skip
    buses = int(rng.integers(2, 8))
    problem = rewired(problem, rng, buses)
    if rng.random() < 0.3:
        problem = replace(
            problem,
            line_limit_kw=np.where(rng.random(problem.line_limit_kw.shape) < 0.3, np.inf, problem.line_limit_kw),
        )
    return replace(problem, voltage_price=0.0) if flows_only else problem


def rewired(problem: ClearingProblem, rng: np.random.Generator, buses: int) -> ClearingProblem:
    """The same peers on another tree."""
    parent = np.array([-1, *(int(rng.integers(0, n)) for n in range(1, buses))])
    base = np.round(rng.normal(0.0, 8.0, (buses, problem.periods)), 3)
    limit = np.round(rng.uniform(2.0, 20.0, (buses, 1)) + np.zeros((buses, problem.periods)), 3)
    drop = np.round(rng.uniform(0.0, 2e-4, buses), 7)
    return replace(
        problem, parent=parent, area=rng.integers(0, 3, buses), base_kw=base, line_limit_kw=limit, voltage_drop=drop,
        voltage_low=-0.004, voltage_high=0.004, peer_bus=rng.integers(0, buses, problem.peers),
    )  # fmt: skip


def rounding_money(problem: ClearingProblem) -> float:
    """What a few watts at every line may cost."""
    dearest = problem.line_price + problem.root_limit_price + np.abs(problem.import_price).max()
    voltage = problem.voltage_price * problem.voltage_drop.sum()
    return float(WATT_KW * problem.periods * (dearest + voltage) * problem.buses)


Change = Callable[[ClearingProblem], ClearingProblem]
