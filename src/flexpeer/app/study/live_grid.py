"""The grid of a day that is still traded: loadings and flows of the forecast and of the schedules so far."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from flexpeer.app.ports import Flows
from flexpeer.app.study.physical_side import PhysicalSide
from flexpeer.app.views.outcome import Congestion, GridPicture
from flexpeer.grid.areas import Area, split
from flexpeer.grid.limits import Kind, Readings
from flexpeer.market.needs import Watts

VOLTAGES = (Kind.HIGH, Kind.LOW)


class LiveGrid(NamedTuple):
    """What a day's grid carries by forecast (`before`) and by the starting point with the trades so far (`now`).

    Flows are of its congestion points, grid side; readings are None where there is no grid.
    """

    before: Flows
    now: Flows
    readings_before: Readings | None = None
    readings_now: Readings | None = None


class OwnPart(NamedTuple):
    """One DSO's part of it: its own buses and branches, with the buses that feed it from above."""

    picture: GridPicture
    before: tuple[Congestion, ...]
    now: tuple[Congestion, ...]


def live_grid(side: PhysicalSide, before_w: Mapping[str, Watts], now_w: Mapping[str, Watts]) -> LiveGrid:
    """Both, under these schedules; `BadInput` where they have no power flow. Changes nothing."""
    before = side.grid.solve(before_w, "schedules")
    now = before if now_w == before_w else side.grid.solve(now_w, "schedules")
    return LiveGrid(side.flows_in(before), side.flows_in(now), before[1], now[1])


def own_part(side: PhysicalSide, live: LiveGrid, dso: str) -> OwnPart | None:
    """The part of one DSO; None where it has none."""
    grid, before, now = side.grid, live.readings_before, live.readings_now
    assert before is not None, "a day with a grid has readings"
    assert now is not None, "a day with a grid has readings"
    closes = np.asarray(grid.in_service.any(axis=1))
    area = next((area for area in split(grid.network, grid.owners, closes) if area.owner == dso), None)
    if area is None:
        return None
    own = {bus: place for place, bus in enumerate(area.bus_index) if area.owned[place]}
    picture = GridPicture(
        area.network,
        _owners(area),
        {resource: own[bus] for resource, bus in grid.bus_of.items() if bus in own},
        before.loading[area.branch_index],
        now.loading[area.branch_index],
        before.v_pu[area.bus_index],
        now.v_pu[area.bus_index],
    )
    return OwnPart(picture, _past(side, before, area), _past(side, now, area))


def _owners(area: Area) -> tuple[str, ...]:
    """Whose each bus of an area is: its own or, at a border, the parent's."""
    parents = {border.bus_name: border.parent for border in area.borders}
    return tuple(
        area.owner if owned else parents[name] for name, owned in zip(area.network.bus_names, area.owned, strict=True)
    )


def _past(side: PhysicalSide, readings: Readings, area: Area) -> tuple[Congestion, ...]:
    """What of an area is past its limit."""
    network, borders = area.network, {border.bus_name for border in area.borders}
    buses = {name for name, owned in zip(network.bus_names, area.owned, strict=True) if owned}
    others = {*network.branch_names, *network.source_names} - borders
    return tuple(
        Congestion(each.element, str(each.kind), area.owner, each.mtu, each.value, each.limit)
        for each in side.grid.violations(readings)
        if each.element in (buses if each.kind in VOLTAGES else others)
    )
