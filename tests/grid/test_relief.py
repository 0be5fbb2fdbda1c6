"""The least relief: kept by AC power flow, no more than any other way on a grid, exact where theory is."""

from dataclasses import replace

import numpy as np
import pytest
from tests.grid.networks import build, meshed_network, random_network

from flexpeer.grid.admittance import branch_currents
from flexpeer.grid.limits import Kind, PowerLimit, limits_of, read, violations
from flexpeer.grid.network import Floats, Network
from flexpeer.grid.powerflow import DayFlow
from flexpeer.grid.relief import Flexible, Relief, ReliefDay, least_relief


def two_feeders(rating_a: float = 120.0) -> Network:
    """A source, a shared line and two lines behind it, 10 kV."""
    ends = [(0, 1), (1, 2), (1, 3)]
    return build(ends, np.array([0.002, 0.01, 0.004]), np.full(3, 0.004), np.full(4, 10_000.0), rating_a=rating_a)


def a_day(network: Network, p_w: Floats, *power: PowerLimit, hours: tuple[int, ...] = ()) -> ReliefDay:
    flow = DayFlow(network, p_w.shape[1])
    return ReliefDay(flow, limits_of(network, p_w.shape[1], power, hours), p_w, np.zeros_like(p_w))


def injecting(network: Network, *rows: tuple[int, list[float]]) -> Floats:
    p_w = np.zeros((network.bus_count, len(rows[0][1])))
    for bus, values in rows:
        p_w[bus] = values
    return p_w


def falling(p_w: Floats, *buses: int) -> Flexible:
    at = np.array(buses)
    return Flexible(at, np.zeros((len(at), p_w.shape[1])), p_w[at], np.ones(len(at)))


def kept(day: ReliefDay, flexible: Flexible, found: Relief) -> None:
    p_w = day.p_w.copy()
    np.add.at(p_w, flexible.bus, found.change_w)
    result = day.flow.solve(p_w, day.q_var)
    assert violations(day.flow, day.limits, read(day.flow, day.limits, result)) == ()
    assert (found.change_w <= flexible.up_w + 1e-6).all()
    assert (-found.change_w <= flexible.down_w + 1e-6).all()


def test_a_day_within_its_limits_needs_nothing() -> None:
    network = two_feeders()
    p_w = injecting(network, (2, [1e6, 1.5e6]))
    found = least_relief(a_day(network, p_w), falling(p_w, 2))
    assert found.rounds == 0
    assert not found.change_w.any()


def test_one_line_is_relieved_to_its_limit_and_not_a_watt_more() -> None:
    network = two_feeders()
    p_w = injecting(network, (2, [1.0e6, 3.0e6]), (3, [0.9e6, 0.5e6]))
    day, flexible = a_day(network, p_w), falling(p_w, 2, 3)
    found = least_relief(day, flexible)
    kept(day, flexible, found)
    assert not found.change_w[:, 0].any()

    def fits(at_2_w: float, at_3_w: float) -> bool:
        less = p_w.copy()
        less[2, 1] -= at_2_w
        less[3, 1] -= at_3_w
        loading = read(day.flow, day.limits, day.flow.solve(less, day.q_var)).loading
        return bool(np.nanmax(loading[:, 1]) <= 1.0)

    def fewest_at_2(at_3_w: float) -> float:
        low, high = 0.0, 3.0e6
        while high - low > 10.0:
            middle = (low + high) / 2
            low, high = (low, middle) if fits(middle, at_3_w) else (middle, high)
        return high

    least = min(at_3 + fewest_at_2(at_3) for at_3 in np.linspace(0.0, 0.5e6, 51))
    assert -found.change_w.sum() == pytest.approx(least, rel=3e-3)


def test_the_unit_that_relieves_both_lines_is_taken() -> None:
    """Behind the shared line both do; behind the second only one does: its watts count twice."""
    network = replace(two_feeders(), rating_from_a=np.array([180.0, 90.0, np.nan]), rating_to_a=np.full(3, np.nan))
    p_w = injecting(network, (2, [2.2e6]), (3, [1.6e6]))
    day, flexible = a_day(network, p_w), falling(p_w, 2, 3)
    found = least_relief(day, flexible)
    kept(day, flexible, found)
    only_second = np.sqrt(3) * 10_000 * 90.0
    assert found.change_w[0, 0] < -(2.2e6 - only_second) * 0.85
    assert found.change_w[1, 0] == pytest.approx(0.0, abs=0.02e6)


def test_the_margin_is_kept_below_what_was_passed() -> None:
    network = two_feeders()
    p_w = injecting(network, (2, [3.0e6]))
    day, flexible = a_day(network, p_w), falling(p_w, 2)
    found = least_relief(day, flexible, margin=0.02)
    p_w[2] += found.change_w[0]
    assert read(day.flow, day.limits, day.flow.solve(p_w, day.q_var)).loading[1, 0] == pytest.approx(0.98, abs=2e-3)


def test_a_subscription_counts_on_the_mean_of_the_hour() -> None:
    network = two_feeders(rating_a=np.nan)
    p_w = injecting(network, (2, [0.0, 4e6, 1e6, 1e6, 1e6, 1e6, 1e6, 1e6]))
    point = PowerLimit("source 0", Kind.EXPORT, 1e6, hourly=True)
    day, flexible = a_day(network, p_w, point, hours=(0, 4, 8)), falling(p_w, 2)
    found = least_relief(day, flexible)
    kept(day, flexible, found)
    assert not found.change_w[:, 4:].any()
    readings = read(day.flow, day.limits, day.flow.solve(p_w, day.q_var))
    assert -found.change_w.sum() == pytest.approx(4 * (readings.power_w[0, 0] - 1e6), rel=0.05)


def test_voltages_are_brought_into_band() -> None:
    network = replace(two_feeders(rating_a=np.nan), v_max_pu=np.full(4, 1.04), v_min_pu=np.full(4, 0.98))
    p_w = injecting(network, (2, [4e6, -5e6]), (3, [0.0, -1e6]))
    day = a_day(network, p_w)
    flexible = Flexible(np.array([2, 3]), np.full((2, 2), 5e6), np.full((2, 2), 5e6), np.ones(2))
    found = least_relief(day, flexible)
    kept(day, flexible, found)
    assert found.change_w[0, 0] < 0 < found.change_w[0, 1]


def test_what_cannot_be_relieved_is_told_and_relieved_as_far_as_it_goes() -> None:
    network = two_feeders()
    p_w = injecting(network, (2, [3.0e6]))
    day = a_day(network, p_w)
    flexible = Flexible(np.array([2]), np.zeros((1, 1)), np.full((1, 1), 1e5), np.ones(1))
    found = least_relief(day, flexible)
    assert found.change_w[0, 0] == pytest.approx(-1e5)
    assert found.overload_percent is not None
    assert found.overload_percent > 20.0
    assert {violation.element for violation in found.left} >= {"line 1"}


def test_a_day_without_a_state_has_no_verdict() -> None:
    network = two_feeders()
    p_w = injecting(network, (2, [-9e8]))
    assert least_relief(a_day(network, p_w), falling(np.abs(p_w), 2)).overload_percent is None


def test_each_hour_has_the_answer_it_has_alone() -> None:
    """The second cannot be relieved, the third needs nothing; the first is as if they were not there."""
    network = two_feeders()
    p_w = injecting(network, (2, [3.0e6, 9.0e6, 1.0e6, 2.6e6]))
    most_w = np.array([[2e6, 2e6, 2e6, 2e6]])

    def units(hours: slice) -> Flexible:
        return Flexible(np.array([2]), np.zeros_like(most_w[:, hours]), most_w[:, hours], np.ones(1))

    together = least_relief(a_day(network, p_w), units(slice(None)), margin=0.005)
    for mtu in range(4):
        hour = slice(mtu, mtu + 1)
        alone = least_relief(a_day(network, p_w[:, hour]), units(hour), margin=0.005)
        np.testing.assert_allclose(together.change_w[:, hour], alone.change_w, atol=1.0)
    assert {violation.mtu for violation in together.left} == {1}
    assert together.out_of_reach == set(together.left)


def test_mtus_that_a_mean_joins_are_one_part() -> None:
    """The first hour cannot keep its mean; the second does, with the same quarter-hours."""
    network = two_feeders(rating_a=np.nan)
    p_w = injecting(network, (2, [6e6, 1e6, 3e6, 3e6] * 2))
    point = PowerLimit("source 0", Kind.EXPORT, 2e6, hourly=True)
    day = a_day(network, p_w, point, hours=(0, 4, 8))
    most_w = np.array([[1e5] * 4 + [3e6] * 4])
    found = least_relief(day, Flexible(np.array([2]), np.zeros_like(most_w), most_w, np.ones(1)))
    assert {violation.mtu for violation in found.left} == {0}
    np.testing.assert_allclose(found.change_w[0, :4], -1e5)
    exported = read(
        day.flow, day.limits, day.flow.solve(p_w + np.vstack([0 * p_w[:2], found.change_w, 0 * p_w[:1]]), 0 * p_w)
    )
    assert exported.power_w[0, 4] == pytest.approx(2e6, rel=1e-5)


def test_the_cheaper_watts_are_taken_though_they_are_more() -> None:
    network = replace(two_feeders(), rating_from_a=np.array([180.0, 90.0, np.nan]), rating_to_a=np.full(3, np.nan))
    p_w = injecting(network, (2, [1.4e6]), (3, [2.2e6]))
    day, flexible = a_day(network, p_w), falling(p_w, 2, 3)
    for cheap, price in ((0, np.array([0.1, 1.0])), (1, np.array([1.0, 0.1]))):
        found = least_relief(day, flexible._replace(price=price))
        kept(day, flexible, found)
        assert found.change_w[1 - cheap, 0] == pytest.approx(0.0, abs=1e3)
        assert found.change_w[cheap, 0] < -1e5


def test_what_was_not_found_is_not_called_out_of_reach() -> None:
    """Without a round nothing is found, though a little would do."""
    network = two_feeders()
    p_w = injecting(network, (2, [3.0e6]))
    found = least_relief(a_day(network, p_w), falling(p_w, 2), rounds=0)
    assert found.left
    assert not found.out_of_reach


@pytest.mark.parametrize("seed", range(6))
def test_random_grids_are_relieved_within_three_rounds(seed: int) -> None:
    network = meshed_network(seed, 30, 6) if seed % 2 else random_network(seed, 30, shifted=False)
    chance = np.random.default_rng(seed)
    p_w = chance.uniform(0.0, 1.6e5, (30, 6)) * np.array([1, 1, -0.5, 1, 0.2, -0.8])
    p_w[0] = 0.0
    state = DayFlow(network, 6).solve(p_w, np.zeros_like(p_w))
    at_from, _ = branch_currents(DayFlow(network, 1).models[0].circuit, state.v)
    amperes = np.abs(at_from).max(axis=1) * network.bus_base_a()[network.branch_from]
    rating = np.where(np.arange(network.branch_count) % 5 == 0, 0.8 * amperes, 1.2 * amperes)
    network = replace(network, rating_from_a=rating, rating_to_a=np.full_like(rating, np.nan))
    day = a_day(network, p_w)
    buses = np.arange(1, 30)
    flexible = Flexible(buses, np.clip(-p_w[buses], 0, None), np.clip(p_w[buses], 0, None), np.ones(len(buses)))
    found = least_relief(day, flexible, margin=0.005, rounds=3)
    assert found.overload_percent is not None
    assert found.overload_percent <= 0.1
    assert found.rounds <= 3
