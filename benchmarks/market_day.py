"""A whole market day on a SimBench grid: `python -m benchmarks.market_day [CODE] [ORDERS] [FARM_W] [RESIDUAL]`.

Writes a scenario folder on a SimBench MV+LV grid (which needs `make bench-deps`) with wind on medium voltage, flexible
resources on low voltage and an export limit at the connection point, then runs it as `flexpeer run` does. Forty farms
of 350 kW leave voltages in their bands; of 450 kW they do not, and the grid refuses as many matches as it grants.
RESIDUAL `distributed` clears what is left at the gate, with `reopening = "own_limit"`.
"""

import csv
import json
import random
import sys
import tempfile
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from time import perf_counter

import numpy as np

from flexpeer.adapters.gridfiles import GridFile
from flexpeer.adapters.gridfiles.simbench_grid import simbench_day
from flexpeer.bootstrap import run_folder
from flexpeer.periods import MarketDay

CODE = "1-MVLV-rural-all-0-no_sw"
DAY = date(2026, 4, 12)
MV_VOLTS = 1_000.0


def write_folder(folder: Path, code: str, orders: int, farm_w: int, residual: str) -> None:
    """A deterministic scenario: windy, exporting more than the connection point may for six hours."""
    chance = random.Random(1)
    day = MarketDay(DAY, "Europe/Stockholm", 15)
    grid = simbench_day(code, DAY)
    mv = [b for b, v in zip(grid.network.bus_names, grid.network.bus_v, strict=True) if MV_VOLTS < v < 60_000]
    lv = [b for b, v in zip(grid.network.bus_names, grid.network.bus_v, strict=True) if v < MV_VOLTS]
    wind = [(f"wind {i}", chance.choice(mv), farm_w) for i in range(40)]
    flexible = [(f"flex {i}", chance.choice(lv), 6_000) for i in range(160)]
    large = [(f"boiler {i}", chance.choice(mv), 400_000) for i in range(40)]
    folder.mkdir(parents=True)
    text = f'name = "Benchmark on {code}"\ndelivery_day = {DAY}\nmtu_minutes = 15\ncurrency = "SEK"\n'
    text += f'[grid]\nsource = "simbench:{code}"\n[alternative]\noverdraw = 2800\n'
    text += f'[rulebook]\nresidual = "{residual}"\nreopening = "own_limit"\n'
    (folder / "scenario.toml").write_text(text, encoding="utf-8")
    _table(
        folder / "organisations.csv",
        "organisation,role,parent",
        [("DSO", "REGIONAL_DSO", ""), *((f"fsp {i}", "FSP", "") for i in range(30))],
    )
    rows: list[Sequence[object]] = [(n, f"fsp {i % 30}", b, "wind", 0, p, "true") for i, (n, b, p) in enumerate(wind)]
    rows += [(n, f"fsp {i % 30}", b, "battery", -p, p, "false") for i, (n, b, p) in enumerate(flexible)]
    rows += [(n, f"fsp {i % 30}", b, "boiler", -p, 0, "false") for i, (n, b, p) in enumerate(large)]
    _table(folder / "resources.csv", "resource,fsp,bus,kind,p_min_w,p_max_w,conditional", rows)
    blow = [0.35 + 0.6 * np.exp(-(((t - 52) / 16) ** 2)) for t in range(96)]
    _table(
        folder / "forecast.csv",
        "from,resource,p_w,q_var",
        ((day.local(t), n, int(p * blow[t]), 0) for n, _, p in wind for t in range(96)),
    )
    exports = _exports(grid, sum(p for _, _, p in wind), blow)
    limit = int(np.percentile(exports, 75))
    source = grid.network.source_names[0]
    _table(
        folder / "congestion_points.csv",
        "congestion_point,element,direction,limit_w",
        [("connection", source, "export", limit)],
    )
    _table(
        folder / "orders.csv",
        "order,arrival,resource,side,from,to,quantity_w,price",
        _orders(day, chance, orders, (wind, flexible, large)),
    )


def _exports(grid: GridFile, wind_w: int, blow: Sequence[float]) -> list[float]:
    assert grid.profile_p_w is not None, "SimBench has profiles"
    base = grid.profile_p_w.sum(axis=0)
    return [float(base[t] + wind_w * blow[t]) for t in range(96)]


Units = Sequence[tuple[str, str, int]]


def _orders(
    day: MarketDay, chance: random.Random, count: int, units: tuple[Units, Units, Units]
) -> Iterable[Sequence[object]]:
    wind, flexible, large = units
    for number in range(1, count + 1):
        first = int(min(max(chance.gauss(52, 8), 0), 95))
        end = min(96, first + chance.choice((1, 1, 1, 2, 4)))
        if chance.random() < 0.4:
            name, _, size = chance.choice(wind)
            side, price, quantity = "BUY", chance.randint(250, 450), size // chance.randint(40, 80)
        else:
            name, _, size = chance.choice(flexible if chance.random() < 0.7 else large)
            side, price, quantity = "SELL", chance.randint(150, 400), size // chance.randint(20, 60)
        yield f"o{number}", number, name, side, day.local(first), day.local(end), quantity, price


def _table(path: Path, header: str, rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header.split(","))
        writer.writerows(rows)


def main(code: str = CODE, orders: str = "10000", farm_w: str = "350000", residual: str = "none") -> None:
    """Run it and print the times."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "scenario"
        write_folder(folder, code, int(orders), int(farm_w), residual)
        began = perf_counter()
        _, result = run_folder(folder, Path(scratch) / "out", lambda _done, _total: None)
        seconds = perf_counter() - began
    keys = (
        "orders",
        "orders_refused",
        "trades",
        "refused_by_grid",
        "reduced_by_grid",
        "worsened_by_market",
        "efficiency",
        "welfare_continuous",
        "welfare_clearing",
        "timings_s",
    )
    print(json.dumps({"code": code, "seconds": round(seconds, 2), **{key: result[key] for key in keys}}, indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
