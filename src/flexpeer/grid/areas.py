"""One owner's part of a network, so that each grid owner keeps its own.

A branch belongs to the owner of its lower-voltage end or, where both are alike, of the end farther
from the sources. A bus of another owner at the end of an own branch is a border: a source to this area, whose
voltage its owner, the parent, dictates, and whose power the parent sees as an injection at that bus.
Owners and borders must form no cycle. A branch out of service between two owners is in no area.
"""

from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import NamedTuple

import numpy as np

from flexpeer.errors import BadInput, Finding, bad_input
from flexpeer.grid.network import NO_BRANCH, Flags, Floats, Integers, Network
from flexpeer.grid.topology import upper_from


class Border(NamedTuple):
    """A bus of the parent, `bus` in the whole network, that is source number `source` of the area."""

    parent: str
    bus_name: str
    bus: int
    source: int


@dataclass(frozen=True)
class Area:
    """The part of one owner.

    `network` has the own buses and the borders, whose voltage bands are NaN; a border source is named
    like its bus. `bus_index`, `branch_index` lead to the whole network; `owned` (area buses,) is false
    at borders; `upper_from` is as in the whole network.
    """

    owner: str
    network: Network
    bus_index: Integers
    branch_index: Integers
    owned: Flags
    upper_from: Flags
    borders: tuple[Border, ...]

    def own(self, injection: Floats) -> Floats:
        """The area's part, (area buses, ...), of injections at all buses; zero at borders."""
        part = injection[self.bus_index].copy()
        part[~self.owned] = 0.0
        return part

    def bus_at(self, bus_name: str) -> int:
        """Index of a bus in the area's network."""
        return self.network.bus_names.index(bus_name)


def branch_owners(network: Network, bus_owner: tuple[str, ...]) -> tuple[str, ...]:
    """Owner of each branch, by the rule above."""
    v_from, v_to = network.bus_v[network.branch_from], network.bus_v[network.branch_to]
    at_to = np.where(v_from == v_to, upper_from(network), v_from > v_to)
    buses = np.where(at_to, network.branch_to, network.branch_from)
    return tuple(bus_owner[bus] for bus in buses)


def split(network: Network, bus_owner: tuple[str, ...], closes: Flags | None = None) -> tuple[Area, ...]:
    """The areas of all owners, parents before children.

    `closes` (branches,) are branches in service at some time of the day though the network has them out.

    Raises `BadInput` where owners border each other in a cycle or an owner has neither source nor border.
    """
    if len(bus_owner) != network.bus_count:
        raise bad_input("areas", f"{len(bus_owner)} owners", f"one for each of {network.bus_count} buses")
    owners = branch_owners(network, bus_owner)
    upper = upper_from(network)
    live = network.in_service if closes is None else network.in_service | closes
    areas = {owner: _area(network, bus_owner, owners, owner, (upper, live)) for owner in sorted(set(bus_owner))}
    unfed = [owner for owner, area in areas.items() if len(area.network.source_bus) == 0]
    if unfed:
        raise BadInput(Finding("areas", 0, owner, "no source and no border", "a way to a source") for owner in unfed)
    parents = {owner: sorted({border.parent for border in area.borders}) for owner, area in areas.items()}
    try:
        order = tuple(TopologicalSorter(parents).static_order())
    except CycleError as error:
        cycle = " - ".join(error.args[1])
        raise bad_input("areas", f"owners border each other: {cycle}", "no cycle of owners from the sources") from error
    return tuple(areas[owner] for owner in order)


def _area(
    network: Network,
    bus_owner: tuple[str, ...],
    branch_owner: tuple[str, ...],
    owner: str,
    ends_and_live: tuple[Flags, Flags],
) -> Area:
    upper, live = ends_and_live
    own = np.array([name == owner for name in bus_owner], dtype=np.bool_)
    inner = own[network.branch_from] & own[network.branch_to]
    mine = np.array([name == owner for name in branch_owner], dtype=np.bool_)
    branches = np.flatnonzero(mine & (inner | live)).astype(np.int64)
    ends = np.concatenate([network.branch_from[branches], network.branch_to[branches]])
    inside = own.copy()
    inside[ends] = True
    buses = np.flatnonzero(inside).astype(np.int64)
    sources = np.flatnonzero(own[network.source_bus])
    border_buses = np.flatnonzero(inside & ~own)
    borders = tuple(
        Border(bus_owner[bus], network.bus_names[bus], int(bus), len(sources) + number)
        for number, bus in enumerate(border_buses)
    )
    part = _part(network, buses, branches, sources, border_buses)
    return Area(owner, part, buses, branches, own[buses], upper[branches], borders)


def _part(network: Network, buses: Integers, branches: Integers, sources: Integers, border_buses: Integers) -> Network:
    position = np.full(network.bus_count, -1, dtype=np.int64)
    position[buses] = np.arange(len(buses))
    is_border = np.isin(buses, border_buses)
    controlled = np.flatnonzero(
        (position[network.controlled_bus] >= 0) & ~np.isin(network.controlled_bus, border_buses)
    )
    shunts = np.flatnonzero((position[network.shunt_bus] >= 0) & ~np.isin(network.shunt_bus, border_buses))
    return Network(
        bus_names=tuple(network.bus_names[bus] for bus in buses),
        bus_v=network.bus_v[buses],
        v_min_pu=np.where(is_border, np.nan, network.v_min_pu[buses]),
        v_max_pu=np.where(is_border, np.nan, network.v_max_pu[buses]),
        start_v_pu=network.start_v_pu[buses],
        start_angle_rad=network.start_angle_rad[buses],
        branch_names=tuple(network.branch_names[branch] for branch in branches),
        branch_kinds=tuple(network.branch_kinds[branch] for branch in branches),
        branch_from=position[network.branch_from[branches]],
        branch_to=position[network.branch_to[branches]],
        r_pu=network.r_pu[branches],
        x_pu=network.x_pu[branches],
        g_pu=network.g_pu[branches],
        b_pu=network.b_pu[branches],
        tap=network.tap[branches],
        shift_rad=network.shift_rad[branches],
        rating_from_a=network.rating_from_a[branches],
        rating_to_a=network.rating_to_a[branches],
        in_service=network.in_service[branches],
        shunt_bus=position[network.shunt_bus[shunts]],
        shunt_g_pu=network.shunt_g_pu[shunts],
        shunt_b_pu=network.shunt_b_pu[shunts],
        shunt_branch=_places(branches, network.shunt_branch[shunts]),
        source_names=tuple(network.source_names[s] for s in sources)
        + tuple(network.bus_names[bus] for bus in border_buses),
        source_bus=position[np.concatenate([network.source_bus[sources], border_buses])],
        source_v_pu=np.concatenate([network.source_v_pu[sources], np.ones(len(border_buses))]),
        source_angle_rad=np.concatenate([network.source_angle_rad[sources], np.zeros(len(border_buses))]),
        controlled_bus=position[network.controlled_bus[controlled]],
        controlled_v_pu=network.controlled_v_pu[controlled],
        controlled_q_min_var=network.controlled_q_min_var[controlled],
        controlled_q_max_var=network.controlled_q_max_var[controlled],
    )


def _places(among: Integers, wanted: Integers) -> Integers:
    """Where each of `wanted` is in the ascending `among`; `NO_BRANCH` for those that are not there."""
    places = np.searchsorted(among, wanted).clip(max=max(len(among) - 1, 0))
    there = np.isin(wanted, among)
    return np.where(there, places, NO_BRANCH).astype(np.int64)
