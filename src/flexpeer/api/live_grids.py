"""The grid of days that are still traded, found beside the writer and no more often than it takes long."""

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple

from flexpeer.api.declining import bad_file
from flexpeer.api.service import ServedDay
from flexpeer.app.day import Day
from flexpeer.app.study.live_grid import LiveGrid, live_grid
from flexpeer.errors import BadInput
from flexpeer.market.machine import State

PAUSE_TIMES = 10.0
Key = tuple[int, int, str]


class Found(NamedTuple):
    """What was found; `late`: the day has gone on since, and whoever asks later gets another answer."""

    live: LiveGrid
    late: bool


class _Kept(NamedTuple):
    key: Key
    live: LiveGrid
    again_at: float


class LiveGrids:
    """One answer for all who ask meanwhile: a large grid is solved at most a tenth of the time."""

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._kept: dict[str, _Kept] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def of(self, served: ServedDay) -> Found:
        """A day's; declined where its forecast has no power flow."""
        async with self._locks.setdefault(served.market_id, asyncio.Lock()):
            day, state = served.day, served.published.state
            key = (id(day), len(state.trades.trades), str(state.stages.stage))
            kept = self._kept.get(served.market_id)
            if kept is not None and kept.key[0] == key[0] and (kept.key == key or self._seconds() < kept.again_at):
                return Found(kept.live, kept.key != key)
            began = self._seconds()
            try:
                live = await asyncio.to_thread(_found, day, state)
            except BadInput as error:
                raise bad_file(error) from error
            took = self._seconds() - began
            self._kept[served.market_id] = _Kept(key, live, self._seconds() + PAUSE_TIMES * took)
            return Found(live, late=False)


def _found(day: Day, state: State) -> LiveGrid:
    """By forecast and with the trades of a state, from what never changes while a day lasts."""
    before_w, now_w = day.before_w(), day.schedules_w(state)
    if day.physical is None:
        return LiveGrid(day.side.flows(before_w), day.side.flows(now_w))
    return live_grid(day.physical, before_w, now_w)
