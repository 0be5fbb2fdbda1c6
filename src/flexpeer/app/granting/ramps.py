"""What the moves of a match are at any quantity, so that a search for the largest needs no match at each."""

from collections.abc import Mapping

import numpy as np

from flexpeer.grid.network import Integers
from flexpeer.grid.ramp import RampRow
from flexpeer.market.matching.view import View
from flexpeer.market.orders import Side
from flexpeer.market.trades import Leg, Match

Steps = tuple[int, int, bool]
"""Watts moved by n ticks: tick x (n * first / second), rounded up or down."""


def ramp_of(view: View, match: Match, bus_of: Mapping[str, int]) -> Integers | None:
    """The rows of a match's ramp, as `Match.at` and `match_moves` have it; None where a unit divides what it moves."""
    tick = view.needs.rulebook.quantity_tick_w
    rows = [row for leg in match.legs for row in _rows(view, match.spanning, leg, bus_of)]
    if None in rows:
        return None
    return np.array([(row.bus, row.first, row.end, row.sign_w * tick, *row[4:]) for row in rows if row], dtype=np.int64)


def _rows(view: View, spanning: Side, leg: Leg, bus_of: Mapping[str, int]) -> list[RampRow | None]:
    """A row for each side of a leg that moves anything, in ticks; None where they are not one resource each."""
    rows: list[RampRow | None] = []
    names = []
    for order_id, steps in ((leg.buy, _bought(spanning, leg)), (leg.sell, _sold(spanning, leg))):
        order = view.orders.orders[order_id]
        members = view.participants.members(order.unit)
        names += [member.resource for member in members]
        if len(members) == 1 and names[-1] in bus_of:
            bus, span, sign = bus_of[names[-1]], leg.span, order.regulation.sign
            rows.append(RampRow(bus, span.first, span.end, sign, steps[0], steps[1], int(steps[2])))
    return rows if len(set(names)) == len(names) <= len(rows) else [None]


def _bought(spanning: Side, leg: Leg) -> Steps:
    return (1, 1, False) if spanning is Side.BUY else (leg.ppm_sell, leg.ppm_buy, False)


def _sold(spanning: Side, leg: Leg) -> Steps:
    return (leg.ppm_buy, leg.ppm_sell, True) if spanning is Side.BUY else (1, 1, False)
