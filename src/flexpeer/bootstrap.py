"""Where the parts are put together: what each command of the program needs from the outside world."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec
import numpy as np

from flexpeer.adapters.folders import FRESH, new_folder, require_fresh
from flexpeer.adapters.gridfiles import GridFile, open_grid, write_flexpeer_json
from flexpeer.adapters.gridfiles.opening import built_in
from flexpeer.adapters.gridfiles.several_grids import joined, separated
from flexpeer.adapters.gridfiles.simbench_grid import simbench_day
from flexpeer.adapters.log_file import FileLog, decode_event
from flexpeer.adapters.newton import NotConvergedError, name_and_version, newton_flow
from flexpeer.adapters.organisation_files import write_organisations
from flexpeer.adapters.reading import bytes_of, reading
from flexpeer.adapters.results_files import write_results
from flexpeer.adapters.scenario_files import read_scenario, write_scenario
from flexpeer.adapters.scenario_files.grid_names import grid_source, unknown_names
from flexpeer.adapters.scenario_files.layouts import METER, ORDERS, Layout
from flexpeer.adapters.signed_heads import read_heads
from flexpeer.app.contribution import Contribution, SentGrid, with_contributions
from flexpeer.app.day import Day
from flexpeer.app.scenario import Scenario
from flexpeer.app.study.grid_day import GridInput, owners_of
from flexpeer.app.study.least_relief import needs_object
from flexpeer.app.study.verification import IndependentFlow
from flexpeer.app.views.outcome import DayOutcome
from flexpeer.app.views.own_day import own_days
from flexpeer.app.views.results import result_object
from flexpeer.errors import BadInput, Finding, bad_input
from flexpeer.grid.joining import BorderJoint
from flexpeer.grid.limits import Readings, limits_of, read
from flexpeer.grid.network import Complexes, Flags, Floats, Network
from flexpeer.grid.newton import same_sign, stretched
from flexpeer.grid.powerflow import DayFlow, FlowModel, FlowResult, FlowStatus, controlled_q_var
from flexpeer.market.machine import State, changing, evolve, settled, state_hash
from flexpeer.simulation.bench_grid import rows as grid_rows
from flexpeer.simulation.bench_market import rows as market_rows
from flexpeer.simulation.bench_screening import rows as screening_rows
from flexpeer.simulation.demo import demo_grid, demo_scenario
from flexpeer.simulation.rivals import rival_modules
from flexpeer.web.organisation import OrganisationPages
from flexpeer.web.report import render_report
from flexpeer.wire.chain import Damage, Seal, read_events
from flexpeer.wire.heads import contradictions

Bench = Callable[[str | None, Callable[[str], None]], list[dict[str, Any]]]
SIMBENCH = "simbench:"
LOG_NAME = "events.log"
SIMBENCH_DAY = date(2016, 1, 18)
SIMBENCH_CODE = "1-MVLV-rural-all-0-no_sw"


class NewtonVerifier:
    """power-grid-model's Newton-Raphson as the independent verifier."""

    def flow(self, network: Network, p_w: Floats, q_var: Floats, in_service: Flags) -> IndependentFlow:
        """The state of every MTU; `BadInput` where the library finds none."""
        try:
            found = newton_flow(network, p_w, q_var, in_service=in_service)
        except NotConvergedError as failure:
            problem = f"{name_and_version()}, the independent check, finds {failure}"
            raise bad_input("schedules", problem, "a grid that a start from nominal voltages solves") from failure
        return IndependentFlow(
            found.v_pu, found.current_from_a, found.current_to_a, found.p_from_w, found.p_to_w, found.source_p_w
        )

    def name(self) -> str:
        """Name and version of the library."""
        return name_and_version()


class StageWatch:
    """Stage times by the process clock; progress goes to a callback."""

    def __init__(self, on_progress: Callable[[int, int], None]) -> None:
        self._times: dict[str, float] = {}
        self._on_progress = on_progress

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage."""
        began = perf_counter()
        yield
        self._times[name] = round(perf_counter() - began, 4)

    def progress(self, done: int, total: int) -> None:
        """Tell how far the orders are."""
        self._on_progress(done, total)

    def timings_s(self) -> dict[str, float]:
        """Seconds of each stage that has ended."""
        return dict(self._times)


Show = Callable[[DayOutcome, dict[str, Any]], None]


def _shown_to_nobody(_outcome: DayOutcome, _result: dict[str, Any]) -> None:
    """For whoever takes the results from the folder."""


def run_folder(
    folder: Path,
    out: Path,
    on_progress: Callable[[int, int], None],
    scenario_copy: str | None = None,
    show: Show = _shown_to_nobody,
) -> tuple[DayOutcome, dict[str, Any]]:
    """`flexpeer run`: read a scenario folder, run it, and fill `out` only if all of it succeeded, `show` included.

    With `scenario_copy` the scenario itself is kept beside the results under that name.
    """
    require_fresh(out, f"{FRESH}, or --force to replace results")
    watch = StageWatch(on_progress)
    with watch.stage("reading"):
        scenario, opened = read_whole(folder)
        grid = grid_input(scenario, opened)
    with new_folder(out) as work:
        outcome, result = run_day(scenario, grid, work / LOG_NAME, watch)
        write_day(outcome, result, work, watch)
        if scenario_copy is not None:
            shutil.copytree(folder, work / scenario_copy)
        show(outcome, result)
    return outcome, result


def run_day(
    scenario: Scenario, grid: GridInput | None, log_file: Path, watch: StageWatch
) -> tuple[DayOutcome, dict[str, Any]]:
    """A market day from need to settlement, its log in a new file; what it came to, and the same as `result.json`."""
    with FileLog(log_file) as log:
        outcome = Day(scenario, log, watch, grid, NewtonVerifier()).run()
        head = log.seal(outcome.state_hash)
    return outcome, result_object(outcome, head)


def write_day(outcome: DayOutcome, result: dict[str, Any], folder: Path, watch: StageWatch) -> None:
    """All of a finished day's results but the log, into an existing folder; `result` gets its times and files."""
    with watch.stage("report"):
        report = render_report(outcome)
    with watch.stage("organisations"):
        result["organisations"] = write_own_days(outcome, folder)
    result["timings_s"] = watch.timings_s()
    write_results(outcome, result, report, folder)


def write_own_days(outcome: DayOutcome, folder: Path) -> list[dict[str, object]]:
    """A page and a table for each organisation, with nothing of anybody else; which files are whose."""
    day, pages = outcome.scenario.day, OrganisationPages(outcome)
    own = list(own_days(outcome))
    times = [day.local(mtu) for mtu in range(day.mtu_count + 1)]
    return write_organisations(own, (pages.render(each) for each in own), times, folder)


def read_whole(folder: Path, unread: Sequence[Layout] = ()) -> tuple[Scenario, GridFile | None]:
    """A scenario folder (less files `unread`) and its grid file; `BadInput` with the findings of both, all together.

    SimBench grids are loaded later, with the day's profiles.
    """
    findings: list[Finding] = []
    scenario = grid = None
    try:
        scenario = read_scenario(folder, unread)
    except BadInput as error:
        findings += error.findings
    source = grid_source(folder)
    try:
        if source is not None and not source.startswith(SIMBENCH):
            grid = open_grid(source, folder)
            findings += [f for f in _unknown_in(folder, grid) if f not in findings]
    except BadInput as error:
        findings += [f for f in error.findings if f not in findings]
    if scenario is None or findings:
        raise BadInput(findings)
    return scenario, grid


def _unknown_in(folder: Path, grid: GridFile) -> list[Finding]:
    return unknown_names(
        folder,
        lambda name: grid.bus_index(name) is not None,
        lambda name: grid.branch_index(name) is not None,
        lambda name: name in grid.network.source_names,
    )


def run_demo(out: Path, on_progress: Callable[[int, int], None], show: Show) -> tuple[DayOutcome, dict[str, Any]]:
    """`flexpeer demo`: write the built-in scenario to `out/scenario` and run it like any other."""
    require_fresh(out)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "scenario"
        write_demo(folder)
        return run_folder(folder, out, on_progress, "scenario", show)


def write_demo(folder: Path) -> None:
    """The built-in scenario as a folder."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        grid_file = Path(scratch) / "grid.json"
        write_flexpeer_json(built_in(demo_grid()), grid_file)
        write_scenario(demo_scenario(), folder, grid_file)


def grid_file(scenario: Scenario, opened: GridFile | None) -> GridFile | None:
    """The grid file opened before, or SimBench's with the day's profiles; None without `[grid]`."""
    source = scenario.grid_source
    if opened is not None or source is None:
        return opened
    return simbench_day(source.removeprefix(SIMBENCH), scenario.day.delivery_day, scenario.day.timezone)


def grid_input(scenario: Scenario, opened: GridFile | None) -> GridInput | None:
    """The grid a day runs on; None without `[grid]`."""
    file = grid_file(scenario, opened)
    return None if file is None else _input(file, *_per_mtu(file, scenario))


def own_grid(file: GridFile) -> GridInput:
    """A grid whose injections are all in forecasts."""
    return _input(file, None, None)


def contributed(
    scenario: Scenario, opened: GridFile | None, said: Mapping[str, Contribution]
) -> tuple[Scenario, GridInput | None]:
    """A scenario and its grid with what DSOs have said in their place; `BadInput` with all findings of their files."""
    sent = {dso: each.grid for dso, each in said.items() if each.grid is not None}
    if sent and opened is not None:
        opened = _with_grids(opened, owners_of(scenario, own_grid(opened)), sent)
        scenario = msgspec.structs.replace(scenario, areas={})
    elif sent:
        raise bad_input("grid", "this market's grid is none that DSOs can replace", "a market made from a grid file")
    return with_contributions(scenario, said), grid_input(scenario, opened)


def _with_grids(whole: GridFile, owners: tuple[str, ...], sent: Mapping[str, SentGrid]) -> GridFile:
    parts = separated(whole, owners)
    findings: list[Finding] = []
    for dso, grid in sorted(sent.items()):
        try:
            file = _opened_from(grid)
        except BadInput as error:
            findings += error.findings
            continue
        parts[dso] = file, [BorderJoint(border.bus, border.dso, border.their_bus) for border in grid.borders]
    if findings:
        raise BadInput(findings)
    return joined({dso: file for dso, (file, _) in parts.items()}, {dso: joints for dso, (_, joints) in parts.items()})


def _opened_from(sent: SentGrid) -> GridFile:
    with tempfile.TemporaryDirectory() as scratch:
        if sent.file.lower().endswith(".toml"):
            raise bad_input(sent.file, "names grids of several DSOs", "the file of one's own grid")
        if sent.file.lower().endswith(".dss"):
            expected = "grid.json of the folder that flexpeer init makes of it"
            raise bad_input(sent.file, "is a script, and nobody else's scripts are run here", expected)
        (Path(scratch) / sent.file).write_bytes(sent.content)
        return open_grid(sent.file, Path(scratch))


def _input(grid: GridFile, p_w: Floats | None, q_var: Floats | None) -> GridInput:
    own = () if p_w is not None else np.flatnonzero((grid.p_w != 0.0) | (grid.q_var != 0.0))
    buses = tuple(grid.network.bus_names[bus] for bus in own)
    return GridInput(
        grid.network, grid.bus_index, grid.branch_index, p_w, q_var, buses, grid.areas, grid.findings, grid.owners
    )


def _per_mtu(grid: GridFile, scenario: Scenario) -> tuple[Floats | None, Floats | None]:
    """Quarter-hour profiles as means over the scenario's MTUs."""
    if grid.profile_p_w is None or grid.profile_q_var is None:
        return None, None
    step = scenario.day.mtu_minutes // 15
    shape = (grid.network.bus_count, scenario.day.mtu_count, step)
    p_w, q_var = (rows.reshape(shape).mean(axis=2) for rows in (grid.profile_p_w, grid.profile_q_var))
    return np.ascontiguousarray(p_w), np.ascontiguousarray(q_var)


def audit(log: Path, head: Path | None = None) -> tuple[int, Seal | None, list[Damage]]:
    """`flexpeer audit verify`: how many events a log has, its seal, and every damage; also against a file of heads."""
    heads = () if head is None else read_heads(head)
    lines = _lines(log)
    events, seal, damages = read_events(lines)
    return len(events), seal, [*damages, *contradictions(lines, heads)]


NO_EVENT = (
    msgspec.MsgspecError,
    LookupError,
    ValueError,
    ArithmeticError,
    RecursionError,
    TypeError,
    AttributeError,
    AssertionError,
)
"""What a record under a good hash leads to that the market did not write."""


def replay(log: Path) -> State:
    """`flexpeer replay`: the state a whole log leads to; `BadInput` for a damaged one."""
    events, seal, damages = read_events(_lines(log))
    if damages or seal is None:
        raise BadInput(Finding(str(log), d.line, "", d.problem, "a whole, sealed log") for d in damages)
    state = changing(State())
    for number, content in enumerate(events, 1):
        try:
            state = evolve(state, decode_event(content))
        except NO_EVENT as error:
            problem = f"is no event that can follow those before it ({error})"
            raise bad_input(str(log), problem, "a log that the market wrote", line=number) from error
    state = settled(state)
    if state_hash(state) != seal.state_hash:
        raise bad_input(str(log), "replaying leads to another state than the log was sealed with", seal.state_hash)
    return state


def _lines(log: Path) -> list[bytes]:
    with reading(str(log), "an event log"):
        return bytes_of(log).splitlines(keepends=True)


def check_grid(source: str) -> dict[str, Any]:
    """`flexpeer grid check`: what was read, what is odd, and the power flow of the file's own injections."""
    return {"source": source, **summary_of(open_source(source))}


def open_source(source: str) -> GridFile:
    """The grid of a path from the working folder, or of a grid's name."""
    path = Path(source)
    if source.startswith(SIMBENCH):
        return simbench_day(source.removeprefix(SIMBENCH), SIMBENCH_DAY)
    return open_grid(path.name, path.parent) if path.exists() else open_grid(source, Path())


def summary_of(grid: GridFile) -> dict[str, Any]:
    """Lowest voltage, highest loading and losses of a grid with its own injections."""
    return measured(grid)[0]


def measured(grid: GridFile) -> tuple[dict[str, Any], Readings | None]:
    """The same, and all voltages and loadings of that one period; None without a state."""
    network = grid.network
    day = DayFlow(network, 1)
    result = day.solve(grid.p_w[:, None], grid.q_var[:, None])
    summary: dict[str, Any] = {
        "buses": network.bus_count,
        "branches": network.branch_count,
        "converged": bool(result.converged.all()),
        **dict.fromkeys(
            ("min_voltage_pu", "min_voltage_bus", "max_loading_percent", "max_loading_element", "losses_w")
        ),
        "findings": [str(finding) for finding in grid.findings],
    }
    if not summary["converged"]:
        summary["findings"] += _no_state(day, grid, result)
        return summary, None
    readings = read(day, limits_of(network, 1), result)
    v_pu, loading = readings.v_pu[:, 0], readings.loading[:, 0]
    lowest = int(np.argmin(np.where(v_pu > 0.0, v_pu, np.inf)))
    summary |= {"min_voltage_pu": float(v_pu[lowest]), "min_voltage_bus": network.bus_names[lowest]}
    if np.isfinite(loading).any():
        worst = int(np.nanargmax(loading))
        summary |= {
            "max_loading_percent": 100.0 * float(loading[worst]),
            "max_loading_element": network.branch_names[worst],
        }
    summary["losses_w"] = float(day.losses_w(result.v)[0])
    summary["findings"] += _doubts(network, day.models[0], result.v[:, 0])
    summary["findings"] += _beyond_reactive_range(network, day.models[0], result.v, grid.q_var)
    return summary, readings


def _no_state(day: DayFlow, grid: GridFile, result: FlowResult) -> list[str]:
    """Where the power flow fails."""
    if result.status[0] == FlowStatus.ISLANDED:
        return []
    worst = day.worst_buses(0, grid.p_w[:, None], grid.q_var[:, None])
    ends = ", ".join(map(str, worst)) or "no bus"
    return [f"the power flow finds no state; its calculation ends at {ends}; expected injections the grid can carry"]


def _doubts(network: Network, model: FlowModel, v: Complexes) -> list[str]:
    """What speaks against a state being the one with the high voltages, which the grid would be operated at."""
    doubts = [
        f"{network.branch_names[branch]}: its ends are more than 90 degrees apart; expected less, as in a stable state"
        for branch in stretched(network, v)
    ]
    if len(network.controlled_bus) and not same_sign(model.newton, v):
        problem = "the state that was found may be one of low voltages: its determinant has the other sign than without"
        doubts.append(f"{problem} load; expected the state with the high voltages")
    return doubts


def grid_needs(folder: Path, only_conditional: bool) -> dict[str, Any]:
    """`flexpeer grid needs`: points and needs of a scenario's forecast, and the least moves that relieve them."""
    scenario, opened = read_whole(folder, (ORDERS, METER))
    return needs_of(scenario, grid_input(scenario, opened), only_conditional)


def needs_of(scenario: Scenario, grid: GridInput | None, only_conditional: bool) -> dict[str, Any]:
    """The same of a scenario that was read."""
    if grid is None:
        raise bad_input("scenario.toml", "there is no [grid]", "a scenario with a grid", field="grid")
    return needs_object(scenario, grid, only_conditional)


def _beyond_reactive_range(network: Network, model: FlowModel, v: Complexes, q_var: Floats) -> list[str]:
    """Buses whose generators would need more reactive power to hold the voltage than they have.

    What else injects or draws there is not theirs.
    """
    held = controlled_q_var(model, v, q_var[:, None])[:, 0]
    low, high = network.controlled_q_min_var, network.controlled_q_max_var
    slack = 1.0 + 1e-6 * np.abs(held)
    return [
        f"{network.bus_names[network.controlled_bus[i]]}: holds its voltage with {held[i] / 1e6:.3f} Mvar; "
        f"expected {low[i] / 1e6:g} to {high[i] / 1e6:g} Mvar"
        for i in np.flatnonzero((held < low - slack) | (held > high + slack))
    ]


def bench(
    name: str, case: str | None, tell: Callable[[str], None], others: Mapping[str, Bench]
) -> tuple[list[dict[str, Any]], list[str]]:
    """`flexpeer bench`: rows of one benchmark, one of `others` too, and the rivals that are not installed."""
    benches = {**BENCHES, **others}
    if name not in benches:
        raise bad_input("bench", f"unknown benchmark {name!r}", ", ".join(sorted(benches)))
    missing = [module for module in BENCH_MODULES.get(name, ()) if find_spec(module) is None]
    return benches[name](case, tell), missing


def _grid_rows(case: str | None, tell: Callable[[str], None]) -> list[dict[str, Any]]:
    screening = case is not None and "screening" in case
    rows = [] if screening else grid_rows(_simbench_case if find_spec("simbench") else None, tell, case)
    if screening or case is None:
        tell("screening: flexpeer, and power-grid-model's Newton on every verdict")
        rows += screening_rows(_newton_state, case)
    return rows


def _simbench_case() -> tuple[Network, Floats, Floats]:
    """A grid of medium and low voltage with a day of its own profiles."""
    grid = simbench_day(SIMBENCH_CODE, SIMBENCH_DAY)
    assert grid.profile_p_w is not None
    assert grid.profile_q_var is not None
    return grid.network, grid.profile_p_w, grid.profile_q_var


def _newton_state(network: Network, p_w: Floats, q_var: Floats) -> tuple[Complexes, Floats, Floats]:
    """Voltages and loadings (fraction of the rating, worse end), and the sources' power, by full Newton."""
    found = newton_flow(network, p_w, q_var)
    at_from = found.current_from_a / network.rating_from_a[:, None]
    return found.v_pu, np.fmax(at_from, found.current_to_a / network.rating_to_a[:, None]), found.source_p_w


BENCHES: dict[str, Bench] = {
    "grid": _grid_rows,
    "market": lambda case, tell: market_rows(FileLog, case, tell),
    "screening": lambda case, _tell: screening_rows(_newton_state, case),
}
BENCH_MODULES = {"clearing": ("clarabel", "piqp"), "grid": (*rival_modules(), "simbench")}
