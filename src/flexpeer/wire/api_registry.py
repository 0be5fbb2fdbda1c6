"""Shapes of portfolios and resources, plans and meter readings."""

from decimal import Decimal
from typing import Annotated

from msgspec import Meta

from flexpeer.wire.api import Asking, Instant, Link, Name, StatusWord, Telling, ValidationError


class PortfolioRequest(Asking, frozen=True):
    """A new portfolio of one's own resources, or (with `gridNodeId` and `dso`) a new resource; MW of injection."""

    id: Name
    resources: tuple[Name, ...] = ()
    name: str | None = None
    grid_node_id: Name | None = None
    dso: Name | None = None
    kind: str | None = None
    minimum_quantity: Decimal | None = None
    maximum_quantity: Decimal | None = None


class CheckDocument(Telling, frozen=True):
    """One DSO's answer in a prequalification."""

    passed: bool
    dso: str
    reasons: tuple[str, ...] = ()
    valid_until: str | None = None


class CheckAnswer(Asking, frozen=True):
    """Whether a check is passed, and why not; `validUntil` where it expires."""

    passed: bool
    reasons: tuple[str, ...] = ()
    valid_until: Instant | None = None


class PrequalificationRequest(Asking, frozen=True):
    """A DSO's answers; an FSP sends none and so asks for them."""

    grid_check: CheckAnswer | None = None
    product_check: CheckAnswer | None = None


class PortfolioDocument(Telling, frozen=True):
    """A resource, or several traded as one. `status` is Active once every resource is prequalified, else Pending."""

    id: str
    name: str
    status: StatusWord
    owner_organization_id: str
    dso: str
    resources: tuple[str, ...]
    minimum_quantity: Decimal
    maximum_quantity: Decimal
    grid_node_id: str | None = None
    kind: str | None = None
    grid_check: CheckDocument | None = None
    product_check: CheckDocument | None = None


class PortfolioList(Telling, frozen=True):
    """Portfolios and resources by name."""

    number_of_hits: int
    items: tuple[PortfolioDocument, ...]
    links: tuple[Link, ...]


class IntervalRequest(Asking, frozen=True):
    """The mean power of a resource through a period: MW, injection positive."""

    portfolio_id: Name
    period_from: Instant
    period_to: Instant
    quantity: Decimal


Intervals = Annotated[tuple[IntervalRequest, ...], Meta(min_length=1, max_length=100_000)]


class IntervalDocument(Telling, frozen=True):
    """A plan (baseline) or meter reading: mean power of a resource through a period, MW, injection positive."""

    id: str
    status: StatusWord
    market_id: str
    portfolio_id: str
    period_from: str
    period_to: str
    quantity: Decimal
    quantity_type: str


class IntervalList(Telling, frozen=True):
    """Plans or readings by resource and period."""

    number_of_hits: int
    items: tuple[IntervalDocument, ...]
    links: tuple[Link, ...]


class IntervalsTaken(Telling, frozen=True):
    """How many intervals of how many resources were taken; those refused are named."""

    accepted: int
    refused: int
    findings: tuple[ValidationError, ...] = ()
