"""power-grid-model as a rival: one batch over all periods, on one thread, reading what was asked for and no more.

Branches go in as `generic_branch`, which is the pi section of `flexpeer.grid.network`; buses without injections
have no load. Its source needs an impedance: `SOURCE_VA` makes that too small to matter.
"""

from typing import Any

import numpy as np
import power_grid_model as pgm

from flexpeer.grid.network import S_BASE_VA, Floats, Integers, Network
from flexpeer.simulation.rivals import Solved, Solver

SOURCE_VA = 1e20
TOLERANCE_PU = 1e-8
ONE_THREAD = -1


def newton(network: Network, injected: Integers) -> Solver:
    """The engine with Newton-Raphson."""
    return _prepare(network, injected, pgm.CalculationMethod.newton_raphson)


def iterative_current(network: Network, injected: Integers) -> Solver:
    """The engine with its iteration on currents."""
    return _prepare(network, injected, pgm.CalculationMethod.iterative_current)


def _prepare(network: Network, injected: Integers, method: Any) -> Solver:
    model = pgm.PowerGridModel(_input(network, injected))
    ids = np.arange(len(injected)) + network.bus_count + network.branch_count
    output: Any = {"node": ["u_pu"], "generic_branch": ["i_from", "i_to"]}

    def solve(p_w: Floats, q_var: Floats) -> Solved:
        loads = {
            "id": np.broadcast_to(ids.astype(np.int32), (p_w.shape[1], len(ids))).copy(),
            "p_specified": np.ascontiguousarray(-p_w[injected].T),
            "q_specified": np.ascontiguousarray(-q_var[injected].T),
        }
        out: Any = model.calculate_power_flow(
            update_data={"sym_load": loads},
            calculation_method=method,
            error_tolerance=TOLERANCE_PU,
            threading=ONE_THREAD,
            output_component_types=output,
        )
        return Solved(out["node"]["u_pu"].T, (out["generic_branch"]["i_from"], out["generic_branch"]["i_to"]))

    return solve


def _input(network: Network, injected: Integers) -> dict[str, Any]:
    """The network as the library's arrays; ids run over buses, branches, loads, sources and shunts."""
    buses, branches, loads = network.bus_count, network.branch_count, len(injected)
    base_ohm = network.bus_v**2 / S_BASE_VA
    to_ohm, shunt_ohm = base_ohm[network.branch_to], base_ohm[network.shunt_bus]
    first = buses + branches + loads
    load = _table("sym_load", loads, buses + branches, node=injected, status=1, type=pgm.LoadGenType.const_power)
    load["p_specified"], load["q_specified"] = 0.0, 0.0
    source = _table("source", len(network.source_bus), first, node=network.source_bus, status=1, sk=SOURCE_VA)
    source["u_ref"], source["u_ref_angle"] = network.source_v_pu, network.source_angle_rad
    shunt = _table("shunt", len(network.shunt_bus), first + len(source), node=network.shunt_bus, status=1)
    shunt["g1"], shunt["b1"] = network.shunt_g_pu / shunt_ohm, network.shunt_b_pu / shunt_ohm
    shunt["g0"], shunt["b0"] = 0.0, 0.0
    branch = _table("generic_branch", branches, buses, from_status=network.in_service, to_status=network.in_service)
    branch["from_node"], branch["to_node"] = network.branch_from, network.branch_to
    branch["r1"], branch["x1"] = network.r_pu * to_ohm, network.x_pu * to_ohm
    branch["g1"], branch["b1"] = network.g_pu / to_ohm, network.b_pu / to_ohm
    branch["k"], branch["theta"], branch["sn"] = network.tap, network.shift_rad, S_BASE_VA
    node = _table("node", buses, 0, u_rated=network.bus_v)
    return {"node": node, "generic_branch": branch, "sym_load": load, "source": source, "shunt": shunt}


def _table(component: Any, size: int, first_id: int, **columns: Any) -> Any:
    table = pgm.initialize_array("input", component, size)
    table["id"] = np.arange(size) + first_id
    for column, values in columns.items():
        table[column] = values
    return table
