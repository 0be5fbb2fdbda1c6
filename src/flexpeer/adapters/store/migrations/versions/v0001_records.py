"""Records, heads and documents; records and heads are only ever added."""

from alembic import op

from flexpeer.adapters.store.tables import METADATA

revision = "0001"
down_revision = None

_NEVER = "is only ever added to"


def upgrade() -> None:
    """Make the tables, and triggers that refuse to change or remove what is in them."""
    connection = op.get_bind()
    METADATA.create_all(connection)
    for table in ("records", "heads"):
        if connection.dialect.name == "sqlite":
            for act in ("UPDATE", "DELETE"):
                op.execute(
                    f"CREATE TRIGGER {table}_{act.lower()} BEFORE {act} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, '{table} {_NEVER}'); END"
                )
            continue
        op.execute(
            f"CREATE FUNCTION {table}_kept() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{table} {_NEVER}'; END $$"
        )
        op.execute(
            f"CREATE TRIGGER {table}_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_kept()"
        )
