"""Limits per element and MTU, switching, quantiles and the least curtailment, on the small grid and against Newton."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.adapters.scenario_folder import HOURS, Texts
from tests.app.grid_days import SMALL_GRID, WINDY, Ask, Day, orders, small_day
from tests.app.test_grid_day_needs import MARGIN, outage, rated_w, with_settings

from flexpeer.errors import BadInput
from flexpeer.grid.limits import overhead_factor


def weather(*temperatures: float) -> str:
    return "from,temperature_c\n" + "".join(f"{hour},{t}\n" for hour, t in zip(HOURS, temperatures, strict=False))


def overhead(*elements: str) -> str:
    return f"[[overhead]]\nelements = {json.dumps(list(elements))}\nt_max_c = 80\nt_ref_c = 20\n"


def test_the_formula_of_overhead_lines() -> None:
    factor = overhead_factor(np.array([20.0, 80.0, -20.0, 50.0, 90.0]), 80.0, 20.0)
    np.testing.assert_allclose(factor, [1.0, 0.0, np.sqrt(100 / 60), np.sqrt(0.5), 0.0])


def test_ratings_follow_the_air(tmp_path: Path) -> None:
    texts = with_settings(small_day(), overhead("line 0", "Cable 2"))
    day = Day(texts | {"weather.csv": weather(*([-25.0] * 12 + [35.0] * 12))}, tmp_path)
    limits = day.market.physical.grid.limits if day.market.physical else None
    assert limits is not None
    for name in ("Cable 1", "Cable 2"):
        rating = limits.rating_from_a[day.branch(name)]
        np.testing.assert_allclose(rating[:12], 250 * np.sqrt(105 / 60))
        np.testing.assert_allclose(rating[12:], 250 * np.sqrt(45 / 60))
    assert (limits.rating_from_a[day.branch("Cable 3")] == 250).all()
    windy = {c.mtu for c in day.outcome.congestions_before if c.element == "Cable 1"}
    assert windy
    assert windy <= set(range(12, 14))


def test_a_series_of_ratings_replaces_them_and_the_lowest_row_holds(tmp_path: Path) -> None:
    rows = f"element,from,to,rating_a\nT1,{HOURS[0]},{HOURS[6]},100\nCable 1,{HOURS[4]},{HOURS[8]},200\n"
    rows += f"line 0,{HOURS[6]},{HOURS[7]},300\nCable 1,{HOURS[7]},{HOURS[9]},150\n"
    day = Day(small_day() | {"ratings.csv": rows}, tmp_path)
    assert day.market.physical is not None
    limits, cable, transformer = day.market.physical.grid.limits, day.branch("Cable 1"), day.branch("T1")
    assert limits.rating_from_a[cable, 3:10].tolist() == [250, 200, 200, 200, 150, 150, 250]
    np.testing.assert_allclose(limits.rating_from_a[transformer, :6], 100.0)
    np.testing.assert_allclose(limits.rating_to_a[transformer, :6], 550.0)


def test_bands_and_unbalance_narrow_limits(tmp_path: Path) -> None:
    bands = f"bus,from,to,v_min_pu,v_max_pu\nbus 2,{HOURS[3]},{HOURS[5]},0.97,\nA,{HOURS[4]},{HOURS[5]},0.96,1.02\n"
    margin = '[[unbalance]]\narea = "Local"\ncurrent_percent = 25\nvoltage_percent = 1\n'
    grid = json.loads(SMALL_GRID)
    grid["buses"].append({"name": "Village", "v_kv": 0.4, "v_min_pu": 0.9, "v_max_pu": 1.1})
    grid["transformers"].append(
        {
            "name": "T2", "from": "C", "to": "Village", "sn_mva": 0.4, "v_from_kv": 20, "v_to_kv": 0.4,
            "vk_percent": 4, "vkr_percent": 1,
        }
    )  # fmt: skip
    areas = "bus,dso\nC,Local\nVillage,Local\n"
    texts = with_settings(small_day(), margin) | {"voltage_bands.csv": bands, "grid.json": json.dumps(grid)}
    day = Day(texts | {"areas.csv": areas}, tmp_path)
    assert day.market.physical is not None
    limits, a, village = day.market.physical.grid.limits, day.bus("A"), day.bus("Village")
    assert limits.v_min_pu[a, 2:6].tolist() == [0.95, 0.97, 0.97, 0.95]
    assert limits.v_max_pu[a, 2:6].tolist() == [1.06, 1.06, 1.02, 1.06]
    np.testing.assert_allclose([limits.v_min_pu[village, 0], limits.v_max_pu[village, 0]], [0.91, 1.09])
    assert limits.v_max_pu[day.bus("C"), 0] == 1.06
    full = 400 / (np.sqrt(3) * 0.4)
    np.testing.assert_allclose(limits.rating_to_a[day.branch("T2"), 0], full / 1.25)
    assert limits.rating_to_a[day.branch("Cable 4"), 0] == 250


def test_planned_switching_opens_and_closes(tmp_path: Path) -> None:
    grid = json.loads(SMALL_GRID)
    grid["branches"].append(
        {"name": "Tie", "from": "A", "to": "C", "r_ohm": 1.0, "x_ohm": 0.6, "rating_a": 250, "in_service": False}
    )

    def switched(element: str, state: str, first: int, end: int) -> str:
        times = f'from = "{HOURS[first]}"\nto = "{HOURS[end]}"\n'
        return f'[[switching]]\nelement = "{element}"\nstate = "{state}"\n{times}'

    more = switched("Tie", "closed", 10, 14) + switched("Cable 4", "open", 11, 12) + outage("Tie", None, (12, 13))
    day = Day(with_settings(small_day(), more) | {"grid.json": json.dumps(grid)}, tmp_path)
    assert day.market.physical is not None
    in_service = day.market.physical.grid.in_service
    assert np.flatnonzero(in_service[day.branch("Tie")]).tolist() == [10, 11, 13]
    assert np.flatnonzero(~in_service[day.branch("Cable 4")]).tolist() == [11]
    assert day.outcome.largest_difference_pu is not None
    assert day.outcome.largest_difference_pu < 1e-9
    schedules, _ = day.market.physical.grid.solve(day.outcome.before_w, "test")
    tie_a = np.abs(schedules.v[day.bus("A")] - schedules.v[day.bus("C")])
    assert tie_a[10] < tie_a[12] / 3


def with_quantiles(texts: Texts, unit: str, low: float, high: float) -> Texts:
    head, *rows = texts["forecast.csv"].split("\n")[:-1]
    found = [head + ",p_low_w,p_high_w"]
    for row in rows:
        _, _, resource, p_w, _ = row.split(",")
        watts = int(p_w)
        found.append(row + (f",{int(watts * low)},{int(watts * high)}" if resource == unit else ",,"))
    return texts | {"forecast.csv": "\n".join([*found, ""])}


def test_needs_at_a_quantile_are_those_of_the_higher_forecast(tmp_path: Path) -> None:
    rule = "[rulebook]\nneed_quantile_percent = 70\n"
    wider = with_quantiles(small_day(), "WC", 0.5, 1.2)
    stated = Day(wider, tmp_path / "50")
    surer = Day(with_settings(wider, rule), tmp_path / "70")
    need = {p.point.congestion_point: np.array(p.need_w) for p in surer.outcome.points}
    before = {p.point.congestion_point: np.array(p.need_w) for p in stated.outcome.points}
    assert before.keys() <= need.keys()
    assert all((need[name] >= row).all() for name, row in before.items())
    higher = {name: list(row) for name, row in surer.outcome.before_w.items()}
    higher["WC"] = [p + (int(p * 1.2) - p) * 20 // 40 for p in higher["WC"]]
    flow = surer.newton(higher)
    for name, needed in need.items():
        over = surer.loading(flow)[surer.branch(name)] - 1.0
        expected = np.where(over > 1e-6, (over + MARGIN) * rated_w(surer, name), 0.0)
        np.testing.assert_allclose(needed, expected, atol=2.0)


def test_the_least_curtailment_keeps_every_limit_with_less_power(tmp_path: Path) -> None:
    fair = Day(small_day(), tmp_path / "fair")
    least = Day(with_settings(small_day(), '[rulebook]\nallocation = "least"\n'), tmp_path / "least")

    def owed(day: Day) -> int:
        return sum(abs(w) for row in day.owed_w.values() for w in row)

    assert 0 < owed(least) <= owed(fair)
    flow = least.newton(least.outcome.start_w)
    assert np.nanmax(least.loading(flow)) <= 1.0 + 1e-6
    assert {mtu for row in least.owed_w.values() for mtu, w in enumerate(row) if w} <= set(WINDY)


def test_a_day_with_a_controlled_voltage_is_traded_and_verified(tmp_path: Path) -> None:
    grid = json.loads(SMALL_GRID)
    grid["controlled"] = [{"bus": "C", "v_pu": 1.01}]
    texts = small_day() | {"grid.json": json.dumps(grid)}
    point = Day(texts, tmp_path / "observed").outcome.points[0].point.congestion_point
    asks = [Ask(seller, "SELL", 900_000, 20, point) for seller in ("HA", "HB", "Bat")]
    asks += [Ask(buyer, "BUY", 200_000, 300, point) for buyer in ("WA", "WB", "WC")]
    day = Day(texts | {"orders.csv": orders(asks)}, tmp_path / "traded")
    assert day.market.physical is not None
    result, _ = day.market.physical.grid.solve(day.outcome.after_w, "test")
    np.testing.assert_allclose(np.abs(result.v[day.bus("C")]), 1.01, atol=1e-9)
    assert day.outcome.largest_difference_pu is not None
    assert day.outcome.largest_difference_pu < 1e-8
    assert day.outcome.worsened == ()
    assert day.trades


def refused(texts: Texts, folder: Path) -> list[str]:
    with pytest.raises(BadInput) as found:
        Day(texts, folder)
    return [f"{f.where}:{f.line} {f.field}: {f.problem}" for f in found.value.findings]


def test_everything_wrong_with_the_operation_is_told_together(tmp_path: Path) -> None:
    more = overhead("Cable 1") + "[[overhead]]\nelements = []\nt_max_c = 20\nt_ref_c = 30\n"
    more += '[[switching]]\nelement = "Cable 1"\nstate = "ajar"\nfrom = 2026-01-15T00:00:00+01:00\nto = "then"\n'
    more += "[[unbalance]]\ncurrent_percent = -1\nphases = 3\n"
    texts = with_settings(small_day(), more) | {
        "ratings.csv": f"element,from,to,rating_a\nCable 1,{HOURS[2]},{HOURS[1]},-5\n",
        "voltage_bands.csv": f"bus,from,to,v_min_pu,v_max_pu\nA,{HOURS[0]},{HOURS[1]},1.1,0.9\n",
        "weather.csv": weather(20.0, 95.0),
    }
    found = "\n".join(refused(texts, tmp_path))
    for told in (
        "overhead.elements", "switching.state", "switching.to", "unbalance.current_percent", "unbalance.phases",
        "ratings.csv:2 rating_a", "voltage_bands.csv:2 v_min_pu", "weather.csv:3 temperature_c: 95 is too hot",
        "22 MTUs have no row",
    ):  # fmt: skip
        assert told in found, told


def test_weather_is_asked_for_and_quantiles_are_in_order(tmp_path: Path) -> None:
    texts = with_settings(small_day(), overhead("Cable 1"))
    assert any("weather.csv:0" in told for told in refused(texts, tmp_path / "a"))
    crossed = with_quantiles(small_day(), "WA", 1.1, 0.9)
    found = refused(crossed, tmp_path / "b")
    assert any("p_low_w" in told for told in found)
    assert any("p_high_w" in told for told in found)


def test_unknown_elements_are_told_with_their_place(tmp_path: Path) -> None:
    more = overhead("Nowhere") + '[[unbalance]]\narea = "Atlantis"\nvoltage_percent = 1\n'
    texts = with_settings(small_day(), more) | {
        "weather.csv": weather(*[5.0] * 24),
        "ratings.csv": f"element,from,to,rating_a\nCable 9,{HOURS[0]},{HOURS[1]},5\n",
        "voltage_bands.csv": f"bus,from,to,v_min_pu,v_max_pu\nMoon,{HOURS[0]},{HOURS[1]},0.9,1\n",
    }
    found = "\n".join(refused(texts, tmp_path))
    for told in ("Nowhere", "Atlantis", "ratings.csv:2 element", "voltage_bands.csv:2 bus"):
        assert told in found
