"""Tables of results: the columns of the result files, each cell with its type.

They are shown as data frames where pandas is installed (the extra `frames`), else as records, a dict per row.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from importlib import import_module
from importlib.util import find_spec
from typing import Any, ClassVar, Final, NamedTuple
from zoneinfo import ZoneInfo

Record = dict[str, Any]


class CellType(StrEnum):
    """What the cells of a column are; None where a cell is empty."""

    TEXT = "text"
    WHOLE = "integer"
    EXACT = "Decimal"
    TIME = "datetime"
    REAL = "float"
    FLAG = "boolean"


Types = Mapping[str, CellType]


class Content(NamedTuple):
    """A table by column, each a list or an array of cells of its type; `zone` is that of its times."""

    types: Types
    columns: Mapping[str, Sequence[Any]]
    zone: str = "UTC"


def typed(rows: Iterable[Sequence[object]], types: Types, zone: str) -> Content:
    """Rows as files have them (numbers or texts, times with their offset, empty cells) as typed columns."""
    read = [_reader(cell_type, ZoneInfo(zone)) for cell_type in types.values()]
    columns = list(zip(*rows, strict=True)) or [()] * len(types)
    cells = (
        [None if c is None or c == "" else of(c) for c in column] for of, column in zip(read, columns, strict=True)
    )
    return Content(types, dict(zip(types, cells, strict=True)), zone)


def _reader(cell_type: CellType, zone: ZoneInfo) -> Callable[[Any], Any]:
    readers: dict[CellType, Callable[[Any], Any]] = {
        CellType.TEXT: str,
        CellType.WHOLE: int,
        CellType.EXACT: lambda cell: Decimal(str(cell)),
        CellType.TIME: lambda cell: datetime.fromisoformat(cell).astimezone(zone),
        CellType.REAL: float,
        CellType.FLAG: bool,
    }
    return readers[cell_type]


def shown(content: Content) -> Any:
    """A data frame, or records without pandas."""
    pandas = installed_pandas()
    return records(content) if pandas is None else frame(content, pandas)


def installed_pandas() -> Any:
    """The module, or None without the extra `frames`."""
    return import_module("pandas") if find_spec("pandas") else None


def records(content: Content) -> list[Record]:
    """A dict per row; Python's own types."""
    columns = [column.tolist() if hasattr(column, "tolist") else column for column in content.columns.values()]
    return [dict(zip(content.columns, row, strict=True)) for row in zip(*columns, strict=True)]


_DTYPES: Final = {CellType.TEXT: "string", CellType.EXACT: "object", CellType.REAL: "float64"}


def frame(content: Content, pandas: Any) -> Any:
    """A `pandas.DataFrame`: integers are int64, or Int64 where a cell is empty; money stays Decimal."""

    def series(name: str, cell_type: CellType) -> Any:
        column = content.columns[name]
        if cell_type is CellType.TIME:
            return pandas.Series(column, dtype=pandas.DatetimeTZDtype("s", content.zone))
        empty = not hasattr(column, "dtype") and None in column
        whole = {CellType.WHOLE: "Int64" if empty else "int64", CellType.FLAG: "boolean" if empty else "bool"}
        return pandas.Series(column, dtype=whole.get(cell_type) or _DTYPES[cell_type])

    return pandas.DataFrame({name: series(name, cell_type) for name, cell_type in content.types.items()})


class Figures:
    """What came of something: figures as attributes, by the names of the command's JSON, and tables.

    `figures` has all of the JSON, also a count whose name is a table's; `TABLES` the columns of each table.
    """

    TABLES: ClassVar[Mapping[str, Types]] = {}

    def __init__(self, figures: Record, contents: Mapping[str, Callable[[], Content]]) -> None:
        self.figures = figures
        self._contents = contents

    def records(self, table: str) -> list[Record]:
        """A table as a list with a dict for each row, whether pandas is installed or not."""
        return records(self._contents[table]())

    def __getattr__(self, name: str) -> Any:
        known = self.__dict__
        if name in known.get("_contents", ()):
            return shown(self._contents[name]())
        if name in known.get("figures", ()):
            return self.figures[name]
        raise AttributeError(f"{type(self).__name__} has no {name!r}; it has {', '.join(self._names())}")

    def _names(self) -> list[str]:
        known = self.__dict__
        return sorted({*known.get("_contents", ()), *known.get("figures", ())})

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._names()})
