"""One market day on one log: the only way a day moves.

A command is decided, its events are appended as one batch, and then they have happened. What they lead to (sweeps,
owners' verdicts, headroom that wakes others) is done step by step by `work`, so that the door stays open. Opening an
old log folds its events and has the owners repeat what they held: it goes on where it was, after whichever batch.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from flexpeer.app.ports import Batch, EventLog, Owners
from flexpeer.market.granting import RecordVerdict
from flexpeer.market.machine import Advance, Command, Event, State, changing, decide, evolve, has_work, settled, view
from flexpeer.market.matching.books import NOTHING_TO_FOLLOW, Books
from flexpeer.market.matching.compiled_book import CompiledBook, load_kernels
from flexpeer.market.matching.meetings import LineMoved, MeetingsWoken
from flexpeer.market.needs import DayOpened
from flexpeer.market.orders import (
    AmendOrder,
    Gate,
    GateOpened,
    OrderAmended,
    OrderPlaced,
    OrderWithdrawn,
    WithdrawOrder,
)
from flexpeer.market.pool import Cleared, ClearOrders, moves
from flexpeer.market.reasons import CommandRefused, Reason
from flexpeer.market.rulebook import Priority
from flexpeer.market.timeline import Stage, StageReached
from flexpeer.market.trades import (
    Decision,
    Move,
    Phase,
    ReservationsReleased,
    TradeConcluded,
    VerdictRecorded,
    match_moves,
)
from flexpeer.market.waking import Freed, ReportHeadroom

AT_THE_DOOR = frozenset((OrderPlaced, OrderAmended, OrderWithdrawn, CommandRefused))
WAKING = frozenset((MeetingsWoken, LineMoved))
OF_OWNERS = frozenset((VerdictRecorded, TradeConcluded, ReservationsReleased))
"""Events that owners hear of."""
Listener = Callable[[Event], None]


def make_books(priority: Priority) -> Books:
    """Empty books in the rulebook's priority."""
    return Books(lambda: CompiledBook(priority))


class Market:
    """State, books and owners of a day, moved by commands. `owners` are made when the gate opens, from the state.

    Once trades are confirmed nobody meets any more: books and owners, most of what a day weighs, are let go.

    `listeners` hear every event after it has happened, those of the log too.
    """

    def __init__(
        self,
        log: EventLog,
        listeners: Sequence[Listener] = (),
        owners: Callable[[State], Owners] | None = None,
    ) -> None:
        self.state = changing(State())
        self.books = make_books(Priority.TIME)
        self.owners: Owners | None = None
        self._log, self._listeners, self._make_owners = log, list(listeners), owners
        self._freed: tuple[Freed, ...] = ()
        self._together: list[Event] | None = None
        for batch in log.read():
            self._repeat(batch)
        self.state = settled(self.state)

    def listen(self, listener: Listener) -> None:
        """Call `listener` with every event from now on, after it has happened."""
        self._listeners.append(listener)

    @property
    def line(self) -> int:
        """How many orders wait for their sweep, or for what it has woken."""
        return len(self.state.matching.waiting) + len(self.state.matching.awake) + bool(self.state.matching.sweeping)

    def submit(self, command: Command) -> list[Event]:
        """What a command leads to at once; `sync` makes it last. Amendments wait until the order's match is through."""
        events = self._decided(command)
        while isinstance(command, AmendOrder | WithdrawOrder) and _is_pending(events) and self.work():
            events = self._decided(command)
        self._happen(events)
        return events

    def work(self) -> bool:
        """The next step of whoever waits; False if nobody does."""
        if self._freed:
            freed, self._freed = self._freed, ()
            self._happen(self._decided(ReportHeadroom(freed)))
        elif self.state.trades.pending is not None:
            self._happen(self._answered())
        elif has_work(self.state):
            self._happen(self._decided(Advance()))
        else:
            return False
        return True

    def work_through(self) -> None:
        """Steps until nobody waits."""
        while self.work():
            pass

    def send(self, *commands: Command) -> list[Event]:
        """Everything that happens because of these commands, each until nobody waits any more."""
        happened: list[Event] = []
        self._listeners.append(happened.append)
        try:
            for command in commands:
                self.submit(command)
                self.work_through()
        finally:
            self._listeners.remove(happened.append)
        return happened

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is submitted meanwhile is one batch of the log: all of it happens or none."""
        self._together = []
        yield
        events, self._together = self._together, None
        if events:
            self._log.append(events)

    def sync(self) -> None:
        """Whatever has happened outlives the program from now on."""
        self._log.sync()

    def last_chances(self) -> None:
        """Sleeping meetings get a last chance, in order of arrival, while that frees headroom, some rounds at most."""
        assert self.owners is not None, "the owners are known while the gate is open"
        while True:
            self.work_through()
            freed = self._asleep(self.owners.freed())
            if not freed and not self.state.matching.deferred:
                return
            events = self._decided(ReportHeadroom(freed, last=True))
            if not events:
                return
            self._happen(events)

    def clear(self, cleared: tuple[Cleared, ...], gap_ppm: int, status: str) -> bool:
        """Ask the owners for an allocation, and let it happen if all grant it; whether anything was traded."""
        assert self.owners is not None, "the owners are known when the gate closes"
        here = view(self.state, self.books)
        match = here.trades.next_match
        verdicts = self.owners.hold(match, moves(here, cleared))
        if any(verdict.decision is not Decision.GRANTED for verdict in verdicts):
            return False
        events = self._decided(ClearOrders(cleared, verdicts, gap_ppm, status))
        if not any(isinstance(event, TradeConcluded) for event in events):
            self.owners.abort((match,))
            return False
        self._happen(events)
        return True

    def _decided(self, command: Command) -> list[Event]:
        return decide(self.state, self.books, command)

    def _answered(self) -> list[Event]:
        """What the owners' answer leads to; in place of one the market cannot take: none, and nothing held."""
        pending = self.state.trades.pending
        assert pending is not None, "only asked with a match pending"
        assert self.owners is not None, "nothing is proposed before the owners are known"
        answer = self.owners.reserve(view(self.state, self.books), pending)
        events = self._decided(answer)
        if isinstance(events[0], CommandRefused):
            assert answer.quantity_w or answer.raised_w, "a refusal is always possible"
            events = self._decided(RecordVerdict(answer.match, 0, 0, answer.verdicts))
        return events

    def _happen(self, events: list[Event]) -> None:
        """They are kept, then they count, then those whom they concern hear of them."""
        if not events:
            return
        if self._together is None:
            self._log.append(events)
        else:
            self._together += events
        for event in events:
            self._apply(event)
        self._tell_owners(events, durable=False)

    def _repeat(self, batch: Batch) -> None:
        """A batch of the log happens again. Who comes to the door does so without regard to what has been freed."""
        if type(batch[0]) not in AT_THE_DOOR:
            self._freed = ()
        for event in batch:
            if type(event) is VerdictRecorded and self.owners is not None:
                self._hold_again(event)
            self._apply(event)
        if not OF_OWNERS.isdisjoint(map(type, batch)):
            self._clear_again(batch)
            self._tell_owners(batch, durable=True)

    def _hold_again(self, event: VerdictRecorded) -> None:
        pending = self.state.trades.pending
        assert pending is not None and self.owners is not None, "a verdict is about the pending match"  # noqa: PT018
        here = view(self.state, self.books)
        match = pending.at(event.quantity_w, event.raised_w)
        held = match_moves(here.participants, here.orders, match) if event.quantity_w else ()
        self.owners.repeat(match, held, event.verdicts)

    def _clear_again(self, batch: Batch) -> None:
        cleared = [e for e in batch if isinstance(e, TradeConcluded) and e.trade.phase is not Phase.CONTINUOUS]
        if cleared and self.owners is not None:
            held = [Move(name, e.trade.leg.span, w) for e in cleared for name, w in e.moves_w.items()]
            self.owners.hold(cleared[0].trade.match, held)

    def _apply(self, event: Event) -> None:
        kind = type(event)
        woken = self._places(event) if kind in WAKING else set()
        self.state = evolve(self.state, event)
        if kind is DayOpened:
            self.books = make_books(self.state.needs.rulebook.priority)
        if kind not in NOTHING_TO_FOLLOW:
            self.books.evolve(view(self.state, self.books), event)
        if kind is GateOpened:
            load_kernels()
            self.owners = self.owners if self._make_owners is None else self._make_owners(self.state)
        if kind is StageReached and self.state.stages.stage is Stage.CONFIRMED:
            self.books, self.owners = make_books(self.state.needs.rulebook.priority), None
        if woken:
            self._asleep(tuple(woken))
        for listener in self._listeners:
            listener(event)

    def _places(self, event: Event) -> set[Freed]:
        """Where what an event wakes has slept."""
        if not isinstance(event, MeetingsWoken | LineMoved) or getattr(event, "later", False):
            return set()
        blocks = self.state.matching.blocks
        known = (blocks.get(name) for name in event.meetings)
        return {Freed(block.owner, block.element, block.mtu) for block in known if block is not None}

    def _asleep(self, places: tuple[Freed, ...]) -> tuple[Freed, ...]:
        """Those at which something sleeps; the others need not be watched."""
        if not places:
            return ()
        asleep = tuple(at for at in places if self.books.asleep_at(at.owner, at.element, at.mtu))
        if self.owners is not None:
            for place in set(places).difference(asleep):
                self.owners.unwatch(place)
        return asleep

    def _tell_owners(self, events: Sequence[Event], *, durable: bool) -> None:
        """Owners commit what became trades, once the log outlives the program, and abort what was released."""
        if self.owners is None:
            return
        concluded: dict[int, None] = {}
        for event in events:
            if isinstance(event, TradeConcluded):
                concluded[event.trade.match] = None
            elif isinstance(event, ReservationsReleased):
                self.owners.abort(event.matches)
            elif isinstance(event, VerdictRecorded) and event.quantity_w == 0:
                self.owners.abort((event.match,))
        if concluded and not durable and self.owners.elsewhere:
            self._log.sync()
        freed = [place for match in concluded for place in self.owners.commit(match)]
        if freed and self.state.orders.gate is Gate.OPEN:
            self._freed = (*self._freed, *self._asleep(tuple(freed)))


def _is_pending(events: Sequence[Event]) -> bool:
    return bool(events) and isinstance(events[0], CommandRefused) and events[0].reason is Reason.MATCH_PENDING
