"""Stage 5: the sweep of one order through the book, one proposal at a time, first come first served.

An order that arrives (or wakes) meets the crossing orders that came before it, in the rulebook's priority;
those of its own span first, then tilings. Each meeting is proposed to the grid owners; what they refuse
sleeps until headroom is freed where it was missing, and then wakes in order of arrival.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import islice

import msgspec
from msgspec.structs import replace
from rpds import HashTrieMap

from flexpeer.market.matching.books import Books
from flexpeer.market.matching.crossing import accepts, buyer_quantity_w, fills_sell
from flexpeer.market.matching.tiling import tilings
from flexpeer.market.matching.view import View
from flexpeer.market.orders import Order, OrderAmended, OrderKilled, OrderPlaced, Side, Status, TimeInForce
from flexpeer.market.trades import (
    Leg,
    Match,
    MatchProposed,
    Phase,
    ReservationsReleased,
    Trade,
    TradeConcluded,
    leg_moves,
)

ENERGY = "energy"
TILINGS_TRIED = 3


class Block(msgspec.Struct, frozen=True):
    """Why a meeting sleeps: the owner, element and MTU that had no headroom (or a unit's energy limits).

    `orders` met there first; a `tentative` block was found while reservations were held.
    """

    owner: str
    element: str
    mtu: int | None
    orders: tuple[str, ...]
    tentative: bool = False


class MeetingBlocked(msgspec.Struct, frozen=True, tag=True):
    """A meeting sleeps from now on."""

    meeting: str
    block: Block


class MeetingsWoken(msgspec.Struct, frozen=True, tag=True):
    """Headroom was freed: these meetings are possible again.

    `waiting` are the orders to sweep after the one under way, in order of arrival: theirs and those there were.
    """

    meetings: tuple[str, ...]
    waiting: tuple[str, ...]


class SweepEnded(msgspec.Struct, frozen=True, tag=True):
    """An order has met everyone it can meet for now."""

    order: str


Event = MeetingBlocked | MeetingsWoken | SweepEnded


class Matching(msgspec.Struct, frozen=True):
    """Orders waiting for their sweep, the first being swept; and the meetings that sleep.

    `tentative` are those found blocked while reservations were held: forgotten if these are released.
    """

    waiting: tuple[str, ...] = ()
    blocks: HashTrieMap[str, Block] = HashTrieMap()
    tentative: tuple[str, ...] = ()


def evolve(matching: Matching, event: object) -> Matching:
    """Matching after an event of any stage."""
    match event:
        case OrderPlaced(order, _):
            return replace(matching, waiting=(*matching.waiting, order.order))
        case OrderAmended(order_id):
            return replace(matching, waiting=(*matching.waiting, order_id))
        case MeetingBlocked(meeting, block):
            tentative = (*matching.tentative, meeting) if block.tentative else matching.tentative
            return replace(matching, blocks=matching.blocks.insert(meeting, block), tentative=tentative)
        case MeetingsWoken(meetings, waiting):
            blocks = matching.blocks
            for meeting in meetings:
                blocks = blocks.discard(meeting)
            return replace(matching, blocks=blocks, waiting=(*matching.waiting[:1], *waiting))
        case SweepEnded(order_id):
            left = matching.waiting[1:] if matching.waiting[:1] == (order_id,) else matching.waiting
            return replace(matching, waiting=left, tentative=())
        case ReservationsReleased():
            blocks = matching.blocks
            for meeting in matching.tentative:
                blocks = blocks.discard(meeting)
            return replace(matching, blocks=blocks, tentative=())
        case _:
            return matching


def meeting_of(match: Match, *, of_orders: bool = False) -> str:
    """The name under which a meeting sleeps: the units and spans that move, whatever the orders.

    With `of_orders` that of these orders alone, for what other orders of the units could still do.
    """
    legs = (
        (leg.buy_unit, leg.sell_unit, leg.span.first, leg.span.end, *((leg.buy, leg.sell) if of_orders else ()))
        for leg in match.legs
    )
    return msgspec.json.encode((match.zone, *legs)).decode()


def _sleeps(matching: Matching, match: Match) -> bool:
    return meeting_of(match) in matching.blocks or meeting_of(match, of_orders=True) in matching.blocks


def advance(view: View, matching: Matching, books: Books) -> list[object]:
    """The next step of the order being swept: a proposal, or the end of its sweep."""
    taker = view.orders.orders[matching.waiting[0]]
    blocked: list[object] = []
    if taker.status is Status.OPEN and view.left_w(taker) > 0:
        for match in _meetings(view, books, taker):
            if _sleeps(matching, match):
                continue
            tick = view.needs.rulebook.quantity_tick_w
            allowed, bound = view.within_energy(match)
            quantity = acceptable(view, match, allowed // tick * tick)
            if quantity:
                return [*blocked, MatchProposed(match.at(quantity))]
            meeting = meeting_of(match, of_orders=allowed > 0)
            block = Block("", f"{ENERGY}:{bound}", None, orders_of(match), bool(view.trades.reserved))
            blocked.append(MeetingBlocked(meeting, block))
    return [*blocked, *_finish(view, taker)]


def _meetings(view: View, books: Books, taker: Order) -> Iterator[Match]:
    """Everyone the taker could meet, as matches at the largest quantity their orders allow."""
    met: Iterator[Order] = books.meets(view, taker, taker.span, taker.number)
    if taker.residual:
        met = iter(sorted(met, key=lambda order: (_grid_side_price(view, order), order.number)))
    for other in met:
        match = _match(view, taker, taker, (other,))
        if match is not None:
            yield match
    for spanning, groups in tilings(view, books, taker, taker.number):
        possible = (_match(view, taker, spanning, group) for group in islice(groups, TILINGS_TRIED))
        yield from islice((match for match in possible if match is not None), 1)


def _grid_side_price(view: View, order: Order) -> Fraction:
    return Fraction(order.price_minor, view.ppm(order)[order.span.first])


def _match(view: View, taker: Order, spanning: Order, others: tuple[Order, ...]) -> Match | None:
    """The match of an order with those that cover its span, at the largest common quantity; None at zero."""
    side = spanning.side if len(others) > 1 else Side.BUY
    legs = [view.leg(spanning, other, other.span) for other in others]
    if any(leg is None for leg in legs):
        return None
    phase = Phase.PURCHASE if taker.residual else Phase.CONTINUOUS
    match = Match(view.trades.next_match, taker.order, taker.zone, side, tuple(leg for leg in legs if leg), phase)
    tick = view.needs.rulebook.quantity_tick_w
    quantity = min(_leg_quantity_w(view, side, leg) for leg in match.legs) // tick * tick
    return match.at(quantity) if acceptable(view, match, quantity) else None


def _leg_quantity_w(view: View, spanning: Side, leg: Leg) -> int:
    """The most a leg can carry, in watts of the spanning side."""
    left_buy, left_sell = (view.left_w(view.orders.orders[order]) for order in (leg.buy, leg.sell))
    buy_w = buyer_quantity_w(left_buy, leg.ppm_buy, left_sell, leg.ppm_sell)
    if spanning is Side.BUY:
        return buy_w
    return min(left_sell, ((left_buy + 1) * leg.ppm_buy - 1) // leg.ppm_sell) if buy_w else 0


def acceptable(view: View, match: Match, quantity_w: int) -> int:
    """The quantity, or 0 where it moves nothing or leaves a resting order below its minimum acceptance."""
    for leg in match.at(quantity_w).legs:
        for order_id, fill_w in ((leg.buy, leg.quantity_buy_w), (leg.sell, leg.quantity_sell_w)):
            order = view.orders.orders[order_id]
            executed = order.quantity_w - view.left_w(order)
            if fill_w <= 0 or (order_id != match.taker and not accepts(executed, order.min_quantity_w, fill_w)):
                return 0
    return quantity_w


def orders_of(match: Match) -> tuple[str, ...]:
    """Ids of the orders of a match, sorted."""
    return tuple(sorted({order for leg in match.legs for order in (leg.buy, leg.sell)}))


def conditional(taker: Order) -> bool:
    """Whether a taker's trades wait for its whole quantity or its minimum acceptance."""
    return taker.time_in_force is TimeInForce.FOK or taker.executed_w < taker.min_quantity_w


def _finish(view: View, taker: Order) -> list[object]:
    """The end of a sweep: reservations concluded or released, what may not rest killed."""
    events: list[object] = []
    reserved = view.trades.reserved
    if reserved and _condition_met(view, taker):
        events += [event for match in reserved for event in concluded(view, match)]
        left = view.left_w(taker)
    else:
        events += [ReservationsReleased(tuple(match.match for match in reserved))] if reserved else []
        left = taker.remaining_w
    if taker.time_in_force is not TimeInForce.DAY and taker.status is Status.OPEN and left > 0:
        events.append(OrderKilled(taker.order))
    return [*events, SweepEnded(taker.order)]


def _condition_met(view: View, taker: Order) -> bool:
    left = view.left_w(taker)
    if taker.quantity_w - left < taker.min_quantity_w:
        return False
    if taker.time_in_force is not TimeInForce.FOK or left == 0:
        return True
    last, tick = view.trades.reserved[-1].legs[-1], view.needs.rulebook.quantity_tick_w
    return taker.side is Side.SELL and fills_sell(left, last.ppm_sell, last.ppm_buy * tick)


def concluded(view: View, match: Match) -> list[TradeConcluded]:
    """The trades a granted match becomes, a leg each, ids in order of the log."""
    shared = match.legs[0].sell if match.spanning is Side.SELL else match.legs[0].buy
    events = []
    for place, leg in enumerate(match.legs):
        fills = {leg.buy: leg.quantity_buy_w, leg.sell: leg.quantity_sell_w}
        if place:
            del fills[shared]
        name = f"T{match.match}" if len(match.legs) == 1 else f"T{match.match}.{place + 1}"
        buyer, seller = (view.orders.orders[order].organisation for order in (leg.buy, leg.sell))
        trade = Trade(name, match.match, match.zone, match.phase, leg, buyer, seller)
        events.append(TradeConcluded(trade, leg_moves(view.participants, view.orders, leg), fills))
    return events
