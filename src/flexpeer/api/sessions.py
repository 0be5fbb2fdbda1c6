"""Sessions of people's browsers: a signed cookie, and a word that every change must carry beside it.

The cookie says who; the word (a CSRF token) is in the page that was sent to that browser, so that no other site's page
can use the cookie. Neither is kept here: both follow from the key, so they outlive the program.
"""

import hmac
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Final, NamedTuple

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from flexpeer.api.accounts import ALGORITHM, Doorkeeper
from flexpeer.api.permissions import Caller

COOKIE: Final = "__Host-session"
WORD_HEADER: Final = "x-csrf-token"
LIFE_S = 12 * 3600


class Session(NamedTuple):
    """Somebody's: the cookie's value, who it is, and the word that changes carry."""

    cookie: str
    caller: Caller
    word: str


class Sessions:
    """Begins them and knows them again."""

    def __init__(self, doorkeeper: Doorkeeper, key: bytes, seconds: Callable[[], float] = time.time) -> None:
        self._doorkeeper, self._secret, self._seconds = doorkeeper, key, seconds
        self._key = OctKey.import_key(sha256(b"sessions" + key).digest())

    def begin(self, user: str, password: str, code: str = "") -> Session | None:
        """For a user with the right password, and the right code if it has codes."""
        caller = self._doorkeeper.user(user, password, code)
        return None if caller is None else self.of(caller)

    def of(self, caller: Caller) -> Session:
        """For a user who is known to be one."""
        until = int(self._seconds()) + LIFE_S
        cookie = jwt.encode({"alg": ALGORITHM}, {"sub": caller.client, "exp": until}, self._key)
        return Session(cookie, caller, self._word(cookie))

    def known(self, cookie: str | None) -> Session | None:
        """Whose cookie it is, while it lasts and the user exists."""
        if not cookie:
            return None
        try:
            claims = jwt.decode(cookie, self._key, algorithms=[ALGORITHM]).claims
        except (JoseError, ValueError):
            return None
        caller, until = self._doorkeeper.person(str(claims.get("sub", ""))), claims.get("exp")
        if caller is None or not isinstance(until, int) or until <= self._seconds():
            return None
        return Session(cookie, caller, self._word(cookie))

    def _word(self, cookie: str) -> str:
        return hmac.new(self._secret, cookie.encode(), sha256).hexdigest()
