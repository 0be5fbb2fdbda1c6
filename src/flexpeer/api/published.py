"""What readers see of a day: only what outlives the program. Folds of its events, published after every sync."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from flexpeer.market.granting import SILENT
from flexpeer.market.machine import Event, State
from flexpeer.market.orders import Order, OrderAmended, OrderExpired, OrderKilled, OrderPlaced, OrderWithdrawn
from flexpeer.market.reasons import CommandRefused
from flexpeer.market.trades import (
    Decision,
    GridVerdict,
    Match,
    MatchProposed,
    OrdersCleared,
    TradeConcluded,
    VerdictRecorded,
)

POINT = "#"
CHANGED = (OrderAmended, OrderWithdrawn, OrderKilled, OrderExpired)


class Answered(NamedTuple):
    """A match and what its owners said."""

    match: Match
    verdict: VerdictRecorded


class OwnerAnswers(NamedTuple):
    """How a grid owner has answered: matches it was asked about, refused or left without an answer; the last one."""

    answers: int = 0
    refused: int = 0
    silent: int = 0
    match: int | None = None
    is_silent: bool = False

    def after(self, verdict: GridVerdict, match: int) -> "OwnerAnswers":
        """With one more."""
        silent = verdict.element == SILENT
        refused = verdict.decision is Decision.REFUSED and not silent
        return OwnerAnswers(self.answers + 1, self.refused + refused, self.silent + silent, match, silent)


class Published:
    """State, events and the orders of lists of one day, as far as they are durable.

    `placed` has every order as it was first placed, `points` the order ids of each id with several price points,
    `refused` the last refusal of an order that never got in.
    """

    def __init__(self) -> None:
        self.state = State()
        self.line = 0
        self.events: list[Event] = []
        self.placed: dict[str, Order] = {}
        self.points: dict[str, list[str]] = {}
        self.by_organisation: dict[str, list[str]] = {}
        self.trades: list[str] = []
        self.clearings: list[OrdersCleared] = []
        self.answers: list[Answered] = []
        self.owners: dict[str, OwnerAnswers] = {}
        self.refused: dict[tuple[str, str], CommandRefused] = {}
        self._proposed: Match | None = None
        self._heard: dict[type, Callable[[Any], None]] = {
            OrderPlaced: self._note_order,
            CommandRefused: self._note_refused,
            TradeConcluded: self._note_trade,
            OrdersCleared: self.clearings.append,
            MatchProposed: self._note_proposed,
            VerdictRecorded: self._note_verdict,
        }

    def publish(self, state: State, line: int, events: Sequence[Event]) -> None:
        """`events` have become durable, and led to `state`."""
        self.state, self.line = state, line
        for event in events:
            heard = self._heard.get(type(event))
            if heard is not None:
                heard(event)
        self.events += events

    def ids(self, order: str) -> tuple[str, ...]:
        """The market's orders behind an id: one for each price point; none for an unknown id."""
        return tuple(self.points.get(order, ()))

    def _note_refused(self, event: CommandRefused) -> None:
        if event.command == "PlaceOrder":
            self.refused[event.sender, event.subject] = event

    def changed_after(self, n: int) -> Iterable[str]:
        """The ids of orders that came or changed after the `n`th event."""
        touched = dict.fromkeys(name for event in self.events[n:] for name in orders_of(event))
        return dict.fromkeys(name if name in self.points else name.rpartition(POINT)[0] for name in touched)

    def _note_trade(self, event: TradeConcluded) -> None:
        self.trades.append(event.trade.trade)

    def _note_proposed(self, event: MatchProposed) -> None:
        self._proposed = event.match

    def _note_verdict(self, event: VerdictRecorded) -> None:
        assert self._proposed is not None, "a verdict follows its match"
        self.answers.append(Answered(self._proposed, event))
        for verdict in event.verdicts:
            known = self.owners.get(verdict.owner, OwnerAnswers())
            self.owners[verdict.owner] = known.after(verdict, event.match)

    def _note_order(self, event: OrderPlaced) -> None:
        order = event.order
        self.placed[order.order] = order
        self.refused.pop((order.organisation, order.order), None)
        base, _, point = order.order.rpartition(POINT)
        first = self.placed.get(base)
        if first is not None and point.isdigit() and first.organisation == order.organisation:
            self.points[base].append(order.order)
            return
        self.points[order.order] = [order.order]
        self.by_organisation.setdefault(order.organisation, []).append(order.order)


def orders_of(event: Event) -> Iterable[str]:
    """The orders that an event changes."""
    match event:
        case OrderPlaced(order):
            return (order.order,)
        case TradeConcluded():
            return event.fills_w
        case _:
            return (event.order,) if isinstance(event, CHANGED) else ()
