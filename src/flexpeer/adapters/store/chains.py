"""Reading a log's records, and finding where they are not as they were written."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from flexpeer.adapters.store.tables import HEADS, RECORDS
from flexpeer.errors import BadInput, bad_input
from flexpeer.wire.chain import GENESIS, record_hash

ROWS_AT_A_TIME = 2_000

Reading = Callable[[], AbstractContextManager[Connection]]


class KeptRecord(NamedTuple):
    """A record as it is read, but for its day."""

    n: int
    batch: int
    prev: str
    hash: str
    event: bytes


def days_of(connection: Connection) -> tuple[str, ...]:
    """Which logs there are, in order; as many look-ups, however many records."""
    found: list[str] = []
    while True:
        following = select(func.min(RECORDS.c.day)).where(RECORDS.c.day > (found[-1] if found else ""))
        day = connection.scalar(following)
        if day is None:
            return tuple(found)
        found.append(day)


def read_chain(reading: Reading, where: str, day: str, after: int = 0) -> Iterator[KeptRecord]:
    """The records of a log after a number, in order, some at a time; `BadInput` at the first that is not as written.

    A log is as written when its records follow each other, each has its hash, batches are whole, and every head that
    was signed is there.
    """
    signed = _signed(reading, day, after)
    last, head, batch = after, GENESIS, 0
    while rows := _rows(reading, day, last):
        for row in rows:
            n, its_batch, prev, digest, event = row
            if n != last + 1:
                raise _damaged(where, day, f"record {last + 1} is missing")
            if prev != head and (last > after or not after):
                raise _damaged(where, day, f"record {n} does not follow the one before it: one was changed")
            if its_batch not in (batch, n) and (last > after or not after):
                raise _damaged(where, day, f"record {n} is of batch {its_batch}, which is not there")
            if record_hash(n, prev, event) != digest:
                raise _damaged(where, day, f"record {n} was changed: its content does not have its hash")
            if signed and signed.pop(n, digest) != digest:
                raise _damaged(where, day, f"record {n} is not the one that was signed: the log was written anew")
            last, head, batch = n, digest, its_batch
            yield row
    if signed:
        raise _damaged(where, day, f"record {min(signed)} was signed and is missing: the log was cut off")


def _rows(reading: Reading, day: str, after: int) -> list[KeptRecord]:
    columns = select(RECORDS.c.n, RECORDS.c.batch, RECORDS.c.prev, RECORDS.c.hash, RECORDS.c.event)
    following = columns.where(RECORDS.c.day == day, RECORDS.c.n > after).order_by(RECORDS.c.n)
    with reading() as connection:
        return [KeptRecord._make(row) for row in connection.execute(following.limit(ROWS_AT_A_TIME))]


def _signed(reading: Reading, day: str, after: int) -> dict[int, str]:
    heads = select(HEADS.c.n, HEADS.c.hash).where(HEADS.c.day == day, HEADS.c.n > after)
    with reading() as connection:
        return {row.n: row.hash for row in connection.execute(heads)}


def _damaged(where: str, day: str, problem: str) -> BadInput:
    return bad_input(where, f"the log of {day} is damaged: {problem}", "the log as it was written")
