"""The hash-chained log: one JSON record a line, each carrying the hash of the one before.

    {"n":1,"event":{...},"prev":"<hash of record 0>","hash":"<sha256 of n, prev and event as written>"}

Record 0 is not written; its hash is `GENESIS`. The last record is the seal: instead of an event it counts the
records before it and carries the state hash. Canonical: a record has exactly one way to be written, so
any changed byte shows.
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import NamedTuple

import msgspec

GENESIS = "0" * 64
canonical = msgspec.json.Encoder(order="deterministic", decimal_format="string").encode
"""An event as the log has it."""


class Seal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the last record says: how many events came before it, and the hash of the state they lead to."""

    records: int
    state_hash: str


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One line of a log; `event` is kept as written."""

    n: int
    prev: str
    hash: str
    event: msgspec.Raw = msgspec.Raw()
    seal: Seal | None = None


class Damage(NamedTuple):
    """Where a log stopped being whole: the line, the number the record claims (None: unreadable), what is wrong."""

    line: int
    record: int | None
    problem: str


def record_hash(n: int, prev: str, event: bytes, *, kind: str = "event") -> str:
    """The hash of a record. `event` is canonical JSON."""
    return sha256(b"%d\n%b\n%b\n%b" % (n, prev.encode(), kind.encode(), event)).hexdigest()


def record_line(n: int, prev: str, event: bytes, *, kind: str = "event") -> tuple[bytes, str]:
    """A record as a line, and its hash. `event` is canonical JSON."""
    digest = record_hash(n, prev, event, kind=kind)
    return b'{"n":%d,"%b":%b,"prev":"%b","hash":"%b"}\n' % (
        n,
        kind.encode(),
        event,
        prev.encode(),
        digest.encode(),
    ), digest


def read_events(lines: Iterable[bytes]) -> tuple[list[bytes], Seal | None, list[Damage]]:
    """The events of a log as canonical JSON, its seal, and every damage found (empty: the log is whole)."""
    events: list[bytes] = []
    damages: list[Damage] = []
    seal: Seal | None = None
    expected, prev = 1, GENESIS
    for number, line in enumerate(lines, 1):
        record, problem = _read_record(line)
        if record is None:
            damages.append(Damage(number, None, problem))
            expected += 1
            continue
        if seal is not None:
            damages.append(Damage(number, record.n, "stands after the seal: added"))
        found = problem or _misplaced(record, expected, prev)
        if found:
            damages.append(Damage(number, record.n, found))
        if record.seal is not None:
            seal = record.seal
        else:
            events.append(bytes(record.event))
        expected, prev = record.n + 1, record.hash
    return events, seal, [*damages, *_end(seal, len(events), expected)]


def _read_record(line: bytes) -> tuple[Record | None, str]:
    try:
        record = msgspec.json.decode(line, type=Record)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None, "is not a record: changed or cut off"
    kind = "event" if record.seal is None else "seal"
    written = bytes(record.event) if record.seal is None else msgspec.json.encode(record.seal)
    canonical, digest = record_line(record.n, record.prev, written, kind=kind)
    if digest != record.hash:
        return record, "was changed: its content does not have its hash"
    return record, "" if canonical == line else "was changed: it is not written canonically"


def _misplaced(record: Record, expected: int, prev: str) -> str:
    if record.n > expected:
        gone = f"record {expected} is" if record.n == expected + 1 else f"records {expected} to {record.n - 1} are"
        return f"follows record {expected - 1}: {gone} missing here, removed or reordered"
    if record.n < expected:
        return f"follows record {expected - 1}: reordered or added twice"
    return "" if record.prev == prev else f"does not continue record {expected - 1}: one of the two was changed"


def _end(seal: Seal | None, events: int, expected: int) -> Iterator[Damage]:
    if seal is None:
        yield Damage(0, None, f"the log ends after record {expected - 1} without its seal: truncated")
    elif seal.records != events:
        yield Damage(0, None, f"the seal counts {seal.records} records and {events} are here: removed or added")
