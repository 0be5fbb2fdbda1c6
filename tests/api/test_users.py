"""Users, clients and one-time links: who comes in, and who no longer does; the registry says all of it."""

import asyncio
import base64
import hmac
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from tests.api.small_service import DSO, KEY, MARKET, MILL, NORTH, OPERATOR, Running, order, running

from flexpeer.api.doors import Doors
from flexpeer.api.oidc import BACK, BEGIN, Oidc, Provider, ProviderFailed
from flexpeer.api.one_time_codes import code_at, code_step
from flexpeer.api.sessions import COOKIE as SESSION
from flexpeer.app.registry import AccountKept, Life
from flexpeer.market.participants import ResourceRegistered
from flexpeer.market.timeline import Stage

PASSWORD = "a password of one's own"


async def invited(here: Running, organisation: str, user: str, rank: str) -> str:
    async with here.person(organisation) as owner:
        answer = await owner.post("/api/Users", json={"id": user, "rank": rank})
        assert answer.status_code == 201, answer.text
        word: str = parse_qs(urlsplit(answer.json()["link"]).query)["link"][0]
        return word


def doors_of(here: Running, oidc: Oidc | None = None) -> Doors:
    return Doors(here.service, here.doorkeeper, here.parts.sessions, here.parts.denials, oidc)


def test_somebody_invited_comes_in_by_a_link_once_until_revoked() -> None:
    async def walk(here: Running) -> None:
        doors = doors_of(here)
        old, word = [await invited(here, MILL, "miller", "contributor") for _ in range(2)]
        assert doors.invited(old) is None
        assert doors.invited(word) == "miller"
        assert await doors.join(old, PASSWORD) is None
        assert await doors.join(word, PASSWORD) is not None
        assert await doors.join(word, "another password") is None
        session = await doors.enter("miller", PASSWORD, "")
        assert session is not None
        assert await doors.enter("miller", "another password", "") is None
        async with here.person("miller") as miller, here.person(MILL) as owner:
            assert (await miller.post("/api/Users", json={"id": "x", "rank": "reader"})).status_code == 403
            users = (await owner.get("/api/Users")).json()["items"]
            assert [(each["id"], each["status"]) for each in users] == [(MILL, "open"), ("miller", "open")]
            assert (await owner.delete("/api/Users/miller")).status_code == 204
            assert (await miller.get("/api/Users")).status_code == 401
            assert (await owner.post("/api/Users", json={"id": "miller", "rank": "reader"})).status_code == 422
            last = await owner.delete(f"/api/Users/{MILL}")
            assert (last.status_code, last.json()["reason"]) == (409, "last_owner")
        assert doors.known(session.cookie) is None

    with running() as here:
        asyncio.run(walk(here))
        lives = [a.life for a in here.service.registry.published.accounts.values() if a.account == "miller"]
        assert lives == [Life.CLOSED]


def test_a_clients_secret_is_shown_once_and_revoking_ends_its_tokens() -> None:
    async def walk(here: Running) -> None:
        async with here.person(MILL) as owner, here.client() as program:
            made = (await owner.post("/api/Clients")).json()
            shown = (await owner.get("/api/Clients")).json()["items"]
            assert {each["id"] for each in shown} == {made["id"], here.login(MILL).client_id}
            assert all("secret" not in each for each in shown)
            token = (await program.post("/api/token", auth=(made["id"], made["secret"]))).json()["access_token"]
            program.headers["Authorization"] = f"Bearer {token}"
            assert (await program.get("/api/Orders")).status_code == 200
            assert (await owner.delete(f"/api/Clients/{made['id']}")).status_code == 204
            assert (await program.get("/api/Orders")).status_code == 401
            del program.headers["Authorization"]
            assert (await program.post("/api/token", auth=(made["id"], made["secret"]))).status_code == 401

    with running() as here:
        asyncio.run(walk(here))


def test_codes_are_asked_for_once_one_was_shown_and_each_is_good_once() -> None:
    now = [1_700_000_000.0]

    async def walk(here: Running) -> None:
        here.doorkeeper._seconds = lambda: now[0]
        here.parts.sessions._seconds = lambda: now[0]
        doors = doors_of(here)
        assert await doors.join(await invited(here, MILL, "miller", "reader"), PASSWORD) is not None
        async with here.person("miller") as miller:
            secret = (await miller.post("/api/Codes")).json()["secret"]
            assert await doors.enter("miller", PASSWORD, "") is not None
            wrong = await miller.put("/api/Codes", json={"code": "000000"})
            assert (wrong.status_code, wrong.json()["reason"]) == (422, "wrong_code")
            shown = code_at(secret, int(now[0]) // 30)
            assert (await miller.put("/api/Codes", json={"code": shown})).json() == {"active": True}
            assert await doors.enter("miller", PASSWORD, "") is None
            assert await doors.enter("miller", PASSWORD, shown) is None
            now[0] += 30
            following = code_at(secret, int(now[0]) // 30)
            assert await doors.enter("miller", "wrong", following) is None
            assert await doors.enter("miller", PASSWORD, following) is not None
            assert await doors.enter("miller", PASSWORD, following) is None
            now[0] += 30
            gone = await miller.request("DELETE", "/api/Codes", json={"code": code_at(secret, int(now[0]) // 30)})
            assert gone.json() == {"active": False}
        assert await doors.enter("miller", PASSWORD, "") is not None

    with running() as here:
        asyncio.run(walk(here))


def test_codes_are_those_of_the_standard() -> None:
    """RFC 6238, appendix B: the last six of its eight digits."""
    secret = base64.b32encode(b"12345678901234567890").decode()
    for seconds, code in ((59, "287082"), (1111111109, "081804"), (2000000000, "279037")):
        assert code_at(secret, seconds // 30) == code
        assert code_step(secret, code, seconds + 30) == seconds // 30
        assert code_step(secret, code, seconds + 90) is None


def test_a_name_may_be_tried_so_often() -> None:
    async def walk(here: Running) -> None:
        doors = doors_of(here)
        login = here.login(MILL)
        assert [await doors.enter(MILL, "wrong", "") for _ in range(10)] == [None] * 10
        assert await doors.enter(MILL, login.password, "") is None
        assert await doors.enter(NORTH, here.login(NORTH).password, "") is not None

    with running() as here:
        asyncio.run(walk(here))


def test_a_new_organisation_registers_its_resource_and_every_open_day_knows_it() -> None:
    async def walk(here: Running) -> None:
        body = {"id": "New Wind", "role": "FSP", "owner": "new owner", "parent": DSO}
        async with here.person(OPERATOR) as operator:
            made = await operator.post("/api/Organizations", json=body)
            assert made.status_code == 201, made.text
            assert (await operator.post("/api/Organizations", json=body)).status_code == 422
        word = parse_qs(urlsplit(made.json()["link"]).query)["link"][0]
        assert await doors_of(here).join(word, PASSWORD) is not None
        unit = {"id": "W9", "gridNodeId": "N", "dso": DSO, "minimumQuantity": 0, "maximumQuantity": 3, "kind": "wind"}
        async with here.person("new owner") as owner, here.person(DSO) as dso:
            assert (await owner.post("/api/Portfolios", json=unit)).status_code == 201
            check = {"gridCheck": {"passed": True}, "productCheck": {"passed": True}}
            passed = await dso.post("/api/Portfolios/W9/prequalification", json=check)
            assert passed.json()["status"] == "Active"
            late = await owner.post("/api/Orders", json=order("late", unit="W9"))
            assert late.json()["reason"] == "not_qualified"

    with running() as here:
        asyncio.run(walk(here))
        registry, day = here.service.registry.published.participants, here.day.published
        assert registry.resources["W9"] == day.state.participants.resources["W9"]
        assert registry.prequalifications["W9"] == day.state.participants.prequalifications["W9"]
        assert any(isinstance(event, ResourceRegistered) and event.resource.resource == "W9" for event in day.events)
        assert not any(isinstance(event, AccountKept) for event in day.events)


ISSUER = "https://provider.test"
PROVIDER = Provider(ISSUER, "the-market", "shared", "email")


class LittleProvider:
    """An identity provider that vouches for whom it is told to, in tokens that a test may spoil."""

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, parameters={"kid": "1"})
        self.claims: dict[str, Any] = {}
        self.signed_by = self.key
        self.challenge = self.nonce = ""

    def client(self) -> httpx.AsyncClient:
        routes = [
            Route("/.well-known/openid-configuration", self._configuration),
            Route("/keys", self._keys),
            Route("/token", self._token, methods=["POST"]),
        ]
        return httpx.AsyncClient(transport=httpx.ASGITransport(Starlette(routes=routes)), base_url=ISSUER)

    async def _configuration(self, _request: Request) -> JSONResponse:
        places = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
        return JSONResponse({"issuer": ISSUER} | {name: f"{ISSUER}/{path}" for name, path in places.items()})

    async def _keys(self, _request: Request) -> JSONResponse:
        return JSONResponse({"keys": [self.key.as_dict(private=False)]})

    async def _token(self, request: Request) -> JSONResponse:
        form = {name: each[0] for name, each in parse_qs((await request.body()).decode()).items()}
        verified = base64.urlsafe_b64encode(sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        basic = base64.b64encode(b"the-market:shared").decode()
        right = verified == self.challenge and form["code"] == "the code"
        if not right or not hmac.compare_digest(request.headers.get("authorization", ""), f"Basic {basic}"):
            return JSONResponse({"error": "invalid_grant"}, 400)
        claims = {"iss": ISSUER, "aud": "the-market", "exp": 4_000_000_000, "nonce": self.nonce, "sub": "7"}
        return JSONResponse(
            {"id_token": jwt.encode({"alg": "RS256", "kid": "1"}, claims | self.claims, self.signed_by)}
        )


async def back_from(provider: LittleProvider, browser: httpx.AsyncClient, **query: str) -> httpx.Response:
    """A browser goes to the provider and comes back."""
    sent = await browser.get(BEGIN)
    asked = {name: each[0] for name, each in parse_qs(urlsplit(sent.headers["location"]).query).items()}
    assert (asked["code_challenge_method"], asked["redirect_uri"]) == ("S256", f"https://market{BACK}")
    provider.challenge, provider.nonce = asked["code_challenge"], asked["nonce"]
    return await browser.get(BACK, params={"state": asked["state"], "code": "the code"} | query)


@pytest.mark.parametrize(
    ("claims", "query", "comes_in"),
    [
        ({"email": MILL, "email_verified": True}, {}, True),
        ({"email": MILL}, {}, False),
        ({"email": "nobody", "email_verified": True}, {}, False),
        ({"email": MILL, "email_verified": True, "aud": "another"}, {}, False),
        ({"email": MILL, "email_verified": True, "iss": "https://another.test"}, {}, False),
        ({"email": MILL, "email_verified": True, "exp": 1}, {}, False),
        ({"email": MILL, "email_verified": True, "nonce": "another"}, {}, False),
        ({"email": MILL, "email_verified": True}, {"state": "another"}, False),
        ({"email": MILL, "email_verified": True}, {"code": "another"}, False),
    ],
)
def test_a_provider_vouches_for_whom_the_registry_knows(
    claims: dict[str, Any], query: dict[str, str], comes_in: bool
) -> None:
    provider = LittleProvider()
    provider.claims = claims

    async def walk(here: Running) -> None:
        doors = doors_of(here, Oidc(PROVIDER, KEY, provider.client))
        transport = httpx.ASGITransport(Starlette(routes=doors.provider_routes()))
        async with httpx.AsyncClient(transport=transport, base_url="https://market") as browser:
            answer = await back_from(provider, browser, **query)
            assert answer.headers["location"] == ("/" if comes_in else "/login?wrong")
            session = doors.known(answer.cookies.get(SESSION))
            assert (session is not None and session.caller.organisation == MILL) == comes_in

    with running() as here:
        asyncio.run(walk(here))


def test_a_token_of_another_key_or_of_another_browser_lets_nobody_in() -> None:
    provider = LittleProvider()
    provider.claims = {"email": MILL, "email_verified": True}

    async def walk() -> None:
        oidc = Oidc(PROVIDER, KEY, provider.client)
        begun = await oidc.begin(f"https://market{BACK}")
        asked = {name: each[0] for name, each in parse_qs(urlsplit(begun.address).query).items()}
        provider.challenge, provider.nonce = asked["code_challenge"], asked["nonce"]
        assert await oidc.user(begun.cookie, asked["state"], "the code") == MILL
        assert await oidc.user(None, asked["state"], "the code") is None
        assert await Oidc(PROVIDER, b"x" * 32, provider.client).user(begun.cookie, asked["state"], "the code") is None
        provider.signed_by = RSAKey.generate_key(2048, parameters={"kid": "1"})
        assert await oidc.user(begun.cookie, asked["state"], "the code") is None
        other = Oidc(PROVIDER._replace(issuer=f"{ISSUER}/"), KEY, provider.client)
        with pytest.raises(ProviderFailed):
            await other.begin("https://market")

    asyncio.run(walk())


def test_a_day_that_is_settled_hears_nothing_more() -> None:
    async def walk(here: Running) -> None:
        for stage in list(Stage)[2:]:
            await here.move(stage)
        before = len(here.day.published.events)
        async with here.person(MILL) as owner:
            unit = {"id": "M9", "gridNodeId": "N", "dso": DSO, "minimumQuantity": 0, "maximumQuantity": 3}
            assert (await owner.post(f"/api/Portfolios?marketId={MARKET}", json=unit)).status_code == 201
        assert len(here.day.published.events) == before

    with running() as here:
        asyncio.run(walk(here))
