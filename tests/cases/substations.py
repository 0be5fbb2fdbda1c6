"""A base day and a stress day of fourteen secondary substations below the CIGRE medium-voltage network.

The network is that of a published benchmark of local flexibility markets: every load of a 20 kV bus but the two largest
is moved behind transformers of 100, 360 and 600 kVA, as few as carry its nominal power. Its loads and offers are not
ours to keep; both are drawn here, in its size: an evening peak near the nominal load, an offer per substation and hour.
On the stress day cars charge in the evening.
"""

import math
from collections import defaultdict
from decimal import Decimal
from random import Random

from msgspec.structs import replace
from tests.cases.days import DAY
from tests.cases.nested_feeders import CEILING, Feeder

from flexpeer.app.scenario import OrderRow, Organisation, Profile, Resource, Scenario
from flexpeer.grid.assembly import BranchRow, BusRow, GridRows
from flexpeer.grid.cigre import mv_rows
from flexpeer.market.kpi import Alternative, Costs
from flexpeer.market.rulebook import DsoPurchase, Rulebook

RATINGS_KVA = (600, 360, 100)
VK_PERCENT, VKR_PERCENT = 4.12, 1.0
LARGEST, LARGEST_PERCENT = ("Bus 1", "Bus 12"), 96
CURVE = (78, 76, 74, 72, 70, 68, 64, 60, 56, 58, 61, 64, 66, 68, 72, 78, 85, 92, 99, 101, 97, 92, 86, 82)
CARS = (0,) * 16 + (4, 10, 18, 22, 20, 14, 8, 4)
"""The load of each hour and what cars add to it, percent of the nominal load."""
OFFERED_PERCENT, ASKS = (20, 50), (4_000, 12_000)


def substations(stress: bool, seed: int = 14) -> Feeder:
    """The base day, or the stress day."""
    chance, given = Random(seed), mv_rows()
    nominal: dict[str, complex] = defaultdict(complex)
    for row in given.injections:
        nominal[row.bus] += complex(row.p_w, row.q_var)
    buses, branches, loads = list(given.buses), list(given.branches), dict[str, complex]()
    for bus, load in nominal.items():
        if bus in LARGEST:
            loads[bus] = load
            continue
        units = _units(abs(load) / 1e3)
        for place, kva in enumerate(units, 1):
            below = f"{bus} LV{place}"
            buses.append(BusRow(below, 0.4, 0.85, 1.15))
            branches.append(_transformer(f"Station {below}", bus, below, kva))
            loads[below] = load * kva / sum(units)
    forecast = {
        bus: Profile(tuple(round(w.real * c / 100) for c in curve), tuple(round(w.imag * c / 100) for c in curve))
        for bus, w in loads.items()
        for curve in [_curve(bus, stress)]
    }
    homes = [bus for bus in loads if bus not in LARGEST]
    rows = GridRows(tuple(buses), tuple(branches), given.shunts, given.sources, ())
    return Feeder(_scenario(homes, forecast, _offers(chance, homes, forecast)), rows)


def _curve(bus: str, stress: bool) -> list[int]:
    if bus in LARGEST:
        return [c * LARGEST_PERCENT // 100 for c in CURVE]
    return [c + e * stress for c, e in zip(CURVE, CARS, strict=True)]


def _units(kva: float) -> list[int]:
    """The fewest standard transformers that carry a load, the largest first."""
    units, left = [], kva
    while left > 1e-6:
        unit = min((rating for rating in RATINGS_KVA if rating >= left), default=max(RATINGS_KVA))
        units.append(unit)
        left -= unit
    return units


def _transformer(name: str, upper: str, lower: str, kva: int) -> BranchRow:
    base_ohm = 0.4**2 / (kva / 1e3)
    vx_percent = math.sqrt(VK_PERCENT**2 - VKR_PERCENT**2)
    rated_a = kva / math.sqrt(3.0)
    r_ohm, x_ohm = VKR_PERCENT / 100.0 * base_ohm, vx_percent / 100.0 * base_ohm
    return BranchRow(
        name, "transformer", upper, lower, r_ohm, x_ohm, rating_from_a=rated_a / 20.0, rating_to_a=rated_a / 0.4
    )


def _offers(chance: Random, homes: list[str], forecast: dict[str, Profile]) -> tuple[OrderRow, ...]:
    """Each provider offers to draw less of its substation's load, hour by hour, at a price of its own."""
    rows = []
    for bus in homes:
        asks = chance.uniform(*ASKS)
        for hour, p_w in enumerate(forecast[bus].p_w):
            quantity_w = -p_w * chance.randint(*OFFERED_PERCENT) // 100
            price = round(asks * chance.uniform(0.9, 1.1))
            start = DAY.instant(hour)
            rows.append(OrderRow("", 0, f"at {bus}", "SELL", start, start + 60, quantity_w, price, None, "UP"))
    chance.shuffle(rows)
    return tuple(replace(row, order=f"o{n}", arrival=n) for n, row in enumerate(rows, 1))


def _scenario(homes: list[str], forecast: dict[str, Profile], orders: tuple[OrderRow, ...]) -> Scenario:
    return Scenario(
        name="substations",
        day=DAY,
        currency="EUR",
        grid_source=None,
        rulebook=Rulebook(dso_purchase=DsoPurchase.AUTOMATIC, need_margin_ppm=0),
        alternative=Alternative(overdraw=Decimal(CEILING)),
        costs=Costs(),
        organisations=(
            Organisation("DSO", "REGIONAL_DSO", None),
            *(Organisation(f"Provider {bus}", "FSP", None) for bus in homes),
        ),
        areas={},
        resources=tuple(Resource(f"at {bus}", f"Provider {bus}", bus, "load", 0, 10**6) for bus in homes),
        portfolios={},
        bus_forecast=forecast,
        resource_forecast={f"at {bus}": Profile((0,) * DAY.mtu_count, (0,) * DAY.mtu_count) for bus in homes},
        congestion_points=None,
        impact_ppm=None,
        obligations_w=None,
        outages=(),
        orders=orders,
        meter_w=None,
    )
