"""A store whose program or place fails loses nothing it acknowledged, doubles nothing, and stays whole.

`python -m tests.adapters.test_store_faults 200` kills writing programs 200 times in each place.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import event, text
from tests.adapters.postgres import Cluster, postgres
from tests.adapters.stored import BATCHES, DAY

from flexpeer.adapters.store import Store, StoreFailed
from flexpeer.errors import BadInput
from flexpeer.market.orders import GateOpened
from flexpeer.market.reasons import CommandRefused
from flexpeer.market.timeline import StageReached

WRITER = (sys.executable, "-m", "tests.adapters.store_writer")
ROUNDS = 20
LONGEST_S = 0.12


def kill_rounds(place: Path | str, rounds: int, seed: int) -> tuple[int, int]:
    """Kill writing programs at random moments, also while they open; how much they acknowledged, how much is kept."""
    chance, acknowledged, kept = Random(seed), 0, 0
    words = [*WRITER, "write", str(place)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        for _ in range(rounds):
            writer.stdin.write("again\n")
            writer.stdin.flush()
            said = [int(n) for n in _killed(writer.stdout, chance)]
            assert said == sorted(said)
            acknowledged = max([acknowledged, *said])
            kept = _whole(place)
            assert kept >= acknowledged
        writer.stdin.close()
    return acknowledged, kept


def _killed(told: Any, chance: Random) -> Iterator[str]:
    """What a program acknowledged until it was killed: after some answers, or after some time."""
    answers, waits_s = chance.randrange(40), chance.choice([None, chance.uniform(0.0, LONGEST_S)])
    pid = None
    for line in told:
        if line.startswith("pid "):
            pid = int(line[4:])
            if waits_s is not None:
                time.sleep(waits_s)
                os.kill(pid, signal.SIGKILL)
        elif line == "ended\n":
            return
        else:
            yield line
            answers -= 1
        if pid is not None and waits_s is None and answers <= 0:
            os.kill(pid, signal.SIGKILL)
            answers = 1 << 30


def _whole(place: Path | str) -> int:
    """How many records: numbers in order, batches as they were, as many in the other log, a head for each stage."""
    n = 0
    with Store.open(place) as store:
        batches = list(store.log("day").read())
        for batch in batches:
            assert batch == [GateOpened(n + 1 + k) for k in range(1 + n % 3)]
            n += len(batch)
        others = [each for (each,) in store.log("registry").read()]
        assert len(others) == len(batches)
        signed = [number for number, each in enumerate(others, 1) if isinstance(each, StageReached)]
        assert [head.n for head in store.heads("registry")] == signed
    return n


def test_a_writer_that_is_killed_loses_nothing_acknowledged(place: Path | str) -> None:
    acknowledged, _ = kill_rounds(place, ROUNDS, 1)
    assert acknowledged > ROUNDS


@pytest.mark.parametrize("written", [False, True], ids=["before", "after"])
def test_an_error_at_commit_ends_all_writing(place: Path | str, written: bool) -> None:
    """Whether the commit had reached the disk or not, which nobody can know."""
    with Store.open(place) as store:
        log = store.log(DAY)
        log.append(BATCHES[0])
        log.sync()
        log.append(BATCHES[1])
        dialect = store._place.engine.dialect
        commit = dialect.do_commit

        def fail(connection: Any) -> None:
            if written:
                commit(connection)
            raise OSError(5, os.strerror(5))

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(dialect, "do_commit", fail)
            with pytest.raises(StoreFailed, match="cannot be written: Input/output error"):
                log.sync()
        _writes_nothing_more(store)
    with Store.open(place) as store:
        assert list(store.log(DAY).read()) == BATCHES[: 2 if written else 1]


def _writes_nothing_more(store: Store) -> None:
    attempts = (
        store.sync,
        lambda: store.log(DAY).append(BATCHES[2]),
        lambda: store.keep_document("name", "content"),
    )
    for attempt in attempts:
        with pytest.raises(StoreFailed, match="failed before"):
            attempt()


def test_an_interrupt_in_the_middle_of_a_commit_ends_all_writing(place: Path | str) -> None:
    def interrupt(_connection: object) -> None:
        raise KeyboardInterrupt

    with Store.open(place) as store:
        store.log(DAY).append(BATCHES[0])
        event.listen(store._place.engine, "commit", interrupt)
        with pytest.raises(KeyboardInterrupt):
            store.sync()
        event.remove(store._place.engine, "commit", interrupt)
        _writes_nothing_more(store)
    with Store.open(place) as store:
        assert store.days() == ()


def test_a_postgresql_that_ends_under_it_loses_nothing_acknowledged() -> None:
    with postgres() as cluster:
        where = cluster.database("ended")
        with Store.open(where) as store:
            log = store.log(DAY)
            log.append(BATCHES[0])
            log.sync()
            cluster.kill()
            log.append(BATCHES[1])
            with pytest.raises(StoreFailed, match="cannot be written"):
                log.sync()
            with pytest.raises(StoreFailed, match="cannot be read"):
                store.days()
            cluster.start()
            _writes_nothing_more(store)
            assert list(log.read()) == BATCHES[:1]
        with Store.open(where) as store:
            assert list(store.log(DAY).read()) == BATCHES[:1]


def test_who_lost_the_lock_cannot_write(cluster: Cluster) -> None:
    """An administrator ends the session, or the line to the server breaks; another program goes on."""
    where = cluster.database("lost")
    with Store.open(where) as first:
        first.log(DAY).append(BATCHES[0])
        first.sync()
        ending = text("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
        with first._place.engine.begin() as connection:
            connection.execute(ending)
        with Store.open(where) as second:
            second.log(DAY).append(BATCHES[1])
            second.sync()
            first.log(DAY).append(BATCHES[2])
            with pytest.raises(StoreFailed):
                first.sync()
            with pytest.raises(StoreFailed):
                first.keep_document("name", "content")
            assert list(second.log(DAY).read()) == BATCHES[:2]
            with pytest.raises(BadInput, match="another program"):
                Store.open(where)


def test_a_server_that_does_not_sync_is_refused() -> None:
    with postgres("fsync=off") as cluster, pytest.raises(BadInput, match="fsync is off"):
        Store.open(cluster.database("unsafe"))


def test_commits_are_synchronous_whatever_the_server_says() -> None:
    with postgres("synchronous_commit=off") as cluster, Store.open(cluster.database("late")) as store:
        assert store._place.writer.scalar(text("SHOW synchronous_commit")) == "on"


def _filled(how: str, place: Path | str) -> list[int]:
    done = subprocess.run([*WRITER, how, str(place)], check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 3, done.stderr
    assert "cannot be written" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    return [int(line) for line in done.stdout.split()]


def _goes_on(place: Path | str, acknowledged: list[int]) -> None:
    """Everything acknowledged is there, and there is room again."""
    with Store.open(place) as store:
        log = store.log("day")
        events = [each for batch in log.read() for each in batch]
        kept = [int(each.command) for each in events if isinstance(each, CommandRefused)]
        assert kept == list(range(1, len(kept) + 1))
        assert len(kept) >= len(acknowledged) == acknowledged[-1] > 10
        log.append(BATCHES[0])
        log.sync()


def test_files_that_may_not_grow_are_no_loss(tmp_path: Path) -> None:
    _goes_on(tmp_path / "data", _filled("fill_limited", tmp_path / "data"))


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """A file system of its own, which a server may enter; skips where none may be mounted."""
    folder = Path(tempfile.mkdtemp(prefix="flexpeer-disk-"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    done = subprocess.run(mount, check=False, capture_output=True, text=True)
    if done.returncode:
        folder.rmdir()
        pytest.skip(f"NOT RUN: no file system can be mounted: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()


def grow(folder: Path, megabytes: int) -> None:
    """Room again."""
    subprocess.run(["mount", "-o", f"remount,size={megabytes}m", str(folder)], check=True)


def test_a_full_disk_is_no_loss() -> None:
    with small_disk(2) as disk:
        acknowledged = _filled("fill", disk / "data")
        with pytest.raises((BadInput, StoreFailed)), Store.open(disk / "data") as store:
            store.keep_document("name", "x" * (3 << 20))
        grow(disk, 16)
        _goes_on(disk / "data", acknowledged)


def test_a_full_disk_under_postgresql_is_no_loss() -> None:
    with ExitStack() as ending:
        disk = ending.enter_context(small_disk(72))
        cluster = ending.enter_context(postgres(folder=disk))
        where = cluster.database("filled")
        acknowledged = _filled("fill", where)
        grow(disk, 300)
        cluster.again()
        _goes_on(where, acknowledged)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch, postgres() as server:
        for given in (Path(scratch) / "data", server.database("rounds")):
            found = kill_rounds(given, int(sys.argv[1]), int(time.time()))
            print(f"{given}: {sys.argv[1]} kills, {found[0]} acknowledged, {found[1]} kept in order", flush=True)
