"""Charts as inline SVG: a frame with its axes, step lines over the day, bands, bars and lanes.

A chart is drawn in the units of its `viewBox`, once wide and once narrow, for a telephone; the style sheet shows what
fits. Colours are its classes, so that light, dark and print are its work too. All text is escaped here.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from markupsafe import Markup, escape

from flexpeer.web.wording import LocalClock, number

EMPTY = Markup("")


class Canvas(NamedTuple):
    """How wide a chart is drawn; `margin` is for the numbers of the axis, `names` for names left of bars and lanes.

    Without room for `names` they stand above. Letters are about `LETTER` wide, bold ones `BOLD_LETTER`.
    """

    css: str
    width: float
    margin: float
    names: float
    every_hours: int


WIDE = Canvas("wide", 760.0, 62.0, 210.0, 3)
NARROW = Canvas("narrow", 360.0, 46.0, 0.0, 6)
LETTER, BOLD_LETTER = 7.2, 8.3

Drawings = tuple[Markup, Markup]


def both(draw: Callable[[Canvas], Markup]) -> Drawings:
    """A chart drawn wide and narrow."""
    return draw(WIDE), draw(NARROW)


class Key(NamedTuple):
    """One entry of a legend: the class that colours it, `line`, `area` or `dot`, and what it means."""

    css: str
    shape: str
    label: str


@dataclass(frozen=True)
class Figure:
    """A chart with what surrounds it. `side` says where its quantities are counted.

    `readout` has what the pointer or the arrow keys show for each MTU: `unit` and `series`.
    """

    title: str
    side: str
    drawings: Drawings
    note: str = ""
    legend: tuple[Key, ...] = ()
    readout: dict[str, Any] | None = None


@dataclass(frozen=True)
class Frame:
    """A drawing area: `columns` positions from left to right, `low` to `high` from bottom to top.

    `mirrored` frames show sizes below zero too, so their ticks bear no sign.
    """

    canvas: Canvas
    columns: float
    low: float
    high: float
    height: float = 240.0
    left: float = 62.0
    right: float = 20.0
    top: float = 26.0
    bottom: float = 26.0
    ticks: tuple[float, ...] = ()
    mirrored: bool = False

    @property
    def inner(self) -> float:
        """Width of the drawing area."""
        return self.canvas.width - self.left - self.right

    def x(self, column: float) -> float:
        """Horizontal place of a column's left edge."""
        return round(self.left + self.inner * column / max(self.columns, 1e-9), 1)

    def y(self, value: float) -> float:
        """Vertical place of a value."""
        share = (value - self.low) / max(self.high - self.low, 1e-12)
        return round(self.height - self.bottom - share * (self.height - self.top - self.bottom), 1)


def frame_for(
    canvas: Canvas,
    columns: float,
    values: Iterable[float],
    height: float = 240.0,
    mirrored: bool = False,
    hold: float = 0.0,
) -> Frame:
    """A frame that holds `values` and zero, or nothing more where `hold` is NaN; its ends at round numbers."""
    finite = [value for value in (*values, hold) if math.isfinite(value)] or [0.0]
    low, high = min(finite), max(finite)
    step = _round_step((high - low or 1.0) / 5)
    first, last = math.floor(low / step + 1e-9), math.ceil((high or (low + 1.0 if low == 0 else 0)) / step - 1e-9)
    ticks = tuple(round(step * k, 10) for k in range(first, max(last, first + 1) + 1))
    return Frame(canvas, columns, ticks[0], ticks[-1], height, canvas.margin, ticks=ticks, mirrored=mirrored)


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * (1 - 1e-9))


def text(x: float, y: float, content: object, css: str = "", anchor: str = "start") -> Markup:
    """A line of text; its content is escaped."""
    place = f'x="{round(x, 1)}" y="{round(y, 1)}" class="{css}" text-anchor="{anchor}"'
    return Markup(f"<text {place}>{escape(content)}</text>")


def path(d: str, css: str, title: str = "") -> Markup:
    """A path; `title` is its tooltip."""
    return Markup(f'<path d="{d}" class="{css}">{tooltip(title)}</path>')


def rect(box: tuple[float, float, float, float], css: str, title: str = "") -> Markup:
    """A rectangle of left, top, width and height."""
    x, y, width, height = (round(value, 1) for value in box)
    place = f'x="{x}" y="{y}" width="{max(width, 0)}" height="{max(height, 0)}" class="{css}"'
    return Markup(f"<rect {place}>{tooltip(title)}</rect>")


def tooltip(title: str) -> Markup:
    """What the pointer shows over a mark."""
    return Markup(f"<title>{escape(title)}</title>") if title else EMPTY


def drawing(parts: Iterable[Markup], canvas: Canvas, height: float, label: str, frame: Frame | None = None) -> Markup:
    """The SVG element; `label` is read in its place by those who cannot see it; a `frame` can be read out."""
    place = Markup(' data-left="{}" data-inner="{}"').format(frame.left, frame.inner) if frame else EMPTY
    return Markup('<svg class="{}" viewBox="0 0 {} {}" role="img" aria-label="{}"{}>{}</svg>').format(
        canvas.css, round(canvas.width), round(height), label, place, joined(parts)
    )


def joined(parts: Iterable[Markup]) -> Markup:
    """Pieces one after the other; whatever is not markup is escaped."""
    return EMPTY.join(escape(part) for part in parts)


def axes(frame: Frame, clock: LocalClock | None, unit: str) -> Markup:
    """Horizontal lines at the round values, and the hours of the day below."""
    parts = [text(4, 12, unit, "unit")] if unit else []
    for value in frame.ticks:
        y = frame.y(value)
        css = "zero" if value == 0 else "rule"
        parts.append(path(f"M{frame.left} {y}H{frame.x(frame.columns)}", css))
        parts.append(text(frame.left - 6, y + 4, number(abs(value) if frame.mirrored else value, 4), "tick", "end"))
    for mtu, label in clock.ticks(frame.canvas.every_hours) if clock else []:
        x, base = frame.x(mtu), frame.height - frame.bottom
        parts.append(path(f"M{x} {base}v4", "zero"))
        parts.append(text(x, base + 17, label, "tick", "middle"))
    return joined(parts)


def steps(frame: Frame, values: Sequence[float]) -> str:
    """A step line, one step per column; gaps where there is no number."""
    pieces: list[str] = []
    before: float | None = None
    for column, value in enumerate(values):
        if value == before:
            continue
        if before is not None:
            pieces.append(f"H{frame.x(column)}")
        before = value if math.isfinite(value) else None
        if before is not None:
            goes_on = column > 0 and math.isfinite(values[column - 1])
            pieces.append(f"V{frame.y(value)}" if goes_on else f"M{frame.x(column)} {frame.y(value)}")
    return "".join([*pieces, f"H{frame.x(len(values))}"] if before is not None else pieces)


def band(frame: Frame, low: Sequence[float], high: Sequence[float]) -> str:
    """Boxes between two rows of values, neighbours of equal size as one."""
    pieces, start = [], 0
    pairs = [*zip(low, high, strict=True), (math.nan, math.nan)]
    for column in range(1, len(pairs)):
        if pairs[column] == pairs[start]:
            continue
        bottom, top = pairs[start]
        if math.isfinite(bottom) and math.isfinite(top) and top > bottom:
            pieces.append(f"M{frame.x(start)} {frame.y(bottom)}V{frame.y(top)}H{frame.x(column)}V{frame.y(bottom)}Z")
        start = column
    return "".join(pieces)


class Bar(NamedTuple):
    """A row of a bar chart: one value per class of `bar_chart`'s `css`."""

    label: str
    values: tuple[float, ...]


def bar_chart(canvas: Canvas, bars: Sequence[Bar], css: Sequence[str], unit: str, label: str) -> Markup:
    """Horizontal bars, a group per row, each with its value written at its end."""
    thick, gap = 13.0, 9.0
    largest = max((value for bar in bars for value in bar.values), default=0.0) or 1.0
    room = canvas.width - canvas.names - 90
    parts, y = [], 6.0
    for bar in bars:
        name, lines = row_name(canvas, bar.label, y + (thick * len(css) / 2 + 4 if canvas.names else 10))
        parts.append(name)
        y += 15.0 * lines
        for name_css, value in zip(css, bar.values, strict=True):
            width = max(room * value / largest, 1.0 if value else 0.0)
            parts.append(rect((canvas.names, y, width, thick - 2), name_css, f"{bar.label}: {number(value, 3)} {unit}"))
            parts.append(text(canvas.names + width + 5, y + thick - 3, f"{number(value, 2)} {unit}", "value"))
            y += thick
        y += gap
    return drawing(parts, canvas, y, label)


def row_name(canvas: Canvas, name: str, y: float) -> tuple[Markup, int]:
    """The name of a row at a height, left of it or above, and how many lines of its own it takes."""
    if canvas.names:
        return text(canvas.names - 8, y, shortened(name, int((canvas.names - 8) / LETTER)), "name", "end"), 0
    return text(0, y, shortened(name, int(canvas.width / LETTER)), "name"), 1


class Cell(NamedTuple):
    """Consecutive MTUs of a lane with one look."""

    first: int
    end: int
    css: str
    told: str


class Lane(NamedTuple):
    """A row of cells over the day."""

    name: str
    cells: Sequence[Cell]


def lane_chart(canvas: Canvas, clock: LocalClock, lanes: Sequence[Lane], label: str) -> Markup:
    """Rows over the hours of the day, one below the other."""
    deep = 22.0 if canvas.names else 36.0
    height = 34.0 + deep * len(lanes)
    frame = Frame(canvas, clock.day.mtu_count, 0.0, 1.0, height, canvas.names or 20.0, top=8.0)
    parts = [axes(frame, clock, "")]
    for n, lane in enumerate(lanes):
        y = 8.0 + deep * n
        name, lines = row_name(canvas, lane.name, y + (13 if canvas.names else 10))
        parts += [name, rect((frame.left, y + 14 * lines, frame.inner, 18.0), "lane")]
        for cell in lane.cells:
            x = frame.x(cell.first)
            parts.append(rect((x, y + 14 * lines, frame.x(cell.end) - x, 18.0), cell.css, cell.told))
    return drawing(parts, canvas, height, label, frame)


def shortened(name: str, length: int) -> str:
    """A long name with its middle left out."""
    if len(name) <= length:
        return name
    tail = length // 3
    return f"{name[: length - tail - 1]}…{name[-tail:]}"
