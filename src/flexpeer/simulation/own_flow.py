"""flexpeer's own power flow as an engine of `flexpeer bench grid`."""

import numpy as np

from flexpeer.grid.network import Floats, Integers, Network
from flexpeer.grid.powerflow import flow_model
from flexpeer.grid.survey import survey
from flexpeer.simulation.rivals import Solved, Solver


def prepare(network: Network, injected: Integers) -> Solver:
    """Factorise the network for injections at `injected`."""
    injecting = np.zeros(network.bus_count, dtype=np.bool_)
    injecting[injected] = True
    model = flow_model(network, injecting)

    def solve(p_w: Floats, q_var: Floats) -> Solved:
        found = survey(model, p_w, q_var)
        return Solved(found.v_pu, found.loading)

    return solve
