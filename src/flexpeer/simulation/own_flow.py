"""flexpeer's own power flow as an engine of `flexpeer bench grid`."""

from flexpeer.grid.network import Floats, Integers, Network
from flexpeer.grid.powerflow import flow_model
from flexpeer.grid.survey import survey
from flexpeer.simulation.rivals import Solved, Solver


def prepare(network: Network, _injected: Integers) -> Solver:
    """Factorise the network."""
    model = flow_model(network)

    def solve(p_w: Floats, q_var: Floats) -> Solved:
        found = survey(model, p_w, q_var)
        return Solved(found.v_pu, found.loading)

    return solve
