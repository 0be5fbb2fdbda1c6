"""Limits and outages of one's own elements, until the need is published."""

from collections.abc import Iterable
from uuid import uuid4

import msgspec

from flexpeer.api.declining import FINDINGS, denied
from flexpeer.api.edge import JSON, Answer, Asked, Route
from flexpeer.api.grids import OwnElements, own_grid, revise
from flexpeer.api.listing import listed
from flexpeer.api.permissions import Action
from flexpeer.api.service import ServedDay
from flexpeer.api.units import instant, megawatts, utc, watts
from flexpeer.app.contribution import Contribution
from flexpeer.app.scenario import BandRow, CongestionPointRow, OutageRow, RatingRow
from flexpeer.periods import Span
from flexpeer.wire.api import ValidationError
from flexpeer.wire.api_grid import (
    BandLimit,
    DirectionWord,
    MarketQuery,
    OutageDocument,
    OutageList,
    OutageRequest,
    PointLimit,
    RatingLimit,
    StatedLimits,
)
from flexpeer.wire.api_problems import Denial
from flexpeer.wire.api_queries import ListQuery

VOLTAGES = (DirectionWord.HIGH, DirectionWord.LOW)


async def read_limits(asked: Asked) -> Answer:
    """What the caller has stated, and the congestion points that are its own."""
    served = asked.chosen_day()
    said = served.said.get(asked.caller.organisation, Contribution())
    points = [point for point in served.day.scenario.congestion_points or () if _is_own(asked, served, point)]
    return Answer(200, _limits(points, said))


def _limits(points: Iterable[CongestionPointRow], said: Contribution) -> StatedLimits:
    return StatedLimits(
        tuple(
            PointLimit(
                p.congestion_point, p.element, DirectionWord(p.direction),
                None if p.limit_w is None else megawatts(p.limit_w), p.limit_pu,
            )
            for p in points
        ),
        tuple(RatingLimit(r.element, utc(r.start), utc(r.end), r.rating_a) for r in said.ratings),
        tuple(BandLimit(b.bus, utc(b.start), utc(b.end), b.v_min_pu, b.v_max_pu) for b in said.bands),
    )  # fmt: skip


def _is_own(asked: Asked, served: ServedDay, point: CongestionPointRow) -> bool:
    dso, physical = asked.caller.organisation, served.day.physical
    if point.dso is not None or physical is None:
        return (point.dso or _only_dso(served)) == dso
    return OwnElements(physical.grid, dso).has_element(point.element, at_bus=point.direction in VOLTAGES)


def _only_dso(served: ServedDay) -> str:
    """Whose a point without an owner is in a market without a grid."""
    found = served.published.state.needs.points or served.day.market.state.needs.points
    return next(iter({point.dso for point in found.values()}), "")


async def replace_limits(asked: Asked) -> Answer:
    """All limits that the caller states, in place of those before."""
    served, sent = asked.chosen_day(), asked.of(StatedLimits)
    own = own_grid(asked, served)
    findings = list(_strangers(own, sent))
    if sent.congestion_points and served.day.scenario.congestion_points is None:
        text = "the points of this market are found by power flow; state ratings, voltageBands or outages"
        findings.append(ValidationError("$.congestionPoints", text))
    if findings:
        raise denied(Denial.MALFORMED, FINDINGS, findings, count=len(findings))
    ratings = tuple(
        RatingRow(r.element, instant(r.period_from, "ratings"), instant(r.period_to, "ratings"), r.current)
        for r in sent.ratings
    )
    bands = tuple(
        BandRow(
            b.bus_id, instant(b.period_from, "voltageBands"), instant(b.period_to, "voltageBands"), b.minimum_pu,
            b.maximum_pu,
        )
        for b in sent.voltage_bands
    )  # fmt: skip
    points = tuple(_point(point, asked.caller.organisation) for point in sent.congestion_points)

    def change(served: ServedDay, said: Contribution) -> Contribution:
        stated = {point.congestion_point for point in said.points or ()}
        given = served.day.scenario.congestion_points
        mine = [p.congestion_point for p in given or () if _is_own(asked, served, p)]
        replaced = dict.fromkeys((*said.replaced, *(name for name in mine if name not in stated)))
        return msgspec.structs.replace(
            said, points=None if given is None else points, replaced=tuple(replaced), ratings=ratings, bands=bands
        )

    await revise(asked, served, change)
    return await read_limits(asked)


def _point(point: PointLimit, dso: str) -> CongestionPointRow:
    limit_w = None if point.limit is None else watts(point.limit)
    return CongestionPointRow(point.id, point.element, str(point.direction), limit_w, point.limit_pu, dso)


def _strangers(own: OwnElements, sent: StatedLimits) -> Iterable[ValidationError]:
    """Elements that are not the caller's, and periods and limits that are none."""
    for n, point in enumerate(sent.congestion_points):
        at_bus = point.direction in VOLTAGES
        if not own.has_element(point.element, at_bus=at_bus):
            yield _stranger(f"$.congestionPoints[{n}].element", point.element)
        if (point.limit_pu is None) == at_bus or (at_bus and point.limit is not None):
            wanted = "limitPu and no limit" if at_bus else "limit in MW (none: the rating) and no limitPu"
            yield ValidationError(f"$.congestionPoints[{n}]", f"for {point.direction}, {wanted}")
    for n, rating in enumerate(sent.ratings):
        if rating.element not in own.branches:
            yield _stranger(f"$.ratings[{n}].element", rating.element)
        yield from _backwards(f"$.ratings[{n}]", rating.period_from, rating.period_to)
    for n, band in enumerate(sent.voltage_bands):
        if band.bus_id not in own.buses:
            yield _stranger(f"$.voltageBands[{n}].busId", band.bus_id)
        yield from _backwards(f"$.voltageBands[{n}]", band.period_from, band.period_to)


def _stranger(where: str, name: str) -> ValidationError:
    return ValidationError(where, "is no element of the caller's own grid (GET /api/Grid)", name)


def _backwards(where: str, begins: str, ends: str) -> Iterable[ValidationError]:
    if instant(begins, f"{where}.periodFrom") >= instant(ends, f"{where}.periodTo"):
        yield ValidationError(f"{where}.periodTo", "is not after periodFrom", ends)


async def read_outages(asked: Asked) -> Answer:
    """The caller's own."""
    documents = []
    for _, served in asked.days(asked.query.market_id):
        said = served.said.get(asked.caller.organisation, Contribution())
        documents += [_outage_document(served, name, outage) for name, outage in said.outages.items()]
    return listed(asked, documents, OutageList)


def _outage_document(served: ServedDay, name: str, outage: OutageRow) -> OutageDocument:
    day = served.day.scenario.day
    limit = None if outage.limit_w is None else megawatts(outage.limit_w)
    begins, ends = utc(day.instant(outage.span.first)), utc(day.instant(outage.span.end))
    return OutageDocument(name, served.market_id, outage.element, begins, ends, limit)


async def add_outage(asked: Asked) -> Answer:
    """An outage of an own element; one with the same id is replaced."""
    served, sent = asked.chosen_day(), asked.of(OutageRequest)
    own = own_grid(asked, served)
    begins, ends = instant(sent.period_from, "$.periodFrom"), instant(sent.period_to, "$.periodTo")
    touched = served.day.scenario.day.touched(begins, ends)
    findings = list(_backwards("$", sent.period_from, sent.period_to))
    if not touched:
        findings.append(ValidationError("$.periodFrom", "the period is outside the market's delivery day"))
    if sent.element not in own.branches and not (sent.limit is not None and sent.element in own.sources):
        findings.append(_stranger("$.element", sent.element))
    if findings:
        raise denied(Denial.MALFORMED, FINDINGS, findings, count=len(findings))
    name = sent.id or uuid4().hex
    limit_w = None if sent.limit is None else watts(sent.limit)
    outage = OutageRow(sent.element, Span(touched.start, touched.stop), limit_w)
    await revise(asked, served, lambda _, said: msgspec.structs.replace(said, outages={**said.outages, name: outage}))
    return Answer(201, _outage_document(served, name, outage))


async def remove_outage(asked: Asked) -> Answer:
    """It is none any more."""
    served = asked.chosen_day()

    if asked.id not in served.said.get(asked.caller.organisation, Contribution()).outages:
        raise denied(Denial.NOT_FOUND)

    def change(_served: ServedDay, said: Contribution) -> Contribution:
        left = {name: outage for name, outage in said.outages.items() if name != asked.id}
        return msgspec.structs.replace(said, outages=left)

    await revise(asked, served, change)
    return Answer(204)


ROUTES = (
    Route(
        "GET", "/api/Limits", Action.READ_GRID, read_limits, "Limits that one has stated", {200: StatedLimits},
        query=MarketQuery,
    ),
    Route(
        "PUT", "/api/Limits", Action.WRITE_GRID, replace_limits, "State one's limits, until the need is published",
        {200: StatedLimits}, query=MarketQuery, bodies={JSON: StatedLimits},
    ),
    Route(
        "GET", "/api/Outages", Action.READ_GRID, read_outages, "One's own outages", {200: OutageList}, query=ListQuery
    ),
    Route(
        "POST", "/api/Outages", Action.WRITE_GRID, add_outage, "Tell an outage, until the need is published",
        {201: OutageDocument}, query=MarketQuery, bodies={JSON: OutageRequest},
    ),
    Route(
        "DELETE", "/api/Outages/{id}", Action.WRITE_GRID, remove_outage, "Take an outage back", {204: None},
        query=MarketQuery,
    ),
)  # fmt: skip
