"""What is noted of every request: a number, a line in the log and a place in the metrics."""

import time
from collections.abc import MutableMapping
from itertools import count
from typing import Any, NamedTuple
from uuid import uuid4

import structlog

from flexpeer.api.denials import NUMBER
from flexpeer.api.edge import ROUTE
from flexpeer.api.metrics import Metrics

Scope = MutableMapping[str, Any]


class Observation(NamedTuple):
    """A request under way, by its number, and when it began."""

    scope: Scope
    number: str
    began: float

    @property
    def header(self) -> tuple[bytes, bytes]:
        """What tells the sender the number."""
        return b"x-request-id", self.number.encode()


class Observations:
    """Numbers are of this program's start."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._program, self._numbers = uuid4().hex[:8], count(1)
        self._log = structlog.get_logger("flexpeer.api").bind()

    def begin(self, scope: Scope) -> Observation:
        """A request has come."""
        number = scope[NUMBER] = f"{self._program}{next(self._numbers):08x}"
        return Observation(scope, number, time.perf_counter())

    def end(self, seen: Observation, status: int) -> None:
        """It was answered."""
        took, path, method = time.perf_counter() - seen.began, seen.scope.get(ROUTE, "none"), seen.scope["method"]
        self._metrics.count(method, path, status, took)
        self._log.debug(
            "request", request=seen.number, method=method, route=path, status=status, seconds=round(took, 4)
        )
