"""A grid file from Python: its own power flow, bus by bus and branch by branch."""

import os
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from flexpeer import bootstrap
from flexpeer.adapters.gridfiles import GridFile
from flexpeer.grid.limits import Readings
from flexpeer.library.tables import CellType, Content, Figures, Types


class GridState(Figures):
    """What `flexpeer grid check --json` says, and the table of every bus and every branch.

    Without a state (`converged` is False) voltages and loadings are None, as is the loading of a branch without rating;
    the voltage of a bus without supply is 0.
    """

    TABLES: ClassVar[Mapping[str, Types]] = {
        "voltages": {"bus": CellType.TEXT, "nominal_v": CellType.REAL, "voltage_pu": CellType.REAL},
        "loadings": {
            "branch": CellType.TEXT,
            "kind": CellType.TEXT,
            "from_bus": CellType.TEXT,
            "to_bus": CellType.TEXT,
            "loading_percent": CellType.REAL,
        },
    }

    def __init__(self, source: str, grid: GridFile) -> None:
        self._grid = grid
        summary, self._readings = bootstrap.measured(grid)
        tables: dict[str, Callable[[], Content]] = {"voltages": self._voltages, "loadings": self._loadings}
        super().__init__({"source": source, **summary}, tables)

    def _voltages(self) -> Content:
        network = self._grid.network
        v_pu = _numbers(self._readings, lambda readings: readings.v_pu, network.bus_count)
        columns = (network.bus_names, network.bus_v.tolist(), v_pu)
        return Content(self.TABLES["voltages"], dict(zip(self.TABLES["voltages"], columns, strict=True)))

    def _loadings(self) -> Content:
        network = self._grid.network
        ends = ([network.bus_names[bus] for bus in at] for at in (network.branch_from, network.branch_to))
        loading = _numbers(self._readings, lambda readings: 100.0 * readings.loading, network.branch_count)
        columns = (network.branch_names, network.branch_kinds, *ends, loading)
        return Content(self.TABLES["loadings"], dict(zip(self.TABLES["loadings"], columns, strict=True)))


def _numbers(readings: Readings | None, of: Callable[[Readings], Any], count: int) -> list[float | None]:
    """The one period's values, None for what there is not."""
    if readings is None:
        return [None] * count
    return [value if np.isfinite(value) else None for value in of(readings)[:, 0].tolist()]


def check_grid(source: str | os.PathLike[str]) -> GridState:
    """Read a grid and solve the power flow of its own injections; `BadInput` with all that is wrong with the file.

    `source` is a file or folder, `cigre_mv`, `cigre_lv` or `simbench:CODE`.
    """
    name = os.fspath(source)
    return GridState(name, bootstrap.open_source(name))
