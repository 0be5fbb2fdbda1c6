"""Stage 6: what the grid owners answer to a proposal, and what that does.

A match becomes a trade only at a quantity that every concerned owner grants. A reduced or refused meeting of two places
sleeps at the element that binds it; owners report when headroom there is freed.
"""

import msgspec

from flexpeer.market.matching import meetings
from flexpeer.market.matching.books import Books
from flexpeer.market.matching.meetings import (
    ENERGY,
    Block,
    LineMoved,
    Matching,
    Meeting,
    MeetingBlocked,
    MeetingsWoken,
    pair_of,
)
from flexpeer.market.matching.sweep import acceptable, concluded, conditional, orders_of, places_of
from flexpeer.market.matching.view import View
from flexpeer.market.orders import Status
from flexpeer.market.reasons import CommandRefused, Reason
from flexpeer.market.trades import Decision, GridVerdict, Match, MatchReserved, TradeConcluded, VerdictRecorded


class RecordVerdict(msgspec.Struct, frozen=True, tag=True):
    """Command: the owners' joint answer. All hold the match at `quantity_w`; 0 means at least one refuses.

    `raised_w` is what the seller of a single leg moves beyond the exchange so that no point is worse.
    """

    match: int
    quantity_w: int
    raised_w: int
    verdicts: tuple[GridVerdict, ...]


class Freed(msgspec.Struct, frozen=True):
    """An element and MTU where an owner has more headroom than when a meeting was blocked there."""

    owner: str
    element: str
    mtu: int | None


SILENT = "no answer"
"""The element of a verdict by an owner that did not answer: it keeps two orders apart, not two places."""
LAST_CHANCES = 8
"""How often everybody may have a last chance before the gate closes."""
WAKES_AT_ONCE = 256
"""How often one command may wake what sleeps; what it frees beyond that wakes with the next."""


class ReportHeadroom(msgspec.Struct, frozen=True, tag=True):
    """Command: trades have freed headroom at these places; `last`: a last chance before the gate closes."""

    freed: tuple[Freed, ...]
    last: bool = False


def record_verdict(view: View, command: RecordVerdict) -> list[object]:
    """The verdicts, and the trade, the reservation or the sleep they lead to."""
    pending = view.trades.pending
    if pending is None or pending.match != command.match:
        return [CommandRefused("RecordVerdict", f"{command.match}", Reason.NO_SUCH_MATCH)]
    if not _possible(view, pending, command):
        return [CommandRefused("RecordVerdict", f"{command.match}", Reason.VERDICT_IMPOSSIBLE)]
    granted = acceptable(view, pending, command.quantity_w) if command.quantity_w else 0
    events: list[object] = [
        VerdictRecorded(command.match, granted, command.raised_w if granted else 0, command.verdicts)
    ]
    taker = view.orders.orders[pending.taker]
    if granted:
        match = pending.at(granted, command.raised_w)
        events += [MatchReserved(match)] if conditional(taker) else concluded(view, match)
    if granted < pending.quantity_w:
        events.append(_blocked(view, pending, command, granted))
    return events


def _possible(view: View, pending: Match, command: RecordVerdict) -> bool:
    """Whether the answer is within the proposal, the seller's order and both orders' prices."""
    if not (0 <= command.quantity_w <= pending.quantity_w and command.raised_w >= 0):
        return False
    whole = command.quantity_w == pending.quantity_w
    if not whole and view.tradeable_w(pending, command.quantity_w) != command.quantity_w:
        return False
    if not command.raised_w:
        return True
    if len(pending.legs) > 1 or command.raised_w % view.needs.rulebook.quantity_tick_w:
        return False
    leg = pending.at(command.quantity_w, command.raised_w).legs[0]
    buy, sell = view.orders.orders[leg.buy], view.orders.orders[leg.sell]
    affordable = buy.price_minor * leg.quantity_buy_w >= sell.price_minor * leg.quantity_sell_w
    return affordable and leg.quantity_sell_w <= view.left_w(sell)


def raise_limit_w(view: View, match: Match, quantity_w: int) -> int:
    """How far a single leg's seller may go beyond the exchange: within its order and both prices.

    Nowhere for a resource with energy limits, which were checked for the exchange alone.
    """
    if len(match.legs) > 1:
        return 0
    leg = match.at(quantity_w).legs[0]
    buy, sell = view.orders.orders[leg.buy], view.orders.orders[leg.sell]
    room = view.left_w(sell) - leg.quantity_sell_w
    if any(member.energy_wm is not None for member in view.participants.members(leg.sell_unit)):
        return 0
    if sell.price_minor > 0:
        room = min(room, buy.price_minor * leg.quantity_buy_w // sell.price_minor - leg.quantity_sell_w)
    return max(room, 0)


def _blocked(view: View, match: Match, command: RecordVerdict, granted: int) -> MeetingBlocked:
    answers = (verdict for verdict in command.verdicts if verdict.decision is not Decision.GRANTED)
    binding = next(answers, GridVerdict("", Decision.REFUSED))
    held = conditional(view.orders.orders[match.taker]) and granted > 0
    tentative = held or bool(view.trades.reserved)
    block = Block(binding.owner, binding.element, binding.mtu, orders_of(match), tentative)
    alone = binding.element == SILENT or (command.quantity_w > 0 and not granted)
    return MeetingBlocked(pair_of(orders_of(match)) if alone else places_of(view, match), block)


def report_headroom(view: View, matching: Matching, books: Books, command: ReportHeadroom) -> list[object]:
    """What wakes: meetings of places, and the orders of whatever else sleeps, in order of arrival."""
    names = sorted({n for at in command.freed for n in books.asleep_at(at.owner, at.element, at.mtu)})
    if not command.last:
        return _waking(view, matching, names)
    if matching.chances == LAST_CHANCES:
        return []
    moved = LineMoved(None, matching.deferred)
    return [moved, *_waking(view, meetings.evolve(matching, moved), [n for n in names if n not in moved.meetings])]


def energy_freed(
    view: View, matching: Matching, books: Books, concluded_now: tuple[TradeConcluded, ...]
) -> list[object]:
    """The units that waited for a resource's energy, once that resource has traded."""
    resources = view.participants.resources
    moved = {name for event in concluded_now for name in event.moves_w if resources[name].energy_wm is not None}
    if not moved:
        return []
    found = [
        name
        for name, block in matching.blocks.items()
        if block.element.startswith(f"{ENERGY}:") and block.element.removeprefix(f"{ENERGY}:") in moved
    ]
    units = {view.orders.orders[order].unit for name in found for order in matching.blocks[name].orders}
    orders = [order for unit in sorted(units) for order in books.of_unit(unit)]
    names = {name for order in orders for name in books.meetings_of(view.orders.orders[order])}
    return _waking(view, matching, sorted({*found, *names}), orders)


def minimum_met(
    view: View, matching: Matching, books: Books, concluded_now: tuple[TradeConcluded, ...]
) -> list[object]:
    """The meetings of resting orders whose minimum acceptance these trades meet: who was too small for it may trade."""
    names: set[str] = set()
    for event in concluded_now:
        for order_id, fill_w in event.fills_w.items():
            order = view.orders.orders[order_id]
            if order.executed_w < order.min_quantity_w <= order.executed_w + fill_w < order.quantity_w:
                names.update(books.meetings_of(order))
    return _waking(view, matching, sorted(names))


def _waking(view: View, matching: Matching, names: list[str], more: list[str] | None = None) -> list[object]:
    """Meetings wake; orders that slept on their own (with `more`) join the line, the one being swept left out."""
    if matching.deferred:
        names = [name for name in names if name not in matching.deferred]
    if not names:
        return []
    if matching.wakes >= WAKES_AT_ONCE:
        return [MeetingsWoken(tuple(names), later=True)]
    alone = {order for n in names if Meeting.read(n) is None for order in matching.blocks[n].orders} | set(more or ())
    if not alone:
        return [MeetingsWoken(tuple(names))]
    still = {o for o in alone - {matching.sweeping} if view.orders.orders[o].status is Status.OPEN}
    first = (matching.sweeping,) if matching.first == matching.sweeping else ()
    line = sorted((*still, *tuple(matching.waiting)[len(first) :]), key=lambda order: view.orders.orders[order].number)
    return [MeetingsWoken(tuple(names), (*first, *dict.fromkeys(line)))]
