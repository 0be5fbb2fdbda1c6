"""Shapes of what an organisation is invoiced for a month."""

from decimal import Decimal
from typing import Annotated

from msgspec import Meta

from flexpeer.wire.api import Asking, Link, Name, PageSize, Telling
from flexpeer.wire.api_queries import Skip

Month = Annotated[
    str, Meta(pattern=r"^\d{4}-(0[1-9]|1[0-2])$", description="Of delivery, local.", examples=["2026-04"])
]


class MonthQuery(Asking, frozen=True):
    """Whose invoices of a month; a page of their list."""

    month: Month
    owner_organization_id: Name | None = None
    take: PageSize = 100
    skip: Skip = 0


class InvoiceLine(Telling, frozen=True):
    """One entry, exact; positive to receive. `rounding` brings a day's entries to what was invoiced for it."""

    market_id: str
    revision: int
    kind: str
    amount: Decimal
    trade_id: str | None = None


class InvoiceDocument(Telling, frozen=True):
    """What an account is invoiced for the settled days of a month; `amount` is the sum of its lines.

    That is in whole minor units. The market's own accounts have no organisation.
    """

    month: str
    account: str
    amount: Decimal
    currency: str
    lines: tuple[InvoiceLine, ...]
    owner_organization_id: str | None = None


class InvoiceList(Telling, frozen=True):
    """Invoices by account."""

    number_of_hits: int
    items: tuple[InvoiceDocument, ...]
    links: tuple[Link, ...]
