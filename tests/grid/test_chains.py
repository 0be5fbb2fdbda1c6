"""Passive nodes out of the iteration change nothing but the time it takes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csc_array
from tests.grid.networks import build, meshed_network, random_injections, random_network

from flexpeer.grid.admittance import admittance, circuit_of, solve, solve_transposed
from flexpeer.grid.network import Flags, Network
from flexpeer.grid.powerflow import DayFlow, flow_model
from flexpeer.grid.powerflow import solve as power_flow
from flexpeer.grid.survey import survey


def some(network: Network, seed: int, share: float) -> Flags:
    return np.random.default_rng(seed).uniform(size=network.bus_count) < share


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), share=st.floats(0.0, 1.0), kind=st.sampled_from(["tree", "loops", "meshed"]))
def test_both_factorisations_solve_the_same(seed: int, share: float, kind: str) -> None:
    buses = 5 + seed % 40
    network = {
        "tree": lambda: random_network(seed, buses),
        "loops": lambda: random_network(seed, buses, loops=6, sources=2),
        "meshed": lambda: meshed_network(seed, buses + 8, 9),
    }[kind]()
    injecting = some(network, seed, share)
    model = flow_model(network, injecting)
    p_w, q_var = random_injections(network, seed, 2)
    p_w[~injecting], q_var[~injecting] = 0.0, 0.0
    plain, quick = power_flow(network, p_w, q_var), power_flow(model, p_w, q_var)
    assert quick.converged.all()
    np.testing.assert_allclose(quick.v, plain.v, atol=1e-10)
    np.testing.assert_allclose(quick.source_power_w, plain.source_power_w, atol=1e-2)
    everywhere = random_injections(network, seed + 1, 1)
    np.testing.assert_allclose(power_flow(model, *everywhere).v, power_flow(network, *everywhere).v, atol=1e-10)
    measured = survey(model, p_w, q_var)
    np.testing.assert_allclose(measured.v_pu, np.abs(plain.v), atol=1e-10)


@pytest.mark.parametrize("seed", range(6))
def test_the_solves_are_exact(seed: int) -> None:
    network = meshed_network(seed, 40, 10) if seed % 2 else random_network(seed, 40, sources=2)
    circuit = circuit_of(network, some(network, seed, 0.3))
    assert circuit.lead > 5
    nodes = np.sort(circuit.row_bus)
    y = csc_array(admittance(network)[nodes][:, nodes]).toarray()
    rng = np.random.default_rng(1)
    b = rng.normal(size=(network.bus_count, 3)) + 1j * rng.normal(size=(network.bus_count, 3))
    np.testing.assert_allclose(solve(circuit, b)[nodes], np.linalg.solve(y, b[nodes]), rtol=1e-8)
    np.testing.assert_allclose(solve_transposed(circuit, b)[nodes], np.linalg.solve(y.T, b[nodes]), rtol=1e-8)


def test_a_feeder_that_injects_at_its_end_iterates_there_alone() -> None:
    network = build([(n, n + 1) for n in range(9)], np.full(9, 0.001), np.full(9, 0.001), np.full(10, 400.0))
    end = np.zeros(10, dtype=np.bool_)
    end[9] = True
    assert circuit_of(network, end).lead == 7
    assert circuit_of(network, np.zeros(10, dtype=np.bool_)).lead == 8
    assert circuit_of(network).lead == 0


def test_a_small_pivot_is_left_to_the_other_factorisation() -> None:
    """A node whose shunt cancels its branches has no pivot to divide by."""
    network = build([(0, 1), (1, 2), (2, 3)], np.zeros(3), np.ones(3), np.full(4, 10_000.0), shunts=(2,))
    network.shunt_g_pu[:], network.shunt_b_pu[:] = 0.0, 2.0
    at_the_end = np.array([False, False, False, True])
    plain, quick = circuit_of(network), circuit_of(network, at_the_end)
    assert quick.lead == 0
    b = np.array([[0.0], [1.0], [2.0 - 1.0j], [0.5j]])
    np.testing.assert_allclose(solve(quick, b), solve(plain, b), atol=1e-12)


def test_outages_choose_their_own_passive_nodes() -> None:
    network = meshed_network(3, 40, 10)
    injecting = some(network, 3, 0.4)
    p_w, q_var = random_injections(network, 4, 6)
    p_w[~injecting], q_var[~injecting] = 0.0, 0.0
    in_service = np.repeat(network.in_service[:, None], 6, axis=1)
    in_service[-1, 2:4] = False
    day = DayFlow(network, 6, in_service, injecting=injecting)
    result = day.solve(p_w, q_var)
    for t in range(6):
        alone = power_flow(replace(network, in_service=in_service[:, t]), p_w[:, t], q_var[:, t])
        np.testing.assert_allclose(result.v[:, t], alone.v[:, 0], atol=1e-10)
