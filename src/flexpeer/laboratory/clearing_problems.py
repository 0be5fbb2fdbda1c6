"""Seeded clearing problems: feeders under a substation, peers who bid in steps, limits that bind.

Each feeder is a random tree of bounded reach; about every eighth bus begins another area. Base flows swing between
evening load and midday export; limits are a little below what the peaks need, so part of the lines congest for hours.
Prices are per kWh: asks 0.2 to 1.2, bids 0.1 to 1.1, export 0.3 and import 0.6 as spot prices move.
"""

import numpy as np

from flexpeer.clearing.problem import ClearingProblem, Floats, Integers, PeerKind
from flexpeer.laboratory.engines.evaluation import sum_down, sum_up

STEP_SIGN = (1, 1, -1, -1)
LINE_PRICE, ROOT_PRICE, VOLTAGE_PRICE = 5.0, 3.0, 5_000.0


def clearing_problem(  # noqa: PLR0913 - a problem's knobs, by name
    peers: int,
    periods: int,
    seed: int = 1,
    *,
    shift: float = 0.0,
    storage: float = 0.0,
    tightness: float = 1.0,
    sensitivity: float = 1.0,
    ties: bool = False,
    buses: int | None = None,
) -> ClearingProblem:
    """A problem of whole watts, the same for the same arguments.

    `shift`, `storage` are shares of the peers; `tightness` scales limits (below 1: tighter), `sensitivity` the
    voltage drop; with `ties` there are five prices in all; `buses` is one for eight peers unless given.
    """
    rng = np.random.default_rng(seed)
    buses = max(2, peers // 8) if buses is None else buses
    parent = _tree(rng, buses)
    peer_bus = rng.integers(min(1, buses - 1), buses, peers)
    base = _base(rng, np.bincount(peer_bus, minlength=buses), periods)
    flow = base.copy()
    sum_up(parent, flow)
    peak = np.quantile(np.abs(flow), 0.9, axis=1) * rng.uniform(0.9, 1.5, buses) + 2.0
    limit = np.rint(1000.0 * tightness * peak)[:, None] / 1000.0 + np.zeros(periods)
    kw, price = _steps(rng, (peers, periods, len(STEP_SIGN)), ties)
    spot = np.round(0.5 + 0.2 * np.sin(np.arange(periods) * 2 * np.pi / 24) + rng.normal(0, 0.02, periods), 4)
    kind = np.zeros(peers, dtype=np.int64)
    draw = rng.random(peers)
    kind[draw < shift] = PeerKind.SHIFT
    kind[(draw >= shift) & (draw < shift + storage)] = PeerKind.STORAGE
    capacity = np.where(kind == PeerKind.STORAGE, np.rint(2000.0 * kw[:, 0].sum(axis=1)) / 1000.0, 0.0)
    return ClearingProblem(
        parent, _areas(rng, parent), base, limit, LINE_PRICE, ROOT_PRICE, VOLTAGE_PRICE, np.round(spot + 0.1, 4),
        np.round(spot - 0.2, 4), *_voltage(rng, parent, flow, sensitivity), peer_bus, np.array(STEP_SIGN), kw, price,
        kind, capacity, np.rint(500.0 * capacity) / 1000.0,
    )  # fmt: skip


def _tree(rng: np.random.Generator, buses: int) -> Integers:
    """Feeders of about 40 buses, each bus below one of the ten before it."""
    parent = np.full(buses, -1)
    head = 0
    for n in range(1, buses):
        if n == 1 or rng.random() < 1 / 40:
            head, parent[n] = n, 0
        else:
            parent[n] = rng.integers(max(head, n - 10), n)
    return parent


def _areas(rng: np.random.Generator, parent: Integers) -> Integers:
    """The root is area 0, and one bus in twenty begins another area."""
    area = np.zeros(len(parent), dtype=np.int64)
    for n in range(1, len(parent)):
        area[n] = area.max() + 1 if rng.random() < 0.05 else area[parent[n]]
    return area


def _base(rng: np.random.Generator, peers_at: Integers, periods: int) -> Floats:
    hours = np.arange(periods) * 24 / periods
    load = 0.6 + 0.4 * np.cos((hours - 19) * 2 * np.pi / 24)
    sun = np.maximum(0.0, np.cos((hours - 12.5) * 2 * np.pi / 24)) ** 2
    scale = peers_at[:, None] * rng.uniform(0.5, 1.5, (len(peers_at), 1))
    kw = scale * (3.5 * rng.uniform(0.3, 1.7, (len(peers_at), 1)) * sun - 1.5 * load)
    return np.asarray(np.rint(1000.0 * kw * rng.uniform(0.9, 1.1, kw.shape)) / 1000.0)


def _steps(rng: np.random.Generator, shape: tuple[int, int, int], ties: bool) -> tuple[Floats, Floats]:
    """Sizes of 0.1 to 3 kW; asks for moving up (+) and bids for moving down (as a negative cost)."""
    kw = rng.integers(100, 3_000, shape) / 1000.0
    level = rng.uniform(0.2, 1.2, shape)
    cost: Floats = np.where(np.array(STEP_SIGN) > 0, level, 0.1 - level)
    price = np.asarray(np.round(cost, 4), dtype=np.float64)
    return kw, np.round(price * 5.0) / 5.0 if ties else price


def _voltage(
    rng: np.random.Generator, parent: Integers, flow: Floats, sensitivity: float
) -> tuple[Floats, float, float]:
    """rho, and the band of w: the middle 95 % of what the base flows make of it."""
    drop = rng.uniform(0.5, 1.5, len(parent)) * 1e-5
    drop[0] = 0.0
    w = drop[:, None] * flow
    sum_down(parent, w)
    low, high = np.quantile(w, [0.025, 0.975])
    return drop * sensitivity, float(round(low, 6)), float(round(high, 6))
