"""Notices changes: a request to change something, made by somebody we know, that was answered well.

The note is taken before the answer goes out, so that who has read of a success finds it in the trail; where none can be
taken the answer is a 503 that says so. Knows neither bodies nor queries, and so no secret.
"""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, Protocol, cast
from urllib.parse import parse_qsl

from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send
from msgspec import Struct

from recoup.kit.errors import Unavailable

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
    status: int
    request_id: str
    address: str


class Doer(Protocol):
    """Who did it."""

    @property
    def subject(self) -> str: ...


Take = Callable[[Doer, Change], Awaitable[None]]


@dataclass(slots=True)
class _Here:
    """One request: whether what it did was noted already, in more telling words."""

    is_noted: bool = field(default=False)


_here: ContextVar[_Here | None] = ContextVar("recoup_trail", default=None)


def noted() -> None:
    """Says that this request's change is in the trail; nobody needs to note it again."""
    here = _here.get()
    if here is not None:
        here.is_noted = True


@dataclass(frozen=True, slots=True)
class Trail:
    """Stands behind the routing. `counts` says which permissions, with which method, stand for a change."""

    take: Take
    counts: Callable[[str, str], bool]
    parameter: str
    """The query parameter that names the tenant."""

    def __call__(self, app: ASGIApp) -> ASGIApp:
        async def followed(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or scope["method"] in _SAFE or not self._is_change(cast("HTTPScope", scope)):
                return await app(scope, receive, send)
            here = _Here()
            token = _here.set(here)
            try:
                return await app(scope, receive, self._noting(cast("HTTPScope", scope), send, here))
            finally:
                _here.reset(token)

        return cast("ASGIApp", followed)

    def _is_change(self, scope: HTTPScope) -> bool:
        return self.counts(_permission(scope), scope["method"])

    def _noting(self, scope: HTTPScope, send: Send, here: _Here) -> Send:
        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                doer = cast("Doer | None", scope.get("user"))
                if message["status"] < HTTPStatus.BAD_REQUEST and doer is not None and not here.is_noted:
                    await self._take(doer, self._seen(scope, message["status"]))
            await send(message)

        return noting

    async def _take(self, doer: Doer, change: Change) -> None:
        try:
            await self.take(doer, change)
        except Unavailable as error:
            said = "this was done, but could not be written into the audit trail"
            raise Unavailable(said, cause=error, code="change_unrecorded") from error

    def _seen(self, scope: HTTPScope, status: int) -> Change:
        headers = dict(scope["headers"])
        client = scope.get("client")
        forwarded = headers.get(b"x-forwarded-for", b"").decode("latin1").rpartition(",")[2].strip()
        raw = scope["raw_path"].decode("latin1").partition("?")[0]
        return Change(
            permission=_permission(scope), method=scope["method"], route=str(scope.get("path_template") or raw),
            path=raw[:LONGEST_PATH], tenant=_named(scope["query_string"], self.parameter), status=status,
            request_id=headers.get(b"x-request-id", b"").decode("latin1"),
            address=forwarded or (client[0] if client else ""),
        )  # fmt: skip


def _permission(scope: HTTPScope) -> str:
    return str(scope["route_handler"].opt.get("permission", ""))


def _named(query: bytes, name: str) -> str | None:
    found = dict(parse_qsl(query.decode("latin1"))).get(name)
    return found or None
