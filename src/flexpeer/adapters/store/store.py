"""The logs of a market, durable.

Records appended to any of its logs wait until `sync`, which writes them all in one transaction (group commit). A batch
is thereby kept whole or not at all. One connection writes, and its end is the end of the lock: who lost the lock cannot
write. After a failed commit nobody knows what is on the disk, so the store writes nothing more, and says so.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Self

import msgspec
from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from flexpeer.adapters.ed25519 import Ed25519Signatures
from flexpeer.adapters.folders import whole_file
from flexpeer.adapters.log_file import FileLog, decode_event, encode_event
from flexpeer.adapters.signed_heads import sign_head
from flexpeer.adapters.store.chains import KeptRecord, days_of, read_chain
from flexpeer.adapters.store.places import OpenedPlace, open_place, said_by
from flexpeer.adapters.store.tables import DOCUMENTS, HEADS, RECORDS, Adding, Row
from flexpeer.app.ports import Batch
from flexpeer.app.registry import BESIDE_DAYS
from flexpeer.errors import bad_input
from flexpeer.market.timeline import StageReached
from flexpeer.wire.chain import GENESIS, Seal, record_hash, record_line
from flexpeer.wire.heads import SignedHead

Reached = tuple[str, StageReached, tuple[int, str]]
LINES_AT_ONCE = 500
FAILED = "the store has failed before; what was not acknowledged may be lost, and this program must end"
KINDS = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


class StoreFailed(OSError):
    """The place does not write or read any more; after a failed write nothing is written, and the program must end."""


class DayLog:
    """The log of one day, or of the registry: an `EventLog`. `n` and `head` are those of its last record.

    There is one for each log of a store, whoever asks for it.
    """

    def __init__(self, store: "Store", day: str) -> None:
        self._store, self.day = store, day
        self.n, self.head = store.last(day)

    def read(self) -> Iterator[Batch]:
        """What it has, batch by batch; `BadInput` where the chain is broken, or is not what was signed."""
        events: list[Any] = []
        for row in self._store.records(self.day):
            n, batch, _, _, content = row
            if n == batch and events:
                yield events
                events = []
            events.append(self._event(n, batch, content))
        if events:
            yield events

    def _event(self, n: int, batch: int, content: bytes) -> Any:
        try:
            return decode_event(content)
        except (msgspec.MsgspecError, ValueError) as error:
            where = f"{self.day}, batch {batch}"
            problem = f"record {n} is no event that this version knows ({error})"
            raise bad_input(where, problem, "a log of this version of flexpeer, or of one before") from error

    def append(self, events: Batch) -> None:
        """One batch at the end; it is durable after `sync`."""
        n, head, rows, stages = self.n, self.head, list[Row](), []
        for each in events:
            content = encode_event(each)
            digest = record_hash(n + 1, head, content)
            rows.append((self.day, n + 1, self.n + 1, head, digest, content))
            n, head = n + 1, digest
            if isinstance(each, StageReached):
                stages.append((self.day, each, (n, head)))
        self._store.add(rows, stages)
        self.n, self.head = n, head

    def export(self, path: Path, state_hash: str) -> str:
        """The durable records as a new `events.log`, sealed with the state they lead to; the hash of the seal."""
        if path.exists():
            raise FileExistsError(f"{path} is there already")
        with whole_file(path) as new, FileLog(new) as file:
            for _, _, _, _, content in self._store.records(self.day):
                file.append_written(content)
            return file.seal(state_hash)

    def sync(self) -> None:
        """Everything appended, to whichever log of the store, is durable when this returns."""
        self._store.sync()


class Store:
    """All logs of a market, in a folder (SQLite) or a PostgreSQL database; `Store.open` makes or opens it.

    One thread appends and syncs; any thread may read, and keep documents. A read sees what is durable.
    """

    def __init__(self, place: OpenedPlace) -> None:
        self._place = place
        self._adding = Adding(RECORDS, place.engine.dialect)
        self._logs: dict[str, DayLog] = {}
        self._waiting: list[Row] = []
        self._reached: list[Reached] = []
        self._operator: Ed25519Signatures | None = None
        self._signed: dict[str, int] = {}
        self._writes = threading.Lock()
        self._failed = False

    @classmethod
    def open(cls, where: Path | str) -> Self:
        """A folder, or a URL such as `postgresql://user@host/name`; `BadInput` if another program has it open."""
        return cls(open_place(where))

    @property
    def kind(self) -> str:
        """What the store is, as its maker calls it."""
        return KINDS[self._place.engine.dialect.name]

    def days(self) -> tuple[str, ...]:
        """Which logs there are, in order."""
        with self._reading() as connection:
            return days_of(connection)

    def log(self, day: str) -> DayLog:
        """The log of a day; empty if there is none."""
        if day not in self._logs:
            self._logs[day] = DayLog(self, day)
        return self._logs[day]

    def last(self, day: str) -> tuple[int, str]:
        """Number and hash of a log's last durable record; 0 and the genesis hash where there is none."""
        last = select(RECORDS.c.n, RECORDS.c.hash).where(RECORDS.c.day == day).order_by(RECORDS.c.n.desc()).limit(1)
        with self._reading() as connection:
            found = connection.execute(last).first()
        return (0, GENESIS) if found is None else (found.n, found.hash)

    def records(self, day: str, after: int = 0) -> Iterator[KeptRecord]:
        """The durable records of a log after a number, in order; `BadInput` where the chain is broken.

        Nothing is held while whoever asks for them takes their time.
        """
        return read_chain(self._reading, self._place.name, day, after)

    def lines(self, day: str, after: int, sealed: bool) -> Iterator[bytes]:
        """The durable records of a log after a number as the lines of a log file, some hundreds at once.

        The seal of a log beside the days has for its state hash that of its last record, which is all it leads to.
        """
        n, head = after, GENESIS
        records = self.records(day, after)
        while rows := list(islice(records, LINES_AT_ONCE)):
            yield b"".join(record_line(row.n, row.prev, row.event)[0] for row in rows)
            n, head = rows[-1].n, rows[-1].hash
        if sealed and n:
            head = head if n > after else self.last(day)[1]
            yield record_line(n + 1, head, msgspec.json.encode(Seal(n, head)), kind="seal")[0]

    def sign_with(self, operator: Ed25519Signatures) -> None:
        """From now on the head of a log is signed wherever it says that a stage was reached, and kept with it.

        The heads of logs beside those of days are signed then too, unless they are where they were signed last.
        """
        self._operator = operator
        self._signed = {name: max((head.n for head in self.heads(name)), default=0) for name in BESIDE_DAYS}

    def add(self, rows: list[Row], stages: list[Reached]) -> None:
        """Records for the next `sync`, and which of them say that a stage was reached."""
        if self._failed:
            raise StoreFailed(FAILED)
        self._waiting += rows
        self._reached += stages

    def sync(self) -> None:
        """What waits is durable when this returns; `StoreFailed` if it cannot be, for good."""
        if self._failed:
            raise StoreFailed(FAILED)
        if self._waiting:
            with self._writing() as connection:
                for statement, values in self._adding.statements(self._waiting):
                    connection.exec_driver_sql(statement, values)
                if self._reached and self._operator is not None:
                    connection.execute(insert(HEADS), self._head_rows(self._operator))
            self._waiting, self._reached = [], []

    def _head_rows(self, operator: Ed25519Signatures) -> list[dict[str, Any]]:
        """Of the logs that reached a stage, and of those beside them that have gone on."""
        rows = [_head_row(day, str(event.stage), last, event.at, operator) for day, event, last in self._reached]
        day, event, _ = self._reached[-1]
        themselves = {name for name, _, _ in self._reached}
        for name, signed in self._signed.items():
            log = self.log(name)
            if log.n > signed and name not in themselves:
                rows.append(_head_row(name, f"{day} {event.stage}", (log.n, log.head), event.at, operator))
                self._signed[name] = log.n
        return rows

    def heads(self, day: str) -> tuple[SignedHead, ...]:
        """The signed heads of a log, in order."""
        with self._reading() as connection:
            rows = connection.execute(select(HEADS).where(HEADS.c.day == day).order_by(HEADS.c.n)).mappings().all()
        return tuple(SignedHead(market_id=row["day"], **{k: row[k] for k in row if k != "day"}) for row in rows)

    def document(self, name: str) -> str | None:
        """What is kept under a name beside the logs."""
        with self._reading() as connection:
            return connection.scalar(select(DOCUMENTS.c.content).where(DOCUMENTS.c.name == name))

    def documents(self, prefix: str) -> dict[str, str]:
        """Everything whose name begins so."""
        named = select(DOCUMENTS).where(DOCUMENTS.c.name.startswith(prefix, autoescape=True)).order_by(DOCUMENTS.c.name)
        with self._reading() as connection:
            return {row.name: row.content for row in connection.execute(named)}

    def document_names(self, prefix: str) -> tuple[str, ...]:
        """Every name that begins so."""
        named = select(DOCUMENTS.c.name).where(DOCUMENTS.c.name.startswith(prefix, autoescape=True))
        with self._reading() as connection:
            return tuple(connection.scalars(named.order_by(DOCUMENTS.c.name)))

    def keep_document(self, name: str, content: str | None) -> None:
        """Keep it under a name, durably, in place of what was there; None removes it."""
        if not 0 < len(name) <= 256 or b"\0" in (name + (content or "")).encode():
            raise ValueError("a document has a name of at most 256 characters, and no NUL")
        with self._writing() as connection:
            connection.execute(delete(DOCUMENTS).where(DOCUMENTS.c.name == name))
            if content is not None:
                connection.execute(insert(DOCUMENTS), {"name": name, "content": content})

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """One transaction; whatever goes wrong with it ends all writing."""
        with self._writes:
            if self._failed:
                raise StoreFailed(FAILED)
            try:
                with self._place.writer.begin():
                    yield self._place.writer
            except BaseException as error:
                self._failed = True
                if isinstance(error, DBAPIError | OSError):
                    raise StoreFailed(f"{self._place.name} cannot be written: {said_by(error)}") from error
                raise

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """`StoreFailed` if the place does not answer, `BadInput` if what is there cannot be read."""
        try:
            with self._place.engine.connect() as connection:
                yield connection
        except (OperationalError, InterfaceError) as error:
            raise StoreFailed(f"{self._place.name} cannot be read: {said_by(error)}") from error
        except DBAPIError as error:
            raise bad_input(self._place.name, f"is damaged: {said_by(error)}", "a store as it was written") from error

    def close(self) -> None:
        """Somebody else may open it; what was not synced is gone."""
        with self._writes:
            self._failed = True
            self._place.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _head_row(day: str, stage: str, last: tuple[int, str], at: int, operator: Ed25519Signatures) -> dict[str, Any]:
    head = msgspec.structs.asdict(sign_head(day, stage, last, at, operator))
    return {"day": head.pop("market_id"), **head}
