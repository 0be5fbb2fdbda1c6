"""Whom a sweep meets and may not trade with, and why: for those who ask afterwards what became of their orders."""

from __future__ import annotations

from flexpeer.market.matching.meetings import ENERGY, Block, Obstacle, PutOff
from flexpeer.market.matching.view import View
from flexpeer.market.orders import Order, Side, TimeInForce
from flexpeer.market.trades import Match

TOLD = 8
"""How many of a kind one sweep tells; a book may have any number."""

Pairs = tuple[tuple[str, str], ...]


class PassedOver:
    """The first that the sweep of an order passes over, some of each kind."""

    def __init__(self, view: View, taker: Order) -> None:
        self._view, self._taker = view, taker
        self._found: dict[Obstacle, list[PutOff]] = {}

    def all(self) -> tuple[PutOff, ...]:
        """By kind, each in the order in which they were met."""
        if not self._found:
            return ()
        return tuple(dict.fromkeys(put_off for kind in Obstacle for put_off in self._found.get(kind, ())))

    def own(self, others: list[Order]) -> None:
        """Orders of its own organisation."""
        for other in others[:TOLD]:
            self._keep(Obstacle.SELF_TRADE, self._pair(other), self._taker.organisation, "", other.span.first)

    def tired(self, block: Block, other: Order | None = None) -> None:
        """Another order whose unit has no energy left, or its own."""
        pairs = () if other is None else self._pair(other)
        self._energy(pairs, block, (other or self._taker).span.first)

    def asleep(self, block: Block | None, match: Match) -> None:
        """Orders that sleep because an energy limit leaves too little for them."""
        if block is not None and block.element.startswith(f"{ENERGY}:"):
            self._energy(_pairs(match), block, match.legs[0].span.first)

    def too_small(self, match: Match) -> None:
        """A resting order that accepts no less than its minimum."""
        if self._full(Obstacle.MINIMUM_ACCEPTANCE):
            return
        for leg in match.legs:
            for order_id, fill_w in ((leg.buy, leg.quantity_buy_w), (leg.sell, leg.quantity_sell_w)):
                order = self._view.orders.orders[order_id]
                executed_w = order.quantity_w - self._view.left_w(order)
                if order_id != match.taker and 0 < fill_w < order.min_quantity_w - executed_w:
                    obstacle = Obstacle.MINIMUM_ACCEPTANCE
                    self._keep(obstacle, _pairs(match), order.organisation, order_id, leg.span.first)

    def released(self) -> None:
        """What it could have had, which does not meet its own condition."""
        whole = self._taker.time_in_force is TimeInForce.FOK
        obstacle = Obstacle.FILL_OR_KILL if whole else Obstacle.MINIMUM_ACCEPTANCE
        for match in self._view.trades.reserved:
            mtu = match.legs[0].span.first
            self._keep(obstacle, _pairs(match), self._taker.organisation, self._taker.order, mtu)

    def _energy(self, pairs: Pairs, block: Block, mtu: int) -> None:
        resource = block.element.removeprefix(f"{ENERGY}:")
        owner = self._view.participants.resources[resource].organisation
        self._keep(Obstacle.ENERGY, pairs, owner, resource, mtu)

    def _pair(self, other: Order) -> Pairs:
        buy, sell = (self._taker, other) if self._taker.side is Side.BUY else (other, self._taker)
        return ((buy.order, sell.order),)

    def _full(self, obstacle: Obstacle) -> bool:
        return len(self._found.get(obstacle, ())) >= TOLD

    def _keep(self, obstacle: Obstacle, pairs: Pairs, owner: str, element: str, mtu: int) -> None:
        if not self._full(obstacle):
            self._found.setdefault(obstacle, []).append(PutOff(obstacle, pairs, owner, element, mtu))


def _pairs(match: Match) -> Pairs:
    return tuple((leg.buy, leg.sell) for leg in match.legs)
