"""What to tell of a market while it runs: refusals, of the door and grid owners, pairs put off; how many came."""

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

    def note(self, event: Event) -> None:
        """Keep what has to be told later."""
        match event:
            case OrderPlaced(order):
                self.arrivals += not order.residual
            case OrderAmended() | OrderWithdrawn():
                self.arrivals += 1
            case CommandRefused(command, subject, reason, detail) if command.endswith("Order"):
                self.arrivals += 1
                self.refusals.append(Refusal(subject, str(reason), detail, "", "", None, None, 0))
            case MatchProposed(proposed):
                self._proposed = proposed
            case VerdictRecorded():
                self._note_verdict(event)
            case SweepEnded(_, _, put_off) if put_off:
                self._note_put_off(put_off)
            case _:
                pass

    def _note_put_off(self, put_off: tuple[PutOff, ...]) -> None:
        """Each once, however often its orders were tried again."""
        for each in put_off:
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
