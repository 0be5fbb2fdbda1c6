"""Events as they happen: each seen by whom it concerns, streams that resume, webhooks that are signed and retried."""

import asyncio
import base64
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
from tests.api.live_server import client_of, listening, receiver
from tests.api.small_service import DSO, MARKET, MILL, NORTH, OBSERVER, OTHER_DSO, Running, order, running

from flexpeer.api.permissions import Caller
from flexpeer.api.visibility import seen
from flexpeer.app.registry import Rank
from flexpeer.market.participants import Role
from flexpeer.market.timeline import Stage

ROLES = {MILL: Role.FSP, NORTH: Role.FSP, DSO: Role.REGIONAL_DSO, OTHER_DSO: Role.LOCAL_DSO, OBSERVER: Role.OBSERVER}


def events(answer: httpx.Response) -> Iterator[dict[str, Any]]:
    """Events of a stream, as they come."""
    fields: dict[str, str] = {}
    for line in answer.iter_lines():
        if not line:
            if "data" in fields:
                yield {"id": fields["id"], **json.loads(fields["data"])}
            fields = {}
        else:
            name, _, value = line.partition(": ")
            fields[name] = value


def wait_until(condition: Any, seconds: float = 300.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.01)


def open_gate(here: Running) -> None:
    here.service.ask(lambda: here.service.move_clock(here.day.day.instant(Stage.OPEN))).result()


def test_a_stream_goes_on_where_its_reader_left() -> None:
    with listening() as (here, url), client_of(here, url, MILL) as client:
        open_gate(here)
        client.post("/api/Orders", json=order("A1"))
        address = f"/api/events?marketId={MARKET}&types=OrderPlaced,OrderWithdrawn"
        with client.stream("GET", address) as answer:
            stream = events(answer)
            first = next(stream)
            assert (first["type"], first["content"]["order"]["order"]) == ("OrderPlaced", "A1")
            assert first["id"] == f"{MARKET}/{first['n']}"
            client.delete("/api/Orders/A1")
            assert next(stream)["type"] == "OrderWithdrawn"
        with client.stream("GET", address, headers={"Last-Event-ID": first["id"]}) as answer:
            assert next(events(answer))["type"] == "OrderWithdrawn"
        assert client.get("/api/events", headers={"Last-Event-ID": "x"}).status_code == 400


def test_a_stream_ends_when_the_service_does() -> None:
    address = f"/api/events?marketId={MARKET}&types=DayOpened"
    with (
        listening() as (here, url),
        client_of(here, url, NORTH) as client,
        client.stream("GET", address) as answer,
    ):
        stream = events(answer)
        assert next(stream)["type"] == "DayOpened"
        here.service.say_goodbye()
        assert list(stream) == []


def test_a_webhook_is_signed_retried_and_in_vain_a_dead_letter() -> None:
    with listening() as (here, url), client_of(here, url, MILL) as client, receiver([500, 503]) as (hook, got):
        open_gate(here)
        made = client.post("/api/Webhooks", json={"url": hook, "types": ["OrderPlaced"]}).json()
        client.post("/api/Orders", json=order("A1"))
        wait_until(lambda: len(got) == 3)
        assert len({each.headers["webhook-id"] for each in got}) == 1
        last = got[-1]
        key = base64.b64decode(made["secret"].removeprefix("whsec_"))
        signed = f"{last.headers['webhook-id']}.{last.headers['webhook-timestamp']}.".encode() + last.body
        expected = "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
        assert last.headers["webhook-signature"] == expected
        assert json.loads(last.body)["content"]["order"]["order"] == "A1"
        listed = client.get("/api/Webhooks").json()
        assert "secret" not in listed["items"][0]
        assert client.delete(f"/api/Webhooks/{made['id']}").status_code == 204
        nowhere = client.post("/api/Webhooks", json={"url": "http://127.0.0.1:9/", "types": ["OrderWithdrawn"]}).json()
        client.delete("/api/Orders/A1")
        wait_until(lambda: client.get("/api/DeadLetters").json()["numberOfHits"] == 1)
        (letter,) = client.get("/api/DeadLetters").json()["items"]
        assert (letter["webhookId"], letter["tries"]) == (nowhere["id"], 3)


def test_nobody_sees_what_does_not_concern_them_in_any_event() -> None:
    """A word search: names, resources and orders of others stand in nothing that is shown to an FSP."""

    async def story(here: Running) -> None:
        await here.open_gate()
        buyer = order("N-bid", unit="N1", side="Buy", pricePoints=[{"quantity": 1, "unitPrice": 410}])
        for organisation, body in ((MILL, order("M-offer")), (NORTH, buyer)):
            async with here.client(organisation) as client:
                assert (await client.post("/api/Orders", json=body)).status_code == 201
                while (await client.get(f"/api/Markets/{MARKET}/line?wait=10")).json()["line"]:
                    pass
        for stage in list(Stage)[3:]:
            await here.move(stage)

    with running() as here:
        asyncio.run(story(here))
        published = here.day.published
        assert published.trades
        texts = {name: _seen_by(name, here) for name in ROLES}
    for word in ("Pellet Mill", "Dryer", "M-offer"):
        assert any(word in text for text in texts[MILL])
        assert any(word in text for text in texts[OBSERVER])
        assert not [text for text in texts[NORTH] if word in text], word
        assert not [text for text in texts[OTHER_DSO] if word in text], word
    assert any("M-offer" in text for text in texts[DSO])
    assert len(texts[OBSERVER]) == len(published.events)


def _seen_by(organisation: str, here: Running) -> list[str]:
    caller = Caller(organisation, ROLES[organisation], Rank.CONTRIBUTOR, "c")
    state = here.day.published.state
    contents = (seen(caller, MARKET, state, event) for event in here.day.published.events)
    return [json.dumps(content, default=str) for content in contents if content is not None]
