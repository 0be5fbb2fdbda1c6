"""The demo's order flow: who offers or asks for what, in order of arrival, drawn from a seed.

Each trader quotes a window in blocks of one or more MTUs. A block is divided into steps whose quantities add up to no
more than the room between plan (with curtailment executed) and range, except where an order is meant to be refused.
"""

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from msgspec.structs import replace

from flexpeer.app.scenario import OrderRow, Profile
from flexpeer.periods import MarketDay, Span
from flexpeer.quantities import MINOR_PER_MAJOR
from flexpeer.simulation.demo_participants import NORTH, PORTFOLIOS, STRAINED_FEEDER, PlannedUnit

Rooms = tuple[int, ...]
TICK_W = 1_000
SMALLEST_W = 2_000
EXPORT_HOURS, IMPORT_HOURS = range(7, 16), range(15, 21)
WIND_BIDS, CAR_BIDS, EVENING_ASKS = (270, 450), (700, 1_900), (300, 1_000)
DAY_BLOCKS_MTUS = ((4,), (4,), (4,), (4,), (4,), (8,), (2, 2), (2, 1, 1))
EVENING_BLOCKS_MTUS = ((4,), (2, 2), (1, 1, 1, 1), (1, 1, 1, 1))
SELLING_HOURS, STORAGE_HOURS = 6, 5
OFFERED_SHARE = (0.40, 0.75)
WHOLLY_OFFERED_W = 150_000
EVENING_SHARE, PORTFOLIO_SHARE, PORTFOLIO_ASKS = 0.6, 0.85, (100, 240)


class Quote(NamedTuple):
    """What a trader offers: its room per MTU (W), the hours it is there, and its price range.

    Where the maintenance is, it names no point (`zone` None).
    """

    trader: str
    storage: bool
    zone: str | None
    side: str
    room_w: Rooms
    hours: range
    prices: tuple[int, int]
    steps: int


class OrderFrame(NamedTuple):
    """What orders are made from: the day, the units with their plans, and about what each farm will be curtailed by.

    `connection` and `strained` are the names under which the power flow finds the connection point and the transformer
    of the evening.
    """

    day: MarketDay
    units: tuple[PlannedUnit, ...]
    planned: dict[str, Profile]
    owed_w: dict[str, Rooms]
    connection: str
    strained: str


def orders(frame: OrderFrame, rng: Random) -> tuple[OrderRow, ...]:
    """Every order of the day, numbered in order of arrival."""
    drawn = [row for quote in _quotes(frame) for row in _block_orders(frame.day, quote, rng)]
    drawn = [_with_conditions(row, rng) for row in drawn]
    drawn += _meant_to_be_refused(frame, drawn)
    rng.shuffle(drawn)
    return tuple(replace(row, order=f"O{place:04}", arrival=place) for place, row in enumerate(drawn, start=1))


def _quotes(frame: OrderFrame) -> Iterator[Quote]:
    grouped = {member for members in PORTFOLIOS.values() for member in members}
    for unit in frame.units:
        plan, owed = frame.planned[unit.name].p_w, frame.owed_w.get(unit.name)
        if owed is not None:
            yield Quote(unit.name, False, None, "BUY", owed, EXPORT_HOURS, WIND_BIDS, 3)
        if unit.asks is not None and unit.name not in grouped:
            down, steps = _down(unit, plan), 1 + (unit.p_min_w < -500_000)
            storage = unit.start_wh is not None
            yield Quote(unit.name, storage, None, "SELL", down, EXPORT_HOURS, unit.asks, steps)
        if unit.bus.startswith(f"Bus {STRAINED_FEEDER} ") and unit.kind != "pv":
            yield _evening(unit, plan, frame.strained)
    yield from (_portfolio_quote(frame, *portfolio) for portfolio in PORTFOLIOS.items())


def _down(unit: PlannedUnit, plan: Rooms) -> Rooms:
    return tuple(p - unit.p_min_w for p in plan)


def _evening(unit: PlannedUnit, plan: Rooms, zone: str) -> Quote:
    """At the strained transformer cars with a conditional agreement buy, the others move out of the evening."""
    if unit.agreed is not None:
        owed = tuple(round(-p * EVENING_SHARE) for p in plan)
        return Quote(unit.name, False, zone, "BUY", owed, IMPORT_HOURS, CAR_BIDS, 3)
    up = tuple(unit.p_max_w - p for p in plan)
    return Quote(unit.name, unit.start_wh is not None, zone, "SELL", up, IMPORT_HOURS, EVENING_ASKS, 1)


def _portfolio_quote(frame: OrderFrame, name: str, members: tuple[str, ...]) -> Quote:
    """Groups traded as one; less than all their room, as they are divided by range and not by plan."""
    units = [unit for unit in frame.units if unit.name in members]
    rooms = [_down(unit, frame.planned[unit.name].p_w) for unit in units]
    down = tuple(round(PORTFOLIO_SHARE * sum(row)) for row in zip(*rooms, strict=True))
    return Quote(name, False, None, "SELL", down, EXPORT_HOURS, PORTFOLIO_ASKS, 2)


def _block_orders(day: MarketDay, quote: Quote, rng: Random) -> Iterator[OrderRow]:
    """The orders of one trader in one zone, dearer (for a BUY: cheaper) step by step."""
    low, high = quote.prices
    own = rng.uniform(low, high)
    share = rng.uniform(*OFFERED_SHARE)
    for span in _blocks(quote, rng):
        left_w = min(quote.room_w[span.first : span.end])
        if quote.side == "SELL" and left_w > WHOLLY_OFFERED_W:
            left_w = round(left_w * share)
        for step in range(quote.steps):
            part = left_w if step == quote.steps - 1 else round(left_w * rng.uniform(0.3, 0.6))
            quantity_w = part // TICK_W * TICK_W
            if quantity_w < SMALLEST_W:
                continue
            left_w -= quantity_w
            slope = 1.0 + 0.06 * step if quote.side == "SELL" else 1.0 - 0.06 * step
            price = min(high, max(low, own * slope * rng.uniform(0.92, 1.08)))
            yield _order(day, quote, span, quantity_w, round(2 * price) * MINOR_PER_MAJOR // 2)


def _blocks(quote: Quote, rng: Random) -> Iterator[Span]:
    """The hours a trader is there, cut as it likes; sellers have other things to do, a storage is full soon."""
    hours = list(quote.hours)
    most = STORAGE_HOURS if quote.storage else SELLING_HOURS
    if quote.side == "SELL" and len(hours) > most:
        hours = sorted(rng.sample(hours, most))
    cuts = EVENING_BLOCKS_MTUS if quote.hours is IMPORT_HOURS and quote.side == "SELL" else DAY_BLOCKS_MTUS
    taken = -1
    for hour in hours:
        first = 4 * hour
        if first < taken:
            continue
        for length in rng.choice(cuts):
            end = first + length
            if first >= 4 * (hour + 1) or end > 4 * quote.hours.stop:
                break
            yield Span(first, end)
            first = taken = end


def _order(day: MarketDay, quote: Quote, span: Span, quantity_w: int, price_minor: int) -> OrderRow:
    """An order says which way it moves where there may be points of both directions and it names none."""
    says = quote.zone is None and span.end > 4 * IMPORT_HOURS.start
    return OrderRow(
        "",
        0,
        quote.trader,
        quote.side,
        day.instant(span.first),
        day.instant(span.end),
        quantity_w,
        price_minor,
        quote.zone,
        ("UP" if quote.side == "BUY" else "DOWN") if says else None,
    )


def _with_conditions(row: OrderRow, rng: Random) -> OrderRow:
    """Now and then all or nothing, now or never, or not less than half."""
    chance = rng.random()
    if chance < 0.04:
        return replace(row, time_in_force="fak")
    if chance < 0.07:
        return replace(row, time_in_force="fok")
    if chance < 0.15:
        return replace(row, min_quantity_w=row.quantity_w // 2)
    return row


def _meant_to_be_refused(frame: OrderFrame, drawn: list[OrderRow]) -> list[OrderRow]:
    """Mistakes as they happen: one to three of each kind that the door refuses, orders sent twice among them."""
    sent_twice = [row for row in drawn if row.resource.startswith("Värmepumpar") and row.congestion_point is None]
    sells = [row for row in drawn if row.side == "SELL" and row.congestion_point is None]
    buys = [row for row in drawn if row.side == "BUY" and row.congestion_point is None]
    picked = iter(sells[:: max(1, len(sells) // 12)])
    ten_minutes = 10
    mistakes = [
        *(replace(next(picked), quantity_w=50_000_000) for _ in range(2)),
        *(replace(next(picked), congestion_point=frame.connection, regulation="UP") for _ in range(2)),
        *(replace(row, congestion_point=frame.connection, regulation="DOWN") for row in buys[::60][:1]),
        *(replace(row, price_minor=400_000) for row in buys[::40][:2]),
        *(replace(next(picked), quantity_w=200) for _ in range(1)),
        *(replace(next(picked), congestion_point="Trafo 5.1") for _ in range(2)),
        *sent_twice[:: len(sent_twice) // 3][:3],
    ]
    late = next(picked)
    mistakes.append(replace(late, start=late.start + ten_minutes, end=late.end + ten_minutes))
    mistakes.append(replace(late, start=late.start + 24 * 60, end=late.end + 24 * 60))
    mistakes.append(replace(late, resource=NORTH))
    return [replace(row, min_quantity_w=None, time_in_force="day") for row in mistakes]
