"""One market being run: the state, its books and its log, moved by commands and by the owners' answers."""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from flexpeer.market import trades
from flexpeer.market.granting import Freed, RecordVerdict, ReportHeadroom
from flexpeer.market.machine import Advance, Command, Event, State, decide, evolve, has_work, view
from flexpeer.market.matching.books import Books
from flexpeer.market.matching.compiled_book import CompiledBook
from flexpeer.market.matching.view import View
from flexpeer.market.needs import DayOpened
from flexpeer.market.pool import Cleared, ClearOrders, moves
from flexpeer.market.reasons import CommandRefused
from flexpeer.market.rulebook import Priority
from flexpeer.market.trades import Decision, GridVerdict, Match, Move, Phase


class EventLog(Protocol):
    """Where events go, in order, before they count."""

    def append(self, events: Iterable[Event]) -> None:
        """Keep events; raises if it cannot, and then none of them happened."""


class GridOwners(Protocol):
    """The owners of all concerned grids: reserve, then commit or abort."""

    def reserve(self, view: View, match: Match) -> RecordVerdict:
        """The joint answer to a match, which the owners hold from now on unless it is a refusal."""

    def hold(self, match: int, moves: Sequence[Move]) -> tuple[GridVerdict, ...]:
        """The answers to moves that are granted whole or not at all; they are held if all grant."""

    def commit(self, match: int) -> tuple[Freed, ...]:
        """Make a reservation final; places where blocked meetings have more headroom now."""

    def freed(self) -> tuple[Freed, ...]:
        """Places where blocked meetings have any more headroom now, however little: asked before the gate closes."""

    def abort(self, matches: tuple[int, ...]) -> None:
        """Give reservations back, the last one first."""


LAST_CHANCES = 8


def make_books(priority: Priority) -> Books:
    """Empty books in the rulebook's priority."""
    return Books(lambda: CompiledBook(priority))


class Session:
    """Feeds commands to the machine. `send` returns when nothing is left to match."""

    def __init__(self, log: EventLog, owners: GridOwners | None = None) -> None:
        self.state = State()
        self.books = make_books(Priority.TIME)
        self.owners = owners
        self._log = log
        self._listeners: list[Callable[[Event], None]] = []

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Call `listener` with every event from now on, after it has happened."""
        self._listeners.append(listener)

    def send(self, *commands: Command) -> list[Event]:
        """Everything that happens because of these commands, matching and granting included."""
        happened: list[Event] = []
        for command in commands:
            happened += self._step(command)
            while has_work(self.state) or self.state.trades.pending is not None:
                happened += self._step(self._answer() if self.state.trades.pending is not None else Advance())
        return happened

    def wake_all(self) -> None:
        """Give sleeping meetings a last chance, in order of arrival, while that frees headroom, some rounds at most."""
        assert self.owners is not None, "the owners are known while the gate is open"
        for _ in range(LAST_CHANCES):
            freed = self.owners.freed()
            if not freed:
                return
            self.send(ReportHeadroom(freed))

    def clear(self, cleared: tuple[Cleared, ...], gap_ppm: int, status: str) -> bool:
        """Ask the owners for an allocation, and let it happen if all grant it; whether they and the market did."""
        assert self.owners is not None, "the owners are known when the gate closes"
        here = view(self.state, self.books)
        match = here.trades.next_match
        verdicts = self.owners.hold(match, moves(here, cleared))
        if any(verdict.decision is not Decision.GRANTED for verdict in verdicts):
            return False
        events = self._step(ClearOrders(cleared, verdicts, gap_ppm, status))
        if isinstance(events[0], CommandRefused):
            self.owners.abort((match,))
            return False
        self.owners.commit(match)
        return True

    def _step(self, command: Command) -> list[Event]:
        events = decide(self.state, self.books, command)
        self._log.append(events)
        for event in events:
            self._apply(event)
        if isinstance(command, RecordVerdict) and isinstance(events[0], CommandRefused):
            return events + self._step(self._withdrawn(command))
        return events + self._tell_owners(events)

    def _withdrawn(self, impossible: RecordVerdict) -> RecordVerdict:
        """In place of an answer the market cannot take: none, and nothing held."""
        assert impossible.quantity_w or impossible.raised_w, "a refusal is always possible"
        return RecordVerdict(impossible.match, 0, 0, impossible.verdicts)

    def _apply(self, event: Event) -> None:
        self.state = evolve(self.state, event)
        if isinstance(event, DayOpened):
            self.books = make_books(event.rulebook.priority)
        self.books.evolve(view(self.state, self.books), event)
        for listener in self._listeners:
            listener(event)

    def _answer(self) -> Command:
        pending = self.state.trades.pending
        assert pending is not None, "only asked with a match pending"
        assert self.owners is not None, "nothing is proposed before the owners are known"
        return self.owners.reserve(view(self.state, self.books), pending)

    def _tell_owners(self, events: list[Event]) -> list[Event]:
        """Commit what became trades and abort what was released; then report the headroom that freed."""
        if self.owners is None:
            return []
        freed: list[Freed] = []
        for event in events:
            if isinstance(event, trades.ReservationsReleased):
                self.owners.abort(event.matches)
            elif isinstance(event, trades.VerdictRecorded) and event.quantity_w == 0:
                self.owners.abort((event.match,))
        concluded = [event.trade for event in events if isinstance(event, trades.TradeConcluded)]
        for match in dict.fromkeys(trade.match for trade in concluded if trade.phase is Phase.CONTINUOUS):
            freed += self.owners.commit(match)
        return self._step(ReportHeadroom(tuple(freed))) if freed else []
