"""flexpeer's own power flow as an engine of `flexpeer bench grid`."""

from flexpeer.grid.limits import limits_of, read
from flexpeer.grid.network import Floats, Integers, Network
from flexpeer.grid.powerflow import DayFlow
from flexpeer.simulation.rivals import Solved, Solver


def prepare(network: Network, _injected: Integers) -> Solver:
    """Factorise the network."""

    def solve(p_w: Floats, q_var: Floats) -> Solved:
        day = DayFlow(network, p_w.shape[1])
        readings = read(day, limits_of(network, day.periods), day.solve(p_w, q_var))
        return Solved(readings.v_pu, readings.loading)

    return solve
