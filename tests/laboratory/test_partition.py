"""Three hosts, one of which is cut off in the middle of a run."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.adapters.nats_server import program
from tests.adapters.network_hosts import Hosts, hosts

from flexpeer.laboratory.clearing_problems import clearing_problem
from flexpeer.laboratory.files.clearing_files import write_problem
from flexpeer.laboratory.nodes import split_file

RECOVERED_S = 5.0
"""From the link's return to the next answer, at most."""
PORT = 7422


@pytest.fixture(scope="module")
def shares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("partition")
    problem = clearing_problem(200, 24)
    write_problem(replace(problem, area=np.minimum(problem.area, 1)), folder / "problem.npz")
    split_file(folder / "problem.npz", folder / "shares")
    return folder / "shares"


@contextmanager
def running(shares: Path, lan: Hosts, timeout_s: float) -> Iterator["subprocess.Popen[str]"]:
    """The market operator, in the middle of a run; its DSOs are on the other hosts."""
    place = f"{lan.address['hub']}:{PORT}"
    started = [
        lan.start(
            dso, "-m", "flexpeer", "node", "--dso", dso, "--problem", f"{shares}/{dso}.npz", "--keys", str(shares),
            "--hub", place, "--timeout", "10",
        )
        for dso in ("dso-0", "dso-1")
    ]  # fmt: skip
    try:
        for dso in started:
            assert dso.stderr is not None
            assert ": at nats://" in dso.stderr.readline()
        operator = lan.start(
            "hub", "-m", "tests.laboratory.paused_operator", str(shares), place, str(timeout_s), "dso-1"
        )
        started.append(operator)
        assert _line(operator) == "middle"
        yield operator
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.communicate(timeout=60.0)


def _line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def _go_on(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def _ending(process: "subprocess.Popen[str]") -> dict[str, Any]:
    found = json.loads(_line(process))
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("cut_s", [2.0, 7.0])
def test_a_host_that_was_cut_off_goes_on_within_5_s(shares: Path, cut_s: float) -> None:
    program()
    with hosts("hub", "dso-0", "dso-1") as lan, running(shares, lan, timeout_s=30.0) as operator:
        lan.cut("dso-1")
        _go_on(operator)
        time.sleep(cut_s)
        lan.heal("dso-1")
        healed = time.monotonic()
        assert _line(operator) == "answered"
        recovered_s = time.monotonic() - healed
        found = _ending(operator)
    assert recovered_s < RECOVERED_S
    assert found["accepted"]
    assert (found["silent"], found["unconfirmed"]) == ([], [])


def test_a_host_that_stays_away_is_left_out(shares: Path) -> None:
    program()
    with hosts("hub", "dso-0", "dso-1") as lan, running(shares, lan, timeout_s=6.0) as operator:
        lan.cut("dso-1")
        _go_on(operator)
        assert _line(operator) == "silent"
        found = _ending(operator)
    assert found["accepted"]
    assert found["silent"] == ["dso-1"]
    assert found["gap"] <= 1e-6 * (found["no_trade_objective"] - found["objective"])
