"""How exact the power flow is: `python -m benchmarks.accuracy`, which needs `make bench-deps`.

Every grid shipped with pandapower and ten SimBench codes, read by flexpeer's own reader: voltages against
power-grid-model's Newton-Raphson on the same network, with the reactive power that holds controlled voltages as a fixed
injection. Where that Newton has no solution from its flat start, our state is measured by what it leaves unbalanced.
Sensitivities of a voltage and a current by the adjoint against the transposed Newton matrix of the same state.
"""

import importlib
import inspect
import json
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from flexpeer.adapters.gridfiles import GridFile, open_grid
from flexpeer.adapters.gridfiles.grid_file import grid_file
from flexpeer.adapters.gridfiles.pandapower_json import read_pandapower
from flexpeer.adapters.newton import NotConvergedError, newton_flow
from flexpeer.errors import BadInput
from flexpeer.grid.network import Complexes, Floats, Network
from flexpeer.grid.newton import slope_one
from flexpeer.grid.powerflow import DayFlow, FlowModel, controlled_q_var, flow_model, per_unit, solve
from flexpeer.grid.sensitivity import Metric, Quantity, sensitivity

CODES = (
    "1-LV-rural1--0-sw",
    "1-LV-rural2--1-no_sw",
    "1-LV-semiurb4--1-sw",
    "1-LV-urban6--2-no_sw",
    "1-MV-rural--0-sw",
    "1-MV-semiurb--1-no_sw",
    "1-MV-urban--2-sw",
    "1-MV-comm--0-no_sw",
    "1-MVLV-rural-all-0-no_sw",
    "1-HV-mixed--0-no_sw",
)
MODULES = (
    "cigre_networks",
    "dickert_lv_networks",
    "kerber_networks",
    "kerber_extreme_networks",
    "power_system_test_cases",
    "mv_oberrhein",
    "ieee_europen_lv_asymmetric",
    "synthetic_voltage_control_lv_networks",
    "simple_pandapower_test_networks",
    "create_examples",
)
NOT_GRIDS = ("create_dickert_lv_feeders",)


class Checked(NamedTuple):
    """One grid, and how far it is from others' figures.

    `difference_pu`: the largest of a voltage from Newton's (None: it has none). `unbalanced`: the most power a node
    lacks, pu of 1 MVA. `slopes`: the largest difference of a sensitivity, relative to the largest (None where voltages
    are controlled, since the Newton matrix is what we use there).
    """

    name: str
    buses: int
    controlled: int
    difference_pu: float | None
    unbalanced: float
    slopes: float | None


def shipped() -> Iterator[tuple[str, Callable[[], Any]]]:
    """Every constructor of pandapower's networks that needs no argument."""
    networks = importlib.import_module("pandapower.networks")
    for name, make in sorted(inspect.getmembers(networks, inspect.isfunction)):
        module = make.__module__.rpartition(".")[2]
        needed = [p for p in inspect.signature(make).parameters.values() if p.default is p.empty and p.kind < 2]
        if module in MODULES and not name.startswith("_") and not needed and name not in NOT_GRIDS:
            yield name, make


def checked(name: str, grid: GridFile) -> Checked | None:
    """Compare one grid; None where our power flow has no state."""
    model = flow_model(grid.network)
    p_w, q_var = grid.p_w[:, None], grid.q_var[:, None]
    result = solve(model, p_w, q_var)
    if not result.converged.all():
        return None
    q_all = q_var.copy()
    np.add.at(q_all, grid.network.controlled_bus, controlled_q_var(model, result.v, q_var))
    v, s = result.v[:, 0], per_unit(p_w, q_all)[:, 0]
    left = np.abs(v * np.conj(np.asarray(model.newton.y @ v)) - s)
    left[grid.network.source_bus] = 0.0
    return Checked(
        name,
        grid.network.bus_count,
        len(grid.network.controlled_bus),
        _difference(grid.network, v, p_w, q_all),
        float(left.max()),
        None if len(grid.network.controlled_bus) else _slopes(model, p_w, q_var, v),
    )


def _difference(network: Network, v: Complexes, p_w: Floats, q_var: Floats) -> float | None:
    none = network.controlled_v_pu[:0]
    free = replace(
        network,
        controlled_bus=network.controlled_bus[:0],
        controlled_v_pu=none,
        controlled_q_min_var=none,
        controlled_q_max_var=none,
    )
    try:
        found = newton_flow(free, p_w, q_var).v_pu[:, 0]
    except NotConvergedError:
        return None
    return float(np.abs(found - v).max())


def _slopes(model: FlowModel, p_w: Floats, q_var: Floats, v: Complexes) -> float:
    """The adjoint's sensitivities beside those of the transposed Newton matrix: of the voltage of the last fed bus."""
    network = model.network
    bus = int(np.flatnonzero(np.abs(v) > 0)[-1])
    day = DayFlow(network, 1)
    found = sensitivity(day, day.solve(p_w, q_var), p_w, q_var, Metric(Quantity.BUS_VOLTAGE, bus))
    weight = np.zeros(network.bus_count, dtype=np.complex128)
    weight[bus] = np.conj(v[bus]) / abs(v[bus])
    slope = slope_one(model.newton, v, weight)
    ours = (found.per_w + 1j * found.per_var)[:, 0] * 1e6
    return float(np.abs(ours - slope).max() / (np.abs(slope).max() or 1.0))


def grids() -> Iterator[tuple[str, GridFile | BadInput]]:
    """Every grid, read; or why it was refused."""
    to_json = importlib.import_module("pandapower").to_json
    for name, make in shipped():
        made = make()
        for part, net in enumerate(made if isinstance(made, tuple | list) else (made,)):
            label = name if not isinstance(made, tuple | list) else f"{name} {part}"
            try:
                yield label, grid_file(read_pandapower(json.loads(to_json(net)), label), label)
            except BadInput as refused:
                yield label, refused
    for code in CODES:
        yield code, open_grid(f"simbench:{code}", Path())


def main() -> None:
    """Print a row for each grid, and the worst of all."""
    warnings.filterwarnings("ignore")
    rows = []
    print(f"{'grid':46} {'buses':>6} {'held':>5} {'difference':>11} {'unbalanced':>11} {'slopes':>9}")
    for name, grid in grids():
        if isinstance(grid, BadInput):
            print(f"{name:46} refused: {grid.findings[0]}")
            continue
        row = checked(name, grid)
        if row is None:
            print(f"{name:46} {grid.network.bus_count:6} no state")
            continue
        rows.append(row)
        difference, slopes = (f"{x:.1e}" if x is not None else "-" for x in (row.difference_pu, row.slopes))
        print(
            f"{name:46} {row.buses:6} {row.controlled:5} {difference:>11} {row.unbalanced:11.1e} {slopes:>9}",
            flush=True,
        )
    known = [row.difference_pu for row in rows if row.difference_pu is not None]
    print(f"{len(rows)} grids; {len(known)} compared, at most {max(known):.1e} pu apart;", end=" ")
    print(f"sensitivities at most {max(row.slopes for row in rows if row.slopes is not None):.1e} apart")


if __name__ == "__main__":
    main()
