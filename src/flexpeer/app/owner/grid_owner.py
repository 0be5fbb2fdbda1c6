"""One grid owner's part in granting: its own network and limits, and nobody else's.

What crosses its border is the complex voltage its parent dictates and the power it then draws; moves reach it
as watts at its own buses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flexpeer.app.owner.limits_past import Past, limits_past
from flexpeer.app.ports import BorderEnd, Responses, Slopes, Tangent, Trial, Tried
from flexpeer.grid.bracket import Bracket
from flexpeer.grid.excess import NO_SOURCES, Change
from flexpeer.grid.limits import TOLERANCE, Kind, Limits, Readings
from flexpeer.grid.network import Complexes, Flags, Floats, Integers, Network
from flexpeer.grid.powerflow import DayFlow
from flexpeer.grid.ramp import RampRow
from flexpeer.grid.screening import Assessment, Snapshot, TradeScreen
from flexpeer.grid.sensitivity import Metric, Quantity
from flexpeer.wire.gate import GateHolding

ELEMENTS_PER_ROUND = 48
MARGIN = 2e-6
LIFT = 1e-5


@dataclass(frozen=True)
class OwnGrid:
    """What one owner knows at the starting point: its area's network and limits, and what it injects.

    `p_w` and `q_var` (buses, mtus) hold what areas below draw as withdrawals; `source_v` (sources, mtus) has the
    voltages at its own borders, whose sources are `border_source`. `entries` are the buses where areas below hang, by
    border; `bus_of` those of its resources.
    """

    owner: str
    network: Network
    in_service: Flags
    upper_from: Flags
    injecting: Flags
    limits: Limits
    p_w: Floats
    q_var: Floats
    source_v: Complexes
    borders: tuple[BorderEnd, ...]
    border_source: Integers
    entries: Mapping[str, int]
    bus_of: Mapping[str, int]

    def screen(self) -> TradeScreen:
        """The check of trades, at the starting point."""
        day = DayFlow(self.network, self.p_w.shape[1], self.in_service, self.upper_from, self.injecting)
        return TradeScreen(day, self.limits, self.p_w, self.q_var, self.source_v)


class GridOwner:
    """The validator of one area: tries changes, holds them, takes them back."""

    elsewhere = False

    def __init__(self, own: OwnGrid) -> None:
        self._own = own
        self.screen = own.screen()
        self._buses = dict(own.entries)
        for border, source in zip(own.borders, own.border_source, strict=True):
            self._buses[border.name] = int(own.network.source_bus[source])
        self._tried: tuple[int, Assessment] | None = None
        self._held: dict[int, Snapshot] = {}

    @property
    def owner(self) -> str:
        """The DSO."""
        return self._own.owner

    @property
    def borders(self) -> tuple[BorderEnd, ...]:
        """Where the area hangs on others."""
        return self._own.borders

    @property
    def border_names(self) -> set[str]:
        """Its borders, above and below."""
        return set(self._buses)

    @property
    def periods(self) -> int:
        """MTUs of the day."""
        return int(self._own.p_w.shape[1])

    def voltages(self, borders: Sequence[str]) -> Complexes:
        """Accepted voltages at borders, (borders, periods), per unit."""
        return self.screen.v[[self._buses[name] for name in borders]].copy()

    def attempt(self, trial: Trial) -> Tried:
        """Try it; the last one tried may be held."""
        source_v = NO_SOURCES
        if trial.border_v is not None:
            source_v = self.screen.v[self._own.network.source_bus][:, trial.mtus].copy()
            source_v[self._own.border_source] = trial.border_v
        found = self.screen.assess(Change(*self._moved(trial), source_v, trial.mtus))
        self._tried = trial.number, found
        drawn = found.source_power_w[self._own.border_source]
        if self._own.borders:
            drawn -= self.screen.source_power_w(trial.mtus)[self._own.border_source]
        told = found.v_new[[self._buses[name] for name in trial.watched]] if trial.watched else found.v_new[:0]
        return Tried(found.converged, found.excess, found.binding, drawn, told)

    def _moved(self, trial: Trial) -> tuple[Integers, Complexes]:
        """Buses and changes of injection there (rows, mtus), W + j var: of moves, and of what areas below draw."""
        buses = [self._own.bus_of[move.resource] for move in trial.moves]
        buses += [self._buses[name] for name in trial.drawn]
        at = np.array(buses, dtype=np.int64)
        if len(trial.mtus) == 1 and not trial.drawn:
            return at, np.array([move.change_w for move in trial.moves], dtype=np.complex128)[:, None]
        changes = np.zeros((len(buses), len(trial.mtus)), dtype=np.complex128)
        for row, move in enumerate(trial.moves):
            first, end = np.searchsorted(trial.mtus, (move.span.first, move.span.end))
            changes[row, first:end] = move.change_w
        for row, drawn in enumerate(trial.drawn.values(), len(trial.moves)):
            changes[row] = -drawn
        return at, changes

    def warm_up(self) -> None:
        """Try nothing, so that everything is compiled before the first order waits for it."""
        first = np.zeros(1, dtype=np.int64)
        self.attempt(Trial(0, (), first, {}, None, ()))
        self.closed(np.zeros((0, len(RampRow._fields)), dtype=np.int64), first, Bracket(0, 0.0, 0, 0.0))

    def _last(self, trial: int) -> Assessment:
        if self._tried is None or self._tried[0] != trial:
            raise LookupError(f"trial {trial} is not the last one since the state changed")
        return self._tried[1]

    def tangents(self, trial: int) -> tuple[Tangent, ...]:
        """Limits that the trial of this number, the last one, takes past what is allowed, the worst first."""
        found = self._last(trial)
        now, allowed = self.screen.read(found)
        past = limits_past(self._own.limits, now, allowed, TOLERANCE / 2)[:ELEMENTS_PER_ROUND]
        lifted = {border: self.screen.read(other)[0] for border, other in self._lifted(found).items()} if past else {}
        return tuple(self._tangent(each, found, now, lifted) for each in past)

    def _tangent(self, past: Past, found: Assessment, now: Readings, lifted: Mapping[str, Readings]) -> Tangent:
        per_w = past.per_w(self.screen.sensitivity(found, past.metric), now)
        margin = np.where(past.over > 0.0, MARGIN * np.abs(past.allowed), 0.0)
        above = {name: past.sign * (past.value(other) - past.value(now)) / LIFT for name, other in lifted.items()}
        return Tangent(past.over + margin, self._slopes(per_w, above))

    def _slopes(self, per_w: Floats, above: Mapping[str, Floats]) -> Slopes:
        own = {resource: per_w[bus] for resource, bus in self._own.bus_of.items()}
        return Slopes(own, {name: per_w[bus] for name, bus in self._own.entries.items()}, above)

    def _lifted(self, found: Assessment) -> dict[str, Assessment]:
        """What was found, but with the voltage at one of its borders `LIFT` per unit higher."""
        lifted = {}
        for border, source in zip(self._own.borders, self._own.border_source, strict=True):
            source_v = found.v_new[self._own.network.source_bus].copy()
            source_v[source] *= 1.0 + LIFT / np.abs(source_v[source])
            lifted[border.name] = self.screen.with_sources(found, source_v)
        return lifted

    def responses(self) -> Responses:
        """How its borders respond in the accepted state, in every MTU."""
        every = np.arange(self.screen.v.shape[1])
        none = np.zeros((0, len(every)))
        found = self.screen.evaluate(np.zeros(0, dtype=np.int64), every, none)
        lifted = self._lifted(found)
        given, felt = {}, {}
        for border, source in zip(self._own.borders, self._own.border_source, strict=True):
            per_w = self.screen.sensitivity(found, Metric(Quantity.SOURCE_EXPORT, int(source))).per_w
            given[border.name] = self._slopes(per_w, {})
        for name, bus in self._own.entries.items():
            per_w = self.screen.sensitivity(found, Metric(Quantity.BUS_VOLTAGE, int(bus))).per_w
            above = {n: (np.abs(o.v_new[bus]) - np.abs(found.v_new[bus])) / LIFT for n, o in lifted.items()}
            felt[name] = self._slopes(per_w, above)
        return Responses(given, felt)

    @property
    def bus_of(self) -> Mapping[str, int]:
        """The buses of its resources."""
        return self._own.bus_of

    def closed(self, ramp: Integers, mtus: Integers, bracket: Bracket) -> int | None:
        """The most ticks in a bracket that fit in some MTUs; None if only trials can tell."""
        return self.screen.closed(ramp, mtus, bracket)

    def hold(self, match: int, trial: int) -> None:
        """Make the trial of this number, the last one, current."""
        assessment = self._last(trial)
        self._held[match] = self.screen.hold(assessment)
        self._tried = None

    def commit(self, match: int) -> None:
        """Keep what was held."""
        self._held.pop(match, None)

    def abort(self, match: int) -> None:
        """Return to the state before the match was held."""
        snapshot = self._held.pop(match, None)
        if snapshot is not None:
            self.screen.restore(snapshot)
            self._tried = None

    def share(self, _held: GateHolding) -> None:
        """It is taken here."""

    def slack(self, element: str, kind: Kind, mtu: int) -> float:
        """Room of an element in the accepted state, as a fraction of its limit."""
        return self.screen.slack(element, kind, mtu)

    def reading(self, element: str, kind: Kind) -> Floats:
        """What a limit is about in the accepted state, (periods,), in the unit of its kind."""
        return self.screen.reading(element, kind)
