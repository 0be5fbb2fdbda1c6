"""Opening a store, and the logs in it. One program writes a store at a time; a commit makes records durable.

Records appended to any of its logs wait until `sync`, which writes them all in one transaction (group commit): with
SQLite in write-ahead mode and full synchronisation, or in PostgreSQL. A batch is thereby kept whole or not at all.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import Any, Self

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, RowMapping, create_engine, delete, event, insert, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import QueuePool

from flexpeer.adapters.log_file import decode_event, encode_event
from flexpeer.adapters.store.tables import DOCUMENTS, HEADS, RECORDS
from flexpeer.app.ports import Batch
from flexpeer.errors import BadInput, bad_input, printable
from flexpeer.wire.chain import GENESIS, record_line

FILE, LOCK = "market.sqlite", "lock"
ADVISORY_LOCK = 7_305_912_011
ROWS_AT_A_TIME = 5_000


class StoreFailed(Exception):
    """What was appended could not be made durable; nothing more is written, and the program must end."""


class DayLog:
    """The log of one day, or of the registry: an `EventLog`. `n` and `head` are those of its last record."""

    def __init__(self, store: "Store", day: str) -> None:
        self._store, self.day = store, day
        self.n, self.head = store.last(day)

    def read(self) -> Iterator[Batch]:
        """What it has, batch by batch; `BadInput` where the chain is broken."""
        for _, rows in groupby(self._store.records(self.day), key=lambda row: row["batch"]):
            yield [decode_event(row["event"]) for row in rows]

    def append(self, events: Batch) -> None:
        """One batch at the end; it is durable after `sync`."""
        batch, rows = self.n + 1, []
        for each in events:
            content = encode_event(each)
            _, digest = record_line(self.n + 1, self.head, content)
            rows.append(_row(self.day, self.n + 1, batch, self.head, digest, content))
            self.n, self.head = self.n + 1, digest
        self._store.add(rows)

    def sync(self) -> None:
        """Everything appended, to whichever log of the store, is durable when this returns."""
        self._store.sync()


def _row(day: str, n: int, batch: int, prev: str, digest: str, content: bytes) -> dict[str, Any]:
    return {"day": day, "n": n, "batch": batch, "prev": prev, "hash": digest, "event": content}


class Store:
    """All logs of a market, in a folder (SQLite) or a PostgreSQL database; `Store.open` makes or opens it."""

    def __init__(self, engine: Engine, lock: "Lock") -> None:
        self.engine, self._lock = engine, lock
        self._waiting: list[dict[str, Any]] = []
        self._failed = False

    @classmethod
    def open(cls, where: Path | str) -> Self:
        """A folder, or a URL such as `postgresql://user@host/name`; `BadInput` if somebody else has it open."""
        try:
            lock, engine = _postgres(where) if isinstance(where, str) else _sqlite(where)
            with engine.begin() as connection:
                _migrate(connection)
        except (SQLAlchemyError, OSError) as error:
            shown = printable(str(getattr(error, "orig", None) or error).splitlines()[0])
            raise bad_input(str(where), f"cannot be opened: {shown}", "a market's store, or a place for one") from error
        return cls(engine, lock)

    def days(self) -> tuple[str, ...]:
        """Which logs there are, in order."""
        with self.engine.connect() as connection:
            return tuple(connection.scalars(select(RECORDS.c.day).distinct().order_by(RECORDS.c.day)))

    def log(self, day: str) -> DayLog:
        """The log of a day; empty if there is none."""
        return DayLog(self, day)

    def last(self, day: str) -> tuple[int, str]:
        """Number and hash of a log's last record; 0 and the genesis hash where there is none."""
        last = select(RECORDS.c.n, RECORDS.c.hash).where(RECORDS.c.day == day).order_by(RECORDS.c.n.desc()).limit(1)
        with self.engine.connect() as connection:
            found = connection.execute(last).first()
        return (0, GENESIS) if found is None else (found.n, found.hash)

    def records(self, day: str, after: int = 0) -> Iterator[RowMapping]:
        """The durable records of a log after a number, in order; `BadInput` where the chain is broken."""
        expected, prev = after + 1, None if after else GENESIS
        rows = select(RECORDS).where(RECORDS.c.day == day, RECORDS.c.n > after).order_by(RECORDS.c.n)
        with self.engine.connect().execution_options(yield_per=ROWS_AT_A_TIME) as connection:
            for row in connection.execute(rows).mappings():
                _, digest = record_line(row["n"], row["prev"], row["event"])
                whole = row["n"] == expected and prev in (None, row["prev"]) and digest == row["hash"]
                if not whole:
                    problem = f"record {row['n']} of {day} was changed, or others are missing before it"
                    raise bad_input(str(self.engine.url.database), problem, "the chain as it was written")
                expected, prev = expected + 1, row["hash"]
                yield row

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        """Records for the next `sync`."""
        if self._failed:
            raise StoreFailed("the store has failed before")
        self._waiting += rows

    def sync(self) -> None:
        """What waits is durable when this returns; `StoreFailed` if it cannot be, for good."""
        if self._failed:
            raise StoreFailed("the store has failed before")
        if not self._waiting:
            return
        try:
            with self.engine.begin() as connection:
                self._lock.held(connection)
                connection.execute(insert(RECORDS), self._waiting)
        except (SQLAlchemyError, OSError) as error:
            self._failed = True
            raise StoreFailed(printable(str(getattr(error, "orig", None) or error))) from error
        self._waiting = []

    def keep_head(self, head: Mapping[str, Any]) -> None:
        """A signed head: day, n, hash, stage, at, signature."""
        with self.engine.begin() as connection:
            known = select(HEADS.c.n).where(HEADS.c.day == head["day"], HEADS.c.n == head["n"])
            if connection.execute(known).first() is None:
                connection.execute(insert(HEADS), head)

    def heads(self, day: str) -> tuple[dict[str, Any], ...]:
        """The signed heads of a log, in order."""
        ordered = select(HEADS).where(HEADS.c.day == day).order_by(HEADS.c.n)
        with self.engine.connect() as connection:
            return tuple(dict(row) for row in connection.execute(ordered).mappings())

    def document(self, name: str) -> str | None:
        """What is kept under a name beside the logs."""
        with self.engine.connect() as connection:
            return connection.scalar(select(DOCUMENTS.c.content).where(DOCUMENTS.c.name == name))

    def documents(self, prefix: str) -> dict[str, str]:
        """Everything whose name begins so."""
        named = select(DOCUMENTS).where(DOCUMENTS.c.name.startswith(prefix, autoescape=True)).order_by(DOCUMENTS.c.name)
        with self.engine.connect() as connection:
            return {row.name: row.content for row in connection.execute(named)}

    def keep_document(self, name: str, content: str | None) -> None:
        """Keep it under a name, durably, in place of what was there; None removes it."""
        with self.engine.begin() as connection:
            connection.execute(delete(DOCUMENTS).where(DOCUMENTS.c.name == name))
            if content is not None:
                connection.execute(insert(DOCUMENTS), {"name": name, "content": content})

    def close(self) -> None:
        """Somebody else may open it."""
        self.engine.dispose()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Lock:
    """That no other program writes; this one is for whoever needs none."""

    def held(self, _connection: Connection) -> None:
        """Nothing can take it away."""

    def release(self) -> None:
        """Nothing to give back."""


class FileLock(Lock):
    """A lock on a file, which the system releases when the program ends."""

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._handle)
            raise _taken(str(path.parent)) from error

    def release(self) -> None:
        """Somebody else may have it."""
        os.close(self._handle)


class AdvisoryLock(Lock):
    """A lock of a PostgreSQL session, on a connection of its own; when that is lost, so is the lock."""

    def __init__(self, engine: Engine, where: str) -> None:
        self._connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        self._connection.detach()
        if not self._connection.scalar(text(f"SELECT pg_try_advisory_lock({ADVISORY_LOCK})")):
            self._connection.close()
            raise _taken(where)
        self._session = self._connection.scalar(text("SELECT pg_backend_pid()"))

    def held(self, connection: Connection) -> None:
        """Raises `StoreFailed` if the session with the lock is gone."""
        holds = text(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = :pid "
            "AND ((classid::bigint << 32) | objid::bigint) = :lock"
        )
        if not connection.scalar(holds, {"pid": self._session, "lock": ADVISORY_LOCK}):
            raise OSError("the connection that holds the market's lock is lost")

    def release(self) -> None:
        """Somebody else may have it."""
        with suppress(SQLAlchemyError):
            self._connection.close()


def _taken(where: str) -> BadInput:
    return bad_input(where, "another program has this store open", "a store that nobody has open")


def _sqlite(folder: Path) -> tuple[Lock, Engine]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    path = folder / FILE
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    engine = create_engine(f"sqlite:///{path}", poolclass=QueuePool, connect_args={"check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _durable(connection: sqlite3.Connection, _record: object) -> None:
        """Write-ahead log, synced at every commit."""
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000"):
            connection.execute(f"PRAGMA {pragma}")

    return lock, engine


def _postgres(url: str) -> tuple[Lock, Engine]:
    if not url.startswith(("postgresql://", "postgresql+psycopg://")):
        raise bad_input("--database", f"{url!r} is no database we know", "postgresql://user:password@host/name")
    engine = create_engine(
        url.replace("postgresql://", "postgresql+psycopg://", 1), connect_args={"client_encoding": "utf8"}
    )
    try:
        return AdvisoryLock(engine, str(engine.url)), engine
    except BaseException:
        engine.dispose()
        raise


def _migrate(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", "flexpeer.adapters.store:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
