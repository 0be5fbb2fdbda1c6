"""Clients and users of organisations, and the tokens clients work with. Secrets are kept as argon2 hashes only."""

import secrets
import time
from collections.abc import Callable, Iterable
from threading import Lock

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from flexpeer.api.permissions import Caller, Rank
from flexpeer.market.participants import Role

ALGORITHM = "HS256"
TOKEN_LIFE_S = 3600
TOKENS_REMEMBERED = 10_000
HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
NOBODY = HASHER.hash(secrets.token_urlsafe())


class AccountHolder(msgspec.Struct, frozen=True):
    """Who has accounts here, and what it is in the market."""

    name: str
    role: Role


class Client(msgspec.Struct, frozen=True):
    """A program that works for an organisation."""

    client_id: str
    organisation: str
    secret_hash: str


class User(msgspec.Struct, frozen=True):
    """A person of an organisation."""

    user: str
    organisation: str
    rank: Rank
    password_hash: str


class Accounts(msgspec.Struct, frozen=True):
    """All accounts, as they are kept."""

    organisations: tuple[AccountHolder, ...]
    clients: tuple[Client, ...]
    users: tuple[User, ...]


class Login(msgspec.Struct, frozen=True):
    """What an organisation gets when the market is made; the only place where secrets stand."""

    role: Role
    client_id: str
    client_secret: str
    user: str
    password: str


def new_accounts(organisations: Iterable[AccountHolder]) -> tuple[Accounts, dict[str, Login]]:
    """A client and an owner for each organisation, with new secrets."""
    known = tuple(organisations)
    logins = {
        each.name: Login(
            each.role, f"client-{secrets.token_hex(8)}", secrets.token_urlsafe(32), each.name, secrets.token_urlsafe(18)
        )
        for each in known
    }
    clients = tuple(Client(at.client_id, name, HASHER.hash(at.client_secret)) for name, at in logins.items())
    users = tuple(User(at.user, name, Rank.OWNER, HASHER.hash(at.password)) for name, at in logins.items())
    return Accounts(known, clients, users), logins


class Doorkeeper:
    """Says who somebody is. Tokens are signed with `key` and outlive the program."""

    def __init__(
        self, accounts: Accounts, key: bytes, life_s: int = TOKEN_LIFE_S, seconds: Callable[[], float] = time.time
    ) -> None:
        self.life_s, self._seconds = life_s, seconds
        self._roles = {each.name: each.role for each in accounts.organisations}
        self._clients = {each.client_id: each for each in accounts.clients}
        self._users = {each.user: each for each in accounts.users}
        self._key = OctKey.import_key(key)
        self._known: dict[str, tuple[Caller, float]] = {}
        self._one_hash = Lock()

    def client(self, client_id: str, secret: str) -> Caller | None:
        """The client with this secret; takes as long for one that does not exist."""
        client = self._clients.get(client_id)
        right = self._fits(NOBODY if client is None else client.secret_hash, secret)
        return self._caller(client) if client is not None and right else None

    def user(self, name: str, password: str) -> Caller | None:
        """The user with this password, likewise."""
        user = self._users.get(name)
        right = self._fits(NOBODY if user is None else user.password_hash, password)
        return self.person(name) if right else None

    def person(self, name: str) -> Caller | None:
        """The user of this name."""
        user = self._users.get(name)
        if user is None:
            return None
        return Caller(user.organisation, self._roles[user.organisation], user.rank, user.user)

    def token(self, caller: Caller) -> str:
        """A bearer token for a client."""
        until = int(self._seconds()) + self.life_s
        return jwt.encode({"alg": ALGORITHM}, {"sub": caller.client, "exp": until}, self._key)

    def caller(self, token: str) -> Caller | None:
        """Whose token it is, while it lasts and its client exists."""
        known = self._known.get(token) or self._read(token)
        if known is None or known[1] <= self._seconds():
            return None
        return known[0] if known[0].client in self._clients else None

    def _read(self, token: str) -> tuple[Caller, float] | None:
        try:
            claims = jwt.decode(token, self._key, algorithms=[ALGORITHM]).claims
        except (JoseError, ValueError):
            return None
        client, until = self._clients.get(claims.get("sub", "")), claims.get("exp")
        if client is None or not isinstance(until, int):
            return None
        if len(self._known) >= TOKENS_REMEMBERED:
            self._known.clear()
        found = self._known[token] = (self._caller(client), float(until))
        return found

    def _caller(self, client: Client) -> Caller:
        return Caller(client.organisation, self._roles[client.organisation], Rank.CONTRIBUTOR, client.client_id)

    def _fits(self, kept: str, secret: str) -> bool:
        with self._one_hash:
            try:
                return HASHER.verify(kept, secret)
            except (Argon2Error, InvalidHashError):
                return False
