"""The tree cut into areas, and how far flows and voltages can reach."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from flexpeer.clearing.layout import Reach, add_peers, extreme_moves
from flexpeer.clearing.problem import ClearingProblem, Floats, Integers
from flexpeer.laboratory.engines.evaluation import sum_down, sum_up


@dataclass(frozen=True)
class Piece:
    """Buses of one area that hang together: `bus` their numbers, `parent` within the piece, -1 first.

    The piece hangs on bus `entry` of piece `above`, both -1 for the piece of the root.
    """

    bus: Integers
    parent: Integers
    above: int
    entry: int


def reach_of(problem: ClearingProblem, pieces: Sequence[Piece]) -> Reach:
    """Bounds on flows and voltages: every step down, or every step up; summed piece by piece, as their owners would."""
    flows = []
    for moves in extreme_moves(problem.step_kw, problem.step_sign):
        total = problem.base_kw.copy()
        add_peers(problem.peer_bus, moves, total)
        sum_pieces(pieces, total)
        flows.append(total)
    levels = [problem.voltage_drop[:, None] * flow for flow in flows]
    for level in levels:
        sum_down(problem.parent, level)
    return Reach(flows[0], flows[1], levels[0], levels[1])


def sum_pieces(pieces: Sequence[Piece], values: Floats) -> None:
    """Turn values per bus (buses, periods) into sums over the bus and all below it, in place."""
    for piece in reversed(pieces):
        own = values[piece.bus]
        sum_up(piece.parent, own)
        values[piece.bus] = own
        if piece.above >= 0:
            values[pieces[piece.above].bus[piece.entry]] += own[0]


def without_idle_limits(problem: ClearingProblem) -> ClearingProblem:
    """The same problem with limits that no allocation reaches taken away, so that their lines have no price at all."""
    whole = pieces_of(problem.parent, np.zeros_like(problem.parent))
    return replace(problem, line_limit_kw=needed_limits(problem, reach_of(problem, whole)))


def needed_limits(problem: ClearingProblem, reach: Reach) -> Floats:
    """Limits (buses, periods), infinite where no allocation reaches them."""
    return np.where(reach.most_kw < problem.line_limit_kw, np.inf, problem.line_limit_kw)


def pieces_of(parent: Integers, area: Integers) -> list[Piece]:
    """The tree cut where the area changes, upper pieces first."""
    piece_of, heads = np.zeros(len(parent), dtype=np.int64), [0]
    for n in range(1, len(parent)):
        if area[n] == area[parent[n]]:
            piece_of[n] = piece_of[parent[n]]
        else:
            piece_of[n] = len(heads)
            heads.append(n)
    place = np.zeros(len(parent), dtype=np.int64)
    order = np.argsort(piece_of, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(piece_of[order])) + 1)
    for bus in members:
        place[bus] = np.arange(len(bus))
    pieces = []
    for head, bus in zip(heads, members, strict=True):
        over = parent[head]
        local = np.where(bus == head, -1, place[parent[bus]])
        above, entry = (-1, -1) if over < 0 else (int(piece_of[over]), int(place[over]))
        pieces.append(Piece(bus, local, above, entry))
    return pieces
