"""Senders of requests. A lost connection, a busy or a restarting service: the same request is sent again."""

import asyncio
import time
from collections.abc import AsyncIterator, Generator, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Self, TypeVar

import httpx
import msgspec

from flexpeer.sdk.requests import Listening, Listing, Request
from flexpeer.wire.api_operations import EventDocument, TokenDocument
from flexpeer.wire.api_problems import Problem

T = TypeVar("T")
PAUSES_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
LONGEST_PAUSE_S = 60.0
BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
PASSING = BUSY | {HTTPStatus.UNAUTHORIZED}
"""Besides the service's own errors: it gets a new token."""
STREAM = httpx.Timeout(60.0, read=None)
FORM = {"grant_type": "client_credentials"}
Step = httpx.Request | float
"""What is to be sent, or how many seconds to wait."""
Talk = Generator[Step, httpx.Response | None, httpx.Response]


class Refused(Exception):
    """The market said no: `problem` has the reason, and what would have been accepted."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.reason}: {problem.detail}; accepted would be {problem.accepted}")
        self.problem = problem


class Unreachable(Exception):
    """The service did not answer, however often it was asked."""


class _Talks:
    """What is sent for a request, and when again; a connection sends it, and brings responses or None."""

    def __init__(self, url: str, client_id: str, client_secret: str, pauses_s: Sequence[float]) -> None:
        self._url, self._auth, self.pauses_s = url.rstrip("/"), httpx.BasicAuth(client_id, client_secret), pauses_s
        self._token = ""

    def about(self, request: Request[Any]) -> Talk:
        """Until there is an answer that will not be another one soon; `Unreachable` if there is none at all."""
        answer = None
        for pause_s in (*self.pauses_s, None):
            answer = yield from self._once(request)
            if answer is not None and answer.status_code not in BUSY:
                return answer
            if pause_s is not None:
                yield max(pause_s, _retry_after_s(answer))
        if answer is None:
            raise Unreachable(f"{self._url} does not answer")
        return answer

    def _once(self, request: Request[Any]) -> Generator[Step, httpx.Response | None, httpx.Response | None]:
        """The answer to one attempt; with a new token where there is none, or the one there is has expired."""
        answer = None
        for _ in range(2):
            if not self._token:
                answer = yield next(self._auth.auth_flow(httpx.Request("POST", f"{self._url}/api/token", data=FORM)))
                if answer is None or answer.is_error:
                    return answer
                self._token = msgspec.json.decode(answer.content, type=TokenDocument).access_token
            answer = yield self._signed(request)
            if answer is None or answer.status_code != HTTPStatus.UNAUTHORIZED:
                return answer
            self._token = ""
        return answer

    def _signed(self, request: Request[Any]) -> httpx.Request:
        kind = {} if request.body is None else {"Content-Type": request.media}
        headers = self.headers({**kind, **request.headers})
        return httpx.Request(request.method, self.at(request.path), headers=headers, content=request.body)

    def at(self, path: str) -> str:
        """The address of a path."""
        return f"{self._url}{path}"

    def headers(self, more: Mapping[str, str]) -> dict[str, str]:
        """With the token that was good last."""
        return {**more, "Authorization": f"Bearer {self._token}"}


class _Stream:
    """Server-sent events, line by line, and where and when to go on after they break off or are refused."""

    def __init__(self, listening: Listening, pauses_s: Sequence[float]) -> None:
        self.path, self._last, self._data = listening.path, "", ""
        self._pauses_s, self._refused = pauses_s, 0

    @property
    def headers(self) -> dict[str, str]:
        """Where to go on."""
        return {"Last-Event-ID": self._last} if self._last else {}

    def take(self, line: str) -> EventDocument | None:
        """The event that a line ends, if it does."""
        self._refused = 0
        if line.startswith("data: "):
            self._data += line.removeprefix("data: ")
        if line or not self._data:
            return None
        event = msgspec.json.decode(self._data, type=EventDocument)
        self._data, self._last = "", event.id
        return event

    def pause_s(self, answer: httpx.Response | None) -> float:
        """How long to wait before it is asked for again, from where it has come to.

        `Refused` where the service said no (`answer` has been read then): at once if that will not pass, else when
        every pause was in vain.
        """
        self._data = ""
        if answer is None or not answer.is_error:
            return PAUSES_S[0]
        passes = answer.is_server_error or answer.status_code in PASSING
        if not passes or self._refused >= len(self._pauses_s):
            raise _refusal(answer)
        self._refused += 1
        return max(self._pauses_s[self._refused - 1], _retry_after_s(answer))


def _retry_after_s(answer: httpx.Response | None) -> float:
    """What a service asks for that is busy; a date is none that it sends."""
    said = "" if answer is None else answer.headers.get("retry-after", "")
    return min(float(said), LONGEST_PAUSE_S) if said.isdecimal() else 0.0


def _refusal(answer: httpx.Response) -> Refused:
    """The problem document of an error; what says no without one (a proxy) is told by its status."""
    try:
        return Refused(msgspec.json.decode(answer.content, type=Problem))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        said = HTTPStatus(answer.status_code).phrase if answer.status_code in set(HTTPStatus) else "an error"
        return Refused(Problem("about:blank", said, answer.status_code, "no_problem_document", said, "another answer"))


def _read(answer: httpx.Response, shape: Any) -> Any:
    """What an answer says, by its shape; `Refused` if it is no."""
    if answer.is_error:
        raise _refusal(answer)
    return None if shape is None else msgspec.json.decode(answer.content, type=shape)


def _following(page: Any) -> str | None:
    return next((link.href for link in page.links if link.rel == "next"), None)


class Client:
    """An organisation's client."""

    def __init__(
        self,
        url: str,
        client_id: str,
        client_secret: str,
        *,
        timeout_s: float = 60.0,
        pauses_s: Sequence[float] = PAUSES_S,
    ) -> None:
        self._http = httpx.Client(timeout=timeout_s)
        self._talks = _Talks(url, client_id, client_secret, pauses_s)

    def send(self, request: Request[T]) -> T:
        """The answer; `Refused` if it is no, `Unreachable` if there is none."""
        answer: T = _read(self.answer(request), request.shape)
        return answer

    def all(self, listing: Listing[T]) -> Iterator[T]:
        """Every item, page by page."""
        path: str | None = listing.path
        while path is not None:
            page = self.send(Request[Any]("GET", path, listing.shape))
            yield from page.items
            path = _following(page)

    def events(self, listening: Listening) -> Iterator[EventDocument]:
        """Events as they happen, each once, also over lost connections and restarts of the service.

        `Unreachable` if it stays away, `Refused` if it says no and that does not pass.
        """
        stream = _Stream(listening, self._talks.pauses_s)
        while True:
            self.send(Request[Any]("GET", listening.place, None))
            answer = yield from self._heard(stream)
            time.sleep(stream.pause_s(answer))

    def _heard(self, stream: _Stream) -> Generator[EventDocument, None, httpx.Response | None]:
        """The events of one connection; its answer, or None if that broke off."""
        there, known = self._talks.at(stream.path), self._talks.headers(stream.headers)
        try:
            with self._http.stream("GET", there, headers=known, timeout=STREAM) as answer:
                if answer.is_error:
                    answer.read()
                    return answer
                yield from filter(None, map(stream.take, answer.iter_lines()))
                return answer
        except httpx.TransportError:
            return None

    def answer(self, request: Request[Any]) -> httpx.Response:
        """The answer as it came, whatever it says; `Unreachable` if there is none."""
        talk = self._talks.about(request)
        step = next(talk)
        while True:
            try:
                step = talk.send(self._taken(step))
            except StopIteration as end:
                found: httpx.Response = end.value
                return found

    def _taken(self, step: Step) -> httpx.Response | None:
        if not isinstance(step, httpx.Request):
            time.sleep(step)
            return None
        try:
            return self._http.send(step)
        except httpx.TransportError:
            return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()


class AsyncClient:
    """The same with async."""

    def __init__(
        self,
        url: str,
        client_id: str,
        client_secret: str,
        *,
        timeout_s: float = 60.0,
        pauses_s: Sequence[float] = PAUSES_S,
    ) -> None:
        self._http = httpx.AsyncClient(timeout=timeout_s)
        self._talks = _Talks(url, client_id, client_secret, pauses_s)

    async def send(self, request: Request[T]) -> T:
        """The answer; `Refused` if it is no, `Unreachable` if there is none."""
        answer: T = _read(await self.answer(request), request.shape)
        return answer

    async def all(self, listing: Listing[T]) -> AsyncIterator[T]:
        """Every item, page by page."""
        path: str | None = listing.path
        while path is not None:
            page = await self.send(Request[Any]("GET", path, listing.shape))
            for item in page.items:
                yield item
            path = _following(page)

    async def events(self, listening: Listening) -> AsyncIterator[EventDocument]:
        """Events as they happen, each once, also over lost connections and restarts of the service.

        `Unreachable` if it stays away, `Refused` if it says no and that does not pass.
        """
        stream = _Stream(listening, self._talks.pauses_s)
        while True:
            await self.send(Request[Any]("GET", listening.place, None))
            answers: list[httpx.Response] = []
            async for event in self._heard(stream, answers):
                yield event
            await asyncio.sleep(stream.pause_s(answers[0] if answers else None))

    async def _heard(self, stream: _Stream, answers: list[httpx.Response]) -> AsyncIterator[EventDocument]:
        """The events of one connection; its answer is added unless that broke off."""
        there, known = self._talks.at(stream.path), self._talks.headers(stream.headers)
        try:
            async with self._http.stream("GET", there, headers=known, timeout=STREAM) as answer:
                if answer.is_error:
                    await answer.aread()
                    answers.append(answer)
                    return
                async for line in answer.aiter_lines():
                    if (event := stream.take(line)) is not None:
                        yield event
                answers.append(answer)
        except httpx.TransportError:
            return

    async def answer(self, request: Request[Any]) -> httpx.Response:
        """The answer as it came, whatever it says; `Unreachable` if there is none."""
        talk = self._talks.about(request)
        step = next(talk)
        while True:
            try:
                step = talk.send(await self._taken(step))
            except StopIteration as end:
                found: httpx.Response = end.value
                return found

    async def _taken(self, step: Step) -> httpx.Response | None:
        if not isinstance(step, httpx.Request):
            await asyncio.sleep(step)
            return None
        try:
            return await self._http.send(step)
        except httpx.TransportError:
            return None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()
