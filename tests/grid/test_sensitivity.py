import numpy as np
import pytest
from tests.grid.networks import meshed_network, random_injections, random_network

from flexpeer.grid.admittance import branch_currents
from flexpeer.grid.network import Complexes, Floats, Network
from flexpeer.grid.powerflow import DayFlow, FlowResult
from flexpeer.grid.sensitivity import Metric, Quantity, sensitivity
from flexpeer.grid.topology import service

STEP_W = 2_000.0
NETWORKS = [random_network(21, 25), random_network(22, 25, loops=5), meshed_network(23, 25, 6)]
METRICS = [
    Metric(Quantity.BRANCH_EXPORT, 0),
    Metric(Quantity.BRANCH_EXPORT, 7),
    Metric(Quantity.BRANCH_APPARENT, 2),
    Metric(Quantity.BRANCH_APPARENT, 8),
    Metric(Quantity.BUS_VOLTAGE, 20),
    Metric(Quantity.SOURCE_EXPORT, 0),
    Metric(Quantity.SOURCE_REACTIVE, 0),
    Metric(Quantity.BUS_REAL, 20),
    Metric(Quantity.BUS_IMAGINARY, 20),
]


def by_definition(day: DayFlow, result: FlowResult, metric: Metric) -> Floats:
    """The metric written down again, from the voltages."""
    v = result.v
    current_from, current_to = branch_currents(day.models[0].circuit, v)
    element, network = metric.element, day.network
    if metric.quantity is Quantity.BUS_VOLTAGE:
        return np.asarray(np.abs(v[element]))
    if metric.quantity in (Quantity.BUS_REAL, Quantity.BUS_IMAGINARY):
        return np.asarray(v[element].real if metric.quantity is Quantity.BUS_REAL else v[element].imag)
    if metric.quantity in (Quantity.SOURCE_EXPORT, Quantity.SOURCE_REACTIVE):
        into_source = -result.source_power_w[element]
        return np.asarray(into_source.real if metric.quantity is Quantity.SOURCE_EXPORT else into_source.imag)
    if metric.quantity is Quantity.BRANCH_APPARENT:
        return np.asarray(1e6 * np.maximum(np.abs(current_from[element]), np.abs(current_to[element])))
    into: Complexes = v[network.branch_from[element]] * np.conj(current_from[element])
    if not day.upper_from[element]:
        into = v[network.branch_to[element]] * np.conj(current_to[element])
    return np.asarray(-1e6 * into.real)


def differences(day: DayFlow, p_w: Floats, q_var: Floats, metric: Metric, bus: int) -> tuple[Floats, Floats]:
    """Fourth-order central differences to P and Q of a bus."""
    slopes = []
    for active in (True, False):
        total = np.zeros(day.periods)
        for step, weight in ((-2, 1), (-1, -8), (1, 8), (2, -1)):
            p, q = p_w.copy(), q_var.copy()
            (p if active else q)[bus] += step * STEP_W
            total += weight * by_definition(day, day.solve(p, q), metric)
        slopes.append(total / (12 * STEP_W))
    return slopes[0], slopes[1]


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("metric", METRICS)
def test_agrees_with_finite_differences(network: Network, metric: Metric) -> None:
    day = DayFlow(network, 2)
    p_w, q_var = random_injections(network, 6, 2)
    result = day.solve(p_w, q_var)
    found = sensitivity(day, result, p_w, q_var, metric)
    np.testing.assert_allclose(found.value, by_definition(day, result, metric), rtol=1e-9)
    largest = max(np.abs(found.per_w).max(), np.abs(found.per_var).max())
    for bus in (0, 1, 9, 20, 24):
        per_w, per_var = differences(day, p_w, q_var, metric, bus)
        np.testing.assert_allclose(found.per_w[bus], per_w, rtol=1e-6, atol=1e-6 * largest)
        np.testing.assert_allclose(found.per_var[bus], per_var, rtol=1e-6, atol=1e-6 * largest)


def test_exports_rise_with_injection_and_a_period_without_state_has_none() -> None:
    network = random_network(21, 25)
    day = DayFlow(network, 2)
    p_w, q_var = random_injections(network, 6, 2)
    p_w[:, 1] *= 1_000
    found = sensitivity(day, day.solve(p_w, q_var), p_w, q_var, Metric(Quantity.SOURCE_EXPORT, 0))
    assert (found.per_w[:, 0] > 0.8).all()
    assert found.per_w[0, 0] == 1.0
    assert np.isnan(found.per_w[:, 1]).all()
    assert np.isnan(found.value[1])


def test_an_outage_has_its_own_sensitivities() -> None:
    network = meshed_network(23, 25, 6)
    p_w, q_var = random_injections(network, 6, 3)
    out = network.branch_names[-1]
    day = DayFlow(network, 3, service(network, 3, [(out, {1})]))
    metric = Metric(Quantity.BRANCH_EXPORT, 0)
    found = sensitivity(day, day.solve(p_w, q_var), p_w, q_var, metric)
    always = DayFlow(network, 3, service(network, 3, [(out, range(3))]))
    expected = sensitivity(always, always.solve(p_w, q_var), p_w, q_var, metric)
    np.testing.assert_allclose(found.per_w[:, 1], expected.per_w[:, 1])
    assert not np.allclose(found.per_w[:, 0], expected.per_w[:, 0])
