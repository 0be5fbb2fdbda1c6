"""Orders that come over a connection are answered as on any other way, whatever else is on the connection."""

import asyncio
import json
import socket
from typing import Any

import httpx
import pytest
from tests.api.live_server import client_of, listening
from tests.api.small_service import MILL, NORTH, OBSERVER, Running, order, running

from flexpeer.market.timeline import Stage

IN_PIECES = [1, 7, 4096]


def request(token: str, body: bytes, path: str = "/api/Orders", method: str = "POST", more: str = "") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {token}\r\n{more}"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def order_of(number: int, **changes: Any) -> bytes:
    small = {"pricePoints": [{"quantity": 0.1, "unitPrice": 240}]}
    return json.dumps(order(f"C{number}", **small | changes)).encode()


def open_gate(here: Running) -> None:
    at = here.day.day.instant(Stage.OPEN)
    here.service.ask(lambda: here.service.move_clock(at)).result()


def told(url: str, content: bytes, pieces: int = 1 << 20) -> bytes:
    """Everything that is answered on one connection, to the end of it."""
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for first in range(0, len(content), pieces):
            connection.sendall(content[first : first + pieces])
        answers = []
        while piece := connection.recv(65_536):
            answers.append(piece)
        return b"".join(answers)


def statuses(answers: bytes) -> list[int]:
    return [int(part[:3]) for part in answers.split(b"HTTP/1.1 ")[1:]]


@pytest.mark.parametrize("pieces", IN_PIECES)
def test_requests_one_behind_the_other_are_answered_in_order(pieces: int) -> None:
    with listening() as (here, url):
        open_gate(here)
        token = here.token(MILL)
        sent = b"".join(
            (
                request(token, order_of(1)),
                request(token, order_of(2)),
                request(token, b"", "/api/Markets", "GET"),
                request(token, order_of(3)),
                request("nobody", order_of(4)),
                request(token, b"{"),
                request(token, order_of(1), more="Connection: close\r\n"),
            )
        )
        answers = told(url, sent, pieces)
        assert statuses(answers) == [201, 201, 200, 201, 401, 400, 200]
        assert answers.lower().count(b"x-request-id: ") == 7
        assert answers.lower().count(b"date: ") == 7
        assert len(here.day.published.placed) == 3


def test_whoever_leaves_before_the_answer_has_placed_the_order_all_the_same() -> None:
    with listening() as (here, url):
        open_gate(here)
        host, _, port = url.removeprefix("http://").partition(":")
        for number in range(8):
            with socket.create_connection((host, int(port))) as connection:
                connection.sendall(request(here.token(MILL), order_of(number)))
        with client_of(here, url, MILL) as client:
            assert client.post("/api/Orders", content=order_of(9)).status_code == 201
        assert len(here.day.published.placed) == 9


CASES: dict[str, tuple[str, dict[str, str], bytes]] = {
    "placed": (MILL, {}, order_of(1)),
    "with a key": (MILL, {"Idempotency-Key": "k"}, order_of(2)),
    "of another": (NORTH, {}, order_of(3)),
    "not allowed": (OBSERVER, {}, order_of(4)),
    "refused": (MILL, {}, order_of(5, pricePoints=[{"quantity": 90, "unitPrice": 1}])),
    "no such market": (MILL, {}, order_of(6, marketId="2020-01-01")),
    "malformed": (MILL, {}, b"[1"),
    "empty": (MILL, {}, b""),
    "another media type": (MILL, {"Content-Type": "text/plain"}, order_of(7)),
    "large": (MILL, {}, b" " * 300_000 + order_of(8)),
}


@pytest.mark.parametrize("case", CASES)
def test_the_answer_is_the_application_s(case: str) -> None:
    by, headers, body = CASES[case]

    async def through_the_application(other: Running) -> httpx.Response:
        await other.open_gate()
        async with other.client(by) as client:
            return await client.post("/api/Orders", content=body, headers=headers)

    with running() as other:
        expected = asyncio.run(through_the_application(other))
    with listening() as (here, url):
        open_gate(here)
        with client_of(here, url, by) as client:
            answer = client.post("/api/Orders", content=body, headers=headers)
    assert (answer.status_code, answer.content) == (expected.status_code, expected.content)
    assert _of_the_service(answer) == _of_the_service(expected)


def _of_the_service(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name not in ("date", "x-request-id", "server")}


def test_a_stopping_service_refuses() -> None:
    with listening() as (here, url), client_of(here, url, MILL) as client:
        open_gate(here)
        here.service.stop()
        refused = client.post("/api/Orders", json=order("late"))
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
