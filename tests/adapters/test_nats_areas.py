"""A connection ends quietly when its server went first, and still hears who cancels it."""

import asyncio
from typing import cast

import pytest
from nats.aio.client import Client

from flexpeer.adapters.nats_areas import closed


class ClosesWith:
    """A client whose socket's end was cancelled, or broke, with the task that made it again."""

    def __init__(self, error: BaseException | None) -> None:
        self._error = error

    async def close(self) -> None:
        if self._error is None:
            await asyncio.Event().wait()
        else:
            raise self._error


@pytest.mark.parametrize("error", [asyncio.CancelledError(), ConnectionResetError()])
def test_what_the_lost_socket_leaves_behind_ends_here(error: BaseException) -> None:
    asyncio.run(closed(cast(Client, ClosesWith(error))))


def test_who_cancels_the_closing_is_heard() -> None:
    async def ended() -> None:
        closing = asyncio.create_task(closed(cast(Client, ClosesWith(None))))
        await asyncio.sleep(0)
        closing.cancel()
        await closing

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(ended())
