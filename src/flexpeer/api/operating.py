"""What a market operator works with: the clock, the log, signed heads, a day's result."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import msgspec

from flexpeer.api.declining import denied
from flexpeer.api.edge import JSON, Answer, Asked, Route, malformed
from flexpeer.api.listing import listed
from flexpeer.api.log_lines import lines, sealed_head
from flexpeer.api.permissions import Action
from flexpeer.api.service import ServedDay
from flexpeer.api.units import instant, utc
from flexpeer.app.registry import BESIDE_DAYS
from flexpeer.app.views.results import result_object
from flexpeer.market.timeline import Stage
from flexpeer.wire.api import MarketStatus
from flexpeer.wire.api_operations import ClockDocument, ClockMove, HeadList, StageDone
from flexpeer.wire.api_problems import Denial
from flexpeer.wire.api_queries import ListQuery, LogQuery
from flexpeer.wire.heads import SignedHead

LOG_MEDIA = "application/x-ndjson"
Heads = Callable[[str], Sequence[SignedHead]]
Chains = Callable[[str, int, bool], Iterator[bytes]]
"""Lines of a log by its name, after a record, with or without its seal, some hundreds at once."""


async def in_turns(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Each found in a thread of its own, so that others are served meanwhile."""
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece


async def clock(asked: Asked) -> Answer:
    """What time it is in the market."""
    here = asked.service.clock
    return Answer(200, ClockDocument(utc(here.now()), here.virtual, here.speed))


async def move_clock(asked: Asked) -> Answer:
    """Go forward, or at another speed; the answer comes when all that is due has happened."""
    service, wanted = asked.service, asked.of(ClockMove)
    if wanted.to is None and wanted.speed is None:
        raise malformed("Object missing required field `to` or `speed`")
    to = None if wanted.to is None else instant(wanted.to, "$.to")
    if not service.clock.virtual:
        raise denied(Denial.CLOCK_IS_REAL)

    def act() -> list[tuple[str, Stage]]:
        if to is not None and to < service.clock.now():
            raise denied(Denial.CLOCK_GOES_FORWARD, "it is {now}", now=utc(service.clock.now()))
        if wanted.speed is not None:
            service.clock.run_at(wanted.speed)
        return [] if to is None else service.move_clock(to)

    reached = await service.done(act)
    done = tuple(StageDone(market_id, MarketStatus(stage)) for market_id, stage in reached)
    return Answer(200, ClockDocument(utc(service.clock.now()), True, service.clock.speed, done))


class Operating:
    """Routes that need what is kept beside the events of days: signed heads, and the lines of other logs, by name."""

    def __init__(self, heads: Heads, chains: Chains) -> None:
        self._heads, self._chains = heads, chains
        self._results: dict[str, tuple[int, bytes]] = {}

    async def read_heads(self, asked: Asked) -> Answer:
        """The log's head at every stage reached."""
        named = asked.query.market_id
        days = [named] if named in BESIDE_DAYS else [market_id for market_id, _ in asked.days(named)]
        days += [] if named else BESIDE_DAYS
        return listed(asked, [head for day in days for head in self._heads(day)], HeadList)

    async def log(self, asked: Asked) -> Answer:
        """The log as lines, each with the hash of the one before."""
        query, name = asked.query, asked.query.market_id
        if name in BESIDE_DAYS:
            return Answer(200, in_turns(self._chains(name, query.after, query.sealed)), media=LOG_MEDIA)
        published = asked.day(name).published
        pieces = lines(published, len(published.events), query.after, sealed=query.sealed)
        return Answer(200, in_turns(pieces), media=LOG_MEDIA)

    async def result(self, asked: Asked) -> Answer:
        """What a settled day came to: `result.json` of `flexpeer run`."""
        served = asked.day(asked.id)
        state = served.published.state
        if state.stages.stage is not Stage.SETTLED:
            raise denied(Denial.NOT_YET, "the day is not settled yet")
        known = self._results.get(asked.id)
        if known is None or known[0] != state.events:
            content = await asked.service.done(lambda: encode_result(served))
            known = self._results[asked.id] = (state.events, content)
        return Answer(200, known[1])

    @property
    def routes(self) -> tuple[Route, ...]:
        """The clock, the log, heads and results."""
        return (
            Route("GET", "/api/clock", Action.READ_CLOCK, clock, "The market's time", {200: ClockDocument}),
            Route(
                "POST", "/api/clock", Action.MOVE_CLOCK, move_clock, "Move the virtual clock",
                {200: ClockDocument}, bodies={JSON: ClockMove},
            ),
            Route(
                "GET", "/api/Log", Action.READ_LOG, self.log, "The hash-chained log as lines", {200: None},
                query=LogQuery, media=LOG_MEDIA,
            ),
            Route(
                "GET", "/api/Heads", Action.READ_HEADS, self.read_heads, "Signed heads of the log at every stage",
                {200: HeadList}, query=ListQuery,
            ),
            Route(
                "GET", "/api/Markets/{id}/result", Action.READ_RESULT, self.result,
                "What a settled day came to, as result.json", {200: dict[str, Any]},
            ),
        )  # fmt: skip


def encode_result(served: ServedDay) -> bytes:
    """The result of a settled day; found by the writer, whose grid it asks."""
    outcome = served.day.outcome()
    result = result_object(outcome, sealed_head(served.published, outcome.state_hash))
    result["orders"] = served.day.journal.arrivals
    return msgspec.json.encode(result)
