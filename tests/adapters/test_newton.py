import numpy as np
import pytest

from flexpeer.adapters.newton import NotConvergedError, name_and_version, newton_flow
from flexpeer.grid.assembly import BranchRow, BusRow, GridRows, ShuntRow, SourceRow, assemble
from flexpeer.grid.cigre import cigre_mv
from flexpeer.grid.network import S_BASE_VA, Complexes, Floats, Network
from flexpeer.grid.powerflow import solve


def admittance(network: Network) -> Complexes:
    """The bus admittance matrix by equation (1) of the network, entry by entry."""
    matrix = np.zeros((network.bus_count, network.bus_count), dtype=np.complex128)
    terms = network.terminals()
    for branch, (start, end) in enumerate(zip(network.branch_from, network.branch_to, strict=True)):
        matrix[start, start] += terms.yff[branch]
        matrix[start, end] += terms.yft[branch]
        matrix[end, start] += terms.ytf[branch]
        matrix[end, end] += terms.ytt[branch]
    for bus, g_pu, b_pu in zip(network.shunt_bus, network.shunt_g_pu, network.shunt_b_pu, strict=True):
        matrix[bus, bus] += g_pu + 1j * b_pu
    return matrix


def two_windings(seed: int) -> Network:
    random = np.random.default_rng(seed)
    transformer = BranchRow(
        "T", "transformer", "A", "B", 0.2, 2.0, random.uniform(0, 90), -random.uniform(0, 300),
        random.uniform(0.9, 1.1), random.uniform(-180, 180),
    )  # fmt: skip
    return assemble(
        GridRows(
            (BusRow("A", 110.0), BusRow("B", 20.0), BusRow("C", 20.0)),
            (transformer, BranchRow("L", "line", "B", "C", 0.4, 0.3, 9.0, 400.0)),
            (ShuntRow("C", 11.0, 800.0),),
            (SourceRow("S", "A", 1.02, 5.0),),
            (),
        )
    )


@pytest.mark.parametrize("seed", range(5))
def test_the_result_solves_the_network_s_own_equation(seed: int) -> None:
    network = two_windings(seed)
    p_w: Floats = np.array([[0.0], [1e6], [-3e6]])
    flow = newton_flow(network, p_w, p_w * 0.3)
    v = flow.v_pu[:, 0]
    s_va = v * np.conj(admittance(network) @ v) * S_BASE_VA
    assert np.abs(s_va[1:] - (p_w + 0.3j * p_w)[1:, 0]).max() < 1e-3
    assert abs(v[0] - 1.02 * np.exp(1j * np.radians(5))) < 1e-9
    assert flow.source_p_w[0, 0] == pytest.approx(s_va[0].real, abs=1e-3)
    assert flow.source_q_var[0, 0] == pytest.approx(s_va[0].imag, abs=1e-3)


def test_branch_ends_are_those_of_the_equation() -> None:
    network = two_windings(3)
    p_w: Floats = np.array([[0.0], [1e6], [-3e6]])
    flow = newton_flow(network, p_w, p_w * 0.3)
    terms, v = network.terminals(), flow.v_pu[:, 0]
    start, end = v[network.branch_from], v[network.branch_to]
    i_from, i_to = terms.yff * start + terms.yft * end, terms.ytf * start + terms.ytt * end
    base_a = network.bus_base_a()
    assert np.allclose(flow.current_from_a[:, 0], np.abs(i_from) * base_a[network.branch_from], rtol=1e-9)
    assert np.allclose(flow.current_to_a[:, 0], np.abs(i_to) * base_a[network.branch_to], rtol=1e-9)
    assert np.allclose(flow.p_from_w[:, 0], (start * np.conj(i_from)).real * S_BASE_VA, atol=1e-2)
    assert np.allclose(flow.p_to_w[:, 0], (end * np.conj(i_to)).real * S_BASE_VA, atol=1e-2)


def test_both_power_flows_agree_over_a_day_with_an_outage() -> None:
    grid = cigre_mv()
    factors = np.linspace(-1.0, 1.2, 12)
    p_w, q_var = np.outer(grid.p_w, factors), np.outer(grid.q_var, factors)
    closed = np.repeat(grid.network.in_service[:, None], 12, axis=1)
    tie, out = grid.network.branch_names.index("Line 14-8"), grid.network.branch_names.index("Line 13-14")
    closed[tie, 4:9], closed[out, 4:9] = True, False
    held = np.linspace(0.98, 1.05, 12).astype(np.complex128)[None, :]
    flow = newton_flow(grid.network, p_w, q_var, source_v=held, in_service=closed)
    assert np.abs(flow.v_pu[0] - held[0]).max() < 1e-9
    for mtu in range(12):
        network = Network(**{**vars(grid.network), "in_service": closed[:, mtu]})
        ours = solve(network, p_w[:, mtu], q_var[:, mtu], source_v=held[:, mtu : mtu + 1])
        assert np.abs(ours.v[:, 0] - flow.v_pu[:, mtu]).max() < 1e-8
    assert np.all(flow.current_from_a[out, 4:9] == 0)


def test_mtus_without_a_solution_are_named() -> None:
    grid = cigre_mv()
    p_w = np.outer(grid.p_w, [1.0, 40.0, 1.0, 50.0])
    with pytest.raises(NotConvergedError) as caught:
        newton_flow(grid.network, p_w, p_w * 0.2)
    assert caught.value.mtus == (1, 3)


def test_a_bus_that_is_not_fed_has_no_voltage() -> None:
    network = two_windings(1)
    p_w: Floats = np.array([[0.0], [1e6], [0.0]])
    flow = newton_flow(network, p_w, p_w * 0.0, in_service=np.array([True, False]))
    assert flow.v_pu[2, 0] == 0
    assert abs(flow.v_pu[1, 0]) > 0.8


def test_results_can_name_the_library() -> None:
    assert name_and_version().startswith("power-grid-model 1.")
