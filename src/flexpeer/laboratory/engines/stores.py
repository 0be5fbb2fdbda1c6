"""Coupled peers' rows in one slab: their steps and, a row each, their levels."""

import numpy as np

from flexpeer.clearing.group import Group
from flexpeer.clearing.layout import LEAST, PeerRows
from flexpeer.clearing.problem import ClearingProblem, Flags, Floats, Integers, PeerKind
from flexpeer.clearing.rows import LANES, ROW, C, S, V, Y, Z


def steps_of(
    problem: ClearingProblem, peers: PeerRows, index: Integers, periods: Integers, price: Floats, spread: Floats
) -> Group:
    """The steps of coupled peers, devices in the order of `index` (peers,); `price` (devices, LANES)."""
    rows = peers.rows(problem, periods, price.sum(axis=0) / max(len(price), 1), spread)
    count = np.bincount(np.searchsorted(index, peers.peer), minlength=len(index))
    return Group(rows, peers.sign, count, price)


def levels_of(problem: ClearingProblem, index: Integers, periods: Integers, live: Flags, spread: Floats) -> Group:
    """Their levels after each period; none after the last, where a row of no size stands."""
    rows = np.zeros((len(index), ROW))
    size, start = sizes(problem, index)
    inner = live & (periods < problem.periods - 1)
    q = np.where(inner, size[:, None], LEAST)
    rows[:, V : V + LANES] = np.where(inner, np.clip(start, 0.1 * size, 0.9 * size)[:, None], 0.5 * LEAST)
    rows[:, S : S + LANES] = q - rows[:, V : V + LANES]
    swing = problem.step_kw[index].mean(axis=(1, 2))[:, None] + LEAST
    level = spread * np.minimum(swing, q) / q
    rows[:, Z : Z + LANES], rows[:, Y : Y + LANES], rows[:, C : C + LANES] = level, level, 0.0
    return Group(rows, np.ones(len(index)), np.ones(len(index), dtype=np.int64), np.zeros((len(index), LANES)))


def sizes(problem: ClearingProblem, index: Integers) -> tuple[Floats, Floats]:
    """Capacity and start of each peer's store, kWh; a shift's is one that it cannot fill or empty."""
    store = problem.peer_kind[index] == PeerKind.STORAGE
    swing = problem.step_kw[index].sum(axis=(1, 2)) + LEAST
    size = np.where(store, np.maximum(problem.energy_kwh[index], LEAST), 2.0 * swing)
    return size, np.where(store, problem.energy_start_kwh[index], swing)
