"""A DSO's part in the study of a day, behind letters: `Study` by its questions; silences as `RemoteOwner` has them."""

from collections.abc import Mapping

import numpy as np

from flexpeer.app.between.remote_owner import RemoteOwner
from flexpeer.app.between.study_messages import (
    read_dictated,
    read_drawn,
    read_flows,
    read_needs,
    read_points,
    read_slopes,
    written_state,
)
from flexpeer.app.ports import AreaSlopes, BorderEnd, BorderNumbers, Flows, Owner
from flexpeer.grid.network import Integers
from flexpeer.market.needs import CongestionPoint, Watts
from flexpeer.wire.grants import Done
from flexpeer.wire.study import (
    StudiedFlows,
    StudiedNeeds,
    StudiedPoints,
    StudiedSlopes,
    StudiedState,
    StudyFlows,
    StudyNeeds,
    StudyPoints,
    StudySlopes,
    StudyStart,
)


class RemoteStudy:
    """What a DSO elsewhere says of its own area."""

    def __init__(self, remote: RemoteOwner) -> None:
        self._remote = remote
        self._points: tuple[str, ...] = ()
        self.entries = tuple(sorted(remote.domain.below))
        self.resources = tuple(sorted(remote.domain.resources))
        self.topology_of: Integers = np.zeros(remote.periods, dtype=np.int64)

    @property
    def owner(self) -> str:
        """The DSO."""
        return self._remote.owner

    @property
    def borders(self) -> tuple[BorderEnd, ...]:
        """Where its area hangs on others."""
        return self._remote.borders

    @property
    def _own(self) -> tuple[str, ...]:
        return tuple(end.name for end in self.borders)

    def exchange(self, schedules_w: Mapping[str, Watts], at: BorderNumbers) -> BorderNumbers:
        """What it draws at its own borders, and the voltages it dictates at those below, in order of `entries`."""
        asked = written_state(schedules_w, at, self._own, self._remote.domain.resources)
        reply = self._remote.expect(asked, StudiedState)
        drawn = read_drawn(reply.drawn, self._remote.periods)
        told = read_dictated(reply.dictated, self.entries, self._remote.periods)
        if drawn is None or told is None or drawn.keys() != set(self._own):
            raise self._remote.wrong("its numbers at borders are none")
        return BorderNumbers(drawn, told)

    def observe(self) -> tuple[CongestionPoint, ...]:
        """The congestion points of what was exchanged last."""
        reply = self._remote.expect(StudyPoints(), StudiedPoints)
        points = read_points(reply, self.owner, self._remote.periods)
        if points is None:
            raise self._remote.wrong("its congestion points are none")
        self._points = tuple(point.congestion_point for point in points)
        self.topology_of = np.array(reply.alike, dtype=np.int64)
        return points

    def need_w(self) -> dict[str, Watts]:
        """Relief that each point needs."""
        needs = read_needs(self._remote.expect(StudyNeeds(), StudiedNeeds), self._points, self._remote.periods)
        if needs is None:
            raise self._remote.wrong("its needs do not fit its points")
        return needs

    def flows(self) -> Flows:
        """Flow and limit of each point."""
        flows = read_flows(self._remote.expect(StudyFlows(), StudiedFlows), self._points, self._remote.periods)
        if flows is None:
            raise self._remote.wrong("its flows do not fit its points")
        return flows

    def slopes(self) -> AreaSlopes:
        """First order, around what was observed."""
        pages: list[StudiedSlopes] = []

        def read(reply: StudiedSlopes) -> tuple[tuple[str, ...], int]:
            """The resources of a page."""
            pages.append(reply)
            return tuple(reply.own), reply.count

        for _ in self._remote.pages(StudySlopes, StudiedSlopes, read):
            pass
        found = read_slopes(pages, self._points, (self.entries, self._own), self._remote.periods)
        if found is None or not found.own.keys() <= self._remote.domain.resources:
            raise self._remote.wrong("its slopes do not fit its area")
        return found

    def coordinated(self) -> Owner:
        """Its part in granting, from what was exchanged last on."""
        self._remote.expect(StudyStart(), Done)
        return self._remote
