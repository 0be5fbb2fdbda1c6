"""Continuous matching of a whole stream of orders at once: arrays in, arrays out, compiled.

Buckets (a zone and span each) are independent, so they are matched one after the other, each in memory
that stays in the processor's cache, and their trades are then put in order of arrival. The rules are those of
`crossing`, compiled from the same text; the books are those of `ranked_tree`, with capacities such that
orders whose rest cannot move a whole watt are passed over: a SELL offers rest x weight and a BUY needs its
weight of it. `naive.naive_stream` gives the same trades.
"""

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flexpeer.compiled import compiled
from flexpeer.errors import BadInput, Finding
from flexpeer.market.matching import crossing
from flexpeer.market.matching.ranked_tree import (
    CAPACITY,
    FIELDS,
    NONE,
    NUMBER,
    PPM,
    PRICE,
    first_match,
    insert,
    next_match,
    refresh,
    remove,
)
from flexpeer.market.orders import TimeInForce
from flexpeer.market.rulebook import Exchange, Priority
from flexpeer.quantities import IMPACT_LIMIT_PPM, PRICE_LIMIT_MINOR, QUANTITY_LIMIT_W

Ints = NDArray[np.int64]

FORCES = (TimeInForce.DAY, TimeInForce.FAK, TimeInForce.FOK)
_DAY, _FOK = FORCES.index(TimeInForce.DAY), FORCES.index(TimeInForce.FOK)

_BUYS, _LIMIT, _PPM, _WEIGHT, _ORGANISATION, _MINIMUM, _FORCE, _REST, _EXECUTED = range(9)
_BUYING, _SELLING = 0, 1

_accepts = compiled(crossing.accepts)
_buyer_quantity_w = compiled(crossing.buyer_quantity_w)
_seller_quantity_w = compiled(crossing.seller_quantity_w)
_fills_buy = compiled(crossing.fills_buy)
_fills_sell = compiled(crossing.fills_sell)


@dataclass(frozen=True, eq=False)
class OrderStream:
    """Orders in order of arrival; an order's number is its index. Every array has shape `(orders,)`.

    `bucket` and `organisation` are any integers, `buys` is true for a BUY, prices are minor units per MWh,
    quantities watts, `time_in_force` an index into `FORCES`. Out-of-range values raise BadInput.
    """

    bucket: Ints
    buys: NDArray[np.bool_]
    price_minor: Ints
    ppm: Ints
    organisation: Ints
    quantity_w: Ints
    minimum_w: Ints
    time_in_force: Ints

    def __post_init__(self) -> None:
        lengths = {field.name: len(getattr(self, field.name)) for field in fields(self)}
        if len(set(lengths.values())) > 1:
            raise BadInput([Finding("orders", 0, "", f"columns differ in length: {lengths}", "one value per order")])
        ranges = (
            ("price_minor", self.price_minor, -PRICE_LIMIT_MINOR, PRICE_LIMIT_MINOR),
            ("ppm", self.ppm, 1, IMPACT_LIMIT_PPM),
            ("quantity_w", self.quantity_w, 1, QUANTITY_LIMIT_W),
            ("minimum_w", self.minimum_w, 0, self.quantity_w),
            ("time_in_force", self.time_in_force, 0, len(FORCES) - 1),
        )
        findings = [
            Finding(
                "orders",
                int(row) + 1,
                name,
                f"{values[row]} is out of range",
                f"{low} to {np.broadcast_to(high, values.shape)[row]}",
            )
            for name, values, low, high in ranges
            for row in np.flatnonzero((values < low) | (values > high))
        ]
        if findings:
            raise BadInput(findings)

    def __len__(self) -> int:
        return len(self.bucket)


@dataclass(frozen=True, eq=False)
class StreamTrades:
    """Trades in order of the incoming order's arrival, then of meeting, shape `(trades,)`; and what is left.

    `buy` and `sell` are numbers; each side's quantity is in watts of its own resource; `price_minor` is the
    resting order's; `rest_w`, shape `(orders,)`, is what was not executed, killed or not.
    """

    buy: Ints
    sell: Ints
    quantity_buy_w: Ints
    quantity_sell_w: Ints
    price_minor: Ints
    resting_sells: NDArray[np.bool_]
    rest_w: Ints

    def __len__(self) -> int:
        return len(self.buy)


class _Bucket(NamedTuple):
    """Working arrays of one bucket: `nodes[k]` is the resting order `orders[k]`, `fills` the plan of an arrival.

    A fill is (resting order, own watts, its watts); `roots` are those of the BUY and the SELL tree.
    """

    orders: Ints
    nodes: Ints
    roots: Ints
    fills: Ints


@compiled
def _need(order: Ints, rest_w: int) -> int:
    """The capacity below which a resting order cannot move a whole watt with this incoming one."""
    return int(order[_WEIGHT]) if order[_BUYS] else int(-rest_w * order[_WEIGHT])


@compiled
def _capacity(order: Ints) -> int:
    return int(-order[_WEIGHT]) if order[_BUYS] else int(order[_REST] * order[_WEIGHT])


@compiled
def _trade(order: Ints, rest_w: int, other: Ints) -> tuple[int, int]:
    """The largest trade of an incoming and a resting order: own watts, the other's watts."""
    if order[_BUYS]:
        buyer_w = _buyer_quantity_w(rest_w, order[_WEIGHT], other[_REST], other[_WEIGHT])
        return buyer_w, _seller_quantity_w(buyer_w, order[_WEIGHT], other[_WEIGHT])
    buyer_w = _buyer_quantity_w(other[_REST], other[_WEIGHT], rest_w, order[_WEIGHT])
    return _seller_quantity_w(buyer_w, other[_WEIGHT], order[_WEIGHT]), buyer_w


@compiled
def _plan(bucket: _Bucket, number: int) -> tuple[int, int]:
    """Fill `bucket.fills` with what an arrival would trade; how many fills, and what would remain in watts."""
    order = bucket.orders[number]
    rest_w = order[_REST]
    count = 0
    root = bucket.roots[_SELLING if order[_BUYS] else _BUYING]
    node = first_match(bucket.nodes, root, order[_LIMIT], order[_PPM], _need(order, rest_w))
    while node != NONE:
        other = bucket.orders[node]
        own_w, its_w = _trade(order, rest_w, other)
        if other[_ORGANISATION] != order[_ORGANISATION] and _accepts(other[_EXECUTED], other[_MINIMUM], its_w):
            bucket.fills[count, 0] = node
            bucket.fills[count, 1] = own_w
            bucket.fills[count, 2] = its_w
            count += 1
            rest_w -= own_w
        if rest_w == 0:
            break
        node = next_match(bucket.nodes, node, order[_LIMIT], order[_PPM], _need(order, rest_w))
    return count, rest_w


@compiled
def _stands(bucket: _Bucket, number: int, count: int, rest_w: int) -> bool:
    """Whether the arrival accepts its plan: its minimum is reached and, if FOK, it is filled."""
    order = bucket.orders[number]
    if count == 0 or not _accepts(0, order[_MINIMUM], order[_REST] - rest_w):
        return False
    if order[_FORCE] != _FOK:
        return True
    if order[_BUYS]:
        return bool(_fills_buy(rest_w))
    last = bucket.fills[count - 1, 0]
    return bool(_fills_sell(rest_w, order[_WEIGHT], bucket.orders[last, _WEIGHT]))


@compiled
def _commit(bucket: _Bucket, number: int, count: int) -> None:
    """Move the planned watts, and take the filled resting orders out."""
    side = _SELLING if bucket.orders[number, _BUYS] else _BUYING
    for node, own_w, its_w in bucket.fills[:count]:
        bucket.orders[number, _REST] -= own_w
        bucket.orders[number, _EXECUTED] += own_w
        other = bucket.orders[node]
        other[_REST] -= its_w
        other[_EXECUTED] += its_w
        if other[_REST] == 0:
            bucket.roots[side] = remove(bucket.nodes, bucket.roots[side], node)
        else:
            bucket.nodes[node, CAPACITY] = _capacity(other)
            refresh(bucket.nodes, node)


@compiled
def _rest(bucket: _Bucket, number: int, by_price: bool) -> None:
    order = bucket.orders[number]
    side = _BUYING if order[_BUYS] else _SELLING
    node = bucket.nodes[number]
    node[NUMBER] = number
    node[PRICE] = -order[_LIMIT]
    node[PPM] = order[_PPM]
    node[CAPACITY] = _capacity(order)
    bucket.roots[side] = insert(bucket.nodes, bucket.roots[side], number, by_price)


@compiled
def _arrive(bucket: _Bucket, number: int, by_price: bool) -> int:
    """Match one order and let it rest; how many of `bucket.fills` have become trades."""
    count, rest_w = _plan(bucket, number)
    if _stands(bucket, number, count, rest_w):
        _commit(bucket, number, count)
    else:
        count = 0
    if bucket.orders[number, _FORCE] == _DAY and bucket.orders[number, _REST] > 0:
        _rest(bucket, number, by_price)
    return count


@compiled
def _with_room(trades: Ints, used: int, count: int) -> Ints:
    if used + count <= len(trades):
        return trades
    larger = np.empty((2 * (used + count), 4), dtype=np.int64)
    larger[:used] = trades[:used]
    return larger


@compiled
def _match_bucket(bucket: _Bucket, rows: Ints, trades: Ints, used: int, by_price: bool) -> tuple[Ints, int]:
    """Match the orders of one bucket, appending to `trades`; they and how many are used."""
    bucket.roots[:] = NONE
    for number, row in enumerate(rows):
        count = _arrive(bucket, number, by_price)
        trades = _with_room(trades, used, count)
        for node, own_w, its_w in bucket.fills[:count]:
            trades[used, 0] = row
            trades[used, 1] = rows[node]
            trades[used, 2] = own_w
            trades[used, 3] = its_w
            used += 1
    return trades, used


@compiled
def _match(table: Ints, by_bucket: Ints, starts: Ints, by_price: bool) -> Ints:
    """Match all orders and leave what remains in `table`; trades as (incoming, resting, its watts, the resting's).

    Each bucket is copied out first: its orders lie far apart in the table.
    """
    largest = np.diff(starts).max()
    orders = np.empty((largest, table.shape[1]), dtype=np.int64)
    nodes = np.empty((largest, FIELDS), dtype=np.int64)
    fills = np.empty((largest, 3), dtype=np.int64)
    bucket = _Bucket(orders, nodes, np.empty(2, dtype=np.int64), fills)
    trades = np.empty((len(table), 4), dtype=np.int64)
    used = 0
    for index, start in enumerate(starts[:-1]):
        rows = by_bucket[start : starts[index + 1]]
        for number, row in enumerate(rows):
            orders[number] = table[row]
        trades, used = _match_bucket(bucket, rows, trades, used, by_price)
        for number, row in enumerate(rows):
            table[row, _REST] = orders[number, _REST]
    return trades[:used]


@compiled
def _interleaved(columns: tuple[Ints, ...]) -> Ints:
    """The columns as one table `(orders, columns)`, so that an order is read at one place."""
    table = np.empty((len(columns[0]), len(columns)), dtype=np.int64)
    for row in range(len(table)):
        for index, column in enumerate(columns):
            table[row, index] = column[row]
    return table


def _columns(orders: OrderStream, exchange: Exchange) -> tuple[Ints, ...]:
    """What the kernels need of each order, in the order of the column numbers."""
    columns = {
        _BUYS: orders.buys.astype(np.int64),
        _LIMIT: np.where(orders.buys, orders.price_minor, -orders.price_minor),
        _PPM: orders.ppm,
        _WEIGHT: orders.ppm if exchange is Exchange.NEUTRAL else np.full(len(orders), crossing.weight(exchange, 1)),
        _ORGANISATION: orders.organisation,
        _MINIMUM: orders.minimum_w,
        _FORCE: orders.time_in_force,
        _REST: orders.quantity_w,
        _EXECUTED: np.zeros(len(orders), dtype=np.int64),
    }
    return tuple(np.ascontiguousarray(columns[index], dtype=np.int64) for index in sorted(columns))


def _by_bucket(bucket: Ints) -> tuple[Ints, Ints]:
    """Rows sorted by bucket, then arrival, and where each bucket starts (with the end as last)."""
    lowest = bucket.min(initial=0)
    narrow = bucket.max(initial=0) - lowest < 2**16
    rows = np.argsort((bucket - lowest).astype(np.uint16) if narrow else bucket, kind="stable")
    changes = np.flatnonzero(np.diff(bucket[rows])) + 1
    return rows, np.concatenate(([0], changes, [len(bucket)])).astype(np.int64)


def match_stream(orders: OrderStream, priority: Priority, exchange: Exchange) -> StreamTrades:
    """Match every order on arrival, in all buckets. O(n log n) time apart from skipped candidates, O(n) memory.

    Skipped candidates are those of the same organisation or with a minimum above the fill.
    """
    by_bucket, starts = _by_bucket(orders.bucket)
    table = _interleaved(_columns(orders, exchange))
    rows = _match(table, by_bucket, starts, priority is Priority.PRICE_TIME)
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    incoming, resting = rows[:, 0], rows[:, 1]
    buys = orders.buys[incoming]
    return StreamTrades(
        buy=np.where(buys, incoming, resting),
        sell=np.where(buys, resting, incoming),
        quantity_buy_w=np.where(buys, rows[:, 2], rows[:, 3]),
        quantity_sell_w=np.where(buys, rows[:, 3], rows[:, 2]),
        price_minor=orders.price_minor[resting],
        resting_sells=buys,
        rest_w=table[:, _REST].copy(),
    )
