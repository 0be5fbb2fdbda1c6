"""Orders of several MTUs meet orders of fewer: tiles that cover the long order's span exactly, all or none.

Every tile crosses the long ("spanning") order and all move at one common quantity. The first tiling in
order of priority is taken, MTU by MTU; a tile that stands in the way is banned and the search repeated.
"""

from collections.abc import Iterator

from flexpeer.market.matching.books import Books, Page
from flexpeer.market.matching.view import View
from flexpeer.market.orders import Order
from flexpeer.periods import Span


def tiles(
    view: View, books: Books, spanning: Order, span: Span, before: int, banned: frozenset[str]
) -> tuple[Order, ...] | None:
    """Orders opposite to `spanning` that cover `span` exactly, or None. An empty span needs none."""
    dead: set[int] = set()

    def cover(first: int) -> tuple[Order, ...] | None:
        """Tiles from an MTU to the end."""
        if first == span.end:
            return ()
        if first in dead:
            return None
        for tile_span in books.spans_from(spanning.side.opposite, spanning.regulation.opposite, first):
            if tile_span.end > span.end or tile_span == spanning.span:
                continue
            for tile in _crossing(view, books, spanning, tile_span, before):
                rest = None if tile.order in banned else cover(tile_span.end)
                if rest is not None:
                    return (tile, *rest)
        dead.add(first)
        return None

    return cover(span.first)


def _crossing(view: View, books: Books, spanning: Order, span: Span, before: int) -> Iterator[Order]:
    return (tile for tile in books.meets(view, spanning, span, before) if view.leg(spanning, tile, span) is not None)


def tilings(view: View, books: Books, taker: Order, before: int) -> Iterator[tuple[Order, Iterator[tuple[Order, ...]]]]:
    """Spanning orders that `taker` completes (itself, then those it is a tile of), each with its tilings."""
    if len(taker.span) > 1:
        yield taker, _alternatives(view, books, taker, (), taker.span, before)
    for span in books.spans_around(Page(taker.side.opposite, taker.regulation.opposite, taker.span)):
        for spanning in books.meets(view, taker, span, before):
            if view.leg(spanning, taker, taker.span) is not None:
                yield spanning, _alternatives(view, books, spanning, (taker,), span, before)


def _alternatives(
    view: View, books: Books, spanning: Order, fixed: tuple[Order, ...], span: Span, before: int
) -> Iterator[tuple[Order, ...]]:
    """The first tiling around the fixed tile (if any), then the first without each of its tiles in turn."""
    holes = [span] if not fixed else [Span(span.first, fixed[0].span.first), Span(fixed[0].span.end, span.end)]
    first = _filled(view, books, spanning, holes, before, frozenset())
    if first is None:
        return
    yield (*fixed, *first)
    banned: frozenset[str] = frozenset()
    for tile in first:
        banned |= {tile.order}
        other = _filled(view, books, spanning, holes, before, banned)
        if other is not None:
            yield (*fixed, *other)


def _filled(
    view: View, books: Books, spanning: Order, holes: list[Span], before: int, banned: frozenset[str]
) -> tuple[Order, ...] | None:
    found: tuple[Order, ...] = ()
    for hole in holes:
        part = tiles(view, books, spanning, hole, before, banned) if len(hole) else ()
        if part is None:
            return None
        found += part
    return found
