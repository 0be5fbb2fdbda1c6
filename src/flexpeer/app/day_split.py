"""A market day split for several organisations: what the market operator gets, and what each DSO keeps.

Points, impact factors, needs and obligations are found once, on the whole; the operator is told these. A DSO gets its
own area at the starting point, and the orders of who is connected there.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeVar

from msgspec.structs import replace

from flexpeer.app.between.remote_owner import Address, Domain, Post, RemoteOwner
from flexpeer.app.day import Day
from flexpeer.app.owner.grid_owner import OwnGrid
from flexpeer.app.ports import Batch, OwnerSilent, Watch
from flexpeer.app.scenario import CongestionPointRow, OrderRow, Profile, Scenario
from flexpeer.app.study.area_study import AreaStudy, area_studies
from flexpeer.app.study.grid_day import GridInput, build
from flexpeer.app.study.physical_side import margin_ppm
from flexpeer.app.study.told_side import ToldPoint, ToldSide
from flexpeer.errors import BadInput, Finding
from flexpeer.market.needs import Direction, Needs, Watts
from flexpeer.market.timeline import Stage

T = TypeVar("T")
FLOW_OF = {Direction.HIGH: Direction.EXPORT, Direction.LOW: Direction.IMPORT}


class DsoShare(NamedTuple):
    """What one DSO keeps: its grid at the starting point, and the orders that come through it."""

    own: OwnGrid
    orders: tuple[OrderRow, ...]


class OperatorShare(NamedTuple):
    """What the market operator gets: a scenario without grid or orders, what it is told, and the owners."""

    scenario: Scenario
    points: tuple[ToldPoint, ...]
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


class Unlogged:
    """A log that keeps nothing."""

    def read(self) -> tuple[()]:
        """Nothing."""
        return ()

    def append(self, events: Batch) -> None:
        """Forget."""

    def sync(self) -> None:
        """Nothing is kept."""


def split_day(scenario: Scenario, grid: GridInput, watch: Watch) -> tuple[OperatorShare, dict[str, DsoShare]]:
    """The shares of a day, DSOs by the names their letters go to.

    Raises `BadInput` if there are obligations that cannot be told without the grid.
    """
    day = Day(scenario, Unlogged(), watch, grid)
    side = day.physical
    assert side is not None, "there is a grid"
    day.due(day.instant(Stage.OPEN))
    grids = side.own_grids(day.start_w())
    home = {resource: own.owner for own in grids for resource in own.bus_of}
    names = letter_names([own.owner for own in grids])
    owners = tuple(Address(own.owner, names[own.owner], own.borders) for own in grids)
    needs = day.market.state.needs
    told = tuple(side.told(day.start_w()))
    operator = OperatorShare(_without_grid(scenario, needs, told, home), told, owners)
    _check_start(operator, day.start_w(), watch)
    orders: dict[str, list[OrderRow]] = {own.owner: [] for own in grids}
    for row in scenario.orders:
        orders[home_of(scenario, home, row)].append(row)
    return operator, {names[own.owner]: DsoShare(own, tuple(orders[own.owner])) for own in grids}


class StudyShare(NamedTuple):
    """What one DSO keeps where nobody has the whole grid: its study of its own area, and the orders through it."""

    study: AreaStudy
    orders: tuple[OrderRow, ...]


def split_study(scenario: Scenario, grid: GridInput) -> tuple[OperatorShare, dict[str, StudyShare]]:
    """The shares of a day whose points, needs and factors the DSOs find between them; nothing is calculated here.

    Raises `BadInput` for quantiles of the forecast.
    """
    studies = area_studies(scenario, build(scenario, grid), margin_ppm(scenario))
    home = {resource: study.owner for study in studies for resource in study.resources}
    names = letter_names([study.owner for study in studies])
    owners = tuple(Address(study.owner, names[study.owner], study.borders) for study in studies)
    orders: dict[str, list[OrderRow]] = {study.owner: [] for study in studies}
    for row in scenario.orders:
        orders[home_of(scenario, home, row)].append(row)
    shares = {names[study.owner]: StudyShare(study, tuple(orders[study.owner])) for study in studies}
    return OperatorShare(replace(without_grid(scenario, home), orders=()), (), owners), shares


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


def for_dso(scenario: Scenario, operator: OperatorShare, dso: str, orders: tuple[OrderRow, ...]) -> Scenario:
    """What a DSO's folder says: of its own resources, and of portfolios that bid through it, everything else as told.

    `scenario` is the whole one.
    """
    told = operator.scenario
    bidding = {row.resource for row in orders}
    portfolios = {name: members for name, members in scenario.portfolios.items() if name in bidding}
    kept = {name for name, home in operator.home.items() if home == dso}
    kept |= {name for members in portfolios.values() for name in members}

    def only(rows: Mapping[str, T]) -> dict[str, T]:
        """Those of the resources kept."""
        return {name: row for name, row in rows.items() if name in kept}

    return replace(
        told,
        orders=orders,
        resources=tuple(r for r in told.resources if r.resource in kept),
        portfolios=portfolios,
        portfolio_fsp={name: scenario.portfolio_fsp[name] for name in portfolios},
        resource_forecast=only(told.resource_forecast),
        impact_ppm={point: only(rows) for point, rows in (told.impact_ppm or {}).items()},
        obligations_w=only(told.obligations_w or {}),
        meter_w=None if told.meter_w is None else only(told.meter_w),
        meter_history_w=only(told.meter_history_w),
    )


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


def _without_grid(scenario: Scenario, needs: Needs, told: tuple[ToldPoint, ...], home: Mapping[str, str]) -> Scenario:
    """The scenario without buses, elements but those of points, and orders; a resource's bus is its DSO."""
    owed = {name: tuple(map(abs, row)) for name, row in sorted(needs.curtailment_w.items())}
    rulebook = replace(scenario.rulebook, need_quantile_percent=50)
    return replace(
        _bare(scenario, home),
        rulebook=rulebook,
        congestion_points=tuple(_row(each) for each in told),
        impact_ppm={name: dict(needs.impacts_ppm[name]) for name in sorted(needs.points)},
        obligations_w=owed,
        orders=(),
    )


def without_grid(scenario: Scenario, home: Mapping[str, str]) -> Scenario:
    """What a market operator knows where DSOs find points and needs themselves; a resource's bus is its DSO.

    `home` is the DSO of each resource. `BadInput` for quantiles, which nobody adds up across borders.
    """
    if any(part for direction in ("export", "import") for part in scenario.beyond_w(direction)):
        problem = "needs at a quantile of the forecast are not found across borders"
        raise BadInput([Finding("scenario.toml", 0, "need_quantile_percent", problem, "50, or one grid for all")])
    return _bare(scenario, home)


def _bare(scenario: Scenario, home: Mapping[str, str]) -> Scenario:
    """Without buses and elements; a resource's bus is its DSO, and what it will do is its plan."""
    nothing = (0,) * scenario.day.mtu_count
    return replace(
        scenario,
        grid_source=None,
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
    )


def _row(told: ToldPoint) -> CongestionPointRow:
    """As a row of a scenario without a grid, where voltages are told in watts too."""
    point, limit_w = told.point, max(0, int(max(told.limit_w)))
    direction = FLOW_OF.get(point.direction, point.direction)
    return CongestionPointRow(point.congestion_point, point.element, str(direction), limit_w, None, point.dso)


def _check_start(operator: OperatorShare, start_w: Mapping[str, Watts], watch: Watch) -> None:
    """The operator must come to the same starting point from obligations without signs."""
    scenario = operator.scenario
    day = Day(scenario, Unlogged(), watch, told=ToldSide(scenario, operator.points, (), operator.home))
    day.due(day.instant(Stage.OPEN))
    other = [name for name, row in day.start_w().items() if row != start_w[name]]
    if other:
        problem = "the obligation of {} relieves in another direction than its neediest point"
        raise BadInput(
            Finding("allocations.csv", 0, name, problem.format(name), "one direction in an MTU") for name in other
        )
