"""Random clearings at the gate, each looked at from outside: `python -m tests.cases.random_clearings COUNT [FIRST]`.

Minima, spans of one to three hours, both reopenings, both exchanges, ties, energy limits, two points in series and one
beside them, organisations on both sides. Money and limits are computed anew from trades and orders.
"""

import sys
import warnings
from collections.abc import Iterator
from decimal import Decimal
from random import Random
from typing import NamedTuple

from msgspec.structs import replace
from tests.cases.days import DAY, MW, NoWatch, hour_of
from tests.market.small_market import MemoryLog

from flexpeer.app.day import Day
from flexpeer.app.scenario import CongestionPointRow, OrderRow, OrganisationRow, ResourceRow, Scenario
from flexpeer.market.kpi import Alternative, Costs
from flexpeer.market.orders import Side
from flexpeer.market.rulebook import DsoPurchase, Exchange, Reopening, Rulebook
from flexpeer.market.trades import OrdersCleared, Phase, Trade

FAR_MINOR = 100.0
FACTORS = (1_000_000, 1_000_000, 900_000, 700_000, 400_000)


class Seen(NamedTuple):
    """What is wrong with a day's clearings (nothing: empty), what the pool kept (minor units), and prices by order.

    Those are, for each of its trades, the first MTU and what a MWh costs there. `gap_ppm` is the worst clearing's
    certified distance from the optimum, `missed_minor` the most that one can have missed.
    """

    wrong: tuple[str, ...]
    kept_minor: float
    prices: dict[str, list[tuple[int, int]]]
    cleared: int
    gap_ppm: int
    missed_minor: float


def day_of(seed: int, more: tuple[OrderRow, ...] = ()) -> Scenario:
    """A scenario; `more` are orders that come last."""
    chance = Random(seed)
    names = [f"R{n}" for n in range(8)]
    owners = [f"F{n if chance.random() < 0.8 else 0}" for n in range(8)]
    resources = tuple(
        ResourceRow(name, owner, "", "any", -20 * MW, 20 * MW) for name, owner in zip(names, owners, strict=True)
    )
    if chance.random() < 0.5:
        resources = (replace(resources[0], energy_wh=6 * MW, energy_start_wh=3 * MW), *resources[1:])
    behind = {name: chance.random() < 0.6 for name in names}
    impact = {
        "outer": {name: (chance.choice(FACTORS),) * DAY.mtu_count for name in names},
        "inner": {name: ((chance.choice(FACTORS) if behind[name] else 0),) * DAY.mtu_count for name in names},
        "beside": {name: ((0 if behind[name] else chance.choice(FACTORS)),) * DAY.mtu_count for name in names},
    }
    rules = Rulebook(
        exchange=chance.choice((Exchange.NEUTRAL,) * 3 + (Exchange.BALANCED,)),
        reopening=chance.choice(list(Reopening)),
        dso_purchase=chance.choice(list(DsoPurchase)),
        quantity_tick_w=chance.choice((1, 1, 1, 1000)),
    )
    rows = tuple(_orders(chance, names, rules))
    return Scenario(
        name="random",
        day=DAY,
        currency="SEK",
        grid_source=None,
        rulebook=rules,
        alternative=Alternative(overdraw=chance.choice((None, Decimal(300), Decimal(2800)))),
        costs=Costs(),
        organisations=(
            OrganisationRow("DSO", "REGIONAL_DSO", None),
            *(OrganisationRow(owner, "FSP", None) for owner in sorted({*owners, "Late"})),
        ),
        areas={},
        resources=(*resources, ResourceRow("late", "Late", "", "any", -20 * MW, 20 * MW)),
        portfolios={},
        bus_forecast={},
        resource_forecast={name: hour_of(chance.randrange(6, 12), chance.randint(0, 3) * MW) for name in names},
        congestion_points=tuple(
            CongestionPointRow(name, name, "export", chance.randint(0, 6) * MW, None, None) for name in impact
        ),
        impact_ppm={point: {**rows_, "late": (900_000,) * DAY.mtu_count} for point, rows_ in impact.items()},
        obligations_w=None,
        outages=(),
        orders=(*rows, *more),
        meter_w=None,
    )


def _orders(chance: Random, names: list[str], rules: Rulebook) -> Iterator[OrderRow]:
    for place in range(1, chance.randint(10, 40)):
        first = chance.randrange(6, 12)
        quantity = chance.randint(1, 2000) * 1000
        side = chance.choice(("BUY", "SELL"))
        least = chance.choice((None, None, None, quantity // 2 // 1000 * 1000, quantity))
        price = chance.choice((100, 200, 300)) * 100 if chance.random() < 0.4 else chance.randint(-5_000, 40_000)
        zone = chance.choice((None, None, "outer", "inner", "beside"))
        regulation = ("UP" if side == "BUY" else "DOWN") if rules.exchange is Exchange.BALANCED else None
        start = DAY.instant(first)
        yield OrderRow(
            f"o{place}", place, chance.choice(names), side, start, start + 60 * chance.randint(1, 3), quantity, price,
            zone, regulation, least,
        )  # fmt: skip


def hopeless(seed: int) -> tuple[OrderRow, ...]:
    """Two orders that can never trade: a SELL far above every BUY, a BUY below every SELL."""
    start = DAY.instant(6 + seed % 6)
    regulations = (None, None) if day_of(seed).rulebook.exchange is Exchange.NEUTRAL else ("DOWN", "UP")
    return (
        OrderRow("x1", 101, "late", "SELL", start, start + 60, 500_000, 90_000_000, "outer", regulations[0]),
        OrderRow("x2", 102, "late", "BUY", start, start + 60, 500_000, -90_000_000, "outer", regulations[1]),
    )


def looked_at(given: Scenario) -> Seen:
    """Run a day and look at its clearings."""
    log, trades = MemoryLog(), dict[int, list[Trade]]()
    day = Day(given, log, NoWatch())
    day.run()
    state = day.market.state
    for trade in state.trades.trades.values():
        if trade.phase is Phase.CLEARING:
            trades.setdefault(trade.match, []).append(trade)
    wrong, kept, prices = [], 0, dict[str, list[tuple[int, int]]]()
    gaps = {event.match: event.gap_ppm for event in log.events if isinstance(event, OrdersCleared)}
    missed = [0.0]
    for match, legs in trades.items():
        taken, worth = 0, 0
        for trade in legs:
            (party,) = trade.leg.parties
            order = state.orders.orders[party.order]
            amount = trade.leg.price_minor * party.quantity_w * len(trade.leg.span)
            buys = party.acts is Side.BUY
            taken += amount if buys else -amount
            worth += order.price_minor * party.quantity_w * len(trade.leg.span) * (1 if buys else -1)
            gain = (order.price_minor - trade.leg.price_minor) * (1 if buys else -1)
            if gain < 0:
                wrong.append(f"{party.order} at {trade.leg.price_minor} past its limit {order.price_minor}")
            if party.quantity_w % given.rulebook.quantity_tick_w:
                wrong.append(f"{party.order} is off its tick")
            at = (trade.leg.span.first, trade.leg.price_minor)
            prices.setdefault(party.order.rpartition(":")[0] or party.order, []).append(at)
        kept += taken
        missed.append(worth / 1e6 * gaps[match] / 1e6)
        if taken < 0:
            wrong.append(f"the account is short by {-taken} in {match}")
    wrong += [
        f"{order.order} has {order.executed_w} W of {order.quantity_w}, at least {order.min_quantity_w}"
        for order in state.orders.orders.values()
        if not 0 <= order.executed_w <= order.quantity_w or 0 < order.executed_w < order.min_quantity_w
    ]
    by_order = {order: sorted(each) for order, each in prices.items()}
    return Seen(tuple(wrong), kept / 1e6, by_order, len(gaps), max(gaps.values(), default=0), max(missed))


def main(count: int, first: int = 0) -> int:
    """Look at `count` days, each also with hopeless orders; what is wrong with any."""
    warnings.simplefilter("error", RuntimeWarning)
    wrong, cleared, moved, far, kept, gap_ppm = 0, 0, 0, 0, [0.0], 0
    for seed in range(first, first + count):
        try:
            seen, beside = looked_at(day_of(seed)), looked_at(day_of(seed, hopeless(seed)))
        except RuntimeWarning as warning:
            wrong += 1
            print(seed, warning, sep=" | ", flush=True)
            continue
        found = [*seen.wrong, *beside.wrong]
        if seen.prices != beside.prices:
            found.append("hopeless orders change prices")
            moved += 1
        cleared += seen.cleared
        gap_ppm = max(gap_ppm, seen.gap_ppm)
        far += seen.missed_minor > FAR_MINOR
        if seen.missed_minor > FAR_MINOR:
            print(f"{seed} | {seen.gap_ppm} ppm, {seen.missed_minor:.0f} minor units from the optimum", flush=True)
        kept += [seen.kept_minor] * (seen.cleared > 0)
        wrong += bool(found)
        if found:
            print(seed, *found[:3], sep=" | ", flush=True)
        if (seed - first) % 500 == 499:
            print(f"{seed - first + 1} of {count} days", file=sys.stderr)
    print(
        f"{count} days, {cleared} clearings, {wrong} wrong, {moved} with moved prices; "
        f"the pool keeps {min(kept):g} to {max(kept):g} minor units a day; at most {gap_ppm} ppm from the optimum, "
        f"more than {FAR_MINOR:g} minor units in {far}"
    )
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(*(int(each) for each in sys.argv[1:])))
