"""Orders: placed through their DSO, amended, withdrawn, imported; each acknowledged when it is durable."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from hashlib import sha256
from itertools import count
from typing import NamedTuple
from uuid import uuid4

from msgspec.structs import replace

from flexpeer.api.declining import denied, refused, refused_command
from flexpeer.api.documents import order_document, order_owned, public_order
from flexpeer.api.edge import JSON, Answer, Asked, Route, apart, encode
from flexpeer.api.listing import Deferred, let_through, listed
from flexpeer.api.permissions import Action
from flexpeer.api.published import POINT, Published
from flexpeer.api.sentences import CAME_TOO_LATE
from flexpeer.api.service import ServedDay
from flexpeer.api.units import instant, minor_units, watts
from flexpeer.market.door import digest_of
from flexpeer.market.machine import State
from flexpeer.market.needs import Regulation
from flexpeer.market.orders import AmendOrder, Order, PlaceOrder, Side, Status, TimeInForce, WithdrawOrder
from flexpeer.market.reasons import CommandRefused, Reason
from flexpeer.wire.api import (
    OrderChange,
    OrderDocument,
    OrderList,
    OrderRequest,
    PublicOrderList,
    QuantityPricePoint,
    SideWord,
    TimeInForceWord,
    ValidationError,
)
from flexpeer.wire.api_problems import Denial
from flexpeer.wire.api_queries import ListQuery, OrderQuery, PublicOrderQuery

SIDES = {SideWord.BUY: Side.BUY, SideWord.SELL: Side.SELL}
TIMES_IN_FORCE = {
    TimeInForceWord.DAY: TimeInForce.DAY,
    TimeInForceWord.FAK: TimeInForce.FAK,
    TimeInForceWord.FOK: TimeInForce.FOK,
}
KEY = "idempotency-key"
PROGRAM, NUMBERS = uuid4().hex[:16], count(1)


class Placing(NamedTuple):
    """An order on its way in: a command for each price point. `keyed`: its sender may be repeating itself."""

    served: ServedDay
    commands: tuple[PlaceOrder, ...]
    keyed: bool

    @property
    def id(self) -> str:
        """The id its sender knows it by."""
        return self.commands[0].order


def placing(asked: Asked, wanted: OrderRequest, key: str | None) -> Placing:
    """The commands of an order; declined if it is nothing the door could look at, or not the caller's to send."""
    served = asked.day(wanted.market_id)
    organisation, unit, via = _sender(asked, served, wanted)
    name = wanted.id or _name(organisation, key)
    first = PlaceOrder(
        order=name,
        organisation=organisation,
        via=via,
        unit=unit,
        side=SIDES[wanted.side],
        start=instant(wanted.period_from, "periodFrom"),
        end=instant(wanted.period_to, "periodTo"),
        quantity_w=watts(wanted.price_points[0].quantity),
        price_minor=minor_units(wanted.price_points[0].unit_price),
        zone=wanted.flexibility_zone_id,
        regulation=None if wanted.regulation_type is None else Regulation(wanted.regulation_type.upper()),
        min_quantity_w=watts(wanted.minimum_acceptance_quantity or Decimal(0)),
        time_in_force=TIMES_IN_FORCE[wanted.time_in_force],
        key="" if key in (None, name) else f"{organisation}:{key}",
        at=asked.service.clock.now(),
    )
    return Placing(served, _at_points(first, wanted), key is not None)


def _name(organisation: str, key: str | None) -> str:
    """An id for an order that came without one: the same for the same key."""
    return f"{PROGRAM}-{next(NUMBERS)}" if key is None else sha256(f"{organisation}:{key}".encode()).hexdigest()[:32]


def _at_points(first: PlaceOrder, wanted: OrderRequest) -> tuple[PlaceOrder, ...]:
    return (first, *(_at_point(first, number, point) for number, point in enumerate(wanted.price_points[1:], 2)))


def _at_point(first: PlaceOrder, number: int, point: QuantityPricePoint) -> PlaceOrder:
    suffix = f"{POINT}{number}"
    return replace(
        first,
        order=first.order + suffix,
        key=first.key and first.key + suffix,
        quantity_w=watts(point.quantity),
        price_minor=minor_units(point.unit_price),
    )


def _sender(asked: Asked, served: ServedDay, wanted: OrderRequest) -> tuple[str, str, str]:
    """Whose order it is, its unit, and the DSO it comes through: the unit's, which may be the caller.

    A resource that came after the needs were found is none that grid owners could answer for on this day.
    """
    caller, unit = asked.caller, wanted.portfolio_id
    if unit is None:
        if not served.published.state.participants.is_dso(caller.organisation):
            missing = ValidationError("$.portfolioId", "Object missing required field `portfolioId`")
            raise denied(Denial.MALFORMED, missing.message, [missing])
        unit = caller.organisation
    known = served.unit(unit)
    if known is None:
        raise denied(Denial.NOT_FOUND)
    asked.require(known.owned)
    if not known.takes_part:
        raise refused(Reason.NOT_QUALIFIED, unit, CAME_TOO_LATE)
    return known.owned.organisation, unit, known.via


def do_place(order: Placing) -> bool:
    """Let it happen, in the writer; whether it is new. Declined where the market refuses it, all points or none."""
    market, published, first = order.served.day.market, order.served.published, order.commands[0]
    before = published.refused.get((first.organisation, first.order))
    if order.keyed and before is not None and before.digest == digest_of(first):
        raise refused_command(before)
    new: list[PlaceOrder] = []
    for command in order.commands:
        events = market.submit(command)
        if not events:
            continue
        if isinstance(events[0], CommandRefused):
            for placed in new:
                market.submit(WithdrawOrder(placed.order, placed.organisation))
            raise refused_command(events[0])
        new.append(command)
    return bool(new)


def as_placed(market_id: str, published: Published, name: str) -> OrderDocument:
    """An order as it was when it came in, whatever has become of it: the same answer for the same request."""
    orders = [published.placed[point] for point in published.ids(name)]
    return order_document(name, market_id, published.state, orders)


def as_it_is(market_id: str, state: State, published: Published, name: str) -> OrderDocument:
    """An order as it is in a state."""
    return order_document(name, market_id, state, [state.orders.orders[point] for point in published.ids(name)])


def etag(document: OrderDocument) -> str:
    """Changes with every change of the document."""
    return _tag(encode(document))


def _tag(content: bytes) -> str:
    return f'"{sha256(content).hexdigest()[:32]}"'


def _tagged(status: int, document: OrderDocument) -> Answer:
    """The document with its tag."""
    content = encode(document)
    return Answer(status, content, {"ETag": _tag(content)})


def sent(asked: Asked) -> Placing:
    """The order of a request, on its way in."""
    return placing(asked, asked.of(OrderRequest), asked.request.headers.get(KEY))


def acknowledged(order: Placing, *, new: bool) -> Answer:
    """The answer to an order: 201, or 200 where it was known."""
    document = as_placed(order.served.market_id, order.served.published, order.id)
    return _tagged(201 if new else 200, document)


async def place(asked: Asked) -> Answer:
    """An order that comes by itself."""
    order = sent(asked)
    return acknowledged(order, new=await asked.service.done(lambda: do_place(order)))


def _found(asked: Asked) -> tuple[ServedDay, list[Order]]:
    """The order that the path names, in the latest market that knows it; declined unless the caller may."""
    for _, served in reversed(asked.days(asked.query.market_id)):
        state = served.published.state
        orders = [state.orders.orders[name] for name in served.published.ids(asked.id)]
        if orders:
            asked.require(order_owned(state, orders[0]))
            return served, orders
    raise denied(Denial.NOT_FOUND)


async def read(asked: Asked) -> Answer:
    """One order."""
    served, orders = _found(asked)
    document = order_document(asked.id, served.market_id, served.published.state, orders)
    return _tagged(200, document)


async def _recorded(asked: Asked, command: AmendOrder | WithdrawOrder) -> None:
    """That somebody would change an order of its own that never got in: the market refuses it, and its log says so."""
    for _, served in reversed(asked.days(asked.query.market_id)):
        if (command.organisation, command.order) in served.published.refused and not served.published.ids(
            command.order
        ):
            await asked.service.done(lambda served=served: submit_changes(served, [command]))  # type: ignore[misc]


async def amend(asked: Asked) -> Answer:
    """Other quantities and prices, if it is still as the caller saw it."""
    change = asked.of(OrderChange)
    first = change.price_points[0]
    new = watts(first.quantity), minor_units(first.unit_price)
    await _recorded(asked, AmendOrder(asked.id, asked.caller.organisation, *new))
    served, orders = _found(asked)
    if len(change.price_points) != len(orders):
        wrong = ValidationError("$.pricePoints", f"Expected `array` of length {len(orders)}")
        raise denied(Denial.MALFORMED, wrong.message, [wrong])
    points = [(watts(point.quantity), minor_units(point.unit_price)) for point in change.price_points]
    commands = [AmendOrder(o.order, o.organisation, *point) for o, point in zip(orders, points, strict=True)]

    def act() -> None:
        _unchanged(asked, served)
        submit_changes(served, commands)

    await asked.service.done(act)
    document = as_it_is(served.market_id, served.published.state, served.published, asked.id)
    return _tagged(200, document)


async def withdraw(asked: Asked) -> Answer:
    """What is left of an order is taken out of the book."""
    await _recorded(asked, WithdrawOrder(asked.id, asked.caller.organisation))
    served, orders = _found(asked)

    def act() -> None:
        _unchanged(asked, served)
        latest = [served.day.market.state.orders.orders[order.order] for order in orders]
        left = [order for order in latest if order.status is Status.OPEN] or latest[:1]
        submit_changes(served, [WithdrawOrder(order.order, order.organisation) for order in left])

    await asked.service.done(act)
    return Answer(204)


def submit_changes(served: ServedDay, commands: Sequence[AmendOrder | WithdrawOrder]) -> None:
    """All of them; declined at the first that is refused."""
    for command in commands:
        events = served.day.market.submit(command)
        if events and isinstance(events[0], CommandRefused):
            raise refused_command(events[0])


def _unchanged(asked: Asked, served: ServedDay) -> None:
    """Whether the order is what If-Match says, in the writer."""
    wanted = asked.request.headers.get("if-match")
    if wanted is None or wanted == "*":
        return
    document = as_it_is(served.market_id, served.day.market.state, served.published, asked.id)
    if etag(document) not in [each.strip() for each in wanted.split(",")]:
        raise denied(Denial.CHANGED_MEANWHILE)


def read_all(asked: Asked) -> Answer:
    """Orders that the caller may see, by arrival; the newest first if so asked."""
    query: OrderQuery = asked.query
    if query.changed_after is not None and query.market_id is None:
        missing = ValidationError("$.marketId", "Object missing required field `marketId`")
        raise denied(Denial.MALFORMED, missing.message, [missing])
    found: list[tuple[str, Published, str]] = []
    for market_id, served in asked.days(query.market_id):
        published = served.published
        found += [(market_id, published, name) for name in _seen_orders(asked, published, query.changed_after)]
    if query.newest:
        found.reverse()
    return listed(asked, let_through(query, Deferred(found, _as_it_is_now)), OrderList)


def _seen_orders(asked: Asked, published: Published, after: int | None) -> Iterator[str]:
    """The ids of orders that the caller may see, by arrival. Whoever sees one of a unit and zone sees all of them."""
    state, told = published.state, dict[tuple[str, str], bool]()

    def sees(order: Order) -> bool:
        alike = order.unit, order.zone
        if alike not in told:
            told[alike] = asked.sees(order_owned(state, order))
        return told[alike]

    names = list(published.points if after is None else published.changed_after(after))
    known = ((state.orders.orders[name], name) for name in names if name in state.orders.orders)
    yield from (name for _, name in sorted((order.number, name) for order, name in known if sees(order)))


def _as_it_is_now(each: tuple[str, Published, str]) -> OrderDocument:
    market_id, published, name = each
    return as_it_is(market_id, published.state, published, name)


def public_book(asked: Asked) -> Answer:
    """Everybody's open orders, nobody's names."""
    found: list[tuple[str, State, Order]] = []
    for market_id, served in asked.days(asked.query.market_id):
        state = served.published.state
        still = (order for order in state.orders.orders.values() if order.status is Status.OPEN)
        found += [(market_id, state, order) for order in sorted(still, key=lambda order: order.number)]
    return listed(asked, let_through(asked.query, Deferred(found, lambda each: public_order(*each))), PublicOrderList)


PLACE = Route(
    "POST", "/api/Orders", Action.PLACE_ORDERS, place, "Place an order",
    {201: OrderDocument, 200: OrderDocument}, bodies={JSON: OrderRequest}, headers=("Idempotency-Key",),
)  # fmt: skip
ROUTES = (
    PLACE,
    Route(
        "GET", "/api/Orders", Action.READ_ORDERS, apart(read_all), "Orders by arrival",
        {200: OrderList}, query=OrderQuery,
    ),
    Route(
        "GET", "/api/Orders/{id}", Action.READ_ORDERS, read, "One order", {200: OrderDocument}, query=ListQuery
    ),
    Route(
        "PATCH", "/api/Orders/{id}", Action.CHANGE_ORDERS, amend, "Another quantity or price",
        {200: OrderDocument}, query=ListQuery, bodies={JSON: OrderChange}, headers=("If-Match",),
    ),
    Route(
        "DELETE", "/api/Orders/{id}", Action.CHANGE_ORDERS, withdraw, "Withdraw what is left",
        {204: None}, query=ListQuery, headers=("If-Match",),
    ),
    Route(
        "GET", "/api/PublicOrders", Action.READ_PUBLIC_ORDERS, apart(public_book), "The open book, without names",
        {200: PublicOrderList}, query=PublicOrderQuery,
    ),
)  # fmt: skip
