"""A market day from Python: read a scenario, run it under its rules or others, look at what it came to."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Final

from flexpeer import bootstrap
from flexpeer.adapters.folders import new_folder, require_fresh
from flexpeer.adapters.gridfiles import GridFile
from flexpeer.adapters.results_files import TABLES, rows_of
from flexpeer.adapters.scenario_files.layouts import ORDERS
from flexpeer.adapters.scenario_files.rules import rules_of, with_rules
from flexpeer.app.scenario import Scenario
from flexpeer.app.study.grid_day import GridInput
from flexpeer.app.views.outcome import DayOutcome
from flexpeer.errors import BadInput
from flexpeer.library.tables import CellType, Content, Figures, Record, Types, typed

Progress = Callable[[int, int], None]
_EXACT: Final = ("price", "amount", "remuneration", "invoiced", "payable_percent")
_WHOLE: Final = (("refusals", "headroom"), ("orders", "arrival"), ("orders", "trades"))


def _nobody(_done: int, _total: int) -> None:
    """Progress that nobody looks at."""


def _cell_type(table: str, column: str) -> CellType:
    """What a result file's column holds."""
    if column in ("from", "to"):
        return CellType.TIME
    if column in _EXACT:
        return CellType.EXACT
    return CellType.WHOLE if column.endswith("_w") or (table, column) in _WHOLE else CellType.TEXT


def _types(file: str) -> Types:
    table = file.removesuffix(".csv")
    return {column: _cell_type(table, column) for column in TABLES[file]}


class DayResult(Figures):
    """A finished day: figures of `result.json` and tables of the result files, as attributes.

    `trades` and `orders` are tables and counts: the attribute is the table, and the count is in `figures`, a dict.
    """

    TABLES: ClassVar[Mapping[str, Types]] = {file.removesuffix(".csv"): _types(file) for file in TABLES}

    def __init__(self, outcome: DayOutcome, figures: Record, log: bytes, watch: bootstrap.StageWatch) -> None:
        self._outcome, self._log, self._watch = outcome, log, watch
        super().__init__(figures, {table: self._content(table) for table in self.TABLES})

    def _content(self, table: str) -> Callable[[], Content]:
        zone = self._outcome.scenario.day.timezone
        return lambda: typed(rows_of(self._outcome)[f"{table}.csv"], self.TABLES[table], zone)

    def write(self, folder: str | os.PathLike[str]) -> None:
        """All that `flexpeer run --out` writes, report and log too, into a new or empty folder."""
        out = Path(folder)
        require_fresh(out)
        with new_folder(out) as work:
            (work / bootstrap.LOG_NAME).write_bytes(self._log)
            bootstrap.write_day(self._outcome, self.figures, work, self._watch)

    def __repr__(self) -> str:
        count, currency = self.figures["trades"], self.figures["currency"]
        return f"<DayResult {self.figures['name']!r}: {count} trades, welfare {self.figures['welfare']:g} {currency}>"


class DayNeeds(Figures):
    """Where a day's forecast needs relief, and the least moves that give it: what `flexpeer grid needs --json` says."""

    TABLES: ClassVar[Mapping[str, Types]] = {
        "needs": {
            "congestion_point": CellType.TEXT,
            "element": CellType.TEXT,
            "direction": CellType.TEXT,
            "dso": CellType.TEXT,
            "from": CellType.TIME,
            "need_w": CellType.WHOLE,
        },
        "moves": {
            "resource": CellType.TEXT,
            "from": CellType.TIME,
            "change_w": CellType.WHOLE,
            "cost": CellType.REAL,
        },
        "left": {
            "element": CellType.TEXT,
            "kind": CellType.TEXT,
            "from": CellType.TIME,
            "value": CellType.REAL,
            "limit": CellType.REAL,
            "out_of_reach": CellType.FLAG,
        },
    }

    def __init__(self, figures: Record, zone: str) -> None:
        self._zone = zone
        super().__init__(figures, {table: self._content(table) for table in self.TABLES})

    def _content(self, table: str) -> Callable[[], Content]:
        types = self.TABLES[table]
        return lambda: typed(([row[c] for c in types] for row in self.figures[table]), types, self._zone)


class PlannedDay:
    """A scenario that was read and found in order: a day to run, as often as is liked.

    `name`, `delivery_day`, `timezone`, `mtu_minutes` and `currency` are of `scenario.toml`, which is in `folder`.
    """

    def __init__(self, folder: Path, keep: tempfile.TemporaryDirectory[str] | None = None) -> None:
        self.folder, self._keep = folder, keep
        self._scenario, self._opened, self._without_orders = _read(folder)
        day = self._scenario.day
        self.name, self.currency = self._scenario.name, self._scenario.currency
        self.delivery_day, self.timezone, self.mtu_minutes = day.delivery_day, day.timezone, day.mtu_minutes

    @cached_property
    def _grid(self) -> GridInput | None:
        """The grid, the same under any rules."""
        return bootstrap.grid_input(self._scenario, self._opened)

    @property
    def rulebook(self) -> dict[str, Any]:
        """Every rule, as `[rulebook]` of `scenario.toml` has it; prices in major units."""
        return rules_of(self._scenario.rulebook)

    def run(self, rulebook: Mapping[str, Any] | None = None, progress: Progress = _nobody) -> DayResult:
        """Run the whole day as `flexpeer run` does; rules of `rulebook` take the place of the scenario's.

        `progress` is told how many orders are in, and how many there are. Nothing is written but by `DayResult.write`.
        """
        if self._without_orders is not None:
            raise self._without_orders
        scenario = with_rules(self._scenario, rulebook or {}, "run")
        watch = bootstrap.StageWatch(progress)
        with watch.stage("reading"):
            grid = self._grid
        with tempfile.TemporaryDirectory() as scratch:
            log = Path(scratch) / bootstrap.LOG_NAME
            outcome, figures = bootstrap.run_day(scenario, grid, log, watch)
            return DayResult(outcome, figures, log.read_bytes(), watch)

    def needs(self, only_conditional: bool = False) -> DayNeeds:
        """Where the forecast needs relief, and the least moves that give it; needs a grid, and no orders.

        With `only_conditional` only resources with a conditional agreement move, as a curtailment could.
        """
        return DayNeeds(bootstrap.needs_of(self._scenario, self._grid, only_conditional), self.timezone)

    def sweep(self, processes: int = 1, progress: Progress = _nobody, **rules: Iterable[Any]) -> Any:
        """Run the day under every combination of these values, and give a table with a row for each.

        The columns are `variant`, the rules, the figures of `result.json` (`kpi.opex` for one inside another; no lists
        and no times of stages) and `error`: why a variant has none. With more `processes` than one a script needs the
        line `if __name__ == "__main__":` that Python's multiprocessing asks for.
        """
        from flexpeer.library import variants  # noqa: PLC0415 - it needs what is here

        return variants.as_table(variants.sweep(self, rules, processes, progress))

    def write(self, folder: str | os.PathLike[str]) -> None:
        """The scenario as a folder for `flexpeer run`, new or empty."""
        out = Path(folder)
        require_fresh(out)
        with new_folder(out) as work:
            shutil.copytree(self.folder, work, dirs_exist_ok=True)

    def __repr__(self) -> str:
        return f"<PlannedDay {self.name!r}, {self.delivery_day}>"


def _read(folder: Path) -> tuple[Scenario, GridFile | None, BadInput | None]:
    """Scenario and grid file, and what a run would say where orders alone are missing."""
    try:
        return *bootstrap.read_whole(folder), None
    except BadInput as error:
        if any(finding.where != ORDERS.file or finding.line for finding in error.findings):
            raise
        return *bootstrap.read_whole(folder, (ORDERS,)), error


def read(folder: str | os.PathLike[str]) -> PlannedDay:
    """A scenario folder; `BadInput` with all that is wrong with it. Without `orders.csv` it has `needs` only."""
    return PlannedDay(Path(folder))
