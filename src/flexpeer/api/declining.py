"""A request that is not done, and why: raised anywhere on its way, told as a problem document."""

from collections.abc import Iterable
from http import HTTPStatus

from msgspec.structs import replace

from flexpeer.api.finding_sentences import sentence_of_finding, sentence_of_message
from flexpeer.api.sentences import sentence_of
from flexpeer.errors import BadInput
from flexpeer.market.reasons import EXPECTED, CommandRefused, Reason
from flexpeer.wire.api import Sentence, ValidationError
from flexpeer.wire.api_problems import ACCEPTED, STATUS, Denial, Problem

FINDINGS = "{count} finding(s)"
MARKET_STATUS = {
    Reason.DUPLICATE_KEY: HTTPStatus.CONFLICT,
}


class Declined(Exception):
    """Carries the problem document."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def denied(denial: Denial, detail: str = "", findings: Iterable[ValidationError] = (), **values: object) -> Declined:
    """Why the service does not do it. Without a `detail` the same words for everybody; `{names}` in it are `values`."""
    status = HTTPStatus(STATUS[denial])
    said = Sentence(detail or str(denial).replace("_", " "), {name: str(value) for name, value in values.items()})
    known = f"/problems/{denial}", status.phrase, status, str(denial)
    sentence = said if values else sentence_of_message(said.template)
    return Declined(Problem(*known, said.text, ACCEPTED[denial], tuple(map(_told, findings)), sentence))


def _told(finding: ValidationError) -> ValidationError:
    """With a sentence."""
    if finding.sentence is not None:
        return finding
    return replace(finding, sentence=sentence_of_message(finding.message))


def refused(reason: Reason, detail: str, said: str | None = None) -> Declined:
    """Why the market does not take it: 422, 409 for a known key, 404 for an order that is none of the sender's.

    `said` is a sentence that says it better than the reason's own.
    """
    if reason is Reason.UNKNOWN_ORDER:
        return denied(Denial.NOT_FOUND)
    status = HTTPStatus(MARKET_STATUS.get(reason, HTTPStatus.UNPROCESSABLE_ENTITY))
    sentence = sentence_of(reason, detail, said)
    problem = Problem(
        f"/problems/{reason}", status.phrase, status, str(reason), sentence.text, EXPECTED[reason], sentence=sentence
    )
    return Declined(problem)


def refused_command(event: CommandRefused) -> Declined:
    """The market's refusal of a command."""
    return refused(event.reason, event.detail)


def bad_file(error: BadInput) -> Declined:
    """Every finding of a file that was sent."""
    findings = (
        ValidationError(
            f"{f.where}:{f.line}" if f.line else f.where,
            f"{f.field}: {f.problem}; expected {f.expected}",
            sentence=sentence_of_finding(f.field, f.problem, f.expected),
        )
        for f in error.findings
    )
    return denied(Denial.BAD_FILE, FINDINGS, findings, count=len(error.findings))
