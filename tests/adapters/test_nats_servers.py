"""Servers of one's own: what crosses from a DSO's server to the hub and to others, and how they end."""

import asyncio
import shutil
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
from nats.errors import Error as NatsError
from tests.adapters.nats_server import free_port, program

from flexpeer.adapters.ed25519 import read_keys, write_keys
from flexpeer.adapters.nats_areas import AGENTS, subject, without_password
from flexpeer.adapters.nats_servers import ANY_PORT, hub, leaf, with_password
from flexpeer.adapters.server_files import (
    AUTHORITY,
    HUB,
    HUB_KEY,
    ServerCredentials,
    read_password,
    write_authority,
    write_passwords,
)
from flexpeer.app.between.letters import MARKET_OPERATOR
from flexpeer.errors import BadInput
from flexpeer.laboratory.clearing_problems import clearing_problem
from flexpeer.laboratory.files.clearing_files import write_problem
from flexpeer.laboratory.nodes import split_file

DSOS = ("dso-0", "dso-1")
AGENTS_OF = {"dso-0": {"peer-5": "secret-of-5", "peer-6": "secret-of-6"}}
PRIVATE = ("flexpeer.agents.dso-0", "scada.pump", "flexpeer.clearings", "_INBOX.x")
SETTLED_S = 0.5
ENDED_S = 60.0


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    write_keys([MARKET_OPERATOR, *DSOS], folder)
    write_passwords(["dso-1"], folder)
    write_authority(folder)
    return folder


def credentials(name: str, keys: Path) -> ServerCredentials:
    return ServerCredentials(read_keys(name, keys), keys, AGENTS_OF.get(name, {}))


@pytest.fixture(scope="module")
def servers(keys: Path) -> Iterator[list[str]]:
    """The hub's address and each DSO's."""
    program()
    listen = f"127.0.0.1:{free_port()}"
    with ExitStack() as stack:
        own = [stack.enter_context(hub(listen, credentials(MARKET_OPERATOR, keys), DSOS))]
        own += [stack.enter_context(leaf(dso, listen, ANY_PORT, credentials(dso, keys))) for dso in DSOS]
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
    async with asyncio.timeout(60.0):
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
    shutil.copy(keys / AUTHORITY, tmp_path / AUTHORITY)
    listen = f"127.0.0.1:{free_port()}"
    with (
        hub(listen, credentials(MARKET_OPERATOR, keys), DSOS) as operator,
        leaf("dso-1", listen, ANY_PORT, credentials("dso-1", tmp_path)) as stranger,
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


async def _refused(server: str) -> bool:
    async def quiet(_error: Exception) -> None:
        return None

    try:
        client = await nats.connect(server, allow_reconnect=False, connect_timeout=60, error_cb=quiet)
    except (NatsError, OSError):
        return True
    await client.close()
    return False


def test_nobody_enters_without_a_password(servers: list[str], keys: Path) -> None:
    for server in servers:
        plain = without_password(server)
        assert "@" in server
        assert "@" not in plain
        assert asyncio.run(_refused(plain))
        assert asyncio.run(_refused(with_password(plain, "private", "private")))
        assert not asyncio.run(_refused(server))
    password = read_password("dso-1", keys)
    assert password is not None
    assert password in servers[2]


def test_an_agent_speaks_with_its_dso_only(servers: list[str]) -> None:
    five, six = (with_password(without_password(servers[1]), name, word) for name, word in AGENTS_OF["dso-0"].items())
    heard = asyncio.run(_between(servers[1], five, six))
    assert heard == {(0, subject("dso-0", AGENTS)), (1, subject("peer-5", AGENTS))}


async def _between(own: str, five: str, six: str) -> set[tuple[int, str]]:
    """What is heard at the DSO's program and by agents 5 and 6 of all that 5 says, and of what the DSO says to 5."""
    heard: list[tuple[int, str]] = []

    async def refused(_error: Exception) -> None:
        return None

    clients = [await nats.connect(server, error_cb=refused) for server in (own, five, six)]
    for place, client in enumerate(clients):
        for name in (">",) if place == 0 else (subject(f"peer-{place + 4}", AGENTS), subject("dso-0", AGENTS)):
            await client.subscribe(name, cb=partial(_note, heard, place))
        await client.flush()
    for name in (subject("dso-0", AGENTS), subject("peer-6", AGENTS), subject(MARKET_OPERATOR), "scada.pump"):
        await clients[1].publish(name, b"text")
    await asyncio.sleep(SETTLED_S)
    found = set(heard)
    await clients[0].publish(subject("peer-5", AGENTS), b"text")
    await asyncio.sleep(SETTLED_S)
    for client in clients:
        await client.close()
    return found | {each for each in heard if each[0] > 0}


def test_a_dso_joins_no_hub_that_its_authority_does_not_certify(keys: Path, tmp_path: Path) -> None:
    for path in keys.glob("dso-0.*"):
        shutil.copy(path, tmp_path / path.name)
    shutil.copy(keys / "public-keys.json", tmp_path / "public-keys.json")
    write_authority(tmp_path)
    listen = f"127.0.0.1:{free_port()}"
    with (
        hub(listen, credentials(MARKET_OPERATOR, keys), DSOS) as operator,
        leaf("dso-0", listen, ANY_PORT, credentials("dso-0", tmp_path)) as stranger,
        pytest.raises(TimeoutError),
    ):
        asyncio.run(_all_here(operator, stranger))


def test_the_organisations_own_certificate_is_used(keys: Path, tmp_path: Path) -> None:
    shutil.copytree(keys, tmp_path / "own")
    certificate, key = credentials(MARKET_OPERATOR, keys).hub("127.0.0.1")
    (tmp_path / "own" / HUB).write_bytes(certificate)
    (tmp_path / "own" / HUB_KEY).write_bytes(key)
    (tmp_path / "own" / "authority.key").unlink()
    listen = f"127.0.0.1:{free_port()}"
    with (
        hub(listen, credentials(MARKET_OPERATOR, tmp_path / "own"), DSOS) as operator,
        leaf("dso-0", listen, ANY_PORT, credentials("dso-0", keys)) as dso,
    ):
        asyncio.run(_all_here(operator, dso))
    (tmp_path / "own" / HUB_KEY).unlink()
    with pytest.raises(BadInput, match=HUB_KEY):
        credentials(MARKET_OPERATOR, tmp_path / "own").hub("127.0.0.1")


def test_shares_are_for_their_owner_only(tmp_path: Path) -> None:
    write_problem(clearing_problem(16, 2), tmp_path / "problem.npz")
    split_file(tmp_path / "problem.npz", tmp_path / "shares", [0])
    found = [tmp_path / "shares", *(tmp_path / "shares").rglob("*")]
    assert {path.stat().st_mode & 0o777 for path in found if path.is_dir()} == {0o700}
    assert {path.stat().st_mode & 0o777 for path in found if path.is_file()} == {0o600}
    assert {path.name for path in found} >= {"authority.pem", "authority.key", "dso-0.password", "peer-0.password"}


def test_addresses_that_cannot_be_used(keys: Path) -> None:
    own = credentials(MARKET_OPERATOR, keys)
    with pytest.raises(BadInput, match="HOST:PORT"), hub("nowhere:", own, DSOS):
        pass
    with pytest.raises(BadInput, match="no public key of dso-9"), hub(ANY_PORT, own, ["dso-9"]):
        pass
    port = free_port()
    with (
        hub(f"127.0.0.1:{port}", own, DSOS),
        pytest.raises(BadInput, match="address already in use"),
        leaf("dso-0", f"127.0.0.1:{port}", f"127.0.0.1:{port}", credentials("dso-0", keys)),
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
