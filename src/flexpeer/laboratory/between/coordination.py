"""The market operator's side of a clearing between organisations.

Price-Newton's loop is the same as in one process (`clearing.price_newton`); its system asks DSOs instead of areas in
memory. When a DSO does not answer in time, or has lost the thread, the run begins again with whoever answers then; a
DSO that has brought `CHANCES` runs to nothing, or answers what cannot be, is asked no more. Borders to those without a
part carry what they do without trade, and what is below such a border clears as a tree of its own.

The end has two phases: everybody holds what it finished; the decision is written down; then they hear that it stands.
A market operator that was ended and finds a decision in its journal delivers it and decides nothing anew. No question
waits longer than the transport's time-out, and a run begins at most 1 + `CHANCES` times the number of DSOs.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from flexpeer.clearing.layout import scale_of
from flexpeer.clearing.price_newton import Progress, Tolerance, solve
from flexpeer.clearing.problem import Flags, Floats
from flexpeer.laboratory.between.area_node import OFFER_ROWS
from flexpeer.laboratory.between.border_numbers import unpacked
from flexpeer.laboratory.between.border_relay import Areas, Interrupted, Relay
from flexpeer.laboratory.between.borders import AreaAnswer, BeginRun, Close, Pass
from flexpeer.laboratory.engines.part_sweeps import nothing
from flexpeer.laboratory.engines.shares import Outline

NOBODY = "no organisation answers"
CHANCES = 3
JOINT_RELATIVE = 1e-7


class BorderSystem:
    """All periods' devices behind borders; `settle` has to be called when the loop has ended.

    `offers` (3, periods) are sums over all bids of those who take part.
    """

    def __init__(self, relay: Relay, offers: Floats) -> None:
        self._relay, periods = relay, relay.outline.periods
        price, kw, count = offers
        typical = scale_of(price / np.maximum(1.0, count))
        relay.up(Pass.SURVEY, typical[None])
        idle, rows = relay.down(Pass.SURVEY).sums
        self._rows = 2.0 * rows
        self.tolerance = Tolerance.of(JOINT_RELATIVE, idle, typical * kw, np.zeros(periods))
        self._pending = nothing(periods)
        self._lanes: Flags = np.ones(periods, dtype=np.bool_)
        self._gap, self._cost = np.zeros(periods), np.zeros(periods)

    @property
    def size(self) -> Floats:
        """Products v z and s y of each period."""
        return np.asarray(self._rows)

    def gather(self) -> tuple[Floats, Floats]:
        """Complementarity gap and cost; a period that no longer moves keeps its own."""
        gap, cost = self._relay.up(Pass.PREDICT, self._pending, self._lanes).sums
        self._pending = self._pending[:0]
        self._gap, self._cost = np.where(self._lanes, gap, self._gap), np.where(self._lanes, cost, self._cost)
        return self._gap, self._cost

    def predict(self) -> tuple[Floats, Floats, Floats]:
        """Linear and product sums of the affine step, and its reach."""
        (linear, product), reach = self._relay.down(Pass.PREDICT, self._lanes)
        return linear, product, reach.ravel()

    def correct(self, aim: Floats) -> Floats:
        """Reach of the corrected step."""
        self._relay.up(Pass.CORRECT, aim[None], self._lanes)
        return self._relay.down(Pass.CORRECT, self._lanes).most.ravel()

    def advance(self, aim: Floats, length: Floats) -> None:
        """Taken with the next question, by those who know the aim; periods that have arrived are asked no more."""
        del aim
        self._pending = length.reshape(2, -1)
        self._lanes = np.asarray(self._pending.any(axis=0))

    def settle(self) -> None:
        """Let a last step be taken."""
        if len(self._pending):
            self.gather()


@dataclass(frozen=True)
class JointOutcome:
    """What the market operator knows of a run: money per day, kW, who took no part, and how it ended.

    The certificate's figures are of the organisations that took part; the others' part is worth what it is without
    trade, and what it would have gained is not in the gap. `unconfirmed` did not confirm that it stands.
    """

    accepted: bool
    status: str
    steps: int = 0
    objective: float = 0.0
    dual_bound: float = 0.0
    no_trade_objective: float = 0.0
    relief_kw: float = 0.0
    max_violation_kw: float = 0.0
    silent: Sequence[str] = ()
    unconfirmed: Sequence[str] = ()

    @property
    def gap(self) -> float:
        """How far the outcome can be from the optimum of those who took part."""
        return self.objective - self.dual_bound


@dataclass(frozen=True)
class RunDecision:
    """How run `deal` ended: at which DSOs it stands, and who has confirmed that it knows."""

    deal: int
    outcome: JointOutcome
    stands: Sequence[str]
    confirmed: Sequence[str] = ()


class DecisionJournal(Protocol):
    """Where the market operator's decision is kept, or none; runs are numbered from `run`, never one twice."""

    run: int

    def decided(self) -> RunDecision | None:
        """What was written last."""

    def write(self, decision: RunDecision) -> None:
        """Replace it; done for good when this returns."""


class Unwritten:
    """A journal that lasts as long as the process."""

    def __init__(self, run: int = 0) -> None:
        self.run = run
        self._decision: RunDecision | None = None

    def decided(self) -> RunDecision | None:
        """What was written last."""
        return self._decision

    def write(self, decision: RunDecision) -> None:
        """Replace it."""
        self._decision = decision


def newton(relay: Relay, offers: Floats) -> Progress:
    """Prices and steps, not yet in whole watts; they are at the DSOs."""
    system = BorderSystem(relay, offers)
    progress = solve(system, system.tolerance)
    system.settle()
    return progress


def price(relay: Relay) -> None:
    """Every bus learns its price."""
    relay.up(Pass.PRICE)
    relay.down(Pass.PRICE)


def clear_together(
    outline: Outline, areas: Areas, tell: Callable[[str], None], journal: DecisionJournal | None = None
) -> JointOutcome:
    """Clear, and see that everybody knows how it ended; if the journal has it already, only that."""
    journal = Unwritten() if journal is None else journal
    decision = journal.decided()
    if decision is None:
        decision = _agreed(outline, areas, tell, journal.run)
        if decision.outcome.accepted:
            journal.write(decision)
    return _delivered(outline, areas, decision, journal)


def _agreed(outline: Outline, areas: Areas, tell: Callable[[str], None], run: int) -> RunDecision:
    """Begin as often as organisations fall silent; whoever has chances left is asked each time."""
    chances = dict.fromkeys(outline.dsos, CHANCES)
    for deal in itertools.count(run + 1):
        present, offers = begin(outline, areas, deal, [dso for dso in outline.dsos if chances[dso]])
        silent = tuple(dso for dso in outline.dsos if dso not in present)
        if not present:
            break
        try:
            return RunDecision(deal, _attempt(Relay(outline, areas, present), offers, silent), present)
        except Interrupted as found:
            tell(f"begun again: {found}")
            chances |= {dso: chances[dso] - 1 for dso in found.lost} | dict.fromkeys(found.wrong, 0)
    return RunDecision(deal, JointOutcome(False, NOBODY, silent=silent), ())


def begin(outline: Outline, areas: Areas, deal: int, asked: Sequence[str]) -> tuple[Sequence[str], Floats]:
    """Who takes part in a run, and what they offer together (3, periods)."""
    replies = areas.ask([(dso, BeginRun(deal)) for dso in asked])
    present, offers = list[str](), np.zeros((OFFER_ROWS, outline.periods))
    for dso, reply in zip(asked, replies, strict=True):
        rows = unpacked(reply.sums, outline.periods, None) if isinstance(reply, AreaAnswer) else None
        if rows is not None and len(rows) == OFFER_ROWS:
            present.append(dso)
            offers += rows
    return present, offers


def _attempt(relay: Relay, offers: Floats, silent: Sequence[str]) -> JointOutcome:
    progress = newton(relay, offers)
    price(relay)
    relay.up(Pass.FINISH)
    sums, most = relay.down(Pass.FINISH)
    objective, bound, without, relief = (float(value) for value in sums[:, 0])
    status, violation = progress.status.value, float(most[0, 0])
    return JointOutcome(True, status, progress.steps, objective, bound, without, relief, violation, silent)


def _delivered(outline: Outline, areas: Areas, decision: RunDecision, journal: DecisionJournal) -> JointOutcome:
    """Tell whoever has not confirmed whether it stands; a silent one, should it hear it, that it does not."""
    outcome = decision.outcome
    waiting = [dso for dso in outline.dsos if dso not in decision.confirmed]
    replies = areas.ask([(dso, Close(decision.deal, dso in decision.stands, outcome.status)) for dso in waiting])
    heard = [dso for dso, reply in zip(waiting, replies, strict=True) if isinstance(reply, AreaAnswer)]
    if outcome.accepted and heard:
        journal.write(replace(decision, confirmed=(*decision.confirmed, *heard)))
    return replace(outcome, unconfirmed=tuple(dso for dso in waiting if dso in decision.stands and dso not in heard))
