"""Delivery days: how far they are, where relief is needed, and what a finished one came to."""

import asyncio

import msgspec

from flexpeer.api.edge import Answer, Asked, Route, apart
from flexpeer.api.listing import listed, matching
from flexpeer.api.permissions import Action
from flexpeer.api.service import ServedDay
from flexpeer.api.units import utc
from flexpeer.api.zones import zone_documents
from flexpeer.app.views.results import kpi_object
from flexpeer.market.machine import State, state_hash
from flexpeer.market.timeline import Stage
from flexpeer.wire.api import (
    GateDocument,
    KpiDocument,
    KpiList,
    LineDocument,
    MarketDocument,
    MarketList,
    MarketStatus,
    StageInstant,
    ZoneDocument,
    ZoneList,
)
from flexpeer.wire.api_queries import LineQuery, ListQuery, MarketListQuery, ZoneQuery


class Hashes:
    """State hashes, each found once: they take time where there are many orders."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, str]] = {}

    async def of(self, market_id: str, state: State) -> str:
        """The hash of a state of a market."""
        known = self._known.get(market_id)
        if known is None or known[0] != state.events:
            known = self._known[market_id] = (state.events, await asyncio.to_thread(state_hash, state))
        return known[1]


HASHES = Hashes()


async def market_document(served: ServedDay, now: int, *, hashed: bool = True) -> MarketDocument:
    """A delivery day as it is published, with the hash of its state or without."""
    published, scenario = served.published, served.day.scenario
    state, day, stages = published.state, scenario.day, served.day.timeline
    return MarketDocument(
        id=served.market_id,
        name=scenario.name,
        description=f"Flexibility of {served.market_id}, day ahead, peer to peer, every trade checked by grid owners",
        quantity_type="ActivePower",
        status=MarketStatus(state.stages.stage),
        delivery_day=served.market_id,
        timezone=day.timezone,
        period_from=utc(day.start),
        period_to=utc(day.instant(day.mtu_count)),
        has_grid=served.day.physical is not None,
        gate=GateDocument(utc(served.day.instant(Stage.OPEN)), utc(served.day.instant(Stage.CLOSED))),
        timeline=tuple(StageInstant(MarketStatus(s), utc(at), s.place <= state.stages.stage.place) for s, at in stages),
        mtu_minutes=day.mtu_minutes,
        currency=scenario.currency,
        rulebook=msgspec.to_builtins(scenario.rulebook),
        now=utc(now),
        line=published.line,
        events=state.events,
        state_hash=await HASHES.of(served.market_id, state) if hashed else None,
    )


async def read_all(asked: Asked) -> Answer:
    """Every delivery day."""
    now, hashed = asked.service.clock.now(), asked.query.hash
    documents = [await market_document(served, now, hashed=hashed) for _, served in asked.days(asked.query.market_id)]
    return listed(asked, documents, MarketList)


async def read(asked: Asked) -> Answer:
    """One delivery day."""
    return Answer(200, await market_document(asked.day(asked.id), asked.service.clock.now()))


async def line(asked: Asked) -> Answer:
    """How many orders wait for their sweep; with `wait`, as soon as none does or after so many seconds."""
    published = asked.day(asked.id).published
    heard = asked.service.listen()
    try:
        async with asyncio.timeout(asked.query.wait or None):
            while asked.query.wait and published.line:
                await heard.wait()
                heard.clear()
    except TimeoutError:
        pass
    finally:
        asked.service.leave(heard)
    return Answer(200, LineDocument(published.line, published.state.events))


def zones(asked: Asked) -> Answer:
    """Congestion points of markets whose needs are published, with the impact of the caller's own portfolios."""
    documents: list[ZoneDocument] = []
    for market_id, served in asked.days(asked.query.market_id):
        documents += zone_documents(market_id, served.published.state, asked.caller.organisation)
    return listed(asked, matching(asked.query, documents), ZoneList)


async def kpis(asked: Asked) -> Answer:
    """KPIs of days that are settled."""
    documents = []
    for market_id, served in asked.days(asked.query.market_id):
        report = served.published.state.kpis.report
        if report is not None:
            documents.append(KpiDocument(market_id, kpi_object(report)))
    return listed(asked, documents, KpiList)


ROUTES = (
    Route(
        "GET", "/api/Markets", Action.READ_MARKETS, read_all, "Delivery days", {200: MarketList}, query=MarketListQuery
    ),
    Route("GET", "/api/Markets/{id}", Action.READ_MARKETS, read, "One delivery day", {200: MarketDocument}),
    Route(
        "GET", "/api/Markets/{id}/line", Action.READ_MARKETS, line, "How many orders wait for their sweep",
        {200: LineDocument}, query=LineQuery,
    ),
    Route(
        "GET", "/api/FlexibilityZones", Action.READ_ZONES, apart(zones), "Congestion points and what relief they need",
        {200: ZoneList}, query=ZoneQuery,
    ),
    Route("GET", "/api/Kpis", Action.READ_KPIS, kpis, "KPIs of settled days", {200: KpiList}, query=ListQuery),
)  # fmt: skip
