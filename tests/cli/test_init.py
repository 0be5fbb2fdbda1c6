"""`flexpeer init`: a grid file becomes a scenario that runs, and that injects what the file says."""

import json
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.adapters import cim_documents
from tests.adapters.scenario_folder import folder_of, swap_hour
from tests.adapters.test_gridfile_matpower import MESHED
from tests.adapters.test_gridfile_pandapower import small, table
from tests.app.grid_days import SMALL_GRID
from tests.cli.program import PROGRESS, everything_in, flexpeer

from flexpeer.adapters.folders import beside
from flexpeer.app.scenario import Scenario
from flexpeer.app.study.grid_day import build
from flexpeer.bootstrap import check_grid, grid_input, read_whole
from flexpeer.narration import Screen
from flexpeer.terminal import with_progress

DAY = ("--day", "2026-03-29")


def village() -> str:
    """A little of everything that pandapower has names for."""
    tables = {
        "load": table(
            "name bus p_mw q_mvar scaling in_service",
            ["House", 1, 0.4, 0.1, 1.0, True], ["House", 1, 0.3, 0.0, 1.0, True], ["Kiosk", 0, 0.0011, 0.0, 1.0, True],
        ),
        "sgen": table(
            "name bus p_mw q_mvar scaling in_service type max_p_mw",
            ["Roof", 1, 0.6, 0.0, 0.5, True, "PV", 0.7], [None, 0, 2.0, 0.0, 1.0, True, "WP", None],
        ),
        "storage": table(
            "name bus p_mw q_mvar scaling in_service max_e_mwh min_p_mw max_p_mw",
            ["Store", 1, 0.1, 0.0, 1.0, True, 2.5, -0.5, 0.4],
        ),
    }  # fmt: skip
    return json.dumps(small(**tables))


def begun(folder: Path, text: str, name: str = "grid.json") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    answer = flexpeer("init", folder / name, folder / "day", *DAY)
    assert answer.code == 0, answer.err
    assert f"Next: flexpeer grid needs {folder / 'day'}" in answer.out
    return folder / "day"


def injected_as_in_file(folder: Path) -> Scenario:
    scenario, opened = read_whole(folder)
    grid = grid_input(scenario, opened)
    assert opened is not None
    assert grid is not None
    day = build(scenario, grid)
    p_w = day.injections(scenario.plans_w())
    assert np.abs(p_w - opened.p_w[:, None]).max() <= 1.0
    assert np.abs(day.base_q_var - opened.q_var[:, None]).max() <= 1.0
    return scenario


def test_every_element_that_can_move_is_a_resource(tmp_path: Path) -> None:
    scenario = injected_as_in_file(begun(tmp_path, village()))
    found = {r.resource: (r.fsp, r.kind, r.p_min_w, r.p_max_w, r.energy_wh) for r in scenario.resources}
    assert found == {
        "Roof": ("Generation", "pv", 0, 700_000, None),
        "wind A": ("Generation", "wind", 0, 2_000_000, None),
        "Store": ("Storage", "battery", -400_000, 500_000, 2_500_000),
        "House": ("Flexible load", "load", -700_000, 0, None),
    }
    assert scenario.day.mtu_count == 23
    assert scenario.alternative.overdraw == 2800


def test_ranges_of_matpower_generators_are_those_of_the_file(tmp_path: Path) -> None:
    gens = """gen = [
    10 0 0 300 -300 1.02 100 1 250 0;
    20 15 3 20 -10 1.01 100 1 100 4;
    20 0 0 20 -5 1.01 100 1 30 0;
    30 4 2 20 -5 1.05 100 1 3 Inf;
    40 -2 0 0 0 1 100 1 0 -6;
    40 5 0 0 0 1 100 1 5 5;
    40 3 0 0 0 1 100 0 9 0;
];"""
    text = re.sub(r"gen = \[.*?\];", gens, MESHED, count=1, flags=re.DOTALL)
    scenario = injected_as_in_file(begun(tmp_path, text, "case.m"))
    found = [(r.fsp, r.bus, r.p_min_w, r.p_max_w) for r in scenario.resources]
    assert found[:4] == [
        ("Generation", "Bus 20", 4_000_000, 100_000_000),
        ("Generation", "Bus 20", 0, 30_000_000),
        ("Generation", "Bus 30", 0, 4_000_000),
        ("Flexible load", "Bus 40", -6_000_000, 0),
    ]
    assert {row[0] for row in found[4:]} == {"Flexible load"}, "one that cannot move is none, nor one out of service"


def test_ranges_of_pandapower_generators_and_loads_are_those_of_the_file(tmp_path: Path) -> None:
    tables = {
        "gen": table(
            "name bus p_mw vm_pu scaling in_service min_p_mw max_p_mw slack",
            ["Mill", 1, 0.6, 1.0, 1.0, True, 0.2, 0.9, False],
        ),
        "load": table(
            "name bus p_mw q_mvar scaling in_service min_p_mw max_p_mw",
            ["Pump", 1, 0.001, 0.0, 1.0, True, None, 0.005], ["House", 1, 0.4, 0.0, 1.0, True, None, None],
        ),
    }  # fmt: skip
    scenario = injected_as_in_file(begun(tmp_path, json.dumps(small(**tables))))
    found = {r.resource: (r.p_min_w, r.p_max_w) for r in scenario.resources}
    assert found == {"Mill": (200_000, 900_000), "Pump": (-5_000, 0), "House": (-400_000, 0)}


def test_equal_loads_and_generators_at_rest_are_resources_too(tmp_path: Path) -> None:
    """As in a village of sixty equal houses at night: none is large, and the roofs give nothing."""
    houses = [[f"House {n}", 1, 0.001, 0.0, 1.0, True] for n in range(60)]
    roofs = [["Roof", 1, 0.2, 0.0, 0.0, True, "PV"], ["Cellar", 1, 0.0, 0.0, 1.0, True, "CHP"]]
    tables = {
        "load": table("name bus p_mw q_mvar scaling in_service", *houses, ["Bell", 1, 0.00005, 0.0, 1.0, True]),
        "sgen": table("name bus p_mw q_mvar scaling in_service type", *roofs),
    }
    scenario = injected_as_in_file(begun(tmp_path, json.dumps(small(**tables))))
    found = {r.resource: (r.kind, r.p_min_w, r.p_max_w) for r in scenario.resources}
    assert found.pop("Roof") == ("pv", 0, 200_000)
    assert set(found.values()) == {("load", -1_000, 0)}
    assert (len(found), "Bell" in found) == (20, False)


def test_ranges_and_kinds_of_cim_units_are_those_of_the_files(tmp_path: Path) -> None:
    document = cim_documents.small()
    powered: cim_documents.Fields = {"RotatingMachine.p": -2.0, "RotatingMachine.q": 0.0}
    document.define("SynchronousMachine", "G", powered)
    document.define("HydroGeneratingUnit", "unit", {
        "GeneratingUnit.minOperatingP": 0.5, "GeneratingUnit.maxOperatingP": 3.0,
    })  # fmt: skip
    document.about("SynchronousMachine", "G", {"RotatingMachine.GeneratingUnit": cim_documents.Ref("unit")})
    document.define("PowerElectronicsConnection", "C", {"p": -0.1, "q": 0.0})
    document.define("BatteryUnit", "cells", {
        "PowerElectronicsUnit.minP": -0.4, "PowerElectronicsUnit.maxP": 0.3, "ratedE": 0.8,
        "PowerElectronicsUnit.PowerElectronicsConnection": cim_documents.Ref("C"),
    })  # fmt: skip
    for key in ("G", "C"):
        document.terminal(key, 1, {"TopologicalNode": cim_documents.Ref("B")})
    cim_documents.write(tmp_path, {"grid": document})
    scenario = injected_as_in_file(begun(tmp_path, (tmp_path / "grid.xml").read_text(encoding="utf-8"), "grid.xml"))
    found = {r.resource: (r.kind, r.p_min_w, r.p_max_w, r.energy_wh) for r in scenario.resources if r.kind != "load"}
    assert found == {"G": ("hydro", 500_000, 3_000_000, None), "C": ("battery", -400_000, 300_000, 800_000)}


@pytest.mark.parametrize("grid", ["village", "cigre_mv"])
def test_from_grid_to_results_each_step_tells_the_next(tmp_path: Path, grid: str) -> None:
    if grid == "village":
        folder = begun(tmp_path, village())
    else:
        folder = tmp_path / "day"
        assert flexpeer("init", grid, folder, *DAY).code == 0
    needs = flexpeer("grid", "needs", folder)
    assert needs.code == 0, needs.err
    assert f"Next: flexpeer run {folder}" in needs.out.replace("\n", "")
    ran = flexpeer("run", folder)
    assert ran.code == 0, ran.err
    results = tmp_path / "day-results"
    assert json.loads((results / "result.json").read_text(encoding="utf-8"))["settlement_sum"] == 0
    assert str(results) in ran.out.replace("\n", "")


def test_zones_of_the_file_are_dsos_where_they_can_be(tmp_path: Path) -> None:
    document = json.loads(SMALL_GRID)
    for bus in document["buses"]:
        bus["area"] = "Coast" if bus["name"] in ("A", "B", "C") else "Region"
    document["injections"] = [{"bus": "B", "p_w": -1e6, "q_var": 0.0}]
    scenario = injected_as_in_file(begun(tmp_path, json.dumps(document)))
    dsos = {o.organisation: (o.role, o.parent) for o in scenario.organisations if "DSO" in o.role}
    assert dsos == {"DSO Region": ("REGIONAL_DSO", None), "DSO Coast": ("LOCAL_DSO", "DSO Region")}
    assert scenario.areas["B"] == "DSO Coast"


def test_the_first_hour_is_the_state_of_the_file(tmp_path: Path) -> None:
    folder = begun(tmp_path, village())
    result = flexpeer("run", folder, "--json").object
    assert result["max_loading_percent_before"] == pytest.approx(
        check_grid(str(folder / "grid.json"))["max_loading_percent"], rel=1e-5
    )


def test_a_bad_grid_or_a_folder_in_use_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{}", encoding="utf-8")
    assert flexpeer("init", tmp_path / "bad.json", tmp_path / "new").code == 2
    assert flexpeer("init", "cigre_mv", tmp_path).code == 2
    assert everything_in(tmp_path) == {"bad.json"}


def test_results_are_replaced_only_by_force_and_only_results(tmp_path: Path) -> None:
    folder = folder_of(swap_hour(), tmp_path / "swap")
    assert flexpeer("run", folder, "--force").code == 0
    first = everything_in(tmp_path / "swap-results")
    again = flexpeer("run", folder)
    assert (again.code, "or --force to replace results" in again.err.replace("\n", " ")) == (2, True)
    (tmp_path / "swap-results" / "result.json").write_text("old", encoding="utf-8")
    assert flexpeer("run", folder, "--force").code == 0
    assert everything_in(tmp_path / "swap-results") == first
    assert (tmp_path / "swap-results" / "result.json").read_text(encoding="utf-8") != "old"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine", encoding="utf-8")
    refused = flexpeer("run", folder, "--force", "--out", tmp_path / "other")
    assert refused.code == 2
    assert "holds other things than results" in refused.err
    assert everything_in(tmp_path) == {
        "other", "other/thesis.txt", "swap", *(f"swap/{name}" for name in swap_hour()),
        "swap-results", *(f"swap-results/{name}" for name in first),
    }  # fmt: skip


def test_a_run_that_fails_leaves_the_results_there_were(tmp_path: Path) -> None:
    folder = folder_of(swap_hour(), tmp_path / "swap")
    assert flexpeer("run", folder).code == 0
    (folder / "orders.csv").write_text("order\n", encoding="utf-8")
    assert flexpeer("run", folder, "--force").code == 2
    assert (tmp_path / "swap-results" / "result.json").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["swap", "swap-results"]


def test_where_results_go_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of(swap_hour(), tmp_path / "swap")
    monkeypatch.chdir(folder)
    assert beside(Path()) == tmp_path / "swap-results"
    assert beside(Path("..")) == tmp_path.parent / f"{tmp_path.name}-results"
    assert beside(Path("deep/er")) == Path("deep/er-results")


def test_progress_without_a_terminal_is_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("flexpeer.terminal.EVERY_S", 0.01)
    printed = threading.Event()

    def work(tell: Callable[[int, int], None]) -> str:
        tell(1_200, 5_000)
        assert printed.wait(60)
        return "done"

    class Heard(Screen):
        def print(self, *objects: Any, **options: Any) -> None:
            super().print(*objects, **options)
            printed.set()

    monkeypatch.setattr("flexpeer.terminal.ERRORS", Heard(stderr=True))
    assert with_progress(work, "orders") == "done"
    lines = capsys.readouterr().err
    assert "orders 1,200 of 5,000, 0 s\n" in lines
    assert PROGRESS.sub("", lines) == ""
