import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flexpeer.adapters.gridfiles import GridFile, open_grid, write_flexpeer_json
from flexpeer.adapters.gridfiles.flexpeer_sections import SECTIONS
from flexpeer.adapters.newton import newton_flow
from flexpeer.errors import BadInput, Finding

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "grid-json.md"


def example() -> Any:
    block = re.search(r"```json\n(.*?)```", REFERENCE.read_text(encoding="utf-8"), re.DOTALL)
    assert block
    return json.loads(block[1])


def opened(folder: Path, document: Any) -> GridFile:
    (folder / "grid.json").write_text(json.dumps(document), encoding="utf-8")
    return open_grid("grid.json", folder)


def refused(folder: Path, document: Any) -> tuple[Finding, ...]:
    with pytest.raises(BadInput) as caught:
        opened(folder, document)
    return caught.value.findings


def same_network(one: GridFile, other: GridFile) -> None:
    for name in one.network.__dataclass_fields__:
        mine, theirs = getattr(one.network, name), getattr(other.network, name)
        assert np.array_equal(mine, theirs, equal_nan=np.asarray(mine).dtype.kind == "f"), name


def test_the_documented_example_is_a_working_grid(tmp_path: Path) -> None:
    grid = opened(tmp_path, example())
    assert grid.areas == ("", "North", "North")
    assert grid.p_w.tolist() == [0.0, 0.0, -3e6]
    assert grid.network.rating_from_a[1] == pytest.approx(25e6 / math.sqrt(3) / 110e3)
    flow = newton_flow(grid.network, grid.p_w[:, None], grid.q_var[:, None])
    assert 3.0e6 < flow.source_p_w[0, 0] < 3.1e6
    assert np.degrees(np.angle(flow.v_pu[1, 0])) == pytest.approx(-150, abs=1.5)
    assert abs(flow.v_pu[1, 0]) > 1.02 * 1.01, "the tap lowers the rated primary voltage, so the secondary rises"


def test_every_field_of_the_format_is_in_the_reference() -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    assert [f for fields in SECTIONS.values() for f in (*SECTIONS, *fields) if f"`{f}`" not in text] == []


@pytest.mark.parametrize("source", ["cigre_mv", "cigre_lv"])
def test_writing_and_reading_is_exact(tmp_path: Path, source: str) -> None:
    grid = open_grid(source, tmp_path)
    write_flexpeer_json(grid, tmp_path / "copy.json")
    copy = open_grid("copy.json", tmp_path)
    same_network(grid, copy)
    assert np.array_equal(grid.p_w, copy.p_w)
    assert np.array_equal(grid.q_var, copy.q_var)
    assert (grid.areas, dict(grid.bus_aliases)) == (copy.areas, dict(copy.bus_aliases))


def test_writing_and_reading_is_exact_for_awkward_numbers(tmp_path: Path) -> None:
    random = np.random.default_rng(7)
    document = example()
    document["branches"] = [
        document["branches"][0]
        | {
            "name": f"L{n}",
            "r_ohm": random.uniform(0.1, 9),
            "b_us": random.uniform(1, 99),
            "shift_deg": random.uniform(),
        }
        for n in range(300)
    ]
    grid = opened(tmp_path, document)
    write_flexpeer_json(grid, tmp_path / "copy.json")
    same_network(grid, open_grid("copy.json", tmp_path))


BAD = [
    ("branches", 0, "rating_a", -5, "a negative limit"),
    ("branches", 0, "rating_a", math.nan, "nan"),
    ("branches", 0, "from", "Nowhere", "no bus 'Nowhere'"),
    ("branches", 0, "name", "Busbar", "2 elements have this name"),
    ("branches", 0, "length", 3, "unknown field"),
    ("branches", 0, "to", "Substation", "a line joins 20.0 kV and 110.0 kV"),
    ("branches", 0, "in_service", False, "no source reaches it"),
    ("branches", 0, "tap", 0, "0.0"),
    ("branches", 0, "to", "Busbar", "both ends at one bus"),
    ("transformers", 0, "sn_mva", -25, "a negative limit"),
    ("transformers", 0, "vkr_percent", 20, "20.0 of 'T1'"),
    ("buses", 0, "v_kv", 0, "0.0"),
    ("buses", 1, "v_min_pu", 1.2, "voltage band 1.2 to 1.05"),
    ("injections", 0, "bus", "Nowhere", "no bus 'Nowhere'"),
    ("injections", 0, "p_w", "much", "'much'"),
    ("shunts", 0, "b_us", math.inf, "inf"),
    ("sources", 0, "v_pu", 0, "0.0"),
]


@pytest.mark.parametrize(("section", "row", "field", "value", "problem"), BAD)
def test_a_bad_value_is_refused_by_name(
    tmp_path: Path, section: str, row: int, field: str, value: object, problem: str
) -> None:
    document = example()
    document[section][row][field] = value
    findings = refused(tmp_path, document)
    assert any(problem in finding.problem and finding.expected for finding in findings), findings


def test_all_mistakes_are_reported_together_without_follow_ups(tmp_path: Path) -> None:
    document = example()
    del document["buses"][1]["v_kv"]
    document["branches"][0] |= {"r_ohm": 0, "x_ohm": 0, "rating_a": -1}
    document["sources"] = []
    fields = [finding.field for finding in refused(tmp_path, document)]
    assert fields[0] == "buses[1].v_kv"
    assert set(fields) == {"buses[1].v_kv", "Cable.r_ohm", "Cable.rating_from_a", "Cable.rating_to_a", "sources"}


def test_a_dead_bus_without_injection_is_only_mentioned(tmp_path: Path) -> None:
    document = example()
    document["buses"].append({"name": "Later", "v_kv": 20})
    assert [finding.field for finding in opened(tmp_path, document).findings] == ["Later"]


def test_two_sources_at_one_bus_are_refused(tmp_path: Path) -> None:
    document = example()
    document["sources"].append({"name": "Other", "bus": "Substation", "v_pu": 1.03})
    assert [finding.problem for finding in refused(tmp_path, document)] == ["2 sources at one bus"]


def test_broken_json_names_line_and_column(tmp_path: Path) -> None:
    (tmp_path / "grid.json").write_text('{"format": "flexpeer-grid-1",\n "buses": [}', encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        open_grid("grid.json", tmp_path)
    (finding,) = caught.value.findings
    assert (finding.line, finding.field) == (2, "column 12")


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("model.xml", "no such file"),
        ("case.m", "no such file"),
        ("none.json", "no such file"),
        ("other.json", "neither"),
        ("next.json", "another version"),
        ("list.json", "neither"),
    ],
)
def test_other_sources_are_refused_with_what_is_accepted(tmp_path: Path, source: str, problem: str) -> None:
    (tmp_path / "other.json").write_text('{"a": 1}')
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "next.json").write_text('{"format": "flexpeer-grid-2"}')
    with pytest.raises(BadInput, match=problem) as caught:
        open_grid(source, tmp_path)
    assert "flexpeer" in caught.value.findings[0].expected


def test_aliases_lead_to_the_named_element(tmp_path: Path) -> None:
    document = example() | {"aliases": {"buses": {"B2": "Village"}, "branches": {"C": "Cable"}}}
    grid = opened(tmp_path, document)
    assert (grid.bus_index("B2"), grid.bus_index("Village"), grid.bus_index("x")) == (2, 2, None)
    assert grid.branch_index("C") == grid.branch_index("Cable") == 0
    document["aliases"]["buses"]["B3"] = "Nowhere"
    assert refused(tmp_path, document)[0].field == "aliases.buses.B3"
