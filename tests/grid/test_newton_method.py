"""Newton's method against the library's, the fixed point, and the equations it stands for."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.grid.networks import baran_wu, build, meshed_network, random_injections, random_network
from tests.grid.newton import newton
from tests.grid.test_sensitivity import METRICS, by_definition, differences

from flexpeer.grid.admittance import planes
from flexpeer.grid.limits import limits_of, read
from flexpeer.grid.network import Complexes, Floats, Network
from flexpeer.grid.newton import LOWEST_PU, newton_model, same_sign, slope_one, solve_one, stretched, unbalanced
from flexpeer.grid.powerflow import DayFlow, FlowStatus, controlled_q_var, flow_model, iterate, no_load, per_unit, solve
from flexpeer.grid.sensitivity import Metric, Quantity, sensitivity
from flexpeer.grid.survey import survey


def alone(network: Network, p_w: Floats, q_var: Floats) -> Complexes:
    source_v = network.source_v_pu * np.exp(1j * network.source_angle_rad)
    found = solve_one(newton_model(network), per_unit(p_w, q_var), source_v)
    assert found.converged
    return found.v


@pytest.mark.parametrize("seed", range(4))
def test_equals_the_fixed_point(seed: int) -> None:
    for network in (random_network(seed, 30), meshed_network(seed, 40, 10), random_network(seed, 25, sources=2)):
        p_w, q_var = random_injections(network, seed, 3)
        result = solve(network, p_w, q_var)
        for t in range(3):
            np.testing.assert_allclose(alone(network, p_w[:, t], q_var[:, t]), result.v[:, t], atol=1e-9)


def weak_line(power: float) -> tuple[Network, Floats, Floats]:
    """Two buses and a line whose largest active power at unity power factor is 1 / (2 (|z| + r)) = 2.0711 pu."""
    network = build([(0, 1)], np.array([0.1]), np.array([0.1]), np.full(2, 10_000.0))
    network.source_v_pu[:] = 1.0
    return network, np.array([0.0, -power * 1e6]), np.zeros(2)


def test_takes_over_next_to_the_largest_power_a_line_carries() -> None:
    network, p_w, q_var = weak_line(2.0709)
    model = flow_model(network)
    state = np.ones((2, 1), dtype=np.complex128)
    begun = planes(state)
    no_load(model.circuit, begun)
    status, _ = iterate(model.circuit, planes(per_unit(p_w, q_var)[:, None]), begun)
    assert status[0] == FlowStatus.DIVERGED
    result = solve(network, p_w, q_var)
    assert result.converged.all()
    z, v = 0.1 + 0.1j, result.v[1, 0]
    assert v == pytest.approx(1.0 - z * np.conj(2.0709 / v), abs=1e-9)
    measured = survey(model, p_w[:, None], q_var[:, None])
    assert measured.converged.all()
    assert measured.v_pu[1, 0] == pytest.approx(abs(v), abs=1e-12)
    assert measured.losses_w[0] == pytest.approx(1e6 * 0.1 * (2.0709 / abs(v)) ** 2)


def test_past_the_largest_power_there_is_no_state() -> None:
    network, p_w, q_var = weak_line(2.08)
    result = solve(network, p_w, q_var)
    assert result.failures() == ((0, FlowStatus.DIVERGED),)
    assert np.isnan(survey(flow_model(network), p_w[:, None], q_var[:, None]).v_pu).all()


@settings(max_examples=60, deadline=None)
@given(st.floats(0.0, 2.07))
def test_never_ends_on_the_lower_branch(power: float) -> None:
    network, p_w, q_var = weak_line(power)
    found = solve_one(newton_model(network), per_unit(p_w, q_var), np.ones(1, dtype=np.complex128))
    if found.converged:
        assert abs(found.v[1]) >= LOWEST_PU
        discriminant = (0.5 - 0.1 * power) ** 2 - 0.02 * power**2
        assert abs(found.v[1]) ** 2 == pytest.approx(0.5 - 0.1 * power + np.sqrt(discriminant), abs=1e-6)


def controlled(seed: int) -> Network:
    network = meshed_network(seed, 30, 8)
    at = np.array([12, 25])
    held = np.full(2, np.inf)
    return replace(
        network,
        controlled_bus=at,
        controlled_v_pu=np.array([1.0, 1.01]),
        controlled_q_min_var=-held,
        controlled_q_max_var=held,
    )


@pytest.mark.parametrize("seed", range(4))
def test_held_voltages_are_those_of_the_reactive_power_that_holds_them(seed: int) -> None:
    network = controlled(seed)
    p_w, q_var = random_injections(network, seed, 2)
    model = flow_model(network)
    result = solve(model, p_w, q_var)
    assert result.converged.all()
    np.testing.assert_allclose(np.abs(result.v[network.controlled_bus]).T, [[1.0, 1.01]] * 2, atol=1e-9)
    q_all = q_var.copy()
    q_all[network.controlled_bus] += controlled_q_var(model, result.v, q_var)
    for t in range(2):
        v, source_power_w = newton(network, p_w[:, t], q_all[:, t])
        np.testing.assert_allclose(result.v[:, t], v, atol=1e-8)
        np.testing.assert_allclose(result.source_power_w[:, t], source_power_w, atol=1.0)
    measured = survey(model, p_w, q_var)
    np.testing.assert_allclose(measured.v_pu, np.abs(result.v), atol=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_sensitivities_with_held_voltages_agree_with_differences(metric: Metric) -> None:
    network = controlled(1)
    day = DayFlow(network, 1)
    p_w, q_var = random_injections(network, 6, 1)
    found = sensitivity(day, day.solve(p_w, q_var), p_w, q_var, metric)
    np.testing.assert_allclose(found.value, by_definition(day, day.solve(p_w, q_var), metric), rtol=1e-9)
    scale = max(np.abs(found.per_w).max(), np.abs(found.per_var).max())
    for bus in (3, 12, 19):
        per_w, per_var = differences(day, p_w, q_var, metric, bus)
        np.testing.assert_allclose(found.per_w[bus], per_w, atol=1e-6 * scale)
        np.testing.assert_allclose(found.per_var[bus], per_var, atol=1e-6 * scale)


def test_adjoint_and_jacobian_agree() -> None:
    meshed = meshed_network(9, 60, 15)
    radial, p_w, q_var = baran_wu()
    cases = ((radial, p_w[:, None], q_var[:, None]), (meshed, *random_injections(meshed, 4, 1)))
    for grid, p, q in cases:
        day = DayFlow(grid, 1)
        result = day.solve(p, q)
        for bus in (grid.bus_count - 1, grid.bus_count // 2):
            weight = np.zeros(grid.bus_count, dtype=np.complex128)
            weight[bus] = np.conj(result.v[bus, 0]) / abs(result.v[bus, 0])
            slope = slope_one(newton_model(grid), result.v[:, 0], weight)
            found = sensitivity(day, result, p, q, Metric(Quantity.BUS_VOLTAGE, bus))
            np.testing.assert_allclose(found.per_w[:, 0] * 1e6, slope.real, atol=1e-9)
            np.testing.assert_allclose(found.per_var[:, 0] * 1e6, slope.imag, atol=1e-9)


def test_a_survey_measures_what_the_day_reads() -> None:
    network = meshed_network(2, 45, 9)
    network.rating_from_a[::2], network.rating_to_a[::3] = 90.0, 70.0
    p_w, q_var = random_injections(network, 8, 75)
    measured, result = survey(flow_model(network), p_w, q_var), solve(network, p_w, q_var)
    np.testing.assert_allclose(measured.v_pu, np.abs(result.v), atol=1e-15, rtol=1e-15)
    day = DayFlow(network, 75)
    readings = read(day, limits_of(network, 75), result)
    np.testing.assert_allclose(measured.loading, readings.loading, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(measured.losses_w, day.losses_w(result.v), rtol=1e-9)


def test_a_solution_of_another_branch_is_not_taken() -> None:
    """Reactive injection raises voltages; that it lowers them, as a second solution has it, is no operating point."""
    x, q_var = np.array([0.59310564, 0.26898964, 0.39833159]), np.array([0.0, 2836742.47, 2076468.14])
    network = build([(0, 1), (1, 2), (0, 2)], np.array([0.08374672, 0.03798143, 0.05624456]), x, np.full(3, 110e3))
    network.source_v_pu[:] = 1.0
    p_w = np.array([0.0, 1338919.13, 1966216.85])
    result = solve(network, p_w, q_var)
    assert np.abs(result.v[1:, 0]).min() > 1.6
    found = solve_one(newton_model(network), per_unit(p_w, q_var), np.ones(1, dtype=np.complex128))
    assert not found.converged or np.abs(found.v[1:]).min() > 1.6


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6))
def test_both_methods_find_the_same_of_several_solutions(seed: int) -> None:
    chance = np.random.default_rng(seed)
    x = chance.uniform(0.05, 0.6, 3)
    network = build([(0, 1), (1, 2), (0, 2)], x * chance.uniform(0.0, 0.3), x, np.full(3, 110e3))
    network.source_v_pu[:] = 1.0
    s = np.concatenate([[0.0], chance.uniform(-2.0, 2.0, 2) + 1j * chance.uniform(-1.0, 3.0, 2)])
    state = planes(np.ones((3, 1), dtype=np.complex128))
    status, _ = iterate(flow_model(network).circuit, planes(s[:, None]), state)
    found = solve_one(newton_model(network), s, np.ones(1, dtype=np.complex128))
    if status[0] == FlowStatus.CONVERGED and found.converged:
        np.testing.assert_allclose(found.v, (state.re + 1j * state.im)[:, 0], atol=1e-8)


def test_an_own_state_is_turned_to_the_sources() -> None:
    """Begun from a state of other source angles it is the same state, and a state of low voltages is not taken."""
    network = controlled(2)
    p_w, q_var = random_injections(network, 2, 1)
    found = alone(network, p_w[:, 0], q_var[:, 0])
    turned = replace(network, start_v_pu=np.abs(found), start_angle_rad=np.angle(found) + 0.7)
    begun = solve_one(newton_model(turned), per_unit(p_w, q_var)[:, 0], found[network.source_bus])
    assert begun.converged
    assert begun.iterations <= 2
    np.testing.assert_allclose(begun.v, found, atol=1e-10)
    low = replace(network, start_v_pu=np.full(network.bus_count, 0.05), start_angle_rad=np.zeros(network.bus_count))
    np.testing.assert_allclose(alone(low, p_w[:, 0], q_var[:, 0]), found, atol=1e-9)


def test_a_state_of_low_voltages_is_doubted_where_voltages_are_held() -> None:
    """Two lines in a row, the last bus held: the middle has two voltages, and only the higher has the right sign."""
    network = build([(0, 1), (1, 2)], np.array([0.02, 0.02]), np.array([0.2, 0.2]), np.full(3, 110e3), controlled=(2,))
    model = newton_model(network)
    s, source_v = np.array([0.0, -0.5 - 0.3j, 0.0]), np.ones(1, dtype=np.complex128)
    high = solve_one(model, s, source_v)
    assert high.converged
    assert same_sign(model, high.v)
    assert len(stretched(network, high.v)) == 0
    low = high.v.copy()
    low[1] *= 0.05
    assert not same_sign(model, low)
    assert np.abs(unbalanced(model, s, high.v)).max() < 1e-8
    low[2] *= np.exp(2j)
    assert stretched(network, low).tolist() == [1]
