"""Where a store is, for tests that are to pass in every place."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from tests.adapters.postgres import Cluster, postgres

_numbers = count(1)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running PostgreSQL."""
    with postgres() as found:
        yield found


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where a new store can be."""
    if request.param == "sqlite":
        return tmp_path / "data"
    found: Cluster = request.getfixturevalue("cluster")
    return found.database(f"store{next(_numbers)}")
