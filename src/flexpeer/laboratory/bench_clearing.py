"""Distributed clearing beside central solvers: the same problem, each measurement in a process of its own.

Rivals are HiGHS (simplex and interior point), PIQP and Clarabel on the one program of `engines.central`; a
rival that takes longer than `STOP_S` is stopped and its row is a lower bound, one that is not installed is said to be
missing, and above `LARGEST_FOR_RIVALS` peer-periods none is tried: their program would not fit into common memory.
Ours is timed with kernels compiled before; HiGHS's time includes assembling its program, a small part. Peak memory
includes the interpreter and the problem.
"""

import multiprocessing
import resource
import statistics
import sys
from collections.abc import Callable
from importlib import metadata
from multiprocessing.connection import Connection
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from flexpeer import __version__
from flexpeer.clearing.problem import ClearingProblem, Integers
from flexpeer.errors import bad_input
from flexpeer.laboratory.clearing_problems import clearing_problem
from flexpeer.laboratory.engines.central import LinearProgram, linear_program, solve_central
from flexpeer.laboratory.engines.certificate import Certificate, certify, violation_kw
from flexpeer.laboratory.engines.clearing import clear, default_engine
from flexpeer.laboratory.engines.outcome import Engine, EngineAnswer
from flexpeer.laboratory.engines.price_posting import post_prices
from flexpeer.laboratory.engines.silence import Silent, clear_with_silent

STOP_S = 300.0
LARGEST_FOR_RIVALS = 960_000
SILENT_BAR = 1e-3
Row = dict[str, Any]


class ClearingCase(NamedTuple):
    """Peers, periods, shares of peers that shift and that store, how often ours is measured; buses, stress, silence.

    `buses` is one for eight peers unless given; `tightness`, `sensitivity` as in `clearing_problem`; `silent` is the
    share of peers that are silent in any step or round.
    """

    peers: int
    periods: int
    shift: float
    storage: float
    repeats: int
    buses: int | None = None
    tightness: float = 1.0
    sensitivity: float = 1.0
    silent: float = 0.0


CASES = {
    "1k x 24": ClearingCase(1_000, 24, 0.0, 0.0, 9),
    "10k x 24": ClearingCase(10_000, 24, 0.0, 0.0, 5),
    "10k x 96": ClearingCase(10_000, 96, 0.0, 0.0, 3),
    "100k x 24": ClearingCase(100_000, 24, 0.0, 0.0, 3),
    "100k x 96": ClearingCase(100_000, 96, 0.0, 0.0, 1),
    "10k x 24 coupled": ClearingCase(10_000, 24, 0.2, 0.1, 3),
}
BY_NAME = {
    "10k x 24, a bus each": ClearingCase(10_000, 24, 0.0, 0.0, 3, 10_000),
    "10k x 24 coupled, a bus each": ClearingCase(10_000, 24, 0.2, 0.1, 3, 10_000),
    "10k x 24 coupled, a bus each, limits x 0.6": ClearingCase(10_000, 24, 0.2, 0.1, 2, 10_000, 0.6),
    "10k x 24 coupled, a bus each, stress": ClearingCase(10_000, 24, 0.2, 0.1, 2, 10_000, 0.45, 2.4),
    "1k x 24, 30 % silent": ClearingCase(1_000, 24, 0.0, 0.0, 1, silent=0.3),
}


def problem_of(case: ClearingCase) -> ClearingProblem:
    """The problem of a case, the same every time."""
    return clearing_problem(
        case.peers, case.periods, shift=case.shift, storage=case.storage, tightness=case.tightness,
        sensitivity=case.sensitivity, buses=case.buses,
    )  # fmt: skip


def _ours(case: ClearingCase) -> Row:
    problem = problem_of(case)
    small = clearing_problem(16, 4, shift=case.shift, storage=case.storage)
    clear(small, default_engine(small), _untold)
    seconds = []
    for _ in range(case.repeats):
        began = perf_counter()
        outcome = clear(problem, default_engine(problem), _untold)
        seconds.append(perf_counter() - began)
    found = outcome.certificate
    return {
        "median_s": statistics.median(seconds),
        "steps": outcome.steps,
        "status": outcome.status,
        "objective": found.objective,
        "gap_relative_to_gain": found.gap_relative_to_gain,
        "max_violation_kw": outcome.max_violation_kw,
    }


def _newton_with_silent(case: ClearingCase) -> Row:
    return _with_silent(case, lambda problem, silent: clear_with_silent(problem, silent, SILENT_BAR))


def _posting_with_silent(case: ClearingCase) -> Row:
    return _with_silent(
        case, lambda problem, silent: _certified(problem, post_prices(problem, _untold, SILENT_BAR, silent))
    )


def _certified(problem: ClearingProblem, answer: EngineAnswer) -> tuple[EngineAnswer, Certificate]:
    return answer, certify(problem, answer.steps_kw, answer.posted)


def _with_silent(case: ClearingCase, run: Callable[[ClearingProblem, Silent], tuple[EngineAnswer, Certificate]]) -> Row:
    """Others in every step or round; kernels are compiled by the run before."""
    problem = problem_of(case)
    rng = np.random.default_rng(0)

    def silent(_step: int) -> Integers:
        return np.flatnonzero(rng.random(problem.peers) < case.silent)

    run(problem, silent)
    began = perf_counter()
    answer, found = run(problem, silent)
    return {
        "median_s": perf_counter() - began,
        "steps": answer.steps,
        "status": answer.status,
        "objective": found.objective,
        "gap_relative_to_gain": found.gap_relative_to_gain,
        "max_violation_kw": violation_kw(problem, answer.steps_kw),
    }


def _untold(_done: int, _total: int) -> None:
    return None


def _highs(case: ClearingCase, method: str) -> Row:
    problem = problem_of(case)
    began = perf_counter()
    found = solve_central(problem, method)
    return {"median_s": perf_counter() - began, "objective": found.objective, "status": "optimal"}


def _bounded(program: LinearProgram) -> tuple[sp.csc_array, Any]:
    """Finite bounds on columns as inequalities G x <= h."""
    eye = sp.identity(len(program.low), format="csc")
    above, below = np.isfinite(program.high), np.isfinite(program.low)
    rows = sp.vstack((eye[above], -eye[below]), format="csc")
    return sp.csc_array(rows), np.concatenate((program.high[above], -program.low[below]))


def _clarabel(case: ClearingCase) -> Row:
    import clarabel  # noqa: PLC0415

    program = linear_program(problem_of(case))
    rows, right = _bounded(program)
    matrix = sp.vstack((program.matrix, rows), format="csc")
    cones = [clarabel.ZeroConeT(len(program.right)), clarabel.NonnegativeConeT(len(right))]
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.max_threads = 1
    none = sp.csc_matrix((len(program.cost), len(program.cost)))
    began = perf_counter()
    solver = clarabel.DefaultSolver(
        none, program.cost, sp.csc_matrix(matrix), np.concatenate((program.right, right)), cones, settings
    )
    found = solver.solve()
    return {"median_s": perf_counter() - began, "objective": float(found.obj_val), "status": str(found.status)}


def _piqp(case: ClearingCase) -> Row:
    import piqp  # noqa: PLC0415

    program = linear_program(problem_of(case))
    none = sp.csc_matrix((len(program.cost), len(program.cost)))
    solver = piqp.SparseSolver()
    began = perf_counter()
    solver.setup(none, program.cost, sp.csc_matrix(program.matrix), program.right, x_l=program.low, x_u=program.high)
    status = solver.solve()
    seconds = perf_counter() - began
    return {"median_s": seconds, "objective": float(solver.result.info.primal_obj), "status": str(status)}


class Rival(NamedTuple):
    """A solver: its package, and how it solves a case."""

    package: str
    run: Callable[[ClearingCase], Row]


def _simplex(case: ClearingCase) -> Row:
    return _highs(case, "highs-ds")


def _interior(case: ClearingCase) -> Row:
    return _highs(case, "highs-ipm")


RIVALS = {
    "HiGHS simplex": Rival("scipy", _simplex),
    "HiGHS interior point": Rival("scipy", _interior),
    "PIQP": Rival("piqp", _piqp),
    "Clarabel": Rival("clarabel", _clarabel),
}


def _report(run: Callable[[ClearingCase], Row], case: ClearingCase, reply: Connection) -> None:
    row = run(case)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    reply.send(row | {"peak_memory_bytes": peak if sys.platform == "darwin" else peak * 1024})


def _alone(run: Callable[[ClearingCase], Row], case: ClearingCase) -> Row:
    """Run in a process of its own; stopped after `STOP_S`, what is known is that it takes at least as long."""
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_report, args=(run, case, theirs))
    process.start()
    theirs.close()
    try:
        if mine.poll(STOP_S):
            return dict(mine.recv())
        return {"median_s": STOP_S, "lower_bound": True, "status": f"stopped after {STOP_S:.0f} s"}
    except EOFError:
        return {"median_s": None, "status": "failed"}
    finally:
        process.kill()
        process.join()


def version_of(package: str) -> str | None:
    """The version installed; None without it."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def rows(case: str | None = None) -> list[Row]:
    """Rows of all `CASES`, or of one case; BadInput names the cases if there is none such."""
    known = CASES | BY_NAME
    if case is not None and case not in known:
        raise bad_input("bench clearing", f"no case {case!r}", "; ".join(known), field="case")
    made: list[Row] = []
    first: Row | None = None
    for name, chosen in CASES.items() if case is None else [(case, known[case])]:
        if chosen.silent:
            made += _silent_rows(name, chosen)
        else:
            ours = {"case": name, "engine": "flexpeer", "version": __version__, "ratio_to_ours": 1.0} | _alone(
                _ours, chosen
            )
            if first is not None and not chosen.shift and chosen.buses is None:
                ours["growth"] = ours["median_s"] / first["median_s"]
            first = first or ours
            made += [ours, *_rival_rows(name, chosen, ours)]
    return made


def _silent_rows(name: str, case: ClearingCase) -> list[Row]:
    ours: Row = {"case": name, "version": __version__, "ratio_to_ours": None}
    return [
        ours | {"engine": f"flexpeer {engine.value}"} | _alone(run, case)
        for engine, run in (
            (Engine.PRICE_NEWTON, _newton_with_silent),
            (Engine.PRICE_POSTING, _posting_with_silent),
        )
    ]


def _rival_rows(name: str, case: ClearingCase, ours: Row) -> list[Row]:
    made = []
    for engine, rival in RIVALS.items():
        version = version_of(rival.package)
        row: Row = {"case": name, "engine": engine, "version": version, "median_s": None, "ratio_to_ours": None}
        row |= {"peak_memory_bytes": None}
        if version is None:
            row["status"] = "not installed: make bench-deps"
        elif case.peers * case.periods > LARGEST_FOR_RIVALS:
            row["status"] = "not tried at this size"
        else:
            row |= _alone(rival.run, case)
            row["ratio_to_ours"] = row["median_s"] / ours["median_s"] if row["median_s"] else None
        made.append(row)
    return made
