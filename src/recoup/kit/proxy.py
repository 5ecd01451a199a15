"""Passes HTTP requests and WebSockets on to an instance of a service, streaming both ways. Knows nothing of who may.

Bodies are never gathered: a chunk that comes in goes out, and neither side is read faster than the other takes. What
may not travel past one hop stays here. A call is made again, at another instance where there is one, after a refused
connection (nothing was sent), and after one that broke off before an answer began, if the request may be repeated and
what was sent of its body is still at hand; both only within the service's budget. A service that can't be reached is
`Unavailable`, too long a body `TooLarge`, too slow a one `TooSlow`.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from ssl import SSLContext
from typing import Any, Final, NamedTuple, cast

import aiohttp
from aiohttp import ClientTimeout, ClientWebSocketResponse, ClientWSTimeout, WSMsgType
from litestar.types import HTTPScope, Message, Receive, Send, WebSocketScope
from multidict import CIMultiDict
from yarl import URL

from recoup.kit.balancing import Balancer, Call, Instance
from recoup.kit.breaker import preload
from recoup.kit.errors import TooLarge, Unavailable
from recoup.kit.upload import Lost, ProxyLimits, Upload, drain, too_large

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
_NOT_ALLOWED: Final = 1008
_LOOK_SECONDS: Final = 0.5
"""After which somebody who said too much is asked again whether he may go on."""
_NO_STATUS: Final = 1005
_ABNORMAL: Final = 1006
_SERVER_ERROR: Final = 500
_UNAVAILABLE: Final = 503
_REFUSED: Final = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
"""What happens before a byte of the request is sent."""


Over = Callable[[], Coroutine[object, object, object]]
"""Waits until what is open must end."""


class Held(NamedTuple):
    """What an open socket is held to."""

    over: Over
    allows: Callable[[], bool]
    """Counts a message of the client's, or does not where it is one too many just now."""


class Onward(NamedTuple):
    """Where a request goes on to."""

    service: str
    """Also what callers are told when it does not answer; never its address."""
    path: str
    """With the query, as it goes over the wire."""
    headers: Mapping[str, str]
    """Set, whatever the client sent under these names."""
    without: frozenset[bytes]
    """Left out."""
    repeatable: bool = False
    """Asking twice does no more than asking once."""
    answer_seconds: float | None = None
    """How long its answer may take to begin, where that is not everybody's."""
    body_bytes: int | None = None
    """Its largest body, where that is not everybody's."""


class _Begun:
    """The client's side of an answer: whether any of it is out."""

    __slots__ = ("_send", "begun")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False

    async def __call__(self, message: Message) -> None:
        self.begun = True
        await self._send(message)


class _Asked(NamedTuple):
    """A request ready to be sent, as often as it takes."""

    method: str
    headers: CIMultiDict[str]
    upload: Upload
    onward: Onward


class Proxy:
    """One way out, shared by all requests of a process.

    `chance` gives numbers from 0 to 1, `ssl` what a connection to a service must satisfy.
    """

    def __init__(
        self,
        session: Callable[[], aiohttp.ClientSession],
        balancer: Balancer,
        limits: ProxyLimits,
        chance: Callable[[], float],
        ssl: Callable[[str], SSLContext | bool],
    ) -> None:
        self._session = session
        preload()
        self._balancer = balancer
        self._limits = limits
        self._chance = chance
        self._ssl = ssl

    async def forward(self, scope: HTTPScope, receive: Receive, send: Send, onward: Onward) -> None:
        """One request, answered by an instance of the service; raises Unavailable, TooLarge or TooSlow."""
        body_bytes = self._limits.body_bytes if onward.body_bytes is None else onward.body_bytes
        upload = Upload(await self._declared(scope, receive, body_bytes), receive, self._limits, body_bytes)
        headers = passed_on(scope["headers"], onward.headers, onward.without | _OURS)
        try:
            await upload.begin()
            await self._answered(_Asked(scope["method"], headers, upload, onward), receive, _Begun(send))
        except Lost:
            return
        except TooLarge:
            upload.close()
            await drain(receive, self._limits.drain_bytes)
            raise
        finally:
            upload.close()

    async def _answered(self, asked: _Asked, receive: Receive, send: _Begun) -> None:
        """Makes the call, and makes it again while that may help."""
        tried: list[Instance] = []
        while True:
            call = self._balancer.begin(asked.onward.service, tried)
            failure = await self._attempt(call, asked, receive, send)
            if failure is None:
                return
            await self._ready_to_repeat(call, asked, failure, tried, begun=send.begun)

    async def connect(
        self, scope: WebSocketScope, receive: Receive, send: Send, onward: Onward, held: Held | None = None
    ) -> None:
        """One socket, until either side closes it; the other side gets its close code.

        When it is `over`, both do; while the client says too much, it is not read. It was asked for, that is received,
        before; raises Unavailable where nobody takes it. A refusal of the service's is passed on.
        """
        sent = passed_on(scope["headers"], onward.headers, onward.without | _OURS | _HANDSHAKE)
        tried: list[Instance] = []
        while True:
            call = self._balancer.begin(onward.service, tried)
            try:
                upstream = await self._open_socket(call.instance, sent, scope, onward)
            except aiohttp.WSServerHandshakeError as error:
                call.answered(well=error.status < _SERVER_ERROR)
                return await refuse_socket(send, error.status, _echo(onward))
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                refused = isinstance(error, _REFUSED)
                _ = call.refused() if refused else call.broke()
                tried.append(call.instance)
                if refused and len(tried) < self._balancer.retries.attempts and call.may_repeat("refused"):
                    continue
                said = f"{onward.service} does not answer"
                raise Unavailable(said, cause=_words(error), code="service_unavailable") from error
            return await self._joined(call, upstream, receive, send, held)

    async def _joined(
        self, call: Call, upstream: ClientWebSocketResponse, receive: Receive, send: Send, held: Held | None
    ) -> None:
        call.opened()
        try:
            await send({"type": "websocket.accept", "subprotocol": upstream.protocol, "headers": []})
            await _pump(upstream, receive, send, held)
        finally:
            call.dropped()
            await upstream.close()

    async def _open_socket(
        self, instance: Instance, headers: CIMultiDict[str], scope: WebSocketScope, onward: Onward
    ) -> ClientWebSocketResponse:
        return await self._session().ws_connect(
            URL(instance.url + onward.path, encoded=True), headers=headers, protocols=scope["subprotocols"],
            heartbeat=30.0, autoclose=False, max_msg_size=self._limits.frame_bytes, ssl=self._ssl(onward.service),
            timeout=ClientWSTimeout(ws_close=5.0),  # pyright: ignore[reportCallIssue] - attrs makes its constructor
        )  # fmt: skip

    async def _attempt(self, call: Call, asked: _Asked, receive: Receive, send: "_Begun") -> Exception | None:
        """Makes one call; returns why it failed, None if it was answered or is nobody's concern any more."""
        onward = asked.onward
        try:
            async with self._session().request(
                asked.method, URL(call.instance.url + onward.path, encoded=True), data=asked.upload.data(),
                headers=asked.headers, timeout=self._timeout(onward.answer_seconds or self._limits.call_seconds),
                skip_auto_headers=_AUTOMATIC, allow_redirects=False, ssl=self._ssl(onward.service),
            ) as answer:  # fmt: skip
                _wait_for_more(answer, self._limits.silence_seconds)
                await _answer(answer, receive, send)
                call.answered(well=_speaks_well(answer))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if asked.upload.failure is not None:
                raise asked.upload.failure from None
            _ = call.refused() if isinstance(error, _REFUSED) else call.broke()
            return error
        finally:
            call.dropped()
        return None

    async def _ready_to_repeat(
        self, call: Call, asked: _Asked, failure: Exception, tried: list[Instance], *, begun: bool
    ) -> None:
        """Returns when the call may be made again; raises Unavailable when it may not."""
        refused = isinstance(failure, _REFUSED)
        again = call.instance in tried
        tried.append(call.instance)
        harmless = refused or (asked.onward.repeatable and not isinstance(failure, TimeoutError))
        allowed = harmless and not begun and asked.upload.can_repeat and len(tried) < self._balancer.retries.attempts
        if not allowed or not call.may_repeat("refused" if refused else "broken"):
            said = f"{asked.onward.service} does not answer"
            raise Unavailable(said, cause=_words(failure), code="service_unavailable") from failure
        if again or not refused:
            longest = self._balancer.retries.backoff_seconds * 2 ** (len(tried) - 1)
            await asyncio.sleep(longest * self._chance())

    def _timeout(self, answer_seconds: float) -> ClientTimeout:
        return ClientTimeout(
            total=self._limits.total_seconds, sock_connect=self._limits.connect_seconds, sock_read=answer_seconds
        )

    async def _declared(self, scope: HTTPScope, receive: Receive, body_bytes: int) -> int | None:
        declared = _announced(scope)
        if declared is not None and declared > body_bytes:
            await drain(receive, self._limits.drain_bytes)
            raise too_large(body_bytes)
        return declared


def _announced(scope: HTTPScope) -> int | None:
    """How long a request says its body is; None where it may be of any length."""
    names = dict(scope["headers"])
    if b"content-length" in names:
        return int(names[b"content-length"])
    # HTTP/2 says by its frames whether a body follows, HTTP/1 by its headers alone.
    return 0 if scope["http_version"].startswith("1") and b"transfer-encoding" not in names else None


def _wait_for_more(answer: aiohttp.ClientResponse, seconds: float) -> None:
    """From the head of an answer on, how long the next bytes may take."""
    protocol = None if answer.connection is None else answer.connection.protocol
    if protocol is not None:
        protocol.read_timeout = seconds
        protocol.start_timeout()


def _speaks_well(answer: aiohttp.ClientResponse) -> bool | None:
    """Whether an answer shows a service in order.

    One that says itself when to come again knows what is wrong with it: to leave it alone longer than it asks for
    would make a short outage of what stands behind it a long one.
    """
    if answer.status < _SERVER_ERROR:
        return True
    return None if answer.status == _UNAVAILABLE and "Retry-After" in answer.headers else False


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


async def refuse_socket(send: Send, status: int, more: Iterable[tuple[bytes, bytes]], body: bytes = b"") -> None:
    """Answers a WebSocket handshake with an HTTP status instead of a socket."""
    headers = [(b"content-length", b"%d" % len(body)), *more]
    start = {"type": "websocket.http.response.start", "status": status, "headers": headers}
    await send(cast("Message", start))
    await send(cast("Message", {"type": "websocket.http.response.body", "body": body, "more_body": False}))


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


async def _pump(upstream: ClientWebSocketResponse, receive: Receive, send: Send, held: Held | None) -> None:
    """Both directions until one ends; each waits for the other side to take what it was given."""
    outward = asyncio.create_task(_outward(upstream, receive, held))
    homeward = asyncio.create_task(_homeward(upstream, send))
    ended = asyncio.create_task(held.over() if held else asyncio.Event().wait())
    tasks: tuple[asyncio.Task[Any], ...] = (outward, homeward, ended)
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    is_over = ended.done()
    for task in tasks:
        task.cancel()
    # Nobody may be receiving any more when we close: the server would wait for the one to do the other.
    left, code, _ = await asyncio.gather(*tasks, return_exceptions=True)
    if isinstance(left, int):
        await upstream.close(code=left)
    else:
        closing = _NOT_ALLOWED if is_over else code if isinstance(code, int) else _TRY_AGAIN_LATER
        await send({"type": "websocket.close", "code": closing, "reason": ""})


async def _outward(upstream: ClientWebSocketResponse, receive: Receive, held: Held | None) -> int:
    """Until the client closes; with which code."""
    while True:
        message = await receive()
        if message["type"] != "websocket.receive":
            return _sendable(cast("int | None", cast("Mapping[str, object]", message).get("code")))
        while held is not None and not held.allows():  # noqa: ASYNC110 - time makes the room, and nobody tells of it
            await asyncio.sleep(_LOOK_SECONDS)
        text = message.get("text")
        if text is not None:
            await upstream.send_str(text)
        else:
            await upstream.send_bytes(message.get("bytes") or b"")


async def _homeward(upstream: ClientWebSocketResponse, send: Send) -> int:
    """Until the server behind closes; with which code."""
    while True:
        message = await upstream.receive()
        if message.type is WSMsgType.TEXT:
            await send({"type": "websocket.send", "text": cast("str", message.data), "bytes": None})
        elif message.type is WSMsgType.BINARY:
            await send({"type": "websocket.send", "bytes": cast("bytes", message.data), "text": None})
        elif message.type is WSMsgType.CLOSE:
            return _sendable(cast("int | None", message.data))
        else:
            return _TRY_AGAIN_LATER  # it broke off, or said something that is no WebSocket


def _echo(onward: Onward) -> Iterable[tuple[bytes, bytes]]:
    """The id that the request goes by, for whoever asks why."""
    return [(b"x-request-id", said.encode()) for name, said in onward.headers.items() if name == "X-Request-Id"]


def _sendable(code: int | None) -> int:
    """A close code that may stand in a frame; some only report that there was none."""
    return 1000 if code in {None, _NO_STATUS, _ABNORMAL} else cast("int", code)


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
