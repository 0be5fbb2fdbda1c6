"""A day that is stopped after any batch of its log goes on as if it had not been."""

from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np
import pytest
from tests.app.grid_days import SMALL_UNITS, small_day
from tests.app.split_days import LettersHere, Whole, run_split
from tests.app.test_grid_day_trades import random_orders, three_levels, with_orders
from tests.cases.days import NoWatch
from tests.docs.pages import DOCS
from tests.market.small_market import MemoryLog

from flexpeer.app.day import Day
from flexpeer.app.day_split import DsoShare, OperatorShare
from flexpeer.app.ports import Batch
from flexpeer.app.scenario import Scenario
from flexpeer.app.study.grid_day import GridInput
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
    for kept in Random(1).sample(range(len(whole.batches)), 3):
        assert reopened(*demo, whole, kept) == ended


def test_a_day_without_a_grid_goes_on_after_every_batch() -> None:
    given, opened = read_whole(DOCS / "examples" / "maintenance-hours")
    day, whole = (given, grid_input(given, opened)), MemoryLog()
    ended = played(*day, whole)
    assert len(whole.batches) > 20
    for kept in range(len(whole.batches)):
        assert reopened(*day, whole, kept) == ended


def test_a_day_with_a_grid_goes_on_after_every_batch(tmp_path: Path) -> None:
    """Three owners behind each other, FAK and FOK orders, and a clearing at the gate."""
    texts = with_orders(small_day(), random_orders(SMALL_UNITS, ["Cable 3"], 1, 12))
    whole, log = Whole(three_levels(texts), tmp_path), MemoryLog()
    ended = played(whole.scenario, whole.grid, log)
    assert len(log.batches) > 20
    for kept in range(len(log.batches)):
        assert reopened(whole.scenario, whole.grid, log, kept) == ended


class Killed(BaseException):
    """The market operator's program ends here."""


class SyncedLog(MemoryLog):
    """Only what was synced outlives a program."""

    kept = 0

    def sync(self) -> None:
        """All of it is kept."""
        self.kept = len(self.batches)


class Mortal(LettersHere):
    """The operator's program is ended before, or after, a letter has arrived."""

    last, arrives = 10**9, False

    def carried(self, name: str, written: bytes) -> bytes | None:
        """Nobody is there any more to hear the reply."""
        if self.number < self.last:
            return super().carried(name, written)
        self.last = 10**9
        if self.arrives:
            super().carried(name, written)
        raise Killed


@pytest.fixture(scope="module")
def between(tmp_path_factory: pytest.TempPathFactory) -> tuple[OperatorShare, dict[str, DsoShare]]:
    day = with_orders(small_day(), random_orders(SMALL_UNITS, ["Cable 3"], 0))
    return Whole(three_levels(day), tmp_path_factory.mktemp("between")).split()


@pytest.mark.parametrize("seed", range(24))
def test_an_operator_whose_program_is_killed_goes_on(
    seed: int, between: tuple[OperatorShare, dict[str, DsoShare]]
) -> None:
    """At any letter, whether it arrives or not: nothing is granted twice, and nothing lost that was synced."""
    operator, shares = between
    undisturbed = LettersHere(shares)
    whole, _ = run_split(operator, undisturbed)
    post, log, chance = Mortal(shares), SyncedLog(), Random(seed)
    post.last, post.arrives = chance.randrange(1, undisturbed.number), chance.random() < 0.5
    with pytest.raises(Killed):
        run_split(operator, post, log)
    post.start_operator()
    again = SyncedLog()
    again.batches = log.batches[: log.kept]
    outcome, owners = run_split(operator, post, again)
    assert outcome.state_hash == whole.state_hash
    committed = {name: node.committed for name, node in undisturbed.nodes.items()}
    assert {name: node.committed for name, node in post.nodes.items()} == committed
    assert not any(owner.undelivered or owner.lost for owner in owners)
    for name, node in post.nodes.items():
        assert node.in_doubt == ()
        mine, theirs = (each.nodes[name]._validator.screen.v for each in (post, undisturbed))
        assert np.abs(mine - theirs).max() < 1e-12


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
