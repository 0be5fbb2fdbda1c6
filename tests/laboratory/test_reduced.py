import numpy as np
import pytest

from flexpeer.clearing.problem import Floats
from flexpeer.laboratory.clearing_problems import clearing_problem
from flexpeer.laboratory.engines.area import Plan
from flexpeer.laboratory.engines.coupled_newton import CoupledSlabs
from flexpeer.laboratory.engines.reduced import Junctions


def full_response(slabs: CoupledSlabs, values: Floats) -> Floats:
    """What a sweep of all buses, nothing rounded, makes of moves when nothing else moves or lacks.

    What rounding has kept back at borders so far comes in every sweep.
    """
    prices = np.zeros(values.shape)
    for k, slab in enumerate(slabs.slabs):
        lanes = slice(8 * k, 8 * k + 8)
        for area, (mine, bus) in zip(slab.areas, slabs.place, strict=True):
            area.move[:] = area.rest[:] = 0.0
            area.move[bus] = values[mine, lanes]
        slab.sweep(lambda told: told)
        for area, (mine, bus) in zip(slab.areas, slabs.place, strict=True):
            prices[mine, lanes] = area.step[bus]
    return prices


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("areas", [False, True])
def test_a_reduced_tree_answers_as_the_whole_tree(seed: int, areas: bool) -> None:
    problem = clearing_problem(90, 11, seed, shift=0.1, storage=0.1, tightness=0.5, sensitivity=2.4, buses=90)
    area = problem.area if areas else np.zeros(problem.buses, dtype=np.int64)
    slabs = CoupledSlabs(Plan.of(problem, area))
    for _ in range(6):
        slabs.gather()
        slabs.predict()
        slabs.correct(np.array([1e-3]))
        slabs.advance(np.array([1e-3]), np.array([0.3, 0.3]))
    slabs.gather()
    slabs.predict()
    values = np.random.default_rng(seed).standard_normal((len(slabs.sites.bus), 8 * len(slabs.slabs)))
    found, whole = slabs.respond(values), full_response(slabs, values) - full_response(slabs, 0.0 * values)
    np.testing.assert_allclose(found, whole, atol=1e-10 * np.abs(whole).max())


def test_junctions_are_sites_forks_entries_and_the_first() -> None:
    #      0 - 1 - 2 - 3 - 4*        5* below 2, 6 - 7 without sites below 1, 8 an entry below 0
    parent = np.array([-1, 0, 1, 2, 3, 2, 1, 6, 0])
    found = Junctions.of(parent, np.array([4, 5]), np.array([10, 11]), np.array([8]))
    assert found.bus.tolist() == [0, 2, 4, 5, 8]
    assert found.parent.tolist() == [-1, 0, 1, 1, 0]
    assert found.site.tolist() == [-1, -1, 10, 11, -1]
