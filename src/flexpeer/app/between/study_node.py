"""A DSO's answers before the gate opens, from its own grid. What cannot be answered changes nothing."""

from flexpeer.app.between.grant_messages import written_rows
from flexpeer.app.between.study_messages import (
    read_dictated,
    read_drawn,
    written_flows,
    written_points,
    written_slopes,
)
from flexpeer.app.owner.grid_owner import GridOwner
from flexpeer.app.ports import AreaSlopes, BorderNumbers
from flexpeer.app.study.area_study import AreaStudy
from flexpeer.errors import BadInput
from flexpeer.market.needs import CongestionPoint
from flexpeer.quantities import QUANTITY_LIMIT_W
from flexpeer.wire.grants import CannotAnswer
from flexpeer.wire.study import (
    StudiedNeeds,
    StudiedPoints,
    StudiedState,
    StudyFlows,
    StudyNeeds,
    StudyPoints,
    StudyReply,
    StudySlopes,
    StudyState,
)

StudyAsked = StudyState | StudyPoints | StudyNeeds | StudyFlows | StudySlopes


class StudyNode:
    """One DSO's study; `last` is the state it was asked about last."""

    def __init__(self, study: AreaStudy, periods: int) -> None:
        self._study, self._periods = study, periods
        self.last: StudyState | None = None
        self._points: tuple[CongestionPoint, ...] | None = None
        self._slopes: AreaSlopes | None = None

    @property
    def resources(self) -> frozenset[str]:
        """Those connected to it."""
        return frozenset(self._study.resources)

    def answer(self, question: StudyAsked) -> StudyReply | CannotAnswer:
        """One question."""
        try:
            if isinstance(question, StudyState):
                return self._state(question)
            if self.last is None:
                return CannotAnswer("no state was asked about")
            if isinstance(question, StudyPoints):
                return self._observed()
            if self._points is None:
                return CannotAnswer("no points were asked about")
            match question:
                case StudyNeeds():
                    return StudiedNeeds(self._study.need_w())
                case StudyFlows():
                    return written_flows(self._study.flows())
                case StudySlopes(first):
                    self._slopes = self._slopes or self._study.slopes()
                    return written_slopes(self._slopes, first)
        except BadInput as error:
            return CannotAnswer("; ".join(finding.problem for finding in error.findings)[:200])

    def _observed(self) -> StudiedPoints:
        self._points, self._slopes = self._study.observe(), None
        return written_points(self._points, self._study.topology_of.tolist())

    def _state(self, question: StudyState) -> StudiedState | CannotAnswer:
        borders = [end.name for end in self._study.borders]
        drawn = read_drawn(question.drawn, self._periods)
        dictated = read_dictated(question.dictated, borders, self._periods)
        rows = question.schedules_w
        fits = rows.keys() == set(self._study.resources) and all(
            len(row) == self._periods and all(abs(w) <= QUANTITY_LIMIT_W for w in row) for row in rows.values()
        )
        if drawn is None or dictated is None or not fits or not drawn.keys() <= self._study.entries.keys():
            return CannotAnswer("does not fit the area")
        found = self._study.exchange(rows, BorderNumbers(drawn, dictated))
        self.last = question
        told = dict(zip(self._study.entries, map(written_rows, found.voltages), strict=True))
        return StudiedState({name: written_rows(row) for name, row in found.drawn.items()}, told)

    def started(self) -> GridOwner:
        """Its validator, from the state asked about last on."""
        return self._study.coordinated()
