"""Devices of one kind and their rows in one slab."""

import numpy as np

from flexpeer.clearing import rows as row_passes
from flexpeer.clearing.problem import Floats, Integers
from flexpeer.clearing.rows import BARRIER, LANES, MOVE, SECOND


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
