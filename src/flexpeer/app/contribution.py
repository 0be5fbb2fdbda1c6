"""What a DSO of a live market says of its own grid before the need is published, and the scenario with all of it."""

from collections.abc import Mapping

import msgspec

from flexpeer.app.scenario import BandRow, CongestionPointRow, OutageRow, Profile, RatingRow, Scenario


class SentBorder(msgspec.Struct, frozen=True):
    """`bus` of the file is `their_bus` of the grid of `dso`."""

    bus: str
    dso: str
    their_bus: str


class SentGrid(msgspec.Struct, frozen=True):
    """A grid file as it was sent."""

    file: str
    content: bytes
    borders: tuple[SentBorder, ...]


class Contribution(msgspec.Struct, frozen=True):
    """All that one DSO has said; None where it has said nothing, and the scenario counts.

    `points` stand in place of the scenario's points named in `replaced`; `ceilings_minor` is what it pays at most for
    relief at points in the clearing.
    """

    grid: SentGrid | None = None
    bus_forecast: dict[str, Profile] = {}
    resource_forecast: dict[str, Profile] = {}
    points: tuple[CongestionPointRow, ...] | None = None
    replaced: tuple[str, ...] = ()
    ratings: tuple[RatingRow, ...] = ()
    bands: tuple[BandRow, ...] = ()
    outages: dict[str, OutageRow] = {}
    ceilings_minor: dict[str, int] = {}

    def lasting(self) -> "Contribution":
        """What is of no single day: the grid file and where congestion points are."""
        return Contribution(grid=self.grid, points=self.points, replaced=self.replaced)


def with_contributions(scenario: Scenario, said: Mapping[str, Contribution]) -> Scenario:
    """The scenario, with what DSOs said in place of what it has of theirs. `said` is by DSO."""
    each = [said[dso] for dso in sorted(said)]
    replaced = {name for contribution in each for name in contribution.replaced}
    points = scenario.congestion_points
    if any(contribution.points is not None for contribution in each):
        kept = (point for point in points or () if point.congestion_point not in replaced)
        points = (*kept, *(point for contribution in each for point in contribution.points or ()))
    return msgspec.structs.replace(
        scenario,
        bus_forecast=_merged(scenario.bus_forecast, [c.bus_forecast for c in each]),
        resource_forecast=_merged(scenario.resource_forecast, [c.resource_forecast for c in each]),
        congestion_points=points,
        ratings=(*scenario.ratings, *(row for c in each for row in c.ratings)),
        bands=(*scenario.bands, *(row for c in each for row in c.bands)),
        outages=(*scenario.outages, *(outage for c in each for outage in c.outages.values())),
    )


def _merged(given: dict[str, Profile], more: list[dict[str, Profile]]) -> dict[str, Profile]:
    merged = dict(given)
    for profiles in more:
        merged |= profiles
    return merged
