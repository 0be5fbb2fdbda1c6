"""A request that is not done, and why: raised anywhere on its way, told as a problem document."""

from collections.abc import Iterable
from http import HTTPStatus

from flexpeer.errors import BadInput
from flexpeer.market.reasons import EXPECTED, CommandRefused, Reason
from flexpeer.wire.api import ValidationError
from flexpeer.wire.api_problems import ACCEPTED, STATUS, Denial, Problem

MARKET_STATUS = {
    Reason.DUPLICATE_KEY: HTTPStatus.CONFLICT,
}


class Declined(Exception):
    """Carries the problem document."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def denied(denial: Denial, detail: str = "", findings: Iterable[ValidationError] = ()) -> Declined:
    """Why the service does not do it. Without a `detail` the same words for everybody."""
    status = HTTPStatus(STATUS[denial])
    text = detail or str(denial).replace("_", " ")
    found = tuple(findings)
    return Declined(Problem(f"/problems/{denial}", status.phrase, status, str(denial), text, ACCEPTED[denial], found))


def refused(reason: Reason, detail: str) -> Declined:
    """Why the market does not take it: 422, 409 for a known key, 404 for an order that is none of the sender's."""
    if reason is Reason.UNKNOWN_ORDER:
        return denied(Denial.NOT_FOUND)
    status = HTTPStatus(MARKET_STATUS.get(reason, HTTPStatus.UNPROCESSABLE_ENTITY))
    said = str(reason).replace("_", " ")
    problem = Problem(
        f"/problems/{reason}", status.phrase, status, str(reason), f"{said}: {detail}" if detail else said,
        EXPECTED[reason],
    )  # fmt: skip
    return Declined(problem)


def refused_command(event: CommandRefused) -> Declined:
    """The market's refusal of a command."""
    return refused(event.reason, event.detail)


def bad_file(error: BadInput) -> Declined:
    """Every finding of a file that was sent."""
    findings = (
        ValidationError(f"{f.where}:{f.line}" if f.line else f.where, f"{f.field}: {f.problem}; expected {f.expected}")
        for f in error.findings
    )
    return denied(Denial.BAD_FILE, f"{len(error.findings)} finding(s)", findings)
