"""Many DSOs as programs of their own on one machine: `python -m benchmarks.many_organisations [DSOS] [PEERS]`.

Splits a generated problem into so many areas of buses that hang together, starts a DSO's program for each, every one
with its own NATS server joined to the market operator's hub, and then the market operator. Prints what it found, its
seconds with everybody up, what each DSO sent, the processor's seconds of a program from start to end, and the memory
of the programs and of their servers: the largest of a program (RSS), and what all together take (PSS, in which shared
pages count once).
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from time import monotonic, perf_counter, sleep
from typing import Any

import numpy as np

from flexpeer.clearing.problem import ClearingProblem
from flexpeer.laboratory.clearing_problems import clearing_problem
from flexpeer.laboratory.files.clearing_files import write_problem
from flexpeer.laboratory.nodes import split_file, warm_up

PERIODS = 24
TIMEOUT_S = "600"
SETTLED_S = 3.0
MB = 1e6


def in_areas(problem: ClearingProblem, count: int) -> ClearingProblem:
    """The same problem cut above `count` - 1 buses drawn at random."""
    heads = np.random.default_rng(1).choice(np.arange(1, problem.buses), count - 1, replace=False)
    area = np.zeros(problem.buses, dtype=np.int64)
    number = {int(bus): k for k, bus in enumerate(np.sort(heads), 1)}
    for bus in range(1, problem.buses):
        area[bus] = number.get(bus, area[problem.parent[bus]])
    return replace(problem, area=area)


def node(folder: Path, hub: str, dso: str) -> "subprocess.Popen[str]":
    """A DSO's program."""
    words = ["--dso", dso, "--problem", str(folder / f"{dso}.npz"), "--keys", str(folder), "--hub", hub]
    return subprocess.Popen(
        [sys.executable, "-m", "flexpeer", "node", *words, "--timeout", TIMEOUT_S],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def operate(folder: Path, hub: str) -> dict[str, Any]:
    """The market operator's program, to its end."""
    words = ["--market-operator", str(folder / "outline.json"), "--keys", str(folder), "--listen", hub]
    done = subprocess.run(
        [sys.executable, "-m", "flexpeer", "node", *words, "--timeout", TIMEOUT_S, "--json"],
        stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def _children(process: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split()]


def _pss_mb(processes: Iterable[int]) -> float:
    total = 0
    for process in processes:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines()
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total * 1024 / MB


def _free_address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


def _wait_until_up(nodes: "Iterable[subprocess.Popen[str]]") -> None:
    for process in nodes:
        assert process.stderr is not None
        assert ": at " in process.stderr.readline()
    sleep(SETTLED_S)


def _used(process: "subprocess.Popen[str]") -> tuple[float, float]:
    """Wait for its end; the most memory it had (RSS, MB) and the processor's seconds, its server's among them."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.stderr is not None
    process.stderr.close()
    return usage.ru_maxrss * 1024 / MB, usage.ru_utime + usage.ru_stime


def measure(folder: Path, dsos: Iterable[str]) -> dict[str, Any]:
    """One run."""
    hub, began = _free_address(), monotonic()
    nodes = [node(folder, hub, dso) for dso in dsos]
    try:
        _wait_until_up(nodes)
        up_s = monotonic() - began - SETTLED_S
        servers = [child for process in nodes for child in _children(process.pid)]
        together = {"programs": _pss_mb(process.pid for process in nodes), "servers": _pss_mb(servers)}
        started = perf_counter()
        found = operate(folder, hub)
        whole_s = perf_counter() - started
        used = np.array([_used(process) for process in nodes])
    finally:
        for process in nodes:
            if process.returncode is None:
                process.terminate()
                process.wait()
    sent = [count["sent"] / 1e3 for count in found["bytes"].values()]
    return {
        "status": found["status"], "silent": found["silent"], "steps": found["steps"],
        "gap_relative_to_gain": found["gap_relative_to_gain"], "seconds": found["seconds"],
        "operator_program_s": round(whole_s, 1), "dsos_up_s": round(up_s, 1),
        "sent_kb_mean": round(float(np.mean(sent)), 1), "sent_kb_max": round(max(sent), 1),
        "program_rss_mb_max": round(used[:, 0].max()), "processor_s_mean": round(used[:, 1].mean(), 2),
        "pss_mb": {name: round(mb) for name, mb in together.items()},
    }  # fmt: skip


def main(dsos: str = "100", peers: str = "8000") -> None:
    """Run it and print the figures."""
    problem = in_areas(clearing_problem(int(peers), PERIODS), int(dsos))
    warm_up()
    with tempfile.TemporaryDirectory() as scratch:
        write_problem(problem, Path(scratch) / "problem.npz")
        facts = split_file(Path(scratch) / "problem.npz", Path(scratch) / "shares")
        found = measure(Path(scratch) / "shares", facts["dsos"])
    print(json.dumps({"dsos": len(facts["dsos"]), "peers": problem.peers, "periods": PERIODS, **found}, indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
