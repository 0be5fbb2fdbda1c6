"""Where a store can be: a folder (SQLite) or a PostgreSQL database. One program at a time has it open to write.

A commit is on the disk when it returns: SQLite writes ahead and syncs at every commit, and of PostgreSQL a server that
does not sync is refused.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import psycopg
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from flexpeer.adapters.store.tables import METADATA
from flexpeer.errors import BadInput, bad_input, printable

FILE, LOCK = "market.sqlite", "lock"
ADVISORY_LOCK, LOCK_PATIENCE = 7_305_912_011, "3s"
EXPECTED = "a market's store, or a place for one"
KNOWN_URLS = ("postgresql", "postgresql+psycopg")
PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "fullfsync=ON", "busy_timeout=10000")
PRAGMAS_OF_A_FILE = ("journal_mode=DELETE", "synchronous=FULL", "fullfsync=ON")
PRAGMAS_TO_READ = ("query_only=ON", "busy_timeout=10000")
SESSION = {
    "synchronous_commit": "CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' "
    "ELSE current_setting('synchronous_commit') END",
    "tcp_keepalives_idle": "'30'",
    "tcp_keepalives_interval": "'10'",
    "tcp_keepalives_count": "'3'",
}
"""What a session of PostgreSQL is told. A server thus gives a lost machine's lock to another within a minute."""


class OpenedPlace(NamedTuple):
    """An opened place: connections to read, and the one connection that may write, with whose end the lock ends."""

    name: str
    engine: Engine
    writer: Connection
    lock: int | None

    def close(self) -> None:
        """Somebody else may open it."""
        with suppress(SQLAlchemyError):
            self.writer.close()
        self.engine.dispose()
        if self.lock is not None:
            os.close(self.lock)


def name_of(where: Path | str) -> str:
    """How a place is told to people: without a password."""
    if isinstance(where, Path):
        return str(where)
    with suppress(SQLAlchemyError):
        return make_url(where).render_as_string(hide_password=True)
    return "the database's address"


def said_by(error: BaseException) -> str:
    """What a database or the system says, in one line."""
    said = getattr(error, "strerror", None) or str(getattr(error, "orig", None) or error).strip()
    return printable((said or type(error).__name__).splitlines()[0])


def open_place(where: Path | str) -> OpenedPlace:
    """To read and write, with tables of this version; `BadInput` if another program has it open."""
    with _told(where):
        place = _folder(where) if isinstance(where, Path) else _database(where)
        try:
            migrate(place.writer)
        except BaseException:
            place.close()
            raise
        return place


@contextmanager
def reading_place(where: Path | str) -> Iterator[Connection]:
    """One snapshot of a store as it is, whoever writes to it meanwhile; `BadInput` if there is none."""
    if isinstance(where, Path):
        with reading_file(where / FILE, "a folder with a market's store, or a database's URL") as connection:
            yield connection
        return
    with _told(where):
        engine = _postgresql_engine(_url(where))
        connection = engine.connect().execution_options(isolation_level="REPEATABLE READ")
    with _ended(engine, connection), connection.begin():
        with _told(where):
            _has_tables(connection)
        yield connection


def _has_tables(connection: Connection) -> None:
    for table in ("alembic_version", *METADATA.tables):
        connection.execute(text(f"SELECT 1 FROM {table} LIMIT 1"))


@contextmanager
def reading_file(path: Path, expected: str) -> Iterator[Connection]:
    """One snapshot of a store's file; `BadInput` if it is none."""
    if not path.is_file():
        raise bad_input(str(path), "there is no such file", expected)
    with _told(path, expected):
        engine = _sqlite_engine(path, "ro", PRAGMAS_TO_READ)
        connection = engine.connect()
    with _ended(engine, connection), connection.begin():
        with _told(path, expected):
            _has_tables(connection)
        yield connection


@contextmanager
def writing_file(path: Path) -> Iterator[Connection]:
    """A file by itself: nothing of it stands beside it when it is closed."""
    engine = _sqlite_engine(path, "rw", PRAGMAS_OF_A_FILE)
    with _told(path):
        connection = engine.connect()
    with _ended(engine, connection):
        yield connection


@contextmanager
def _ended(engine: Engine, connection: Connection) -> Iterator[None]:
    try:
        yield
    finally:
        with suppress(SQLAlchemyError):
            connection.close()
        engine.dispose()


@contextmanager
def _told(where: Path | str, expected: str = EXPECTED) -> Iterator[None]:
    """What goes wrong at opening is one finding."""
    try:
        yield
    except CommandError as error:
        later = f"was written by another version of flexpeer: {said_by(error)}"
        raise bad_input(name_of(where), later, "a store of this version or of one before") from error
    except (SQLAlchemyError, OSError) as error:
        raise bad_input(name_of(where), f"cannot be opened: {said_by(error)}", expected) from error


def _taken(where: str) -> BadInput:
    return bad_input(where, "another program has this store open", "a store that nobody has open")


def _folder(folder: Path) -> OpenedPlace:
    _make(folder)
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(os.open(folder / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        engine = _sqlite_engine(folder / FILE, "rw", PRAGMAS)
        return OpenedPlace(str(folder), engine, engine.connect(), lock)
    except BlockingIOError as error:
        os.close(lock)
        raise _taken(str(folder)) from error
    except BaseException:
        os.close(lock)
        raise


def _make(folder: Path) -> None:
    """A folder for its owner only, whose name is on the disk."""
    if folder.is_dir():
        return
    folder.mkdir(mode=0o700, parents=True)
    handle = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sqlite_engine(path: Path, mode: str, pragmas: Sequence[str]) -> Engine:
    """Connections to a file, whose transactions begin when they are begun (sqlite3 by itself waits for a change)."""
    engine = create_engine(
        URL.create("sqlite", database=path.absolute().as_uri(), query={"mode": mode, "uri": "true"}),
        poolclass=QueuePool,
        connect_args={"check_same_thread": False, "isolation_level": None},
    )

    @event.listens_for(engine, "connect")
    def _durable(connection: sqlite3.Connection, _record: object) -> None:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def _url(url: str) -> URL:
    found = make_url(url) if "://" in url else None
    if found is None or found.drivername not in KNOWN_URLS:
        raise bad_input("--database", "is no address of a database we know", "postgresql://user:password@host/name")
    return found.set(drivername="postgresql+psycopg")


def _postgresql_engine(url: URL) -> Engine:
    told = {"connect_timeout": "10", "client_encoding": "utf8", "application_name": "flexpeer"}
    engine = create_engine(url.update_query_dict({key: told[key] for key in told.keys() - url.query.keys()}))

    @event.listens_for(engine, "connect")
    def _durable(connection: psycopg.Connection, _record: object) -> None:
        settings = ", ".join(f"set_config('{name}', {value}, false)" for name, value in SESSION.items())
        connection.execute(f"SELECT {settings}")
        connection.commit()

    return engine


def _database(given: str) -> OpenedPlace:
    engine, name = _postgresql_engine(_url(given)), name_of(given)
    place = OpenedPlace(name, engine, engine.connect(), None)
    try:
        place.writer.detach()
        _lock(place)
    except BaseException:
        place.close()
        raise
    return place


def _lock(place: OpenedPlace) -> None:
    """For the life of the session. A server takes a moment to see that the program of a session before was killed."""
    with place.writer.begin():
        if place.writer.scalar(text("SHOW fsync")) != "on":
            raise bad_input(place.name, "this server does not write to its disk (fsync is off)", "fsync = on")
        place.writer.execute(text(f"SET LOCAL lock_timeout = '{LOCK_PATIENCE}'"))
        try:
            place.writer.execute(text(f"SELECT pg_advisory_lock({ADVISORY_LOCK})"))
        except OperationalError as error:
            if isinstance(error.orig, psycopg.errors.LockNotAvailable):
                raise _taken(place.name) from error
            raise


def migrate(connection: Connection) -> None:
    """The tables of this version, all of a change or none of it."""
    config = Config()
    config.set_main_option("script_location", "flexpeer.adapters.store:migrations")
    config.attributes["connection"] = connection
    with connection.begin():
        command.upgrade(config, "head")
