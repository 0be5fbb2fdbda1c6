"""What wakes meetings that sleep: headroom that owners report freed, a resource's energy, a minimum that is met.

Only what can have been helped wakes, and what one command may wake is bounded.
"""

import msgspec

from flexpeer.market.matching import meetings
from flexpeer.market.matching.books import Books
from flexpeer.market.matching.meetings import ENERGY, LineMoved, Matching, Meeting, MeetingsWoken
from flexpeer.market.matching.view import View
from flexpeer.market.orders import Status
from flexpeer.market.trades import TradeConcluded

WAKE_SLACK_PPM = 100
"""How much of its limit an element must have more room than when it bound, before meetings wake there."""
LAST_CHANCES = 8
"""How often everybody may have a last chance before the gate closes."""
WAKES_AT_ONCE = 256
"""How often one command may wake what sleeps; what it frees beyond that wakes with the next."""


class Freed(msgspec.Struct, frozen=True):
    """An element and MTU where an owner has more headroom than when a meeting was blocked there."""

    owner: str
    element: str
    mtu: int | None


class ReportHeadroom(msgspec.Struct, frozen=True, tag=True):
    """Command: trades have freed headroom at these places; `last`: a last chance before the gate closes."""

    freed: tuple[Freed, ...]
    last: bool = False


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
