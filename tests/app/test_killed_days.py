"""A day that is stopped after any batch of its log goes on as if it had not been."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np
import pytest
from tests.app.grid_days import SMALL_UNITS, small_day
from tests.app.split_days import LettersHere, Whole, run_split
from tests.app.test_grid_day_trades import random_orders, three_levels, with_orders
from tests.cases.days import NoWatch
from tests.docs.pages import DOCS
from tests.market.small_market import MemoryLog

from flexpeer.app.between.remote_owner import RemoteOwner
from flexpeer.app.day import Day
from flexpeer.app.day_split import DsoShare, OperatorShare
from flexpeer.app.ports import Batch
from flexpeer.app.scenario import Scenario
from flexpeer.app.study.grid_day import GridInput
from flexpeer.bootstrap import NewtonVerifier, grid_input, read_whole, write_demo
from flexpeer.grid.network import Complexes


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


Between = tuple[OperatorShare, dict[str, DsoShare]]


class Undisturbed(NamedTuple):
    """A day on which nobody was ended: its state, and who has committed what, in which voltages."""

    state_hash: str
    letters: int
    committed: dict[str, set[int]]
    voltages: dict[str, Complexes]


def undisturbed(between: Between) -> Undisturbed:
    operator, shares = between
    post = LettersHere(shares)
    whole, _ = run_split(operator, post)
    return Undisturbed(whole.state_hash, post.number, *stands_at(post))


def stands_at(post: LettersHere) -> tuple[dict[str, set[int]], dict[str, Complexes]]:
    """What DSOs have committed, and the voltages they have accepted."""
    committed = {name: node.committed for name, node in post.nodes.items()}
    return committed, {name: node._validator.screen.v for name, node in post.nodes.items()}


def goes_on_as_if_undisturbed(between: Between, whole: Undisturbed, last: int, *, arrives: bool) -> None:
    """The operator's program is ended at a letter, and started again."""
    operator, shares = between
    post, log = Mortal(shares), SyncedLog()
    post.last, post.arrives = last, arrives
    with pytest.raises(Killed):
        run_split(operator, post, log)
    post.start_operator()
    again = SyncedLog()
    again.batches = log.batches[: log.kept]
    outcome, owners = run_split(operator, post, again)
    assert outcome.state_hash == whole.state_hash
    as_if_undisturbed(post, owners, whole)


def as_if_undisturbed(post: LettersHere, owners: Sequence[RemoteOwner], whole: Undisturbed) -> None:
    """Nothing is granted twice, nothing lost that was synced."""
    committed, voltages = stands_at(post)
    assert committed == whole.committed
    assert not any(owner.undelivered or owner.lost for owner in owners)
    for name, node in post.nodes.items():
        assert node.in_doubt == ()
        assert np.abs(voltages[name] - whole.voltages[name]).max() < 1e-12


class Restarted(LettersHere):
    """The DSO that reads a letter is started again, before or after it acts; the letter comes again."""

    last, acts = 10**9, False

    def carried(self, name: str, written: bytes) -> bytes | None:
        """With nothing but what is in its ledger."""
        if self.number == self.last:
            if self.acts:
                super().carried(name, written)
            self.start(name)
        return super().carried(name, written)


def day_is_whole_with_a_dso_restarted(between: Between, whole: Undisturbed, last: int, *, acts: bool) -> bool:
    """Whether its trades are those of the undisturbed day; what was only tried is refused, and nothing is doubtful."""
    operator, shares = between
    post = Restarted(shares)
    post.last, post.acts = last, acts
    outcome, owners = run_split(operator, post)
    assert all(owner.tell([]) for owner in owners)
    assert all(node.in_doubt == () for node in post.nodes.values())
    matches = {trade.match for trade in outcome.state.trades.trades.values()}
    assert set().union(*stands_at(post)[0].values()) == matches
    return outcome.state_hash == whole.state_hash


@pytest.fixture(scope="module")
def whole(between: Between) -> Undisturbed:
    return undisturbed(between)


@pytest.mark.parametrize("seed", range(24))
def test_an_operator_whose_program_is_killed_goes_on(seed: int, between: Between, whole: Undisturbed) -> None:
    """At any letter, whether it arrives or not. `python -m tests.app.test_killed_days letters` tries every one."""
    chance = Random(seed)
    last, arrives = chance.randrange(1, whole.letters), chance.random() < 0.5
    goes_on_as_if_undisturbed(between, whole, last, arrives=arrives)


@pytest.mark.parametrize("seed", range(8))
def test_a_dso_whose_program_is_killed_doubts_nothing(seed: int, between: Between, whole: Undisturbed) -> None:
    chance = Random(seed)
    day_is_whole_with_a_dso_restarted(between, whole, chance.randrange(1, whole.letters), acts=chance.random() < 0.5)


def every_batch(step: int) -> None:
    """The demo, stopped after every `step`th batch of its log."""
    with tempfile.TemporaryDirectory() as scratch:
        write_demo(Path(scratch) / "scenario")
        scenario, file = read_whole(Path(scratch) / "scenario")
    log = MemoryLog()
    first = played(scenario, grid_input(scenario, file), log)
    cuts = range(0, len(log.batches), step)
    for kept in cuts:
        assert reopened(scenario, grid_input(scenario, file), log, kept) == first, kept
    print(f"{len(cuts)} of {len(log.batches)} batches ({len(log.events)} events): each ends in {first}")


def every_letter(step: int) -> None:
    """The small day between organisations, each program ended at every `step`th letter, before and after it arrives."""
    with tempfile.TemporaryDirectory() as scratch:
        day = with_orders(small_day(), random_orders(SMALL_UNITS, ["Cable 3"], 0))
        split = Whole(three_levels(day), Path(scratch)).split()
    whole = undisturbed(split)
    letters = range(1, whole.letters, step)
    same = 0
    for last in letters:
        for arrived in (False, True):
            goes_on_as_if_undisturbed(split, whole, last, arrives=arrived)
            same += day_is_whole_with_a_dso_restarted(split, whole, last, acts=arrived)
    print(
        f"{2 * len(letters)} ends of the operator at {len(letters)} of {whole.letters} letters: the state of the "
        f"undisturbed day each; as many of a DSO: nothing doubtful, {same} with that state"
    )


if __name__ == "__main__":
    words = sys.argv[1:]
    walk = every_letter if words[:1] == ["letters"] else every_batch
    walk(next((int(word) for word in words if word != "letters"), 1))
