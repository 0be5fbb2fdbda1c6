"""Grids against `pandapower.runpp`; the tables themselves without pandapower."""

import json
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flexpeer.adapters.gridfiles import GridFile, open_grid
from flexpeer.adapters.newton import newton_flow
from flexpeer.errors import BadInput
from flexpeer.grid.network import Floats, Network
from flexpeer.grid.powerflow import solve

TOLERANCE_PU = 1e-8


def table(columns: str, *rows: list[object]) -> dict[str, object]:
    frame = {"columns": columns.split(), "index": list(range(len(rows))), "data": rows}
    return {"_module": "pandas.core.frame", "_class": "DataFrame", "_object": json.dumps(frame), "orient": "split"}


def small(**tables: dict[str, object]) -> dict[str, Any]:
    net: dict[str, Any] = {
        "bus": table("name vn_kv in_service zone", ["A", 20, True, "n"], ["B", 20, True, "n"], ["B", 20, True, None]),
        "line": table(
            "name from_bus to_bus length_km r_ohm_per_km x_ohm_per_km c_nf_per_km max_i_ka parallel df in_service",
            ["L", 0, 1, 2.0, 0.5, 0.4, 200.0, 0.3, 2, 0.9, True],
        ),
        "load": table("name bus p_mw q_mvar scaling in_service", ["x", 1, 1.0, 0.2, 0.5, True]),
        "ext_grid": table("name bus vm_pu va_degree in_service", [None, 0, 1.01, 0.0, True]),
        "switch": table("bus element et closed z_ohm", [1, 2, "b", True, 0.0]),
        "f_hz": 50.0,
    }
    return {"_module": "pandapower.auxiliary", "_class": "pandapowerNet", "_object": net | tables}


def opened(folder: Path, document: Any) -> GridFile:
    (folder / "net.json").write_text(document if isinstance(document, str) else json.dumps(document))
    return open_grid("net.json", folder)


def test_a_small_net_by_hand(tmp_path: Path) -> None:
    grid = opened(tmp_path, small())
    network = grid.network
    assert network.bus_names == ("A", "bus 1")
    assert (grid.bus_index("bus 2"), grid.bus_index("bus 0"), grid.bus_index("B")) == (1, 0, None)
    assert grid.branch_index("line 0") == grid.branch_index("L") == 0
    assert grid.areas == ("n", "n")
    assert network.r_pu[0] * 400 == pytest.approx(0.5 * 2 / 2)
    assert network.b_pu[0] / 400 == pytest.approx(2 * math.pi * 50 * 200e-9 * 2 * 2)
    assert network.rating_to_a[0] == pytest.approx(300 * 2 * 0.9)
    assert grid.p_w.tolist() == [0, -0.5e6]
    assert grid.q_var.tolist() == [0, -0.1e6]


@pytest.mark.parametrize("layout", ["by column", "with parameters", "by row"])
def test_tables_without_a_frame_are_files_of_the_first_versions(tmp_path: Path, layout: str) -> None:
    """1.2 to 1.5, 1.4 and 1.5 as some programs wrote them, and 1.6.0, all with powers in kW."""
    net = dict(small(load=table("name bus p_kw q_kvar scaling in_service", ["x", 1, 1e3, 200, 0.5, True]))["_object"])
    net |= {"version": 1.4, "std_types": {"line": {"L": {"r_ohm_per_km": 1}}, "trafo": {}}}
    if layout != "by row":
        for name, each in net.items():
            if isinstance(each, dict) and "_object" in each:
                frame = json.loads(each["_object"])
                columns = zip(frame["columns"], zip(*frame["data"], strict=True), strict=True)
                net[name] = {column: {str(at): cell for at, cell in enumerate(cells)} for column, cells in columns}
    if layout == "with parameters":
        stated = {name: net.pop(name) for name in ("f_hz", "version")}
        del net["std_types"]
        net |= {"parameters": {"parameter": stated}, "line_std_types": {"r_ohm_per_km": {"L": 1}}, "dtypes": {}}
    bare, today = opened(tmp_path, net), opened(tmp_path, small())
    assert bare.findings == ()
    for field in ("r_pu", "b_pu", "source_v_pu", "rating_to_a"):
        assert getattr(bare.network, field).tolist() == getattr(today.network, field).tolist()
    assert (bare.p_w.tolist(), bare.q_var.tolist()) == (today.p_w.tolist(), today.q_var.tolist())
    assert bare.network.bus_names == today.network.bus_names


LINE = "name from_bus to_bus length_km r_ohm_per_km x_ohm_per_km c_nf_per_km max_i_ka parallel in_service"
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "unknown bus": (small(line=table(LINE, ["L", 0, 7, 1, 1, 1, 0, 0.3, 1, True])), "no bus 7"),
    "negative rating": (small(line=table(LINE, ["L", 0, 1, 1, 1, 1, 0, -0.3, 1, True])), "a negative limit"),
    "zero impedance": (small(line=table(LINE, ["L", 0, 1, 0, 1, 1, 0, 0.3, 1, True])), "zero impedance"),
    "load at unknown bus": (small(load=table("bus p_mw q_mvar", [9, 1, 0])), "no bus 9"),
    "no source": (small(ext_grid=table("bus vm_pu", *[])), "no source"),
    "islanded load": (small(line=table(LINE, ["L", 0, 1, 1, 1, 1, 0, 0.3, 1, False])), "no source reaches it"),
    "gen without set-point": (small(gen=table("bus p_mw in_service", [1, 1, True])), "no value"),
    "gen at unknown bus": (small(gen=table("bus p_mw vm_pu in_service", [9, 1, 1.0, True])), "no bus 9"),
    "two set-points": (small(gen=table("bus p_mw vm_pu", [1, 1, 1.0], [2, 1, 1.01])), "at a bus that is held at 1"),
    "xward without impedance": (
        small(xward=table("bus ps_mw qs_mvar pz_mw qz_mvar r_ohm x_ohm vm_pu", [1, 1, 0, 0, 0, 0, 0, 1.0])),
        "zero impedance",
    ),
    "svc": (small(svc=table("bus q_mvar in_service", [1, 1, True])), "type svc"),
    "direct current": (small(line_dc=table("from_bus_dc to_bus_dc in_service", [0, 1, True])), "type line_dc"),
    "two voltages": (small(bus=table("vn_kv", [20], [20], [10])), "joined with 20.0 kV"),
    "ragged table": (small(load=table("bus p_mw q_mvar", [1, 1])), "unequal length"),
    "no voltage": (small(bus=table("vn_kv", [0], [20], [20])), "0"),
    "no buses": (small(bus=table("vn_kv")), "no buses"),
    "broken table": (small(bus={"_class": "DataFrame", "_object": '{"columns": [}'}), "line 1"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_with_reasons(tmp_path: Path, case: str) -> None:
    document, problem = BAD[case]
    with pytest.raises(BadInput) as caught:
        opened(tmp_path, document)
    assert any(problem in f.problem and f.expected and "net.json" in f.where for f in caught.value.findings), str(
        caught
    )


@pytest.mark.parametrize("value", [None, 0, -1, math.nan, math.inf, "x", True, [1], {}, 99_999])
def test_no_value_whatsoever_breaks_the_reader(tmp_path: Path, value: object) -> None:
    """A grid or findings, for any value in any place."""
    document = small()
    for name, described in document["_object"].items():
        frame = json.loads(described["_object"]) if name != "f_hz" else {"columns": ["f_hz"]}
        for place in range(len(frame["columns"])):
            changed: Any = value
            if name != "f_hz":
                rows = [[value if column == place else old for column, old in enumerate(r)] for r in frame["data"]]
                changed = described | {"_object": json.dumps(frame | {"data": rows})}
            with suppress(BadInput):
                opened(tmp_path, small(**{name: changed}))


def test_what_is_read_differently_is_mentioned(tmp_path: Path) -> None:
    columns = LINE + " max_loading_percent"
    document = small(
        line=table(columns, ["L", 0, 1, 1, 1, 1, 0, 0.3, 1, True, 50.0]),
        load=table("bus p_mw q_mvar const_z_percent", [1, 1, 0, 20.0]),
        ext_grid=table("bus vm_pu", [0, 1.0], [0, 1.0]),
    )
    grid = opened(tmp_path, document)
    assert [f.field for f in grid.findings] == ["ext_grid 1.bus", "load 0.const_z_percent"]
    assert grid.network.rating_from_a[0] == 300


# ---- against pandapower itself


def with_solved_q(net: Any, grid: GridFile) -> tuple[Network, Floats]:
    """The network with nothing controlled, and injections with pandapower's reactive power of what holds voltages."""
    q_var = grid.q_var.copy()
    network = grid.network
    solved = [(bus, q) for bus, q in zip(net.gen.bus, net.res_gen.q_mvar, strict=True)]
    solved += [
        (bus, -q)
        for side in ("from", "to")
        for bus, q in zip(net.dcline[f"{side}_bus"], net.res_dcline[f"q_{side}_mvar"], strict=True)
    ]
    for bus, q_mvar in solved:
        at = grid.bus_index(f"bus {bus}")
        assert at is not None
        q_var[at] += 0.0 if at in network.source_bus or math.isnan(q_mvar) else 1e6 * q_mvar
    for index, inner in net.res_xward.dropna().iterrows():
        ward = net.xward.loc[index]
        outer = net.res_bus.loc[ward.bus]
        v = inner.vm_internal_pu * np.exp(1j * np.deg2rad(inner.va_internal_degree))
        drop = v - outer.vm_pu * np.exp(1j * np.deg2rad(outer.va_degree))
        current = drop * net.bus.vn_kv[ward.bus] ** 2 / complex(ward.r_ohm, ward.x_ohm)
        q_var[grid.bus_index(f"xward {index} internal")] += 1e6 * (v * np.conj(current)).imag
    none = np.array([], dtype=np.float64)
    free = replace(
        network,
        controlled_bus=np.array([], dtype=np.int64),
        controlled_v_pu=none,
        controlled_q_min_var=none,
        controlled_q_max_var=none,
    )
    return free, q_var


def compare(net: Any, grid: GridFile) -> None:
    """Voltages, source power and loadings of both our power flows agree with pandapower's.

    Where generators hold voltages, pandapower's reactive power must lead to the voltages that the file states,
    by Newton-Raphson.
    """
    pp = pytest.importorskip("pandapower", reason="pandapower, the reference of this test, is not installed")
    pp.runpp(net, calculate_voltage_angles=True, tolerance_mva=1e-9, max_iteration=50, init="dc")
    wanted = (net.res_bus.vm_pu * np.exp(1j * np.deg2rad(net.res_bus.va_degree))).dropna()
    at = np.array([grid.bus_index(f"bus {index}") for index in wanted.index], dtype=np.int64)
    network, q_var = with_solved_q(net, grid)
    newton = newton_flow(network, grid.p_w[:, None], q_var[:, None])
    held = np.abs(newton.v_pu[grid.network.controlled_bus, 0])
    assert held == pytest.approx(grid.network.controlled_v_pu, abs=TOLERANCE_PU)
    assert np.abs(newton.v_pu[at, 0] - wanted.to_numpy()).max() < TOLERANCE_PU
    ours = solve(grid.network, grid.p_w, grid.q_var)
    assert np.abs(ours.v[at, 0] - wanted.to_numpy()).max() < TOLERANCE_PU
    source_mw = net.res_ext_grid.p_mw.sum() + net.res_gen.p_mw[net.gen.slack.astype(bool)].sum()
    assert newton.source_p_w.sum() == pytest.approx(source_mw * 1e6, abs=1.0)
    loading = np.maximum(
        newton.current_from_a[:, 0] / network.rating_from_a, newton.current_to_a[:, 0] / network.rating_to_a
    )
    for kind, results in (("line", net.res_line), ("trafo", net.res_trafo)):
        for index, percent in results.loading_percent.dropna().items():
            branch = grid.branch_index(f"{kind} {index}")
            assert branch is not None
            if network.in_service[branch]:
                assert loading[branch] * 100 == pytest.approx(percent, rel=1e-6, abs=1e-4)


def networks() -> Any:
    return pytest.importorskip("pandapower.networks", reason="pandapower, the reference of this test, is not installed")


def through_file(net: Any, folder: Path) -> GridFile:
    pp = pytest.importorskip("pandapower", reason="pandapower, the reference of this test, is not installed")
    pp.to_json(net, str(folder / "net.json"))
    return open_grid("net.json", folder)


CASES: dict[str, Callable[[], Any]] = {
    "cigre_mv": lambda: networks().create_cigre_network_mv(with_der=False),
    "cigre_mv with all DER": lambda: networks().create_cigre_network_mv(with_der="all"),
    "cigre_lv": lambda: networks().create_cigre_network_lv(),
    "case33bw": lambda: networks().case33bw(),
    "mv_oberrhein": lambda: networks().mv_oberrhein(),
}


@pytest.mark.parametrize("case", CASES)
def test_published_networks_agree_with_pandapower(tmp_path: Path, case: str) -> None:
    net = CASES[case]()
    compare(net, through_file(net, tmp_path))


def multivoltage() -> Any:
    """Two and three windings, shunt, impedance, many switches; a generator and an extended ward."""
    pp = pytest.importorskip("pandapower", reason="pandapower, the reference of this test, is not installed")
    net = networks().example_multivoltage()
    pp.create_ward(net, 34, 1.0, 0.5, 0.3, 0.2)
    pp.create_motor(net, 45, 0.05, 0.9, efficiency_percent=92.0, loading_percent=70.0)
    net.trafo[["i0_percent", "pfe_kw", "tap_neutral"]] = [0.3, 2.0, 0.0]
    net.trafo3w[["i0_percent", "pfe_kw", "tap_neutral"]] = [0.3, 20.0, 0.0]
    return net


TAPS = [
    ("Ratio", 0.0, 1.5, "hv", 2.0),
    ("Ratio", 90.0, 1.5, "lv", -2.0),
    ("Symmetrical", 40.0, 1.25, "hv", 3.0),
    ("Ideal", 2.0, 0.0, "hv", 1.0),
    ("Ideal", 0.0, 1.3, "lv", -2.0),
    (None, 0.0, 1.3, "hv", 2.0),
]


@pytest.mark.parametrize(("changer", "degree", "percent", "side", "position"), TAPS)
@pytest.mark.parametrize("at_star", [False, True])
def test_every_kind_of_tap_agrees_with_pandapower(
    tmp_path: Path, changer: str | None, degree: float, percent: float, side: str, position: float, at_star: bool
) -> None:
    net = multivoltage()
    columns = ["tap_changer_type", "tap_step_degree", "tap_step_percent", "tap_pos"]
    for frame in (net.trafo, net.trafo3w):
        frame["tap_side"] = side
        for column, value in zip(columns, (changer, degree, percent, position), strict=True):
            frame[column] = value
    net.trafo["parallel"] = 2
    if at_star:
        net.trafo3w["tap_side"] = {"hv": "mv", "lv": "lv"}[side]
        net.trafo3w["tap_at_star_point"] = changer != "Ideal"
    grid = through_file(net, tmp_path)
    assert any("no type" in finding.problem for finding in grid.findings) == (changer is None)
    compare(net, grid)


def test_open_ends_and_dead_buses_agree_with_pandapower(tmp_path: Path) -> None:
    pp = pytest.importorskip("pandapower", reason="pandapower, the reference of this test, is not installed")
    net = networks().create_cigre_network_mv(with_der=False)
    net.line["g_us_per_km"] = 3.0
    net.line["c_nf_per_km"] = 5000.0
    net.trafo[["i0_percent", "pfe_kw", "shift_degree"]] = [2.0, 90.0, 150.0]
    lower = pp.create_bus(net, 0.4)
    pp.create_switch(net, lower, _unit(net, 5, lower), "t", closed=False)
    pp.create_switch(net, 6, _unit(net, 6, lower), "t", closed=False)
    pp.create_switch(net, 14, pp.create_bus(net, 20.0), "b", closed=True, z_ohm=0.4)
    out = pp.create_bus(net, 20.0, in_service=False)
    pp.create_line_from_parameters(net, 9, out, 5.0, 0.5, 0.4, 900.0, 0.2)
    pp.create_load(net, out, 1.0)
    grid = through_file(net, tmp_path)
    assert {finding.field for finding in grid.findings} == {f"bus {lower}", f"bus {out}"}
    compare(net, grid)


def _unit(net: Any, upper: int, lower: int) -> int:
    pp = pytest.importorskip("pandapower", reason="pandapower, the reference of this test, is not installed")
    unit = pp.create_transformer_from_parameters(net, upper, lower, 0.63, 20.0, 0.4, 1.2, 6.0, 1.5, 0.5)
    return int(unit)


def test_a_file_of_pandapower_2_has_its_taps(tmp_path: Path) -> None:
    """Before 3.0 a transformer had `tap_phase_shifter` and no `tap_changer_type`; a ratio tap then."""
    net = multivoltage()
    net.trafo[["tap_side", "tap_step_percent", "tap_step_degree", "tap_pos"]] = ["hv", 1.5, 0.0, 2.0]
    net.trafo["tap_changer_type"] = "Ratio"
    grid = through_file(net, tmp_path)
    document = json.loads((tmp_path / "net.json").read_text())
    frame = json.loads(document["_object"]["trafo"]["_object"])
    place = frame["columns"].index("tap_changer_type")
    frame["columns"][place] = "tap_phase_shifter"
    for row in frame["data"]:
        row[place] = False
    document["_object"]["trafo"]["_object"] = json.dumps(frame)
    old = opened(tmp_path, document)
    assert np.array_equal(old.network.tap, grid.network.tap)
    assert old.network.tap[grid.network.branch_kinds.index("transformer")] != 1.0
