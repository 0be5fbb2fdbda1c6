"""The demo's forecast: what every resource plans and every bus draws in the 96 MTUs of a windy winter day."""

import math
from random import Random
from typing import NamedTuple

from flexpeer.app.scenario import Profile
from flexpeer.grid.cigre import NominalGrid
from flexpeer.periods import Span
from flexpeer.simulation.demo_participants import FEEDERS, STRAINED_FEEDER, WEAK_FEEDER, PlannedUnit

MTUS = 96
PER_HOUR = 4
EVERYWHERE = ()
SHAPES = {
    "wind": (0.46, 0.50, 0.55, 0.61, 0.68, 0.74, 0.80, 0.85, 0.89, 0.92, 0.94, 0.94,
             0.93, 0.91, 0.89, 0.85, 0.79, 0.70, 0.62, 0.55, 0.49, 0.45, 0.42, 0.40),
    "pv": (0, 0, 0, 0, 0, 0, 0, 0, 0.03, 0.09, 0.15, 0.19, 0.20, 0.17, 0.11, 0.05, 0, 0, 0, 0, 0, 0, 0, 0),
    "heat-pump": (0.75, 0.75, 0.75, 0.78, 0.82, 0.95, 1.10, 1.15, 1.05, 0.95, 0.88, 0.84,
                  0.82, 0.82, 0.85, 0.95, 1.10, 1.25, 1.30, 1.28, 1.18, 1.05, 0.90, 0.80),
    "ev": (0.70, 0.60, 0.45, 0.35, 0.30, 0.25, 0.22, 0.25, 0.25, 0.25, 0.25, 0.28,
           0.28, 0.28, 0.30, 0.45, 0.85, 1.25, 1.40, 1.35, 1.20, 1.05, 0.95, 0.85),
    "cooling": (0.80, 0.80, 0.80, 0.80, 0.80, 0.82, 0.88, 0.95, 1.00, 1.02, 1.04, 1.05,
                1.05, 1.05, 1.05, 1.03, 1.00, 1.00, 0.98, 0.95, 0.90, 0.85, 0.82, 0.80),
    "household": (0.55, 0.52, 0.50, 0.50, 0.52, 0.60, 0.74, 0.84, 0.82, 0.77, 0.74, 0.73,
                  0.73, 0.72, 0.74, 0.81, 0.92, 1.00, 1.00, 0.97, 0.90, 0.80, 0.70, 0.60),
    "business": (0.45, 0.45, 0.45, 0.45, 0.48, 0.55, 0.70, 0.85, 0.95, 1.00, 1.00, 0.98,
                 0.95, 0.97, 0.97, 0.95, 0.90, 0.82, 0.75, 0.68, 0.60, 0.55, 0.50, 0.46),
}  # fmt: skip
"""Fractions at the start of each local hour; kinds without a shape run level."""
SUBSTATION_SHARE, FEEDER_SHARE, LOW_VOLTAGE_SHARE = 0.24, 0.75, 0.45
STRAINED_SHARE, WEAK_SHARE = 0.74, 0.535


class Narrow(NamedTuple):
    """A limit for what is exported over a point during whole hours, and the nodes behind it."""

    limit_w: int
    span: Span
    nodes: tuple[str, ...]


def plans(units: tuple[PlannedUnit, ...], rng: Random) -> dict[str, Profile]:
    """The forecast of every resource, within its range, whole watts and no reactive power."""
    return {unit.name: Profile(_plan(unit, rng), (0,) * MTUS) for unit in units}


def _plan(unit: PlannedUnit, rng: Random) -> tuple[int, ...]:
    spread = 0.03 if unit.kind in SHAPES else 0.01
    shift = rng.uniform(1.0 - spread, 1.0 + spread)
    rows = []
    for mtu in range(MTUS):
        level = unit.level_w * shift * _shape(unit.kind, mtu) * rng.uniform(1.0 - spread / 3, 1.0 + spread / 3)
        rows.append(max(unit.p_min_w, min(unit.p_max_w, round(level))))
    return tuple(rows)


def _shape(kind: str, mtu: int) -> float:
    """The fraction in the middle of an MTU, between hours by straight lines; the day closes on itself."""
    if kind not in SHAPES:
        return 1.0
    hour, quarter = divmod(mtu + 0.5, PER_HOUR)
    table, part = SHAPES[kind], quarter / PER_HOUR
    return table[int(hour)] * (1.0 - part) + table[(int(hour) + 1) % len(table)] * part


def loads(grid: NominalGrid, rng: Random) -> dict[str, Profile]:
    """What each loaded bus draws: its nominal load, scaled to the day and shaped by who is behind it."""
    profiles = {}
    for name, p_w, q_var in zip(grid.network.bus_names, grid.p_w, grid.q_var, strict=True):
        if p_w == 0.0:
            continue
        scale, kind = _share(name), _customers(name)
        shape = [scale * _shape(kind, mtu) * rng.uniform(0.99, 1.01) for mtu in range(MTUS)]
        profiles[name] = Profile(
            tuple(round(float(p_w) * each) for each in shape), tuple(round(float(q_var) * each) for each in shape)
        )
    return profiles


def _share(bus: str) -> float:
    if bus in ("Bus 1", "Bus 12"):
        return SUBSTATION_SHARE
    feeder, is_low_voltage, _ = bus.removeprefix("Bus ").partition(" ")
    if feeder in (STRAINED_FEEDER, WEAK_FEEDER):
        return STRAINED_SHARE if feeder == STRAINED_FEEDER else WEAK_SHARE
    below = f"Bus {feeder}" in FEEDERS
    return LOW_VOLTAGE_SHARE if is_low_voltage else FEEDER_SHARE * (0.6 if below else 1.0)


def _customers(bus: str) -> str:
    node = bus.rpartition(" ")[2]
    return "business" if node.startswith("C") or node in ("7", "9", "13") else "household"


def owed_w(
    units: tuple[PlannedUnit, ...], planned: dict[str, Profile], drawn: dict[str, Profile], narrow: list[Narrow]
) -> dict[str, tuple[int, ...]]:
    """About what each conditional wind farm will be curtailed by, before any power flow.

    At each point the hourly net export less losses of 2 % of the turnover over the limit, pro rata to what the farms
    behind it inject; for points in series the most of any.
    """
    bus_of = {unit.name: unit.bus for unit in units}
    owed = {unit.name: [0] * MTUS for unit in units if unit.agreed and unit.kind == "wind"}
    for point in narrow:
        behind = [p for name, p in (*planned.items(), *drawn.items()) if _behind(point, bus_of.get(name, name))]
        farms = [name for name in owed if _behind(point, bus_of[name])]
        for first in range(point.span.first, point.span.end, PER_HOUR):
            hour = range(first, first + PER_HOUR)
            into = sum(p.p_w[mtu] for p in behind for mtu in hour)
            over = max(0, math.floor(0.98 * into / PER_HOUR) - point.limit_w)
            for mtu in hour:
                whole = sum(planned[name].p_w[mtu] for name in farms)
                for name in farms:
                    owes = min(planned[name].p_w[mtu], over * planned[name].p_w[mtu] // whole)
                    owed[name][mtu] = max(owed[name][mtu], owes)
    return {name: tuple(row) for name, row in owed.items()}


def _behind(point: Narrow, bus: str) -> bool:
    node = bus.removeprefix("Bus ").partition(" ")[0].partition(".")[0]
    return point.nodes == EVERYWHERE or node in point.nodes
