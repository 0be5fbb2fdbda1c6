"""The flow at each congestion point through the day against its limit, before and after the market. Grid side."""

import math

from markupsafe import Markup

from flexpeer.app.views.outcome import PointDay
from flexpeer.market.needs import Direction
from flexpeer.web.figures import Canvas, Figure, Key, axes, band, both, drawing, frame_for, path, steps
from flexpeer.web.terms import DIRECTIONS
from flexpeer.web.wording import GRID_SIDE, LocalClock, energy, power, unit_for

NO_LIMIT_W = 5e10
VOLTAGES = (Direction.HIGH, Direction.LOW)

LEGEND = (
    Key("before", "line", "forecast, before the market"),
    Key("start", "line", "starting point: obligations executed"),
    Key("after", "line", "after the market"),
    Key("limit", "line", "limit"),
    Key("need", "area", "need: relief asked for"),
)


def known_limit_w(point: PointDay) -> tuple[float, ...]:
    """Its limit, NaN where there is none in practice."""
    return tuple(limit if math.isfinite(limit) and limit < NO_LIMIT_W else math.nan for limit in point.limit_w)


def point_figure(day: PointDay, clock: LocalClock) -> Figure:
    """One point through the day."""
    limit_w = known_limit_w(day)
    unit = unit_for([*day.before_w, *day.after_w, *limit_w])
    rows = {
        "forecast": [unit.of(w) for w in day.before_w],
        "starting point": [unit.of(w) for w in day.start_w],
        "after": [unit.of(w) for w in day.after_w],
        "limit": [unit.of(w) for w in limit_w],
        "need": [unit.of(w) for w in day.need_w],
    }
    hold = math.nan if day.point.direction in VOLTAGES else 0.0
    drawings = both(lambda canvas: _drawing(canvas, rows, clock, (unit.name, _summary(day, clock)), hold))
    readout = {
        "unit": unit.name,
        "series": [[name, [None if math.isnan(v) else round(v, 3) for v in row]] for name, row in rows.items()],
    }
    title = f"{day.point.congestion_point}: {DIRECTIONS[day.point.direction]}, {day.point.dso}"
    return Figure(title, GRID_SIDE, drawings, _summary(day, clock), LEGEND, readout)


def _drawing(
    canvas: Canvas, rows: dict[str, list[float]], clock: LocalClock, told: tuple[str, str], hold: float
) -> Markup:
    """`hold`: zero, which the axis of a flow has; NaN for a voltage, of which only the changes can be seen."""
    wanted = [b - n if n else math.nan for b, n in zip(rows["forecast"], rows["need"], strict=True)]
    drawn = [value for name, row in rows.items() if name != "need" for value in row]
    frame = frame_for(canvas, len(wanted), [*drawn, *(w for w in wanted if math.isfinite(w))], hold=hold)
    parts = [
        axes(frame, clock, told[0]),
        path(band(frame, wanted, rows["forecast"]), "need"),
        path(steps(frame, rows["starting point"]), "series start"),
        path(steps(frame, rows["forecast"]), "series before"),
        path(steps(frame, rows["after"]), "series after"),
        path(steps(frame, rows["limit"]), "series limit"),
    ]
    return drawing(parts, canvas, frame.height, f"Flow through the day, {GRID_SIDE}. {told[1]}", frame)


def _summary(day: PointDay, clock: LocalClock) -> str:
    minutes = clock.day.mtu_minutes
    needed = [mtu for mtu, need in enumerate(day.need_w) if need]
    if not needed:
        return "No relief is needed here."
    worst = max(needed, key=lambda mtu: (day.need_w[mtu], -mtu))
    need, left = (sum(row) * minutes / 60e6 for row in (day.need_w, day.residual_need_w))
    return (
        f"Relief is needed between {clock.at(needed[0])} and {clock.at(needed[-1] + 1)}, at most "
        f"{power(day.need_w[worst])} at {clock.at(worst)}; {energy(need)} in all, of which "
        f"{energy(left) if left else 'nothing'} is missing after the market."
    )
