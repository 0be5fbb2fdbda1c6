"""Who is curtailed before and after the market, and who moved instead. Resource side."""

from collections.abc import Sequence

from flexpeer.app.views.outcome import DayOutcome
from flexpeer.market.kpi import RENEWABLE_KINDS
from flexpeer.web.figures import Bar, Figure, Key, bar_chart, both
from flexpeer.web.wording import ENERGY_UNITS, RESOURCE_SIDE, energy, unit_for

SHOWN = 20

CURTAILMENT_LEGEND = (
    Key("before-bar", "area", "by rule, without a market"),
    Key("after-bar", "area", "after the market"),
)
MOVED_LEGEND = (Key("up", "area", "UP: more injection, less withdrawal"), Key("down", "area", "DOWN: the opposite"))


def lost_w(plan: Sequence[int], then: Sequence[int]) -> int:
    """By how much a schedule falls short of the plan, in the plan's own direction; sum over MTUs of W."""
    return sum(max(0, p - q) if p > 0 else max(0, q - p) if p < 0 else 0 for p, q in zip(plan, then, strict=True))


def curtailment_figure(outcome: DayOutcome) -> Figure | None:
    """Energy not produced or not used, per resource with an obligation and per renewable that lost some."""
    hours = outcome.scenario.day.mtu_minutes / 60
    owing = {name for name, _ in outcome.state.needs.curtailment_w.items()}
    rows = []
    for resource in outcome.scenario.resources:
        name = resource.resource
        if name not in owing and resource.kind.lower() not in RENEWABLE_KINDS:
            continue
        plan = outcome.before_w[name]
        before, after = (lost_w(plan, then[name]) * hours for then in (outcome.start_w, outcome.after_w))
        if before or after:
            rows.append((f"{name} ({resource.kind})", before, after))
    if not rows:
        return None
    rows.sort(key=lambda row: (-row[1], -row[2], row[0]))
    totals = sum(row[1] for row in rows) / 1e6, sum(row[2] for row in rows) / 1e6
    note = f"{energy(totals[0])} curtailed by rule without a market, {energy(totals[1])} with it"
    note += f"; the {SHOWN} largest of {len(rows)} resources." if len(rows) > SHOWN else "."
    title = "Curtailment before and after, per resource"
    return _bars(title, rows[:SHOWN], ("before-bar", "after-bar"), note, CURTAILMENT_LEGEND)


def moved_figure(outcome: DayOutcome) -> Figure | None:
    """Energy that trades moved, per kind of resource."""
    hours = outcome.scenario.day.mtu_minutes / 60
    kinds: dict[str, tuple[float, float]] = {}
    for resource in outcome.scenario.resources:
        moves = outcome.state.trades.moves_w.get(resource.resource)
        if moves is None:
            continue
        up, down = kinds.get(resource.kind, (0.0, 0.0))
        kinds[resource.kind] = (
            up + hours * sum(w for w in moves if w > 0),
            down - hours * sum(w for w in moves if w < 0),
        )
    rows = sorted(((kind, up, down) for kind, (up, down) in kinds.items()), key=lambda row: (-row[1] - row[2], row[0]))
    if not rows:
        return None
    note = "Change of injection by trades, counted from the starting point."
    return _bars("Who moved, per kind of resource", rows[:SHOWN], ("up", "down"), note, MOVED_LEGEND)


def _bars(
    title: str, rows: Sequence[tuple[str, float, float]], css: tuple[str, str], note: str, legend: tuple[Key, ...]
) -> Figure:
    unit = unit_for([value for row in rows for value in row[1:]], ENERGY_UNITS)
    bars = [Bar(name, (unit.of(first), unit.of(second))) for name, first, second in rows]
    told = "; ".join(f"{bar.label} {bar.values[0]:g} and {bar.values[1]:g}" for bar in bars[:8])
    label = f"{title}, {unit.name} {RESOURCE_SIDE}: {told}. {note}"
    drawings = both(lambda canvas: bar_chart(canvas, bars, css, unit.name, label))
    return Figure(title, RESOURCE_SIDE, drawings, note, legend)
