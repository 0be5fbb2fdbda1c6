"""What one route is, and how every request goes: who asks, may it, what is asked, answer or problem document."""

import asyncio
import csv
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from hmac import compare_digest
from io import StringIO
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from flexpeer.api.accounts import Doorkeeper
from flexpeer.api.declining import Declined, bad_file, denied
from flexpeer.api.denials import ACCOUNT, Attempt, Denials
from flexpeer.api.limits import RateLimits
from flexpeer.api.permissions import Action, Caller, Owned, Permission, may
from flexpeer.api.service import ServedDay, Service, Stopped
from flexpeer.api.sessions import COOKIE, WORD_HEADER, Sessions
from flexpeer.app.scenario import Scenario
from flexpeer.errors import BadInput
from flexpeer.wire.api import ValidationError
from flexpeer.wire.api_problems import MEDIA_TYPE, Denial, Problem

JSON: Final = "application/json"
CSV: Final = "text/csv"
XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
BYTES: Final = "application/octet-stream"
BEARER = "Bearer "
ROUTE: Final = "flexpeer.route"
S = TypeVar("S", bound=msgspec.Struct)
_ENCODER = msgspec.json.Encoder(decimal_format="number")
encode = _ENCODER.encode


Sheets = Callable[[bytes, str, Scenario], bytes]
"""What makes plain CSV of a workbook with a table of a scenario, or raises `BadInput` with all findings."""


class Answer(NamedTuple):
    """A status, and a document, text, nothing, or what comes piece by piece."""

    status: int
    content: msgspec.Struct | bytes | AsyncIterator[bytes] | None = None
    headers: Mapping[str, str] = {}
    media: str = JSON


class Asked(NamedTuple):
    """A request that may be made: who, what of the path, query and body, and what there is to answer from."""

    request: Request
    caller: Caller
    action: Action
    query: Any
    body: bytes
    service: Service
    sheets: Sheets

    @property
    def id(self) -> str:
        """The object that the path names."""
        return str(self.request.path_params["id"])

    @property
    def media(self) -> str:
        """What the body is."""
        return media_of(self.request)

    async def table(self, name: str) -> bytes | None:
        """The body as the CSV of a scenario's table, if it is that or a workbook with it; declined if a bad one."""
        if self.media != XLSX:
            return self.body if self.media == CSV else None
        served = self.days(getattr(self.query, "market_id", None))[-1][1]
        try:
            return await asyncio.to_thread(self.sheets, self.body, name, served.day.scenario)
        except BadInput as error:
            raise bad_file(error) from error

    def day(self, market_id: str) -> ServedDay:
        """A market; declined where there is none."""
        found = self.service.days.get(market_id)
        if found is None:
            raise denied(Denial.NOT_FOUND)
        return found

    def chosen_day(self) -> ServedDay:
        """The market of the query, else the latest."""
        return self.day(self.query.market_id or max(self.service.days))

    def days(self, market_id: str | None) -> list[tuple[str, ServedDay]]:
        """One market, or all of them by date."""
        return [(market_id, self.day(market_id))] if market_id is not None else sorted(self.service.days.items())

    def sees(self, *owned: Owned) -> bool:
        """Whether the caller may do this to any of these objects."""
        return any(may(self.caller, self.action, each) is Permission.ALLOWED for each in owned)

    def require(self, *owned: Owned) -> None:
        """Somebody else's object is told as one that is not there."""
        if not self.sees(*owned):
            raise denied(Denial.NOT_FOUND)

    def of(self, shape: type[S]) -> S:
        """The body as JSON of a shape."""
        found: S = decoded(self.body, shape)
        return found


Handle = Callable[[Asked], Awaitable[Answer]]


def apart(handle: Callable[[Asked], Answer]) -> Handle:
    """For what only reads and may have much to read: in a thread of its own, so that others are answered meanwhile."""

    async def handled(asked: Asked) -> Answer:
        return await asyncio.to_thread(handle, asked)

    return handled


class Route(NamedTuple):
    """A method of a path: what it does, for whom, and the shapes it takes and gives.

    `bodies` and `answers` name shapes (or None for plain content) by media type and by status.
    """

    method: str
    path: str
    action: Action
    handle: Handle
    summary: str
    answers: Mapping[int, Any]
    query: type[msgspec.Struct] | None = None
    bodies: Mapping[str, Any] = {}
    media: str = JSON
    headers: tuple[str, ...] = ()

    @property
    def largest_body(self) -> int:
        """Bytes."""
        return IMPORT_BYTES if CSV in self.bodies or BYTES in self.bodies else BODY_BYTES


BODY_BYTES, IMPORT_BYTES = 1 << 20, 64 << 20


class Edge:
    """What all routes share."""

    def __init__(
        self,
        service: Service,
        doorkeeper: Doorkeeper,
        limits: RateLimits,
        denials: Denials,
        sheets: Sheets,
        sessions: Sessions | None = None,
    ) -> None:
        self.service, self.doorkeeper, self.limits, self._denials = service, doorkeeper, limits, denials
        self._sheets, self._sessions = sheets, sessions

    def endpoint(self, route: Route) -> Callable[[Request], Awaitable[Response]]:
        """The route as the framework calls it."""

        async def respond(request: Request) -> Response:
            request.scope[ROUTE] = route.path
            try:
                return await self._answered(route, request)
            except (Declined, Stopped) as error:
                return self.declined(request, error)

        return respond

    def declined(self, request: Request, error: Declined | Stopped) -> Response:
        """The problem document; a denial is noted."""
        if isinstance(error, Stopped):
            return problem_response(denied(Denial.STOPPING).problem)
        self._denials.note_problem(Attempt.of(request), error.problem)
        return problem_response(error.problem)

    async def _answered(self, route: Route, request: Request) -> Response:
        caller = self._admitted(route, request)
        query = None if route.query is None else query_of(request, route.query)
        body = await body_of(request, route) if route.bodies else b""
        answer = await route.handle(Asked(request, caller, route.action, query, body, self.service, self._sheets))
        return response(answer)

    def asked(self, route: Route, request: Request, body: bytes) -> Asked:
        """A request without a query whose body is here; declined if it may not be made."""
        caller = self._admitted(route, request)
        require_media(request, route)
        return Asked(request, caller, route.action, None, body, self.service, self._sheets)

    def _admitted(self, route: Route, request: Request) -> Caller:
        caller = self._caller(request)
        request.scope[ACCOUNT] = caller.client
        self.limits.take(caller.client)
        if may(caller, route.action) is not Permission.ALLOWED:
            raise denied(Denial.FORBIDDEN)
        return caller

    def _caller(self, request: Request) -> Caller:
        said = request.headers.get("authorization", "")
        caller = self.doorkeeper.caller(said[len(BEARER) :]) if said.startswith(BEARER) else self._person(request)
        if caller is None:
            raise denied(Denial.UNAUTHENTICATED)
        return caller

    def _person(self, request: Request) -> Caller | None:
        """Who sits at a browser; to change anything its page's word must be there too."""
        session = self._sessions.known(request.cookies.get(COOKIE)) if self._sessions is not None else None
        if session is None or request.method in ("GET", "HEAD"):
            return None if session is None else session.caller
        right = compare_digest(request.headers.get(WORD_HEADER, ""), session.word)
        return session.caller if right else None


def media_of(request: Request) -> str:
    """The media type of a body, without its parameters."""
    return request.headers.get("content-type", JSON).split(";")[0].strip().lower()


def require_media(request: Request, route: Route) -> None:
    """Declined unless the body's media type is one the route takes."""
    if media_of(request) not in route.bodies and BYTES not in route.bodies:
        raise denied(Denial.UNSUPPORTED_MEDIA_TYPE)


async def body_of(request: Request, route: Route) -> bytes:
    """The body, if its media type is one the route takes and it is not too large."""
    require_media(request, route)
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > route.largest_body:
            raise denied(Denial.TOO_LARGE)
        pieces.append(piece)
    return b"".join(pieces)


def decoded(body: bytes, shape: Any) -> Any:
    """JSON of a shape; declined with what is wrong and where."""
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(str(error)) from error


def csv_table(body: bytes) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """The header of a CSV body, and its rows with their lines; declined where it is no CSV."""
    try:
        reader = csv.DictReader(StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
        rows = [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise malformed(f"this is no CSV: {error}") from error
    return list(reader.fieldnames or ()), rows


def query_of(request: Request, shape: type[S]) -> S:
    """The query of a shape; each name once."""
    given = request.query_params.multi_items()
    if len({name for name, _ in given}) < len(given):
        raise malformed("a name stands twice in the query")
    try:
        return msgspec.convert(dict(given), shape, strict=False)
    except msgspec.ValidationError as error:
        raise malformed(str(error)) from error


def malformed(text: str) -> Declined:
    """A request of the wrong shape, as the decoder says it."""
    message, _, path = text.partition(" - at `")
    return denied(Denial.MALFORMED, text, [ValidationError(path.rstrip("`") or "$", message)])


def response(answer: Answer) -> Response:
    """The answer as the framework sends it."""
    headers = dict(answer.headers)
    if answer.content is None:
        return Response(status_code=answer.status, headers=headers)
    if isinstance(answer.content, msgspec.Struct):
        return Response(encode(answer.content), answer.status, headers, answer.media)
    if isinstance(answer.content, bytes):
        return Response(answer.content, answer.status, headers, answer.media)
    return StreamingResponse(answer.content, answer.status, headers, answer.media)


def problem_response(problem: Problem) -> Response:
    """A problem document."""
    headers = {}
    if problem.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="flexpeer"'
    if problem.status in (429, 503):
        headers["Retry-After"] = "1"
    return Response(encode(problem), problem.status, headers, MEDIA_TYPE)
