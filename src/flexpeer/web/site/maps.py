"""A DSO's own part of the grid as its page gets it: the drawings of the report, and the numbers of its slider."""

from typing import Any, NamedTuple, Protocol

from flexpeer.periods import MarketDay
from flexpeer.web.grid_map import Subject, grid_map
from flexpeer.web.wording import LocalClock


class Shown(NamedTuple):
    """What is drawn of a day; `late`: the day has gone on since it was found."""

    subject: Subject
    day: MarketDay
    late: bool


class Maps(Protocol):
    """Whoever knows the grid."""

    async def own(self, organisation: str, market_id: str) -> Shown | None:
        """An organisation's own part in a market; None where it has none or there is no such market."""


def map_document(shown: Shown) -> dict[str, Any]:
    """What a page draws; `drawings` are the wide and the narrow SVG."""
    clock = LocalClock(shown.day)
    found, network = grid_map(shown.subject, clock), shown.subject.picture.network
    return {
        "drawings": [str(drawn) for drawn in found.drawings],
        "data": found.data,
        "areas": found.areas,
        "times": clock.all(),
        "buses": network.bus_count,
        "branches": network.branch_count,
        "late": shown.late,
    }
