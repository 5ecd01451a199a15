"""A request body on its way through: counted, timed, kept only as long as it is short. Knows nothing of where to."""

import asyncio
from collections.abc import AsyncIterator
from typing import cast

from litestar.types import HTTPReceiveMessage, Receive, ReceiveMessage
from msgspec import Struct

from recoup.kit.errors import TooLarge, TooSlow


class ProxyLimits(Struct, frozen=True, kw_only=True):
    """How much and how long."""

    body_bytes: int
    """Largest request body, where a call names no other."""
    frame_bytes: int
    """Largest WebSocket message from the server behind."""
    drain_bytes: int = 32 * 1024 * 1024
    """How much of a refused body is read and thrown away: a client that writes before it reads must get the refusal."""
    replay_bytes: int = 262_144
    """How much of a body is kept until its answer begins, so that it can be sent again."""
    connect_seconds: float = 2.0
    call_seconds: float = 3.0
    """Longest wait for an answer to begin, once the request was sent, where a call names no other."""
    upload_seconds: float = 10.0
    """Longest wait for the next bytes of a request."""
    silence_seconds: float = 30.0
    """Longest wait for the next bytes of an answer."""
    total_seconds: float = 900.0


class Lost(Exception):
    """The client went away in the middle of its request."""


class Upload:
    """A request body on its way, counted, and kept as long as it is short.

    It ends with the last declared byte, not with the server's word that nothing follows: whoever is behind may answer
    between the two, and the connection would look as if it were still written to and could not be used again.
    """

    def __init__(self, declared: int | None, receive: Receive, limits: ProxyLimits, body_bytes: int) -> None:
        self._declared = declared
        self._body_bytes = body_bytes
        self._receive = receive
        self._limits = limits
        self._size = 0
        self._kept: list[bytes] | None = []
        self._more = True
        self._coming: asyncio.Future[ReceiveMessage] | None = None
        self.failure: TooLarge | TooSlow | Lost | None = None

    @property
    def can_repeat(self) -> bool:
        """Whether all that was read of it is still here."""
        return self._kept is not None

    @property
    def kept_bytes(self) -> int:
        """How much of it is held in memory."""
        return sum(map(len, self._kept or ()))

    async def begin(self) -> None:
        """Reads what has come already; mostly that is all of it."""
        if self._declared == 0:
            self._more = False  # asking the server for nothing costs a tenth of a request
            return
        try:
            async with asyncio.timeout(self._limits.upload_seconds):
                self._take(await self._receive())
        except TimeoutError:
            raise self._too_slow() from None

    def data(self) -> bytes | AsyncIterator[bytes] | None:
        """The body as it is sent: whole if it is, else piece by piece."""
        if not self._more and self._kept is not None:
            return b"".join(self._kept) or None
        return self._chunks()

    async def _chunks(self) -> AsyncIterator[bytes]:
        for chunk in list(self._kept or ()):
            yield chunk
        while self._more:
            chunk = await self._next()
            if chunk:
                yield chunk

    async def _next(self) -> bytes:
        # A call that breaks off cancels whoever reads for it. What comes then must not be lost: it belongs to the call
        # that is made in its place.
        if self._coming is None:
            self._coming = asyncio.ensure_future(self._receive())
        await asyncio.wait((self._coming,), timeout=self._limits.upload_seconds)
        if not self._coming.done():
            raise self._too_slow()
        message, self._coming = self._coming.result(), None
        return self._take(message)

    def _take(self, message: ReceiveMessage) -> bytes:
        if message["type"] != "http.request":
            self.failure = Lost()
            raise self.failure
        message = cast("HTTPReceiveMessage", message)
        chunk = message.get("body", b"")
        self._size += len(chunk)
        self._more = message.get("more_body", False) and self._size != self._declared
        if self._size > self._body_bytes:
            self.failure = too_large(self._body_bytes)
            raise self.failure
        self._keep(chunk)
        return chunk

    def _too_slow(self) -> TooSlow:
        self.failure = TooSlow(f"no more of the body came for {self._limits.upload_seconds:g} s")
        return self.failure

    def close(self) -> None:
        """Nobody reads on."""
        if self._coming is not None:
            self._coming.cancel()

    def _keep(self, chunk: bytes) -> None:
        if self._kept is not None and (self._size <= self._limits.replay_bytes or not self._kept):
            self._kept.append(chunk)
        else:
            self._kept = None


async def drain(receive: Receive, limit: int) -> None:
    """Reads and throws away the rest of a body, up to a limit."""
    size, more = 0, True
    async with asyncio.timeout(10):
        while more and size < limit:
            message = cast("HTTPReceiveMessage", await receive())
            size += len(message.get("body", b""))
            more = message["type"] == "http.request" and message.get("more_body", False)


def too_large(limit: int) -> TooLarge:
    """How a body over the limit is refused."""
    return TooLarge(f"the body is larger than {limit} bytes")
