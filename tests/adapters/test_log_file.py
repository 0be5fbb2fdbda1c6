"""The log as a file: new, append-only, and read back as it was written."""

from pathlib import Path

import pytest

from flexpeer.adapters.log_file import FileLog, decode_event
from flexpeer.market.machine import Event
from flexpeer.market.needs import NeedPublished
from flexpeer.wire.chain import Seal, read_events

EVENTS: list[Event] = [
    NeedPublished("Nät", (0, 20_000_000)),
    NeedPublished("Export", (0, 0)),
]


def test_events_come_back(tmp_path: Path) -> None:
    with FileLog(tmp_path / "events.log") as log:
        log.append(EVENTS[:1])
        log.append([])
        log.append(EVENTS[1:])
        head = log.seal("a" * 64)
    lines = (tmp_path / "events.log").read_bytes().splitlines(keepends=True)
    contents, seal, damages = read_events(lines)
    assert [decode_event(content) for content in contents] == EVENTS
    assert seal == Seal(2, "a" * 64)
    assert damages == []
    assert head.encode() in lines[-1]


def test_an_empty_log_has_a_seal(tmp_path: Path) -> None:
    with FileLog(tmp_path / "events.log") as log:
        log.seal("b" * 64)
    assert read_events((tmp_path / "events.log").read_bytes().splitlines(keepends=True)) == ([], Seal(0, "b" * 64), [])


def test_a_log_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "events.log").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        FileLog(tmp_path / "events.log")
    assert (tmp_path / "events.log").read_bytes() == b"mine"


def test_the_same_events_are_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        with FileLog(tmp_path / name) as log:
            log.append(EVENTS)
            log.seal("c" * 64)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
