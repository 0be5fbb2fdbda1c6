import numpy as np
import pytest
from tests.laboratory.instances import instance

from flexpeer.clearing.problem import ClearingProblem, require_sound
from flexpeer.laboratory.engines.pieces import pieces_of
from flexpeer.laboratory.engines.shares import peers_of, split


def names(problem: ClearingProblem) -> dict[int, str]:
    return {int(area): f"dso-{area}" for area in np.unique(problem.area)}


@pytest.mark.parametrize("seed", range(20))
def test_every_part_is_sound_and_together_they_are_the_problem(seed: int) -> None:
    problem = instance(seed)
    outline, parts = split(problem, names(problem))
    pieces = pieces_of(problem.parent, problem.area)
    assert len(outline.hooks) == len(pieces)
    held = [part for own in parts.values() for part in own]
    for part in held:
        require_sound(part.problem, "part")
        assert (part.problem.base_kw == problem.base_kw[pieces[part.number].bus]).all()
        peers = peers_of(problem, pieces[part.number])
        assert (part.problem.step_price == problem.step_price[peers]).all()
        assert (pieces[part.number].bus[part.problem.peer_bus] == problem.peer_bus[peers]).all()
        assert part.root == (outline.hooks[part.number].above < 0)
    assert sum(part.problem.peers for part in held) == problem.peers
    assert sorted(number for part in held for number in part.entries) == list(range(1, len(pieces)))
