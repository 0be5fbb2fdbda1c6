"""What one organisation computes for a piece of the tree, pass by pass; only border messages and sums leave it.

A pass runs up (what the pieces below told comes in, what the piece above has to know goes out) or down. Arrays are
(rows, periods):

| pass | up | down | sums | largest |
|---|---|---|---|---|
| offer | | | step prices' size, step kW, their number | |
| survey | least, largest, idle and first flow | the same of w | idle cost, rows | |
| predict | A, B, D, U, L of `tree` | dg, dw | gap, cost; linear, product | reach |
| correct | U, L | dg, dw | | reach |
| price | z below | g, and its part from lines | | |
| finish | f in whole watts, watts it could sink and rise | w, watts to rise | P, D, no trade, relief | violation |

Numbers are kW, prices per kWh and w in the problem's own unit, as in `problem`; finish's sums and violation are of all
periods, in one column. What only leads to the next step is rounded: A, B, D, the corrected step's border numbers and
the sums of gap and cost to single precision; the affine step's, its sums and all reaches to three digits. The piece
above reckons with these what f is until it is told in whole watts; what rounding took from (dg, dw) comes with the
next.

A piece may lack pieces below: their borders carry what is forecast. A piece that hears of none above, and is not the
root's, trades alone with those below it: its border is held at its own flow of no trade by a price that nobody would
pay for another. Of the price its first line then comes to, what is not that line's own for a flow that is settled takes
the part of the price above; with f = idle any g makes a bound. In whole watts f = idle exactly: what rounding below has
left is settled by who has steps to move, the upper first.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from flexpeer.clearing import layout
from flexpeer.clearing.layout import PeerRows, Reach, add_peers, extreme_moves, take_steps
from flexpeer.clearing.price_newton import Rounding, coarse, rough
from flexpeer.clearing.problem import WATTS_PER_KW, ClearingProblem, Floats
from flexpeer.clearing.responses import least, spent
from flexpeer.clearing.rows import LANES, MOVE, PRIMAL
from flexpeer.laboratory.engines import tree_rows
from flexpeer.laboratory.engines.area import PieceDevices, Plan
from flexpeer.laboratory.engines.certificate import conjugates, costs_by_owner, relief_kw, violation_kw
from flexpeer.laboratory.engines.evaluation import AllocationState, moves, sum_down, sum_up
from flexpeer.laboratory.engines.finishing import capacity_w, even_out, finish_part, settle_part
from flexpeer.laboratory.engines.outcome import Posted
from flexpeer.laboratory.engines.pieces import Piece, needed_limits
from flexpeer.laboratory.engines.shares import Part

Borders = Mapping[int, Floats]


def nothing(columns: int) -> Floats:
    """No rows."""
    return np.zeros((0, columns))


class PieceTold(NamedTuple):
    """What leaves a piece in a pass: to the piece above, to pieces below by number, sums and largest values."""

    up: Floats
    down: Borders
    sums: Floats
    most: Floats


class PartOutcome(NamedTuple):
    """What an owner keeps: steps (peers, periods, steps), prices g, flows and w (buses, periods) of its piece."""

    steps_kw: Floats
    price: Floats
    flow_kw: Floats
    voltage: Floats


class PartSweeps:
    """A piece through one run. `below` maps the pieces below to their rows, `above` is from the piece above.

    `alone` says that none is above, `held` that its border is held then; in the end `owed` (periods,) is by how many
    watts its flow had still to rise.
    """

    def __init__(self, part: Part) -> None:
        self.part, self._problem = part, part.problem
        self.alone, self.held = part.root, False
        periods = part.problem.periods
        self._pad = np.minimum(np.arange(-(-periods // LANES) * LANES), periods - 1)
        self._areas: list[PieceDevices] = []
        self.steps_kw = np.zeros(part.problem.step_kw.shape)
        self._none = nothing(periods)

    def _told(
        self, up: Floats | None = None, down: Borders | None = None, sums: Floats | None = None,
        most: Floats | None = None,
    ) -> PieceTold:  # fmt: skip
        none = self._none
        return PieceTold(
            none if up is None else up, down or {}, none if sums is None else sums, none if most is None else most
        )

    def offer(self) -> PieceTold:
        """Sums over all bids: sizes of prices, kW, and how many."""
        p = self._problem
        count = np.full(p.periods, float(p.peers * p.steps))
        return self._told(sums=np.stack((np.abs(p.step_price).sum(axis=(0, 2)), p.step_kw.sum(axis=(0, 2)), count)))

    def survey_up(self, typical: Floats, below: Borders) -> PieceTold:
        """Where prices start, given the scale of prices (periods,); flows that may be, and are.

        The pieces below that tell nothing here take no part.
        """
        self.part = self.part.without(self.part.entries.keys() - below.keys())
        self._entries = sorted(self.part.entries.items(), reverse=True)
        p = self._problem = self.part.problem
        piece = Piece(np.arange(p.buses), p.parent, -1 if self.part.root else 0, -1)
        peers = PeerRows.of(p, layout.free_peers(p, piece.bus))
        blank = np.zeros(p.base_kw.shape)
        self._plan = Plan(p, [piece], [peers], Reach(blank, blank, blank, blank), typical)
        self._areas = [
            PieceDevices(self._plan, 0, self._pad[first : first + LANES]) for first in range(0, len(self._pad), LANES)
        ]
        flows = [*self._extremes(), p.base_kw.copy(), self._joined([area.injection() for area in self._areas])]
        for row, flow in enumerate(flows):
            for number, entry in self._entries:
                flow[entry] += below[number][row]
            sum_up(p.parent, flow)
        self._surveyed = flows
        self._flows = {number: self._slabs(rows[3:4]) for number, rows in below.items()}
        return self._told(up=np.stack([flow[0] for flow in flows]))

    def _extremes(self) -> list[Floats]:
        p, found = self._problem, []
        for extreme in extreme_moves(p.step_kw, p.step_sign):
            total = p.base_kw.copy()
            add_peers(p.peer_bus, extreme, total)
            found.append(total)
        return found

    def survey_down(self, above: Floats) -> PieceTold:
        """Voltages that may be, and are; the rows of lines and voltages are laid out where they make them."""
        p, flows = self._problem, self._surveyed
        self.alone = not len(above)
        self.held = self.alone and not self.part.root
        if self.alone:
            above = np.tile(self.part.above_voltage, (len(flows), 1))
        levels = [p.voltage_drop[:, None] * flow for flow in flows]
        for row, level in enumerate(levels):
            level[0] += above[row]
            sum_down(p.parent, level)
        reach = Reach(flows[0], flows[1], levels[0], levels[1])
        self._problem = replace(p, line_limit_kw=needed_limits(p, reach))
        self.part = replace(self.part, problem=self._problem)
        self._plan = replace(self._plan, problem=self._problem, reach=reach)
        self._idle = AllocationState(flows[2], levels[2], p.row_base_kw)
        self._lay(flows, levels)
        costs = costs_by_owner(self.part.bare, self._idle)[:2]
        self._first_line = costs[0][0]
        cost = sum(values.sum(axis=0) for values in costs)
        rows = [np.full(LANES, float(len(area.rows))) for area in self._areas]
        sums = np.stack((np.asarray(cost), self._joined(rows)))
        return self._told(down=self._hand_down(lambda entry: np.stack([level[entry] for level in levels])), sums=sums)

    def _lay(self, flows: Sequence[Floats], levels: Sequence[Floats]) -> None:
        """Rows of the grid; `flows`, `levels` are of `survey`. Where the border is held, its own for the first line."""
        entries = np.unique([entry for _, entry in self._entries]).astype(np.int64)
        slabs = [self._slabs(rows) for rows in (*flows, levels[3])]
        for area, low, high, idle, flow, level in zip(self._areas, *slabs, strict=True):
            own = tree_rows.held(idle[0], low[0], high[0], flow[0], self._dear()) if self.held else None
            area.lay_grid(self._plan, flow, level, own)
            area.entries = entries

    def predict_up(self, length: Floats, below: Borders) -> PieceTold:
        """Go the `length` (2, periods), primal and dual, of the step before, if any; then ask devices and eliminate."""
        if len(length):
            self._advance(length)
        borders = self._answers = {number: self._slabs(below[number]) for number, _ in self._entries}
        ups, sums = [], []
        for slab, area in enumerate(self._areas):
            area.gather()
            for number, entry in self._entries:
                area.below[entry] += self._flows[number][slab][0]
            area.lack()
            for number, entry in self._entries:
                area.messages.own[entry] += borders[number][slab][:3].ravel()
            area.factor()
            area.move[:] = area.answer[:, MOVE : MOVE + LANES]
            told = rough(self._carry(area, {number: borders[number][slab][3:5] for number, _ in self._entries}))
            ups.append(np.concatenate((area.messages.answer_told.reshape(3, -1), told)))
            sums.append(area.totals.reshape(2, -1) + self._beside(area))
        return self._told(up=self._upwards(ups), sums=coarse(self._joined(sums)))

    def _advance(self, length: Floats) -> None:
        """Go as far, and so do the flows of borders below and the price of one's own."""
        for slab, (area, aim, far) in enumerate(zip(self._areas, self._aims, self._slabs(length), strict=True)):
            for number, entry in self._entries:
                a, b = self._answers[number][slab][:2]
                dg, dw = coarse(area.handed_down(entry))
                change = a * dg + b * dw + self._moves[number][slab][0]
                self._flows[number][slab] += far.ravel()[PRIMAL : PRIMAL + LANES] * change
            area.advance(aim, far.ravel())

    def _beside(self, area: PieceDevices) -> Floats:
        """What rows do not show of the cost: of the exchange where its rows begin, at full import; of a held line."""
        more = np.zeros((2, LANES))
        if self.part.root:
            more[1] = -area.given[self._problem.buses] * self._problem.import_price[area.periods]
        elif self.held:
            more[1] = self._first_line[area.periods]
        return more

    def _carry(self, area: PieceDevices, below: Borders) -> Floats:
        area.messages.moving[:] = 0.0
        for number, entry in self._entries:
            area.messages.moving[entry] += below[number].ravel()
        area.carry()
        return np.asarray(area.messages.told[0].reshape(2, -1))

    def _upwards(self, slabs: list[Floats]) -> Floats:
        """Nothing where nobody is above."""
        return self._none if self.alone else self._joined(slabs)

    def predict_down(self, above: Floats) -> PieceTold:
        """Spread the affine step's prices and see how far it could go."""
        self._spread(above)
        for area in self._areas:
            area.probe()
        sums = rough(self._joined([area.totals.reshape(2, -1) for area in self._areas]))
        return self._told(down=self._changes(rough), sums=sums, most=self._reach())

    def correct_up(self, aim: Floats, below: Borders) -> PieceTold:
        """Carry the step that aims at complementarity `aim` (periods,)."""
        borders = self._moves = {number: self._slabs(below[number]) for number, _ in self._entries}
        self._aims = [slab[0] for slab in self._slabs(aim[None])]
        ups = []
        for slab, (area, target) in enumerate(zip(self._areas, self._aims, strict=True)):
            area.correct(target)
            ups.append(coarse(self._carry(area, {number: borders[number][slab] for number, _ in self._entries})))
        return self._told(up=self._upwards(ups))

    def correct_down(self, above: Floats) -> PieceTold:
        """Spread the corrected step's prices and see how far it could go."""
        self._spread(above)
        for area, aim in zip(self._areas, self._aims, strict=True):
            area.bound(aim)
        return self._told(down=self._changes(coarse), most=self._reach())

    def _spread(self, above: Floats) -> None:
        changes = [np.zeros((2, LANES)) for _ in self._areas] if self.alone else self._slabs(above)
        for area, change in zip(self._areas, changes, strict=True):
            area.messages.above[0] = change.ravel()
            area.spread()

    def _changes(self, told: Rounding) -> Borders:
        return self._hand_down(lambda entry: told(self._joined([area.handed_down(entry) for area in self._areas])))

    def _reach(self) -> Floats:
        return rough(self._joined([area.reach.reshape(2, -1) for area in self._areas]))

    def price_up(self, below: Borders) -> PieceTold:
        """Read steps and prices; voltages' prices summed over all below."""
        p, peers = self._problem, self._plan.peers[0]
        line, voltage = np.zeros(p.base_kw.shape), np.zeros(p.base_kw.shape)
        for slab, area in enumerate(self._areas):
            live = np.arange(slab * LANES, slab * LANES + LANES) < p.periods
            rows, periods = area.rows[: len(peers.peer)], area.periods
            take_steps(rows, peers.peer, peers.step, periods, live, p.step_kw, self.steps_kw)
            line[:, periods[live]] = -area.price[p.buses : 2 * p.buses, live]
            voltage[:, periods[live]] = -area.price[2 * p.buses :, live]
        self._border = np.zeros(p.periods)
        if self.held:
            idle = self._idle.flow_kw[0]
            relief = np.where(np.abs(idle) > p.line_limit_kw[0], np.sign(idle) * p.line_price, 0.0)
            self._border, line[0] = line[0] + layout.root_price(p, np.arange(p.periods)) - relief, relief
        self.posted = Posted.clipped(self.part.bare, line, voltage, np.zeros(p.row_base_kw.shape))
        self._below = self.posted.voltage.copy()
        for number, entry in self._entries:
            self._below[entry] += below[number][0]
        sum_up(p.parent, self._below)
        return self._told(up=self._none if self.alone else self._below[:1])

    def price_down(self, above: Floats) -> PieceTold:
        """Prices g at buses, and their part from lines alone."""
        p = self._problem
        lines = self.posted.line.copy()
        price = self.posted.line + p.voltage_drop[:, None] * self._below
        if self.alone:
            above = np.stack((self._border, self._border))
        self._beyond = above[1]
        for values, from_above in ((price, above[0]), (lines, above[1])):
            values[0] += from_above
            sum_down(p.parent, values)
        self._price, self._shift = price, price - lines
        return self._told(down=self._hand_down(lambda entry: np.stack((price[entry], lines[entry]))))

    def finish_up(self, below: Borders) -> PieceTold:
        """Whole watts, the flow they make, and how far it could still move."""
        self._base = self._problem.base_kw.copy()
        for number, entry in self._entries:
            self._base[entry] += below[number][0]
        finish_part(self._ending(), self.steps_kw, self._shift)
        flow = self._flowing()
        self._capacity = {number: rows[1:3] for number, rows in below.items()}
        own = np.stack(capacity_w(self._problem, self.steps_kw))
        room = np.sum([own, *self._capacity.values()], axis=0)
        return self._told(up=self._none if self.alone else np.concatenate((flow[:1], room)))

    def _ending(self) -> ClearingProblem:
        """The piece's problem once all below have told their flows: its border at a price, or held."""
        if self.part.root:
            return replace(self.part.problem, base_kw=self._base)
        if self.held:
            return self.part.holding(self._base, self._idle.flow_kw[0], self._dear())
        return replace(self.part.ending_at(self._beyond), base_kw=self._base)

    def _dear(self) -> float:
        """More than anybody would pay here."""
        p = self._problem
        most = np.abs(p.step_price).max(initial=0.0) + np.abs(p.import_price).max() + self._plan.typical.max()
        return float(np.ceil(10.0 * (most + p.line_price + p.root_limit_price)))

    def _flowing(self) -> Floats:
        flow = self._base.copy()
        add_peers(self._problem.peer_bus, moves(self._problem, self.steps_kw), flow)
        sum_up(self._problem.parent, flow)
        return flow

    def finish_down(self, above: Floats) -> PieceTold:
        """Voltages, and what the piece adds to the certificate."""
        p = self._problem
        flow, idle = self._flowing()[0], self._idle.flow_kw[0]
        if self.alone:
            above = np.stack((self.part.above_voltage, np.rint((idle - flow) * WATTS_PER_KW) * self.held))
        self.owed = above[1]
        shares = self._settled(flow, self.owed)
        if self.held:
            even_out(p, self.steps_kw, idle - self._flowing()[0])
        flow = self._flowing()
        level = p.voltage_drop[:, None] * flow
        level[0] += above[0]
        sum_down(p.parent, level)
        state = AllocationState(flow, level, p.row_base_kw)
        self.outcome = PartOutcome(self.steps_kw, self._price, flow, level)
        sums = np.array([*self._balance(state), relief_kw(p, state)])[:, None]
        violation = np.array([[violation_kw(p, self.steps_kw)]])
        down = {number: np.stack((level[entry], shares[number])) for number, entry in self._entries}
        return self._told(down=down, sums=sums, most=violation)

    def _settled(self, flow_kw: Floats, owed: Floats) -> Borders:
        """Let `flow_kw` (periods,) rise by the watts owed: by own steps first; the shares of those below."""
        sink, rise = capacity_w(self._problem, self.steps_kw)
        left, shares = owed - np.clip(owed, -sink, rise), dict[int, Floats]()
        for number, entry in self._entries:
            shares[number] = np.clip(left, -self._capacity[number][0], self._capacity[number][1])
            left = left - shares[number]
            self._base[entry] += shares[number] / WATTS_PER_KW
        if owed.any():
            held = self.part.holding(self._base, flow_kw + owed / WATTS_PER_KW, self._dear())
            settle_part(held, self.steps_kw, self._shift)
        return shares

    def _balance(self, state: AllocationState) -> tuple[float, float, float]:
        """P, D and the cost of no trade: equation (1) of `certificate`, as far as it is this piece's."""
        bare, g, posted = self.part.bare, self._price, self.posted
        own = spent(self.steps_kw, bare.step_price, bare.step_sign, bare.peer_bus, np.zeros(g.shape)).sum()
        star = conjugates(bare, posted)[:2]
        relief = sum(
            float(((y * v) - s).sum())
            for y, v, s in zip((posted.line, posted.voltage), self._idle[:2], star, strict=True)
        )
        cost, idle = (sum(float(c.sum()) for c in costs_by_owner(bare, at)[:2]) for at in (state, self._idle))
        return float(own) + cost, float(least(bare, g).sum()) + relief, idle

    def _hand_down(self, at: Callable[[int], Floats]) -> Borders:
        return {number: at(entry) for number, entry in self._entries}

    def _slabs(self, values: Floats) -> list[Floats]:
        """(rows, periods) as contiguous (rows, LANES), the last period repeated."""
        padded = values[:, self._pad]
        return [np.ascontiguousarray(padded[:, i : i + LANES]) for i in range(0, len(self._pad), LANES)]

    def _joined(self, slabs: list[Floats]) -> Floats:
        """Back to (rows, periods)."""
        return np.ascontiguousarray(np.concatenate(slabs, axis=-1)[..., : self._problem.periods])
