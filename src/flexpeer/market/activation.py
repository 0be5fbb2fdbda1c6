"""Stage 7, after the market: confirmations, notices to BRPs, activation, baselines, meter, verification.

Verification per MTU: what was delivered in the ordered direction against the baseline, capped at what was
ordered; pay follows it by the rulebook's `cliff` or `proportional` rule.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace
from rpds import HashTrieMap

from flexpeer.market.needs import Needs, Watts
from flexpeer.market.orders import Side
from flexpeer.market.participants import Participants, Resource, Role
from flexpeer.market.reasons import CommandRefused, Reason
from flexpeer.market.rulebook import BaselineMethod, DeliveryRule, Rulebook
from flexpeer.market.trades import Phase, Trade, Trades
from flexpeer.quantities import PPM

MINUTES_PER_DAY = 24 * 60
ROLLING_DAYS = 5
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
    """Command: compare what a resource delivered with what was ordered."""

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


class DeliveryVerified(msgspec.Struct, frozen=True, tag=True):
    """What a resource delivered of what was ordered (both signed), and the share of pay it earned, per MTU."""

    resource: str
    method: BaselineMethod
    baseline_w: Watts
    ordered_w: Watts
    delivered_w: Watts
    payable_ppm: tuple[int, ...]


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
    confirmations = tuple(c for trade in fresh for c in _both_sides(trade, minutes) if c.order)
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


def _both_sides(trade: Trade, mtu_minutes: int) -> tuple[Confirmation, Confirmation]:
    leg, amount = trade.leg, trade.amount(mtu_minutes)
    return (
        Confirmation(
            trade.trade, trade.buyer, leg.buy, leg.buy_unit, Side.BUY, leg.quantity_buy_w, leg.price_minor, -amount,
            trade.phase,
        ),
        Confirmation(
            trade.trade, trade.seller, leg.sell, leg.sell_unit, Side.SELL, leg.quantity_sell_w, leg.price_minor, amount,
            trade.phase,
        ),
    )  # fmt: skip


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


def verify(
    participants: Participants, needs: Needs, trades: Trades, activations: Activations, command: VerifyDelivery
) -> list[Event | CommandRefused]:
    """The delivery of one resource, or why it cannot be verified."""
    resource, ordered = participants.resources.get(command.resource), trades.moves_w.get(command.resource)
    if resource is None:
        return [CommandRefused("VerifyDelivery", command.resource, Reason.UNKNOWN_RESOURCE)]
    if ordered is None or needs.day is None:
        return [CommandRefused("VerifyDelivery", command.resource, Reason.NOTHING_TRADED)]
    readings = dict(activations.meter_w.get(command.resource, ()))
    meter = [readings.get(needs.day.instant(mtu)) for mtu in range(needs.mtu_count)]
    baseline = _baseline(resource, needs, readings, ordered)
    missing = [mtu for mtu, moved in enumerate(ordered) if moved and (meter[mtu] is None or baseline[mtu] is None)]
    if missing:
        detail = needs.day.local(missing[0])
        return [CommandRefused("VerifyDelivery", command.resource, Reason.NO_METER_READING, detail)]
    measured = [m or 0 for m in meter]
    reference = [b or 0 for b in baseline]
    delivered = tuple(
        _delivered(resource.baseline, ordered[mtu], reference[mtu], measured[mtu]) for mtu in range(needs.mtu_count)
    )
    payable = tuple(payable_ppm(needs.rulebook, o, d) for o, d in zip(ordered, delivered, strict=True))
    return [DeliveryVerified(resource.resource, resource.baseline, tuple(reference), ordered, delivered, payable)]


def _delivered(method: BaselineMethod, ordered_w: int, baseline_w: int, meter_w: int) -> int:
    """What counts as delivered: in the ordered direction, at most what was ordered (signed)."""
    sign = 1 if ordered_w > 0 else -1
    moved = max(0, min(abs(ordered_w), sign * (meter_w - baseline_w)))
    if method is BaselineMethod.CAPACITY and moved < abs(ordered_w):
        return 0
    return sign * moved if ordered_w else 0


def payable_ppm(rulebook: Rulebook, ordered_w: int, delivered_w: int) -> int:
    """The share of pay a delivery earns: everything or nothing at the cliff, or in proportion (rounded down)."""
    if ordered_w == 0:
        return PPM
    if rulebook.delivery_rule is DeliveryRule.CLIFF:
        return PPM if abs(delivered_w) * 100 >= rulebook.cliff_percent * abs(ordered_w) else 0
    return PPM * abs(delivered_w) // abs(ordered_w)


def _baseline(resource: Resource, needs: Needs, readings_w: dict[int, int], ordered_w: Watts) -> Sequence[int | None]:
    """What the resource would have done, per MTU; None where readings it needs are missing."""
    match resource.baseline:
        case BaselineMethod.PLAN | BaselineMethod.CAPACITY:
            return needs.start_w(resource.resource)
        case BaselineMethod.ZERO:
            return (0,) * needs.mtu_count
        case BaselineMethod.MBMA:
            return _before_and_after(needs, readings_w, ordered_w)
        case BaselineMethod.ROLLING:
            return _rolling(needs, readings_w)


def _before_and_after(needs: Needs, readings_w: dict[int, int], ordered_w: Watts) -> list[int | None]:
    """Mean of the meter in the MTU before and the MTU after each unbroken run of ordered MTUs."""
    assert needs.day is not None, "a day was opened before anything was ordered"
    baseline: list[int | None] = [0] * needs.mtu_count
    first = None
    for mtu in range(needs.mtu_count + 1):
        runs_on = mtu < needs.mtu_count and ordered_w[mtu] != 0
        if runs_on and first is None:
            first = mtu
        elif not runs_on and first is not None:
            ends = [readings_w.get(needs.day.instant(edge)) for edge in (first - 1, mtu)]
            known = [end for end in ends if end is not None]
            baseline[first:mtu] = [sum(known) // 2 if len(known) == 2 else None] * (mtu - first)
            first = None
    return baseline


def _rolling(needs: Needs, readings_w: dict[int, int]) -> list[int | None]:
    """Mean of the same time on the last five days of the same type (working day or weekend) before delivery."""
    assert needs.day is not None, "a day was opened before anything was ordered"
    weekend = needs.day.delivery_day.weekday() >= SATURDAY
    back = [days for days in range(1, 29) if ((needs.day.delivery_day.weekday() - days) % 7 >= SATURDAY) == weekend]
    rows = [
        [readings_w.get(needs.day.instant(mtu) - days * MINUTES_PER_DAY) for mtu in range(needs.mtu_count)]
        for days in back
    ]
    full = [row for row in rows if None not in row][:ROLLING_DAYS]
    if len(full) < ROLLING_DAYS:
        return [None] * needs.mtu_count
    return [sum(row[mtu] or 0 for row in full) // ROLLING_DAYS for mtu in range(needs.mtu_count)]


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
