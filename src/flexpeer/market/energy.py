"""Energy limits: a storage or a resource with rebound trades only what its day's energy allows.

Contents are watt-minutes at the end of each MTU. A storage starts at `energy_start_wm` and loses what it
injects; a resource without a start has a buffer, empty of traded energy at the start of the day, that may run
`energy_wm` ahead or behind. A plan that is past its limits already may be traded, but not further out.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from flexpeer.market.participants import Resource


class EnergyRoom(NamedTuple):
    """How much more and how much less a resource may hold at the end of each MTU, W min, both >= 0."""

    more_wm: list[int]
    less_wm: list[int]
    mtu_minutes: int

    def allows(self, change_w: Sequence[int]) -> bool:
        """Whether a further change of injection fits."""
        drawn = (total * self.mtu_minutes for total in accumulate(change_w))
        return all(-more <= wm <= less for wm, more, less in zip(drawn, self.more_wm, self.less_wm, strict=True))

    def share(self, change_w: Sequence[int], of: int) -> int:
        """About how many `of`-ths of a change fit, by proportion; the caller checks."""
        least = of
        for total, more, less in zip(accumulate(change_w), self.more_wm, self.less_wm, strict=True):
            drawn = total * self.mtu_minutes
            if drawn:
                least = min(least, of * (less if drawn > 0 else more) // abs(drawn))
        return least


def energy_room(resource: Resource, start_w: Sequence[int], moves_w: Sequence[int], mtu_minutes: int) -> EnergyRoom:
    """The room a resource with limits has, given its starting point and the trades so far."""
    assert resource.energy_wm is not None, "only asked of resources with energy limits"
    storage = resource.energy_start_wm is not None
    low, high = (0 if storage else -resource.energy_wm), resource.energy_wm
    injected = [s * storage + m for s, m in zip(start_w, moves_w, strict=True)]
    begin = resource.energy_start_wm or 0
    contents = [begin - total * mtu_minutes for total in accumulate(injected)]
    more = [max(high - content, 0) for content in contents]
    return EnergyRoom(more, [max(content - low, 0) for content in contents], mtu_minutes)
