"""A day that is stopped after any batch of its log goes on as if it had not been."""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.cases.days import NoWatch
from tests.market.small_market import MemoryLog

from flexpeer.app.day import Day
from flexpeer.app.grid_day import GridInput
from flexpeer.app.ports import Batch
from flexpeer.app.scenario import Scenario
from flexpeer.bootstrap import NewtonVerifier, grid_input, read_whole, write_demo


class OldLog(MemoryLog):
    """A log that was cut off after some batches, beside the whole one: what is appended must be what came there."""

    def __init__(self, whole: Sequence[Batch], kept: int) -> None:
        super().__init__()
        self.whole, self.batches = whole, list(whole[:kept])

    def append(self, events: Batch) -> None:
        """Keep them."""
        assert list(events) == list(self.whole[len(self.batches)]), f"batch {len(self.batches)}"
        super().append(events)


def played(given: Scenario, grid: GridInput | None, log: MemoryLog) -> str:
    """The state hash of a day that is played to its end."""
    return Day(given, log, NoWatch(), grid, NewtonVerifier() if grid else None).run().state_hash


def reopened(given: Scenario, grid: GridInput | None, whole: MemoryLog, kept: int) -> str:
    """The state hash of a day that was stopped after some batches."""
    return played(given, grid, OldLog(whole.batches, kept))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Scenario, GridInput | None]:
    folder = tmp_path_factory.mktemp("demo") / "scenario"
    write_demo(folder)
    given, opened = read_whole(folder)
    return given, grid_input(given, opened)


def test_the_demo_goes_on_after_a_sample_of_its_batches(demo: tuple[Scenario, GridInput | None]) -> None:
    """`python -m tests.app.test_killed_days` tries every one."""
    whole = MemoryLog()
    ended = played(*demo, whole)
    for kept in random.Random(1).sample(range(len(whole.batches)), 6):
        assert reopened(*demo, whole, kept) == ended


if __name__ == "__main__":
    import sys
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        write_demo(Path(scratch) / "scenario")
        scenario, file = read_whole(Path(scratch) / "scenario")
        whole = MemoryLog()
        first = played(scenario, grid_input(scenario, file), whole)
        step = int(sys.argv[1]) if len(sys.argv) > 1 else 1
        cuts = range(0, len(whole.batches), step)
        for kept in cuts:
            assert reopened(scenario, grid_input(scenario, file), whole, kept) == first, kept
        print(f"{len(cuts)} of {len(whole.batches)} batches ({len(whole.events)} events): each ends in {first}")
