"""Logging in at the organisation's own identity provider: OpenID Connect, authorisation code with PKCE (RFC 7636).

Whoever the provider names comes in as the user of that name, who must have been invited and be open in the registry:
a provider proves who somebody is, the market says what they may do. What a login needs to be finished (state, nonce,
verifier) is in a signed cookie of that browser for some minutes, and nowhere else.
"""

import base64
import secrets
import time
from collections.abc import Callable
from hashlib import sha256
from hmac import compare_digest
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OctKey

from flexpeer.api.accounts import ALGORITHM

COOKIE: Final = "__Host-login"
BEGIN, BACK = "/login/provider", "/login/provider/back"
LIFE_S = 600
TIMEOUT_S = 10.0
SIGNATURES = ["RS256", "PS256", "ES256", "EdDSA"]
"""What an ID token may be signed with: never `none`, and nothing that a client could sign itself."""


class ProviderFailed(Exception):
    """The provider did not answer, or not as OpenID Connect says."""


class Provider(NamedTuple):
    """Where to log in, and as which client; `claim` names the user."""

    issuer: str
    client_id: str
    client_secret: str
    claim: str


class Begun(NamedTuple):
    """Where to send a browser, and the cookie it needs to come back."""

    address: str
    cookie: str


class Oidc:
    """Logins at a provider. `key` signs what browsers carry meanwhile; `http` talks to the provider."""

    def __init__(
        self,
        provider: Provider,
        key: bytes,
        http: Callable[[], httpx.AsyncClient] = lambda: httpx.AsyncClient(timeout=TIMEOUT_S),
        seconds: Callable[[], float] = time.time,
    ) -> None:
        self._provider, self._http, self._seconds = provider, http, seconds
        self._key = OctKey.import_key(sha256(b"provider" + key).digest())

    async def begin(self, back: str) -> Begun:
        """A login; `back` is the address where the browser returns."""
        verifier, state, nonce = (secrets.token_urlsafe(32) for _ in range(3))
        challenge = base64.urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code", "client_id": self._provider.client_id, "redirect_uri": back,
            "scope": "openid email profile", "state": state, "nonce": nonce, "code_challenge": challenge,
            "code_challenge_method": "S256",
        }  # fmt: skip
        async with self._http() as http:
            place = (await self._configuration(http))["authorization_endpoint"]
        claims = {"state": state, "nonce": nonce, "verifier": verifier, "back": back}
        cookie = jwt.encode({"alg": ALGORITHM}, {**claims, "exp": int(self._seconds()) + LIFE_S}, self._key)
        return Begun(f"{place}{'&' if '?' in place else '?'}{urlencode(query)}", cookie)

    async def user(self, cookie: str | None, state: str, code: str) -> str | None:
        """The user's name that the provider vouches for; None where it does not, or not for this browser's login."""
        begun = self._begun(cookie)
        if begun is None or not code or not compare_digest(begun["state"].encode(), state.encode()):
            return None
        async with self._http() as http:
            configuration = await self._configuration(http)
            token = await self._token(http, configuration["token_endpoint"], code, begun)
            keys = await _json(http.get(configuration["jwks_uri"]))
        return None if token is None else self._named(token, keys, begun["nonce"])

    def _begun(self, cookie: str | None) -> dict[str, Any] | None:
        try:
            claims = jwt.decode(cookie or "", self._key, algorithms=[ALGORITHM]).claims
        except (JoseError, ValueError):
            return None
        return claims if claims["exp"] > self._seconds() else None

    async def _configuration(self, http: httpx.AsyncClient) -> dict[str, Any]:
        found = await _json(http.get(f"{self._provider.issuer.rstrip('/')}/.well-known/openid-configuration"))
        wanted = ("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri")
        if not all(isinstance(found.get(name), str) for name in wanted) or found["issuer"] != self._provider.issuer:
            raise ProviderFailed("the provider's configuration is not that of the issuer that was set")
        return found

    async def _token(self, http: httpx.AsyncClient, place: str, code: str, begun: dict[str, Any]) -> str | None:
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": begun["back"],
            "client_id": self._provider.client_id, "code_verifier": begun["verifier"],
        }  # fmt: skip
        secret = self._provider.client_secret
        auth = httpx.BasicAuth(self._provider.client_id, secret) if secret else httpx.Auth()
        try:
            answer = await http.post(place, data=form, auth=auth)
            token = answer.json().get("id_token") if answer.is_success else None
        except (httpx.HTTPError, ValueError, AttributeError) as error:
            raise ProviderFailed(f"the provider gives no token: {error}") from error
        return token if isinstance(token, str) else None

    def _named(self, token: str, keys: dict[str, Any], nonce: str) -> str | None:
        """The name in an ID token that is the provider's, for us, for this login, and of now."""
        now = self._seconds()
        rules = jwt.JWTClaimsRegistry(
            now=lambda: int(now), leeway=60, iss={"essential": True, "value": self._provider.issuer},
            aud={"essential": True, "value": self._provider.client_id}, exp={"essential": True},
            nonce={"essential": True, "value": nonce},
        )  # fmt: skip
        try:
            claims = jwt.decode(token, KeySet.import_key_set(keys), algorithms=SIGNATURES).claims  # type: ignore[arg-type]
            rules.validate(claims)
        except (JoseError, ValueError, KeyError, TypeError):
            return None
        alone = claims["aud"] in (self._provider.client_id, [self._provider.client_id])
        if not alone or (self._provider.claim == "email" and claims.get("email_verified") is not True):
            return None
        name = claims.get(self._provider.claim)
        return name if isinstance(name, str) and name else None


async def _json(asking: Any) -> dict[str, Any]:
    try:
        found = (await asking).raise_for_status().json()
    except (httpx.HTTPError, ValueError) as error:
        raise ProviderFailed(f"the provider does not answer: {error}") from error
    if not isinstance(found, dict):
        raise ProviderFailed("the provider answers otherwise than OpenID Connect says")
    return found
