"""Clearing problems and outcomes as `.npz` files of plain arrays; never a pickle."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flexpeer.adapters.npz_files import arrays_of, save
from flexpeer.clearing.problem import ClearingProblem, require_sound
from flexpeer.errors import BadInput, Finding

if TYPE_CHECKING:
    from flexpeer.laboratory.engines.clearing import Outcome

INTEGERS = ("parent", "area", "peer_bus", "step_sign", "peer_kind")
SCALARS = ("line_price", "root_limit_price", "voltage_price", "voltage_low", "voltage_high", "row_price")
OPTIONAL = (
    "peer_kind", "energy_kwh", "energy_start_kwh", "step_whole", "row_factor", "row_base_kw", "row_limit_kw",
    "row_price",
)  # fmt: skip
DIMENSIONS = {
    "base_kw": 2, "line_limit_kw": 2, "step_kw": 3, "step_price": 3, "step_whole": 2, "row_factor": 2, "row_base_kw": 2,
    "row_limit_kw": 2,
}  # fmt: skip
NAMES = tuple(f.name for f in fields(ClearingProblem))


def read_problem(path: Path) -> ClearingProblem:
    """A problem file; `BadInput` with every finding if it is no such file or holds no sound problem."""
    return problem_of(str(path), arrays_of(path))


def problem_of(where: str, arrays: Mapping[str, npt.NDArray[Any]]) -> ClearingProblem:
    """The problem that arrays are; `BadInput` with every finding of `where` if they are none."""
    findings = [Finding(where, 0, name, "is missing", "an array") for name in _missing(arrays)]
    findings += [Finding(where, 0, name, "is unknown", "no other arrays") for name in sorted(set(arrays) - {*NAMES})]
    values: dict[str, Any] = {}
    for name in NAMES:
        if name in arrays:
            found = _value(where, name, arrays[name])
            if isinstance(found, Finding):
                findings.append(found)
            else:
                values[name] = found
    if findings:
        raise BadInput(findings)
    problem = ClearingProblem(**_completed(values))
    require_sound(problem, where)
    return problem


def _missing(arrays: Mapping[str, npt.NDArray[Any]]) -> list[str]:
    missing = [name for name in NAMES if name not in arrays and name not in OPTIONAL]
    if "row_factor" in arrays:
        missing += [name for name in ("row_base_kw", "row_limit_kw", "row_price") if name not in arrays]
    if "peer_kind" in arrays and np.any(arrays["peer_kind"] == 2):
        missing += [name for name in ("energy_kwh", "energy_start_kwh") if name not in arrays]
    return missing


def _value(where: str, name: str, array: npt.NDArray[Any]) -> Any:
    """The array as the problem has it, or what is wrong with it."""
    dimensions = 0 if name in SCALARS else DIMENSIONS.get(name, 1)
    if array.dtype.kind not in "biuf":
        return Finding(where, 0, name, f"holds {array.dtype}", "numbers")
    if name in SCALARS and array.size == 1:
        return float(array.reshape(()))
    if array.ndim != dimensions:
        return Finding(where, 0, name, f"has {array.ndim} dimensions", f"{dimensions}")
    if name == "step_whole":
        return array.astype(np.bool_)
    if name not in INTEGERS:
        return np.ascontiguousarray(array, dtype=np.float64)
    if array.dtype.kind == "f" and not np.array_equal(array, np.rint(array)):
        return Finding(where, 0, name, "is not whole", "whole numbers")
    return array.astype(np.int64)


def _completed(values: dict[str, Any]) -> dict[str, Any]:
    """Peers are free unless the file says otherwise."""
    peers = len(values["peer_bus"])
    defaults = {
        "peer_kind": np.zeros(peers, dtype=np.int64),
        "energy_kwh": np.zeros(peers),
        "energy_start_kwh": np.zeros(peers),
    }
    return defaults | values


def write_problem(problem: ClearingProblem, path: Path) -> None:
    """A problem file; arrays a problem does without are left out."""
    save(path, arrays_in(problem))


def arrays_in(problem: ClearingProblem) -> dict[str, npt.NDArray[Any]]:
    """What a problem file holds of a problem."""
    arrays = {name: np.asarray(getattr(problem, name)) for name in NAMES}
    without = ("step_whole",) * (not problem.step_whole.size) + tuple(n for n in NAMES if n.startswith("row_")) * (
        not problem.rows
    )
    return {name: array for name, array in arrays.items() if name not in without}


def write_outcome(outcome: "Outcome", path: Path) -> None:
    """Allocation and prices: all that `price` and the certificate follow from, and the certificate's terms."""
    posted, state, certificate = outcome.posted, outcome.state, outcome.certificate
    arrays = {
        "x_kw": outcome.x_kw,
        "step_kw": outcome.steps_kw,
        "price": outcome.price,
        "line_price": posted.line,
        "voltage_price": posted.voltage,
        "row_price": posted.row,
        "flow_kw": state.flow_kw,
        "voltage": state.voltage,
        "row_kw": state.row_kw,
        "peer_term": certificate.peer_term,
        "line_term": certificate.line_term,
        "voltage_term": certificate.voltage_term,
        "row_term": certificate.row_term,
        "peer_payment": outcome.payments.peers,
        "congestion_rent": outcome.payments.rent,
    }
    save(path, arrays)
