"""Backups: one file with all of a store, taken while a server writes to it, and checked as it is written.

The file is an SQLite database with the tables of the store, from whichever place, for either: a market moves from
SQLite to PostgreSQL by its backup. Source and target are each one transaction.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, insert, select, text
from sqlalchemy.exc import DBAPIError

from flexpeer.adapters.folders import whole_file, write_private
from flexpeer.adapters.store.chains import ROWS_AT_A_TIME, days_of, read_chain
from flexpeer.adapters.store.places import (
    migrate,
    name_of,
    open_place,
    reading_file,
    reading_place,
    said_by,
    writing_file,
)
from flexpeer.adapters.store.tables import DOCUMENTS, HEADS, METADATA, RECORDS
from flexpeer.errors import bad_input

Counts = dict[str, int]

A_BACKUP = "a file that flexpeer backup has written"


def backup(where: Path | str, file: Path) -> Counts:
    """All of a store, as it is at one moment, in a new file for its owner only; how much there is of what.

    `BadInput` for a store that is damaged, and nothing is written.
    """
    if file.exists() or file.is_symlink():
        raise bad_input(str(file), "is there already", "a new file")
    with whole_file(file) as new:
        write_private(new, b"")
        with reading_place(where) as source, writing_file(new) as target, _told(name_of(where)):
            migrate(target)
            with target.begin():
                return _copy(source, target, name_of(where))


def restore(file: Path, where: Path | str) -> Counts:
    """Fill a new or empty place from a backup; how much there is of what. `BadInput`, and nothing restored."""
    with reading_file(file, A_BACKUP) as source:
        place = open_place(where)
        try:
            with _told(str(file)), place.writer.begin():
                if any(_counted(place.writer).values()):
                    raise bad_input(place.name, "there is a market in it", "a new or empty place")
                return _copy(source, place.writer, str(file))
        finally:
            place.close()


def _copy(source: Connection, target: Connection, where: str) -> Counts:
    version = text("SELECT version_num FROM alembic_version")
    if source.scalar(version) != target.scalar(version):
        raise bad_input(where, "was written by another version of flexpeer", "the same version")
    days = days_of(source)
    for day in days:
        kept = read_chain(lambda: nullcontext(source), where, day)
        rows = ({"day": day, **row._asdict()} for row in kept)
        while some := list(islice(rows, ROWS_AT_A_TIME)):
            target.execute(insert(RECORDS), some)
    for table in (HEADS, DOCUMENTS):
        found: list[dict[str, Any]] = [dict(row) for row in source.execute(select(table)).mappings()]
        if found:
            target.execute(insert(table), found)
    return {"days": len(days), **_counted(target)}


def _counted(connection: Connection) -> Counts:
    tables = METADATA.sorted_tables
    return {table.name: connection.scalar(select(func.count()).select_from(table)) or 0 for table in tables}


@contextmanager
def _told(where: str) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise bad_input(where, f"cannot be copied: {said_by(error)}", "a whole store, and room for it") from error
