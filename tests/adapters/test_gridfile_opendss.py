"""The positive sequence of OpenDSS circuits: the reduction by hand, whole circuits against OpenDSS's own solution."""

import importlib
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.rural_feeder import rural_feeder
from tests.adapters.test_gridfile_kinds import GRIDS, state

from flexpeer.adapters.gridfiles import open_grid
from flexpeer.adapters.gridfiles.opendss_engine import DssBus, DssElement, dss_circuit
from flexpeer.adapters.gridfiles.opendss_reduction import at_buses, pair, patterns, series, split_phases
from flexpeer.errors import BadInput
from flexpeer.grid.powerflow import solve

A = np.exp(2j * np.pi / 3)
Z_SELF, Z_MUTUAL = 0.4 + 1.0j, 0.1 + 0.4j
FEEDERS = Path(os.environ.get("FLEXPEER_FEEDERS", Path(__file__).resolve().parents[3] / "shared" / "feeders"))


def bus(name: str, nodes: dict[int, complex]) -> DssBus:
    v = {node: 1e3 * value for node, value in nodes.items()}
    return DssBus(name, 1.0, v, v)


THREE = {1: 1 + 0j, 2: A**2, 3: A}
PATTERN = patterns({name: bus(name, THREE) for name in ("a", "b")}, 0.0)


def line(*nodes: int) -> DssElement:
    z = np.full((len(nodes), len(nodes)), Z_MUTUAL) + np.eye(len(nodes)) * (Z_SELF - Z_MUTUAL)
    y = np.linalg.inv(z)
    c = 1e-6j * np.eye(len(nodes))
    return DssElement(
        "line", "x", ("a", "b"), (nodes, nodes), np.block([[y + c, -y], [-y, y + c]]), 0j, (False,) * 2, 400, {}
    )


@pytest.mark.parametrize(
    ("nodes", "z_ohm"),
    [
        ((1, 2, 3), Z_SELF - Z_MUTUAL),
        ((2,), 3 * Z_SELF),
        ((1, 3), 1.5 * (Z_SELF - Z_MUTUAL / 2)),
    ],
)
def test_a_line_has_the_drop_and_the_losses_of_its_phases(nodes: tuple[int, ...], z_ohm: complex) -> None:
    found = series(line(*nodes), PATTERN)
    assert found is not None
    assert found.z_ohm == pytest.approx(z_ohm)
    assert found.y_from_s == pytest.approx(1e-6j * len(nodes) / 3)
    assert found.phases == len(nodes)


def test_patterns_are_angles_without_load() -> None:
    turned = {node: v * np.exp(1j * np.deg2rad(-32.0)) for node, v in THREE.items()}
    found = patterns(
        {"m": bus("m", turned), "leg": bus("leg", {1: 1 + 0j, 2: -1 + 0j}), "n": bus("n", {1: 1 + 0j, 4: 0j})}, 0.0
    )
    assert found["m"] == {node: pytest.approx(v) for node, v in THREE.items()}
    assert found["leg"] == {1: pytest.approx(1), 2: pytest.approx(-1)}, "two legs of a split phase"
    assert found["n"] == {1: pytest.approx(1)}, "a neutral carries no voltage"


def test_a_transformer_between_star_and_delta_turns_by_30_degrees() -> None:
    """The delta of one side at the phase voltages of the other, seen in the positive sequence."""
    y, n = 1 / (0.1 + 1j), 5.0
    incidence = np.array([[1, -1, 0], [0, 1, -1], [-1, 0, 1]]) / (n * math.sqrt(3))
    matrix = np.block([[incidence.T @ incidence * y, -incidence.T * y], [-incidence * y, np.eye(3) * y]])
    part = DssElement("transformer", "t", ("a", "b"), ((1, 2, 3), (1, 2, 3)), matrix, 0j, (False,) * 2, 0.0, {})
    found = pair(at_buses(part, PATTERN)[1])
    assert found is not None
    assert found.y_s == pytest.approx(y)
    assert abs(found.a) == pytest.approx(n)
    assert abs(math.degrees(np.angle(found.a))) == pytest.approx(30.0)
    assert abs(found.c_s) < 1e-12


def test_legs_are_of_the_phases_that_feed_them() -> None:
    """Along a line behind a transformer at phase c, and behind one between a and b; others are not legs."""

    def part(kind: str, *ends: tuple[str, tuple[int, ...]]) -> DssElement:
        buses, nodes = zip(*ends, strict=True)
        return DssElement(kind, "x", buses, nodes, np.zeros((0, 0), complex), 0j, (False,) * len(ends), 0.0, {})

    legs = {1: 1 + 0j, 2: -1 + 0j}
    buses = {name: bus(name, legs) for name in ("lv", "home", "far", "other", "alone")} | {"mv": bus("mv", THREE)}
    parts = [
        part("line", ("far", (1, 2)), ("home", (1, 2))),
        part("line", ("home", (1, 2)), ("lv", (1, 2))),
        part("transformer", ("mv", (3, 0)), ("lv", (1, 0)), ("lv", (0, 2))),
        part("transformer", ("mv", (1, 2)), ("other", (1, 0)), ("other", (0, 2))),
        part("line", ("mv", (1, 2)), ("mv", (1, 2))),
    ]
    found = split_phases(parts, patterns(buses, 0.0))
    assert found == dict.fromkeys(("lv", "home", "far"), frozenset({3})) | {"other": frozenset({1, 2})}


def test_without_the_extra_the_install_command_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> Any:
        raise ImportError

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(BadInput, match=r"pip install 'flexpeer\[opendss\]'"):
        open_grid("circuit.dss", GRIDS / "opendss-balanced")


# ---- against OpenDSS itself


def need_engine() -> None:
    pytest.importorskip("opendssdirect", reason="opendssdirect.py, the extra opendss, is not installed")


def means_pu(path: Path) -> dict[str, float]:
    """OpenDSS's own solution: the mean of each bus's phases."""
    circuit = dss_circuit(path, "reference")
    return {
        name: float(np.mean([abs(v) for node, v in one.v.items() if 0 < node < 4])) / (1e3 * one.v_kv)
        for name, one in circuit.buses.items()
    }


def test_a_circuit_of_equal_phases_is_exact() -> None:
    """Delta and star, taps, three windings, a capacitor and a line open at one end."""
    need_engine()
    path = GRIDS / "opendss-balanced" / "circuit.dss"
    grid = open_grid("circuit.dss", path.parent)
    v = solve(grid.network, grid.p_w, grid.q_var).v[:, 0]
    for name, one in dss_circuit(path, "reference").buses.items():
        index = grid.bus_index(name)
        assert index is not None
        assert v[index] == pytest.approx(one.v[1] / (1e3 * one.v_kv), abs=1e-8), name
    assert [finding.field for finding in grid.findings] == ["transformer.t3"]
    losses_w = state(grid)[2]
    behind = grid.branch_index("vsource.source impedance")
    assert behind is not None
    assert losses_w > dss_circuit(path, "reference").losses_w, "the source's impedance loses too, here"


@pytest.mark.parametrize("problem", ["new circuit.x basekv=1\nnew line.a bus1=sourcebus linecode=none", "! nothing"])
def test_a_script_that_does_not_run_is_refused(tmp_path: Path, problem: str) -> None:
    need_engine()
    (tmp_path / "bad.dss").write_text(f"clear\n{problem}\n")
    with pytest.raises(BadInput):
        open_grid("bad.dss", tmp_path)


UNBALANCED = """clear
new circuit.x basekv=20 pu=1.0 bus1=a mvasc3=1e6 mvasc1=1e6
new line.main bus1=a bus2=b phases=3 r1=0.3 x1=0.35 r0=0.8 x0=1.2 c1=0 c0=0 length=5 units=km normamps=300
new line.single bus1=b.2 bus2=c.2 phases=1 r1=0.5 x1=0.5 r0=0.5 x0=0.5 c1=0 c0=0 length=4 units=km normamps=200
new load.c bus1=c.2 phases=1 kv=11.547 kw=600 kvar=100
new load.b bus1=b phases=3 kv=20 kw=1500 kvar=300 model=2
set voltagebases=(20)
calcvoltagebases
set tolerance=1e-10
solve
"""


def test_a_single_phase_has_its_own_drop_and_everything_is_told(tmp_path: Path) -> None:
    need_engine()
    (tmp_path / "x.dss").write_text(UNBALANCED)
    grid = open_grid("x.dss", tmp_path)
    told = "\n".join(map(str, grid.findings))
    for part in ("1 lines of one or two phases", "1 loads of model 2 (constant impedance)", "% above the mean"):
        assert part in told
    v_pu = state(grid)[0]
    at = {name: index for index, name in enumerate(grid.network.bus_names)}
    reference = dss_circuit(tmp_path / "x.dss", "reference").buses
    own = abs(reference["b"].v[2]) - abs(reference["c"].v[2])
    assert v_pu[at["b"]] - v_pu[at["c"]] == pytest.approx(own / (1e3 * reference["b"].v_kv), rel=0.02)
    rating = grid.network.rating_from_a[grid.network.branch_names.index("line.single")]
    assert rating == pytest.approx(200 / 3)


GENERATING = """clear
new circuit.x basekv=20 bus1=a
new line.main bus1=a bus2=b phases=3 r1=0.3 x1=0.35 r0=0.8 x0=1.2 c1=0 c0=0 length=5 units=km normamps=300
new generator.mill bus1=b kv=20 kw=300 pf=1
new pvsystem.roof bus1=b kv=20 pmpp=80 kva=60 irradiance=0.5 pf=1
new storage.cells bus1=b kv=20 kwrated=50 kwhrated=200 kwhstored=100 state=discharging
set voltagebases=(20)
calcvoltagebases
solve
"""


def test_generating_elements_have_the_ranges_of_the_script(tmp_path: Path) -> None:
    need_engine()
    (tmp_path / "x.dss").write_text(GENERATING)
    found = {row.plate.name: (row.plate.kind, *row.plate[2:]) for row in open_grid("x.dss", tmp_path).injections}
    assert found == {
        "generator.mill": ("generation", 0.0, 300e3, pytest.approx(math.nan, nan_ok=True)),
        "pvsystem.roof": ("pv", 0.0, 60e3, pytest.approx(math.nan, nan_ok=True)),
        "storage.cells": ("battery", -50e3, 50e3, 200e3),
    }


def test_a_rural_feeder_of_split_phases_is_near_and_told_in_few_words(tmp_path: Path) -> None:
    """Service transformers of three windings, regulators and capacitors; homes round the phases, so all are equal."""
    need_engine()
    (tmp_path / "x.dss").write_text(rural_feeder(90))
    grid = open_grid("x.dss", tmp_path)
    v_pu, means = state(grid)[0], means_pu(tmp_path / "x.dss")
    apart = {name: abs(v_pu[grid.bus_index(name)] - mean) for name, mean in means.items()}
    assert max(d for name, d in apart.items() if name.startswith(("trunk", "station", "regulated"))) < 2e-4
    assert max(apart.values()) < 2e-3
    by_phase = {letter: sum(row.p_w for row in grid.injections if row.phase == letter) for letter in "abc"}
    assert sum(by_phase.values()) == pytest.approx(float(grid.p_w.sum()))
    assert max(by_phase.values()) < 0
    assert len(grid.findings) < 10
    assert "90 transformers of one or two phases" in "\n".join(map(str, grid.findings))


def test_a_load_far_from_its_own_voltage_is_told(tmp_path: Path) -> None:
    need_engine()
    text = UNBALANCED.replace("new load.b bus1=b phases=3 kv=20", "new load.b bus1=b phases=3 kv=16").replace(
        "model=2", ""
    )
    (tmp_path / "x.dss").write_text(text)
    told = [str(finding) for finding in open_grid("x.dss", tmp_path).findings]
    assert any("[load.b]: 1 loads of constant power are impedances" in each for each in told)


AGREEMENT = {
    "13Bus/IEEE13Nodeckt.dss": (0.0020, 0.030),
    "34Bus/ieee34Mod1.dss": (0.0126, 0.013),
    "37Bus/ieee37.dss": (0.0034, 0.0034),
    "123Bus/IEEE123Master.dss": (0.0003, 0.019),
    "LVTestCase/Master.dss": (0.0011, 0.0011),
}
"""Largest difference from the mean of a bus's phases, pu: where there are three, and anywhere. What is left is the
reduction: loads on single phases, loads whose power depends on the voltage, and unequal taps."""


@pytest.mark.parametrize("feeder", AGREEMENT)
def test_feeders_are_as_near_as_the_reduction_allows(feeder: str) -> None:
    need_engine()
    path = FEEDERS / feeder
    if not path.exists():
        pytest.skip("the published feeders are not here; FLEXPEER_FEEDERS names their folder")
    grid = open_grid(path.name, path.parent)
    v_pu = state(grid)[0]
    nodes = {name: len([n for n in one.v if 0 < n < 4]) for name, one in dss_circuit(path, "reference").buses.items()}
    apart = {name: abs(v_pu[grid.bus_index(name)] - mean) for name, mean in means_pu(path).items()}
    assert max(d for name, d in apart.items() if nodes[name] == 3) <= AGREEMENT[feeder][0]
    assert max(apart.values()) <= AGREEMENT[feeder][1]
