"""How fast orders are matched: the compiled stream at two sizes and both priorities, and the naive book.

The stream is made from a seed: three zones of 96 MTUs, a mid price that wanders, 60 % of the orders priced
to rest behind it and 40 % priced through it, 30 organisations, impact factors of 0.6 to 1, a tenth with a
minimum acceptance, a few fill-and-kill and fill-or-kill. Each measurement runs in a process of its own, so
that its peak memory is its own; that peak includes the interpreter and the stream.
"""

import resource
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np

from flexpeer import __version__
from flexpeer.errors import bad_input
from flexpeer.market.matching.naive import NaiveOrder, naive_stream
from flexpeer.market.matching.stream import FORCES, OrderStream, StreamTrades, match_stream
from flexpeer.market.orders import Side
from flexpeer.market.rulebook import Exchange, Priority

Row = dict[str, str | int | float | bool | None]

_MTUS, _ZONES, _ORGANISATIONS = 96, 3, 30
_MID_MINOR, _SPREAD_MINOR = 30_000, 2_000
_REPEATS = 5
_SMALLER = 10
_NAIVE_ORDERS = 20_000
_SEED = 1


def order_stream(orders: int, seed: int) -> OrderStream:
    """A market's day of orders, the same for the same seed."""
    rng = np.random.default_rng(seed)
    buys = rng.random(orders) < 0.5
    ppm = rng.integers(600_000, 1_000_001, orders)
    mid_minor = _MID_MINOR + np.cumsum(rng.normal(0.0, _SPREAD_MINOR / np.sqrt(max(orders, 1)), orders))
    behind_minor = rng.exponential(_SPREAD_MINOR, orders) * np.where(rng.random(orders) < 0.6, 1, -1)
    grid_price = mid_minor + np.where(buys, -behind_minor, behind_minor)
    quantity_w = rng.integers(1_000, 500_000, orders)
    minimum_w = np.where(rng.random(orders) < 0.1, (quantity_w * rng.random(orders)).astype(np.int64), 1)
    return OrderStream(
        bucket=rng.integers(0, _MTUS * _ZONES, orders),
        buys=buys,
        price_minor=np.rint(grid_price * ppm / 1_000_000).astype(np.int64),
        ppm=ppm,
        organisation=rng.integers(0, _ORGANISATIONS, orders),
        quantity_w=quantity_w,
        minimum_w=minimum_w,
        time_in_force=rng.choice(len(FORCES), orders, p=(0.93, 0.05, 0.02)),
    )


def naive_orders(stream: OrderStream) -> list[NaiveOrder]:
    """The same orders for the naive book."""
    return [
        NaiveOrder(
            bucket=int(stream.bucket[number]),
            side=Side.BUY if stream.buys[number] else Side.SELL,
            price_minor=int(stream.price_minor[number]),
            ppm=int(stream.ppm[number]),
            organisation=int(stream.organisation[number]),
            quantity_w=int(stream.quantity_w[number]),
            minimum_w=int(stream.minimum_w[number]),
            time_in_force=FORCES[stream.time_in_force[number]],
        )
        for number in range(len(stream))
    ]


def trade_table(trades: StreamTrades) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Trades as rows of (buy, sell, buyer's watts, seller's watts, price, whether the SELL rested)."""
    return np.column_stack(
        (
            trades.buy,
            trades.sell,
            trades.quantity_buy_w,
            trades.quantity_sell_w,
            trades.price_minor,
            trades.resting_sells.astype(np.int64),
        )
    )


@dataclass(frozen=True)
class _Measured:
    seconds: float
    peak_memory_bytes: int
    trades: int
    identical: bool | None = None


def _peak_memory_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _run_compiled(orders: int, priority: Priority) -> _Measured:
    """Median of `_REPEATS` runs on a stream in memory, the kernels being compiled before."""
    stream = order_stream(orders, _SEED)
    match_stream(order_stream(1_000, _SEED), priority, Exchange.NEUTRAL)
    seconds = []
    for _ in range(_REPEATS):
        started = time.perf_counter()
        trades = match_stream(stream, priority, Exchange.NEUTRAL)
        seconds.append(time.perf_counter() - started)
    return _Measured(statistics.median(seconds), _peak_memory_bytes(), len(trades))


def _run_naive(orders: int, priority: Priority) -> _Measured:
    """One run of the oracle, and whether the compiled stream gives the same trades and rests."""
    stream = order_stream(orders, _SEED)
    listed = naive_orders(stream)
    started = time.perf_counter()
    trades, rest_w = naive_stream(listed, priority, Exchange.NEUTRAL)
    seconds = time.perf_counter() - started
    peak = _peak_memory_bytes()
    ours = match_stream(stream, priority, Exchange.NEUTRAL)
    theirs = np.array([(*trade[:5], trade.resting is Side.SELL) for trade in trades], dtype=np.int64).reshape(-1, 6)
    identical = np.array_equal(trade_table(ours), theirs) and np.array_equal(ours.rest_w, rest_w)
    return _Measured(seconds, peak, len(trades), identical)


def _alone(run: Callable[[int, Priority], _Measured], orders: int, priority: Priority) -> _Measured:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(run, orders, priority).result()


def _row(case: str, engine: str, orders: int, measured: _Measured, ours_s: float) -> Row:
    row: Row = {
        "case": case,
        "engine": engine,
        "version": __version__,
        "per_second": round(orders / measured.seconds),
        "median_s": measured.seconds,
        "ratio_to_ours": measured.seconds / ours_s,
        "peak_memory_bytes": measured.peak_memory_bytes,
        "orders": orders,
        "trades": measured.trades,
    }
    if measured.identical is not None:
        row["identical_trades"] = measured.identical
    return row


def _case_rows(priority: Priority, orders: int, naive: bool) -> list[Row]:
    case = f"{priority.value}, {orders:,} orders"
    ours = _alone(_run_compiled, orders, priority)
    rows = [_row(case, "flexpeer", orders, ours, ours.seconds)]
    if naive:
        rows.append(_row(case, "naive book", orders, _alone(_run_naive, orders, priority), ours.seconds))
    return rows


def cases(orders: int = 1_000_000) -> dict[str, tuple[Priority, int, bool]]:
    """The cases by name: priority, number of orders, and whether the naive book runs too.

    In `price_time` the naive book runs at the full size; by `time` it is quadratic in a bucket, so only at
    the small one.
    """
    chosen = [
        (Priority.PRICE_TIME, orders // _SMALLER, False),
        (Priority.PRICE_TIME, orders, True),
        (Priority.TIME, min(_NAIVE_ORDERS, orders), True),
        (Priority.TIME, orders // _SMALLER, False),
        (Priority.TIME, orders, False),
    ]
    return {f"{priority.value}, {size:,} orders": (priority, size, naive) for priority, size, naive in chosen}


def rows(orders: int = 1_000_000, case: str | None = None) -> list[Row]:
    """Measure every case, or one; our row of the largest size has `growth`, its time over that of a tenth.

    BadInput names the cases when `case` is not one of them.
    """
    known = cases(orders)
    if case is not None and case not in known:
        raise bad_input("bench matching", f"no case {case!r}", "; ".join(known), field="case")
    result: list[Row] = []
    smaller_s: dict[Priority, float] = {}
    for name, (priority, size, naive) in known.items():
        if case not in (None, name):
            continue
        measured = _case_rows(priority, size, naive)
        ours_s = float(measured[0]["median_s"] or 0.0)
        if size == orders // _SMALLER:
            smaller_s[priority] = ours_s
        if size == orders and priority in smaller_s:
            measured[0]["growth"] = ours_s / smaller_s[priority]
        result.extend(measured)
    return result
