"""One area's part of price-Newton for `LANES` periods: its devices and its piece of the tree.

Nothing passes an area's border but the border messages of `tree`, besides sums over all rows and the
largest step.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from flexpeer.clearing import layout
from flexpeer.clearing import rows as row_passes
from flexpeer.clearing.layout import DeviceSlopes, PeerRows, Reach, scale_of
from flexpeer.clearing.price_newton import coarse
from flexpeer.clearing.problem import ClearingProblem, Floats, Integers
from flexpeer.clearing.rows import BARRIER, DUAL, LANES, MOVE, PRIMAL, SECOND
from flexpeer.laboratory.engines import tree, tree_rows
from flexpeer.laboratory.engines.evaluation import grid_cost, state_of
from flexpeer.laboratory.engines.pieces import Piece, pieces_of, reach_of
from flexpeer.laboratory.engines.tree_rows import typical_price


@dataclass(frozen=True)
class Plan:
    """What all periods share: pieces, their peers' rows, how far flows reach, and the typical price per period."""

    problem: ClearingProblem
    pieces: list[Piece]
    peers: list[PeerRows]
    reach: Reach
    typical: Floats

    @classmethod
    def of(cls, problem: ClearingProblem, area: Integers) -> "Plan":
        """With `area` (buses,) instead of the problem's own; all zeros make one area."""
        pieces = pieces_of(problem.parent, area)
        peers = [PeerRows.of(problem, layout.free_peers(problem, piece.bus)) for piece in pieces]
        return cls(problem, pieces, peers, reach_of(problem, pieces), scale_of(typical_price(problem.step_price)))

    @cached_property
    def idle(self) -> Floats:
        """What no trade costs, (periods,)."""
        return grid_cost(self.problem, state_of(self.problem, None))

    @cached_property
    def worth(self) -> Floats:
        """What all steps are worth at the typical price, (periods,)."""
        return np.asarray(self.typical * self.problem.step_kw.sum(axis=(0, 2)))


class PieceDevices:
    """A piece's devices: buses, lines, voltages, in this order.

    What passes borders is rounded; `outflow` (LANES,) is what the piece above reckons its border's flow to be.
    `rows`, `sign`, `first` as in `rows`; `price`, `given` (devices, LANES) and `held` (buses, 2 LANES) as in
    `tree`; the first rows are those of `peers`.
    """

    def __init__(self, plan: Plan, number: int, periods: Integers) -> None:
        self.piece, self.peers = plan.pieces[number], plan.peers[number]
        self.periods, self.typical = periods, plan.typical[periods]
        self.entries = np.unique([piece.entry for piece in plan.pieces if piece.above == number]).astype(np.int64)
        buses = len(self.piece.bus)
        self.rho = plan.problem.voltage_drop[self.piece.bus]
        root = layout.root_price(plan.problem, periods)
        self.price, self.given = np.zeros((3 * buses, LANES)), np.zeros((3 * buses, LANES))
        self.price[:buses] = root
        if self.piece.above < 0:
            self.price[buses] = -root
        self.given[:buses] = plan.problem.base_kw[np.ix_(self.piece.bus, periods)]
        self.held = np.zeros((buses, 2 * LANES))
        most = 3 * 2 * buses + 1
        self.rows = self.peers.rows(plan.problem, periods, root, plan.typical[periods], most)
        self._level = np.zeros(LANES)
        self.sign = self.peers.sign
        place = np.searchsorted(self.piece.bus, plan.problem.peer_bus[self.peers.peer])
        self.count = np.bincount(place, minlength=3 * buses)
        self._make_room(buses)

    def _make_room(self, buses: int) -> None:
        self.answer, self.second = np.zeros((3 * buses, 3 * LANES)), np.zeros((3 * buses, 2 * LANES))
        self.affine, self.full, self.step = (np.zeros((3 * buses, LANES)) for _ in range(3))
        self.move, self.rest = np.zeros((3 * buses, LANES)), np.zeros((3 * buses, LANES))
        self.blank_move, self.blank_rest = np.zeros((3 * buses, LANES)), np.zeros((3 * buses, LANES))
        self.messages = tree.Messages.room(buses)
        self.change = np.zeros((buses, 5 * LANES))
        self.below = np.zeros((buses, LANES))
        self._kept = np.zeros((buses, 2, LANES))
        self.totals, self.reach = np.zeros(2 * LANES), np.zeros(2 * LANES)

    def injection(self) -> Floats:
        """What peers' rows and the base inject, (buses, LANES)."""
        buses = len(self.piece.bus)
        total = self.given[:buses].copy()
        layout.injected(self.rows, self.sign, self.count, total, self._level)
        return total

    def lay_grid(self, plan: Plan, flow: Floats, voltage: Floats, held: DeviceSlopes | None = None) -> None:
        """Add the rows of lines and voltages that make `flow`, `voltage` (buses, LANES); `held` for the first line."""
        buses, bus, problem = len(self.piece.bus), self.piece.bus, plan.problem
        self.held[:, :LANES], self.held[:, LANES:] = flow, voltage
        self.outflow = flow[0].copy()
        if self.piece.above < 0:
            held = layout.root_exchange(problem, plan.reach, self.periods, flow[:1])
        kinds = [(buses, tree_rows.lines(problem, plan.reach, bus, self.periods, held is not None, flow))]
        if held is not None:
            kinds.insert(0, (buses, held))
        kinds.append((2 * buses, tree_rows.voltages(problem, plan.reach, bus, self.periods, voltage)))
        spread = plan.typical[self.periods]
        level = self._level / len(self.sign) if len(self.sign) else spread
        signs, used = [self.sign], len(self.sign)
        for offset, kind in kinds:
            self.given[offset + kind.at] = kind.low
            self.count[offset + kind.at] = kind.width.shape[1]
            signs.append(kind.sign())
            self.rows[used : used + len(signs[-1])] = kind.rows(self.price[offset + kind.at], level, spread)
            used += len(signs[-1])
        self.rows, self.sign = self.rows[:used], np.concatenate(signs)
        self.first = np.concatenate(([0], np.cumsum(self.count)))

    def gather(self) -> None:
        """Ask the devices; clear the border messages of the step before."""
        row_passes.gather(self.rows, self.sign, self.first, self.price, self.answer, self.totals)
        self.messages.own[:] = 0.0
        self.below[:] = 0.0

    def lack(self) -> None:
        """What balances lack, once flows from below are in `below`."""
        tree.lacking(self.piece.parent, self.answer, self.given, self.held, self.below, self.rest)

    def factor(self) -> None:
        """Eliminate the piece, once messages from below are in `messages.own`."""
        tree.factor(self.piece.parent, self.rho, self.answer, self.messages)

    def carry(self) -> None:
        """Carry `move` up, once messages from below are in `messages.moving`."""
        tree.carry(self.piece.parent, self.rho, self.move, self.rest, self.messages)

    def spread(self) -> None:
        """Spread (dg, dw) of the bus above down the piece."""
        tree.spread(self.piece.parent, self.rho, self.move, self.rest, self.messages, self.step, self.change)

    def handed_down(self, entry: int) -> Floats:
        """(dg, dw) of a bus where a piece below hangs, (2, LANES), with what rounding has kept from it so far."""
        change = np.stack((self.step[entry], self.change[entry, LANES : 2 * LANES]))
        return np.asarray(change + self._kept[entry])

    def _keep(self, length: Floats) -> None:
        """What rounding takes away from what is handed down is handed down with the next step."""
        far = length.reshape(2, LANES)[::-1]
        for entry in self.entries:
            change = np.stack((self.step[entry], self.change[entry, LANES : 2 * LANES]))
            self._kept[entry] += far * (change - coarse(self.handed_down(entry)))

    def probe(self) -> None:
        """Take the affine step's prices and see how far it could go."""
        np.add(self.price, self.step, out=self.affine)
        row_passes.probe(self.rows, self.sign, self.first, self.affine, self.second, self.totals, self.reach)

    def correct(self, aim: Floats) -> None:
        """The devices' R of the corrected step, aiming at complementarity `aim` (LANES,)."""
        self.move[:] = self.answer[:, MOVE : MOVE + LANES] + self.second[:, SECOND : SECOND + LANES]
        self.move += aim * self.second[:, BARRIER : BARRIER + LANES]

    def bound(self, aim: Floats) -> None:
        """How far the corrected step could go."""
        np.add(self.price, self.step, out=self.full)
        row_passes.aim_at(self.rows, self.sign, self.first, self.affine, self.full, aim, self.reach)

    def advance(self, aim: Floats, length: Floats) -> None:
        """Go `length` (2 LANES,), primal and dual."""
        self._keep(length)
        self.outflow += length[PRIMAL : PRIMAL + LANES] * self.messages.flow_change()
        row_passes.advance(self.rows, self.sign, self.first, self.affine, self.full, aim, length)
        self.price += length[DUAL : DUAL + LANES] * self.step
        self.held += np.tile(length[PRIMAL : PRIMAL + LANES], 2) * self.change[:, : 2 * LANES]
