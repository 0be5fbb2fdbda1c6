"""What is published of a day as documents of the API. Who may see them is asked before."""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import TypeVar

from flexpeer.api.permissions import Owned
from flexpeer.api.published import Answered
from flexpeer.api.units import megawatts, price, utc
from flexpeer.market.activation import Confirmation
from flexpeer.market.machine import State
from flexpeer.market.needs import Regulation, Watts
from flexpeer.market.orders import Order, Side, Status, TimeInForce
from flexpeer.market.participants import Participants
from flexpeer.market.settlement import Account, AccountKind
from flexpeer.market.timeline import Stage
from flexpeer.market.trades import Decision, GridVerdict, Leg, OrdersCleared, Trade
from flexpeer.periods import MarketDay, Span
from flexpeer.quantities import PPM, WATT_MINUTES_PER_MWH, major
from flexpeer.wire.api import (
    ActivationDocument,
    CompletionWord,
    ConfirmationDocument,
    OrderDocument,
    OwnerVerdict,
    PeriodQuantity,
    PostingDocument,
    PublicOrderDocument,
    QuantityPricePoint,
    RegulationWord,
    SettlementDocument,
    SideWord,
    StatusWord,
    TimeInForceWord,
    TradeDocument,
    TradeSide,
    VerdictDocument,
)
from flexpeer.wire.api_live import AllocationDocument, ClearingDocument, DeliveredPeriod, DeliveryDocument

D = TypeVar("D")

SIDES = {Side.BUY: SideWord.BUY, Side.SELL: SideWord.SELL}
REGULATIONS = {Regulation.UP: RegulationWord.UP, Regulation.DOWN: RegulationWord.DOWN}
TIMES_IN_FORCE = {
    TimeInForce.DAY: TimeInForceWord.DAY,
    TimeInForce.FAK: TimeInForceWord.FAK,
    TimeInForce.FOK: TimeInForceWord.FOK,
}
COMPLETIONS = {
    Status.FILLED: CompletionWord.FILLED,
    Status.KILLED: CompletionWord.KILLED,
    Status.EXPIRED: CompletionWord.EXPIRED,
    Status.WITHDRAWN: CompletionWord.CANCELLED,
}


def opened(state: State) -> MarketDay:
    """The delivery day of a market that has begun."""
    assert state.needs.day is not None, "a market is served once its day is open"
    return state.needs.day


def period(state: State, span: Span) -> tuple[str, str]:
    """Beginning and end of MTUs."""
    day = opened(state)
    return utc(day.instant(span.first)), utc(day.instant(span.end))


def dsos_of(participants: Participants, unit: str) -> tuple[str, ...]:
    """The DSOs at which a unit's resources are."""
    return tuple(dict.fromkeys(member.dso for member in participants.members(unit)))


def dso_of_point(state: State, zone: str) -> tuple[str, ...]:
    """The owner of a congestion point."""
    point = state.needs.points.get(zone)
    return (point.dso,) if point is not None and point.dso else ()


def order_owned(state: State, order: Order) -> Owned:
    """Whose an order is, and the DSOs of its unit and its point."""
    return Owned(order.organisation, (*dsos_of(state.participants, order.unit), *dso_of_point(state, order.zone)))


def _completion(orders: Sequence[Order]) -> CompletionWord | None:
    if any(order.status is Status.OPEN for order in orders):
        return None
    left = [order for order in orders if order.status is not Status.FILLED]
    return COMPLETIONS[(left or orders)[0].status]


def order_document(published_id: str, market_id: str, state: State, orders: Sequence[Order]) -> OrderDocument:
    """An order of one or several price points."""
    first = orders[0]
    begins, ends = period(state, first.span)
    completion = _completion(orders)
    members = state.participants.members(first.unit)
    return OrderDocument(
        id=published_id,
        owner_organization_id=first.organisation,
        market_id=market_id,
        portfolio_id=first.unit,
        status=StatusWord.ACTIVE if completion is None else StatusWord.COMPLETED,
        completion_type=completion,
        arrival=first.number,
        received_at=utc(first.at) if first.at else None,
        side=SIDES[first.side],
        regulation_type=REGULATIONS[first.regulation],
        period_from=begins,
        period_to=ends,
        price_points=tuple(QuantityPricePoint(megawatts(o.quantity_w), price(o.price_minor)) for o in orders),
        filled_quantity=megawatts(sum(order.executed_w for order in orders)),
        remaining_quantity=megawatts(sum(order.remaining_w for order in orders)),
        time_in_force=TIMES_IN_FORCE[first.time_in_force],
        grid_node_id=members[0].node if len(members) == 1 else None,
        flexibility_zone_id=first.zone or None,
        minimum_acceptance_quantity=megawatts(first.min_quantity_w) if first.min_quantity_w else None,
    )


def public_order(market_id: str, state: State, order: Order) -> PublicOrderDocument:
    """An open order without its owner."""
    begins, ends = period(state, order.span)
    return PublicOrderDocument(
        market_id=market_id,
        side=SIDES[order.side],
        regulation_type=REGULATIONS[order.regulation],
        period_from=begins,
        period_to=ends,
        quantity=megawatts(order.remaining_w),
        unit_price=price(order.price_minor),
        flexibility_zone_id=order.zone or None,
    )


def trade_owned(state: State, trade: Trade) -> tuple[Owned, ...]:
    """Both sides of a trade; each concerns the DSO of its unit, and that of the point."""
    leg, point = trade.leg, dso_of_point(state, trade.zone)
    sides = ((trade.buyer, leg.buy_unit), (trade.seller, leg.sell_unit))
    return tuple(Owned(who, (*dsos_of(state.participants, unit), *point)) for who, unit in sides if who is not None)


def _side(trade: Trade, side: Side) -> TradeSide | None:
    leg = trade.leg
    who = trade.buyer if side is Side.BUY else trade.seller
    if who is None:
        return None
    if side is Side.BUY:
        return TradeSide(leg.buy, SideWord.BUY, megawatts(leg.quantity_buy_w), leg.buy_unit, who)
    return TradeSide(leg.sell, SideWord.SELL, megawatts(leg.quantity_sell_w), leg.sell_unit, who)


def _acts(state: State, leg: Leg, side: SideWord) -> Regulation:
    """Which way one side of a leg moves."""
    name, acts = (leg.buy, Side.BUY) if side is SideWord.BUY else (leg.sell, Side.SELL)
    order = state.orders.orders[name]
    return order.regulation if order.side is acts else order.regulation.opposite


def trade_document(market_id: str, state: State, trade: Trade, seen: Iterable[str]) -> TradeDocument:
    """A trade for somebody who may see the sides of these organisations."""
    visible = set(seen)
    both = [s for s in (_side(trade, Side.BUY), _side(trade, Side.SELL)) if s and s.owner_organization_id in visible]
    own, counter = both[0], both[1] if len(both) > 1 else None
    begins, ends = period(state, trade.leg.span)
    day, delivered = opened(state), state.stages.stage.place >= Stage.DELIVERED.place
    return TradeDocument(
        id=trade.trade,
        market_id=market_id,
        status=StatusWord.COMPLETED if delivered else StatusWord.ACTIVE,
        phase=str(trade.phase),
        order_id=own.order_id,
        side=own.side,
        quantity=own.quantity,
        unit_price=price(trade.leg.price_minor),
        price_of=SIDES[trade.leg.resting],
        amount=major(trade.amount(day.mtu_minutes)),
        period_from=begins,
        period_to=ends,
        portfolio_id=own.portfolio_id,
        owner_organization_id=own.owner_organization_id,
        regulation_type=REGULATIONS[_acts(state, trade.leg, own.side)],
        flexibility_zone_id=trade.zone or None,
        counter=counter,
    )


def confirmation_document(market_id: str, state: State, told: Confirmation) -> ConfirmationDocument:
    """A confirmation as its organisation gets it."""
    return ConfirmationDocument(
        trade_id=told.trade,
        market_id=market_id,
        owner_organization_id=told.organisation,
        order_id=told.order,
        portfolio_id=told.unit,
        side=SIDES[told.side],
        quantity=megawatts(told.quantity_w),
        unit_price=price(told.price_minor),
        remuneration=major(told.remuneration),
        currency=state.needs.currency,
        phase=str(told.phase),
    )


def activation_document(market_id: str, state: State, resource: str) -> ActivationDocument:
    """The schedule of a resource."""
    return ActivationDocument(
        market_id=market_id,
        portfolio_id=resource,
        owner_organization_id=state.participants.resources[resource].organisation,
        schedule=quantities(state, state.activations.schedules_w[resource]),
    )


def allocation_document(market_id: str, state: State, resource: str) -> AllocationDocument:
    """What a resource owes, and what trades against it have moved it back by."""
    unit, owed = state.participants.resources[resource], state.needs.curtailment_w[resource]
    moves = state.trades.moves_w.get(resource, (0,) * len(owed))
    back = sum(min(abs(o), abs(m)) for o, m in zip(owed, moves, strict=True) if o * m < 0)
    minutes = opened(state).mtu_minutes
    return AllocationDocument(
        market_id=market_id,
        portfolio_id=resource,
        owner_organization_id=unit.organisation,
        dso=unit.dso,
        schedule=quantities(state, owed),
        owed=Decimal(sum(map(abs, owed)) * minutes) / WATT_MINUTES_PER_MWH,
        bought_back=Decimal(back * minutes) / WATT_MINUTES_PER_MWH,
    )


def delivery_documents(market_id: str, state: State, resource: str) -> Iterator[DeliveryDocument]:
    """What a resource delivered, one document for each direction it sold in."""
    verified = state.activations.deliveries[resource]
    for delivery in verified.deliveries:
        rows = list(
            zip(delivery.ordered_w, delivery.delivered_w, verified.baseline_w, delivery.payable_ppm, strict=True)
        )
        yield DeliveryDocument(
            market_id=market_id,
            portfolio_id=resource,
            owner_organization_id=state.participants.resources[resource].organisation,
            regulation_type=REGULATIONS[delivery.regulation],
            method=str(verified.method),
            periods=tuple(
                DeliveredPeriod(
                    *period(state, span), megawatts(row[0]), megawatts(row[1]), megawatts(row[2]), Decimal(row[3]) / PPM
                )
                for row, span in _alike(rows)
                if row[0]
            ),
        )


def _alike(rows: Sequence[D]) -> Iterator[tuple[D, Span]]:
    """Equal rows that follow each other, each with its MTUs."""
    first = 0
    for mtu in range(1, len(rows) + 1):
        if mtu == len(rows) or rows[mtu] != rows[first]:
            yield rows[first], Span(first, mtu)
            first = mtu


def quantities(state: State, row: Watts) -> tuple[PeriodQuantity, ...]:
    """Watts of MTUs as periods: MTUs of one quantity in a row are one."""
    return tuple(PeriodQuantity(*period(state, span), megawatts(watts)) for watts, span in _alike(row))


def settlement_document(market_id: str, state: State, account: Account) -> SettlementDocument:
    """An account with its postings."""
    settlements = state.settlements
    own = [posting for posting in settlements.postings if posting.account == account]
    named = account.kind is AccountKind.ORGANISATION
    return SettlementDocument(
        market_id=market_id,
        account=str(account.kind),
        owner_organization_id=account.organisation if named else None,
        revision=settlements.revision,
        amount=price(settlements.balances_minor().get(account, 0)),
        currency=state.needs.currency,
        postings=tuple(PostingDocument(p.kind, major(p.amount), p.trade or None) for p in own),
    )


def verdict_document(market_id: str, state: State, answered: Answered, orders: Sequence[str]) -> VerdictDocument:
    """What owners said, to somebody who may see these orders."""
    match, verdict = answered
    day = opened(state)
    return VerdictDocument(
        market_id=market_id,
        match=match.match,
        order_ids=tuple(orders),
        asked_quantity=megawatts(match.quantity_w),
        granted_quantity=megawatts(verdict.quantity_w),
        verdicts=owner_verdicts(day, verdict.verdicts),
    )


def owner_verdicts(day: MarketDay, verdicts: Iterable[GridVerdict]) -> tuple[OwnerVerdict, ...]:
    """Each owner's answer; what binds and the headroom there, unless all is granted."""
    return tuple(
        OwnerVerdict(v.owner, str(v.decision))
        if v.decision is Decision.GRANTED
        else OwnerVerdict(
            v.owner,
            str(v.decision),
            v.element or None,
            None if v.mtu is None else utc(day.instant(v.mtu)),
            megawatts(v.headroom_w),
        )
        for v in verdicts
    )


def clearing_document(market_id: str, state: State, cleared: OrdersCleared) -> ClearingDocument:
    """A clearing, and what was traded in it."""
    trades = [trade for trade in state.trades.trades.values() if trade.match == cleared.match]
    moved = sum(trade.leg.quantity_buy_w * len(trade.leg.span) for trade in trades)
    return ClearingDocument(
        market_id=market_id,
        match=cleared.match,
        gap_ppm=cleared.gap_ppm,
        status=cleared.status,
        trades=len(trades),
        volume=Decimal(moved * opened(state).mtu_minutes) / WATT_MINUTES_PER_MWH,
        verdicts=owner_verdicts(opened(state), cleared.verdicts),
    )
