"""The one writer: a thread that takes what is asked in order, lets it happen, syncs once, and then acknowledges.

Between batches it takes steps for whoever waits (sweeps, owners' verdicts) and does what is due by the clock, so the
door stays open. Nothing is shown before it is durable. Whatever goes wrong in here ends the service: those who wait
get `Stopped`, and what was acknowledged is on disk.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from threading import Condition, Thread
from time import monotonic
from typing import Any, NamedTuple, Protocol, TypeVar

import structlog

from flexpeer.api.clocks import Clock
from flexpeer.api.declining import Declined, refused_command
from flexpeer.api.open_book import OpenBook
from flexpeer.api.published import Published
from flexpeer.api.served_units import ServedUnit, ServedUnits
from flexpeer.app.contribution import Contribution
from flexpeer.app.day import Day
from flexpeer.app.registry import Registry
from flexpeer.app.scenario import OrderRow
from flexpeer.market import participants
from flexpeer.market.machine import Event
from flexpeer.market.reasons import CommandRefused
from flexpeer.market.timeline import Stage

LOG = structlog.get_logger("flexpeer.writer")
T = TypeVar("T")
SLICE_S = 0.01
BUSY_SLICE_S, RESTS = 0.001, 8.0
"""While many requests come, which share one interpreter with sweeps: a slice of steps, then a rest of so many times as
long as it took."""
WINDOW_S, MANY = 0.05, 8
"""So many requests in such a time are many."""
LONGEST_BATCH = 512
LATE_S = 60.0
Said = Mapping[str, Contribution]
Opening = Callable[[Callable[[Event], None], Said], Day]
Keep = Callable[[str, Contribution], None]
Coming = Sequence[tuple[int, OrderRow]]


class Stopped(Exception):
    """The service does not take or finish this any more."""


def _kept_nowhere(_dso: str, _contribution: Contribution) -> None:
    """For a day whose DSOs say nothing."""


class Syncs:
    """How long it took until what happened was durable: real seconds, of the last time and the longest."""

    def __init__(self) -> None:
        self.count, self.last_s, self.longest_s, self._at = 0, 0.0, 0.0, 0.0

    def note(self, began: float) -> None:
        """One that began at a monotonic second has ended."""
        self._at = monotonic()
        self.count, self.last_s = self.count + 1, self._at - began
        self.longest_s = max(self.longest_s, self.last_s)

    @property
    def ago_s(self) -> float | None:
        """Since the last one; None where there was none."""
        return monotonic() - self._at if self.count else None


class ServedDay:
    """A day, and what is published of it.

    `opening` makes the day with a listener for its events and with what DSOs have `said`; `keep` makes last what one
    says now. Orders that are `coming` are placed at their instants, ascending; those that the log knows have come.
    """

    def __init__(
        self, opening: Opening, said: Said | None = None, keep: Keep = _kept_nowhere, coming: Coming = ()
    ) -> None:
        self._fresh: list[Event] = []
        self._opening, self._keep = opening, keep
        self.said: Said = dict(said or {})
        self.day = opening(self._fresh.append, self.said)
        self._tell_day()
        self.market_id = self.day.scenario.day.delivery_day.isoformat()
        self.published = Published()
        self.book = OpenBook(self.market_id, self.published)
        known = {line.order for line in self.day.orders.rows()} if coming else set()
        self._units = ServedUnits(self.published.state.participants, self.day)
        self._coming = deque(each for each in coming if each[1].order not in known)

    @property
    def is_fixed(self) -> bool:
        """Whether the need is found, so that what DSOs say comes too late."""
        return self.day.market.state.stages.stage.place >= Stage.OPEN.place

    def unit(self, name: str) -> ServedUnit | None:
        """What may be offered under this name; found once for as long as nobody new takes part."""
        people, units = self.published.state.participants, self._units
        if units.people is not people or units.day is not self.day:
            units = self._units = ServedUnits(people, self.day)
        return units.of(name)

    def revise(self, dso: str, contribution: Contribution) -> None:
        """The day with what a DSO says now, called by the writer; `BadInput`, and nothing changed, where that is bad.

        The new day repeats the log, of which everybody has heard.
        """
        self.commit(idle=True)
        said = {**self.said, dso: contribution}
        listening = False

        def hear(event: Event) -> None:
            if listening:
                self._fresh.append(event)

        day = self._opening(hear, said)
        self._keep(dso, contribution)
        self.day, self.said, listening = day, said, True
        self._tell_day()

    def say(self, dso: str, contribution: Contribution) -> None:
        """What a DSO says that changes nothing of the day before its gate closes; called by the writer."""
        self._keep(dso, contribution)
        self.said = {**self.said, dso: contribution}
        self._tell_day()

    def _tell_day(self) -> None:
        self.day.ceilings_minor = {
            point: minor for each in self.said.values() for point, minor in each.ceilings_minor.items()
        }

    def commit(self, *, idle: bool) -> bool:
        """Sync what happened and publish it; whether anything did. `idle`: nobody waits for a step."""
        market, published = self.day.market, self.published
        line = market.line if idle else max(1, market.line)
        if not self._fresh:
            changed, published.line = published.line != line, line
            return changed
        market.sync()
        fresh, self._fresh[:] = list(self._fresh), []
        published.publish(market.state, line, fresh)
        return True

    def next_due(self) -> int | None:
        """The instant of the next stage or of the next order that comes; None when all have come."""
        stage = self.next_stage()
        if not self._coming:
            return stage
        return self._coming[0][0] if stage is None else min(stage, self._coming[0][0])

    def due(self, at: int) -> Sequence[Stage]:
        """Do what `next_due` told of: an order whose turn it is, or the stages until then."""
        if not self._coming or self._coming[0][0] > at:
            return self.day.due(at)
        _, row = self._coming.popleft()
        self.day.market.work_through()
        self.day.market.submit(self.day.command(row, at))
        return ()

    def next_stage(self) -> int | None:
        """The instant of the next stage; None when all are done."""
        done = self.day.market.state.stages.stage.place
        return next((at for stage, at in self.day.timeline if stage.place > done), None)


class Calendar(Protocol):
    """Which days come."""

    def next_due(self) -> int:
        """When the next one is announced."""

    def make(self) -> ServedDay:
        """That day, called by the writer."""


class _Asked(NamedTuple):
    """`loop` is where somebody awaits the answer; None if a thread waits for it."""

    work: Callable[[], Any]
    answer: "Future[Any] | asyncio.Future[Any]"
    loop: asyncio.AbstractEventLoop | None = None


class _Traffic:
    """Whether many requests come: counted in this window of time and in the one before."""

    def __init__(self) -> None:
        self._since, self._counted, self._before = 0.0, 0, 0

    def note(self, count: int, at: float) -> None:
        """So many came at a monotonic second."""
        if at - self._since > WINDOW_S:
            self._before = self._counted if at - self._since < 2 * WINDOW_S else 0
            self._since, self._counted = at, 0
        self._counted += count

    def is_dense(self, at: float) -> bool:
        """Whether so many came of late."""
        return at - self._since < 2 * WINDOW_S and max(self._counted, self._before) >= MANY


class Service:
    """Days and the registry on one writer. `on_end` is called from the writer's thread when it failed.

    `on_open` is called there with every day whose gate has just opened, and at the start with those that are open.
    """

    def __init__(
        self,
        days: Mapping[str, ServedDay],
        registry: Registry,
        clock: Clock,
        on_end: Callable[[], None],
        on_open: Callable[[ServedDay, int], None],
        calendar: Calendar | None = None,
    ) -> None:
        self.days, self.registry, self.clock = dict(days), registry, clock
        self._on_end, self._on_open, self._calendar = on_end, on_open, calendar
        self._waiting = set(self.days)
        self.failure: BaseException | None = None
        self._asked: deque[_Asked] = deque()
        self._wake = Condition()
        self._traffic, self._rested_at = _Traffic(), 0.0
        self._stopping = self._leaving = False
        self.syncs = Syncs()
        self._hearers: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self._thread = Thread(target=self._run, name="writer")

    def start(self) -> None:
        """Begin; what is late happens first."""
        self._thread.start()

    def stop(self) -> None:
        """Finish what was asked before, and end."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join()

    def say_goodbye(self) -> None:
        """Whoever listens is told that this ends; what was asked is still done."""
        self._leaving = True
        self._tell_hearers()

    @property
    def alive(self) -> bool:
        """Whether the writer takes anything, and goes on to."""
        ending = self._stopping or self._leaving or self.failure is not None
        return self._thread.is_alive() and not ending

    @property
    def queue(self) -> int:
        """How many requests wait for the writer."""
        return len(self._asked)

    def lateness_s(self) -> float:
        """Real seconds that the next stage of any day is late by, beyond what a stage may take; 0 if none is."""
        now = self.clock.now()
        late = [now - due for day in self.days.values() if (due := day.next_stage()) is not None and due <= now]
        speed = self.clock.speed
        return max(0.0, max(late, default=0) * 60.0 / speed - LATE_S) if speed else 0.0

    def ask(self, work: Callable[[], T]) -> "Future[T]":
        """Have the writer do something; the answer comes when what it led to is durable."""
        answer: Future[T] = Future()
        self._line_up(_Asked(work, answer))
        self._notify()
        return answer

    async def done(self, work: Callable[[], T]) -> T:
        """The same, to be awaited."""
        return await self.promised(work)

    def promised(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        """The same, as a future of the running loop. What is asked in one turn of the loop is one batch."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        self._line_up(_Asked(work, answer, loop))
        loop.call_soon(self._notify)
        return answer

    def _line_up(self, asked: _Asked) -> None:
        with self._wake:
            if self._stopping or self.failure is not None:
                raise Stopped("the service is ending")
            self._asked.append(asked)

    def _notify(self) -> None:
        with self._wake:
            self._wake.notify()

    def move_clock(self, to: int) -> list[tuple[str, Stage]]:
        """Move the virtual clock, and do what is due until then; called by the writer."""
        self.clock.move(to)
        return self._due()

    def register(self, commands: Sequence[participants.Command]) -> None:
        """The registry changes, and every day that is announced and not settled; called by the writer.

        Declined at the first that the registry refuses.
        """
        under_way = (Stage.ANNOUNCED.place, Stage.SETTLED.place)
        for command in commands:
            entries = self.registry.submit(command)
            if entries and isinstance(entries[0], CommandRefused):
                raise refused_command(entries[0])
            for served in self.days.values():
                market = served.day.market
                if under_way[0] <= market.state.stages.stage.place < under_way[1]:
                    market.submit(command)

    def listen(self) -> asyncio.Event:
        """An event of the running loop that is set whenever something is published; give it back to `leave`."""
        heard = asyncio.Event()
        self._hearers.add((asyncio.get_running_loop(), heard))
        return heard

    def leave(self, heard: asyncio.Event) -> None:
        """Nobody waits for this any more."""
        self._hearers = {each for each in self._hearers if each[1] is not heard}

    def _run(self) -> None:
        try:
            self._due()
            self._commit()
            for served in self.days.values():
                self._on_open(served, self.clock.now())
            while True:
                batch = self._taken()
                if batch is None:
                    break
                self._do(batch)
                self._due()
                self._sweep()
            self._commit()
        except BaseException as failure:
            self.failure = failure
            LOG.exception("the writer ends")
            self._on_end()
        self._refuse_all()

    def _taken(self) -> list[_Asked] | None:
        """What has been asked, at once if there is other work; None when the service ends."""
        with self._wake:
            if not self._asked and not self._stopping:
                if not self._waiting:
                    self._wake.wait(self._patience_s())
                elif (rest := self._rested_at - monotonic()) > 0:
                    self._wake.wait(rest)
            if self._stopping and not self._asked:
                return None
            batch = [self._asked.popleft() for _ in range(min(len(self._asked), LONGEST_BATCH))]
            if batch:
                self._traffic.note(len(batch), monotonic())
            return batch

    def _patience_s(self) -> float | None:
        """Until the next stage by the clock; None to wait for a request."""
        dues = [due for day in self.days.values() if (due := day.next_due()) is not None]
        dues += [] if self._calendar is None else [self._calendar.next_due()]
        waits = [wait for due in dues if (wait := self.clock.seconds_until(due)) is not None]
        return min(waits, default=None)

    def _do(self, batch: list[_Asked]) -> None:
        """Everything of a batch happens; then it is synced once, and acknowledged."""
        done: list[tuple[_Asked, Any]] = []
        batch = [asked for asked in batch if not asked.answer.cancelled()]
        try:
            for asked in batch:
                try:
                    done.append((asked, asked.work()))
                except Declined as declined:
                    done.append((asked, declined))
            self._waiting = set(self.days) if batch else self._waiting
            self._commit()
        except BaseException:
            _acknowledge([(asked, Stopped("the service failed before this was durable")) for asked in batch])
            raise
        _acknowledge(done)

    def _due(self) -> list[tuple[str, Stage]]:
        """What is due by the clock, in order of days."""
        now = self.clock.now()
        reached: list[tuple[str, Stage]] = []
        while self._calendar is not None and self._calendar.next_due() <= now:
            served = self._calendar.make()
            self.days = {**self.days, served.market_id: served}
        for name, served in sorted(self.days.items()):
            while (due := served.next_due()) is not None and due <= now:
                stages = served.due(due)
                reached += [(name, stage) for stage in stages]
                if Stage.OPEN in stages:
                    self._on_open(served, due)
                self._waiting.add(name)
                self._commit()
        return reached

    def _sweep(self) -> None:
        """Steps for those who wait, for a slice of time or until somebody asks, whose commit then is theirs too."""
        began = monotonic()
        if began < self._rested_at:
            return
        busy = bool(self._asked) or self._traffic.is_dense(began)
        until = began + (BUSY_SLICE_S if busy else SLICE_S)
        while self._waiting:
            self._waiting = {name for name in self._waiting if self.days[name].day.market.work()}
            if self._asked or monotonic() >= until:
                break
        ended = monotonic()
        self._rested_at = ended + (RESTS * (ended - began) if busy else 0.0)
        if not self._asked:
            self._commit()

    def _commit(self) -> None:
        began, events = monotonic(), self._durable()
        changed = [self.registry.commit()]
        changed += [served.commit(idle=name not in self._waiting) for name, served in self.days.items()]
        if self._durable() > events:
            self.syncs.note(began)
        if any(changed):
            self._tell_hearers()

    def _durable(self) -> int:
        return sum(len(served.published.events) for served in self.days.values())

    def _tell_hearers(self) -> None:
        for loop, heard in list(self._hearers):
            if not loop.is_closed():
                loop.call_soon_threadsafe(heard.set)

    def _refuse_all(self) -> None:
        with self._wake:
            self._stopping = True
            left, self._asked = list(self._asked), deque()
        _acknowledge([(asked, Stopped("the service is ending")) for asked in left])


def _acknowledge(answers: Sequence[tuple[_Asked, Any]]) -> None:
    """Tell them all; each loop is woken once for all of its own."""
    loops: dict[asyncio.AbstractEventLoop | None, list[tuple[Any, Any]]] = {}
    for asked, value in answers:
        loops.setdefault(asked.loop, []).append((asked.answer, value))
    for loop, told in loops.items():
        if loop is None:
            _tell(told)
        elif not loop.is_closed():
            loop.call_soon_threadsafe(_tell, told)


def _tell(answers: Sequence[tuple[Any, Any]]) -> None:
    for answer, value in answers:
        if answer.done():
            continue
        if isinstance(value, Exception):
            answer.set_exception(value)
        else:
            answer.set_result(value)
