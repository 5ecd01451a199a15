"""Notices changes: a request to change something, made by somebody we know.

It is noted before the handler runs, so that nothing is changed of which no trace can be kept (503), and again before
the answer goes out: who has read of a success finds it in the trail, and a process that dies in between leaves a change
that was begun. Knows neither bodies nor queries, and so no secret.
"""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final, Protocol, cast
from urllib.parse import parse_qsl

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send
from msgspec import Struct

from recoup.kit.errors import Unavailable
from recoup.kit.problems import problem, send_problem
from recoup.kit.telemetry import logger

log = logger(__name__)

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
LONGEST_PATH: Final = 512


class Change(Struct, frozen=True, kw_only=True):
    """What was changed, as the door saw it."""

    permission: str
    method: str
    route: str
    """The path with the names of its parameters."""
    path: str
    """The path as it was asked, cut where it is longer than anybody reads."""
    tenant: str | None
    """The tenant the request named, if any."""
    request_id: str
    address: str


class Stage(StrEnum):
    """How far a change has come."""

    BEGUN = "begun"
    MADE = "made"
    REFUSED = "refused"
    """Nothing was changed."""
    UNKNOWN = "unknown"
    """It failed, or its time ran out: part of it may have been made."""


class Doer(Protocol):
    """Who did it."""

    @property
    def subject(self) -> str: ...

    def tenant(self, requested: str | None, permission: str) -> str:
        """Raises Refused where it may not do this there."""
        ...


End = Callable[[Stage, int], Awaitable[None]]
"""Notes what became of a change, and the status of the answer."""
Begin = Callable[[Doer, Change], Awaitable[End]]
"""Notes that a change begins."""


@dataclass(slots=True)
class _Here:
    """One request to change something."""

    begin: Begin
    scope: HTTPScope
    parameter: str
    end: End | None = None
    """There from the moment on that the change was noted as begun, until what became of it is noted."""
    is_noted: bool = False
    """Whether what it did was noted already, in more telling words."""


_here: ContextVar[_Here | None] = ContextVar("recoup_trail", default=None)


def noted() -> None:
    """Says that this request's change is in the trail; nobody needs to note it again."""
    here = _here.get()
    if here is not None:
        here.is_noted = True


async def note_begin(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """A guard behind the one that says who asks: whoever may not change something has begun nothing."""
    here, doer = _here.get(), cast("Doer | None", connection.scope.get("user"))
    if here is None or doer is None:
        return
    change = _seen(here.scope, here.parameter)
    if here.parameter in handler.parsed_fn_signature.parameters:
        doer.tenant(change.tenant, change.permission)
    try:
        here.end = await here.begin(doer, change)
    except Unavailable as error:
        said = "this was not done, since it cannot be written into the audit trail"
        raise Unavailable(said, cause=error, code="trail_unavailable") from error


@dataclass(frozen=True, slots=True)
class Trail:
    """Stands behind the routing. `counts` says which permissions, with which method, stand for a change."""

    begin: Begin
    counts: Callable[[str, str], bool]
    parameter: str
    """The query parameter that names the tenant."""

    def __call__(self, app: ASGIApp) -> ASGIApp:
        async def followed(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or scope["method"] in _SAFE or not self._is_change(cast("HTTPScope", scope)):
                return await app(scope, receive, send)
            here = _Here(self.begin, cast("HTTPScope", scope), self.parameter)
            token = _here.set(here)
            try:
                return await app(scope, receive, _noting(here, send))
            finally:
                _here.reset(token)

        return cast("ASGIApp", followed)

    def _is_change(self, scope: HTTPScope) -> bool:
        return self.counts(_permission(scope), scope["method"])


def _noting(here: _Here, send: Send) -> Send:
    replaced = False

    async def noting(message: Message) -> None:
        nonlocal replaced
        if replaced:
            return None
        end = here.end
        if message["type"] == "http.response.start" and end is not None and not here.is_noted:
            here.end = None
            lost = await _note_end(end, message["status"])
            if lost is not None:
                # Litestar takes the answer as begun, whatever is raised here.
                replaced = True
                trace_id = str(here.scope.get("state", {}).get("trace_id", ""))
                return await send_problem(send, problem(lost, trace_id))
        return await send(message)

    return noting


async def _note_end(end: End, status: int) -> Unavailable | None:
    """Why a change that was made could not be noted, to be told to the caller; None where there is nothing to tell."""
    stage = _stage(status)
    try:
        await end(stage, status)
    except Unavailable as error:
        if stage is Stage.MADE:
            said = "this was done, but could not be written into the audit trail"
            return Unavailable(said, cause=error, code="change_unrecorded")
        # The trail will say that its outcome is unknown; the caller is told what it was.
        log.warning("what became of a change could not be noted", status=status, why=error.detail)
    return None


def _stage(status: int) -> Stage:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Stage.UNKNOWN
    return Stage.REFUSED if status >= HTTPStatus.BAD_REQUEST else Stage.MADE


def _seen(scope: HTTPScope, parameter: str) -> Change:
    headers = dict(scope["headers"])
    client = scope.get("client")
    forwarded = headers.get(b"x-forwarded-for", b"").decode("latin1").rpartition(",")[2].strip()
    raw = scope["raw_path"].decode("latin1").partition("?")[0]
    return Change(
        permission=_permission(scope), method=scope["method"], route=str(scope.get("path_template") or raw),
        path=raw[:LONGEST_PATH], tenant=_named(scope["query_string"], parameter),
        request_id=headers.get(b"x-request-id", b"").decode("latin1"),
        address=forwarded or (client[0] if client else ""),
    )  # fmt: skip


def _permission(scope: HTTPScope) -> str:
    return str(scope["route_handler"].opt.get("permission", ""))


def _named(query: bytes, name: str) -> str | None:
    found = dict(parse_qsl(query.decode("latin1"))).get(name)
    return found or None
