"""Failures as HTTP says them: RFC 9457 `application/problem+json`. The one place that knows which is which status.

Says nothing of the inside for a bug; the trace id leads whoever may look to the logs.
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import cast

import msgspec
from litestar.exceptions import HTTPException, InternalServerException, ValidationException
from litestar.types import Message, Send

from recoup.kit import errors
from recoup.kit.errors import (
    Conflict,
    Failure,
    Forbidden,
    Invalid,
    Problem,
    Refused,
    TooMany,
    Unauthenticated,
    Unavailable,
)

_STATUS: dict[type[Failure], HTTPStatus] = {
    Invalid: HTTPStatus.BAD_REQUEST,
    Unauthenticated: HTTPStatus.UNAUTHORIZED,
    Forbidden: HTTPStatus.FORBIDDEN,
    errors.Missing: HTTPStatus.NOT_FOUND,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.Stale: HTTPStatus.PRECONDITION_FAILED,
    errors.Mismatch: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.TooSlow: HTTPStatus.REQUEST_TIMEOUT,
    errors.TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.Unsupported: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    TooMany: HTTPStatus.TOO_MANY_REQUESTS,
    Refused: HTTPStatus.BAD_REQUEST,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}


class ProblemDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """RFC 9457, with our stable `code`, the broken rules and the trace to look for in the logs."""

    title: str
    status: int
    code: str
    detail: str
    trace_id: str
    problems: Sequence[Problem] = ()
    message: str = ""
    """The detail again, where foreign clients look for it under this name."""


def with_message(document: ProblemDocument) -> ProblemDocument:
    """For clients that take a refusal without `message` for an outage, and send again what will be refused again."""
    return msgspec.structs.replace(document, message=document.detail)


def problem(error: Exception, trace_id: str) -> ProblemDocument:
    """The document for a failure; says nothing of the inside for a bug."""
    if isinstance(error, Failure):
        status = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
        problems = error.problems if isinstance(error, Invalid | Conflict) else ()
        return ProblemDocument(
            title=status.phrase,
            status=status,
            code=error.reason,
            detail=error.said,
            trace_id=trace_id,
            problems=problems,
        )
    if isinstance(error, HTTPException):
        status = HTTPStatus(error.status_code)
        return ProblemDocument(
            title=status.phrase,
            status=status,
            code=_code_of(status),
            detail=error.detail,
            trace_id=trace_id,
            problems=tuple(_places(error)),
        )
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    return ProblemDocument(
        title=status.phrase,
        status=status,
        code="internal",
        detail="this is our mistake; the trace id finds it in the logs",
        trace_id=trace_id,
    )


def _code_of(status: HTTPStatus) -> str:
    known = {kind_status: kind.code for kind, kind_status in _STATUS.items() if kind is not Refused}
    return known.get(status, status.phrase.lower().replace(" ", "_"))


def _places(error: HTTPException) -> Sequence[Problem]:
    extra = error.extra if isinstance(error, ValidationException) else None
    rows = cast("list[dict[str, object]]", extra) if isinstance(extra, list) else []
    return [
        Problem(code="invalid", field=str(row.get("key", "")), detail=str(row.get("message", "")))
        for row in rows
        if isinstance(cast("object", row), dict)
    ]


def blamed(error: Exception) -> Exception:
    """The caller's mistake where Litestar takes it for ours: a field of a body that bears a dependency's name."""
    cause = error.__cause__
    if not isinstance(error, InternalServerException) or not isinstance(cause, msgspec.ValidationError):
        return error
    what, _, place = str(cause).partition(" - at `$.data")
    if not place:
        return error
    broken = Problem(code="invalid", field=place.strip(".`"), detail=what)
    return Invalid(f"the body breaks a rule: {what}", problems=[broken])


async def send_problem(send: Send, document: ProblemDocument) -> None:
    """A problem as a whole answer, for code below Litestar."""
    headers = [(b"content-type", b"application/problem+json")]
    if document.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers.append((b"retry-after", b"1"))
    await send(cast("Message", {"type": "http.response.start", "status": int(document.status), "headers": headers}))
    await send(cast("Message", {"type": "http.response.body", "body": msgspec.json.encode(document)}))
