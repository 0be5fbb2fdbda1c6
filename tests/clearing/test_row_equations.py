"""Newton's equations of rows: parties' shares joined and factorised solve what the dense matrix does."""

import numpy as np
import pytest

from flexpeer.clearing.price_newton import SingularError
from flexpeer.clearing.problem import Floats
from flexpeer.clearing.row_equations import Equations, Factor
from flexpeer.clearing.row_party import Sparse


def factor_of(rng: np.random.Generator, limits: int) -> Floats:
    """A of one party; most of it is nothing, and some limits are nobody's."""
    shape = limits, int(rng.integers(1, 40))
    return np.where(rng.random(shape) < 0.15, rng.normal(size=shape), 0.0)


@pytest.mark.parametrize("seed", range(40))
def test_equations_of_parties_are_those_of_their_sum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    limits = int(rng.integers(1, 60))
    dense = [factor_of(rng, limits) for _ in range(int(rng.integers(1, 4)))]
    own, factors = rng.uniform(0.1, 5.0, limits), [Factor(Sparse(each)) for each in dense]
    weights: list[Floats] = [rng.uniform(0.01, 10.0, size=each.shape[1:]) for each in dense]
    shares = [factor.weighted(weight) for factor, weight in zip(factors, weights, strict=True)]
    matrix = np.diag(own) + sum(each @ np.diag(w) @ each.T for each, w in zip(dense, weights, strict=True))
    right = rng.normal(size=limits)
    found = Equations([factor.pattern for factor in factors], limits).factorised(shares, own).solve(right)
    assert np.allclose(matrix @ found, right, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("seed", range(10))
def test_what_a_party_multiplies_in_its_lanes_is_a_and_its_transpose(seed: int) -> None:
    rng = np.random.default_rng(seed)
    dense = factor_of(rng, 20)
    at_buses, at_limits = rng.normal(size=(dense.shape[1], 8)), rng.normal(size=(20, 8))
    factor, moved = Factor(Sparse(dense)), np.empty((dense.shape[1], 8))
    lanes = int(rng.integers(1, 9))
    columns = np.minimum(np.arange(8), lanes - 1)
    factor.at_buses(at_limits, lanes, moved)
    assert np.allclose(factor.at_limits(at_buses, lanes), (dense @ at_buses)[:, columns])
    assert np.allclose(moved, (dense.T @ at_limits)[:, columns])


def test_equations_without_a_solution_say_so() -> None:
    factor = Factor(Sparse(np.array([[1.0], [1.0]])))
    equations = Equations([factor.pattern], 2)
    with pytest.raises(SingularError):
        equations.factorised([np.array([1.0, 2.0, 1.0])], np.zeros(2))
