"""Case 6: obligations at points in series are one allocation, whatever the points and the units are called."""

from itertools import permutations

import pytest
from msgspec.structs import replace
from tests.cases.days import DAY, MW, hour_of, run, scenario

from flexpeer.app.scenario import CongestionPointRow, ResourceRow, Scenario
from flexpeer.market.rulebook import Allocation, Rulebook
from flexpeer.quantities import PPM

EVENING = 18
KW = 1_000


def behind(units: dict[str, tuple[int, tuple[str, ...]]], limits_w: dict[str, int], policy: Allocation) -> Scenario:
    """Conditional loads (W drawn at 18:00, the import points they are behind)."""
    resources = tuple(ResourceRow(name, f"F{name}", "N", "heat", -2 * MW, 0, conditional=True) for name in units)
    forecast = {name: hour_of(EVENING, -drawn) for name, (drawn, _) in units.items()}
    frame = scenario(resources, forecast, ("import", MW), {}, (), Rulebook(allocation=policy))
    return replace(
        frame,
        congestion_points=tuple(CongestionPointRow(n, n, "import", limit, None, None) for n, limit in limits_w.items()),
        impact_ppm={
            point: {name: (PPM,) * DAY.mtu_count for name, (_, points) in units.items() if point in points}
            for point in limits_w
        },
    )


def owed_w(given: Scenario) -> dict[str, int]:
    outcome = run(given)
    moved = {name: row[EVENING] - outcome.before_w[name][EVENING] for name, row in outcome.start_w.items()}
    assert not any(point.residual_need_w[EVENING] for point in outcome.points)
    return moved


@pytest.mark.parametrize("policy", Allocation)
@pytest.mark.parametrize(("near", "far"), list(permutations("AB")))
def test_one_load_behind_both_points_owes_the_larger_need(policy: Allocation, near: str, far: str) -> None:
    """1.2 MW behind 1 MW behind 0.9 MW: 300 kW, not 500."""
    given = behind({"E": (1_200 * KW, (near, far))}, {near: 1_000 * KW, far: 900 * KW}, policy)
    assert owed_w(given) == {"E": 300 * KW}


@pytest.mark.parametrize(
    ("near", "far", "first", "second"), [("A", "B", "C", "D"), ("B", "A", "D", "C"), ("Z", "Y", "B", "A")]
)
def test_what_the_far_point_needs_leaves_less_for_the_near_one(near: str, far: str, first: str, second: str) -> None:
    """1 MW each; the far point needs 150 kW of the second, the near one 200 kW of both."""
    units = {first: (1_000 * KW, (near,)), second: (1_000 * KW, (near, far))}
    given = behind(units, {near: 1_800 * KW, far: 850 * KW}, Allocation.PRO_RATA)
    assert owed_w(given) == {first: 50 * KW, second: 150 * KW}
