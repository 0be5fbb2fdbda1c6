"""The independent power flow: power-grid-model's Newton-Raphson on the same network data.

It shares no code with `flexpeer.grid.powerflow`: branches go to the library as `generic_branch` in ohm
and siemens, injections as constant-power loads, and every quantity comes back in SI units. The library
wants sources with an impedance; `SOURCE_VA` makes it so small that a source holds its voltage to 1e-12
at 10 MVA.
"""

from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt
import power_grid_model as pgm
from power_grid_model.errors import PowerGridError

from flexpeer.grid.network import S_BASE_VA, Complexes, Flags, Floats, Network

SOURCE_VA = 1e20
TOLERANCE_PU = 1e-11
MAX_ITERATIONS = 50


class NotConvergedError(Exception):
    """Newton-Raphson found no solution in the MTUs `mtus`, or an MTU's network is not solvable."""

    def __init__(self, mtus: tuple[int, ...]) -> None:
        self.mtus = mtus
        super().__init__(f"no power flow in MTU {', '.join(map(str, mtus))}")


@dataclass(frozen=True)
class NewtonFlow:
    """The state of every MTU.

    Voltages are per unit (buses, periods); currents in A and powers in W flow into the branch at each
    end, (branches, periods); sources deliver W and var, (sources, periods).
    """

    v_pu: Complexes
    current_from_a: Floats
    current_to_a: Floats
    p_from_w: Floats
    p_to_w: Floats
    source_p_w: Floats
    source_q_var: Floats


def newton_flow(
    network: Network,
    p_w: Floats,
    q_var: Floats,
    *,
    source_v: Complexes | None = None,
    in_service: Flags | None = None,
) -> NewtonFlow:
    """The power flow of every MTU.

    `p_w`, `q_var` (buses, periods), injection positive; `source_v` per unit and `in_service` are
    (sources,) and (branches,) or have one column per MTU, and default to the network's. MTUs of one topology
    are one batch. Buses that no source reaches get the voltage 0. Raises `NotConvergedError`.
    """
    periods = p_w.shape[1]
    held = network.source_v_pu * np.exp(1j * network.source_angle_rad) if source_v is None else source_v
    closed = network.in_service if in_service is None else in_service
    held, closed = _columns(held, periods), _columns(closed, periods)
    topologies, topology_of = np.unique(closed, axis=1, return_inverse=True)
    parts: list[tuple[npt.NDArray[np.int64], NewtonFlow]] = []
    failed: list[int] = []
    for position in range(topologies.shape[1]):
        mtus = np.flatnonzero(topology_of.reshape(-1) == position)
        injections = -np.stack([p_w[:, mtus], q_var[:, mtus]])
        try:
            parts.append((mtus, _batch(network, topologies[:, position], injections, held[:, mtus])))
        except NotConvergedError as failure:
            failed.extend(int(mtus[place]) for place in failure.mtus)
    if failed:
        raise NotConvergedError(tuple(sorted(failed)))
    return _joined(parts)


def name_and_version() -> str:
    """The library that does the calculation, as results cite it."""
    return f"power-grid-model {version('power-grid-model')}"


def _columns(values: Any, periods: int) -> Any:
    return values if values.ndim == 2 else np.repeat(values[:, None], periods, axis=1)


def _joined(parts: list[tuple[npt.NDArray[np.int64], NewtonFlow]]) -> NewtonFlow:
    order = np.argsort(np.concatenate([mtus for mtus, _ in parts]))
    fields = NewtonFlow.__dataclass_fields__
    whole = {name: np.concatenate([getattr(flow, name) for _, flow in parts], axis=1)[:, order] for name in fields}
    return NewtonFlow(**whole)


def _batch(network: Network, closed: Flags, withdrawals: Floats, held: Complexes) -> NewtonFlow:
    """All MTUs of one topology; `withdrawals` is (2, buses, periods)."""
    loads = pgm.initialize_array("update", "sym_load", withdrawals.shape[:0:-1])
    first = network.bus_count + network.branch_count
    loads["id"] = np.arange(network.bus_count) + first
    loads["p_specified"], loads["q_specified"] = withdrawals[0].T, withdrawals[1].T
    sources = pgm.initialize_array("update", "source", held.shape[::-1])
    sources["id"] = np.arange(held.shape[0]) + first + network.bus_count
    sources["u_ref"], sources["u_ref_angle"] = np.abs(held).T, np.angle(held).T
    try:
        model = pgm.PowerGridModel(_input(network, closed))
        out: Any = model.calculate_power_flow(
            update_data={"sym_load": loads, "source": sources},
            calculation_method=pgm.CalculationMethod.newton_raphson,
            error_tolerance=TOLERANCE_PU,
            max_iterations=MAX_ITERATIONS,
            output_component_types=["node", "generic_branch", "shunt"],
        )
    except PowerGridError as failure:
        scenarios = getattr(failure, "failed_scenarios", None)
        every = range(withdrawals.shape[2]) if scenarios is None else scenarios
        raise NotConvergedError(tuple(int(scenario) for scenario in every)) from failure
    return _flow(network, out, withdrawals)


def _flow(network: Network, out: Any, withdrawals: Floats) -> NewtonFlow:
    node, branch = out["node"], out["generic_branch"]
    source_p_w, source_q_var = (
        _source_power(network, out, power, withdrawals[place])[network.source_bus] for place, power in enumerate("pq")
    )
    return NewtonFlow(
        v_pu=np.asarray(node["u_pu"] * np.exp(1j * node["u_angle"])).T,
        current_from_a=branch["i_from"].T,
        current_to_a=branch["i_to"].T,
        p_from_w=branch["p_from"].T,
        p_to_w=branch["p_to"].T,
        source_p_w=source_p_w,
        source_q_var=source_q_var,
    )


def _source_power(network: Network, out: Any, power: str, withdrawals: Floats) -> Floats:
    """What leaves each bus, (buses, periods): at a source's bus, what the source delivers.

    Kirchhoff's sum is exact where the drop over the source's tiny impedance is rounding error.
    """
    leaving = withdrawals.copy()
    np.add.at(leaving, network.branch_from, out["generic_branch"][f"{power}_from"].T)
    np.add.at(leaving, network.branch_to, out["generic_branch"][f"{power}_to"].T)
    if len(network.shunt_bus):
        np.add.at(leaving, network.shunt_bus, out["shunt"][power].T)
    return leaving


def _input(network: Network, closed: Flags) -> dict[str, Any]:
    """The network as the library's arrays; ids run over buses, branches, loads, sources and shunts."""
    buses, branches, sources = network.bus_count, network.branch_count, len(network.source_bus)
    base_ohm = network.bus_v**2 / S_BASE_VA
    node = _array("node", buses, 0, u_rated=network.bus_v)
    to_ohm = base_ohm[network.branch_to]
    branch = _array(
        "generic_branch",
        branches,
        buses,
        from_node=network.branch_from,
        to_node=network.branch_to,
        from_status=closed,
        to_status=closed,
        r1=network.r_pu * to_ohm,
        x1=network.x_pu * to_ohm,
        g1=network.g_pu / to_ohm,
        b1=network.b_pu / to_ohm,
        k=network.tap,
        theta=network.shift_rad,
        sn=S_BASE_VA,
    )
    load = _array(
        "sym_load", buses, buses + branches, node=np.arange(buses), status=1, type=pgm.LoadGenType.const_power
    )
    load["p_specified"], load["q_specified"] = 0.0, 0.0
    first = 2 * buses + branches
    source = _array(
        "source", sources, first, node=network.source_bus, status=1, u_ref=network.source_v_pu, sk=SOURCE_VA
    )
    shunt_ohm = base_ohm[network.shunt_bus]
    g_s, b_s = network.shunt_g_pu / shunt_ohm, network.shunt_b_pu / shunt_ohm
    there = replace(network, in_service=closed).shunts() != 0
    shunt = _array(
        "shunt", len(g_s), first + sources, node=network.shunt_bus, status=there, g1=g_s, b1=b_s, g0=0.0, b0=0.0
    )
    return {"node": node, "generic_branch": branch, "sym_load": load, "source": source, "shunt": shunt}


def _array(component: str, size: int, first_id: int, **columns: Any) -> Any:
    array = pgm.initialize_array("input", component, size)
    array["id"] = np.arange(size) + first_id
    for column, values in columns.items():
        array[column] = values
    return array
