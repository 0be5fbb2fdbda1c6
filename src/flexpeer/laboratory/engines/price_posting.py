"""E2, price-posting: the DSOs post prices, every peer answers with one quantity; nobody else's data is needed.

    project:  g, f, w, s from `projection` of where all stand, z                              (1)
    answer:   x_i = argmin c_i(x) + 2 g x + r/2 |x - z_i|^2,   f, w, s alike with h, k, l     (2)
    stand:    z_i <- z_i + a (x_i - (z_i - g/r)),   a = 1.6                                   (3)

a peer that does not answer in a round stands where it stood. Weights: r is the same for peers; a line's is r over the
number of peers below it and a voltage's follows from the lines on its path, so that what many small moves add up to may
move as easily as they. r itself follows the ratio of what is still out of balance to what prices still move. The
certificate is taken every `LOOK` rounds and ends the rounds. Douglas and Rachford's splitting: Eckstein and Bertsekas,
Math. Programming 55, 1992; over-relaxed, as there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from flexpeer.clearing.layout import add_peers
from flexpeer.clearing.problem import ClearingProblem, Floats, Integers, PeerKind
from flexpeer.laboratory.engines.certificate import certify
from flexpeer.laboratory.engines.evaluation import cheapest_steps, sum_down, sum_up
from flexpeer.laboratory.engines.outcome import Engine, EngineAnswer, Posted
from flexpeer.laboratory.engines.projection import Projection
from flexpeer.laboratory.engines.proximal import LevelBounds, PeerCosts, Pull, answer_coupled, answer_free

ROUND_LIMIT = 3000
LOOK = 20
RELATIVE = 1e-4
IDLE_SHARE = 1e-2
RELAXATION = 1.6
TOO_FAR, FASTER = 5.0, 2.0

Silent = Callable[[int], Integers]


class Peers:
    """All peers' answers; `x` (peers, periods) is the last of each."""

    def __init__(self, problem: ClearingProblem) -> None:
        slope = problem.step_price * problem.step_sign
        order = np.argsort(slope, axis=2, kind="stable")
        self._costs = PeerCosts(
            np.take_along_axis(slope, order, axis=2),
            np.take_along_axis(problem.step_kw, order, axis=2),
            -(problem.step_kw @ (problem.step_sign < 0).astype(np.float64)),
        )
        self._bus, self._kind = problem.peer_bus, problem.peer_kind
        self._capacity, self._start = problem.energy_kwh, problem.energy_start_kwh
        self.x = np.zeros(self._costs.least.shape)

    def answer(self, asked: Integers, g: Floats, weight: float, stand: Floats) -> None:
        """Equation (2) of the peers `asked`."""
        price = 2.0 * g[self._bus]
        free = self._kind[asked] == PeerKind.FREE
        answer_free(self._costs, asked[free], price, weight, stand, self.x)
        for i in asked[~free]:
            costs = PeerCosts(self._costs.slope[i], self._costs.length[i], self._costs.least[i])
            answer_coupled(costs, Pull(price[i], stand[i], weight), self._store(i), self.x[i])

    def _store(self, peer: int) -> LevelBounds:
        if self._kind[peer] == PeerKind.SHIFT:
            return LevelBounds(-np.inf, np.inf, 0.0)
        return LevelBounds(0.0, float(self._capacity[peer]), float(self._start[peer]))


def bent(value: Floats, bends: Sequence[Floats | float], slopes: Sequence[Floats | float]) -> Floats:
    """Argmin h(v) + r/2 |v - value|^2, where h' over r is `slopes`, ascending, below, between and above `bends`."""
    answer: Floats = value - np.asarray(slopes[0], dtype=np.float64)
    for bend, slope in zip(bends, slopes[1:], strict=True):
        answer = np.asarray(np.where(answer > bend, np.maximum(value - np.asarray(slope), bend), answer))
    return answer


@dataclass(frozen=True)
class PostedState:
    """Where all stand, z: peers (peers, periods), lines and voltages (buses, periods), rows (rows, periods)."""

    peer: Floats
    line: Floats
    voltage: Floats
    row: Floats


@dataclass(frozen=True)
class Weights:
    """r of peers, r_f and r_w (buses,), r_s."""

    peer: float
    line: Floats
    voltage: Floats
    row: float

    @classmethod
    def of(cls, problem: ClearingProblem, weight: float) -> "Weights":
        """From that of peers."""
        below = np.bincount(problem.peer_bus, minlength=problem.buses).astype(np.float64)[:, None]
        sum_up(problem.parent, below)
        many = np.maximum(below, 1.0)
        path = problem.voltage_drop[:, None] ** 2 * many
        sum_down(problem.parent, path)
        voltage = weight / np.maximum(path[:, 0], 1e-30)
        spread = (problem.row_factor**2 @ below).max(initial=1.0) if problem.rows else 1.0
        return cls(weight, weight / many[:, 0], voltage, weight / float(spread))


class Rounds:
    """The state of price-posting between rounds."""

    def __init__(self, problem: ClearingProblem, weight: float) -> None:
        shape = problem.base_kw.shape
        self._problem, self.peers = problem, Peers(problem)
        self.stand = PostedState(self.peers.x.copy(), np.zeros(shape), np.zeros(shape), problem.row_base_kw.copy())
        self.weights, self._centres = Weights.of(problem, weight), dict[str, Floats]()
        self.set_weight(weight)
        self.posted = Posted(np.zeros(shape), np.zeros(shape), np.zeros(problem.row_base_kw.shape))
        self.out_of_balance = self.price_move = 0.0

    def set_weight(self, weight: float) -> None:
        """Other weights, the same point and prices."""
        share = self.weights.peer / weight
        for name, centre in self._centres.items():
            now = getattr(self.stand, name)
            now[:] = centre + (now - centre) * share
        self.weights = Weights.of(self._problem, weight)
        w = self.weights
        self._projection = Projection(self._problem, w.peer, w.line, w.voltage, w.row)

    def round(self, asked: Integers) -> None:
        """Equations (1) to (3); peers not `asked` are silent."""
        problem, z, w = self._problem, self.stand, self.weights
        inject = problem.base_kw.copy()
        add_peers(problem.peer_bus, z.peer, inject)
        g, flow, level, row, q = self._projection.solve(inject, z.line, z.voltage, z.row)
        y, zeta = w.line[:, None] * (flow - z.line), w.voltage[:, None] * (level - z.voltage)
        self.posted = Posted.clipped(problem, y, zeta if problem.has_voltage else 0.0 * zeta, q)
        at_peers = g[problem.peer_bus]
        self._centres = {"peer": z.peer - at_peers / w.peer, "line": flow, "voltage": level, "row": row}
        before = self.peers.x.copy()
        self.peers.answer(asked, g, w.peer, z.peer)
        moved = np.zeros(z.peer.shape)
        moved[asked] = (self.peers.x - self._centres["peer"])[asked]
        self.out_of_balance = float(np.linalg.norm(moved))
        self.price_move = float(np.linalg.norm(self.peers.x - before))
        z.peer[:] += RELAXATION * moved
        z.line[:] += RELAXATION * (self._lines(2.0 * flow - z.line) - flow)
        if problem.has_voltage:
            z.voltage[:] += RELAXATION * (self._voltages(2.0 * level - z.voltage) - level)
        if problem.rows:
            limit, slope = problem.row_limit_kw, problem.row_price / w.row
            z.row[:] += RELAXATION * (bent(2.0 * row - z.row, (-limit, limit), (-slope, 0.0, slope)) - row)

    def _lines(self, value: Floats) -> Floats:
        """Lines, and the root: within the subscription at its prices, beyond it at the limit price too."""
        problem, weight = self._problem, self.weights.line
        limit, slope = problem.line_limit_kw, problem.line_price / weight[:, None]
        answer = bent(value, (-limit, limit), (-slope, 0.0, slope))
        bought, sold = -problem.import_price / weight[0], -problem.export_price / weight[0]
        extra = problem.root_limit_price / weight[0]
        bends = (-limit[0], np.zeros(problem.periods), limit[0])
        answer[0] = bent(value[0], bends, (bought - extra, bought, sold, sold + extra))
        return answer

    def _voltages(self, value: Floats) -> Floats:
        problem = self._problem
        slope = problem.voltage_price / self.weights.voltage[:, None]
        return bent(value, (problem.voltage_low, problem.voltage_high), (-slope, 0.0, slope))


def first_weight(problem: ClearingProblem) -> float:
    """Typical price over typical step."""
    sizes = problem.step_kw[problem.step_kw > 0.0]
    return float(np.abs(problem.step_price).mean() / sizes.mean()) if sizes.size else 1.0


def post_prices(
    problem: ClearingProblem,
    on_progress: Callable[[int, int], None],
    relative: float = RELATIVE,
    silent: Silent | None = None,
) -> EngineAnswer:
    """Rounds until the certificate is within `relative` of the gain; `silent` names who is silent in a round."""
    rounds, everyone, best = Rounds(problem, first_weight(problem)), np.arange(problem.peers), None
    least_gap, status = np.inf, "round limit"
    done = 0
    for done in range(1, ROUND_LIMIT + 1):
        rounds.round(everyone if silent is None else np.setdiff1d(everyone, silent(done)))
        if done % LOOK:
            continue
        on_progress(done, ROUND_LIMIT)
        steps_kw = cheapest_steps(problem, rounds.peers.x)[1]
        found = certify(problem, steps_kw, rounds.posted)
        if found.gap < least_gap or best is None:
            least_gap, best = found.gap, (steps_kw, rounds.posted)
        gain = found.no_trade_objective - found.objective
        if found.gap <= relative * max(gain, IDLE_SHARE * (1.0 + abs(found.no_trade_objective))):
            status = "converged"
            break
        ratio = rounds.out_of_balance / max(rounds.price_move, 1e-300)
        if done <= ROUND_LIMIT // 4 and not 1.0 / TOO_FAR < ratio < TOO_FAR:
            rounds.set_weight(rounds.weights.peer * (FASTER if ratio > 1.0 else 1.0 / FASTER))
    assert best is not None
    return EngineAnswer(*best, Engine.PRICE_POSTING, status, done)
