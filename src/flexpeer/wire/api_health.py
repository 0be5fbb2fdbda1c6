"""Shapes of how the service is: for the market operator, who sees no grid and no message's content in them."""

from flexpeer.wire.api import MarketStatus, Telling


class StoreHealth(Telling, frozen=True):
    """The store, and how long it takes until what happened is durable (seconds of real time, since the start)."""

    kind: str
    syncs: int
    last_seconds: float
    longest_seconds: float
    since_seconds: float | None = None


class LateStage(Telling, frozen=True):
    """A stage whose time has passed without it."""

    market_id: str
    stage: MarketStatus
    due: str


class OwnerHealth(Telling, frozen=True):
    """A grid owner of a day: how many matches it was asked about, refused or left without an answer.

    `lastMatch` is the last it was asked about; `silent`: it did not answer that one.
    """

    market_id: str
    dso: str
    has_grid: bool
    answers: int
    refused: int
    unanswered: int
    silent: bool
    last_match: int | None = None


class WebhookHealth(Telling, frozen=True):
    """An organisation's webhooks: how many, the most events that one of them is behind, and dead letters."""

    owner_organization_id: str
    webhooks: int
    behind: int
    dead_letters: int


class HealthDocument(Telling, frozen=True):
    """The service as it is: `streams` are open, `queue` counts requests that wait for the writer."""

    problems: tuple[str, ...]
    store: StoreHealth
    late: tuple[LateStage, ...]
    owners: tuple[OwnerHealth, ...]
    webhooks: tuple[WebhookHealth, ...]
    streams: int
    queue: int
