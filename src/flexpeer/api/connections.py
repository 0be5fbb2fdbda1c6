"""Connections that hand single orders over whole, without a task and messages for each; all else goes as everywhere.

What HTTP asks of a connection (requests one behind the other, its end, its idle time) stays the server's.
"""

import asyncio
from typing import Any, ClassVar

from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from flexpeer.api.direct_orders import DirectOrders
from flexpeer.api.orders import PLACE

MOST_DIGITS = 4
"""Of the size of a body that is kept before anybody knows whose it is: an order of twenty price points has 2 kB."""
METHOD, PATH = PLACE.method.encode(), PLACE.path.encode()


def connections(orders: DirectOrders) -> type[asyncio.Protocol]:
    """The class of connections to a server whose single orders go there."""

    class Connection(OrderConnection):
        """To this server."""

        orders: ClassVar[DirectOrders]

    Connection.orders = orders
    return Connection


class OrderConnection(HttpToolsProtocol):
    """A connection to a server."""

    orders: ClassVar[DirectOrders]
    _pieces: list[bytes] | None = None

    def on_headers_complete(self) -> None:
        """The body of an order is kept until it is whole."""
        if not self._is_direct():
            super().on_headers_complete()
            return
        self._pieces = []
        self.scope |= {"method": PLACE.method, "path": PLACE.path, "raw_path": PATH, "query_string": b""}

    def _is_direct(self) -> bool:
        """Whether it is an order that nothing on this connection has to wait for, with a body of a stated size."""
        if self.url != PATH or self.parser.get_method() != METHOD or self.expect_100_continue:
            return False
        waits = self.cycle is not None and not self.cycle.response_complete
        if waits or self.parser.get_http_version() != "1.1" or self.parser.should_upgrade():
            return False
        sizes = [value for name, value in self.headers if name == b"content-length"]
        return len(sizes) == 1 and len(sizes[0]) <= MOST_DIGITS

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        if self._pieces is None:
            super().on_body(body)
        else:
            self._pieces.append(body)

    def on_message_complete(self) -> None:
        """A request is whole."""
        if self._pieces is None:
            super().on_message_complete()
            return
        body, self._pieces = b"".join(self._pieces), None
        self.cycle = under_way = _DirectCycle(self)
        self.orders.take(self.scope, body, under_way.answer)  # type: ignore[arg-type]


class _DirectCycle(RequestResponseCycle):
    """An order under way, as the server's connection knows requests."""

    def __init__(self, connection: OrderConnection) -> None:
        self._connection = connection
        self.transport = connection.transport
        self.keep_alive = connection.parser.should_keep_alive()
        self.message_event = asyncio.Event()
        self.disconnected = self.response_complete = False

    def answer(self, answer: Response) -> None:
        """Send it, if anybody is there, and go on with what comes next."""
        self.response_complete = True
        if self.disconnected or self.transport.is_closing():
            return
        lines: list[Any] = [STATUS_LINE[answer.status_code]]
        for name, value in (*self._connection.server_state.default_headers, *answer.raw_headers):
            lines += (name, b": ", value, b"\r\n")
        lines.append(b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n")
        lines.append(answer.body)
        self.transport.write(b"".join(lines))
        if not self.keep_alive:
            self.transport.close()
        self._connection.on_response_complete()
