"""A market's next days are made from its first."""

from datetime import date

import pytest
from msgspec.structs import replace

from flexpeer.app.following_day import following
from flexpeer.app.scenario import Profile, Scenario
from flexpeer.periods import MarketDay
from flexpeer.simulation.demo import demo_scenario


def on(day: date) -> Scenario:
    """The built-in scenario on a day, with a forecast that says what the clock shows (the hour) at one bus."""
    given = demo_scenario()
    moved = MarketDay(day, given.day.timezone, 60)
    hours = tuple(int(moved.local(mtu)[11:13]) for mtu in range(moved.mtu_count))
    return replace(given, day=moved, bus_forecast={"bus": Profile(hours, hours)}, resource_forecast={})


@pytest.mark.parametrize(
    ("first", "days", "hours"),
    [
        (date(2026, 6, 1), 1, [*range(24)]),
        (date(2026, 3, 28), 1, [0, 1, *range(3, 24)]),
        (date(2026, 3, 29), 1, [0, 1, 1, *range(3, 24)]),
        (date(2026, 10, 24), 1, [0, 1, 2, 2, *range(3, 24)]),
        (date(2026, 10, 25), 1, [*range(24)]),
    ],
)
def test_forecasts_follow_the_clock(first: date, days: int, hours: list[int]) -> None:
    later = following(on(first), days)
    assert (later.day.delivery_day - first).days == days
    assert list(later.bus_forecast["bus"].p_w) == hours
    assert later.bus_forecast["bus"].p_low_w == ()


def test_what_is_of_one_day_does_not_stay() -> None:
    given = demo_scenario()
    later = following(given, 7)
    assert later.orders == ()
    assert later.outages == ()
    assert later.obligations_w is None
    assert later.meter_w is None
    assert later.organisations == given.organisations
    assert later.resources == given.resources
    assert later.rulebook == given.rulebook
