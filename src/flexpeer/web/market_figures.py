"""What was offered, traded and refused: quantities per zone and MTU, trades in order of arrival, refusals by place."""

from collections import Counter
from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

from markupsafe import Markup

from flexpeer.app.outcome import DayOutcome
from flexpeer.market.orders import Side
from flexpeer.market.trades import Phase, Trade
from flexpeer.quantities import MINOR_PER_MAJOR
from flexpeer.web.figures import (
    Figure,
    Frame,
    Key,
    axes,
    band,
    drawing,
    frame_for,
    path,
    rect,
    shortened,
    text,
    tooltip,
)
from flexpeer.web.wording import RESOURCE_SIDE, Clock, counted, number, power, unit_for

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


def book_figures(outcome: DayOutcome, clock: Clock) -> list[Figure]:
    """Offered and traded quantities of each of the zones with most orders."""
    books = _books(outcome)
    ranked = sorted(books, key=lambda zone: (-sum(books[zone].sell_offered) - sum(books[zone].buy_offered), zone))
    return [_book_figure(zone, books[zone], clock) for zone in ranked[:ZONES_SHOWN]]


def _books(outcome: DayOutcome) -> dict[str, _Book]:
    count = outcome.scenario.day.mtu_count
    books: dict[str, _Book] = {}
    for order in outcome.state.orders.orders.values():
        book = books.setdefault(order.zone, _Book(*([0] * count for _ in range(4))))
        row = book.buy_offered if order.side is Side.BUY else book.sell_offered
        for mtu in order.span.mtus:
            row[mtu] += order.quantity_w
    for trade in outcome.state.trades.trades.values():
        book = books.setdefault(trade.zone, _Book(*([0] * count for _ in range(4))))
        for order_id, acts, quantity_w in trade.leg.parties:
            side = outcome.state.orders.orders[order_id].side
            row = book.buy if side is Side.BUY else book.sell
            for mtu in trade.leg.span.mtus:
                row[mtu] += quantity_w if acts is side else -quantity_w
    return books


def _book_figure(zone: str, book: _Book, clock: Clock) -> Figure:
    unit = unit_for([*book.sell_offered, *book.buy_offered])
    sell_offered, sell, buy_offered, buy = ([unit.of(w) for w in row] for row in book)
    zero = [0.0] * len(sell)
    frame = frame_for(len(sell), [*sell_offered, *(-w for w in buy_offered)], height=230.0, mirrored=True)
    svg = drawing(
        [
            axes(frame, clock, unit.name),
            path(band(frame, zero, sell_offered), "sell-offered"),
            path(band(frame, zero, sell), "sell"),
            path(band(frame, [-w for w in buy_offered], zero), "buy-offered"),
            path(band(frame, [-w for w in buy], zero), "buy"),
        ],
        frame.height,
        f"Order book of {zone}, {RESOURCE_SIDE}: at most {power(max(book.sell_offered))} offered and "
        f"{power(max(book.buy_offered))} wanted in one MTU; at most {power(max(book.buy))} bought.",
    )
    series = [["SELL offered", sell_offered], ["SELL traded", sell], ["BUY wanted", buy_offered], ["BUY traded", buy]]
    readout = {"unit": unit.name, "left": frame.left, "width": frame.inner, "series": series}
    note = "A DSO's own purchase counts as BUY with the relief it buys, which is grid side."
    return Figure(f"Orders and trades at {zone}", RESOURCE_SIDE, svg, note, BOOK_LEGEND, readout)


def trade_figure(outcome: DayOutcome, clock: Clock) -> Figure | None:
    """Every trade as a dot: order of arrival, price, and quantity as its area."""
    trades = trades_in_order(outcome)
    if not trades:
        return None
    shown = trades[:: -(-len(trades) // TRADES_SHOWN)]
    zones = {zone: f"z{n % ZONE_COLOURS}" for n, (zone, _) in enumerate(Counter(t.zone for t in trades).most_common())}
    prices = [trade.leg.price_minor / MINOR_PER_MAJOR for trade in trades]
    frame = frame_for(len(trades) + 1, prices, height=260.0)
    largest = max(map(_size_w, trades))
    currency = outcome.scenario.currency
    place = {trade.trade: n for n, trade in enumerate(trades, 1)}
    dots = [
        _dot(frame, trade, place[trade.trade], (zones[trade.zone], largest, _told(trade, clock, currency)))
        for trade in shown
    ]
    label = (
        f"{counted(len(trades), 'trade')} in order of arrival by price: {number(min(prices))} to "
        f"{number(max(prices))} {currency}/MWh, the largest {power(largest)} {RESOURCE_SIDE}."
    )
    parts = [axes(frame, None, f"{currency}/MWh"), *_arrivals(frame, len(trades)), *dots]
    sampled = f" Every {-(-len(trades) // TRADES_SHOWN)}th is drawn." if len(shown) < len(trades) else ""
    keys = [Key(css, "dot", zone) for zone, css in list(zones.items())[:ZONE_COLOURS]]
    if any(trade.phase is Phase.PURCHASE for trade in trades):
        keys.append(Key("purchase", "dot", "ringed: a DSO's purchase after the gate"))
    cleared = any(trade.phase is Phase.CLEARING for trade in trades)
    of_node = ", in the clearing that of the order's place" if cleared else ""
    note = label + f" The price is the resting order's{of_node}; a dot's area is its quantity." + sampled
    return Figure("Trades in order of arrival", RESOURCE_SIDE, drawing(parts, frame.height, label), note, tuple(keys))


def _arrivals(frame: Frame, count: int) -> list[Markup]:
    marks = sorted({1, *(round(count * k / 4) for k in range(1, 5)), count} - {0})
    base = frame.height - frame.bottom
    return [text(frame.x(n), base + 17, f"no. {number(n, 0)}", "tick", "middle") for n in marks]


def _dot(frame: Frame, trade: Trade, place: int, look: tuple[str, int, str]) -> Markup:
    css, largest, told = look
    radius = round(max(1.8, 11 * sqrt(_size_w(trade) / max(largest, 1))), 1)
    ring = " purchase" if trade.phase is Phase.PURCHASE else ""
    y = frame.y(trade.leg.price_minor / MINOR_PER_MAJOR)
    return Markup('<circle cx="{}" cy="{}" r="{}" class="trade {}{}">{}</circle>').format(
        frame.x(place), y, radius, css, ring, tooltip(told)
    )


def _size_w(trade: Trade) -> int:
    """What the buyer moves; in the clearing what the one order does."""
    return max(party.quantity_w for party in trade.leg.parties if party.acts is Side.BUY or len(trade.leg.parties) == 1)


def _told(trade: Trade, clock: Clock, currency: str) -> str:
    leg = trade.leg
    when = f"{clock.at(leg.span.first)}–{clock.at(leg.span.end)}"
    price = f"{number(leg.price_minor / MINOR_PER_MAJOR)} {currency}/MWh"
    buyer, seller = (party or "the pool" for party in (trade.buyer, trade.seller))
    return f"{trade.trade} {when}: {buyer} buys {power(_size_w(trade))} from {seller} at {price}"


def refusal_figure(outcome: DayOutcome, clock: Clock) -> Figure | None:
    """Where and when the grid refused or reduced matches: a row per element, darker for more."""
    by_grid = [r for r in outcome.refusals if r.by_grid and r.mtu is not None]
    if not by_grid:
        return None
    places = Counter((r.element, r.owner) for r in by_grid)
    cells = Counter((r.element, r.mtu) for r in by_grid)
    rows = sorted(places, key=lambda place: (-places[place], place))[:PLACES_SHOWN]
    height = 34.0 + 22.0 * len(rows)
    frame = Frame(clock.day.mtu_count, 0.0, 1.0, height, left=210.0, top=8.0)
    parts = [axes(frame, clock, "")]
    most = max(cells.values())
    for n, (element, owner) in enumerate(rows):
        y = 8.0 + 22.0 * n
        parts.append(text(frame.left - 8, y + 13, shortened(element, 28), "name", "end"))
        parts.append(rect((frame.left, y, frame.inner, 18.0), "lane"))
        here: list[tuple[int, int]] = [(m, c) for (e, m), c in cells.items() if e == element and m is not None]
        for mtu, count in sorted(here):
            shade = f"heat h{min(4, 1 + 4 * (count - 1) // max(most, 1))}"
            box = (frame.x(mtu), y, frame.x(mtu + 1) - frame.x(mtu), 18.0)
            parts.append(rect(box, shade, f"{element} ({owner}), {clock.during(mtu)}: {count}"))
    label = f"{counted(len(by_grid), 'match', 'matches')} refused or reduced by the grid, by binding element and MTU."
    note = f"{label} Darkest: {number(most, 0)} in one MTU. {_fullest(rows, places)}"
    return Figure("What the grid refused, where and when", "count of matches", drawing(parts, height, label), note)


def _fullest(rows: Sequence[tuple[str, str]], places: Counter[tuple[str, str]]) -> str:
    element, owner = rows[0]
    left_out = len(places) - len(rows)
    more = f" {counted(left_out, 'element')} with fewer not drawn." if left_out else ""
    return f"Most at {element} ({owner}): {number(places[rows[0]], 0)}.{more}"
