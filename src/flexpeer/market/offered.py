"""How much relief was offered: every SELL order at the point where each of its resources relieves most. Grid side."""

from collections import Counter
from collections.abc import Iterable
from itertools import accumulate

from flexpeer.market.needs import Needs, Regulation, relieving
from flexpeer.market.orders import Order, Side
from flexpeer.market.participants import Participants


def offered_ppm(participants: Participants, needs: Needs, orders: Iterable[Order]) -> int:
    """W x MTUs x ppm of all SELL orders that passed the door, traded or not.

    Orders that are alike count together, and an MTU's best factor is looked for once for each resource: the cost is of
    the different orders, whatever their length, and not of orders x points x MTUs.
    """
    alike = Counter(
        (order.unit, order.zone, order.regulation, order.span.first, order.span.end, order.quantity_w)
        for order in orders
        if order.side is Side.SELL
    )
    best = _Best(needs)
    return sum(
        count * share * best.ppm(name, zone, regulation, first, end)
        for (unit, zone, regulation, first, end, quantity_w), count in alike.items()
        for name, share in participants.shares(unit, quantity_w).items()
    )


class _Best:
    """A resource's largest impact factors, of one point or of all that a regulation relieves."""

    def __init__(self, needs: Needs) -> None:
        self._needs = needs
        self._until: dict[tuple[str, str, Regulation], list[int]] = {}
        self._relieved = {
            regulation: [name for name, point in needs.points.items() if relieving(point.direction) is regulation]
            for regulation in Regulation
        }

    def ppm(self, resource: str, zone: str, regulation: Regulation, first: int, end: int) -> int:
        """Their sum over MTUs; of `zone` only, unless that is empty."""
        key = resource, zone, regulation
        until = self._until.get(key)
        if until is None:
            points = [zone] if zone else self._relieved[regulation]
            rows = [self._needs.resource_ppm(point, resource) for point in points]
            until = self._until[key] = list(accumulate(map(max, zip(*rows, strict=True)), initial=0))
        return until[end] - until[first] if len(until) > 1 else 0
