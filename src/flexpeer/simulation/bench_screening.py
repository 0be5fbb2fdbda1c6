"""What one trade check costs, and whether any grant is false: random trades against full Newton.

Grids are compositions of published feeders (`flexpeer.grid.cigre`) and a meshed one (its open rings closed). Trades
move one bus up and another down, 1 to 20 kW on low and 0.1 to 2 MW on medium voltage, alone or stacked on those
granted before, on a day whose base state has limits at the edge. Every grant is then solved by power-grid-model.
"""

import resource
from collections.abc import Callable
from dataclasses import replace
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from flexpeer import __version__
from flexpeer.grid.cigre import NominalGrid, cigre_mv, cigre_mv_lv
from flexpeer.grid.limits import TOLERANCE, limits_of
from flexpeer.grid.network import Complexes, Flags, Floats, Integers, Network
from flexpeer.grid.powerflow import DayFlow
from flexpeer.grid.screening import TradeScreen

MTUS = 96
LOW_VOLTAGE_V = 1_000.0
NEWTON_SLACK = 2.0

Newton = Callable[[Network, Floats, Floats], tuple[Complexes, Floats, Floats]]


class Trial(NamedTuple):
    """A grid and its day: injections (buses, mtus), W and var."""

    name: str
    network: Network
    p_w: Floats
    q_var: Floats


def trials() -> dict[str, Trial]:
    """CIGRE MV, the same with its rings closed, and 1,099 buses of MV and LV."""
    feeders = {f"Bus {bus}": ("residential",) * 4 + ("commercial",) * (bus != 14) for bus in range(3, 15)}
    large = cigre_mv_lv(feeders)
    mv = cigre_mv()
    return {
        "CIGRE MV radial": _trial("CIGRE MV radial", mv, mv.network, 1.0),
        "CIGRE MV meshed": _trial("CIGRE MV meshed", mv, _closed(mv.network), 1.3),
        "1,099 buses": _trial("1,099 buses", large, large.network, 0.2),
    }


def _closed(network: Network) -> Network:
    return replace(network, in_service=np.ones(network.branch_count, dtype=np.bool_))


def _trial(name: str, grid: NominalGrid, network: Network, scale: float) -> Trial:
    """Nominal injections scaled over a day, from a fifth of `scale` to all of it, and reversed at noon."""
    shape = scale * (0.6 - 0.4 * np.cos(2 * np.pi * (np.arange(MTUS) - 8) / MTUS))
    shape[44:52] *= -1.0
    return Trial(name, network, grid.p_w[:, None] * shape, grid.q_var[:, None] * np.abs(shape))


class Draw(NamedTuple):
    """Trades: what moves up and down by `power_w` in `mtu`."""

    up: Integers
    down: Integers
    mtu: Integers
    power_w: Floats


def draw(trial: Trial, count: int, seed: int) -> Draw:
    """Random trades between buses below the sources, sized by the voltage of the lower bus."""
    chance = np.random.default_rng(seed)
    buses = np.setdiff1d(np.arange(trial.network.bus_count), trial.network.source_bus)
    up, down = chance.choice(buses, count), chance.choice(buses, count)
    low = np.minimum(trial.network.bus_v[up], trial.network.bus_v[down]) < LOW_VOLTAGE_V
    power = np.where(low, chance.uniform(1e3, 2e4, count), chance.uniform(1e5, 2e6, count))
    return Draw(up, down, chance.integers(0, MTUS, count), power)


def false_grants(trial: Trial, count: int, seed: int, newton: Newton, chunk: int = 5_000) -> dict[str, Any]:
    """Check `count` trades, stack every second grant, and have Newton look at each granted state."""
    day = DayFlow(trial.network, MTUS)
    screen = TradeScreen(day, limits_of(trial.network, MTUS), trial.p_w, trial.q_var)
    trades, p_w = draw(trial, count, seed), trial.p_w.copy()
    seconds, before, after, mtus, wrong = np.empty(count), [], [], [], 0
    grants = 0
    for i in range(count):
        buses, at = np.array([trades.up[i], trades.down[i]]), trades.mtu[i : i + 1]
        change = np.array([[trades.power_w[i]], [-trades.power_w[i]]])
        began = perf_counter()
        found = screen.evaluate(buses, at, change)
        seconds[i] = perf_counter() - began
        if found.fits:
            grants += 1
            column = p_w[:, at[0]].copy()
            before.append(column.copy())
            np.add.at(column, buses, change[:, 0])
            after.append(column)
            mtus.append(at[0])
            if grants % 2:
                screen.accept(found)
                p_w[:, at[0]] = column
        if len(after) == chunk or (i == count - 1 and after):
            wrong += _worse(trial, np.array(before).T, np.array(after).T, np.array(mtus), newton)
            before, after, mtus = [], [], []
    return {"checks": count, "grants": grants, "false_grants": wrong, "seconds": seconds}


def _worse(trial: Trial, before: Floats, after: Floats, mtus: Integers, newton: Newton) -> int:
    """How many granted states pass a limit, or pass it further, by full Newton."""
    network, q_var = trial.network, np.ascontiguousarray(trial.q_var[:, mtus])
    states = [newton(network, p_w, q_var) for p_w in (before, after)]
    loading, v_pu = ([s[i] for s in states] for i in (1, 0))
    slack = NEWTON_SLACK * TOLERANCE
    over: Flags = loading[1] > np.fmax(loading[0], 1.0) + slack
    magnitudes = [np.abs(v) for v in v_pu]
    high = magnitudes[1] > np.fmax(magnitudes[0], network.v_max_pu[:, None]) + slack
    low = magnitudes[1] < np.fmin(magnitudes[0], network.v_min_pu[:, None]) - slack
    return int((over.any(axis=0) | high.any(axis=0) | low.any(axis=0)).sum())


def rows(newton: Newton, case: str | None = None, count: int = 100_000) -> list[dict[str, Any]]:
    """Rows of the benchmark: a check in one MTU and in 96, per grid, and the false grants among `count` trades."""
    made = []
    for name, trial in trials().items():
        if case is not None and case != name:
            continue
        checks = count if trial.network.bus_count < 200 else count // 20
        found = false_grants(trial, checks, 1, newton)
        made.append(_row(f"{name}, screening, 1 MTU", found["seconds"], found))
        made.append(_row(f"{name}, screening, {MTUS} MTUs", _whole_days(trial, 300), None))
    return made


def _whole_days(trial: Trial, count: int) -> Floats:
    """Seconds of checks of trades in all MTUs at once."""
    screen = TradeScreen(DayFlow(trial.network, MTUS), limits_of(trial.network, MTUS), trial.p_w, trial.q_var)
    trades, seconds, every = draw(trial, count, 2), np.empty(count), np.arange(MTUS)
    for i in range(count):
        change = np.outer([1.0, -1.0], np.full(MTUS, trades.power_w[i] / 10.0))
        began = perf_counter()
        screen.evaluate(np.array([trades.up[i], trades.down[i]]), every, change)
        seconds[i] = perf_counter() - began
    return seconds


def _row(case: str, seconds: Floats, found: dict[str, Any] | None) -> dict[str, Any]:
    steady = seconds[min(20, len(seconds) // 10) :]
    return {
        "case": case,
        "engine": "flexpeer",
        "version": __version__,
        "median_s": float(np.median(steady)),
        "p99_s": float(np.quantile(steady, 0.99)),
        "ratio_to_ours": 1.0,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        **({} if found is None else {key: found[key] for key in ("checks", "grants", "false_grants")}),
    }
