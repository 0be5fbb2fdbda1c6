"""The data of tables that are searched in a browser (`rows.js`): orders and trades, of all or of one organisation."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from flexpeer.app.views.orders import OrderLine, OrderStatus
from flexpeer.app.views.outcome import DayOutcome
from flexpeer.app.views.own_day import OwnDay
from flexpeer.market.trades import Trade
from flexpeer.periods import local_text
from flexpeer.quantities import MINOR_PER_MAJOR, major
from flexpeer.web.terms import PHASES, STATUS_COLOURS, STATUSES
from flexpeer.web.wording import RESOURCE_SIDE, LocalClock, ShownUnit, readable, unit_for

ROWS_SHOWN = 20_000
POOL = "the clearing's pool"

Row = TypeVar("Row")


class ShownColumn(NamedTuple):
    """A column's title, kind, the value of a row in it, decimals of numbers, and the colours of statuses by word."""

    title: str
    kind: str
    value: Callable[[Any], Any]
    places: int = 0
    colours: dict[str, str] | None = None


def row_table(title: str, columns: Sequence[ShownColumn], rows: Sequence[Row]) -> dict[str, Any]:
    """Titles and cells; words that come again are written once."""
    shown = rows[:ROWS_SHOWN]
    told, cells = [], []
    for column in columns:
        values = [column.value(row) for row in shown]
        head: dict[str, Any] = {"title": column.title, "kind": column.kind}
        if column.kind == "number":
            head["places"] = column.places
        else:
            places: dict[str, int] = {}
            values = [places.setdefault(value, len(places)) for value in values]
            head["words"] = list(places)
        if column.colours is not None:
            head["colours"] = [column.colours.get(word, "") for word in head["words"]]
        told.append(head)
        cells.append(values)
    left = f", the first {ROWS_SHOWN} of {len(rows)}" if len(rows) > ROWS_SHOWN else ""
    return {"title": title + left, "columns": told, "rows": [list(row) for row in zip(*cells, strict=True)]}


_STATUS_WORDS = {STATUSES[status]: colour for status, colour in STATUS_COLOURS.items()}


def orders_table(outcome: DayOutcome, clock: LocalClock) -> dict[str, Any]:
    """What became of every order, in order of arrival."""
    orders, sent = outcome.state.orders.orders, {row.order: row for row in outcome.scenario.orders}
    unit = unit_for(line.filled_w + (line.left_w or 0) for line in outcome.orders)

    def unit_of(line: OrderLine) -> str:
        if line.status is not OrderStatus.REFUSED and line.order in orders:
            return orders[line.order].unit
        return sent[line.order].resource if line.order in sent else ""

    def period(line: OrderLine) -> str:
        order, row = orders.get(line.order), sent.get(line.order)
        if order is not None and line.status is not OrderStatus.REFUSED:
            return _period(clock, order.span.first, order.span.end)
        timezone = outcome.scenario.day.timezone
        return "" if row is None else _local_period(*(local_text(at, timezone) for at in (row.start, row.end)))

    columns = [
        ShownColumn("order", "text", lambda line: line.order),
        ShownColumn("became", "status", lambda line: STATUSES[line.status], colours=_STATUS_WORDS),
        ShownColumn("organisation", "name", lambda line: line.organisation),
        ShownColumn("resource", "name", unit_of),
        ShownColumn("side", "text", lambda line: _side(orders, sent, line)),
        ShownColumn("from–to", "text", period),
        ShownColumn(f"traded, {unit.name}", "number", lambda line: unit.of(line.filled_w), _places(unit)),
        ShownColumn(f"left, {unit.name}", "number", lambda line: _of(unit, line.left_w), _places(unit)),
        ShownColumn("trades", "number", lambda line: line.trades),
        ShownColumn("why", "long", lambda line: readable(line.detail)),
    ]
    return row_table(f"What became of every order, {RESOURCE_SIDE}", columns, outcome.orders)


def _side(orders: Any, sent: Any, line: OrderLine) -> str:
    known = orders.get(line.order) or sent.get(line.order)
    return "" if known is None else str(known.side)


def trades_table(outcome: DayOutcome, clock: LocalClock, trades: Sequence[Trade]) -> dict[str, Any]:
    """Every trade, in the order given."""
    minutes, currency = outcome.scenario.day.mtu_minutes, outcome.scenario.currency
    unit = unit_for(party.quantity_w for trade in trades for party in trade.leg.parties)
    columns = [
        ShownColumn("trade", "text", lambda trade: trade.trade),
        ShownColumn("point", "name", lambda trade: trade.zone),
        ShownColumn("from–to", "text", lambda trade: _period(clock, trade.leg.span.first, trade.leg.span.end)),
        ShownColumn("buyer", "name", lambda trade: trade.buyer or POOL),
        ShownColumn("seller", "name", lambda trade: trade.seller or POOL),
        ShownColumn(f"buyer, {unit.name}", "number", lambda trade: unit.of(trade.leg.quantity_buy_w), _places(unit)),
        ShownColumn(f"seller, {unit.name}", "number", lambda trade: unit.of(trade.leg.quantity_sell_w), _places(unit)),
        ShownColumn(f"price, {currency}/MWh", "number", lambda trade: trade.leg.price_minor / MINOR_PER_MAJOR, 2),
        ShownColumn(f"amount, {currency}", "number", lambda trade: float(major(trade.amount(minutes))), 2),
        ShownColumn("how", "text", lambda trade: PHASES[trade.phase]),
        ShownColumn("orders", "name", lambda trade: " / ".join(party.order for party in trade.leg.parties)),
    ]
    return row_table(f"Every trade, {RESOURCE_SIDE}", columns, trades)


def own_orders_table(own: OwnDay, currency: str) -> dict[str, Any]:
    """An organisation's orders and what became of them."""
    unit = unit_for(order.quantity_w or 0 for order in own.orders)
    columns = [
        ShownColumn("order", "text", lambda order: order.order),
        ShownColumn("became", "status", lambda order: STATUSES[order.status], colours=_STATUS_WORDS),
        ShownColumn("resource", "name", lambda order: order.unit),
        ShownColumn("side", "text", lambda order: order.side),
        ShownColumn("from–to", "text", lambda order: _local_period(order.start, order.end)),
        ShownColumn(f"ordered, {unit.name}", "number", lambda order: _of(unit, order.quantity_w), _places(unit)),
        ShownColumn(f"traded, {unit.name}", "number", lambda order: unit.of(order.filled_w), _places(unit)),
        ShownColumn(f"price, {currency}/MWh", "number", lambda order: _price(order.price_minor), 2),
        ShownColumn("why", "long", lambda order: readable(order.why)),
    ]
    return row_table(f"Your orders and what became of them, {RESOURCE_SIDE}", columns, own.orders)


def own_trades_table(own: OwnDay, currency: str) -> dict[str, Any]:
    """An organisation's side of its trades."""
    unit = unit_for(trade.confirmation.quantity_w for trade in own.trades)
    columns = [
        ShownColumn("trade", "text", lambda trade: trade.confirmation.trade),
        ShownColumn("order", "text", lambda trade: trade.confirmation.order),
        ShownColumn("resource", "name", lambda trade: trade.confirmation.unit),
        ShownColumn("side", "text", lambda trade: str(trade.confirmation.side)),
        ShownColumn("from–to", "text", lambda trade: _local_period(trade.start, trade.end)),
        ShownColumn(
            f"quantity, {unit.name}", "number", lambda trade: unit.of(trade.confirmation.quantity_w), _places(unit)
        ),
        ShownColumn(f"price, {currency}/MWh", "number", lambda trade: _price(trade.confirmation.price_minor), 2),
        ShownColumn(f"receives, {currency}", "number", lambda trade: float(major(trade.confirmation.remuneration)), 2),
        ShownColumn("how", "text", lambda trade: PHASES[trade.confirmation.phase]),
    ]
    return row_table(f"Your trades, {RESOURCE_SIDE}", columns, own.trades)


def _places(unit: ShownUnit) -> int:
    return 3 if unit.size > 1 else 0


def _of(unit: ShownUnit, watts: int | None) -> float | None:
    return None if watts is None else unit.of(watts)


def _price(minor: int | None) -> float | None:
    return None if minor is None else minor / MINOR_PER_MAJOR


def _period(clock: LocalClock, first: int, end: int) -> str:
    return f"{clock.at(first)}–{clock.at(end)}"


def _local_period(start: str, end: str) -> str:
    """Clock times of two local times with their dates; that of midnight at the end of the day is 24:00."""
    return (
        f"{start[11:16]}–{'24:00' if end[11:16] == '00:00' and end[:10] != start[:10] else end[11:16]}" if end else ""
    )
