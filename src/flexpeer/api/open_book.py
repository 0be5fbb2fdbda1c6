"""The public book of a day as it stands: a fold of its events, made once for all who look at it."""

from collections.abc import Iterable, Mapping

from flexpeer.api.documents import public_order
from flexpeer.api.published import Published, orders_of
from flexpeer.market.orders import Order, Status
from flexpeer.wire.api import PublicOrderDocument


class OpenBook:
    """Open orders without their owners; for the thread that answers requests."""

    def __init__(self, market_id: str, published: Published) -> None:
        self._market_id, self._published = market_id, published
        self._folded = 0
        self._numbers: dict[str, int] = {}
        self._documents: dict[str, PublicOrderDocument] = {}

    def documents(self) -> Mapping[str, PublicOrderDocument]:
        """By order, first come, first; what happened since the last look is all that this costs.

        An order that loses its place goes to the end, and those that come are taken by their numbers.
        """
        published = self._published
        until = len(published.events)
        state, touched = published.state, touched_orders(published, self._folded, until)
        self._folded = until
        for order in sorted((state.orders.orders[name] for name in touched), key=_number):
            name = order.order
            if self._numbers.get(name) != order.number or order.status is not Status.OPEN:
                self._numbers.pop(name, None)
                self._documents.pop(name, None)
            if order.status is Status.OPEN:
                self._numbers[name] = order.number
                self._documents[name] = public_order(self._market_id, state, order)
        return self._documents


def touched_orders(published: Published, first: int, until: int) -> Iterable[str]:
    """Each order that events changed, once."""
    return dict.fromkeys(name for event in published.events[first:until] for name in orders_of(event))


def _number(order: Order) -> int:
    return order.number
