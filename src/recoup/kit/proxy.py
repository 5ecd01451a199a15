"""Passes HTTP requests and WebSockets on to another server, streaming both ways. Decides nothing about who may.

Bodies are never gathered: a chunk that comes in goes out, and neither side is read faster than the other takes. What
may not travel past one hop stays here. A server that can't be reached is `Unavailable`, too long a body `TooLarge`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Final, NamedTuple, cast

import aiohttp
from aiohttp import ClientTimeout, ClientWebSocketResponse, ClientWSTimeout, WSMsgType
from litestar.types import HTTPReceiveMessage, HTTPScope, Message, Receive, Send, WebSocketScope
from msgspec import Struct
from multidict import CIMultiDict
from yarl import URL

from recoup.kit.errors import TooLarge, Unavailable

_HOP_BY_HOP: Final = frozenset({
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te", b"trailer",
    b"transfer-encoding", b"upgrade",
})  # fmt: skip
_OURS: Final = frozenset({b"host", b"expect"})
_HANDSHAKE: Final = frozenset({
    b"sec-websocket-key", b"sec-websocket-version", b"sec-websocket-extensions", b"sec-websocket-protocol", b"origin",
})  # fmt: skip
_AUTOMATIC: Final = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
_TRY_AGAIN_LATER: Final = 1013
_NO_STATUS: Final = 1005
_ABNORMAL: Final = 1006


class ProxyLimits(Struct, frozen=True, kw_only=True):
    """How much and how long."""

    body_bytes: int
    """Largest request body."""
    frame_bytes: int
    """Largest WebSocket message from the server behind."""
    drain_bytes: int = 32 * 1024 * 1024
    """How much of a refused body is read and thrown away: a client that writes before it reads must get the refusal."""
    connect_seconds: float = 2.0
    silence_seconds: float = 30.0
    """Longest wait for the next bytes of an answer."""
    total_seconds: float = 900.0


class Onward(NamedTuple):
    """Where a request goes on to."""

    name: str
    """What callers are told when it does not answer; never its address."""
    url: str
    headers: Mapping[str, str]
    """Set, whatever the client sent under these names."""
    without: frozenset[bytes]
    """Left out."""


class _Lost(Exception):
    """The client went away in the middle of its request."""


class _Upload:
    """A request body on its way, counted.

    It ends with the last declared byte, not with the server's word that nothing follows: whoever is behind may answer
    between the two, and the connection would look as if it were still written to and could not be used again.
    """

    def __init__(self, first: bytes, declared: int | None, receive: Receive, limit: int) -> None:
        self._first = first
        self._declared = declared
        self._receive = receive
        self._limit = limit
        self.failure: TooLarge | _Lost | None = None

    async def chunks(self) -> AsyncIterator[bytes]:
        size = len(self._first)
        yield self._first
        more = True
        while more and size != self._declared:
            message = await self._receive()
            if message["type"] != "http.request":
                self.failure = _Lost()
                raise self.failure
            message = cast("HTTPReceiveMessage", message)
            more = message.get("more_body", False)
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > self._limit:
                self.failure = _too_large(self._limit)
                raise self.failure
            if chunk:
                yield chunk


class Proxy:
    """One way out, shared by all requests of a process."""

    def __init__(self, session: Callable[[], aiohttp.ClientSession], limits: ProxyLimits) -> None:
        self._session = session
        self._limits = limits
        self._timeout = ClientTimeout(
            total=limits.total_seconds, sock_connect=limits.connect_seconds, sock_read=limits.silence_seconds
        )

    async def forward(self, scope: HTTPScope, receive: Receive, send: Send, onward: Onward) -> None:
        """One request, answered by the server behind."""
        declared = await self._declared(scope, receive)
        message = cast("HTTPReceiveMessage", await receive())
        first = message.get("body", b"")
        more = message.get("more_body", False) and len(first) != declared
        upload = _Upload(first, declared, receive, self._limits.body_bytes)
        data = upload.chunks() if more else first or None
        sent = passed_on(scope["headers"], onward.headers, onward.without | _OURS)
        try:
            async with self._session().request(
                scope["method"], URL(onward.url, encoded=True), data=data, headers=sent, timeout=self._timeout,
                skip_auto_headers=_AUTOMATIC, allow_redirects=False,
            ) as answer:  # fmt: skip
                await _answer(answer, receive, send)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if isinstance(upload.failure, TooLarge):
                await _drain(receive, self._limits.drain_bytes)
                raise upload.failure from None
            if upload.failure is None:
                said = f"{onward.name} does not answer"
                raise Unavailable(said, cause=_words(error), code="service_unavailable") from error

    async def connect(self, scope: WebSocketScope, receive: Receive, send: Send, onward: Onward) -> None:
        """One socket, until either side closes it; the other side gets its close code."""
        await receive()
        sent = passed_on(scope["headers"], onward.headers, onward.without | _OURS | _HANDSHAKE)
        try:
            upstream = await self._session().ws_connect(
                URL(onward.url, encoded=True), headers=sent, protocols=scope["subprotocols"], heartbeat=30.0,
                timeout=ClientWSTimeout(ws_close=5.0),  # pyright: ignore[reportCallIssue] - attrs makes its constructor
                max_msg_size=self._limits.frame_bytes,
            )  # fmt: skip
        except aiohttp.WSServerHandshakeError as error:
            return await refuse_socket(send, error.status)
        except (aiohttp.ClientError, TimeoutError, OSError):
            return await refuse_socket(send, 503)
        try:
            await send({"type": "websocket.accept", "subprotocol": upstream.protocol, "headers": []})
            await _pump(upstream, receive, send)
        finally:
            await upstream.close()

    async def _declared(self, scope: HTTPScope, receive: Receive) -> int | None:
        declared = next((int(value) for name, value in scope["headers"] if name == b"content-length"), None)
        if declared is not None and declared > self._limits.body_bytes:
            await _drain(receive, self._limits.drain_bytes)
            raise _too_large(self._limits.body_bytes)
        return declared


def passed_on(
    headers: Iterable[tuple[bytes, bytes]], extra: Mapping[str, str], without: frozenset[bytes]
) -> CIMultiDict[str]:
    """The headers that travel on, with ours set: nothing that belongs to one hop, nothing we say ourselves."""
    dropped = without | {name.encode("latin1").lower() for name in extra}
    kept = CIMultiDict(
        (name.decode("latin1"), value.decode("latin1")) for name, value in _end_to_end(headers) if name not in dropped
    )
    kept.extend(extra)
    return kept


def _end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Without those that concern one hop only, whether by their nature or because `Connection` names them."""
    lowered = [(name.lower(), value) for name, value in headers]
    named = b",".join(value for name, value in lowered if name == b"connection")
    if not named or named.lower() in {b"keep-alive", b"close"}:
        return [pair for pair in lowered if pair[0] not in _HOP_BY_HOP]
    dropped = _HOP_BY_HOP | {name.strip().lower() for name in named.split(b",")}
    return [pair for pair in lowered if pair[0] not in dropped]


async def refuse_socket(send: Send, status: int) -> None:
    """Answers a WebSocket handshake with an HTTP status instead of a socket."""
    start = {"type": "websocket.http.response.start", "status": status, "headers": [(b"content-length", b"0")]}
    await send(cast("Message", start))
    await send(cast("Message", {"type": "websocket.http.response.body", "body": b"", "more_body": False}))


async def _answer(answer: aiohttp.ClientResponse, receive: Receive, send: Send) -> None:
    headers = _end_to_end(answer.raw_headers)
    await send(cast("Message", {"type": "http.response.start", "status": answer.status, "headers": headers}))
    content = answer.content
    chunk = await content.readany()
    if content.at_eof():
        return await _chunk(send, chunk, more=False)
    await _chunk(send, chunk, more=True)
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        while not content.at_eof() and not gone.done():
            await _chunk(send, await content.readany(), more=True)
    finally:
        gone.cancel()
    return await _chunk(send, b"", more=False)


async def _chunk(send: Send, body: bytes, *, more: bool) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] == "http.request":
        pass


async def _pump(upstream: ClientWebSocketResponse, receive: Receive, send: Send) -> None:
    """Both directions until one ends; each waits for the other side to take what it was given."""
    outward = asyncio.create_task(_outward(upstream, receive))
    homeward = asyncio.create_task(_homeward(upstream, send))
    await asyncio.wait((outward, homeward), return_when=asyncio.FIRST_COMPLETED)
    for task in (outward, homeward):
        task.cancel()
    # Nobody may be receiving any more when we close: the server would wait for the one to do the other.
    left, code = await asyncio.gather(outward, homeward, return_exceptions=True)
    if isinstance(left, int):
        await upstream.close(code=left)
    else:
        closing = code if isinstance(code, int) else _TRY_AGAIN_LATER
        await send({"type": "websocket.close", "code": closing, "reason": ""})


async def _outward(upstream: ClientWebSocketResponse, receive: Receive) -> int:
    """Until the client closes; with which code."""
    while True:
        message = await receive()
        if message["type"] != "websocket.receive":
            return _sendable(cast("int | None", cast("Mapping[str, object]", message).get("code")))
        text = message.get("text")
        if text is not None:
            await upstream.send_str(text)
        else:
            await upstream.send_bytes(message.get("bytes") or b"")


async def _homeward(upstream: ClientWebSocketResponse, send: Send) -> int:
    """Until the server behind closes; with which code."""
    async for message in upstream:
        if message.type is WSMsgType.TEXT:
            await send({"type": "websocket.send", "text": cast("str", message.data), "bytes": None})
        elif message.type is WSMsgType.BINARY:
            await send({"type": "websocket.send", "bytes": cast("bytes", message.data), "text": None})
    return _TRY_AGAIN_LATER if upstream.close_code in {None, _ABNORMAL} else _sendable(upstream.close_code)


def _sendable(code: int | None) -> int:
    """A close code that may stand in a frame; some only report that there was none."""
    return 1000 if code in {None, _NO_STATUS, _ABNORMAL} else cast("int", code)


async def _drain(receive: Receive, limit: int) -> None:
    size, more = 0, True
    async with asyncio.timeout(10):
        while more and size < limit:
            message = cast("HTTPReceiveMessage", await receive())
            size += len(message.get("body", b""))
            more = message["type"] == "http.request" and message.get("more_body", False)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body is larger than {limit} bytes")


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
