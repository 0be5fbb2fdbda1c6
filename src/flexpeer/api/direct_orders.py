"""Single orders, from the whole request to its answer without a task of their own: what comes most often.

The same steps as on the way through the application, and the same answers.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import Response

from flexpeer.api.declining import Declined
from flexpeer.api.edge import ROUTE, Edge, response
from flexpeer.api.observations import Observation, Observations
from flexpeer.api.orders import PLACE, Placing, acknowledged, do_place, sent
from flexpeer.api.service import Stopped

LOG = structlog.get_logger("flexpeer.api")
Answered = Callable[[Response], None]


class DirectOrders:
    """Takes requests whose method and path are those of `PLACE`."""

    def __init__(self, edge: Edge, observations: Observations) -> None:
        self._edge, self._observations = edge, observations

    def take(self, scope: dict[str, Any], body: bytes, answered: Answered) -> None:
        """`answered` is called once, in the running loop: now, or when the order is durable."""
        request, seen = Request(scope), self._observations.begin(scope)
        scope[ROUTE] = PLACE.path
        try:
            order = sent(self._edge.asked(PLACE, request, body))
            told = self._edge.service.promised(partial(do_place, order))
        except Exception as error:
            self._answer(seen, self._failed(request, error), answered)
            return
        told.add_done_callback(lambda done: self._answer(seen, self._told(request, order, done), answered))

    def _told(self, request: Request, order: Placing, done: Any) -> Response:
        try:
            return response(acknowledged(order, new=done.result()))
        except Exception as error:
            return self._failed(request, error)

    def _failed(self, request: Request, error: Exception) -> Response:
        if isinstance(error, Declined | Stopped):
            return self._edge.declined(request, error)
        LOG.error("a request failed", exc_info=error)
        return Response("Internal Server Error", 500)

    def _answer(self, seen: Observation, answer: Response, answered: Answered) -> None:
        answer.raw_headers.append(seen.header)
        answered(answer)
        self._observations.end(seen, int(answer.status_code))
