"""The durable store, on SQLite and on a real PostgreSQL: what is kept, and that it stays as it was written."""

import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest
from alembic import op
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from tests.adapters.scenario_folder import folder_of, swap_hour
from tests.adapters.stored import BATCHES, DAY, changing, filled, operator

from flexpeer.adapters.store import Store
from flexpeer.adapters.store.chains import ROWS_AT_A_TIME
from flexpeer.adapters.store.tables import METADATA
from flexpeer.app.day import Day
from flexpeer.app.ports import Batch
from flexpeer.bootstrap import LOG_NAME, StageWatch, audit, read_whole, replay, run_folder
from flexpeer.errors import BadInput
from flexpeer.market.machine import state_hash
from flexpeer.market.orders import GateOpened
from flexpeer.market.timeline import Stage


def test_what_was_synced_is_there_batch_by_batch(place: Path | str) -> None:
    with Store.open(place) as store:
        log, other = store.log(DAY), store.log("registry")
        for batch in BATCHES:
            log.append(batch)
        other.append(BATCHES[0])
        log.append([])
        assert store.days() == ()
        log.sync()
        head = log.n, log.head
        log.append([GateOpened(4)])
        assert store.log(DAY) is log
    with Store.open(place) as store:
        assert store.days() == (DAY, "registry")
        assert list(store.log(DAY).read()) == BATCHES
        assert store.last(DAY) == head
        log = store.log(DAY)
        log.append([GateOpened(5)])
        log.sync()
        assert [n for n, *_ in store.records(DAY, 3)] == [4, 5]
        assert list(store.records(DAY, 5)) == []


@given(steps=st.lists(st.tuples(st.sampled_from(["day", "registry", "sync", "open"]), st.integers(0, 3)), max_size=25))
@settings(max_examples=40, deadline=None)
def test_a_store_is_lists_that_outlive_it(steps: list[tuple[str, int]]) -> None:
    """Against the obvious: two lists, of which a program that ends without sync leaves what was synced."""
    kept: dict[str, list[Batch]] = {"day": [], "registry": []}
    now = {name: list(batches) for name, batches in kept.items()}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
        store = opened.enter_context(Store.open(Path(folder)))
        for number, (step, size) in enumerate([*steps, ("open", 0)]):
            if step in now:
                batch = [GateOpened(number) for _ in range(size)]
                store.log(step).append(batch)
                now[step] += [batch] if batch else []
            elif step == "sync":
                store.sync()
                kept = {name: list(batches) for name, batches in now.items()}
            else:
                opened.close()
                store = opened.enter_context(Store.open(Path(folder)))
                now = {name: list(batches) for name, batches in kept.items()}
                assert {name: list(store.log(name).read()) for name in now} == kept
                assert store.days() == tuple(sorted(name for name in kept if kept[name]))


def test_a_log_longer_than_what_is_read_at_a_time(place: Path | str) -> None:
    """A batch over the seam stays one, and nothing is held between pages: others write meanwhile."""
    sizes = [ROWS_AT_A_TIME - 1, 3, ROWS_AT_A_TIME]
    batches = [[GateOpened(at) for at in range(size)] for size in sizes]
    with Store.open(place) as store:
        log = store.log(DAY)
        for batch in batches:
            log.append(batch)
        log.sync()
        reading = log.read()
        found = [next(reading)]
        store.log("registry").append(BATCHES[0])
        store.sync()
        assert [*found, *reading] == batches


def test_one_program_at_a_time(place: Path | str) -> None:
    with Store.open(place), pytest.raises(BadInput, match="another program has this store open"):
        Store.open(place)
    with Store.open(place) as store:
        assert store.days() == ()


CHANGES = [
    "DELETE FROM records",
    "UPDATE records SET hash = ''",
    "DELETE FROM heads",
    "UPDATE heads SET n = 9",
]
REPLACING = "INSERT OR REPLACE INTO records SELECT day, n, batch, prev, hash, 'x' FROM records"
EMPTYING = "TRUNCATE records"


@pytest.mark.parametrize("statement", [*CHANGES, "another kind"])
def test_nothing_is_changed_or_removed(place: Path | str, statement: str) -> None:
    if statement not in CHANGES:
        statement = EMPTYING if isinstance(place, str) else REPLACING
    with Store.open(place) as store:
        filled(store)
        before = list(store.log(DAY).read()), store.heads(DAY)
        with pytest.raises(SQLAlchemyError, match="only ever added"), store._place.engine.begin() as connection:
            connection.execute(text(statement))
        assert (list(store.log(DAY).read()), store.heads(DAY)) == before


DAMAGES = {
    "UPDATE records SET event = :event WHERE n = 3": "record 3 was changed",
    "UPDATE records SET prev = hash WHERE n = 3": "record 3 does not follow the one before it",
    "DELETE FROM records WHERE n = 2": "record 2 is missing",
    "DELETE FROM records WHERE n = 1": "record 1 is missing",
    "DELETE FROM records WHERE n = 5": "record 5 was signed and is missing: the log was cut off",
    "DELETE FROM records": "record 5 was signed and is missing",
    "UPDATE records SET batch = 4 WHERE n = 3": "record 3 is of batch 4, which is not there",
    "UPDATE records SET batch = 1 WHERE n = 3": "record 3 is of batch 1, which is not there",
    "UPDATE heads SET hash = prev FROM records WHERE records.n = 5": "record 5 is not the one that was signed",
}


@pytest.mark.parametrize("statement", DAMAGES)
def test_damage_is_found_and_named(place: Path | str, statement: str) -> None:
    with Store.open(place) as store:
        filled(store)
        with changing(store, place) as connection:
            connection.execute(text(statement), {"event": b"{}"} if ":event" in statement else {})
    with Store.open(place) as store, pytest.raises(BadInput, match=DAMAGES[statement]) as caught:
        list(store.log(DAY).read())
    assert len(caught.value.findings) == 1


def test_an_event_of_a_later_version_is_told(place: Path | str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store.open(place) as store:
        monkeypatch.setattr("flexpeer.adapters.store.store.encode_event", lambda _event: b'{"type":"Later"}')
        store.log(DAY).append(BATCHES[0])
        store.sync()
        with pytest.raises(BadInput, match="record 1 is no event that this version knows"):
            list(store.log(DAY).read())


def test_an_event_that_cannot_be_written_leaves_the_log_as_it_was(place: Path | str) -> None:
    with Store.open(place) as store:
        log = store.log(DAY)
        with pytest.raises(TypeError):
            log.append([GateOpened(1), object()])  # type: ignore[list-item]
        log.append(BATCHES[0])
        log.sync()
        assert list(log.read()) == BATCHES[:1]


def test_documents_are_replaced_and_removed(place: Path | str) -> None:
    with Store.open(place) as store:
        store.keep_document("client:1", "one")
        store.keep_document("client:1", "två")
        store.keep_document("user:1", "three")
        for name, content in (("", "x"), ("x" * 257, "x"), ("x", "a\0b"), ("x", "\ud800")):
            with pytest.raises(ValueError, match=r"document|surrogates"):
                store.keep_document(name, content)
        assert store.document("client:1") == "två"
        assert store.documents("client:") == {"client:1": "två"}
        store.keep_document("client:1", None)
    with Store.open(place) as store:
        assert store.document("client:1") is None
        assert store.documents("") == {"user:1": "three"}


def test_documents_are_kept_while_a_log_is_written(place: Path | str) -> None:
    with Store.open(place) as store:

        def keep(name: str) -> None:
            for number in range(20):
                store.keep_document(f"{name}:{number}", "x")

        threads = [threading.Thread(target=keep, args=(name,)) for name in "ab"]
        for thread in threads:
            thread.start()
        log = store.log(DAY)
        for at in range(20):
            log.append([GateOpened(at)])
            log.sync()
        for thread in threads:
            thread.join()
        assert len(store.documents("")) == 40
        assert len(list(log.read())) == 20


def test_tables_are_those_that_migrations_make(place: Path | str) -> None:
    with Store.open(place) as store, store._place.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_a_migration_that_fails_leaves_nothing(place: Path | str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def fail(statement: str) -> None:
        asked.append(statement)
        op.get_bind().execute(text(statement if len(asked) < 3 else "no SQL"))

    with monkeypatch.context() as patched:
        patched.setattr(op, "execute", fail)
        with pytest.raises(BadInput, match="cannot be opened"):
            Store.open(place)
    assert len(asked) == 3
    with Store.open(place) as store:
        filled(store)


def test_a_store_of_a_later_version_is_refused(place: Path | str) -> None:
    with Store.open(place) as store, store._place.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(BadInput, match="was written by another version of flexpeer"):
        Store.open(place)


NO_PLACES = {
    "postgresql://user:secret@127.0.0.1:1/name": "Connection refused",
    "mysql://user:secret@127.0.0.1/name": "no address of a database we know",
    "name": "no address of a database we know",
}


@pytest.mark.parametrize("url", NO_PLACES)
def test_a_place_that_is_none(url: str) -> None:
    with pytest.raises(BadInput, match=NO_PLACES[url]) as caught:
        Store.open(url)
    assert "secret" not in str(caught.value)


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "market.sqlite").write_bytes(b"something else" * 100)
    for name, said in (("file", "cannot be opened: File exists"), ("other", "file is not a database")):
        with pytest.raises(BadInput, match=said):
            Store.open(tmp_path / name)


def test_only_its_owner_may_read_a_folder(tmp_path: Path) -> None:
    with Store.open(tmp_path / "data") as store:
        filled(store)
        assert {path.stat().st_mode & 0o077 for path in (tmp_path / "data", *(tmp_path / "data").iterdir())} == {0}


def test_a_day_in_a_store_is_the_day_of_a_file(place: Path | str, tmp_path: Path) -> None:
    """Record by record, and its export is what `flexpeer run` writes; halfway it is a whole log of half a day."""
    folder = folder_of(swap_hour(), tmp_path / "in")
    outcome, _ = run_folder(folder, tmp_path / "out", lambda _done, _total: None)
    scenario, _ = read_whole(folder)
    watch = StageWatch(lambda _done, _total: None)
    with Store.open(place) as store:
        day = Day(scenario, store.log("2026-01-15"), watch)
        day.due(day.instant(Stage.OPEN))
        for row in scenario.orders[:2]:
            day.place(row)
        day.market.sync()
        hash_then = state_hash(day.market.state)
        store.log("2026-01-15").export(tmp_path / "half.log", hash_then)
    with Store.open(place) as store:
        store.sign_with(operator())
        log = store.log("2026-01-15")
        found = Day(scenario, log, watch).run()
        log.export(tmp_path / "events.log", found.state_hash)
        with pytest.raises(FileExistsError):
            log.export(tmp_path / "events.log", found.state_hash)
        stages = [(head.stage, head.n) for head in store.heads("2026-01-15")]
    assert [stage for stage, _ in stages] == [str(stage) for stage, _ in day.timeline[2:]]
    assert found.state_hash == outcome.state_hash
    assert (tmp_path / "events.log").read_bytes() == (tmp_path / "out" / LOG_NAME).read_bytes()
    for name, expected in (("half.log", hash_then), ("events.log", outcome.state_hash)):
        assert audit(tmp_path / name)[2] == []
        assert state_hash(replay(tmp_path / name)) == expected
