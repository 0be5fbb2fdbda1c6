"""What anybody may see without a token: delivery days and their rules, the open book, what settled days came to.

Nothing here names an organisation, a resource or an order. What is sent is made once a second, however many ask.
"""

import time
from collections.abc import Callable

import msgspec

from flexpeer.api.documents import SIDES, period
from flexpeer.api.edge import Answer, encode
from flexpeer.api.limits import RateLimits
from flexpeer.api.service import ServedDay, Service
from flexpeer.api.units import megawatts, price, utc
from flexpeer.app.views.results import kpi_object
from flexpeer.market.machine import State
from flexpeer.market.timeline import Stage
from flexpeer.market.trades import Trade
from flexpeer.wire.api import GateDocument, MarketStatus, StageInstant
from flexpeer.wire.api_public import PublicDay, PublicDayList, PublicTradeDocument

ANYBODY = "anybody"
FRESH_S = 1.0


class Public:
    """Answers anybody; all of them together are limited as one client is."""

    def __init__(self, service: Service, limits: RateLimits, seconds: Callable[[], float] = time.monotonic) -> None:
        self._service, self._limits, self._seconds = service, limits, seconds
        self._known, self._until = b"", -1.0

    def answer(self) -> Answer:
        """Every day."""
        self._limits.take(ANYBODY)
        if self._seconds() >= self._until:
            days = (public_day(served) for _, served in sorted(self._service.days.items()))
            self._known, self._until = encode(PublicDayList(tuple(days))), self._seconds() + FRESH_S
        return Answer(200, self._known)


def public_day(served: ServedDay) -> PublicDay:
    """A day as anybody sees it."""
    scenario, state = served.day.scenario, served.published.state
    day, report = scenario.day, state.kpis.report
    settled = state.stages.stage is Stage.SETTLED
    return PublicDay(
        id=served.market_id,
        name=scenario.name,
        status=MarketStatus(state.stages.stage),
        timezone=day.timezone,
        period_from=utc(day.start),
        period_to=utc(day.instant(day.mtu_count)),
        gate=GateDocument(utc(served.day.instant(Stage.OPEN)), utc(served.day.instant(Stage.CLOSED))),
        timeline=tuple(
            StageInstant(MarketStatus(stage), utc(at), stage.place <= state.stages.stage.place)
            for stage, at in served.day.timeline
        ),
        mtu_minutes=day.mtu_minutes,
        currency=scenario.currency,
        rulebook=msgspec.to_builtins(scenario.rulebook),
        orders=tuple(served.book.documents().values()),
        trades=tuple(_trade(state, trade) for trade in state.trades.trades.values()) if settled else (),
        kpi=kpi_object(report) if settled and report is not None else None,
    )


def _trade(state: State, trade: Trade) -> PublicTradeDocument:
    """A trade without its sides: quantity and price are of the resting order's resource."""
    begins, ends = period(state, trade.leg.span)
    return PublicTradeDocument(
        phase=str(trade.phase),
        price_of=SIDES[trade.leg.resting],
        period_from=begins,
        period_to=ends,
        quantity=megawatts(trade.leg.resting_w),
        unit_price=price(trade.leg.price_minor),
        flexibility_zone_id=trade.zone or None,
    )
