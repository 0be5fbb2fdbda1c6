"""No trade leaves an element worse, and what is granted is all that fits: judged by Newton, trade by trade."""

from pathlib import Path
from random import Random

import numpy as np
import pytest
from tests.adapters.scenario_folder import Texts
from tests.app.grid_days import (
    CIGRE_UNITS,
    SMALL_UNITS,
    WINDY,
    Ask,
    Day,
    Unit,
    cigre_day,
    never_worse,
    orders,
    quarter_hours,
    small_day,
)

from flexpeer.market.trades import Trade

TOLERANCE = 1e-6
AIM = TOLERANCE / 2
"""What the search for the largest quantity aims at, as a fraction of the limit beyond it."""
AREAS = "bus,dso\n"


C = '"name": "C", "v_kv": 20, "v_min_pu": 0.95, "v_max_pu": '


def with_tight_c(texts: Texts) -> Texts:
    """C may not be above 1.054 pu."""
    found = texts["grid.json"].replace(f"{C}1.06", f"{C}1.054")
    assert found != texts["grid.json"]
    return texts | {"grid.json": found}


def with_orders(texts: Texts, asks: list[Ask]) -> Texts:
    return texts | {"orders.csv": orders(asks)}


def uncleared(texts: Texts) -> Texts:
    """The day without its clearing, which shares watts of equal worth as owners hold them."""
    return texts | {"scenario.toml": texts["scenario.toml"] + '\n[rulebook]\nresidual = "none"\n'}


def with_areas(texts: Texts, buses: dict[str, str], *more_dsos: str) -> Texts:
    found = texts | {"areas.csv": AREAS + "".join(f"{bus},{dso}\n" for bus, dso in buses.items())}
    found["organisations.csv"] += "".join(f"{row}\n" for row in more_dsos)
    return found


def below_the_transformer(texts: Texts) -> Texts:
    return with_areas(texts, {"Substation": "Region"} | dict.fromkeys(["Busbar", "A", "B", "C", "Island"], "Local"))


def only_the_lateral(texts: Texts) -> Texts:
    return with_areas(texts, dict.fromkeys(["Substation", "Busbar", "A", "B", "Island"], "Region") | {"C": "Local"})


def three_levels(texts: Texts) -> Texts:
    owners = {"Substation": "Region"} | dict.fromkeys(["Busbar", "A", "B", "Island"], "Local") | {"C": "Village"}
    return with_areas(texts, owners, "Village,LOCAL_DSO,Local")


def cigre_areas(texts: Texts) -> Texts:
    owners = {"Bus 0": "Region"} | {f"Bus {n}": "Local" for n in range(1, 12)}
    return with_areas(texts, owners | {f"Bus {n}": "East" for n in (12, 13, 14)}, "East,LOCAL_DSO,Region")


def random_orders(units: tuple[Unit, ...], points: list[str], seed: int, count: int = 40) -> list[Ask]:
    rng = Random(seed)
    asks = []
    for _ in range(count):
        unit = rng.choice(units)
        side = "BUY" if unit.kind == "wind" and rng.random() < 0.75 else "SELL"
        hour, hours = rng.choice(list(WINDY)), 1
        if hour < WINDY[-1] and rng.random() < 0.2:
            hours = 2
        price = rng.randint(200, 500) if side == "BUY" else rng.randint(50, 400)
        asks.append(Ask(unit.name, side, rng.randint(50_000, 1_500_000), price, rng.choice(points), hour, hours))
    return asks


def summary(day: Day) -> list[tuple[str, str, str, int, int]]:
    return [(t.zone, t.leg.buy, t.leg.sell, t.leg.span.first, t.leg.price_minor) for t in day.trades]


def v_after(day: Day, trade: Trade, bus: str, quantity_buy_w: int) -> float:
    """Voltage at a bus after a day's only trade, had it been of another quantity."""
    seller_w = -(-quantity_buy_w * trade.leg.ppm_buy // trade.leg.ppm_sell)
    schedule = {name: list(row) for name, row in day.outcome.start_w.items()}
    for mtu in trade.leg.span.mtus:
        schedule[trade.leg.buy_unit][mtu] += quantity_buy_w
        schedule[trade.leg.sell_unit][mtu] -= seller_w
    return float(np.abs(day.newton(schedule).v_pu)[day.bus(bus), trade.leg.span.first])


def test_a_swap_leaves_the_point_no_worse(tmp_path: Path) -> None:
    asks = [Ask("HB", "SELL", 2_000_000, 200, "Cable 3"), Ask("WA", "BUY", 700_000, 400, "Cable 3")]
    day = Day(with_orders(small_day(), asks), tmp_path)
    (trade,) = day.trades
    assert trade.leg.quantity_buy_w == 700_000
    exchanged = -(-700_000 * trade.leg.ppm_buy // trade.leg.ppm_sell)
    assert exchanged <= trade.leg.quantity_sell_w <= exchanged * 1.05
    row = day.branch("Cable 3")
    before, after = (day.loading(day.newton(s))[row, 12] for s in (day.outcome.start_w, day.outcome.after_w))
    assert after <= max(before, 1.0) + TOLERANCE
    never_worse(day)
    assert day.outcome.worsened == ()


AREA_CASES = {
    "one owner": lambda texts: texts,
    "transformer": below_the_transformer,
    "lateral": only_the_lateral,
    "three levels": three_levels,
}


@pytest.mark.parametrize("areas", AREA_CASES)
def test_the_largest_quantity_that_fits_is_granted(areas: str, tmp_path: Path) -> None:
    """WC may inject 2 MW more than planned, but the voltage at C does not allow it."""
    asks = [Ask("HB", "SELL", 3_400_000, 200, "Cable 3"), Ask("WC", "BUY", 2_300_000, 400, "Cable 3")]
    day = Day(AREA_CASES[areas](with_orders(with_tight_c(small_day()), asks)), tmp_path)
    (trade,) = day.trades
    quantity = trade.leg.quantity_buy_w
    assert 0 < quantity < 2_300_000
    (refusal,) = day.outcome.refusals
    assert (refusal.element, refusal.mtu, refusal.detail, refusal.quantity_w) == ("C", 12, "REDUCED", quantity)
    aim = 1.054 * (1 + AIM)
    assert v_after(day, trade, "C", quantity) <= aim
    assert v_after(day, trade, "C", quantity + 1 + quantity // 100_000) > aim
    never_worse(day)


def test_a_pair_that_does_not_fit_at_all_is_refused_with_its_place(tmp_path: Path) -> None:
    """The first trade fills the band at C; nothing is left for the second buyer there."""
    asks = [Ask("HB", "SELL", 3_400_000, 200, "Cable 3"), Ask("WC", "BUY", 2_300_000, 400, "Cable 3")]
    asks += [Ask("HA", "SELL", 3_000_000, 100, "Cable 3")]
    day = Day(with_orders(with_tight_c(small_day()), asks), tmp_path)
    never_worse(day)
    assert len(day.trades) == 1
    refused = [r for r in day.outcome.refusals if r.quantity_w == 0]
    assert refused
    assert all((r.reason, r.element, r.owner, r.mtu) == ("grid_limit", "C", "Region", 12) for r in refused)
    assert day.outcome.worsened == ()


@pytest.mark.parametrize("seed", range(4))
def test_random_days_on_the_small_grid(seed: int, tmp_path: Path) -> None:
    asks = random_orders(SMALL_UNITS, ["Cable 3"], seed)
    days = [Day(make(uncleared(with_orders(small_day(), asks))), tmp_path / name) for name, make in AREA_CASES.items()]
    assert days[0].trades
    for day in days:
        never_worse(day)
        assert day.outcome.worsened == ()
        assert summary(day) == summary(days[0])
        for mine, single in zip(day.trades, days[0].trades, strict=True):
            assert abs(mine.leg.quantity_buy_w - single.leg.quantity_buy_w) <= 3 + single.leg.quantity_buy_w // 10_000


@pytest.mark.parametrize("seed", range(3))
def test_random_days_on_cigre(seed: int, tmp_path: Path) -> None:
    points = ["Line 1-2", "Line 2-3", "Line 3-8", "Line 7-8"]
    texts = with_orders(cigre_day(), random_orders(CIGRE_UNITS, points, seed))
    single, several = Day(texts, tmp_path / "one"), Day(cigre_areas(texts), tmp_path / "three")
    assert single.trades
    for day in (single, several):
        never_worse(day)
        assert day.outcome.worsened == ()
    assert summary(several) == summary(single)


@pytest.mark.parametrize("seed", range(3))
def test_random_days_with_a_subscription_and_an_outage(seed: int, tmp_path: Path) -> None:
    texts = with_orders(small_day(), random_orders(SMALL_UNITS, ["Sub", "Ring"], seed))
    texts["congestion_points.csv"] = (
        "congestion_point,element,direction,limit_w\nSub,Overlying grid,export,12000000\nRing,Cable 1,export,6000000\n"
    )
    texts["scenario.toml"] += (
        '[[outage]]\nelement = "Cable 2"\nfrom = "2026-01-15T11:00+01:00"\nto = "2026-01-15T13:00+01:00"\n'
    )
    for name, make in AREA_CASES.items():
        day = Day(make(dict(texts)), tmp_path / name)
        assert day.trades, name
        never_worse(day)
        assert day.outcome.worsened == ()


QUARTERS = [f"2026-01-15T{12 + k // 4}:{15 * (k % 4):02}+01:00" for k in range(5)]


@pytest.mark.parametrize("seed", range(3))
def test_a_subscription_binds_on_the_mean_of_the_hour(seed: int, tmp_path: Path) -> None:
    """Swaps in single quarters of an hour whose quarters differ; Newton's hourly mean judges."""
    rng = Random(seed)
    wind = {"WA": [8_000_000, 5_000_000] * 2, "WB": [8_000_000, 6_000_000] * 2}
    texts = quarter_hours(small_day(), wind)
    texts["congestion_points.csv"] = "congestion_point,element,direction,limit_w\nSub,Overlying grid,export,13000000\n"
    rows = []
    for n in range(1, 31):
        side, unit = rng.choice([("BUY", "WA"), ("BUY", "WB"), ("SELL", "HA"), ("SELL", "HB"), ("SELL", "Bat")])
        k, price = rng.randrange(4), rng.randint(200, 400) if side == "BUY" else rng.randint(100, 300)
        span = f"{QUARTERS[k]},{QUARTERS[k + 1]}"
        rows.append(f"{n},{n},{unit},{side},{span},{rng.randint(10_000, 1_200_000)},{price},Sub\n")
    texts["orders.csv"] = orders([]) + "".join(rows)
    for name, make in AREA_CASES.items():
        day = Day(make(texts), tmp_path / name)
        assert day.trades
        never_worse(day)
        assert day.outcome.worsened == ()


@pytest.mark.parametrize("seed", range(2))
def test_import_is_traded_the_other_way_round(seed: int, tmp_path: Path) -> None:
    """At an import limit sellers inject more and buyers withdraw more."""
    units = [u._replace(conditional=True, windy_w=-3_500_000) if u.kind == "heat" else u for u in SMALL_UNITS]
    units = [u._replace(windy_w=500_000) if u.kind == "wind" else u for u in units]
    rng = Random(seed)
    asks = []
    for _ in range(30):
        buys = rng.random() < 0.5
        unit = rng.choice(["HA", "HB"] if buys else ["WA", "WB", "Bat"])
        price = rng.randint(200, 400) if buys else rng.randint(100, 300)
        asks.append(Ask(unit, "BUY" if buys else "SELL", rng.randint(10_000, 900_000), price, "Sub", rng.choice(WINDY)))
    texts = with_orders(small_day(units=units), asks)
    texts["congestion_points.csv"] = "congestion_point,element,direction,limit_w\nSub,Overlying grid,import,5000000\n"
    for name, make in AREA_CASES.items():
        day = Day(make(texts), tmp_path / name)
        assert day.trades
        never_worse(day, up=-1)
        assert day.outcome.worsened == ()
