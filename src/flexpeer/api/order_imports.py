"""Many orders in one request: placed, amended and withdrawn in order and in one batch, answered line by line."""

from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

from msgspec import Meta

from flexpeer.api.declining import Declined, denied
from flexpeer.api.documents import order_owned
from flexpeer.api.edge import CSV, JSON, XLSX, Answer, Asked, Route, malformed
from flexpeer.api.import_rows import ImportRow, csv_rows, json_rows
from flexpeer.api.orders import Placing, do_place, placing, submit_changes
from flexpeer.api.permissions import Action, Permission, may
from flexpeer.api.published import POINT
from flexpeer.api.service import ServedDay
from flexpeer.api.units import minor_units, watts
from flexpeer.market.orders import AmendOrder, Order, Status, WithdrawOrder
from flexpeer.wire.api import ActionWord, ImportedChange, ImportLine, ImportResult, OrderRequest
from flexpeer.wire.api_problems import Denial
from flexpeer.wire.api_queries import ListQuery

Rows = Annotated[
    tuple[Any, ...], Meta(description="OrderRequests and ImportedChanges; what is none is told in its line.")
]


class Changing(NamedTuple):
    """A change on its way in: the quantity and price of each point it will have; None to withdraw."""

    wanted: ImportedChange
    points: tuple[tuple[int, int], ...] | None


Prepared = Placing | Changing | Declined
Outcome = int | Declined
"""The status it would have had alone, or why not."""


async def import_orders(asked: Asked) -> Answer:
    """Orders of a file or an array, each as if it came alone."""
    table = await asked.table("orders")
    rows = json_rows(asked.body) if table is None else csv_rows(table, asked.query.market_id)
    prepared = [_prepared(asked, row) for row in rows]
    outcomes = await asked.service.done(lambda: [_tried(asked, each) for each in prepared])
    lines = tuple(_line(*each) for each in zip(rows, prepared, outcomes, strict=True))
    taken = sum(line.status < 300 for line in lines)
    return Answer(200, ImportResult(taken, len(lines) - taken, lines))


def _prepared(asked: Asked, row: ImportRow) -> Prepared:
    wanted = row.wanted
    try:
        if isinstance(wanted, OrderRequest):
            return placing(asked, wanted, wanted.id)
        return wanted if isinstance(wanted, Declined) else _changing(wanted)
    except Declined as declined:
        return declined


def _changing(wanted: ImportedChange) -> Changing:
    if wanted.action is ActionWord.WITHDRAW:
        return Changing(wanted, None)
    if wanted.price_points is None:
        raise malformed("Object missing required field `pricePoints`")
    return Changing(wanted, tuple((watts(p.quantity), minor_units(p.unit_price)) for p in wanted.price_points))


def _tried(asked: Asked, each: Prepared) -> Outcome:
    """Called by the writer."""
    if isinstance(each, Declined):
        return each
    try:
        if isinstance(each, Placing):
            return 201 if do_place(each) else 200
        return _change(asked, each)
    except Declined as declined:
        return declined


def _change(asked: Asked, change: Changing) -> int:
    served, orders = _found(asked, change)
    if change.points is None:
        left = [order for order in orders if order.status is Status.OPEN] or orders[:1]
        submit_changes(served, [WithdrawOrder(order.order, order.organisation) for order in left])
        return 204
    if len(change.points) != len(orders):
        raise malformed(f"Expected `array` of length {len(orders)} - at `$.pricePoints`")
    pairs = zip(orders, change.points, strict=True)
    submit_changes(served, [AmendOrder(order.order, order.organisation, *point) for order, point in pairs])
    return 200


def _found(asked: Asked, change: Changing) -> tuple[ServedDay, list[Order]]:
    """The orders of an id, also of one placed in a line before; declined unless the caller may change them.

    That somebody would change an order of its own that never got in is refused by the market, and its log says so.
    """
    name, caller = change.wanted.id, asked.caller
    for _, served in reversed(asked.days(change.wanted.market_id or asked.query.market_id)):
        orders = list(_points(served, name))
        if orders:
            if may(caller, Action.CHANGE_ORDERS, order_owned(served.day.market.state, orders[0])) is Permission.ALLOWED:
                return served, orders
            raise denied(Denial.NOT_FOUND)
        if (caller.organisation, name) in served.published.refused:
            first = (change.points or ((0, 0),))[0]
            amended = AmendOrder(name, caller.organisation, *first)
            submit_changes(served, [amended if change.points else WithdrawOrder(name, caller.organisation)])
    raise denied(Denial.NOT_FOUND)


def _points(served: ServedDay, name: str) -> Iterator[Order]:
    """An order for each price point of an id."""
    known = served.day.market.state.orders.orders
    first = known.get(name)
    number, order = 1, first
    while order is not None and first is not None and order.organisation == first.organisation:
        yield order
        number += 1
        order = known.get(f"{name}{POINT}{number}")


def _line(row: ImportRow, prepared: Prepared, outcome: Outcome) -> ImportLine:
    name = None if isinstance(row.wanted, Declined) else row.wanted.id
    if isinstance(outcome, Declined):
        told = outcome.problem
        return ImportLine(row.line, told.status, name, None, told.reason, told.detail, told.sentence)
    if isinstance(prepared, Placing):
        placed = prepared.served.published.placed[prepared.id]
        return ImportLine(row.line, outcome, id=prepared.id, arrival=placed.number)
    return ImportLine(row.line, outcome, id=name)


ROUTES = (
    Route(
        "POST", "/api/Orders/import", Action.PLACE_ORDERS, import_orders,
        "Place, amend and withdraw many orders, answered line by line", {200: ImportResult}, query=ListQuery,
        bodies={JSON: Rows, CSV: None, XLSX: None},
    ),
)  # fmt: skip
