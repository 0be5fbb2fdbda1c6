from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csc_array
from scipy.sparse.linalg import splu
from tests.grid.networks import baran_wu, build, meshed_network, random_injections, random_network
from tests.grid.newton import newton

from flexpeer.errors import BadInput
from flexpeer.grid.admittance import admittance, circuit_of, solve, solve_transposed
from flexpeer.grid.network import Network
from flexpeer.grid.powerflow import DayFlow, FlowStatus, flow_model, losses_w
from flexpeer.grid.powerflow import solve as power_flow
from flexpeer.grid.topology import depths, islanded_buses, require_connected, service, upper_from, without

NETWORKS = [
    *(random_network(seed, 12 + 9 * seed) for seed in range(5)),
    *(random_network(seed, 40, loops=8) for seed in range(5, 8)),
    *(meshed_network(seed, 50, 12) for seed in range(8, 11)),
    random_network(11, 30, sources=3),
]


def test_baran_wu_has_the_published_losses_and_lowest_voltage() -> None:
    network, p_w, q_var = baran_wu()
    result = power_flow(network, p_w, q_var)
    assert result.converged.all()
    assert losses_w(network, result.v)[0] == pytest.approx(202_680, abs=10)
    assert np.abs(result.v[:, 0]).argmin() == 17
    assert np.abs(result.v[17, 0]) == pytest.approx(0.91309, abs=5e-6)
    assert result.source_power_w[0, 0].real == pytest.approx(3_715_000 + losses_w(network, result.v)[0], abs=1e-3)


@pytest.mark.parametrize("network", NETWORKS)
def test_solves_agree_with_superlu(network: Network) -> None:
    circuit = circuit_of(network)
    nodes = np.sort(circuit.row_bus)
    y_nn = csc_array(admittance(network)[nodes][:, nodes])
    lu, transposed = splu(y_nn), splu(csc_array(y_nn.T))
    rng = np.random.default_rng(1)
    b = rng.normal(size=(network.bus_count, 3)) + 1j * rng.normal(size=(network.bus_count, 3))
    np.testing.assert_allclose(solve(circuit, b)[nodes], lu.solve(b[nodes]), rtol=1e-9)
    np.testing.assert_allclose(solve_transposed(circuit, b)[nodes], transposed.solve(b[nodes]), rtol=1e-9)


def test_phase_shift_makes_the_transpose_differ() -> None:
    circuit = circuit_of(NETWORKS[0])
    b = np.ones((NETWORKS[0].bus_count, 1), dtype=np.complex128)
    assert np.abs(solve(circuit, b) - solve_transposed(circuit, b)).max() > 1e-3


@pytest.mark.parametrize("network", NETWORKS)
def test_agrees_with_newton(network: Network) -> None:
    p_w, q_var = random_injections(network, 3, 3)
    for t in range(3):
        v, source_power_w = newton(network, p_w[:, t], q_var[:, t])
        result = power_flow(network, p_w[:, t], q_var[:, t], source_v=v[network.source_bus])
        assert result.converged.all()
        np.testing.assert_allclose(result.v[:, 0], v, atol=1e-8)
        np.testing.assert_allclose(result.source_power_w[:, 0], source_power_w, atol=1.0)


def test_a_day_of_outages_equals_each_period_alone() -> None:
    network = meshed_network(3, 40, 10)
    p_w, q_var = random_injections(network, 4, 24)
    chord = network.branch_names[-1], network.branch_names[-2]
    day = DayFlow(network, 24, service(network, 24, [(chord[0], range(5, 11)), (chord[1], {9, 10, 20})]))
    result = day.solve(p_w, q_var)
    assert len(day.models) == 4
    for t in range(24):
        out = [chord[0]] * (5 <= t < 11) + [chord[1]] * (t in {9, 10, 20})
        alone = power_flow(without(network, out), p_w[:, t], q_var[:, t])
        np.testing.assert_array_equal(result.v[:, t], alone.v[:, 0])
        assert day.losses_w(result.v)[t] == pytest.approx(losses_w(without(network, out), alone.v)[0])


def test_power_balance_closes() -> None:
    network = random_network(2, 60)
    p_w, q_var = random_injections(network, 5, 4)
    result = power_flow(network, p_w, q_var)
    at_shunt = np.abs(result.v[network.shunt_bus[0]]) ** 2 * network.shunt_g_pu[0] * 1e6
    delivered = result.source_power_w.real.sum(axis=0) + p_w.sum(axis=0)
    np.testing.assert_allclose(delivered, losses_w(network, result.v) + at_shunt, atol=1e-2)


def test_an_overloaded_period_has_no_state_and_leaves_the_others_alone() -> None:
    network, p_w, q_var = baran_wu()
    scale = np.array([1.0, 9.0, 0.5])
    result = power_flow(network, p_w[:, None] * scale, q_var[:, None] * scale)
    assert result.failures() == ((1, FlowStatus.DIVERGED),)
    assert np.isnan(result.v[:, 1]).all()
    assert np.isnan(result.source_power_w[:, 1]).all()
    np.testing.assert_array_equal(result.v[:, 2], power_flow(network, p_w * 0.5, q_var * 0.5).v[:, 0])


def test_an_island_without_injection_is_dead_and_with_injection_has_no_state() -> None:
    network, p_w, q_var = baran_wu()
    cut = without(network, ["line 16"])
    assert islanded_buses(cut) == ("bus 17",)
    assert power_flow(cut, p_w, q_var).failures() == ((0, FlowStatus.ISLANDED),)
    p_w[17] = q_var[17] = 0.0
    assert power_flow(cut, p_w, q_var).v[17, 0] == 0
    with pytest.raises(BadInput, match="bus 17"):
        require_connected(cut)


def test_given_source_voltages_hold_per_period() -> None:
    network = random_network(1, 20)
    p_w, q_var = random_injections(network, 1, 2)
    source_v = np.array([[1.0 + 0.01j, 0.98]])
    result = power_flow(network, p_w, q_var, source_v=source_v)
    np.testing.assert_array_equal(result.v[network.source_bus], source_v)


def test_depth_and_upper_end() -> None:
    network = build([(0, 1), (2, 1), (2, 3), (3, 0)], np.ones(4), np.ones(4), np.full(5, 10_000.0))
    assert depths(network).tolist() == [0, 1, 2, 1, -1]
    assert upper_from(network).tolist() == [True, False, False, False]
    tie = build([(0, 1), (0, 2), (2, 1)], np.ones(3), np.ones(3), np.full(3, 10_000.0))
    assert upper_from(tie).tolist() == [True, True, True]


def test_what_cannot_be_calculated_is_bad_input() -> None:
    network = random_network(1, 10)
    with pytest.raises(BadInput, match="unknown branch nothing"):
        without(network, ["nothing"])
    zero = replace(network, r_pu=np.zeros(9), x_pu=np.zeros(9))
    with pytest.raises(BadInput) as bad, np.errstate(all="ignore"):
        flow_model(zero)
    assert len(bad.value.findings) == 9
    with pytest.raises(BadInput, match="no source"):
        flow_model(replace(network, source_bus=np.zeros(0, dtype=np.int64), source_names=()))
    with pytest.raises(BadInput, match="more than one source"):
        flow_model(replace(network, source_bus=np.array([0, 0])))
    with pytest.raises(BadInput, match="MTU 7"):
        DayFlow(network, 4, service(network, 4, [("line 1", {7})]))


def test_a_singular_matrix_is_bad_input() -> None:
    resonant = build([(0, 1)], np.zeros(1), np.ones(1), np.full(2, 10_000.0), shunts=(1,))
    resonant.shunt_g_pu[:] = 0.0
    resonant.shunt_b_pu[:] = 1.0
    with pytest.raises(BadInput, match="singular"):
        flow_model(resonant)
