"""Plans (baselines, frozen at the gate) and meter readings: sent as intervals, CSV or workbook, kept per MTU."""

from collections.abc import Callable, Iterator
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from flexpeer.api.declining import FINDINGS, Declined, denied
from flexpeer.api.documents import period
from flexpeer.api.edge import CSV, JSON, XLSX, Answer, Asked, Handle, Route, csv_table, decoded, malformed
from flexpeer.api.listing import listed, matching
from flexpeer.api.permissions import Action, Owned
from flexpeer.api.sentences import sentence_of
from flexpeer.api.service import ServedDay
from flexpeer.api.units import WATTS_PER_MW, instant, megawatts, utc, watts
from flexpeer.market.activation import RecordMeter
from flexpeer.market.machine import Command, State
from flexpeer.market.needs import PublishForecast
from flexpeer.market.reasons import CommandRefused
from flexpeer.periods import Span
from flexpeer.wire.api import StatusWord, ValidationError
from flexpeer.wire.api_problems import Denial
from flexpeer.wire.api_queries import IntervalQuery
from flexpeer.wire.api_registry import IntervalDocument, IntervalList, IntervalRequest, Intervals, IntervalsTaken

COLUMNS = ("resource", "from", "p_w")


class Interval(NamedTuple):
    """Where it stands in what was sent, and mean watts of a resource between two instants (`end` None: one MTU)."""

    place: str
    resource: str
    start: int
    end: int | None
    p_w: int


async def sent(asked: Asked) -> list[Interval]:
    """Every interval of a body; declined with all that is wrong with it."""
    table = await asked.table("meter")
    makers = _json_rows(asked.body) if table is None else _csv_rows(table)
    found, wrong = [], []
    for place, make in makers:
        try:
            found.append(make())
        except Declined as declined:
            problem = declined.problem
            wrong += list(problem.validation_errors) or [ValidationError(place, problem.detail)]
    if wrong:
        raise denied(Denial.MALFORMED, FINDINGS, wrong, count=len(wrong))
    return found


def _json_rows(body: bytes) -> Iterator[tuple[str, Callable[[], Interval]]]:
    for number, row in enumerate(decoded(body, Intervals)):
        place = f"$[{number}]"
        yield place, lambda row=row, place=place: _interval(place, row)  # type: ignore[misc]


def _interval(place: str, row: IntervalRequest) -> Interval:
    start, end = instant(row.period_from, f"{place}.periodFrom"), instant(row.period_to, f"{place}.periodTo")
    return Interval(place, row.portfolio_id, start, end, watts(row.quantity))


def _csv_rows(body: bytes) -> Iterator[tuple[str, Callable[[], Interval]]]:
    names, rows = csv_table(body)
    if sorted(names) != sorted(COLUMNS):
        raise malformed(f"the columns are {', '.join(names)}; expected {', '.join(COLUMNS)}")
    for line, row in rows:
        place = f"line {line}"
        yield place, lambda row=row, place=place: _csv_interval(place, row)  # type: ignore[misc]


def _csv_interval(place: str, row: dict[str, str]) -> Interval:
    if None in row.values() or None in row:
        raise malformed(f"the row has another number of fields than the header - at `{place}`")
    try:
        power = watts(Decimal(row["p_w"]) / WATTS_PER_MW)
    except InvalidOperation as error:
        raise malformed(f"{row['p_w']!r} is no number - at `{place}`") from error
    return Interval(place, row["resource"], instant(row["from"], place), None, power)


class Sending(NamedTuple):
    """A resource's new values on one market: MTU to watts."""

    served: ServedDay
    resource: str
    mtus: dict[int, int]
    places: tuple[str, ...]


def grouped(asked: Asked, intervals: list[Interval]) -> list[Sending]:
    """By market and resource, in order of first mention; declined where one is not the caller's, or no MTU of a day."""
    found: dict[tuple[str, str], Sending] = {}
    wrong = []
    for each in intervals:
        placed = _placed(asked, each)
        if placed is None:
            wrong.append(ValidationError(each.place, "is no whole MTU of a market's delivery day"))
            continue
        served, span = placed
        state = served.published.state
        unit = state.participants.resources.get(each.resource)
        asked.require(Owned("") if unit is None else Owned(unit.organisation, (unit.dso,)))
        known = found.get((served.market_id, each.resource)) or Sending(served, each.resource, {}, ())
        known.mtus.update(dict.fromkeys(span.mtus, each.p_w))
        found[served.market_id, each.resource] = known._replace(places=(*known.places, each.place))
    if wrong:
        raise denied(Denial.MALFORMED, FINDINGS, wrong, count=len(wrong))
    return list(found.values())


def _placed(asked: Asked, each: Interval) -> tuple[ServedDay, Span] | None:
    for _, served in asked.days(None):
        day = served.day.scenario.day
        span = day.span(each.start, each.start + day.mtu_minutes if each.end is None else each.end)
        if span is not None:
            return served, span
    return None


def plan_command(state: State, sending: Sending) -> Command:
    """The plan as it was, with the new values."""
    row = list(state.needs.plans_w.get(sending.resource, (0,) * state.needs.mtu_count))
    for mtu, value in sending.mtus.items():
        row[mtu] = value
    return PublishForecast(sending.resource, tuple(row))


def meter_command(state: State, sending: Sending) -> Command:
    """The readings known, with the new ones."""
    day = sending.served.day.scenario.day
    known = dict(state.activations.meter_w.get(sending.resource, ()))
    return RecordMeter(sending.resource, known | {day.instant(mtu): value for mtu, value in sending.mtus.items()})


def importing(command: Callable[[State, Sending], Command]) -> Handle:
    """The handler that takes intervals with a command for each resource."""

    async def take(asked: Asked) -> Answer:
        sendings = grouped(asked, await sent(asked))

        def act() -> list[CommandRefused | None]:
            return [_submitted(sending, command) for sending in sendings]

        refusals = await asked.service.done(act)
        counts = [len(sending.places) for sending in sendings]
        findings = tuple(
            ValidationError(
                sending.places[0],
                f"{refused.reason}: {refused.detail}",
                sending.resource,
                sentence_of(refused.reason, refused.detail),
            )
            for sending, refused in zip(sendings, refusals, strict=True)
            if refused is not None
        )
        lost = sum(count for count, refused in zip(counts, refusals, strict=True) if refused is not None)
        return Answer(200, IntervalsTaken(sum(counts) - lost, lost, findings))

    return take


def _submitted(sending: Sending, command: Callable[[State, Sending], Command]) -> CommandRefused | None:
    market = sending.served.day.market
    events = market.submit(command(market.state, sending))
    return next((event for event in events if isinstance(event, CommandRefused)), None)


async def read_plans(asked: Asked) -> Answer:
    """Plans of resources, MTUs of one power in a row as one interval."""
    documents: list[IntervalDocument] = []
    for market_id, served in asked.days(asked.query.market_id):
        state = served.published.state
        for name in _resources(asked, state):
            row = state.needs.plans_w.get(name, ())
            documents += _intervals(market_id, state, name, row)
    return _listed(asked, documents)


def _resources(asked: Asked, state: State) -> list[str]:
    units = state.participants.resources
    return sorted(name for name, unit in units.items() if asked.sees(Owned(unit.organisation, (unit.dso,))))


def _intervals(market_id: str, state: State, name: str, row: tuple[int, ...]) -> Iterator[IntervalDocument]:
    frozen = state.orders.gate == "closed"
    first = 0
    for mtu in range(1, len(row) + 1):
        if mtu == len(row) or row[mtu] != row[first]:
            begins, ends = period(state, Span(first, mtu))
            status = StatusWord.COMPLETED if frozen else StatusWord.ACTIVE
            yield _document(status, market_id, name, (begins, ends), row[first])
            first = mtu


def _document(
    status: StatusWord, market_id: str, name: str, begins_ends: tuple[str, str], p_w: int
) -> IntervalDocument:
    begins, ends = begins_ends
    name_of_it = f"{name}/{begins}"
    return IntervalDocument(name_of_it, status, market_id, name, begins, ends, megawatts(p_w), "ActivePower")


async def read_meter(asked: Asked) -> Answer:
    """Meter readings of resources, MTU by MTU."""
    documents: list[IntervalDocument] = []
    for market_id, served in asked.days(asked.query.market_id):
        state, minutes = served.published.state, served.day.scenario.day.mtu_minutes
        for name in _resources(asked, state):
            for at, value in state.activations.meter_w.get(name, ()):
                span = (utc(at), utc(at + minutes))
                documents.append(_document(StatusWord.RECEIVED, market_id, name, span, value))
    return _listed(asked, documents)


def _listed(asked: Asked, documents: list[IntervalDocument]) -> Answer:
    return listed(asked, matching(asked.query, documents), IntervalList)


TAKEN = {200: IntervalsTaken}
BODIES = {JSON: Intervals, CSV: None, XLSX: None}
take_plans, take_meter = importing(plan_command), importing(meter_command)

ROUTES = (
    Route(
        "GET", "/api/BaselineIntervals", Action.READ_PLANS, read_plans, "Plans of resources", {200: IntervalList},
        query=IntervalQuery,
    ),
    Route(
        "POST", "/api/BaselineIntervals/import", Action.WRITE_PLANS, take_plans, "Send plans, until the gate closes",
        TAKEN, bodies=BODIES,
    ),
    Route(
        "GET", "/api/MeterReadings", Action.READ_METER, read_meter, "Meter readings", {200: IntervalList},
        query=IntervalQuery,
    ),
    Route(
        "POST", "/api/MeterReadings/import", Action.WRITE_METER, take_meter, "Send meter readings", TAKEN,
        bodies=BODIES,
    ),
)  # fmt: skip
