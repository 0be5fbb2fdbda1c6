"""No damage to a log goes unseen: any byte, any line, any order; and a recomputed hash is found by the next record."""

import json
from hashlib import sha256

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from flexpeer.wire.chain import GENESIS, Damage, Seal, read_events, record_line

CONTENTS = [b'{"type":"A","n":1}', b'{"type":"B","text":"\xc3\xa5"}', b'{"type":"C"}', b'{"type":"A","n":1}', b"{}"]
STATE = "5" * 64


def sealed(contents: list[bytes]) -> bytes:
    """A whole log, written as the format says, without the code that writes logs."""
    lines, prev = [], GENESIS
    records = [("event", content) for content in contents]
    records.append(
        ("seal", json.dumps({"records": len(contents), "state_hash": STATE}, separators=(",", ":")).encode())
    )
    for n, (kind, content) in enumerate(records, 1):
        digest = sha256(b"\n".join([str(n).encode(), prev.encode(), kind.encode(), content])).hexdigest()
        lines.append(
            b'{"n":%d,"%s":%s,"prev":"%s","hash":"%s"}\n' % (n, kind.encode(), content, prev.encode(), digest.encode())
        )
        prev = digest
    return b"".join(lines)


LOG = sealed(CONTENTS)
LINES = LOG.splitlines(keepends=True)


def damages(log: bytes) -> list[Damage]:
    return read_events(log.splitlines(keepends=True))[2]


def test_a_whole_log_is_whole() -> None:
    events, seal, found = read_events(LINES)
    assert events == CONTENTS
    assert seal == Seal(len(CONTENTS), STATE)
    assert found == []


def test_the_writer_writes_what_the_format_says() -> None:
    prev, lines = GENESIS, []
    for n, content in enumerate(CONTENTS, 1):
        line, prev = record_line(n, prev, content)
        lines.append(line)
    lines.append(record_line(len(CONTENTS) + 1, prev, msgspec.json.encode(Seal(len(CONTENTS), STATE)), kind="seal")[0])
    assert b"".join(lines) == LOG


def test_every_single_byte_counts() -> None:
    """Every byte, flipped in its lowest bit, made a space, a newline, a carriage return or a digit."""
    for at in range(len(LOG)):
        for byte in {LOG[at] ^ 1, 0x20, 0x0A, 0x0D, 0x30} - {LOG[at]}:
            assert damages(LOG[:at] + bytes([byte]) + LOG[at + 1 :]), (at, byte)


@given(st.integers(0, len(LOG) - 1), st.integers(0, 255))
def test_any_byte_changed_is_found(at: int, byte: int) -> None:
    changed = LOG[:at] + bytes([byte]) + LOG[at + 1 :]
    assert bool(damages(changed)) == (changed != LOG)


@given(st.integers(0, len(LOG)), st.integers(0, len(LOG)))
def test_any_stretch_removed_is_found(one: int, other: int) -> None:
    changed = LOG[: min(one, other)] + LOG[max(one, other) :]
    assert bool(damages(changed)) == (changed != LOG)


@given(st.integers(0, len(LOG)), st.binary(min_size=1, max_size=40))
def test_anything_inserted_is_found(at: int, more: bytes) -> None:
    assert damages(LOG[:at] + more + LOG[at:])


@given(st.lists(st.integers(0, len(LINES) - 1), max_size=len(LINES) + 2))
@settings(max_examples=300)
def test_any_other_choice_of_lines_is_found(chosen: list[int]) -> None:
    """Removed, repeated and reordered lines, in any combination."""
    changed = b"".join(LINES[i] for i in chosen)
    assert bool(damages(changed)) == (changed != LOG)


@given(st.integers(0, len(CONTENTS) - 1), st.sampled_from([b'{"type":"X"}', b"null", b'[1,"\xc3\xa4"]']))
def test_a_recomputed_hash_is_found_by_the_next_record(at: int, content: bytes) -> None:
    prev = GENESIS if at == 0 else json.loads(LINES[at - 1])["hash"]
    forged, _ = record_line(at + 1, prev, content)
    found = damages(b"".join([*LINES[:at], forged, *LINES[at + 1 :]]))
    assert [(damage.line, damage.record) for damage in found] == [(at + 2, at + 2)]
    assert "does not continue" in found[0].problem


def test_truncation_is_named() -> None:
    for kept in range(len(LINES)):
        assert "truncated" in damages(b"".join(LINES[:kept]))[-1].problem


def test_removal_names_what_is_missing() -> None:
    found = damages(b"".join([*LINES[:2], *LINES[4:]]))
    assert (found[0].line, found[0].record) == (3, 5)
    assert "records 3 to 4 are missing" in found[0].problem


def test_addition_after_the_seal_is_found() -> None:
    last = json.loads(LINES[-1])["hash"]
    more, _ = record_line(len(LINES) + 1, last, b"{}")
    assert "after the seal" in damages(LOG + more)[0].problem


def test_a_shorter_log_sealed_anew_is_found_when_its_seal_counts_wrong() -> None:
    prev = json.loads(LINES[2])["hash"]
    seal, _ = record_line(4, prev, msgspec.json.encode(Seal(len(CONTENTS), STATE)), kind="seal")
    assert "removed or added" in damages(b"".join([*LINES[:3], seal]))[0].problem
