"""Letters that are lost, late, doubled and out of order, and programs ended at any step: the day completes."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from tests.laboratory.chaos import FOR_EVER_S, TIMEOUT_S, Fall, Weather, World
from tests.laboratory.instances import instance
from tests.laboratory.joint_clearing import check_outcome, names, with_random_areas

from flexpeer.clearing.problem import ClearingProblem
from flexpeer.laboratory.between.coordination import NOBODY, JointOutcome
from flexpeer.laboratory.engines.part_sweeps import PartOutcome
from flexpeer.laboratory.engines.shares import split

ROUGH = Weather(lost=0.15, doubled=0.3, late=0.05)


def problem_of(seed: int) -> ClearingProblem:
    return with_random_areas(instance(seed), seed)


def world_of(problem: ClearingProblem, **circumstances: object) -> World:
    outline, parts = split(problem, names(problem))
    return World(outline, parts, **circumstances)  # type: ignore[arg-type]


def check(problem: ClearingProblem, world: World, joint: JointOutcome, quiet: JointOutcome) -> None:
    """What was decided stands once at everybody who took part, certified, within the stated time."""
    decision = world.journal.decided()
    if decision is None:
        assert (joint.status, joint.silent) == (NOBODY, tuple(world.outline.dsos))
        assert not any(shelf.stood for shelf in world.shelves.values())
        return
    assert set(decision.stands) | set(joint.silent) == set(world.outline.dsos)
    outcomes: dict[int, PartOutcome] = {}
    for dso, shelf in world.shelves.items():
        kept = shelf.kept()
        if dso in decision.stands:
            assert kept is not None
            assert (kept.deal, shelf.stood) == (decision.deal, [decision.deal])
            outcomes |= kept.outcomes
        else:
            assert not shelf.stood
    check_outcome(problem, world.outline, outcomes, joint)
    assert world.longest_s <= TIMEOUT_S + 1e-6
    if not joint.silent:
        assert (joint.objective, joint.dual_bound) == (quiet.objective, quiet.dual_bound)


def completed(world: World) -> JointOutcome:
    """Until everybody knows: whoever is down is started again, and the market operator has its program once more."""
    joint = world.run()
    assert world.begun <= 2 * world.most_beginnings
    world.weather, world.falls = Weather(), ()
    for dso in world.outline.dsos:
        world.start(dso)
    for _ in range(2):
        if joint.accepted and joint.unconfirmed:
            joint = world.run()
    assert joint.unconfirmed == ()
    return joint


@pytest.mark.parametrize("seed", range(60))
def test_whatever_happens_to_letters_and_nodes(seed: int) -> None:
    problem = problem_of(seed % 20)
    quiet = world_of(problem)
    expected = quiet.run()
    rng = np.random.default_rng(seed)
    dsos = quiet.outline.dsos
    falls = [
        Fall(str(rng.choice(dsos)), int(rng.integers(1, 120)), bool(rng.random() < 0.5), down_s=float(down_s))
        for down_s in rng.choice([0.0, 2.0, 3.0 * TIMEOUT_S, FOR_EVER_S], int(rng.integers(0, 3)))
    ]
    ended = (int(rng.integers(1, 2 * quiet.asked)), bool(rng.random() < 0.5)) if rng.random() < 0.4 else None
    world = world_of(problem, seed=seed, weather=ROUGH, falls=falls, operator_fall=ended)
    check(problem, world, completed(world), expected)


@pytest.mark.parametrize("seed", range(10))
def test_a_third_of_the_letters_late(seed: int) -> None:
    """Seconds late, so that what overtakes them has been asked again."""
    problem = problem_of(seed)
    expected = world_of(problem).run()
    world = world_of(problem, seed=seed, weather=Weather(late=0.3, late_s=3.0))
    joint = completed(world)
    assert not joint.silent
    check(problem, world, joint, expected)


def steps_of(world: World) -> Sequence[tuple[str, int]]:
    return [(dso, letter) for dso, count in world.read.items() for letter in range(1, count + 1)]


SMALL = problem_of(58)


@pytest.fixture(scope="module")
def quiet() -> tuple[World, JointOutcome]:
    world = world_of(SMALL)
    return world, world.run()


@pytest.mark.parametrize(("before", "down_s"), [(True, 0.0), (False, 0.0), (False, FOR_EVER_S)])
def test_a_dso_ended_at_any_step(quiet: tuple[World, JointOutcome], before: bool, down_s: float) -> None:
    """Started again at once it takes part, and all is as if nothing had happened; else the others trade."""
    found: Counter[bool] = Counter()
    for dso, letter in steps_of(quiet[0]):
        world = world_of(SMALL, falls=[Fall(dso, letter, before, down_s)])
        joint = completed(world)
        assert down_s or not joint.silent
        found[bool(joint.silent)] += 1
        check(SMALL, world, joint, quiet[1])
    assert found[down_s > 0.0] > 100


@pytest.mark.parametrize("before", [True, False])
def test_a_market_operator_ended_at_any_step(quiet: tuple[World, JointOutcome], before: bool) -> None:
    for asked in range(1, quiet[0].asked + 1):
        world = world_of(SMALL, operator_fall=(asked, before))
        joint = completed(world)
        assert not joint.silent
        check(SMALL, world, joint, quiet[1])


@pytest.mark.parametrize("written", [1, 2])
@pytest.mark.parametrize("before", [True, False])
def test_a_market_operator_ended_as_it_writes(quiet: tuple[World, JointOutcome], written: int, before: bool) -> None:
    world = world_of(SMALL)
    world.journal.fall = (written, before)
    joint = completed(world)
    assert not joint.silent
    check(SMALL, world, joint, quiet[1])
