"""Stage 6: what the grid owners answer to a proposal, and what that does.

A match becomes a trade only at a quantity that every concerned owner grants. A reduced or refused meeting
sleeps at the element that binds it; owners report when headroom there is freed.
"""

import msgspec

from flexpeer.market.matching.sweep import (
    ENERGY,
    Block,
    Matching,
    MeetingBlocked,
    MeetingsWoken,
    acceptable,
    concluded,
    conditional,
    meeting_of,
    orders_of,
)
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


class ReportHeadroom(msgspec.Struct, frozen=True, tag=True):
    """Command: trades have freed headroom at these places."""

    freed: tuple[Freed, ...]


def record_verdict(view: View, command: RecordVerdict) -> list[object]:
    """The verdicts, and the trade, the reservation or the sleep they lead to."""
    pending = view.trades.pending
    if pending is None or pending.match != command.match:
        return [CommandRefused("RecordVerdict", f"{command.match}", Reason.NO_SUCH_MATCH)]
    if not _possible(view, pending, command):
        return [CommandRefused("RecordVerdict", f"{command.match}", Reason.VERDICT_IMPOSSIBLE)]
    granted = acceptable(view, pending, command.quantity_w)
    events: list[object] = [
        VerdictRecorded(command.match, granted, command.raised_w if granted else 0, command.verdicts)
    ]
    taker = view.orders.orders[pending.taker]
    if granted:
        match = pending.at(granted, command.raised_w)
        events += [MatchReserved(match)] if conditional(taker) else concluded(view, match)
    if granted < pending.quantity_w:
        events.append(_blocked(view, pending, command))
    return events


def _possible(view: View, pending: Match, command: RecordVerdict) -> bool:
    """Whether the answer is within the proposal, the seller's order and both orders' prices."""
    within = 0 <= command.quantity_w <= pending.quantity_w and command.raised_w >= 0
    if not within or not command.raised_w:
        return within
    if len(pending.legs) > 1:
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


def _blocked(view: View, match: Match, command: RecordVerdict) -> MeetingBlocked:
    answers = (verdict for verdict in command.verdicts if verdict.decision is not Decision.GRANTED)
    binding = next(answers, GridVerdict("", Decision.REFUSED))
    held = conditional(view.orders.orders[match.taker]) and acceptable(view, match, command.quantity_w) > 0
    tentative = held or bool(view.trades.reserved)
    block = Block(binding.owner, binding.element, binding.mtu, orders_of(match), tentative)
    only_these_orders = command.quantity_w > 0 and not acceptable(view, match, command.quantity_w)
    return MeetingBlocked(meeting_of(match, of_orders=only_these_orders), block)


def report_headroom(view: View, matching: Matching, freed: tuple[Freed, ...]) -> list[object]:
    """The meetings that wake, and their open orders in order of arrival."""
    places = {(place.owner, place.element, place.mtu) for place in freed}
    woken = sorted(m for m, block in matching.blocks.items() if (block.owner, block.element, block.mtu) in places)
    return _waking(view, matching, woken)


def energy_freed(view: View, matching: Matching, concluded_now: tuple[TradeConcluded, ...]) -> list[object]:
    """The meetings that waited for a resource's energy, once that resource has traded."""
    resources = view.participants.resources
    moved = {name for event in concluded_now for name in event.moves_w if resources[name].energy_wm is not None}
    if not moved:
        return []
    places = {f"{ENERGY}:{resource}" for resource in moved}
    return _waking(view, matching, sorted(m for m, block in matching.blocks.items() if block.element in places))


def _waking(view: View, matching: Matching, meetings: list[str]) -> list[object]:
    """All open orders of the units in these meetings, so that no later order of theirs is passed over."""
    if not meetings:
        return []
    decoded = [msgspec.json.decode(meeting) for meeting in meetings]
    concerned = {(zone, unit) for zone, *legs in decoded for leg in legs for unit in leg[:2]}
    later = set(matching.waiting[1:])
    orders = sorted(
        (order.number, order.order)
        for order in view.orders.orders.values()
        if order.order in later or (order.status is Status.OPEN and (order.zone, order.unit) in concerned)
    )
    return [MeetingsWoken(tuple(meetings), tuple(order for _, order in orders))]
