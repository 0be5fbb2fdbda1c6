"""Writing a grid as flexpeer JSON so that reading it gives the same floats."""

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from flexpeer.adapters.gridfiles.flexpeer_json import FORMAT
from flexpeer.adapters.gridfiles.grid_file import GridFile
from flexpeer.grid.assembly import DEGREE, impedance_base_ohm
from flexpeer.grid.network import NO_BRANCH, Floats, Network

Fields = dict[str, object]


def write_flexpeer_json(grid: GridFile, path: Path) -> None:
    """Write network, injections, areas and aliases; profiles and findings are not part of the format.

    Reading the file gives the same floats, bit for bit, for every network that was read from a file or
    comes from `flexpeer.grid.assembly`.
    """
    network = grid.network
    document = {
        "format": FORMAT,
        "buses": list(_buses(grid)),
        "branches": list(_branches(network)),
        "shunts": list(_shunts(network)),
        "sources": list(_sources(network)),
        "controlled": list(_controlled(network)),
        "injections": list(_injections(grid)),
        "aliases": {"buses": dict(grid.bus_aliases), "branches": dict(grid.branch_aliases)},
    }
    path.write_text(json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")


def _times(per_unit: Floats, base: Floats) -> list[float]:
    """Values whose quotient by `base` is `per_unit` exactly, where such floats exist."""
    values = per_unit * base
    for step in (values, np.nextafter(values, -np.inf), np.nextafter(values, np.inf)):
        values = np.where(values / base == per_unit, values, step)
    return [float(value) for value in values]


def _over(per_unit: Floats, base: Floats | float) -> list[float]:
    """Values whose product with `base` is `per_unit` exactly, where such floats exist."""
    values = per_unit / base
    for step in (values, np.nextafter(values, -np.inf), np.nextafter(values, np.inf)):
        values = np.where(values * base == per_unit, values, step)
    return [float(value) for value in values]


def _buses(grid: GridFile) -> Iterator[Fields]:
    network = grid.network
    bus_kv, start_deg = _over(network.bus_v, 1e3), _over(network.start_angle_rad, DEGREE)
    for position, name in enumerate(network.bus_names):
        row: Fields = {
            "name": name,
            "v_kv": bus_kv[position],
            "v_min_pu": float(network.v_min_pu[position]),
            "v_max_pu": float(network.v_max_pu[position]),
        }
        start = {"start_v_pu": float(network.start_v_pu[position]), "start_deg": start_deg[position]}
        known = start if all(map(math.isfinite, start.values())) else {}
        yield row | ({"area": grid.areas[position]} if grid.areas[position] else {}) | known


def _branches(network: Network) -> Iterator[Fields]:
    z_ohm = impedance_base_ohm(network.bus_v[network.branch_to])
    columns = {
        "r_ohm": _times(network.r_pu, z_ohm),
        "x_ohm": _times(network.x_pu, z_ohm),
        "g_us": _over(network.g_pu, z_ohm * 1e-6),
        "b_us": _over(network.b_pu, z_ohm * 1e-6),
        "tap": network.tap.tolist(),
        "shift_deg": _over(network.shift_rad, DEGREE),
        "rating_from_a": [None if math.isnan(limit) else limit for limit in network.rating_from_a.tolist()],
        "rating_to_a": [None if math.isnan(limit) else limit for limit in network.rating_to_a.tolist()],
        "in_service": network.in_service.tolist(),
    }
    for position, name in enumerate(network.branch_names):
        yield {
            "name": name,
            "kind": network.branch_kinds[position],
            "from": network.bus_names[network.branch_from[position]],
            "to": network.bus_names[network.branch_to[position]],
            **{key: values[position] for key, values in columns.items()},
        }


def _shunts(network: Network) -> Iterator[Fields]:
    base = impedance_base_ohm(network.bus_v[network.shunt_bus]) * 1e-6
    admittances = zip(_over(network.shunt_g_pu, base), _over(network.shunt_b_pu, base), strict=True)
    for bus, branch, (g_us, b_us) in zip(network.shunt_bus, network.shunt_branch, admittances, strict=True):
        row: Fields = {"bus": network.bus_names[bus], "g_us": g_us, "b_us": b_us}
        yield row | ({"branch": network.branch_names[branch]} if branch != NO_BRANCH else {})


def _sources(network: Network) -> Iterator[Fields]:
    angles = _over(network.source_angle_rad, DEGREE)
    for position, name in enumerate(network.source_names):
        yield {
            "name": name,
            "bus": network.bus_names[network.source_bus[position]],
            "v_pu": float(network.source_v_pu[position]),
            "angle_deg": angles[position],
        }


def _controlled(network: Network) -> Iterator[Fields]:
    for position, bus in enumerate(network.controlled_bus):
        limits = {
            "q_min_var": float(network.controlled_q_min_var[position]),
            "q_max_var": float(network.controlled_q_max_var[position]),
        }
        finite = {key: value for key, value in limits.items() if math.isfinite(value)}
        yield {"bus": network.bus_names[bus], "v_pu": float(network.controlled_v_pu[position]), **finite}


def _injections(grid: GridFile) -> Iterator[Fields]:
    for bus, p_w, q_var in zip(grid.network.bus_names, grid.p_w.tolist(), grid.q_var.tolist(), strict=True):
        if p_w != 0 or q_var != 0:
            yield {"bus": bus, "p_w": p_w, "q_var": q_var}
