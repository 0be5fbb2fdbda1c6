"""Records, heads and documents; records and heads are only ever added."""

from alembic import op
from sqlalchemy import BigInteger, Column, LargeBinary, String, Text

revision = "0001"
down_revision = None

ADDED_ONLY = ("records", "heads")
_NEVER = "is only ever added to"


def upgrade() -> None:
    """Make the tables, and triggers that refuse to change, remove or replace what is in them."""
    op.create_table(
        "records",
        Column("day", String(32), primary_key=True),
        Column("n", BigInteger, primary_key=True, autoincrement=False),
        Column("batch", BigInteger, nullable=False),
        Column("prev", String(64), nullable=False),
        Column("hash", String(64), nullable=False),
        Column("event", LargeBinary, nullable=False),
    )
    op.create_table(
        "heads",
        Column("day", String(32), primary_key=True),
        Column("n", BigInteger, primary_key=True, autoincrement=False),
        Column("hash", String(64), nullable=False),
        Column("stage", String(32), nullable=False),
        Column("at", String(32), nullable=False),
        Column("public_key", String(64), nullable=False),
        Column("signature", String(128), nullable=False),
    )
    op.create_table(
        "documents",
        Column("name", String(256), primary_key=True),
        Column("content", Text, nullable=False),
    )
    forbid = _forbid_in_sqlite if op.get_bind().dialect.name == "sqlite" else _forbid_in_postgresql
    for table in ADDED_ONLY:
        forbid(table)


def _forbid_in_sqlite(table: str) -> None:
    """`INSERT OR REPLACE` removes without asking the trigger of DELETE."""
    there = f"EXISTS (SELECT 1 FROM {table} WHERE day = NEW.day AND n = NEW.n)"
    for act, when in (("UPDATE", ""), ("DELETE", ""), ("INSERT", f"WHEN {there} ")):
        op.execute(
            f"CREATE TRIGGER {table}_{act.lower()} BEFORE {act} ON {table} {when}"
            f"BEGIN SELECT RAISE(ABORT, '{table} {_NEVER}'); END"
        )


def _forbid_in_postgresql(table: str) -> None:
    op.execute(
        f"CREATE FUNCTION {table}_kept() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{table} {_NEVER}'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_kept()"
    )
