"""pandapower as a rival: `run_timeseries` on its fast path, with numba.

The fast path keeps the admittance matrix, starts each period from the one before, stores voltages alone and
calculates branch results for a whole chunk at the end. It takes constant controls of loads, and lines and
transformers as branches: a pi section with a ratio is a transformer of model `pi` whose short-circuit voltage is its
impedance. Chunks bound the memory of those branch results.
"""

from typing import Any

import numpy as np
import pandas as pd
from pandapower import create
from pandapower.control import ConstControl
from pandapower.timeseries import DFData, OutputWriter, run_timeseries

from flexpeer.grid.network import S_BASE_VA, Floats, Integers, Network
from flexpeer.simulation.rivals import Solved, Solver, split

TOLERANCE_MVA = 1e-8
CHUNK = 1_464
LOGGED = [("res_bus", "vm_pu"), ("res_line", "loading_percent"), ("res_trafo", "loading_percent")]


def with_numba(network: Network, injected: Integers) -> Solver:
    """Pandapower's own Newton-Raphson."""
    return _prepare(network, injected, lightsim2grid=False)


def with_lightsim2grid(network: Network, injected: Integers) -> Solver:
    """Pandapower with lightsim2grid's Newton-Raphson inside, its fastest."""
    return _prepare(network, injected, lightsim2grid=True)


def _prepare(network: Network, injected: Integers, *, lightsim2grid: bool) -> Solver:
    net = pandapower_net(network, injected)
    logged = LOGGED if len(net.trafo) else LOGGED[:-1]

    def chunk(p_mw: Floats, q_mvar: Floats) -> dict[str, Any]:
        periods = range(len(p_mw))
        _follow(net, p_mw, q_mvar)
        writer = OutputWriter(net, periods, log_variables=list(logged))
        run_timeseries(
            net,
            periods,
            verbose=False,
            check_controllers=False,
            numba=True,
            lightsim2grid=lightsim2grid,
            trafo_model="pi",
            calculate_voltage_angles=True,
            tolerance_mva=TOLERANCE_MVA,
        )
        return dict(writer.output)

    def solve(p_w: Floats, q_var: Floats) -> Solved:
        p_mw, q_mvar = p_w[injected].T * -1e-6, q_var[injected].T * -1e-6
        parts = [chunk(p_mw[at : at + CHUNK], q_mvar[at : at + CHUNK]) for at in range(0, len(p_mw), CHUNK)]
        voltages, *branches = ([part[".".join(logs)].to_numpy() for part in parts] for logs in logged)
        return Solved(np.concatenate(voltages).T, branches)

    return solve


def _follow(net: Any, p_mw: Floats, q_mvar: Floats) -> None:
    """Let the loads take these powers, (periods, loads), one period after the other."""
    net.controller = net.controller.iloc[:0]
    loads = net.load.index.to_numpy()
    for variable, values in (("p_mw", p_mw), ("q_mvar", q_mvar)):
        source = DFData(pd.DataFrame(values))
        ConstControl(net, "load", variable, element_index=loads, data_source=source, profile_name=list(loads))


def pandapower_net(network: Network, injected: Integers) -> Any:
    """The network as pandapower's tables; loads in the order of `injected`."""
    net = create.create_empty_network(sn_mva=S_BASE_VA / 1e6)
    create.create_buses(net, network.bus_count, network.bus_v / 1e3)
    for bus, v_pu, angle_rad in zip(network.source_bus, network.source_v_pu, network.source_angle_rad, strict=True):
        create.create_ext_grid(net, bus, v_pu, va_degree=np.rad2deg(angle_rad))
    lines, units = split(network)
    _add_lines(net, network, lines)
    if len(units):
        _add_units(net, network, units)
    if len(network.shunt_bus):
        g_mw, b_mvar = network.shunt_g_pu * S_BASE_VA / 1e6, network.shunt_b_pu * S_BASE_VA / 1e6
        create.create_shunts(net, network.shunt_bus, -b_mvar, g_mw)
    create.create_loads(net, injected, 0.0, 0.0)
    return net


def _add_lines(net: Any, network: Network, lines: Integers) -> None:
    ohm = network.bus_v[network.branch_to[lines]] ** 2 / S_BASE_VA
    create.create_lines_from_parameters(
        net,
        network.branch_from[lines],
        network.branch_to[lines],
        1.0,
        network.r_pu[lines] * ohm,
        network.x_pu[lines] * ohm,
        network.b_pu[lines] / ohm / (2.0 * np.pi * net.f_hz) * 1e9,
        np.fmin(network.rating_from_a, network.rating_to_a)[lines] / 1e3,
        in_service=network.in_service[lines],
        g_us_per_km=network.g_pu[lines] / ohm * 1e6,
    )


def _add_units(net: Any, network: Network, units: Integers) -> None:
    upper_kv = network.bus_v[network.branch_from[units]] * network.tap[units] / 1e3
    rated_mva = np.sqrt(3.0) * upper_kv * network.rating_from_a[units] / 1e3
    sn_mva = np.where(np.isfinite(rated_mva), rated_mva, S_BASE_VA / 1e6)
    of_base = sn_mva / (S_BASE_VA / 1e6)
    r_pu, x_pu, g_pu, b_pu = (values[units] for values in (network.r_pu, network.x_pu, network.g_pu, network.b_pu))
    if (b_pu > 0.0).any() or (x_pu < 0.0).any():
        raise ValueError("pandapower's transformers are inductive")
    create.create_transformers_from_parameters(
        net,
        network.branch_from[units],
        network.branch_to[units],
        sn_mva,
        upper_kv,
        network.bus_v[network.branch_to[units]] / 1e3,
        100.0 * r_pu * of_base,
        100.0 * np.hypot(r_pu, x_pu) * of_base,
        g_pu * S_BASE_VA / 1e3,
        100.0 * np.hypot(g_pu, b_pu) / of_base,
        np.rad2deg(network.shift_rad[units]),
        in_service=network.in_service[units],
    )
