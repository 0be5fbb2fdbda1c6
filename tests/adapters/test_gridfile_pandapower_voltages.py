"""What holds voltages in pandapower files: by hand, and against `pandapower.runpp`."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.adapters.test_gridfile_pandapower import compare, networks, opened, small, table, through_file

from flexpeer.adapters.gridfiles import GridFile, open_grid
from flexpeer.errors import BadInput

GEN = "bus p_mw vm_pu min_q_mvar max_q_mvar scaling slack in_service"
XWARD = "bus ps_mw qs_mvar pz_mw qz_mvar r_ohm x_ohm vm_pu in_service"
DCLINE = (
    "from_bus to_bus p_mw loss_percent loss_mw vm_from_pu vm_to_pu "
    "min_q_from_mvar max_q_from_mvar min_q_to_mvar max_q_to_mvar in_service"
)


def test_generators_at_one_bus_are_one_controlled_bus(tmp_path: Path) -> None:
    """Buses 1 and 2 are joined by a switch; a generator at the external grid gives its power only."""
    gens = table(
        GEN,
        [1, 2.0, 1.02, -1.0, 1.5, 0.5, False, True],
        [2, 1.0, 1.02, -0.5, None, 1.0, False, True],
        [1, 9.0, 1.05, None, None, 1.0, False, False],
        [0, 0.3, 1.01, None, None, 1.0, False, True],
    )
    grid = opened(tmp_path, small(gen=gens))
    network = grid.network
    assert (network.controlled_bus.tolist(), network.controlled_v_pu.tolist()) == ([1], [1.02])
    assert (network.controlled_q_min_var[0], network.controlled_q_max_var[0]) == (-1.5e6, np.inf)
    assert grid.p_w.tolist() == pytest.approx([0.3e6, 2e6 - 0.5e6])


def test_a_slack_generator_is_a_source(tmp_path: Path) -> None:
    gens = table(GEN, [1, 2.0, 1.02, None, None, 1.0, True, True], [2, 1.0, 1.02, None, None, 1.0, False, True])
    grid = opened(tmp_path, small(gen=gens, ext_grid=table("bus vm_pu", *[])))
    assert (grid.network.source_names, grid.network.source_bus.tolist()) == (("gen 0",), [1])
    assert grid.network.source_v_pu.tolist() == [1.02]
    assert len(grid.network.controlled_bus) == 0
    assert grid.p_w[1] == pytest.approx(1e6 - 0.5e6)


@pytest.mark.parametrize(("p_mw", "sent", "received"), [(2.0, -2.0, 1.87), (-2.0, 1.87, -2.0)])
def test_a_direct_current_line_is_two_generators(tmp_path: Path, p_mw: float, sent: float, received: float) -> None:
    document = small(
        bus=table("vn_kv", [20], [20], [20]),
        dcline=table(DCLINE, [1, 2, p_mw, 1.5, 0.1, 1.0, 1.03, -1, 1, -2, 2, True]),
        switch=table("bus element et closed z_ohm", [1, 2, "b", True, 0.5]),
        load=table("bus p_mw q_mvar", *[]),
    )
    grid = opened(tmp_path, document)
    assert grid.p_w.tolist() == pytest.approx([0, sent * 1e6, received * 1e6])
    assert grid.network.controlled_bus.tolist() == [1, 2]
    assert grid.network.controlled_v_pu.tolist() == [1.0, 1.03]
    assert grid.network.controlled_q_max_var.tolist() == [1e6, 2e6]


def test_an_extended_ward_has_a_bus_inside(tmp_path: Path) -> None:
    grid = opened(tmp_path, small(xward=table(XWARD, [1, 0.2, 0.1, 0.4, 0.3, 1.0, 2.0, 1.01, True])))
    network = grid.network
    assert network.bus_names[2:] == ("xward 0 internal",)
    assert network.branch_names == ("L", "xward 0")
    assert (network.r_pu[1] * 400, network.x_pu[1] * 400) == (pytest.approx(1), pytest.approx(2))
    assert (network.shunt_g_pu[0], network.shunt_b_pu[0]) == (pytest.approx(0.4), pytest.approx(-0.3))
    assert grid.p_w.tolist() == pytest.approx([0, -0.7e6, 0])


def test_unequal_phases_are_summed_and_said(tmp_path: Path) -> None:
    phases = "bus p_a_mw p_b_mw p_c_mw q_a_mvar q_b_mvar q_c_mvar scaling in_service"
    loads = table(phases, [1, 0.1, 0.2, 0.3, 0.0, 0.1, 0.0, 0.5, True], [1, 0.1, 0.1, 0.1, 0, 0, 0, 1.0, True])
    plants = table(phases, [2, 0.1, 0.1, 0.1, 0, 0, 0, 1.0, True])
    grid = opened(tmp_path, small(asymmetric_load=loads, asymmetric_sgen=plants))
    assert grid.p_w[1] == pytest.approx(-0.5e6 - 0.3e6 - 0.3e6 + 0.3e6)
    assert grid.q_var[1] == pytest.approx(-0.1e6 - 0.05e6)
    assert [(finding.field, finding.problem[:31]) for finding in grid.findings] == [
        ("asymmetric_load 0", "1 elements of asymmetric_load d")
    ]


CASES = ["case4gs", "case9", "case14", "case118", "case39", "GBreducednetwork", "iceland", "example_simple"]
MORE = ["create_cigre_network_hv", "create_kerber_dorfnetz", "panda_four_load_branch", "simple_four_bus_system"]


@pytest.mark.parametrize("case", CASES + MORE)
def test_networks_with_generators_agree_with_pandapower(tmp_path: Path, case: str) -> None:
    net = getattr(networks(), case)()
    compare(net, through_file(net, tmp_path))


def test_every_kind_of_holder_agrees_with_pandapower(tmp_path: Path) -> None:
    """Slack generator, generators at one bus, at the external grid, both kinds of direct-current line, a ward."""
    pp = pytest.importorskip("pandapower", reason="pandapower, the reference of this test, is not installed")
    net = networks().case14()
    net.gen.loc[0, "slack"] = True
    pp.create_gen(net, net.gen.bus[1], 5.0, vm_pu=net.gen.vm_pu[1], scaling=0.7)
    pp.create_gen(net, net.ext_grid.bus[0], 4.0, vm_pu=net.ext_grid.vm_pu[0])
    pp.create_gen(net, 12, 4.0, vm_pu=0.9, in_service=False)
    pp.create_dcline(net, 8, 9, 3.0, 2.0, 0.1, 1.03, 1.02)
    pp.create_dcline(net, 12, 10, -2.0, 2.0, 0.1, 1.01, 1.02)
    pp.create_xward(net, 11, 1.0, 0.5, 0.4, 0.3, 0.02, 0.1, 1.02)
    pp.create_xward(net, 13, 1.0, 0.5, 0.4, 0.3, 0.02, 0.1, 1.02, in_service=False)
    grid = through_file(net, tmp_path)
    assert (grid.network.source_names, len(grid.network.controlled_bus)) == (("ext_grid 0", "gen 0"), 8)
    compare(net, grid)


def mismatch_w(net: Any, grid: GridFile) -> float:
    """The largest power that our network and injections lack at a bus in pandapower's state, W."""
    network = grid.network
    v = np.zeros(network.bus_count, dtype=np.complex128)
    for index, row in net.res_bus.dropna().iterrows():
        v[grid.bus_index(f"bus {index}")] = row.vm_pu * np.exp(1j * np.deg2rad(row.va_degree))
    terminal, start, end = network.terminals(), network.branch_from, network.branch_to
    current = np.zeros(network.bus_count, dtype=np.complex128)
    np.add.at(current, start, terminal.yff * v[start] + terminal.yft * v[end])
    np.add.at(current, end, terminal.ytf * v[start] + terminal.ytt * v[end])
    np.add.at(current, network.shunt_bus, (network.shunt_g_pu + 1j * network.shunt_b_pu) * v[network.shunt_bus])
    lacking = 1e6 * v * np.conj(current) - grid.p_w - 1j * grid.q_var
    lacking[network.controlled_bus] = lacking[network.controlled_bus].real
    lacking[network.source_bus] = 0.0
    assert np.abs(v[network.controlled_bus]) == pytest.approx(network.controlled_v_pu, abs=1e-9)
    return float(np.abs(lacking).max())


@pytest.mark.parametrize("case", ["case300", "case1888rte", "case2869pegase", "GBnetwork"])
def test_a_state_of_pandapower_is_one_of_ours(tmp_path: Path, case: str) -> None:
    """Large networks, without any power flow of ours."""
    pp = pytest.importorskip("pandapower", reason="pandapower, the reference of this test, is not installed")
    net = getattr(networks(), case)()
    pp.runpp(net, calculate_voltage_angles=True, tolerance_mva=1e-8, max_iteration=50, init="dc")
    assert mismatch_w(net, through_file(net, tmp_path)) < 2.0


def document() -> dict[str, Any]:
    return small(
        gen=table(GEN, [1, 2.0, 1.02, -1.0, 1.5, 0.5, False, True]),
        xward=table(XWARD, [1, 0.2, 0.1, 0.4, 0.3, 1.0, 2.0, 1.01, True]),
        dcline=table(DCLINE, [1, 0, 1.0, 1.5, 0.1, 1.02, 1.01, -1, 1, -2, 2, True]),
    )


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 4000), length=st.integers(0, 8), piece=st.text(alphabet='[]{}",:\\-e0123nN', max_size=4))
def test_no_change_of_the_text_breaks_the_reader(tmp_path: Path, place: int, length: int, piece: str) -> None:
    text = json.dumps(document())
    place %= len(text)
    (tmp_path / "net.json").write_text(text[:place] + piece + text[place + length :], encoding="utf-8")
    with suppress(BadInput):
        assert open_grid("net.json", tmp_path).network.bus_count > 0


ODD: list[object] = [None, 0, -1, 1e200, 1e-200, 10**400, float("nan"), float("inf"), "x", True, [1], {}, [], 99_999]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(step=st.lists(st.integers(0, 60), min_size=2, max_size=6), value=st.sampled_from(ODD))
def test_no_value_at_any_depth_breaks_the_reader(tmp_path: Path, step: list[int], value: object) -> None:
    """Tables as objects rather than texts; one part, on whichever level, is replaced."""
    whole = document()
    for frame in whole["_object"].values():
        if isinstance(frame, dict):
            frame["_object"] = json.loads(frame["_object"])
    part: Any = whole["_object"]
    for turn in step:
        keys: list[Any] = list(part) if isinstance(part, dict) else list(range(len(part)))
        key = keys[turn % len(keys)]
        if turn == step[-1] or not isinstance(part[key], dict | list) or not part[key]:
            part[key] = value
            break
        part = part[key]
    with suppress(BadInput):
        assert opened(tmp_path, whole).network.bus_count > 0
