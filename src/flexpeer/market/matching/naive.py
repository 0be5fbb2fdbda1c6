"""The oracle: the rules of matching with sorted lists and fractions, to be read rather than run.

`NaiveBook` passes the same tests as the compiled book; `naive_stream` is the whole continuous matching
that `stream.match_stream` must reproduce trade by trade.
"""

from bisect import insort
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from flexpeer.market.matching.crossing import (
    accepts,
    buyer_quantity_w,
    crosses,
    fills_buy,
    fills_sell,
    seller_quantity_w,
    weight,
    within_bounds,
)
from flexpeer.market.orders import Side, TimeInForce
from flexpeer.market.rulebook import Exchange, Priority


class Resting(NamedTuple):
    """An order in the list of its side; `rank` sorts it, the lowest first."""

    rank: tuple[Fraction, int]
    number: int
    price_minor: int
    ppm: int


class NaiveBook:
    """One sorted list per side; a candidate is found by going through it."""

    def __init__(self, priority: Priority) -> None:
        self._priority = priority
        self._resting: dict[Side, list[Resting]] = {Side.BUY: [], Side.SELL: []}
        self._side: dict[int, Side] = {}

    def __len__(self) -> int:
        return len(self._side)

    def _rank(self, number: int, side: Side, price_minor: int, ppm: int) -> tuple[Fraction, int]:
        if self._priority is Priority.TIME:
            return Fraction(0), number
        return Fraction(price_minor if side is Side.SELL else -price_minor, ppm), number

    def add(self, number: int, side: Side, price_minor: int, ppm: int) -> None:
        """See `Book.add`."""
        assert number not in self._side
        assert within_bounds(price_minor, ppm)
        insort(self._resting[side], Resting(self._rank(number, side, price_minor, ppm), number, price_minor, ppm))
        self._side[number] = side

    def remove(self, number: int) -> None:
        """See `Book.remove`."""
        orders = self._resting[self._side.pop(number)]
        orders.remove(next(order for order in orders if order.number == number))

    def resting(self, side: Side) -> tuple[int, ...]:
        """See `Book.resting`."""
        return tuple(order.number for order in self._resting[side])

    def candidates(self, side: Side, price_minor: int, ppm: int, before: int | None = None) -> Iterator[int]:
        """See `Book.candidates`."""
        for order in self._resting[side.opposite]:
            if side is Side.BUY:
                meets = crosses(price_minor, ppm, order.price_minor, order.ppm)
            else:
                meets = crosses(order.price_minor, order.ppm, price_minor, ppm)
            if meets and (before is None or order.number < before):
                yield order.number
            if not meets and self._priority is Priority.PRICE_TIME:
                return


class NaiveOrder(NamedTuple):
    """One order of a stream; its number is its place in it."""

    bucket: int
    side: Side
    price_minor: int
    ppm: int
    organisation: int
    quantity_w: int
    minimum_w: int
    time_in_force: TimeInForce


class NaiveTrade(NamedTuple):
    """One trade; `buy` and `sell` are numbers, the price is the resting order's."""

    buy: int
    sell: int
    quantity_buy_w: int
    quantity_sell_w: int
    price_minor: int
    resting: Side


class NaiveStream:
    """The orders that have arrived, what remains of each, and the book of each bucket."""

    def __init__(self, orders: list[NaiveOrder], priority: Priority, exchange: Exchange) -> None:
        self.orders = orders
        self.rest_w = [order.quantity_w for order in orders]
        self._weight = [weight(exchange, order.ppm) for order in orders]
        self._books = {order.bucket: NaiveBook(priority) for order in orders}

    def _minimum_met(self, number: int, fill_w: int) -> bool:
        order = self.orders[number]
        return accepts(order.quantity_w - self.rest_w[number], order.minimum_w, fill_w)

    def _planned(self, number: int) -> list[NaiveTrade]:
        """The trades of an arrival, were it to accept them."""
        order = self.orders[number]
        rest_w = order.quantity_w
        trades = []
        for other in self._books[order.bucket].candidates(order.side, order.price_minor, order.ppm):
            if self.orders[other].organisation == order.organisation:
                continue
            if order.side is Side.BUY:
                buy, sell, rest_buy_w, rest_sell_w = number, other, rest_w, self.rest_w[other]
            else:
                buy, sell, rest_buy_w, rest_sell_w = other, number, self.rest_w[other], rest_w
            quantity_buy_w = buyer_quantity_w(rest_buy_w, self._weight[buy], rest_sell_w, self._weight[sell])
            quantity_sell_w = seller_quantity_w(quantity_buy_w, self._weight[buy], self._weight[sell])
            own_w, its_w = quantity_buy_w, quantity_sell_w
            if order.side is Side.SELL:
                own_w, its_w = its_w, own_w
            if quantity_buy_w > 0 and self._minimum_met(other, its_w):
                price_minor = self.orders[other].price_minor
                trades.append(NaiveTrade(buy, sell, quantity_buy_w, quantity_sell_w, price_minor, order.side.opposite))
                rest_w -= own_w
            if rest_w == 0:
                break
        return trades

    def _stands(self, number: int, trades: list[NaiveTrade]) -> bool:
        order = self.orders[number]
        if not trades:
            return False
        if order.side is Side.BUY:
            filled_w = sum(trade.quantity_buy_w for trade in trades)
            filled = fills_buy(order.quantity_w - filled_w)
        else:
            filled_w = sum(trade.quantity_sell_w for trade in trades)
            filled = fills_sell(order.quantity_w - filled_w, self._weight[number], self._weight[trades[-1].buy])
        return self._minimum_met(number, filled_w) and (filled or order.time_in_force is not TimeInForce.FOK)

    def arrive(self, number: int) -> list[NaiveTrade]:
        """Let the next order of the stream in: its trades, in the order in which it meets its peers."""
        order = self.orders[number]
        book = self._books[order.bucket]
        trades = self._planned(number)
        if not self._stands(number, trades):
            trades = []
        for trade in trades:
            self.rest_w[trade.buy] -= trade.quantity_buy_w
            self.rest_w[trade.sell] -= trade.quantity_sell_w
            other = trade.sell if trade.resting is Side.SELL else trade.buy
            if self.rest_w[other] == 0:
                book.remove(other)
        if order.time_in_force is TimeInForce.DAY and self.rest_w[number] > 0:
            book.add(number, order.side, order.price_minor, order.ppm)
        return trades


def naive_stream(
    orders: list[NaiveOrder], priority: Priority, exchange: Exchange
) -> tuple[list[NaiveTrade], list[int]]:
    """Continuous matching of a stream: all trades in order, and what remains of every order in watts."""
    stream = NaiveStream(orders, priority, exchange)
    trades = [trade for number in range(len(orders)) for trade in stream.arrive(number)]
    return trades, stream.rest_w
