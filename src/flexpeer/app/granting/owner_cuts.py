"""Limits that all owners' check of an allocation finds passed, as rows over resources, each owner's tangents its own.

With m a limit of one area, b a border below which an area hangs, a its own border above, p the watts an area gives at
its border and v the voltage it is dictated there, a resource k changes m by

    dm/dp_k                                       k in the area itself
    dm/dp_b dp_b/dp_k                             k below b; the lower owner knows the second factor              (1)
    + dm/dv_a dv_a/dp_k                           any k that moves the voltage above; the upper owner knows it    (2)

and so on up and down. How p_b answers to v_b is left out, and second order: the check of what comes of the rows tells.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import groupby

import numpy as np

from flexpeer.app.granting.joint_check import Borders, JointAssessment
from flexpeer.app.ports import LimitRow, OwnerSilent, Responses, Slopes, Tangent
from flexpeer.grid.network import Floats, Integers
from flexpeer.market.trades import Move
from flexpeer.periods import Span

HELD = Slopes({}, {}, {})
"""Of a border whose other side does not take part."""


class OwnerCuts:
    """Rows from a joint trial of each proposed allocation; nothing is held."""

    def __init__(self, borders: Borders) -> None:
        self._borders = borders
        self._known: dict[str, Responses] = {}

    def first(self) -> Iterable[LimitRow]:
        """None: the market's own balances keep the congestion points already."""
        return ()

    def violated(self, moves_w: Mapping[str, Floats]) -> Iterable[LimitRow]:
        """Tangents of limits passed, one for each of their MTUs; none where there is no power flow to say.

        Nor where an owner is silent, who will be asked once more before anything is granted.
        """
        moves = tuple(move for name, row in moves_w.items() for move in _moves(name, row))
        with suppress(OwnerSilent):
            yield from self._passed(moves, moves_w) if moves else ()

    def _passed(self, moves: Sequence[Move], moves_w: Mapping[str, Floats]) -> Iterator[LimitRow]:
        joint = JointAssessment(self._borders, moves)
        for owner, tried in joint.touched if joint.converged else ():
            if not tried.fits:
                for tangent in joint.tangents(owner):
                    yield from self._rows(tangent, joint.mtus, moves_w)

    def _rows(self, tangent: Tangent, mtus: Integers, moves_w: Mapping[str, Floats]) -> Iterator[LimitRow]:
        per_w = self._everywhere(tangent.slopes, mtus)
        for at in np.flatnonzero(tangent.over > 0.0):
            slopes = {resource: float(row[at]) for resource, row in per_w.items()}
            yield LimitRow.under(moves_w, int(mtus[at]), slopes, -float(tangent.over[at]))

    def _everywhere(self, slopes: Slopes, mtus: Integers) -> dict[str, Floats]:
        """Change per watt that any resource injects, (mtus,) each: equations (1) and (2)."""
        found = dict(slopes.own)
        for border, factor in slopes.below.items():
            _add(found, self._everywhere(self._given(border).at(mtus).times(factor), mtus))
        for border, factor in slopes.above.items():
            _add(found, self._everywhere(self._felt(border).at(mtus).times(factor), mtus))
        return found

    def _given(self, border: str) -> Slopes:
        """Of what the area below a border gives there."""
        owners = self._borders.owners.values()
        child = next((o.owner for o in owners if border in [end.name for end in o.borders]), None)
        return HELD if child is None else self._responses(child).given[border]

    def _felt(self, border: str) -> Slopes:
        """Of the voltage that the area above a border dictates there."""
        parent = next((name for name, watched in self._borders.watched.items() if border in watched), None)
        return HELD if parent is None else self._responses(parent).felt[border]

    def _responses(self, owner: str) -> Responses:
        """Asked once of each owner."""
        if owner not in self._known:
            self._known[owner] = self._borders.owners[owner].responses()
        return self._known[owner]


def _add(total: dict[str, Floats], more: Mapping[str, Floats]) -> None:
    for name, row in more.items():
        total[name] = total[name] + row if name in total else row


def _moves(resource: str, row: Floats) -> Iterator[Move]:
    """Whole watts, one move for each run of MTUs that are alike."""
    watts = np.rint(row).astype(np.int64)
    for change_w, run in groupby(range(len(watts)), key=lambda mtu: int(watts[mtu])):
        mtus = list(run)
        if change_w:
            yield Move(resource, Span(mtus[0], mtus[-1] + 1), change_w)
