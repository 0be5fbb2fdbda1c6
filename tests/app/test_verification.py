"""The verifier sees what is wrong: schedules that no market would make."""

import numpy as np
import pytest
from tests.app.grid_days import Day, small_day

from flexpeer.app.study.verification import Picture, verify_day
from flexpeer.bootstrap import NewtonVerifier

POINTS = "congestion_point,element,direction,limit_w\nSub,Overlying grid,export,14000000\n"


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Day:
    return Day(small_day() | {"congestion_points.csv": POINTS}, tmp_path_factory.mktemp("day"))


def picture(day: Day, **moves_w: int) -> Picture:
    """The starting point with these resources moved at noon."""
    after = {
        name: tuple(w + (moves_w.get(name, 0) if mtu == 12 else 0) for mtu, w in enumerate(row))
        for name, row in day.outcome.start_w.items()
    }
    side = day.market.physical
    assert side is not None
    return verify_day(side, NewtonVerifier(), day.outcome.before_w, day.outcome.start_w, after)


def test_nothing_moved_is_nothing_worse(day: Day) -> None:
    assert picture(day).worsened == ()


def test_what_is_worse_than_forecast_and_starting_point_is_seen(day: Day) -> None:
    moved = picture(day, WC=4_000_000, WB=1_500_000)
    assert {(c.element, c.kind, c.mtu) for c in moved.worsened} >= {("Cable 3", "loading", 12), ("C", "high", 12)}
    assert {c.mtu for c in moved.worsened} == {12}
    assert ("Overlying grid", "export", 12) in {(c.element, c.kind, c.mtu) for c in moved.after}


def test_values_are_those_of_newton(day: Day) -> None:
    flow = day.newton(day.outcome.before_w)
    expected = {
        (name, mtu): loading
        for name, row in zip(day.network.branch_names, day.loading(flow), strict=True)
        for mtu, loading in enumerate(row)
        if loading > 1.0
    }
    seen = {(c.element, c.mtu): c.value for c in day.outcome.congestions_before if c.kind == "loading"}
    assert seen.keys() == expected.keys()
    assert all(seen[key] == pytest.approx(value, rel=1e-9) for key, value in expected.items())
    exported = {c.mtu: c.value for c in day.outcome.congestions_before if c.kind == "export"}
    power = day.point_w("Overlying grid", "export", flow)
    assert exported == pytest.approx({mtu: power[mtu] for mtu in range(10, 14)})


def test_relief_is_not_worse(day: Day) -> None:
    assert picture(day, WA=-1_000_000).worsened == ()


def test_overload_energy_is_the_sum_past_the_limits(day: Day) -> None:
    moved = picture(day, WB=1_500_000)
    over = [c for c in moved.after if c.kind == "export"]
    rated = np.sqrt(3.0) * 20e3 * 250
    expected = sum(c.value - c.limit for c in over)
    expected += sum((c.value - 1.0) * rated for c in moved.after if c.kind == "loading")
    assert moved.overload_wm(60) == pytest.approx(60 * expected, rel=1e-6, abs=2)


def test_own_and_independent_power_flow_agree(day: Day) -> None:
    assert picture(day).largest_difference_pu < 1e-7
