"""Where programs of organisations meet: a server that runs, or one of their own."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from flexpeer.adapters.ed25519 import Ed25519Signatures
from flexpeer.adapters.nats_servers import ANY_PORT, hub, leaf, with_password
from flexpeer.adapters.server_files import ServerCredentials, read_password
from flexpeer.errors import bad_input

PATIENCE = 10.0
SERVER = "nats://127.0.0.1:4222"
Tell = Callable[[str], None]


def nonce() -> bytes:
    """One that nobody can guess."""
    return secrets.token_bytes(16)


@dataclass(frozen=True)
class MeetingPlace:
    """Where an organisation meets the others: a NATS server, a folder of keys, and its patience.

    `state` is a folder for what it must not forget; without, that lasts as long as its program. The server is one
    that runs (`server`, by default `SERVER`), or one of its own: the market operator's, where leaf nodes come to
    `listen`, or a DSO's, which joins the one at `hub` and has its own programs come to `listen`.
    """

    server: str | None
    keys: Path
    timeout_s: float
    state: Path | None = None
    hub: str | None = None
    listen: str | None = None

    def __post_init__(self) -> None:
        if self.server is not None and (self.hub is not None or self.listen is not None):
            raise bad_input("node", "has two servers", "--server, or one of its own", field="server")

    def for_operator(self, signatures: Ed25519Signatures, dsos: Sequence[str]) -> AbstractContextManager[str]:
        """The address of the market operator's server, while it is used."""
        if self.hub is not None:
            raise bad_input("node", "is the hub itself", "--listen for leaf nodes, or --server", field="hub")
        return (
            self._given() if self.listen is None else hub(self.listen, ServerCredentials(signatures, self.keys), dsos)
        )

    def for_dso(
        self, name: str, signatures: Ed25519Signatures, agents: Mapping[str, str] | None = None
    ) -> AbstractContextManager[str]:
        """The address of a DSO's server, while it is used; `agents` are passwords by name."""
        if self.hub is not None:
            return leaf(name, self.hub, self.listen or ANY_PORT, ServerCredentials(signatures, self.keys, agents or {}))
        if self.listen is not None:
            raise bad_input("node", "has no server of its own to listen", "--listen with --hub", field="listen")
        return self._given()

    def for_agent(self, name: str) -> str:
        """The address of its DSO's server, with the agent's password there if it has one."""
        if self.hub is not None or self.listen is not None:
            raise bad_input("node", "has no server of its own", "--server, its DSO's", field="peer")
        server, password = self.server or SERVER, read_password(name, self.keys)
        return server if password is None or "@" in server else with_password(server, name, password)

    def _given(self) -> AbstractContextManager[str]:
        return nullcontext(self.server or SERVER)
