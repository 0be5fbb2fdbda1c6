"""The engines that `flexpeer bench grid` compares, and the form in which each solves a day.

An engine is prepared with a network and the buses that have injections, and then solves any number of periods. Each
rival is in a module of its own, imported by the process that measures it and by nothing else.
"""

from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pkgutil import resolve_name
from typing import Any, NamedTuple

from flexpeer.grid.network import Floats, Integers, Network


class Solved(NamedTuple):
    """Voltage magnitudes per unit (buses, periods), and the engine's own measure of branches (branches, periods).

    That measure is what the engine gives at full speed: loadings, or currents at one end or both.
    """

    v_pu: Floats
    branches: Any


Solver = Callable[[Floats, Floats], Solved]
"""From injections in W and var, (buses, periods)."""


class RivalEngine(NamedTuple):
    """Where an engine's `prepare` is, and the modules and distribution it needs."""

    prepare: str
    modules: tuple[str, ...]
    distribution: str

    def load(self) -> Callable[[Network, Integers], Solver]:
        """Import the engine: from a network and the buses that may have injections to a solver."""
        loaded: Callable[[Network, Integers], Solver] = resolve_name(f"flexpeer.simulation.{self.prepare}")
        return loaded

    def installed(self) -> bool:
        """Whether the engine can run here."""
        return all(find_spec(module) is not None for module in self.modules)

    def version(self) -> str:
        """Version of the engine's distribution."""
        return version(self.distribution)


OURS = "flexpeer"
ENGINES = {
    OURS: RivalEngine("own_flow:prepare", (), "flexpeer"),
    "power-grid-model, Newton": RivalEngine("rivals_power_grid_model:newton", (), "power-grid-model"),
    "power-grid-model, iterative current": RivalEngine(
        "rivals_power_grid_model:iterative_current", (), "power-grid-model"
    ),
    "lightsim2grid": RivalEngine("rivals_lightsim2grid:prepare", ("lightsim2grid",), "lightsim2grid"),
    "pandapower, numba": RivalEngine("rivals_pandapower:with_numba", ("pandapower",), "pandapower"),
    "pandapower, lightsim2grid": RivalEngine(
        "rivals_pandapower:with_lightsim2grid", ("pandapower", "lightsim2grid"), "pandapower"
    ),
}


def rival_modules() -> tuple[str, ...]:
    """Modules that some engine needs and flexpeer does not."""
    return tuple(dict.fromkeys(module for engine in ENGINES.values() for module in engine.modules))


def split(network: Network) -> tuple[Integers, Integers]:
    """Branches that are lines to any program (one voltage level, no ratio, no shift), and the others."""
    from_v, to_v = network.bus_v[network.branch_from], network.bus_v[network.branch_to]
    plain = (network.tap == 1.0) & (network.shift_rad == 0.0) & (from_v == to_v)
    return plain.nonzero()[0], (~plain).nonzero()[0]
