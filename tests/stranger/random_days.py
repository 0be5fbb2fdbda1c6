"""Random market days without a grid as scenario folders: nested points, portfolios, storages, ticks and conditions."""

import csv
from collections.abc import Sequence
from pathlib import Path
from random import Random

DAY = "2026-02-10"
RULES = {
    "priority": ("time", "price_time"),
    "exchange": ("neutral", "neutral", "neutral", "balanced"),
    "quantity_tick_w": (1, 1, 1000),
    "residual": ("none", "distributed"),
    "dso_purchase": ("orders", "automatic"),
    "reopening": ("never", "never", "own_limit"),
    "min_impact_ppm": (1, 300_000),
}


def write_day(folder: Path, seed: int, orders: int = 60) -> None:
    """A day whose every choice follows from a seed; half of its orders are of a few hours with a need."""
    chance = Random(seed)
    folder.mkdir(parents=True)
    rules = {name: chance.choice(values) for name, values in RULES.items()}
    if rules["residual"] == "none":
        rules["reopening"] = "never"
    lines = [f"{name} = {value!r}".replace("'", '"') for name, value in rules.items()]
    fee = chance.choice((0, 0, 3))
    (folder / "scenario.toml").write_text(
        f'name = "day {seed}"\ndelivery_day = {DAY}\ntimezone = "Europe/Stockholm"\nmtu_minutes = 60\n'
        f'currency = "SEK"\n[rulebook]\n{chr(10).join(lines)}\nfee_per_mwh = {fee}\n[alternative]\noverdraw = 2800\n',
        encoding="utf-8",
    )
    _participants(folder, chance, orders)
    if seed % 3 == 2:
        _mirror(folder)


def _mirror(folder: Path) -> None:
    """The same day upside down: withdrawal instead of injection, import instead of export."""

    def negative(text: str) -> str:
        return str(-int(text))

    def flip(row: dict[str, str]) -> None:
        if "p_min_w" in row:
            row["p_min_w"], row["p_max_w"] = negative(row["p_max_w"]), negative(row["p_min_w"])
        if "p_w" in row:
            row["p_w"] = negative(row["p_w"])
        if "direction" in row:
            row["direction"] = "import"
        if "regulation" in row:
            row["regulation"] = {"UP": "DOWN", "DOWN": "UP"}[row["regulation"]]

    for name in ("resources.csv", "forecast.csv", "congestion_points.csv", "orders.csv"):
        with (folder / name).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            flip(row)
        write_table(folder / name, ",".join(rows[0]), [tuple(row.values()) for row in rows])


def _participants(folder: Path, chance: Random, orders: int) -> None:
    firms = [f"F{n}" for n in range(chance.randint(3, 6))]
    write_table(
        folder / "organisations.csv",
        "organisation,role,parent",
        [("Grid", "REGIONAL_DSO", ""), *((firm, "FSP", "") for firm in firms)],
    )
    names = [f"R{n}" for n in range(chance.randint(6, 14))]
    sizes = {name: chance.randint(2, 30) * 1000 for name in names}
    owners = {name: chance.choice(firms) for name in names}
    storages = {name for name in names if chance.random() < 0.25}
    resources = []
    for name in names:
        energy: tuple[int | str, int | str] = ("", "")
        if name in storages:
            energy = (sizes[name] * chance.randint(1, 4), "")
        if name in storages and chance.random() < 0.6:
            energy = (energy[0], int(energy[0]) // 2)
        low = -sizes[name] if name in storages or chance.random() < 0.4 else 0
        conditional = "true" if chance.random() < 0.5 else "false"
        resources.append((name, owners[name], "b", "wind", low, sizes[name], conditional, *energy))
    write_table(
        folder / "resources.csv",
        "resource,fsp,bus,kind,p_min_w,p_max_w,conditional,energy_wh,energy_start_wh",
        resources,
    )
    pooled = [(f"P{firm}", firm, name) for firm in firms[:2] for name in names if owners[name] == firm]
    if pooled:
        write_table(folder / "portfolios.csv", "portfolio,fsp,resource", pooled)
    forecast = {name: 0 if name in storages else chance.randint(sizes[name] // 2, sizes[name]) for name in names}
    write_table(
        folder / "forecast.csv",
        "from,resource,p_w,q_var",
        [(at(hour), name, forecast[name], 0) for hour in range(24) for name in names],
    )
    _points(folder, chance, names, forecast)
    units = [*names, *names, *sorted({row[0] for row in pooled})]
    _orders(folder, chance, units, orders)


def _points(folder: Path, chance: Random, names: list[str], forecast: dict[str, int]) -> None:
    """One to three points, each around fewer resources than the last, which share their factors at it in twos."""
    points, factors, behind = [], [], list(names)
    for level in range(chance.randint(1, 3)):
        ppm = {name: chance.choice((600_000, 900_000, 1_000_000, 1_000_000)) for name in behind}
        flow = sum(ppm[name] * forecast[name] for name in behind) // 1_000_000
        points.append((f"C{level}", f"line {level}", "export", max(1, flow * chance.randint(60, 100) // 100)))
        factors += [(f"C{level}", name, value) for name, value in ppm.items()]
        behind = chance.sample(behind, max(2, len(behind) * 2 // 3))
    write_table(folder / "congestion_points.csv", "congestion_point,element,direction,limit_w", points)
    write_table(folder / "impact_factors.csv", "congestion_point,resource,ppm", factors)


def _orders(folder: Path, chance: Random, units: list[str], count: int) -> None:
    rows = []
    for number in range(1, count + 1):
        side = chance.choice(("BUY", "SELL"))
        first = chance.choice((9, 10, 10, 11))
        last = first + chance.choice((1, 1, 1, 2, 3))
        quantity = chance.randint(1, 8) * 1000
        condition = chance.choice(("", "", "", "", "fak", "fok"))
        least = quantity // 2 if chance.random() < 0.2 else ""
        price = chance.randint(100, 500) + (60 if side == "BUY" else 0)
        regulation = "UP" if side == "BUY" else "DOWN"
        unit, point = chance.choice(units), "C0" if chance.random() < 0.15 else ""
        if side == "BUY" and chance.random() < 0.06:
            unit, point = "Grid", "C0"
        offer = side, at(first), at(last), quantity, price, regulation, least, condition, point
        rows.append((f"o{number}", number, unit, *offer))
    write_table(
        folder / "orders.csv",
        "order,arrival,resource,side,from,to,quantity_w,price,regulation,min_quantity_w,time_in_force,congestion_point",
        rows,
    )


def at(hour: int) -> str:
    return f"{DAY}T{hour:02}:00+01:00"


def write_table(path: Path, header: str, rows: Sequence[tuple[object, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header.split(","))
        writer.writerows(rows)
