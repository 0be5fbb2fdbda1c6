"""Who was not let in, or not to what: a record for each denial, on a hash-chained log of their own.

So many a second are recorded one by one. Of a flood beyond that only the number is, with the next one that is recorded:
nobody fills the disk by knocking.
"""

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import NamedTuple

import structlog
from starlette.requests import Request

from flexpeer.api.declining import Declined
from flexpeer.api.limits import RateLimits
from flexpeer.api.service import Service, Stopped
from flexpeer.app.registry import AccessDenied, RegistryLog
from flexpeer.wire.api_problems import Problem

LOG = structlog.get_logger("flexpeer.api")
ACCOUNT = "flexpeer.account"
NUMBER = "flexpeer.request"
RECORDED = (401, 403, 404, 429)
PER_SECOND, AT_ONCE = 20.0, 500
LONGEST = 200


class Attempt(NamedTuple):
    """What was asked, by whom as far as that is known, and the number of the request."""

    path: str
    method: str = "POST"
    account: str = ""
    request: str = ""

    @classmethod
    def of(cls, request: Request) -> "Attempt":
        """A request's."""
        scope = request.scope
        return cls(request.url.path, request.method, scope.get(ACCOUNT, ""), scope.get(NUMBER, ""))


class Denials:
    """Denials go to standard error at once, and to the `log` with what the writer does next."""

    def __init__(
        self,
        service: Service,
        log: RegistryLog,
        seconds: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._service, self._log, self._seconds = service, log, seconds
        self._room = RateLimits(PER_SECOND, AT_ONCE, 0, ticks)
        self._waiting: deque[AccessDenied] = deque()
        self._unrecorded = 0

    def note_problem(self, attempt: Attempt, problem: Problem) -> None:
        """What was answered; of what was not done for another reason than who asked, nothing."""
        if problem.status in RECORDED:
            self.note(attempt, problem.reason)

    def note(self, attempt: Attempt, reason: str) -> None:
        """A denial."""
        LOG.warning("denied", reason=reason, **{k: v for k, v in attempt._asdict().items() if v})
        try:
            self._room.take("everybody")
        except Declined:
            self._unrecorded += 1
            return
        at = datetime.fromtimestamp(int(self._seconds()), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        path, method, account, request = (text[:LONGEST] for text in attempt)
        others, self._unrecorded = self._unrecorded, 0
        self._waiting.append(AccessDenied(at, reason, path, method, account, request, others))
        with suppress(Stopped):
            self._service.ask(self._record)

    def _record(self) -> None:
        """Called by the writer: all that wait, in one batch; they last when it is done."""
        entries = []
        while self._waiting:
            entries.append(self._waiting.popleft())
        if entries:
            self._log.append(entries)
            self._log.sync()
