"""Stage 7, after the market: confirmations, notices to BRPs, activation, baselines, meter, verification.

Verification per MTU and direction: what was sold UP and what was sold DOWN are two deliveries. Each is how far the
meter is, in its direction, from the baseline with everything else that the resource traded, and at most what was sold:
who keeps its schedule delivers all of both. Pay follows it by the rulebook's `cliff` or `proportional` rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
from msgspec.structs import replace
from rpds import HashTrieMap

from flexpeer.market.needs import Needs, Regulation, Watts
from flexpeer.market.orders import Orders, Side
from flexpeer.market.participants import Participants, Resource, Role
from flexpeer.market.reasons import CommandRefused, Reason
from flexpeer.market.rulebook import BaselineMethod, DeliveryRule, Rulebook
from flexpeer.market.trades import Phase, Trade, Trades
from flexpeer.quantities import PPM

ROLLING_DAYS = 5
WEEKS_BACK = 4
SATURDAY = 5


Readings = tuple[tuple[int, int], ...]


class Confirmation(msgspec.Struct, frozen=True):
    """The message of step 3 to one side of a trade. `remuneration` is exact money, positive to receive."""

    trade: str
    organisation: str
    order: str
    unit: str
    side: Side
    quantity_w: int
    price_minor: int
    remuneration: int
    phase: Phase


class ConfirmTrades(msgspec.Struct, frozen=True, tag=True):
    """Command: tell both sides of every trade not yet confirmed, and the BRPs."""

    at: int


class IssueActivations(msgspec.Struct, frozen=True, tag=True):
    """Command: give every resource that traded or is curtailed its schedule."""


class RecordMeter(msgspec.Struct, frozen=True, tag=True):
    """Command: mean watts a resource injected, by the instant its MTU starts."""

    resource: str
    readings_w: dict[int, int]


class VerifyDelivery(msgspec.Struct, frozen=True, tag=True):
    """Command: compare what a resource delivered with what it sold."""

    resource: str


class TradesConfirmed(msgspec.Struct, frozen=True, tag=True):
    """Both sides of these trades have their confirmations."""

    at: int
    confirmations: tuple[Confirmation, ...]


class BrpNotified(msgspec.Struct, frozen=True, tag=True):
    """A BRP (empty: the FSP's own, not registered here) knows what an FSP's resources move, per MTU."""

    brp: str
    fsp: str
    moves_w: Watts


class ActivationIssued(msgspec.Struct, frozen=True, tag=True):
    """A resource has its schedule and its frozen baseline plan."""

    resource: str
    schedule_w: Watts
    plan_w: Watts


class MeterRecorded(msgspec.Struct, frozen=True, tag=True):
    """Meter readings of a resource: instants and watts, in order of time."""

    resource: str
    readings_w: Readings


class Delivery(msgspec.Struct, frozen=True):
    """What a resource sold in one direction, what it delivered of it (W), and the share of pay that earned, per MTU.

    `metered_w` is what the meter alone shows of it, beside the MTUs before and after; None where these are not read.
    """

    regulation: Regulation
    ordered_w: Watts
    delivered_w: Watts
    metered_w: tuple[int | None, ...]
    payable_ppm: tuple[int, ...]


class DeliveryVerified(msgspec.Struct, frozen=True, tag=True):
    """What a resource delivered, against its baseline (W per MTU), in each direction it sold in."""

    resource: str
    method: BaselineMethod
    baseline_w: Watts
    deliveries: tuple[Delivery, ...]

    def payable_ppm(self, regulation: Regulation, mtu: int) -> int:
        """The share of pay earned in a direction and MTU; all of it where nothing was sold."""
        return next((d.payable_ppm[mtu] for d in self.deliveries if d.regulation is regulation), PPM)


Command = ConfirmTrades | IssueActivations | RecordMeter | VerifyDelivery
Event = TradesConfirmed | BrpNotified | ActivationIssued | MeterRecorded | DeliveryVerified


class Activations(msgspec.Struct, frozen=True):
    """What was confirmed, ordered, metered and verified."""

    confirmations: tuple[Confirmation, ...] = ()
    schedules_w: HashTrieMap[str, Watts] = HashTrieMap()
    meter_w: HashTrieMap[str, Readings] = HashTrieMap()
    deliveries: HashTrieMap[str, DeliveryVerified] = HashTrieMap()


def confirm(
    participants: Participants, needs: Needs, trades: Trades, activations: Activations, command: ConfirmTrades
) -> list[Event]:
    """Confirmations of new trades, to buyer and seller but not the pool, and a notice per FSP that moves anything."""
    told = {confirmation.trade for confirmation in activations.confirmations}
    minutes = needs.day.mtu_minutes if needs.day else 0
    fresh = sorted((trade for name, trade in trades.trades.items() if name not in told), key=_log_order)
    confirmations = tuple(c for trade in fresh for c in _sides(trade, minutes))
    if not confirmations:
        return []
    brps = sorted(o.organisation for o in participants.organisations.values() if o.role is Role.BRP)
    moved: dict[str, list[int]] = {}
    for name, moves in trades.moves_w.items():
        row = moved.setdefault(participants.resources[name].organisation, [0] * needs.mtu_count)
        row[:] = [r + m for r, m in zip(row, moves, strict=True)]
    notices = [BrpNotified(brps[0] if brps else "", fsp, tuple(row)) for fsp, row in sorted(moved.items())]
    return [TradesConfirmed(command.at, confirmations), *notices]


def _log_order(trade: Trade) -> tuple[int, int, str]:
    return trade.match, len(trade.trade), trade.trade


def _sides(trade: Trade, mtu_minutes: int) -> Iterator[Confirmation]:
    leg, amount = trade.leg, trade.amount(mtu_minutes)
    name, price, phase = trade.trade, leg.price_minor, trade.phase
    if trade.buyer is not None:
        quantity = leg.quantity_buy_w
        yield Confirmation(name, trade.buyer, leg.buy, leg.buy_unit, Side.BUY, quantity, price, -amount, phase)
    if trade.seller is not None:
        quantity = leg.quantity_sell_w
        yield Confirmation(name, trade.seller, leg.sell, leg.sell_unit, Side.SELL, quantity, price, amount, phase)


def issue(needs: Needs, trades: Trades, activations: Activations) -> list[Event]:
    """The schedule of every resource whose starting point or trades differ from its plan, once."""
    zeros = (0,) * needs.mtu_count
    names = sorted({*trades.moves_w, *needs.curtailment_w} - {*activations.schedules_w})
    events: list[Event] = []
    for name in names:
        start = needs.start_w(name)
        schedule = tuple(s + m for s, m in zip(start, trades.moves_w.get(name, zeros), strict=True))
        events.append(ActivationIssued(name, schedule, start))
    return events


def record_meter(participants: Participants, command: RecordMeter) -> list[Event | CommandRefused]:
    """Readings of a known resource."""
    if command.resource not in participants.resources:
        return [CommandRefused("RecordMeter", command.resource, Reason.UNKNOWN_RESOURCE)]
    return [MeterRecorded(command.resource, tuple(sorted(command.readings_w.items())))]


def sellers(participants: Participants, trades: Trades) -> list[str]:
    """The resources that sold anything, by name."""
    units = {trade.leg.sell_unit for trade in trades.trades.values()}
    return sorted({member.resource for unit in units for member in participants.members(unit)})


def reversed_w(orders: Orders, trades: Trades) -> dict[str, int]:
    """What was taken back of each order in the clearing, in which it acted on the other side."""
    back: dict[str, int] = {}
    for trade in trades.trades.values():
        for party in trade.leg.parties if trade.phase is Phase.CLEARING else ():
            if party.acts is not orders.orders[party.order].side:
                back[party.order] = back.get(party.order, 0) + party.quantity_w
    return back


def sales_w(
    participants: Participants, orders: Orders, trades: Trades, resource: str, mtu_count: int
) -> dict[Regulation, Watts]:
    """What a resource sold in each direction (W per MTU): its SELLs, and what it gave back of its BUYs."""
    units = {resource, *(name for name, portfolio in participants.portfolios.items() if resource in portfolio.members)}
    reverse = reversed_w(orders, trades)
    rows = {regulation: [0] * mtu_count for regulation in Regulation}
    for order in orders.orders.values():
        if order.unit not in units or not (order.executed_w if order.side is Side.SELL else order.order in reverse):
            continue
        after = participants.shares(order.unit, order.executed_w)[resource]
        sold, regulation = after, order.regulation
        if order.side is Side.BUY:
            before = participants.shares(order.unit, order.executed_w + reverse[order.order])[resource]
            sold, regulation = before - after, order.regulation.opposite
        for mtu in order.span.mtus:
            rows[regulation][mtu] += sold
    return {regulation: tuple(row) for regulation, row in rows.items() if any(row)}


def verify(
    participants: Participants,
    needs: Needs,
    orders: Orders,
    trades: Trades,
    activations: Activations,
    command: VerifyDelivery,
) -> list[Event | CommandRefused]:
    """The deliveries of one resource, or why they cannot be verified."""
    resource, day = participants.resources.get(command.resource), needs.day
    if resource is None:
        return [CommandRefused("VerifyDelivery", command.resource, Reason.UNKNOWN_RESOURCE)]
    sold = sales_w(participants, orders, trades, resource.resource, needs.mtu_count)
    if not sold or day is None:
        return [CommandRefused("VerifyDelivery", command.resource, Reason.NOTHING_SOLD)]
    readings = dict(activations.meter_w.get(command.resource, ()))
    meter = [readings.get(day.instant(mtu)) for mtu in range(needs.mtu_count)]
    moves = trades.moves_w[resource.resource]
    traded = [bool(moves[mtu]) or any(row[mtu] for row in sold.values()) for mtu in range(needs.mtu_count)]
    baseline = _baseline(resource, needs, readings, traded)
    selling = [mtu for mtu in range(needs.mtu_count) if any(row[mtu] for row in sold.values())]
    missing = [mtu for mtu in selling if meter[mtu] is None or baseline[mtu] is None]
    if missing:
        return [CommandRefused("VerifyDelivery", command.resource, Reason.NO_METER_READING, day.local(missing[0]))]
    around = _before_and_after(needs, readings, traded)
    found = tuple(
        _delivery(needs.rulebook, resource.baseline, (regulation, row, moves), meter, (baseline, around))
        for regulation, row in sold.items()
    )
    return [DeliveryVerified(resource.resource, resource.baseline, tuple(b or 0 for b in baseline), found)]


def _delivery(
    rulebook: Rulebook,
    method: BaselineMethod,
    sale: tuple[Regulation, Watts, Watts],
    meter_w: Sequence[int | None],
    references_w: tuple[Sequence[int | None], Sequence[int | None]],
) -> Delivery:
    """The delivery of a `sale`: its direction, watts, and all moves of the resource (signed).

    It is measured against two references: the baseline, and what the meter reads around it.
    """
    regulation, ordered, moves = sale
    by_baseline, by_meter = (
        [_moved(regulation.sign, *each) for each in zip(ordered, moves, meter_w, reference, strict=True)]
        for reference in references_w
    )
    delivered = tuple(moved or 0 for moved in by_baseline)
    if method is BaselineMethod.CAPACITY:
        delivered = tuple(d if d == o else 0 for d, o in zip(delivered, ordered, strict=True))
    payable = tuple(payable_ppm(rulebook, o, d) for o, d in zip(ordered, delivered, strict=True))
    return Delivery(regulation, ordered, delivered, tuple(by_meter), payable)


def _moved(sign: int, ordered_w: int, moves_w: int, meter_w: int | None, reference_w: int | None) -> int | None:
    """How far the meter is, towards `sign`, from the reference with all other moves; at most what was ordered."""
    if not ordered_w:
        return 0
    if meter_w is None or reference_w is None:
        return None
    without_it = reference_w + moves_w - sign * ordered_w
    return max(0, min(ordered_w, sign * (meter_w - without_it)))


def payable_ppm(rulebook: Rulebook, ordered_w: int, delivered_w: int) -> int:
    """The share of pay a delivery earns: everything or nothing at the cliff, or in proportion (rounded down)."""
    if ordered_w == 0:
        return PPM
    if rulebook.delivery_rule is DeliveryRule.CLIFF:
        return PPM if delivered_w * 100 >= rulebook.cliff_percent * ordered_w else 0
    return PPM * delivered_w // ordered_w


def _baseline(
    resource: Resource, needs: Needs, readings_w: dict[int, int], traded: Sequence[bool]
) -> Sequence[int | None]:
    """What the resource would have done, per MTU; None where readings it needs are missing."""
    match resource.baseline:
        case BaselineMethod.PLAN | BaselineMethod.CAPACITY:
            return needs.start_w(resource.resource)
        case BaselineMethod.ZERO:
            return (0,) * needs.mtu_count
        case BaselineMethod.MBMA:
            return _before_and_after(needs, readings_w, traded)
        case BaselineMethod.ROLLING:
            return _rolling(needs, readings_w)


def _before_and_after(needs: Needs, readings_w: dict[int, int], traded: Sequence[bool]) -> list[int | None]:
    """Mean of the meter in the MTU before and the MTU after each unbroken run of traded MTUs."""
    assert needs.day is not None, "a day was opened before anything was ordered"
    baseline: list[int | None] = [0] * needs.mtu_count
    first = None
    for mtu in range(needs.mtu_count + 1):
        runs_on = mtu < needs.mtu_count and traded[mtu]
        if runs_on and first is None:
            first = mtu
        elif not runs_on and first is not None:
            ends = [readings_w.get(needs.day.instant(edge)) for edge in (first - 1, mtu)]
            known = [end for end in ends if end is not None]
            baseline[first:mtu] = [sum(known) // 2 if len(known) == 2 else None] * (mtu - first)
            first = None
    return baseline


def past_days_w(needs: Needs, readings_w: dict[int, int], mtus: Sequence[int]) -> list[list[int]]:
    """Readings at the same local times on earlier days of the same type (working day or weekend), latest first.

    Four weeks back; days with a reading at every one of `mtus` only.
    """
    assert needs.day is not None, "a day was opened before anything was ordered"
    weekday = needs.day.delivery_day.weekday()
    back = [days for days in range(1, 7 * WEEKS_BACK + 1) if _weekend(weekday - days) == _weekend(weekday)]
    rows = ([readings_w.get(needs.day.earlier(mtu, days)) for mtu in mtus] for days in back)
    return [[watts for watts in row if watts is not None] for row in rows if None not in row]


def _weekend(weekday: int) -> bool:
    return weekday % 7 >= SATURDAY


def _rolling(needs: Needs, readings_w: dict[int, int]) -> list[int | None]:
    """Mean of the same local time on the last five days of the same type before delivery."""
    full = past_days_w(needs, readings_w, range(needs.mtu_count))[:ROLLING_DAYS]
    if len(full) < ROLLING_DAYS:
        return [None] * needs.mtu_count
    return [sum(column) // ROLLING_DAYS for column in zip(*full, strict=True)]


def evolve(activations: Activations, event: object) -> Activations:
    """What is known after an event."""
    match event:
        case TradesConfirmed(_, confirmations):
            return replace(activations, confirmations=(*activations.confirmations, *confirmations))
        case ActivationIssued(resource, schedule_w):
            return replace(activations, schedules_w=activations.schedules_w.insert(resource, schedule_w))
        case MeterRecorded(resource, readings_w):
            merged = dict((*activations.meter_w.get(resource, ()), *readings_w))
            return replace(activations, meter_w=activations.meter_w.insert(resource, tuple(sorted(merged.items()))))
        case DeliveryVerified():
            return replace(activations, deliveries=activations.deliveries.insert(event.resource, event))
        case _:
            return activations
