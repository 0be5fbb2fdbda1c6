"""Shapes of what a DSO brings before the need is published: its grid, forecast, limits and outages."""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, field

from flexpeer.wire.api import Asking, Instant, Link, Name, Telling, ValidationError

Current = Annotated[float, Meta(gt=0.0, le=1e7)]
PerUnit = Annotated[float, Meta(ge=0.0, le=10.0)]


class DirectionWord(StrEnum):
    """What loads a point: injection or withdrawal; what passes a voltage band."""

    EXPORT = "export"
    IMPORT = "import"
    HIGH = "high"
    LOW = "low"


class GridQuery(Asking, frozen=True):
    """`file` is the name of the file sent, whose ending says what it is; `borders` a JSON array of `BorderRequest`.

    Without `borders` they are where they were: at the buses of the overlying grid that have the same name here.
    """

    file: Name
    market_id: Name | None = None
    borders: str | None = None


class MarketQuery(Asking, frozen=True):
    """One market; the latest if none is named."""

    market_id: Name | None = None


class BorderRequest(Asking, frozen=True):
    """`bus` of one's own grid, held by a source, is `theirBus` of the grid of `dso`."""

    bus: Name
    dso: Name
    their_bus: Name


class GridBorder(Telling, frozen=True):
    """A bus of the DSO above, by the name both know, from which one's own area is fed."""

    bus: str
    dso: str


class GridDocument(Telling, frozen=True):
    """A DSO's own part of the grid: its buses, the branches it owns, and its borders by name.

    `findings` are what was read differently from what a file may have meant.
    """

    market_id: str
    dso: str
    buses: tuple[str, ...]
    branches: tuple[str, ...]
    borders: tuple[GridBorder, ...]
    findings: tuple[ValidationError, ...] = ()


class ForecastRequest(Asking, frozen=True):
    """Mean power at a bus (all that is no listed resource), or of a resource: MW and Mvar, injection positive."""

    period_from: Instant
    period_to: Instant
    quantity: Decimal
    bus_id: Name | None = None
    portfolio_id: Name | None = None
    reactive_quantity: Decimal = Decimal(0)


Forecasts = Annotated[tuple[ForecastRequest, ...], Meta(min_length=1)]


class ForecastsTaken(Telling, frozen=True):
    """Of how many buses and resources, in how many MTUs together."""

    series: int
    values: int


class PointLimit(Asking, frozen=True):
    """A congestion point: `limit` in MW, none where the rating counts; `limitPu` for voltages."""

    id: Name
    element: Name
    direction: DirectionWord
    limit: Decimal | None = None
    limit_pu: PerUnit | None = None


class RatingLimit(Asking, frozen=True):
    """What a branch may carry at its `from` end in a period, A."""

    element: Name
    period_from: Instant
    period_to: Instant
    current: Current


class BandLimit(Asking, frozen=True):
    """The voltage band of a bus in a period; a side that is left out stays as it is."""

    bus_id: Name
    period_from: Instant
    period_to: Instant
    minimum_pu: PerUnit | None = None
    maximum_pu: PerUnit | None = None


class StatedLimits(Asking, frozen=True):
    """All limits that one DSO states, beside the ratings and bands of its grid file."""

    congestion_points: tuple[PointLimit, ...] = ()
    ratings: tuple[RatingLimit, ...] = ()
    voltage_bands: tuple[BandLimit, ...] = ()


class OutageRequest(Asking, frozen=True):
    """A branch is out in a period or, with `limit` (MW), carries no more than that."""

    element: Name
    period_from: Instant
    period_to: Instant
    id: Name | None = None
    limit: Decimal | None = None


class OutageDocument(Telling, frozen=True):
    """An outage that the market knows of."""

    id: str
    market_id: str
    element: str
    period_from: str
    period_to: str
    limit: Decimal | None = field(default=None)


class OutageList(Telling, frozen=True):
    """One's own outages."""

    number_of_hits: int
    items: tuple[OutageDocument, ...]
    links: tuple[Link, ...]
