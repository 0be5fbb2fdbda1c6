from dataclasses import replace

import numpy as np
import pytest
from tests.grid.networks import build, random_injections, random_network

from flexpeer.errors import BadInput
from flexpeer.grid.limits import Kind, PowerLimit, limits_of, read, violations
from flexpeer.grid.network import Network
from flexpeer.grid.powerflow import DayFlow
from flexpeer.grid.topology import service


def transformer_and_line() -> Network:
    """Source 130 kV, transformer to 10 kV, a line whose upper end is its `to` end."""
    network = build([(0, 1), (2, 1)], np.full(2, 0.001), np.full(2, 0.004), np.array([130e3, 10e3, 10e3]))
    return replace(network, rating_from_a=np.array([10.0, 200.0]), rating_to_a=np.array([200.0, 300.0]))


def test_loading_is_the_current_at_the_worse_end_over_its_rating() -> None:
    network = transformer_and_line()
    p_w = np.array([[0.0], [0.0], [2e6]])
    day = DayFlow(network, 1)
    result = day.solve(p_w, np.zeros((3, 1)))
    readings = read(day, limits_of(network, 1), result)
    v = result.v[:, 0]
    generator_a = abs(2e6 / (np.sqrt(3) * 10e3 * v[2]))
    source_a = abs(result.source_power_w[0, 0] / (np.sqrt(3) * 130e3 * v[0]))
    assert readings.loading[1, 0] == pytest.approx(generator_a / 200.0)
    assert readings.loading[0, 0] == pytest.approx(max(source_a / 10.0, generator_a / 200.0))
    assert source_a / 10.0 > generator_a / 200.0


def test_power_is_measured_at_the_upper_end_in_the_direction_of_the_limit() -> None:
    network = transformer_and_line()
    day = DayFlow(network, 1)
    p_w = np.array([[0.0], [0.0], [2e6]])
    result = day.solve(p_w, np.zeros((3, 1)))
    points = [
        PowerLimit(name, kind, 1e6) for name in ("line 0", "line 1", "source 0") for kind in Kind if "port" in kind
    ]
    limits = limits_of(network, 1, points)
    power_w = read(day, limits, result).power_w[:, 0]
    arrives = -result.source_power_w[0, 0].real
    np.testing.assert_allclose(power_w[[0, 2, 4]], -power_w[[1, 3, 5]])
    assert power_w[4] == pytest.approx(arrives)
    assert power_w[0] == pytest.approx(arrives, abs=1e-3)
    assert arrives < power_w[2] < 2e6
    found = violations(day, limits, read(day, limits, result))
    assert [(row.element, row.kind, row.limit) for row in found] == [
        ("line 0", Kind.EXPORT, 1e6),
        ("line 1", Kind.EXPORT, 1e6),
        ("source 0", Kind.EXPORT, 1e6),
    ]


def test_violations_name_every_limit_passed_and_no_other() -> None:
    network = random_network(3, 40)
    network = replace(network, rating_from_a=np.full(39, 40.0), v_min_pu=np.full(40, 1.0), v_max_pu=np.full(40, 1.02))
    p_w, q_var = random_injections(network, 8, 4)
    day = DayFlow(network, 4, service(network, 4, [("line 30", {2})]))
    p_w[:, 2] = q_var[:, 2] = 0.0
    limits = limits_of(network, 4)
    result = day.solve(p_w, q_var)
    readings = read(day, limits, result)
    found = {(row.kind, row.element, row.mtu) for row in violations(day, limits, readings)}
    expected = set()
    assert result.converged.all()
    for t in range(4):
        v = np.abs(result.v[:, t])
        for bus, name in enumerate(network.bus_names):
            expected |= {(Kind.HIGH, name, t)} if v[bus] > 1.02 else set()
            expected |= {(Kind.LOW, name, t)} if 0 < v[bus] < 1.0 else set()
        for branch, name in enumerate(network.branch_names):
            expected |= {(Kind.LOADING, name, t)} if readings.loading[branch, t] > 1 else set()
    assert found == expected
    assert {kind for kind, _, _ in found} == {Kind.LOADING, Kind.HIGH, Kind.LOW}
    assert day.unfed(2)
    assert not {name for _, name, t in found if t == 2} & set(day.unfed(2))


def test_an_hourly_limit_is_on_the_mean_of_the_hour() -> None:
    network = transformer_and_line()
    day = DayFlow(network, 8)
    p_w = np.zeros((3, 8))
    p_w[2] = [4e6, 0, 0, 0, 4e6, 4e6, 4e6, 0]
    result = day.solve(p_w, np.zeros((3, 8)))
    limits = limits_of(network, 8, [PowerLimit("source 0", Kind.EXPORT, 2e6, hourly=True)], [0, 4, 8])
    readings = read(day, limits, result)
    export = -result.source_power_w[0].real
    np.testing.assert_allclose(readings.power_w[0, :4], export[:4].mean())
    power = [row for row in violations(day, limits, readings) if row.kind is Kind.EXPORT]
    assert [(row.element, row.mtu) for row in power] == [("source 0", 4)]
    per_mtu = limits_of(network, 8, [PowerLimit("source 0", Kind.EXPORT, 2e6)], [0, 4, 8])
    found = violations(day, per_mtu, read(day, per_mtu, result))
    assert [row.mtu for row in found if row.kind is Kind.EXPORT] == [0, 4, 5, 6]


def test_an_hourly_limit_that_changes_within_the_hour_is_the_lowest() -> None:
    limit_w = np.array([np.nan, 3e6, 2e6, np.nan, np.nan, np.nan, np.nan, np.nan])
    point = PowerLimit("source 0", Kind.IMPORT, limit_w, hourly=True)
    limits = limits_of(transformer_and_line(), 8, [point], [0, 4, 8])
    np.testing.assert_array_equal(limits.limit_w[0], [2e6] * 4 + [np.nan] * 4)


def test_unusable_limits_are_all_reported() -> None:
    network = replace(transformer_and_line(), rating_from_a=np.array([0.0, np.nan]))
    points = [PowerLimit("nowhere", Kind.EXPORT, 1.0), PowerLimit("line 0", Kind.HIGH, -1.0)]
    with pytest.raises(BadInput) as bad:
        limits_of(network, 4, points)
    assert [finding.field for finding in bad.value.findings] == ["nowhere", "line 0", "line 0", "line 0"]
