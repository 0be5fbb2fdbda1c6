"""Shapes of what anybody may see; no field names an organisation, a resource or an order."""

from decimal import Decimal
from typing import Any

from flexpeer.wire.api import GateDocument, MarketStatus, PublicOrderDocument, SideWord, StageInstant, Telling


class PublicTradeDocument(Telling, frozen=True):
    """A trade of a settled day, nobody's: quantity and price are of the resource of the side `priceOf`."""

    phase: str
    price_of: SideWord
    period_from: str
    period_to: str
    quantity: Decimal
    unit_price: Decimal
    flexibility_zone_id: str | None = None


class PublicDay(Telling, frozen=True):
    """A delivery day, its rules and its open book; once it is settled, what it came to."""

    id: str
    name: str
    status: MarketStatus
    timezone: str
    period_from: str
    period_to: str
    gate: GateDocument
    timeline: tuple[StageInstant, ...]
    mtu_minutes: int
    currency: str
    rulebook: dict[str, Any]
    orders: tuple[PublicOrderDocument, ...]
    trades: tuple[PublicTradeDocument, ...] = ()
    kpi: dict[str, Any] | None = None


class PublicDayList(Telling, frozen=True):
    """Every delivery day, by date."""

    items: tuple[PublicDay, ...]
