"""What a side has in common that knows no grid of its own: its owners are asked, for grants and for limits."""

from collections.abc import Mapping, Sequence

from flexpeer.app.granting.grid_coordinator import GridCoordinator
from flexpeer.app.granting.joint_check import Borders
from flexpeer.app.granting.owner_cuts import OwnerCuts
from flexpeer.app.ports import Cuts, Owner
from flexpeer.market.machine import State
from flexpeer.market.needs import CongestionPoint, Watts


class AskedOwners:
    """Owners of a day, from the starting point on."""

    _asked_borders: Borders | None = None

    def _coordinated(
        self, owners: Sequence[Owner], points: Mapping[str, CongestionPoint], home: Mapping[str, str]
    ) -> GridCoordinator:
        """The coordinator of owners who know the starting point; `home` is the DSO of each resource."""
        found = GridCoordinator(owners, {name: point.element for name, point in points.items()}, home)
        self._asked_borders = found.borders
        return found

    def cuts(self, _state: State, _schedules_w: Mapping[str, Watts]) -> Cuts:
        """What limits moves from now on, as the owners check it."""
        assert self._asked_borders is not None, "the owners are known when the gate closes"
        return OwnerCuts(self._asked_borders)

    def all_cuts(self, _state: State, _start_w: Mapping[str, Watts]) -> None:
        """Nobody knows the whole grid."""
