"""Stage 6: what the grid owners answer to a proposal, and what that does.

A match becomes a trade only at a quantity that every concerned owner grants. A reduced or refused meeting of two places
sleeps at the element that binds it, until it wakes (`market.waking`).
"""

import msgspec

from flexpeer.market.matching.meetings import Block, MeetingBlocked, pair_of
from flexpeer.market.matching.sweep import acceptable, concluded, conditional, orders_of, places_of
from flexpeer.market.matching.view import View
from flexpeer.market.reasons import CommandRefused, Reason
from flexpeer.market.trades import Decision, GridVerdict, Match, MatchReserved, VerdictRecorded


class RecordVerdict(msgspec.Struct, frozen=True, tag=True):
    """Command: the owners' joint answer. All hold the match at `quantity_w`; 0 means at least one refuses.

    `raised_w` is what the seller of a single leg moves beyond the exchange so that no point is worse.
    """

    match: int
    quantity_w: int
    raised_w: int
    verdicts: tuple[GridVerdict, ...]


SILENT = "no answer"
"""The element of a verdict by an owner that did not answer: it keeps two orders apart, not two places."""


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
