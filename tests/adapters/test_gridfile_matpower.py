"""MATPOWER case files, written here; the parameters of the 33-bus feeder are those of Baran and Wu (1989)."""

import csv
import json
import math
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from flexpeer.adapters.gridfiles import GridFile, open_grid
from flexpeer.adapters.gridfiles.matpower_case import Case, run_case
from flexpeer.adapters.gridfiles.matpower_columns import INDEX_FUNCTIONS
from flexpeer.adapters.gridfiles.matpower_syntax import without_comments
from flexpeer.adapters.gridfiles.matpower_values import CONSTANTS, FUNCTIONS
from flexpeer.cli import app
from flexpeer.errors import BadInput, Finding

BARAN_WU = Path(__file__).parents[1] / "grid" / "baran_wu_33.csv"
PQ_ROW = "1 {p} {q} 0 0 1 1 0 12.66 1 1.1 0.9"
INDEX_LINES = """
[PQ, PV, REF, NONE, BUS_I, BUS_TYPE, PD, QD, GS, BS, BUS_AREA, VM, ...
    VA, BASE_KV, ZONE, VMAX, VMIN, LAM_P, LAM_Q, MU_VMAX, MU_VMIN] = idx_bus;   % names of columns
[F_BUS, T_BUS, BR_R, BR_X, BR_B, RATE_A, RATE_B, RATE_C, ...
    TAP, SHIFT, BR_STATUS, PF, QF, PT, QT, MU_SF, MU_ST, ...
    ANGMIN, ANGMAX, MU_ANGMIN, MU_ANGMAX] = idx_brch;
"""
CONVERSION = """
Vbase = mpc.bus(1, BASE_KV) * 1e3;      %% in Volts
Sbase = mpc.baseMVA * 1e6;              %% in VA
mpc.branch(:, [BR_R BR_X]) = mpc.branch(:, [BR_R BR_X]) / (Vbase^2 / Sbase);
mpc.bus(:, [PD, QD]) = mpc.bus(:, [PD, QD]) / 1e3;
"""


def case33bw(head: str = INDEX_LINES) -> str:
    """The 33-bus feeder in ohms and kW, converted by statements at its end."""
    with BARAN_WU.open(encoding="utf-8") as file:
        sections = list(csv.DictReader(file))
    buses = ["\t1\t3\t0\t0\t0\t0\t1\t1\t0\t12.66\t1\t1\t1;"]
    branches = []
    for row in sections:
        buses.append(f"\t{row['to']}\t{PQ_ROW.format(p=row['p_kw'], q=row['q_kvar'])};")
        branches.append(f"\t{row['from']} {row['to']} {row['r_ohm']} {row['x_ohm']} 0 0 0 0 0 0 1 -360 360;")
    tables = {"bus": buses, "branch": branches, "gen": ["\t1 0 0 10 -10 1 100 1 10 0" + " 0" * 11 + ";"]}
    text = "function mpc = case33bw\n%CASE33BW  it's a feeder [kW]\n\nmpc.version = '2';\nmpc.baseMVA = 100;\n"
    for name, rows in tables.items():
        text += f"\n%% {name} data\nmpc.{name} = [ %% [in kW or Ohm]\n" + "\n".join(rows) + "\n];\n"
    return text + head + CONVERSION


MESHED = """function [baseMVA, bus, gen, branch] = meshed
baseMVA = 50/0.5;
bus = [
    10  3   0   0   0   0   1   1.0  5     135   1   1.05  0.95
    20  2   20, 10, 0   0   1   1.0  0     135   1   1.05  0.95
    30  1   30  12  0.5 9   2   1.0  0     30    1   1.10  0.90
    40  1   5   1   0   0   2   1.0  0     30    1   1.10  0.90
    50  4   7   0   0   0   2   1.0  0     30    1   1.10  0.90
];
gen = [
    10  0   0   300  -300  1.02  100  1  250  0;
    20  15  3   20   -10   1.01  100  1  100  0;
    20  5   3   Inf  -Inf  1.03  100  0  100  0;
    20  8   3   20   -5    1.01  100  1  100  0;
    30  4   2   20   -5    1.05  100  1  100  0;
];
branch = [
    10  20  0.01  0.08  0.05  200  0  0  0     0    1;
    10  20  0.02  0.09  0.04  0    0  0  0     0    1;
    10  30  0     0.10  0.02  80   0  0  0.97  -30  1;
    20  40  0.001 0.12  0     80   0  0  1.03  0    1;
    30  40  0.03  0.06  0.01  60   0  0  0     0    1;
    40  50  0.03  0.06  0.01  60   0  0  0     0    1;
    30  20  0.03  0.06  0.01  60   0  0  1     0    0;
];
"""


def opened(folder: Path, text: str) -> GridFile:
    (folder / "case.m").write_text(text, encoding="utf-8")
    return open_grid("case.m", folder)


def refused(folder: Path, text: str) -> tuple[Finding, ...]:
    with pytest.raises(BadInput) as caught:
        opened(folder, text)
    return caught.value.findings


def ran(text: str) -> Case:
    return run_case(text, "case.m")


@pytest.mark.parametrize("head", [INDEX_LINES, "define_constants\n"])
def test_the_33_bus_feeder_through_the_command_line(tmp_path: Path, head: str) -> None:
    """Published: losses of 202.68 kW, lowest voltage 0.91309 pu at bus 18."""
    (tmp_path / "case33bw.m").write_text(case33bw(head), encoding="utf-8")
    printed = CliRunner().invoke(app, ["grid", "check", str(tmp_path / "case33bw.m"), "--json"])
    assert printed.exit_code == 0
    summary = json.loads(printed.stdout)
    assert summary["losses_w"] == pytest.approx(202_680, abs=10)
    assert summary["min_voltage_pu"] == pytest.approx(0.91309, abs=1e-5)
    assert (summary["min_voltage_bus"], summary["buses"], summary["findings"]) == ("Bus 18", 33, [])


def test_loads_given_in_kva_and_power_factor(tmp_path: Path) -> None:
    more = "\npf = 0.85;\nmpc.bus(:,QD)=mpc.bus(:,PD)*sin(acos(pf));\nmpc.bus(:, PD) = mpc.bus(:, PD) * pf;\n"
    grid = opened(tmp_path, case33bw() + more)
    assert grid.p_w[1] == pytest.approx(-100e3 * 0.85)
    assert grid.q_var[1] == pytest.approx(-100e3 * math.sqrt(1 - 0.85**2))


def test_a_meshed_case_by_hand(tmp_path: Path) -> None:
    """A case of version 1: what holds voltages, what is isolated, names, ratings, areas."""
    grid = opened(tmp_path, MESHED)
    network = grid.network
    assert network.bus_names == ("Bus 10", "Bus 20", "Bus 30", "Bus 40", "Bus 50")
    assert (grid.bus_index("20"), grid.branch_index("branch 2"), grid.bus_index("2")) == (1, 1, None)
    assert network.branch_names[:4] == ("Line 10-20", "Line 10-20 (2)", "Transformer 10-30", "Transformer 20-40")
    assert network.branch_names[4:] == ("Line 30-40", "Line 40-50", "Transformer 30-20")
    assert network.in_service.tolist() == [True] * 5 + [False] * 2
    assert grid.areas == ("1", "1", "2", "2", "2")
    assert network.source_v_pu[0] == 1.02
    assert math.degrees(network.source_angle_rad[0]) == pytest.approx(5)
    assert (network.controlled_bus.tolist(), network.controlled_v_pu.tolist()) == ([1], [1.01])
    assert (network.controlled_q_min_var[0], network.controlled_q_max_var[0]) == (-15e6, 40e6)
    assert grid.p_w.tolist() == pytest.approx([0, 3e6, -26e6, -5e6, 0])
    assert grid.q_var.tolist() == pytest.approx([0, -10e6, -10e6, -1e6, 0]), "at bus 20 the generators find their own"
    assert network.rating_from_a[2] == pytest.approx(80e6 / math.sqrt(3) / 135e3)
    assert network.rating_to_a[2] == pytest.approx(80e6 / math.sqrt(3) / 30e3)
    assert np.isnan(network.rating_from_a[1])
    assert [(finding.line, finding.field) for finding in grid.findings] == [(8, "PD"), (0, "Bus 50")]


def test_branch_flows_are_those_of_the_published_model(tmp_path: Path) -> None:
    """MATPOWER 7 manual, equation (3.2), in its per unit, against ours, at arbitrary voltages."""
    grid = opened(tmp_path, MESHED)
    case = ran(MESHED)
    table = case.table("branch")
    assert table is not None
    row = table.values.T
    place = {10: 0, 20: 1, 30: 2, 40: 3, 50: 4}
    ends = [np.array([place[int(number)] for number in row[column]]) for column in (0, 1)]
    random = np.random.default_rng(3)
    v = random.uniform(0.9, 1.1, 5) * np.exp(1j * random.uniform(-0.6, 0.6, 5))
    v_from, v_to = v[ends[0]], v[ends[1]]
    live = np.array([1, 1, 1, 1, 1, 0, 0])
    series, charging = live / (row[2] + 1j * row[3]), 1j * live * row[4] / 2
    turns = np.where(row[8] == 0, 1.0, row[8])
    rotation = np.exp(1j * np.radians(row[9]))
    current_to = (series + charging) * v_to - series / (turns * rotation) * v_from
    current_from = (series + charging) / turns**2 * v_from - series / (turns / rotation) * v_to
    ours = grid.network.terminals()
    assert np.allclose(ours.yff * v_from + ours.yft * v_to, 100 * current_from, rtol=1e-12)
    assert np.allclose(ours.ytf * v_from + ours.ytt * v_to, 100 * current_to, rtol=1e-12)
    assert grid.network.shunt_g_pu[0] == pytest.approx(0.5), "MW at 1 pu are per unit on 1 MVA"
    assert grid.network.shunt_b_pu[0] == pytest.approx(9.0)


def test_a_positive_shift_delays_the_to_end(tmp_path: Path) -> None:
    """MATPOWER 7 manual, table B-3: a positive angle is a delay."""
    grid = opened(tmp_path, MESHED)
    ours = grid.network.terminals()
    open_end = -ours.ytf[2] / ours.ytt[2]
    assert math.degrees(np.angle(open_end)) == pytest.approx(30, abs=1e-6), "the shift of -30 degrees advances it"


EXPRESSIONS = {
    "1e3": 1000,
    "135/2": 67.5,
    "2^-1": 0.5,
    "-2^2": -4,
    "2^3^2": 64,
    "1.5d1": 15,
    "3.*2": 6,
    "- -1": 1,
    "[1 2;3 4](1)": None,
    "(1+2)*[4]": 12,
    "sqrt(2)^2/sin(pi/6)": 4,
    "sum([1 -1 3])": 3,
    "sum([1;2;3])": 6,
    "size([1 2 3;4 5 6], 2)": 3,
    "sum(1:4)": 10,
    "sum(5:-2:1)": 9,
    "[1 2 3]'": None,
    "sum([1 - 2, 3])": 2,
    "sum([1 -2 3])": 2,
    "sum([1, 2 ... and so on\n 3])": 6,
    "sum(sum([1 2\n 3 4]))": 10,
    "sum(zeros(1, 3) + 2)": 6,
}


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_expressions_as_in_matlab(text: str) -> None:
    case = ran(f"x = {text};")
    wanted = EXPRESSIONS[text]
    value = case.values.get("x")
    if wanted is None:
        assert case.errors or (isinstance(value, np.ndarray) and value.shape == (3, 1))
        return
    assert not case.errors
    assert isinstance(value, np.ndarray)
    assert value.item() == pytest.approx(wanted)


def test_indexing_and_conditions() -> None:
    text = """a = [1 2 3; 4 5 6; 7 8 9];  % it's
b = a(2, :); c = a(:, 2); d = a(5); e = a([1 3], [3 1]);
a(1, 3) = 30; a(2, [1 2]) = [40 50]; a(:, 1) = a(:, 1) * 2;
if 0
  a(1, 1) = not_run(1);
elseif 1, f = 1;
else
  f = 2;
end
t = {'x[1]', "it's"; 'a''b', ''};
%{
g = nothing at all
%}
h = c';
"""
    case = ran(text)
    assert case.errors == []
    shown = {name: value.tolist() for name, value in case.values.items() if isinstance(value, np.ndarray)}
    assert shown["a"] == [[2, 2, 30], [80, 50, 6], [14, 8, 9]]
    assert (shown["b"], shown["c"], shown["d"]) == ([[4, 5, 6]], [[2], [5], [8]], [[5]])
    assert (shown["e"], shown["f"], shown["h"]) == ([[3, 1], [9, 7]], [[1]], [[2, 5, 8]])
    assert case.values["t"] == ("x[1]", "it's", "a'b", "")
    assert case.lines["a"] == (1, 1, 1)


def test_comments_go_and_texts_stay() -> None:
    assert without_comments("a = 'x%y'; % z\nb = a' % 'c'") == "a = 'x%y'; \nb = a' "


STATEMENTS = [
    ("mpc = loadcase('case9');", "loadcase"),
    ("for k = 1:3, x(k) = 1; end", "is not a variable"),
    ("mpc.bus(40, PD) = 3;", "index 40 of 33"),
    ("mpc.bus(0, PD) = 3;", "index 0 of 33"),
    ("mpc.bus(1.5, PD) = 3;", "index 1.5"),
    ("mpc.bus(:, PD) = [1 2];", "elements for 33 x 1"),
    ("mpc.bus(:, PD) = mpc.bus(:, PD) * mpc.bus(:, QD);", "between matrices"),
    ("mpc.bus(:, PD) = foo(3);", "foo"),
    ("mpc.bus(:, PD) = acos(2);", "not a real number"),
    ("mpc.bus(:, PD) = NOWHERE;", "unknown name 'NOWHERE'"),
    ("mpc.bus(2, :) = [];", "elements for 1 x 13"),
    ("x = [1 2; 3];", "a row of 1 numbers"),
    ("x = [1 2", "is not closed"),
    ("x = 1 2;", "after the expression"),
    ("x = 3);", "closes nothing"),
    ("x = 'abc;", "without its end"),
    ("x = ¤;", "'¤'"),
    ("[a, b] = size(mpc.bus);", "several results"),
    ("disp(3)", "statement 'disp ( 3 )'"),
    ("x = 1:Inf;", "a range without end"),
    ("x = zeros(1e9, 1e9);", "numbers to calculate"),
    ("x = (1:1e5)' + (1:1e5);", "10,000,000,000 numbers to calculate"),
    ("x = " + "(" * 90 + "1" + ")" * 90 + ";", "too deep"),
    ("if [1 2]\nend", "a condition"),
]


@pytest.mark.parametrize(("statement", "problem"), STATEMENTS)
def test_a_statement_outside_the_subset_is_refused_with_its_line(tmp_path: Path, statement: str, problem: str) -> None:
    text = case33bw()
    findings = refused(tmp_path, f"{text}{statement}\n")
    line = text.count("\n") + 1
    assert any(problem in f.problem and (f.where, f.line) == ("case.m", line) and f.expected for f in findings), (
        findings
    )


def test_a_refused_statement_leads_to_no_further_findings(tmp_path: Path) -> None:
    findings = refused(tmp_path, case33bw().replace("mpc.baseMVA = 100;", "mpc.baseMVA = base();"))
    assert [(finding.line, finding.problem) for finding in findings] == [(5, "unknown function 'base'")]


def test_every_function_is_in_the_reference() -> None:
    text = (Path(__file__).parents[2] / "docs" / "reference" / "grid-files.md").read_text(encoding="utf-8")
    assert [name for name in (*FUNCTIONS, *CONSTANTS, *INDEX_FUNCTIONS) if f"`{name}`" not in text] == ["inf", "nan"]


def test_a_second_function_of_the_file_is_not_the_case(tmp_path: Path) -> None:
    text = case33bw() + "\nfunction y = other(x)\ny = x{3}.z;\n"
    assert opened(tmp_path, text).network.bus_count == 33


BAD_ROWS = [
    ("10  3   0   0", "10  5   0   0", 4, "BUS_TYPE", "5"),
    ("40  1   5   1", "30  1   5   1", 7, "BUS_I", "30"),
    ("40  1   5   1", "4.5 1   5   1", 7, "BUS_I", "4.5"),
    ("40  1   5   1", "40  1   NaN 1", 7, "PD", "nan"),
    ("30  4   2   20 ", "33  4   2   20 ", 15, "GEN_BUS", "no bus 33"),
    ("20  40  0.001", "20  44  0.001", 21, "T_BUS", "no bus 44"),
    ("20  40  0.001 0.12", "20  40  0     0   ", 21, "Transformer 20-40.r_ohm", "zero impedance"),
    ("0.12  0     80 ", "0.12  0     -80", 21, "Transformer 20-40.rating_from_a", "a negative limit"),
    ("10  0   0   300  -300  1.02", "10  0   0   300  -300  0   ", 11, "Source 10.v_pu", "0.0"),
    ("20  15  3   20   -10 ", "20  15  3   -60  -10 ", 12, "controlled at Bus 20.q_min_var", "reactive power from"),
    ("135   1   1.05  0.95\n    20", "135   1   0.80  0.95\n    20", 4, "Bus 10.v_min_pu", "voltage band"),
    ("30    1   1.10  0.90\n    40", "1e-9  1   1.10  0.90\n    40", 6, "BASE_KV", "1e-09"),
    ("30    1   1.10  0.90\n    40", "1e200 1   1.10  0.90\n    40", 6, "BASE_KV", "1e+200"),
    ("baseMVA = 50/0.5", "baseMVA = -1", 0, "baseMVA", "not a positive number"),
    ("baseMVA = 50/0.5", "x = 1", 0, "baseMVA", "missing"),
    ("gen = [", "gone = [", 0, "gen", "no table"),
    ("branch = [", "branch = [1 2]; x = [", 17, "branch", "2 columns"),
]


@pytest.mark.parametrize(("old", "new", "line", "field", "problem"), BAD_ROWS)
def test_a_bad_row_is_refused_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, field: str, problem: str
) -> None:
    assert old in MESHED
    findings = refused(tmp_path, MESHED.replace(old, new, 1))
    assert any((f.line, f.field) == (line, field) and problem in f.problem for f in findings), findings


def test_all_findings_come_together(tmp_path: Path) -> None:
    text = MESHED.replace("20  40  0.001", "20  44  0.001").replace("30  4   2 ", "33  4   2 ") + "z = nothing(1);\n"
    assert [finding.line for finding in refused(tmp_path, text)] == [26, 15, 21]


def test_other_parts_of_a_case(tmp_path: Path) -> None:
    text = case33bw()
    line = "mpc.dcline = [2 3 {status} 1 1 0 0 1 1 0 9 0 0 0 0 0 0];\nmpc.gizmo = [1];\nmpc.gencost = [2 0 0 1 1];\n"
    findings = opened(tmp_path, text + line.format(status=0)).findings
    assert [finding.field for finding in findings] == ["dcline", "gizmo"]
    assert [finding.field for finding in refused(tmp_path, text + line.format(status=1))] == ["dcline"]
    assert opened(tmp_path, text + "mpc.line3p = [];\nmpc.dcline = [ ];\n").findings == ()
    assert [finding.field for finding in refused(tmp_path, text + "mpc.line3p = [1 2 3];\n")] == ["line3p"]
    assert [f.field for f in refused(tmp_path, text.replace("version = '2'", "version = '3'"))] == ["version"]


def test_buses_may_have_names(tmp_path: Path) -> None:
    names = "mpc.bus_name = {\n'Station';\n'Twin';\n'Twin';\n'Line 1-2';\n" + "".join(f"'n{k}';\n" for k in range(29))
    grid = opened(tmp_path, case33bw() + names + "};\n")
    assert grid.network.bus_names[:5] == ("Station", "Bus 2", "Bus 3", "Bus 4", "n0")
    assert [grid.bus_index(name) for name in ("Bus 1", "1", "Station", "Bus 5", "33")] == [0, 0, 0, 4, 32]
    short = opened(tmp_path, case33bw() + "mpc.bus_name = {'Station'};\n")
    assert short.network.bus_names[0] == "Bus 1"
    assert [finding.field for finding in short.findings] == ["bus_name"]


def test_what_a_case_may_leave_open(tmp_path: Path) -> None:
    """No nominal voltages, no band, no reference bus: read as MATPOWER does, and said."""
    text = MESHED.replace("10  3   0   0", "10  1   0   0").replace("  135   1   1.05  0.95", "  0   1   0  0")
    grid = opened(tmp_path, text)
    assert [finding.field for finding in grid.findings] == ["BASE_KV", "VMAX", "BUS_TYPE", "PD", "Bus 50"]
    assert grid.network.source_names == ("Source 20",)
    assert grid.network.bus_v[0] == 1000.0
    assert grid.network.v_max_pu[0] == 1.1
    idle = opened(tmp_path, MESHED.replace("1.01  100  1  100", "1.01  100  0  100"))
    assert [(finding.line, finding.field) for finding in idle.findings][:2] == [(5, "BUS_TYPE"), (8, "PD")]
    apart = opened(tmp_path, MESHED.replace("-5    1.01", "-5    1.02"))
    assert (apart.findings[0].field, apart.network.controlled_v_pu[0]) == ("VG", 1.02)


PIECES = st.sampled_from(
    ["[", "]", "(", ")", "'", ";", ",", "\n", "%", "...", "=", "-", "1e999", "NaN", "mpc", "{", "é"]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 2000), length=st.integers(0, 30), piece=PIECES | st.text(max_size=4))
def test_no_change_of_the_text_breaks_the_reader(tmp_path: Path, place: int, length: int, piece: str) -> None:
    text = (MESHED + CONVERSION.replace("mpc.", ""))[: place % 1900] + piece
    text += (MESHED + CONVERSION.replace("mpc.", ""))[place % 1900 + length :]
    (tmp_path / "case.m").write_text(text, encoding="utf-8", errors="replace")
    with suppress(BadInput):
        assert open_grid("case.m", tmp_path).network.bus_count > 0
