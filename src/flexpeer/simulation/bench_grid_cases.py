"""The cases of `flexpeer bench grid`: compositions of published feeders with a seeded spread of injections."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from flexpeer.grid.cigre import NominalGrid, cigre_mv_lv
from flexpeer.grid.network import Floats, Integers, Network

MTUS = 96
YEAR_DAYS = 366
BATCH_PERIODS = 10_080
SEED = 1

Published = Callable[[], tuple[Network, Floats, Floats]]
"""A published grid with a day of its own injections in W and var, (buses, periods)."""


class GridCase(NamedTuple):
    """A grid and its injections (buses, periods), W and var; `whole` where building the model is measured too."""

    name: str
    network: Network
    p_w: Floats
    q_var: Floats
    whole: bool

    @property
    def periods(self) -> int:
        """Number of periods."""
        return int(self.p_w.shape[1])

    def injected(self) -> Integers:
        """Buses with an injection in any period."""
        return np.flatnonzero(np.any(self.p_w, axis=1) | np.any(self.q_var, axis=1))


def _small() -> tuple[NominalGrid, float]:
    feeders = {f"Bus {bus}": ("industrial",) for bus in (3, 5, 7, 13)}
    feeders |= {f"Bus {bus}": ("residential",) for bus in (4, 11)} | {f"Bus {bus}": ("commercial",) for bus in (9, 14)}
    return cigre_mv_lv(feeders), 0.5


def _middle() -> tuple[NominalGrid, float]:
    feeders = {f"Bus {bus}": ("residential",) * 4 + ("commercial",) * (bus != 14) for bus in range(3, 15)}
    return cigre_mv_lv(feeders), 0.2


def _large() -> tuple[NominalGrid, float]:
    feeders = {f"Bus {bus}": ("residential", "commercial") * 12 + ("commercial",) * (bus == 3) for bus in range(3, 15)}
    return cigre_mv_lv(feeders), 0.06


COMPOSED = (
    ("1,099 buses, power flow, day", _middle, MTUS, False),
    ("1,099 buses, power flow, year", _middle, YEAR_DAYS * MTUS, False),
    ("99 buses, power flow, batch", _small, BATCH_PERIODS, False),
    ("5,507 buses, power flow, day", _large, MTUS, True),
)
SIMBENCH = "5,477 buses, SimBench, power flow, day"


def cases(published: Published | None) -> dict[str, Callable[[], GridCase]]:
    """What makes each case, by its name; the SimBench grid's only where `published` gives it."""
    made: dict[str, Callable[[], GridCase]] = {
        name: partial(_composed, name, compose, periods, whole) for name, compose, periods, whole in COMPOSED
    }
    return made if published is None else {**made, SIMBENCH: partial(_published, published)}


def _composed(name: str, compose: Callable[[], tuple[NominalGrid, float]], periods: int, whole: bool) -> GridCase:
    grid, scale = compose()
    return GridCase(name, grid.network, *injections(grid, scale, periods, SEED), whole)


def _published(published: Published) -> GridCase:
    return GridCase(SIMBENCH, *published(), whole=True)


def injections(grid: NominalGrid, scale: float, periods: int, seed: int) -> tuple[Floats, Floats]:
    """Loads and photovoltaics of many days of `MTUS` periods: W and var, (buses, periods).

    A bus with nominal load draws `scale` of it by a daily curve with its own evening peak and a tenth of noise; its
    panels peak at up to twice that draw at noon, by the sky of the day, so that many buses feed in. The others have
    none.
    """
    chance = np.random.default_rng(seed)
    at = np.flatnonzero((grid.p_w != 0.0) | (grid.q_var != 0.0))
    hour, day = np.arange(periods) % MTUS * 24.0 / MTUS, np.arange(periods) // MTUS
    peak_hour, panels = chance.normal(18.5, 1.5, (len(at), 1)), chance.uniform(0.0, 2.0, (len(at), 1))
    sky = chance.uniform(0.3, 1.0, day[-1] + 1)[day] * np.maximum(0.0, np.sin(np.pi * (hour - 6.0) / 12.0))
    draw = 0.65 + 0.35 * np.cos(2.0 * np.pi * (hour - peak_hour) / 24.0)
    draw *= chance.normal(1.0, 0.1, (len(at), periods))
    p_w, q_var = np.zeros((len(grid.p_w), periods)), np.zeros((len(grid.p_w), periods))
    p_w[at] = scale * grid.p_w[at, None] * (draw - panels * sky)
    q_var[at] = scale * grid.q_var[at, None] * draw
    return p_w, q_var
