"""`audit verify` exits 1 on any damage, `replay` exits 2; neither lets a forged event through."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.adapters.scenario_folder import folder_of, swap_hour
from tests.cli.program import flexpeer

from flexpeer.wire.chain import GENESIS, record_line

Lines = list[bytes]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("log")
    assert flexpeer("run", folder_of(swap_hour(), folder / "in"), "--out", folder / "out").code == 0
    return folder / "out" / "events.log"


def rechained(lines: Lines, change: Callable[[int, bytes], bytes]) -> Lines:
    """The whole log written anew with changed events: every hash fits, the seal too."""
    found, prev = [], GENESIS
    for n, line in enumerate(lines, 1):
        record = json.loads(line)
        kind = "event" if "event" in record else "seal"
        start = line.index(b'"%b":' % kind.encode()) + len(kind) + 3
        content = line[start : line.index(b',"prev":')]
        written, prev = record_line(n, prev, change(n, content), kind=kind)
        found.append(written)
    return found


DAMAGES: dict[str, Callable[[Lines], Lines]] = {
    "truncated": lambda lines: lines[:-1],
    "cut in a line": lambda lines: [*lines[:-1], lines[-1][:40]],
    "no last newline": lambda lines: [*lines[:-1], lines[-1][:-1]],
    "nothing left": lambda _: [],
    "changed": lambda lines: [*lines[:9], lines[9].replace(b"1", b"2", 1), *lines[10:]],
    "removed": lambda lines: lines[:9] + lines[10:],
    "first removed": lambda lines: lines[1:],
    "added": lambda lines: [*lines[:9], lines[9], *lines[9:]],
    "added at the end": lambda lines: [*lines, lines[-1]],
    "reordered": lambda lines: [*lines[:9], lines[10], lines[9], *lines[11:]],
    "an empty line": lambda lines: [*lines[:9], b"\n", *lines[9:]],
    "carriage returns": lambda lines: [line.replace(b"\n", b"\r\n") for line in lines],
    "binary": lambda _: [bytes(range(256))],
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_found(name: str, log: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "events.log"
    damaged.write_bytes(b"".join(DAMAGES[name](log.read_bytes().splitlines(keepends=True))))
    told, asked = flexpeer("audit", "verify", damaged), flexpeer("audit", "verify", damaged, "--json")
    assert (told.code, asked.code) == (1, 1)
    assert asked.object["whole"] is False
    assert asked.object["damages"]
    assert str(damaged) in told.out
    replayed = flexpeer("replay", damaged, "--json")
    assert replayed.code == 2
    assert replayed.object["findings"]
    assert flexpeer("replay", damaged).out == ""


@given(place=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_byte_changed_is_found(log: Path, tmp_path: Path, place: float, byte: int) -> None:
    whole = log.read_bytes()
    at = int(place * len(whole))
    changed = whole[:at] + bytes([byte]) + whole[at + 1 :]
    (tmp_path / "events.log").write_bytes(changed)
    assert flexpeer("audit", "verify", tmp_path / "events.log").code == (1 if changed != whole else 0)


def test_a_log_written_anew_leads_to_another_state(log: Path, tmp_path: Path) -> None:
    """Every hash fits, so the audit is content; only the sealed state tells, and `log_head` in `result.json`."""
    lines = log.read_bytes().splitlines(keepends=True)
    assert rechained(lines, lambda _, content: content) == lines
    forged = rechained(lines, lambda _, content: content.replace(b'"price_minor":25000', b'"price_minor":25001'))
    assert forged != lines
    (tmp_path / "events.log").write_bytes(b"".join(forged))
    assert flexpeer("audit", "verify", tmp_path / "events.log").code == 0
    answer = flexpeer("replay", tmp_path / "events.log", "--json")
    assert answer.code == 2
    assert "another state" in answer.object["findings"][0]["problem"]


@pytest.mark.parametrize(
    "forged",
    [
        b"{}",
        b"null",
        b'{"type":"Nothing"}',
        b'{"type":"TradeConcluded"}',
        b'{"type":"CurtailmentAllocated","x":1}',
        b'{"type":"OrderExpired","order":"none"}',
    ],
)
def test_an_event_that_is_none_is_bad_input(forged: bytes, log: Path, tmp_path: Path) -> None:
    lines = log.read_bytes().splitlines(keepends=True)
    (tmp_path / "events.log").write_bytes(b"".join(rechained(lines, lambda n, content: forged if n == 40 else content)))
    answer = flexpeer("replay", tmp_path / "events.log", "--json")
    assert answer.code == 2
    assert answer.object["findings"]


def test_events_in_an_impossible_order_are_bad_input(log: Path, tmp_path: Path) -> None:
    lines = log.read_bytes().splitlines(keepends=True)
    turned = [*reversed(lines[:-1]), lines[-1]]
    (tmp_path / "events.log").write_bytes(b"".join(rechained(turned, lambda _, content: content)))
    assert flexpeer("replay", tmp_path / "events.log", "--json").code == 2


@pytest.mark.parametrize("command", [("audit", "verify"), ("replay",)])
@pytest.mark.parametrize("name", ["nowhere", "folder"])
def test_no_log_is_bad_input(command: tuple[str, ...], name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    answer = flexpeer(*command, tmp_path / name, "--json")
    assert answer.code == 2
    assert str(tmp_path / name) in answer.object["findings"][0]["where"]
    assert flexpeer(*command, tmp_path / name).err
