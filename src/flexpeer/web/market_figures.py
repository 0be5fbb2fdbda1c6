"""What was offered, traded and refused: quantities per zone and MTU, trades in order of arrival, refusals by place."""

from collections import Counter
from collections.abc import Iterator, Sequence
from math import sqrt
from typing import NamedTuple

from markupsafe import Markup

from flexpeer.app.views.outcome import DayOutcome
from flexpeer.market.orders import Order, Side
from flexpeer.market.trades import Phase, Trade
from flexpeer.quantities import MINOR_PER_MAJOR
from flexpeer.web.figures import (
    LETTER,
    WIDE,
    Canvas,
    Cell,
    Figure,
    Frame,
    Key,
    Lane,
    axes,
    band,
    both,
    drawing,
    frame_for,
    lane_chart,
    path,
    text,
)
from flexpeer.web.wording import RESOURCE_SIDE, LocalClock, counted, number, power, unit_for

ZONES_SHOWN = 8
TRADES_SHOWN = 3_000
PLACES_SHOWN = 16
ZONE_COLOURS = 5

BOOK_LEGEND = (
    Key("sell-offered", "area", "SELL offered, above the line"),
    Key("sell", "area", "SELL traded"),
    Key("buy-offered", "area", "BUY wanted, below the line"),
    Key("buy", "area", "BUY traded"),
)


class _Book(NamedTuple):
    """Watts per MTU of one zone."""

    sell_offered: list[int]
    sell: list[int]
    buy_offered: list[int]
    buy: list[int]


def trades_in_order(outcome: DayOutcome) -> list[Trade]:
    """Trades in the order of the log."""
    return sorted(outcome.state.trades.trades.values(), key=lambda t: (t.match, len(t.trade), t.trade))


def book_figures(outcome: DayOutcome, clock: LocalClock) -> list[Figure]:
    """Offered and traded quantities of the books with most orders.

    Orders that name a congestion point have one book for each, those that name none one for each regulation that
    relieves; what an order traded counts where it was offered.
    """
    books = _books(outcome)
    ranked = sorted(books, key=lambda name: (-sum(books[name].sell_offered) - sum(books[name].buy_offered), name))
    return [_book_figure(name, books[name], clock) for name in ranked[:ZONES_SHOWN]]


def _books(outcome: DayOutcome) -> dict[str, _Book]:
    count, orders = outcome.scenario.day.mtu_count, outcome.state.orders.orders
    books: dict[str, _Book] = {}
    for order in orders.values():
        book = books.setdefault(_book_name(order), _Book(*([0] * count for _ in range(4))))
        row = book.buy_offered if order.side is Side.BUY else book.sell_offered
        for mtu in order.span.mtus:
            row[mtu] += order.quantity_w
    for trade in outcome.state.trades.trades.values():
        for order_id, acts, quantity_w in trade.leg.parties:
            order = orders[order_id]
            book = books[_book_name(order)]
            row = book.buy if order.side is Side.BUY else book.sell
            for mtu in trade.leg.span.mtus:
                row[mtu] += quantity_w if acts is order.side else -quantity_w
    return books


def _book_name(order: Order) -> str:
    relieved_by = order.regulation if order.side is Side.SELL else order.regulation.opposite
    return order.zone or f"all points that {relieved_by} relieves"


def _book_figure(name: str, book: _Book, clock: LocalClock) -> Figure:
    unit = unit_for([*book.sell_offered, *book.buy_offered])
    sell_offered, sell, buy_offered, buy = ([unit.of(w) for w in row] for row in book)
    zero = [0.0] * len(sell)
    label = (
        f"Order book of {name}, {RESOURCE_SIDE}: at most {power(max(book.sell_offered))} offered and "
        f"{power(max(book.buy_offered))} wanted in one MTU; at most {power(max(book.buy))} bought."
    )

    def draw(canvas: Canvas) -> Markup:
        values = [*sell_offered, *(-w for w in buy_offered)]
        frame = frame_for(canvas, len(sell), values, height=230.0, mirrored=True)
        parts = [
            axes(frame, clock, unit.name),
            path(band(frame, zero, sell_offered), "sell-offered"),
            path(band(frame, zero, sell), "sell"),
            path(band(frame, [-w for w in buy_offered], zero), "buy-offered"),
            path(band(frame, [-w for w in buy], zero), "buy"),
        ]
        return drawing(parts, canvas, frame.height, label, frame)

    series = [["SELL offered", sell_offered], ["SELL traded", sell], ["BUY wanted", buy_offered], ["BUY traded", buy]]
    readout = {"unit": unit.name, "series": series}
    note = "A DSO's own purchase counts as BUY with the relief it buys, which is grid side."
    return Figure(f"Orders and trades at {name}", RESOURCE_SIDE, both(draw), note, BOOK_LEGEND, readout)


def trade_figure(outcome: DayOutcome) -> Figure | None:
    """Every trade as a dot: order of arrival, price, and quantity as its area."""
    trades = trades_in_order(outcome)
    if not trades:
        return None
    zones = {zone: f"z{n % ZONE_COLOURS}" for n, (zone, _) in enumerate(Counter(t.zone for t in trades).most_common())}
    prices = [trade.leg.price_minor / MINOR_PER_MAJOR for trade in trades]
    currency = outcome.scenario.currency
    label = (
        f"{counted(len(trades), 'trade')} in order of arrival by price: {number(min(prices))} to "
        f"{number(max(prices))} {currency}/MWh, the largest {power(max(map(_size_w, trades)))} {RESOURCE_SIDE}."
    )

    def draw(canvas: Canvas) -> Markup:
        frame = frame_for(canvas, len(trades) + 1, prices, height=260.0)
        parts = [axes(frame, None, f"{currency}/MWh"), *_arrivals(frame, len(trades))]
        return drawing([*parts, *_dots(frame, trades, zones)], canvas, frame.height, label)

    step = -(-len(trades) // TRADES_SHOWN)
    of_node = ", in the clearing that of the order's place" if any(t.phase is Phase.CLEARING for t in trades) else ""
    note = label + f" The price is the resting order's{of_node}; a dot's area is its quantity."
    note += f" Every {step}th is drawn." if step > 1 else ""
    keys = [Key(css, "dot", zone) for zone, css in list(zones.items())[:ZONE_COLOURS]]
    if any(trade.phase is Phase.PURCHASE for trade in trades):
        keys.append(Key("purchase", "dot", "ringed: a DSO's purchase after the gate"))
    return Figure("Trades in order of arrival", RESOURCE_SIDE, both(draw), note, tuple(keys))


def _arrivals(frame: Frame, count: int) -> list[Markup]:
    marks = sorted({1, *(round(count * k / 4) for k in range(1, 5)), count} - {0})
    base, room = frame.height - frame.bottom, LETTER * len(f"no. {count}") + 8
    kept = [n for n in marks if frame.x(count) - frame.x(n) >= room or n == count]
    return [
        text(
            *((frame.canvas.width, base + 17) if n == count else (frame.x(n), base + 17)),
            f"no. {number(n, 0)}",
            "tick",
            "end" if n == count else "middle",
        )
        for n in kept
    ]


def _dots(frame: Frame, trades: Sequence[Trade], zones: dict[str, str]) -> Iterator[Markup]:
    largest = max(1, *map(_size_w, trades))
    step = -(-len(trades) // (TRADES_SHOWN if frame.canvas is WIDE else TRADES_SHOWN // 4))
    for place, trade in list(enumerate(trades, 1))[::step]:
        radius = round(max(1.8, 11 * sqrt(_size_w(trade) / largest)), 1)
        ring = " purchase" if trade.phase is Phase.PURCHASE else ""
        yield Markup('<circle cx="{}" cy="{}" r="{}" class="trade {}{}"></circle>').format(
            frame.x(place), frame.y(trade.leg.price_minor / MINOR_PER_MAJOR), radius, zones[trade.zone], ring
        )


def _size_w(trade: Trade) -> int:
    """What the buyer moves; in the clearing what the one order does."""
    return max(party.quantity_w for party in trade.leg.parties if party.acts is Side.BUY or len(trade.leg.parties) == 1)


def refusal_figure(outcome: DayOutcome, clock: LocalClock) -> Figure | None:
    """Where and when the grid refused or reduced matches: a row per element, darker for more."""
    by_grid = [r for r in outcome.refusals if r.by_grid and r.mtu is not None]
    if not by_grid:
        return None
    places = Counter((r.element, r.owner) for r in by_grid)
    cells = Counter((r.element, r.mtu) for r in by_grid)
    rows = sorted(places, key=lambda place: (-places[place], place))[:PLACES_SHOWN]
    most = max(cells.values())
    lanes = [_lane(place, cells, most, clock) for place in rows]
    label = f"{counted(len(by_grid), 'match', 'matches')} refused or reduced by the grid, by binding element and MTU."
    note = f"{label} Darkest: {number(most, 0)} in one MTU. {_fullest(rows, places)}"
    drawings = both(lambda canvas: lane_chart(canvas, clock, lanes, label))
    return Figure("What the grid refused, where and when", "count of matches", drawings, note)


def _lane(place: tuple[str, str], cells: Counter[tuple[str, int | None]], most: int, clock: LocalClock) -> Lane:
    here = sorted((mtu, count) for (element, mtu), count in cells.items() if element == place[0] and mtu is not None)
    return Lane(
        place[0],
        [
            Cell(
                mtu,
                mtu + 1,
                f"heat h{min(4, 1 + 4 * (n - 1) // most)}",
                f"{place[0]} ({place[1]}), {clock.during(mtu)}: {n}",
            )
            for mtu, n in here
        ],
    )


def _fullest(rows: Sequence[tuple[str, str]], places: Counter[tuple[str, str]]) -> str:
    element, owner = rows[0]
    left_out = len(places) - len(rows)
    more = f" {counted(left_out, 'element')} with fewer not drawn." if left_out else ""
    return f"Most at {element} ({owner}): {number(places[rows[0]], 0)}.{more}"
