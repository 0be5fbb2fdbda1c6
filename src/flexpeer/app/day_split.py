"""A market day split for several organisations: what the market operator gets, and what each DSO brings.

Points, impact factors, needs and obligations are found between them later, each DSO on its own grid. The operator knows
no grid; a DSO gets the part of the scenario that is about its own area, and the orders of who is connected there.
"""

import hashlib
from collections.abc import Iterable, Mapping, Set
from typing import NamedTuple, TypeVar

import msgspec
import numpy as np
from msgspec.structs import replace

from flexpeer.app.between.remote_owner import Address, Domain, Post, RemoteOwner
from flexpeer.app.ports import OwnerSilent
from flexpeer.app.scenario import OrderRow, Profile, Scenario
from flexpeer.app.study.area_grids import border_name
from flexpeer.app.study.area_study import BorderAbove, BorderBelow, OwnBorders, require_one_forecast
from flexpeer.app.study.grid_day import GridInput
from flexpeer.grid.joining import BorderJoint
from flexpeer.grid.limits import Kind

T = TypeVar("T")
OWN_GRID, DSOS = "grid.json", "dsos.json"
"""What `[grid]` names: a DSO's own grid, and for the market operator the DSOs, who have the grids."""


class DsoShare(NamedTuple):
    """What one DSO brings: its own part of the scenario, with its grid, and where that borders on others."""

    scenario: Scenario
    grid: GridInput
    own: OwnBorders


class OperatorShare(NamedTuple):
    """What the market operator gets: a scenario without grid or orders, and the owners, parents first."""

    scenario: Scenario
    owners: tuple[Address, ...]

    @property
    def home(self) -> dict[str, str]:
        """The DSO of each resource, which is all it is told of where that is."""
        return {resource.resource: resource.bus for resource in self.scenario.resources}

    def reached(self, post: Post) -> list[RemoteOwner]:
        """The owners behind a post."""
        home, count = self.home, self.scenario.day.mtu_count
        found = []
        for address in self.owners:
            below = (end.name for each in self.owners for end in each.borders if end.parent == address.owner)
            own = (resource for resource, owner in home.items() if owner == address.owner)
            found.append(RemoteOwner(address, Domain(frozenset(own), frozenset(below)), post, count))
        return found


def split_day(
    scenario: Scenario, grid: GridInput, parts: Mapping[str, tuple[GridInput, list[BorderJoint]]]
) -> tuple[OperatorShare, dict[str, DsoShare]]:
    """The shares of a day, DSOs by the names their letters go to; nothing is calculated here.

    `grid` is the whole, `parts` are the DSOs' own with their borders, parents first. Raises `BadInput` for needs at
    quantiles of the forecast.
    """
    require_one_forecast(scenario)
    borders = _borders({dso: joints for dso, (_, joints) in parts.items()})
    home = {
        resource.resource: dso
        for dso, (part, _) in parts.items()
        for resource in scenario.resources
        if _has(part, borders[dso], resource.bus)
    }
    names = letter_names(parts)
    owners = tuple(Address(dso, names[dso], borders[dso].ends) for dso in parts)
    shares = {}
    for dso, (part, _) in parts.items():
        orders = tuple(row for row in scenario.orders if home_of(scenario, home, row) == dso)
        own = _own_part(scenario, grid, part, borders[dso])
        shares[names[dso]] = DsoShare(_with_orders(own, orders), part, borders[dso])
    return OperatorShare(_without_grid(scenario, home), owners), shares


def day_digest(scenario: Scenario) -> bytes:
    """What tells one day's letters from another's: the day, its rules and organisations, as every share has them."""
    known = (scenario.name, scenario.day, scenario.currency, scenario.rulebook, scenario.organisations)
    return hashlib.sha256(b"flexpeer day:" + msgspec.json.encode(known)).digest()


def _borders(joints: Mapping[str, list[BorderJoint]]) -> dict[str, OwnBorders]:
    """What each DSO calls its borders: a border is named after who hangs there."""
    named = [(dso, border_name(dso, n), joint) for dso, own in joints.items() for n, joint in enumerate(own)]
    return {
        dso: OwnBorders(
            dso,
            tuple(BorderAbove(name, joint.parent, joint.bus) for child, name, joint in named if child == dso),
            tuple(BorderBelow(name, joint.parent_bus) for _, name, joint in named if joint.parent == dso),
        )
        for dso in joints
    }


def gather_bids(operator: OperatorShare, owners: Iterable[RemoteOwner]) -> tuple[Scenario, tuple[str, ...]]:
    """The operator's scenario with all orders, by arrival, and what is odd; who is silent has none."""
    scenario, home = operator.scenario, operator.home
    orders: list[OrderRow] = []
    odd: list[str] = []
    for owner in owners:
        try:
            bids = owner.bids()
        except OwnerSilent:
            odd.append(f"{owner.owner} does not answer; its orders are missing")
            continue
        own = [row for row in bids if home_of(scenario, home, row) == owner.owner]
        renamed = _renamed(own, {row.order for row in orders}, owner.owner)
        if renamed != own:
            odd.append(f"{owner.owner} brought orders under names that others use; they have its own before them")
        orders += renamed
        if len(own) < len(bids):
            odd.append(f"{owner.owner} brought {len(bids) - len(own)} orders of resources that are not connected to it")
    return replace(scenario, orders=tuple(sorted(orders, key=lambda row: row.arrival))), tuple(odd)


def _renamed(rows: list[OrderRow], taken: set[str], owner: str) -> list[OrderRow]:
    """The same orders, none under a name that is taken."""
    found = []
    for row in rows:
        name = row.order
        while name in taken:
            name = f"{owner}:{name}"
        found.append(row if name == row.order else replace(row, order=name))
    return found


def _has(part: GridInput, own: OwnBorders, bus: str) -> bool:
    """Whether a bus is a DSO's own."""
    index = part.bus_index(bus)
    return index is not None and index not in {part.bus_index(each.bus) for each in own.above}


def _own_part(scenario: Scenario, grid: GridInput, part: GridInput, own: OwnBorders) -> Scenario:
    """What a scenario says of a DSO's own elements and resources, and what concerns everybody."""
    resources = tuple(row for row in scenario.resources if _has(part, own, row.bus))
    names = {row.resource for row in resources}
    sources = set(part.network.source_names)
    zones = {None, own.dso, *part.areas}

    def has_branch(element: str) -> bool:
        """Whether a branch is its own."""
        return part.branch_index(element) is not None

    def has(element: str, direction: str) -> bool:
        """Whether the element of a point, or of a limit, is."""
        if direction in (Kind.HIGH, Kind.LOW):
            return _has(part, own, element)
        return has_branch(element) or element in sources

    return replace(
        scenario,
        grid_source=OWN_GRID,
        areas={},
        resources=resources,
        bus_forecast=_of_buses(scenario, grid, part, own),
        resource_forecast=_only(scenario.resource_forecast, names),
        congestion_points=scenario.congestion_points
        and tuple(p for p in scenario.congestion_points if has(p.element, p.direction)),
        impact_ppm=None,
        obligations_w=None,
        meter_w=None if scenario.meter_w is None else _only(scenario.meter_w, names),
        meter_history_w=_only(scenario.meter_history_w, names),
        outages=tuple(o for o in scenario.outages if has(o.element, "")),
        switching=tuple(s for s in scenario.switching if has_branch(s.element)),
        overhead=tuple(
            replace(line, elements=mine)
            for line in scenario.overhead
            if (mine := tuple(filter(has_branch, line.elements)))
        ),
        unbalance=tuple(u for u in scenario.unbalance if u.area in zones),
        ratings=tuple(r for r in scenario.ratings if has_branch(r.element)),
        bands=tuple(b for b in scenario.bands if _has(part, own, b.bus)),
    )


def _of_buses(scenario: Scenario, grid: GridInput, part: GridInput, own: OwnBorders) -> dict[str, Profile]:
    """Of its own buses, whole watts: as forecast, else the grid file's own profiles."""
    found = {bus: row for bus, row in scenario.bus_forecast.items() if _has(part, own, bus)}
    if grid.profile_p_w is None or grid.profile_q_var is None:
        return found
    told = {grid.bus_index(bus) for bus in scenario.bus_forecast}
    rows = zip(grid.network.bus_names, np.rint(grid.profile_p_w), np.rint(grid.profile_q_var), strict=True)
    for index, (bus, p_w, q_var) in enumerate(rows):
        if index not in told and (p_w.any() or q_var.any()) and _has(part, own, bus):
            found[bus] = Profile(tuple(map(int, p_w)), tuple(map(int, q_var)))
    return found


def _with_orders(own: Scenario, orders: tuple[OrderRow, ...]) -> Scenario:
    """With the orders through a DSO, and of the portfolios among them the members that are its own."""
    names, bidding = {row.resource for row in own.resources}, {row.resource for row in orders}
    members = {name: tuple(filter(names.__contains__, each)) for name, each in own.portfolios.items()}
    portfolios = {name: each for name, each in members.items() if each and name in bidding}
    return replace(own, orders=orders, portfolios=portfolios, portfolio_fsp=_only(own.portfolio_fsp, portfolios.keys()))


def _only(rows: Mapping[str, T], names: Set[str]) -> dict[str, T]:
    return {name: row for name, row in rows.items() if name in names}


def home_of(scenario: Scenario, home: Mapping[str, str], row: OrderRow) -> str:
    """The DSO an order comes through: of its resource, a portfolio's first, or the DSO itself."""
    unit = scenario.portfolios.get(row.resource, (row.resource,))[0]
    return home.get(unit, unit)


def letter_names(owners: Iterable[str]) -> dict[str, str]:
    """Names for files and subjects: letters, digits and - only, and all different."""
    names: dict[str, str] = {}
    for owner in owners:
        plain = "".join(c if c.isascii() and c.isalnum() else "-" for c in owner.translate(_PLAIN).lower())
        plain = "-".join(part for part in plain.split("-") if part)[:48] or "dso"
        taken = {*names.values(), "market-operator"}
        names[owner] = next(n for n in (plain, *(f"{plain}-{k}" for k in range(2, 999))) if n not in taken)
    return names


_PLAIN = str.maketrans("åäöÅÄÖéÉüÜøØæÆ", "aaoAAOeEuUoOaA")


def _without_grid(scenario: Scenario, home: Mapping[str, str]) -> Scenario:
    """Without buses, elements and orders; a resource's bus is its DSO, and what it will do is its plan."""
    nothing = (0,) * scenario.day.mtu_count
    return replace(
        scenario,
        grid_source=DSOS,
        areas={dso: dso for dso in sorted(set(home.values()))},
        resources=tuple(replace(r, bus=home[r.resource]) for r in scenario.resources),
        bus_forecast={},
        resource_forecast={name: Profile(row, nothing) for name, row in scenario.plans_w().items()},
        outages=(),
        switching=(),
        overhead=(),
        unbalance=(),
        ratings=(),
        bands=(),
        temperature_c=None,
        orders=(),
    )
