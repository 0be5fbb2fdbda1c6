"""Stage 5: the sweep of one order through the books, one proposal at a time, first come first served.

An order that arrives (or wakes) meets the crossing orders that came before it, in the rulebook's priority;
those of its own span first, then tilings. Each meeting is proposed to the grid owners; what they refuse
sleeps until headroom is freed where it was missing, and then wakes in order of arrival.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from flexpeer.market.matching.books import Books
from flexpeer.market.matching.crossing import accepts, buyer_quantity_w, fills_sell
from flexpeer.market.matching.meetings import (
    ENERGY,
    Block,
    LineMoved,
    Matching,
    MeetingBlocked,
    SweepEnded,
    WakingEnded,
    energy_of,
    meeting_of,
    pair_of,
)
from flexpeer.market.matching.passed_over import PassedOver
from flexpeer.market.matching.tiling import tilings
from flexpeer.market.matching.view import View
from flexpeer.market.orders import Order, OrderKilled, Side, Status, TimeInForce
from flexpeer.market.trades import (
    Leg,
    Match,
    MatchProposed,
    ReservationsReleased,
    Trade,
    TradeConcluded,
    leg_moves,
)

TILINGS_TRIED = 3
SPANNING_TRIED = 8


def places_of(view: View, match: Match) -> str:
    """The name under which a match's places sleep."""
    orders = view.orders.orders
    return meeting_of(tuple((orders[leg.buy], orders[leg.sell], leg.span) for leg in match.legs))


def _sleeps(view: View, matching: Matching, match: Match) -> bool:
    """Whether a tiling's places or these very orders sleep; single meetings asleep are not met at all."""
    if not matching.blocks:
        return False
    several = len(match.legs) > 1 and places_of(view, match) in matching.blocks
    return several or pair_of(orders_of(match)) in matching.blocks


def _tired(view: View, matching: Matching, order: Order) -> Block | None:
    """Whether, and where, its unit's energy limits leave nothing."""
    if not view.places.limited(order.unit):
        return None
    return matching.blocks.get(energy_of(order.unit, order.regulation, order.span))


def advance(view: View, matching: Matching, books: Books) -> list[object]:
    """The next step of the order being swept, or of the next one: a proposal, or the end of its sweep."""
    order_id = matching.sweeping or _next_woken(view, matching, books)
    if order_id is None:
        return [WakingEnded()]
    taker = view.orders.orders[order_id]
    before = _before_its_turn(matching, taker)
    if before:
        return before
    passed = PassedOver(view, taker)
    blocked: list[object] = []
    if taker.status is Status.OPEN and view.left_w(taker) > 0:
        tired = _tired(view, matching, taker)
        if tired:
            passed.tired(tired)
        for match in () if tired else _meetings(view, matching, books, taker, passed):
            if _sleeps(view, matching, match):
                passed.asleep(matching.blocks.get(pair_of(orders_of(match))), match)
                continue
            allowed, bound = view.within_energy(match)
            asked = match if allowed == match.quantity_w else _lowered(view, match, allowed)
            if asked is not None:
                return [*blocked, MatchProposed(asked)]
            if bound:
                out = _out_of_energy(view, match, bound, allowed)
                blocked.append(out)
                passed.asleep(out.block, match)
            if allowed == 0 and _is_of(view, taker, bound):
                break
    return [*blocked, *_finish(view, taker, passed)]


def _lowered(view: View, match: Match, allowed_w: int) -> Match | None:
    """A match at what energy limits leave of it, if both sides take that."""
    quantity = acceptable(view, match, view.tradeable_w(match, allowed_w))
    return match.at(quantity) if quantity else None


def _before_its_turn(matching: Matching, taker: Order) -> list[object]:
    """What comes before the first sweep of an order: those that have woken are through, and what was put off wakes."""
    if matching.sweeping or taker.number <= matching.reached:
        return []
    if matching.awake:
        return [WakingEnded()]
    moves = (matching.wakes or matching.deferred) and matching.turn != taker.number
    return [LineMoved(taker.number, matching.deferred)] if moves else []


def _next_woken(view: View, matching: Matching, books: Books) -> str | None:
    """Who is swept next: of those that have woken, who came before the first that waits; else that one.

    None where somebody should have woken, but nobody has.
    """
    waits = matching.first
    woken = books.next_woken(matching.awake, matching.swept) if matching.awake else None
    if woken is None:
        return waits
    return books.named(woken) if waits is None or woken < view.orders.orders[waits].number else waits


def _is_of(view: View, order: Order, resource: str) -> bool:
    return any(member.resource == resource for member in view.participants.members(order.unit))


def _out_of_energy(view: View, match: Match, resource: str, allowed_w: int) -> MeetingBlocked:
    """A unit sleeps that a resource's energy limits leave nothing of, or the pair they leave too little for."""
    orders = [view.orders.orders[order] for leg in match.legs for order in (leg.buy, leg.sell)]
    order = next(order for order in orders if _is_of(view, order, resource))
    span = next(leg.span for leg in match.legs if order.order in (leg.buy, leg.sell))
    ids = orders_of(match)
    name = pair_of(ids) if allowed_w else energy_of(order.unit, order.regulation, order.span)
    first = match.legs[0].span.first if allowed_w else span.first
    return MeetingBlocked(name, Block("", f"{ENERGY}:{resource}", first, ids, bool(view.trades.reserved)))


def _meetings(view: View, matching: Matching, books: Books, taker: Order, passed: PassedOver) -> Iterator[Match]:
    """Everyone the taker could meet, as matches at the largest quantity their orders allow; whom it may not, too."""
    own: list[Order] = []
    for other in books.meets(view, taker, taker.span, taker.number, own):
        block = _tired(view, matching, other)
        if block:
            passed.tired(block, other)
            continue
        match = _largest(view, taker, taker, (other,))
        if match is not None and acceptable(view, match, match.quantity_w):
            yield match
        elif match is not None:
            passed.too_small(match)
    passed.own(own)
    for spanning, groups in islice(tilings(view, books, taker, taker.number), SPANNING_TRIED):
        possible = (_largest(view, taker, spanning, group) for group in islice(groups, TILINGS_TRIED))
        yield from islice((match for match in possible if match and acceptable(view, match, match.quantity_w)), 1)


def _largest(view: View, taker: Order, spanning: Order, others: tuple[Order, ...]) -> Match | None:
    """The match of an order with those that cover its span, at the largest common quantity; None if they do not cross.

    It may be 0, or less than a resting order accepts.
    """
    side = spanning.side if len(others) > 1 else Side.BUY
    legs = [view.leg(spanning, other, other.span) for other in others]
    if any(leg is None for leg in legs):
        return None
    match = Match(view.trades.next_match, taker.order, side, tuple(leg for leg in legs if leg))
    quantity = view.tradeable_w(match, min(_leg_quantity_w(view, side, leg) for leg in match.legs))
    return match.at(quantity)


def _leg_quantity_w(view: View, spanning: Side, leg: Leg) -> int:
    """The most a leg can carry, in watts of the spanning side."""
    left_buy, left_sell = (view.left_w(view.orders.orders[order]) for order in (leg.buy, leg.sell))
    left_sell = left_sell // leg.tick_w * leg.tick_w
    buy_w = buyer_quantity_w(left_buy, leg.ppm_buy, left_sell, leg.ppm_sell)
    if spanning is Side.BUY:
        return buy_w
    return min(left_sell, ((left_buy + 1) * leg.ppm_buy - 1) // leg.ppm_sell) if buy_w else 0


def acceptable(view: View, match: Match, quantity_w: int) -> int:
    """The quantity, or 0 where it moves nothing or leaves a resting order below its minimum acceptance."""
    asked = match if quantity_w == match.quantity_w else match.at(quantity_w)
    for leg in asked.legs:
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


def _finish(view: View, taker: Order, passed: PassedOver) -> list[object]:
    """The end of a sweep: reservations concluded or released, what may not rest killed."""
    events: list[object] = []
    reserved = view.trades.reserved
    if reserved and _condition_met(view, taker):
        events += [event for match in reserved for event in concluded(view, match)]
        left = view.left_w(taker)
    else:
        events += [ReservationsReleased(tuple(match.match for match in reserved))] if reserved else []
        passed.released()
        left = taker.remaining_w
    if taker.time_in_force is not TimeInForce.DAY and taker.status is Status.OPEN and left > 0:
        events.append(OrderKilled(taker.order))
    return [*events, SweepEnded(taker.order, taker.number, passed.all())]


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
        trade = Trade(name, match.match, match.phase, leg, buyer, seller)
        events.append(TradeConcluded(trade, leg_moves(view.participants, view.orders, leg), fills))
    return events
