"""Reading a log's records, and finding where they are not as they were written."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from sqlalchemy import Connection, RowMapping, func, select

from flexpeer.adapters.store.tables import HEADS, RECORDS
from flexpeer.errors import BadInput, bad_input
from flexpeer.wire.chain import GENESIS, record_hash

ROWS_AT_A_TIME = 2_000

Reading = Callable[[], AbstractContextManager[Connection]]


def days_of(connection: Connection) -> tuple[str, ...]:
    """Which logs there are, in order; as many look-ups, however many records."""
    found: list[str] = []
    while True:
        following = select(func.min(RECORDS.c.day)).where(RECORDS.c.day > (found[-1] if found else ""))
        day = connection.scalar(following)
        if day is None:
            return tuple(found)
        found.append(day)


def read_chain(reading: Reading, where: str, day: str, after: int = 0) -> Iterator[RowMapping]:
    """The records of a log after a number, in order, some at a time; `BadInput` at the first that is not as written.

    A log is as written when its records follow each other, each has its hash, batches are whole, and every head that
    was signed is there.
    """
    signed = _signed(reading, day, after)
    n, head, batch = after, GENESIS, 0
    while rows := _rows(reading, day, n):
        for row in rows:
            if row["n"] != n + 1:
                raise _damaged(where, day, f"record {n + 1} is missing")
            if n > after or not after:
                _check_follows(where, row, head, batch)
            n, head, batch = n + 1, _hash(where, row), row["batch"]
            if signed.pop(n, head) != head:
                raise _damaged(where, day, f"record {n} is not the one that was signed: the log was written anew")
            yield row
    if signed:
        raise _damaged(where, day, f"record {min(signed)} was signed and is missing: the log was cut off")


def _rows(reading: Reading, day: str, after: int) -> list[RowMapping]:
    following = select(RECORDS).where(RECORDS.c.day == day, RECORDS.c.n > after).order_by(RECORDS.c.n)
    with reading() as connection:
        return list(connection.execute(following.limit(ROWS_AT_A_TIME)).mappings())


def _signed(reading: Reading, day: str, after: int) -> dict[int, str]:
    heads = select(HEADS.c.n, HEADS.c.hash).where(HEADS.c.day == day, HEADS.c.n > after)
    with reading() as connection:
        return {row.n: row.hash for row in connection.execute(heads)}


def _check_follows(where: str, row: RowMapping, head: str, batch: int) -> None:
    if row["prev"] != head:
        raise _damaged(where, row["day"], f"record {row['n']} does not follow the one before it: one was changed")
    if row["batch"] not in (batch, row["n"]):
        raise _damaged(where, row["day"], f"record {row['n']} is of batch {row['batch']}, which is not there")


def _hash(where: str, row: RowMapping) -> str:
    digest = record_hash(row["n"], row["prev"], row["event"])
    if digest != row["hash"]:
        raise _damaged(where, row["day"], f"record {row['n']} was changed: its content does not have its hash")
    return digest


def _damaged(where: str, day: str, problem: str) -> BadInput:
    return bad_input(where, f"the log of {day} is damaged: {problem}", "the log as it was written")
