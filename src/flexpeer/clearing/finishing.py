"""Whole watts from an interior answer.

Steps within `SNAP` of a bound go to it. The few marginal ones are decided by the exact tree sweep (E3) on what
is left: all of their size where only flows are limited; where voltages or rows have a price, that price is added to
theirs and each may move by `room`, what snapping moved in that period and a watt, so that voltages stay where the
interior answer has them within watts.
"""

from collections.abc import Callable

import numpy as np

from flexpeer.clearing.outcome import Posted, line_prices
from flexpeer.clearing.problem import WATTS_PER_KW, Floats, Integers, PeerKind, Problem
from flexpeer.clearing.tree_sweep import Entries, Preorder, bends_of, preorder, prices, sweep
from flexpeer.compiled import compiled

SNAP = 1e-3
TINY = 1e-9


@compiled
def _snap(v: Floats, kw: Floats, free: Integers, period: int, marginal: Integers) -> tuple[int, float]:
    """Round steps near a bound in place; the others' flat numbers (peer x steps + step) go to `marginal`.

    Returns how many, and the kW that snapping moved.
    """
    count, moved = 0, 0.0
    for i in free:
        for k in range(v.shape[2]):
            q, now = kw[i, period, k], v[i, period, k]
            if now <= SNAP * q:
                v[i, period, k], moved = 0.0, moved + max(now, 0.0)
            elif now >= (1.0 - SNAP) * q:
                v[i, period, k], moved = q, moved + abs(q - now)
            else:
                marginal[count] = i * v.shape[2] + k
                count += 1
    return count, moved


@compiled
def _injections(v: Floats, sign: Integers, bus: Integers, period: int, base: Floats) -> None:
    for i in range(v.shape[0]):
        for k in range(v.shape[2]):
            base[bus[i]] += sign[k] * v[i, period, k]


def finish(problem: Problem, steps_kw: Floats, posted: Posted, on_period: Callable[[int, int], None]) -> None:
    """Make free peers' steps (peers, periods, steps) whole watts, in place; coupled ones are taken as they are."""
    tree = preorder(problem.parent)
    free = np.flatnonzero(problem.peer_kind == PeerKind.FREE)
    marginal = np.empty(len(free) * problem.steps, dtype=np.int64)
    shift = posted.at_buses(problem) - _flow_price(problem, posted)
    for t in range(problem.periods):
        count, moved = _snap(steps_kw, problem.step_kw, free, t, marginal)
        priced = bool(np.abs(posted.voltage[:, t]).max(initial=0.0) > TINY or problem.rows)
        room = np.inf if not priced else np.ceil(moved * WATTS_PER_KW) + 1.0
        _decide(problem, tree, steps_kw, (t, marginal[:count]), shift[:, t], room)
        on_period(t + 1, problem.periods)


def _flow_price(problem: Problem, posted: Posted) -> Floats:
    return Posted(posted.line, np.zeros(posted.voltage.shape), np.zeros(posted.row.shape)).at_buses(problem)


def _decide(
    problem: Problem, tree: Preorder, steps_kw: Floats, chosen: tuple[int, Integers], shift: Floats, room: float
) -> None:
    """E3 on the marginal steps of a period."""
    t, marginal = chosen
    peer, step = np.divmod(marginal, problem.steps)
    sign, bus = problem.step_sign[step], problem.peer_bus[peer]
    now, most = steps_kw[peer, t, step] * WATTS_PER_KW, np.floor(problem.step_kw[peer, t, step] * WATTS_PER_KW + 1e-6)
    least = np.clip(np.floor(now) - room, 0.0, most)
    steps_kw[peer, t, step] = least / WATTS_PER_KW
    base = problem.base_kw[:, t].copy()
    _injections(steps_kw, problem.step_sign, problem.peer_bus, t, base)
    watts = np.clip(np.ceil(now) + room, 0.0, most) - least
    entries = Entries(bus, marginal, sign, problem.step_price[peer, t, step] + sign * shift[bus], watts.astype(np.int64))
    taken = sweep(problem, tree, entries, bends_of(problem, t, base))
    steps_kw[peer, t, step] = (least + taken) / WATTS_PER_KW


def sweep_all(problem: Problem, on_period: Callable[[int, int], None]) -> tuple[Floats, Posted]:
    """E3 on every step: the exact optimum in whole watts of a problem of free peers and flow limits."""
    tree = preorder(problem.parent)
    steps_kw, g = np.zeros(problem.step_kw.shape), np.empty(problem.base_kw.shape)
    flat = np.arange(problem.peers * problem.steps)
    peer, step = np.divmod(flat, problem.steps)
    for t in range(problem.periods):
        watts = np.floor(problem.step_kw[:, t] * WATTS_PER_KW + 1e-6).astype(np.int64).ravel()
        entries = Entries(
            problem.peer_bus[peer], flat, problem.step_sign[step], problem.step_price[:, t].ravel(), watts
        )
        bends = bends_of(problem, t, problem.base_kw[:, t])
        taken = sweep(problem, tree, entries, bends)
        steps_kw[:, t] = taken.reshape(problem.peers, problem.steps) / WATTS_PER_KW
        g[:, t] = prices(problem, entries, taken, bends)
        on_period(t + 1, problem.periods)
    none = np.zeros(g.shape), np.zeros(problem.row_base_kw.shape)
    return steps_kw, Posted.clipped(problem, line_prices(problem, g), *none)
