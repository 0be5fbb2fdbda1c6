"""Shapes of what a DSO would pay for relief at its congestion points in the clearing after the gate."""

from decimal import Decimal
from typing import Annotated

from msgspec import Meta

from flexpeer.wire.api import Asking, Name, Telling

CEILINGS = 10_000


class StatedCeiling(Asking, frozen=True):
    """Per MWh (grid side) a DSO pays at most at one of its points; 0 buys only what costs nothing."""

    flexibility_zone_id: Name
    unit_price: Decimal


class StatedCeilings(Asking, frozen=True):
    """All that a DSO states for a day; at its other points the dearest alternative of the market applies."""

    ceilings: Annotated[tuple[StatedCeiling, ...], Meta(max_length=CEILINGS)]


class PurchasePoint(Telling, frozen=True):
    """A point of one's own: what one pays at most, whether one has stated that, and what was bought there (grid side).

    `flexibilityNeed` and `residualNeed` are MWh over the day; `bought` is MWh and `amount` what it costs, of one's own
    orders and of the clearing.
    """

    flexibility_zone_id: str
    flexibility_need: Decimal
    residual_need: Decimal
    bought: Decimal
    amount: Decimal
    ceiling: Decimal | None = None
    stated: bool = False


class PurchaseDocument(Telling, frozen=True):
    """A DSO's purchase on a day. `dsoPurchase` is the rulebook's; only where it is `automatic` do ceilings count.

    `alternatives` are the market's prices per MWh, of which the dearest is `most`: nobody states more. `open`: ceilings
    may still be stated, until the gate closes.
    """

    market_id: str
    dso_purchase: str
    currency: str
    open: bool
    alternatives: dict[str, Decimal]
    points: tuple[PurchasePoint, ...]
    most: Decimal | None = None
