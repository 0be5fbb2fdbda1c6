"""Stage 4, the narrow waist: a match is agreed by peers, a trade is granted by every concerned grid owner.

Matching proposes, owners grant; activation, settlement and KPIs know only trades. A match has one leg,
or, when one order spans the MTUs of several on the other side, a leg with each of those.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import msgspec
from msgspec.structs import replace
from rpds import HashTrieMap

from flexpeer.market.needs import Watts
from flexpeer.market.orders import Orders, Side, raised
from flexpeer.market.participants import Participants
from flexpeer.periods import Span
from flexpeer.quantities import ceil_div, money


class Decision(StrEnum):
    """A grid owner's answer to a match."""

    GRANTED = "GRANTED"
    REDUCED = "REDUCED"
    REFUSED = "REFUSED"


class Phase(StrEnum):
    """Which part of the market a trade comes from; it decides how its price was made."""

    CONTINUOUS = "continuous"
    CLEARING = "clearing"
    PURCHASE = "purchase"

    @property
    def price_of(self) -> str:
        """Whose price its trades have."""
        return {"continuous": "resting order", "clearing": "node", "purchase": "own offer"}[self]


class ActingOrder(NamedTuple):
    """An order in a leg, the side it acts on, and the watts it moves; a SELL that acts as BUY takes back."""

    order: str
    acts: Side
    quantity_w: int


class Leg(msgspec.Struct, frozen=True, omit_defaults=True):
    """One buy and one sell order over a span, and how far the seller moves for the buyer.

    The seller moves `quantity_buy_w * ppm_buy / ppm_sell`, rounded up to a multiple of `tick_w`.
    `zone` is the congestion point that sets this ratio, and `ppm_*` the impact factors there, in the MTU where it is
    most (1 and 1, and no point unless named, under balanced exchange). The price is the resting order's. In the
    clearing one side is the pool: no order, no unit, no watts.
    """

    buy: str
    sell: str
    buy_unit: str
    sell_unit: str
    zone: str
    span: Span
    ppm_buy: int
    ppm_sell: int
    quantity_buy_w: int
    quantity_sell_w: int
    price_minor: int
    resting: Side
    tick_w: int = 1

    def exchanged_w(self, quantity_buy_w: int) -> int:
        """What the seller moves for a buyer's move."""
        return ceil_div(quantity_buy_w * self.ppm_buy, self.ppm_sell * self.tick_w) * self.tick_w

    @property
    def parties(self) -> tuple[ActingOrder, ...]:
        """The orders of both sides, the pool left out."""
        both = (
            ActingOrder(self.buy, Side.BUY, self.quantity_buy_w),
            ActingOrder(self.sell, Side.SELL, self.quantity_sell_w),
        )
        return tuple(party for party in both if party.order)

    @property
    def resting_w(self) -> int:
        """The quantity the price is per: the resting side's."""
        return self.quantity_buy_w if self.resting is Side.BUY else self.quantity_sell_w


class Match(msgspec.Struct, frozen=True):
    """What peers agree on and owners are asked about. `spanning` is the side whose one order all legs share."""

    match: int
    taker: str
    spanning: Side
    legs: tuple[Leg, ...]
    phase: Phase = Phase.CONTINUOUS

    @property
    def quantity_w(self) -> int:
        """The quantity verdicts are about: the buyer's of a single leg, the spanning order's of several."""
        leg = self.legs[0]
        return leg.quantity_sell_w if self.spanning is Side.SELL else leg.quantity_buy_w

    def at(self, quantity_w: int, raised_w: int = 0) -> Match:
        """The match at another quantity; `raised_w` is what the seller of a single leg moves beyond the exchange."""
        return replace(self, legs=tuple(self._leg_at(leg, quantity_w, raised_w) for leg in self.legs))

    def _leg_at(self, leg: Leg, quantity_w: int, raised_w: int) -> Leg:
        if self.spanning is Side.SELL:
            buy_w = quantity_w * leg.ppm_sell // (leg.ppm_buy * leg.tick_w) * leg.tick_w
            return replace(leg, quantity_buy_w=buy_w, quantity_sell_w=quantity_w)
        return replace(leg, quantity_buy_w=quantity_w, quantity_sell_w=leg.exchanged_w(quantity_w) + raised_w)


class GridVerdict(msgspec.Struct, frozen=True):
    """One owner's answer, with what binds unless it is granted whole: element, MTU and headroom (W, grid side).

    `kind` is what the element's limit is about, where it can have several.
    """

    owner: str
    decision: Decision
    element: str = ""
    mtu: int | None = None
    headroom_w: int = 0
    kind: str = ""


class Trade(msgspec.Struct, frozen=True):
    """A granted leg of a match. `quantity_*_w` are resource side; `price_minor` is per MWh of the resting side.

    `buyer` and `seller` are organisations; None is the pool that cleared orders trade with.
    """

    trade: str
    match: int
    phase: Phase
    leg: Leg
    buyer: str | None
    seller: str | None

    @property
    def zone(self) -> str:
        """The congestion point it is about: the one that sets the ratio of exchange."""
        return self.leg.zone

    def amount(self, mtu_minutes: int) -> int:
        """What the buyer pays the seller, as exact money."""
        return money(self.leg.price_minor, self.leg.resting_w, len(self.leg.span) * mtu_minutes)


class MatchProposed(msgspec.Struct, frozen=True, tag=True):
    """Peers agree; the owners are asked."""

    match: Match


class VerdictRecorded(msgspec.Struct, frozen=True, tag=True):
    """What the owners answered; `quantity_w` is what all of them grant, 0 for a refusal."""

    match: int
    quantity_w: int
    raised_w: int
    verdicts: tuple[GridVerdict, ...]


class MatchReserved(msgspec.Struct, frozen=True, tag=True):
    """Granted, but held until the taker's condition (fill-or-kill, minimum acceptance) is met."""

    match: Match


class ReservationsReleased(msgspec.Struct, frozen=True, tag=True):
    """The taker's condition was not met: the owners give back what they held."""

    matches: tuple[int, ...]


class OrdersCleared(msgspec.Struct, frozen=True, tag=True):
    """What was left at the gate is cleared, and every owner grants it; the trades of `match` follow.

    `gap_ppm` is how far the outcome can be from the optimum, in parts per million of what the clearing gains; `status`
    how the search for it ended.
    """

    match: int
    gap_ppm: int
    status: str
    verdicts: tuple[GridVerdict, ...]


class TradeConcluded(msgspec.Struct, frozen=True, tag=True):
    """A leg of a match became a trade.

    `moves_w` are the signed injection changes of the resources over its span, `fills_w` what it takes from
    orders (a spanning order is taken from once, by its first leg); negative where an order takes back.
    """

    trade: Trade
    moves_w: dict[str, int]
    fills_w: dict[str, int]


class Move(NamedTuple):
    """A change of a resource's injection (signed W) over a span."""

    resource: str
    span: Span
    change_w: int


def leg_moves(participants: Participants, orders: Orders, leg: Leg) -> dict[str, int]:
    """The signed injection changes a leg asks of resources; a DSO's own purchase and the pool move nothing.

    A portfolio's members share what is executed of the order in all, so that rounding does not pile up on one.
    """
    changes: dict[str, int] = {}
    for order_id, acts, quantity_w in (
        (leg.buy, Side.BUY, leg.quantity_buy_w),
        (leg.sell, Side.SELL, leg.quantity_sell_w),
    ):
        if not order_id:
            continue
        order = orders.orders[order_id]
        gives_w = quantity_w if acts is order.side else -quantity_w
        members = participants.members(order.unit)
        if len(members) == 1:
            name = members[0].resource
            changes[name] = changes.get(name, 0) + order.regulation.sign * gives_w
            continue
        before = participants.shares(order.unit, order.executed_w)
        for resource, share in participants.shares(order.unit, order.executed_w + gives_w).items():
            change = order.regulation.sign * (share - before[resource])
            changes[resource] = changes.get(resource, 0) + change
    return changes


def match_moves(participants: Participants, orders: Orders, match: Match) -> tuple[Move, ...]:
    """Every change a match asks for, leg by leg."""
    return tuple(
        Move(resource, leg.span, change)
        for leg in match.legs
        for resource, change in leg_moves(participants, orders, leg).items()
    )


Event = MatchProposed | VerdictRecorded | MatchReserved | ReservationsReleased | OrdersCleared | TradeConcluded


class Trades(msgspec.Struct, frozen=True):
    """What has been agreed: the pending match, reservations, trades, and the watts they moved (signed).

    `refused` counts the matches no quantity of which was granted.
    """

    next_match: int = 1
    refused: int = 0
    pending: Match | None = None
    reserved: tuple[Match, ...] = ()
    trades: HashTrieMap[str, Trade] = HashTrieMap()
    moves_w: HashTrieMap[str, Watts] = HashTrieMap()

    @property
    def met(self) -> set[str]:
        """Orders of the pending match and of reservations."""
        matches = self.reserved if self.pending is None else (self.pending, *self.reserved)
        return {order for match in matches for leg in match.legs for order in (leg.buy, leg.sell)}

    def reserved_w(self, order: str) -> int:
        """What reservations hold of an order."""
        held = 0
        for match in self.reserved:
            buys = {leg.buy: leg.quantity_buy_w for leg in match.legs}
            sells = {leg.sell: leg.quantity_sell_w for leg in match.legs}
            held += buys.get(order, 0) + sells.get(order, 0)
        return held


def evolve(trades: Trades, mtu_count: int, event: Event) -> Trades:
    """The trades after an event."""
    match event:
        case MatchProposed(proposed):
            return replace(trades, pending=proposed, next_match=proposed.match + 1)
        case VerdictRecorded():
            return replace(trades, pending=None, refused=trades.refused + (event.quantity_w == 0))
        case MatchReserved(reserved):
            return replace(trades, reserved=(*trades.reserved, reserved))
        case ReservationsReleased():
            return replace(trades, reserved=())
        case OrdersCleared(match):
            return replace(trades, next_match=match + 1)
        case TradeConcluded(trade, moves_w, _):
            known = trades.trades.insert(trade.trade, trade)
            held = tuple(reserved for reserved in trades.reserved if reserved.match != trade.match)
            moves = _moved(trades.moves_w, moves_w, trade.leg.span, mtu_count)
            return replace(trades, trades=known, reserved=held, moves_w=moves)


def _moved(
    moves_w: HashTrieMap[str, Watts], changes_w: dict[str, int], span: Span, mtu_count: int
) -> HashTrieMap[str, Watts]:
    for resource, change in changes_w.items():
        row = moves_w.get(resource) or (0,) * mtu_count
        moves_w = moves_w.insert(resource, raised(row, span, change))
    return moves_w
