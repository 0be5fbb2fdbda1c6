"""Servers of one's own: what crosses from a DSO's server to the hub and to others, and how they end."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from tests.adapters.nats_server import free_port, program

from flexpeer.adapters.ed25519 import read_keys, write_keys
from flexpeer.adapters.nats_areas import subject
from flexpeer.adapters.nats_servers import ANY_PORT, hub, leaf
from flexpeer.app.between.letters import MARKET_OPERATOR
from flexpeer.errors import BadInput
from flexpeer.laboratory.clearing_problems import clearing_problem
from flexpeer.laboratory.files.clearing_files import write_problem
from flexpeer.laboratory.nodes import split_file

DSOS = ("dso-0", "dso-1")
PRIVATE = ("flexpeer.agents.dso-0", "scada.pump", "flexpeer.clearings", "_INBOX.x")
SETTLED_S = 0.5
ENDED_S = 5.0


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    write_keys([MARKET_OPERATOR, *DSOS], folder)
    return folder


@pytest.fixture(scope="module")
def servers(keys: Path) -> Iterator[list[str]]:
    """The hub's address and each DSO's."""
    program()
    listen = f"127.0.0.1:{free_port()}"
    with ExitStack() as stack:
        own = [stack.enter_context(hub(listen, read_keys(MARKET_OPERATOR, keys), DSOS))]
        own += [stack.enter_context(leaf(dso, listen, ANY_PORT, read_keys(dso, keys))) for dso in DSOS]
        yield own


async def _note(heard: list[tuple[int, str]], place: int, message: Msg) -> None:
    heard.append((place, message.subject))


async def _clients(servers: list[str], heard: list[tuple[int, str]]) -> list[Client]:
    async def refused(_error: Exception) -> None:
        return None

    clients = [await nats.connect(server, error_cb=refused) for server in servers]
    for place, client in enumerate(clients):
        await client.subscribe(subject(MARKET_OPERATOR) if place == 0 else ">", cb=partial(_note, heard, place))
    return clients


async def _joined(clients: list[Client], heard: list[tuple[int, str]]) -> None:
    """Wait until both leaf nodes are heard at the hub."""
    async with asyncio.timeout(10.0):
        while heard.count((0, subject(MARKET_OPERATOR))) < 2:
            heard.clear()
            for client in clients[1:]:
                await client.publish(subject(MARKET_OPERATOR), b"here")
            await asyncio.sleep(SETTLED_S)
    heard.clear()


async def _said(servers: list[str], place: int, subjects: list[str]) -> list[tuple[int, str]]:
    heard: list[tuple[int, str]] = []
    clients = await _clients(servers, heard)
    await _joined(clients, heard)
    for name in subjects:
        await clients[place].publish(name, b"text")
    await asyncio.sleep(SETTLED_S)
    for client in clients:
        await client.close()
    return sorted(set(heard))


def test_only_the_market_crosses(servers: list[str]) -> None:
    private = [*PRIVATE, subject("dso-0"), subject("dso-1"), subject("anybody")]
    assert asyncio.run(_said(servers, 1, private)) == sorted((1, name) for name in private)
    mine = [(0, subject(MARKET_OPERATOR)), (1, subject(MARKET_OPERATOR))]
    assert asyncio.run(_said(servers, 1, [subject(MARKET_OPERATOR)])) == mine


def test_the_market_operator_reaches_each_dso_alone(servers: list[str]) -> None:
    for place, dso in enumerate(DSOS, 1):
        assert asyncio.run(_said(servers, 0, [*PRIVATE, subject(dso)])) == [(place, subject(dso))]


def test_a_stranger_does_not_join_the_hub(servers: list[str], keys: Path, tmp_path: Path) -> None:
    write_keys([MARKET_OPERATOR, "dso-1"], tmp_path)
    listen = f"127.0.0.1:{free_port()}"
    with (
        hub(listen, read_keys(MARKET_OPERATOR, keys), DSOS) as operator,
        leaf("dso-1", listen, ANY_PORT, read_keys("dso-1", tmp_path)) as stranger,
        pytest.raises(TimeoutError),
    ):
        asyncio.run(_all_here(operator, stranger))
    assert servers


async def _all_here(operator: str, stranger: str) -> None:
    heard: list[tuple[int, str]] = []
    clients = await _clients([operator, stranger], heard)
    try:
        async with asyncio.timeout(2.0):
            while (0, subject(MARKET_OPERATOR)) not in heard:
                await clients[1].publish(subject(MARKET_OPERATOR), b"here")
                await asyncio.sleep(0.1)
    finally:
        for client in clients:
            await client.close()


def test_addresses_that_cannot_be_used(keys: Path) -> None:
    signatures = read_keys(MARKET_OPERATOR, keys)
    with pytest.raises(BadInput, match="HOST:PORT"), hub("nowhere", signatures, DSOS):
        pass
    with pytest.raises(BadInput, match="no public key of dso-9"), hub(ANY_PORT, signatures, ["dso-9"]):
        pass
    port = free_port()
    with (
        hub(f"127.0.0.1:{port}", signatures, DSOS),
        pytest.raises(BadInput, match="address already in use"),
        leaf("dso-0", f"127.0.0.1:{port}", f"127.0.0.1:{port}", read_keys("dso-0", keys)),
    ):
        pass


def _children(process: int) -> list[int]:
    found = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii")
    return [int(word) for word in found.split()]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for children in /proc")
@pytest.mark.parametrize("after_s", [0.0, 2.0])
def test_a_node_that_is_told_to_end_ends_its_server(keys: Path, tmp_path: Path, after_s: float) -> None:
    write_problem(clearing_problem(16, 2), tmp_path / "problem.npz")
    split_file(tmp_path / "problem.npz", tmp_path / "shares")
    words = ["--dso", "dso-0", "--problem", str(tmp_path / "shares" / "dso-0.npz"), "--keys", str(keys)]
    node = subprocess.Popen(
        [sys.executable, "-m", "flexpeer", "node", *words, "--hub", f"127.0.0.1:{free_port()}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert node.stderr is not None
        assert node.stderr.readline().startswith("dso-0: at nats://127.0.0.1:")
        (server,) = _children(node.pid)
        time.sleep(after_s)
        node.terminate()
        assert node.wait(ENDED_S) == 128 + signal.SIGTERM
        assert not Path(f"/proc/{server}").exists()
    finally:
        node.kill()
        node.communicate()
