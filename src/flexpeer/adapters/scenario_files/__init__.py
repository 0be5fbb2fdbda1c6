"""A scenario as a folder of CSV files and one TOML file, read with every finding and written back exactly."""

from flexpeer.adapters.scenario_files.reader import read_orders, read_scenario
from flexpeer.adapters.scenario_files.writer import write_scenario

__all__ = ["read_orders", "read_scenario", "write_scenario"]
