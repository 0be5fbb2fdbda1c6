"""What to tell of a market while it runs: refusals, of the door and grid owners, pairs put off; how many came."""

from collections.abc import Callable
from typing import Any

from flexpeer.app.views.obstacles import GRID_LIMIT, pairs_of, told_of
from flexpeer.app.views.outcome import Refusal
from flexpeer.market.machine import Event
from flexpeer.market.matching.meetings import PutOff, SweepEnded
from flexpeer.market.orders import OrderAmended, OrderPlaced, OrderWithdrawn
from flexpeer.market.reasons import CommandRefused
from flexpeer.market.trades import Decision, Match, MatchProposed, VerdictRecorded


class Journal:
    """Listens to events. `arrivals` counts orders, amendments and withdrawals that the door has answered."""

    def __init__(self) -> None:
        self.refusals: list[Refusal] = []
        self.arrivals = 0
        self._proposed: Match | None = None
        self._put_off: set[PutOff] = set()
        self._heard: dict[type, Callable[[Any], None]] = {
            OrderPlaced: self._note_placed,
            OrderAmended: self._note_changed,
            OrderWithdrawn: self._note_changed,
            CommandRefused: self._note_refused,
            MatchProposed: self._note_proposed,
            VerdictRecorded: self._note_verdict,
            SweepEnded: self._note_swept,
        }

    def note(self, event: Event) -> None:
        """Keep what has to be told later."""
        heard = self._heard.get(type(event))
        if heard is not None:
            heard(event)

    def _note_placed(self, event: OrderPlaced) -> None:
        self.arrivals += not event.order.residual

    def _note_changed(self, _event: OrderAmended | OrderWithdrawn) -> None:
        self.arrivals += 1

    def _note_refused(self, event: CommandRefused) -> None:
        if event.command.endswith("Order"):
            self.arrivals += 1
            self.refusals.append(Refusal(event.subject, str(event.reason), event.detail, "", "", None, None, 0))

    def _note_proposed(self, event: MatchProposed) -> None:
        self._proposed = event.match

    def _note_swept(self, event: SweepEnded) -> None:
        """Each pair that was put off once, however often its orders were tried again."""
        for each in event.put_off:
            if each.pairs and each not in self._put_off:
                self._put_off.add(each)
                where = (each.owner, each.element, each.mtu)
                self.refusals.append(Refusal(pairs_of(each), each.obstacle, told_of(each), *where, None, 0))

    def _note_verdict(self, event: VerdictRecorded) -> None:
        binding = next((v for v in event.verdicts if v.decision is not Decision.GRANTED), None)
        if binding is None or self._proposed is None:
            return
        pairs = "; ".join(f"{leg.buy}/{leg.sell}" for leg in self._proposed.legs)
        decision = binding.decision if event.quantity_w else Decision.REFUSED
        where = (binding.owner, binding.element, binding.mtu, binding.headroom_w)
        self.refusals.append(Refusal(pairs, GRID_LIMIT, str(decision), *where, event.quantity_w))
