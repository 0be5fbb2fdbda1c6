"""What a day would come to if it ended now: its KPIs with the trades so far, relief counted by impact factors."""

from msgspec.structs import replace

from flexpeer.app.scenario import Scenario
from flexpeer.market import settlement
from flexpeer.market.kpi import KpiReport, ReportKpis, report
from flexpeer.market.machine import State, facts
from flexpeer.market.needs import Watts


def residual_need_w(state: State, point: str) -> Watts:
    """The need at a point less what obligations and trades relieve there by impact factors (grid side, W per MTU).

    Never more than the need: what trades load a point with it had room for, or the check would have refused them.
    """
    needs = state.needs
    rows = [needs.relief_w(point, dict(moves.items())) for moves in (needs.curtailment_w, state.trades.moves_w)]
    return tuple(
        max(0, min(need, need - sum(relief))) for need, *relief in zip(needs.needs_w[point], *rows, strict=True)
    )


def kpis_so_far(scenario: Scenario, state: State) -> KpiReport:
    """The report as it would be; efficiency, overload and delivery are known at the end only."""
    seen = facts(state)
    settled = settlement.settle(
        seen.participants, seen.needs, seen.orders, seen.trades, seen.activations, seen.settlements
    )
    for event in settled:
        seen = replace(seen, settlements=settlement.evolve(seen.settlements, event))
    residual = {point: residual_need_w(state, point) for point in state.needs.needs_w}
    (reported,) = report(seen, ReportKpis(scenario.alternative, scenario.costs, residual))
    return reported.report
