"""The grid as a map coloured by loading: before and after the market, MTU by MTU."""

import math
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup

from flexpeer.app.views.outcome import Congestion, DayOutcome, GridPicture
from flexpeer.grid.network import Flags, Floats
from flexpeer.web.figures import BOLD_LETTER, NARROW, WIDE, Canvas, Drawings, drawing, shortened, text, tooltip
from flexpeer.web.grid_layout import NO_PARENT, Tree, places, spanning_tree
from flexpeer.web.wording import LocalClock, counted, number, percent

WHOLE_UP_TO = 400
PICKED = 60
NAMED, NAMED_NARROW = 14, 6
BUS_NAMES_UP_TO = 60
BESIDE, ABOVE_OR_BELOW = (0.0, 14.0, -14.0), (0.0, 25.0)
LINE = 14.0
SMALL_LETTER = 6.2
AREA_TINTS = 6
LOADING_STEPS = (0.25, 0.5, 0.75, 0.9, 1.0)
TOLERANCE = 2e-6
STRESSED = 8


_Taken = tuple[float, float, float]
"""Left, right and height of a name."""


class Subject(NamedTuple):
    """What is drawn: a grid in two states, what is past its limit in each, what bound trades, the need (W per MTU)."""

    picture: GridPicture
    before: tuple[Congestion, ...]
    after: tuple[Congestion, ...]
    bound: tuple[str, ...]
    need_w: tuple[int, ...]


@dataclass(frozen=True)
class GridMap:
    """The drawing, its data for the slider, and what is said about it."""

    drawings: Drawings
    data: dict[str, Any]
    note: str
    areas: tuple[tuple[str, str], ...]
    stressed: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class _Chosen:
    """Which buses and branches are drawn, and their column (hops from the source) and row."""

    picture: GridPicture
    tree: Tree
    buses: Flags
    branches: Flags
    column: Floats
    row: Floats


@dataclass(frozen=True)
class _Drawn:
    """A drawing and where buses are in it (viewBox units): wide it grows to the right, narrow it grows down."""

    chosen: _Chosen
    canvas: Canvas
    x: Floats
    y: Floats
    height: float

    @property
    def picture(self) -> GridPicture:
        """The grid."""
        return self.chosen.picture

    @property
    def grows_down(self) -> bool:
        """Whether hops from the source are counted downwards."""
        return self.canvas.css == NARROW.css


def subject_of(outcome: DayOutcome) -> Subject | None:
    """A finished day's; None without a grid."""
    if outcome.grid is None:
        return None
    bound = tuple(refusal.element for refusal in outcome.refusals if refusal.by_grid and refusal.element)
    needs = [point.need_w for point in outcome.points]
    need_w = tuple(map(sum, zip(*needs, strict=True))) or (0,) * outcome.grid.loading_before.shape[1]
    return Subject(outcome.grid, outcome.congestions_before, outcome.congestions_after, bound, need_w)


def grid_map(subject: Subject, clock: LocalClock) -> GridMap:
    """The map with the MTU of the worst need shown."""
    picture, named = subject.picture, congested_names(subject)
    past = {congestion.element for congestion in (*subject.before, *subject.after)}
    chosen = _choose(picture, named)
    worst = worst_mtu(subject)
    tints = {owner: f"area t{n % AREA_TINTS}" for n, owner in enumerate(sorted(set(picture.owners)))}
    label = _label(subject, clock, worst)

    def draw(drawn: _Drawn) -> Markup:
        names, taken = _names(drawn, named, past)
        parts = [*_areas(drawn, tints), *_branches(drawn, worst), *_buses(drawn, taken), *names]
        return drawing(parts, drawn.canvas, drawn.height, label)

    return GridMap(
        (draw(_wide(chosen)), draw(_narrow(chosen))),
        _data(subject, chosen, worst),
        _note(chosen, named),
        tuple((owner, css.split()[1]) for owner, css in tints.items()),
        tuple(_stressed(picture, clock)),
    )


def congested_names(subject: Subject) -> tuple[str, ...]:
    """Elements past a limit before or after, then those that bound trades; most often first."""
    counts: dict[str, int] = {}
    for congestion in (*subject.before, *subject.after):
        counts[congestion.element] = counts.get(congestion.element, 0) + 1_000_000
    for element in subject.bound:
        counts[element] = counts.get(element, 0) + 1
    return tuple(sorted(counts, key=lambda name: (-counts[name], name)))


def worst_mtu(subject: Subject) -> int:
    """The MTU that needs most relief, then with most elements past a limit before the market, then most loaded."""
    count = np.zeros(subject.picture.loading_before.shape[1])
    for congestion in subject.before:
        count[congestion.mtu] += 1
    loading = np.nan_to_num(subject.picture.loading_before, nan=0.0)
    peak = loading.max(axis=0) if len(loading) else np.zeros_like(count)
    return int(np.lexsort((-peak, -count, -np.array(subject.need_w, dtype=np.float64)))[0])


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


def _choose(picture: GridPicture, named: Iterable[str]) -> _Chosen:
    network, tree = picture.network, spanning_tree(picture.network)
    buses = np.ones(network.bus_count, dtype=np.bool_)
    if network.bus_count > WHOLE_UP_TO:
        buses = _picked(picture, tree, set(named))
    column, row = places(tree, buses)
    branches = buses[network.branch_from] & buses[network.branch_to]
    return _Chosen(picture, tree, buses, branches, column, row)


def _wide(chosen: _Chosen) -> _Drawn:
    columns, rows = float(chosen.column.max()) + 1.0, float(chosen.row[chosen.buses].max()) + 1.0
    dx, dy = float(np.clip(880.0 / columns, 22.0, 110.0)), float(np.clip(420.0 / rows, 17.0, 46.0))
    canvas = WIDE._replace(width=max(WIDE.width, 120.0 + dx * columns))
    return _Drawn(chosen, canvas, 40.0 + chosen.column * dx, 30.0 + chosen.row * dy, 50.0 + dy * rows)


def _narrow(chosen: _Chosen) -> _Drawn:
    columns, rows = float(chosen.column.max()) + 1.0, float(chosen.row[chosen.buses].max()) + 1.0
    dx, dy = (NARROW.width - 28.0) / rows, float(np.clip(620.0 / columns, 14.0, 40.0))
    x, y = 14.0 + (chosen.row + 0.5) * dx, 24.0 + chosen.column * dy
    return _Drawn(chosen, NARROW, x, y, 36.0 + dy * columns)


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
    for bus in map(int, np.flatnonzero(drawn.chosen.buses)):
        above = int(drawn.chosen.tree.parent[bus])
        same = above != NO_PARENT and owners[above] == owners[bus]
        start = _point(drawn, bus)
        pieces[tints[owners[bus]]] += f"M{_point(drawn, above)}{_hop(drawn, above, bus)}" if same else f"M{start}h.1"
    return [Markup('<path d="{}" class="{}"></path>').format(d, css) for css, d in pieces.items() if d]


def _point(drawn: _Drawn, bus: int) -> str:
    return f"{drawn.x[bus]:.0f} {drawn.y[bus]:.0f}"


def _hop(drawn: _Drawn, near: int, far: int) -> str:
    """The way from the bus nearer to the source to the other."""
    if drawn.grows_down:
        return f"L{drawn.x[far]:.0f} {drawn.y[near] + 6:.0f}V{drawn.y[far]:.0f}"
    return f"L{drawn.x[near] + 8:.0f} {drawn.y[far]:.0f}H{drawn.x[far]:.0f}"


def _branches(drawn: _Drawn, mtu: int) -> list[Markup]:
    network, loading, tree = drawn.picture.network, drawn.picture.loading_before, drawn.chosen.tree
    column, parts = drawn.chosen.column, []
    for branch in np.flatnonzero(drawn.chosen.branches):
        f, t = int(network.branch_from[branch]), int(network.branch_to[branch])
        near, far = (f, t) if (column[f], f) <= (column[t], t) else (t, f)
        way = _hop(drawn, near, far)
        if branch not in (tree.parent_branch[f], tree.parent_branch[t]):
            x, y = max(drawn.x[f], drawn.x[t]), (drawn.y[f] + drawn.y[t]) / 2
            way = f"Q{min(x + 26, drawn.canvas.width - 4):.0f} {y:.0f} {_point(drawn, far)}"
        css = "wire " + (loading_class(loading[branch, mtu]) if network.in_service[branch] else "out")
        told = f"{network.branch_names[branch]} ({network.branch_kinds[branch]}, {_owner(drawn, far)})"
        parts.append(
            Markup('<path data-b="{}" d="{}" class="{}">{}</path>').format(
                int(branch), f"M{_point(drawn, near)}{way}", css, tooltip("" if drawn.grows_down else told)
            )
        )
    return parts


def _owner(drawn: _Drawn, bus: int) -> str:
    return drawn.picture.owners[bus]


def _buses(drawn: _Drawn, taken: Sequence[_Taken]) -> list[Markup]:
    """Every bus; those of a small grid with their names, where those of elements leave room."""
    picture = drawn.picture
    at: dict[int, list[str]] = {}
    for resource, bus in picture.bus_of.items():
        at.setdefault(bus, []).append(resource)
    sources = {int(bus) for bus in picture.network.source_bus}
    parts, scale = [], 0.7 if drawn.grows_down else 1.0
    are_named = not drawn.grows_down and int(drawn.chosen.buses.sum()) <= BUS_NAMES_UP_TO
    for bus in map(int, np.flatnonzero(drawn.chosen.buses)):
        here = at.get(bus, [])
        told = f"{picture.network.bus_names[bus]} ({picture.owners[bus]})"
        told += f": {', '.join(here[:6])}{f' and {len(here) - 6} more' if len(here) > 6 else ''}" if here else ""
        css, size = ("bus source", 7.0) if bus in sources else ("bus unit-bus", 4.0) if here else ("bus", 2.6)
        parts.append(
            Markup('<circle data-n="{}" cx="{}" cy="{}" r="{}" class="{}">{}</circle>').format(
                bus,
                round(drawn.x[bus]),
                round(drawn.y[bus]),
                round(size * scale, 1),
                css,
                tooltip("" if drawn.grows_down else told),
            )
        )
        if are_named:
            name = shortened(picture.network.bus_names[bus], 12)
            width = SMALL_LETTER * len(name)
            if _is_free(float(drawn.x[bus]) - width / 2, width, float(drawn.y[bus]) - 7, taken):
                parts.append(text(drawn.x[bus], drawn.y[bus] - 7, name, "small", "middle"))
    return parts


def _names(drawn: _Drawn, named: Iterable[str], past: Container[str]) -> tuple[list[Markup], list[_Taken]]:
    """Names of elements, marked where past a limit, at the middle of a branch or at a bus, and the room they take."""
    network = drawn.picture.network
    branch_of = {name: branch for branch, name in enumerate(network.branch_names)}
    bus_of = {name: bus for bus, name in enumerate(network.bus_names)}
    bus_of |= {name: int(bus) for name, bus in zip(network.source_names, network.source_bus, strict=True)}
    parts: list[Markup] = []
    taken: list[_Taken] = []
    most = NAMED_NARROW if drawn.grows_down else NAMED
    for name in named:
        place = _name_place(drawn, branch_of.get(name), bus_of.get(name))
        if place is None or len(parts) >= most:
            continue
        shown, (x, y) = shortened(name, 24 if not drawn.grows_down else 16), place
        width = BOLD_LETTER * len(shown)
        left = max(2.0, min(x, drawn.canvas.width - width - 2.0))
        free = (
            y + moved
            for moved in (BESIDE if drawn.grows_down else ABOVE_OR_BELOW)
            if _is_free(left, width, y + moved, taken)
        )
        y = next(free, math.inf)
        if y > drawn.height - 4:
            continue
        taken.append((left, left + width, y))
        parts.append(text(left, y, shown, "element past" if name in past else "element"))
    return parts, taken


def _is_free(left: float, width: float, y: float, taken: Iterable[_Taken]) -> bool:
    """Whether a name there would touch none of those `taken`."""
    return not any(abs(y - other) < LINE and left < end + 4 and begin < left + width + 4 for begin, end, other in taken)


def _name_place(drawn: _Drawn, branch: int | None, bus: int | None) -> tuple[float, float] | None:
    if branch is not None and drawn.chosen.branches[branch]:
        f, t = drawn.picture.network.branch_from[branch], drawn.picture.network.branch_to[branch]
        far = f if drawn.chosen.column[f] > drawn.chosen.column[t] else t
        if drawn.grows_down:
            return float(drawn.x[far]) + 5, float((drawn.y[f] + drawn.y[t]) / 2) + 4
        return float((drawn.x[f] + drawn.x[t]) / 2), float(drawn.y[far]) - 8
    if bus is not None and drawn.chosen.buses[bus]:
        return float(drawn.x[bus]) + 8, max(12.0, float(drawn.y[bus]) - 8)
    return None


def _data(subject: Subject, drawn: _Chosen, worst: int) -> dict[str, Any]:
    """What the slider needs: loading in per cent per drawn branch and MTU, -1 without a rating; marks per bus."""
    picture = drawn.picture
    shown = np.flatnonzero(drawn.branches & picture.network.in_service)
    return {
        "worst": worst,
        "branches": [int(branch) for branch in shown],
        "names": [picture.network.branch_names[branch] for branch in shown],
        "kinds": [picture.network.branch_kinds[branch] for branch in shown],
        "steps": [100 * step for step in LOADING_STEPS],
        "before": _percents(picture.loading_before[shown]),
        "after": _percents(picture.loading_after[shown]),
        "marks": [_marks(drawn, subject.before), _marks(drawn, subject.after)],
    }


def _percents(loading: Floats) -> list[list[float]]:
    past = (loading > 1.0 + TOLERANCE) & (loading < 1.0005)
    tenths = np.where(past, 100.1, np.round(np.nan_to_num(100.0 * loading, nan=-1.0), 1))
    held = (loading <= 1.0 + TOLERANCE) & (tenths > 100.0)
    return [[int(v) if v == int(v) else float(v) for v in row] for row in np.where(held, 100.0, tenths)]


def _marks(drawn: _Chosen, congestions: Iterable[Congestion]) -> dict[str, list[int]]:
    """MTUs in which a bus (or the source at it) is past a limit, by the bus's number."""
    network = drawn.picture.network
    bus_of = {name: bus for bus, name in enumerate(network.bus_names)}
    bus_of |= {name: int(bus) for name, bus in zip(network.source_names, network.source_bus, strict=True)}
    marks: dict[str, list[int]] = {}
    for congestion in congestions:
        bus = bus_of.get(congestion.element)
        if bus is not None and drawn.buses[bus]:
            marks.setdefault(str(bus), []).append(congestion.mtu)
    return marks


def _stressed(picture: GridPicture, clock: LocalClock) -> Iterable[tuple[str, ...]]:
    """The most loaded branches of the day: name, highest loading before and after."""
    peak = _peak(picture)
    for branch in np.argsort(-peak, kind="stable")[:STRESSED]:
        rows = (picture.loading_before[branch], picture.loading_after[branch])
        if all(np.isfinite(row).any() for row in rows):
            yield picture.network.branch_names[branch], *(_highest(row, clock) for row in rows)


def _highest(loading: Floats, clock: LocalClock) -> str:
    """How much and when, marked where it is past the rating."""
    much, when = percent(np.nanmax(loading)), clock.at(int(np.nanargmax(loading)))
    past = np.nanmax(loading) > 1.0 + TOLERANCE
    return Markup('<span class="status bad">{}</span> at {}').format(much, when) if past else f"{much} at {when}"


def _label(subject: Subject, clock: LocalClock, worst: int) -> str:
    before, after = (len({c.element for c in cs}) for cs in (subject.before, subject.after))
    buses = subject.picture.network.bus_count
    return (
        f"Map of {counted(buses, 'bus', 'buses')} coloured by loading. Past a limit at some time "
        f"of the day: {counted(before, 'element')} before, {number(after, 0)} after the market. "
        f"Shown first: {clock.during(worst)} before the market."
    )


def _note(drawn: _Chosen, named: tuple[str, ...]) -> str:
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
        parts.append(f"At most {NAMED} of {len(named)} elements that were congested or bound a trade are named.")
    parts.append("Distances mean nothing: each step is one branch away from the source.")
    return " ".join(parts)
