"""The whole market: `decide(state, books, command) -> events`, `evolve(state, event) -> state`.

One writer appends the events to a log; "first come" is the lower log number. Both functions are pure. `books`
is a fold of the same events, kept beside the state because it is large; `Books.rebuild(view(state))` makes
it anew. Feeding orders: after any event, as long as `has_work(state)`, decide `Advance()`.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import Any, get_args

import msgspec
from msgspec.structs import replace
from rpds import HashTrieMap, Queue

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
    tables,
    timeline,
    trades,
    waking,
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
    | waking.ReportHeadroom
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


def changing(state: State) -> State:
    """A state of one's own to fold many events with: `evolve` changes its large tables in place."""
    return _with_tables(state, tables.changing)


def settled(state: State) -> State:
    """A state that has been folded so, as every other is."""
    return _with_tables(state, tables.persistent)


def _with_tables(state: State, made: Callable[["HashTrieMap[Any, Any]"], "HashTrieMap[Any, Any]"]) -> State:
    book, traded, matching = state.orders, state.trades, state.matching
    return replace(
        state,
        orders=replace(
            book,
            orders=made(book.orders),
            digests=made(book.digests),
            open_up_w=made(book.open_up_w),
            open_down_w=made(book.open_down_w),
        ),
        trades=replace(traded, trades=made(traded.trades), moves_w=made(traded.moves_w)),
        matching=replace(matching, blocks=made(matching.blocks), awake=made(matching.awake)),
    )


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
    kinds = {type(event) for event in events}
    if trades.TradeConcluded in kinds and not isinstance(command, pool.ClearOrders):
        trade_events = tuple(event for event in events if isinstance(event, trades.TradeConcluded))
        here = view(state, books)
        events += waking.energy_freed(here, state.matching, books, trade_events)
        events += waking.minimum_met(here, state.matching, books, trade_events)
    if kinds.isdisjoint(conduct.LOOKED_AT):
        return events
    seen = conduct.Seen(state.participants, state.needs, state.orders, state.trades, state.activations)
    return events + conduct.flags(seen, state.conduct, events)


def _decided(state: State, books: Books, command: Command) -> list[Any]:
    match command:
        case Advance():
            return sweep.advance(view(state, books), state.matching, books) if has_work(state) else []
        case granting.RecordVerdict():
            return granting.record_verdict(view(state, books), command)
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
        case waking.ReportHeadroom():
            return waking.report_headroom(view(state, books), state.matching, books, command)
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
    return _EVOLVE.get(type(event), _evolve_afterwards)(state, event)


def _evolve_refused(state: State, _event: Any) -> State:
    return replace(state, events=state.events + 1)


def _evolve_matching(state: State, event: Any) -> State:
    return replace(state, events=state.events + 1, matching=meetings.evolve(state.matching, event))


def _evolve_trades(state: State, event: Any) -> State:
    after = trades.evolve(state.trades, state.needs.mtu_count, event)
    return replace(state, events=state.events + 1, trades=after)


def _evolve_met(state: State, event: Any) -> State:
    after, matching = trades.evolve(state.trades, state.needs.mtu_count, event), meetings.evolve(state.matching, event)
    return replace(state, events=state.events + 1, trades=after, matching=matching)


def _evolve_concluded(state: State, event: Any) -> State:
    book, mtu_count = state.orders, state.needs.mtu_count
    for order, quantity_w in event.fills_w.items():
        book = book.filled(state.participants, order, quantity_w, mtu_count)
    after = trades.evolve(state.trades, mtu_count, event)
    return replace(state, events=state.events + 1, orders=book, trades=after)


def _evolve_placed(state: State, event: Any) -> State:
    return replace(
        state,
        events=state.events + 1,
        orders=state.orders.placed(state.participants, event, state.needs.mtu_count),
        matching=meetings.come(state.matching, event.order),
        conduct=conduct.placed(state.conduct, event.order),
    )


def _evolve_orders(state: State, event: Any) -> State:
    after = orders.evolve(state.orders, state.participants, state.needs.mtu_count, event)
    return replace(state, events=state.events + 1, orders=after, matching=meetings.evolve(state.matching, event))


def _evolve_participants(state: State, event: Any) -> State:
    return replace(state, events=state.events + 1, participants=participants.evolve(state.participants, event))


def _evolve_needs(state: State, event: Any) -> State:
    return replace(state, events=state.events + 1, needs=needs.evolve(state.needs, event))


def _evolve_afterwards(state: State, event: Any) -> State:
    return replace(
        state,
        events=state.events + 1,
        activations=activation.evolve(state.activations, event),
        settlements=settlement.evolve(state.settlements, event),
        kpis=kpi.evolve(state.kpis, event),
        conduct=conduct.evolve(state.conduct, event),
        stages=timeline.evolve(state.stages, event),
    )


_EVOLVE: dict[type, Callable[[State, Any], State]] = {
    **dict.fromkeys(get_args(meetings.Event), _evolve_matching),
    **dict.fromkeys(get_args(trades.Event), _evolve_trades),
    **dict.fromkeys((trades.MatchProposed, trades.ReservationsReleased), _evolve_met),
    **dict.fromkeys(get_args(orders.Event), _evolve_orders),
    orders.OrderPlaced: _evolve_placed,
    **dict.fromkeys(get_args(participants.Event), _evolve_participants),
    **dict.fromkeys(get_args(needs.Event), _evolve_needs),
    trades.TradeConcluded: _evolve_concluded,
    CommandRefused: _evolve_refused,
}


def _plain(value: Any) -> Any:
    if isinstance(value, HashTrieMap):
        return dict(value.items())
    if isinstance(value, Queue):
        return list(value)
    raise TypeError(f"no canonical form for {type(value).__name__}")


_CANONICAL = msgspec.json.Encoder(enc_hook=_plain, order="deterministic", decimal_format="string")


def state_hash(state: State) -> str:
    """SHA-256 over the state's canonical JSON: sorted keys, no floats."""
    return sha256(_CANONICAL.encode(state)).hexdigest()
