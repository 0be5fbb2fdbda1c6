"""Why a request is not done: problem documents (`application/problem+json`), and the words only the service uses.

A market's own refusal has the reason of the market (`docs/reference/reasons.md`); these are the others.
"""

from enum import StrEnum

import msgspec

from flexpeer.wire.api import Sentence, ValidationError

MEDIA_TYPE = "application/problem+json"


class Denial(StrEnum):
    """Every reason that is the service's and not the market's; `ACCEPTED` says what would have been accepted."""

    MALFORMED = "malformed"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    CHANGED_MEANWHILE = "changed_meanwhile"
    CLOCK_IS_REAL = "clock_is_real"
    CLOCK_GOES_FORWARD = "clock_goes_forward"
    NOT_YET = "not_yet"
    TOO_LATE = "too_late"
    NEED_IS_FOUND = "need_is_found"
    TOO_LARGE = "too_large"
    TOO_MANY_REQUESTS = "too_many_requests"
    TOO_MANY_STREAMS = "too_many_streams"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    BAD_FILE = "bad_file"
    LAST_OWNER = "last_owner"
    WRONG_CODE = "wrong_code"
    STOPPING = "stopping"


ACCEPTED: dict[Denial, str] = {
    Denial.MALFORMED: "a request as /openapi.json describes it",
    Denial.UNAUTHENTICATED: "a token of POST /api/token that has not expired, in the header Authorization: Bearer",
    Denial.FORBIDDEN: "a caller whose role may do this",
    Denial.NOT_FOUND: "something that is there and that the caller may see",
    Denial.METHOD_NOT_ALLOWED: "a method that this path has",
    Denial.CHANGED_MEANWHILE: "the ETag of the object as it is now in If-Match",
    Denial.CLOCK_IS_REAL: "a market with a virtual clock",
    Denial.CLOCK_GOES_FORWARD: "an instant that is not before the clock's",
    Denial.NOT_YET: "this when the day has come to the stage named",
    Denial.TOO_LATE: "this before the gate closes",
    Denial.NEED_IS_FOUND: "this before the need is published and the gate opens",
    Denial.TOO_LARGE: "a smaller body",
    Denial.TOO_MANY_REQUESTS: "fewer requests; Retry-After says when the next",
    Denial.TOO_MANY_STREAMS: "fewer open streams",
    Denial.UNSUPPORTED_MEDIA_TYPE: "a body of a media type that /openapi.json names",
    Denial.BAD_FILE: "a file without findings",
    Denial.LAST_OWNER: "another owner of the organisation first",
    Denial.WRONG_CODE: "the authenticator's present code, not used before",
    Denial.STOPPING: "the same request again, when the service is back",
}

STATUS: dict[Denial, int] = {
    Denial.MALFORMED: 400,
    Denial.UNAUTHENTICATED: 401,
    Denial.FORBIDDEN: 403,
    Denial.NOT_FOUND: 404,
    Denial.METHOD_NOT_ALLOWED: 405,
    Denial.CHANGED_MEANWHILE: 412,
    Denial.CLOCK_IS_REAL: 409,
    Denial.CLOCK_GOES_FORWARD: 409,
    Denial.NOT_YET: 409,
    Denial.TOO_LATE: 409,
    Denial.NEED_IS_FOUND: 409,
    Denial.TOO_LARGE: 413,
    Denial.TOO_MANY_REQUESTS: 429,
    Denial.TOO_MANY_STREAMS: 429,
    Denial.UNSUPPORTED_MEDIA_TYPE: 415,
    Denial.BAD_FILE: 422,
    Denial.LAST_OWNER: 409,
    Denial.WRONG_CODE: 422,
    Denial.STOPPING: 503,
}


class Problem(msgspec.Struct, frozen=True, omit_defaults=True, rename={"validation_errors": "validation-errors"}):
    """RFC 9457, with the reason as a word, what would have been `accepted`, and every finding if there are several.

    `sentence` is the detail once more, to be translated.
    """

    type: str
    title: str
    status: int
    reason: str
    detail: str
    accepted: str
    validation_errors: tuple[ValidationError, ...] = ()
    sentence: Sentence | None = None
