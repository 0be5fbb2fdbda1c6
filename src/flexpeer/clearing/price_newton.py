"""E1, price-Newton: a primal-dual interior point method whose linear algebra is one sweep up and down the tree.

    repeat   gather:   devices answer with W, R; stop when sum v z + s y <= tolerance        (1)
             predict:  affine step of the sweeps of `tree`; how far could it go?             (2)
             sigma = (gap after / gap)^3, aim = sigma gap / size                             (3)
             correct:  the step that aims there, with Mehrotra's second order                (4)
             advance:  99 % of the way to the nearest bound                                  (5)

Periods of a slab are independent problems in lockstep: each has its own sigma, step length and end. A slab's
periods are as many as one vector instruction takes, so the passes over rows run at memory speed.
Source: Mehrotra, SIAM J. Optim. 2(4), 1992; Nocedal and Wright, Numerical Optimization, ch. 14.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import numpy as np

from flexpeer.clearing.problem import Flags, Floats, Integers

STEP_LIMIT = 60
NEAREST = 0.995
IDLE_SHARE = 1e-2
PRECISION = 1e-11
RELATIVE = 2e-8


class NewtonStatus(Enum):
    """How price-Newton ended."""

    CONVERGED = "converged"
    STALLED = "stalled"
    STEP_LIMIT = "step limit"


class SingularError(ArithmeticError):
    """Newton's equations have no solution to working precision."""


class System(Protocol):
    """Some periods' devices and the tree that joins them; arrays are per lane, (lanes,) or (2 lanes,)."""

    @property
    def size(self) -> int | Floats:
        """How many complementarity products there are, of all lanes alike or of each."""

    def gather(self) -> tuple[Floats, Floats]:
        """Complementarity gap and cost."""

    def predict(self) -> tuple[Floats, Floats, Floats]:
        """Linear and product sums of the affine step, and its reach."""

    def correct(self, aim: Floats) -> Floats:
        """Reach of the corrected step."""

    def advance(self, aim: Floats, length: Floats) -> None:
        """Take it."""


@dataclass(frozen=True)
class Progress:
    """Steps taken and where they led: gap and cost per lane."""

    steps: int
    status: NewtonStatus
    gap: Floats
    cost: Floats


def solve(system: System, tolerance: "Tolerance") -> Progress:
    """Newton steps until every lane is within `tolerance` of its optimum."""
    for step in range(STEP_LIMIT):
        try:
            gap, cost = system.gather()
        except SingularError:
            return Progress(step, NewtonStatus.STALLED, np.full(0, np.nan), np.full(0, np.nan))
        active = tolerance.unmet(gap, cost)
        if not active.any():
            return Progress(step, NewtonStatus.CONVERGED, gap, cost)
        go(system, gap, active)
    return Progress(STEP_LIMIT, NewtonStatus.STEP_LIMIT, gap, cost)


def go(system: System, gap: Floats, active: Flags) -> None:
    """Equations (2) to (5) from a complementarity `gap` (lanes,); lanes that are not `active` stay where they are."""
    linear, product, reach = system.predict()
    aim = coarse(centred(gap, linear, product, reach) / system.size)
    length = coarse(np.minimum(1.0, NEAREST / np.maximum(system.correct(aim), LEAST)))
    system.advance(aim, length * np.tile(active, 2))


LEAST = 1e-300
LARGEST = 3e38

Rounding = Callable[[Floats], Floats]


def coarse(values: Floats) -> Floats:
    """In single precision, which does for all that only leads to the next step, and halves what messages carry."""
    return np.asarray(np.clip(values, -LARGEST, LARGEST).astype(np.float32).astype(np.float64))


def rough(values: Floats) -> Floats:
    """In three digits (bfloat16), which do for what only says how far to go: `NEAREST` is nearer to a bound by more."""
    bits = np.clip(values, -LARGEST, LARGEST).astype(np.float32).view(np.uint32)
    return np.asarray(((bits + np.uint32(0x8000)) & np.uint32(0xFFFF0000)).view(np.float32).astype(np.float64))


def centred(gap: Floats, linear: Floats, product: Floats, reach: Floats) -> Floats:
    """Sigma gap, from what the affine step would leave of the gap."""
    primal, dual = np.split(np.minimum(1.0, 1.0 / np.maximum(reach, LEAST)), 2)
    after = gap + primal * linear - dual * (gap + linear) + primal * dual * product
    return np.asarray(np.clip(after / gap, 0.0, 1.0) ** 3 * gap)


@dataclass(frozen=True)
class Tolerance:
    """Relative to what trade gains over `without` (lanes,), but never below `floor` (lanes,)."""

    relative: float
    without: Floats
    floor: Floats

    @classmethod
    def of(cls, relative: float, idle: Floats, worth: Floats, constant: Floats) -> "Tolerance":
        """For what no trade costs, what all steps are worth, and what costs are counted from (lanes,) each."""
        floor = IDLE_SHARE * relative * worth + PRECISION * (1.0 + np.abs(idle))
        return cls(relative, idle - constant, floor)

    def at(self, lanes: Integers) -> "Tolerance":
        """Of some of the lanes."""
        return Tolerance(self.relative, self.without[lanes], self.floor[lanes])

    def unmet(self, gap: Floats, cost: Floats) -> Flags:
        """Which lanes are not there yet."""
        return np.asarray(gap > np.maximum(self.relative * (self.without - cost), self.floor))
