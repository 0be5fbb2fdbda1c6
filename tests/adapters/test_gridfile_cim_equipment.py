"""Single kinds of CIM equipment by hand, and transformers against the reader of pandapower grids."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from tests.adapters.cim_documents import Document, Fields, Ref, Word, small, write

from flexpeer.adapters.gridfiles import GridFile, open_grid
from flexpeer.errors import BadInput
from flexpeer.grid.powerflow import solve


def opened(folder: Path, document: Document) -> GridFile:
    write(folder, {"grid": document})
    return open_grid("grid.xml", folder)


def told(grid: GridFile) -> str:
    return "\n".join(map(str, grid.findings))


def voltage(grid: GridFile, bus: str) -> complex:
    at = grid.bus_index(bus)
    assert at is not None
    return complex(solve(grid.network, grid.p_w, grid.q_var).v[at, 0])


# ---- transformers

HV, MV, LV = 110.0, 20.0, 10.0


def transformer(ends: list[Fields], extra: Document | None = None) -> Document:
    """A source, one transformer from 110 kV to 20 kV and perhaps 10 kV, and loads at its other ends."""
    document = extra or Document("16")
    document.define("EnergySource", "grid", {"voltageMagnitude": HV})
    document.terminal("grid", 1, {"ConnectivityNode": Ref("N1")})
    document.define("PowerTransformer", "T", {})
    for number, (end, v_kv) in enumerate(zip(ends, (HV, MV, LV), strict=False), 1):
        document.define("BaseVoltage", f"base{number}", {"nominalVoltage": v_kv})
        document.define("ConnectivityNode", f"N{number}", {})
        document.terminal("T", number, {"ConnectivityNode": Ref(f"N{number}")})
        places: Fields = {"TransformerEnd.endNumber": str(number), "TransformerEnd.Terminal": Ref(f"T-T{number}")}
        places |= {"TransformerEnd.BaseVoltage": Ref(f"base{number}"), "PowerTransformer": Ref("T"), "ratedU": v_kv}
        document.define("PowerTransformerEnd", f"end{number}", places | end)
        if number > 1:
            document.define("EnergyConsumer", f"load{number}", {"p": 8.0, "q": 2.0})
            document.terminal(f"load{number}", 1, {"ConnectivityNode": Ref(f"N{number}")})
    return document


def pandapower_grid(folder: Path, **tables: list[dict[str, object]]) -> GridFile:
    """The same with pandapower's tables, each a list of rows."""
    shared: dict[str, list[dict[str, object]]] = {
        "bus": [{"vn_kv": v_kv, "in_service": True} for v_kv in (HV, MV, LV)],
        "ext_grid": [{"bus": 0, "vm_pu": 1.0, "in_service": True}],
    }
    net: dict[str, object] = {"f_hz": 50.0}
    for name, rows in (shared | tables).items():
        columns = list(rows[0])
        frame = {"columns": columns, "index": list(range(len(rows))), "data": [list(row.values()) for row in rows]}
        net[name] = {"_class": "DataFrame", "_object": json.dumps(frame)}
    document = {"_module": "pandapower.auxiliary", "_class": "pandapowerNet", "_object": net}
    (folder / "net.json").write_text(json.dumps(document))
    return open_grid("net.json", folder)


def load(bus: int) -> dict[str, object]:
    return {"bus": bus, "p_mw": 8.0, "q_mvar": 2.0, "in_service": True}


@pytest.mark.parametrize(("side", "number"), [("hv", 1), ("lv", 2)])
def test_two_windings_with_a_tap_are_pandapowers(tmp_path: Path, side: str, number: int) -> None:
    sn_mva, vk, vkr = 40.0, 12.0, 0.5
    row: dict[str, object] = {"hv_bus": 0, "lv_bus": 1, "sn_mva": sn_mva, "vn_hv_kv": HV, "vn_lv_kv": MV}
    row |= {"vk_percent": vk, "vkr_percent": vkr, "pfe_kw": 0.0, "i0_percent": 0.0, "shift_degree": 150.0}
    row |= {"tap_side": side, "tap_pos": 3, "tap_neutral": 0, "tap_step_percent": 1.5, "tap_changer_type": "Ratio"}
    wanted = pandapower_grid(tmp_path, trafo=[row | {"in_service": True}], load=[load(1)])
    base_ohm = HV**2 / sn_mva
    ends: list[Fields] = [
        {"r": vkr / 100 * base_ohm, "x": math.sqrt(vk**2 - vkr**2) / 100 * base_ohm, "ratedS": sn_mva},
        {"r": 0.0, "x": 0.0, "phaseAngleClock": "5"},
    ]
    document = transformer(ends)
    step: Fields = {"TransformerEnd": Ref(f"end{number}"), "stepVoltageIncrement": 1.5}
    document.define("RatioTapChanger", "tap", step | {"TapChanger.neutralStep": "0", "TapChanger.normalStep": "-7"})
    document.about("RatioTapChanger", "tap", {"TapChanger.step": "3"})
    grid = opened(tmp_path, document)
    assert abs(voltage(grid, "N2") - voltage(wanted, "bus 1")) < 1e-9
    assert grid.network.rating_from_a[0] == pytest.approx(wanted.network.rating_from_a[0])


def star_ohm() -> list[complex]:
    """Of windings of 40, 25 and 15 MVA with the short-circuit voltages below, at 110 kV, by the textbook."""
    pairs = [complex(0.4, 10.0), complex(0.5, 11.0), complex(0.6, 6.0)]
    z_12, z_13, z_23 = (z / 100 * HV**2 / s for z, s in zip(pairs, (25.0, 15.0, 15.0), strict=True))
    return [(z_12 + z_13 - z_23) / 2, (z_12 + z_23 - z_13) / 2, (z_13 + z_23 - z_12) / 2]


def three_windings(folder: Path) -> GridFile:
    row: dict[str, object] = {f"{side}_bus": bus for bus, side in enumerate(("hv", "mv", "lv"))}
    sides = zip(("hv", "mv", "lv"), (40.0, 25.0, 15.0), (HV, MV, LV), strict=True)
    for side, sn_mva, v_kv in sides:
        row |= {f"sn_{side}_mva": sn_mva, f"vn_{side}_kv": v_kv}
    for side, real, reactive in (("hv", 0.4, 10.0), ("mv", 0.6, 6.0), ("lv", 0.5, 11.0)):
        row |= {f"vk_{side}_percent": math.hypot(real, reactive), f"vkr_{side}_percent": real}
    row |= {"shift_mv_degree": 150.0, "shift_lv_degree": 0.0, "pfe_kw": 0.0, "i0_percent": 0.0, "in_service": True}
    return pandapower_grid(folder, trafo3w=[row], load=[load(1), load(2)])


def test_three_windings_are_pandapowers_star(tmp_path: Path) -> None:
    wanted = three_windings(tmp_path)
    ends: list[Fields] = []
    for z_ohm, v_kv, sn_mva in zip(star_ohm(), (HV, MV, LV), (40.0, 25.0, 15.0), strict=True):
        at_own = z_ohm * (v_kv / HV) ** 2
        ends.append({"r": at_own.real, "x": at_own.imag, "ratedS": sn_mva})
    ends[1]["phaseAngleClock"] = "5"
    grid = opened(tmp_path, transformer(ends))
    assert abs(voltage(grid, "N2") - voltage(wanted, "bus 1")) < 1e-9
    assert abs(voltage(grid, "N3") - voltage(wanted, "bus 2")) < 1e-9
    assert grid.network.bus_names[-1] == "T star"
    assert grid.network.branch_names == ("T 1", "T 2", "T 3")
    assert sorted(grid.network.rating_from_a) == pytest.approx(
        sorted(s * 1e3 / math.sqrt(3) / v for s, v in ((40, HV), (25, MV), (15, LV)))
    )


def test_a_mesh_of_impedances_is_the_same_star(tmp_path: Path) -> None:
    wanted = three_windings(tmp_path)
    document = transformer([{}, {"phaseAngleClock": "5"}, {}])
    star = star_ohm()
    for one, other in ((1, 2), (1, 3), (2, 3)):
        z_ohm = (star[one - 1] + star[other - 1]) * ((HV, MV, LV)[one - 1] / HV) ** 2
        between: Fields = {"FromTransformerEnd": Ref(f"end{one}"), "ToTransformerEnd": Ref(f"end{other}")}
        document.define("TransformerMeshImpedance", f"mesh{one}{other}", {"r": z_ohm.real, "x": z_ohm.imag, **between})
    grid = opened(tmp_path, document)
    assert abs(voltage(grid, "N2") - voltage(wanted, "bus 1")) < 1e-9
    assert abs(voltage(grid, "N3") - voltage(wanted, "bus 2")) < 1e-9


STEP: Fields = {"TapChanger.neutralStep": "0", "TapChanger.step": "4"}
TURNS: dict[str, tuple[Fields, complex]] = {
    "PhaseTapChangerLinear": ({"stepPhaseShiftIncrement": 1.25}, np.exp(1j * math.radians(5.0))),
    "PhaseTapChangerSymmetrical": (
        {"PhaseTapChangerNonLinear.voltageStepIncrement": 2.0},
        np.exp(2j * math.atan(0.04)),
    ),
    "PhaseTapChangerAsymmetrical": (
        {"PhaseTapChangerNonLinear.voltageStepIncrement": 2.0, "windingConnectionAngle": 60.0},
        1 + 0.08 * np.exp(1j * math.radians(60.0)),
    ),
}


@pytest.mark.parametrize("kind", TURNS)
@pytest.mark.parametrize("number", [1, 2])
def test_phase_tap_changers_turn_the_end_they_are_at(tmp_path: Path, kind: str, number: int) -> None:
    values, ratio = TURNS[kind]
    document = transformer([{"r": 0.5, "x": 30.0}, {"r": 0.0, "x": 0.0}])
    document.define(kind, "tap", {"PhaseTapChanger.TransformerEnd": Ref(f"end{number}"), **STEP, **values})
    network = opened(tmp_path, document).network
    turned = ratio if number == 1 else 1 / ratio
    assert network.tap[0] * np.exp(1j * network.shift_rad[0]) == pytest.approx(turned)


def test_a_table_gives_ratio_angle_and_impedance_of_the_step(tmp_path: Path) -> None:
    document = transformer([{"r": 0.5, "x": 30.0}, {"r": 0.0, "x": 0.0}])
    table: Fields = {"PhaseTapChangerTable": Ref("table"), "PhaseTapChanger.TransformerEnd": Ref("end1"), **STEP}
    document.define("PhaseTapChangerTabular", "tap", table | {"TapChanger.highStep": "3"})
    document.define("PhaseTapChangerTable", "table", {})
    for step, angle in ((3, 2.0), (5, 9.0)):
        of: Fields = {"PhaseTapChangerTable": Ref("table"), "TapChangerTablePoint.step": str(step), "angle": angle}
        document.define("PhaseTapChangerTablePoint", f"row{step}", of | {"TapChangerTablePoint.x": 10.0})
    grid = opened(tmp_path, document)
    assert math.degrees(grid.network.shift_rad[0]) == pytest.approx(2.0)
    assert grid.network.x_pu[0] * MV**2 == pytest.approx(33.0 * (MV / HV) ** 2)
    assert "the nearest is used" in told(grid)
    assert "beyond lowStep or highStep" in told(grid)


def test_a_ratio_table_counts_instead_of_the_increment(tmp_path: Path) -> None:
    document = transformer([{"r": 0.5, "x": 30.0, "b": -1e-5}, {"r": 0.0, "x": 0.0}])
    document.define("RatioTapChanger", "tap", {"RatioTapChangerTable": Ref("t"), "TransformerEnd": Ref("end1"), **STEP})
    document.define("RatioTapChangerTable", "t", {})
    point: Fields = {"RatioTapChangerTable": Ref("t"), "TapChangerTablePoint.step": "4"}
    document.define("RatioTapChangerTablePoint", "p", point | {"TapChangerTablePoint.ratio": 1.05})
    network = opened(tmp_path, document).network
    assert network.tap[0] == pytest.approx(1.05)
    assert network.b_pu[0] / MV**2 == pytest.approx(-1e-5 * (HV / MV) ** 2)


# ---- lines, shunts, loads


def changed(document: Document, old: str, new: str) -> Document:
    return Document(document.version, [part.replace(old, new) for part in document.body])


def test_a_line_without_impedance_joins_its_buses(tmp_path: Path) -> None:
    grid = opened(tmp_path, changed(changed(small(), "0.5</cim:ACL", "0</cim:ACL"), "0.4</cim:ACL", "0</cim:ACL"))
    assert (grid.network.bus_count, grid.network.branch_count) == (1, 0)
    assert grid.p_w.tolist() == [-1e6]
    assert "has no impedance; its ends are one bus" in told(grid)


def test_a_disconnected_end_leaves_the_charging_of_a_line(tmp_path: Path) -> None:
    document = small()
    for equipment in ("line-T2", "load-T1"):
        document.about("Terminal", equipment, {"ACDCTerminal.connected": False})
    grid = opened(tmp_path, document)
    assert grid.network.in_service.tolist() == [False]
    assert grid.network.shunt_bus.tolist() == [0]
    assert grid.network.shunt_b_pu[0] * 1e6 / 400 == pytest.approx(100.0, rel=1e-4)
    assert "no source reaches this bus" in told(grid)


def test_what_is_out_of_service_is_out(tmp_path: Path) -> None:
    document = small()
    document.about("EnergyConsumer", "load", {"Equipment.inService": False})
    document.define("SvStatus", "status", {"ConductingEquipment": Ref("line"), "inService": False})
    grid = opened(tmp_path, document)
    assert grid.p_w.tolist() == [0.0, 0.0]
    assert grid.network.in_service.tolist() == [False]


def test_shunts_by_their_sections(tmp_path: Path) -> None:
    document = small()
    document.define("LinearShuntCompensator", "linear", {"bPerSection": 1e-4, "gPerSection": 1e-6})
    document.about("LinearShuntCompensator", "linear", {"ShuntCompensator.sections": "3"})
    document.define("NonlinearShuntCompensator", "nonlinear", {"ShuntCompensator.normalSections": "1"})
    document.define("SvShuntCompensatorSections", "sv", {"ShuntCompensator": Ref("nonlinear"), "sections": "2"})
    for number, b in ((1, 1e-5), (2, 2e-5), (3, 4e-5)):
        point: Fields = {"NonlinearShuntCompensator": Ref("nonlinear"), "sectionNumber": str(number), "b": b}
        document.define("NonlinearShuntCompensatorPoint", f"point{number}", point)
    document.define("EquivalentShunt", "equivalent", {"b": 7e-5, "g": 0.0})
    for key in ("linear", "nonlinear", "equivalent"):
        document.terminal(key, 1, {"TopologicalNode": Ref("B")})
    network = opened(tmp_path, document).network
    assert (network.shunt_b_pu / 400 * 1e6).tolist() == pytest.approx([300.0, 30.0, 70.0])
    assert network.shunt_g_pu[0] / 400 * 1e6 == pytest.approx(3.0)


def test_loads_of_every_kind_with_the_sign_of_cim(tmp_path: Path) -> None:
    document = small()
    loads: dict[str, Fields] = {
        "StationSupply": {"EnergyConsumer.pfixed": 0.5, "EnergyConsumer.qfixed": 0.1},
        "AsynchronousMachine": {"RotatingMachine.p": 0.25, "RotatingMachine.q": 0.0},
        "SynchronousMachine": {"RotatingMachine.p": -2.0, "RotatingMachine.q": -0.5},
        "PowerElectronicsConnection": {"p": -1.0, "q": 0.0},
        "EquivalentInjection": {"p": -0.125, "q": 0.0},
        "StaticVarCompensator": {"q": -0.2},
        "NonConformLoad": {},
    }
    for kind, values in loads.items():
        document.define(kind, kind, values)
        document.terminal(kind, 1, {"TopologicalNode": Ref("B")})
    document.define("SvPowerFlow", "flow", {"Terminal": Ref("NonConformLoad-T1"), "p": 0.0625, "q": 0.0})
    grid = opened(tmp_path, document)
    assert grid.p_w[1] == pytest.approx(-1e6 * (1.0 + 0.5 + 0.25 - 2.0 - 1.0 - 0.125 + 0.0625))
    assert grid.q_var[1] == pytest.approx(-1e6 * (0.2 + 0.1 - 0.5 - 0.2))
    assert "static var compensator" in told(grid)


def test_both_sides_of_a_boundary_cancel(tmp_path: Path) -> None:
    document = small()
    document.about("TopologicalNode", "B", {"fromEndIsoCode": "SE"})
    document.define("TopologicalNode", "C", {"BaseVoltage": Ref("base")})
    document.define("ACLineSegment", "beyond", {"r": 0.5, "x": 0.4})
    document.terminal("beyond", 1, {"TopologicalNode": Ref("B")})
    document.terminal("beyond", 2, {"TopologicalNode": Ref("C")})
    document.define("EquivalentInjection", "neighbour", {"p": 5.0, "q": 0.0})
    document.terminal("neighbour", 1, {"TopologicalNode": Ref("B")})
    grid = opened(tmp_path, document)
    assert grid.p_w.tolist() == [0.0, -1e6, 0.0]
    assert "both sides of this boundary" in told(grid)


def test_a_node_that_is_not_in_the_files_is_a_bus(tmp_path: Path) -> None:
    text = small()
    text.body = [part for part in text.body if 'rdf:ID="_B"' not in part]
    grid = opened(tmp_path, text)
    assert grid.network.bus_v.tolist() == [20e3, 20e3]
    assert "a node that is not in the files" in told(grid)


# ---- names


def test_equal_names_are_told_apart_by_the_mrid(tmp_path: Path) -> None:
    document = small()
    document.about("TopologicalNode", "B", {})
    document.body = [part.replace("name>line<", "name>A<") for part in document.body]
    grid = opened(tmp_path, document)
    assert grid.network.bus_names == ("A (A)", "B")
    assert grid.network.branch_names == ("A (line)",)
    assert grid.branch_index("line") == 0
    assert grid.bus_index("_A") == 0


# ---- limits


def limited(document: Document, kind: str, value: float, of: Fields, owner: Fields) -> Document:
    number = len(document.body)
    document.define("OperationalLimitType", f"type{number}", of)
    document.define("OperationalLimitSet", f"set{number}", owner)
    links: Fields = {"OperationalLimit.OperationalLimitSet": Ref(f"set{number}")}
    links["OperationalLimit.OperationalLimitType"] = Ref(f"type{number}")
    document.define(kind, f"limit{number}", {"value": value, **links})
    return document


PERMANENT: dict[str, Fields] = {
    "CGMES 2": {"limitType": Word("LimitTypeKind.patl")},
    "CGMES 3": {"kind": Word("LimitKind.patl"), "isInfiniteDuration": True},
    "CIM 17": {"isInfiniteDuration": True},
    "CDPSM": {"acceptableDuration": "5E9"},
    "by name": {"IdentifiedObject.name": "PATL", "acceptableDuration": "45000"},
    "unsaid": {},
}


@pytest.mark.parametrize("style", PERMANENT)
def test_permanent_limits_are_ratings(tmp_path: Path, style: str) -> None:
    document = limited(small(), "CurrentLimit", 250.0, PERMANENT[style], {"Equipment": Ref("line")})
    limited(document, "CurrentLimit", 200.0, PERMANENT[style], {"Terminal": Ref("line-T2")})
    network = opened(tmp_path, document).network
    assert (network.rating_from_a[0], network.rating_to_a[0]) == (250.0, 200.0)


@pytest.mark.parametrize(
    "of", [{"limitType": Word("LimitTypeKind.tatl")}, {"kind": Word("LimitKind.tc")}, {"acceptableDuration": "600"}]
)
def test_limits_for_a_time_are_not(tmp_path: Path, of: Fields) -> None:
    grid = opened(tmp_path, limited(small(), "CurrentLimit", 250.0, of, {"Equipment": Ref("line")}))
    assert np.isnan(grid.network.rating_from_a[0])
    assert "a limit for a time" in told(grid)


def test_apparent_power_limits_are_currents_at_nominal_voltage(tmp_path: Path) -> None:
    grid = opened(tmp_path, limited(small(), "ApparentPowerLimit", 6.0, {}, {"Equipment": Ref("line")}))
    assert grid.network.rating_to_a[0] == pytest.approx(6e6 / math.sqrt(3) / 20e3)
    with pytest.raises(BadInput, match="a negative limit"):
        opened(tmp_path, limited(small(), "CurrentLimit", -1.0, {}, {"Equipment": Ref("line")}))
    grid = opened(tmp_path, limited(small(), "CurrentLimit", 0.0, {}, {"Equipment": Ref("line")}))
    assert np.isnan(grid.network.rating_to_a[0])
    assert "a limit of 0 is passed over" in told(grid)


def test_voltage_limits_are_the_band(tmp_path: Path) -> None:
    document = limited(
        small(), "VoltageLimit", 21.0, {"limitType": Word("LimitTypeKind.highVoltage")}, {"Terminal": Ref("load-T1")}
    )
    direction: Fields = {"direction": Word("OperationalLimitDirectionKind.low"), "acceptableDuration": "5e9"}
    limited(document, "VoltageLimit", 19.4, direction, {})
    document.about("ConnectivityNode", "B", {"OperationalLimitSet": Ref(document.body[-2].split('"')[1][1:])})
    limited(document, "VoltageLimit", 24.0, {"kind": Word("LimitKind.lowVoltage")}, {"Terminal": Ref("grid-T1")})
    network = opened(tmp_path, document).network
    assert (network.v_min_pu[1], network.v_max_pu[1]) == pytest.approx((0.97, 1.05))
    assert (network.v_min_pu[0], network.v_max_pu[0]) == pytest.approx((1.2, 2.0))
