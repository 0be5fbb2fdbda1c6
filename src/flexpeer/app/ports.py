"""What a market day needs from outside: a log, the grid's owners, what is known of the grid, how time passes."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from flexpeer.grid.limits import TOLERANCE, Kind
from flexpeer.grid.network import Complexes, Floats, Integers
from flexpeer.grid.screening import Binding
from flexpeer.market.granting import Freed, RecordVerdict
from flexpeer.market.machine import Event, State
from flexpeer.market.matching.view import View
from flexpeer.market.needs import CongestionPoint, Watts
from flexpeer.market.trades import GridVerdict, Match, Move

Batch = Sequence[Event]
Flows = dict[str, tuple[tuple[float, ...], tuple[float, ...]]]
"""Flow (in the loading direction) and limit of each congestion point, W per MTU."""


class EventLog(Protocol):
    """Where the events of a day are kept, batch by batch, in order."""

    def read(self) -> Iterable[Batch]:
        """What it has; asked once, before anything is appended."""

    def append(self, events: Batch) -> None:
        """One batch at the end: kept whole or not at all. Raises if it cannot, and then none of it happened."""

    def sync(self) -> None:
        """Everything appended outlives the program when this returns."""


class Owners(Protocol):
    """The owners of all concerned grids: reserve, then commit or abort.

    What they know of a day follows from its events, so that it can be had again after a start.
    """

    @property
    def elsewhere(self) -> bool:
        """Whether any of them is another program, which remembers what it heard when this one ends."""

    def reserve(self, view: View, match: Match) -> RecordVerdict:
        """The joint answer to a match, which the owners hold from now on unless it is a refusal."""

    def repeat(self, match: Match, moves: Sequence[Move], verdicts: Sequence[GridVerdict]) -> None:
        """Hold again what they granted in an earlier run of the program (no moves: nothing), and heed what bound."""

    def hold(self, match: int, moves: Sequence[Move]) -> tuple[GridVerdict, ...]:
        """The answers to moves that are granted whole or not at all; they are held if all grant."""

    def commit(self, match: int) -> tuple[Freed, ...]:
        """Make a reservation final; watched places that have more headroom now."""

    def freed(self) -> tuple[Freed, ...]:
        """Watched places that have any more headroom now, however little: asked before the gate closes."""

    def unwatch(self, place: Freed) -> None:
        """Nothing sleeps at this place any more."""

    def abort(self, matches: tuple[int, ...]) -> None:
        """Give reservations back, the last one first."""


class Watch(Protocol):
    """How long work takes, and how far it is."""

    def stage(self, name: str) -> AbstractContextManager[None]:
        """Time a stage."""

    def progress(self, done: int, total: int) -> None:
        """`done` of `total` orders are in."""

    def timings_s(self) -> dict[str, float]:
        """Seconds of each stage that has ended."""


class Slopes(NamedTuple):
    """How something changes, (periods,) each.

    `own` is per watt that a resource injects, `below` per watt that the area below a border injects more, `above` per
    unit of voltage at a border of its own.
    """

    own: Mapping[str, Floats]
    below: Mapping[str, Floats]
    above: Mapping[str, Floats]

    def at(self, periods: Integers) -> "Slopes":
        """In some of the periods."""
        return Slopes(*({name: row[periods] for name, row in part.items()} for part in self))

    def times(self, factor: Floats) -> "Slopes":
        """Of something that changes `factor` (periods,) times as much."""
        return Slopes(*({name: factor * row for name, row in part.items()} for part in self))


class Tangent(NamedTuple):
    """A limit past what is allowed by `over` (periods,), 0 where it is not, and its slopes."""

    over: Floats
    slopes: Slopes


class Responses(NamedTuple):
    """At each border of an area's own, slopes of the watts it gives there; at each border below, of the voltage."""

    given: Mapping[str, Slopes]
    felt: Mapping[str, Slopes]


class OwnerSilent(Exception):
    """An owner did not answer in time; whoever carries messages to it raises this."""

    def __init__(self, owner: str) -> None:
        super().__init__(owner)
        self.owner = owner


class BorderEnd(NamedTuple):
    """A border as its child knows it: a name that both sides use, and whose bus dictates the voltage."""

    name: str
    parent: str


class Trial(NamedTuple):
    """What an owner is asked to try in `mtus`, without making it current.

    `drawn` is what children draw more at borders than in the accepted state (mtus,), W + j var; `border_v` (borders,
    mtus) are voltages at one's own borders, per unit, None as accepted; `watched` the borders whose voltages are told.
    """

    number: int
    moves: tuple[Move, ...]
    mtus: Integers
    drawn: Mapping[str, Complexes]
    border_v: Complexes | None
    watched: tuple[str, ...]


class Tried(NamedTuple):
    """What a trial leads to: `excess` as in `grid.screening`, infinite where the power flow does not converge.

    `drawn` (borders, mtus) is what the area draws more at its own borders than in the accepted state, W + j var;
    `voltages` (watched, mtus) are those of its parent's side for the areas below, per unit.
    """

    converged: bool
    excess: float
    binding: Binding | None
    drawn: Complexes
    voltages: Complexes

    @property
    def fits(self) -> bool:
        """Whether it passes no limit and worsens nothing past its limit."""
        return self.converged and self.excess <= TOLERANCE


class Owner(Protocol):
    """One grid owner, here or elsewhere; every call may raise `OwnerSilent`."""

    @property
    def owner(self) -> str:
        """The DSO."""

    @property
    def borders(self) -> tuple[BorderEnd, ...]:
        """Where its area hangs on others."""

    @property
    def elsewhere(self) -> bool:
        """Whether it is another program."""

    def voltages(self, borders: Sequence[str]) -> Complexes:
        """Accepted voltages at borders, its own or those of areas below, (borders, periods), per unit."""

    def attempt(self, trial: Trial) -> Tried:
        """Try it; the last one tried may be held."""

    def hold(self, match: int, trial: int) -> None:
        """Make the trial of this number current, able to return."""

    def commit(self, match: int) -> None:
        """Keep what was held."""

    def abort(self, match: int) -> None:
        """Return to the state before the match was held."""

    def slack(self, element: str, kind: Kind, mtu: int) -> float:
        """Room of an element in the accepted state, as a fraction of its limit."""

    def reading(self, element: str, kind: Kind) -> Floats:
        """What a limit is about in the accepted state, (periods,), in the unit of its kind."""

    def tangents(self, trial: int) -> tuple[Tangent, ...]:
        """Limits that the trial of this number, the last one, takes past what is allowed, in its MTUs."""

    def responses(self) -> Responses:
        """How its borders respond in the accepted state, in every MTU."""


class BorderNumbers(NamedTuple):
    """Power drawn at borders, by name, W + j var (periods,), and voltages (borders, periods), per unit."""

    drawn: Mapping[str, Complexes]
    voltages: Complexes


class AreaSlopes(NamedTuple):
    """How an area's numbers change.

    The outputs are P and Q drawn at each own border, the real and imaginary part of the voltage at each border below,
    and the relief of each of its `points`, in that order. `own` is per watt that a resource injects (outputs, periods);
    `below` per W and per var drawn at a border there, `above` per unit of the two parts of the voltage at a border of
    its own, each (2, outputs, periods).
    """

    points: tuple[str, ...]
    own: Mapping[str, Floats]
    below: Mapping[str, Floats]
    above: Mapping[str, Floats]


class Study(Protocol):
    """One DSO before the gate opens, here or elsewhere; every call may raise `OwnerSilent`."""

    @property
    def owner(self) -> str:
        """The DSO."""

    @property
    def borders(self) -> tuple[BorderEnd, ...]:
        """Where its area hangs on others."""

    @property
    def entries(self) -> Iterable[str]:
        """Borders where areas hang on it, in order."""

    @property
    def resources(self) -> tuple[str, ...]:
        """Those connected to it."""

    @property
    def topology_of(self) -> Integers:
        """Which MTUs have the same elements in service, (periods,)."""

    def exchange(self, schedules_w: Mapping[str, Watts], at: BorderNumbers) -> BorderNumbers:
        """What it draws at its own borders, and the voltages it dictates at those below, in order of `entries`."""

    def observe(self) -> tuple[CongestionPoint, ...]:
        """The congestion points of what was exchanged last, the forecast."""

    def need_w(self) -> dict[str, Watts]:
        """Relief that each point needs in what was exchanged last."""

    def flows(self) -> Flows:
        """Flow and limit of each point in what was exchanged last."""

    def slopes(self) -> AreaSlopes:
        """First order, around what was observed."""

    def coordinated(self) -> Owner:
        """Its part in granting, from what was exchanged last on."""


class LimitRow(NamedTuple):
    """A limit that moves can pass: each resource's slope of the flow per W injected in `mtu`, and the room left, W."""

    mtu: int
    slopes: Mapping[str, float]
    room_w: float

    @classmethod
    def under(cls, moves_w: Mapping[str, Floats], mtu: int, per_w: Mapping[str, float], room: float) -> "LimitRow":
        """Of a limit that has `room` left under moves, per resource and MTU; scaled to a largest slope of 1."""
        here = sum(per_w.get(resource, 0.0) * float(moves[mtu]) for resource, moves in moves_w.items())
        scale = max(map(abs, per_w.values()), default=1.0) or 1.0
        return cls(mtu, {resource: slope / scale for resource, slope in per_w.items()}, (room + here) / scale)


class Cuts(Protocol):
    """Where limits come from that neither market rules nor orders' own bounds are."""

    def first(self) -> Iterable[LimitRow]:
        """Rows to start with."""

    def violated(self, moves_w: Mapping[str, Floats]) -> Iterable[LimitRow]:
        """Rows that these moves from the starting point violate, none if all is well."""


class GridSide(Protocol):
    """What is known of the grid: `PhysicalSide` by power flow, `FactorSide` by impact factors, `ToldSide` from DSOs."""

    def observe(self, forecast_w: Mapping[str, Watts], /) -> tuple[CongestionPoint, ...]:
        """The congestion points under the forecast."""

    def impact_ppm(self, point_id: str) -> dict[str, tuple[int, ...]]:
        """Relief of each resource at a point."""

    def need_w(self, schedules_w: Mapping[str, Watts]) -> dict[str, Watts]:
        """Relief needed at each point with these schedules."""

    def coordinator(self, start_w: Mapping[str, Watts]) -> Owners:
        """The owners, at the starting point."""

    def flows(self, schedules_w: Mapping[str, Watts]) -> Flows:
        """Flow (in the loading direction) and limit of each point with these schedules, W per MTU."""

    def cuts(self, state: State, schedules_w: Mapping[str, Watts], /) -> Cuts:
        """What limits moves from these schedules on, the day's present ones, as the owners check it."""

    def all_cuts(self, state: State, start_w: Mapping[str, Watts], /) -> Cuts | None:
        """What limits moves from the starting point on; None where nobody knows the whole grid."""
