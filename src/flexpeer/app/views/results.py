"""The result of a day as one plain object: `result.json`, and what `--json` prints.

Counts are integers, money major units, powers W; what needs a grid is null without one.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import numpy as np
from msgspec import structs

from flexpeer.app.views.orders import OrderStatus
from flexpeer.app.views.outcome import Congestion, DayOutcome
from flexpeer.grid.network import Floats
from flexpeer.market.kpi import KpiReport
from flexpeer.market.orders import Side
from flexpeer.market.settlement import CLEARING
from flexpeer.quantities import MONEY_PER_MAJOR, MONEY_PER_MINOR

MINUTES_PER_HOUR = 60


def result_object(outcome: DayOutcome, log_head: str) -> dict[str, Any]:
    """Everything section "Results" of the reference lists; `log_head` is the hash of the log's last record."""
    state, scenario = outcome.state, outcome.scenario
    report = state.kpis.report
    assert report is not None, "a finished day has its report"
    return {
        "name": scenario.name,
        "delivery_day": scenario.day.delivery_day.isoformat(),
        "currency": scenario.currency,
        "periods": scenario.day.mtu_count,
        "congestions_before": len(outcome.congestions_before),
        "congestions_after": len(outcome.congestions_after),
        "worsened_by_market": len(outcome.worsened),
        **_electrical(outcome),
        "orders": len(outcome.orders),
        "orders_by_status": {status: sum(line.status is status for line in outcome.orders) for status in OrderStatus},
        "orders_refused": sum(1 for refusal in outcome.refusals if refusal.at_door),
        "trades": len(state.trades.trades),
        "refused_by_grid": state.trades.refused,
        "reduced_by_grid": sum(1 for refusal in outcome.refusals if refusal.detail == "REDUCED"),
        "volume_wh": volume_wh(outcome),
        "welfare": float(report.welfare),
        "welfare_continuous": float(report.welfare_continuous),
        "welfare_clearing": float(report.welfare_clearing),
        "welfare_optimum": _number(report.welfare_optimum),
        "efficiency": _number(report.efficiency),
        "settlement_sum": settlement_sum(outcome),
        "clearing_balance": clearing_balance(outcome),
        "conduct": [structs.asdict(flag) for flag in state.conduct.flags],
        "kpi": kpi_object(report),
        "congestions": [_congestion(outcome, c) for c in _once_per_element(outcome.congestions_after)],
        "state_hash": outcome.state_hash,
        "log_head": log_head,
        "notes": list(outcome.notes),
        "warnings": list(outcome.warnings),
        "verified_by": outcome.verified_by,
        "verification_difference_pu": outcome.largest_difference_pu,
        "timings_s": dict(outcome.timings_s),
    }


def _electrical(outcome: DayOutcome) -> dict[str, float | None]:
    grid = outcome.grid
    if grid is None:
        return {"max_loading_percent_before": None, "max_loading_percent_after": None, "min_voltage_pu_after": None}
    fed = grid.v_after_pu[grid.v_after_pu > 0.0]
    return {
        "max_loading_percent_before": _highest_percent(grid.loading_before),
        "max_loading_percent_after": _highest_percent(grid.loading_after),
        "min_voltage_pu_after": float(fed.min()),
    }


def _highest_percent(loading: Floats) -> float | None:
    """The highest loading, None where nothing has a rating."""
    return 100.0 * float(np.nanmax(loading)) if np.isfinite(loading).any() else None


def volume_wh(outcome: DayOutcome) -> int | float:
    """Energy of all trades, on the buyers' resource side, Wh; a fraction only where watts and quarters make one."""
    minutes = outcome.scenario.day.mtu_minutes
    bought = (order for order in outcome.state.orders.orders.values() if order.side is Side.BUY)
    total = sum(order.executed_w * len(order.span) * minutes for order in bought)
    whole, rest = divmod(total, MINUTES_PER_HOUR)
    return whole if rest == 0 else total / MINUTES_PER_HOUR


def settlement_sum(outcome: DayOutcome) -> int | float:
    """All postings and all invoices added up, in major units: exactly zero."""
    settlements = outcome.state.settlements
    exact = sum(posting.amount for posting in settlements.postings)
    invoiced = sum(settlements.balances_minor().values()) * MONEY_PER_MINOR
    unbalanced = abs(exact) + abs(invoiced)
    return 0 if unbalanced == 0 else unbalanced / MONEY_PER_MAJOR


def clearing_balance(outcome: DayOutcome) -> int | float:
    """What the clearing's own account takes less what it pays out, in major units: the congestion rent."""
    return _major(outcome.state.settlements.exact().get(CLEARING, 0))


def _major(amount: int) -> int | float:
    whole, rest = divmod(amount, MONEY_PER_MAJOR)
    return whole if rest == 0 else amount / MONEY_PER_MAJOR


def kpi_object(report: KpiReport) -> dict[str, Any]:
    """The KPI report with plain numbers."""
    return {name: _plain(getattr(report, name)) for name in report.__struct_fields__}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    return {name: _plain(each) for name, each in value.items()} if isinstance(value, dict) else value


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def _once_per_element(congestions: Iterable[Congestion]) -> list[Congestion]:
    """The worst MTU of each element and kind."""
    worst: dict[tuple[str, str], Congestion] = {}
    for c in congestions:
        known = worst.get((c.element, c.kind))
        if known is None or abs(c.value - c.limit) > abs(known.value - known.limit):
            worst[c.element, c.kind] = c
    return [worst[key] for key in sorted(worst)]


def _congestion(outcome: DayOutcome, c: Congestion) -> dict[str, Any]:
    when = outcome.scenario.day.local(c.mtu)
    return {"element": c.element, "kind": c.kind, "owner": c.owner, "from": when, "value": c.value, "limit": c.limit}
