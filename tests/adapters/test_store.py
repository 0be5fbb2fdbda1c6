"""The durable store, on SQLite and on a real PostgreSQL: one suite for both."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from tests.adapters.postgres import Cluster, postgres

from flexpeer.adapters.store import Store, StoreFailed
from flexpeer.app.ports import Batch
from flexpeer.errors import BadInput
from flexpeer.market.orders import GateClosed, GateOpened
from flexpeer.market.reasons import CommandRefused, Reason

WRITER = (sys.executable, "-m", "tests.adapters.store_writer")
BATCHES: list[Batch] = [[GateOpened(1)], [GateClosed(2), CommandRefused("x", "å", Reason.FROZEN)], [GateOpened(3)]]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with postgres() as found:
        yield found


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where a new store is."""
    if request.param == "sqlite":
        return tmp_path / "data"
    found: Cluster = request.getfixturevalue("cluster")
    return found.database(f"t{abs(hash(request.node.name)) % 10**12}")


def test_what_was_synced_is_there_batch_by_batch(place: Path | str) -> None:
    with Store.open(place) as store:
        log, other = store.log("2026-02-10"), store.log("registry")
        for batch in BATCHES:
            log.append(batch)
        other.append(BATCHES[0])
        log.sync()
        head = log.n, log.head
        log.append([GateOpened(4)])
    with Store.open(place) as store:
        assert store.days() == ("2026-02-10", "registry")
        assert list(store.log("2026-02-10").read()) == BATCHES
        assert store.last("2026-02-10") == head
        log = store.log("2026-02-10")
        log.append([GateOpened(5)])
        log.sync()
        assert [row["n"] for row in store.records("2026-02-10", 3)] == [4, 5]


def test_one_program_at_a_time(place: Path | str) -> None:
    with Store.open(place), pytest.raises(BadInput, match="another program has this store open"):
        Store.open(place)
    with Store.open(place) as store:
        assert store.days() == ()


@pytest.mark.parametrize("statement", ["DELETE FROM records", "UPDATE records SET hash = ''", "DELETE FROM heads"])
def test_nothing_is_changed_or_removed(place: Path | str, statement: str) -> None:
    with Store.open(place) as store:
        log = store.log("2026-02-10")
        log.append(BATCHES[0])
        log.sync()
        store.keep_head({"day": log.day, "n": log.n, "hash": log.head, "stage": "open", "at": 1, "signature": "00"})
        with pytest.raises(SQLAlchemyError, match="only ever added"), store.engine.begin() as connection:
            connection.execute(text(statement))
        assert store.heads("2026-02-10")[0]["hash"] == log.head


def test_a_broken_chain_is_found(place: Path | str) -> None:
    with Store.open(place) as store:
        log = store.log("2026-02-10")
        for batch in BATCHES:
            log.append(batch)
        log.sync()
        with store.engine.begin() as connection:
            if isinstance(place, str):
                connection.execute(text("ALTER TABLE records DISABLE TRIGGER ALL"))
            else:
                connection.execute(text("DROP TRIGGER records_update"))
            connection.execute(text("UPDATE records SET event = :event WHERE n = 3"), {"event": b"{}"})
        with pytest.raises(BadInput, match="record 3 of 2026-02-10 was changed"):
            list(store.log("2026-02-10").read())


def test_a_store_that_failed_writes_nothing_more(place: Path | str) -> None:
    with Store.open(place) as store:
        log = store.log("2026-02-10")
        log.append(BATCHES[0])
        log.sync()
        log.append(BATCHES[1])
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(store._lock, "held", _input_output_error)
            with pytest.raises(StoreFailed):
                log.sync()
        with pytest.raises(StoreFailed, match="failed before"):
            log.sync()
        with pytest.raises(StoreFailed, match="failed before"):
            log.append(BATCHES[2])
    with Store.open(place) as store:
        assert list(store.log("2026-02-10").read()) == BATCHES[:1]


def _input_output_error(_connection: object) -> None:
    raise OSError(5, os.strerror(5))


def test_documents_are_replaced_and_removed(place: Path | str) -> None:
    with Store.open(place) as store:
        store.keep_document("client:1", "one")
        store.keep_document("client:1", "two")
        store.keep_document("user:1", "three")
        assert store.document("client:1") == "two"
        assert store.documents("client:") == {"client:1": "two"}
        store.keep_document("client:1", None)
        assert store.document("client:1") is None


def test_a_postgresql_that_ends_under_it_loses_nothing_acknowledged() -> None:
    with postgres() as cluster:
        where = cluster.database("ended")
        with Store.open(where) as store:
            log = store.log("2026-02-10")
            log.append(BATCHES[0])
            log.sync()
            cluster.kill()
            log.append(BATCHES[1])
            with pytest.raises(StoreFailed):
                log.sync()
        cluster.start()
        with Store.open(where) as store:
            assert list(store.log("2026-02-10").read()) == BATCHES[:1]


def test_a_full_disk_is_no_loss(tmp_path: Path) -> None:
    """A limit on file sizes in place of a full disk: the commit fails, and what was acknowledged before stays."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.adapters.store_writer", "fill", str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    acknowledged = [int(line) for line in done.stdout.split()]
    assert done.returncode == 3, done.stderr
    with Store.open(tmp_path) as store:
        kept = [event.at for batch in store.log("day").read() for event in batch if isinstance(event, GateOpened)]
    assert kept == acknowledged
    assert len(kept) > 10


def killed_rounds(place: Path | str, rounds: int, seed: int) -> int:
    """Kill a writing program at random moments; how many records it had acknowledged in all."""
    chance, acknowledged = Random(seed), 0
    for _ in range(rounds):
        writer = subprocess.Popen([*WRITER, "write", str(place)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        for _ in range(chance.randrange(1, 40)):
            acknowledged = int(writer.stdout.readline())
        os.kill(writer.pid, signal.SIGKILL)
        said = [int(line) for line in writer.stdout.read().split()]
        writer.wait()
        acknowledged = max([acknowledged, *said])
        with Store.open(place) as store:
            kept = [event.at for batch in store.log("day").read() for event in batch if isinstance(event, GateOpened)]
        assert kept == list(range(1, len(kept) + 1))
        assert len(kept) >= acknowledged
    return acknowledged


def test_a_writer_that_is_killed_loses_nothing_acknowledged(place: Path | str) -> None:
    """`python -m tests.adapters.test_store 200` does it longer."""
    assert killed_rounds(place, 3, 1) > 0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch, postgres() as server:
        for given in (Path(scratch) / "data", server.database("rounds")):
            print(f"{given}: {killed_rounds(given, int(sys.argv[1]), 1)} acknowledged, none lost", flush=True)
