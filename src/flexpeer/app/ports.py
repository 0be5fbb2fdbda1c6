"""What a market day needs from outside: a log, the grid's owners, what is known of the grid, how time passes."""

from collections.abc import Iterable, Mapping, Sequence, Set
from contextlib import AbstractContextManager
from fractions import Fraction
from typing import NamedTuple, Protocol

from flexpeer.clearing.problem import Flags
from flexpeer.clearing.row_party import Party
from flexpeer.grid.limits import TOLERANCE, Kind
from flexpeer.grid.network import Complexes, Floats, Integers
from flexpeer.grid.screening import Binding
from flexpeer.market.granting import RecordVerdict
from flexpeer.market.machine import Event, State
from flexpeer.market.matching.view import View
from flexpeer.market.needs import CongestionPoint, Watts
from flexpeer.market.pool import At, Both, Cleared
from flexpeer.market.trades import GridVerdict, Match, Move
from flexpeer.market.waking import Freed
from flexpeer.wire.gate import GateHolding

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

    def share(self, dso: str, held: GateHolding) -> "Share | None":
        """A DSO's part in a clearing, if another program takes it."""

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


class ShareLost(Exception):
    """An owner answers, but does not take its part in the clearing under way: it has started again since that began."""

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

    def share(self, held: GateHolding) -> "Share | None":
        """Its part in a clearing; None if it leaves that to who asks."""

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


class Opening(NamedTuple):
    """Where a share's orders begin, for whoever lays out the rows: sums and extremes, of no single order.

    `loaded` are points and MTUs that it can load; `sides` which sides of them its organisations can be on (True: that
    of BUYs); `worth` what a ppm of relief is worth at most where it loads, `cost` what it asks for one at least,
    minor units per day and W; `limited` says whether members of a portfolio have energy limits.
    """

    loaded: tuple[At, ...]
    sides: tuple[tuple[Both, bool], ...]
    worth: tuple[tuple[At, float], ...]
    cost: float
    limited: bool


class ShareStanding(NamedTuple):
    """Of the orders that take part: whether there are `any`, and the most that a watt is worth or costs, minor units.

    `largest` is the largest size of a factor in each row, `base` what they are taken of before any free step, (rows,).
    """

    any: bool
    dearest: float
    largest: Floats
    base: Floats


class Share(Protocol):
    """A DSO's part in the clearing at gate closure: it holds its own orders and gives sums over them.

    Rows are numbered as they are added; rooms, prices and what is used of them are (rows,), in units of each row.
    A share in another program that does not answer raises `OwnerSilent`, one that is lost `ShareLost`.
    """

    def opening(self) -> Opening:
        """Before any row."""

    def add_balances(self, places: Sequence[At]) -> None:
        """Rows: what points are loaded with, per MTU."""

    def add_sides(self, both: Sequence[Both]) -> None:
        """Rows: what organisations load there beyond what others relieve."""

    def add_tangents(self, rows: Sequence[LimitRow]) -> None:
        """Rows: limits that power flow finds."""

    def add_foreign(self, count: int) -> None:
        """Rows that its orders are not in."""

    def add_past_energy(self) -> Floats:
        """Rows that its own resources' energy limits and ranges need; their bounds."""

    def leave_out_hopeless(self, worth: Mapping[At, float], cost: float, roomy: Set[At]) -> None:
        """Leave out whoever could trade with nobody, given what all shares said when they opened."""

    def leave_out_members(self, resource: str) -> bool:
        """Leave out the portfolios that a resource is a member of; whether there was one."""

    def leave_out(self, number: int) -> None:
        """The order of a number takes no part any more."""

    def leave_out_losers(self) -> bool:
        """Leave out accepted orders whose prices are worse than their limits; whether there were any."""

    def leave_out_least(self) -> None:
        """Leave out the accepted order that gains least."""

    def standing(self) -> ShareStanding:
        """For the scale of a solution."""

    def party(self, scale: Floats) -> Party:
        """Its orders that take part, for price-Newton; rows divided by `scale`."""

    def take(self, price: Floats) -> None:
        """What its party has come to at these prices is what it is allocated."""

    def to_watts(self) -> None:
        """Whole watts, in ticks, each order rounded towards relief."""

    def repair(self, room: Floats, *, heeding: bool) -> Floats:
        """The rooms after orders that lose least brought passed rows within their bounds, heeding others or not."""

    def improve(self, room: Floats) -> Floats:
        """The rooms after every order that gains went as far as they let it."""

    def by_arrival(self) -> None:
        """Of orders that differ in arrival only, the first gets what it can."""

    def halve(self) -> None:
        """Half of it, and no more than that."""

    def short_of_minimum(self) -> bool:
        """Whether orders are below their minimum acceptance; they must reach it from now on, or go."""

    def last_held(self, rows: Flags) -> int | None:
        """The number of the last order that is held to its minimum acceptance and takes of any of these rows."""

    def hear_accepted(self) -> bool:
        """From now on only orders that get something are heard; whether there are any."""

    def hear_more(self) -> bool:
        """Those that get nothing and would gain are heard, too; whether there were any new ones."""

    def only_heard(self) -> None:
        """Solve for those heard, until `restore`."""

    def restore(self) -> None:
        """Undo `only_heard`; prices stay."""

    def remember(self) -> None:
        """Remember who takes part and what is allocated, for `go_back`."""

    def go_back(self) -> None:
        """To what was remembered last."""

    def least_gain(self) -> float | None:
        """The least that an accepted order gains at its price, per watt; None without any."""

    def used(self) -> Floats:
        """What it takes of each row."""

    def worth(self) -> tuple[float, float]:
        """What its allocation gains, and what its orders miss at their prices; minor units per day."""

    def moves_w(self) -> Mapping[str, Floats]:
        """What its allocation moves of each of its resources, per MTU."""

    def cleared(self, lean: Fraction) -> Sequence[Cleared]:
        """Each order's share and price, moved by `lean` of the way to its limit."""


class GridSide(Protocol):
    """What is known of the grid: `PhysicalSide` by power flow, `FactorSide` by factors, `JointSide` by its DSOs."""

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
