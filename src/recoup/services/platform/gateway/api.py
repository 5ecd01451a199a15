"""The door itself, below Litestar: it stands on the path of every event, so it does no more than it must."""

import asyncio
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final, cast

from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send, WebSocketScope
from msgspec import Raw
from msgspec.json import encode

from recoup.kit.clock import stopwatch
from recoup.kit.errors import Failure, Missing, Refused, TooLarge, TooMany, Unauthenticated
from recoup.kit.http import CONNECTIONS, FAULTS, answered
from recoup.kit.ids import new_id
from recoup.kit.peers import IDENTITY_HEADER, Peers
from recoup.kit.problems import ProblemDocument, problem, send_problem, with_message
from recoup.kit.proxy import Held, Onward, Over, Proxy, refuse_socket
from recoup.kit.telemetry import logger, traced
from recoup.messages.refusals import RefusedBefore
from recoup.services.platform.gateway import domain
from recoup.services.platform.gateway.actions import Edge, Identities, Routes, Stamp
from recoup.services.platform.gateway.domain import Way
from recoup.services.platform.ratelimits.actions import Limiter
from recoup.services.platform.ratelimits.domain import Standing, concerned

log = logger(__name__)
SERVICE: Final = "platform"
DROPPED: Final = domain.FORGEABLE | {b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"}
Secured = Callable[[Collection[tuple[bytes, bytes]]], Collection[tuple[bytes, bytes]]]
OPEN: Final = CONNECTIONS.labels(SERVICE)
PROBLEM: Final = b"application/problem+json"
IDENTITY: Final = IDENTITY_HEADER.lower().encode()


class Answering:
    """The client's side of one request: remembers what was answered and adds what every answer carries.

    An answer that comes in pieces breaks off once whoever asked may not ask any more: `over` waits for that.
    """

    __slots__ = ("_asked", "_cutting", "_is_over", "_request_id", "_secured", "_send", "extra", "over", "status")

    def __init__(self, send: Send, request_id: str, secured: Secured) -> None:
        self._send = send
        self._request_id = request_id.encode()
        self._secured = secured
        self._asked = asyncio.current_task()
        self._cutting: asyncio.Task[None] | None = None
        self._is_over = False
        self.extra: tuple[tuple[bytes, bytes], ...] = ()
        self.over: Over | None = None
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [pair for pair in message.get("headers", ()) if pair[0] != b"x-request-id"]
            headers += (b"x-request-id", self._request_id), *self.extra
            message["headers"] = [*headers, *self._secured(headers)]
        elif self.over is not None and self._cutting is None and message.get("more_body"):
            self._cutting = asyncio.create_task(self._cut(self.over))
        await self._send(message)

    @contextmanager
    def going_on(self) -> Generator[None]:
        """The answer is given in here, by the task that made this; raises Unauthenticated where it was cut off."""
        try:
            yield
        except asyncio.CancelledError:
            if not self._is_over or self._asked is None or self._asked.uncancel():
                raise
            raise Unauthenticated("who asked may not ask any more", code="session_ended") from None
        finally:
            if self._cutting is not None:
                self._cutting.cancel()

    async def _cut(self, over: Over) -> None:
        await over()
        self._is_over = True
        if self._asked is not None:
            self._asked.cancel()


@dataclass(frozen=True, slots=True)
class Gateway:
    """Finds the way, finds out who asks, hands on. `own` is the platform's own application."""

    own: ASGIApp
    identities: Identities
    peers: Peers
    proxy: Proxy
    routes: Routes
    limiter: Limiter
    trusted_proxies: domain.Networks
    edge: Edge
    webhook_bytes: int
    answer_seconds: Mapping[str, float]
    """How long answers may take to begin, by segment, where that is not everybody's."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        way = domain.way(_raw_path(scope), self.routes.table)
        if scope["type"] == "websocket":
            return await self._socket(scope, receive, send, way)
        if way is None or way.peer is None:
            return await self._own(cast("HTTPScope", scope), receive, send, way)
        if _is_preflight(cast("HTTPScope", scope), way):
            return await self._answer_preflight(cast("HTTPScope", scope), send, way)
        return await self._proxied(cast("HTTPScope", scope), receive, send, way)

    async def _own(self, scope: HTTPScope, receive: Receive, send: Send, way: Way | None) -> None:
        headers = _Headers(scope)
        answering = Answering(send, headers.request_id, self._secured(way))
        try:
            if way is None:
                raise Missing("there is no such path")
            inner = {**scope, "path": scope["path"][len(_raw_path(scope)) - len(way.path) :] if way.path else "/"}
            inner["raw_path"] = way.path.encode("latin1")
            inner["headers"] = await self._own_headers(scope, headers, way, answering)
            inner["client"] = (self._client(scope, headers), 0)
        except Failure as error:
            with traced("refused", headers.traceparent) as here:
                return await _refuse(answering, problem(error, here.trace_id))
        with answering.going_on():
            return await self.own(cast("Scope", inner), receive, cast("Send", answering))

    async def _own_headers(
        self, scope: HTTPScope, headers: "_Headers", way: Way, answering: Answering
    ) -> list[tuple[bytes, bytes]]:
        """Our services may come to `/internal` with an identity we check; nobody else's word is taken."""
        if way.segment == "internal":
            return list(scope["headers"])
        kept = [pair for pair in scope["headers"] if pair[0] not in {IDENTITY, b"x-request-id", b"x-forwarded-for"}]
        kept.append((b"x-request-id", headers.request_id.encode()))
        try:
            if headers.credential is not None:
                stamp = await self.identities.stamp(headers.credential, headers.origin)
                self._within_limits(stamp, SERVICE, scope["query_string"], answering)
                answering.over = partial(self.identities.until_over, headers.credential, headers.origin)
                kept.append((IDENTITY, stamp.token.encode()))
        except Unauthenticated:
            if way.path not in domain.FORGETFUL:
                raise
        return kept

    async def _proxied(self, scope: HTTPScope, receive: Receive, send: Send, way: Way) -> None:
        headers = _Headers(scope)
        answering = Answering(send, headers.request_id, self._secured(way))
        started = stopwatch()
        route = f"/api/{way.segment}"
        OPEN.inc()
        try:
            with traced(route, headers.traceparent) as here:
                if way.segment in domain.BROWSERS:
                    answering.extra = (*await self.edge.cors(headers.origin),)
                try:
                    passing, _ = await self._passing(scope, headers, way, here.header, answering)
                    query = scope["query_string"].decode("latin1")
                    onward = self._onward(way, scope["method"], query, headers, passing)
                    with answering.going_on():
                        await self.proxy.forward(scope, receive, answering, onward)
                except Failure as error:
                    if answering.status:
                        raise  # half an answer is out: breaking off is the only way to say so
                    if isinstance(error, TooLarge) and way.segment == "events":
                        await self._count(scope, headers, error)
                    if error.reason == "origin_refused":
                        answering.extra = ()
                    refusal = problem(error, here.trace_id)
                    await _refuse(answering, with_message(refusal) if way.segment == "v1" else refusal)
        finally:
            OPEN.dec()
            answered(SERVICE, route, answering.status, stopwatch() - started)

    async def _answer_preflight(self, scope: HTTPScope, send: Send, way: Way) -> None:
        """By ourselves: no service is asked, and no key has come yet."""
        headers = _Headers(scope)
        answering = Answering(send, headers.request_id, self._secured(way))
        answering.extra = (*await self.edge.cors(headers.origin),)
        start = {"type": "http.response.start", "status": 204, "headers": list(domain.PREFLIGHT_ANSWER)}
        await answering(cast("Message", start))
        await answering({"type": "http.response.body", "body": b"", "more_body": False})

    def _secured(self, way: Way | None) -> Secured:
        # What pages and mails of others show stays open to them: the shop's script, the pixel of a mail.
        is_api = way is not None and way.peer is not None and way.segment not in domain.BROWSERS
        return partial(domain.secured, is_api=is_api, is_secure=self.edge.is_secure)

    async def _count(self, scope: HTTPScope, headers: "_Headers", refusal: Refused) -> None:
        """A shop looks for its refused events in one place, whoever of us refused them."""
        try:
            requested = domain.parameter(scope["query_string"].decode("latin1"), "store_id")
            store_id = await self.identities.store(headers.credential or "", requested, headers.origin)
            refused = RefusedBefore(store_id=store_id, code=refusal.reason)
            await self.peers.post("pipeline", "/events/refusals", refused, Raw)
        except Failure as failure:
            log.warning("a refusal was not counted", why=failure.detail)

    async def _socket(self, scope: WebSocketScope, receive: Receive, send: Send, way: Way | None) -> None:
        credential, query = domain.parameters(scope["query_string"].decode("latin1"))
        headers = _Headers(scope, credential)
        answering = Answering(send, headers.request_id, self._secured(way))
        OPEN.inc()
        await receive()
        try:
            with traced("socket" if way is None else f"/api/{way.segment}", headers.traceparent) as here:
                try:
                    if way is None or way.peer is None:
                        raise Missing("there is no socket here")
                    passing, stamp = await self._passing(scope, headers, way, here.header, answering)
                    onward = self._onward(way, "GET", query, headers, passing)
                    held = None if stamp is None else self._held_to(stamp, headers, way, scope["query_string"])
                    await self.proxy.connect(scope, receive, send, onward, held)
                except Failure as error:
                    document = problem(error, here.trace_id)
                    FAULTS.labels(SERVICE, document.code).inc()
                    named = (b"x-request-id", headers.request_id.encode()), (b"content-type", PROBLEM)
                    await refuse_socket(send, document.status, (*answering.extra, *named), encode(document))
        finally:
            OPEN.dec()

    async def _passing(
        self, scope: HTTPScope | WebSocketScope, headers: "_Headers", way: Way, traceparent: str, answering: Answering
    ) -> tuple[Mapping[str, str], Stamp | None]:
        """The headers that say who asks, from where and in which trace; raises Unauthenticated or TooMany.

        And the identity among them, if any.
        """
        passing = {"X-Request-Id": headers.request_id, "traceparent": traceparent, **self._forwarded(scope, headers)}
        if domain.is_public(way.path) or (headers.credential is None and domain.may_hold_key(way.path)):
            self._held(self.limiter.stand_alone(passing["X-Forwarded-For"]), answering)
            return passing, None
        if headers.credential is None:
            raise Unauthenticated("this needs an API key or an access token")
        stamp = await self.identities.stamp(headers.credential, headers.origin)
        self._within_limits(stamp, way.segment, scope["query_string"], answering)
        answering.over = partial(self.identities.until_over, headers.credential, headers.origin)
        passing[IDENTITY_HEADER] = stamp.token
        return passing, stamp

    def _within_limits(self, stamp: Stamp, endpoint: str, query: bytes, answering: Answering) -> None:
        """Counts the request and says on its answer how much is left; raises TooMany."""
        requested = domain.parameter(query.decode("latin1"), "store_id") if query else None
        store_id = concerned(stamp.principal, requested)
        self._held(self.limiter.stand(stamp.principal, stamp.requests_per_minute, store_id, endpoint), answering)

    def _held_to(self, stamp: Stamp, headers: "_Headers", way: Way, query: bytes) -> Held:
        """What an open socket is held to: each message counts as a request does, and it ends with what opened it."""
        store_id = concerned(stamp.principal, domain.parameter(query.decode("latin1"), "store_id"))

        def allows() -> bool:
            standing = self.limiter.stand(stamp.principal, stamp.requests_per_minute, store_id, way.segment)
            return standing is None or standing.allowed

        return Held(partial(self.identities.until_over, cast("str", headers.credential), headers.origin), allows)

    @staticmethod
    def _held(standing: Standing | None, answering: Answering) -> None:
        if standing is None:
            return
        answering.extra = (*answering.extra, *domain.rate_headers(standing))
        if not standing.allowed:
            kind, _, per_minute = standing.limit
            raise TooMany(
                f"more than {per_minute} requests a minute of this {kind}", code="rate_limited",
                retry_after=timedelta(seconds=standing.reset_seconds),
            )  # fmt: skip

    def _onward(self, way: Way, method: str, query: str, headers: "_Headers", passing: Mapping[str, str]) -> Onward:
        peer = cast("str", way.peer)
        path = f"{way.path}?{query}" if query else way.path
        repeatable = method in domain.REPEATABLE or way.segment in domain.REPEATABLE_SEGMENTS or headers.is_keyed
        body_bytes = self.webhook_bytes if domain.is_webhook(way.path) else None
        answer_seconds = self.answer_seconds.get(way.segment)
        return Onward(peer, path, passing, DROPPED, repeatable, answer_seconds, body_bytes)

    def _forwarded(self, scope: HTTPScope | WebSocketScope, headers: "_Headers") -> dict[str, str]:
        """Where the request comes from, and how it was asked for; a proxy's word for it only if it is one of ours."""
        said = headers.said if domain.is_trusted(_neighbour(scope), self.trusted_proxies) else {}
        scheme = said.get(b"x-forwarded-proto", b"").decode("latin1")
        return {
            "X-Forwarded-For": self._client(scope, headers),
            "X-Forwarded-Proto": scheme if scheme in domain.SCHEMES else scope["scheme"],
            "X-Forwarded-Host": said.get(b"x-forwarded-host", b"").decode("latin1") or headers.host,
        }

    def _client(self, scope: HTTPScope | WebSocketScope, headers: "_Headers") -> str:
        forwarded_for = headers.said.get(b"x-forwarded-for", b"").decode("latin1")
        return domain.client_address(_neighbour(scope), forwarded_for, self.trusted_proxies)


class _Headers:
    """What the door reads of a request's headers, in one pass."""

    __slots__ = ("credential", "host", "is_keyed", "origin", "request_id", "said", "traceparent")

    def __init__(self, scope: HTTPScope | WebSocketScope, credential: str | None = None) -> None:
        found = dict(scope["headers"])
        self.credential = domain.bearer(scope["headers"]) or credential
        self.said = found
        self.host = found.get(b"host", b"").decode("latin1")
        self.request_id = domain.request_id(found.get(b"x-request-id", b"")) or str(new_id())
        self.is_keyed = b"idempotency-key" in found
        self.origin = found[b"origin"].decode("latin1") if b"origin" in found else None
        self.traceparent = found.get(b"traceparent", b"").decode("latin1")


def _neighbour(scope: HTTPScope | WebSocketScope) -> str:
    """The address at the other end of the connection."""
    return scope["client"][0] if scope["client"] else ""


def _raw_path(scope: Scope) -> str:
    return scope["raw_path"].decode("latin1").partition("?")[0]


def _is_preflight(scope: HTTPScope, way: Way) -> bool:
    return (
        scope["method"] == "OPTIONS"
        and way.segment in domain.BROWSERS
        and any(name == b"access-control-request-method" for name, _ in scope["headers"])
    )


async def _refuse(send: Send, document: ProblemDocument) -> None:
    FAULTS.labels(SERVICE, document.code).inc()
    await send_problem(send, document)
