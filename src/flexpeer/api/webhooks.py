"""Events sent to whoever subscribed: signed as Standard Webhooks say, retried, and kept as dead letters when in vain.

A subscription gets, in order, what its organisation may see of every market from then on, at least once each.
"""

import asyncio
import base64
import hmac
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress

import httpx
import msgspec
import structlog
from msgspec.structs import replace

from flexpeer.api.declining import denied
from flexpeer.api.edge import JSON, Answer, Asked, Route, encode
from flexpeer.api.feed import event_document
from flexpeer.api.listing import listed
from flexpeer.api.permissions import Action, Caller, Owned
from flexpeer.api.service import Service
from flexpeer.wire.api_health import WebhookHealth
from flexpeer.wire.api_operations import (
    DeadLetter,
    DeadLetterList,
    EventDocument,
    WebhookDocument,
    WebhookList,
    WebhookRequest,
)
from flexpeer.wire.api_problems import Denial
from flexpeer.wire.api_queries import ListQuery

LOG = structlog.get_logger("flexpeer.webhooks")
WAITS_S = (1.0, 5.0, 30.0, 120.0, 600.0)
TIMEOUT_S = 10.0
MOST_PER_ORGANISATION = 20
PREFIX = "whsec_"


class Subscription(msgspec.Struct, frozen=True):
    """Who wants what sent where; `delivered` is the last event done with, by market."""

    webhook: str
    caller: Caller
    url: str
    types: tuple[str, ...]
    secret: str
    delivered: dict[str, int]


class Kept(msgspec.Struct, frozen=True):
    """What outlives the program."""

    subscriptions: tuple[Subscription, ...] = ()
    dead: tuple[DeadLetter, ...] = ()


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """`v1,` and the HMAC-SHA256 over id, time and body."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    text = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, text, "sha256")).decode()


class Webhooks:
    """Subscriptions, each with a task that delivers. `keep` is told all of it whenever it changed."""

    def __init__(self, kept: Kept, keep: Callable[[Kept], None], waits_s: tuple[float, ...] = WAITS_S) -> None:
        self._known = {each.webhook: each for each in kept.subscriptions}
        self._dead = list(kept.dead)
        self._keep, self._waits_s = keep, waits_s
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._service: Service | None = None

    @asynccontextmanager
    async def running(self, service: Service) -> AsyncIterator[None]:
        """Deliver meanwhile."""
        self._service = service
        for name in self._known:
            self._begin(name)
        try:
            yield
        finally:
            self._service, tasks = None, list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._tasks.clear()

    async def subscribe(self, asked: Asked) -> Answer:
        """A new subscription; its secret is shown here and never again."""
        wanted = asked.of(WebhookRequest)
        own = [each for each in self._known.values() if each.caller.organisation == asked.caller.organisation]
        if len(own) >= MOST_PER_ORGANISATION:
            raise denied(Denial.TOO_MANY_STREAMS, "{most} webhooks at most", most=MOST_PER_ORGANISATION)
        secret = PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
        since = {name: len(served.published.events) for name, served in asked.service.days.items()}
        name = f"webhook-{secrets.token_hex(8)}"
        self._known[name] = Subscription(name, asked.caller, wanted.url, wanted.types, secret, since)
        self._save()
        self._begin(name)
        return Answer(201, replace(self._document(self._known[name]), secret=secret))

    async def read_all(self, asked: Asked) -> Answer:
        """One's own subscriptions."""
        own = [self._document(each) for each in self._known.values() if asked.sees(Owned(each.caller.organisation))]
        return listed(asked, own, WebhookList)

    async def remove(self, asked: Asked) -> Answer:
        """No more deliveries."""
        known = self._known.get(asked.id)
        if known is None:
            raise denied(Denial.NOT_FOUND)
        asked.require(Owned(known.caller.organisation))
        del self._known[asked.id]
        if asked.id in self._tasks:
            self._tasks.pop(asked.id).cancel()
        self._save()
        return Answer(204)

    async def dead_letters(self, asked: Asked) -> Answer:
        """What could not be delivered to one's own subscriptions."""
        own = {each.webhook for each in self._known.values() if asked.sees(Owned(each.caller.organisation))}
        return listed(asked, [letter for letter in self._dead if letter.webhook_id in own], DeadLetterList)

    def health(self) -> Iterator[WebhookHealth]:
        """Every organisation's, by name."""
        days = {} if self._service is None else self._service.days
        for organisation in sorted({each.caller.organisation for each in self._known.values()}):
            own = [each for each in self._known.values() if each.caller.organisation == organisation]
            behind = [
                len(served.published.events) - each.delivered.get(market_id, 0)
                for each in own
                for market_id, served in days.items()
            ]
            names = {each.webhook for each in own}
            dead = sum(letter.webhook_id in names for letter in self._dead)
            yield WebhookHealth(organisation, len(own), max(behind, default=0), dead)

    def _document(self, known: Subscription) -> WebhookDocument:
        dead = sum(letter.webhook_id == known.webhook for letter in self._dead)
        return WebhookDocument(known.webhook, known.url, known.types, known.delivered, dead)

    def _save(self) -> None:
        self._keep(Kept(tuple(self._known.values()), tuple(self._dead)))

    def _begin(self, name: str) -> None:
        if self._service is not None:
            self._tasks[name] = asyncio.create_task(self._deliver(name, self._service))

    async def _deliver(self, name: str, service: Service) -> None:
        """Everything from where it stopped, and then what happens."""
        heard = service.listen()
        try:
            async with httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False) as client:
                while True:
                    heard.clear()
                    for market_id in service.days:
                        await self._deliver_market(client, name, service, market_id)
                    await heard.wait()
        finally:
            service.leave(heard)

    async def _deliver_market(self, client: httpx.AsyncClient, name: str, service: Service, market_id: str) -> None:
        published = service.days[market_id].published
        start = self._known[name].delivered.get(market_id, 0)
        for n in range(start + 1, len(published.events) + 1):
            known = self._known[name]
            document = event_document(known.caller, market_id, published, n)
            if document is not None and (not known.types or document.type in known.types):
                await self._send(client, known, document)
            self._known[name] = replace(known, delivered={**known.delivered, market_id: n})
        if len(published.events) > start:
            self._save()

    async def _send(self, client: httpx.AsyncClient, known: Subscription, document: EventDocument) -> None:
        """Try until it is taken; after the last try it is a dead letter."""
        problem = ""
        for tries, wait in enumerate((*self._waits_s, None), 1):
            problem = await _posted(client, known, document)
            if not problem:
                return
            if wait is None:
                LOG.warning("dead letter", webhook=known.webhook, event_id=document.id, problem=problem)
                self._dead.append(DeadLetter(known.webhook, document.id, tries, problem))
                return
            await asyncio.sleep(wait)

    @property
    def routes(self) -> tuple[Route, ...]:
        """Subscriptions and dead letters."""
        return (
            Route(
                "GET", "/api/Webhooks", Action.READ_WEBHOOKS, self.read_all, "One's own webhooks",
                {200: WebhookList}, query=ListQuery,
            ),
            Route(
                "POST", "/api/Webhooks", Action.WRITE_WEBHOOKS, self.subscribe, "Have events sent",
                {201: WebhookDocument}, bodies={JSON: WebhookRequest},
            ),
            Route(
                "DELETE", "/api/Webhooks/{id}", Action.WRITE_WEBHOOKS, self.remove, "End a webhook", {204: None}
            ),
            Route(
                "GET", "/api/DeadLetters", Action.READ_WEBHOOKS, self.dead_letters, "What could not be delivered",
                {200: DeadLetterList}, query=ListQuery,
            ),
        )  # fmt: skip


async def _posted(client: httpx.AsyncClient, known: Subscription, document: EventDocument) -> str:
    """One try; what went wrong, or nothing."""
    body, now = encode(document), int(time.time())
    headers = {
        "Content-Type": JSON,
        "webhook-id": document.id,
        "webhook-timestamp": str(now),
        "webhook-signature": signature(known.secret, document.id, now, body),
    }
    with suppress(httpx.InvalidURL):
        try:
            answer = await client.post(known.url, content=body, headers=headers)
        except httpx.HTTPError as error:
            return f"{type(error).__name__}: {error}"[:200]
        return "" if answer.is_success else f"answered {answer.status_code}"
    return "the URL is none"
