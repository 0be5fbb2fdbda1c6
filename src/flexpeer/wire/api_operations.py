"""Shapes of tokens, the clock, events, webhooks, heads and health."""

from typing import Annotated, Any

from msgspec import Meta

from flexpeer.wire.api import Asking, Instant, Link, MarketStatus, Name, Telling
from flexpeer.wire.heads import SignedHead


class TokenDocument(Telling, frozen=True, rename=None):
    """OAuth 2.0 client credentials: a bearer token and its life in seconds."""

    access_token: str
    token_type: str
    expires_in: int


Speed = Annotated[float, Meta(ge=0.0, le=1e6)]


class ClockMove(Asking, frozen=True):
    """Where to move the virtual clock, and how many times as fast as real time it then runs (0: it stands)."""

    to: Instant | None = None
    speed: Speed | None = None


class StageDone(Telling, frozen=True):
    """A stage that was reached."""

    market_id: str
    stage: MarketStatus


class ClockDocument(Telling, frozen=True):
    """The market's time, how many times as fast as real time it runs, and what happened on the way there."""

    now: str
    virtual: bool
    speed: float
    reached: tuple[StageDone, ...] = ()


class EventDocument(Telling, frozen=True):
    """Something that happened, as its reader may see it; `type` is the event of the reference."""

    id: str
    market_id: str
    n: int
    type: str
    content: dict[str, Any]


WebhookUrl = Annotated[str, Meta(pattern=r"^https?://[^\s]+$", max_length=2000)]


class WebhookRequest(Asking, frozen=True):
    """Where to send what happens; without `types` all of it."""

    url: WebhookUrl
    types: tuple[Name, ...] = ()


class WebhookDocument(Telling, frozen=True):
    """A subscription. `secret` is shown once; `delivered` is how far it has come."""

    id: str
    url: str
    types: tuple[str, ...]
    delivered: dict[str, int]
    dead_letters: int
    secret: str | None = None


class WebhookList(Telling, frozen=True):
    """One's own subscriptions."""

    number_of_hits: int
    items: tuple[WebhookDocument, ...]
    links: tuple[Link, ...]


class DeadLetter(Telling, frozen=True):
    """What could not be delivered, after how many tries, and what was answered last."""

    webhook_id: str
    event: str
    tries: int
    problem: str


class DeadLetterList(Telling, frozen=True):
    """Dead letters in the order they died."""

    number_of_hits: int
    items: tuple[DeadLetter, ...]
    links: tuple[Link, ...]


class EvidenceQuery(Asking, frozen=True):
    """The market whose evidence is wanted."""

    market_id: Name


class HeadList(Telling, frozen=True):
    """Heads by stage."""

    number_of_hits: int
    items: tuple[SignedHead, ...]
    links: tuple[Link, ...]


class Health(Telling, frozen=True):
    """Whether the service runs; `problems` say why it is not ready."""

    status: str
    problems: tuple[str, ...] = ()
