"""SimBench grids and their year of profiles, through the optional extra `simbench`.

Meinecke et al., "SimBench: A Benchmark Dataset of Electric Power Systems to Compare Innovative
Solutions Based on Power Flow Analysis", Energies 13 (2020) 3290. The profile year is 2016, a leap
year, in quarter-hours labelled with German clock time: one hour of 27 March is missing, one of
30 October is there twice.
"""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import lru_cache
from types import ModuleType
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from flexpeer.adapters.gridfiles.grid_file import GridFile, grid_file
from flexpeer.adapters.gridfiles.json_text import parse_json
from flexpeer.adapters.gridfiles.pandapower_json import INJECTION_SIGN, read_pandapower
from flexpeer.errors import bad_input
from flexpeer.grid.network import Floats
from flexpeer.periods import MarketDay

PROFILE_YEAR = 2016
SUFFIX = {
    ("load", "p_mw"): "_pload",
    ("load", "q_mvar"): "_qload",
    ("sgen", "p_mw"): "",
    ("storage", "p_mw"): "",
    ("gen", "p_mw"): "",
}
FAMILIES = {
    "load": ("load",),
    "sgen": ("powerplants", "renewables"),
    "storage": ("storage",),
    "gen": ("powerplants", "renewables"),
}
SIGN = INJECTION_SIGN | {"gen": 1.0}


@dataclass(frozen=True)
class Loaded:
    """One SimBench grid: its tables and profiles as the package gives them, and the grid read from them."""

    tables: Mapping[str, Any]
    profiles: Mapping[str, Any]
    grid: GridFile


def simbench_grid(code: str) -> GridFile:
    """The grid of a SimBench code, its loads and plants at their rated powers; transformer taps act."""
    return _loaded(code).grid


def simbench_day(code: str, delivery_day: date, timezone: str = "Europe/Stockholm") -> GridFile:
    """The grid with the profiles of a day, each (buses, 92, 96 or 100 quarter-hours); other powers are constant.

    A quarter-hour takes the profile of the same month, day and clock time: on 23-hour days one clock hour
    is left out, on 25-hour days it comes twice. See `profile_steps`.
    """
    loaded = _loaded(code)
    steps = profile_steps(loaded.profiles["load"]["time"].tolist(), delivery_day, timezone)
    constant = {"p_mw": loaded.grid.p_w, "q_mvar": loaded.grid.q_var}
    powers = {column: np.repeat(power[:, None], len(steps), axis=1) for column, power in constant.items()}
    for table, column in SUFFIX:
        _add_profiles(powers[column], loaded, (table, column), steps)
    return replace(loaded.grid, profile_p_w=powers["p_mw"], profile_q_var=powers["q_mvar"])


def simbench_elements(code: str, delivery_day: date, timezone: str) -> dict[str, Floats]:
    """What each named load, plant and storage injects on a day, W per quarter-hour."""
    loaded = _loaded(code)
    steps = profile_steps(loaded.profiles["load"]["time"].tolist(), delivery_day, timezone)
    return {
        element["name"]: SIGN[table] * 1e6 * element["scaling"] * element[column]
        * _relative(loaded, (table, column), element.get("profile"), steps, f"{table} {index}")
        for table, column in SUFFIX
        if column == "p_mw"
        for index, element in zip(loaded.tables[table].index, loaded.tables[table].to_dict("records"), strict=True)
        if element["in_service"] and not element.get("slack")
    }  # fmt: skip


def profile_steps(labels: Sequence[str], delivery_day: date, timezone: str) -> list[int]:
    """The row of the profile year for each quarter-hour of a local day.

    `labels` are the rows' clock times, such as `27.03.2016 01:45`. A time that the profile year lacks takes
    the row an hour earlier; the second of two equal times takes the second row, if there are two.
    """
    rows: dict[str, list[int]] = {}
    for row, label in enumerate(labels):
        rows.setdefault(label, []).append(row)
    day = MarketDay(delivery_day, timezone, 15)
    zone = ZoneInfo(timezone)
    steps = []
    for mtu in range(day.mtu_count):
        clock = datetime.fromtimestamp(day.instant(mtu) * 60, UTC).astimezone(zone)
        same = rows.get(_label(clock)) or rows[_label(clock.replace(hour=clock.hour - 1))]
        steps.append(same[min(clock.fold, len(same) - 1)])
    return steps


def _label(clock: datetime) -> str:
    return f"{clock.day:02}.{clock.month:02}.{PROFILE_YEAR} {clock.hour:02}:{clock.minute:02}"


def _add_profiles(target: Floats, loaded: Loaded, quantity: tuple[str, str], steps: list[int]) -> None:
    """Turn the rated power of every element of a table into rated power x relative profile."""
    table, column = quantity
    frame = loaded.tables[table]
    for index, element in zip(frame.index, frame.to_dict("records"), strict=True):
        bus = loaded.grid.bus_index(f"bus {element['bus']}")
        if bus is None or not element["in_service"] or element.get("slack"):
            continue
        change = _relative(loaded, quantity, element.get("profile"), steps, f"{table} {index}") - 1.0
        target[bus] += SIGN[table] * 1e6 * element["scaling"] * element[column] * change


def _relative(loaded: Loaded, quantity: tuple[str, str], profile: object, steps: list[int], element: str) -> Floats:
    if not isinstance(profile, str):
        return np.ones(len(steps))
    name = profile + SUFFIX[quantity]
    for family in FAMILIES[quantity[0]]:
        if name in loaded.profiles[family]:
            return np.asarray(loaded.profiles[family][name].to_numpy()[steps], dtype=np.float64)
    raise bad_input("simbench", f"no profile {name!r}", "a profile of the data set", field=element)


@lru_cache(maxsize=2)
def _loaded(code: str) -> Loaded:
    simbench, pandapower = _extra(code, "simbench"), _extra(code, "pandapower")
    where = f"simbench:{code}"
    if code not in simbench.collect_all_simbench_codes():
        raise bad_input(where, "no such code", "a SimBench code such as 1-LV-rural1--0-no_sw", field="source")
    net = simbench.get_simbench_net(code)
    net.trafo["tap_changer_type"] = "Ratio"
    profiles = net.pop("profiles")
    for of_the_data_set in ("loadcases", "substation"):
        net.pop(of_the_data_set, None)
    document = parse_json(pandapower.to_json(net), where)
    return Loaded({table: net[table] for table in SIGN}, profiles, grid_file(read_pandapower(document, where), where))


def _extra(code: str, module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as missing:
        problem = f"the package {module} is not installed"
        raise bad_input(f"simbench:{code}", problem, "pip install 'flexpeer[simbench]'", field="source") from missing
