"""A backup is all of a store at one moment, whoever writes meanwhile, and makes a store anywhere."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.adapters.postgres import Cluster
from tests.adapters.stored import BATCHES, DAY, OPEN, changing, filled

from flexpeer.adapters.store import Store, backup, restore
from flexpeer.adapters.store.places import FILE
from flexpeer.errors import BadInput

COUNTS = {"days": 2, "records": 6, "heads": 2, "documents": 1}


def new_place(kind: str, cluster: Cluster, folder: Path, name: str) -> Path | str:
    return folder / name if kind == "sqlite" else cluster.database(name)


def content(place: Path | str) -> object:
    with Store.open(place) as store:
        logs = {day: list(store.records(day)) for day in store.days()}
        return logs, [store.heads(day) for day in store.days()], store.documents("")


@pytest.mark.parametrize("target", ["sqlite", "postgresql"])
def test_a_backup_makes_the_same_store_in_either_place(
    target: str, place: Path | str, cluster: Cluster, tmp_path: Path
) -> None:
    file, other = tmp_path / "backup", new_place(target, cluster, tmp_path, f"restored{os.urandom(4).hex()}")
    with Store.open(place) as store:
        filled(store)
        store.log(DAY).append(BATCHES[0])
        assert backup(place, file) == COUNTS
    assert (file.stat().st_mode & 0o777, sorted(path.name for path in tmp_path.iterdir() if path.is_file())) == (
        0o600,
        ["backup"],
    )
    assert restore(file, other) == COUNTS
    assert content(other) == content(place)
    again = tmp_path / "again"
    assert backup(other, again) == COUNTS
    with closing(sqlite3.connect(file)) as one, closing(sqlite3.connect(again)) as two:
        assert list(one.iterdump()) == list(two.iterdump())
    with Store.open(other) as store:
        store.log(DAY).append(BATCHES[1])
        store.sync()
        assert list(store.log(DAY).read()) == [*BATCHES, OPEN, BATCHES[1]]


def test_backups_while_a_program_writes_are_each_of_one_moment(place: Path | str, tmp_path: Path) -> None:
    """Each is whole, has what was acknowledged before it began, and as many batches in one log as in the other."""
    words = [sys.executable, "-m", "tests.adapters.store_writer", "write", str(place)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        writer.stdin.write("once\n")
        writer.stdin.flush()
        told = iter(writer.stdout)
        lines = [next(told) for _ in range(5)]
        (pid,) = (int(line[4:]) for line in lines if line.startswith("pid"))
        acknowledged = 0
        try:
            for number in range(4):
                for _ in range(20):
                    acknowledged = int(next(told))
                file = tmp_path / f"backup{number}"
                backup(place, file)
                restore(file, tmp_path / f"restored{number}")
                with Store.open(tmp_path / f"restored{number}") as store:
                    batches = list(store.log("day").read())
                    assert sum(map(len, batches)) >= acknowledged
                    assert len(batches) == len(list(store.log("registry").read()))
        finally:
            os.kill(pid, signal.SIGKILL)
            for _ in told:
                if _ == "ended\n":
                    break
            writer.stdin.close()


def test_a_damaged_store_makes_no_backup(place: Path | str, tmp_path: Path) -> None:
    with Store.open(place) as store:
        filled(store)
        with changing(store, place) as connection:
            connection.execute(text("DELETE FROM records WHERE n = 2"))
    with pytest.raises(BadInput, match=f"the log of {DAY} is damaged: record 2 is missing"):
        backup(place, tmp_path / "backup")
    assert not [path for path in tmp_path.iterdir() if path.is_file()]


def _changed(file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("DROP TRIGGER records_update")
        connection.execute("UPDATE records SET event = x'7b7d' WHERE n = 3")


def _later(file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")


def _another(file: Path) -> None:
    file.unlink()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE records (x)")


SPOILED: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (Path.unlink, "there is no such file"),
    "cut off": (lambda file: os.truncate(file, 9_000), "malformed"),
    "empty": (lambda file: file.write_bytes(b""), "no such table"),
    "text": (lambda file: file.write_bytes(b"no database\n" * 99), "file is not a database"),
    "another": (_another, "no such table"),
    "changed": (_changed, "record 3 was changed"),
    "later": (_later, "written by another version"),
}


@pytest.mark.parametrize("how", SPOILED)
def test_what_is_no_backup_restores_nothing(how: str, place: Path | str, tmp_path: Path) -> None:
    spoil, said = SPOILED[how]
    with Store.open(tmp_path / "source") as store:
        filled(store)
    file = tmp_path / "backup"
    backup(tmp_path / "source", file)
    spoil(file)
    with pytest.raises(BadInput, match=said) as caught:
        restore(file, place)
    assert str(file) in str(caught.value)
    with Store.open(place) as store:
        assert (store.days(), store.documents("")) == ((), {})


def test_a_market_is_never_restored_over(place: Path | str, tmp_path: Path) -> None:
    with Store.open(place) as store:
        filled(store)
        before = list(store.log(DAY).read())
        backup(place, tmp_path / "backup")
        with pytest.raises(BadInput, match="another program"):
            restore(tmp_path / "backup", place)
    with pytest.raises(BadInput, match="there is a market in it"):
        restore(tmp_path / "backup", place)
    with pytest.raises(BadInput, match="is there already"):
        backup(place, tmp_path / "backup")
    with Store.open(place) as store:
        assert list(store.log(DAY).read()) == before


def test_there_is_nothing_to_back_up(cluster: Cluster, tmp_path: Path) -> None:
    for where in (tmp_path, cluster.database("nothing")):
        with pytest.raises(BadInput, match=r"no such file|does not exist"):
            backup(where, tmp_path / "backup")
    assert not list(tmp_path.iterdir())


def test_reading_leaves_a_closed_store_as_it_is(tmp_path: Path) -> None:
    with Store.open(tmp_path / "data") as store:
        filled(store)
    before = (tmp_path / "data" / FILE).read_bytes()
    backup(tmp_path / "data", tmp_path / "backup")
    assert (tmp_path / "data" / FILE).read_bytes() == before
