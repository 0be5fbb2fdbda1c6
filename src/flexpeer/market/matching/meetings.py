"""Who does not meet for now: pairs of places that the grid refused, units without energy left, pairs of orders.

What an element refuses to two places it refuses to all their orders, so it is found once: the meeting sleeps until
headroom is freed there. Then it wakes, and its orders are tried in order of arrival.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import msgspec
from msgspec.structs import replace
from rpds import HashTrieMap, Queue

from flexpeer.market.needs import Regulation
from flexpeer.market.orders import Order, OrderAmended
from flexpeer.market.trades import MatchProposed, ReservationsReleased
from flexpeer.periods import Span

ENERGY = "energy"


_NAME = msgspec.json.Decoder(tuple[str, str, Regulation, int, int])


class Meeting(NamedTuple):
    """Two places whose orders of one span meet: the buyers', the sellers', and the sellers' regulation."""

    buy: str
    sell: str
    relieved_by: Regulation
    span: Span

    @property
    def name(self) -> str:
        """As the log has it."""
        return msgspec.json.encode((self.buy, self.sell, self.relieved_by, self.span.first, self.span.end)).decode()

    @classmethod
    def read(cls, name: str) -> Meeting | None:
        """The meeting of a name; None for other things that sleep."""
        if name.startswith("[["):
            return None
        buy, sell, relieved_by, first, end = _NAME.decode(name)
        return cls(buy, sell, relieved_by, Span(first, end))


def meeting_of(legs: tuple[tuple[Order, Order, Span], ...]) -> str:
    """The name under which the places of a match's legs (buy, sell, span) sleep: a meeting, or one for each leg."""
    each = [Meeting(buy.place, sell.place, sell.regulation, span) for buy, sell, span in legs]
    if len(each) == 1:
        return each[0].name
    return msgspec.json.encode([(m.buy, m.sell, m.relieved_by, m.span.first, m.span.end) for m in each]).decode()


def pair_of(orders: tuple[str, ...]) -> str:
    """The name under which orders themselves sleep, whatever others of their places may do."""
    return msgspec.json.encode([["orders"], *orders]).decode()


def energy_of(unit: str, regulation: Regulation, span: Span) -> str:
    """The name under which a unit sleeps whose energy limits leave nothing in a direction."""
    return msgspec.json.encode([[ENERGY], unit, regulation, span.first, span.end]).decode()


class Block(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why something sleeps: the owner, element and MTU that had no headroom, or a resource without energy left.

    `orders` met there first; a `tentative` block was found while reservations were held.
    """

    owner: str
    element: str
    mtu: int | None
    orders: tuple[str, ...]
    tentative: bool = False


class MeetingBlocked(msgspec.Struct, frozen=True, tag=True):
    """A meeting, a unit or a pair of orders sleeps from now on."""

    meeting: str
    block: Block


class MeetingsWoken(msgspec.Struct, frozen=True, tag=True):
    """What they waited for has changed: they are possible again, and tried in order of arrival.

    `waiting` are all orders that wait for their sweep from now on, where the waking adds to them. `later` defers all
    of it to the next command, because this one has woken as many as a command may.
    """

    meetings: tuple[str, ...]
    waiting: tuple[str, ...] = ()
    later: bool = False


class LineMoved(msgspec.Struct, frozen=True, tag=True):
    """Who has come (under this number) is next and may wake as many again; `meetings` are those put off before.

    Without a number it is a last chance for everybody before the gate closes.
    """

    number: int | None
    meetings: tuple[str, ...]


class WakingEnded(msgspec.Struct, frozen=True, tag=True):
    """Nobody is left who could trade in a meeting that has woken."""


class Obstacle(StrEnum):
    """What keeps orders that cross from trading, apart from the grid."""

    ENERGY = "energy"
    MINIMUM_ACCEPTANCE = "minimum_acceptance"
    FILL_OR_KILL = "fill_or_kill"
    SELF_TRADE = "self_trade"


class PutOff(msgspec.Struct, frozen=True):
    """Pairs (buy, sell) that an obstacle kept from trading; none where an order's own energy is out before it meets.

    `owner` is the organisation whose obstacle it is, `element` the resource (energy) or the order (a condition) it is
    about, `mtu` the first one of the meeting.
    """

    obstacle: Obstacle
    pairs: tuple[tuple[str, str], ...]
    owner: str
    element: str
    mtu: int


class SweepEnded(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """An order, under this number, has met everyone it can meet for now; `put_off` are the first that it could not."""

    order: str
    number: int
    put_off: tuple[PutOff, ...] = ()


Event = MeetingBlocked | MeetingsWoken | LineMoved | WakingEnded | SweepEnded


class Matching(msgspec.Struct, frozen=True):
    """Orders waiting for their sweep, in order of arrival; the one being swept; what sleeps, and what has woken.

    Orders up to number `reached` have had their first sweep, and rest in the books; those after it have only come.
    Orders up to number `swept` have been tried in what has woken; `stirred`: more woke during the sweep under way.
    `deferred` wakes at the `turn` of the next to come; `wakes` counts those since the last, `chances` the last chances
    there were. `tentative` are names found blocked while reservations were held: forgotten if these are released.
    """

    waiting: Queue[str] = Queue()
    sweeping: str = ""
    blocks: HashTrieMap[str, Block] = HashTrieMap()
    awake: HashTrieMap[str, None] = HashTrieMap()
    swept: int = 0
    stirred: bool = False
    wakes: int = 0
    reached: int = 0
    turn: int = 0
    chances: int = 0
    deferred: tuple[str, ...] = ()
    tentative: tuple[str, ...] = ()

    @property
    def first(self) -> str | None:
        """Who waits and came first."""
        return self.waiting.peek() if self.waiting else None  # type: ignore[operator]  # wrong stub


def come(matching: Matching, order: Order) -> Matching:
    """Matching after an order was placed: it waits for its sweep."""
    return matching if order.residual else replace(matching, waiting=matching.waiting.enqueue(order.order))


def evolve(matching: Matching, event: object) -> Matching:
    """Matching after an event of any stage."""
    match event:
        case MatchProposed(proposed):
            return matching if matching.sweeping else replace(matching, sweeping=proposed.taker)
        case OrderAmended(order_id):
            return replace(matching, waiting=matching.waiting.enqueue(order_id))
        case SweepEnded(order_id, number):
            first = matching.first == order_id
            line = matching.waiting.dequeue() if first else matching.waiting  # type: ignore[call-arg]  # wrong stub
            swept = 0 if matching.stirred else (matching.swept if first else number)
            reached = max(matching.reached, number)
            return replace(
                matching, waiting=line, sweeping="", swept=swept, stirred=False, tentative=(), reached=reached
            )
        case _:
            return _slept(matching, event)


def _slept(matching: Matching, event: object) -> Matching:
    match event:
        case MeetingBlocked(name, block):
            tentative = (*matching.tentative, name) if block.tentative else matching.tentative
            blocks, awake = matching.blocks.insert(name, block), matching.awake.discard(name)
            return replace(matching, blocks=blocks, awake=awake, tentative=tentative)
        case MeetingsWoken(names, waiting, later):
            if later:
                return replace(matching, deferred=(*matching.deferred, *names))
            woken = _woken(matching, names)
            return replace(woken, waiting=Queue(waiting) if waiting else woken.waiting, wakes=woken.wakes + 1)
        case LineMoved(number, names):
            moved = _woken(replace(matching, wakes=0, deferred=()), names) if names else replace(matching, wakes=0)
            return replace(moved, turn=number or moved.turn, chances=moved.chances + (number is None))
        case WakingEnded():
            return replace(matching, awake=HashTrieMap(), swept=0)
        case ReservationsReleased():
            blocks = matching.blocks
            for name in matching.tentative:
                blocks = blocks.discard(name)
            return replace(matching, blocks=blocks, tentative=())
        case _:
            return matching


def _woken(matching: Matching, names: tuple[str, ...]) -> Matching:
    blocks, awake = matching.blocks, matching.awake
    for name in names:
        blocks, awake = blocks.discard(name), awake.insert(name, None)
    return replace(matching, blocks=blocks, awake=awake, swept=0, stirred=bool(matching.sweeping))
