"""Letters over NATS: who asks, and who answers until the run is closed.

The market operator asks DSOs at subjects `flexpeer.clearing.NAME`, one per organisation, and a DSO asks its peers'
agents at `flexpeer.agents.NAME`; replies come to the asker's. NATS promises no delivery, so a question is sent again
every `AGAIN_S` until its reply has come or the time is up. A connection that breaks is made again for as long as that
takes: how long one may be silent is for the questions' time to decide.
"""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Sequence
from time import time_ns
from types import TracebackType
from typing import Any, TypeVar

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from flexpeer.app.letters import AreaDesk, Desk, Dropped, reply_in
from flexpeer.errors import bad_input
from flexpeer.wire.borders import Question, Reply

MARKET, AGENTS = "flexpeer.clearing", "flexpeer.agents"
AGAIN_S = 0.5
LINGER_S = 2 * AGAIN_S
CONNECT_S = 10.0
RECONNECT_S = 0.25
PING_S, PINGS_LOST = 2, 2
T = TypeVar("T")


def subject(name: str, prefix: str = MARKET) -> str:
    """Where an organisation, or an agent, listens."""
    return f"{prefix}.{name}"


async def _connected(server: str, within_s: float = CONNECT_S) -> Client:
    said: list[Exception] = []

    async def noted(error: Exception) -> None:
        said.append(error)

    connecting = nats.connect(
        server, connect_timeout=2, max_reconnect_attempts=-1, reconnect_time_wait=RECONNECT_S,
        ping_interval=PING_S, max_outstanding_pings=PINGS_LOST, error_cb=noted,
    )  # fmt: skip
    try:
        return await asyncio.wait_for(connecting, within_s)
    except (TimeoutError, NatsError, OSError, ValueError) as error:
        reason = said[-1] if said else error
        raise bad_input(server, f"cannot be reached: {reason}", "the address of a NATS server that runs") from error


class NatsAreas:
    """DSOs, or agents, behind a NATS server, as a context; `timeout_s` is how long each question may take."""

    def __init__(self, desk: Desk, server: str, timeout_s: float, prefix: str = MARKET) -> None:
        self._desk, self._server, self._timeout_s, self._prefix = desk, server, timeout_s, prefix
        self._run, self._number = time_ns(), 0
        self._waiting: dict[tuple[str, int], asyncio.Future[Reply]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.sent_bytes: dict[str, int] = {}
        self.received_bytes: dict[str, int] = {}

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
        client = await _connected(self._server, min(CONNECT_S, self._timeout_s))
        await client.subscribe(subject(self._desk.name, self._prefix), cb=self._received)
        return client

    async def _received(self, message: Msg) -> None:
        letter = self._desk.opened(message.data)
        if letter is None:
            return
        waiting = self._waiting.get((letter.head.sender, letter.head.number))
        if waiting is None or waiting.done() or letter.head.run != self._run:
            self._desk.drop(Dropped.OLD)
            return
        reply = reply_in(letter)
        if reply is None:
            self._desk.drop(Dropped.UNREADABLE)
            return
        sender = letter.head.sender
        self.received_bytes[sender] = self.received_bytes.get(sender, 0) + len(message.data)
        waiting.set_result(reply)

    def ask(self, questions: Sequence[tuple[str, Question]]) -> Sequence[Reply | None]:
        """All at once to different DSOs, in order to the same one; None for who was silent until the time was up."""
        return self._awaited(self._ask_all(questions))

    async def _ask_all(self, questions: Sequence[tuple[str, Question]]) -> list[Reply | None]:
        replies: list[Reply | None] = [None] * len(questions)

        async def ask_in_order(dso: str) -> None:
            for at, (name, question) in enumerate(questions):
                if name == dso:
                    replies[at] = await self._ask(dso, question)
                    if replies[at] is None:
                        return

        await asyncio.gather(*(ask_in_order(dso) for dso in dict.fromkeys(name for name, _ in questions)))
        return replies

    async def _ask(self, dso: str, question: Question) -> Reply | None:
        self._number += 1
        number = self._number
        written = self._desk.letter(dso, self._run, number, question)
        self.sent_bytes[dso] = self.sent_bytes.get(dso, 0) + len(written)
        waiting: asyncio.Future[Reply] = self._loop.create_future()
        self._waiting[dso, number] = waiting
        until = self._loop.time() + self._timeout_s
        try:
            while (left := until - self._loop.time()) > 0.0:
                await self._client.publish(subject(dso, self._prefix), written)
                done, _ = await asyncio.wait((waiting,), timeout=min(AGAIN_S, left))
                if done:
                    return waiting.result()
        except NatsError:
            return None
        finally:
            del self._waiting[dso, number]
        return None


def serve(desk: AreaDesk, server: str, patience_s: float, prefix: str = MARKET) -> bool:
    """Answer questions until the run is closed; False if none came for `patience_s`."""
    return asyncio.run(_serve(desk, server, patience_s, prefix))


async def _serve(desk: AreaDesk, server: str, patience_s: float, prefix: str) -> bool:
    client = await _connected(server)
    heard = asyncio.Event()

    async def received(message: Msg) -> None:
        reply = await asyncio.to_thread(desk.reply_to, message.data)
        if reply is not None:
            await client.publish(subject(desk.asker, prefix), reply)
            heard.set()

    await client.subscribe(subject(desk.desk.name, prefix), cb=received)
    try:
        while desk.closed is None:
            heard.clear()
            await asyncio.wait_for(heard.wait(), patience_s)
        await _linger(heard)
    except TimeoutError:
        return False
    finally:
        if not client.is_closed:
            await client.flush()
            await client.close()
    return True


async def _linger(heard: asyncio.Event) -> None:
    """Until no letter comes any more: the reply to the last may have been lost, and is then asked for again."""
    with contextlib.suppress(TimeoutError):
        while True:
            heard.clear()
            await asyncio.wait_for(heard.wait(), LINGER_S)
