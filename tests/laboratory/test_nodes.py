"""Organisations over NATS: each in a thread of its own with its own connection, files and keys."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import nats
import numpy as np
import pytest
from tests.adapters.nats_server import free_port, nats_server, program
from tests.docs.pages import ROOT
from tests.laboratory.joint_clearing import nodes_of

from flexpeer.adapters.ed25519 import read_keys
from flexpeer.adapters.meeting_place import MeetingPlace, nonce
from flexpeer.adapters.nats_areas import NatsAreas, serve, subject
from flexpeer.app.between.letters import MARKET_OPERATOR, Desk, Dropped
from flexpeer.clearing.problem import ClearingProblem
from flexpeer.errors import BadInput
from flexpeer.laboratory.between.area_letters import AreaDesk, reply_in
from flexpeer.laboratory.between.area_node import AreaNode, AreasHere
from flexpeer.laboratory.between.border_relay import Areas
from flexpeer.laboratory.between.borders import Question, Reply
from flexpeer.laboratory.between.coordination import JointOutcome, clear_together
from flexpeer.laboratory.clearing_problems import clearing_problem
from flexpeer.laboratory.engines.shares import digest_of
from flexpeer.laboratory.files.clearing_files import write_problem
from flexpeer.laboratory.files.share_files import OUTLINE, read_outline, read_parts
from flexpeer.laboratory.nodes import run_dso, run_market_operator, split_file

SCRIPT = ROOT / "docs" / "examples" / "several-organisations" / "run.sh"
DSOS = ("dso-0", "dso-1", "dso-2")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with nats_server() as address:
        yield address


@pytest.fixture(scope="module")
def problem() -> ClearingProblem:
    return clearing_problem(200, 24)


@pytest.fixture(scope="module")
def shares(problem: ClearingProblem, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("organisations")
    write_problem(problem, folder / "problem.npz")
    facts = split_file(folder / "problem.npz", folder / "shares")
    assert list(facts["dsos"]) == list(DSOS)
    assert sum(facts["dsos"].values()) == problem.peers
    return folder / "shares"


@pytest.fixture(scope="module")
def here(problem: ClearingProblem) -> JointOutcome:
    outline, nodes = nodes_of(problem)
    return clear_together(outline, AreasHere(nodes), print)


def test_organisations_over_nats_are_organisations_in_process(
    server: str, shares: Path, here: JointOutcome, tmp_path: Path
) -> None:
    place = MeetingPlace(server, shares, 20.0)
    with ThreadPoolExecutor(3) as pool:
        running = {dso: pool.submit(run_dso, dso, shares / f"{dso}.npz", place, tmp_path / dso, print) for dso in DSOS}
        found = run_market_operator(shares / OUTLINE, place, print)
        ended: dict[str, dict[str, Any]] = {dso: work.result() for dso, work in running.items()}
    assert found["accepted"]
    assert found["objective"] == here.objective
    assert found["gap"] == here.gap
    assert (found["silent"], found["unconfirmed"], found["dropped"]) == ((), (), {})
    assert sorted(piece for facts in ended.values() for piece in facts["accepted"]) == [0, 1, 2]
    assert all(facts["status"] == "converged" for facts in ended.values())
    with np.load(tmp_path / "dso-0") as stands:
        assert stands["0/flow_kw"].shape == read_parts(shares / "dso-0.npz")[0].problem.base_kw.shape
    assert {dso: count["sent"] < 70_000 for dso, count in found["bytes"].items()} == dict.fromkeys(DSOS, True)


def desk_of(name: str, shares: Path) -> Desk:
    outline = read_outline(shares / OUTLINE)
    return Desk(name, read_keys(name, shares), digest_of(outline.import_price, outline.export_price), nonce)


def area_desk(dso: str, shares: Path, questions: int | None = None) -> AreaDesk:
    """A DSO that falls silent after so many questions."""
    desk = AreaDesk(desk_of(dso, shares), AreaNode(read_parts(shares / f"{dso}.npz")))
    return desk if questions is None else Fading(desk, questions)


class Fading(AreaDesk):
    def __init__(self, desk: AreaDesk, questions: int) -> None:
        self.heard = 0
        self.desk, self._inner, self._left, self.closed = desk.desk, desk, questions, None

    def reply_to(self, written: bytes) -> bytes | None:
        self._left -= 1
        self.heard += self._left >= 0
        return self._inner.reply_to(written) if self._left >= 0 else None


@pytest.mark.parametrize("questions", [0, 25])
def test_a_silent_dso_is_left_out_and_nobody_waits_for_ever(
    server: str, shares: Path, here: JointOutcome, questions: int
) -> None:
    assert here.accepted
    silent = area_desk("dso-2", shares, questions)
    others = [area_desk(dso, shares) for dso in DSOS[:2]]
    outline = read_outline(shares / OUTLINE)
    with ThreadPoolExecutor(3) as pool:
        fading = pool.submit(serve, silent, server, 1.5)
        running = [pool.submit(serve, desk, server, 20.0) for desk in others]
        with NatsAreas(desk_of(MARKET_OPERATOR, shares), server, 1.0, reply_in) as areas:
            found = clear_together(outline, areas, print)
        assert [work.result() for work in running] == [True, True]
        assert not fading.result()
    assert (found.accepted, found.silent, found.unconfirmed) == (True, ("dso-2",), ())
    assert found.gap <= 1e-6 * (found.no_trade_objective - found.objective)


class Restarting:
    """Ends the server and starts it again in the middle of a run."""

    def __init__(self, areas: Areas, server: ExitStack, port: int) -> None:
        self._areas, self._server, self._port, self._asked = areas, server, port, 0

    def ask(self, questions: Sequence[tuple[str, Question]]) -> Sequence[Reply | None]:
        self._asked += 1
        if self._asked == 30:
            self._server.close()
            self._server.enter_context(nats_server(self._port))
        return self._areas.ask(questions)


def test_a_server_that_starts_again_costs_nobody_his_part(shares: Path, here: JointOutcome) -> None:
    port, outline = free_port(), read_outline(shares / OUTLINE)
    operator = desk_of(MARKET_OPERATOR, shares)
    with ExitStack() as server, ThreadPoolExecutor(3) as pool:
        address = server.enter_context(nats_server(port))
        running = [pool.submit(serve, area_desk(dso, shares), address, 20.0) for dso in DSOS]
        with NatsAreas(operator, address, 20.0, reply_in) as areas:
            found = clear_together(outline, Restarting(areas, server, port), print)
        assert all(work.result() for work in running)
    assert (found.objective, found.silent, found.unconfirmed) == (here.objective, (), ())


def test_strangers_are_not_heard(server: str, shares: Path, here: JointOutcome) -> None:
    desks = [area_desk(dso, shares) for dso in DSOS]
    operator = desk_of(MARKET_OPERATOR, shares)
    with ThreadPoolExecutor(3) as pool, NatsAreas(operator, server, 20.0, reply_in) as areas:
        running = [pool.submit(serve, desk, server, 20.0) for desk in desks]
        asyncio.run(_shout(server))
        found = clear_together(read_outline(shares / OUTLINE), areas, print)
        assert all(work.result() for work in running)
    assert found.objective == here.objective
    assert operator.dropped[Dropped.UNREADABLE] >= 1


async def _shout(server: str) -> None:
    client = await nats.connect(server)
    for name in (*DSOS, MARKET_OPERATOR):
        await client.publish(subject(name), b"buy everything")
    await client.flush()
    await client.close()


def test_keys_do_not_sign_for_others(shares: Path) -> None:
    one, other = (read_keys(name, shares) for name in DSOS[:2])
    signature = one.sign(b"text")
    assert other.holds("dso-0", b"text", signature)
    assert not other.holds("dso-1", b"text", signature)
    assert not other.holds("dso-0", b"other", signature)
    assert not other.holds("dso-9", b"text", signature)


def test_files_that_are_not_what_they_should_be(shares: Path, tmp_path: Path) -> None:
    (tmp_path / OUTLINE).write_text('{"pieces": [{"dso": "a", "above": 0}], "import_price": [], "export_price": []}')
    with pytest.raises(BadInput, match="no single root"):
        read_outline(tmp_path / OUTLINE)
    with pytest.raises(BadInput, match="cannot be read"):
        read_keys("dso-7", shares)
    write_problem(clearing_problem(16, 2), tmp_path / "whole.npz")
    with pytest.raises(BadInput, match="arrays of no piece"):
        read_parts(tmp_path / "whole.npz")
    write_problem(clearing_problem(50, 2, shift=0.5), tmp_path / "coupled.npz")
    with pytest.raises(BadInput, match="coupled"):
        split_file(tmp_path / "coupled.npz", tmp_path / "out")


def test_no_server_is_bad_input(shares: Path) -> None:
    with pytest.raises(BadInput, match="cannot be reached"):
        run_market_operator(shares / OUTLINE, MeetingPlace("nats://127.0.0.1:1", shares, 1.0), print)


def test_the_documented_script_runs(tmp_path: Path) -> None:
    here = Path(program()).parent
    port = free_port()
    done = subprocess.run(
        ["sh", str(SCRIPT), str(tmp_path / "out"), str(port)], capture_output=True, text=True, check=False, timeout=600,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{here}{os.pathsep}{os.environ['PATH']}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    ended = [line.split(",")[0] for line in done.stdout.splitlines() if ": converged" in line]
    assert ended == [f"{name}: converged" for name in (*DSOS, "dso-3", "peer-5")]
