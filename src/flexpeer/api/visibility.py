"""Events as one caller may see them: its own, what concerns its resources or points, what everybody is told."""

from collections.abc import Callable
from typing import Any

import msgspec

from flexpeer.api.documents import dsos_of, order_owned, trade_document, trade_owned
from flexpeer.api.permissions import DSOS, OVERSEERS, Action, Caller, Owned, Permission, may
from flexpeer.market.activation import (
    ActivationIssued,
    BrpNotified,
    DeliveryVerified,
    MeterRecorded,
    TradesConfirmed,
)
from flexpeer.market.kpi import KpisReported
from flexpeer.market.machine import Event, State
from flexpeer.market.needs import (
    CongestionPointDefined,
    CurtailmentAllocated,
    DayOpened,
    ForecastPublished,
    NeedPublished,
)
from flexpeer.market.orders import (
    GateClosed,
    GateOpened,
    OrderAmended,
    OrderExpired,
    OrderKilled,
    OrderPlaced,
    OrderWithdrawn,
)
from flexpeer.market.participants import GridChecked, PortfolioFormed, ProductChecked, ResourceRegistered
from flexpeer.market.reasons import CommandRefused
from flexpeer.market.settlement import SettlementIssued
from flexpeer.market.timeline import StageReached
from flexpeer.market.trades import TradeConcluded

PUBLIC = (GateOpened, GateClosed, StageReached, DayOpened, CongestionPointDefined, NeedPublished)
OF_AN_ORDER = (OrderAmended, OrderWithdrawn, OrderKilled, OrderExpired)
OF_A_RESOURCE = (
    ActivationIssued,
    MeterRecorded,
    DeliveryVerified,
    ForecastPublished,
    GridChecked,
    ProductChecked,
)
Content = dict[str, Any]


def seen(caller: Caller, market_id: str, state: State, event: Event) -> Content | None:
    """What a caller may see of an event of a published state; None for nothing."""
    if isinstance(event, TradeConcluded):
        return _trade(caller, market_id, state, event)
    if caller.role in OVERSEERS or isinstance(event, PUBLIC):
        return _whole(event)
    owned = _owned(state, event)
    if owned is not None:
        return _whole(event) if _sees(caller, owned) else None
    return _part(caller, state, event)


def _sees(caller: Caller, owned: Owned) -> bool:
    return may(caller, Action.READ_ORDERS, owned) is Permission.ALLOWED


def _whole(event: Event) -> Content:
    content: Content = msgspec.to_builtins(event)
    content.pop("type", None)
    return content


def _owned(state: State, event: Event) -> Owned | None:
    """Whose an event of one object is."""
    match event:
        case OrderPlaced(order):
            return order_owned(state, order)
        case CommandRefused():
            return Owned(event.sender)
        case ResourceRegistered(resource):
            return Owned(resource.organisation, (resource.dso,))
        case PortfolioFormed(portfolio):
            return Owned(portfolio.organisation, dsos_of(state.participants, portfolio.portfolio))
        case BrpNotified():
            return None
    if isinstance(event, OF_AN_ORDER):
        return order_owned(state, state.orders.orders[event.order])
    if isinstance(event, OF_A_RESOURCE):
        return _resource(state, event.resource)
    return None


def _resource(state: State, name: str) -> Owned:
    unit = state.participants.resources[name]
    return Owned(unit.organisation, (unit.dso,))


def _part(caller: Caller, state: State, event: Event) -> Content | None:
    """What concerns a caller of an event about many."""
    match event:
        case TradesConfirmed():
            people = state.participants
            return _kept(
                event, "confirmations", lambda c: _sees(caller, Owned(c.organisation, dsos_of(people, c.unit)))
            )
        case SettlementIssued():
            own = [posting for posting in event.postings if posting.account.organisation == caller.organisation]
            invoices = [i for i in event.invoices if i.account.organisation == caller.organisation]
            parts = {"revision": event.revision, "postings": own, "invoices": invoices}
            built: Content = msgspec.to_builtins(parts)
            return built if own or invoices else None
        case CurtailmentAllocated(moves_w):
            moved = {name: row for name, row in moves_w.items() if _sees(caller, _resource(state, name))}
            return {"moves_w": moved} if moved else None
        case BrpNotified(brp, fsp):
            return _whole(event) if caller.organisation in (brp, fsp) else None
        case KpisReported():
            return msgspec.to_builtins(event) if caller.role in DSOS else None
        case _:
            return None


def _kept(event: TradesConfirmed, field: str, keep: Callable[[Any], bool]) -> Content | None:
    kept = [each for each in getattr(event, field) if keep(each)]
    if not kept:
        return None
    content: Content = msgspec.to_builtins(event) | {field: msgspec.to_builtins(kept)}
    content.pop("type", None)
    return content


def _trade(caller: Caller, market_id: str, state: State, event: TradeConcluded) -> Content | None:
    """A trade as the list of trades has it."""
    sides = [owned.organisation for owned in trade_owned(state, event.trade) if _sees(caller, owned)]
    if not sides:
        return None
    document = trade_document(market_id, state, event.trade, sides)
    content: Content = msgspec.to_builtins(document, builtin_types=())
    return content
