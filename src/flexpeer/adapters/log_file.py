"""The event log as a file: canonical, hash-chained, append-only; written as `flexpeer.wire.chain` says."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Self

import msgspec

from flexpeer.app.registry import Entry
from flexpeer.market.machine import Event
from flexpeer.wire.chain import GENESIS, Seal, canonical, record_line

_DECODER = msgspec.json.Decoder(Event | Entry)


class FileLog:
    """A new log at `path`. A record counts once `append` has returned; `seal` ends the log and syncs it to disk."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("xb")
        self._count = 0
        self._head = GENESIS

    def read(self) -> tuple[()]:
        """Nothing: it is new."""
        return ()

    def sync(self) -> None:
        """On disk when this returns."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def append(self, events: Iterable[Event]) -> None:
        """Write events at the end; an `OSError` if the disk refuses."""
        self._file.write(b"".join([self._line(encode_event(event), "event") for event in events]))

    def append_written(self, event: bytes) -> None:
        """An event that is canonical JSON already."""
        self._file.write(self._line(event, "event"))

    def seal(self, state_hash: str) -> str:
        """End the log with its count and the state it leads to; returns the hash of the last record."""
        self._file.write(self._line(msgspec.json.encode(Seal(self._count, state_hash)), "seal"))
        self.sync()
        return self._head

    def _line(self, content: bytes, kind: str) -> bytes:
        line, self._head = record_line(self._count + 1, self._head, content, kind=kind)
        self._count += 1
        return line

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def encode_event(event: Event) -> bytes:
    """An event as canonical JSON."""
    return canonical(event)


def decode_event(content: bytes) -> Event:
    """An event of a day, or an entry of the registry, from its JSON; `msgspec.ValidationError` if it is none."""
    event: Event = _DECODER.decode(content)
    return event
