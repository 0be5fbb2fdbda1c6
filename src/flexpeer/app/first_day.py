"""A first scenario of a grid: who is there, what they inject, and nobody's orders yet.

Elements of the grid file that generate or store, loads for which it states a range, and the largest of the others
become resources, with the ranges of the file where it has any; everything else stays a forecast of its bus, so that
both together inject at every bus and in every MTU what the file says.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from flexpeer.app.scenario import OrganisationRow, Profile, ResourceRow, Scenario
from flexpeer.errors import BadInput
from flexpeer.grid.areas import split
from flexpeer.grid.assembly import InjectionRow
from flexpeer.grid.network import Floats, Network
from flexpeer.market.kpi import Alternative, Costs
from flexpeer.market.rulebook import Rulebook
from flexpeer.periods import MarketDay

MOST_LOADS = 20
LEAST_SHARE = 0.1
"""Of the largest load's energy: below that a load is not worth a resource of its own."""
OPERATOR, TOP_DSO = "Market operator", "Grid owner"
FSPS = {"generation": "Generation", "storage": "Storage", "load": "Flexible load"}
STORING = ("battery", "storage")


@dataclass(frozen=True)
class FirstGrid:
    """What a grid file has: injections (buses, mtus) of all, and of the elements that have names of their own.

    `areas` names each bus's zone, or is empty. `profiles` are W per MTU by an element's name.
    """

    network: Network
    areas: tuple[str, ...]
    elements: tuple[InjectionRow, ...]
    profiles: Mapping[str, Floats]
    p_w: Floats
    q_var: Floats


class _Unit(NamedTuple):
    name: str
    bus: str
    kind: str
    p_w: tuple[int, ...]
    row: InjectionRow

    @property
    def group(self) -> str:
        if self.kind in STORING:
            return "storage"
        return "load" if self.kind == "load" else "generation"

    @property
    def range_w(self) -> tuple[int, int]:
        """As the file has it, else from nothing to what it does; in any case what it does is possible."""
        stated = (self.row.plate.p_min_w, self.row.plate.p_max_w)
        rated = (self.row.p_w, *(stated if self.group == "storage" else ()))
        most = max(*(abs(round(p)) for p in rated if math.isfinite(p)), *map(abs, self.p_w))
        usual = {"generation": (0, most), "load": (-most, 0), "storage": (-most, most)}[self.group]
        low, high = (round(p) if math.isfinite(p) else other for p, other in zip(stated, usual, strict=True))
        return min(low, *self.p_w), max(high, *self.p_w)

    @property
    def has_range(self) -> bool:
        """Whether the file states one."""
        return math.isfinite(self.row.plate.p_min_w) or math.isfinite(self.row.plate.p_max_w)


def first_scenario(name: str, source: str, day: MarketDay, grid: FirstGrid) -> Scenario:
    """The scenario; `source` is its `[grid] source`."""
    units = list(_chosen(_units(grid, day.mtu_count)))
    owners = _owners(grid)
    groups = {unit.group for unit in units}
    fsps = [OrganisationRow(FSPS[g], "FSP" if g == "generation" else "AGGREGATOR", None) for g in FSPS if g in groups]
    return Scenario(
        name=name,
        day=day,
        currency="SEK",
        grid_source=source,
        rulebook=Rulebook(),
        alternative=Alternative(),
        costs=Costs(),
        organisations=(*_dsos(grid, owners), OrganisationRow(OPERATOR, "MARKET_OPERATOR", None), *fsps),
        areas=dict(zip(grid.network.bus_names, owners, strict=True)) if len(set(owners)) > 1 else {},
        resources=tuple(map(_resource, units)),
        portfolios={},
        bus_forecast=_bus_forecast(grid, units),
        resource_forecast={unit.name: Profile(unit.p_w, (0,) * day.mtu_count) for unit in units},
        congestion_points=None,
        impact_ppm=None,
        obligations_w=None,
        outages=(),
        orders=(),
        meter_w=None,
    )


def _units(grid: FirstGrid, mtus: int) -> Iterator[_Unit]:
    """Every element, phases together, under a name that nobody else has."""
    together: dict[tuple[str, str, str], InjectionRow] = {}
    for place, row in enumerate(grid.elements):
        key = (row.bus, row.plate.name or str(place), row.plate.kind)
        before = together.get(key)
        together[key] = row if before is None else before._replace(p_w=before.p_w + row.p_w)
    taken = {OPERATOR, TOP_DSO, *FSPS.values(), *_names_of(grid.areas)}
    for row in together.values():
        profile = grid.profiles.get(row.plate.name)
        powers = np.full(mtus, row.p_w) if profile is None else profile
        p_w = tuple(np.rint(powers).astype(np.int64).tolist())
        kind = row.plate.kind or ("load" if sum(p_w) < 0 else "generation")
        plain = row.plate.name.isprintable() and row.plate.name.strip()
        name = _free(row.plate.name if plain else f"{kind} {row.bus}", taken)
        unit = _Unit(name, row.bus, kind, p_w, row)
        low_w, high_w = unit.range_w
        if low_w < high_w and (any(p_w) or unit.group != "load"):
            taken.add(name)
            yield unit


def _free(wanted: str, taken: set[str]) -> str:
    name, number = wanted.strip(), 2
    while name in taken:
        name, number = f"{wanted.strip()} {number}", number + 1
    return name


def _chosen(units: Iterable[_Unit]) -> Iterator[_Unit]:
    """Whatever generates or stores, loads with a range of their own, and the largest of the others."""
    loads = []
    for unit in units:
        if unit.group == "load" and not unit.has_range:
            loads.append(unit)
        else:
            yield unit
    ranked = sorted(loads, key=lambda unit: (sum(unit.p_w), unit.name))[:MOST_LOADS]
    yield from (unit for unit in ranked if sum(unit.p_w) <= LEAST_SHARE * sum(ranked[0].p_w))


def _resource(unit: _Unit) -> ResourceRow:
    """Where the file has no range: generation can fall to none, a load can stop, a storage can do the opposite."""
    plate, (low_w, high_w) = unit.row.plate, unit.range_w
    energy = round(plate.energy_wh) if unit.group == "storage" and math.isfinite(plate.energy_wh) else None
    return ResourceRow(
        unit.name,
        FSPS[unit.group],
        unit.bus,
        unit.kind,
        low_w,
        high_w,
        conditional=unit.group == "generation",
        energy_wh=energy,
    )


def _bus_forecast(grid: FirstGrid, units: Sequence[_Unit]) -> dict[str, Profile]:
    """What is left at each bus that injects at all."""
    index = {name: place for place, name in enumerate(grid.network.bus_names)}
    left_w, q_var = (np.rint(each).astype(np.int64) for each in (grid.p_w, grid.q_var))
    for unit in units:
        left_w[index[unit.bus]] -= np.array(unit.p_w)
    listed = {index[unit.bus] for unit in units} | set(np.flatnonzero(left_w.any(axis=1) | q_var.any(axis=1)).tolist())
    names = grid.network.bus_names
    return {names[bus]: Profile(tuple(left_w[bus].tolist()), tuple(q_var[bus].tolist())) for bus in sorted(listed)}


def _names_of(areas: Iterable[str]) -> set[str]:
    return {f"DSO {area}" for area in areas if area}


def _owners(grid: FirstGrid) -> tuple[str, ...]:
    """The DSO of each bus: as the file's zones have it where these can be grids of their own, else one."""
    named = tuple(f"DSO {area}" if area else TOP_DSO for area in grid.areas)
    if len(set(named)) > 1:
        try:
            split(grid.network, named)
        except BadInput:
            pass
        else:
            return named
    return (TOP_DSO,) * grid.network.bus_count


def _dsos(grid: FirstGrid, owners: Sequence[str]) -> list[OrganisationRow]:
    """The DSO at the first source is the regional one, those of other zones are below it."""
    top = owners[int(grid.network.source_bus[0])]
    local = [OrganisationRow(owner, "LOCAL_DSO", top) for owner in sorted(set(owners) - {top})]
    return [OrganisationRow(top, "REGIONAL_DSO", None), *local]
