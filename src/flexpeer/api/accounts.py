"""What proves who somebody is: clients' secrets, users' passwords and codes, one-time links, and tokens.

Secrets, passwords and links are kept as hashes. Who may act for whom is in the registry; an account works while it is
open there, whatever is kept here.
"""

import secrets
import time
from collections.abc import Callable, Iterable
from hashlib import sha256
from threading import Lock

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from msgspec.structs import replace

from flexpeer.api.one_time_codes import code_step
from flexpeer.api.permissions import Caller
from flexpeer.app.registry import HolderKind, KeepAccount, Life, MarketAccount, Rank, Registry
from flexpeer.market.participants import Role

ALGORITHM = "HS256"
TOKEN_LIFE_S = 3600
LINK_LIFE_S = 7 * 86_400
TOKENS_REMEMBERED = 10_000
HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
NOBODY = HASHER.hash(secrets.token_urlsafe())


class AccountHolder(msgspec.Struct, frozen=True):
    """Who has accounts here, and what it is in the market."""

    name: str
    role: Role


class UserProof(msgspec.Struct, frozen=True):
    """What a user enters with: a password, and the codes of a `code_secret` if it has one.

    A `new_code_secret` counts once a code of it was shown.
    """

    password_hash: str
    code_secret: str | None = None
    new_code_secret: str | None = None


class OneTimeLink(msgspec.Struct, frozen=True):
    """A one-time link, by the hash of its word: whose account it opens, and until when (seconds since 1970)."""

    account: str
    until: int


class Credentials(msgspec.Struct, frozen=True):
    """Everything that proves who somebody is, as it is kept: secret hashes by client id, users and links."""

    clients: dict[str, str] = {}
    users: dict[str, UserProof] = {}
    links: dict[str, OneTimeLink] = {}


class Login(msgspec.Struct, frozen=True):
    """What an organisation gets when the market is made; the only place where secrets stand."""

    role: Role
    client_id: str
    client_secret: str
    user: str
    password: str


def new_accounts(organisations: Iterable[AccountHolder]) -> tuple[Credentials, dict[str, Login]]:
    """A client and an owner for each organisation, with new secrets."""
    logins = {
        each.name: Login(each.role, *new_client(), each.name, secrets.token_urlsafe(18)) for each in organisations
    }
    clients = {at.client_id: HASHER.hash(at.client_secret) for at in logins.values()}
    users = {at.user: UserProof(HASHER.hash(at.password)) for at in logins.values()}
    return Credentials(clients, users), logins


def new_client() -> tuple[str, str]:
    """An id, and a secret to be shown once."""
    return f"client-{secrets.token_hex(8)}", secrets.token_urlsafe(32)


def accounts_of(logins: dict[str, Login]) -> list[KeepAccount]:
    """What the registry is told of new logins."""
    clients = [MarketAccount(at.client_id, name, Rank.CONTRIBUTOR, HolderKind.CLIENT) for name, at in logins.items()]
    users = [MarketAccount(at.user, name, Rank.OWNER) for name, at in logins.items()]
    return [KeepAccount(account) for account in (*clients, *users)]


def _nothing_kept(_credentials: Credentials) -> None:
    """For what ends with the program."""


class Doorkeeper:
    """Says who somebody is. Tokens are signed with `key` and outlive the program.

    Credentials change in the writer's thread, each change told to `keep` before it counts.
    """

    def __init__(
        self,
        registry: Registry,
        credentials: Credentials,
        key: bytes,
        keep: Callable[[Credentials], None] = _nothing_kept,
        life_s: int = TOKEN_LIFE_S,
        seconds: Callable[[], float] = time.time,
    ) -> None:
        self.life_s, self._seconds = life_s, seconds
        self._registry, self._credentials, self._keep = registry, credentials, keep
        self._key = OctKey.import_key(key)
        self._known: dict[str, tuple[str, float]] = {}
        self._callers: dict[MarketAccount, Caller] = {}
        self._steps: dict[str, int] = {}
        self._one_hash = Lock()

    def client(self, client_id: str, secret: str) -> Caller | None:
        """The client with this secret; takes as long for one that does not exist."""
        right = self._fits(self._credentials.clients.get(client_id, NOBODY), secret)
        return self._caller(client_id, HolderKind.CLIENT) if right else None

    def user(self, name: str, password: str, code: str = "") -> Caller | None:
        """The user with this password, and this code of its own if it has codes; likewise."""
        proof = self._credentials.users.get(name)
        right = self._fits(NOBODY if proof is None else proof.password_hash, password)
        if proof is None or not right or not self._code_fits(name, proof.code_secret, code):
            return None
        return self.person(name)

    def person(self, name: str) -> Caller | None:
        """The user of this name."""
        return self._caller(name, HolderKind.USER)

    def token(self, caller: Caller) -> str:
        """A bearer token for a client."""
        until = int(self._seconds()) + self.life_s
        return jwt.encode({"alg": ALGORITHM}, {"sub": caller.client, "exp": until}, self._key)

    def caller(self, token: str) -> Caller | None:
        """Whose token it is, while it lasts and its client may come in."""
        known = self._known.get(token) or self._read(token)
        if known is None or known[1] <= self._seconds():
            return None
        return self._caller(known[0], HolderKind.CLIENT)

    def has_codes(self, user: str) -> bool:
        """Whether a user enters with codes too."""
        proof = self._credentials.users.get(user)
        return proof is not None and proof.code_secret is not None

    def invited(self, word: str) -> MarketAccount | None:
        """Whose account a one-time link opens, while it may be used."""
        link = self._credentials.links.get(_hash(word))
        if link is None or link.until <= self._seconds():
            return None
        account = self._registry.published.accounts.get(link.account)
        return account if account is not None and account.life is Life.INVITED else None

    def invite(self, account: str) -> str:
        """The word of a new one-time link for an account; earlier ones and expired ones are gone."""
        word, now = secrets.token_urlsafe(32), int(self._seconds())
        links = {k: v for k, v in self._credentials.links.items() if v.account != account and v.until > now}
        self._change(links=links | {_hash(word): OneTimeLink(account, now + LINK_LIFE_S)})
        return word

    def keep_password(self, user: str, password_hash: str) -> None:
        """What a user enters with from now on; no link opens its account any more."""
        links = {k: v for k, v in self._credentials.links.items() if v.account != user}
        self._change(users=self._credentials.users | {user: UserProof(password_hash)}, links=links)

    def keep_secret(self, client_id: str, secret_hash: str) -> None:
        """What a client gets its tokens with."""
        self._change(clients=self._credentials.clients | {client_id: secret_hash})

    def offer_codes(self, user: str, secret: str) -> None:
        """A secret of codes for a user, which counts when one of them is shown."""
        self._prove(user, new_code_secret=secret)

    def take_code(self, user: str, code: str) -> bool:
        """Whether this is a code of the secret that was offered, which counts from now on."""
        proof = self._credentials.users[user]
        if proof.new_code_secret is None or not self._code_fits(user, proof.new_code_secret, code):
            return False
        self._prove(user, code_secret=proof.new_code_secret, new_code_secret=None)
        return True

    def drop_codes(self, user: str, code: str) -> bool:
        """Whether this is a code of the user's, who enters without codes from now on."""
        proof = self._credentials.users[user]
        if proof.code_secret is None or not self._code_fits(user, proof.code_secret, code):
            return False
        self._prove(user, code_secret=None, new_code_secret=None)
        return True

    def forget(self, account: str) -> None:
        """Nothing proves any more that somebody is this account."""
        now = self._credentials
        self._change(
            clients={k: v for k, v in now.clients.items() if k != account},
            users={k: v for k, v in now.users.items() if k != account},
            links={k: v for k, v in now.links.items() if v.account != account},
        )

    def _prove(self, user: str, **changes: str | None) -> None:
        users = self._credentials.users
        self._change(users=users | {user: replace(users[user], **changes)})

    def _change(self, **parts: object) -> None:
        new = replace(self._credentials, **parts)
        self._keep(new)
        self._credentials = new

    def _read(self, token: str) -> tuple[str, float] | None:
        try:
            claims = jwt.decode(token, self._key, algorithms=[ALGORITHM]).claims
        except (JoseError, ValueError):
            return None
        client, until = claims.get("sub"), claims.get("exp")
        if not isinstance(client, str) or not isinstance(until, int):
            return None
        if len(self._known) >= TOKENS_REMEMBERED:
            self._known.clear()
        found = self._known[token] = (client, float(until))
        return found

    def _caller(self, name: str, kind: HolderKind) -> Caller | None:
        registered = self._registry.published
        account = registered.open(name, kind)
        if account is None:
            return None
        caller = self._callers.get(account)
        if caller is None:
            role = registered.participants.organisations[account.organisation].role
            caller = Caller(account.organisation, role, account.rank, account.account, kind is HolderKind.USER)
            self._callers[account] = caller
        return caller

    def _fits(self, kept: str, secret: str) -> bool:
        with self._one_hash:
            try:
                return HASHER.verify(kept, secret)
            except (Argon2Error, InvalidHashError):
                return False

    def _code_fits(self, user: str, secret: str | None, code: str) -> bool:
        """Whether a code is the secret's; each is good once. Without a secret none is needed."""
        if secret is None:
            return True
        step = code_step(secret, code, self._seconds())
        with self._one_hash:
            if step is None or step <= self._steps.get(user, 0):
                return False
            self._steps[user] = step
        return True


def _hash(word: str) -> str:
    return sha256(word.encode()).hexdigest()
