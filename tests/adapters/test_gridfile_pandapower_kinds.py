"""Neighbours of the kinds of `test_gridfile_kinds.py`: by hand, and against `pandapower.runpp`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.adapters.test_gridfile_kinds import GRIDS, opened, state
from tests.adapters.test_gridfile_pandapower import opened as opened_document
from tests.adapters.test_gridfile_pandapower import small, table

from flexpeer.adapters.gridfiles import GridFile, open_grid
from flexpeer.adapters.gridfiles.pandapower_versions import present, version_of
from flexpeer.adapters.gridfiles.taps import Turn, ideal, stepped, symmetrical, turned
from flexpeer.errors import BadInput
from flexpeer.grid.assembly import BranchRow, bypassed_shunt

SAME_PU = 1e-7
TWO, THREE = "pp-open-end-losses", "pp2-trafo3w-tap"


def test_what_taps_do() -> None:
    assert stepped(2.0, 2.5) == Turn(1.05)
    assert stepped(-1.0, 10.0, 90.0).ratio == pytest.approx(np.sqrt(1.01))
    assert stepped(-1.0, 10.0, 90.0).alpha_deg == pytest.approx(-np.rad2deg(np.arctan(0.1)))
    assert turned(3.0) == Turn(1.0, 3.0)
    assert symmetrical(2.0, 10.0).alpha_deg == pytest.approx(2 * np.rad2deg(np.arctan(0.1)))
    assert ideal(2.0, 10.0).alpha_deg == pytest.approx(2 * np.rad2deg(np.arcsin(0.1)))
    assert np.isnan(ideal(30.0, 10.0).alpha_deg)
    both = stepped(1.0, 5.0).then(Turn(1.1, 2.0, r=1.2))
    assert both == Turn(1.05 * 1.1, 2.0, 1.2)
    assert stepped(1.0, 25.0).inverse() == Turn(0.8)


@pytest.mark.parametrize(
    ("stated", "program", "version"),
    [("2.14.0", "2.14.11", (2, 14, 0)), (None, 1.6, (1, 6)), ("3.0.0.dev0", "2.9", (2, 9)), (None, None, (999,))],
)
def test_versions(stated: object, program: object, version: tuple[int, ...]) -> None:
    assert version_of(stated, program) == version


def test_a_row_of_pandapower_1() -> None:
    trafo = present("trafo", {"tp_pos": 2, "tp_mid": 0, "tp_st_percent": 2.5, "vsc_percent": 6, "sn_kva": 400}, (1, 6))
    assert trafo.pop("tap_changer_type") == "Ratio"
    assert trafo == {"tap_pos": 2, "tap_neutral": 0, "tap_step_percent": 2.5, "vk_percent": 6, "sn_mva": 0.4}
    assert present("sgen", {"p_kw": -5.0, "q_kvar": 2.0}, (1, 6)) == {"p_mw": 0.005, "q_mvar": -0.002}
    gen = present("gen", {"p_kw": -5.0, "min_q_kvar": -3.0, "max_q_kvar": 1.0}, (1, 6))
    assert gen == {"p_mw": 0.005, "max_q_mvar": 0.003, "min_q_mvar": -0.001}
    assert present("line", {"imax_ka": 0.2}, (3, 0)) == {"max_i_ka": 0.2}


def test_what_a_bypassed_branch_leaves() -> None:
    line = BranchRow("L", "line", "A", "A", 0.5, 0.4, 10.0, 90.0)
    charging = bypassed_shunt(line)
    assert charging is not None
    assert (charging.g_us, charging.b_us) == pytest.approx((10.0, 90.0))
    assert charging.branch == ""
    assert bypassed_shunt(line._replace(g_us=0.0, b_us=0.0)) is None
    turning = bypassed_shunt(line._replace(g_us=0.0, b_us=0.0, tap=1.1))
    assert turning is not None
    assert complex(turning.g_us, turning.b_us) == pytest.approx(1e6 / (0.5 + 0.4j) * (1 - 1 / 1.1) ** 2)


LINE = "name from_bus to_bus length_km r_ohm_per_km x_ohm_per_km c_nf_per_km max_i_ka in_service"
TWO_LINES = table(LINE, ["L", 0, 1, 1, 1, 1, 0, 0.3, True], ["M", 0, 1, 1, 1, 1, 0, 0.3, True])
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a table that carries power": (small(charger=table("bus p_kw", [1, 2.0])), "charger are not calculated"),
    "a switch at no line": (small(switch=table("bus element et closed", [1, 9, "l", False])), "no line 9"),
    "no such curve": (
        small(user_pf_options={"trafo_model": "gamma"}),
        "user_pf_options.trafo_model]: 'gamma'; expected t or pi",
    ),
    "an index twice": (
        small(line=TWO_LINES | {"_object": TWO_LINES["_object"].replace('"index": [0, 1]', '"index": [0, 0.0]')}),  # type: ignore[attr-defined]
        "2 rows have this index",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_refused_by_name(tmp_path: Path, case: str) -> None:
    document, problem = REFUSED[case]
    with pytest.raises(BadInput) as caught:
        opened_document(tmp_path, document)
    assert problem in str(caught.value)


READ: dict[str, tuple[dict[str, Any], str]] = {
    "a table out of service": (small(charger=table("bus p_kw in_service", [1, 2.0, False])), ""),
    "a table of notes": (small(notes=table("text", ["a"])), "notes]: 1 rows of a table that is not known"),
    "a table that is none": (small(notes={"_class": "DataFrame", "_object": "[]"}), "notes]: not a table; passed over"),
    "a rating of 0": (
        small(line=table(LINE, ["L", 0, 1, 1, 1, 1, 0, 0.0, True])),
        "line 0.max_i_ka]: 0; the loading is not known",
    ),
    "an unknown kind of switch": (small(switch=table("bus element et closed", [1, 0, "L", False])), "'L'; the switch"),
    "an option nobody knows": (small(user_pf_options={"mode": 3}), "user_pf_options.mode]: 3; this option"),
    "limits to enforce": (small(user_pf_options={"enforce_q_lims": True}), "enforce_q_lims]: True; ranges"),
}


@pytest.mark.parametrize("case", READ)
def test_what_is_passed_over_is_told(tmp_path: Path, case: str) -> None:
    document, told = READ[case]
    if "switch" not in case:
        document["_object"].pop("switch")
    findings = [
        str(finding) for finding in opened_document(tmp_path, document).findings if "bus 2" not in finding.field
    ]
    assert len(findings) == (told != "")
    assert all(told in finding for finding in findings)


# ---- against pandapower itself


def pp() -> Any:
    return pytest.importorskip("pandapower", reason="pandapower, the reference of this test, is not installed")


def net_of(name: str) -> Any:
    return pp().from_json(str(GRIDS / name / "net.json"))


def same(net: Any, folder: Path, edit: Callable[[dict[str, Any]], None] | None = None) -> GridFile:
    """Voltages and losses of the file are those that pandapower finds in the same file."""
    path = folder / "net.json"
    pp().to_json(net, str(path))
    if edit:
        document = json.loads(path.read_text())
        edit(document["_object"])
        path.write_text(json.dumps(document))
    reference = pp().from_json(str(path))
    pp().runpp(reference)
    grid = open_grid("net.json", folder)
    v_pu, _, lost_w = state(grid)
    for index, value in reference.res_bus.vm_pu.dropna().items():
        bus = grid.bus_index(f"bus {index}")
        assert bus is not None, index
        assert v_pu[bus] == pytest.approx(value, abs=SAME_PU), index
    losses = sum(reference[f"res_{kind}"].pl_mw.sum() for kind in ("line", "trafo", "trafo3w", "impedance"))
    assert lost_w == pytest.approx(1e6 * losses, abs=1.0)
    return grid


def frame(document: dict[str, Any], name: str) -> Any:
    return json.loads(document[name]["_object"])


def older(version: str, *dropped: str) -> Callable[[dict[str, Any]], None]:
    """The file as an older version would have it, without these columns of transformers."""

    def edit(document: dict[str, Any]) -> None:
        document["version"] = document["format_version"] = version
        for name in ("trafo", "trafo3w"):
            rows = frame(document, name)
            keep = [place for place, column in enumerate(rows["columns"]) if column not in dropped]
            rows["columns"] = [rows["columns"][place] for place in keep]
            rows["data"] = [[row[place] for place in keep] for row in rows["data"]]
            document[name] |= {"_object": json.dumps(rows), "dtype": {}}

    return edit


NEW_COLUMNS = ("tap_changer_type", "tap_dependency_table", "id_characteristic_table")
EMPTY = ("tap_neutral", "tap_pos", "tap_step_percent", "tap_step_degree", "tap_side", "tap_changer_type")


@pytest.mark.parametrize("column", EMPTY)
def test_empty_columns_mean_what_they_mean_to_pandapower(tmp_path: Path, column: str) -> None:
    net = net_of(TWO)
    net.trafo.loc[1, "tap_pos"] = 2.0
    net.trafo.loc[1, column] = None if column in EMPTY[4:] else np.nan
    grid = same(net, tmp_path)
    acts = column in ("tap_step_degree", "tap_pos", "tap_step_percent")
    assert any("no effect" in finding.problem for finding in grid.findings) != acts


@pytest.mark.parametrize("degree", [0.0, 90.0, 30.0, np.nan])
@pytest.mark.parametrize("percent", [2.5, 0.0, np.nan])
@pytest.mark.parametrize("name", [TWO, THREE])
def test_taps_before_3_had_no_type(tmp_path: Path, name: str, degree: float, percent: float) -> None:
    net = net_of(name)
    changed = net.trafo if name == TWO else net.trafo3w
    changed["tap_pos"] = 2.0
    changed["tap_step_degree"], changed["tap_step_percent"] = degree, percent
    same(net, tmp_path, older("2.14.0", *NEW_COLUMNS))


@pytest.mark.parametrize("side", ["hv", "mv", "lv"])
@pytest.mark.parametrize("at_star", [False, True])
@pytest.mark.parametrize("by_table", [False, True])
def test_taps_of_three_windings(tmp_path: Path, side: str, at_star: bool, by_table: bool) -> None:
    net = net_of(THREE)
    if by_table:
        with_table(net, net.trafo3w, 0)
    net.trafo3w["tap_side"], net.trafo3w["tap_at_star_point"], net.trafo3w["tap_pos"] = side, at_star, 2.0
    same(net, tmp_path)


def with_table(net: Any, transformers: Any, row: int) -> None:
    pd = pytest.importorskip("pandas", reason="pandas comes with pandapower, the reference of this test")
    rows = [
        {"id_characteristic": 0, "step": step, "voltage_ratio": 1 + 0.02 * step, "angle_deg": 0.5 * step}
        | {"vk_percent": 5.5 + 0.3 * step, "vkr_percent": 1.3 + 0.02 * step}
        | {f"vk_{side}_percent": 11 + 0.1 * step + n for n, side in enumerate(("mv", "hv", "lv"))}
        | {f"vkr_{side}_percent": 0.3 + 0.01 * n for n, side in enumerate(("hv", "mv", "lv"))}
        for step in range(-2, 3)
    ]
    net["trafo_characteristic_table"] = pd.DataFrame(rows)
    transformers["tap_dependency_table"] = False
    transformers["id_characteristic_table"] = pd.Series([pd.NA] * len(transformers), dtype="Int64")
    transformers.loc[row, "tap_dependency_table"] = True
    transformers.loc[row, "id_characteristic_table"] = 0


@pytest.mark.parametrize("side", ["hv", "lv"])
@pytest.mark.parametrize("position", [-2.0, 0.0, 1.0])
def test_a_table_of_positions(tmp_path: Path, side: str, position: float) -> None:
    net = net_of(TWO)
    with_table(net, net.trafo, 1)
    net.trafo.loc[1, "tap_side"], net.trafo.loc[1, "tap_pos"] = side, position
    same(net, tmp_path)


def test_a_position_that_the_table_lacks_is_refused(tmp_path: Path) -> None:
    net = net_of(TWO)
    with_table(net, net.trafo, 1)
    net.trafo.loc[1, "tap_pos"] = 7.0
    pp().to_json(net, str(tmp_path / "net.json"))
    with pytest.raises(BadInput, match="no row for step 7 of table 0"):
        open_grid("net.json", tmp_path)


@pytest.mark.parametrize(
    "options",
    [
        {"trafo_model": "pi"},
        {"calculate_voltage_angles": False},
        {"neglect_open_switch_branches": True},
        {"trafo3w_losses": "MV"},
        {"switch_rx_ratio": np.float64(0.5)},
        {"consider_line_temperature": True},
    ],
)
@pytest.mark.parametrize("name", [TWO, THREE])
def test_stored_options_count(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    net = net_of(name)
    net.user_pf_options = dict(options)
    net.trafo["shift_degree"] = 150.0
    net.line["temperature_degree_celsius"] = 80.0
    same(net, tmp_path)


@pytest.mark.parametrize("side", ["hv", "mv", "lv"])
@pytest.mark.parametrize("how", ["bus", "switch"])
def test_one_winding_of_three_may_be_dead(tmp_path: Path, side: str, how: str) -> None:
    net = net_of(THREE)
    bus = int(net.trafo3w.loc[0, f"{side}_bus"])
    if how == "switch":
        pp().create_switch(net, bus, 0, "t3", closed=False)
    elif side == "hv":
        return
    else:
        net.bus.loc[bus, "in_service"] = False
    for kind in ("load", "sgen"):
        net[kind] = net[kind][net[kind].bus != bus]
    if side == "hv":
        for end in ("mv", "lv"):
            dead = net.trafo3w.loc[0, f"{end}_bus"]
            net.load = net.load[net.load.bus != dead]
    same(net, tmp_path)


@pytest.mark.parametrize("how", ["whole", "open end", "out", "impedance"])
def test_branches_across_a_closed_switch(tmp_path: Path, how: str) -> None:
    net = net_of(TWO)
    bus = pp().create_bus(net, 20.0)
    line = pp().create_line_from_parameters(net, 2, bus, 3.0, 0.2, 0.1, 100.0, 0.3)
    pp().create_switch(net, 2, bus, "b")
    pp().create_load(net, bus, 0.5, 0.1)
    if how == "open end":
        pp().create_switch(net, bus, line, "l", closed=False)
    if how == "out":
        net.line.loc[line, "in_service"] = False
    if how == "impedance":
        pp().create_impedance(net, 2, bus, 0.01, 0.02, 1.0)
    assert any("both ends" in finding.problem for finding in same(net, tmp_path).findings)


@pytest.mark.parametrize("name", ["load", "line", "trafo", "switch"])
def test_rows_called_by_decimals(tmp_path: Path, name: str) -> None:
    def edit(document: dict[str, Any]) -> None:
        rows = frame(document, name)
        document[name] |= {"_object": json.dumps(rows | {"index": [float(index) for index in rows["index"]]})}

    same(net_of(TWO), tmp_path, edit)


def test_rows_called_by_text_may_be_referred_to(tmp_path: Path) -> None:
    document = json.loads((GRIDS / TWO / "net.json").read_text())
    rows = frame(document["_object"], "bus")
    for name, columns in (("line", ("from_bus", "to_bus")), ("trafo", ("hv_bus", "lv_bus")), ("load", ("bus",))):
        other = frame(document["_object"], name)
        for row in other["data"]:
            for column in columns:
                row[other["columns"].index(column)] = f"b{row[other['columns'].index(column)]}"
        document["_object"][name] |= {"_object": json.dumps(other)}
    for name in ("ext_grid", "switch", "sgen"):
        other = frame(document["_object"], name)
        for row in other["data"]:
            row[other["columns"].index("bus")] = f"b{row[other['columns'].index('bus')]}"
        document["_object"][name] |= {"_object": json.dumps(other)}
    document["_object"]["bus"] |= {"_object": json.dumps(rows | {"index": [f"b{index}" for index in rows["index"]]})}
    grid = opened_document(tmp_path, document)
    assert state(grid)[0] == pytest.approx(state(opened(f"{TWO}/net.json"))[0], abs=1e-12)
