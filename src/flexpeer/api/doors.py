"""How people get in: with a password, by a one-time link, or from their organisation's identity provider."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from flexpeer.api.accounts import Doorkeeper
from flexpeer.api.declining import Declined
from flexpeer.api.denials import Attempt, Denials
from flexpeer.api.limits import RateLimits
from flexpeer.api.oidc import BACK, BEGIN, COOKIE, LIFE_S, Oidc, ProviderFailed
from flexpeer.api.service import Service, Stopped
from flexpeer.api.sessions import COOKIE as SESSION
from flexpeer.api.sessions import Session, Sessions
from flexpeer.api.users import join

LOG = structlog.get_logger("flexpeer.api")
TRIES_PER_SECOND, TRIES_AT_ONCE = 0.2, 10
Endpoint = Callable[[Request], Awaitable[Response]]


class Doors:
    """Who comes in gets a session; whoever does not is an audit record. One name may be tried so often, not more."""

    def __init__(
        self,
        service: Service,
        doorkeeper: Doorkeeper,
        sessions: Sessions,
        denials: Denials,
        oidc: Oidc | None = None,
    ) -> None:
        self._service, self._doorkeeper, self._sessions, self._oidc = service, doorkeeper, sessions, oidc
        self._denials = denials
        self._tries = RateLimits(TRIES_PER_SECOND, TRIES_AT_ONCE, 0)

    @property
    def provider(self) -> str | None:
        """Where logging in at a provider begins, if there is one."""
        return None if self._oidc is None else BEGIN

    async def enter(self, user: str, password: str, code: str) -> Session | None:
        """Somebody with the right password, and the right code if they have codes."""
        try:
            self._tries.take(user[:200])
        except Declined as declined:
            return self._noted(Attempt("/login", account=user), declined.problem.reason, None)
        session = await asyncio.to_thread(self._sessions.begin, user, password, code)
        return self._noted(Attempt("/login", account=user), "unauthenticated", session)

    def known(self, cookie: str | None) -> Session | None:
        """Somebody who has entered before."""
        return self._sessions.known(cookie)

    def invited(self, word: str) -> str | None:
        """Whose one-time link it is, while it may be used."""
        account = self._doorkeeper.invited(word)
        return None if account is None else account.account

    async def join(self, word: str, password: str) -> Session | None:
        """Somebody who comes with a one-time link and chooses a password."""
        try:
            user = await join(self._service, self._doorkeeper, word, password) if self.invited(word) else None
        except Stopped:
            return None
        caller = None if user is None else self._doorkeeper.person(user)
        return self._noted(Attempt("/join"), "not_found", None if caller is None else self._sessions.of(caller))

    def _noted(self, attempt: Attempt, reason: str, session: Session | None) -> Session | None:
        """The same; that nobody came in is recorded."""
        if session is None:
            self._denials.note(attempt, reason)
        return session

    def provider_routes(self) -> list[Route]:
        """To the provider and back; none without one."""
        if self._oidc is None:
            return []
        return [
            Route(BEGIN, _begin(self._oidc), methods=["GET"]),
            Route(BACK, self._back(self._oidc), methods=["GET"]),
        ]

    def _back(self, oidc: Oidc) -> Endpoint:
        async def back(request: Request) -> Response:
            query = request.query_params
            try:
                name = await oidc.user(request.cookies.get(COOKIE), query.get("state", ""), query.get("code", ""))
            except ProviderFailed as failed:
                LOG.warning("provider", problem=str(failed))
                name = None
            caller = None if name is None else self._doorkeeper.person(name)
            answer = RedirectResponse("/" if caller is not None else "/login?wrong", 303)
            answer.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="lax")
            session = None if caller is None else self._sessions.of(caller)
            self._noted(Attempt(BACK, "GET", name or ""), "unauthenticated", session)
            if session is not None:
                answer.set_cookie(SESSION, session.cookie, secure=True, httponly=True, samesite="lax", path="/")
            return answer

        return back


def _begin(oidc: Oidc) -> Endpoint:
    async def begin(request: Request) -> Response:
        try:
            begun = await oidc.begin(f"{str(request.base_url).rstrip('/')}{BACK}")
        except ProviderFailed as failed:
            LOG.warning("provider", problem=str(failed))
            return RedirectResponse("/login?wrong", 303)
        answer = RedirectResponse(begun.address, 303)
        answer.set_cookie(COOKIE, begun.cookie, LIFE_S, secure=True, httponly=True, samesite="lax", path="/")
        return answer

    return begin
