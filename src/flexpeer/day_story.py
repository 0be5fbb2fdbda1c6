"""The day as a person would tell it, for a terminal."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from flexpeer.app.views.outcome import DayOutcome
from flexpeer.app.views.remaining import by_grid, point_mwh, remaining
from flexpeer.market.kpi import obligations
from flexpeer.narration import POINTS, ROWS, and_more, most_needed, mwh_cell, titled, warned
from flexpeer.quantities import WATT_MINUTES_PER_MWH
from flexpeer.web.terms import ACCOUNTS, RULES


def story(outcome: DayOutcome, result: Mapping[str, Any], out: Path) -> RenderableType:
    """Need, allocation, trades, what the grid refused, what is left, who paid whom, and what it was worth."""
    return Group(
        _headline(outcome),
        *warned(outcome.warnings),
        *(Text(f"Note: {note}.", style="yellow") for note in outcome.notes[:ROWS]),
        _points(outcome),
        _allocation(outcome),
        _trading(outcome, result),
        _refused(outcome),
        _left(outcome),
        _money(outcome),
        _worth(outcome, result),
        Text(f"\nWritten to {out}: open {out / 'report.html'} in a browser."),
    )


def _headline(outcome: DayOutcome) -> Text:
    s = outcome.scenario
    buses = "without a grid" if outcome.grid is None else f"on {outcome.grid.network.bus_count} buses"
    return Text(
        f"{s.name}: {s.day.delivery_day:%A %d %B %Y}, {s.day.mtu_count} MTUs of {s.day.mtu_minutes} min, "
        f"{len(s.resources)} resources {buses}.",
        style="bold",
    )


def _points(outcome: DayOutcome) -> RenderableType:
    if not outcome.points:
        return Text(f"\n{outcome.without_need}")
    table = titled("Need (grid side)", "congestion point", "owner", "hours", "worst, MW", "need, MWh", "missing, MWh")
    for point in most_needed(outcome.points, lambda one: sum(one.need_w)):
        p = point.point
        hours = sum(1 for w in point.need_w if w) * outcome.scenario.day.mtu_minutes / 60
        worst = max(point.need_w, default=0) / 1e6
        table.add_row(
            f"{p.congestion_point} ({p.direction})", p.dso, f"{hours:g}", f"{worst:.3f}",
            *(mwh_cell(mwh) for mwh in point_mwh(outcome, point)),
        )  # fmt: skip
    and_more(table, len(outcome.points), POINTS)
    return table


def _allocation(outcome: DayOutcome) -> RenderableType:
    minutes = outcome.scenario.day.mtu_minutes
    owed, left = Counter[str](), Counter[str]()
    for each in obligations(outcome.state.participants, outcome.state.needs, outcome.state.orders):
        owed[each.resource] += each.owed_w * minutes
        left[each.resource] += each.left_w * minutes
    if not owed:
        return Text("\nNobody is curtailed by rule.")
    policy = RULES[outcome.scenario.rulebook.allocation]
    table = titled(f"By rule (resource side, {policy})", "resource", "curtailed, MWh", "of that stays curtailed, MWh")
    for name, energy in owed.most_common(ROWS):
        table.add_row(name, *(mwh_cell(watt_minutes / WATT_MINUTES_PER_MWH) for watt_minutes in (energy, left[name])))
    and_more(table, len(owed))
    return table


def _trading(outcome: DayOutcome, result: Mapping[str, Any]) -> Text:
    trades = list(outcome.state.trades.trades.values())
    came = f"{result['orders']} orders came in, {result['orders_refused']} refused at the door."
    if not result["orders"]:
        return Text("\nNo order came in: each is a row of orders.csv.")
    if not trades:
        return Text(f"\n{came} Nothing was traded.")
    prices = [trade.leg.price_minor / 100 for trade in trades]
    zones = Counter(trade.zone for trade in trades)
    per_zone = ", ".join(f"{count} at {zone or 'no point'}" for zone, count in zones.most_common(ROWS))
    word = "trade" if len(trades) == 1 else "trades"
    return Text(
        f"\n{came} {len(trades)} {word}, {result['volume_wh'] / 1e6:,.3f} MWh (buyers' resource side): {per_zone}. "
        f"Prices {min(prices):g} to {max(prices):g}, median {median(prices):g} {outcome.scenario.currency}/MWh."
    )


def _refused(outcome: DayOutcome) -> RenderableType:
    door = Counter(r.reason for r in outcome.refusals if r.at_door)
    stood = by_grid(outcome)
    lines = [f"\nThe grid refused {stood.refused} matches and reduced {stood.reduced}."]
    places = Counter((r.owner, r.element) for r in outcome.refusals if r.by_grid)
    for (owner, element), count in places.most_common(ROWS):
        lines.append(f"  {count:5} at {element} ({owner})")
    if door:
        lines.append(
            "At the door: " + ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in door.most_common())
        )
    return Text("\n".join(lines))


def _left(outcome: DayOutcome) -> Text:
    verdict = [f"\n{remaining(outcome).told()}"]
    if outcome.verified_by is not None:
        worse = len(outcome.worsened)
        found = "made nothing worse" if worse == 0 else f"made {worse} element-MTUs WORSE"
        agree = f"voltages agree within {outcome.largest_difference_pu:.0e} pu"
        verdict.append(f"Checked by {outcome.verified_by}: the market {found} ({agree}).")
    return Text(" ".join(verdict))


def _money(outcome: DayOutcome) -> RenderableType:
    balances = [(account, minor / 100) for account, minor in outcome.state.settlements.balances_minor().items()]
    if not balances:
        return Text("\nNobody pays anybody.")
    table = titled(f"Who pays whom ({outcome.scenario.currency})", "account", "receives (pays)", "whose")
    ranked = sorted(balances, key=lambda item: item[1])
    for account, value in ranked if len(ranked) <= 2 * ROWS else (*ranked[:ROWS], *ranked[-ROWS:]):
        whose = "organisation" if account.organisation else "the market's own"
        table.add_row(account.organisation or ACCOUNTS[account.kind], f"{value:,.2f}", whose)
    and_more(table, len(ranked) if len(ranked) > 2 * ROWS else 0, shown=2 * ROWS)
    table.add_row("sum", f"{sum(value for _, value in balances):,.2f}", "", style="bold")
    return table


def _worth(outcome: DayOutcome, result: Mapping[str, Any]) -> RenderableType:
    kpi, currency = result["kpi"], outcome.scenario.currency
    table = titled("What it was worth (no official formula is published)", "KPI", "value", "made of")
    for name, ratio in kpi["cost_vs_grid_alternative"].items():
        made = f"{kpi['cost_by_perspective'][name]['dso']:,.0f} / {kpi['alternative_cost'][name]:,.0f} {currency}"
        value = "-" if ratio is None else f"{ratio:.3f}"
        table.add_row(f"cost vs {name.replace('_', ' ')}", value, kpi["null_reasons"].get(name, made))
    reduction = kpi["res_curtailment_reduction"]
    if reduction is not None:
        made = f"{kpi['res_curtailed_before_mwh']:.2f} to {kpi['res_curtailed_after_mwh']:.2f} MWh"
        table.add_row("RES curtailment reduced by", f"{100 * reduction:.1f} %", made)
    if result["efficiency"] is not None:
        made = f"{result['welfare']:,.0f} of {result['welfare_optimum']:,.0f} {currency}"
        table.add_row("efficiency against the central optimum", f"{result['efficiency']:.4f}", made)
        if result["welfare_clearing"]:
            made = f"{result['welfare_continuous']:,.0f} + {result['welfare_clearing']:,.0f} {currency}"
            table.add_row("of that, first come + at gate closure", "", made)
    table.add_row("opex", f"{kpi['opex']:,.2f}", currency)
    if kpi["fill_rate"] is not None:
        table.add_row("fill rate", f"{100 * kpi['fill_rate']:.1f} %", f"{kpi['active_fsps']} active FSPs")
    return table
