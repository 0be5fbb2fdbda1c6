"""What a market day needs from outside: a log, the grid's owners, how time passes."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from flexpeer.market.granting import Freed, RecordVerdict
from flexpeer.market.machine import Event
from flexpeer.market.matching.view import View
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
