from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flexpeer.adapters.gridfiles import open_grid
from flexpeer.adapters.newton import newton_flow
from flexpeer.grid.cigre import NominalGrid, cigre_lv, cigre_mv, cigre_mv_lv


def published(name: str) -> Any:
    networks = pytest.importorskip(
        "pandapower.networks", reason="pandapower, the reference of this test, is not installed"
    )
    net = getattr(networks, name)()
    pytest.importorskip("pandapower", reason="pandapower, the reference of this test, is not installed").runpp(
        net, calculate_voltage_angles=True, tolerance_mva=1e-9
    )
    return net


def voltages(grid: NominalGrid) -> dict[str, complex]:
    flow = newton_flow(grid.network, grid.p_w[:, None], grid.q_var[:, None])
    return dict(zip(grid.network.bus_names, flow.v_pu[:, 0].tolist(), strict=True))


@pytest.mark.parametrize(
    ("grid", "name"), [(cigre_mv(), "create_cigre_network_mv"), (cigre_lv(), "create_cigre_network_lv")]
)
def test_the_networks_are_the_published_ones(grid: NominalGrid, name: str) -> None:
    net = published(name)
    ours = voltages(grid)
    for index, bus in net.bus.name.items():
        wanted = net.res_bus.vm_pu[index] * np.exp(1j * np.radians(net.res_bus.va_degree[index]))
        assert abs(ours[grid.bus_aliases.get(bus, bus)] - wanted) < 1e-6, bus
    ratings = dict(zip(grid.network.branch_names, grid.network.rating_from_a.tolist(), strict=True))
    wanted_a = dict(zip(net.line.name, net.line.max_i_ka * 1e3, strict=True))
    wanted_a |= dict(zip(net.trafo.name, net.trafo.sn_mva * 1e3 / np.sqrt(3) / net.trafo.vn_hv_kv, strict=True))
    assert ratings == pytest.approx(wanted_a)


def test_medium_voltage_as_published() -> None:
    network = cigre_mv().network
    assert (network.bus_count, network.branch_count) == (15, 17)
    open_lines = [n for n, closed in zip(network.branch_names, network.in_service, strict=True) if not closed]
    assert open_lines == ["Line 6-7", "Line 11-4", "Line 14-8"]


def test_feeders_hang_below_their_bus_with_names_of_their_own() -> None:
    grid = cigre_mv_lv({"Bus 5": ("residential", "residential"), "Bus 14": ("commercial",)})
    network, alone = grid.network, cigre_mv()
    assert network.bus_count == 15 + 18 + 18 + 20
    assert len({*network.bus_names, *network.branch_names}) == network.bus_count + network.branch_count
    assert grid.areas[network.bus_names.index("Bus 5.2 R18")] == "5.2"
    unit = network.branch_names.index("Trafo 14.1 C0-C1")
    assert network.bus_names[network.branch_from[unit]] == "Bus 14"
    feeder_w = cigre_lv().p_w
    assert grid.p_w.sum() < alone.p_w.sum() + feeder_w.min()
    ours, medium = voltages(grid), voltages(alone)
    assert abs(ours["Bus 5.1 R18"]) == pytest.approx(abs(ours["Bus 5.2 R18"]), rel=1e-12)
    assert abs(ours["Bus 5"]) < abs(medium["Bus 5"])


@pytest.mark.parametrize("feeders", [{"Bus 0": ("residential",)}, {"Bus 99": ()}, {"Bus 5": ("rural",)}])
def test_unknown_places_and_kinds_are_refused(feeders: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(KeyError):
        cigre_mv_lv(feeders)


def test_a_scenario_can_name_them() -> None:
    assert open_grid("cigre_mv", Path()).network.bus_count == 15
    low = open_grid("cigre_lv", Path())
    assert low.bus_index("Bus R0") == low.bus_index("Bus 0") == 0
