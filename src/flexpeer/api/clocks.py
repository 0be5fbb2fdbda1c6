"""The market's time: the system's, or a virtual clock that is moved. Instants are whole minutes UTC, as everywhere."""

import time
from collections.abc import Callable
from typing import Protocol

SECONDS_PER_MINUTE = 60.0


class Clock(Protocol):
    """Tells the instant; never goes back."""

    @property
    def virtual(self) -> bool:
        """Whether it can be moved."""

    def now(self) -> int:
        """The instant."""

    def move(self, to: int) -> None:
        """Go forward to an instant; only a virtual clock can."""

    def seconds_until(self, instant: int) -> float | None:
        """Real seconds until an instant; None where it never comes by itself."""


class SystemClock:
    """Real time, held where it was when the system's clock is set back."""

    virtual = False

    def __init__(self, seconds: Callable[[], float] = time.time) -> None:
        self._seconds, self._latest = seconds, 0

    def now(self) -> int:
        """The instant."""
        self._latest = max(self._latest, int(self._seconds() // SECONDS_PER_MINUTE))
        return self._latest

    def move(self, to: int) -> None:
        """Not possible."""
        raise AssertionError(f"a real clock is not moved to {to}")

    def seconds_until(self, instant: int) -> float | None:
        """Real seconds until an instant."""
        return max(0.0, instant * SECONDS_PER_MINUTE - self._seconds())


class VirtualClock:
    """Starts at an instant and runs `speed` times as fast as real time (0: not by itself).

    `keep` is told every instant that the clock is moved to before it is there, so that it survives the program.
    """

    virtual = True

    def __init__(
        self,
        start: int,
        speed: float = 0.0,
        keep: Callable[[int], None] = lambda _instant: None,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._speed, self._keep, self._seconds = speed, keep, seconds
        self._from, self._since = start, seconds()

    def now(self) -> int:
        """The instant."""
        return self._from + int(self._run())

    def move(self, to: int) -> None:
        """Go forward to an instant."""
        assert to >= self.now(), "a clock goes forward"
        self._keep(to)
        self._from, self._since = to, self._seconds()

    def seconds_until(self, instant: int) -> float | None:
        """Real seconds until an instant; None where the clock does not run."""
        left = instant - self._from - self._run()
        if left <= 0:
            return 0.0
        return left * SECONDS_PER_MINUTE / self._speed if self._speed else None

    def _run(self) -> float:
        """Minutes that it has run by itself."""
        return (self._seconds() - self._since) * self._speed / SECONDS_PER_MINUTE
