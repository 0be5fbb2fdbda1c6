"""Shapes of standing orders: templates that are placed anew whenever a day's gate opens."""

from decimal import Decimal
from typing import Annotated

from msgspec import Meta

from flexpeer.wire.api import Asking, Link, Name, RegulationWord, Sentence, SideWord, Telling

WallClock = Annotated[
    str,
    Meta(pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$", description="Local time of the market.", examples=["17:00"]),
]


class StandingOrderRequest(Asking, frozen=True):
    """An order for every day, between two local times of the delivery day; MW and major units per MWh of the unit."""

    side: SideWord
    time_from: WallClock
    time_to: WallClock
    quantity: Decimal
    unit_price: Decimal
    portfolio_id: Name | None = None
    regulation_type: RegulationWord | None = None
    minimum_acceptance_quantity: Decimal | None = None
    flexibility_zone_id: Name | None = None


class StandingPlaced(Telling, frozen=True):
    """What a day made of it: the order's id, or why the market refused it."""

    market_id: str
    order_id: str
    reason: str | None = None
    detail: str | None = None
    sentence: Sentence | None = None


class StandingOrderDocument(Telling, frozen=True):
    """A standing order, and the days it was placed on."""

    id: str
    owner_organization_id: str
    side: SideWord
    time_from: str
    time_to: str
    quantity: Decimal
    unit_price: Decimal
    portfolio_id: str
    placed: tuple[StandingPlaced, ...] = ()
    regulation_type: RegulationWord | None = None
    minimum_acceptance_quantity: Decimal | None = None
    flexibility_zone_id: str | None = None


class StandingOrderList(Telling, frozen=True):
    """Standing orders in the order they were made."""

    number_of_hits: int
    items: tuple[StandingOrderDocument, ...]
    links: tuple[Link, ...]
