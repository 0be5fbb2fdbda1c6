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
from flexpeer.grid.newton import LOWEST_PU, newton_model, slope_one, solve_one
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


def test_a_second_solution_of_higher_voltage_is_not_taken() -> None:
    """Heavy reactive injection behind a long line: the fixed point settles above 1.25 per unit, Newton does not."""
    network = build([(0, 1), (1, 2)], np.array([0.01, 0.01]), np.array([0.25, 0.25]), np.full(3, 110_000.0))
    network.source_v_pu[:] = 1.0
    p_w, q_var = np.array([0.0, -0.4e6, 0.0]), np.array([0.0, 0.0, 0.9e6])
    result = solve(network, p_w, q_var)
    v = result.v[:, 0]
    y = newton_model(network).y.toarray()
    np.testing.assert_allclose((v * np.conj(y @ v))[1:], per_unit(p_w, q_var)[1:], atol=1e-8)
    np.testing.assert_allclose(v, alone(network, p_w, q_var), atol=1e-9)
