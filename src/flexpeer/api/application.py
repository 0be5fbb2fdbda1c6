"""The service as one ASGI application: every route of the table behind the same edge."""

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple
from urllib.parse import parse_qs

import msgspec
from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flexpeer.api import (
    forecasts,
    grid_limits,
    grids,
    invoices,
    markets,
    order_imports,
    orders,
    outcomes,
    plans,
    portfolios,
    purchases,
)
from flexpeer.api.accounts import Doorkeeper
from flexpeer.api.book_feed import BookFeed
from flexpeer.api.declining import Declined, denied
from flexpeer.api.denials import ACCOUNT, Attempt, Denials
from flexpeer.api.direct_orders import DirectOrders
from flexpeer.api.edge import BODY_BYTES, Answer, Edge, Route, Sheets, problem_response, response
from flexpeer.api.evidence import Evidence
from flexpeer.api.feed import Feed
from flexpeer.api.health import ServiceHealth, problems
from flexpeer.api.limits import RateLimits
from flexpeer.api.live import Live
from flexpeer.api.live_grids import LiveGrids
from flexpeer.api.metrics import Metrics
from flexpeer.api.observations import Observations
from flexpeer.api.openapi import openapi_document
from flexpeer.api.operating import Chains, Heads, Operating
from flexpeer.api.public import Public
from flexpeer.api.service import Service
from flexpeer.api.sessions import Sessions
from flexpeer.api.standing import Standing
from flexpeer.api.users import Users
from flexpeer.api.webhooks import Webhooks
from flexpeer.wire.api_operations import Health, TokenDocument
from flexpeer.wire.api_problems import Denial

Endpoint = Callable[[Request], Awaitable[Response]]
BY_STATUS = {404: Denial.NOT_FOUND, 405: Denial.METHOD_NOT_ALLOWED, 413: Denial.TOO_LARGE}


class Parts(NamedTuple):
    """What an application is made of."""

    service: Service
    doorkeeper: Doorkeeper
    limits: RateLimits
    heads: Heads
    webhooks: Webhooks
    sessions: Sessions
    sheets: Sheets
    grids: LiveGrids
    standing: Standing
    denials: Denials
    chains: Chains
    store: str


def routes_of(parts: Parts) -> tuple[Route, ...]:
    """Every route that asks who may."""
    return (
        *markets.ROUTES,
        *portfolios.ROUTES,
        *orders.ROUTES,
        *order_imports.ROUTES,
        *outcomes.ROUTES,
        *invoices.ROUTES,
        *plans.ROUTES,
        *grids.ROUTES,
        *forecasts.ROUTES,
        *grid_limits.ROUTES,
        *purchases.ROUTES,
        *Live(parts.grids).routes,
        *parts.standing.routes,
        *Evidence(parts.heads).routes,
        *Feed(parts.limits).routes,
        *BookFeed(parts.limits).routes,
        *parts.webhooks.routes,
        *Operating(parts.heads, parts.chains).routes,
        *Users(parts.doorkeeper).routes,
        *ServiceHealth(parts.webhooks, parts.limits, parts.store).routes,
    )


def make_app(parts: Parts, pages: Sequence[BaseRoute] = ()) -> "Observed":
    """The application, with these `pages` too; the caller starts and stops the service."""
    metrics = Metrics(parts.service)
    edge = Edge(parts.service, parts.doorkeeper, parts.limits, parts.denials, parts.sheets, parts.sessions)
    routes = routes_of(parts)
    document = msgspec.json.encode(openapi_document(routes))

    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        async with parts.webhooks.running(parts.service):
            yield

    app = FastAPI(title="flexpeer", openapi_url=None, docs_url=None, redoc_url=None, lifespan=life)
    direct: dict[tuple[str, str], Endpoint] = {}
    for route in sorted(routes, key=lambda each: each.path.endswith("{id}")):
        endpoint = edge.endpoint(route)
        app.add_route(starlette_path(route.path), endpoint, methods=[route.method])
        if "{" not in route.path:
            direct[route.method, route.path] = endpoint
    _open_routes(app, parts, metrics, document)
    app.add_exception_handler(HTTPException, _as_problem)
    app.router.routes += pages
    observations = Observations(metrics)
    return Observed(app, observations, direct, DirectOrders(edge, observations))


def starlette_path(path: str) -> str:
    """Ids may have slashes; what follows them is looked for first."""
    return path.replace("{id}", "{id:path}") if path.endswith("{id}") else path


def _open_routes(app: FastAPI, parts: Parts, metrics: Metrics, document: bytes) -> None:
    """What needs no token."""

    async def token(request: Request) -> Response:
        try:
            return response(await _token(request, parts))
        except Declined as declined:
            parts.denials.note_problem(Attempt.of(request), declined.problem)
            return problem_response(declined.problem)

    public = Public(parts.service, parts.limits)

    async def anybody(_request: Request) -> Response:
        try:
            return response(public.answer())
        except Declined as declined:
            return problem_response(declined.problem)

    async def healthz(_request: Request) -> Response:
        return response(Answer(200, Health("ok")))

    async def readyz(_request: Request) -> Response:
        found = problems(parts.service)
        return response(Answer(503 if found else 200, Health("not ready" if found else "ready", found)))

    async def openapi(_request: Request) -> Response:
        return Response(document, media_type="application/json")

    async def measured(_request: Request) -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    app.add_route("/api/token", token, methods=["POST"])
    for path, handle in (
        ("/api/Public", anybody),
        ("/healthz", healthz),
        ("/readyz", readyz),
        ("/openapi.json", openapi),
        ("/metrics", measured),
    ):
        app.add_route(path, handle, methods=["GET"])


async def _token(request: Request, parts: Parts) -> Answer:
    """OAuth 2.0 client credentials with HTTP Basic."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > BODY_BYTES:
            raise denied(Denial.TOO_LARGE)
    grant = parse_qs(body.decode("utf-8", "replace")).get("grant_type", ["client_credentials"])
    if grant != ["client_credentials"]:
        raise denied(Denial.MALFORMED, "grant_type is client_credentials")
    client_id, secret = _basic(request.headers.get("authorization", ""))
    request.scope[ACCOUNT] = client_id
    parts.limits.take(f"token of {client_id}"[:200])
    caller = await asyncio.to_thread(parts.doorkeeper.client, client_id, secret)
    if caller is None:
        raise denied(Denial.UNAUTHENTICATED)
    document = TokenDocument(parts.doorkeeper.token(caller), "Bearer", parts.doorkeeper.life_s)
    return Answer(200, document, {"Cache-Control": "no-store"})


def _basic(said: str) -> tuple[str, str]:
    scheme, _, coded = said.partition(" ")
    try:
        name, found, secret = base64.b64decode(coded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        found = ""
    if scheme.lower() != "basic" or not found:
        raise denied(Denial.UNAUTHENTICATED)
    return name, secret


async def _as_problem(_request: Request, error: Exception) -> Response:
    """What the framework itself refuses: an unknown path, another method."""
    assert isinstance(error, HTTPException)
    answer = problem_response(denied(BY_STATUS.get(error.status_code, Denial.MALFORMED)).problem)
    answer.headers.update(error.headers or {})
    return answer


class Observed:
    """The application, every request noted. Paths without an id are `direct`; `orders` may come without a task too."""

    def __init__(
        self,
        app: ASGIApp,
        observations: Observations,
        direct: Mapping[tuple[str, str], Endpoint],
        orders: DirectOrders,
    ) -> None:
        self._app, self._observations, self._direct, self.orders = app, observations, direct, orders

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Go on, and note what was answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        seen, status = self._observations.begin(scope), 500

        async def answered(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                message["headers"] = [*message["headers"], seen.header]
            await send(message)

        endpoint = self._direct.get((scope["method"], scope["path"]))
        try:
            if endpoint is None:
                await self._app(scope, receive, answered)
            else:
                await (await endpoint(Request(scope, receive)))(scope, receive, answered)
        finally:
            self._observations.end(seen, status)
