"""The tables of the store. What they are called and hold is an interface: other programs may read them."""

from sqlalchemy import BigInteger as Whole
from sqlalchemy import Column, Dialect, LargeBinary, MetaData, String, Table, Text

METADATA = MetaData()
NAMED = {"sqlite": ":{}", "postgresql": "%({})s"}

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


def added_rows(table: Table, dialect: Dialect) -> str:
    """The driver's own statement that adds rows by column name: the hot path goes without SQLAlchemy's for each row."""
    columns = table.columns.keys()
    values = (NAMED[dialect.name].format(name) for name in columns)
    return f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({', '.join(values)})"
