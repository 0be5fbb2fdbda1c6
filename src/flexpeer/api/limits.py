"""How much one client may ask: requests a second with some in advance, and open streams."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flexpeer.api.declining import denied
from flexpeer.wire.api_problems import Denial

CLIENTS_REMEMBERED = 10_000


class RateLimits:
    """A bucket for each client that fills by `per_second` up to `burst`."""

    def __init__(
        self, per_second: float, burst: int, streams: int, seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_second, self._burst, self._streams, self._seconds = per_second, burst, streams, seconds
        self._left: dict[str, tuple[float, float]] = {}
        self._open: Counter[str] = Counter()

    def take(self, client: str) -> None:
        """One request; declined when there are too many."""
        now = self._seconds()
        left, since = self._left.get(client, (float(self._burst), now))
        left = min(self._burst, left + (now - since) * self._per_second)
        if left < 1.0:
            raise denied(Denial.TOO_MANY_REQUESTS)
        if len(self._left) >= CLIENTS_REMEMBERED:
            self._left.clear()
        self._left[client] = (left - 1.0, now)

    @property
    def open_streams(self) -> int:
        """Of all clients together."""
        return sum(self._open.values())

    def require_room(self, client: str) -> None:
        """Declined when the client has too many streams open."""
        if self._open[client] >= self._streams:
            raise denied(Denial.TOO_MANY_STREAMS)

    @contextmanager
    def stream(self, client: str) -> Iterator[None]:
        """One open stream, while it is used."""
        self._open[client] += 1
        try:
            yield
        finally:
            self._open[client] -= 1
