"""The clearing of a problem from Python: bids that are left, within all limits of a grid."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from flexpeer.laboratory.clearings import ClearedFile, clear_problem
from flexpeer.laboratory.files.clearing_files import problem_of, read_problem, write_outcome
from flexpeer.library.tables import CellType, Content, Figures, Types

Array = npt.NDArray[Any]


class ClearingResult(Figures):
    """What `flexpeer clear --json` says, and who moves how much at which prices; in the units of the problem."""

    TABLES: ClassVar[Mapping[str, Types]] = {
        "moves": {"peer": CellType.WHOLE, "period": CellType.WHOLE, "move_kw": CellType.REAL},
        "prices": {"bus": CellType.WHOLE, "period": CellType.WHOLE, "price": CellType.REAL},
        "payments": {"peer": CellType.WHOLE, "payment": CellType.REAL},
    }

    def __init__(self, cleared: ClearedFile) -> None:
        self._outcome = cleared.outcome
        tables: dict[str, Callable[[], Content]] = {
            "moves": lambda: self._each("moves", self._outcome.x_kw),
            "prices": lambda: self._each("prices", self._outcome.price),
            "payments": lambda: self._each("payments", self._outcome.payments.peers),
        }
        super().__init__(cleared.facts, tables)

    def _each(self, table: str, values: Array) -> Content:
        columns: list[Any] = [*(axis.ravel() for axis in np.indices(values.shape)), values.ravel()]
        return Content(self.TABLES[table], dict(zip(self.TABLES[table], columns, strict=True)))

    def write(self, file: str | os.PathLike[str]) -> None:
        """Allocation and prices as `flexpeer clear --out` writes them, `.npz`."""
        write_outcome(self._outcome, Path(file))


def clear(problem: str | os.PathLike[str] | Mapping[str, Array], engine: str = "auto") -> ClearingResult:
    """Clear a problem, a file `.npz` or its arrays by name, with a bound on the distance from the optimum.

    `engine` is as for `flexpeer clear`. `BadInput` has all that is wrong with the problem.
    """
    if isinstance(problem, Mapping):
        where, content = "problem", problem_of("problem", {name: np.asarray(a) for name, a in problem.items()})
    else:
        where, content = os.fspath(problem), read_problem(Path(problem))
    return ClearingResult(clear_problem(content, where, engine, lambda _done, _total: None))
