from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from flexpeer.adapters.gridfiles import open_grid, write_flexpeer_json
from flexpeer.adapters.gridfiles.opening import built_in
from flexpeer.adapters.newton import newton_flow
from flexpeer.adapters.scenario_files import read_scenario, write_scenario
from flexpeer.app.scenario import Profile, Scenario
from flexpeer.grid.areas import split
from flexpeer.grid.cigre import NominalGrid
from flexpeer.grid.network import Floats
from flexpeer.periods import Span
from flexpeer.simulation.demo import (
    CONNECTION,
    DAY,
    GRID_FILE,
    MAINTENANCE,
    MAINTENANCE_LIMITS_W,
    STRAINED_TRANSFORMER,
    UPPER_LINE,
    UPPER_TRANSFORMER,
    demo_grid,
    demo_scenario,
)
from flexpeer.simulation.demo_participants import NORTH, REGIONAL, SOUTH, UNITS
from flexpeer.simulation.demo_plans import EVERYWHERE, Narrow, owed_w

MTUS = 96


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return demo_scenario()


@pytest.fixture(scope="module")
def grid() -> NominalGrid:
    return demo_grid()


@pytest.fixture(scope="module")
def forecast(scenario: Scenario, grid: NominalGrid) -> tuple[Floats, Floats]:
    """Injections (buses, mtus), added up here from the scenario's rows."""
    row_of = {bus: row for row, bus in enumerate(grid.network.bus_names)}
    p_w, q_var = np.zeros((len(row_of), MTUS)), np.zeros((len(row_of), MTUS))
    bus_of = {resource.resource: resource.bus for resource in scenario.resources}
    located = [*scenario.bus_forecast.items(), *((bus_of[n], p) for n, p in scenario.resource_forecast.items())]
    for bus, profile in located:
        p_w[row_of[bus]] += profile.p_w
        q_var[row_of[bus]] += profile.q_var
    return p_w, q_var


def test_is_large_enough(scenario: Scenario) -> None:
    traders = {resource.fsp for resource in scenario.resources}
    roles = Counter(o.role for o in scenario.organisations if o.organisation in traders)
    assert roles["FSP"] >= 25
    assert roles["AGGREGATOR"] >= 5
    assert roles.total() >= 30
    assert len(scenario.resources) >= 100
    assert len(scenario.orders) >= 1_000
    assert scenario.day.mtu_count == MTUS


def test_every_organisation_that_offers_has_a_resource(scenario: Scenario) -> None:
    offering = {o.organisation for o in scenario.organisations if o.role in ("FSP", "AGGREGATOR")}
    assert offering == {resource.fsp for resource in scenario.resources}


def test_a_regional_dso_stands_over_two_local_ones(scenario: Scenario, grid: NominalGrid) -> None:
    parents = {o.organisation: o.parent for o in scenario.organisations if o.role.endswith("DSO")}
    assert parents == {REGIONAL: None, NORTH: REGIONAL, SOUTH: REGIONAL}
    owners = tuple(scenario.areas[bus] for bus in grid.network.bus_names)
    assert next(area.owner for area in split(grid.network, owners)) == REGIONAL
    assert {border.parent for area in split(grid.network, owners) for border in area.borders} == {REGIONAL}


def test_same_seed_same_day_other_seed_another(scenario: Scenario) -> None:
    assert demo_scenario() == scenario
    assert demo_scenario(7).orders != scenario.orders


def test_reads_back_as_written(scenario: Scenario, grid: NominalGrid, tmp_path: Path) -> None:
    grid_file = tmp_path / "elsewhere.json"
    write_flexpeer_json(built_in(grid), grid_file)
    write_scenario(scenario, tmp_path / "demo", grid_file)
    assert read_scenario(tmp_path / "demo") == scenario
    again = open_grid(GRID_FILE, tmp_path / "demo")
    assert again.network.bus_names == grid.network.bus_names
    assert again.network.source_v_pu == pytest.approx(grid.network.source_v_pu)


def test_every_kind_of_order_is_there(scenario: Scenario) -> None:
    zones = {(row.congestion_point, row.side) for row in scenario.orders}
    wanted = {(zone, side) for zone in (None, STRAINED_TRANSFORMER) for side in ("BUY", "SELL")}
    assert wanted <= zones
    assert {row.time_in_force for row in scenario.orders} == {"day", "fak", "fok"}
    assert sum(row.min_quantity_w is not None for row in scenario.orders) > 20
    lengths = Counter((row.end - row.start) // DAY.mtu_minutes for row in scenario.orders)
    assert all(lengths[length] > 20 for length in (1, 2, 4, 8))
    assert {row.resource for row in scenario.orders} >= set(scenario.portfolios)


def test_kinds_of_resources(scenario: Scenario) -> None:
    kinds = Counter(resource.kind for resource in scenario.resources)
    assert {"wind", "pv", "battery", "e-boiler", "industry", "ev", "heat-pump", "cooling"} <= set(kinds)
    conditional = [resource for resource in scenario.resources if resource.conditional]
    assert {resource.kind for resource in conditional} == {"wind", "ev"}
    assert all(resource.agreement_date is not None for resource in conditional)
    storages = [resource for resource in scenario.resources if resource.kind == "battery"]
    assert all(resource.energy_wh and resource.energy_start_wh is not None for resource in storages)


def test_plans_lie_within_the_ranges(scenario: Scenario) -> None:
    for resource in scenario.resources:
        plan = scenario.resource_forecast[resource.resource].p_w
        assert resource.p_min_w <= min(plan), resource.resource
        assert max(plan) <= resource.p_max_w, resource.resource


def test_open_orders_fit_the_range_but_for_the_mistakes(scenario: Scenario) -> None:
    """Summed as if none were traded: what the door would take at once, from the forecast alone."""
    offered: dict[str, list[int]] = {}
    ranges = {resource.resource: resource for resource in scenario.resources}
    past = set()
    for row in scenario.orders:
        if row.side != "SELL" or row.congestion_point is not None or row.resource not in ranges:
            continue
        sold = offered.setdefault(row.resource, [0] * MTUS)
        plan, p_min_w = scenario.resource_forecast[row.resource].p_w, ranges[row.resource].p_min_w
        span = DAY.span(row.start, row.end)
        mtus = span.mtus if span else ()
        if any(sold[mtu] + row.quantity_w > plan[mtu] - p_min_w for mtu in mtus):
            past.add(row.order)
            continue
        for mtu in mtus:
            sold[mtu] += row.quantity_w
    assert 4 <= len(past) <= 8


def test_a_few_orders_are_mistakes(scenario: Scenario) -> None:
    cap = scenario.rulebook.price_cap_minor or 0
    mistakes = [
        row
        for row in scenario.orders
        if row.price_minor > cap
        or row.congestion_point not in (None, STRAINED_TRANSFORMER)
        or row.quantity_w < scenario.rulebook.min_quantity_w
        or row.quantity_w > 20_000_000
        or DAY.span(row.start, row.end) is None
        or row.resource == NORTH
    ]
    assert 0.01 <= len(mistakes) / len(scenario.orders) <= 0.02


def test_quantities_and_prices_are_whole(scenario: Scenario) -> None:
    for row in scenario.orders:
        assert type(row.quantity_w) is int
        assert type(row.price_minor) is int


def test_the_forecast_is_congested_where_and_when_it_is_meant_to_be(
    grid: NominalGrid, forecast: tuple[Floats, Floats]
) -> None:
    network = grid.network
    flow = newton_flow(network, *forecast)
    export_w = -flow.source_p_w[0].reshape(24, 4).mean(axis=1)
    maintained = export_w[MAINTENANCE.first // 4 : MAINTENANCE.end // 4]
    limit_w = MAINTENANCE_LIMITS_W[CONNECTION]
    assert 6 <= (maintained > limit_w).sum() <= 10
    assert 4e6 < (maintained - limit_w).max() < 10e6
    for element in (UPPER_TRANSFORMER, UPPER_LINE):
        past_w = -flow.p_from_w[network.branch_names.index(element)] - MAINTENANCE_LIMITS_W[element]
        assert 24 <= (past_w[MAINTENANCE.first : MAINTENANCE.end] > 0.0).sum() <= 36
    with np.errstate(invalid="ignore"):
        loading = np.fmax(
            flow.current_from_a / network.rating_from_a[:, None], flow.current_to_a / network.rating_to_a[:, None]
        )
    over = {network.branch_names[branch] for branch in np.flatnonzero((loading > 1.0).any(axis=1))}
    assert over == {STRAINED_TRANSFORMER}
    strained = np.flatnonzero(loading[network.branch_names.index(STRAINED_TRANSFORMER)] > 1.0)
    assert 8 <= len(strained) <= 24
    assert strained.min() >= 4 * 15
    assert strained.max() < 4 * 21
    v_pu = np.abs(flow.v_pu)
    assert v_pu.min() > network.v_min_pu.min() == pytest.approx(0.9)
    assert v_pu.max() < network.v_max_pu.max() == pytest.approx(1.1)


def test_nobody_is_estimated_to_owe_more_than_it_plans() -> None:
    farms = [unit for unit in UNITS if unit.kind == "wind"]
    planned = {unit.name: Profile((2_000_000,) * MTUS, (0,) * MTUS) for unit in farms}
    narrow = [Narrow(15_000_000, Span(4, 8), EVERYWHERE), Narrow(0, Span(8, 12), EVERYWHERE)]
    owed = owed_w(UNITS, planned, {}, [*narrow, Narrow(500_000, Span(4, 8), ("13", "14"))])
    conditional = [unit.name for unit in farms if unit.agreed]
    assert sorted(owed) == sorted(conditional)
    over_w = int(0.98 * 2_000_000 * len(farms)) - 15_000_000
    assert all(owed[name][0] == 0 for name in conditional)
    (above,) = [unit.name for unit in farms if unit.agreed and unit.bus == "Bus 14"]
    others = [name for name in conditional if name != above]
    share_w = over_w / len(conditional)
    assert sum(owed[name][4] for name in others) == pytest.approx(share_w * len(others), abs=len(conditional))
    assert share_w < owed[above][4] == 2_000_000
    assert {owed[name][8] for name in conditional} == {2_000_000}
