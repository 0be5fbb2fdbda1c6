"""Which equipment of a CIM model becomes a source, and which buses generators hold."""

import math
from pathlib import Path

import pytest
from tests.adapters.cim_documents import Document, Fields, Ref, Word, small, write

from flexpeer.adapters.gridfiles import GridFile, open_grid
from flexpeer.errors import BadInput


def opened(folder: Path, document: Document) -> GridFile:
    write(folder, {"grid": document})
    return open_grid("grid.xml", folder)


def told(grid: GridFile) -> str:
    return "\n".join(map(str, grid.findings))


def machine(document: Document, key: str, node: str, values: Fields, kind: str = "SynchronousMachine") -> Document:
    document.define(kind, key, values)
    document.terminal(key, 1, {"TopologicalNode": Ref(node)})
    return document


def sourceless() -> Document:
    document = small()
    document.body = [part.replace("EnergySource.voltageMagnitude", "EnergySource.nominal") for part in document.body]
    return document


def regulated(document: Document, key: str, target: float, at: str, **control: object) -> Document:
    mode: Fields = {"mode": Word("RegulatingControlModeKind.voltage"), "targetValue": target, "Terminal": Ref(at)}
    document.define("RegulatingControl", f"{key}-control", mode | {"enabled": control.get("enabled", True) is True})
    document.about("SynchronousMachine", key, {"RegulatingCondEq.RegulatingControl": Ref(f"{key}-control")})
    return document


GENERATING: Fields = {"RotatingMachine.p": -2.0, "RotatingMachine.q": -0.5}


def test_an_energy_source_holds_its_voltage(tmp_path: Path) -> None:
    grid = opened(tmp_path, small())
    assert grid.network.source_names == ("grid",)
    assert grid.network.source_v_pu.tolist() == pytest.approx([1.02])
    assert told(grid) == ""


def test_the_highest_priority_is_the_source(tmp_path: Path) -> None:
    document = small()
    for key, priority in (("third", 3), ("first", 1), ("none", 0)):
        values: Fields = {"referencePriority": str(priority), **GENERATING}
        machine(document, key, "B", values)
    grid = opened(tmp_path, regulated(document, "first", 20.2, "first-T1"))
    assert grid.network.source_names == ("first",)
    assert grid.network.source_v_pu.tolist() == pytest.approx([1.01])
    assert grid.p_w[1] == pytest.approx(2 * 2e6 - 1e6), "the source's own power is not an injection"


def test_the_reference_node_of_the_state_variables(tmp_path: Path) -> None:
    document = machine(machine(sourceless(), "big", "A", {"RotatingMachine.ratedS": 90.0}), "small", "B", GENERATING)
    document.define("TopologicalIsland", "island", {"AngleRefTopologicalNode": Ref("B")})
    document.define("SvVoltage", "sv", {"TopologicalNode": Ref("B"), "v": 20.6, "angle": 12.0})
    grid = opened(tmp_path, document)
    assert grid.network.source_names == ("small",)
    assert grid.network.source_v_pu.tolist() == pytest.approx([1.03])
    assert grid.network.source_angle_rad.tolist() == pytest.approx([math.radians(12.0)])
    assert "small is the source because it is at the reference node" in told(grid)
    assert "that of the state variables is used" in told(grid)


def test_otherwise_the_largest(tmp_path: Path) -> None:
    document = machine(machine(sourceless(), "big", "A", {"RotatingMachine.ratedS": 90.0}), "small", "B", GENERATING)
    grid = opened(tmp_path, document)
    assert grid.network.source_names == ("big",)
    assert grid.network.source_v_pu.tolist() == [1.0]
    assert "big is the source because it is the largest of its island" in told(grid)
    assert "1 per unit is used" in told(grid)
    machine(document, "feeder", "B", {"maxP": 1.0}, "ExternalNetworkInjection")
    assert opened(tmp_path, document).network.source_names == ("feeder",)


def test_every_island_has_its_source(tmp_path: Path) -> None:
    document = machine(small(), "alone", "B", GENERATING)
    document.about("ACLineSegment", "line", {"Equipment.inService": False})
    assert opened(tmp_path, document).network.source_names == ("alone", "grid")


def test_a_grid_without_any_source_is_refused(tmp_path: Path) -> None:
    document = small()
    document.body = [part.replace("EnergySource", "AsynchronousMachine") for part in document.body]
    with pytest.raises(BadInput, match="no source"):
        opened(tmp_path, document)


def test_a_machine_holds_its_own_bus(tmp_path: Path) -> None:
    limits: Fields = {"minQ": -1.0, "maxQ": 1.5}
    document = machine(small(), "G", "B", {**GENERATING, **limits})
    grid = opened(tmp_path, regulated(document, "G", 20.1, "load-T1"))
    network = grid.network
    assert network.controlled_bus.tolist() == [1]
    assert network.controlled_v_pu.tolist() == pytest.approx([1.005])
    assert (network.controlled_q_min_var[0], network.controlled_q_max_var[0]) == (-1e6, 1.5e6)
    assert grid.p_w[1] == pytest.approx(1e6)
    assert grid.q_var[1] == pytest.approx(-0.2e6), "only the load: the machine's own reactive power is a result"


def test_machines_at_one_bus_hold_it_together(tmp_path: Path) -> None:
    document = small()
    for key, target in (("G", 20.1), ("H", 20.3)):
        machine(document, key, "B", {**GENERATING, "minQ": -1.0, "maxQ": 1.5})
        regulated(document, key, target, f"{key}-T1")
    grid = opened(tmp_path, document)
    assert grid.network.controlled_v_pu.tolist() == pytest.approx([1.005])
    assert grid.network.controlled_q_max_var.tolist() == [3e6]
    assert "another voltage than a machine at the same bus" in told(grid)


@pytest.mark.parametrize("state", [True, False])
def test_a_remote_bus_is_not_regulated(tmp_path: Path, state: bool) -> None:
    document = regulated(machine(small(), "G", "B", GENERATING), "G", 20.1, "grid-T1")
    if state:
        document.define("SvVoltage", "sv", {"TopologicalNode": Ref("B"), "v": 20.2, "angle": 0.0})
    grid = opened(tmp_path, document)
    assert grid.network.controlled_v_pu.tolist() == pytest.approx([1.01] if state else [])
    assert grid.q_var[1] == pytest.approx(-0.2e6 if state else 0.3e6)
    assert "regulates the voltage of another bus" in told(grid)


def test_control_that_is_off_is_off(tmp_path: Path) -> None:
    document = regulated(machine(small(), "G", "B", GENERATING), "G", 20.1, "G-T1", enabled=False)
    assert opened(tmp_path, document).network.controlled_bus.tolist() == []
    document = regulated(machine(small(), "G", "B", GENERATING), "G", 20.1, "G-T1")
    document.about("SynchronousMachine", "G", {"RegulatingCondEq.controlEnabled": False})
    assert opened(tmp_path, document).network.controlled_bus.tolist() == []


def test_a_target_in_volts_or_nowhere_near(tmp_path: Path) -> None:
    document = regulated(machine(small(), "G", "B", GENERATING), "G", 20100.0, "G-T1")
    document.about("RegulatingControl", "G-control", {"targetValueUnitMultiplier": Word("UnitMultiplier.none")})
    assert opened(tmp_path, document).network.controlled_v_pu.tolist() == pytest.approx([1.005])
    grid = opened(tmp_path, regulated(machine(small(), "G", "B", GENERATING), "G", 3.0, "G-T1"))
    assert grid.network.controlled_bus.tolist() == []
    assert "far from the nominal voltage" in told(grid)


def test_other_equipment_that_regulates(tmp_path: Path) -> None:
    document = small()
    values: Fields = {"p": -1.0, "q": 0.0, "regulationStatus": True, "regulationTarget": 20.4}
    machine(document, "neighbour", "B", values, "EquivalentInjection")
    assert opened(tmp_path, document).network.controlled_v_pu.tolist() == pytest.approx([1.02])
    document = small()
    mode = Word("SVCControlMode.voltage")
    machine(document, "svc", "B", {"q": 0.0, "voltageSetPoint": 20.4, "sVCControlMode": mode}, "StaticVarCompensator")
    grid = opened(tmp_path, document)
    assert grid.network.controlled_v_pu.tolist() == pytest.approx([1.02])
    assert "its slope and range are passed over" in told(grid)


def test_a_power_that_nobody_states_is_told(tmp_path: Path) -> None:
    document = machine(small(), "G", "B", {})
    assert "SynchronousMachine G.p]: no power is stated" in told(opened(tmp_path, document))
    document.define("GeneratingUnit", "unit", {"initialP": 3.0})
    document.about("SynchronousMachine", "G", {"RotatingMachine.GeneratingUnit": Ref("unit")})
    grid = opened(tmp_path, document)
    assert grid.p_w[1] == pytest.approx(2e6)
    assert told(grid) == ""


def infeed(document: Document, key: str, bus: str, priority: int) -> Document:
    values: Fields = {"ExternalNetworkInjection.p": 0.0, "ExternalNetworkInjection.q": 0.0}
    values |= {"ExternalNetworkInjection.referencePriority": str(priority)} if priority else {}
    return machine(document, key, bus, values, "ExternalNetworkInjection")


@pytest.mark.parametrize(
    ("priorities", "sources"), [((1, 1), ("east", "west")), ((2, 1), ("west",)), ((0, 0), ("east", "west"))]
)
def test_infeeds_of_equal_priority_are_all_sources(
    tmp_path: Path, priorities: tuple[int, int], sources: tuple[str, ...]
) -> None:
    document = infeed(infeed(sourceless(), "east", "A", priorities[0]), "west", "B", priorities[1])
    regulated(regulated(document, "east", 20.2, "east-T1"), "west", 20.2, "west-T1")
    grid = opened(tmp_path, document)
    assert tuple(sorted(grid.network.source_names)) == sources
    assert ("injects no power, as its p of 0 says" in told(grid)) == (len(sources) == 1)
    assert ("is a source too: it states no power" in told(grid)) == (priorities == (0, 0))


def test_of_machines_of_equal_priority_the_largest_is_the_source(tmp_path: Path) -> None:
    document = sourceless()
    for key, size in (("small", 2.0), ("big", 9.0)):
        machine(document, key, "B", {"referencePriority": "1", "RotatingMachine.ratedS": size, **GENERATING})
    grid = opened(tmp_path, document)
    assert grid.network.source_names == ("big",)
    assert "2 machines have this priority" in told(grid)


def test_the_power_flow_begins_from_the_state_variables(tmp_path: Path) -> None:
    document = small()
    document.define("SvVoltage", "sv", {"TopologicalNode": Ref("B"), "v": 20.2, "angle": -3.0})
    network = opened(tmp_path, document).network
    assert network.start_v_pu.tolist() == pytest.approx([math.nan, 1.01], nan_ok=True)
    assert network.start_angle_rad.tolist() == pytest.approx([math.nan, math.radians(-3.0)], nan_ok=True)
