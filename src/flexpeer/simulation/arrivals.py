"""When the orders of a file come by themselves in a market that is served."""

from collections.abc import Sequence

from flexpeer.app.scenario import OrderRow


def spread(orders: Sequence[OrderRow], opens: int, closes: int) -> list[tuple[int, OrderRow]]:
    """Every order with its instant, in order of arrival: evenly after the gate opens and before it closes."""
    assert opens < closes, "a gate opens before it closes"
    ranked = sorted(orders, key=lambda row: row.arrival)
    length = closes - opens - 1
    return [(opens + 1 + place * length // len(ranked), row) for place, row in enumerate(ranked)]
