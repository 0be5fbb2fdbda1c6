"""Letters over NATS: the market operator's `Areas`, and a DSO's side that answers until the run is closed.

Subjects are `flexpeer.clearing.NAME`, one per organisation; replies come to the market operator's. NATS promises no
delivery; `Asking` sends again and knows when the time is up.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from time import time_ns
from types import TracebackType
from typing import Any, Protocol, TypeVar

import nats
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import NoServersError

from flexpeer.app.asking import Asking
from flexpeer.app.letters import MARKET_OPERATOR, Desk, Letter, reply_in
from flexpeer.errors import bad_input

CONNECT_S = 5
T = TypeVar("T")


def subject(name: str) -> str:
    """Where an organisation listens."""
    return f"flexpeer.clearing.{name}"


async def _connected(server: str) -> Client:
    async def quiet(_error: Exception) -> None:
        return None

    try:
        return await nats.connect(
            server, connect_timeout=CONNECT_S, max_reconnect_attempts=1, reconnect_time_wait=1, error_cb=quiet
        )
    except (TimeoutError, NoServersError, NatsError, OSError, ValueError) as error:
        raise bad_input(server, f"cannot be reached: {error}", "the address of a NATS server") from error


class Answering(Protocol):
    """A DSO's desk, for whatever kind of questions; `closed` is true once no more will come."""

    desk: Desk

    def reply_to(self, written: bytes) -> bytes | None:
        """The signed reply; None for a letter that is dropped."""

    @property
    def closed(self) -> object:
        """How the run ended."""


class NatsAreas:
    """DSOs behind a NATS server, as a context; `timeout_s` is how long each question may take.

    `read` finds the reply in a letter, None if it has none of the kind that is asked for.
    """

    def __init__(
        self, desk: Desk, server: str, timeout_s: float, read: Callable[[Letter], Any | None] = reply_in
    ) -> None:
        self._server, self._asking = server, Asking(desk, time_ns(), timeout_s, read)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._heard = asyncio.Event()
        self.sent_bytes, self.received_bytes = self._asking.sent_bytes, self._asking.received_bytes

    def __enter__(self) -> "NatsAreas":
        self._thread.start()
        try:
            self._client = self._awaited(self._open())
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._awaited(self._client.close())
        self._stop()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _awaited(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _open(self) -> Client:
        client = await _connected(self._server)
        await client.subscribe(subject(MARKET_OPERATOR), cb=self._received)
        return client

    async def _received(self, message: Msg) -> None:
        self._asking.received(message.data, self._loop.time())
        self._heard.set()

    def ask(self, questions: Sequence[tuple[str, Struct]]) -> Sequence[Any | None]:
        """None for who was silent until the time was up."""
        return self._awaited(self._ask(questions))

    async def _ask(self, questions: Sequence[tuple[str, Struct]]) -> Sequence[Any | None]:
        self._asking.begin(questions, self._loop.time())
        while self._asking.next_s is not None:
            self._heard.clear()
            try:
                for dso, written in self._asking.due(self._loop.time()):
                    await self._client.publish(subject(dso), written)
            except NatsError:
                break
            until = self._asking.next_s
            if until is not None:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._heard.wait(), until - self._loop.time())
        return self._asking.replies


def serve(desk: Answering, server: str, patience_s: float) -> bool:
    """Answer questions until the run is closed; False if none came for `patience_s`."""
    return asyncio.run(_serve(desk, server, patience_s))


async def _serve(desk: Answering, server: str, patience_s: float) -> bool:
    client = await _connected(server)
    heard = asyncio.Event()

    async def received(message: Msg) -> None:
        reply = desk.reply_to(message.data)
        if reply is not None:
            await client.publish(subject(MARKET_OPERATOR), reply)
            heard.set()

    await client.subscribe(subject(desk.desk.name), cb=received)
    try:
        while not desk.closed:
            heard.clear()
            await asyncio.wait_for(heard.wait(), patience_s)
    except TimeoutError:
        return False
    finally:
        if not client.is_closed:
            await client.flush()
            await client.close()
    return True
