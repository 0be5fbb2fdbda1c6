"""Names the grid does not have are told together with everything else that is wrong."""

from pathlib import Path

from tests.adapters.scenario_folder import folder_of, swap_hour
from tests.cli.program import flexpeer


def test_unknown_names_are_told_beside_other_findings(tmp_path: Path) -> None:
    texts = swap_hour()
    texts["scenario.toml"] += '\n[grid]\nsource = "cigre_mv"\n'
    texts["areas.csv"] = "bus,dso\nBus 1,Region\nNowhere,Region\n"
    texts["congestion_points.csv"] = "congestion_point,element,direction,limit_w\nExport,T1,export,sixty\n"
    answer = flexpeer("run", folder_of(texts, tmp_path / "scenario"), "--out", tmp_path / "out", "--json")
    assert answer.code == 2
    found = {(f["where"], f["line"], f["field"]) for f in answer.object["findings"]}
    assert {
        ("congestion_points.csv", 2, "limit_w"),
        ("congestion_points.csv", 2, "element"),
        ("areas.csv", 3, "bus"),
    } <= found
    assert not (tmp_path / "out").exists()
