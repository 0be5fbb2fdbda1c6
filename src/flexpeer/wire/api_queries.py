"""What lists can be asked for: filters and pages, by the names of UMEI; unknown names are refused."""

from typing import Annotated

from msgspec import Meta, field

from flexpeer.wire.api import Asking, CompletionWord, Instant, Name, PageSize, RegulationWord, SideWord, StatusWord

Skip = Annotated[int, Meta(ge=0, le=1_000_000_000)]


class ListQuery(Asking, frozen=True):
    """A page of a list, of one market or of all. `links` of the answer has the following page."""

    market_id: Name | None = None
    take: PageSize = 100
    skip: Skip = 0


class MarketListQuery(ListQuery, frozen=True):
    """Delivery days; `hash=false` leaves their state hashes out."""

    hash: bool = True


class LineQuery(Asking, frozen=True):
    """How many seconds to wait for the line to be empty."""

    wait: Annotated[int, Meta(ge=0, le=60)] = 0


class PeriodQuery(ListQuery, frozen=True):
    """What begins or ends at, before or after an instant."""

    period_from: Instant | None = None
    period_from_gt: Instant | None = field(default=None, name="periodFrom.gt")
    period_from_gte: Instant | None = field(default=None, name="periodFrom.gte")
    period_from_lt: Instant | None = field(default=None, name="periodFrom.lt")
    period_from_lte: Instant | None = field(default=None, name="periodFrom.lte")
    period_to: Instant | None = None
    period_to_gt: Instant | None = field(default=None, name="periodTo.gt")
    period_to_gte: Instant | None = field(default=None, name="periodTo.gte")
    period_to_lt: Instant | None = field(default=None, name="periodTo.lt")
    period_to_lte: Instant | None = field(default=None, name="periodTo.lte")


class PublicOrderQuery(PeriodQuery, frozen=True):
    """The public book."""

    side: SideWord | None = None
    regulation_type: RegulationWord | None = None
    flexibility_zone_id: Name | None = None


class OrderQuery(PublicOrderQuery, frozen=True):
    """Orders; with `changed_after` those of one market that its events after that one changed."""

    changed_after: Skip | None = None
    newest: bool = False
    status: StatusWord | None = None
    completion_type: CompletionWord | None = None
    portfolio_id: Name | None = None
    owner_organization_id: Name | None = None
    grid_node_id: Name | None = None


class TradeQuery(PublicOrderQuery, frozen=True):
    """Trades, by their side that the caller sees first."""

    status: StatusWord | None = None
    portfolio_id: Name | None = None
    owner_organization_id: Name | None = None
    order_id: Name | None = None


class ZoneQuery(PeriodQuery, frozen=True):
    """Congestion points."""

    id: Name | None = None
    dso: Name | None = None


class OwnerQuery(ListQuery, frozen=True):
    """What belongs to a portfolio or an organisation."""

    portfolio_id: Name | None = None
    owner_organization_id: Name | None = None


class AccountQuery(ListQuery, frozen=True):
    """Accounts."""

    owner_organization_id: Name | None = None


class IntervalQuery(PeriodQuery, frozen=True):
    """Plans and meter readings."""

    portfolio_id: Name | None = None


class LogQuery(Asking, frozen=True):
    """A market's log, after a record; `sealed` as `flexpeer audit verify` and `replay` read it."""

    market_id: Name
    after: Skip = 0
    sealed: bool = False


class BookQuery(Asking, frozen=True):
    """A market's book; without one the latest market's."""

    market_id: Name | None = None


class EventQuery(Asking, frozen=True):
    """A market's events (without one the latest market's) after the `n`th; `types` are words separated by commas."""

    market_id: Name | None = None
    after: Skip = 0
    types: str | None = None
