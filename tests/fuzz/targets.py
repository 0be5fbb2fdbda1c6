"""What is fuzzed: valid inputs as files by name, how each file is changed, and what reads them."""

import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tests.adapters import cim_documents
from tests.adapters.scenario_folder import folder_of, swap_hour
from tests.adapters.spreadsheets import Rows, rows_of, workbook
from tests.adapters.test_gridfile_csv import example
from tests.adapters.test_gridfile_csv import write as write_csv
from tests.adapters.test_gridfile_matpower import MESHED, case33bw
from tests.adapters.test_gridfile_pandapower import small as pandapower
from tests.app.grid_days import SMALL_UNITS, small_day
from tests.app.split_days import node_of, nominal_state
from tests.app.test_grid_day_trades import random_orders, three_levels, with_orders
from tests.docs.pages import DOCS
from tests.fuzz import mutations as m

from flexpeer.adapters.day_share_files import PromisesFile, read_operator
from flexpeer.adapters.ed25519 import read_keys
from flexpeer.adapters.scenario_files import read_scenario
from flexpeer.adapters.scenario_files.sent_sheets import TABLES as SENT
from flexpeer.adapters.scenario_files.sent_sheets import sent_csv
from flexpeer.app.between.letters import MARKET_OPERATOR
from flexpeer.app.day_split import day_digest
from flexpeer.bootstrap import LOG_NAME, audit, check_grid, replay, run_folder
from flexpeer.clearing.problem import ClearingProblem
from flexpeer.day_nodes import read_dso, split_scenario
from flexpeer.errors import BadInput, Finding
from flexpeer.grid.cigre import cigre_mv
from flexpeer.laboratory.between.area_node import AreaNode, Finished
from flexpeer.laboratory.between.borders import Close
from flexpeer.laboratory.between.coordination import JointOutcome, RunDecision
from flexpeer.laboratory.clearing_problems import clearing_problem
from flexpeer.laboratory.clearings import clear_file
from flexpeer.laboratory.engines.part_sweeps import PartOutcome
from flexpeer.laboratory.files.clearing_files import write_problem
from flexpeer.laboratory.files.share_files import OUTLINE, read_outline, read_parts
from flexpeer.laboratory.files.state_files import JournalFolder, ShelfFolder
from flexpeer.laboratory.nodes import split_file
from flexpeer.wire.grants import Began, Commit, Entry, Held, Shift, Started, Try

Files = Mapping[str, bytes]
MATPOWER_WORDS = (
    b"zeros(1e5,1e5)", b"ones(1e9,1)", b"(1:1e5)'+(1:1e5)", b"1:1e-9:1e9", b"mpc.bus(:,[1 2 3])", b"mpc.branch'",
    b"^1e9", b"1/0", b"acos(2)", b"(" * 60, b"[" * 60, b"{'a';'b'}", b"%{", b"...", b"if 1", b"end", b"mpc", b"-",
    b"mpc.bus(1e18,1)", b"sum(mpc.bus)", b"size(mpc.bus,1)", b"''''''", b"d", b"1d400",
)  # fmt: skip
XLSX_WORDS = (
    b'<c r="XFD1048576"><v>1</v></c>', b'<row r="999999999999"/>', b'<row r="1048577"><c r="A1"/></row>', b't="s"',
    b's="99"', b't="inlineStr"', b't="d"', b't="e"', b't="b"', b"<f>1/0</f>", b'<f t="array" ref="A1:XFD9">x</f>',
    b"#REF!", b"A1", b"<v>1e308</v>", b"-1e9", b"2958466", b"<is><t>x</t></is>", b"rId1", b"sheet1.xml", b"dimension",
    b"&#0;", b"&a;",
)  # fmt: skip
CIM_WORDS = (
    b"#_A", b"#_line", b"#_grid-T1", b"cim:PowerTransformer", b"cim:Breaker", b"cim:Terminal", b"rdf:about", b"&a;",
    b"<!DOCTYPE a>", b"cim:ConductingEquipment.BaseVoltage", b"cim:Bay", b"cim:BusbarSection", b"cim:SvVoltage",
)  # fmt: skip


class Target(NamedTuple):
    """`changes` are by the end of a file's name; `read` raises `BadInput`, or nothing."""

    inputs: Callable[[], list[Files]]
    changes: Mapping[str, tuple[m.Mutation, ...]]
    read: Callable[[Path], object]


def _texts(texts: Mapping[str, str]) -> Files:
    return {name: text.encode() for name, text in texts.items()}


def files_of(folder: Path) -> Files:
    """Every file below a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def _made(make: Callable[[Path], object]) -> Files:
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder))
        return files_of(Path(folder))


def _nothing(_done: int, _total: int) -> None:
    """Nobody watches."""


# ---- scenarios and logs


def _days() -> list[Files]:
    grid_day = with_orders(small_day(), random_orders(SMALL_UNITS, ["Cable 3"], 1)[:8])
    whole = swap_hour() | {
        "meter.csv": "resource,from,p_w\n" + "".join(f"W1,2026-01-15T{h:02}:00+01:00,40000000\n" for h in range(24)),
        "areas.csv": "bus,dso\n",
    }
    orders = whole["orders.csv"].splitlines()
    changed = [f"{row},{action}" for row, action in zip(orders, ["action", "place", "", "", "", ""], strict=True)]
    changed += ["B,6,,,,,2000000,,amend", "A,7,,,,,,260,amend", "E,8,,,,,,,withdraw"]
    return [_texts(whole), _texts(grid_day), _texts(whole | {"orders.csv": "\n".join(changed) + "\n"})]


def _run(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as out:
        run_folder(folder, Path(out) / "out", _nothing)


def _logs() -> list[Files]:
    def make(folder: Path) -> None:
        with tempfile.TemporaryDirectory() as scenario:
            run_folder(folder_of(swap_hour(), Path(scenario)), Path(scenario) / "out", _nothing)
            (folder / "out").mkdir()
            shutil.copy(Path(scenario) / "out" / LOG_NAME, folder / "out" / LOG_NAME)

    return [_made(make)]


def _replay(folder: Path) -> None:
    audit(folder / "out" / LOG_NAME)
    replay(folder / "out" / LOG_NAME)


# ---- workbooks


def _books() -> list[Files]:
    """A scenario with its tables in sheets of one workbook, and in their own workbooks with dates, numbers and kW."""
    texts = swap_hour()
    names = [name.removesuffix(".csv") for name in texts if name.endswith(".csv")]
    tables: dict[str, Rows] = {name: rows_of(texts.pop(f"{name}.csv")) for name in names}
    hours = [datetime(2026, 1, 15, hour) for hour in range(24)]
    wide: Rows = [["from", "W1_kw", "W2 (MW)"], *([hour, 39_000 + number, 1.5] for number, hour in enumerate(hours))]
    orders: Rows = [[int(cell) if cell.isdigit() else cell for cell in row] for row in tables["orders"]]
    own = {f"{name}.xlsx": workbook({"Sheet1": rows}) for name, rows in tables.items()}
    own |= {"forecast.xlsx": workbook({"Sheet1": wide}), "orders.xlsx": workbook({"Sheet1": orders})}
    plain = dict(_texts(texts))
    return [plain | {"scenario.xlsx": workbook(tables)}, plain | own]


def _read_books(folder: Path) -> None:
    """As a scenario; then every workbook as one that is sent to a market."""
    refused: list[Finding] = []
    tasks: list[Callable[[], object]] = [partial(read_scenario, folder)]
    day = read_scenario(DOCS / "examples" / "maintenance-hours")
    sent = {table: path for table in SENT if (path := folder / f"{table}.xlsx").is_file()}
    tasks += [partial(sent_csv, path.read_bytes(), table, day) for table, path in sent.items()]
    for task in tasks:
        try:
            task()
        except BadInput as error:
            refused += error.findings
    if refused:
        raise BadInput(refused)


# ---- grids


def _json_grids() -> list[Files]:
    return [
        {"grid.json": small_day()["grid.json"].encode()},
        {"grid.json": json.dumps(example()).encode()},
        {"grid.json": json.dumps(pandapower()).encode()},
    ]


def _csv_grids() -> list[Files]:
    return [_made(lambda folder: write_csv(folder, example()))]


def _matpower_grids() -> list[Files]:
    return [{"grid.m": case33bw().encode()}, {"grid.m": MESHED.encode()}]


def _cim_grids() -> list[Files]:
    def zipped(folder: Path) -> None:
        with zipfile.ZipFile(folder / "grid.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, document in cim_documents.bus_branch(cigre_mv()).items():
                archive.writestr(f"{name}.xml", document.text())

    def written(documents: Mapping[str, cim_documents.Document]) -> Files:
        return _made(lambda folder: cim_documents.write(folder, documents))

    return [
        written({"grid": cim_documents.small()}),
        written({"grid": cim_documents.node_breaker(cigre_mv())}),
        written(cim_documents.bus_branch(cigre_mv())),
        _made(zipped),
    ]


def _check(folder: Path) -> None:
    """The one file, or the folder."""
    files = list(folder.iterdir())
    check_grid(str(files[0] if len(files) == 1 else folder))


# ---- clearing problems, and what organisations have


def _problems() -> list[Files]:
    free, coupled = clearing_problem(12, 3, 1), clearing_problem(12, 3, 2, shift=0.3, storage=0.3)
    return [_made(partial(_write_problem, each)) for each in (free, coupled)]


def _write_problem(problem: ClearingProblem, folder: Path) -> None:
    write_problem(problem, folder / "problem.npz")


def _clear(folder: Path) -> None:
    clear_file(folder / "problem.npz", "auto", None, _nothing)


def _shares() -> list[Files]:
    def day(folder: Path) -> None:
        texts = three_levels(with_orders(small_day(), random_orders(SMALL_UNITS, ["Cable 3"], 1)[:6]))
        split_scenario(folder_of(texts, folder / "scenario"), folder / "day")
        share = read_dso(folder / "day" / "local")
        tried = Try(1, (Shift(share.scenario.resources[0].resource, 0, 1, 1000),), (0,), {}, None, ())
        digest = day_digest(share.scenario)
        with PromisesFile(folder / "day" / "local", digest) as promises:
            acts: tuple[Began | Started | Held | Commit, ...]
            acts = (Began(), Started(nominal_state(share)), Held(1, tried), Commit(1))
            for act in acts:
                promises.append(Entry(f"{digest.hex()}-1", act))

    def clearing(folder: Path) -> None:
        write_problem(clearing_problem(16, 3, 1), folder / "problem.npz")
        split_file(folder / "problem.npz", folder / "parts")
        source = folder / "parts" / OUTLINE
        parts = read_parts(folder / "parts" / "dso-0.npz")
        outcomes = {part.number: _outcome(part.problem) for part in parts}
        ShelfFolder(folder / "state", source).put(Finished(7, outcomes, Close(7, True, "converged")))
        decided = JointOutcome(True, "converged", 11, -3.5, -3.6, silent=("a",))
        JournalFolder(folder / "state", source).write(RunDecision(7, decided, ("b", "c"), ("c",)))

    found = [_made(day), _made(clearing)]
    return [{n: c for n, c in files.items() if not n.startswith("scenario") and n != "problem.npz"} for files in found]


def _outcome(problem: ClearingProblem) -> PartOutcome:
    return PartOutcome(np.zeros(problem.step_kw.shape), *(np.zeros(problem.base_kw.shape) for _ in range(3)))


def _organisations(folder: Path) -> None:
    """Everything that any role reads; each refusal is one, and the next is read all the same."""
    reads: list[Callable[[], object]] = []
    if (folder / "day").is_dir():
        reads += [partial(read_operator, folder / "day" / MARKET_OPERATOR), partial(_dso, folder / "day" / "local")]
        reads += [partial(read_keys, "local", folder / "day")]
    else:
        source = folder / "parts" / OUTLINE
        state = folder / "state"
        reads += [partial(read_outline, source), lambda: JournalFolder(state, source).decided()]
        reads += [partial(read_keys, "dso-0", folder / "parts")]
        reads += [partial(_area_node, path, state, source) for path in sorted((folder / "parts").glob("*.npz"))]
    refused: list[BadInput] = []
    for read in reads:
        try:
            read()
        except BadInput as error:
            refused.append(error)
    if refused:
        raise BadInput([finding for error in refused for finding in error.findings])


def _dso(folder: Path) -> None:
    share = read_dso(folder)
    with PromisesFile(folder, day_digest(share.scenario)) as promises:
        node_of(share, promises)


def _area_node(parts: Path, state: Path, source: Path) -> None:
    AreaNode(read_parts(parts), ShelfFolder(state, source))


CSV = (m.of_bytes, m.of_cells, m.of_cells, m.of_lines, m.of_words())
TOML = (m.of_bytes, m.of_lines, m.of_words((b"[[outage]]", b"[grid]", b"1979-05-27T07:32:00Z", b"{a = 1}")))
JSON = (m.of_bytes, m.of_json, m.of_json, m.of_json, m.of_words())
XML = (m.of_bytes, m.of_lines, m.of_words(CIM_WORDS), m.of_words(CIM_WORDS))
NPZ = (m.of_bytes, m.of_npz, m.of_npz, m.of_npz, m.of_npz)
LINES = (m.of_bytes, m.of_lines, m.of_words())

TARGETS: Mapping[str, Target] = {
    "scenario": Target(_days, {".csv": CSV, ".toml": TOML, ".json": JSON}, _run),
    "orders": Target(_days, {"orders.csv": CSV}, _run),
    "log": Target(_logs, {".log": (m.of_bytes, m.of_lines, *(m.of_chain,) * 4)}, _replay),
    "xlsx": Target(_books, {".xlsx": (m.of_bytes, *(m.of_zip(m.of_words(XLSX_WORDS)),) * 4)}, _read_books),
    "json": Target(_json_grids, {".json": JSON}, _check),
    "csv": Target(_csv_grids, {".csv": CSV}, _check),
    "matpower": Target(_matpower_grids, {".m": (m.of_bytes, m.of_lines, *(m.of_words(MATPOWER_WORDS),) * 3)}, _check),
    "cim": Target(_cim_grids, {".xml": XML, ".zip": (m.of_bytes, m.of_zip(m.of_words(CIM_WORDS)))}, _check),
    "npz": Target(_problems, {".npz": NPZ}, _clear),
    "node": Target(
        _shares, {".csv": CSV, ".toml": TOML, ".json": JSON, ".npz": NPZ, ".log": LINES, ".key": LINES}, _organisations
    ),
}
