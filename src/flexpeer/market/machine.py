"""The whole market: `decide(state, books, command) -> events`, `evolve(state, event) -> state`.

One writer appends the events to a log; "first come" is the lower log number. Both functions are pure. `books`
is a fold of the same events, kept beside the state because it is large; `Books.rebuild(view(state))` makes
it anew. Feeding orders: after any event, as long as `has_work(state)`, decide `Advance()`.
"""

from hashlib import sha256
from typing import Any

import msgspec
from msgspec.structs import replace
from rpds import HashTrieMap

from flexpeer.market import (
    activation,
    conduct,
    door,
    granting,
    kpi,
    needs,
    orders,
    participants,
    pool,
    purchase,
    settlement,
    timeline,
    trades,
)
from flexpeer.market.activation import Activations
from flexpeer.market.conduct import Conduct
from flexpeer.market.kpi import Kpis
from flexpeer.market.matching import meetings, sweep
from flexpeer.market.matching.books import Books
from flexpeer.market.matching.meetings import Matching
from flexpeer.market.matching.view import View
from flexpeer.market.needs import Needs
from flexpeer.market.orders import Orders
from flexpeer.market.participants import Participants
from flexpeer.market.places import Places
from flexpeer.market.reasons import CommandRefused, Reason
from flexpeer.market.settlement import Settlements
from flexpeer.market.timeline import Stages
from flexpeer.market.trades import Trades


class Advance(msgspec.Struct, frozen=True, tag=True):
    """Command: take the next step of the sweep under way."""


Command = (
    participants.Command
    | needs.Command
    | orders.PlaceOrder
    | orders.AmendOrder
    | orders.WithdrawOrder
    | orders.OpenGate
    | orders.CloseGate
    | granting.RecordVerdict
    | granting.ReportHeadroom
    | Advance
    | pool.ClearOrders
    | purchase.PurchaseResidual
    | purchase.ExpireOrders
    | activation.Command
    | settlement.Settle
    | kpi.ReportKpis
    | timeline.ReachStage
)
Event = (
    participants.Event
    | needs.Event
    | orders.Event
    | trades.Event
    | meetings.Event
    | activation.Event
    | settlement.SettlementIssued
    | kpi.KpisReported
    | conduct.ConductFlagged
    | timeline.StageReached
    | CommandRefused
)


class State(msgspec.Struct, frozen=True):
    """Everything the log says, a slice for each stage; `events` counts them."""

    events: int = 0
    participants: Participants = Participants()
    needs: Needs = Needs()
    orders: Orders = Orders()
    trades: Trades = Trades()
    matching: Matching = Matching()
    activations: Activations = Activations()
    settlements: Settlements = Settlements()
    kpis: Kpis = Kpis()
    conduct: Conduct = Conduct()
    stages: Stages = Stages()


def view(state: State, books: Books | None = None) -> View:
    """What matching sees of a state; `books` remember what has been derived of places."""
    places = Places(state.participants, state.needs) if books is None else books.places
    here = places.current(state.participants, state.needs)
    return View(state.participants, state.needs, state.orders, state.trades, here)


def has_work(state: State) -> bool:
    """Whether an order waits for the next step of its sweep (and not for a verdict)."""
    matching = state.matching
    waits = bool(matching.waiting) or bool(matching.sweeping) or bool(matching.awake)
    return waits and state.trades.pending is None


def decide(state: State, books: Books, command: Command) -> list[Event]:
    """The events a command leads to; a refusal is an event too. Nothing changes."""
    events = _decided(state, books, command)
    trade_events = tuple(event for event in events if isinstance(event, trades.TradeConcluded))
    if trade_events and not isinstance(command, pool.ClearOrders):
        here = view(state, books)
        events += granting.energy_freed(here, state.matching, books, trade_events)
        events += granting.minimum_met(here, state.matching, books, trade_events)
    seen = conduct.Seen(state.participants, state.needs, state.orders, state.trades, state.activations)
    return events + conduct.flags(seen, state.conduct, events)


def _decided(state: State, books: Books, command: Command) -> list[Any]:
    match command:
        case needs.OpenDay() | needs.PublishForecast() | needs.AnnounceOutage() | needs.DefineCongestionPoint():
            return needs.decide(state.needs, state.participants, _frozen(state), command)
        case (
            needs.PublishImpactFactors()
            | needs.PublishNeed()
            | needs.AllocateCurtailment()
            | needs.ImposeCurtailment()
            | needs.CurtailResources()
        ):
            return needs.decide(state.needs, state.participants, _frozen(state), command)
        case (
            orders.PlaceOrder() | orders.AmendOrder() | orders.WithdrawOrder() | orders.OpenGate() | orders.CloseGate()
        ):
            return _at_the_door(state, books, command)
        case Advance():
            return sweep.advance(view(state, books), state.matching, books) if has_work(state) else []
        case granting.RecordVerdict():
            return granting.record_verdict(view(state, books), command)
        case granting.ReportHeadroom():
            return granting.report_headroom(view(state, books), state.matching, books, command)
        case pool.ClearOrders():
            return _busy(state, command) or pool.clear(view(state), command)
        case purchase.PurchaseResidual():
            return _busy(state, command) or purchase.purchase(view(state), command)
        case purchase.ExpireOrders():
            return _busy(state, command) or purchase.expire(state.orders)
        case _:
            return _afterwards(state, command)


def _afterwards(state: State, command: Command) -> list[Any]:
    match command:
        case activation.ConfirmTrades():
            return activation.confirm(state.participants, state.needs, state.trades, state.activations, command)
        case activation.IssueActivations():
            return activation.issue(state.needs, state.trades, state.activations)
        case activation.RecordMeter():
            return activation.record_meter(state.participants, command)
        case activation.VerifyDelivery():
            return activation.verify(
                state.participants, state.needs, state.orders, state.trades, state.activations, command
            )
        case settlement.Settle():
            return settlement.settle(
                state.participants, state.needs, state.orders, state.trades, state.activations, state.settlements
            )
        case kpi.ReportKpis():
            return kpi.report(facts(state), command)
        case timeline.ReachStage():
            return _busy(state, command) or timeline.reach(state.stages, command)
        case _:
            return participants.decide(state.participants, command)  # type: ignore[arg-type]


def facts(state: State) -> kpi.Facts:
    """What a report sees of a state."""
    return kpi.Facts(state.participants, state.needs, state.orders, state.trades, state.activations, state.settlements)


def _frozen(state: State) -> bool:
    return state.orders.gate is orders.Gate.CLOSED


def _busy(state: State, command: Command) -> list[CommandRefused]:
    busy = state.trades.pending is not None or has_work(state)
    return [CommandRefused(type(command).__name__, "", Reason.MATCH_PENDING)] if busy else []


def _waits(state: State, command: Command) -> list[CommandRefused]:
    """Why a command cannot be taken now: an order's sweep or match is under way, or for the gate anybody's.

    Orders are taken at any time; they have come, and wait.
    """
    match command:
        case orders.PlaceOrder():
            return []
        case orders.AmendOrder() | orders.WithdrawOrder():
            meets = state.matching.sweeping == command.order or command.order in state.trades.met
            comes = isinstance(command, orders.AmendOrder) and command.order in state.matching.waiting
            kind = type(command).__name__
            refused = CommandRefused(kind, command.order, Reason.MATCH_PENDING, "", command.organisation)
            return [refused] if meets or comes else []
        case _:
            return _busy(state, command)


def _at_the_door(state: State, books: Books, command: Command) -> list[Any]:
    places = books.places.current(state.participants, state.needs)
    here = door.Door(state.participants, state.needs, state.orders, state.trades.moves_w, places)
    refused = _waits(state, command)
    if refused:
        return [*refused]
    match command:
        case orders.PlaceOrder():
            return door.place(here, command)
        case orders.AmendOrder():
            return door.amend(here, command)
        case orders.WithdrawOrder():
            return door.withdraw(here, command)
        case _:
            return door.move_gate(here, command)  # type: ignore[arg-type]


def evolve(state: State, event: Event) -> State:
    """The state after an event."""
    count, mtu_count = state.events + 1, state.needs.mtu_count
    if isinstance(event, meetings.Event):
        return replace(state, events=count, matching=meetings.evolve(state.matching, event))
    if isinstance(event, CommandRefused):
        return replace(state, events=count)
    match event:
        case trades.TradeConcluded():
            book = state.orders
            for order, quantity_w in event.fills_w.items():
                book = book.filled(state.participants, order, quantity_w, mtu_count)
            return replace(state, events=count, orders=book, trades=trades.evolve(state.trades, mtu_count, event))
        case trades.MatchProposed() | trades.VerdictRecorded() | trades.MatchReserved() | trades.ReservationsReleased():
            matching = meetings.evolve(state.matching, event)
            return replace(state, events=count, trades=trades.evolve(state.trades, mtu_count, event), matching=matching)
        case trades.OrdersCleared():
            return replace(state, events=count, trades=trades.evolve(state.trades, mtu_count, event))
    if isinstance(event, orders.Event):
        after = orders.evolve(state.orders, state.participants, mtu_count, event)
        matching, flagged = meetings.evolve(state.matching, event), conduct.evolve(state.conduct, event)
        return replace(state, events=count, orders=after, matching=matching, conduct=flagged)
    if isinstance(event, participants.Event):
        return replace(state, events=count, participants=participants.evolve(state.participants, event))
    if isinstance(event, needs.Event):
        return replace(state, events=count, needs=needs.evolve(state.needs, event))
    return replace(
        state,
        events=count,
        activations=activation.evolve(state.activations, event),
        settlements=settlement.evolve(state.settlements, event),
        kpis=kpi.evolve(state.kpis, event),
        conduct=conduct.evolve(state.conduct, event),
        stages=timeline.evolve(state.stages, event),
    )


def _plain(value: Any) -> Any:
    if isinstance(value, HashTrieMap):
        return dict(value.items())
    raise TypeError(f"no canonical form for {type(value).__name__}")


_CANONICAL = msgspec.json.Encoder(enc_hook=_plain, order="deterministic", decimal_format="string")


def state_hash(state: State) -> str:
    """SHA-256 over the state's canonical JSON: sorted keys, no floats."""
    return sha256(_CANONICAL.encode(state)).hexdigest()
