"""What tests keep in a store, and what somebody with access to the database does to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, text

from flexpeer.adapters.ed25519 import Ed25519Signatures
from flexpeer.adapters.store import Store
from flexpeer.app.ports import Batch
from flexpeer.market.orders import GateClosed, GateOpened
from flexpeer.market.reasons import CommandRefused, Reason
from flexpeer.market.timeline import Stage, StageReached

DAY = "2026-02-10"
BATCHES: list[Batch] = [[GateOpened(1)], [GateClosed(2), CommandRefused("x", "å", Reason.FROZEN)], [GateOpened(3)]]
OPEN: Batch = [StageReached(Stage.OPEN, 29_000_000)]


def operator() -> Ed25519Signatures:
    """With a key of tests."""
    return Ed25519Signatures(Ed25519PrivateKey.from_private_bytes(bytes(32)), {})


def filled(store: Store) -> None:
    """Four batches of a day, the last one a stage whose head is signed, one of the registry, a document."""
    store.sign_with(operator())
    log = store.log(DAY)
    for batch in (*BATCHES, OPEN):
        log.append(batch)
    store.log("registry").append(BATCHES[0])
    store.sync()
    store.keep_document("client:1", "ett")


@contextmanager
def changing(store: Store, place: Path | str) -> Iterator[Connection]:
    """Past the triggers."""
    with store._place.engine.begin() as connection:
        for table in ("records", "heads"):
            if isinstance(place, str):
                connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))
            else:
                for act in ("update", "delete", "insert"):
                    connection.execute(text(f"DROP TRIGGER IF EXISTS {table}_{act}"))
        yield connection
