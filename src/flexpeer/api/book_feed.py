"""The public book as it changes: first all open orders, then what came, changed or went; nobody's names.

Everybody may see the book, but not the events of others' orders: so it has a stream of its own. An order's `key` counts
within one stream, in order of arrival.
"""

from itertools import count

from flexpeer.api.edge import Answer, Asked, Route, encode
from flexpeer.api.feed import MEDIA, streaming
from flexpeer.api.limits import RateLimits
from flexpeer.api.open_book import touched_orders
from flexpeer.api.permissions import Action
from flexpeer.api.service import ServedDay
from flexpeer.wire.api_live import BookChange, BookOrder
from flexpeer.wire.api_queries import BookQuery

GATHER_S = 0.05


class BookFeed:
    """The route that streams, with the same limit on open streams as events have."""

    def __init__(self, limits: RateLimits) -> None:
        self._limits = limits

    async def follow(self, asked: Asked) -> Answer:
        """The book of a market, and what becomes of it."""
        book = _Followed(asked.chosen_day())

        def news() -> tuple[bytes, bool]:
            change = book.change()
            return b"" if change is None else b"event: book\ndata: " + encode(change) + b"\n\n", True

        return streaming(asked, self._limits, news, GATHER_S)

    @property
    def routes(self) -> tuple[Route, ...]:
        """Its one route."""
        return (
            Route(
                "GET", "/api/PublicOrders/stream", Action.READ_PUBLIC_ORDERS, self.follow, "The open book, live",
                {200: BookChange}, query=BookQuery, media=MEDIA,
            ),
        )  # fmt: skip


class _Followed:
    """What one stream has told."""

    def __init__(self, served: ServedDay) -> None:
        self._book, self._published = served.book, served.published
        self._keys: dict[str, int] = {}
        self._next, self._told, self._begun = count(1), 0, False

    def change(self) -> BookChange | None:
        """What the stream does not know yet; all of it at first, and None where nothing changed."""
        first, until = not self._begun, len(self._published.events)
        documents = self._book.documents()
        touched = documents if first else touched_orders(self._published, self._told, until)
        self._told, self._begun = until, True
        orders, gone = [], []
        for name in touched:
            document = documents.get(name)
            if document is not None:
                orders.append(BookOrder(self._key(name), document))
            elif name in self._keys:
                gone.append(self._keys.pop(name))
        return BookChange(first, tuple(orders), tuple(gone)) if first or orders or gone else None

    def _key(self, order: str) -> int:
        if order not in self._keys:
            self._keys[order] = next(self._next)
        return self._keys[order]
