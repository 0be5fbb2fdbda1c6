"""Grid files: flexpeer JSON and CSV, pandapower JSON, MATPOWER, CIM, SimBench codes and the CIGRE networks."""

from flexpeer.adapters.gridfiles.flexpeer_json_writer import write_flexpeer_json
from flexpeer.adapters.gridfiles.grid_file import GridFile
from flexpeer.adapters.gridfiles.opening import open_grid
from flexpeer.adapters.gridfiles.simbench_grid import simbench_day

__all__ = ["GridFile", "open_grid", "simbench_day", "write_flexpeer_json"]
