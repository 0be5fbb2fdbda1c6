"""Distribution grids of IEC 61968-13: volts and watts, per-length data, phases and tanks."""

import math
from pathlib import Path

import numpy as np
import pytest
from tests.adapters.cim_documents import Document, Fields, Ref, Word, write

from flexpeer.adapters.gridfiles import GridFile, open_grid
from flexpeer.errors import BadInput
from flexpeer.grid.powerflow import solve

UPPER_V, LOWER_V = 10_000.0, 400.0
PHASES = "ABC"


def feeder() -> Document:
    """A 10 kV source, three single-phase tanks to 0.4 kV, 50 m of cable by matrix, and a load per phase."""
    document = Document("17")
    for key, volt in (("upper", UPPER_V), ("lower", LOWER_V)):
        document.define("BaseVoltage", key, {"nominalVoltage": volt})
    document.define("Feeder", "feeder", {"NormalEnergizingSubstation": Ref("station")})
    document.define("Substation", "station", {})
    for node in ("N1", "N2", "N3"):
        document.define("ConnectivityNode", node, {"ConnectivityNodeContainer": Ref("feeder")})
    source: Fields = {"voltageMagnitude": UPPER_V, "voltageAngle": math.pi / 6, "x": 0.1}
    document.define("EnergySource", "grid", source | {"ConductingEquipment.BaseVoltage": Ref("upper")})
    document.terminal("grid", 1, {"ConnectivityNode": Ref("N1")})
    _line(document)
    document.define("EnergyConsumer", "load", {"ConductingEquipment.BaseVoltage": Ref("lower")})
    document.terminal("load", 1, {"ConnectivityNode": Ref("N3")})
    for phase in PHASES:
        drawn: Fields = {"p": 10_000.0, "q": 2_000.0, "EnergyConsumer": Ref("load")}
        document.define("EnergyConsumerPhase", f"load-{phase}", drawn | {"phase": Word(f"SinglePhaseKind.{phase}")})
    _tanks(document)
    return document


def _line(document: Document) -> None:
    """Per metre: 0.4 + j 0.2 mohm on the diagonal, 0.1 + j 0.1 mohm beside it."""
    document.define("PerLengthPhaseImpedance", "code", {"conductorCount": "3"})
    for row in range(1, 4):
        for column in range(1, row + 1):
            own = row == column
            entry: Fields = {"r": 4e-4 if own else 1e-4, "x": 2e-4 if own else 1e-4, "b": 3e-9 if own else -1e-9}
            place: Fields = {"PhaseImpedance": Ref("code"), "row": str(row), "column": str(column)}
            document.define("PhaseImpedanceData", f"z{row}{column}", entry | place)
    line: Fields = {"PerLengthImpedance": Ref("code"), "Conductor.length": 50.0}
    document.define("ACLineSegment", "cable", line | {"ConductingEquipment.BaseVoltage": Ref("lower")})
    for number, node in enumerate(("N2", "N3"), 1):
        document.terminal("cable", number, {"ConnectivityNode": Ref(node)})
    for phase in PHASES:
        document.define("ACLineSegmentPhase", f"cable-{phase}", {"ACLineSegment": Ref("cable")})


def _tanks(document: Document) -> None:
    """Each 33 kVA with 4 % leakage, of which 1 % resistance, half of it in each winding."""
    rated_v, rated_va = (UPPER_V / math.sqrt(3), LOWER_V / math.sqrt(3)), 33_000.0
    document.define("PowerTransformer", "bank", {})
    document.define("TransformerTankInfo", "info", {})
    for number, volt in enumerate(rated_v, 1):
        end: Fields = {"ratedU": volt, "ratedS": rated_va, "r": 0.005 * volt**2 / rated_va, "endNumber": str(number)}
        end |= {"TransformerTankInfo": Ref("info"), "connectionKind": Word("WindingConnection.I")}
        document.define("TransformerEndInfo", f"info{number}", end)
        document.terminal("bank", number, {"ConnectivityNode": Ref(f"N{number}")})
    test: Fields = {"EnergisedEnd": Ref("info1"), "GroundedEnds": Ref("info2")}
    document.define("ShortCircuitTest", "test", test | {"leakageImpedance": 0.04 * rated_v[0] ** 2 / rated_va})
    for phase in PHASES:
        document.define("TransformerTank", f"tank-{phase}", {"PowerTransformer": Ref("bank")})
        linked: Fields = {"PowerSystemResources": Ref(f"tank-{phase}"), "AssetInfo": Ref("info")}
        document.define("Asset", f"asset-{phase}", linked)
        for number, base in enumerate(("upper", "lower"), 1):
            tank_end: Fields = {"TransformerTank": Ref(f"tank-{phase}"), "TransformerEnd.endNumber": str(number)}
            tank_end |= {"TransformerEnd.Terminal": Ref(f"bank-T{number}"), "TransformerEnd.BaseVoltage": Ref(base)}
            document.define("TransformerTankEnd", f"end-{phase}{number}", tank_end)


def opened(folder: Path, document: Document) -> GridFile:
    write(folder, {"grid": document})
    return open_grid("grid.xml", folder)


def test_an_unbalanced_model_is_read_as_balanced(tmp_path: Path) -> None:
    grid = opened(tmp_path, feeder())
    network = grid.network
    assert network.bus_names == ("N1", "N2", "N3")
    assert network.bus_v.tolist() == [UPPER_V, LOWER_V, LOWER_V]
    assert grid.p_w.tolist() == [0.0, 0.0, -30_000.0]
    assert grid.q_var.tolist() == [0.0, 0.0, -6_000.0]
    assert set(grid.areas) == {"station"}
    cable, bank = (network.branch_names.index(name) for name in ("cable", "bank"))
    assert network.r_pu[cable] * LOWER_V**2 / 1e6 == pytest.approx(50 * 3e-4)
    assert network.x_pu[cable] * LOWER_V**2 / 1e6 == pytest.approx(50 * 1e-4)
    assert network.b_pu[cable] / LOWER_V**2 * 1e6 == pytest.approx(50 * 4e-9)
    assert network.r_pu[bank] == pytest.approx(0.01 * 1e6 / 99_000)
    assert network.x_pu[bank] == pytest.approx(math.sqrt(0.04**2 - 0.01**2) * 1e6 / 99_000)
    assert network.rating_to_a[bank] == pytest.approx(99_000 / math.sqrt(3) / LOWER_V)
    assert math.degrees(network.source_angle_rad[0]) == pytest.approx(30.0)
    assert bool(solve(network, grid.p_w, grid.q_var).converged[0])


def test_everything_read_differently_is_told(tmp_path: Path) -> None:
    told = "\n".join(map(str, opened(tmp_path, feeder()).findings))
    for words in (
        "voltages of this size are in V",
        "a matrix per phase",
        "ACLineSegmentPhase cable-A]: a single phase; the grid is read as balanced (and 2 more)",
        "EnergyConsumerPhase load-A",
        "tanks are read as one balanced transformer of their summed ratings (and 2 more)",
        "the impedance of the source is passed over",
    ):
        assert words in told


def test_a_regulator_moves_the_ratio_by_the_mean_of_its_tanks(tmp_path: Path) -> None:
    document = feeder()
    for phase, step in zip(PHASES, (4, 6, 8), strict=True):
        tap: Fields = {
            "TransformerEnd": Ref(f"end-{phase}2"),
            "stepVoltageIncrement": 0.625,
            "TapChanger.step": str(step),
        }
        document.define("RatioTapChanger", f"tap-{phase}", tap | {"TapChanger.neutralStep": "0"})
    network = opened(tmp_path, document).network
    assert network.tap[network.branch_names.index("bank")] == pytest.approx(1 / (1 + 6 * 0.00625))


def test_per_length_sequence_impedances(tmp_path: Path) -> None:
    document = feeder()
    unit: Fields = {"r": 3e-4, "x": 1e-4, "bch": 4e-9, "gch": 0.0}
    document.define("PerLengthSequenceImpedance", "sequence", unit)
    old, new = ('ACLineSegment.PerLengthImpedance rdf:resource="#_' + key for key in ("code", "sequence"))
    document.body = [part.replace(old, new) for part in document.body]
    by_matrix, by_sequence = opened(tmp_path, feeder()), opened(tmp_path, document)
    assert np.allclose(by_matrix.network.x_pu, by_sequence.network.x_pu, rtol=1e-12)
    assert np.allclose(by_matrix.network.b_pu, by_sequence.network.b_pu, rtol=1e-12)


@pytest.mark.parametrize("missing", ["ShortCircuitTest", "TransformerEndInfo", "Asset"])
def test_tanks_that_nothing_describes_are_refused(tmp_path: Path, missing: str) -> None:
    document = feeder()
    document.body = [part for part in document.body if not part.startswith(f"<cim:{missing} ")]
    with pytest.raises(BadInput, match="ShortCircuitTest"):
        opened(tmp_path, document)


def test_a_line_of_wires_alone_is_refused(tmp_path: Path) -> None:
    document = feeder()
    document.body = [part.replace("ACLineSegment.PerLengthImpedance", "Asset.spacing") for part in document.body]
    with pytest.raises(BadInput, match="wire geometry is not calculated"):
        opened(tmp_path, document)
