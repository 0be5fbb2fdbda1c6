"""Events as they happen: server-sent events that resume where a reader left, each with the id `day/n`."""

import asyncio
from collections.abc import AsyncIterator, Callable

from flexpeer.api.edge import Answer, Asked, Route, encode, malformed
from flexpeer.api.limits import RateLimits
from flexpeer.api.permissions import Action, Caller
from flexpeer.api.published import Published
from flexpeer.api.visibility import seen
from flexpeer.wire.api_operations import EventDocument
from flexpeer.wire.api_queries import EventQuery

MEDIA = "text/event-stream"
HEARTBEAT_S = 15.0
AT_ONCE = 256


def event_document(caller: Caller, market_id: str, published: Published, n: int) -> EventDocument | None:
    """The `n`th event (from 1) of a market for a caller; None if it may not see it."""
    event = published.events[n - 1]
    content = seen(caller, market_id, published.state, event)
    if content is None:
        return None
    return EventDocument(f"{market_id}/{n}", market_id, n, type(event).__name__, content)


class Feed:
    """The route that streams, with a limit on open streams."""

    def __init__(self, limits: RateLimits) -> None:
        self._limits = limits

    async def follow(self, asked: Asked) -> Answer:
        """Everything after the `n`th event, and then what happens."""
        market_id, after = _place(asked)
        types = frozenset(asked.query.types.split(",")) if asked.query.types else None
        published = asked.day(market_id).published

        def news() -> tuple[bytes, bool]:
            nonlocal after
            until = min(len(published.events), after + AT_ONCE)
            lines = [_lines(asked.caller, market_id, published, n, types) for n in range(after + 1, until + 1)]
            after = max(after, until)
            return b"".join(lines), after >= len(published.events)

        return streaming(asked, self._limits, news)

    @property
    def routes(self) -> tuple[Route, ...]:
        """Its one route."""
        return (
            Route(
                "GET", "/api/events", Action.READ_EVENTS, self.follow, "Events as they happen",
                {200: EventDocument}, query=EventQuery, media=MEDIA, headers=("Last-Event-ID",),
            ),
        )  # fmt: skip


def _place(asked: Asked) -> tuple[str, int]:
    """Market and number to go on after: of the last event heard, else of the query."""
    last = asked.request.headers.get("last-event-id")
    if last:
        market_id, _, number = last.rpartition("/")
        if not number.isdecimal() or len(number) > 12:
            raise malformed("Last-Event-ID is no event's id, which is `day/n`")
        return asked.day(market_id).market_id, int(number)
    return asked.chosen_day().market_id, asked.query.after


def _lines(caller: Caller, market_id: str, published: Published, n: int, types: frozenset[str] | None) -> bytes:
    if types is not None and type(published.events[n - 1]).__name__ not in types:
        return b""
    document = event_document(caller, market_id, published, n)
    if document is None:
        return b""
    return f"id: {document.id}\nevent: {document.type}\ndata: ".encode() + encode(document) + b"\n\n"


def streaming(
    asked: Asked, limits: RateLimits, news: Callable[[], tuple[bytes, bool]], gather_s: float = 0.0
) -> Answer:
    """A stream of what `news` has whenever something was published: lines, and whether that is all for now.

    After each there is a pause of `gather_s` seconds: what happens meanwhile is told at once.
    """
    limits.require_room(asked.caller.client)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Answer(200, _stream(asked, limits, news, gather_s), headers, MEDIA)


async def _stream(
    asked: Asked, limits: RateLimits, news: Callable[[], tuple[bytes, bool]], gather_s: float
) -> AsyncIterator[bytes]:
    service = asked.service
    heard = service.listen()
    try:
        with limits.stream(asked.caller.client):
            yield b"retry: 1000\n\n"
            while service.alive:
                heard.clear()
                lines, is_all = news()
                if lines:
                    yield lines
                    await asyncio.sleep(gather_s)
                if is_all and not await _heard_within(heard):
                    yield b": still here\n\n"
    finally:
        service.leave(heard)


async def _heard_within(heard: asyncio.Event) -> bool:
    """Whether anything was published before it is time for a sign of life."""
    try:
        await asyncio.wait_for(heard.wait(), HEARTBEAT_S)
    except TimeoutError:
        return False
    return True
