"""The oracle of continuous trading: every pair of orders is tried, in order of arrival, until none can trade.

No books, no places, nothing that sleeps: fractions, lists and the flows of `auditor`. Orders of one span only meet
orders of the same span; no minimum acceptance, no fill-or-kill.
"""

from fractions import Fraction
from typing import NamedTuple

from tests.market.auditor import Flow, changes
from tests.market.small_market import Frame

from flexpeer.market.orders import PlaceOrder, Side
from flexpeer.market.rulebook import Exchange, Priority


class Pair(NamedTuple):
    """How two orders exchange: watts of the seller for one of the buyer, and the point that sets it."""

    ratio: Fraction
    point: str


class Standing:
    """An order and what is left of it."""

    def __init__(self, number: int, command: PlaceOrder, frame: Frame) -> None:
        self.number, self.command = number, command
        self.first, self.end = (round((at - frame.day.start) / 60) for at in (command.start, command.end))
        self.left_w = command.quantity_w
        self.rests = str(command.time_in_force) == "day"
        self.dead = False


class NaiveMarket:
    """One market: `arrive` lets an order in and everything happen that can."""

    def __init__(self, frame: Frame) -> None:
        self.frame, self.flow = frame, Flow(frame)
        self.orders: list[Standing] = []
        self.traded: list[tuple[str, str, int, int, int]] = []
        self._direction = {p.congestion_point: p.direction for p in frame.points}

    def arrive(self, command: PlaceOrder) -> None:
        """The next order."""
        new = Standing(len(self.orders) + 1, command, self.frame)
        self.orders.append(new)
        self._sweep(new)
        if not new.rests:
            new.dead = True
        while any(self._sweep(order) for order in self.orders):
            pass

    def _sweep(self, taker: Standing) -> bool:
        """Let an order try everybody who came before it, after a trade from the first again; whether it traded."""
        moved = False
        while any(self._trade(*self._sides(taker, other)) for other in self._candidates(taker)):
            moved = True
        return moved

    def _sides(self, taker: Standing, other: Standing) -> tuple[Standing, Standing]:
        return (taker, other) if taker.command.side is Side.BUY else (other, taker)

    def _candidates(self, taker: Standing) -> list[Standing]:
        found = []
        for other in self.orders[: taker.number - 1]:
            if taker.dead or other.dead or other.command.side is taker.command.side:
                continue
            if (other.first, other.end) != (taker.first, taker.end):
                continue
            if other.command.organisation == taker.command.organisation:
                continue
            buy, sell = self._sides(taker, other)
            pair = self.pair(buy, sell)
            if pair is not None and buy.command.price_minor >= sell.command.price_minor * pair.ratio:
                own_cost = (
                    sell.command.price_minor * pair.ratio
                    if taker is buy
                    else -Fraction(buy.command.price_minor) / pair.ratio
                )
                found.append((own_cost, other))
        if self.frame.rulebook.priority is Priority.PRICE_TIME:
            found.sort(key=lambda row: (row[0], row[1].number))
        return [other for _, other in found]

    def pair(self, buy: Standing, sell: Standing) -> Pair | None:
        """The exchange of a pair; None where the seller cannot serve the buyer."""
        if self.frame.rulebook.exchange is Exchange.BALANCED:
            alike = buy.command.zone == sell.command.zone
            opposite = self._relieves(buy) == self._relieves(sell)
            return Pair(Fraction(1), buy.command.zone or "") if alike and opposite else None
        named = buy.command.zone
        most: Pair | None = None
        if self._relieves(buy) != self._relieves(sell):
            return None
        for point in sorted(self._direction) if named is None else [named]:
            if self._relieves(sell) != (self._direction[point] == "export"):
                continue
            loads = self.frame.factors(point)[buy.command.unit]
            reliefs = self.frame.factors(point)[sell.command.unit]
            for mtu in range(buy.first, buy.end):
                if loads[mtu] <= 0:
                    continue
                if sell.command.zone not in (None, point) or reliefs[mtu] <= 0:
                    return None
                ratio = Fraction(loads[mtu], reliefs[mtu])
                if most is None or ratio > most.ratio:
                    most = Pair(ratio, point)
        return most

    def _relieves(self, order: Standing) -> bool:
        """Whether an order is about export points: those that a SELL relieves by going DOWN."""
        if order.command.zone is not None:
            return self._direction[order.command.zone] == "export"
        if order.command.regulation is not None:
            return (str(order.command.regulation) == "DOWN") == (order.command.side is Side.SELL)
        return "export" in self._direction.values()

    def _trade(self, buy: Standing, sell: Standing) -> bool:
        """The largest quantity that both have, prices allow and every point bears, watt by watt from the top."""
        pair = self.pair(buy, sell)
        assert pair is not None
        for bought_w in range(buy.left_w, 0, -1):
            sold_w = -(-bought_w * pair.ratio.numerator // pair.ratio.denominator)
            worth = buy.command.price_minor * bought_w >= sell.command.price_minor * sold_w
            if sold_w <= sell.left_w and worth and self._fits(buy, sell, bought_w, sold_w):
                self._conclude(buy, sell, bought_w, sold_w)
                return True
        return False

    def _change(self, buy: Standing, sell: Standing, bought_w: int, sold_w: int) -> dict[tuple[str, int], int]:
        mtus = range(buy.first, buy.end)
        moves = [(buy.command.unit, bought_w, mtus), (sell.command.unit, -sold_w, mtus)]
        return changes(self.frame, 1 if self._relieves(sell) else -1, moves)

    def _fits(self, buy: Standing, sell: Standing, bought_w: int, sold_w: int) -> bool:
        return self.flow.fits(self._change(buy, sell, bought_w, sold_w))

    def _conclude(self, buy: Standing, sell: Standing, bought_w: int, sold_w: int) -> None:
        for key, more in self._change(buy, sell, bought_w, sold_w).items():
            self.flow.now[key] += more
        for key, allowed in self.flow.allowed.items():
            point = next(p for p in self.frame.points if p.congestion_point == key[0])
            limit = (point.limit_w or ())[key[1]] * 1_000_000
            self.flow.allowed[key] = min(allowed, max(limit, self.flow.now[key]))
        resting = buy if buy.number < sell.number else sell
        price = resting.command.price_minor
        self.traded.append((buy.command.order, sell.command.order, bought_w, sold_w, price))
        for each, quantity_w in ((buy, bought_w), (sell, sold_w)):
            each.left_w -= quantity_w
            each.dead = each.dead or each.left_w == 0
