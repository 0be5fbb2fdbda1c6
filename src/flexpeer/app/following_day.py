"""The same market on a later delivery day: who takes part, the grid and the rules stay; what is of one day only goes.

Forecasts and impact factors are taken over by the clock, so that 08:00 stays 08:00 through a clock change: an hour that
the later day has twice is as the one hour was, one that the first day skipped is as the hour before it.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from msgspec.structs import astuple, replace

from flexpeer.app.scenario import Profile, Scenario
from flexpeer.periods import MarketDay

T = TypeVar("T")
CLOCK = slice(11, 16)
"""Of a local time as text."""


def following(scenario: Scenario, days: int) -> Scenario:
    """The scenario some days later, without orders, obligations, outages, switching, ratings, bands and meters."""
    day = scenario.day.later(days)
    at = _same_time(scenario.day, day)

    def moved(profiles: Mapping[str, Profile]) -> dict[str, Profile]:
        return {name: Profile(*(_at(row, at) for row in astuple(each))) for name, each in profiles.items()}

    impact = scenario.impact_ppm
    return replace(
        scenario,
        day=day,
        bus_forecast=moved(scenario.bus_forecast),
        resource_forecast=moved(scenario.resource_forecast),
        impact_ppm=None
        if impact is None
        else {p: {r: _at(row, at) for r, row in i.items()} for p, i in impact.items()},
        temperature_c=None if scenario.temperature_c is None else _at(scenario.temperature_c, at),
        obligations_w=None,
        outages=(),
        orders=(),
        meter_w=None,
        meter_history_w={},
        switching=(),
        ratings=(),
        bands=(),
    )


def _same_time(given: MarketDay, day: MarketDay) -> list[int]:
    """For each MTU of a day the MTU of the given one at which clocks show the same."""
    known: dict[str, int] = {}
    for mtu in range(given.mtu_count):
        known.setdefault(given.local(mtu)[CLOCK], mtu)
    found: list[int] = []
    for mtu in range(day.mtu_count):
        found.append(known.get(day.local(mtu)[CLOCK], found[-1] if found else 0))
    return found


def _at(row: Sequence[T], at: Sequence[int]) -> tuple[T, ...]:
    """A row in the order of MTUs; an empty one stays so."""
    return tuple(row[mtu] for mtu in at) if row else ()
