"""Events as they happen: each seen by whom it concerns, streams that resume, webhooks that are signed and retried."""

import base64
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
from tests.api.live_server import client_of, listening, receiver
from tests.api.small_service import MARKET, MILL, NORTH, Running, order

from flexpeer.market.timeline import Stage


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
