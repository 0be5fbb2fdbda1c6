from dataclasses import replace

import numpy as np
import pytest
from tests.grid.networks import build, meshed_network, random_injections, random_network

from flexpeer.errors import BadInput
from flexpeer.grid.areas import Area, branch_owners, split
from flexpeer.grid.network import Complexes, Floats, Network
from flexpeer.grid.powerflow import DayFlow, FlowResult


def below(network: Network, top: int) -> set[int]:
    """Buses of the subtree under `top` in a tree whose branches lead away from bus 0."""
    found = {top}
    ends = [tuple(sorted(pair)) for pair in zip(network.branch_from, network.branch_to, strict=True)]
    for upper, lower in sorted(ends, key=lambda pair: pair[1]):
        if upper in found:
            found.add(int(lower))
    return found


def nested_owners(network: Network) -> tuple[str, ...]:
    """Regional owner, two local owners, and one beneath the first."""
    owner = ["regional"] * network.bus_count
    sizes = {bus: len(below(network, bus)) for bus in range(1, network.bus_count)}
    first = max(sizes, key=lambda bus: (sizes[bus] < network.bus_count / 2, sizes[bus]))
    inner = max((bus for bus in below(network, first) - {first}), key=lambda bus: sizes[bus])
    outside = [bus for bus in sizes if bus not in below(network, first) and first not in below(network, bus)]
    second = max(outside, key=lambda bus: sizes[bus])
    for top, name in ((first, "local a"), (second, "local b"), (inner, "local c")):
        for bus in below(network, top):
            owner[bus] = name
    return tuple(owner)


def iterated(areas: tuple[Area, ...], p_w: Floats, q_var: Floats) -> tuple[Complexes, dict[str, FlowResult]]:
    """Border voltages down and border powers up until nothing moves; the voltages of the whole."""
    periods = p_w.shape[1]
    days = {area.owner: DayFlow(area.network, periods, upper=area.upper_from) for area in areas}
    v = np.ones(p_w.shape, dtype=np.complex128)
    results: dict[str, FlowResult] = {}
    exchange: dict[str, Complexes] = {area.owner: np.zeros(p_w.shape, dtype=np.complex128) for area in areas}
    for _ in range(60):
        for area in areas:
            source_v = days[area.owner].source_v()
            for border in area.borders:
                source_v[border.source] = v[border.bus]
            seen = sum((child for name, child in exchange.items() if name != area.owner), np.zeros(p_w.shape))
            p, q = area.own(p_w + seen.real), area.own(q_var + seen.imag)
            result = days[area.owner].solve(p, q, source_v)
            assert result.converged.all()
            results[area.owner] = result
            v[area.bus_index[area.owned]] = result.v[area.owned]
            exchange[area.owner][:] = 0
            for border in area.borders:
                exchange[area.owner][border.bus] -= result.source_power_w[border.source]
    return v, results


@pytest.mark.parametrize("seed", range(5))
def test_border_exchange_reproduces_the_whole(seed: int) -> None:
    network = random_network(seed, 60)
    areas = split(network, nested_owners(network))
    p_w, q_var = random_injections(network, seed, 2)
    whole = DayFlow(network, 2).solve(p_w, q_var)
    v, results = iterated(areas, p_w, q_var)
    np.testing.assert_allclose(v, whole.v, atol=1e-9)
    np.testing.assert_allclose(results["regional"].source_power_w, whole.source_power_w, atol=0.1)


def test_a_child_fed_over_two_borders() -> None:
    tree = meshed_network(31, 12, 4)
    ends = [(0, 1), (0, 2), (1, 2), (1, 3), (2, 4), (3, 4), (4, 5), (3, 6)]
    network = build(ends, tree.r_pu[:8], tree.x_pu[:8], np.full(7, 10_000.0))
    areas = split(network, ("top", "top", "top", "low", "low", "low", "low"))
    assert [border.bus_name for border in areas[1].borders] == ["bus 1", "bus 2"]
    p_w, q_var = random_injections(network, 2, 1, 4e6)
    v, _ = iterated(areas, p_w, q_var)
    np.testing.assert_allclose(v, DayFlow(network, 1).solve(p_w, q_var).v, atol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_every_branch_bus_shunt_and_source_is_in_one_area(seed: int) -> None:
    network = random_network(seed, 60)
    areas = split(network, nested_owners(network))
    assert len(areas) == 4
    assert sorted(np.concatenate([area.branch_index for area in areas])) == list(range(network.branch_count))
    assert sorted(np.concatenate([area.bus_index[area.owned] for area in areas])) == list(range(60))
    assert sum(len(area.network.shunt_bus) for area in areas) == 1
    assert [area.owner for area in areas if len(area.network.source_bus) > len(area.borders)] == ["regional"]
    for area in areas:
        assert np.isnan(area.network.v_min_pu[~area.owned]).all()
        whole_ends = network.branch_from[area.branch_index]
        np.testing.assert_array_equal(area.bus_index[area.network.branch_from], whole_ends)


def test_a_transformer_belongs_to_its_lower_voltage_and_a_line_to_its_farther_end() -> None:
    network = build([(0, 1), (2, 1), (2, 3)], np.ones(3), np.ones(3), np.array([130e3, 130e3, 10e3, 10e3]))
    assert branch_owners(network, ("a", "b", "c", "d")) == ("b", "c", "d")


def test_owners_that_border_each_other_are_bad_input() -> None:
    network = build([(0, 1), (1, 2)], np.ones(2), np.ones(2), np.full(3, 10_000.0))
    with pytest.raises(BadInput, match="border each other"):
        split(network, ("a", "b", "a"))
    with pytest.raises(BadInput, match="no source and no border"):
        split(replace(network, in_service=np.array([True, False])), ("a", "a", "b"))
    with pytest.raises(BadInput, match="one for each of 3"):
        split(network, ("a", "a"))


def test_an_open_tie_between_owners_is_no_border() -> None:
    network = build([(0, 1), (0, 2), (1, 2)], np.ones(3), np.ones(3), np.full(3, 10_000.0))
    open_tie = replace(network, in_service=np.array([True, True, False]))
    areas = split(open_tie, ("top", "a", "b"))
    assert [len(area.borders) for area in areas] == [0, 1, 1]
    assert sum(area.network.branch_count for area in areas) == 2
