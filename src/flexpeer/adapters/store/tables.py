"""The tables of the store. What they are called and hold is an interface: other programs may read them."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from sqlalchemy import BigInteger as Whole
from sqlalchemy import Column, Dialect, LargeBinary, MetaData, String, Table, Text

METADATA = MetaData()
PLACED = {"sqlite": "?", "postgresql": "%s"}
MOST_AT_ONCE = 256
Row = tuple[Any, ...]

RECORDS = Table(
    "records",
    METADATA,
    Column("day", String(32), primary_key=True),
    Column("n", Whole, primary_key=True, autoincrement=False),
    Column("batch", Whole, nullable=False),
    Column("prev", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Column("event", LargeBinary, nullable=False),
)
"""One record of a log: `event` as written in the log, `batch` the number of the first record it is kept with."""

HEADS = Table(
    "heads",
    METADATA,
    Column("day", String(32), primary_key=True),
    Column("n", Whole, primary_key=True, autoincrement=False),
    Column("hash", String(64), nullable=False),
    Column("stage", String(32), nullable=False),
    Column("at", String(32), nullable=False),
    Column("public_key", String(64), nullable=False),
    Column("signature", String(128), nullable=False),
)
"""What the operator has signed (`flexpeer.wire.heads`): the number and hash of a log's last record at an instant."""

DOCUMENTS = Table(
    "documents",
    METADATA,
    Column("name", String(256), primary_key=True),
    Column("content", Text, nullable=False),
)
"""What may change and is no event: clients, users, webhooks, uploaded files' texts."""


class Adding:
    """The driver's own statements that add rows to a table, as many at once as there are, by powers of two.

    A row at a time would cost the driver's way into the database and back each time, and everybody else's turn.
    """

    def __init__(self, table: Table, dialect: Dialect) -> None:
        columns = table.columns.keys()
        self._begins = f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES "
        self._row = f"({', '.join([PLACED[dialect.name]] * len(columns))})"

    def statements(self, rows: Sequence[Row]) -> Iterator[tuple[str, Row]]:
        """Each with what stands in its places; a row has its values in the order of the table's columns."""
        first = 0
        while left := len(rows) - first:
            count = min(MOST_AT_ONCE, 1 << (left.bit_length() - 1))
            yield self._begins + ",".join([self._row] * count), tuple(chain.from_iterable(rows[first : first + count]))
            first += count
