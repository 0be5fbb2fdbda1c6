"""The grid side of a day on which nobody has the whole grid: each DSO studies its own area, joined at the borders.

A state of all areas is found as granting finds it: areas tell what they draw (up) and are told voltages (down), until
both stand still. Impact factors across borders are the chain rule over the same numbers. With x the parts of voltages
dictated and of power drawn at all borders, and k a resource,

    dx/dp_k = M dx/dp_k + N_k     M: what areas do about their borders' numbers, N_k: about their own resource     (1)
    dm/dp_k = m_k + m_x dx/dp_k   for the relief m of a point, by the slopes of its own area                        (2)

A DSO that does not answer is asked again, with the state it may have lost; then it is left out for the day, with its
points and resources, and what it said last of its borders is held. If it never said anything of them, all areas that
hang together with it are left out: nobody can know their flows.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np

from flexpeer.app.granting.grid_coordinator import GridCoordinator
from flexpeer.app.granting.joint_check import Borders
from flexpeer.app.granting.owner_cuts import OwnerCuts
from flexpeer.app.ports import AreaSlopes, BorderNumbers, Cuts, Flows, OwnerSilent, Study
from flexpeer.app.scenario import Scenario
from flexpeer.app.study.physical_side import most_loaded
from flexpeer.grid.network import Complexes, Floats, Integers
from flexpeer.market.machine import State
from flexpeer.market.needs import CongestionPoint, Watts
from flexpeer.quantities import IMPACT_LIMIT_PPM, PPM

T = TypeVar("T")
Schedules = Mapping[str, Watts]
STILL_PU, STILL_W = 1e-10, 1e-3
ROUNDS = 60
PATIENCE = 8
"""How often a DSO is asked in vain before it counts as silent; most of these are not letters (`RemoteOwner`)."""


class JointSide:
    """What the DSOs of a day know together; `studies` are parents first.

    `silent` are those that did not answer, `unknown` those whose flows cannot be known without them, `apart` borders
    whose two sides do not agree in the end.
    """

    def __init__(self, scenario: Scenario, studies: Sequence[Study]) -> None:
        self._scenario, self._studies = scenario, {study.owner: study for study in studies}
        self._parent = {end.name: end.parent for study in studies for end in study.borders}
        self._child = {end.name: study.owner for study in studies for end in study.borders}
        self._drawn: dict[str, Complexes] = {}
        self._voltages: dict[str, Complexes] = {}
        self._points: dict[str, CongestionPoint] = {}
        self._flows: Flows = {}
        self._impacts: dict[str, dict[str, tuple[int, ...]]] = {}
        self._schedules_w: Schedules = {}
        self._observed: dict[str, tuple[Schedules, BorderNumbers]] = {}
        self._borders: Borders | None = None
        self.silent: dict[str, None] = {}
        self.unknown: frozenset[str] = frozenset()
        self.apart: tuple[str, ...] = ()

    def observe(self, forecast_w: Schedules) -> tuple[CongestionPoint, ...]:
        """The congestion points under the forecast, and what any resource does there."""
        self._settle(forecast_w)
        self._observed = {study.owner: (forecast_w, self._numbers_at(study)) for study in self._studies.values()}
        points = [point for found in self._asked(lambda study: study.observe()).values() for point in found]
        given = [row.congestion_point for row in self._scenario.congestion_points or ()]
        points.sort(key=lambda p: given.index(p.congestion_point) if given else (p.dso, p.element, p.direction))
        self._points = {point.congestion_point: point for point in points}
        if self._scenario.impact_ppm is None:
            self._impacts = self._chained()
        return tuple(points)

    def odd(self) -> tuple[str, ...]:
        """What a reader of the results should know: who was silent, and which borders do not agree."""
        silent = (f"{dso} was silent; it has no part in what was found after that" for dso in self.silent)
        unknown = (f"{dso} has no part in the day: its flows hang on who was silent" for dso in sorted(self.unknown))
        return *silent, *unknown, *(f"the two sides of border {border} do not agree" for border in self.apart)

    def impact_ppm(self, point_id: str) -> dict[str, tuple[int, ...]]:
        """Relief per unit of each resource, ppm."""
        given = self._scenario.impact_ppm
        return dict((self._impacts if given is None else given).get(point_id, {}))

    def need_w(self, schedules_w: Schedules) -> dict[str, Watts]:
        """Relief needed at each point with these schedules; none is known where a DSO is silent."""
        self._settle(schedules_w)
        nothing: Watts = (0,) * self._scenario.day.mtu_count
        found = {name: row for needs in self._asked(lambda s: s.need_w()).values() for name, row in needs.items()}
        return {name: found.get(name, nothing) for name in self._points}

    def flows(self, schedules_w: Schedules) -> Flows:
        """Flow and limit of each point with these schedules; of a DSO that is silent, as it said last."""
        self._settle(schedules_w)
        return dict(self._flowing())

    def _flowing(self) -> Flows:
        for flows in self._asked(lambda study: study.flows()).values():
            self._flows |= flows
        return self._flows

    def coordinator(self, start_w: Schedules) -> GridCoordinator:
        """The owners, at the starting point."""
        self._settle(start_w)
        owners = list(self._asked(lambda study: study.coordinated()).values())
        home = {resource: study.owner for study in self._studies.values() for resource in study.resources}
        found = GridCoordinator(owners, {name: point.element for name, point in self._points.items()}, home)
        self._borders = found.borders
        return found

    def cuts(self, _state: State, _schedules_w: Schedules) -> Cuts:
        """What limits moves from now on, as the owners check it."""
        assert self._borders is not None, "the owners are known when the gate closes"
        return OwnerCuts(self._borders)

    def all_cuts(self, _state: State, _start_w: Schedules) -> None:
        """Nobody knows the whole grid."""

    def _settle(self, schedules_w: Schedules) -> None:
        """Numbers at all borders with these schedules, found from nothing so that they follow from these alone.

        Those that still move after `ROUNDS` are told. What silent DSOs said before is held.
        """
        before, self._schedules_w = (self._drawn, self._voltages), schedules_w
        self._drawn, self._voltages = {}, {}
        for _ in range(ROUNDS):
            moved = self._carried()
            for known, last, whose in zip(
                (self._drawn, self._voltages), before, (self._child, self._parent), strict=True
            ):
                known |= {b: row for b, row in last.items() if b not in known and whose[b] in self.silent}
            self.apart = tuple(moved)
            if not moved:
                break
        unknown = {b for b in self._parent if b not in self._drawn or b not in self._voltages}
        self.unknown = self._together({dso for b in unknown for dso in (self._parent[b], self._child[b])})

    def _together(self, owners: set[str]) -> frozenset[str]:
        """These and all whose areas hang together with theirs, less those that are silent."""
        found = set(owners)
        ends = [{self._parent[b], self._child[b]} for b in self._parent]
        while more := {dso for both in ends if both & found for dso in both} - found:
            found |= more
        return frozenset(found - self.silent.keys())

    def _carried(self) -> list[str]:
        """One round, children first; the borders whose numbers have moved."""
        moved = dict[str, None]()
        for study in self._speaking(reversed(self._studies.values())):
            found = self._patiently(study, self._exchanged)
            if found is not None:
                told = dict(zip(study.entries, found.voltages, strict=True))
                moved |= dict.fromkeys(_moved(self._drawn, found.drawn, STILL_W))
                moved |= dict.fromkeys(_moved(self._voltages, told, STILL_PU))
        return list(moved)

    def _exchanged(self, study: Study) -> BorderNumbers:
        return study.exchange(self._schedules_w, self._numbers_at(study))

    def _patiently(self, study: Study, question: Callable[[Study], T]) -> T | None:
        """Its answer; None if it is silent again and again, and no longer asked then.

        Who was silent may have started again: it finds its points in the forecast anew, and hears of the present state.
        """
        for attempt in range(PATIENCE):
            try:
                if attempt and study.owner in self._observed:
                    study.exchange(*self._observed[study.owner])
                    study.observe()
                    self._exchanged(study)
                return question(study)
            except OwnerSilent:
                continue
        self.silent[study.owner] = None
        return None

    def _numbers_at(self, study: Study) -> BorderNumbers:
        """What is known at an area's borders; the nominal voltage where nobody has told one."""
        count = self._scenario.day.mtu_count
        own = [self._voltages.get(end.name, np.ones(count, dtype=np.complex128)) for end in study.borders]
        drawn = {border: self._drawn[border] for border in study.entries if border in self._drawn}
        return BorderNumbers(drawn, np.array(own, dtype=np.complex128).reshape(len(own), count))

    def _speaking(self, studies: Iterable[Study]) -> Iterator[Study]:
        return (study for study in studies if study.owner not in self.silent and study.owner not in self.unknown)

    def _asked(self, question: Callable[[Study], T]) -> dict[str, T]:
        """The answers of those who do, by DSO."""
        answers = {study: self._patiently(study, question) for study in self._speaking(self._studies.values())}
        return {study.owner: answer for study, answer in answers.items() if answer is not None}

    def _chained(self) -> dict[str, dict[str, tuple[int, ...]]]:
        """Impact factors of all points, ppm, by equations (1) and (2)."""
        slopes = self._asked(lambda study: study.slopes())
        flows = self._flowing()
        moved = self._borders_per_w(slopes)
        impacts: dict[str, dict[str, tuple[int, ...]]] = {}
        for owner, own in slopes.items():
            first = 2 * (len(self._studies[owner].borders) + len(tuple(self._studies[owner].entries)))
            for row, point in enumerate(own.points, first):
                most = self._loaded_most(*flows[point])
                impacts[point] = {}
                for resource, at_borders in moved.items():
                    alone = own.own[resource][row] if resource in own.own else np.zeros(len(most))
                    relief: Floats = sum(_through_borders(own, row, at_borders), alone)
                    ppm = np.rint(np.nan_to_num(relief[most]) * PPM).clip(0, IMPACT_LIMIT_PPM).astype(np.int64)
                    impacts[point][resource] = tuple(ppm.tolist())
        return impacts

    def _borders_per_w(self, slopes: Mapping[str, AreaSlopes]) -> dict[str, dict[str, Floats]]:
        """Per watt of each resource, what is drawn and dictated at each border, (2, 2, periods): equation (1)."""
        names, count = list(self._parent), self._scenario.day.mtu_count
        place = {name: 4 * n for n, name in enumerate(names)}
        resources = [name for own in slopes.values() for name in own.own]
        matrix = np.zeros((count, 4 * len(names), 4 * len(names)))
        right = np.zeros((count, 4 * len(names), len(resources)))
        for owner, own in slopes.items():
            study = self._studies[owner]
            rows = [place[end.name] + part for end in study.borders for part in (0, 1)]
            rows += [place[name] + part for name in study.entries for part in (2, 3)]
            for kind, part in ((0, own.below), (2, own.above)):
                for border, per in part.items():
                    for n in (0, 1):
                        matrix[:, rows, place[border] + kind + n] = per[n, : len(rows)].T
            for name, per in own.own.items():
                right[:, rows, resources.index(name)] = per[: len(rows)].T
        found: Floats = np.asarray(np.linalg.solve(np.eye(4 * len(names)) - matrix, right), dtype=np.float64)
        return {
            name: {b: found[:, at : at + 4, n].T.reshape(2, 2, count) for b, at in place.items()}
            for n, name in enumerate(resources)
        }

    def _loaded_most(self, flow: tuple[float, ...], limit: tuple[float, ...]) -> Integers:
        """For each MTU the one with the same elements in service everywhere in which a point is loaded most."""
        alike = np.unique(np.array([s.topology_of for s in self._studies.values()]), axis=1, return_inverse=True)[1]
        over, most = np.array(flow) - np.array(limit), np.zeros(len(flow), dtype=np.int64)
        for topology in np.unique(alike):
            mtus = np.flatnonzero(alike.ravel() == topology)
            most[mtus] = mtus[most_loaded(over[mtus])]
        return most


def _through_borders(own: AreaSlopes, row: int, at_borders: Mapping[str, Floats]) -> Iterator[Floats]:
    """Relief of a point (its row of the slopes) per watt of a resource elsewhere, border by border: equation (2)."""
    for kind, part in enumerate((own.below, own.above)):
        for border, per in part.items():
            yield (per[:, row] * at_borders[border][kind]).sum(axis=0)


def _moved(known: dict[str, Complexes], new: Mapping[str, Complexes], still: float) -> list[str]:
    """Take over new numbers; the borders where they are others."""
    moved = [name for name, row in new.items() if name not in known or np.abs(row - known[name]).max() > still]
    known.update(new)
    return moved
