"""A grid as a folder of CSV files: the same grid as in JSON, and what is refused."""

import csv
import json
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flexpeer.adapters.gridfiles import GridFile, open_grid
from flexpeer.adapters.gridfiles.flexpeer_sections import SECTIONS
from flexpeer.errors import BadInput, Finding

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "grid-json.md"


def example() -> Any:
    block = re.search(r"```json\n(.*?)```", REFERENCE.read_text(encoding="utf-8"), re.DOTALL)
    assert block
    document = json.loads(block[1])
    return document | {"controlled": [{"bus": "Village", "v_pu": 1.01, "q_min_var": -2e6}]}


def cell(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def write(folder: Path, document: Any) -> Path:
    """Each section as a file with the columns it uses."""
    folder.mkdir(exist_ok=True)
    for section in SECTIONS.keys() & document.keys():
        columns = list(dict.fromkeys(key for item in document[section] for key in item))
        with (folder / f"{section}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows([cell(item.get(key, "")) for key in columns] for item in document[section])
    return folder


def grid_folder(folder: Path) -> Path:
    return write(folder / "grid", example())


def refused(folder: Path, source: str = "grid") -> tuple[Finding, ...]:
    with pytest.raises(BadInput) as caught:
        open_grid(source, folder)
    return caught.value.findings


def same(one: GridFile, other: GridFile) -> bool:
    names = one.network.__dataclass_fields__
    pairs = [(getattr(one.network, name), getattr(other.network, name)) for name in names]
    equal = all(np.array_equal(a, b, equal_nan=np.asarray(a).dtype.kind == "f") for a, b in pairs)
    return equal and np.array_equal(one.p_w, other.p_w) and one.areas == other.areas


@pytest.mark.parametrize("source", ["grid", "grid/buses.csv", "grid/sources.csv"])
def test_it_is_the_grid_that_the_same_json_is(tmp_path: Path, source: str) -> None:
    grid_folder(tmp_path)
    (tmp_path / "grid.json").write_text(json.dumps(example()), encoding="utf-8")
    assert same(open_grid(source, tmp_path), open_grid("grid.json", tmp_path))


def replaced(file: str, old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / file).read_text(encoding="utf-8")
        assert old in text
        (folder / file).write_text(text.replace(old, new, 1), encoding="utf-8")

    return change


BAD = [
    (replaced("buses.csv", "v_kv", "kv"), "buses.csv", 1, "kv", "unknown column 'kv'"),
    (replaced("buses.csv", "v_kv", "kv"), "buses.csv", 1, "v_kv", "no column 'v_kv'"),
    (replaced("buses.csv", "v_max_pu", "v_min_pu"), "buses.csv", 1, "v_min_pu", "2 columns"),
    (replaced("buses.csv", "Busbar,20", "Busbar,twenty"), "buses.csv", 3, "v_kv", "'twenty' of 'Busbar'"),
    (replaced("buses.csv", "Busbar,20", "Busbar,1_0"), "buses.csv", 3, "v_kv", "'1_0'"),
    (replaced("buses.csv", "Busbar,20", "Busbar,inf"), "buses.csv", 3, "v_kv", "inf"),
    (replaced("buses.csv", "Busbar,20", "Busbar,0"), "buses.csv", 3, "Busbar.v_kv", "0.0"),
    (replaced("buses.csv", "Busbar,20", "Village,20"), "buses.csv", 3, "Village", "2 elements have this name"),
    (replaced("buses.csv", "Busbar,20", ",20"), "buses.csv", 3, "name", "missing"),
    (replaced("buses.csv", "North", "North,,"), "buses.csv", 3, "", "7 cells"),
    (replaced("branches.csv", "Village", "Hamlet"), "branches.csv", 2, "Cable.to_bus", "no bus 'Hamlet'"),
    (replaced("branches.csv", "250", "-250"), "branches.csv", 2, "Cable.rating_from_a", "a negative limit"),
    (replaced("branches.csv", "0.5,0.35", "0,0"), "branches.csv", 2, "Cable.r_ohm", "zero impedance"),
    (replaced("transformers.csv", "25,", "-25,"), "transformers.csv", 2, "sn_mva", "a negative limit"),
    (replaced("shunts.csv", "Busbar", "Nowhere"), "shunts.csv", 2, "bus", "no bus 'Nowhere'"),
    (replaced("injections.csv", "-3000000", ""), "injections.csv", 2, "p_w", "missing"),
    (replaced("sources.csv", "1.02", "0"), "sources.csv", 2, "Overlying grid.v_pu", "0.0"),
    (replaced("controlled.csv", "1.01", "-1"), "controlled.csv", 2, "controlled at Village.v_pu", "-1.0"),
    (replaced("sources.csv", "name", '"name'), "sources.csv", 2, "", "unexpected end"),
]


@pytest.mark.parametrize(("change", "file", "line", "field", "problem"), BAD)
def test_a_bad_cell_is_refused_with_file_line_and_column(
    tmp_path: Path, change: Callable[[Path], None], file: str, line: int, field: str, problem: str
) -> None:
    change(grid_folder(tmp_path))
    findings = refused(tmp_path)
    hit = [f for f in findings if (f.where, f.line, f.field) == (f"grid/{file}", line, field) and problem in f.problem]
    assert hit, findings
    assert hit[0].expected


def test_all_files_are_told_together(tmp_path: Path) -> None:
    folder = grid_folder(tmp_path)
    replaced("buses.csv", "Busbar,20", "Busbar,twenty")(folder)
    replaced("branches.csv", "0.5,0.35", "half,0.35")(folder)
    (folder / "lines.csv").write_text("name\nL1\n")
    (folder / "shunts.csv").write_bytes(b"bus,b_us\n\xff,1\n")
    found = [(finding.where, finding.line) for finding in refused(tmp_path)]
    assert found == [("grid/lines.csv", 0), ("grid/buses.csv", 3), ("grid/branches.csv", 2), ("grid/shunts.csv", 0)]


def test_beside_a_scenario_other_files_are_not_its_concern(tmp_path: Path) -> None:
    write(tmp_path, example())
    (tmp_path / "orders.csv").write_text("order\n")
    replaced("branches.csv", "0.5,0.35", "half,0.35")(tmp_path)
    assert [finding.where for finding in refused(tmp_path, "buses.csv")] == ["branches.csv"]


def test_a_folder_without_buses_is_no_grid(tmp_path: Path) -> None:
    (tmp_path / "loads.csv").write_text("bus\n")
    assert "buses.csv" in refused(tmp_path, "loads.csv")[0].expected


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    file=st.sampled_from(list(SECTIONS)),
    place=st.integers(0, 400),
    length=st.integers(0, 12),
    piece=st.sampled_from([",", "\n", '"', "\x00", "nan", "-1", "1e999", "\r"]) | st.text(max_size=4),
)
def test_no_change_of_a_file_breaks_the_reader(tmp_path: Path, file: str, place: int, length: int, piece: str) -> None:
    path = grid_folder(tmp_path) / f"{file}.csv"
    text = path.read_text(encoding="utf-8")
    place %= len(text)
    path.write_bytes((text[:place] + piece + text[place + length :]).encode("utf-8", "surrogatepass"))
    with suppress(BadInput):
        assert open_grid("grid", tmp_path).network.bus_count > 0
