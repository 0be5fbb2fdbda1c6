"""Clearing of problem files: what `flexpeer clear` does."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from flexpeer.adapters.folders import new_folder, require_fresh
from flexpeer.clearing.problem import ClearingProblem
from flexpeer.errors import bad_input
from flexpeer.laboratory.clearing_problems import clearing_problem
from flexpeer.laboratory.engines.certificate import ROUNDING, certify, refuted
from flexpeer.laboratory.engines.clearing import Outcome, clear, default_engine, unable
from flexpeer.laboratory.engines.outcome import Engine, Posted
from flexpeer.laboratory.files.clearing_files import read_problem, write_outcome
from flexpeer.laboratory.files.publication_files import read_publication, write_publication


@dataclass(frozen=True)
class ClearedFile:
    """A cleared problem file: the outcome and the facts `flexpeer clear --json` prints."""

    outcome: Outcome
    facts: dict[str, Any]


def clear_file(path: Path, engine: str, out: Path | None, tell: Callable[[int, int], None]) -> ClearedFile:
    """`flexpeer clear`: read, clear, certify, write. `seconds` is clearing and certificate, kernels being compiled."""
    _require_known(engine)
    cleared = clear_problem(read_problem(path), str(path), engine, tell)
    if out is not None:
        write_outcome(cleared.outcome, out)
    return cleared


def clear_problem(problem: ClearingProblem, where: str, engine: str, tell: Callable[[int, int], None]) -> ClearedFile:
    """The same of a problem that was read from `where`."""
    _require_known(engine)
    chosen = default_engine(problem) if engine == "auto" else Engine(engine)
    reason = unable(problem, chosen)
    if reason is not None:
        raise bad_input(where, reason, "another engine", field="engine")
    warm_up(problem, chosen)
    began = perf_counter()
    outcome = clear(problem, chosen, tell)
    seconds = perf_counter() - began
    return ClearedFile(outcome, clearing_facts(problem, outcome) | {"seconds": round(seconds, 6)})


def _require_known(engine: str) -> None:
    names = ("auto", *(known.value for known in Engine))
    if engine not in names:
        raise bad_input("clear", f"unknown engine {engine!r}", ", ".join(names), field="engine")


def warm_up(problem: ClearingProblem, engine: Engine) -> None:
    """Clear a small problem of the same kind, so that kernels are compiled or read from their cache."""
    shift, storage = (0.3, 0.3) if len(problem.coupled) else (0.0, 0.0)
    small = clearing_problem(16, 4, shift=shift, storage=storage)
    small = replace(small, voltage_price=0.0) if engine is Engine.TREE_SWEEP else small
    clear(small, engine, lambda _done, _total: None)


def clearing_facts(problem: ClearingProblem, outcome: Outcome) -> dict[str, Any]:
    """The result keys of `flexpeer clear --json` but for the time."""
    certificate, posting = outcome.certificate, outcome.engine is Engine.PRICE_POSTING
    relative = certificate.gap_relative_to_gain
    return {
        "buses": problem.buses,
        "peers": problem.peers,
        "periods": problem.periods,
        "objective": certificate.objective,
        "dual_bound": certificate.dual_bound,
        "gap": certificate.gap,
        "gap_relative_to_gain": relative if np.isfinite(relative) else None,
        "no_trade_objective": certificate.no_trade_objective,
        "max_violation_kw": outcome.max_violation_kw,
        "relief_kw": outcome.relief_kw,
        "congestion_rent": float(outcome.payments.rent.sum()),
        "rounds" if posting else "steps": outcome.steps,
        "engine": outcome.engine.value,
        "status": outcome.status,
    }


def publish_clearing(cleared: ClearedFile, folder: Path) -> None:
    """`flexpeer clear --publish`: a new folder with what all may see, and what each party keeps."""
    require_fresh(folder)
    with new_folder(folder) as work:
        write_publication(cleared.outcome.certificate, cleared.outcome.posted, work)


def verify_clearing(path: Path, cleared: ClearedFile) -> list[str]:
    """`flexpeer clear PROBLEM --verify`: the certificate anew from the problem, the steps taken and the prices."""
    problem, outcome = read_problem(path), cleared.outcome
    posted = Posted.clipped(problem, outcome.posted.line, outcome.posted.voltage, outcome.posted.row)
    again, told = certify(problem, outcome.steps_kw, posted), outcome.certificate
    slack = ROUNDING * max(abs(again.objective) + abs(again.no_trade_objective), 1.0)
    damages = [] if abs(again.gap - told.gap) <= slack else ["the bound is not what the prices give"]
    if (again.terms() < -slack).any():
        damages.append("a term is negative")
    if abs(float(again.terms().sum()) - told.gap) > slack:
        damages.append("the terms do not sum to the gap")
    return damages


def verify_publication(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """`flexpeer clear FOLDER --verify`: from what is published and opened alone; nobody's bid or grid is needed."""
    found = read_publication(folder)
    scale = abs(found.objective) + abs(found.no_trade_objective)
    damages = list(refuted(found.publication, found.terms, found.salts, scale))
    if abs(found.objective - found.dual_bound - found.publication.gap) > ROUNDING * max(scale, 1.0):
        damages.append("the gap is not what lies between objective and bound")
    gain = found.no_trade_objective - found.objective
    facts = {
        "objective": found.objective,
        "dual_bound": found.dual_bound,
        "no_trade_objective": found.no_trade_objective,
        "gap": found.publication.gap,
        "gap_relative_to_gain": found.publication.gap / gain if gain > 0.0 else None,
        "parties": len(found.publication.digests),
    }
    return facts, damages
