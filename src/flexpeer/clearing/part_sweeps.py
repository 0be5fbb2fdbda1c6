"""What one organisation computes for a piece of the tree, pass by pass; only border messages and sums leave it.

A pass runs up (what the pieces below told comes in, what the piece above has to know goes out) or down. Arrays are
(rows, periods):

| pass | up | down | sums | largest |
|---|---|---|---|---|
| offer | | | step prices' size, step kW, their number | |
| survey | least, largest, idle and first flow | the same of w | idle cost, rows | |
| predict | f, A, B, D, U, L of `tree` | dg, dw | gap, cost; linear, product | reach |
| correct | U, L | dg, dw | | reach |
| price | z below | g, and its part from lines | | |
| finish | f in whole watts | w | P, D, no trade, relief (1 column) | violation |

Numbers are kW, prices per kWh and w in the problem's own unit, as in `problem`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from flexpeer.clearing import layout
from flexpeer.clearing.area import Area, Plan
from flexpeer.clearing.certificate import conjugates, costs_by_owner, relief_kw, violation_kw
from flexpeer.clearing.evaluation import State, add_peers, moves, sum_down, sum_up
from flexpeer.clearing.finishing import finish_part
from flexpeer.clearing.interior import take_steps
from flexpeer.clearing.layout import PeerRows
from flexpeer.clearing.outcome import Posted
from flexpeer.clearing.pieces import Piece, Reach, needed_limits
from flexpeer.clearing.price_newton import coarse
from flexpeer.clearing.problem import Floats
from flexpeer.clearing.responses import least, spent
from flexpeer.clearing.rows import LANES, MOVE
from flexpeer.clearing.shares import Part

Borders = Mapping[int, Floats]


def nothing(columns: int) -> Floats:
    """No rows."""
    return np.zeros((0, columns))


class Told(NamedTuple):
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
    """A piece through one run. `below` maps the pieces below to their rows, `above` is from the piece above."""

    def __init__(self, part: Part) -> None:
        self.part, self._problem = part, part.problem
        self._entries = sorted(part.entries.items(), reverse=True)
        periods = part.problem.periods
        self._pad = np.minimum(np.arange(-(-periods // LANES) * LANES), periods - 1)
        self._areas: list[Area] = []
        self.steps_kw = np.zeros(part.problem.step_kw.shape)
        self._none = nothing(periods)

    def _told(
        self, up: Floats | None = None, down: Borders | None = None, sums: Floats | None = None,
        most: Floats | None = None,
    ) -> Told:  # fmt: skip
        none = self._none
        return Told(
            none if up is None else up, down or {}, none if sums is None else sums, none if most is None else most
        )

    def offer(self) -> Told:
        """Sums over all bids: sizes of prices, kW, and how many."""
        p = self._problem
        count = np.full(p.periods, float(p.peers * p.steps))
        return self._told(sums=np.stack((np.abs(p.step_price).sum(axis=(0, 2)), p.step_kw.sum(axis=(0, 2)), count)))

    def survey_up(self, typical: Floats, below: Borders) -> Told:
        """Where prices start, given the scale of prices (periods,); flows that may be, and are."""
        p = self._problem
        piece = Piece(np.arange(p.buses), p.parent, -1 if self.part.root else 0, -1)
        peers = PeerRows.of(p, layout.free_peers(p, piece.bus))
        blank = np.zeros(p.base_kw.shape)
        self._plan = Plan(p, [piece], [peers], Reach(blank, blank, blank, blank), typical)
        self._areas = [
            Area(self._plan, 0, self._pad[first : first + LANES]) for first in range(0, len(self._pad), LANES)
        ]
        flows = [*self._extremes(), p.base_kw.copy(), self._joined([area.injection() for area in self._areas])]
        for row, flow in enumerate(flows):
            for number, entry in self._entries:
                flow[entry] += below[number][row]
            sum_up(p.parent, flow)
        self._surveyed = flows
        return self._told(up=np.stack([flow[0] for flow in flows]))

    def _extremes(self) -> list[Floats]:
        p, found = self._problem, []
        for sign in (-1.0, 1.0):
            total = p.base_kw.copy()
            add_peers(p.peer_bus, p.step_kw @ (sign * (p.step_sign == sign)), total)
            found.append(total)
        return found

    def survey_down(self, above: Floats) -> Told:
        """Voltages that may be, and are; the rows of lines and voltages are laid out where they make them."""
        p, flows = self._problem, self._surveyed
        levels = [p.voltage_drop[:, None] * flow for flow in flows]
        for row, level in enumerate(levels):
            level[0] += above[row]
            sum_down(p.parent, level)
        reach = Reach(flows[0], flows[1], levels[0], levels[1])
        self._problem = replace(p, line_limit_kw=needed_limits(p, reach))
        self.part = replace(self.part, problem=self._problem)
        self._plan = replace(self._plan, problem=self._problem, reach=reach)
        for area, flow, level in zip(self._areas, self._slabs(flows[3]), self._slabs(levels[3]), strict=True):
            area.lay_grid(self._plan, flow, level)
        self._idle = State(flows[2], levels[2], p.row_base_kw)
        cost = sum(values.sum(axis=0) for values in costs_by_owner(self.part.bare, self._idle)[:2])
        rows = [np.full(LANES, float(len(area.rows))) for area in self._areas]
        sums = np.stack((np.asarray(cost), self._joined(rows)))
        return self._told(down=self._hand_down(lambda entry: np.stack([level[entry] for level in levels])), sums=sums)

    def predict_up(self, length: Floats, below: Borders) -> Told:
        """Go the `length` (2, periods), primal and dual, of the step before, if any; then ask devices and eliminate."""
        if len(length):
            for area, aim, far in zip(self._areas, self._aims, self._slabs(length), strict=True):
                area.advance(aim, far.ravel())
        borders = {number: self._slabs(below[number]) for number, _ in self._entries}
        ups, sums = [], []
        for slab, area in enumerate(self._areas):
            area.gather()
            for number, entry in self._entries:
                area.below[entry] += borders[number][slab][0]
            area.lack()
            for number, entry in self._entries:
                area.messages.own[entry] += borders[number][slab][1:4].ravel()
            area.factor()
            area.move[:] = area.answer[:, MOVE : MOVE + LANES]
            told = self._carry(area, {number: borders[number][slab][4:6] for number, _ in self._entries})
            ups.append(np.concatenate((area.held[:1, :LANES], area.messages.sent[0, : 3 * LANES].reshape(3, -1), told)))
            sums.append(area.totals.reshape(2, -1) + self._from_zero(area))
        return self._told(up=self._joined(ups), sums=self._joined(sums))

    def _from_zero(self, area: Area) -> Floats:
        """Nothing to the gap; to the cost what the exchange costs where its rows begin, at full import."""
        more = np.zeros((2, LANES))
        if self.part.root:
            more[1] = -area.given[self._problem.buses] * self._problem.import_price[area.periods]
        return more

    def _carry(self, area: Area, below: Borders) -> Floats:
        area.messages.moving[:] = 0.0
        for number, entry in self._entries:
            area.messages.moving[entry] += below[number].ravel()
        area.carry()
        return np.asarray(area.messages.told[0].reshape(2, -1))

    def predict_down(self, above: Floats) -> Told:
        """Spread the affine step's prices and see how far it could go."""
        self._spread(above)
        for area in self._areas:
            area.probe()
        sums = self._joined([area.totals.reshape(2, -1) for area in self._areas])
        return self._told(down=self._changes(), sums=sums, most=self._reach())

    def correct_up(self, aim: Floats, below: Borders) -> Told:
        """Carry the step that aims at complementarity `aim` (periods,)."""
        borders = {number: self._slabs(below[number]) for number, _ in self._entries}
        self._aims = [slab[0] for slab in self._slabs(aim[None])]
        ups = []
        for slab, (area, target) in enumerate(zip(self._areas, self._aims, strict=True)):
            area.correct(target)
            ups.append(self._carry(area, {number: borders[number][slab] for number, _ in self._entries}))
        return self._told(up=self._joined(ups))

    def correct_down(self, above: Floats) -> Told:
        """Spread the corrected step's prices and see how far it could go."""
        self._spread(above)
        for area, aim in zip(self._areas, self._aims, strict=True):
            area.bound(aim)
        return self._told(down=self._changes(), most=self._reach())

    def _spread(self, above: Floats) -> None:
        for area, change in zip(self._areas, self._slabs(above), strict=True):
            area.messages.above[0] = change.ravel()
            area.spread()

    def _changes(self) -> Borders:
        def at(entry: int) -> Floats:
            """What the price and the voltage of the bus at a border change by."""
            return self._joined(
                [np.stack((area.step[entry], area.change[entry, LANES : 2 * LANES])) for area in self._areas]
            )

        return self._hand_down(at)

    def _reach(self) -> Floats:
        return coarse(self._joined([area.reach.reshape(2, -1) for area in self._areas]))

    def price_up(self, below: Borders) -> Told:
        """Read steps and prices; voltages' prices summed over all below."""
        p, peers = self._problem, self._plan.peers[0]
        line, voltage = np.zeros(p.base_kw.shape), np.zeros(p.base_kw.shape)
        for slab, area in enumerate(self._areas):
            live = np.arange(slab * LANES, slab * LANES + LANES) < p.periods
            rows, periods = area.rows[: len(peers.peer)], area.periods
            take_steps(rows, peers.peer, peers.step, periods, live, p.step_kw, self.steps_kw)
            line[:, periods[live]] = -area.price[p.buses : 2 * p.buses, live]
            voltage[:, periods[live]] = -area.price[2 * p.buses :, live]
        self.posted = Posted.clipped(self.part.bare, line, voltage, np.zeros(p.row_base_kw.shape))
        self._below = self.posted.voltage.copy()
        for number, entry in self._entries:
            self._below[entry] += below[number][0]
        sum_up(p.parent, self._below)
        return self._told(up=self._below[:1])

    def price_down(self, above: Floats) -> Told:
        """Prices g at buses, and their part from lines alone."""
        p = self._problem
        lines = self.posted.line.copy()
        price = self.posted.line + p.voltage_drop[:, None] * self._below
        self._beyond = above[1]
        for values, from_above in ((price, above[0]), (lines, above[1])):
            values[0] += from_above
            sum_down(p.parent, values)
        self._price, self._shift = price, price - lines
        return self._told(down=self._hand_down(lambda entry: np.stack((price[entry], lines[entry]))))

    def finish_up(self, below: Borders) -> Told:
        """Whole watts, and the flow they make."""
        flow = self._problem.base_kw.copy()
        for number, entry in self._entries:
            flow[entry] += below[number][0]
        ending = self.part.problem if self.part.root else self.part.ending_at(self._beyond)
        finish_part(replace(ending, base_kw=flow), self.steps_kw, self._shift)
        flow = flow.copy()
        add_peers(self._problem.peer_bus, moves(self._problem, self.steps_kw), flow)
        sum_up(self._problem.parent, flow)
        self._flow = flow
        return self._told(up=flow[:1])

    def finish_down(self, above: Floats) -> Told:
        """Voltages, and what the piece adds to the certificate."""
        p, flow = self._problem, self._flow
        level = p.voltage_drop[:, None] * flow
        level[0] += above[0]
        sum_down(p.parent, level)
        state = State(flow, level, p.row_base_kw)
        self.outcome = PartOutcome(self.steps_kw, self._price, flow, level)
        sums = np.array([*self._balance(state), relief_kw(p, state)])[:, None]
        violation = np.array([[violation_kw(p, self.steps_kw)]])
        return self._told(down=self._hand_down(lambda entry: level[entry][None]), sums=sums, most=violation)

    def _balance(self, state: State) -> tuple[float, float, float]:
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
