"""A client of the live market, typed by the wire's shapes: requests, and a sender of them with or without async.

with Client("https://market.example", "client-1", "secret") as client:
    order = client.send(place(OrderRequest(...)))
    for trade in client.all(trades("2026-02-11")):
        ...
    for event in client.events(events("2026-02-11")):
        ...
"""

from flexpeer.sdk.client import AsyncClient, Client, Refused, Unreachable
from flexpeer.sdk.requests import (
    Listening,
    Listing,
    Request,
    amend,
    confirmations,
    events,
    markets,
    order,
    orders,
    place,
    portfolios,
    public_orders,
    send_forecast,
    send_grid,
    send_limits,
    send_meter,
    send_plans,
    settlement,
    trades,
    withdraw,
    zones,
)

__all__ = [
    "AsyncClient",
    "Client",
    "Listening",
    "Listing",
    "Refused",
    "Request",
    "Unreachable",
    "amend",
    "confirmations",
    "events",
    "markets",
    "order",
    "orders",
    "place",
    "portfolios",
    "public_orders",
    "send_forecast",
    "send_grid",
    "send_limits",
    "send_meter",
    "send_plans",
    "settlement",
    "trades",
    "withdraw",
    "zones",
]
