"""Agents over NATS: programs of peers at their DSO's own server."""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.adapters.nats_server import free_port, program

from flexpeer.adapters.meeting_place import MeetingPlace, Tell
from flexpeer.errors import BadInput
from flexpeer.laboratory.clearing_problems import clearing_problem
from flexpeer.laboratory.files.agent_files import AGENTS, agents_folder, read_agents
from flexpeer.laboratory.files.clearing_files import write_problem
from flexpeer.laboratory.files.share_files import OUTLINE
from flexpeer.laboratory.nodes import run_agent, run_dso, run_market_operator, split_file

DSOS = ("dso-0", "dso-1", "dso-2")
PEERS = (5, 17)
TIMEOUT_S = 60.0


@pytest.fixture(scope="module")
def shares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("agents")
    write_problem(clearing_problem(200, 24), folder / "problem.npz")
    facts = split_file(folder / "problem.npz", folder / "shares", PEERS)
    assert set(facts["agents"]) == {f"peer-{peer}" for peer in PEERS}
    assert sum(facts["dsos"].values()) == 200 - len(PEERS)
    return folder / "shares"


def hosts_of(shares: Path) -> dict[str, str]:
    """The DSO of each agent."""
    return {
        name: dso for dso in DSOS if (shares / agents_folder(dso)).exists()
        for name in read_agents(shares / agents_folder(dso)).values()
    }  # fmt: skip


class Day:
    """A hub and three DSOs with their own servers, and what the programs told."""

    def __init__(self, shares: Path, pool: ThreadPoolExecutor, agents_timeout_s: float = TIMEOUT_S) -> None:
        program()
        self._shares, self._pool = shares, pool
        self._port = {dso: free_port() for dso in DSOS}
        self._hub = f"127.0.0.1:{free_port()}"
        self._agents_timeout_s = agents_timeout_s

    def dso(self, name: str) -> "Future[dict[str, Any]]":
        listen = f"127.0.0.1:{self._port[name]}"
        place = MeetingPlace(None, self._shares, self._agents_timeout_s, hub=self._hub, listen=listen)
        folder = self._shares / agents_folder(name)
        agents = folder if folder.exists() else None
        return self._pool.submit(run_dso, name, self._shares / f"{name}.npz", place, None, print, agents)

    def agent(self, name: str, dso: str) -> "Future[dict[str, Any]]":
        own = self._shares / name
        place = MeetingPlace(f"nats://127.0.0.1:{self._port[dso]}", own, TIMEOUT_S)
        return self._pool.submit(run_agent, name, dso, own / f"{name}.npz", place, None)

    def operator(self, tell: Tell = print) -> dict[str, Any]:
        place = MeetingPlace(None, self._shares, TIMEOUT_S, listen=self._hub)
        return run_market_operator(self._shares / OUTLINE, place, tell)


def test_agents_take_part_over_their_dso_s_server(shares: Path) -> None:
    with ThreadPoolExecutor(5) as pool:
        day = Day(shares, pool)
        dsos = {dso: day.dso(dso) for dso in DSOS}
        agents = [day.agent(name, dso) for name, dso in hosts_of(shares).items()]
        found = day.operator()
        ended = {dso: work.result() for dso, work in dsos.items()}
        told = [work.result() for work in agents]
    assert found["accepted"]
    assert found["gap_relative_to_gain"] < 1e-6
    assert (found["silent"], found["unconfirmed"]) == ((), ())
    assert [facts["status"] for facts in told] == ["converged"] * len(PEERS)
    assert all(facts["moved_kwh"] > 0.0 for facts in told)
    assert {name: how for facts in ended.values() for name, how in facts["agents"].items()} == dict.fromkeys(
        ("peer-5", "peer-17"), "answered"
    )


def test_silent_agents_are_left_out_or_played(shares: Path) -> None:
    hosts = hosts_of(shares)
    left = shares / agents_folder(hosts["peer-17"]) / "peer-17.npz"
    left.write_bytes((shares / "peer-17" / "peer-17.npz").read_bytes())
    try:
        with ThreadPoolExecutor(3) as pool:
            day = Day(shares, pool, agents_timeout_s=4.0)
            dsos = {dso: day.dso(dso) for dso in DSOS}
            found = day.operator()
            ended = [work.result() for work in dsos.values()]
    finally:
        left.unlink()
    assert found["accepted"]
    assert found["gap_relative_to_gain"] < 1e-6
    assert found["silent"] == ()
    agents = {name: how for facts in ended for name, how in facts["agents"].items()}
    assert agents == {"peer-5": "silent", "peer-17": "played by the proxy"}
    assert 1_000_017 in {piece for facts in ended for piece in facts["accepted"]}


def test_files_of_agents_that_are_not_what_they_should_be(shares: Path, tmp_path: Path) -> None:
    host = hosts_of(shares)["peer-5"]
    place = MeetingPlace("nats://127.0.0.1:1", shares, 1.0)
    with pytest.raises(BadInput, match="agents' pieces"):
        run_dso(host, shares / f"{host}.npz", place, None, print)
    with pytest.raises(BadInput, match="is not an agent's"):
        run_agent("dso-0", "dso-0", shares / "dso-0.npz", place, None)
    (tmp_path / AGENTS).write_text('{"peer-5": 5}')
    with pytest.raises(BadInput, match="with piece 5"):
        read_agents(tmp_path)
    with pytest.raises(BadInput, match="no peer 200"):
        split_file(shares.parent / "problem.npz", tmp_path / "out", [200])
    with pytest.raises(BadInput, match="two servers"):
        MeetingPlace("nats://127.0.0.1:1", shares, 1.0, hub="127.0.0.1:2")
