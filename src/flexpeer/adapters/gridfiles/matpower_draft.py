"""The tables of a MATPOWER case as rows by column name, and what is known of the buses while they are read."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from flexpeer.adapters.gridfiles.matpower_case import Case
from flexpeer.adapters.gridfiles.matpower_columns import COLUMNS, NEVER_NEEDED, OPTIONAL, THREE_PHASE
from flexpeer.errors import BadInput, Finding
from flexpeer.grid.network import Floats

NOT_NEEDED = frozenset(("RATE_B", "RATE_C", "MBASE", "VM", "ZONE"))
"""What is not read, or only if it is usable."""
MAY_BE_INFINITE = frozenset(("QMAX", "QMIN", "RATE_A"))
LARGEST = 1e15
"""Of the numbers of a case, so that what follows from them are floats too."""
TYPES = {1: "PQ", 2: "PV", 3: "reference", 4: "isolated"}


@dataclass(frozen=True)
class TableRow:
    """One row of a table: its line in the file, and its values by MATPOWER's column names."""

    line: int
    values: Mapping[str, float]

    def __getitem__(self, column: str) -> float:
        return self.values[column]


@dataclass(frozen=True)
class MatpowerDraft:
    """What has been read so far; `names`, `v_kv` and `isolated` go by bus number."""

    where: str
    base_mva: float
    tables: Mapping[str, tuple[TableRow, ...]]
    names: dict[int, str] = field(default_factory=dict)
    v_kv: dict[int, float] = field(default_factory=dict)
    isolated: set[int] = field(default_factory=set)
    errors: list[Finding] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def fault(self, row: TableRow, column: str, problem: str, expected: str) -> None:
        """Refuse the file because of this value."""
        self.errors.append(Finding(self.where, row.line, column, problem, expected))

    def note(self, row: TableRow, column: str, problem: str, expected: str) -> None:
        """Say something that does not refuse the file."""
        self.findings.append(Finding(self.where, row.line, column, problem, expected))

    def bus(self, row: TableRow, column: str) -> int | None:
        """The number of a bus of this case, or None (and an error)."""
        if row[column] in self.names:
            return int(row[column])
        self.fault(row, column, f"no bus {row[column]:g}", "the number of a bus of this case")
        return None


def draft_of(case: Case) -> MatpowerDraft:
    """The tables of a case; `BadInput` with all findings when one of them is missing or not usable."""
    errors = list(case.errors)
    _check_version(case, errors)
    base_mva = _base_mva(case, errors)
    tables = {name: _rows(case, name, errors) for name in COLUMNS}
    findings = list(_other_parts(case, errors))
    complete = {name: rows for name, rows in tables.items() if rows is not None}
    if len(complete) < len(COLUMNS) or math.isnan(base_mva):
        raise BadInput(errors)
    return MatpowerDraft(case.where, base_mva, complete, errors=errors, findings=findings)


def _check_version(case: Case, errors: list[Finding]) -> None:
    version = case.field("version")
    stated = f"{version[0, 0]:g}" if isinstance(version, np.ndarray) and version.size == 1 else version
    if stated is not None and stated not in ("1", "2"):
        errors.append(Finding(case.where, 0, "version", f"{stated}", "MATPOWER case format 1 or 2"))


def _base_mva(case: Case, errors: list[Finding]) -> float:
    """The base, or NaN and an error unless a statement that would have set it is refused already."""
    stated = case.field("baseMVA")
    if isinstance(stated, np.ndarray) and stated.size == 1 and 1 / LARGEST <= stated[0, 0] <= LARGEST:
        return float(stated[0, 0])
    if case.path("baseMVA") not in case.spoiled:
        problem = "missing" if stated is None else "not a positive number"
        errors.append(Finding(case.where, 0, "baseMVA", problem, "the base of per-unit values in MVA"))
    return math.nan


def _rows(case: Case, name: str, errors: list[Finding]) -> tuple[TableRow, ...] | None:
    """The rows of a table whose numbers are all usable; None when there are none or the table is refused."""
    table, columns = case.table(name), COLUMNS[name]
    spoiled = case.path(name) in case.spoiled
    if table is None or not table.values.size:
        if not spoiled:
            errors.append(Finding(case.where, 0, name, "no table", f"{case.path(name)} = [...] with its rows"))
        return None
    if table.values.shape[1] < len(columns):
        problem = f"{table.values.shape[1]} columns"
        errors.append(Finding(case.where, table.lines[0], name, problem, f"at least {', '.join(columns)}"))
        return None
    values = table.values[:, : len(columns)]
    wrong = np.isnan(values) | ((np.abs(values) > LARGEST) & ~np.isin(columns, list(MAY_BE_INFINITE)))
    wrong &= ~np.isin(columns, list(NOT_NEEDED)) & ~(np.isnan(values) & np.isin(columns, "RATE_A"))
    for row, column in np.argwhere(wrong):
        number = f"{values[row, column]}"
        errors.append(Finding(case.where, table.lines[row], columns[column], number, "a finite number"))
    if wrong.any():
        return None
    more = OPTIONAL.get(name, ())
    named = (*columns, *more)
    listed = zip(
        table.lines, np.hstack([values, _optional(table.values, len(columns), len(more))]).tolist(), strict=True
    )
    return tuple(TableRow(line, dict(zip(named, numbers, strict=True))) for line, numbers in listed)


def _optional(values: Floats, first: int, count: int) -> Floats:
    """Columns from `first` on, NaN where there is none or no usable number."""
    stated = values[:, first : first + count]
    found = np.full((len(values), count), np.nan)
    found[:, : stated.shape[1]] = np.where(np.abs(stated) <= LARGEST, stated, np.nan)
    return found


def _other_parts(case: Case, errors: list[Finding]) -> list[Finding]:
    """What else the case holds: direct-current lines and three-phase parts refuse it, other fields are told."""
    findings = []
    for name in THREE_PHASE:
        table = case.table(name)
        if table is not None and table.values.size:
            problem = f"{len(table.lines)} rows of a three-phase part"
            errors.append(Finding(case.where, table.lines[0], name, problem, "a balanced case"))
    lines = case.table("dcline")
    for line, row in zip(lines.lines, lines.values, strict=True) if lines else ():
        if len(row) > 2 and row[2] == 0:
            findings.append(Finding(case.where, line, "dcline", "out of service; left out", "AC branches"))
        else:
            expected = "no dcline in service; a generator at each end instead"
            errors.append(Finding(case.where, line, "dcline", "direct-current lines are not calculated", expected))
    known = NEVER_NEEDED.union(THREE_PHASE)
    unread = [name for name in case.fields() if name.partition(".")[0] not in known]
    told = (Finding(case.where, 0, name, "this field is not read", "fields of the case format") for name in unread)
    return [*findings, *told]
