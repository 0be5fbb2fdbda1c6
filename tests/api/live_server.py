"""A service that listens on a port of this machine, for what needs a real connection: streams and webhooks."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

import httpx
import uvicorn
from tests.api.small_service import Running, running

from flexpeer.api.connections import connections


@contextmanager
def listening() -> Iterator[tuple[Running, str]]:
    """A running service and its address."""
    with running() as here:
        config = uvicorn.Config(
            here.app, port=0, http=connections(here.app.orders), log_config=None, timeout_graceful_shutdown=2
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=asyncio.run, args=(server.serve(),))
        thread.start()
        try:
            while not server.started:
                thread.join(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]
            yield here, f"http://127.0.0.1:{port}"
        finally:
            here.service.say_goodbye()
            server.should_exit = True
            thread.join()


def client_of(here: Running, url: str, organisation: str) -> httpx.Client:
    return httpx.Client(base_url=url, timeout=300, headers={"Authorization": f"Bearer {here.token(organisation)}"})


class Received(NamedTuple):
    """A request that a webhook's receiver got."""

    headers: dict[str, str]
    body: bytes


@contextmanager
def receiver(statuses: list[int]) -> Iterator[tuple[str, list[Received]]]:
    """Answers with each status in turn and then 204; what it got is kept."""
    got: list[Received] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            got.append(Received({k.lower(): v for k, v in self.headers.items()}, self.rfile.read(length)))
            self.send_response(statuses.pop(0) if statuses else 204)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quietly."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/hook", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
