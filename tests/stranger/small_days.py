"""The smallest days on which the audit found the market to break a rule: no grid, one point without congestion."""

from pathlib import Path
from typing import NamedTuple

from tests.stranger.random_days import at, write_table

WIND = "{},{},b,wind,0,30000,false,,"


class SmallDay(NamedTuple):
    """Rules, resources and what they inject (W), and orders: name, resource, side, hour, W, price, condition."""

    rules: str
    resources: tuple[str, ...]
    forecast: dict[str, int]
    orders: tuple[tuple[str, str, str, int, int, int, str], ...]
    owner: str = "Grid"


BROKEN = {
    # R may inject 10 kW at most and plans 5. It sells 2, so that the door lets it buy 7, which it does; then the
    # clearing takes the 2 back: it is told to inject 12.
    "taken back past the range": SmallDay(
        'residual = "distributed"\nreopening = "own_limit"\nquantity_tick_w = 1000',
        ("R,A,b,wind,0,10000,false,,", WIND.format("V", "B"), WIND.format("X", "C")),
        {"R": 5000, "V": 15000, "X": 15000},
        (
            ("sold", "R", "SELL", 10, 2000, 300, ""),
            ("bought", "V", "BUY", 10, 2000, 310, ""),
            ("more", "R", "BUY", 10, 5000, 500, ""),
            ("yet more", "R", "BUY", 10, 2000, 490, ""),
            ("served", "X", "SELL", 10, 9000, 100, ""),
        ),
    ),
    # S holds 500 Wh, less than a tick for an hour: `buy` and `sell` are passed over and sleep nowhere. When S has been
    # charged they could trade, and nobody tries.
    "less energy than a tick": SmallDay(
        'residual = "none"\nquantity_tick_w = 1000',
        ("S,A,b,battery,-5000,5000,false,4000,500", WIND.format("W", "B"), WIND.format("V", "C")),
        {"S": 0, "W": 9000, "V": 5000},
        (
            ("buy", "S", "BUY", 10, 1000, 300, ""),
            ("sell", "W", "SELL", 10, 1000, 100, ""),
            ("charge", "S", "SELL", 9, 1000, 100, ""),
            ("load", "V", "BUY", 9, 1000, 300, ""),
        ),
    ),
    # S is empty, and sleeps since `gone` met it; `sell` came later and is not kept among those who wait for it. When S
    # has been charged its own orders are tried, but `buy` came before `sell`, so it is for `sell` to be tried.
    "came while the storage slept": SmallDay(
        'residual = "none"',
        ("S,A,b,battery,-5000,5000,false,4000,0", WIND.format("W", "B"), WIND.format("V", "C")),
        {"S": 0, "W": 9000, "V": 5000},
        (
            ("buy", "S", "BUY", 10, 1000, 300, ""),
            ("gone", "W", "SELL", 10, 1000, 100, "fak"),
            ("sell", "V", "SELL", 10, 1000, 100, ""),
            ("charge", "S", "SELL", 9, 1000, 100, ""),
            ("load", "V", "BUY", 9, 1000, 300, ""),
        ),
    ),
    # Grid buys relief at a point of Local. The clearing takes it back for the dearer buyer, so that Grid sells; but
    # what it gets is withheld for want of delivery, as a DSO has no resource to deliver with, and goes to Local.
    "withheld from a DSO": SmallDay(
        'residual = "distributed"\nreopening = "own_limit"',
        (WIND.format("V", "B"), WIND.format("X", "C")),
        {"V": 15000, "X": 15000},
        (
            ("sell", "V", "SELL", 10, 2000, 300, ""),
            ("relief", "Grid", "BUY", 10, 2000, 310, ""),
            ("dearer", "X", "BUY", 10, 2000, 500, ""),
        ),
        owner="Local",
    ),
}


def write_small_day(folder: Path, day: SmallDay) -> None:
    folder.mkdir(parents=True)
    (folder / "scenario.toml").write_text(
        'name = "small"\ndelivery_day = 2026-02-10\ntimezone = "Europe/Stockholm"\nmtu_minutes = 60\n'
        f'currency = "SEK"\n[rulebook]\n{day.rules}\n[alternative]\noverdraw = 2800\n',
        encoding="utf-8",
    )
    firms = [(name, "FSP", "") for name in ("A", "B", "C")]
    dsos = [("Grid", "REGIONAL_DSO", ""), ("Local", "LOCAL_DSO", "Grid")]
    write_table(folder / "organisations.csv", "organisation,role,parent", [*dsos, *firms])
    header = "resource,fsp,bus,kind,p_min_w,p_max_w,conditional,energy_wh,energy_start_wh"
    write_table(folder / "resources.csv", header, [tuple(row.split(",")) for row in day.resources])
    plans = [(at(hour), name, watts, 0) for hour in range(24) for name, watts in day.forecast.items()]
    write_table(folder / "forecast.csv", "from,resource,p_w,q_var", plans)
    header = "congestion_point,element,direction,limit_w,dso"
    write_table(folder / "congestion_points.csv", header, [("C0", "line", "export", 100_000, day.owner)])
    factors = [("C0", name, 1_000_000) for name in day.forecast]
    write_table(folder / "impact_factors.csv", "congestion_point,resource,ppm", factors)
    orders = [
        (name, arrival, unit, side, at(hour), at(hour + 1), watts, price, condition, "C0" * (unit == "Grid"))
        for arrival, (name, unit, side, hour, watts, price, condition) in enumerate(day.orders, 1)
    ]
    write_table(
        folder / "orders.csv",
        "order,arrival,resource,side,from,to,quantity_w,price,time_in_force,congestion_point",
        orders,
    )
