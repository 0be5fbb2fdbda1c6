"""Forecasts of one's own buses and of the resources one connects, until the need is published."""

from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

import msgspec

from flexpeer.api.declining import FINDINGS, Declined, denied
from flexpeer.api.edge import CSV, JSON, XLSX, Answer, Asked, Route, csv_table, decoded, malformed
from flexpeer.api.grids import OwnElements, revise
from flexpeer.api.permissions import Action
from flexpeer.api.service import ServedDay
from flexpeer.api.units import WATTS_PER_MW, instant, watts
from flexpeer.app.contribution import Contribution
from flexpeer.app.scenario import Profile
from flexpeer.periods import Span
from flexpeer.wire.api import ValidationError
from flexpeer.wire.api_grid import ForecastRequest, Forecasts, ForecastsTaken, MarketQuery
from flexpeer.wire.api_problems import Denial

COLUMNS, OWNERS = {"from", "p_w", "q_var"}, {"bus", "resource"}


class Value(NamedTuple):
    """Mean watts and vars of a bus or resource between two instants (`end` None: one MTU), and where it stands."""

    place: str
    bus: str | None
    resource: str | None
    start: int
    end: int | None
    p_w: int
    q_var: int


class ForecastRows(NamedTuple):
    """MTU to watts and vars, of buses and of resources."""

    buses: dict[str, dict[int, tuple[int, int]]]
    resources: dict[str, dict[int, tuple[int, int]]]


async def take(asked: Asked) -> Answer:
    """All values of a body, or none of them."""
    served = asked.chosen_day()
    series = _series(asked, served, await _sent(asked))

    def change(served: ServedDay, said: Contribution) -> Contribution:
        scenario = served.day.scenario
        count = scenario.day.mtu_count
        return msgspec.structs.replace(
            said,
            bus_forecast=said.bus_forecast | _profiles(scenario.bus_forecast, series.buses, count),
            resource_forecast=said.resource_forecast | _profiles(scenario.resource_forecast, series.resources, count),
        )

    await revise(asked, served, change)
    every = [*series.buses.values(), *series.resources.values()]
    return Answer(200, ForecastsTaken(len(every), sum(map(len, every))))


def _profiles(known: dict[str, Profile], new: dict[str, dict[int, tuple[int, int]]], count: int) -> dict[str, Profile]:
    """What was known, with new values in their MTUs; quantiles of what changed are gone."""
    nothing = Profile((0,) * count, (0,) * count)
    found = {}
    for name, values in new.items():
        p_w, q_var = list(known.get(name, nothing).p_w), list(known.get(name, nothing).q_var)
        for mtu, (p, q) in values.items():
            p_w[mtu], q_var[mtu] = p, q
        found[name] = Profile(tuple(p_w), tuple(q_var))
    return found


def _series(asked: Asked, served: ServedDay, values: Sequence[Value | ValidationError]) -> ForecastRows:
    """By bus and resource; declined with every value that is not the caller's to send, or no MTU of the day."""
    series, wrong = ForecastRows({}, {}), []
    judge = _Judge(asked, served)
    for value in values:
        found = value if isinstance(value, ValidationError) else judge.placed(value)
        if isinstance(found, ValidationError):
            wrong.append(found)
            continue
        assert isinstance(value, Value), "only values are placed"
        rows = series.resources if value.resource is not None else series.buses
        row = rows.setdefault(value.resource or value.bus or "", {})
        for mtu in found.mtus:
            if mtu in row:
                wrong.append(ValidationError(value.place, "this bus or resource has a value in this MTU already"))
                break
            row[mtu] = (value.p_w, value.q_var)
    if wrong:
        raise denied(Denial.MALFORMED, FINDINGS, wrong, count=len(wrong))
    return series


class _Judge:
    """Whether a value is the caller's to send."""

    def __init__(self, asked: Asked, served: ServedDay) -> None:
        self._dso, self._day = asked.caller.organisation, served.day
        physical = served.day.physical
        self._own = None if physical is None else OwnElements(physical.grid, self._dso)
        self._units = {unit.resource: unit for unit in served.day.scenario.resources}

    def placed(self, value: Value) -> Span | ValidationError:
        """The MTUs of a value, or what is wrong with it."""
        day = self._day.scenario.day
        span = day.span(value.start, value.start + day.mtu_minutes if value.end is None else value.end)
        if (value.bus is None) == (value.resource is None):
            return ValidationError(value.place, "names a bus or a resource, and not both")
        if span is None:
            return ValidationError(value.place, "is no whole MTU of the market's delivery day")
        if value.bus is not None and (self._own is None or value.bus not in self._own.buses):
            return ValidationError(value.place, "is no bus of the caller's own grid (GET /api/Grid)", value.bus)
        return span if value.resource is None else self._of_a_resource(value, value.resource, span)

    def _of_a_resource(self, value: Value, name: str, span: Span) -> Span | ValidationError:
        unit = self._units.get(name)
        if unit is None or self._day.dso_of.get(name) != self._dso:
            return ValidationError(value.place, "is no resource that the caller connects", name)
        if not unit.p_min_w <= value.p_w <= unit.p_max_w:
            return ValidationError(
                value.place, f"{name} is between {unit.p_min_w} and {unit.p_max_w} W", str(value.p_w)
            )
        return span


async def _sent(asked: Asked) -> list[Value | ValidationError]:
    table = await asked.table("forecast")
    return list(_json_values(asked.body) if table is None else _csv_values(table))


def _json_values(body: bytes) -> Iterator[Value | ValidationError]:
    for number, row in enumerate(decoded(body, Forecasts)):
        yield _converted(f"$[{number}]", row)


def _converted(place: str, row: ForecastRequest) -> Value | ValidationError:
    try:
        begins, ends = instant(row.period_from, f"{place}.periodFrom"), instant(row.period_to, f"{place}.periodTo")
        p_w, q_var = watts(row.quantity), watts(row.reactive_quantity)
    except Declined as declined:
        return ValidationError(place, declined.problem.detail)
    return Value(place, row.bus_id, row.portfolio_id, begins, ends, p_w, q_var)


def _csv_values(body: bytes) -> Iterator[Value | ValidationError]:
    """Rows of `forecast.csv`: `from`, `bus` or `resource`, `p_w`, `q_var`."""
    names, rows = csv_table(body)
    known = set(names)
    if not COLUMNS <= known <= COLUMNS | OWNERS or not known & OWNERS:
        raise malformed(f"the columns are {', '.join(names)}; expected from, bus or resource, p_w, q_var")
    for line, row in rows:
        yield _csv_value(f"line {line}", row)


def _csv_value(place: str, row: dict[str, str]) -> Value | ValidationError:
    if None in row.values() or None in row:
        return ValidationError(place, "the row has another number of fields than the header")
    try:
        powers = [watts(Decimal(row[name]) / WATTS_PER_MW) for name in ("p_w", "q_var")]
        begins = instant(row["from"], place)
    except InvalidOperation:
        return ValidationError(place, "p_w or q_var is no number", f"{row['p_w']}, {row['q_var']}")
    except Declined as declined:
        return ValidationError(place, declined.problem.detail)
    return Value(place, row.get("bus") or None, row.get("resource") or None, begins, None, *powers)


ROUTES = (
    Route(
        "POST", "/api/Forecasts/import", Action.WRITE_GRID, take, "Send a forecast, until the need is published",
        {200: ForecastsTaken}, query=MarketQuery, bodies={JSON: Forecasts, CSV: None, XLSX: None},
    ),
)  # fmt: skip
