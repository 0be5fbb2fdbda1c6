"""Every congestion point's hours of need in one strip, and points in series below the one that binds. Grid side."""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from flexpeer.app.views.outcome import DayOutcome, PointDay
from flexpeer.app.views.remaining import point_mwh
from flexpeer.market.relief_once import in_series
from flexpeer.web.figures import Cell, Figure, Key, Lane, both, lane_chart
from flexpeer.web.flow_figures import point_figure
from flexpeer.web.wording import GRID_SIDE, LocalClock, counted, energy, power

LANES_SHOWN, SERIES_SHOWN, FOLDED_SHOWN, LEVELS = 40, 8, 12, 4

LEGEND = (
    Key("ask h1", "area", "little of the point's own worst need"),
    Key("ask h4", "area", "near its worst"),
    Key("short", "area", "relief is missing after the market"),
)


class FoldedPoint(NamedTuple):
    """A point that needs less than the one above it, in one line, and its chart."""

    line: str
    status: str
    figure: Figure


class PointSeries(NamedTuple):
    """The point that binds a series, and the others of it; `left_out` are without a chart."""

    binding: Figure
    folded: list[FoldedPoint]
    left_out: int


def strip_figure(outcome: DayOutcome, clock: LocalClock) -> Figure | None:
    """A row for each point in need, the neediest first; None where nothing needs relief."""
    needy = sorted(
        (point for point in outcome.points if any(point.need_w)),
        key=lambda day: (-sum(day.need_w), day.point.congestion_point),
    )
    if not needy:
        return None
    lanes = [Lane(day.point.congestion_point, list(_cells(day, clock))) for day in needy[:LANES_SHOWN]]
    short = sum(any(day.residual_need_w) for day in needy)
    left = (
        f" {counted(len(needy) - LANES_SHOWN, 'point')} that need less are in needs.csv."
        if len(needy) > LANES_SHOWN
        else ""
    )
    label = (
        f"{counted(len(needy), 'congestion point')} in need of relief, {short} of them short of it after the market. "
        f"The stronger the colour, the nearer to the point's own worst MTU.{left}"
    )
    drawings = both(lambda canvas: lane_chart(canvas, clock, lanes, label))
    return Figure("When each congestion point needs relief", GRID_SIDE, drawings, label, LEGEND)


def _cells(day: PointDay, clock: LocalClock) -> Iterator[Cell]:
    """MTUs in need, neighbours of one look together."""
    worst = max(day.need_w)
    looks = [
        "" if not need and not left else "short" if left else f"ask h{min(LEVELS, 1 + LEVELS * need // (worst + 1))}"
        for need, left in zip(day.need_w, day.residual_need_w, strict=True)
    ]
    starts = [mtu for mtu in range(len(looks)) if mtu == 0 or looks[mtu] != looks[mtu - 1]]
    for first, end in pairwise([*starts, len(looks)]):
        if looks[first]:
            most, missing = (max(row[first:end]) for row in (day.need_w, day.residual_need_w))
            told = f"{day.point.congestion_point}, {clock.at(first)}–{clock.at(end)}: needs at most {power(most)}"
            yield Cell(first, end, looks[first], told + (f", missing {power(missing)}" if missing else ""))


def series_figures(outcome: DayOutcome, clock: LocalClock) -> tuple[list[PointSeries], int]:
    """Points in series, most energy needed first, and how many points are in none of them."""
    days = {day.point.congestion_point: day for day in outcome.points}
    groups = in_series(outcome.state.needs, {name: day.need_w for name, day in days.items()})
    drawn = [
        PointSeries(
            point_figure(days[binding], clock),
            [_folded(outcome, days[name], clock) for name in others[:FOLDED_SHOWN]],
            max(0, len(others) - FOLDED_SHOWN),
        )
        for binding, *others in groups[:SERIES_SHOWN]
    ]
    return drawn, len(days) - sum(map(len, groups[:SERIES_SHOWN]))


def _folded(outcome: DayOutcome, day: PointDay, clock: LocalClock) -> FoldedPoint:
    needed, missing = point_mwh(outcome, day)
    told = f"{energy(missing)} missing" if missing else "nothing missing"
    line = f"{day.point.congestion_point}: {energy(needed)} needed, {told}"
    return FoldedPoint(line, "bad" if missing else "good", point_figure(day, clock))
