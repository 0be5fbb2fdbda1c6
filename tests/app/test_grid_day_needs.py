"""Congestion points, needs, obligations and impact factors against Newton's power flow."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from tests.adapters.scenario_folder import HOURS, Texts
from tests.app.grid_days import SMALL_GRID, SMALL_UNITS, WINDY, Day, cigre_day, quarter_hours, small_day

from flexpeer.errors import BadInput
from flexpeer.grid.network import Floats

POINTS_HEAD = "congestion_point,element,direction,limit_w,limit_pu\n"
MARGIN = 0.005
STEP_W = 1_000


def outage(element: str, limit_w: int | None = None, hours: tuple[int, int] = (11, 13)) -> str:
    limit = "" if limit_w is None else f"limit_w = {limit_w}\n"
    return f'[[outage]]\nelement = "{element}"\nfrom = "{HOURS[hours[0]]}"\nto = "{HOURS[hours[1]]}"\n{limit}'


def with_settings(texts: Texts, more: str) -> Texts:
    return texts | {"scenario.toml": texts["scenario.toml"] + more}


def with_points(texts: Texts, *rows: str) -> Texts:
    return texts | {"congestion_points.csv": POINTS_HEAD + "".join(f"{row}\n" for row in rows)}


def owed_at(day: Day, mtu: int) -> int:
    return sum(abs(row[mtu]) for row in day.owed_w.values())


def rated_w(day: Day, branch: str) -> float:
    """Rating at 20 kV, VA."""
    return float(np.sqrt(3.0) * 20e3 * day.network.rating_to_a[day.branch(branch)])


def finite_difference(day: Day, resource: str, read: str, mtu: int) -> float:
    """Change of a measure per watt injected by a resource."""
    found = []
    for step in (STEP_W, -STEP_W):
        schedule = {name: list(row) for name, row in day.outcome.before_w.items()}
        schedule[resource][mtu] += step
        found.append(_read(day, schedule, read)[mtu])
    return float(found[0] - found[1]) / (2 * STEP_W)


def _read(day: Day, schedule: Mapping[str, list[int]], what: str) -> Floats:
    flow = day.newton(schedule)
    kind, element = what.split(":")
    if kind == "loading":
        loaded: Floats = day.loading(flow)[day.branch(element)] * rated_w(day, element)
        return loaded
    if kind == "voltage":
        magnitude: Floats = np.abs(flow.v_pu)[day.bus(element)]
        return magnitude
    return day.point_w(element, kind, flow)


def test_an_overloaded_line_is_found_and_its_need_is_right(tmp_path: Path) -> None:
    day = Day(small_day(), tmp_path)
    (point,) = day.outcome.points
    assert (point.point.element, point.point.direction) == ("Cable 3", "export")
    loading = day.loading(day.newton(day.outcome.before_w))[day.branch("Cable 3")]
    expected = np.where(loading > 1.0, (loading - 1.0 + MARGIN) * rated_w(day, "Cable 3"), 0.0)
    assert np.abs(np.array(point.need_w) - np.ceil(expected)).max() <= 1
    assert {mtu for mtu, watts in enumerate(point.need_w) if watts} == set(WINDY)


def test_obligations_remove_the_congestion_and_little_more(tmp_path: Path) -> None:
    day = Day(small_day(), tmp_path)
    loading = day.loading(day.newton(day.outcome.start_w))
    assert np.nanmax(loading) <= 1.0
    assert loading[day.branch("Cable 3"), 12] > 1.0 - 2 * MARGIN
    assert {name for name, row in day.owed_w.items() if any(row)} == {"WA", "WB", "WC"}
    assert not any(watts for row in day.owed_w.values() for mtu, watts in enumerate(row) if mtu not in WINDY)
    assert day.outcome.congestions_after == ()


def test_several_overloaded_lines_of_cigre(tmp_path: Path) -> None:
    day = Day(cigre_day(), tmp_path)
    loading = day.loading(day.newton(day.outcome.before_w))
    past = {name for name, row in zip(day.network.branch_names, loading, strict=True) if np.nanmax(row) > 1.0}
    assert {p.point.element for p in day.outcome.points} == past == {"Line 1-2", "Line 2-3", "Line 3-8", "Line 7-8"}
    assert len(day.outcome.congestions_before) == 4 * len(past)
    assert np.nanmax(day.loading(day.newton(day.outcome.start_w))) <= 1.0


@pytest.mark.parametrize("make", [small_day, cigre_day])
def test_impact_factors_are_the_finite_differences_of_newton(make: type[Texts], tmp_path: Path) -> None:
    day = Day(make(), tmp_path)
    for point in day.outcome.points:
        ppm = day.market.side.impact_ppm(point.point.congestion_point)
        worst = int(np.argmax(np.array(point.before_w) - np.array(point.limit_w)))
        for resource, row in ppm.items():
            slope = finite_difference(day, resource, f"loading:{point.point.element}", worst)
            assert row[0] == pytest.approx(max(0.0, slope * 1e6), abs=30.0), (point.point.element, resource)


def test_an_export_limit_at_the_source_is_an_hourly_mean(tmp_path: Path) -> None:
    day = Day(with_points(small_day(), "Sub,Overlying grid,export,12000000,"), tmp_path)
    (point,) = day.outcome.points
    export = day.point_w("Overlying grid", "export", day.newton(day.outcome.before_w))
    expected = np.where(export > 12e6, np.ceil(export - 12e6 * (1 - MARGIN)), 0.0)
    assert np.abs(np.array(point.need_w) - expected).max() <= 1
    after = day.point_w("Overlying grid", "export", day.newton(day.outcome.start_w))
    assert after[WINDY[0] : WINDY[-1] + 1] == pytest.approx(12e6 * (1 - MARGIN), rel=MARGIN)
    ppm = day.market.side.impact_ppm("Sub")
    for resource in ppm:
        slope = -finite_difference(day, resource, "import:Overlying grid", 12)
        assert ppm[resource][0] == pytest.approx(slope * 1e6, abs=5.0)


def test_within_an_hour_a_subscription_may_be_passed(tmp_path: Path) -> None:
    """14 MW and 8 MW in turn are 11 MW on the mean: within a subscription of 13 MW, though not in every quarter."""
    wind = {"WA": [8_000_000, 3_000_000] * 2, "WB": [8_000_000, 3_000_000] * 2, "WC": [2_000_000] * 4}
    texts = quarter_hours(with_points(small_day(), "Sub,Overlying grid,export,13000000,"), wind)
    (point,) = Day(texts, tmp_path).outcome.points
    assert point.need_w[48:52] == (0, 0, 0, 0)
    assert all(watts > 0 for watts in point.need_w[44:48])


def test_an_import_limit_is_relieved_by_injecting(tmp_path: Path) -> None:
    units = [
        u._replace(conditional=True, p_max_w=0, windy_w=-3_500_000) if u.kind == "heat" else u for u in SMALL_UNITS
    ]
    units = [u._replace(windy_w=0) if u.kind == "wind" else u for u in units]
    day = Day(with_points(small_day(units=units), "Sub,Overlying grid,import,6000000,"), tmp_path)
    (point,) = day.outcome.points
    drawn = day.point_w("Overlying grid", "import", day.newton(day.outcome.before_w))
    assert point.need_w[12] == pytest.approx(drawn[12] - 6e6 * (1 - MARGIN), abs=1)
    assert day.owed_w["HA"][12] > 0
    assert day.owed_w["HB"][12] > 0
    assert day.point_w("Overlying grid", "import", day.newton(day.outcome.start_w))[12] <= 6e6


def test_a_voltage_that_is_too_high_is_found_and_brought_back(tmp_path: Path) -> None:
    units = [u._replace(windy_w=6_000_000) if u.name == "WC" else u for u in SMALL_UNITS]
    units = [u._replace(windy_w=4_000_000) if u.name in ("WA", "WB") else u for u in units]
    texts = small_day(units=units) | {"grid.json": SMALL_GRID.replace('"v_max_pu": 1.06', '"v_max_pu": 1.045')}
    day = Day(texts, tmp_path)
    (point,) = day.outcome.points
    assert (point.point.element, point.point.direction) == ("C", "high")
    slope = finite_difference(day, "WC", "voltage:C", 12)
    v = np.abs(day.newton(day.outcome.before_w).v_pu)[day.bus("C"), 12]
    assert point.need_w[12] == pytest.approx((v - 1.045 + MARGIN * (1.045 - 0.95)) / slope, rel=2e-3)
    assert np.abs(day.newton(day.outcome.start_w).v_pu)[day.bus("C"), 12] <= 1.045
    ppm = day.market.side.impact_ppm(point.point.congestion_point)
    assert ppm["WC"][0] == pytest.approx(1_000_000, abs=1)
    for resource in ("WA", "WB", "HB"):
        expected = finite_difference(day, resource, "voltage:C", 12) / slope
        assert ppm[resource][0] == pytest.approx(1e6 * expected, abs=200.0)


def test_a_voltage_that_is_too_low_is_relieved_upwards(tmp_path: Path) -> None:
    units = [u._replace(windy_w=0) for u in SMALL_UNITS if u.kind == "wind"]
    units += [u._replace(conditional=True, bus="C", windy_w=-4_000_000) for u in SMALL_UNITS if u.kind == "heat"]
    texts = small_day(units=units, loads={"B": (-900_000, -2_500_000)})
    day = Day(with_points(texts, "Deep,C,low,,0.975"), tmp_path)
    (point,) = day.outcome.points
    v = np.abs(day.newton(day.outcome.before_w).v_pu)[day.bus("C")]
    assert v[12] < 0.975
    assert point.need_w[12] > 0
    assert day.owed_w["HA"][12] > 0
    assert np.abs(day.newton(day.outcome.start_w).v_pu)[day.bus("C"), 12] >= 0.975


def test_an_outage_changes_the_topology(tmp_path: Path) -> None:
    """Without Cable 1 everything comes over Cable 3, in two hours."""
    day = Day(with_settings(small_day(), outage("Cable 1")), tmp_path)
    needs = {p.point.element: p.need_w for p in day.outcome.points}
    loading = day.loading(day.newton(day.outcome.before_w))
    v_pu = np.abs(day.newton(day.outcome.before_w).v_pu).max(axis=1)
    assert {day.network.bus_names[bus] for bus in np.flatnonzero(v_pu > day.network.v_max_pu)} == {"A", "C"}
    assert needs.keys() == {"Cable 3", "A", "C"}
    for element, need in needs.items():
        if element not in day.network.branch_names:
            continue
        row = loading[day.branch(element)]
        expected = np.where(row > 1.0, np.ceil((row - 1.0 + MARGIN) * rated_w(day, element)), 0.0)
        assert np.abs(np.array(need) - expected).max() <= 1, element
    assert needs["Cable 3"][11] > 5 * needs["Cable 3"][10] > 0
    assert loading[day.branch("Cable 1"), 11] == 0.0
    assert np.nanmax(day.loading(day.newton(day.outcome.start_w))) <= 1.0


@pytest.mark.parametrize(
    ("element", "limit_w"), [("Overlying grid", 9_000_000), ("T1", 9_000_000), ("Cable 3", 7_000_000)]
)
def test_an_outage_may_lower_a_limit(element: str, limit_w: int, tmp_path: Path) -> None:
    day = Day(with_settings(small_day(), outage(element, limit_w)), tmp_path)
    exported = day.point_w(element, "import", day.newton(day.outcome.before_w)) * -1.0
    if element == "Cable 3":
        flow = day.newton(day.outcome.before_w)
        exported = -flow.p_to_w[day.branch(element)]
    needs = [p.need_w for p in day.outcome.points if p.point.element == element]
    for mtu in (11, 12):
        assert exported[mtu] > limit_w
        assert max(need[mtu] for need in needs) == pytest.approx(exported[mtu] - limit_w * (1 - MARGIN), abs=1)
    assert day.outcome.congestions_after == ()


def test_nothing_may_be_exported_at_all(tmp_path: Path) -> None:
    """A limit of zero is a limit."""
    day = Day(with_settings(small_day(), outage("Overlying grid", 0)), tmp_path)
    need = {p.point.element: p.need_w for p in day.outcome.points}
    assert need["Overlying grid"][11] > 10_000_000
    assert day.point_w("Overlying grid", "export", day.newton(day.outcome.start_w))[11] <= 1.0


def test_aliases_name_the_same_things(tmp_path: Path) -> None:
    """Every place that names a bus or an element takes either name, and mixes of both."""
    points = ("P,T1,export,12000000,", "V,B,high,,1.03")
    settings = outage("Cable 1") + outage("T1", 9_000_000)
    own = with_points(with_settings(small_day(), settings), *points)
    aliased = with_points(
        with_settings(small_day(), outage("line 0") + outage("trafo 0", 9_000_000)),
        "P,trafo 0,export,12000000,",
        "V,bus 3,high,,1.03",
    )
    mixed = with_points(with_settings(small_day(), outage("line 0") + outage("trafo 0", 9_000_000)), *points)
    aliased["resources.csv"] = aliased["resources.csv"].replace(",A,wind", ",bus 2,wind").replace(",B,", ",bus 3,")
    aliased["forecast.csv"] = aliased["forecast.csv"].replace(",B,,", ",bus 3,,")
    days = [Day(texts, tmp_path / name) for name, texts in (("own", own), ("aliased", aliased), ("mixed", mixed))]
    first = {p.point.congestion_point: p.need_w for p in days[0].outcome.points}
    assert any(first["P"])
    assert any(first["V"])
    for day in days[1:]:
        assert {p.point.congestion_point: p.need_w for p in day.outcome.points} == first
        assert day.outcome.start_w == days[0].outcome.start_w


def test_injections_by_alias_and_name_add_up(tmp_path: Path) -> None:
    split = small_day(loads={"B": (-400_000, -100_000), "bus 3": (-500_000, -200_000)})
    one, both = Day(small_day(), tmp_path / "one"), Day(split, tmp_path / "both")
    assert [p.need_w for p in both.outcome.points] == [p.need_w for p in one.outcome.points]


def test_a_bus_out_of_service_needs_no_voltage(tmp_path: Path) -> None:
    """A bus that an outage leaves without a source has no voltage to keep, if nothing is injected there."""
    units = [u for u in SMALL_UNITS if u.bus != "C"]
    texts = with_points(with_settings(small_day(units=units), outage("Cable 4")), "L,C,low,,0.95", "H,C,high,,1.03")
    points = {p.point.congestion_point: p for p in Day(texts, tmp_path).outcome.points}
    assert not any(points["L"].need_w)
    assert points["H"].need_w[12] == 0
    assert points["H"].need_w[10] > 0


def test_two_points_at_one_element_keep_their_own_limits(tmp_path: Path) -> None:
    day = Day(with_points(small_day(), "Loose,T1,export,14000000,", "Tight,T1,export,12000000,"), tmp_path)
    need = {p.point.congestion_point: p.need_w[12] for p in day.outcome.points}
    assert need["Tight"] - need["Loose"] == pytest.approx(2_000_000 * (1 - MARGIN), abs=2)


def test_given_impact_factors_and_obligations_count(tmp_path: Path) -> None:
    texts = with_points(small_day(), "P,T1,export,12000000,")
    texts["impact_factors.csv"] = "congestion_point,resource,ppm\nP,WA,500000\nP,HB,600000\n"
    texts["allocations.csv"] = f"resource,from,obligation_w\nWA,{HOURS[12]},1234567\n"
    day = Day(texts, tmp_path)
    assert day.owed_w["WA"][12] == -1_234_567
    assert owed_at(day, 12) == 1_234_567
    assert owed_at(day, 11) == 0
    assert day.market.side.impact_ppm("P")["WA"][0] == 500_000


def test_impact_factors_follow_the_topology(tmp_path: Path) -> None:
    """Without Cable 1 all of A's power comes over Cable 3; otherwise a third of it does."""
    day = Day(with_settings(small_day(), outage("Cable 1")), tmp_path)
    ppm = day.market.side.impact_ppm("Cable 3")
    for mtu in (10, 11, 12, 13):
        for resource, row in ppm.items():
            slope = finite_difference(day, resource, "loading:Cable 3", mtu)
            assert row[mtu] == pytest.approx(max(0.0, slope * 1e6), abs=30.0), (resource, mtu)
    assert ppm["WA"][11] > 2 * ppm["WA"][10]


def test_an_element_loaded_both_ways_has_a_need_in_the_hours_of_each(tmp_path: Path) -> None:
    texts = small_day()
    heavy = "".join(f"{hour},B,,{-18_000_000 if n == 2 else 0},0\n" for n, hour in enumerate(HOURS))
    day = Day(texts | {"forecast.csv": texts["forecast.csv"].replace(",B,,", ",bus 3,,") + heavy}, tmp_path)
    loading = day.loading(day.newton(day.outcome.before_w))
    past = {mtu for mtu in range(24) if loading[day.branch("Cable 3"), mtu] > 1.0}
    assert past == {2, *WINDY}
    need = {p.point.congestion_point: {m for m, w in enumerate(p.need_w) if w} for p in day.outcome.points}
    assert need["Cable 3:import"] == {2}
    assert need["Cable 3:export"] == set(WINDY)


@pytest.mark.parametrize("row", ["V,Substation,high,,1.01", "V,Island,low,,0.95"])
def test_a_voltage_that_nothing_moves_is_bad_input(row: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"Substation|Island"):
        Day(with_points(small_day(), row), tmp_path)


def test_a_source_that_holds_a_bad_voltage_is_no_congestion_point(tmp_path: Path) -> None:
    high = SMALL_GRID.replace('"v_min_pu": 0.9, "v_max_pu": 1.1', '"v_min_pu": 0.9, "v_max_pu": 1.01')
    assert high != SMALL_GRID
    day = Day(small_day() | {"grid.json": high}, tmp_path)
    assert [p.point.element for p in day.outcome.points] == ["Cable 3"]
    assert {c.element for c in day.outcome.congestions_after} == {"Substation"}
