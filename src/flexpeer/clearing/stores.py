"""Coupled peers' rows in one slab: their steps and, a row each, their levels."""

import numpy as np

from flexpeer.clearing import rows as row_passes
from flexpeer.clearing.layout import LEAST, PeerRows
from flexpeer.clearing.problem import Flags, Floats, Integers, PeerKind, Problem
from flexpeer.clearing.rows import BARRIER, LANES, MOVE, ROW, SECOND, C, S, V, Y, Z


class Group:
    """Devices of one kind with their rows; `price` (devices, LANES) is what they answer to, `step` its change."""

    def __init__(self, rows: Floats, sign: Floats, count: Integers, price: Floats) -> None:
        devices = len(count)
        self.rows, self.sign = rows, sign
        self.first = np.concatenate(([0], np.cumsum(count)))
        self.price, self.step = price, np.zeros((devices, LANES))
        self.answer, self.second = np.zeros((devices, 3 * LANES)), np.zeros((devices, 2 * LANES))
        self.affine, self.full = np.zeros((devices, LANES)), np.zeros((devices, LANES))
        self.totals, self.reach = np.zeros(2 * LANES), np.zeros(2 * LANES)

    def gather(self) -> None:
        """Ask the devices."""
        row_passes.gather(self.rows, self.sign, self.first, self.price, self.answer, self.totals)

    def moves(self) -> Floats:
        """Affine R, (devices, LANES)."""
        return self.answer[:, MOVE : MOVE + LANES]

    def probe(self) -> None:
        """See how far the affine step could go."""
        np.add(self.price, self.step, out=self.affine)
        row_passes.probe(self.rows, self.sign, self.first, self.affine, self.second, self.totals, self.reach)

    def corrected(self, aim: Floats) -> Floats:
        """R of the corrected step, (devices, LANES)."""
        return np.asarray(
            self.moves() + self.second[:, SECOND : SECOND + LANES] + aim * self.second[:, BARRIER : BARRIER + LANES]
        )

    def bound(self, aim: Floats) -> None:
        """How far the corrected step could go."""
        np.add(self.price, self.step, out=self.full)
        row_passes.aim_at(self.rows, self.sign, self.first, self.affine, self.full, aim, self.reach)

    def advance(self, aim: Floats, length: Floats) -> None:
        """Go `length` (2 LANES,), primal and dual."""
        row_passes.advance(self.rows, self.sign, self.first, self.affine, self.full, aim, length)
        self.price += length[LANES:] * self.step


def steps_of(
    problem: Problem, peers: PeerRows, index: Integers, periods: Integers, price: Floats, spread: Floats
) -> Group:
    """The steps of coupled peers, devices in the order of `index` (peers,); `price` (devices, LANES)."""
    rows = peers.rows(problem, periods, price.sum(axis=0) / max(len(price), 1), spread)
    count = np.bincount(np.searchsorted(index, peers.peer), minlength=len(index))
    return Group(rows, peers.sign, count, price)


def levels_of(problem: Problem, index: Integers, periods: Integers, live: Flags, spread: Floats) -> Group:
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


def sizes(problem: Problem, index: Integers) -> tuple[Floats, Floats]:
    """Capacity and start of each peer's store, kWh; a shift's is one that it cannot fill or empty."""
    store = problem.peer_kind[index] == PeerKind.STORAGE
    swing = problem.step_kw[index].sum(axis=(1, 2)) + LEAST
    size = np.where(store, np.maximum(problem.energy_kwh[index], LEAST), 2.0 * swing)
    return size, np.where(store, problem.energy_start_kwh[index], swing)
