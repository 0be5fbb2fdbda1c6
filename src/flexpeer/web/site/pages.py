"""Which pages there are, for whom, and how a browser gets them; what they show comes from the API."""

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol
from urllib.parse import parse_qs

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from flexpeer.market.participants import DSO_ROLES, OFFERING_ROLES, Role
from flexpeer.web.site.language import LANGUAGES, catalogue, language_of, name_of
from flexpeer.web.site.maps import Maps, map_document
from flexpeer.web.site.statics import static_file, statics_version

LANGUAGE_COOKIE: Final = "language"
PUBLIC: Final = "/public"
JOIN: Final = "/join"
SHORTEST_PASSWORD: Final = 12
DRAWN_MAP: Final = "/drawings/map"
MODULES: Final = ("main.js", "api.js", "clock.js", "html.js", "text.js", "table.js", "parts.js", "draw.js", "form.js")
"""What every page is made of: asked for at once, not one after the other."""
MOST_FORM_BYTES: Final = 10_000
SAFE: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
TRADERS = frozenset(OFFERING_ROLES) | frozenset(DSO_ROLES)
OVERSEERS = frozenset({Role.MARKET_OPERATOR, Role.OBSERVER})
EVERYBODY = frozenset(Role)


CALLED: Final = {
    Role.REGIONAL_DSO: "regional DSO",
    Role.LOCAL_DSO: "local DSO",
    Role.MARKET_OPERATOR: "market operator",
    Role.FSP: "FSP",
    Role.AGGREGATOR: "aggregator",
    Role.BRP: "BRP",
    Role.OBSERVER: "observer",
}


class Visitor(NamedTuple):
    """Who looks at a page; `word` goes with everything its page changes."""

    user: str
    organisation: str
    role: Role
    cookie: str
    word: str


class VisitorDoors(Protocol):
    """How visitors get in; `cookie` is the name of theirs."""

    @property
    def cookie(self) -> str:
        """A name that begins with `__Host-`."""

    @property
    def provider(self) -> str | None:
        """The page that leads to an identity provider, if people may log in at one."""

    async def enter(self, user: str, password: str, code: str) -> Visitor | None:
        """Somebody with the right password, and the right code if they have codes."""

    def invited(self, word: str) -> str | None:
        """Whose one-time link it is, while it may be used."""

    async def join(self, word: str, password: str) -> Visitor | None:
        """Somebody who comes with a one-time link and chooses a password."""

    def known(self, cookie: str | None) -> Visitor | None:
        """Somebody who has entered before."""


class SitePage(NamedTuple):
    """A page: its module draws it. `title` is English."""

    path: str
    module: str
    title: str
    roles: frozenset[Role]


PAGES: Final = (
    SitePage("/", "day", "The day", EVERYBODY),
    SitePage("/book", "book", "Order book", EVERYBODY),
    SitePage("/bid", "bid", "New order", TRADERS),
    SitePage("/orders", "orders", "Orders", TRADERS | OVERSEERS),
    SitePage("/trades", "trades", "Trades", TRADERS | OVERSEERS),
    SitePage("/grid-check", "verdicts", "Grid check", TRADERS | OVERSEERS),
    SitePage("/resources", "resources", "Resources", TRADERS | OVERSEERS),
    SitePage("/standing", "standing", "Standing orders", TRADERS),
    SitePage("/purchase", "purchase", "Relief I buy", frozenset(DSO_ROLES)),
    SitePage("/curtailment", "curtailment", "Curtailment", TRADERS | OVERSEERS),
    SitePage("/map", "map", "Grid map", frozenset(DSO_ROLES)),
    SitePage("/grid", "grid", "My grid", frozenset(DSO_ROLES)),
    SitePage("/uploads", "uploads", "Files", frozenset(OFFERING_ROLES)),
    SitePage("/delivery", "delivery", "Delivery", TRADERS | OVERSEERS),
    SitePage("/money", "money", "Money", TRADERS | OVERSEERS),
    SitePage("/kpis", "kpis", "Key figures", frozenset(DSO_ROLES) | OVERSEERS),
    SitePage("/operations", "operations", "Operations", OVERSEERS),
    SitePage("/audit", "audit", "Audit trail", OVERSEERS),
    SitePage("/people", "people", "People", EVERYBODY),
)

_TEMPLATES = Environment(
    loader=PackageLoader("flexpeer.web.site", "templates"), autoescape=True, undefined=StrictUndefined
)


def site_routes(doors: VisitorDoors, maps: Maps) -> list[Route]:
    """Every page, the way in and out, and what pages are made of."""
    found = [Route(page.path, _page(doors, page), methods=["GET"]) for page in PAGES]
    return [
        *found,
        Route(PUBLIC, _public, methods=["GET"]),
        Route("/login", _login(doors), methods=["GET", "POST"]),
        Route(JOIN, _join(doors), methods=["GET", "POST"]),
        Route("/logout", _logout(doors), methods=["POST"]),
        Route("/language", _choose_language, methods=["POST"]),
        Route(DRAWN_MAP, _drawn_map(doors, maps), methods=["GET"]),
        Route("/static/{version}/{name:path}", _static, methods=["GET"]),
    ]


def _page(doors: VisitorDoors, page: SitePage) -> Callable[[Request], object]:
    async def shown(request: Request) -> Response:
        visitor = doors.known(request.cookies.get(doors.cookie))
        if visitor is None:
            return RedirectResponse(f"/login?to={page.path}", 303, SAFE)
        allowed = visitor.role in page.roles
        return _rendered("page.html", request, 200 if allowed else 403, page=page, visitor=visitor, allowed=allowed)

    return shown


def _drawn_map(doors: VisitorDoors, maps: Maps) -> Callable[[Request], object]:
    """A DSO's own part of the grid, for its page to draw; nobody else's."""

    async def drawn(request: Request) -> Response:
        visitor = doors.known(request.cookies.get(doors.cookie))
        if visitor is None:
            return Response(status_code=401, headers=SAFE)
        if visitor.role not in DSO_ROLES:
            return Response(status_code=403, headers=SAFE)
        shown = await maps.own(visitor.organisation, request.query_params.get("market", ""))
        document = None if shown is None else await asyncio.to_thread(map_document, shown)
        return JSONResponse(document, headers={**SAFE, "Cache-Control": "no-store"})

    return drawn


async def _public(request: Request) -> Response:
    return _rendered("public.html", request, 200)


def _login(doors: VisitorDoors) -> Callable[[Request], object]:
    async def entered(request: Request) -> Response:
        to, provider = _where(request.query_params.get("to", "/")), doors.provider
        wrong = "wrong" in request.query_params
        if request.method == "GET":
            return _rendered("login.html", request, 200, to=to, wrong=wrong, user="", provider=provider)
        form = await _form(request)
        user, visitor = form.get("user", ""), None
        if _same_origin(request):
            visitor = await doors.enter(user, form.get("password", ""), form.get("code", ""))
        if visitor is None:
            return _rendered("login.html", request, 401, to=to, wrong=True, user=user, provider=provider)
        return _let_in(doors, visitor, to)

    return entered


def _join(doors: VisitorDoors) -> Callable[[Request], object]:
    async def joined(request: Request) -> Response:
        word, wrong = request.query_params.get("link", ""), False
        if request.method == "POST":
            password = (await _form(request)).get("password", "")
            wrong = len(password) < SHORTEST_PASSWORD
            visitor = await doors.join(word, password) if _same_origin(request) and not wrong else None
            if visitor is not None:
                return _let_in(doors, visitor, "/")
        user = doors.invited(word)
        status = 404 if user is None else 200 if request.method == "GET" else 422
        return _rendered("join.html", request, status, user=user, wrong=wrong, word=word, least=SHORTEST_PASSWORD)

    return joined


def _let_in(doors: VisitorDoors, visitor: Visitor, to: str) -> Response:
    answer = RedirectResponse(to, 303, SAFE)
    answer.set_cookie(doors.cookie, visitor.cookie, secure=True, httponly=True, samesite="lax", path="/")
    return answer


def _logout(doors: VisitorDoors) -> Callable[[Request], object]:
    async def left(request: Request) -> Response:
        answer = RedirectResponse("/login", 303, SAFE)
        if _same_origin(request):
            answer.delete_cookie(doors.cookie, path="/", secure=True, httponly=True, samesite="lax")
        return answer

    return left


async def _choose_language(request: Request) -> Response:
    form = await _form(request)
    answer = RedirectResponse(_where(form.get("to", "/")), 303, SAFE)
    if form.get("language") in LANGUAGES:
        answer.set_cookie(LANGUAGE_COOKIE, form["language"], max_age=365 * 86_400, samesite="lax", httponly=True)
    return answer


async def _static(request: Request) -> Response:
    found = static_file(request.path_params["version"], request.path_params["name"])
    if found is None:
        return Response(status_code=404, headers=SAFE)
    content, media, life = found
    return Response(content, media_type=media, headers={**SAFE, "Cache-Control": life})


async def _form(request: Request) -> dict[str, str]:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_FORM_BYTES:
            return {}
    return {name: values[-1] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}


def _same_origin(request: Request) -> bool:
    """Whether a form was sent from a page of ours, as far as the browser says."""
    origin = request.headers.get("origin")
    return origin in (None, f"{request.url.scheme}://{request.headers.get('host', '')}")


def _where(path: str) -> str:
    """A page of ours to go on to."""
    return path if path == PUBLIC or any(path == page.path for page in PAGES) else "/"


def _rendered(template: str, request: Request, status: int, **given: object) -> Response:
    language = language_of(request.cookies.get(LANGUAGE_COOKIE), request.headers.get("accept-language", ""))
    words = catalogue(language)
    known = {
        "language": language,
        "languages": {each: name_of(each) for each in LANGUAGES},
        "static": f"/static/{statics_version()}",
        "pages": PAGES,
        "modules": MODULES,
        "called": CALLED,
        "path": request.url.path,
        "_": lambda text: words.get(text, text),
    }
    text = _TEMPLATES.get_template(template).render(**known, **given)
    return Response(text, status, {**SAFE, "Cache-Control": "no-store"}, "text/html; charset=utf-8")
