"""The market operator's side of a clearing between organisations.

Price-Newton's loop is the same as in one process (`clearing.price_newton`); its system asks DSOs instead of areas in
memory. A DSO that does not answer in time, or answers what cannot be, has no part in the outcome: the run begins
again without it and without what lies below it, whose borders then carry what they do without trade.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from flexpeer.app.border_relay import Areas, Relay, Silent
from flexpeer.clearing.area import scale_of
from flexpeer.clearing.interior import IDLE_SHARE, PRECISION, RELATIVE
from flexpeer.clearing.part_sweeps import nothing
from flexpeer.clearing.price_newton import Progress, Tolerance, solve
from flexpeer.clearing.problem import Flags, Floats
from flexpeer.clearing.shares import Outline
from flexpeer.wire.borders import Answer, Close, Pass

ROOT_SILENT = "the organisation at the root is silent"
UNANSWERED = "no answer before the first border message"


class BorderSystem:
    """All periods' devices behind borders; `settle` has to be called when the loop has ended."""

    def __init__(self, relay: Relay) -> None:
        self._relay, periods = relay, relay.outline.periods
        price, kw, count = relay.up(Pass.OFFER).sums
        typical = scale_of(price / np.maximum(1.0, count))
        relay.up(Pass.SURVEY, typical[None])
        idle, rows = relay.down(Pass.SURVEY).sums
        self._rows = 2.0 * rows
        floor = IDLE_SHARE * RELATIVE * typical * kw + PRECISION * (1.0 + np.abs(idle))
        self.tolerance = Tolerance(RELATIVE, idle, floor)
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
    trade, and what it would have gained is not in the gap. `unconfirmed` did not confirm how the run ended.
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


def newton(relay: Relay) -> Progress:
    """Prices and steps, not yet in whole watts; they are at the DSOs."""
    system = BorderSystem(relay)
    progress = solve(system, system.tolerance)
    system.settle()
    return progress


def price(relay: Relay) -> None:
    """Every bus learns its price."""
    relay.up(Pass.PRICE)
    relay.down(Pass.PRICE)


def clear_together(outline: Outline, areas: Areas, tell: Callable[[str], None]) -> JointOutcome:
    """Clear; as often again as organisations fall silent, each time without them."""
    silent: list[str] = []
    idle: dict[int, Floats] = {}
    while True:
        left_out = [n for n, hook in enumerate(outline.hooks) if hook.dso in silent]
        if 0 in left_out or not all(n in idle for n in left_out):
            status = ROOT_SILENT if 0 in left_out else UNANSWERED
            return _closed(outline, areas, [], JointOutcome(False, status, silent=tuple(silent)))
        relay = Relay(outline, areas, {n: idle[n] for n in left_out})
        try:
            return _closed(outline, areas, relay.numbers, _attempt(relay, silent))
        except Silent as lost:
            silent += [dso for dso in lost.dsos if dso not in silent]
            tell(f"silent: {lost}")
            idle |= relay.idle


def _attempt(relay: Relay, silent: Sequence[str]) -> JointOutcome:
    progress = newton(relay)
    price(relay)
    relay.up(Pass.FINISH)
    sums, most = relay.down(Pass.FINISH)
    objective, bound, without, relief = (float(value) for value in sums[:, 0])
    status, violation = progress.status.value, float(most[0, 0])
    return JointOutcome(True, status, progress.steps, objective, bound, without, relief, violation, tuple(silent))


def _closed(outline: Outline, areas: Areas, pieces: Sequence[int], outcome: JointOutcome) -> JointOutcome:
    """Tell everybody at which of their pieces it stands; a silent one, should it hear it, that it stands nowhere."""
    closing = []
    for dso in outline.dsos:
        own = tuple(n for n in pieces if outline.hooks[n].dso == dso)
        closing.append((dso, Close(own, outcome.status)))
    replies = areas.ask(closing)
    lacking = [dso for dso, reply in zip(outline.dsos, replies, strict=True) if not isinstance(reply, Answer)]
    return replace(outcome, unconfirmed=tuple(dso for dso in lacking if dso not in outcome.silent))
