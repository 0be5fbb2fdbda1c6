"""A head that somebody kept shows a log that was written anew, and cannot be made by anybody but the operator."""

import json
from pathlib import Path

import msgspec
import pytest
from tests.adapters.stored import DAY, filled, operator
from tests.cli.program import flexpeer

from flexpeer.adapters.ed25519 import signed_by
from flexpeer.adapters.signed_heads import read_heads
from flexpeer.adapters.store import Store
from flexpeer.errors import BadInput
from flexpeer.market.orders import GateOpened
from flexpeer.market.timeline import Stage, StageReached
from flexpeer.wire.chain import GENESIS, record_line
from flexpeer.wire.heads import SignedHead, head_text


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A folder with a log, and the head of its fifth record."""
    with Store.open(tmp_path / "data") as store:
        filled(store)
        (head,) = store.heads(DAY)
        (tmp_path / "head.json").write_bytes(msgspec.json.encode(head))
        store.log(DAY).append([GateOpened(6)])
        store.sync()
        store.log(DAY).export(tmp_path / "events.log", "a" * 64)
    return tmp_path


def test_a_head_says_what_was_signed(place: Path | str) -> None:
    with Store.open(place) as store:
        filled(store)
        log = store.log(DAY)
        (head,) = store.heads(DAY)
        assert head.text.decode() == f"flexpeer head\n{DAY}\nopen\n5\n{log.head}\n2025-02-19T21:20:00Z\n"
        assert head.text == head_text(DAY, "open", 5, head.hash, head.at)
        assert signed_by(operator().public_key, head.text, bytes.fromhex(head.signature))
        log.append([StageReached(Stage.CLOSED, 29_000_060), GateOpened(6)])
        assert store.heads(DAY) == (head,)
        store.sync()
        _, again = store.heads(DAY)
        assert (again.n, again.stage, log.n) == (6, "closed", 7)
        assert [digest for *_, digest, _ in store.records(DAY)][5] == again.hash
        registry = store.log("registry")
        of_registry = [(head.n, head.stage, head.hash) for head in store.heads("registry")]
        assert of_registry == [(registry.n, f"{DAY} open", registry.head)]


def test_a_log_with_its_head_is_whole(kept: Path) -> None:
    answer = flexpeer("audit", "verify", kept / "events.log", "--head", kept / "head.json")
    assert (answer.code, answer.out.startswith("whole: 6 events")) == (0, True)


def test_a_list_as_the_api_gives_it(kept: Path) -> None:
    head = json.loads((kept / "head.json").read_bytes())
    (kept / "list.json").write_text(json.dumps({"numberOfHits": 1, "items": [head | {"more": 1}], "links": []}))
    assert flexpeer("audit", "verify", kept / "events.log", "--head", kept / "list.json").code == 0
    assert read_heads(kept / "list.json") == read_heads(kept / "head.json")


def written_anew(contents: list[bytes]) -> bytes:
    """A whole log of these events."""
    lines, prev = [], GENESIS
    for n, content in enumerate(contents, 1):
        line, prev = record_line(n, prev, content)
        lines.append(line)
    seal = b'{"records":%d,"state_hash":"%b"}' % (len(contents), b"a" * 64)
    return b"".join([*lines, record_line(len(contents) + 1, prev, seal, kind="seal")[0]])


def contents(kept: Path) -> list[bytes]:
    lines = (kept / "events.log").read_bytes().splitlines()
    return [line[line.index(b'"event":') + 8 : line.index(b',"prev":')] for line in lines[:-1]]


@pytest.mark.parametrize("changed", range(6))
def test_history_written_anew_is_found(changed: int, kept: Path) -> None:
    """Every hash fits, so that nothing but the head shows it; what came after the head is not the head's."""
    events = contents(kept)
    assert written_anew(events) == (kept / "events.log").read_bytes()
    events[changed] = b'{"type":"GateOpened","at":77}'
    (kept / "anew.log").write_bytes(written_anew(events))
    assert flexpeer("audit", "verify", kept / "anew.log").code == 0
    answer = flexpeer("audit", "verify", kept / "anew.log", "--head", kept / "head.json", "--json")
    assert answer.code == (1 if changed < 5 else 0)
    assert answer.object["whole"] is (changed == 5)
    if changed < 5:
        (damage,) = answer.object["damages"]
        assert (damage["line"], damage["record"]) == (5, 5)
        assert "the log was written anew" in damage["problem"]


@pytest.mark.parametrize("left", [0, 4])
def test_history_cut_off_and_sealed_again_is_found(left: int, kept: Path) -> None:
    (kept / "short.log").write_bytes(written_anew(contents(kept)[:left]))
    assert flexpeer("audit", "verify", kept / "short.log").code == 0
    answer = flexpeer("audit", "verify", kept / "short.log", "--head", kept / "head.json", "--json")
    assert (answer.code, len(answer.object["damages"])) == (1, 1)


FORGED = {
    "n": 6,
    "hash": "0" * 64,
    "stage": "closed",
    "at": "2025-02-19T21:21:00Z",
    "marketId": "2026-02-11",
    "publicKey": "1" * 64,
    "signature": "0" * 128,
}


@pytest.mark.parametrize("field", FORGED)
def test_a_forged_head_is_bad_input(field: str, kept: Path) -> None:
    head = json.loads((kept / "head.json").read_bytes())
    assert set(head) == set(FORGED)
    (kept / "head.json").write_text(json.dumps(head | {field: FORGED[field]}))
    answer = flexpeer("audit", "verify", kept / "events.log", "--head", kept / "head.json", "--json")
    assert answer.code == 2
    assert len(answer.object["findings"]) == 1


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"items": []}', '{"items": [1]}', "\udcff", '{"n": 1e400}'])
def test_what_is_no_head_is_bad_input(text: str, tmp_path: Path) -> None:
    (tmp_path / "head.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(BadInput):
        read_heads(tmp_path / "head.json")


def test_fields_are_those_of_the_api() -> None:
    names = msgspec.structs.fields(SignedHead)
    assert [field.encode_name for field in names] == ["marketId", "stage", "n", "hash", "at", "publicKey", "signature"]
