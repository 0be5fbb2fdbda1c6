"""Congestion points as a caller sees them: need, residual need, limit, and the impact of its own portfolios."""

from collections.abc import Iterator
from decimal import Decimal

from flexpeer.api.documents import REGULATIONS, period
from flexpeer.api.units import megawatts
from flexpeer.app.views.so_far import residual_need_w
from flexpeer.market.machine import State
from flexpeer.market.needs import CongestionPoint, Watts, relieving
from flexpeer.periods import Span
from flexpeer.quantities import PPM
from flexpeer.wire.api import ImpactFactor, ZoneDocument


def zone_documents(market_id: str, state: State, organisation: str) -> Iterator[ZoneDocument]:
    """Every point by name, in periods through which nothing about it changes."""
    units = units_of(state, organisation)
    for name in sorted(state.needs.points):
        yield from _periods(market_id, state, name, units)


def units_of(state: State, organisation: str) -> tuple[str, ...]:
    """An organisation's resources and portfolios by name."""
    known = state.participants
    resources = (name for name, unit in known.resources.items() if unit.organisation == organisation)
    portfolios = (name for name, unit in known.portfolios.items() if unit.organisation == organisation)
    return tuple(sorted((*resources, *portfolios)))


def _unit_ppm(state: State, zone: str, unit: str) -> Watts:
    """A unit's impact factors, one per MTU: of a portfolio, its resources' in proportion to their shares."""
    shares = state.participants.shares(unit, PPM)
    rows = [[ppm * share for ppm in state.needs.resource_ppm(zone, name)] for name, share in shares.items()]
    return tuple(sum(column) // PPM for column in zip(*rows, strict=True))


def _periods(market_id: str, state: State, zone: str, units: tuple[str, ...]) -> Iterator[ZoneDocument]:
    needs, point = state.needs, state.needs.points[zone]
    if zone not in needs.needs_w:
        return
    limits = point.limit_w or (None,) * needs.mtu_count
    factors = zip(*(_unit_ppm(state, zone, unit) for unit in units), strict=True) if units else [()] * needs.mtu_count
    rows = list(zip(needs.needs_w[zone], residual_need_w(state, zone), limits, factors, strict=True))
    first = 0
    for mtu in range(1, len(rows) + 1):
        if mtu == len(rows) or rows[mtu] != rows[first]:
            yield _document(market_id, point, units, rows[first], period(state, Span(first, mtu)))
            first = mtu


def _document(
    market_id: str,
    point: CongestionPoint,
    units: tuple[str, ...],
    row: tuple[int, int, int | None, tuple[int, ...]],
    begins_ends: tuple[str, str],
) -> ZoneDocument:
    need, residual, limit, factors = row
    impacts = [ImpactFactor(unit, Decimal(ppm) / PPM) for unit, ppm in zip(units, factors, strict=True) if ppm]
    return ZoneDocument(
        id=point.congestion_point,
        market_id=market_id,
        period_from=begins_ends[0],
        period_to=begins_ends[1],
        flexibility_need=megawatts(need),
        residual_need=megawatts(residual),
        direction=str(point.direction),
        regulation_type=REGULATIONS[relieving(point.direction)],
        dso=point.dso,
        element=point.element,
        portfolio_ids=tuple(impact.portfolio_id for impact in impacts),
        impact_factors=tuple(impacts),
        limit=None if limit is None else megawatts(limit),
    )
