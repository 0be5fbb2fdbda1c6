"""What one trade check costs, and whether any verdict is false: random trades against full Newton.

Grids are compositions of published feeders (`flexpeer.grid.cigre`) and a meshed one (its open rings closed), with
limits at the edge: every rating and voltage band is drawn up to a tenth, or half a percent of nominal, outside what the
day has without trades. Trades move one bus up and another down, 1 to 20 kW on low and 0.1 to 2 MW on medium voltage,
alone or stacked on those granted before. Every state that was granted or refused at the full quantity is then solved
by power-grid-model.
"""

import resource
from collections.abc import Callable
from dataclasses import replace
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from flexpeer import __version__
from flexpeer.errors import bad_input
from flexpeer.grid.cigre import NominalGrid, cigre_lv, cigre_mv, cigre_mv_lv
from flexpeer.grid.limits import TOLERANCE, limits_of
from flexpeer.grid.network import Complexes, Flags, Floats, Integers, Network
from flexpeer.grid.powerflow import DayFlow, flow_model
from flexpeer.grid.screening import TradeScreen
from flexpeer.grid.survey import survey

MTUS = 96
LOW_VOLTAGE_V = 1_000.0
NEWTON_SLACK = 2.0
CHUNK = 2_000
VERDICTS = ("checks", "grants", "false_grants", "refusals", "false_refusals")

Newton = Callable[[Network, Floats, Floats], tuple[Complexes, Floats, Floats]]


class ScreeningTrial(NamedTuple):
    """A grid and its day: injections (buses, mtus), W and var."""

    network: Network
    p_w: Floats
    q_var: Floats


def trials() -> dict[str, Callable[[], ScreeningTrial]]:
    """CIGRE MV, the same with its rings closed, CIGRE LV, and 1,099 buses of MV and LV."""
    return {
        "15 buses, CIGRE MV": lambda: _trial(cigre_mv(), 1.0),
        "15 buses, CIGRE MV meshed": lambda: _trial(_closed(cigre_mv()), 1.3),
        "41 buses, CIGRE LV": lambda: _trial(cigre_lv(), 0.7),
        "1,099 buses": lambda: _trial(_composed(), 0.2),
    }


def _composed() -> NominalGrid:
    return cigre_mv_lv({f"Bus {bus}": ("residential",) * 4 + ("commercial",) * (bus != 14) for bus in range(3, 15)})


def _closed(grid: NominalGrid) -> NominalGrid:
    closed = np.ones(grid.network.branch_count, dtype=np.bool_)
    return grid._replace(network=replace(grid.network, in_service=closed))


def _trial(grid: NominalGrid, scale: float) -> ScreeningTrial:
    """Nominal injections scaled over a day, from a fifth of `scale` to all of it, and reversed at noon."""
    shape = scale * (0.6 - 0.4 * np.cos(2 * np.pi * (np.arange(MTUS) - 8) / MTUS))
    shape[44:52] *= -1.0
    p_w, q_var = grid.p_w[:, None] * shape, grid.q_var[:, None] * np.abs(shape)
    return ScreeningTrial(_at_the_edge(grid.network, p_w, q_var), p_w, q_var)


def _at_the_edge(network: Network, p_w: Floats, q_var: Floats) -> Network:
    """The network with ratings and bands just outside what the day has."""
    chance = np.random.default_rng(7)
    unrated = np.full(network.branch_count, np.nan)
    base_a = network.bus_base_a()[network.branch_from]
    bare = replace(network, rating_from_a=base_a, rating_to_a=unrated)
    found = survey(flow_model(bare), p_w, q_var)
    rating = found.loading.max(axis=1) * base_a * chance.uniform(1.0, 1.1, network.branch_count)
    room = chance.uniform(0.0, 0.005, (2, network.bus_count))
    return replace(
        network,
        rating_from_a=np.where(rating > 0, rating, np.nan),
        rating_to_a=unrated,
        v_min_pu=found.v_pu.min(axis=1) - room[0],
        v_max_pu=found.v_pu.max(axis=1) + room[1],
    )


class Draw(NamedTuple):
    """Trades: what moves up and down by `power_w` in `mtu`."""

    up: Integers
    down: Integers
    mtu: Integers
    power_w: Floats


def draw(trial: ScreeningTrial, count: int, seed: int) -> Draw:
    """Random trades between buses below the sources, sized by the voltage of the lower bus."""
    chance = np.random.default_rng(seed)
    buses = np.setdiff1d(np.arange(trial.network.bus_count), trial.network.source_bus)
    up, down = chance.choice(buses, count), chance.choice(buses, count)
    low = np.minimum(trial.network.bus_v[up], trial.network.bus_v[down]) < LOW_VOLTAGE_V
    power = np.where(low, chance.uniform(1e3, 2e4, count), chance.uniform(1e5, 2e6, count))
    return Draw(up, down, chance.integers(0, MTUS, count), power)


class _States:
    """Injections before and after trades, kept until Newton looks at a chunk of them."""

    def __init__(self, trial: ScreeningTrial, newton: Newton) -> None:
        self._trial, self._newton = trial, newton
        self._before: list[Floats] = []
        self._after: list[Floats] = []
        self._mtus: list[int] = []
        self.count = self.worse = 0

    def add(self, before: Floats, after: Floats, mtu: int) -> None:
        """One more trade."""
        self._before.append(before)
        self._after.append(after)
        self._mtus.append(mtu)
        self.count += 1
        if len(self._after) == CHUNK:
            self.look()

    def look(self) -> None:
        """Count the trades that pass a limit, or pass it further."""
        if self._after:
            before, after = np.array(self._before).T, np.array(self._after).T
            self.worse += _worse(self._trial, before, after, np.array(self._mtus), self._newton)
        self._before, self._after, self._mtus = [], [], []


def false_verdicts(trial: ScreeningTrial, count: int, seed: int, newton: Newton) -> dict[str, Any]:
    """Check `count` trades, stack every second grant, and have Newton look at each state, granted or refused."""
    screen = TradeScreen(DayFlow(trial.network, MTUS), limits_of(trial.network, MTUS), trial.p_w, trial.q_var)
    trades, p_w, seconds = draw(trial, count, seed), trial.p_w.copy(), np.empty(count)
    granted, refused = _States(trial, newton), _States(trial, newton)
    for i in range(count):
        buses, at = np.array([trades.up[i], trades.down[i]]), trades.mtu[i : i + 1]
        change = np.array([[trades.power_w[i]], [-trades.power_w[i]]])
        began = perf_counter()
        found = screen.evaluate(buses, at, change)
        seconds[i] = perf_counter() - began
        after = p_w[:, at[0]].copy()
        np.add.at(after, buses, change[:, 0])
        (granted if found.fits else refused).add(p_w[:, at[0]].copy(), after, int(at[0]))
        if found.fits and granted.count % 2:
            screen.accept(found)
            p_w[:, at[0]] = after
    granted.look()
    refused.look()
    return {
        "checks": count,
        "grants": granted.count,
        "false_grants": granted.worse,
        "refusals": refused.count,
        "false_refusals": refused.count - refused.worse,
        "seconds": seconds,
    }


def _worse(trial: ScreeningTrial, before: Floats, after: Floats, mtus: Integers, newton: Newton) -> int:
    """How many states pass a limit, or pass it further, by full Newton."""
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
    """Rows of the benchmark: a check in one MTU and in 96, per grid, and the false verdicts on `count` trades."""
    chosen = {name: make for name, make in trials().items() if case is None or case.startswith(f"{name}, screening")}
    if not chosen:
        known = "; ".join(f"{name}, screening" for name in trials())
        raise bad_input("bench screening", f"no case {case!r}", known, field="case")
    made = []
    for name, make in chosen.items():
        trial = make()
        checks = count if trial.network.bus_count < 200 else count // 5
        found = false_verdicts(trial, checks, 1, newton)
        made.append(_row(f"{name}, screening, 1 MTU", found["seconds"], found))
        made.append(_row(f"{name}, screening, {MTUS} MTUs", _whole_days(trial, 300), None))
    return [row for row in made if case in (None, row["case"]) or not case.endswith(("MTU", "MTUs"))]


def _whole_days(trial: ScreeningTrial, count: int) -> Floats:
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
        **({} if found is None else {key: found[key] for key in VERDICTS}),
    }
