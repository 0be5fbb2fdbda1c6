"""One table of a scenario that somebody sends as a workbook, as the plain CSV of the same table.

It is read as a workbook in a scenario folder is, so with units in the names of columns, local times and wide tables;
what is wrong is all told, with its sheet and row.
"""

import csv
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace

from flexpeer.adapters.scenario_files import cells, layouts
from flexpeer.adapters.scenario_files.layouts import Column, Layout
from flexpeer.adapters.scenario_files.local_times import LocalTimes
from flexpeer.adapters.scenario_files.sheets import SheetFolder
from flexpeer.adapters.scenario_files.tables import Table, read_table
from flexpeer.adapters.scenario_files.wide import Known
from flexpeer.adapters.scenario_files.workbooks import Bounds
from flexpeer.adapters.scenario_files.writer import cell_text, price_text
from flexpeer.app.scenario import Scenario
from flexpeer.errors import BadInput

BOUNDS: Final = Bounds(1 << 26, 1 << 20)
QUANTILES: Final = ("p_low_w", "p_high_w")


def _optional(column: Column) -> Column:
    return replace(column, required=False, default=None) if column.name == "arrival" else column


TABLES: Final[Mapping[str, Layout]] = {
    "orders": replace(layouts.ORDERS, columns=tuple(map(_optional, layouts.ORDERS.columns))),
    "forecast": replace(
        layouts.FORECAST, columns=tuple(each for each in layouts.FORECAST.columns if each.name not in QUANTILES)
    ),
    "meter": layouts.METER,
}
"""What can be sent: orders come in the order of their rows, forecasts without quantiles; plans are as meters."""


def sent_csv(content: bytes, table: str, scenario: Scenario) -> bytes:
    """The table as CSV, its times in UTC; `BadInput` with all findings, one for a workbook that cannot be read."""
    layout = TABLES[table]
    known = Known(LocalTimes(scenario.day), frozenset(each.resource for each in scenario.resources))
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / f"{layout.table}.xlsx").write_bytes(content)
        sheets = SheetFolder(Path(scratch), BOUNDS)
        read = read_table(sheets, layout, known)
        findings = [*read.findings.in_order(), *sheets.findings]
    if findings:
        raise BadInput(findings)
    return _text(read, layout).encode()


def _text(table: Table, layout: Layout) -> str:
    """Each row on the line that it has in the sheet, where it has one of its own."""
    columns = [column for column in layout.columns if column.name in table.header or column.name == "q_var"]
    text = StringIO()
    written = csv.writer(text, lineterminator="\n")
    written.writerow(column.name for column in columns)
    line = 2
    for place, row in zip(table.lines, zip(*(table.column(each.name) for each in columns), strict=True), strict=True):
        text.write("\n" * (place - line))
        written.writerow(_cell(column, value) for column, value in zip(columns, row, strict=True))
        line = max(line, place) + 1
    return text.getvalue()


def _cell(column: Column, value: Any) -> str:
    if column.read is cells.instant and value is not None:
        return datetime.fromtimestamp(60 * value, UTC).isoformat(timespec="minutes")
    return cell_text(price_text(value) if column.read is cells.price_minor else value)
