"""`flexpeer init`: from a grid file to a scenario folder that runs."""

import shutil
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from flexpeer.adapters.folders import new_folder, require_fresh
from flexpeer.adapters.gridfiles import GridFile, open_grid, write_flexpeer_json
from flexpeer.adapters.gridfiles.opening import BUILT_IN, SIMBENCH
from flexpeer.adapters.gridfiles.simbench_grid import simbench_day, simbench_elements
from flexpeer.adapters.scenario_files import write_scenario
from flexpeer.adapters.scenario_files.first_settings import first_settings
from flexpeer.adapters.scenario_files.settings import DEFAULT_TIMEZONE, SETTINGS_FILE
from flexpeer.app.first_day import FirstGrid, first_scenario
from flexpeer.errors import bad_input
from flexpeer.grid.assembly import InjectionRow
from flexpeer.grid.network import Floats
from flexpeer.periods import MTU_MINUTES, MarketDay

COPIED = (".json", ".m", ".xml", ".rdf", ".zip")
CONVERTED = "grid.json"


def begin(source: str, folder: Path, delivery_day: date, mtu_minutes: int) -> dict[str, Any]:
    """Make the scenario of a grid file, or of a grid by its name, in a new or empty folder; what is in it."""
    require_fresh(folder)
    if mtu_minutes not in MTU_MINUTES:
        raise bad_input("init", f"MTUs of {mtu_minutes} minutes are not known", "15 or 60", field="mtu-minutes")
    day = MarketDay(delivery_day, DEFAULT_TIMEZONE, mtu_minutes)
    if source.startswith(SIMBENCH):
        code = source.removeprefix(SIMBENCH)
        grid = simbench_day(code, delivery_day, day.timezone)
        profiles: Mapping[str, Floats] = simbench_elements(code, delivery_day, day.timezone)
    else:
        path = Path(source)
        grid = open_grid(source, Path()) if source in BUILT_IN else open_grid(path.name, path.parent)
        profiles = {}
    kept, own_name = _kept_name(source)
    scenario = first_scenario(own_name, kept, day, _first_grid(grid, profiles, day))
    network = grid.network
    element = network.branch_names[0] if network.branch_count else network.source_names[0]
    with new_folder(folder) as work:
        write_scenario(scenario, work)
        text = first_settings(scenario, element, profiled=grid.profile_p_w is not None)
        (work / SETTINGS_FILE).write_text(text, encoding="utf-8")
        _keep_grid(source, grid, work / kept)
    return {
        "folder": str(folder),
        "delivery_day": delivery_day.isoformat(),
        "buses": network.bus_count,
        "organisations": len(scenario.organisations),
        "resources": len(scenario.resources),
        "kinds": {kind: sum(r.kind == kind for r in scenario.resources) for kind in _kinds(scenario.resources)},
        "profiles": grid.profile_p_w is not None,
        "findings": [str(finding) for finding in grid.findings],
    }


def _kinds(resources: Any) -> list[str]:
    return sorted({r.kind for r in resources})


def _kept_name(source: str) -> tuple[str, str]:
    """What `[grid] source` says, and the scenario's name."""
    if source in BUILT_IN or source.startswith(SIMBENCH):
        return source, source
    path = Path(source)
    if path.is_dir():
        return path.resolve().name, path.resolve().name
    return (path.name if path.suffix.lower() in COPIED else CONVERTED), path.stem


def _keep_grid(source: str, grid: GridFile, kept: Path) -> None:
    """The grid beside its tables: as it is or, where its file has others that it needs, as flexpeer JSON."""
    if source in BUILT_IN or source.startswith(SIMBENCH):
        return
    path = Path(source)
    if path.is_dir():
        shutil.copytree(path, kept)
    elif path.suffix.lower() in COPIED:
        shutil.copyfile(path, kept)
    else:
        write_flexpeer_json(grid, kept)


def _first_grid(grid: GridFile, profiles: Mapping[str, Floats], day: MarketDay) -> FirstGrid:
    """Powers of every MTU: of the file's profiles, as means, else the same all day."""
    step = day.mtu_minutes // 15

    def by_mtu(quarters: Floats | None, same: Floats) -> Floats:
        """(..., mtus)."""
        if quarters is None:
            return np.repeat(same[..., None], day.mtu_count, axis=-1)
        means: Floats = quarters.reshape(*quarters.shape[:-1], day.mtu_count, step).mean(axis=-1)
        return means

    names = grid.network.bus_names
    elements = grid.injections or tuple(
        InjectionRow(names[bus], float(grid.p_w[bus]), 0.0) for bus in np.flatnonzero(grid.p_w).tolist()
    )
    return FirstGrid(
        grid.network,
        grid.areas,
        elements,
        {name: by_mtu(quarters, quarters) for name, quarters in profiles.items()},
        by_mtu(grid.profile_p_w, grid.p_w),
        by_mtu(grid.profile_q_var, grid.q_var),
    )
