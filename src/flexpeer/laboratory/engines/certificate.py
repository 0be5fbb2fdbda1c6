"""How far an outcome can be from the optimum, provable without a bid.

For any posted prices y (lines), z (voltages), q (rows), clipped to what relief costs, with g the price at buses:

    D = sum_i min_x (c_i(x) + g x) - sum h*(y) - sum k*(z) - sum l*(q)
        + y.f0 + z.w0 + q.s0                                       <= optimum <= P           (1)

where f0, w0, s0 are flows, voltages and row flows of no trade. P - D is a sum of terms, each >= 0 and known to its
owner alone:

    peer i      c_i(x_i) + g x_i - min_x (c_i(x) + g x)          its lost opportunity         (2)
    line n      h(f) + h*(y) - y f                               its complementarity          (3)
    voltage, row likewise

Owners publish their term hashed with a salt of their own; prices and the sum are public. Fenchel duality: Rockafellar,
Convex Analysis, section 31.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flexpeer.clearing.problem import ClearingProblem, Floats, PeerKind
from flexpeer.clearing.responses import least, spent
from flexpeer.laboratory.engines.evaluation import AllocationState, grid_cost, moves, relief_of, state_of
from flexpeer.laboratory.engines.outcome import Posted

ROUNDING = 1e-9


@dataclass(frozen=True)
class Certificate:
    """Objective P, bound D, no trade, and the terms of P - D: (peers,), and (buses,) of each bus's line and voltage.

    Money per day in the problem's unit; `row_term` is (rows,).
    """

    objective: float
    dual_bound: float
    no_trade_objective: float
    peer_term: Floats
    line_term: Floats
    voltage_term: Floats
    row_term: Floats

    @property
    def gap(self) -> float:
        """P - D."""
        return self.objective - self.dual_bound

    @property
    def gap_relative_to_gain(self) -> float:
        """The gap over what trade gains; 0 when both are nothing, infinite when only the gain is."""
        gain = self.no_trade_objective - self.objective
        if self.gap <= ROUNDING * (1.0 + abs(self.no_trade_objective)) and gain <= 0.0:
            return 0.0
        return self.gap / gain if gain > 0.0 else float("inf")

    def terms(self) -> Floats:
        """All terms, peers first."""
        return np.concatenate((self.peer_term, self.line_term, self.voltage_term, self.row_term))


def certify(problem: ClearingProblem, steps_kw: Floats, posted: Posted) -> Certificate:
    """Equations (1) to (3) for an allocation (peers, periods, steps) and prices."""
    g = posted.at_buses(problem)
    state, idle = state_of(problem, moves(problem, steps_kw)), state_of(problem, None)
    best = least(problem, g)
    paid = spent(steps_kw, problem.step_price, problem.step_sign, problem.peer_bus, g)
    own = spent(steps_kw, problem.step_price, problem.step_sign, problem.peer_bus, np.zeros(g.shape))
    conjugate = conjugates(problem, posted)
    costs = costs_by_owner(problem, state)
    prices, values = (posted.line, posted.voltage, posted.row), (state.flow_kw, state.voltage, state.row_kw)
    still = (idle.flow_kw, idle.voltage, idle.row_kw)
    terms = [(c + s - y * v).sum(axis=1) for c, s, y, v in zip(costs, conjugate, prices, values, strict=True)]
    bound = best.sum() + sum((y * v - s).sum() for s, y, v in zip(conjugate, prices, still, strict=True))
    objective = float(own.sum() + grid_cost(problem, state).sum())
    without = float(grid_cost(problem, idle).sum())
    return Certificate(objective, float(bound), without, paid - best, *terms)


def conjugates(problem: ClearingProblem, posted: Posted) -> tuple[Floats, Floats, Floats]:
    """h*(y), k*(z), l*(q) of clipped prices, each shaped as the prices."""
    limits = np.where(np.isinf(problem.line_limit_kw), 0.0, problem.line_limit_kw)
    line = limits * np.abs(posted.line)
    above = np.maximum(posted.line[0] + problem.export_price, 0.0)
    below = np.maximum(-posted.line[0] - problem.import_price, 0.0)
    line[0] = limits[0] * (above + below)
    high, low = (b if np.isfinite(b) else 0.0 for b in (problem.voltage_high, problem.voltage_low))
    voltage = np.where(posted.voltage > 0.0, high, low) * posted.voltage
    rows = np.where(np.isinf(problem.row_limit_kw), 0.0, problem.row_limit_kw) * np.abs(posted.row)
    return line, voltage, rows


def costs_by_owner(problem: ClearingProblem, state: AllocationState) -> tuple[Floats, Floats, Floats]:
    """h, k, l, each shaped as the state."""
    relief = relief_of(problem, state)
    line = problem.line_price * relief.line_kw
    exchange = state.flow_kw[0]
    line[0] = problem.root_limit_price * relief.line_kw[0]
    line[0] += problem.import_price * np.maximum(-exchange, 0.0) - problem.export_price * np.maximum(exchange, 0.0)
    voltage = problem.voltage_price * relief.voltage if problem.voltage_price else np.zeros(relief.voltage.shape)
    return line, voltage, problem.row_price * relief.row_kw


def violation_kw(problem: ClearingProblem, steps_kw: Floats) -> float:
    """Largest breach of a step's bounds or of a coupled peer's balance or store; grid balances hold by construction."""
    over = abs(float(np.maximum(steps_kw - problem.step_kw, -steps_kw).max(initial=0.0)))
    peers = problem.coupled
    if not len(peers):
        return over
    level = -np.cumsum(moves(problem, steps_kw[peers]), axis=1)
    stores = problem.peer_kind[peers] == PeerKind.STORAGE
    charge = level[stores] + problem.energy_start_kwh[peers[stores]][:, None]
    breach = np.maximum(charge - problem.energy_kwh[peers[stores]][:, None], -charge).max(initial=0.0)
    return float(max(over, breach, np.abs(level[:, -1]).max(), 0.0))


def digest(party: str, term: float, salt: bytes) -> str:
    """What a party publishes of its term."""
    return hashlib.sha256(f"{party}:{term.hex()}:".encode() + salt).hexdigest()


@dataclass(frozen=True)
class Publication:
    """What all may see: the sum of the terms and a hash of each, by party."""

    gap: float
    digests: Mapping[str, str]


def publish(terms: Mapping[str, float], salts: Mapping[str, bytes]) -> Publication:
    """Terms by party, hashed each with the party's salt."""
    return Publication(
        float(np.sum(list(terms.values()))), {party: digest(party, term, salts[party]) for party, term in terms.items()}
    )


def refuted(
    publication: Publication, terms: Mapping[str, float], salts: Mapping[str, bytes], scale: float
) -> Sequence[str]:
    """Why opened terms do not prove the published gap; empty when they do. `scale` is the money that moves."""
    slack = ROUNDING * max(scale, 1.0)
    wrong = [
        f"{p}: is not what was hashed" for p, t in terms.items() if digest(p, t, salts[p]) != publication.digests.get(p)
    ]
    wrong += [f"{party}: is negative" for party, term in terms.items() if term < -slack]
    wrong += [f"{party}: has not opened its term" for party in publication.digests if party not in terms]
    if abs(float(np.sum(list(terms.values()))) - publication.gap) > slack:
        wrong.append("the terms do not sum to the published gap")
    return wrong


def relief_kw(problem: ClearingProblem, state: AllocationState) -> float:
    """What exceeds flow limits at the DSO's price, summed over lines and periods, kW."""
    relief = relief_of(problem, state)
    return float(relief.line_kw.sum() + relief.row_kw.sum())
