"""One problem from bids to a certified outcome in whole watts: which engine, then rounding, then the certificate.

All-or-nothing steps: the relaxation is a bound; the steps it takes in part are fixed to what is nearer, earlier orders
first, and the rest is cleared again, at most `DIVES` times, until none is taken in part.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from flexpeer.clearing.layout import add_peers
from flexpeer.clearing.problem import ClearingProblem, Flags, Floats, Integers
from flexpeer.errors import bad_input
from flexpeer.laboratory.engines import interior
from flexpeer.laboratory.engines.central import solve_central
from flexpeer.laboratory.engines.certificate import Certificate, certify, relief_kw, violation_kw
from flexpeer.laboratory.engines.evaluation import AllocationState, moves, state_of
from flexpeer.laboratory.engines.finishing import finish, sweep_all
from flexpeer.laboratory.engines.meshed import clear_rows
from flexpeer.laboratory.engines.outcome import Engine, EngineAnswer, Posted
from flexpeer.laboratory.engines.payments import Payments, payments
from flexpeer.laboratory.engines.pieces import without_idle_limits
from flexpeer.laboratory.engines.price_posting import post_prices

DIVES = 6
WHOLE_TOLERANCE = 1e-6

Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class Outcome:
    """Allocation x and its steps, the grid under it, prices, and how far all that can be from the optimum."""

    steps_kw: Floats
    x_kw: Floats
    state: AllocationState
    posted: Posted
    price: Floats
    certificate: Certificate
    engine: Engine
    status: str
    steps: int
    max_violation_kw: float
    relief_kw: float
    payments: Payments


def default_engine(problem: ClearingProblem) -> Engine:
    """Price-Newton, but price-posting for coupled peers on meshed grids."""
    return Engine.PRICE_POSTING if problem.rows and len(problem.coupled) else Engine.PRICE_NEWTON


def unable(problem: ClearingProblem, engine: Engine) -> str | None:
    """Why an engine cannot clear a problem exactly; None if it can."""
    if engine is Engine.PRICE_NEWTON and problem.rows and len(problem.coupled):
        return "has coupled peers and rows of a meshed grid, which price-newton does not know together"
    if engine is Engine.TREE_SWEEP:
        for fact, wrong in (
            (problem.rows, "rows"),
            (len(problem.coupled), "coupled peers"),
            (problem.has_voltage, "voltages"),
        ):
            if fact:
                return f"has {wrong}, which tree-sweep does not know"
    return None


def clear(problem: ClearingProblem, engine: Engine, tell: Tell, area: Integers | None = None) -> Outcome:
    """Clear with one engine; `area` (buses,) cuts the sweeps of price-newton, the default is one area."""
    reason = unable(problem, engine)
    if reason is not None:
        raise bad_input("clear", reason, "another engine", field="engine")
    problem = without_idle_limits(problem)
    one = np.zeros(problem.buses, dtype=np.int64) if area is None else area
    answer = _dived(problem, engine, one, tell) if problem.step_whole.any() else _solved(problem, engine, one, tell)
    return outcome_of(problem, answer)


def _solved(problem: ClearingProblem, engine: Engine, area: Integers, tell: Tell) -> EngineAnswer:
    if engine is Engine.TREE_SWEEP:
        steps_kw, posted = sweep_all(problem, tell)
        return EngineAnswer(steps_kw, posted, engine, "optimal", 2)
    if engine is Engine.CENTRAL:
        found = solve_central(problem)
        row = np.zeros(problem.row_base_kw.shape) if found.row_price is None else found.row_price
        posted = Posted.clipped(problem, found.line_price, found.voltage_price, row)
        return EngineAnswer(found.steps_kw, posted, engine, "optimal", found.iterations)
    if engine is Engine.PRICE_POSTING:
        answer = post_prices(problem, tell)
    elif problem.rows:
        answer = clear_rows(problem, area, tell)
    elif len(problem.coupled):
        answer = interior.clear_coupled(problem, area, tell)
    else:
        answer = interior.clear_free(problem, area, tell)
    finish(problem, answer.steps_kw, answer.posted)
    return answer


def _dived(problem: ClearingProblem, engine: Engine, area: Integers, tell: Tell) -> EngineAnswer:
    """Fix what is taken in part, and clear again; prices and so the bound are the relaxation's."""
    whole = np.broadcast_to(problem.step_whole[:, None, :], problem.step_kw.shape)
    relaxed = answer = _solved(problem, engine, area, tell)
    fixed, taken, rest = np.zeros(whole.shape, dtype=np.bool_), np.zeros(whole.shape), problem
    for dive in range(DIVES):
        partial = _in_part(problem, whole, answer.steps_kw)
        if not partial.any():
            break
        new = whole & ~fixed if dive == DIVES - 1 else partial
        taken[new] = np.where(answer.steps_kw >= 0.5 * problem.step_kw, problem.step_kw, 0.0)[new]
        fixed |= new
        rest = _without(problem, fixed, taken)
        answer = _solved(rest, engine, area, tell)
        answer = replace(answer, steps_kw=answer.steps_kw + taken)
    return replace(answer, posted=relaxed.posted)


def _in_part(problem: ClearingProblem, whole: Flags, steps_kw: Floats) -> Flags:
    slack = WHOLE_TOLERANCE
    return np.asarray(whole & (steps_kw > slack) & (steps_kw < problem.step_kw - slack))


def _without(problem: ClearingProblem, fixed: Flags, taken: Floats) -> ClearingProblem:
    """The problem in which fixed steps are gone and what they take is base injection."""
    at_bus = np.zeros(problem.base_kw.shape)
    add_peers(problem.peer_bus, moves(problem, taken), at_bus)
    rows = problem.row_base_kw + problem.row_factor @ at_bus if problem.rows else problem.row_base_kw
    kw = np.where(fixed, 0.0, problem.step_kw)
    return replace(problem, base_kw=problem.base_kw + at_bus, step_kw=kw, row_base_kw=rows)


def outcome_of(problem: ClearingProblem, answer: EngineAnswer) -> Outcome:
    """Certified, with what it does in the grid."""
    x_kw = moves(problem, answer.steps_kw)
    state = state_of(problem, x_kw)
    return Outcome(
        answer.steps_kw,
        x_kw,
        state,
        answer.posted,
        answer.posted.at_buses(problem),
        certify(problem, answer.steps_kw, answer.posted),
        answer.engine,
        answer.status,
        answer.steps,
        violation_kw(problem, answer.steps_kw),
        relief_kw(problem, state),
        payments(problem, x_kw, answer.posted),
    )
