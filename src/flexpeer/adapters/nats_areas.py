"""Letters over NATS: who asks, and who answers until the run is closed.

The market operator asks DSOs at subjects `flexpeer.clearing.NAME`, one per organisation, and a DSO asks its peers'
agents at `flexpeer.agents.NAME`; replies come to the asker's. NATS promises no delivery; `OpenQuestions` sends again
and knows when the time is up. A connection that breaks is made again for as long as that takes: how long one may be
silent is for the questions' time to decide.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Protocol, TypeVar

import nats
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from flexpeer.app.between.asking import AGAIN_S, OpenQuestions
from flexpeer.app.between.letters import Desk, Letter
from flexpeer.errors import bad_input

MARKET, AGENTS = "flexpeer.clearing", "flexpeer.agents"
LINGER_S = 2 * AGAIN_S
CONNECT_S = 10.0
RECONNECT_S = 0.25
PING_S, PINGS_LOST = 2, 2
T = TypeVar("T")


def subject(name: str, prefix: str = MARKET) -> str:
    """Where an organisation, or an agent, listens."""
    return f"{prefix}.{name}"


def without_password(server: str) -> str:
    """The address, as it may be shown."""
    scheme, _, place = server.rpartition("://")
    return f"{scheme}://{place.rpartition('@')[2]}" if scheme else server


async def _connected(server: str, within_s: float = CONNECT_S) -> Client:
    said: list[Exception] = []

    async def noted(error: Exception) -> None:
        said[:] = [error]

    connecting = nats.connect(
        server, connect_timeout=2, max_reconnect_attempts=-1, reconnect_time_wait=RECONNECT_S,
        ping_interval=PING_S, max_outstanding_pings=PINGS_LOST, error_cb=noted,
    )  # fmt: skip
    try:
        return await asyncio.wait_for(connecting, within_s)
    except (TimeoutError, NatsError, OSError, ValueError) as error:
        reason = said[-1] if said else error
        raise bad_input(
            without_password(server), f"cannot be reached: {reason}", "the address of a NATS server that runs"
        ) from error


async def closed(client: Client) -> None:
    """Close a connection, whose server may be gone by now.

    nats-py waits for its socket to close in the task that reconnects and again in `close`, which cancels the first and
    so both: a cancellation that nobody asked for ends here.
    """
    task = asyncio.current_task()
    try:
        await client.close()
    except OSError:
        return
    except asyncio.CancelledError:
        if task is not None and task.cancelling():
            raise


class Answering(Protocol):
    """A DSO's or an agent's desk, for whatever kind of questions; `closed` is true once no more will come."""

    desk: Desk
    asker: str
    heard: int

    def reply_to(self, written: bytes) -> bytes | None:
        """The signed reply; None for a letter that is dropped."""

    @property
    def closed(self) -> object:
        """How the run ended."""


class NatsAreas:
    """DSOs, or agents, behind a NATS server, as a context; `timeout_s` is how long each question may take.

    `read` finds the reply in a letter; what it makes of one that holds none is the reply.
    """

    def __init__(
        self,
        desk: Desk,
        server: str,
        timeout_s: float,
        read: Callable[[Letter], Any],
        prefix: str = MARKET,
    ) -> None:
        self._server, self._asking = server, OpenQuestions(desk, timeout_s, read)
        self._own, self._prefix, self._within_s = subject(desk.name, prefix), prefix, min(CONNECT_S, timeout_s)
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
        self._awaited(closed(self._client))
        self._stop()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _awaited(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _open(self) -> Client:
        client = await _connected(self._server, self._within_s)
        await client.subscribe(self._own, cb=self._received)
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
                    await self._client.publish(subject(dso, self._prefix), written)
            except NatsError:
                break
            until = self._asking.next_s
            if until is not None:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._heard.wait(), until - self._loop.time())
        return self._asking.replies


def serve(desk: Answering, server: str, patience_s: float, prefix: str = MARKET) -> bool:
    """Answer questions until the run is closed; False if none came for `patience_s`."""
    return asyncio.run(_serve(desk, server, patience_s, prefix))


async def _serve(desk: Answering, server: str, patience_s: float, prefix: str) -> bool:
    client = await _connected(server)
    heard = asyncio.Event()

    async def received(message: Msg) -> None:
        before = desk.heard
        reply = await asyncio.to_thread(desk.reply_to, message.data)
        if reply is not None:
            await client.publish(subject(desk.asker, prefix), reply)
        if desk.heard > before:
            heard.set()

    await client.subscribe(subject(desk.desk.name, prefix), cb=received)
    try:
        while not desk.closed:
            heard.clear()
            await asyncio.wait_for(heard.wait(), patience_s)
        await _linger(heard)
        await client.flush()
    except (TimeoutError, NatsError):
        return bool(desk.closed)
    finally:
        await closed(client)
    return True


async def _linger(heard: asyncio.Event) -> None:
    """Until no letter comes any more: the reply to the last may have been lost, and is then asked for again."""
    with suppress(TimeoutError):
        while True:
            heard.clear()
            await asyncio.wait_for(heard.wait(), LINGER_S)
