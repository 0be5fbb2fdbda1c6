"""What `import flexpeer` offers, and that it costs nothing before it is used; grids and clearings as told."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.app.grid_days import SMALL_GRID
from tests.cli.program import flexpeer as program

import flexpeer
from flexpeer import library
from flexpeer.laboratory.clearing_problems import clearing_problem
from flexpeer.laboratory.files.clearing_files import arrays_in, write_problem


def test_the_names_are_listed_once() -> None:
    assert flexpeer.__all__ == library.__all__
    assert set(dir(flexpeer)) == {*library.__all__, "__version__"}
    for name in library.__all__:
        assert getattr(flexpeer, name) is getattr(library, name)
        assert getattr(library, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'wealth'"):
        _ = flexpeer.wealth  # type: ignore[attr-defined]


def test_importing_loads_nothing_else() -> None:
    said = (
        "import sys, flexpeer; print(*(m for m in sys.modules if m.split('.')[0] in ('flexpeer', 'numpy', 'pandas')))"
    )
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["flexpeer"]


def test_a_grid_is_what_the_command_says(tmp_path: Path) -> None:
    file = tmp_path / "grid.json"
    file.write_text(SMALL_GRID, encoding="utf-8")
    state, told = flexpeer.check_grid(file), program("grid", "check", file, "--json").object
    assert state.figures == told
    voltages = {row["bus"]: row["voltage_pu"] for row in state.records("voltages")}
    assert len(voltages) == told["buses"]
    assert min(v for v in voltages.values() if v) == voltages[told["min_voltage_bus"]] == told["min_voltage_pu"]
    loadings = {row["branch"]: row["loading_percent"] for row in state.records("loadings")}
    assert len(loadings) == told["branches"]
    assert max(v for v in loadings.values() if v is not None) == loadings[told["max_loading_element"]]
    assert loadings[told["max_loading_element"]] == told["max_loading_percent"]


def test_a_grid_without_a_state_has_no_voltages(tmp_path: Path) -> None:
    file = tmp_path / "heavy.json"
    heavy = SMALL_GRID.replace('"sources"', '"injections": [{"bus": "C", "p_w": -900000000}], "sources"')
    file.write_text(heavy, encoding="utf-8")
    state = flexpeer.check_grid(file)
    assert not state.converged
    assert {row["voltage_pu"] for row in state.records("voltages")} == {None}
    with pytest.raises(flexpeer.BadInput, match="no such file"):
        flexpeer.check_grid(tmp_path / "none.json")


def test_a_clearing_is_what_the_command_says(tmp_path: Path) -> None:
    problem = clearing_problem(16, 4)
    write_problem(problem, tmp_path / "problem.npz")
    told = program("clear", tmp_path / "problem.npz", "--out", tmp_path / "told.npz", "--json").object
    for given in (tmp_path / "problem.npz", arrays_in(problem)):
        found = flexpeer.clear(given)
        assert found.figures | {"seconds": 0} == told | {"seconds": 0}
        found.write(tmp_path / "found.npz")
        with np.load(tmp_path / "told.npz") as theirs, np.load(tmp_path / "found.npz") as ours:
            assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)
            for table, array, cell in (("moves", "x_kw", "move_kw"), ("prices", "price", "price")):
                rows = found.records(table)
                assert len(rows) == theirs[array].size
                first, second, _ = found.TABLES[table]
                assert all(row[cell] == theirs[array][row[first], row[second]] for row in rows)
            paid = [row["payment"] for row in found.records("payments")]
            assert paid == theirs["peer_payment"].tolist()


def test_a_problem_that_is_none_is_told() -> None:
    with pytest.raises(flexpeer.BadInput, match=r"problem \[parent\]: is missing") as error:
        flexpeer.clear({"area": np.zeros(2)})
    assert len(error.value.findings) > 5
    with pytest.raises(flexpeer.BadInput, match="unknown engine"):
        flexpeer.clear(arrays_in(clearing_problem(16, 4)), engine="steam")
