"""A day over the API while its server is killed at random moments: `python -m tests.cli.killed_service [KILLS]`.

The built-in day by thirty programs, on SQLite and on PostgreSQL; each ends in the state of `flexpeer run`.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from tests.adapters.postgres import postgres
from tests.cli.test_serve_and_play import PROGRAM, free_port, served

from flexpeer.bootstrap import write_demo

DEMO_KILLS, DEMO_CLIENTS = 20, 30


class Played(NamedTuple):
    """What `play --json` printed, and how often the server was killed meanwhile."""

    result: dict[str, Any]
    kills: int


def played(scenario: Path, data: Path, database: str | None, pauses_s: list[float], clients: int) -> Played:
    """Play a scenario; after each pause the server is killed and started again, until the day is over."""
    port, more = free_port(), () if database is None else ("--database", database)
    over = threading.Event()
    with ExitStack() as servers:
        program, facts = servers.enter_context(served(data, port, "--scenario", str(scenario), *more))
        words = [
            *PROGRAM, "play", str(scenario), "--credentials", facts["credentials"], "--url", facts["url"], "--clients",
            str(clients), "--json",
        ]  # fmt: skip
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as playing:
            waiting = threading.Thread(target=_tell, args=(playing, over))
            waiting.start()
            kills = 0
            for pause_s in pauses_s:
                if over.wait(pause_s):
                    break
                os.kill(program.pid, signal.SIGKILL)
                program.wait()
                kills += 1
                program, _ = servers.enter_context(served(data, port, *more))
            assert playing.stdout is not None
            assert playing.stderr is not None
            out, err = playing.stdout.read(), playing.stderr.read()
            waiting.join()
        assert playing.returncode == 0, err
        return Played(json.loads(out), kills)


def _tell(playing: "subprocess.Popen[str]", over: threading.Event) -> None:
    playing.wait()
    over.set()


def main(kills: int) -> int:
    """Whether both stores end where `run` does."""
    chance, ended = Random(1), set()
    with tempfile.TemporaryDirectory() as scratch, postgres() as cluster:
        scenario = Path(scratch) / "scenario"
        write_demo(scenario)
        ran = subprocess.run(
            [*PROGRAM, "run", str(scenario), "--out", f"{scratch}/out", "--json"], check=True, capture_output=True
        )
        ended.add(json.loads(ran.stdout)["state_hash"])
        for name, database in (("SQLite", None), ("PostgreSQL", cluster.database("killed"))):
            pauses_s = [chance.uniform(0.5, 8.0) for _ in range(kills)]
            found = played(scenario, Path(scratch) / name, database, pauses_s, DEMO_CLIENTS)
            ended.add(found.result["state_hash"])
            print(f"{name}: killed {found.kills} times, state {found.result['state_hash'][:16]}", flush=True)
    print("the state of run" if len(ended) == 1 else "ANOTHER STATE")
    return int(len(ended) > 1)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else DEMO_KILLS))
