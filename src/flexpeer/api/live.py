"""A day that is still traded: what congestion points carry, what it costs so far, what an order would come to."""

import asyncio
import math
from collections.abc import Iterator
from decimal import Decimal

from flexpeer.api.declining import Declined, denied, refused_command
from flexpeer.api.documents import REGULATIONS, SIDES
from flexpeer.api.edge import JSON, Answer, Asked, Route
from flexpeer.api.listing import listed
from flexpeer.api.live_grids import LiveGrids
from flexpeer.api.orders import placing
from flexpeer.api.permissions import Action
from flexpeer.api.service import ServedDay
from flexpeer.api.units import megawatts, price
from flexpeer.app.day import ceiling_minor
from flexpeer.app.views.prospects import PossibleMeeting, Previews, Prospects
from flexpeer.app.views.results import kpi_object
from flexpeer.app.views.so_far import kpis_so_far, residual_need_w
from flexpeer.market.kpi import KpiReport
from flexpeer.market.machine import State
from flexpeer.market.orders import PlaceOrder
from flexpeer.market.timeline import Stage
from flexpeer.quantities import PPM
from flexpeer.wire.api import OrderRequest
from flexpeer.wire.api_live import (
    CostsDocument,
    FlowDocument,
    FlowList,
    PreviewDocument,
    PreviewMeeting,
    PreviewPoint,
    Row,
)
from flexpeer.wire.api_problems import Denial, Problem
from flexpeer.wire.api_queries import ListQuery

UNPROCESSABLE = 422


class Live:
    """Routes that share what was found of days' grids and of places."""

    def __init__(self, grids: LiveGrids) -> None:
        self._grids = grids
        self._previews, self._one_preview = Previews(), asyncio.Lock()
        self._reports: dict[str, tuple[int, KpiReport]] = {}
        self._one_report = asyncio.Lock()

    async def flows(self, asked: Asked) -> Answer:
        """Of the caller's own congestion points."""
        documents: list[FlowDocument] = []
        for market_id, served in asked.days(asked.query.market_id):
            points = served.published.state.needs.points
            mine = sorted(name for name, point in points.items() if point.dso == asked.caller.organisation)
            if not mine:
                continue
            live, late = await self._grids.of(served)
            for name in mine:
                if name in live.before:
                    before, limit = map(_row, live.before[name])
                    documents.append(FlowDocument(market_id, name, before, _row(live.now[name][0]), limit, late))
        return listed(asked, documents, FlowList)

    async def costs(self, asked: Asked) -> Answer:
        """The KPIs so far; those reported once the day is settled."""
        served = asked.day(asked.id)
        state = served.published.state
        if state.stages.stage.place < Stage.OPEN.place:
            raise denied(Denial.NOT_YET, "the need is published when the gate opens")
        report, final = state.kpis.report, state.kpis.report is not None
        if report is None:
            report = await self._so_far(served)
        scenario = served.day.scenario
        ceiling = ceiling_minor(scenario.alternative)
        most = None if ceiling is None else price(ceiling)
        return Answer(
            200, CostsDocument(asked.id, final, kpi_object(report), str(scenario.rulebook.dso_purchase), most)
        )

    async def _so_far(self, served: ServedDay) -> KpiReport:
        """The KPIs of a day as it is, found once for all who ask meanwhile."""
        async with self._one_report:
            state, known = served.published.state, self._reports.get(served.market_id)
            if known is None or known[0] != state.events:
                found = await asyncio.to_thread(kpis_so_far, served.day.scenario, state)
                known = self._reports[served.market_id] = (state.events, found)
        return known[1]

    async def preview(self, asked: Asked) -> Answer:
        """What would become of an order at once; only its first price point is looked at."""
        try:
            order = placing(asked, asked.of(OrderRequest), None)
        except Declined as declined:
            if declined.problem.status != UNPROCESSABLE:
                raise
            return Answer(200, _refused(declined.problem))
        state, command = order.served.published.state, order.commands[0]
        async with self._one_preview:
            found = await asyncio.to_thread(self._previews.of, state, command)
        return Answer(200, _preview(state, command, found))

    @property
    def routes(self) -> tuple[Route, ...]:
        """All three."""
        return (
            Route(
                "GET", "/api/Flows", Action.READ_GRID, self.flows, "What one's own congestion points carry",
                {200: FlowList}, query=ListQuery,
            ),
            Route(
                "GET", "/api/Markets/{id}/costs", Action.READ_KPIS, self.costs, "What a day has cost so far",
                {200: CostsDocument},
            ),
            Route(
                "POST", "/api/Orders/preview", Action.PLACE_ORDERS, self.preview,
                "What would become of an order; nothing happens", {200: PreviewDocument}, bodies={JSON: OrderRequest},
            ),
        )  # fmt: skip


def _row(watts: tuple[float, ...]) -> Row:
    return tuple(megawatts(round(w)) if math.isfinite(w) else None for w in watts)


def _preview(state: State, command: PlaceOrder, found: Prospects) -> PreviewDocument:
    refusal, order = found.refusal, found.order
    problem = None if refusal is None else refused_command(refusal).problem
    return PreviewDocument(
        accepted=problem is None,
        points=tuple(_points(state, command, found)),
        meetings=tuple(_meeting(each) for each in found.meetings),
        met_quantity=megawatts(found.met_w),
        left_quantity=megawatts(command.quantity_w - found.met_w),
        more=found.more,
        regulation_type=None if order is None else REGULATIONS[order.regulation],
        reason=None if problem is None else problem.reason,
        detail=None if problem is None else problem.detail,
        sentence=None if problem is None else problem.sentence,
        would_be=None if problem is None else problem.accepted,
    )


def _refused(problem: Problem) -> PreviewDocument:
    """What is no order of a market at all, as a period that it has not."""
    return PreviewDocument(
        accepted=False,
        points=(),
        meetings=(),
        met_quantity=Decimal(),
        left_quantity=Decimal(),
        reason=problem.reason,
        detail=problem.detail,
        sentence=problem.sentence,
        would_be=problem.accepted,
    )


def _points(state: State, command: PlaceOrder, found: Prospects) -> Iterator[PreviewPoint]:
    assert found.span is not None or not found.counted, "it counts in MTUs only"
    for point, ppm in found.counted:
        mtus = found.span.mtus if found.span is not None else ()
        needs, residual = state.needs.needs_w.get(point), None
        if needs is not None:
            residual = residual_need_w(state, point)
        yield PreviewPoint(
            flexibility_zone_id=point,
            factor=Decimal(ppm) / PPM,
            quantity=megawatts(command.quantity_w * ppm // PPM),
            flexibility_need=megawatts(max((needs[mtu] for mtu in mtus), default=0) if needs else 0),
            residual_need=megawatts(max((residual[mtu] for mtu in mtus), default=0) if residual else 0),
            unit_price=round(price(command.price_minor) * PPM / ppm, 2),
        )


def _meeting(met: PossibleMeeting) -> PreviewMeeting:
    return PreviewMeeting(
        side=SIDES[met.order.side],
        quantity=megawatts(met.own_w),
        quantity_theirs=megawatts(met.their_w),
        unit_price=price(met.order.price_minor),
        own_unit_price=round(price(1) * met.own_price_minor.numerator / met.own_price_minor.denominator, 2),
        flexibility_zone_id=met.point or None,
    )
