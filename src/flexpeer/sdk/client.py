"""Senders of requests. A lost connection, a busy or a restarting service: the same request is sent again."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from http import HTTPStatus
from typing import Any, Self, TypeVar

import httpx
import msgspec

from flexpeer.sdk.requests import Listing, Request
from flexpeer.wire.api_operations import TokenDocument
from flexpeer.wire.api_problems import Problem

T = TypeVar("T")
PAUSES_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
AGAIN = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.UNAUTHORIZED})
FORM = {"grant_type": "client_credentials"}


class Refused(Exception):
    """The market said no: `problem` has the reason, and what would have been accepted."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.reason}: {problem.detail}; accepted would be {problem.accepted}")
        self.problem = problem


class Unreachable(Exception):
    """The service did not answer, however often it was asked."""


def _read(answer: httpx.Response, shape: Any) -> Any:
    """What an answer says, by its shape; `Refused` if it is no."""
    if answer.is_error:
        raise Refused(msgspec.json.decode(answer.content, type=Problem))
    return None if shape is None else msgspec.json.decode(answer.content, type=shape)


def _headers(request: Request[Any], token: str) -> dict[str, str]:
    kind = {} if request.body is None else {"Content-Type": "application/json"}
    return {**request.headers, **kind, "Authorization": f"Bearer {token}"}


def _following(page: Any) -> str | None:
    return next((link.href for link in page.links if link.rel == "next"), None)


class Client:
    """An organisation's client."""

    def __init__(self, url: str, client_id: str, client_secret: str, *, timeout_s: float = 60.0) -> None:
        self._http = httpx.Client(base_url=url, timeout=timeout_s)
        self._auth = (client_id, client_secret)
        self._token = ""

    def send(self, request: Request[T]) -> T:
        """The answer; `Refused` if it is no, `Unreachable` if there is none."""
        answer: T = _read(self._answer(request), request.shape)
        return answer

    def all(self, listing: Listing[T]) -> Iterator[T]:
        """Every item, page by page."""
        path: str | None = listing.path
        while path is not None:
            page = self.send(Request[Any]("GET", path, listing.shape))
            yield from page.items
            path = _following(page)

    def _answer(self, request: Request[Any]) -> httpx.Response:
        for pause_s in (*PAUSES_S, None):
            try:
                self._token = self._token or self._new_token()
                headers = _headers(request, self._token)
                answer = self._http.request(request.method, request.path, content=request.body, headers=headers)
                if answer.status_code not in AGAIN or pause_s is None:
                    return answer
                self._token = "" if answer.status_code == HTTPStatus.UNAUTHORIZED else self._token
            except httpx.TransportError as error:
                if pause_s is None:
                    raise Unreachable(str(error)) from error
            time.sleep(pause_s or 0.0)
        raise AssertionError("the last pause is none")

    def _new_token(self) -> str:
        token: TokenDocument = _read(self._http.post("/api/token", auth=self._auth, data=FORM), TokenDocument)
        return token.access_token

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()


class AsyncClient:
    """The same with async."""

    def __init__(self, url: str, client_id: str, client_secret: str, *, timeout_s: float = 60.0) -> None:
        self._http = httpx.AsyncClient(base_url=url, timeout=timeout_s)
        self._auth = (client_id, client_secret)
        self._token = ""

    async def send(self, request: Request[T]) -> T:
        """The answer; `Refused` if it is no, `Unreachable` if there is none."""
        answer: T = _read(await self._answer(request), request.shape)
        return answer

    async def all(self, listing: Listing[T]) -> AsyncIterator[T]:
        """Every item, page by page."""
        path: str | None = listing.path
        while path is not None:
            page = await self.send(Request[Any]("GET", path, listing.shape))
            for item in page.items:
                yield item
            path = _following(page)

    async def _answer(self, request: Request[Any]) -> httpx.Response:
        for pause_s in (*PAUSES_S, None):
            try:
                self._token = self._token or await self._new_token()
                headers = _headers(request, self._token)
                answer = await self._http.request(request.method, request.path, content=request.body, headers=headers)
                if answer.status_code not in AGAIN or pause_s is None:
                    return answer
                self._token = "" if answer.status_code == HTTPStatus.UNAUTHORIZED else self._token
            except httpx.TransportError as error:
                if pause_s is None:
                    raise Unreachable(str(error)) from error
            await asyncio.sleep(pause_s or 0.0)
        raise AssertionError("the last pause is none")

    async def _new_token(self) -> str:
        answer = await self._http.post("/api/token", auth=self._auth, data=FORM)
        token: TokenDocument = _read(answer, TokenDocument)
        return token.access_token

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()
