"""A DSO's program is killed while it clears over NATS, and started again with the same state."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.adapters.nats_server import nats_server
from tests.laboratory.joint_clearing import nodes_of

from flexpeer.adapters.ed25519 import read_keys
from flexpeer.adapters.meeting_place import nonce
from flexpeer.adapters.nats_areas import NatsAreas
from flexpeer.app.between.letters import MARKET_OPERATOR, Desk
from flexpeer.laboratory.between.area_letters import reply_in
from flexpeer.laboratory.between.area_node import AreasHere
from flexpeer.laboratory.between.border_relay import Areas
from flexpeer.laboratory.between.borders import Close, Question, Reply
from flexpeer.laboratory.between.coordination import clear_together
from flexpeer.laboratory.clearing_problems import clearing_problem
from flexpeer.laboratory.engines.shares import digest_of
from flexpeer.laboratory.files.clearing_files import write_problem
from flexpeer.laboratory.files.share_files import OUTLINE, read_outline
from flexpeer.laboratory.files.state_files import JournalFolder
from flexpeer.laboratory.nodes import split_file

DSOS = ("dso-0", "dso-1", "dso-2")
TIMEOUT_S = 300.0
PROBLEM = clearing_problem(200, 4)


@pytest.fixture(scope="module")
def shares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("restarts")
    write_problem(PROBLEM, folder / "problem.npz")
    split_file(folder / "problem.npz", folder / "shares")
    return folder / "shares"


@pytest.fixture
def server() -> Iterator[str]:
    with nats_server() as address:
        yield address


class Killing:
    """Kills and starts again, once, just before it asks what `when` says."""

    def __init__(self, areas: Areas, when: Callable[[int, Question], bool], restart: Callable[[], None]) -> None:
        self._areas, self._when, self._restart = areas, when, restart
        self._asked = 0
        self.done = False

    def ask(self, questions: Sequence[tuple[str, Question]]) -> Sequence[Reply | None]:
        self._asked += 1
        if not self.done and self._when(self._asked, questions[0][1]):
            self.done = True
            self._restart()
        return self._areas.ask(questions)


def end(running: Mapping[str, subprocess.Popen[str]]) -> None:
    for process in running.values():
        if process.poll() is None:
            process.kill()


@pytest.mark.parametrize("when", [lambda n, _: n == 20, lambda _, question: isinstance(question, Close)])
def test_killed_and_started_again(
    server: str, shares: Path, tmp_path: Path, when: Callable[[int, Question], bool]
) -> None:
    """In the middle all begin again with it; when it had finished, it accepts what it had finished."""
    outline, nodes = nodes_of(PROBLEM)
    quiet = clear_together(outline, AreasHere(nodes), print)
    running: dict[str, subprocess.Popen[str]] = {}

    def start(dso: str) -> None:
        words: list[Any] = [sys.executable, "-m", "flexpeer", "node", "--dso", dso, "--server", server]
        words += ["--problem", shares / f"{dso}.npz", "--keys", shares, "--state", tmp_path / dso]
        words += ["--timeout", TIMEOUT_S, "--out", tmp_path / f"{dso}.npz"]
        running[dso] = subprocess.Popen([str(word) for word in words], stdout=subprocess.PIPE, text=True)

    def restart() -> None:
        running["dso-1"].kill()
        running["dso-1"].wait()
        start("dso-1")

    journal = JournalFolder(tmp_path / MARKET_OPERATOR, shares / OUTLINE)
    outline = read_outline(shares / OUTLINE)
    digest = digest_of(outline.import_price, outline.export_price)
    desk = Desk(MARKET_OPERATOR, read_keys(MARKET_OPERATOR, shares), digest, nonce)
    with ExitStack() as ending, NatsAreas(desk, server, TIMEOUT_S, reply_in) as areas:
        for dso in DSOS:
            start(dso)
        ending.callback(end, running)
        killing = Killing(areas, when, restart)
        found = clear_together(read_outline(shares / OUTLINE), killing, print, journal)
        told = [process.communicate(timeout=TIMEOUT_S)[0] for process in running.values()]
    assert killing.done
    assert all("converged" in text for text in told)
    assert (found.silent, found.unconfirmed) == ((), ())
    assert (found.objective, found.gap) == (quiet.objective, quiet.gap)
    for number, node in enumerate(nodes[dso] for dso in DSOS):
        with np.load(tmp_path / f"dso-{number}.npz") as stands:
            assert (stands[f"{number}/steps_kw"] == node.accepted[number].steps_kw).all()
    decision = journal.decided()
    assert decision is not None
    assert set(decision.confirmed) == set(DSOS)
