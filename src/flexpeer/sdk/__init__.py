"""A client of the live market, typed by the wire's shapes: requests, and a sender of them with or without async.

with Client("https://market.example", "client-1", "secret") as client:
order = client.send(place(OrderRequest(...)))
for trade in client.all(trades("2026-02-11")):
...
"""

from flexpeer.sdk.client import AsyncClient, Client, Refused, Unreachable
from flexpeer.sdk.requests import (
    Listing,
    Request,
    amend,
    confirmations,
    markets,
    order,
    orders,
    place,
    portfolios,
    public_orders,
    settlement,
    trades,
    withdraw,
    zones,
)

__all__ = [
    "AsyncClient",
    "Client",
    "Listing",
    "Refused",
    "Request",
    "Unreachable",
    "amend",
    "confirmations",
    "markets",
    "order",
    "orders",
    "place",
    "portfolios",
    "public_orders",
    "settlement",
    "trades",
    "withdraw",
    "zones",
]
