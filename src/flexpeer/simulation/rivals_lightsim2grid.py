"""lightsim2grid as a rival: its time series in C++ over a grid built from the same per-unit values.

Each period starts from the one before. The linear solver is KLU where the installed build has it, and a period keeps
the Jacobian it began with (`CHORD`): more iterations, but a sixth less time on our grids. Branch results are the
currents at the `from` end, which is what its time series give.
"""

import numpy as np
from lightsim2grid.algorithm import AlgorithmType
from lightsim2grid.lightsim2grid_cpp import LSGrid
from lightsim2grid.timeSerie import TimeSeriesCPP

from flexpeer.grid.network import S_BASE_VA, Floats, Integers, Network
from flexpeer.simulation.rivals import Solved, Solver, split

TOLERANCE_PU = 1e-8
ITERATIONS = 50
CHORD = 2


def prepare(network: Network, injected: Integers) -> Solver:
    """Build the grid and a time series on it."""
    grid = _grid(network, injected)
    series = TimeSeriesCPP(grid)
    if AlgorithmType.NR_KLU in series.available_default_algorithms():
        series.change_algorithm(AlgorithmType.NR_KLU)
    _keep_jacobian(series)
    flat = np.full(network.bus_count, network.source_v_pu[0], dtype=np.complex128)
    start = grid.dc_pf(flat, ITERATIONS, TOLERANCE_PU)

    def solve(p_w: Floats, q_var: Floats) -> Solved:
        if len(series.converged_mask()) not in (0, p_w.shape[1]):
            series.clear()
        series.modify_load_p(np.ascontiguousarray(p_w[injected].T) * -1e-6)
        series.modify_load_q(np.ascontiguousarray(q_var[injected].T) * -1e-6)
        series.compute(start, ITERATIONS, TOLERANCE_PU)
        series.compute_flows()
        if series.nb_converged() != p_w.shape[1]:
            raise ArithmeticError("lightsim2grid did not converge")
        return Solved(np.abs(series.get_voltages()).T, series.get_flows())

    return solve


def _keep_jacobian(series: TimeSeriesCPP) -> None:
    config = series.get_algo_config()
    scaling, _refactoring, *rest = config.int_params
    config.int_params = [scaling, CHORD, *rest]
    series.set_algo_config(config)


def _grid(network: Network, injected: Integers) -> LSGrid:
    lines, units = split(network)
    ends = network.branch_from.astype(np.int32), network.branch_to.astype(np.int32)
    charging = network.g_pu + 1j * network.b_pu
    grid = LSGrid()
    grid.set_sn_mva(S_BASE_VA / 1e6)
    grid.init_bus(network.bus_count, 1, network.bus_v / 1e3, len(lines), len(units))
    half = charging[lines] / 2.0
    grid.init_powerlines_full(network.r_pu[lines], network.x_pu[lines], half, half, ends[0][lines], ends[1][lines])
    grid.init_shunt(
        network.shunt_g_pu * S_BASE_VA / 1e6,
        -network.shunt_b_pu * S_BASE_VA / 1e6,
        network.shunt_bus.astype(np.int32),
    )
    grid.init_trafo(
        network.r_pu[units],
        network.x_pu[units],
        charging[units],
        network.tap[units],
        np.rad2deg(network.shift_rad[units]),
        [True] * len(units),
        ends[0][units],
        ends[1][units],
        True,
    )
    for place in np.flatnonzero(~network.in_service[lines]):
        grid.deactivate_powerline(int(place))
    for place in np.flatnonzero(~network.in_service[units]):
        grid.deactivate_trafo(int(place))
    grid.init_loads(np.zeros(len(injected)), np.zeros(len(injected)), injected.astype(np.int32))
    _hold_source(grid, network)
    return grid


def _hold_source(grid: LSGrid, network: Network) -> None:
    (bus,), (v_pu,) = network.source_bus.astype(np.int32), network.source_v_pu
    far = np.array([1e9])
    grid.init_generators(np.zeros(1), np.array([v_pu]), -far, far, np.array([bus], dtype=np.int32))
    grid.add_gen_slackbus(0, 1.0)
