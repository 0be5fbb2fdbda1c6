"""The shapes that cross the API: names and words of UMEI 1.0.0 where it has them, what it lacks in its style.

Quantities are decimals of MW that are whole watts, prices decimals of major units per MWh; both are read and written as
JSON numbers without ever being floats. Instants are ISO 8601 with offset in, UTC out. Requests refuse unknown fields.
"""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Instant = Annotated[
    str,
    Meta(
        pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})$",
        description="ISO 8601 with offset, to the minute.",
        examples=["2026-02-10T08:00:00Z"],
    ),
]
PageSize = Annotated[int, Meta(ge=1, le=1000)]


class SideWord(StrEnum):
    """SELL and BUY of an order."""

    BUY = "Buy"
    SELL = "Sell"


class RegulationWord(StrEnum):
    """More injection (Up), or less (Down)."""

    UP = "Up"
    DOWN = "Down"


class TimeInForceWord(StrEnum):
    """Until gate closure, fill and kill, fill or kill."""

    DAY = "Day"
    FAK = "FaK"
    FOK = "FoK"


class StatusWord(StrEnum):
    """UMEI's words for where something is in its life."""

    RECEIVED = "Received"
    PENDING = "Pending"
    REJECTED = "Rejected"
    ACTIVE = "Active"
    INACTIVE = "Inactive"
    COMPLETED = "Completed"
    DELETED = "Deleted"


class CompletionWord(StrEnum):
    """How an order was completed."""

    FILLED = "Filled"
    KILLED = "Killed"
    EXPIRED = "Expired"
    CANCELLED = "Cancelled"


class MarketStatus(StrEnum):
    """The stages of a delivery day."""

    UNKNOWN = ""
    ANNOUNCED = "announced"
    OPEN = "open"
    CLOSED = "closed"
    CLEARED = "cleared"
    CONFIRMED = "confirmed"
    DELIVERED = "delivered"
    VERIFIED = "verified"
    SETTLED = "settled"


class Sentence(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is told, with names in braces where `values` stand: for whoever shows it in another language."""

    template: str
    values: dict[str, str] = {}

    @property
    def text(self) -> str:
        """As it reads in English."""
        return self.template.format(**self.values) if self.values else self.template


class ValidationError(msgspec.Struct, frozen=True):
    """One thing wrong with a request: a JSON path or a place in a file, what, and what was there.

    `sentence` is the message once more, to be translated.
    """

    property: str
    message: str
    value: str | None = None
    sentence: Sentence | None = None


class Asking(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What is asked for: a body or a query; unknown fields are refused."""


class Telling(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """What is answered; fields without a value are left out."""


class QuantityPricePoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """MW, and major units of the market's currency per MWh of the unit."""

    quantity: Decimal
    unit_price: Decimal


PricePoints = Annotated[tuple[QuantityPricePoint, ...], Meta(min_length=1, max_length=20)]


class OrderRequest(Asking, frozen=True):
    """An order to place. Several price points are several orders of one `id`; a DSO's own purchase has no portfolio."""

    market_id: Name
    side: SideWord
    period_from: Instant
    period_to: Instant
    price_points: PricePoints
    id: Name | None = None
    portfolio_id: Name | None = None
    regulation_type: RegulationWord | None = None
    minimum_acceptance_quantity: Decimal | None = None
    flexibility_zone_id: Name | None = None
    time_in_force: TimeInForceWord = TimeInForceWord.DAY


class OrderChange(Asking, frozen=True):
    """Other quantities (executed parts included) and prices, one for each price point the order has."""

    price_points: PricePoints


class ActionWord(StrEnum):
    """What an entry of an import does to an order that is there."""

    AMEND = "amend"
    WITHDRAW = "withdraw"


class ImportedChange(Asking, frozen=True):
    """An entry of an import that changes an order: other quantities and prices (`amend`), or none (`withdraw`).

    Without a market it is the latest that knows the order.
    """

    action: ActionWord
    id: Name
    price_points: PricePoints | None = None
    market_id: Name | None = None


class Link(Telling, frozen=True):
    """Where to go on: `rel` is `next` for the following page."""

    rel: str
    href: str
    method: str = "GET"


class OrderDocument(Telling, frozen=True):
    """An order. `arrival` is its number: lower came first. Quantities of price points include what is filled."""

    id: str
    owner_organization_id: str
    market_id: str
    portfolio_id: str
    status: StatusWord
    arrival: int
    side: SideWord
    regulation_type: RegulationWord
    period_from: str
    period_to: str
    price_points: tuple[QuantityPricePoint, ...]
    filled_quantity: Decimal
    remaining_quantity: Decimal
    time_in_force: TimeInForceWord
    received_at: str | None = None
    completion_type: CompletionWord | None = None
    grid_node_id: str | None = None
    flexibility_zone_id: str | None = None
    minimum_acceptance_quantity: Decimal | None = None


class OrderList(Telling, frozen=True):
    """Orders by arrival at the market."""

    number_of_hits: int
    items: tuple[OrderDocument, ...]
    links: tuple[Link, ...]


class PublicOrderDocument(Telling, frozen=True):
    """An open order as everybody sees it: nobody's."""

    market_id: str
    side: SideWord
    regulation_type: RegulationWord
    period_from: str
    period_to: str
    quantity: Decimal
    unit_price: Decimal
    flexibility_zone_id: str | None = None


class PublicOrderList(Telling, frozen=True):
    """The open book by arrival."""

    number_of_hits: int
    items: tuple[PublicOrderDocument, ...]
    links: tuple[Link, ...]


class ImportLine(Telling, frozen=True):
    """What became of one line of an import: the status it would have had alone."""

    line: int
    status: int
    id: str | None = None
    arrival: int | None = None
    reason: str | None = None
    detail: str | None = None
    sentence: Sentence | None = None


class ImportResult(Telling, frozen=True):
    """How many were taken, and each line's answer in order."""

    accepted: int
    refused: int
    items: tuple[ImportLine, ...]


class GateDocument(Telling, frozen=True):
    """When orders are taken."""

    opens: str
    closes: str


class StageInstant(Telling, frozen=True):
    """When a stage is due; `reached` if it is done."""

    stage: MarketStatus
    at: str
    reached: bool


class MarketDocument(Telling, frozen=True):
    """One delivery day. `line` counts the orders that wait for their sweep; without a grid there are only points.

    `stateHash` is left out where a query says that nobody needs it: it takes time where there are many orders.
    """

    id: str
    name: str
    description: str
    quantity_type: str
    status: MarketStatus
    delivery_day: str
    timezone: str
    period_from: str
    period_to: str
    has_grid: bool
    gate: GateDocument
    timeline: tuple[StageInstant, ...]
    mtu_minutes: int
    currency: str
    rulebook: dict[str, Any]
    now: str
    line: int
    events: int
    state_hash: str | None = None


class LineDocument(Telling, frozen=True):
    """How many orders wait for their sweep, and how many events there are by now."""

    line: int
    events: int


class MarketList(Telling, frozen=True):
    """Delivery days by date."""

    number_of_hits: int
    items: tuple[MarketDocument, ...]
    links: tuple[Link, ...]


class ImpactFactor(Telling, frozen=True):
    """Relief at a congestion point per unit that a portfolio moves in the relieving direction, by part of the unit."""

    portfolio_id: str
    factor: Decimal


class ZoneDocument(Telling, frozen=True):
    """A congestion point in one period. Quantities are MW at the point (grid side).

    `residual_need` is what trades have not relieved yet, by impact factors; `limit` is left out where the DSO keeps it.
    """

    id: str
    market_id: str
    period_from: str
    period_to: str
    flexibility_need: Decimal
    residual_need: Decimal
    direction: str
    regulation_type: RegulationWord
    dso: str
    element: str
    portfolio_ids: tuple[str, ...]
    impact_factors: tuple[ImpactFactor, ...]
    limit: Decimal | None = None


class ZoneList(Telling, frozen=True):
    """Congestion points by name and period."""

    number_of_hits: int
    items: tuple[ZoneDocument, ...]
    links: tuple[Link, ...]


class TradeSide(Telling, frozen=True):
    """One side of a trade: MW at its unit."""

    order_id: str
    side: SideWord
    quantity: Decimal
    portfolio_id: str
    owner_organization_id: str


class TradeDocument(Telling, frozen=True):
    """A trade from one side: the caller's own or, for who may see both, the buyer's, with the other as `counter`.

    `unit_price` is per MWh of the unit whose price it is, `price_of`; `amount` is what the buyer pays.
    """

    id: str
    market_id: str
    status: StatusWord
    phase: str
    order_id: str
    side: SideWord
    quantity: Decimal
    unit_price: Decimal
    price_of: SideWord
    amount: Decimal
    period_from: str
    period_to: str
    portfolio_id: str
    owner_organization_id: str
    regulation_type: RegulationWord
    flexibility_zone_id: str | None = None
    counter: TradeSide | None = None


class TradeList(Telling, frozen=True):
    """Trades in the order they were concluded."""

    number_of_hits: int
    items: tuple[TradeDocument, ...]
    links: tuple[Link, ...]


class ConfirmationDocument(Telling, frozen=True):
    """The message of step 3 to one side: `remuneration` is positive to receive."""

    trade_id: str
    market_id: str
    owner_organization_id: str
    order_id: str
    portfolio_id: str
    side: SideWord
    quantity: Decimal
    unit_price: Decimal
    remuneration: Decimal
    currency: str
    phase: str


class ConfirmationList(Telling, frozen=True):
    """Confirmations in the order of trades."""

    number_of_hits: int
    items: tuple[ConfirmationDocument, ...]
    links: tuple[Link, ...]


class PeriodQuantity(Telling, frozen=True):
    """MW of injection through one period."""

    period_from: str
    period_to: str
    quantity: Decimal


class ActivationDocument(Telling, frozen=True):
    """What a resource is to inject, period by period."""

    market_id: str
    portfolio_id: str
    owner_organization_id: str
    schedule: tuple[PeriodQuantity, ...]


class ActivationList(Telling, frozen=True):
    """Activations by resource."""

    number_of_hits: int
    items: tuple[ActivationDocument, ...]
    links: tuple[Link, ...]


class PostingDocument(Telling, frozen=True):
    """One entry of an account, positive to receive."""

    kind: str
    amount: Decimal
    trade_id: str | None = None


class SettlementDocument(Telling, frozen=True):
    """What an account stands at: `amount` is invoiced in all, in whole minor units."""

    market_id: str
    account: str
    revision: int
    amount: Decimal
    currency: str
    postings: tuple[PostingDocument, ...]
    owner_organization_id: str | None = None


class SettlementList(Telling, frozen=True):
    """Accounts by name."""

    number_of_hits: int
    items: tuple[SettlementDocument, ...]
    links: tuple[Link, ...]


class KpiDocument(Telling, frozen=True):
    """The KPIs of a day, by the names of the reference."""

    market_id: str
    kpi: dict[str, Any]


class KpiList(Telling, frozen=True):
    """KPIs of days that are settled."""

    number_of_hits: int
    items: tuple[KpiDocument, ...]
    links: tuple[Link, ...]


class OwnerVerdict(Telling, frozen=True):
    """One grid owner's answer; unless granted whole, what binds, when, and what is left there (grid side)."""

    dso: str
    decision: str
    element: str | None = None
    period_from: str | None = None
    headroom: Decimal | None = None


class VerdictDocument(Telling, frozen=True):
    """What grid owners said to a match of the orders named (the caller's own, for an FSP)."""

    market_id: str
    match: int
    order_ids: tuple[str, ...]
    asked_quantity: Decimal
    granted_quantity: Decimal
    verdicts: tuple[OwnerVerdict, ...]


class VerdictList(Telling, frozen=True):
    """Verdicts in the order they were given."""

    number_of_hits: int
    items: tuple[VerdictDocument, ...]
    links: tuple[Link, ...]
