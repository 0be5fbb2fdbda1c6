"""`report.html`: a finished market day for people, as one file that needs nothing else."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Template

from flexpeer.app.views.outcome import Congestion, DayOutcome
from flexpeer.app.views.remaining import Remaining, by_grid, remaining
from flexpeer.app.views.results import clearing_balance, settlement_sum, volume_wh
from flexpeer.market.kpi import KpiReport
from flexpeer.market.reasons import EXPECTED
from flexpeer.quantities import MINOR_PER_MAJOR
from flexpeer.web.grid_map import grid_map, subject_of
from flexpeer.web.kpi_rows import DISCLAIMER, kpi_rows
from flexpeer.web.market_figures import ZONES_SHOWN, book_figures, refusal_figure, trade_figure, trades_in_order
from flexpeer.web.money_figures import KINDS, money_figure, settlement_rows
from flexpeer.web.page import KeyFigure, template
from flexpeer.web.point_figures import series_figures, strip_figure
from flexpeer.web.resource_figures import curtailment_figure, moved_figure
from flexpeer.web.row_tables import orders_table, trades_table
from flexpeer.web.terms import BASELINES, CONDUCT, CONGESTIONS, OBSTACLES, POSTINGS, RULES
from flexpeer.web.wording import (
    GRID_SIDE,
    NOTHING,
    RESOURCE_SIDE,
    LocalClock,
    counted,
    energy,
    money,
    number,
    percent,
    power,
    words,
)

REDUCED = "REDUCED"
ROWS_SHOWN = 40
WATT_KINDS = ("export", "import")


@dataclass(frozen=True)
class Headline:
    """The day in a verdict (its status and word), a paragraph, and a handful of numbers."""

    status: str
    word: str
    verdict: str
    story: str
    figures: tuple[KeyFigure, ...]


def render_report(outcome: DayOutcome) -> str:
    """The whole page; every name in it is escaped, nothing in it is loaded from elsewhere."""
    clock = LocalClock(outcome.scenario.day)
    trades = trades_in_order(outcome)
    series, points_left_out = series_figures(outcome, clock)
    subject = subject_of(outcome)
    sections = {
        "headline": headline(outcome, clock),
        "warnings": warnings(outcome),
        "strip": strip_figure(outcome, clock),
        "series": series,
        "points_left_out": points_left_out,
        "map": None if subject is None else grid_map(subject, clock),
        "books": book_figures(outcome, clock),
        "zones_shown": ZONES_SHOWN,
        "trade_figures": [f for f in (trade_figure(outcome), refusal_figure(outcome, clock)) if f],
        "orders": orders_table(outcome, clock) if outcome.orders else None,
        "trades": trades_table(outcome, clock, trades) if trades else None,
        "resources": [figure for figure in (curtailment_figure(outcome), moved_figure(outcome)) if figure],
        "money": money_figure(outcome),
    }
    return _template().render(
        scenario=outcome.scenario,
        day=f"{outcome.scenario.day.delivery_day:%A %-d %B %Y}",
        times=clock.all(),
        settlement=_settlement(outcome),
        deliveries=list(_deliveries(outcome)),
        kpis=kpi_rows(outcome),
        disclaimer=DISCLAIMER,
        door=list(_door(outcome)),
        by_grid=list(_by_grid(outcome)),
        put_off=list(_put_off(outcome)),
        left=list(_left(outcome, clock)),
        facts=list(_facts(outcome)),
        flags=[(f.organisation, CONDUCT[f.conduct], f.subject) for f in outcome.state.conduct.flags[:ROWS_SHOWN]],
        worsened=len(outcome.worsened),
        **sections,
    )


@cache
def _template() -> Template:
    return template("report.html.j2")


def warnings(outcome: DayOutcome) -> list[str]:
    """What a reader should know before anything else: all that looks odd in the input, in one list."""
    return [*outcome.warnings, *outcome.notes]


def headline(outcome: DayOutcome, clock: LocalClock) -> Headline:
    """What the day came to."""
    report = outcome.state.kpis.report
    assert report is not None, "a finished day has its report"
    left = remaining(outcome)
    grid, trades = by_grid(outcome), len(outcome.state.trades.trades)
    figures = [
        KeyFigure("Need", energy(left.needed), f"{GRID_SIDE}, {counted(len(outcome.points), 'congestion point')}"),
        _missing(left),
        _curtailed(left),
        _past(left),
        KeyFigure("Traded", energy(volume_wh(outcome) / 1e6), f"{RESOURCE_SIDE} of buyers, {counted(trades, 'trade')}"),
        KeyFigure("Refused by the grid", number(grid.refused, 0), f"matches; {number(grid.reduced, 0)} more reduced"),
        _renewables(report),
        _cost(report, outcome.scenario.currency),
    ]
    status, word = _verdict(left)
    return Headline(status, word, left.told(), _story(outcome, report, clock), tuple(figures))


def _verdict(left: Remaining) -> tuple[str, str]:
    if left.worsened:
        return "bad", "The market made it worse"
    if left.missing or left.past_after:
        return "bad", "Not relieved" if left.missing else "Limits are still passed"
    if left.doubtful:
        return "warn", "Relieved, if the input is right" if left.needed else "No need, if the input is right"
    if not left.needed:
        return "good", "Nothing to relieve"
    return ("warn", "Relieved, with curtailment") if left.still_curtailed else ("good", "Relieved by trade alone")


def _missing(left: Remaining) -> KeyFigure:
    if not left.needed:
        return KeyFigure("Relief still missing", NOTHING, f"{GRID_SIDE}: none is needed")
    share = f"{percent(left.missing / left.needed)} of the need, " if left.missing else ""
    return KeyFigure("Relief still missing", energy(left.missing), share + GRID_SIDE, "bad" if left.missing else "good")


def _curtailed(left: Remaining) -> KeyFigure:
    if not left.curtailed:
        return KeyFigure("Stays curtailed", NOTHING, f"{RESOURCE_SIDE}: nobody is curtailed by rule")
    about = f"of {energy(left.curtailed)} by rule, {RESOURCE_SIDE}"
    return KeyFigure("Stays curtailed", energy(left.still_curtailed), about, "warn" if left.still_curtailed else "good")


def _past(left: Remaining) -> KeyFigure:
    value = f"{number(left.past_before, 0)} → {number(left.past_after, 0)}"
    worse = f"; {number(left.worsened, 0)} WORSE than without" if left.worsened else ""
    status = "bad" if left.past_after or left.worsened else "good" if left.past_before else ""
    return KeyFigure("Past a limit", value, f"elements × MTUs, before → after{worse}", status)


def _renewables(report: KpiReport) -> KeyFigure:
    before, after = energy(report.res_curtailed_before_mwh), energy(report.res_curtailed_after_mwh)
    if report.res_curtailment_reduction is None:
        return KeyFigure("RES curtailment", before, f"{RESOURCE_SIDE}: none to reduce")
    value = percent(-report.res_curtailment_reduction)
    status = "good" if report.res_curtailment_reduction > 0 else "bad" if report.res_curtailment_reduction < 0 else ""
    return KeyFigure("RES curtailment", value, f"{before} → {after}, {RESOURCE_SIDE}", status)


def _cost(report: KpiReport, currency: str) -> KeyFigure:
    if not report.cost_vs_grid_alternative:
        return KeyFigure("Opex", money(report.opex, currency), "no alternative is stated to compare with")
    name, ratio = next(iter(report.cost_vs_grid_alternative.items()))
    if ratio is None:
        return KeyFigure("Cost vs alternative", NOTHING, f"{words(name)}: {report.null_reasons[name]}")
    return KeyFigure(
        "Cost vs alternative",
        number(ratio, 3),
        f"{words(name)}: {money(report.cost_by_perspective[name]['dso'], currency)} against "
        f"{money(report.alternative_cost[name], currency)}",
        "good" if ratio < 1 else "bad",
    )


def _story(outcome: DayOutcome, report: KpiReport, clock: LocalClock) -> str:
    trades = outcome.state.trades.trades
    spans = [point.need_w for point in outcome.points if any(point.need_w)]
    if not spans:
        return outcome.without_need
    needed = [mtu for row in spans for mtu, watts in enumerate(row) if watts]
    parts = [
        f"Between {clock.at(min(needed))} and {clock.at(max(needed) + 1)} the forecast passes what the grid can carry "
        f"at {counted(len(spans), 'congestion point')}: {energy(report.need_mwh)} of relief is needed ({GRID_SIDE}).",
    ]
    if trades:
        prices = [trade.leg.price_minor / MINOR_PER_MAJOR for trade in trades.values()]
        parts.append(
            f"{counted(len(outcome.orders), 'order')} came in and became {counted(len(trades), 'trade')} of "
            f"{energy(volume_wh(outcome) / 1e6)} ({RESOURCE_SIDE} of buyers) at {number(min(prices))} to "
            f"{number(max(prices))} {outcome.scenario.currency}/MWh."
        )
    else:
        parts.append(f"{counted(len(outcome.orders), 'order')} came in; nothing was traded.")
    return " ".join(parts)


def _settlement(outcome: DayOutcome) -> dict[str, Any]:
    accounts, total = settlement_rows(outcome)
    return {
        "kinds": [POSTINGS[kind] for kind in KINDS],
        "rows": accounts,
        "total": total,
        "zero": settlement_sum(outcome) == 0,
        "rent": money(clearing_balance(outcome), outcome.scenario.currency, 2),
        "revision": outcome.state.settlements.revision,
    }


def _deliveries(outcome: DayOutcome) -> Iterator[tuple[str, str, str, str, str, str]]:
    """Resource, direction, and energies of what it sold, delivered, and moved by its meter alone; baseline."""
    hours = outcome.scenario.day.mtu_minutes / 60
    for name, verified in sorted(outcome.state.activations.deliveries.items())[:ROWS_SHOWN]:
        for delivery in verified.deliveries:
            sold, done = (energy(sum(row) * hours / 1e6) for row in (delivery.ordered_w, delivery.delivered_w))
            known = [watts for watts in delivery.metered_w if watts is not None]
            alone = energy(sum(known) * hours / 1e6) if len(known) == len(delivery.metered_w) else NOTHING
            yield name, delivery.regulation, sold, done, alone, BASELINES[verified.method]


def _door(outcome: DayOutcome) -> Iterator[tuple[str, int, str]]:
    """Reason, count and what would have been accepted, of orders refused at the door."""
    reasons = Counter(refusal.reason for refusal in outcome.refusals if refusal.at_door)
    known = {str(reason): text for reason, text in EXPECTED.items()}
    for reason, count in sorted(reasons.items(), key=lambda item: (-item[1], item[0])):
        yield words(reason), count, known.get(reason, "")


def _by_grid(outcome: DayOutcome) -> Iterator[tuple[str, str, int, int]]:
    """Element, owner, matches refused and reduced."""
    counts: Counter[tuple[str, str, str]] = Counter(
        (refusal.element, refusal.owner, refusal.detail) for refusal in outcome.refusals if refusal.by_grid
    )
    whole: Counter[tuple[str, str]] = Counter()
    for (element, owner, _), count in counts.items():
        whole[element, owner] += count
    for (element, owner), count in sorted(whole.items(), key=lambda item: (-item[1], item[0]))[:ROWS_SHOWN]:
        reduced = counts[element, owner, REDUCED]
        yield element, owner, count - reduced, reduced


def _put_off(outcome: DayOutcome) -> Iterator[tuple[str, int]]:
    """What else kept pairs from trading, and how many."""
    reasons = Counter(r.reason for r in outcome.refusals if not r.by_grid and not r.at_door)
    yield from ((OBSTACLES[reason], count) for reason, count in sorted(reasons.items()))


def _left(outcome: DayOutcome, clock: LocalClock) -> Iterator[tuple[str, str, str, str, str, int]]:
    """Element and kind, owner, worst MTU, value and limit there, MTUs, of what is congested after the market."""
    groups: dict[tuple[str, str], list[Congestion]] = {}
    for congestion in outcome.congestions_after:
        groups.setdefault((congestion.element, congestion.kind), []).append(congestion)
    ranked = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    for (element, kind), found in ranked[:ROWS_SHOWN]:
        worst = max(found, key=lambda c: (abs(c.value - c.limit), -c.mtu))
        value, limit = (_in_unit(kind, each) for each in (worst.value, worst.limit))
        yield f"{element}: {CONGESTIONS[kind]}", worst.owner, clock.at(worst.mtu), value, limit, len(found)


def _in_unit(kind: str, value: float) -> str:
    if kind in WATT_KINDS:
        return f"{power(value)} {GRID_SIDE}"
    return percent(value, 2) if kind == "loading" else f"{number(value, 4)} pu"


def _facts(outcome: DayOutcome) -> Iterator[tuple[str, str]]:
    """What makes the report checkable."""
    yield "State hash", outcome.state_hash
    yield "Events in the log", number(outcome.state.events, 0)
    yield "Verified by", outcome.verified_by or "impact factors alone: there is no grid to run a power flow on"
    if outcome.largest_difference_pu is not None:
        yield "Largest difference of a voltage", f"{outcome.largest_difference_pu:.1e} pu"
    rulebook = outcome.scenario.rulebook
    rules = (rulebook.priority, rulebook.exchange, rulebook.pricing, rulebook.allocation)
    yield "Rules", "; ".join(RULES[rule] for rule in rules)
    for stage, seconds in outcome.timings_s.items():
        yield f"Time of {stage}", f"{number(seconds, 2)} s"
