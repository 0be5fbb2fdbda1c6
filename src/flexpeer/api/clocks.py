"""The market's time: the system's, or a virtual clock that is moved. Instants are whole minutes UTC, as everywhere."""

import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

SECONDS_PER_MINUTE = 60.0


class Clock(Protocol):
    """Tells the instant; never goes back."""

    @property
    def virtual(self) -> bool:
        """Whether it can be moved."""

    @property
    def speed(self) -> float:
        """How many times as fast as real time it runs; 0 where it stands."""

    def now(self) -> int:
        """The instant."""

    def move(self, to: int) -> None:
        """Go forward to an instant; only a virtual clock can."""

    def run_at(self, speed: float) -> None:
        """Run at another speed from now on; only a virtual clock can."""

    def seconds_until(self, instant: int) -> float | None:
        """Real seconds until an instant; None where it never comes by itself."""


class SystemClock:
    """Real time, held where it was when the system's clock is set back."""

    virtual, speed = False, 1.0

    def __init__(self, seconds: Callable[[], float] = time.time) -> None:
        self._seconds, self._latest = seconds, 0

    def now(self) -> int:
        """The instant."""
        self._latest = max(self._latest, int(self._seconds() // SECONDS_PER_MINUTE))
        return self._latest

    def move(self, to: int) -> None:
        """Not possible."""
        raise AssertionError(f"a real clock is not moved to {to}")

    def run_at(self, speed: float) -> None:
        """Not possible."""
        raise AssertionError(f"a real clock does not run at {speed}")

    def seconds_until(self, instant: int) -> float | None:
        """Real seconds until an instant."""
        return max(0.0, instant * SECONDS_PER_MINUTE - self._seconds())


class _Run(NamedTuple):
    """Since real second `since` a clock has run at `speed`, from an instant that may lie between minutes."""

    start: float
    since: float
    speed: float


class VirtualClock:
    """Starts at an instant and runs `speed` times as fast as real time (0: not by itself).

    `keep` is told every instant that the clock is moved to, or changes its speed at, so that it survives the program.
    """

    virtual = True

    def __init__(
        self,
        start: int,
        speed: float = 0.0,
        keep: Callable[[int], None] = lambda _instant: None,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keep, self._seconds = keep, seconds
        self._run = _Run(start, seconds(), speed)

    @property
    def speed(self) -> float:
        """How many times as fast as real time it runs."""
        return self._run.speed

    def now(self) -> int:
        """The instant."""
        return int(self._exactly())

    def move(self, to: int) -> None:
        """Go forward to an instant."""
        assert to >= self.now(), "a clock goes forward"
        self._keep(to)
        self._run = _Run(max(to, self._exactly()), self._seconds(), self._run.speed)

    def run_at(self, speed: float) -> None:
        """Run at another speed from now on."""
        self._keep(self.now())
        self._run = _Run(self._exactly(), self._seconds(), speed)

    def seconds_until(self, instant: int) -> float | None:
        """Real seconds until an instant; None where the clock does not run."""
        left = instant - self._exactly()
        if left <= 0:
            return 0.0
        return left * SECONDS_PER_MINUTE / self._run.speed if self._run.speed else None

    def _exactly(self) -> float:
        """Minutes, with their fraction."""
        run = self._run
        return run.start + (self._seconds() - run.since) * run.speed / SECONDS_PER_MINUTE
