"""The grid as a map coloured by loading: before and after the market, MTU by MTU."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from flexpeer.app.outcome import Congestion, DayOutcome, GridPicture
from flexpeer.grid.network import Flags, Floats
from flexpeer.web.figures import drawing, shortened, text, tooltip
from flexpeer.web.grid_layout import NO_PARENT, Tree, places, spanning_tree
from flexpeer.web.wording import Clock, counted, number, percent

WHOLE_UP_TO = 400
PICKED = 60
NAMED = 14
BUS_NAMES_UP_TO = 60
AREA_TINTS = 6
LOADING_STEPS = (0.25, 0.5, 0.75, 0.9, 1.0)
TOLERANCE = 2e-6
STRESSED = 8


@dataclass(frozen=True)
class GridMap:
    """The drawing, its data for the slider, and what is said about it."""

    svg: Markup
    data: dict[str, Any]
    note: str
    areas: tuple[tuple[str, str], ...]
    stressed: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class _Drawn:
    """Which buses and branches are drawn, and where buses are (viewBox units)."""

    picture: GridPicture
    tree: Tree
    buses: Flags
    branches: Flags
    x: Floats
    y: Floats
    width: float
    height: float


def grid_map(outcome: DayOutcome, clock: Clock) -> GridMap | None:
    """The map with the worst MTU shown; None without a grid."""
    picture = outcome.grid
    if picture is None:
        return None
    named = congested_names(outcome)
    drawn = _place(picture, named)
    worst = worst_mtu(outcome, picture)
    tints = {owner: f"area t{n % AREA_TINTS}" for n, owner in enumerate(sorted(set(picture.owners)))}
    parts = [*_areas(drawn, tints), *_branches(drawn, worst), *_buses(drawn), *_names(drawn, named)]
    label = _label(outcome, picture, clock, worst)
    return GridMap(
        drawing(parts, drawn.height, label, drawn.width),
        _data(outcome, drawn, worst),
        _note(drawn, named),
        tuple((owner, css.split()[1]) for owner, css in tints.items()),
        tuple(_stressed(picture, clock)),
    )


def congested_names(outcome: DayOutcome) -> tuple[str, ...]:
    """Elements past a limit before or after, then those that bound trades; most often first."""
    counts: dict[str, int] = {}
    for congestion in (*outcome.congestions_before, *outcome.congestions_after):
        counts[congestion.element] = counts.get(congestion.element, 0) + 1_000_000
    for refusal in outcome.refusals:
        if refusal.by_grid and refusal.element:
            counts[refusal.element] = counts.get(refusal.element, 0) + 1
    return tuple(sorted(counts, key=lambda name: (-counts[name], name)))


def worst_mtu(outcome: DayOutcome, picture: GridPicture) -> int:
    """The MTU with most elements past a limit before the market, the highest loading among equals."""
    count = np.zeros(picture.loading_before.shape[1])
    for congestion in outcome.congestions_before:
        count[congestion.mtu] += 1
    loading = np.nan_to_num(picture.loading_before, nan=0.0)
    peak = loading.max(axis=0) if len(loading) else np.zeros_like(count)
    return int(np.lexsort((-peak, -count))[0])


def loading_class(loading: float) -> str:
    """The colour of a loading (a fraction of the rating)."""
    if np.isnan(loading):
        return "lx"
    return f"l{sum(loading > step + TOLERANCE for step in LOADING_STEPS)}"


def _peak(picture: GridPicture) -> Floats:
    """Highest loading of each branch in the day, before or after; 0 without a rating."""
    if picture.network.branch_count == 0:
        return np.zeros(0)
    both = np.concatenate([picture.loading_before, picture.loading_after], axis=1)
    return np.asarray(np.nan_to_num(both, nan=0.0).max(axis=1))


def _place(picture: GridPicture, named: Iterable[str]) -> _Drawn:
    network, tree = picture.network, spanning_tree(picture.network)
    buses = np.ones(network.bus_count, dtype=np.bool_)
    if network.bus_count > WHOLE_UP_TO:
        buses = _picked(picture, tree, set(named))
    column, row = places(tree, buses)
    columns, rows = float(column.max()) + 1.0, float(row[buses].max()) + 1.0
    dx, dy = float(np.clip(880.0 / columns, 22.0, 110.0)), float(np.clip(420.0 / rows, 17.0, 46.0))
    branches = buses[network.branch_from] & buses[network.branch_to]
    width, height = max(760.0, 120.0 + dx * columns), 50.0 + dy * rows
    return _Drawn(picture, tree, buses, branches, 40.0 + column * dx, 30.0 + row * dy, width, height)


def _picked(picture: GridPicture, tree: Tree, named: set[str]) -> Flags:
    """Buses at the most loaded branches and at named elements, with their way to the source."""
    network, peak = picture.network, _peak(picture)
    kept = np.zeros(network.bus_count, dtype=np.bool_)
    kept[np.unique(network.source_bus)] = True
    listed = [b for b, name in enumerate(network.branch_names) if name in named][:PICKED]
    for branch in [*np.argsort(-peak, kind="stable")[:PICKED], *listed]:
        kept[[network.branch_from[branch], network.branch_to[branch]]] = True
    kept[[b for b, name in enumerate(network.bus_names) if name in named][:PICKED]] = True
    for bus in reversed(tree.order):
        if kept[bus] and tree.parent[bus] != NO_PARENT:
            kept[tree.parent[bus]] = True
    return kept


def _areas(drawn: _Drawn, tints: dict[str, str]) -> list[Markup]:
    """Each DSO's buses and the ways between them, as one broad, pale stroke."""
    owners, pieces = drawn.picture.owners, dict.fromkeys(tints.values(), "")
    for bus in np.flatnonzero(drawn.buses):
        x, y, above = drawn.x[bus], drawn.y[bus], int(drawn.tree.parent[bus])
        start = f"M{x:.0f} {y:.0f}"
        same = above != NO_PARENT and owners[above] == owners[bus]
        pieces[tints[owners[bus]]] += start + (f"H{drawn.x[above] + 8:.0f}L{_point(drawn, above)}" if same else "h.1")
    return [Markup('<path d="{}" class="{}"></path>').format(d, css) for css, d in pieces.items() if d]


def _point(drawn: _Drawn, bus: int) -> str:
    return f"{drawn.x[bus]:.0f} {drawn.y[bus]:.0f}"


def _branches(drawn: _Drawn, mtu: int) -> list[Markup]:
    network, loading = drawn.picture.network, drawn.picture.loading_before
    parts = []
    for branch in np.flatnonzero(drawn.branches):
        f, t = int(network.branch_from[branch]), int(network.branch_to[branch])
        left, right = (f, t) if (drawn.x[f], f) <= (drawn.x[t], t) else (t, f)
        hangs = branch in (drawn.tree.parent_branch[f], drawn.tree.parent_branch[t])
        way = f"L{drawn.x[left] + 8:.0f} {drawn.y[right]:.0f}H{drawn.x[right]:.0f}"
        if not hangs:
            way = f"Q{max(drawn.x[f], drawn.x[t]) + 26:.0f} {(drawn.y[f] + drawn.y[t]) / 2:.0f} {_point(drawn, right)}"
        css = "wire " + (loading_class(loading[branch, mtu]) if network.in_service[branch] else "out")
        told = f"{network.branch_names[branch]} ({network.branch_kinds[branch]}, {_owner(drawn, right)})"
        parts.append(
            Markup('<path id="b{}" d="{}" class="{}">{}</path>').format(
                int(branch), f"M{_point(drawn, left)}{way}", css, tooltip(told)
            )
        )
    return parts


def _owner(drawn: _Drawn, bus: int) -> str:
    return drawn.picture.owners[bus]


def _buses(drawn: _Drawn) -> list[Markup]:
    picture = drawn.picture
    at: dict[int, list[str]] = {}
    for resource, bus in picture.bus_of.items():
        at.setdefault(bus, []).append(resource)
    sources = {int(bus) for bus in picture.network.source_bus}
    parts = []
    for bus in map(int, np.flatnonzero(drawn.buses)):
        here = at.get(bus, [])
        told = f"{picture.network.bus_names[bus]} ({picture.owners[bus]})"
        told += f": {', '.join(here[:6])}{f' and {len(here) - 6} more' if len(here) > 6 else ''}" if here else ""
        css, size = ("bus source", 7.0) if bus in sources else ("bus unit-bus", 4.0) if here else ("bus", 2.6)
        parts.append(
            Markup('<circle id="n{}" cx="{}" cy="{}" r="{}" class="{}">{}</circle>').format(
                bus, round(drawn.x[bus]), round(drawn.y[bus]), size, css, tooltip(told)
            )
        )
        if int(drawn.buses.sum()) <= BUS_NAMES_UP_TO:
            parts.append(
                text(drawn.x[bus], drawn.y[bus] - 7, shortened(picture.network.bus_names[bus], 12), "small", "middle")
            )
    return parts


def _names(drawn: _Drawn, named: Iterable[str]) -> list[Markup]:
    """Names of congested elements, beside the middle of a branch or at a bus."""
    network = drawn.picture.network
    branch_of = {name: branch for branch, name in enumerate(network.branch_names)}
    bus_of = {name: bus for bus, name in enumerate(network.bus_names)}
    bus_of |= {name: int(bus) for name, bus in zip(network.source_names, network.source_bus, strict=True)}
    parts: list[Markup] = []
    taken: list[tuple[float, float]] = []
    for name in named:
        place = _name_place(drawn, branch_of.get(name), bus_of.get(name))
        if place is None or len(parts) >= NAMED:
            continue
        x, y = place
        while any(abs(y - other_y) < 13 and abs(x - other_x) < 150 for other_x, other_y in taken):
            y += 13
        taken.append((x, y))
        anchor = "end" if x > drawn.width - 150 else "start"
        parts.append(text(x, y, shortened(name, 24), "element", anchor))
    return parts


def _name_place(drawn: _Drawn, branch: int | None, bus: int | None) -> tuple[float, float] | None:
    if branch is not None and drawn.branches[branch]:
        f, t = drawn.picture.network.branch_from[branch], drawn.picture.network.branch_to[branch]
        right = f if drawn.x[f] > drawn.x[t] else t
        return float((drawn.x[f] + drawn.x[t]) / 2), float(drawn.y[right]) - 8
    if bus is not None and drawn.buses[bus]:
        return float(drawn.x[bus]) + 8, float(drawn.y[bus]) - 8
    return None


def _data(outcome: DayOutcome, drawn: _Drawn, worst: int) -> dict[str, Any]:
    """What the slider needs: loading in per cent per drawn branch and MTU, -1 without a rating; marks per bus."""
    picture = drawn.picture
    shown = np.flatnonzero(drawn.branches & picture.network.in_service)
    return {
        "worst": worst,
        "branches": [int(branch) for branch in shown],
        "names": [picture.network.branch_names[branch] for branch in shown],
        "steps": [100 * step for step in LOADING_STEPS],
        "before": _percents(picture.loading_before[shown]),
        "after": _percents(picture.loading_after[shown]),
        "marks": [_marks(drawn, outcome.congestions_before), _marks(drawn, outcome.congestions_after)],
    }


def _percents(loading: Floats) -> list[list[float]]:
    past = (loading > 1.0 + TOLERANCE) & (loading < 1.0005)
    tenths = np.where(past, 100.1, np.round(np.nan_to_num(100.0 * loading, nan=-1.0), 1))
    held = (loading <= 1.0 + TOLERANCE) & (tenths > 100.0)
    return [[int(v) if v == int(v) else float(v) for v in row] for row in np.where(held, 100.0, tenths)]


def _marks(drawn: _Drawn, congestions: Iterable[Congestion]) -> dict[str, list[int]]:
    """MTUs in which a bus (or the source at it) is past a limit, by the bus's id in the drawing."""
    network = drawn.picture.network
    bus_of = {name: bus for bus, name in enumerate(network.bus_names)}
    bus_of |= {name: int(bus) for name, bus in zip(network.source_names, network.source_bus, strict=True)}
    marks: dict[str, list[int]] = {}
    for congestion in congestions:
        bus = bus_of.get(congestion.element)
        if bus is not None and drawn.buses[bus]:
            marks.setdefault(f"n{bus}", []).append(congestion.mtu)
    return marks


def _stressed(picture: GridPicture, clock: Clock) -> Iterable[tuple[str, str, str]]:
    """The most loaded branches of the day: name, highest loading before and after."""
    peak = _peak(picture)
    for branch in np.argsort(-peak, kind="stable")[:STRESSED]:
        rows = (picture.loading_before[branch], picture.loading_after[branch])
        if all(np.isfinite(row).any() for row in rows):
            before, after = (f"{percent(np.nanmax(r))} at {clock.at(int(np.nanargmax(r)))}" for r in rows)
            yield picture.network.branch_names[branch], before, after


def _label(outcome: DayOutcome, picture: GridPicture, clock: Clock, worst: int) -> str:
    before, after = (len({c.element for c in cs}) for cs in (outcome.congestions_before, outcome.congestions_after))
    return (
        f"Map of {counted(picture.network.bus_count, 'bus', 'buses')} coloured by loading. Past a limit at some time "
        f"of the day: {counted(before, 'element')} before, {number(after, 0)} after the market. "
        f"Shown first: {clock.during(worst)} before the market."
    )


def _note(drawn: _Drawn, named: tuple[str, ...]) -> str:
    network = drawn.picture.network
    parts = [f"{counted(network.bus_count, 'bus', 'buses')}, {counted(network.branch_count, 'branch', 'branches')}."]
    if not drawn.buses.all():
        floor = min(np.sort(_peak(drawn.picture))[::-1][:PICKED], default=0.0)
        drawn_count = counted(int(drawn.branches.sum()), "branch", "branches")
        parts.append(
            f"The grid is large: drawn are branches that reach {percent(floor)} of their rating in the day, congested "
            f"elements, and the way from there to the source, {drawn_count} in all."
        )
    if len(named) > NAMED:
        parts.append(f"{NAMED} of {len(named)} elements that were congested or bound a trade are named.")
    parts.append("Distances mean nothing: one column is one branch away from the source.")
    return " ".join(parts)
