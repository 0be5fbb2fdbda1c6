"""Who was not let in is on a log of its own: chained, signed at every stage, and verified like a day's."""

import asyncio
import json
from pathlib import Path

import msgspec
import pytest
from tests.api.small_service import MARKET, MILL, NORTH, Running, order, running
from tests.api.test_market_store import EXAMPLE, reach
from tests.market.small_market import MemoryLog

from flexpeer.adapters.store import Store
from flexpeer.api.denials import AT_ONCE, Attempt, Denials
from flexpeer.api.service import Service
from flexpeer.app.registry import DENIALS, REGISTRY, AccessDenied
from flexpeer.bootstrap import audit
from flexpeer.errors import BadInput
from flexpeer.market.timeline import Stage
from flexpeer.market_store import make_market, open_market
from flexpeer.serving import settings_of


def test_each_denial_is_recorded_with_who_asked_for_what() -> None:
    async def story(here: Running) -> None:
        await here.open_gate()
        async with here.client(MILL) as client:
            assert (await client.post("/api/Orders", json=order("A1"))).status_code == 201
        async with here.client(NORTH) as client:
            assert (await client.get("/api/Orders/A1")).status_code == 404
            assert (await client.get("/api/Log", params={"marketId": MARKET})).status_code == 403
        async with here.client() as client:
            assert (await client.get("/api/Markets")).status_code == 401
            basic = {"Authorization": "Basic eDp5"}
            assert (await client.post("/api/token", headers=basic)).status_code == 401

    log = MemoryLog()
    with running(denials=log) as here:
        asyncio.run(story(here))
        account = here.login(NORTH).client_id
    told = [(e.reason, e.method, e.path, e.account) for batch in log.batches for e in batch]  # type: ignore[union-attr]
    assert told == [
        ("not_found", "GET", "/api/Orders/A1", account),
        ("forbidden", "GET", "/api/Log", account),
        ("unauthenticated", "GET", "/api/Markets", ""),
        ("unauthenticated", "POST", "/api/token", "x"),
    ]


def test_of_a_flood_the_number_is_recorded() -> None:
    log = MemoryLog()
    with running() as here:
        now = 0.0
        denials = Denials(here.service, log, lambda: 0.0, lambda: now)
        for _ in range(AT_ONCE + 40):
            denials.note(Attempt("/x" * 999), "not_found")
        now = 1.0
        denials.note(Attempt("/y"), "not_found")
        here.service.ask(lambda: None).result()
    (last,) = log.batches[-1][-1:]
    assert isinstance(last, AccessDenied)
    assert sum(len(batch) for batch in log.batches) == AT_ONCE + 1
    assert last == AccessDenied("1970-01-01T00:00:00Z", "not_found", "/y", "POST", others=40)
    assert len(log.batches[0][0].path) == 200


@pytest.mark.parametrize("name", [REGISTRY, DENIALS])
def test_logs_beside_the_days_are_whole_signed_and_cannot_be_changed(name: str, tmp_path: Path) -> None:
    data = tmp_path / "market"
    data.mkdir()
    with Store.open(data) as store:
        make_market(store, data, [EXAMPLE], demo=False)
        market = open_market(store, settings_of({"data": data, "clock": "virtual"}))
        service = Service(market.days, market.registry, market.clock, lambda: None, market.standing.renew)
        service.start()
        denials = Denials(service, store.log(DENIALS))
        denials.note(Attempt("/api/Grid", "GET"), "forbidden")
        reach(market, service, MARKET, Stage.OPEN)
        denials.note(Attempt("/api/Grid", "PUT"), "forbidden")
        reach(market, service, MARKET, Stage.CLOSED)
        service.stop()
        assert service.failure is None
        log, heads = tmp_path / "log", tmp_path / "heads"
        log.write_bytes(b"".join(store.lines(name, 0, True)))
        signed = store.heads(name)
        heads.write_bytes(msgspec.json.encode(signed[-1]))
        tail = b"".join(store.lines(name, 1, True))
    records, _, damages = audit(log, heads)
    assert (records, damages) == (store_count(log), [])
    assert log.read_bytes().endswith(tail)
    assert [head.stage for head in signed] == {
        REGISTRY: [f"{MARKET} announced"],
        DENIALS: [f"{MARKET} open", f"{MARKET} closed"],
    }[name]
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[: signed[-1].n - 1] + lines[signed[-1].n :]))
    assert audit(log, heads)[2]
    heads.write_text(json.dumps({"items": []}))
    with pytest.raises(BadInput):
        audit(log, heads)


def store_count(log: Path) -> int:
    return len(log.read_bytes().splitlines()) - 1
