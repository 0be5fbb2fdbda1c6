"""Limits of a market without a grid, as rows of the clearing and of the central optimum."""

from collections.abc import Iterable, Mapping

from flexpeer.app.ports import LimitRow
from flexpeer.grid.network import Floats
from flexpeer.market.machine import State
from flexpeer.market.needs import Watts
from flexpeer.quantities import PPM


class FactorCuts:
    """Every congestion point known by its impact factors; exact, so nothing is violated later."""

    def __init__(self, state: State, room_w: Mapping[str, Watts], signs: Mapping[str, int]) -> None:
        self._state = state
        self._room_w = room_w
        self._signs = signs

    def first(self) -> Iterable[LimitRow]:
        """A row for every point and MTU."""
        for point, room in self._room_w.items():
            for mtu, left in enumerate(room):
                factors = self._state.needs.impacts_ppm.get(point, {})
                yield LimitRow(
                    mtu, {name: self._signs[point] * ppm[mtu] / PPM for name, ppm in factors.items()}, float(left)
                )

    def violated(self, moves_w: Mapping[str, Floats]) -> Iterable[LimitRow]:  # noqa: ARG002
        """None: all rows are there from the start."""
        return ()
