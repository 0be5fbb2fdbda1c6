"""A day's needs by optimisation: which resources must move, and by how little, to bring every limit into band."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from flexpeer.app.scenario import ResourceRow, Scenario
from flexpeer.app.study.grid_day import GridInput, build
from flexpeer.app.study.physical_side import PhysicalSide, margin_ppm
from flexpeer.app.study.plausibility import explained, flow_warnings, input_warnings
from flexpeer.grid.limits import Violation
from flexpeer.grid.network import Floats, Integers
from flexpeer.grid.relief import ROUNDS, Flexible, Relief, ReliefDay, least_relief
from flexpeer.market.needs import CongestionPoint, Watts
from flexpeer.quantities import major, money

NO_COST = 10.0
CHEAPEST = 1e-3


class LeastMoves(NamedTuple):
    """Changes of injection, W per MTU, of the resources that move; AC power flow's verdict on them.

    `left` is what stays past its limit, at most by `overload_percent` of it; `out_of_reach` those of it that no moves
    bring back.
    """

    change_w: dict[str, Watts]
    rounds: int
    left: tuple[Violation, ...]
    out_of_reach: frozenset[Violation]
    overload_percent: float


def least_moves(
    side: PhysicalSide, schedules_w: Mapping[str, Watts], *, only_conditional: bool, by_cost: bool = False
) -> LeastMoves:
    """The least power that resources must move from these schedules; `by_cost` the least cost, where any states one.

    With `only_conditional`, those with a conditional agreement, within what it allows: injection down to none, or
    withdrawal. Where needs are for a quantile, injection falls for what injection loads, withdrawal for the rest.
    """
    grid = side.grid
    chosen = [r for r in side.scenario.resources if r.conditional or not only_conditional]
    bus = np.array([grid.bus_of[r.resource] for r in chosen], dtype=np.int64)
    start = np.array([schedules_w[r.resource] for r in chosen], dtype=np.float64).reshape(len(chosen), grid.day.periods)
    flexible = Flexible(bus, *_rooms(chosen, start, only_conditional), _prices(chosen, by_cost))
    p_w = grid.injections(schedules_w)

    def relieved(more_w: Floats | None, units: Flexible) -> Relief:
        """The least moves of these units with `more_w` (buses, mtus) injected on top."""
        day = ReliefDay(grid.day, grid.limits, p_w if more_w is None else p_w + more_w, grid.base_q_var)
        return least_relief(day, units, side.margin)

    if grid.beyond_export_w is None and grid.beyond_import_w is None:
        found = [relieved(None, flexible)]
    else:
        none = np.zeros_like(start)
        falls, rises = flexible._replace(up_w=none), flexible._replace(down_w=none)
        found = [relieved(grid.beyond_export_w, falls), relieved(grid.beyond_import_w, rises)]
    changes = _whole(sum((each.change_w for each in found), np.zeros_like(start)), flexible)
    moved = {r.resource: tuple(row) for r, row in zip(chosen, changes.tolist(), strict=True) if any(row)}
    left = tuple(violation for each in found for violation in each.left)
    out = frozenset(violation for each in found for violation in each.out_of_reach)
    most = max((each.overload_percent if each.overload_percent is not None else np.inf for each in found), default=0.0)
    return LeastMoves(moved, max(each.rounds for each in found), left, out, float(most))


def _prices(chosen: list[ResourceRow], by_cost: bool) -> Floats:
    """What a watt of each costs beside the dearest stated cost; the same for all where none is, or not `by_cost`.

    One without a cost comes last, at `NO_COST`; nothing is cheaper than `CHEAPEST`, so that none moves in vain.
    """
    dearest = max((r.cost_minor for r in chosen if r.cost_minor is not None), default=0)
    if not by_cost or dearest <= 0:
        return np.ones(len(chosen))
    return np.array([NO_COST if r.cost_minor is None else max(r.cost_minor / dearest, CHEAPEST) for r in chosen])


def _rooms(chosen: list[ResourceRow], start: Floats, only_conditional: bool) -> tuple[Floats, Floats]:
    """By how many watts each can rise and fall, (resources, mtus)."""
    low = np.array([float(max(r.p_min_w, 0) if only_conditional else r.p_min_w) for r in chosen])[:, None]
    high = np.array([float(min(r.p_max_w, 0) if only_conditional else r.p_max_w) for r in chosen])[:, None]
    return np.clip(high - start, 0.0, None), np.clip(start - low, 0.0, None)


def _whole(change_w: Floats, flexible: Flexible) -> Integers:
    """Whole watts, away from zero within the room."""
    away = np.sign(change_w) * np.ceil(np.abs(change_w) - 1e-3)
    return np.asarray(np.clip(away, -flexible.down_w, flexible.up_w), dtype=np.int64)


def needs_object(scenario: Scenario, grid: GridInput, only_conditional: bool) -> dict[str, Any]:
    """What `flexpeer grid needs --json` prints: needs (grid side) and least moves (resource side), W per MTU."""
    grid_day = build(scenario, grid)
    side = PhysicalSide(scenario, grid_day, margin_ppm(scenario))
    forecast = scenario.plans_w()
    warnings = input_warnings(scenario, grid)
    with explained(warnings):
        points = side.observe(forecast)
        warnings += flow_warnings(scenario, side.flows(forecast), grid_day.solve(forecast, "forecast.csv")[1].loading)
    needs = side.need_w(forecast)
    least = least_moves(side, forecast, only_conditional=only_conditional, by_cost=True)
    day = scenario.day
    cost, minutes = {r.resource: r.cost_minor for r in scenario.resources}, day.mtu_minutes
    all_moves = [(cost[name], watts) for name, row in least.change_w.items() for watts in row]
    moves = [
        {"resource": name, "from": day.local(mtu), "change_w": watts, "cost": _cost([(cost[name], watts)], minutes)}
        for name, row in sorted(least.change_w.items())
        for mtu, watts in enumerate(row)
        if watts
    ]
    return {
        "needs": [
            {**_point_facts(point), "from": day.local(mtu), "need_w": watts}
            for point in points
            for mtu, watts in enumerate(needs[point.congestion_point])
            if watts
        ],
        "moves": moves,
        "left": [
            {
                "element": v.element,
                "kind": str(v.kind),
                "from": day.local(v.mtu),
                "value": v.value,
                "limit": v.limit,
                "out_of_reach": v in least.out_of_reach,
            }
            for v in least.left
        ],
        "moved_wh": sum(abs(w) for row in least.change_w.values() for w in row) * minutes / 60,
        "cost": _cost(all_moves, minutes),
        "currency": scenario.currency,
        "overload_percent": least.overload_percent if np.isfinite(least.overload_percent) else None,
        "rounds": least.rounds,
        "most_rounds": ROUNDS,
        "mtu_minutes": minutes,
        "warnings": list(warnings),
    }


def _cost(moves_w: Iterable[tuple[int | None, int]], minutes: int) -> float | None:
    """What moves (cost in minor units per MWh, W) of one MTU each cost, major units; None where none states a cost."""
    stated = [money(cost, abs(watts), minutes) for cost, watts in moves_w if cost is not None]
    return float(major(sum(stated))) if stated else None


def _point_facts(point: CongestionPoint) -> dict[str, str]:
    facts = ("congestion_point", "element", "direction", "dso")
    return {fact: str(getattr(point, fact)) for fact in facts}
