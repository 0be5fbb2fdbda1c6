"""Shapes of a day that is still traded: flows at congestion points, costs so far, what an order would come to."""

from decimal import Decimal
from typing import Any

from flexpeer.wire.api import (
    Link,
    OwnerVerdict,
    PeriodQuantity,
    PublicOrderDocument,
    RegulationWord,
    Sentence,
    SideWord,
    Telling,
)

Row = tuple[Decimal | None, ...]


class BookOrder(Telling, frozen=True):
    """An open order of the public book; `key` is the same as long as the stream lasts."""

    key: int
    order: PublicOrderDocument


class BookChange(Telling, frozen=True):
    """Orders that came or changed, and the keys of those that are gone; `whole`: these are all there are."""

    whole: bool
    orders: tuple[BookOrder, ...]
    gone: tuple[int, ...] = ()


class FlowDocument(Telling, frozen=True):
    """A congestion point of one's own: MW in the loading direction, one for each MTU of the day, grid side.

    `before` is by forecast, `now` with obligations and the trades so far. `late`: trades came since that was found.
    """

    market_id: str
    flexibility_zone_id: str
    before: Row
    now: Row
    limit: Row
    late: bool = False


class FlowList(Telling, frozen=True):
    """Flows by congestion point."""

    number_of_hits: int
    items: tuple[FlowDocument, ...]
    links: tuple[Link, ...]


class CostsDocument(Telling, frozen=True):
    """What the day would come to if it ended now: KPIs by the names of the reference, relief by impact factors.

    `ceiling` is what DSOs pay at most per MWh where their purchase after the gate is automatic.
    """

    market_id: str
    final: bool
    kpi: dict[str, Any]
    dso_purchase: str
    ceiling: Decimal | None = None


class PreviewPoint(Telling, frozen=True):
    """What an order counts for at a congestion point in its period: the least impact factor, grid-side MW and price."""

    flexibility_zone_id: str
    factor: Decimal
    quantity: Decimal
    flexibility_need: Decimal
    residual_need: Decimal
    unit_price: Decimal | None = None


class PreviewMeeting(Telling, frozen=True):
    """An open order that it would meet, in its turn; both quantities are resource side, prices the resting order's."""

    side: SideWord
    quantity: Decimal
    quantity_theirs: Decimal
    unit_price: Decimal
    own_unit_price: Decimal
    flexibility_zone_id: str | None = None


class PreviewDocument(Telling, frozen=True):
    """What would become of an order at once; nothing has happened.

    `reason`, `detail` and `accepted` say why the door would refuse it. `meetings` are before the grid's check; there
    may be more than these. `leftQuantity` would wait in the book.
    """

    accepted: bool
    points: tuple[PreviewPoint, ...]
    meetings: tuple[PreviewMeeting, ...]
    met_quantity: Decimal
    left_quantity: Decimal
    more: int = 0
    regulation_type: RegulationWord | None = None
    reason: str | None = None
    detail: str | None = None
    sentence: Sentence | None = None
    would_be: str | None = None


class AllocationDocument(Telling, frozen=True):
    """What a resource owes by rule, as a change of its forecast (resource side, injection positive).

    `boughtBack` is how much of it trades have relieved it of, MWh; `owed` all of it.
    """

    market_id: str
    portfolio_id: str
    owner_organization_id: str
    dso: str
    schedule: tuple[PeriodQuantity, ...]
    owed: Decimal
    bought_back: Decimal


class AllocationList(Telling, frozen=True):
    """Allocations by resource."""

    number_of_hits: int
    items: tuple[AllocationDocument, ...]
    links: tuple[Link, ...]


class ClearingDocument(Telling, frozen=True):
    """A clearing at the gate and its certificate: how far from the optimum at most, in ppm of what it gains."""

    market_id: str
    match: int
    gap_ppm: int
    status: str
    trades: int
    volume: Decimal
    verdicts: tuple[OwnerVerdict, ...]


class ClearingList(Telling, frozen=True):
    """Clearings in the order they ran."""

    number_of_hits: int
    items: tuple[ClearingDocument, ...]
    links: tuple[Link, ...]


class DeliveredPeriod(Telling, frozen=True):
    """MW sold and delivered in the ordered direction, the baseline, and the share of pay that earned."""

    period_from: str
    period_to: str
    ordered: Decimal
    delivered: Decimal
    baseline: Decimal
    paid_share: Decimal


class DeliveryDocument(Telling, frozen=True):
    """What a resource delivered of what it sold in one direction, verified with its meter (resource side)."""

    market_id: str
    portfolio_id: str
    owner_organization_id: str
    regulation_type: RegulationWord
    method: str
    periods: tuple[DeliveredPeriod, ...]


class DeliveryList(Telling, frozen=True):
    """Deliveries by resource."""

    number_of_hits: int
    items: tuple[DeliveryDocument, ...]
    links: tuple[Link, ...]
