"""What a day leaves: relief that is missing, curtailment that stays, limits that are passed. One answer for all."""

from decimal import Decimal
from typing import NamedTuple

from flexpeer.app.views.outcome import DayOutcome, PointDay
from flexpeer.market.trades import Decision
from flexpeer.quantities import WATT_MINUTES_PER_MWH

SHOWN_MWH = Decimal("0.001")


def energy_text(mwh: Decimal) -> str:
    """MWh, and Wh of what would be rounded to none of them."""
    return f"{1_000_000 * mwh:,.2f} Wh" if 0 < mwh < SHOWN_MWH else f"{mwh:,.3f} MWh"


class Remaining(NamedTuple):
    """Energies in MWh: `needed` and `missing` grid side, that of nested points once; `curtailed` resource side.

    `curtailed` is what is owed by rule, `still_curtailed` what of it nobody bought back. `past_before` and `past_after`
    count elements past a limit, one for each MTU; `worsened` those that are further past it than without the market.
    `doubtful`: the input is implausible.
    """

    needed: Decimal
    missing: Decimal
    curtailed: Decimal
    still_curtailed: Decimal
    past_before: int
    past_after: int
    worsened: int
    doubtful: bool

    def told(self) -> str:
        """In a sentence or three."""
        sides = f"{energy_text(self.missing)} of {energy_text(self.needed)} of relief is missing (grid side)"
        none = (
            "No relief is missing, as far as implausible input can tell." if self.doubtful else "No relief is missing."
        )
        parts = [f"{sides}." if self.missing else none]
        if self.curtailed:
            still = energy_text(self.still_curtailed) if self.still_curtailed else "nothing"
            parts.append(f"Of {energy_text(self.curtailed)} curtailed by rule {still} stays curtailed (resource side).")
        parts.append(f"Past a limit: {self.past_before:,} element-MTUs before, {self.past_after:,} after the market.")
        return " ".join(parts)


def remaining(outcome: DayOutcome) -> Remaining:
    """What is left of a finished day."""
    report = outcome.state.kpis.report
    assert report is not None, "a finished day has its report"
    minutes = outcome.scenario.day.mtu_minutes
    owed = sum(abs(watts) for row in outcome.state.needs.curtailment_w.values() for watts in row)
    return Remaining(
        report.need_mwh,
        report.residual_need_mwh,
        Decimal(owed * minutes) / WATT_MINUTES_PER_MWH,
        report.still_curtailed_mwh,
        len(outcome.congestions_before),
        len(outcome.congestions_after),
        len(outcome.worsened),
        bool(outcome.warnings),
    )


class ByGrid(NamedTuple):
    """Matches that grid owners refused, and that they reduced."""

    refused: int
    reduced: int


def by_grid(outcome: DayOutcome) -> ByGrid:
    """How often grid owners stood in the way."""
    reduced = sum(refusal.by_grid and refusal.detail == Decision.REDUCED for refusal in outcome.refusals)
    return ByGrid(outcome.state.trades.refused, reduced)


def point_mwh(outcome: DayOutcome, point: PointDay) -> tuple[float, float]:
    """Relief needed and missing at one point, MWh grid side."""
    minutes = outcome.scenario.day.mtu_minutes
    needed, missing = (sum(row) * minutes / WATT_MINUTES_PER_MWH for row in (point.need_w, point.residual_need_w))
    return needed, missing
