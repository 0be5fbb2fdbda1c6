"""Every route, every role, everybody's objects: the table of who may what, walked from outside."""

import asyncio
import re
from functools import partial
from itertools import takewhile
from typing import Any

import httpx
import pytest
from tests.api.live_server import client_of, listening
from tests.api.small_service import (
    BRP,
    CREDENTIALS,
    DSO,
    KEY,
    LOGINS,
    MARKET,
    MILL,
    NORTH,
    OBSERVER,
    OPERATOR,
    OTHER_DSO,
    SOUTH,
    Running,
    order,
    registry_of,
    running,
)

from flexpeer.api import feed
from flexpeer.api.accounts import AccountHolder, Doorkeeper, new_accounts
from flexpeer.api.application import routes_of
from flexpeer.api.edge import Route
from flexpeer.api.feed import MEDIA
from flexpeer.api.permissions import OVERSEERS, RULES, Action, Caller, Owned, Permission, may
from flexpeer.api.published import Published
from flexpeer.api.sessions import WORD_HEADER
from flexpeer.app.registry import HolderKind, KeepAccount, MarketAccount, Rank
from flexpeer.market.participants import Organisation, RegisterOrganisation, RegisterResource, Resource, Role
from flexpeer.market.timeline import Stage

EVERY_ROLE = {
    NORTH: Role.FSP,
    "Sum": Role.AGGREGATOR,
    DSO: Role.REGIONAL_DSO,
    OTHER_DSO: Role.LOCAL_DSO,
    OPERATOR: Role.MARKET_OPERATOR,
    OBSERVER: Role.OBSERVER,
    BRP: Role.BRP,
}
BODIES: dict[str, Any] = {
    "/api/Orders": order("theirs", unit="N1"),
    "/api/Orders/import": [],
    "/api/Orders/preview": order("theirs", unit="N1"),
    "/api/StandingOrders": {
        "portfolioId": "Dryer",
        "side": "Sell",
        "timeFrom": "10:00",
        "timeTo": "12:00",
        "quantity": 1,
        "unitPrice": 240,
    },
    "/api/clock": {"to": "2026-04-19T08:30:00Z"},
    "/api/Webhooks": {"url": "http://127.0.0.1:9/none"},
    "/api/Portfolios": {"id": "P", "resources": ["N1"]},
    "/api/Orders/{id}": {"pricePoints": [{"quantity": 1, "unitPrice": 1}]},
    "/api/Portfolios/{id}": {"id": "N1", "resources": ["N1"]},
    "/api/Portfolios/{id}/prequalification": {},
    "/api/Limits": {},
    "/api/Outages": {"element": "none", "periodFrom": "2026-04-21T08:00:00Z", "periodTo": "2026-04-21T09:00:00Z"},
    "/api/Forecasts/import": [],
    "/api/Organizations": {"id": "New", "role": "FSP", "owner": "somebody new"},
    "/api/Users": {"id": "somebody", "rank": "reader"},
    "/api/Codes": {"code": "000000"},
}
NOT_THERE = "none-of-this-name"


def all_routes() -> list[Route]:
    with running() as here:
        return list(routes_of(here.parts))


ROUTES = all_routes()
STREAMS = [route for route in ROUTES if route.media == MEDIA]


def path_of(route: Route, name: str) -> str:
    """Of an object; of a market there is none of for a stream, whose answer would have no end."""
    path = route.path.replace("{id}", name)
    if route in STREAMS:
        return f"{path}?marketId={NOT_THERE}"
    if route.path.startswith("/api/Invoices"):
        return f"{path}?month={MARKET[:7]}"
    return f"{path}?marketId={MARKET}" if route.path in ("/api/Log", "/api/Evidence") else path


async def ask(here: Running, route: Route, organisation: str | None, name: str) -> Any:
    async with here.client(organisation) as client:
        return await asked(client, route, name)


async def asked(client: httpx.AsyncClient, route: Route, name: str) -> httpx.Response:
    body = BODIES.get(route.path) if route.bodies else None
    return await client.request(route.method, path_of(route, name), json=body)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_a_role_that_may_not_is_told_so_and_nobody_gets_in_without_a_token(route: Route) -> None:
    async def walk(here: Running) -> None:
        nobody = await ask(here, route, None, NOT_THERE)
        assert nobody.status_code == 401
        assert nobody.headers["www-authenticate"].startswith("Bearer")
        assert nobody.headers["content-type"] == "application/problem+json"
        for organisation, role in EVERY_ROLE.items():
            answer = await ask(here, route, organisation, NOT_THERE)
            rule = RULES[route.action]
            allowed = role in rule.roles and not rule.owners and not rule.persons
            assert (answer.status_code != 403) == allowed, (organisation, answer.text)
            assert answer.status_code < 500

    with running() as here:
        asyncio.run(walk(here))


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_a_person_of_every_role_and_rank_may_what_the_table_says(route: Route) -> None:
    async def walk(here: Running) -> None:
        rule = RULES[route.action]
        for organisation, role in EVERY_ROLE.items():
            for rank in Rank:
                async with here.person(user_of(organisation, rank)) as client:
                    answer = await asked(client, route, NOT_THERE)
                    enough = rank is Rank.OWNER or not (rule.owners or (rule.changes and rank is Rank.READER))
                    allowed = role in rule.roles and enough
                    assert (answer.status_code != 403) == allowed, (organisation, rank, answer.text)
                    assert answer.status_code < 500
                    if route.method != "GET":
                        del client.headers[WORD_HEADER]
                        assert (await asked(client, route, NOT_THERE)).status_code == 401

    with running() as here:
        asyncio.run(walk(with_every_rank(here)))


def user_of(organisation: str, rank: Rank) -> str:
    return f"{rank} of {organisation}"


def with_every_rank(here: Running) -> Running:
    registry = here.service.registry
    accounts = [MarketAccount(user_of(name, rank), name, rank) for name in EVERY_ROLE for rank in Rank]

    def act() -> None:
        registry.fill(KeepAccount(account) for account in accounts)
        for account in accounts:
            here.doorkeeper.keep_password(account.account, "none")

    here.service.ask(act).result()
    return here


OF_OBJECTS = [route for route in ROUTES if "{id}" in route.path and not route.path.startswith("/api/Markets")]


@pytest.mark.parametrize("route", OF_OBJECTS, ids=lambda route: f"{route.method} {route.path}")
def test_a_foreign_object_is_told_as_one_that_is_not_there(route: Route) -> None:
    async def walk(here: Running) -> None:
        await here.open_gate()
        async with here.client(MILL) as client:
            assert (await client.post("/api/Orders", json=order("theirs"))).status_code == 201
            made = await client.post("/api/Webhooks", json={"url": "http://127.0.0.1:9/none"})
            standing = await client.post("/api/StandingOrders", json=BODIES["/api/StandingOrders"])
        theirs = {
            "/api/Orders": "theirs",
            "/api/Outages": "work",
            "/api/Portfolios": "Dryer",
            "/api/StandingOrders": standing.json()["id"],
            "/api/Webhooks": made.json()["id"],
            "/api/Users": MILL,
            "/api/Clients": here.login(MILL).client_id,
        }
        name = next(known for start, known in theirs.items() if route.path.startswith(start))
        for organisation in (NORTH, OTHER_DSO):
            if EVERY_ROLE[organisation] not in RULES[route.action].roles:
                continue
            async with here.person(organisation) as client:
                foreign = await asked(client, route, name)
                absent = await asked(client, route, NOT_THERE)
            assert foreign.status_code == 404, foreign.text
            if route.method != "PUT":
                assert (absent.status_code, absent.content) == (foreign.status_code, foreign.content)

    BODIES["/api/Portfolios/{id}"] = {"id": "Dryer", "resources": ["Dryer"]}
    with running() as here:
        asyncio.run(walk(here))


@pytest.mark.parametrize("route", STREAMS, ids=lambda route: route.path)
def test_no_stream_tells_a_role_of_objects_that_are_not_its_own(route: Route, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every word of it, while orders are open and when the day is settled; a DSO sees what is at its nodes."""
    monkeypatch.setattr(feed, "HEARTBEAT_S", 0.05)
    with listening() as (here, url):
        own_day(here)
        at_the_gate = told_to_all(here, url, route)
        for stage in list(Stage)[3:]:
            here.service.ask(partial(here.service.move_clock, here.day.day.instant(stage))).result()
        known, settled = objects(here.day.published), told_to_all(here, url, route)
        happened = len(here.day.published.events)
    public = route.path == "/api/PublicOrders/stream"
    for organisation, role in EVERY_ROLE.items():
        for text in (at_the_gate[organisation], settled[organisation]):
            words = set(re.findall(r"[\w-]+", text))
            for name, mine in known.items():
                allowed = not public and (role in OVERSEERS or organisation in mine)
                assert allowed or name not in words, (organisation, name)
    told = settled if not public else at_the_gate
    assert all("S-offer" in told[each] for each in (OPERATOR, OBSERVER, DSO)) is not public
    assert ("N-bid" in told[NORTH], "Heat" in told["Sum"], "Heat" in told[OTHER_DSO]) == ((not public,) * 3)
    assert public or told[OBSERVER].count("data: ") == happened
    assert ('"unitPrice"' if public else "BrpNotified") in told[BRP]


def own_day(here: Running) -> None:
    """A market with orders, one of them refused, of several FSPs, and a resource of an aggregator at another DSO."""
    service = here.service
    for command in (
        RegisterOrganisation(Organisation(OTHER_DSO, Role.LOCAL_DSO)),
        RegisterOrganisation(Organisation("Sum", Role.AGGREGATOR)),
        RegisterOrganisation(Organisation(BRP, Role.BRP)),
        RegisterResource(Resource("Heat", "Sum", OTHER_DSO, "Hill", "heat", -1_000_000, 0)),
    ):
        service.ask(partial(here.day.day.market.submit, command)).result()
    service.ask(partial(service.move_clock, here.day.day.instant(Stage.OPEN))).result()
    dear = {"pricePoints": [{"quantity": 1, "unitPrice": 410}]}

    async def trade() -> None:
        for organisation, body, status in (
            (MILL, order("M-offer"), 201),
            (SOUTH, order("S-offer", "S1", pricePoints=[{"quantity": 2, "unitPrice": 900}]), 201),
            (SOUTH, order("S-vast", "S1", pricePoints=[{"quantity": 90, "unitPrice": 900}]), 422),
            (NORTH, order("N-bid", "N1", "Buy", **dear), 201),
        ):
            async with here.client(organisation) as client:
                assert (await client.post("/api/Orders", json=body)).status_code == status
                while (await client.get(f"/api/Markets/{MARKET}/line?wait=10")).json()["line"]:
                    pass

    asyncio.run(trade())
    assert here.day.published.trades


def told_to_all(here: Running, url: str, route: Route) -> dict[str, str]:
    """What a stream tells each organisation until it has told all."""
    return {organisation: told(here, url, route, organisation) for organisation in EVERY_ROLE}


def told(here: Running, url: str, route: Route, organisation: str) -> str:
    with (
        client_of(here, url, organisation) as client,
        client.stream("GET", f"{route.path}?marketId={MARKET}") as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(MEDIA)
        return "\n".join(takewhile(lambda line: not line.startswith(": still here"), answer.iter_lines()))


def objects(published: Published) -> dict[str, set[str]]:
    """Resources, orders and trades by name: whose they are, and at which DSO."""
    state = published.state
    at = {each.resource: {each.organisation, each.dso} for each in state.participants.resources.values()}
    orders = {each.order: at[each.unit] for each in state.orders.orders.values()}
    refused = {each.subject: {each.sender} for each in published.refused.values()}
    assert "S-vast" in refused
    trades = {
        name: {who for party in trade.leg.parties for who in orders[party.order]}
        for name, trade in state.trades.trades.items()
    }
    return at | orders | refused | trades


def test_an_order_for_a_foreign_resource_is_told_as_for_none() -> None:
    async def walk(here: Running) -> None:
        await here.open_gate()
        async with here.client(NORTH) as client:
            foreign = await client.post("/api/Orders", json=order("mine", unit="Dryer"))
            absent = await client.post("/api/Orders", json=order("mine", unit=NOT_THERE))
        assert foreign.status_code == 404
        assert foreign.content == absent.content
        assert not here.day.published.placed

    with running() as here:
        asyncio.run(walk(here))


def test_lists_hold_what_the_caller_may_see_and_the_public_book_names_nobody() -> None:
    async def listed(here: Running, organisation: str, path: str) -> list[Any]:
        async with here.client(organisation) as client:
            return list((await client.get(path)).json()["items"])

    async def walk(here: Running) -> None:
        await here.open_gate()
        async with here.client(MILL) as client:
            await client.post("/api/Orders", json=order("theirs"))
        for organisation, count in ((MILL, 1), (NORTH, 0), (DSO, 1), (OTHER_DSO, 0), (OPERATOR, 1), (OBSERVER, 1)):
            assert len(await listed(here, organisation, "/api/Orders")) == count, organisation
            (public,) = await listed(here, organisation, "/api/PublicOrders")
            assert not {"id", "portfolioId", "ownerOrganizationId", "gridNodeId", "arrival"} & set(public)
        names = {unit["id"] for unit in await listed(here, NORTH, "/api/Portfolios")}
        assert names == {"N1"}
        assert {unit["id"] for unit in await listed(here, DSO, "/api/Portfolios")} >= {"N1", "S1", "Dryer"}

    with running() as here:
        asyncio.run(walk(here))


def test_an_expired_token_is_none() -> None:
    now = [1_000_000.0]
    registry = registry_of(LOGINS)
    doorkeeper = Doorkeeper(registry, CREDENTIALS, KEY, life_s=60, seconds=lambda: now[0])
    caller = doorkeeper._caller(LOGINS[MILL].client_id, HolderKind.CLIENT)
    assert caller is not None
    token = doorkeeper.token(caller)
    assert doorkeeper.caller(token) == caller
    now[0] += 61
    assert doorkeeper.caller(token) is None
    assert Doorkeeper(registry, CREDENTIALS, b"x" * 32).caller(token) is None
    assert doorkeeper.caller(token + "x") is None


def test_every_action_has_its_rule_and_a_reader_changes_nothing() -> None:
    assert set(RULES) == set(Action)
    assert {route.action for route in ROUTES} == set(Action)
    for action, rule in RULES.items():
        for role in rule.roles:
            reader = Caller("X", role, Rank.READER, "c", True)
            assert (may(reader, action) is Permission.ALLOWED) == (not rule.changes)


def test_the_operator_does_not_act_for_others_and_concerned_dsos_see_only() -> None:
    operator = Caller(OPERATOR, Role.MARKET_OPERATOR, Rank.OWNER, "c")
    dso = Caller(DSO, Role.REGIONAL_DSO, Rank.OWNER, "c")
    theirs = Owned(MILL, (DSO,))
    assert may(operator, Action.READ_ORDERS, theirs) is Permission.ALLOWED
    assert may(operator, Action.CHANGE_ORDERS, theirs) is Permission.FORBIDDEN
    assert may(dso, Action.READ_ORDERS, theirs) is Permission.ALLOWED
    assert may(dso, Action.CHANGE_ORDERS, theirs) is Permission.HIDDEN
    assert may(dso, Action.READ_SETTLEMENT, theirs) is Permission.HIDDEN


def test_secrets_are_kept_as_hashes_only() -> None:
    credentials, logins = new_accounts([AccountHolder(MILL, Role.FSP), AccountHolder(DSO, Role.REGIONAL_DSO)])
    kept = repr(credentials)
    for login in logins.values():
        assert login.client_secret not in kept
        assert login.password not in kept
    doorkeeper = Doorkeeper(registry_of(logins), credentials, KEY)
    login = logins[MILL]
    assert doorkeeper.client(login.client_id, login.client_secret) is not None
    assert doorkeeper.client(login.client_id, login.password) is None
    assert doorkeeper.client("nobody", login.client_secret) is None
    assert doorkeeper.user(login.user, login.password) == Caller(MILL, Role.FSP, Rank.OWNER, MILL, True)
    assert doorkeeper.user(login.user, "wrong") is None
