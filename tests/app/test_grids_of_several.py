"""DSOs that each bring their own grid file: the day is the day on the joined grid."""

import csv
from pathlib import Path

import pytest
from tests.adapters.scenario_folder import folder_of
from tests.app.grid_days import SMALL_UNITS, small_day
from tests.app.test_grid_day_trades import random_orders, three_levels, with_orders

from flexpeer.adapters.gridfiles import open_grid, write_flexpeer_json
from flexpeer.adapters.gridfiles.several_grids import separated
from flexpeer.bootstrap import read_whole, run_folder
from flexpeer.errors import BadInput

GRIDS = "grids.toml"


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def apart(scenario: Path) -> None:
    """Put a file for each DSO in place of the grid of all, and nothing that says whose a bus is."""
    given, grid = read_whole(scenario)
    assert grid is not None
    assert given.grid_source is not None
    owners = tuple(given.areas.get(name, "Region") for name in grid.network.bus_names)
    tables = []
    for dso, (file, joints) in separated(grid, owners).items():
        write_flexpeer_json(file, scenario / f"{dso}.json")
        borders = (f'{{ bus = "{j.bus}", dso = "{j.parent}", their_bus = "{j.parent_bus}" }}' for j in joints)
        tables.append(f'[[grid]]\ndso = "{dso}"\nsource = "{dso}.json"\nborders = [{", ".join(borders)}]\n')
    (scenario / GRIDS).write_text("\n".join(reversed(tables)), encoding="utf-8")
    (scenario / given.grid_source).unlink()
    (scenario / "areas.csv").unlink()
    settings = scenario / "scenario.toml"
    settings.write_text(settings.read_text(encoding="utf-8").replace(given.grid_source, GRIDS), encoding="utf-8")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same day with one grid file (`whole`) and with three (`apart`)."""
    folder = tmp_path_factory.mktemp("grids")
    texts = three_levels(with_orders(small_day(), random_orders(SMALL_UNITS, ["Cable 3"], 3)))
    for name in ("whole", "apart"):
        folder_of(texts, folder / name)
    apart(folder / "apart")
    for name in ("whole", "apart"):
        run_folder(folder / name, folder / f"{name} out", lambda _done, _total: None)
    return folder


def test_the_same_trades_and_needs(folders: Path) -> None:
    whole, several = (folders / f"{name} out" for name in ("whole", "apart"))
    assert table(several / "trades.csv") == table(whole / "trades.csv") != []
    assert table(several / "settlement.csv") == table(whole / "settlement.csv")
    for before, after in zip(table(whole / "needs.csv"), table(several / "needs.csv"), strict=True):
        for column, value in before.items():
            if column.endswith("_w"):
                assert abs(int(value) - int(after[column])) <= 1 + int(value) // 10**6
            else:
                assert after[column] == value


def test_each_bus_is_of_whose_file_it_is(folders: Path) -> None:
    grid = open_grid(GRIDS, folders / "apart")
    owners = dict(zip(grid.network.bus_names, grid.owners, strict=True))
    assert (owners["B"], owners["C"]) == ("Local", "Village")
    assert set(owners.values()) == {"Region", "Local", "Village"}


def test_every_finding_of_every_file_is_told(folders: Path, tmp_path: Path) -> None:
    text = (folders / "apart" / GRIDS).read_text(encoding="utf-8")
    (tmp_path / GRIDS).write_text(text, encoding="utf-8")
    (tmp_path / "Local.json").write_text('{"format": "flexpeer-grid-1"}', encoding="utf-8")
    with pytest.raises(BadInput) as told:
        open_grid(GRIDS, tmp_path)
    assert {finding.where for finding in told.value.findings} == {"Region.json", "Local.json", "Village.json"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("grid = 1", "Expected `array`, got `int`"),
        ('[[grid]]\ndso = "a"', "missing required field `source`"),
        ("[[grid", "Expected ']]'"),
        ('[[grid]]\ndso = "a"\nsource = "grids.toml"', "grids.toml is no grid"),
    ],
)
def test_a_file_that_names_no_grids(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / GRIDS).write_text(text, encoding="utf-8")
    with pytest.raises(BadInput) as told:
        open_grid(GRIDS, tmp_path)
    assert problem in told.value.findings[0].problem
