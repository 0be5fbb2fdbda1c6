"""The limits of one delivery day, per element and MTU, from the network and what the scenario says of it.

In this order: the network's ratings and bands; ratings by the air's temperature; `ratings.csv` and `voltage_bands.csv`,
whose narrowest row holds; the limits of congestion points and outages; the margin for unbalance on low voltage.
"""

from collections.abc import Sequence, Set
from dataclasses import replace

import numpy as np

from flexpeer.app.scenario import CongestionPointRow, Scenario
from flexpeer.grid.limits import Kind, Limits, PowerLimit, limits_of, overhead_factor, with_unbalance
from flexpeer.grid.network import Flags, Floats, Network

LOW_VOLTAGE_V = 1_000.0


def day_limits(scenario: Scenario, network: Network, zones: Sequence[Set[str]]) -> Limits:
    """All limits of a day; names are the network's own. `zones` are the names each bus's area goes by."""
    day = scenario.day
    limits = limits_of(network, day.mtu_count, _power_limits(scenario, network), day.hour_starts())
    for apply in (_with_weather, _with_ratings, _with_bands, _with_point_bands):
        limits = apply(limits, scenario, network)
    return _with_unbalance(limits, scenario, network, zones)


def lowered(scenario: Scenario, point: CongestionPointRow, periods: int) -> Floats:
    """A point's limit per MTU, W, with what outages lower it to."""
    limit = np.full(periods, float(point.limit_w or 0))
    for outage in scenario.outages:
        if outage.element == point.element and outage.limit_w is not None:
            at = list(outage.span.mtus)
            limit[at] = np.minimum(limit[at], outage.limit_w)
    return limit


def _power_limits(scenario: Scenario, network: Network) -> list[PowerLimit]:
    periods, sources = scenario.day.mtu_count, set(network.source_names)
    given = [p for p in scenario.congestion_points or () if p.limit_w is not None]
    power = [
        PowerLimit(p.element, Kind(p.direction), lowered(scenario, p, periods), p.element in sources) for p in given
    ]
    for outage in scenario.outages:
        if outage.limit_w is not None and outage.element not in {p.element for p in given}:
            limit = np.full(periods, np.nan)
            limit[list(outage.span.mtus)] = outage.limit_w
            kinds = (Kind.EXPORT, Kind.IMPORT)
            power += [PowerLimit(outage.element, kind, limit, outage.element in sources) for kind in kinds]
    return power


def _with_weather(limits: Limits, scenario: Scenario, network: Network) -> Limits:
    rating_from, rating_to = limits.rating_from_a.copy(), limits.rating_to_a.copy()
    branches = {name: branch for branch, name in enumerate(network.branch_names)}
    for line in scenario.overhead:
        assert scenario.temperature_c is not None, "a scenario with overhead lines has a weather.csv"
        factor = overhead_factor(np.array(scenario.temperature_c), line.t_max_c, line.t_ref_c)
        for element in line.elements:
            rating_from[branches[element]] *= factor
            rating_to[branches[element]] *= factor
    return replace(limits, rating_from_a=rating_from, rating_to_a=rating_to)


def _with_ratings(limits: Limits, scenario: Scenario, network: Network) -> Limits:
    """A row replaces the rating; amperes at the `to` end are those of the same power there."""
    stated = np.full(limits.rating_from_a.shape, np.nan)
    branches = {name: branch for branch, name in enumerate(network.branch_names)}
    for row in scenario.ratings:
        at, branch = scenario.day.touched(row.start, row.end), branches[row.element]
        stated[branch, at] = np.fmin(stated[branch, at], row.rating_a)
    ratio = (network.bus_v[network.branch_from] / network.bus_v[network.branch_to])[:, None]
    return replace(
        limits,
        rating_from_a=np.where(np.isnan(stated), limits.rating_from_a, stated),
        rating_to_a=np.where(np.isnan(stated), limits.rating_to_a, stated * ratio),
    )


def _with_bands(limits: Limits, scenario: Scenario, network: Network) -> Limits:
    low = np.full(limits.v_min_pu.shape, np.nan)
    high = low.copy()
    buses = {name: bus for bus, name in enumerate(network.bus_names)}
    for row in scenario.bands:
        at, bus = scenario.day.touched(row.start, row.end), buses[row.bus]
        low[bus, at] = np.fmax(low[bus, at], np.nan if row.v_min_pu is None else row.v_min_pu)
        high[bus, at] = np.fmin(high[bus, at], np.nan if row.v_max_pu is None else row.v_max_pu)
    return replace(
        limits,
        v_min_pu=np.where(np.isnan(low), limits.v_min_pu, low),
        v_max_pu=np.where(np.isnan(high), limits.v_max_pu, high),
    )


def _with_point_bands(limits: Limits, scenario: Scenario, network: Network) -> Limits:
    high, low = limits.v_max_pu.copy(), limits.v_min_pu.copy()
    for point in scenario.congestion_points or ():
        if point.limit_pu is not None:
            (high if point.direction == Kind.HIGH else low)[network.bus_names.index(point.element)] = point.limit_pu
    return replace(limits, v_max_pu=high, v_min_pu=low)


def _with_unbalance(limits: Limits, scenario: Scenario, network: Network, zones: Sequence[Set[str]]) -> Limits:
    is_low = network.bus_v <= LOW_VOLTAGE_V
    for margin in scenario.unbalance:
        inside = np.array([margin.area is None or margin.area in zone for zone in zones], dtype=np.bool_)
        at_bus: Flags = is_low & inside
        at_branch: Flags = at_bus[network.branch_from] | at_bus[network.branch_to]
        limits = with_unbalance(limits, at_branch, at_bus, margin.current_percent, margin.voltage_percent / 100.0)
    return limits
