"""From a scenario's `[grid] source` to a grid."""

import os
from pathlib import Path

from flexpeer.adapters.gridfiles.cim_files import is_cim
from flexpeer.adapters.gridfiles.cim_grid import read_cim
from flexpeer.adapters.gridfiles.flexpeer_csv import is_flexpeer_csv, read_flexpeer_csv
from flexpeer.adapters.gridfiles.flexpeer_json import FORMAT, is_flexpeer, read_flexpeer
from flexpeer.adapters.gridfiles.grid_file import GridFile, grid_file
from flexpeer.adapters.gridfiles.json_text import read_json
from flexpeer.adapters.gridfiles.matpower_rows import read_matpower
from flexpeer.adapters.gridfiles.opendss_grid import read_opendss
from flexpeer.adapters.gridfiles.pandapower_json import read_pandapower
from flexpeer.adapters.gridfiles.pandapower_tables import is_pandapower
from flexpeer.adapters.gridfiles.several_grids import read_several
from flexpeer.adapters.gridfiles.simbench_grid import simbench_grid
from flexpeer.adapters.reading import reading
from flexpeer.errors import bad_input
from flexpeer.grid.cigre import NominalGrid, cigre_lv, cigre_mv

ACCEPTED = (
    "cigre_mv, cigre_lv, simbench:<code>, a .json file (flexpeer or pandapower), a MATPOWER .m file, "
    "an OpenDSS .dss file, a .toml file that names the grid of each DSO, "
    "a folder with buses.csv, or CIM (.xml, .rdf, .zip or a folder)"
)
SIMBENCH = "simbench:"
BUILT_IN = {"cigre_mv": cigre_mv, "cigre_lv": cigre_lv}
BY_SUFFIX = {".m": read_matpower, ".dss": read_opendss}


def open_grid(source: str, folder: Path) -> GridFile:
    """The grid of a source; a path counts from `folder`. Raises `BadInput` with all that is wrong."""
    if source in BUILT_IN:
        return built_in(BUILT_IN[source]())
    if source.startswith(SIMBENCH):
        return simbench_grid(source.removeprefix(SIMBENCH))
    with reading(source, ACCEPTED):
        return _opened(folder / source, source)


def _opened(path: Path, source: str) -> GridFile:
    if not os.path.exists(path):
        raise bad_input(source, "no such file", ACCEPTED, field="source")
    if is_flexpeer_csv(path):
        return grid_file(read_flexpeer_csv(path, source), source)
    if is_cim(path):
        return grid_file(read_cim(path, source or str(path)), source or str(path))
    suffix = path.suffix.lower()
    if suffix == ".toml":
        return read_several(path, source, lambda one: open_grid(one, path.parent))
    if suffix == ".csv":
        raise bad_input(source, "no part of a grid in CSV files", ACCEPTED, field="source")
    if suffix in BY_SUFFIX:
        return grid_file(BY_SUFFIX[suffix](path, source), source)
    document = read_json(path, source)
    if is_flexpeer(document):
        return grid_file(read_flexpeer(document, source), source)
    if is_pandapower(document):
        return grid_file(read_pandapower(document, source), source)
    raise bad_input(
        source, "neither a flexpeer nor a pandapower grid", f'"format": "{FORMAT}" or pandapower\'s to_json'
    )


def built_in(grid: NominalGrid) -> GridFile:
    """A built-in benchmark network as a grid file."""
    return GridFile(grid.network, grid.p_w, grid.q_var, grid.areas, bus_aliases=grid.bus_aliases)
