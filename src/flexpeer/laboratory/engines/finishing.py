"""Whole watts from an interior answer.

Steps within `SNAP` of their size and `SNAP_KW` of a bound go to it. The few marginal ones are decided by the exact
tree sweep (E3) on what is left. Where only flows are limited they may take any of their size. Where voltages have a
price or would otherwise leave their band, and on meshed grids, whose rows E3 does not know, that price is added to
theirs and they are rounded first so that in preorder, hence over every subtree, the watts that rounding and snapping
moved cancel; E3 then moves them, a little and reluctantly, where a limit asks for it.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from flexpeer.clearing.problem import WATTS_PER_KW, ClearingProblem, Floats, Integers, PeerKind
from flexpeer.compiled import compiled
from flexpeer.laboratory.engines.evaluation import cheapest_steps, moves, sum_down, sum_up
from flexpeer.laboratory.engines.outcome import Posted, line_prices
from flexpeer.laboratory.engines.tree_sweep import Entries, Preorder, bends_of, preorder, prices, sweep

SNAP, SNAP_KW = 1e-3, 1e-4
TINY = 1e-9
WHOLE = 1e-6
ROOM_W = 8
ROOMS_W = (ROOM_W, 64, 1024, 2**40)
RELUCTANCE = 1e-4


@compiled
def _snap(v: Floats, kw: Floats, free: Integers, period: int, marginal: Integers) -> int:
    """Round steps near a bound in place; the others' flat numbers (peer x steps + step) go to `marginal`."""
    count = 0
    for i in free:
        for k in range(v.shape[2]):
            q, now = kw[i, period, k], v[i, period, k]
            near = min(SNAP * q, SNAP_KW)
            if now <= near:
                v[i, period, k] = 0.0
            elif now >= q - near:
                v[i, period, k] = q
            else:
                marginal[count] = i * v.shape[2] + k
                count += 1
    return count


@compiled
def _cascade(v: Floats, kw: Floats, sign: Integers, free: Integers, period: int, marginal: Integers) -> int:
    """`_snap`, and marginal steps to the watt so that what was moved cancels along `free`."""
    count, owed = 0, 0.0
    for i in free:
        for k in range(v.shape[2]):
            q, now = kw[i, period, k], v[i, period, k]
            near = min(SNAP * q, SNAP_KW)
            if near < now < q - near:
                wish = np.rint((now + sign[k] * owed) * WATTS_PER_KW) / WATTS_PER_KW
                v[i, period, k] = min(max(wish, 0.0), q)
                marginal[count] = i * v.shape[2] + k
                count += 1
            else:
                v[i, period, k] = 0.0 if now <= near else q
            owed += sign[k] * (now - v[i, period, k])
    return count


@compiled
def _injections(v: Floats, sign: Integers, bus: Integers, period: int, base: Floats) -> None:
    for i in range(v.shape[0]):
        for k in range(v.shape[2]):
            base[bus[i]] += sign[k] * v[i, period, k]


def finish(problem: ClearingProblem, steps_kw: Floats, posted: Posted) -> None:
    """Make steps (peers, periods, steps) whole watts, in place: coupled peers', then free ones'."""
    _round_coupled(problem, steps_kw)
    tree = preorder(problem.parent)
    free = np.flatnonzero(problem.peer_kind == PeerKind.FREE)
    free = free[np.argsort(tree.place[problem.peer_bus[free]], kind="stable")]
    marginal = np.empty(len(free) * problem.steps, dtype=np.int64)
    shift = posted.at_buses(problem) - _flow_price(problem, posted)
    for t in range(problem.periods):
        before = steps_kw[:, t].copy()
        if not problem.rows and np.abs(shift[:, t]).max() <= TINY:
            count = _snap(steps_kw, problem.step_kw, free, t, marginal)
            _decide(problem, tree, steps_kw, (t, marginal[:count]))
            if beyond_band(problem, steps_kw, t) <= beyond_band(problem, before[:, None], 0, t) + TINY:
                continue
            steps_kw[:, t] = before
        count = _cascade(steps_kw, problem.step_kw, problem.step_sign, free, t, marginal)
        _adjust(problem, tree, steps_kw, (t, marginal[:count]), shift[:, t])


def finish_part(problem: ClearingProblem, steps_kw: Floats, shift: Floats) -> None:
    """Make free peers' steps whole watts, in place, so that what leaves the first bus hardly moves.

    `shift` (buses, periods) is what voltages add to the price at a bus. E3 moves marginal steps a little, and only
    where a limit among these buses asks for it.
    """
    tree = preorder(problem.parent)
    order = np.argsort(tree.place[problem.peer_bus], kind="stable")
    marginal = np.empty(problem.peers * problem.steps, dtype=np.int64)
    for t in range(problem.periods):
        count = _cascade(steps_kw, problem.step_kw, problem.step_sign, order, t, marginal)
        _adjust(problem, tree, steps_kw, (t, marginal[:count]), shift[:, t])


def capacity_w(problem: ClearingProblem, steps_kw: Floats) -> tuple[Floats, Floats]:
    """By how many whole watts all moves together can sink and rise, each (periods,)."""
    size = np.floor(problem.step_kw * WATTS_PER_KW + WHOLE)
    taken = np.minimum(np.rint(steps_kw * WATTS_PER_KW), size)
    upward = problem.step_sign > 0
    sink, rise = np.where(upward, taken, size - taken), np.where(upward, size - taken, taken)
    return sink.sum(axis=(0, 2)), rise.sum(axis=(0, 2))


def settle_part(problem: ClearingProblem, steps_kw: Floats, shift: Floats) -> None:
    """Move steps, in place, until nothing leaves the first bus of a `Part.holding`: the fewest watts that do it.

    Every step may move, marginal or not, at first a little; `shift` is as for `finish_part`.
    """
    tree = preorder(problem.parent)
    every = np.arange(problem.peers * problem.steps)
    for t in range(problem.periods):
        for room in ROOMS_W:
            if _leaving_w(problem, steps_kw, t) == 0.0:
                break
            _adjust(problem, tree, steps_kw, (t, every), shift[:, t], room)


def even_out(problem: ClearingProblem, steps_kw: Floats, short_kw: Floats) -> None:
    """Let what leaves the first bus rise by `short_kw` (periods,), in place, by the step with most room.

    That is less than a watt, and nothing where sizes are whole watts.
    """
    for t in np.flatnonzero(np.abs(short_kw) > TINY):
        way = np.sign(short_kw[t]) * problem.step_sign
        room = np.where(way > 0.0, problem.step_kw[:, t] - steps_kw[:, t], steps_kw[:, t])
        if room.size:
            peer, step = np.unravel_index(room.argmax(), room.shape)
            steps_kw[peer, t, step] += way[step] * min(abs(short_kw[t]), room[peer, step])


def _leaving_w(problem: ClearingProblem, steps_kw: Floats, period: int) -> float:
    injected = problem.base_kw[:, period].sum() + (steps_kw[:, period] @ problem.step_sign).sum()
    return float(np.rint(injected * WATTS_PER_KW))


def beyond_band(problem: ClearingProblem, steps_kw: Floats, at: int, period: int | None = None) -> float:
    """How far voltages leave their band, summed, under steps_kw[:, at] in `period` (`at` unless given)."""
    if not problem.has_voltage:
        return 0.0
    flow = problem.base_kw[:, at if period is None else period].copy()
    _injections(steps_kw, problem.step_sign, problem.peer_bus, at, flow)
    level = flow[:, None]
    sum_up(problem.parent, level)
    level *= problem.voltage_drop[:, None]
    sum_down(problem.parent, level)
    return float(np.maximum(np.maximum(level - problem.voltage_high, problem.voltage_low - level), 0.0).sum())


def _round_coupled(problem: ClearingProblem, steps_kw: Floats) -> None:
    """Round what a coupled peer has moved so far, period by period; so x is off by less than a watt, up or down.

    Its sum and its store keep their bounds, which are whole watts; a peer whose are not stays as it is.
    """
    peers = problem.coupled
    if not len(peers):
        return
    sizes = np.concatenate(
        (problem.step_kw[peers].reshape(len(peers), -1), problem.energy_kwh[peers, None],
         problem.energy_start_kwh[peers, None]), axis=1
    )  # fmt: skip
    peers = peers[np.abs(sizes * WATTS_PER_KW - np.rint(sizes * WATTS_PER_KW)).max(axis=1, initial=0.0) < WHOLE]
    so_far = np.rint(np.cumsum(moves(problem, steps_kw[peers]), axis=1) * WATTS_PER_KW)
    so_far[:, -1] = 0.0
    x_kw = np.diff(so_far, axis=1, prepend=0.0) / WATTS_PER_KW
    part = replace(
        problem, peer_bus=problem.peer_bus[peers], step_kw=problem.step_kw[peers], step_price=problem.step_price[peers]
    )
    steps_kw[peers] = cheapest_steps(part, x_kw)[1]


def _flow_price(problem: ClearingProblem, posted: Posted) -> Floats:
    return Posted(posted.line, np.zeros(posted.voltage.shape), np.zeros(posted.row.shape)).at_buses(problem)


def _decide(problem: ClearingProblem, tree: Preorder, steps_kw: Floats, chosen: tuple[int, Integers]) -> None:
    """E3 on the marginal steps of a period, each free from 0 to its size."""
    t, marginal = chosen
    peer, step = np.divmod(marginal, problem.steps)
    most = np.floor(problem.step_kw[peer, t, step] * WATTS_PER_KW + WHOLE)
    taken = _swept(problem, tree, steps_kw, chosen, (np.zeros(len(peer)), most, problem.step_price[peer, t, step]))
    steps_kw[peer, t, step] = taken / WATTS_PER_KW


def _adjust(
    problem: ClearingProblem, tree: Preorder, steps_kw: Floats, chosen: tuple[int, Integers], shift: Floats,
    room_w: float = ROOM_W,
) -> None:  # fmt: skip
    """E3 within `room_w` of where the chosen steps are, `RELUCTANCE` per kWh off their price either way."""
    t, marginal = chosen
    peer, step = np.divmod(marginal, problem.steps)
    now = np.rint(steps_kw[peer, t, step] * WATTS_PER_KW)
    most = np.floor(problem.step_kw[peer, t, step] * WATTS_PER_KW + WHOLE)
    now = np.minimum(now, most)
    low, high = np.maximum(now - room_w, 0.0), np.minimum(now + room_w, most)
    price = problem.step_price[peer, t, step] + problem.step_sign[step] * shift[problem.peer_bus[peer]]
    twice = np.concatenate((marginal, marginal))
    ends = np.concatenate((low, now)), np.concatenate((now, high))
    taken = _swept(
        problem, tree, steps_kw, (t, twice), (*ends, np.concatenate((price - RELUCTANCE, price + RELUCTANCE)))
    )
    down, up = np.split(taken, 2)
    steps_kw[peer, t, step] = (down + up - now) / WATTS_PER_KW


def _swept(
    problem: ClearingProblem, tree: Preorder, steps_kw: Floats, chosen: tuple[int, Integers],
    span: tuple[Floats, Floats, Floats],
) -> Floats:  # fmt: skip
    """Watts up to which E3 takes entries from low to high at a price; a step in two entries begins with the first."""
    t, flat = chosen
    low, high, price = span
    peer, step = np.divmod(flat, problem.steps)
    once = np.unique(flat, return_index=True)[1]
    steps_kw[peer[once], t, step[once]] = low[once] / WATTS_PER_KW
    base = problem.base_kw[:, t].copy()
    _injections(steps_kw, problem.step_sign, problem.peer_bus, t, base)
    entries = Entries(problem.peer_bus[peer], flat, problem.step_sign[step], price, (high - low).astype(np.int64))
    return np.asarray(low + sweep(problem, tree, entries, bends_of(problem, t, base)))


def sweep_all(problem: ClearingProblem, on_period: Callable[[int, int], None]) -> tuple[Floats, Posted]:
    """E3 on every step: the exact optimum in whole watts of a problem of free peers and flow limits."""
    tree = preorder(problem.parent)
    steps_kw, g = np.zeros(problem.step_kw.shape), np.empty(problem.base_kw.shape)
    flat = np.arange(problem.peers * problem.steps)
    peer, step = np.divmod(flat, problem.steps)
    for t in range(problem.periods):
        watts = np.floor(problem.step_kw[:, t] * WATTS_PER_KW + WHOLE).astype(np.int64).ravel()
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
