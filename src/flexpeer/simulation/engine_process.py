"""A process that measures one engine of `flexpeer bench grid` on one core and leaves what it found in a folder.

`python -m flexpeer.simulation.engine_process ENGINE FOLDER`: the folder holds the case; the process prints `READY`
once the engine has solved a day untimed, and ends when the measurement is written. A process stopped in between has
left the voltages of that day.
"""

import json
import os
import pickle
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np

from flexpeer.grid.network import Floats
from flexpeer.simulation.bench_grid_cases import MTUS, GridCase
from flexpeer.simulation.rivals import ENGINES, Solved

READY = "ready"
REPEATS = 15
ENOUGH_S = 20.0
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


def write_case(case: GridCase, folder: Path) -> None:
    """Put a case where processes find it."""
    np.save(folder / "p_w.npy", case.p_w)
    np.save(folder / "q_var.npy", case.q_var)
    (folder / "grid.pickle").write_bytes(pickle.dumps((case.name, case.network, case.whole)))


def read_case(folder: Path) -> GridCase:
    """What `write_case` put there."""
    name, network, whole = pickle.loads((folder / "grid.pickle").read_bytes())
    return GridCase(name, network, np.load(folder / "p_w.npy"), np.load(folder / "q_var.npy"), whole)


def voltages_path(folder: Path, engine: str) -> Path:
    """Where the voltage magnitudes of an engine are, (buses, periods), per unit."""
    return folder / f"{engine}.npy"


def measurement_path(folder: Path, engine: str) -> Path:
    """Where the measurement of an engine is: `seconds` of each run and `peak_memory_bytes`."""
    return folder / f"{engine}.json"


def peak_memory_bytes(process: int | str = "self") -> int:
    """The most memory a process has held; where the system keeps no account of each program, of this process.

    `ru_maxrss` alone would include what the parent held when it started this process.
    """
    status = Path(f"/proc/{process}/status")
    if status.exists():
        lines = (line.split() for line in status.read_text().splitlines())
        return next(int(line[1]) * 1024 for line in lines if line and line[0] == "VmHWM:")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def measure(engine: str, folder: Path) -> None:
    """Solve the case of `folder` a number of times."""
    case = read_case(folder)
    prepare, injected = ENGINES[engine].load(), case.injected()
    solve = prepare(case.network, injected)
    warm = min(MTUS, case.periods)
    leave(voltages_path(folder, engine), solve(*(np.array(s[:, :warm]) for s in (case.p_w, case.q_var))).v_pu)
    print(READY, flush=True)

    def once() -> Solved:
        run = prepare(case.network, injected) if case.whole else solve
        return run(case.p_w, case.q_var)

    seconds, solved = timed(once)
    found = {"seconds": seconds, "peak_memory_bytes": peak_memory_bytes()}
    leave(voltages_path(folder, engine), solved.v_pu)
    measurement_path(folder, engine).write_text(json.dumps(found))


def leave(path: Path, values: Floats) -> None:
    """Write an array that is whole at any moment this process is stopped."""
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.save(file, values)
    part.replace(path)


def timed(once: Callable[[], Solved]) -> tuple[list[float], Solved]:
    """Seconds of each run, `REPEATS` times or until `ENOUGH_S` have passed, and what the last one found."""
    seconds: list[float] = []
    while True:
        began = perf_counter()
        solved = once()
        seconds.append(perf_counter() - began)
        if len(seconds) == REPEATS or sum(seconds) > ENOUGH_S:
            return seconds, solved
        del solved


def main() -> None:
    """Measure on the last core this process may use."""
    if sys.platform == "linux":
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    measure(sys.argv[1], Path(sys.argv[2]))


if __name__ == "__main__":
    main()
