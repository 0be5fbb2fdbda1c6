"""The KPI report as rows: name, value, formula, and what it was computed from."""

from collections.abc import Callable
from decimal import Decimal
from typing import NamedTuple

from flexpeer.app.views.outcome import DayOutcome
from flexpeer.market.kpi import KpiReport
from flexpeer.market.trades import Phase
from flexpeer.web.wording import GRID_SIDE, NOTHING, RESOURCE_SIDE, counted, energy, money, number, percent, words

DISCLAIMER = "No official formula is published for these KPIs; the formulas here are this program's own."


DAYS_PER_YEAR = 365


class KpiRow(NamedTuple):
    """One KPI, or one alternative of it; `name` is its name in `result.json`."""

    name: str
    about: str
    value: str
    formula: str
    inputs: str


def kpi_rows(outcome: DayOutcome) -> list[KpiRow]:
    """Every KPI of the report, in its order."""
    report = outcome.state.kpis.report
    assert report is not None, "a finished day has its report"
    rows = [row for name in _PER_ALTERNATIVE for row in _PER_ALTERNATIVE[name](report, outcome)]
    told = (*_PER_ALTERNATIVE, "null_reasons")
    return rows + [_single(name, report, outcome) for name in report.__struct_fields__ if name not in told]


def _ratios(report: KpiReport, outcome: DayOutcome) -> list[KpiRow]:
    currency = outcome.scenario.currency
    if not report.cost_vs_grid_alternative:
        about = "no alternative with a cost is stated in the scenario"
        return [KpiRow("cost_vs_grid_alternative", about, NOTHING, "C_solution / C_alternative", "")]
    return [
        KpiRow(
            "cost_vs_grid_alternative",
            f"against {words(name)}; below 1 the market wins",
            NOTHING if ratio is None else number(ratio, 3),
            "C_solution / C_alternative",
            report.null_reasons.get(name)
            or f"{money(report.cost_by_perspective[name]['dso'], currency)} / "
            f"{money(report.alternative_cost[name], currency)}",
        )
        for name, ratio in report.cost_vs_grid_alternative.items()
    ]


def _savings(report: KpiReport, outcome: DayOutcome) -> list[KpiRow]:
    currency = outcome.scenario.currency
    formula = "C_alternative − C_solution (DSO)"
    rows = [
        KpiRow(
            "saving", f"against {words(name)}", NOTHING if saving is None else money(saving, currency), formula,
            report.null_reasons.get(name, "") if saving is None else
            f"{money(report.alternative_cost[name], currency)} − "
            f"{money(report.cost_by_perspective[name]['dso'], currency)}",
        )
        for name, saving in report.saving.items()
    ]  # fmt: skip
    return rows or [KpiRow("saving", "no alternative is stated", NOTHING, formula, "")]


_PERSPECTIVE_FORMULA = (
    "DSO: purchases + opex + relief missing × price of the alternative + still curtailed × its price; participants: "
    "sellers' limit prices − what participants receive; society: sellers' limit prices + opex + missing + curtailed"
)


def _perspectives(report: KpiReport, outcome: DayOutcome) -> list[KpiRow]:
    currency = outcome.scenario.currency
    rows = [
        KpiRow(
            "cost_by_perspective", f"C_solution with {words(name)} for what is left",
            "; ".join(f"{who.replace('dso', 'DSO')} {money(cost, currency)}" for who, cost in costs.items()),
            _PERSPECTIVE_FORMULA,
            f"opex {money(report.opex, currency)}, need left {energy(report.residual_need_mwh)} and undelivered "
            f"{energy(report.undelivered_relief_mwh)} {GRID_SIDE}, still curtailed "
            f"{energy(report.still_curtailed_mwh)} {RESOURCE_SIDE}, "
            f"worth {money(report.still_curtailed_cost, currency)}",
        )
        for name, costs in report.cost_by_perspective.items()
    ]  # fmt: skip
    return rows or [KpiRow("cost_by_perspective", "no alternative is stated", NOTHING, _PERSPECTIVE_FORMULA, "")]


_ALTERNATIVE_FORMULAS = {
    "temporary_subscription": "needed energy × price",
    "overdraw": "needed energy × price",
    "administrative_curtailment": "(energy curtailed by rule, and what that leaves overloaded) × price",
    "reinforcement_annuity": "(capex r / (1 − (1 + r)⁻ⁿ) + O&M) / congested days per year",
    "deferral": "annuity of capex (1 − (1 + r)⁻ⁿ) over n years = capex r, / congested days per year",
}


def _alternatives(report: KpiReport, outcome: DayOutcome) -> list[KpiRow]:
    currency = outcome.scenario.currency
    rows = [
        KpiRow(
            "alternative_cost", words(name), money(cost, currency), _ALTERNATIVE_FORMULAS.get(name, ""),
            _stated(name, report, outcome),
        )
        for name, cost in report.alternative_cost.items()
    ]  # fmt: skip
    return rows or [KpiRow("alternative_cost", "no alternative is stated", NOTHING, "", "")]


def _stated(name: str, report: KpiReport, outcome: DayOutcome) -> str:
    """What the scenario says of an alternative, and the energy it is multiplied with."""
    stated, per_mwh = outcome.scenario.alternative, f"{outcome.scenario.currency}/MWh"
    price: Decimal | None = getattr(stated, name, None)
    if price is not None:
        mwh = report.alternative_cost[name] / price if price else Decimal(0)
        side = f"{RESOURCE_SIDE} and left" if name == "administrative_curtailment" else GRID_SIDE
        return f"{number(mwh, 3)} MWh {side} × {number(price)} {per_mwh}"
    years = stated.lifetime_years if name == "reinforcement_annuity" else stated.deferral_years
    capex = money(stated.capex or 0, outcome.scenario.currency)
    days = stated.congested_days_per_year or DAYS_PER_YEAR
    return f"capex {capex}, r {percent(stated.wacc or 0)}, n {years} years, {counted(days, 'congested day')} per year"


_PER_ALTERNATIVE: dict[str, Callable[[KpiReport, DayOutcome], list[KpiRow]]] = {
    "cost_vs_grid_alternative": _ratios,
    "saving": _savings,
    "cost_by_perspective": _perspectives,
    "alternative_cost": _alternatives,
}

_ABOUT = {
    "opex": ("running the market, one day", "platform / 365 + staff + orders + trades"),
    "res_curtailment_reduction": (
        f"renewable energy saved by the market, {RESOURCE_SIDE}",
        "(E_business_as_usual − E_market) / E_business_as_usual",
    ),
    "res_curtailed_before_mwh": (f"E_business_as_usual, {RESOURCE_SIDE}", "Σ max(0, plan − starting point)"),
    "res_curtailed_after_mwh": (f"E_market, {RESOURCE_SIDE}", "Σ max(0, plan − starting point − trades)"),
    "need_mwh": (f"relief needed, {GRID_SIDE}", "Σ over MTUs of the needs of all points, that of nested points once"),
    "residual_need_mwh": (f"relief missing after the market, {GRID_SIDE}", "as need_mwh, after all trades"),
    "undelivered_relief_mwh": (
        f"relief sold and not delivered, {GRID_SIDE}", "Σ (sold − delivered) × impact factor at the needy point"
    ),
    "still_curtailed_mwh": (f"curtailed by rule and not bought back, {RESOURCE_SIDE}", "Σ max(0, obligation − bought)"),
    "still_curtailed_cost": (
        "what that is worth", "× own untraded BUY prices, else administrative_curtailment, else the mean of traded BUYs"
    ),
    "residual_overload_mwh": (
        f"energy past limits after the market, {GRID_SIDE}", "Σ max(0, flow − limit), by the independent power flow"
    ),
    "welfare": ("gain of all traders", "Σ traded BUY − Σ traded SELL, at their own limit prices"),
    "welfare_continuous": ("of that, in continuous trading", "as welfare, of trades of the phase continuous"),
    "welfare_clearing": ("of that, in the clearing at gate closure", "as welfare, of trades of the phase clearing"),
    "welfare_optimum": ("the most any set of trades could gain", "central optimum of the same orders"),
    "efficiency": ("share of the optimum", "welfare / welfare_optimum"),
    "liquidity": (f"offered relief over needed, {GRID_SIDE}", "Σ SELL orders × impact factor / need_mwh"),
    "fill_rate": (f"share of ordered energy that was traded, {RESOURCE_SIDE}", "Σ executed / Σ ordered"),
    "active_fsps": ("FSPs and aggregators with a trade", "count of distinct buyers and sellers that are no DSO"),
    "concentration_hhi": (f"concentration of sellers, 0 to 1, {RESOURCE_SIDE}", "Σ (seller's share of sold energy)²"),
    "refused_by_grid": ("matches no quantity of which was granted", "count"),
    "delivered_of_ordered": (f"verified delivery, {RESOURCE_SIDE}", "Σ |delivered| / Σ |ordered|, capped per MTU"),
    "minutes_to_confirmation": ("from gate closure to confirmations", "timeline of the rulebook"),
}  # fmt: skip

_SHARES = ("res_curtailment_reduction", "efficiency", "fill_rate", "delivered_of_ordered")
_AMOUNTS = ("opex", "still_curtailed_cost", "welfare", "welfare_continuous", "welfare_clearing", "welfare_optimum")


def _single(name: str, report: KpiReport, outcome: DayOutcome) -> KpiRow:
    about, formula = _ABOUT.get(name, ("", ""))
    value = getattr(report, name)
    return KpiRow(name, about, _value(name, value, outcome.scenario.currency), formula, _inputs(name, report, outcome))


def _value(name: str, value: Decimal | int | None, currency: str) -> str:
    if value is None:
        return NOTHING
    if name in _SHARES:
        return percent(value)
    if name in _AMOUNTS:
        return money(value, currency, 2)
    if name.endswith("_mwh"):
        return f"{number(value, 3)} MWh"
    return f"{number(value, 0)} min" if name.startswith("minutes") else number(value, 3)


def _of_phase(phase: Phase, outcome: DayOutcome) -> str:
    return counted(sum(1 for trade in outcome.state.trades.trades.values() if trade.phase is phase), "trade")


def _inputs(name: str, report: KpiReport, outcome: DayOutcome) -> str:
    currency, state = outcome.scenario.currency, outcome.state
    before, after = report.res_curtailed_before_mwh, report.res_curtailed_after_mwh
    optimum = NOTHING if report.welfare_optimum is None else money(report.welfare_optimum, currency, 2)
    orders, trades = counted(len(state.orders.orders), "order"), counted(len(state.trades.trades), "trade")
    known = {
        "opex": f"[costs] of the scenario, {orders}, {trades}",
        "res_curtailment_reduction": f"({number(before, 3)} − {number(after, 3)}) / {number(before, 3)} MWh",
        "need_mwh": counted(len(outcome.points), "congestion point"),
        "residual_need_mwh": counted(len(outcome.points), "congestion point"),
        "residual_overload_mwh": outcome.verified_by or "no grid",
        "welfare": trades,
        "welfare_continuous": _of_phase(Phase.CONTINUOUS, outcome),
        "welfare_clearing": _of_phase(Phase.CLEARING, outcome),
        "efficiency": f"{money(report.welfare, currency, 2)} / {optimum}",
        "liquidity": f"need {energy(report.need_mwh)} {GRID_SIDE}",
        "fill_rate": f"{orders}, {trades}",
        "active_fsps": trades,
        "concentration_hhi": trades,
        "welfare_optimum": orders,
        "delivered_of_ordered": "no meter readings" if report.delivered_of_ordered is None else "meter readings",
    }
    return known.get(name, "")
