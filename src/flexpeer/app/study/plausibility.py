"""What a day's inputs say that nobody can have meant: most often kilowatts where watts belong, or a table left empty.

Warnings, not errors: there are such days. But what rests on them is told with them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from math import sqrt

import numpy as np

from flexpeer.app.ports import Flows
from flexpeer.app.scenario import Profile, ResourceRow, Scenario
from flexpeer.app.study.grid_day import GridInput
from flexpeer.errors import BadInput, Finding
from flexpeer.grid.network import Floats

THOUSAND = 1_000
NEAR = 100
"""Flows below a hundredth of a limit are nowhere near it; those of a hundred times a limit belong to another."""
TIMES_RATED = 10
SOME = 3
EXPECTED = "powers of the size of the grid's ratings, in watts"


def input_warnings(scenario: Scenario, grid: GridInput | None) -> tuple[str, ...]:
    """What the tables say of each other and of the grid's ratings."""
    found = [_without_power(scenario, grid), _without_supply(scenario), _below_ranges(scenario)]
    found += [_small_orders(scenario), _large_orders(scenario)]
    if grid is not None:
        found += [_below_ratings(scenario, grid), _above_ratings(scenario, grid)]
    return tuple(warning for warning in found if warning)


def flow_warnings(scenario: Scenario, flows: Flows, loading: Floats | None) -> tuple[str, ...]:
    """Stated limits of flows that the forecast comes nowhere near, or is far beyond, and a grid that carries nothing.

    `loading` (branches, mtus) is a fraction of the rating, NaN without one.
    """
    stated = {p.congestion_point for p in scenario.congestion_points or () if p.direction in ("export", "import")}
    found = [warning for name in sorted(stated & set(flows)) if (warning := _unlike(name, *flows[name]))]
    if loading is not None and np.isfinite(loading).any() and (highest := float(np.nanmax(loading))) * NEAR <= 1.0:
        found.append(f"no branch is loaded above {100 * highest:.2g} % of its rating all day")
    return tuple(found)


@contextmanager
def explained(warnings: Sequence[str]) -> Iterator[None]:
    """What cannot be calculated is told together with what may be the reason."""
    try:
        yield
    except BadInput as error:
        raise BadInput(
            [*error.findings, *(Finding("forecast.csv", 0, "p_w", each, EXPECTED) for each in warnings)]
        ) from error


def _without_power(scenario: Scenario, grid: GridInput | None) -> str:
    if grid is not None and grid.profile_p_w is not None:
        return ""
    forecast = [*scenario.resource_forecast.values(), *(scenario.bus_forecast.values() if grid else ())]
    if not forecast:
        return "the forecast is empty: nothing injects or draws all day"
    return "" if any(map(_peak_w, forecast)) else "the forecast is 0 throughout: nothing injects or draws all day"


def _without_supply(scenario: Scenario) -> str:
    """Load that a forecast without a single watt of generation has, though there are generators."""
    powers = list(chain.from_iterable(p.p_w for p in _forecasts(scenario)))
    idle = [r.resource for r in scenario.resources if r.p_max_w > 0 and r.p_min_w >= 0]
    if not idle or max(powers, default=0) > 0 or min(powers, default=0) >= 0:
        return ""
    return f"the forecast has load and nothing that injects, though {_some(idle)} could"


def _below_ranges(scenario: Scenario) -> str:
    small = [
        (r, peak_w)
        for r in scenario.resources
        if r.resource in scenario.resource_forecast
        and 0 < (peak_w := _peak_w(scenario.resource_forecast[r.resource])) * THOUSAND <= _size_w(r)
    ]
    if not small:
        return ""
    first, peak_w = small[0]
    example = f"{first.resource}: at most {peak_w:,} W of {_size_w(first):,} W"
    return (
        f"a thousandth of the range or less is forecast all day for {_some(r.resource for r, _ in small)} ({example})"
    )


def _small_orders(scenario: Scenario) -> str:
    sized = list(_sized_orders(scenario))
    small = [(order, watts, size_w) for order, watts, size_w in sized if 0 < watts * THOUSAND <= size_w]
    if not small or 2 * len(small) < len(sized):
        return ""
    order, watts, size_w = small[0]
    example = f"{order}: {watts:,} W of {size_w:,} W"
    return f"{len(small)} of {len(sized)} orders are a thousandth of a range or less ({example})"


def _large_orders(scenario: Scenario) -> str:
    large = [row for row in _sized_orders(scenario) if row[1] >= THOUSAND * row[2]]
    if not large:
        return ""
    order, watts, size_w = large[0]
    return f"{len(large)} orders are a thousand times a range or more ({order}: {watts:,} W of {size_w:,} W)"


def _sized_orders(scenario: Scenario) -> Iterator[tuple[str, int, int]]:
    """Orders of resources and portfolios, their quantity and the size of the range it is of."""
    sizes = {r.resource: _size_w(r) for r in scenario.resources}
    sizes |= {name: sum(sizes[each] for each in members) for name, members in scenario.portfolios.items()}
    for row in scenario.orders:
        if row.action == "place" and sizes.get(row.resource, 0) > 0:
            yield row.order, row.quantity_w, sizes[row.resource]


def _below_ratings(scenario: Scenario, grid: GridInput) -> str:
    """Buses' forecasts, if all of them are next to nothing for the branches there."""
    powers = [(bus, peak_w) for bus, p in scenario.bus_forecast.items() if (peak_w := _peak_w(p))]
    carried = _carried_w(grid)
    if not powers or not all(peak_w * THOUSAND <= carried(bus) for bus, peak_w in powers):
        return ""
    bus, peak_w = max(powers, key=lambda power: power[1])
    example = f"{bus}: {peak_w:,} W of {carried(bus):,.0f} W"
    return f"buses' forecasts are a thousandth of what the branches there carry, or less ({example})"


def _above_ratings(scenario: Scenario, grid: GridInput) -> str:
    carried = _carried_w(grid)
    sizes = [(bus, _peak_w(profile), f"the forecast of {bus}") for bus, profile in scenario.bus_forecast.items()]
    sizes += [(r.bus, _size_w(r), f"the range of {r.resource}") for r in scenario.resources]
    large = [(size_w / carried(bus), what) for bus, size_w, what in sizes if 0 < carried(bus) * TIMES_RATED <= size_w]
    if not large:
        return ""
    times, what = max(large)
    return f"{what} is {times:,.0f} times what the branches at its bus carry" + f", and {len(large) - 1} more" * (
        len(large) > 1
    )


def _carried_w(grid: GridInput) -> Callable[[str], float]:
    """What the branches at a bus carry together, W; 0 where one of them has no rating."""
    network = grid.network
    carried = np.zeros(network.bus_count)
    for ends, ratings in ((network.branch_from, network.rating_from_a), (network.branch_to, network.rating_to_a)):
        np.add.at(carried, ends, sqrt(3.0) * network.bus_v[ends] * np.nan_to_num(ratings, nan=np.inf))
    finite = np.where(np.isfinite(carried), carried, 0.0)

    def at(bus: str) -> float:
        """At a bus by any of its names."""
        index = grid.bus_index(bus)
        return 0.0 if index is None else float(finite[index])

    return at


def _unlike(name: str, flow_w: Sequence[float], limit_w: Sequence[float]) -> str:
    most, limit = max(map(abs, flow_w), default=0.0), min(limit_w, default=0.0)
    if most * NEAR <= limit:
        return f"nothing comes near the limit of {name}: at most {most:,.0f} W of {limit:,.0f} W all day"
    if 0 < limit * NEAR <= most:
        return f"the limit of {name} is a hundredth of what flows or less: {limit:,.0f} W of {most:,.0f} W"
    return ""


def _forecasts(scenario: Scenario) -> Iterable[Profile]:
    return (*scenario.resource_forecast.values(), *scenario.bus_forecast.values())


def _peak_w(profile: Profile) -> int:
    return max(map(abs, profile.p_w), default=0)


def _size_w(resource: ResourceRow) -> int:
    return max(abs(resource.p_min_w), abs(resource.p_max_w))


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = len(listed) - SOME
    return ", ".join(listed[:SOME]) + (f" and {more} more" if more > 0 else "")
