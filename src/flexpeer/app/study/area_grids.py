"""One area out of the grid of several: its borders as both sides name them, what it draws there, and its own limits."""

import numpy as np

from flexpeer.app.ports import BorderEnd
from flexpeer.grid.areas import Area
from flexpeer.grid.limits import Limits
from flexpeer.grid.network import S_BASE_VA, Complexes, Integers
from flexpeer.grid.powerflow import DayFlow


def border_ends(area: Area) -> tuple[BorderEnd, ...]:
    """An area's own borders, as both sides name them."""
    return tuple(BorderEnd(border_name(area.owner, n), border.parent) for n, border in enumerate(area.borders))


def entries_of(area: Area, areas: tuple[Area, ...]) -> dict[str, int]:
    """The buses where areas below hang on one, by border."""
    return {
        border_name(child.owner, n): area.bus_at(border.bus_name)
        for child in areas
        for n, border in enumerate(child.borders)
        if border.parent == area.owner
    }


def border_name(owner: str, number: int) -> str:
    """What both sides call a border of the area that hangs there; no bus is named."""
    return f"{owner} {number + 1}"


def drawn_w(day: DayFlow, area: Area, source: int, v: Complexes) -> Complexes:
    """What an area draws through one border source in a state of the whole network, W + j var per MTU."""
    network = area.network
    bus = int(network.source_bus[source])
    drawn = np.zeros(day.periods, dtype=np.complex128)
    for model, mtus in day.groups(np.arange(day.periods)):
        circuit = model.circuit
        for branch in np.flatnonzero((network.branch_from == bus) | (network.branch_to == bus)):
            f, t = network.branch_from[branch], network.branch_to[branch]
            if f == bus:
                current = circuit.yff[branch] * v[f][mtus] + circuit.yft[branch] * v[t][mtus]
            else:
                current = circuit.ytf[branch] * v[f][mtus] + circuit.ytt[branch] * v[t][mtus]
            drawn[mtus] += v[bus][mtus] * np.conj(current)
    return drawn * S_BASE_VA


def area_limits(limits: Limits, area: Area, branch_names: tuple[str, ...]) -> Limits:
    """The limits of one area's elements."""
    own_branches = {branch_names[b]: position for position, b in enumerate(area.branch_index)}
    own_sources = {name: position for position, name in enumerate(area.network.source_names)}
    rows = np.array(
        [i for i, name in enumerate(limits.point_element) if name in own_branches or name in own_sources],
        dtype=np.int64,
    )
    elements = tuple(limits.point_element[i] for i in rows)
    borders = np.isnan(area.network.v_max_pu)[:, None]
    return Limits(
        limits.rating_from_a[area.branch_index],
        limits.rating_to_a[area.branch_index],
        np.where(borders, np.nan, limits.v_min_pu[area.bus_index]),
        np.where(borders, np.nan, limits.v_max_pu[area.bus_index]),
        elements,
        tuple(limits.point_kind[i] for i in rows),
        _positions(elements, own_branches),
        _positions([name if name not in own_branches else "" for name in elements], own_sources),
        limits.limit_w[rows],
        limits.first[rows],
        limits.end[rows],
    )


def _positions(elements: list[str] | tuple[str, ...], table: dict[str, int]) -> Integers:
    return np.array([table.get(name, -1) for name in elements], dtype=np.int64)
