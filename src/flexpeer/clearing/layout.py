"""The rows of an area's devices and where price-Newton starts them.

A device's value is its lowest value plus its rows, whose slopes ascend (`DeviceSlopes`):

| device | lowest value | rows: sign, size, slope |
|---|---|---|
| bus n | base_n | the steps of its free peers |
| line n | -F | - beyond, line_price; + 2F, 0; + beyond, line_price |
| root | -F | - beyond, import + limit price; + F, -import; + F, -export; + beyond, limit price - export |
| voltage n | low | - beyond, voltage_price; + high - low, 0; + beyond, voltage_price |
| coupled peer | 0 | its steps |
| its store | 0 | + capacity, 0 |

A line or voltage that no allocation can bring to its limit has no rows. Prices y, z start at 0 and g in the middle of
the root's prices; a peer's step starts where v z = s y, a grid's rows where they make the flow. All duals fit the
costs exactly, so only complementarity has to be found.
"""

from dataclasses import dataclass

import numpy as np

from flexpeer.clearing.problem import ClearingProblem, Flags, Floats, Integers, PeerKind
from flexpeer.clearing.rows import LANES, ROW, C, S, V, Y, Z
from flexpeer.compiled import compiled, compiled_apart

LEAST = 1e-9
INSET = 0.05
LEAST_PRICE = 1e-6


@dataclass(frozen=True)
class Reach:
    """The least and largest flows kW and w that any allocation makes, each (buses, periods)."""

    flow_low: Floats
    flow_high: Floats
    voltage_low: Floats
    voltage_high: Floats

    @property
    def most_kw(self) -> Floats:
        """The largest flow either way."""
        return np.maximum(np.abs(self.flow_low), np.abs(self.flow_high))


@dataclass(frozen=True)
class DeviceSlopes:
    """Devices of one kind that have rows: `at` their numbers, `low` (devices, LANES), `start` what they shall be.

    `width`, `slope` (devices, pieces, LANES); the first piece counts downwards and the last upwards, both beyond
    the limits, the others span what lies between.
    """

    at: Integers
    low: Floats
    start: Floats
    width: Floats
    slope: Floats

    def sign(self) -> Floats:
        """-1 for the first piece of each device."""
        sign = np.ones((self.width.shape[0], self.width.shape[1]))
        sign[:, 0] = -1.0
        return sign.ravel()

    def rows(self, price: Floats, level: Floats, spread: Floats) -> Floats:
        """Rows where they make `start`, with complementarity about `level` (LANES,)."""
        v = np.empty(self.width.shape)
        value = self.low.copy()
        last = self.width.shape[1] - 1
        for piece in range(1, last):
            width = self.width[:, piece]
            v[:, piece] = np.clip(self.start - value, INSET * width, (1.0 - INSET) * width)
            value += v[:, piece]
        slack = level / (np.abs(self.slope[:, 0]) + spread)
        v[:, 0] = np.maximum(value - self.start, 0.0) + slack
        v[:, last] = np.maximum(self.start - value, 0.0) + slack
        s = self.width - v
        s[:, (0, last)] = np.maximum(s[:, (0, last)], v[:, (0, last)])
        rest = self.slope + np.einsum("ij,it->ijt", self.sign().reshape(len(v), last + 1), price)
        z = np.where(rest >= 0.0, rest + level / s, level / v)
        return np.stack((v, s, z, z - rest, self.slope), axis=2).reshape(-1, ROW)


def banded(
    active: Flags, reach: tuple[Floats, Floats], band: tuple[Floats, Floats], start: Floats, price: Floats | float
) -> DeviceSlopes:
    """No cost within `band`, `price` (devices,) beyond; infinite bands end just beyond what can be reached."""
    at = np.flatnonzero(active)
    low, high, start = reach[0][at], reach[1][at], start[at]
    margin = 0.1 * (high - low) + LEAST
    under, over = band[0][at], band[1][at]
    floor = np.maximum(under, np.minimum(low, over) - margin)
    ceiling = np.maximum(np.minimum(over, np.maximum(high, under) + margin), floor + LEAST)
    beyond = (np.maximum(floor - low, 0.0) + margin) * 2.0, (np.maximum(high - ceiling, 0.0) + margin) * 2.0
    width = np.stack((beyond[0], np.maximum(ceiling - floor, LEAST), beyond[1]), axis=1)
    slope = np.zeros(width.shape)
    slope[:, (0, 2)] = np.broadcast_to(price, active.shape)[at, None, None]
    return DeviceSlopes(at, floor, start, width, slope)


def root_exchange(problem: ClearingProblem, reach: Reach, periods: Integers, start: Floats) -> DeviceSlopes:
    """Import and export, within the subscription and beyond it."""
    low, high = reach.flow_low[:1, periods], reach.flow_high[:1, periods]
    most = 1.1 * np.maximum(np.abs(low), np.abs(high)) + LEAST
    limit = np.clip(problem.line_limit_kw[:1, periods], LEAST, most)
    bought, sold = problem.import_price[periods], problem.export_price[periods]
    beyond = (most - limit + 0.1 * most) * 2.0
    width = np.stack((beyond, limit, limit, beyond), axis=1)
    extra = problem.root_limit_price
    slope = np.stack((bought + extra, -bought, -sold, extra - sold))[None]
    return DeviceSlopes(np.zeros(1, dtype=np.int64), -limit, start, width, slope)


@compiled
def lay_peers(rows: Floats, peer: Integers, step: Integers, periods: Integers, kw: Floats, price: Floats) -> None:
    """Q (at S) and c of peers' rows from (peers, periods, steps) arrays."""
    for j in range(len(peer)):
        for t in range(LANES):
            rows[j, S + t] = max(kw[peer[j], periods[t], step[j]], LEAST)
            rows[j, C + t] = price[peer[j], periods[t], step[j]]


@compiled
def find_used(kw: Floats, peers: Integers, used: Flags) -> None:
    """Mark the steps of `peers` that have a size in any period."""
    for i in range(len(peers)):
        for t in range(kw.shape[1]):
            for k in range(kw.shape[2]):
                used[i, k] |= kw[peers[i], t, k] > 0.0


@compiled_apart
def balance(rows: Floats, sign: Floats, price: Floats, spread: Floats) -> None:
    """Rows of size q (at S) so that v z = s y and z - y = c + d p, the same p (LANES,) for all."""
    lanes = len(price)
    for j in range(len(sign)):
        row, d = rows[j], sign[j]
        for t in range(lanes):
            q, rest = row[S + t], row[C + t] + d * price[t]
            z, y = max(rest, 0.0) + spread[t], max(-rest, 0.0) + spread[t]
            share = q / (z + y)
            row[V + t], row[S + t], row[Z + t], row[Y + t] = share * y, share * z, z, y


@compiled
def injected(rows: Floats, sign: Floats, count: Integers, total: Floats, level: Floats) -> None:
    """Add what the rows of the first devices make to `total` (devices, LANES), and v z to `level` (LANES,)."""
    j = 0
    for n in range(len(total)):
        for _ in range(count[n]):
            for t in range(LANES):
                total[n, t] += sign[j] * rows[j, V + t]
                level[t] += rows[j, V + t] * rows[j, Z + t]
            j += 1


@dataclass(frozen=True)
class PeerRows:
    """Rows of some peers' steps, peer by peer: `peer`, `step`, `sign` (rows,) and how many each peer has."""

    peer: Integers
    step: Integers
    sign: Floats

    @classmethod
    def of(cls, problem: ClearingProblem, peers: Integers) -> "PeerRows":
        """All steps that have a size in any period."""
        used = np.zeros((len(peers), problem.steps), dtype=np.bool_)
        find_used(problem.step_kw, peers, used)
        at, step = np.nonzero(used)
        return cls(peers[at], step, problem.step_sign[step].astype(np.float64))

    def rows(
        self, problem: ClearingProblem, periods: Integers, price: Floats, spread: Floats, spare: int = 0
    ) -> Floats:
        """Where they start, and room for `spare` more rows behind them."""
        rows = np.empty((len(self.peer) + spare, ROW))
        lay_peers(rows, self.peer, self.step, periods, problem.step_kw, problem.step_price)
        balance(rows, self.sign, price, spread)
        return rows


def root_price(problem: ClearingProblem, periods: Integers) -> Floats:
    """Where g starts, (LANES,)."""
    return -0.5 * (problem.import_price + problem.export_price)[periods]


def free_peers(problem: ClearingProblem, bus: Integers) -> Integers:
    """The free peers at `bus`, bus by bus in the order of `bus`."""
    place = np.full(problem.buses, -1)
    place[bus] = np.arange(len(bus))
    mine = np.flatnonzero((place[problem.peer_bus] >= 0) & (problem.peer_kind == PeerKind.FREE))
    return mine[np.argsort(place[problem.peer_bus[mine]], kind="stable")]


@compiled
def add_peers(peer_bus: Integers, x_kw: Floats, at_bus: Floats) -> None:
    """Add moves (peers, periods) to what their buses inject (buses, periods)."""
    for i in range(len(peer_bus)):
        at_bus[peer_bus[i]] += x_kw[i]


def extreme_moves(step_kw: Floats, step_sign: Integers) -> tuple[Floats, Floats]:
    """X (peers, periods) with every step down, and with every step up."""
    return -(step_kw @ (step_sign < 0).astype(np.float64)), step_kw @ (step_sign > 0).astype(np.float64)


def scale_of(typical: Floats) -> Floats:
    """Typical prices (periods,) as a scale: above zero, and too coarse to show in what order they were summed."""
    return np.asarray(typical.astype(np.float32).astype(np.float64) + LEAST_PRICE)


@compiled
def take_steps(
    rows: Floats, peer: Integers, step: Integers, periods: Integers, live: Flags, kw: Floats, steps_kw: Floats
) -> None:
    """What rows of peers' steps say, into `steps_kw` (peers, periods, steps); `kw` are the steps' sizes."""
    for j in range(len(peer)):
        for t in range(LANES):
            if live[t]:
                q = kw[peer[j], periods[t], step[j]]
                v, s = rows[j, V + t], rows[j, S + t]
                steps_kw[peer[j], periods[t], step[j]] = min(v, q) if v < s else max(q - s, 0.0)
