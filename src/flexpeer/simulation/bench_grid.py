"""How fast power flows over many periods are solved: flexpeer and its rivals on the same grid, one core each.

Every engine runs in a fresh process of its own (`engine_process`), gets the same arrays and has its voltages compared
with ours in every period it solved. A rival that needs more than `LIMIT_S` for one run is stopped: its row says so by
`lower_bound`, its voltages are those of the first day.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from flexpeer.errors import bad_input
from flexpeer.simulation.bench_grid_cases import GridCase, Published, cases
from flexpeer.simulation.engine_process import (
    ONE_THREAD,
    READY,
    measurement_path,
    peak_memory_bytes,
    voltages_path,
    write_case,
)
from flexpeer.simulation.rivals import ENGINES, OURS

LIMIT_S = 300.0
COMPARED_AT_ONCE = 1_024

Tell = Callable[[str], None]


class EngineFailedError(Exception):
    """An engine's process ended without a measurement; the text is the end of what it said."""


class Measured(NamedTuple):
    """Seconds of one run, at least these if the engine was stopped, and the memory of its process."""

    seconds: float
    peak_memory_bytes: int
    stopped: bool


def rows(published: Published | None, tell: Tell, case: str | None = None) -> list[dict[str, Any]]:
    """Rows of every case, or of one; the published grid's only if there is one.

    BadInput names the cases when `case` is not one of them.
    """
    known = cases(published)
    if case is not None and case not in known:
        raise bad_input("bench grid", f"no case {case!r}", "; ".join(known), field="case")
    return [row for name, make in known.items() if case in (None, name) for row in case_rows(make(), tell)]


def case_rows(case: GridCase, tell: Tell, limit_s: float = LIMIT_S) -> list[dict[str, Any]]:
    """A row for each engine that is installed, ours first."""
    result: list[dict[str, Any]] = []
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_case(case, folder)
        ours_s = 0.0
        for engine in (name for name, engine in ENGINES.items() if engine.installed()):
            tell(f"{case.name}: {engine}")
            measured = _alone(engine, folder, limit_s)
            ours_s = measured.seconds if engine == OURS else ours_s
            result.append(_row(case, engine, measured, ours_s, _difference_pu(folder, engine)))
            if engine != OURS:
                voltages_path(folder, engine).unlink()
    return result


def _alone(engine: str, folder: Path, limit_s: float) -> Measured:
    """Run one engine in its process; the limit counts from when it is ready."""
    command = [sys.executable, "-m", "flexpeer.simulation.engine_process", engine, str(folder)]
    errors = folder / "errors.txt"
    with (
        errors.open("w") as sink,
        subprocess.Popen(
            command, env=os.environ | ONE_THREAD, stdout=subprocess.PIPE, stderr=sink, text=True
        ) as process,
    ):
        assert process.stdout is not None
        ready = any(line.strip() == READY for line in process.stdout)
        try:
            status = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            peak = peak_memory_bytes(process.pid)
            process.kill()
            return Measured(limit_s, peak, True)
    if status or not ready:
        raise EngineFailedError(f"{engine}: {errors.read_text()[-2_000:]}")
    found = json.loads(measurement_path(folder, engine).read_text())
    return Measured(median(found["seconds"]), found["peak_memory_bytes"], False)


def _difference_pu(folder: Path, engine: str) -> float:
    """The largest difference of a voltage magnitude from ours in any period that both solved."""
    ours, theirs = (np.load(voltages_path(folder, name), mmap_mode="r") for name in (OURS, engine))
    periods = min(ours.shape[1], theirs.shape[1])
    blocks = (slice(at, min(at + COMPARED_AT_ONCE, periods)) for at in range(0, periods, COMPARED_AT_ONCE))
    return float(max(np.abs(ours[:, block] - theirs[:, block]).max() for block in blocks))


def _row(case: GridCase, engine: str, measured: Measured, ours_s: float, difference_pu: float) -> dict[str, Any]:
    return {
        "case": case.name,
        "engine": engine,
        "version": ENGINES[engine].version(),
        "median_s": measured.seconds,
        "per_second": round(case.periods / measured.seconds),
        "ratio_to_ours": measured.seconds / ours_s,
        "peak_memory_bytes": measured.peak_memory_bytes,
        "max_voltage_difference_pu": difference_pu,
        "lower_bound": measured.stopped,
    }
