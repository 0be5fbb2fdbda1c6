"""What can be asked of a market, as values: the same for every way of sending them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode
from uuid import uuid4

import msgspec

from flexpeer.wire.api import (
    ConfirmationDocument,
    ConfirmationList,
    MarketDocument,
    MarketList,
    OrderChange,
    OrderDocument,
    OrderList,
    OrderRequest,
    PublicOrderDocument,
    PublicOrderList,
    SettlementDocument,
    SettlementList,
    TradeDocument,
    TradeList,
    ZoneDocument,
    ZoneList,
)
from flexpeer.wire.api_grid import BorderRequest, ForecastRequest, ForecastsTaken, GridDocument, StatedLimits
from flexpeer.wire.api_registry import IntervalRequest, IntervalsTaken, PortfolioDocument, PortfolioList

T = TypeVar("T")
PAGE = 1000
_ENCODER = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True)
class Request(Generic[T]):
    """One request; sending it twice does what sending it once does."""

    method: str
    path: str
    shape: Any
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    media: str = "application/json"


@dataclass(frozen=True)
class Listing(Generic[T]):
    """A list that comes page by page; `shape` is a page's."""

    path: str
    shape: Any


@dataclass(frozen=True)
class Listening:
    """A stream of events; `place` is its market's."""

    path: str
    place: str


def place(order: OrderRequest, key: str | None = None) -> Request[OrderDocument]:
    """An order; without a `key` it gets one of its own, so that a lost answer cannot double it."""
    headers = {"Idempotency-Key": key or str(uuid4())}
    return Request("POST", "/api/Orders", OrderDocument, _ENCODER.encode(order), headers)


def order(order_id: str, market_id: str | None = None) -> Request[OrderDocument]:
    """An order as it stands."""
    return Request("GET", _of(order_id, market_id), OrderDocument)


def amend(order_id: str, change: OrderChange, market_id: str | None = None) -> Request[OrderDocument]:
    """Other quantities and prices; only a lower quantity at the same price keeps its place."""
    return Request("PATCH", _of(order_id, market_id), OrderDocument, _ENCODER.encode(change))


def withdraw(order_id: str, market_id: str | None = None) -> Request[None]:
    """Take back what is left of an order."""
    return Request("DELETE", _of(order_id, market_id), None)


def events(market_id: str, after: int = 0, types: Sequence[str] = ()) -> Listening:
    """What happens in a market after its `after`th event, as the caller may see it; of these `types` only, if any."""
    query = {"marketId": market_id, "after": after} | ({"types": ",".join(types)} if types else {})
    return Listening(f"/api/events?{urlencode(query)}", f"/api/Markets/{quote(market_id)}")


def send_grid(
    market_id: str, file: str, content: bytes, borders: Sequence[BorderRequest] | None = None
) -> Request[GridDocument]:
    """A DSO's own grid file; `file` is its name, whose ending says what it is."""
    query = {"marketId": market_id, "file": file}
    if borders is not None:
        query["borders"] = msgspec.json.encode(borders).decode()
    path = f"/api/Grid?{urlencode(query)}"
    return Request("PUT", path, GridDocument, content, media="application/octet-stream")


def send_forecast(market_id: str, values: Sequence[ForecastRequest]) -> Request[ForecastsTaken]:
    """A DSO's forecast of its own buses and of the resources it connects."""
    path = f"/api/Forecasts/import?{urlencode({'marketId': market_id})}"
    return Request("POST", path, ForecastsTaken, _ENCODER.encode(values))


def send_limits(market_id: str, limits: StatedLimits) -> Request[StatedLimits]:
    """All limits that a DSO states."""
    return Request("PUT", f"/api/Limits?{urlencode({'marketId': market_id})}", StatedLimits, _ENCODER.encode(limits))


def send_meter(values: Sequence[IntervalRequest]) -> Request[IntervalsTaken]:
    """Meter readings of resources."""
    return Request("POST", "/api/MeterReadings/import", IntervalsTaken, _ENCODER.encode(values))


def send_plans(values: Sequence[IntervalRequest]) -> Request[IntervalsTaken]:
    """Plans of one's own resources, until the gate closes."""
    return Request("POST", "/api/BaselineIntervals/import", IntervalsTaken, _ENCODER.encode(values))


def _of(order_id: str, market_id: str | None) -> str:
    return f"/api/Orders/{quote(order_id, safe='')}" + (f"?marketId={quote(market_id)}" if market_id else "")


def markets() -> Listing[MarketDocument]:
    """Delivery days."""
    return _listing("Markets", MarketList)


def zones(market_id: str) -> Listing[ZoneDocument]:
    """Congestion points with their needs, period by period."""
    return _listing("FlexibilityZones", ZoneList, market_id)


def portfolios() -> Listing[PortfolioDocument]:
    """One's own resources and portfolios, or those connected."""
    return _listing("Portfolios", PortfolioList)


def orders(market_id: str) -> Listing[OrderDocument]:
    """One's own orders, or those that concern one."""
    return _listing("Orders", OrderList, market_id)


def public_orders(market_id: str) -> Listing[PublicOrderDocument]:
    """The open book, nobody's."""
    return _listing("PublicOrders", PublicOrderList, market_id)


def trades(market_id: str) -> Listing[TradeDocument]:
    """Trades that one may see."""
    return _listing("Trades", TradeList, market_id)


def confirmations(market_id: str) -> Listing[ConfirmationDocument]:
    """What trades pay."""
    return _listing("Confirmations", ConfirmationList, market_id)


def settlement(market_id: str) -> Listing[SettlementDocument]:
    """What accounts stand at."""
    return _listing("Settlement", SettlementList, market_id)


def _listing(name: str, shape: Any, market_id: str | None = None) -> Listing[Any]:
    query = {"take": PAGE} | ({"marketId": market_id} if market_id else {})
    return Listing(f"/api/{name}?{urlencode(query)}", shape)
