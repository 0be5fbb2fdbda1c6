"""How the service is, for whoever runs it: its writer and store, each day's grid owners, streams and webhooks."""

from collections.abc import Iterator

from flexpeer.api.edge import Answer, Asked, Route
from flexpeer.api.limits import RateLimits
from flexpeer.api.permissions import Action
from flexpeer.api.published import OwnerAnswers
from flexpeer.api.service import ServedDay, Service
from flexpeer.api.units import utc
from flexpeer.api.webhooks import Webhooks
from flexpeer.market.participants import DSO_ROLES
from flexpeer.wire.api import MarketStatus
from flexpeer.wire.api_health import HealthDocument, LateStage, OwnerHealth, StoreHealth


class ServiceHealth:
    """The route that tells; `store` is what the store is called."""

    def __init__(self, webhooks: Webhooks, limits: RateLimits, store: str) -> None:
        self._webhooks, self._limits, self._store = webhooks, limits, store

    async def read(self, asked: Asked) -> Answer:
        """As it is now."""
        service, synced = asked.service, asked.service.syncs
        document = HealthDocument(
            problems=problems(service),
            store=StoreHealth(self._store, synced.count, synced.last_s, synced.longest_s, synced.ago_s),
            late=tuple(_late(service)),
            owners=tuple(each for _, served in sorted(service.days.items()) for each in _owners(served)),
            webhooks=tuple(self._webhooks.health()),
            streams=self._limits.open_streams,
            queue=service.queue,
        )
        return Answer(200, document)

    @property
    def routes(self) -> tuple[Route, ...]:
        """Its one route."""
        return (
            Route("GET", "/api/Health", Action.READ_HEALTH, self.read, "How the service is", {200: HealthDocument}),
        )


def problems(service: Service) -> tuple[str, ...]:
    """What keeps the service from doing its work."""
    found = []
    if not service.alive:
        found.append("the writer has ended")
    late = service.lateness_s()
    if late:
        found.append(f"a stage is late by {late:.0f} s")
    return tuple(found)


def _late(service: Service) -> Iterator[LateStage]:
    now = service.clock.now()
    for market_id, served in sorted(service.days.items()):
        done = served.day.market.state.stages.stage.place
        for stage, at in served.day.timeline:
            if stage.place > done and at < now:
                yield LateStage(market_id, MarketStatus(stage), utc(at))


def _owners(served: ServedDay) -> Iterator[OwnerHealth]:
    """Every DSO of a day, and how it has answered."""
    published, has_grid = served.published, served.day.physical is not None
    organisations = published.state.participants.organisations
    for name, organisation in sorted(organisations.items()):
        if organisation.role not in DSO_ROLES:
            continue
        told = published.owners.get(name, OwnerAnswers())
        yield OwnerHealth(
            served.market_id, name, has_grid, told.answers, told.refused, told.silent, told.is_silent, told.match
        )
