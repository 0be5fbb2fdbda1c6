"""Oracle: full Newton of power-grid-model on the same pi sections."""

from typing import Any

import numpy as np
import numpy.typing as npt
from power_grid_model import LoadGenType, PowerGridModel, initialize_array

from flexpeer.grid.network import Complexes, Floats, Network

Table = npt.NDArray[Any]


def newton(network: Network, p_w: Floats, q_var: Floats) -> tuple[Complexes, Complexes]:
    """Voltages (buses,) and source powers (sources,), W + j var, of one period, sources as the model has them."""
    model = PowerGridModel(_input(network, p_w, q_var), system_frequency=50.0)
    output = model.calculate_power_flow(error_tolerance=1e-12, max_iterations=50)
    node, source = output["node"], output["source"]
    v = node["u_pu"] * np.exp(1j * node["u_angle"])
    return np.asarray(v), np.asarray(source["p"] + 1j * source["q"])


def _input(network: Network, p_w: Floats, q_var: Floats) -> dict[str, Table]:
    buses, branches = network.bus_count, network.branch_count
    node = initialize_array("input", "node", buses)
    node["id"], node["u_rated"] = np.arange(buses), network.bus_v
    source = initialize_array("input", "source", len(network.source_bus))
    source["id"] = 10_000_000 + np.arange(len(source))
    source["node"], source["status"], source["u_ref"] = network.source_bus, 1, network.source_v_pu
    source["u_ref_angle"], source["sk"], source["rx_ratio"] = network.source_angle_rad, 1e15, 0.1
    load = initialize_array("input", "sym_gen", buses)
    load["id"], load["node"], load["status"] = 20_000_000 + np.arange(buses), np.arange(buses), 1
    load["type"], load["p_specified"], load["q_specified"] = LoadGenType.const_power, p_w, q_var
    return {
        "node": node,
        "source": source,
        "sym_gen": load,
        "generic_branch": _branches(network, branches),
        "shunt": _shunts(network),
    }


def _branches(network: Network, branches: int) -> Table:
    branch: Table = initialize_array("input", "generic_branch", branches)
    base_ohm = network.bus_v[network.branch_to] ** 2 / 1e6
    branch["id"] = 30_000_000 + np.arange(branches)
    branch["from_node"], branch["to_node"] = network.branch_from, network.branch_to
    branch["from_status"] = branch["to_status"] = network.in_service
    branch["r1"], branch["x1"] = network.r_pu * base_ohm, network.x_pu * base_ohm
    branch["g1"], branch["b1"] = network.g_pu / base_ohm, network.b_pu / base_ohm
    branch["k"], branch["theta"], branch["sn"] = network.tap, network.shift_rad, 1e6
    return branch


def _shunts(network: Network) -> Table:
    shunt: Table = initialize_array("input", "shunt", len(network.shunt_bus))
    base_ohm = network.bus_v[network.shunt_bus] ** 2 / 1e6
    shunt["id"], shunt["node"], shunt["status"] = 40_000_000 + np.arange(len(shunt)), network.shunt_bus, 1
    shunt["g1"], shunt["b1"] = network.shunt_g_pu / base_ohm, network.shunt_b_pu / base_ohm
    return shunt
