"""Calls to sister services over HTTP, with our internal identity and the trace going along.

Finds them by name; knows none.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from ssl import SSLContext
from typing import Any, NamedTuple, TypeVar

import aiohttp
import msgspec

from recoup.kit.balancing import Balancer
from recoup.kit.clock import stopwatch
from recoup.kit.errors import Missing, Refused, Unavailable
from recoup.kit.spiffe import Identity
from recoup.kit.telemetry import current_trace

T = TypeVar("T")
IDENTITY_HEADER = "X-Recoup-Identity"
_KEPT_SECONDS = 10.0
"""Idle connections are closed by us before a service closes them (after `http.header_seconds`), so that no request
meets the end of one."""


class Probe(NamedTuple):
    """An answer as it came, and how long it took."""

    status: int
    body: bytes
    seconds: float


@dataclass(slots=True)
class TokenSource:
    """Hands out one internal token and renews it before it expires."""

    make: Callable[[], str]
    renew_after_seconds: float
    _token: str = ""
    _made_at: float = field(default=float("-inf"))

    def token(self) -> str:
        now = stopwatch()
        if now - self._made_at > self.renew_after_seconds:
            self._token, self._made_at = self.make(), now
        return self._token


@dataclass(slots=True)
class Peers:
    """`addresses` gives each service's base URL; `identity` makes the internal token that names this service."""

    addresses: Mapping[str, str]
    identity: TokenSource
    timeout_seconds: float = 30.0
    mutual: Identity | None = None
    """Who we are, where services prove it to each other."""
    _session: aiohttp.ClientSession | None = None

    def address(self, service: str) -> str:
        """The base URL of a service; raises Missing for one nobody told us about."""
        if service not in self.addresses:
            raise Missing(f"no address is known for service {service!r}")
        return self.addresses[service]

    def session(self) -> aiohttp.ClientSession:
        """The one client session of this process."""
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self.timeout_seconds),
                auto_decompress=False,
                connector=aiohttp.TCPConnector(limit=0, limit_per_host=0, keepalive_timeout=_KEPT_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
            # It would ask twice by itself, uncounted; who may be asked again is decided where the call is made.
            self._session._retry_connection = False  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - no option for it
        return self._session

    def ssl(self, service: str) -> SSLContext | bool:
        """What a connection to a service must satisfy."""
        return True if self.mutual is None else self.mutual.client(service)

    async def get(self, service: str, path: str, kind: type[T], params: Mapping[str, str] | None = None) -> T:
        """GETs JSON as `kind`; raises Refused or Unavailable as the other side answered."""
        async with self._call("GET", service, path, params, None) as answer:
            return msgspec.json.decode(await answer.read(), type=kind)

    async def get_bytes(self, service: str, path: str, params: Mapping[str, str] | None = None) -> bytes:
        """GETs a body as it is."""
        async with self._call("GET", service, path, params, None) as answer:
            return await answer.read()

    async def post(
        self, service: str, path: str, body: object, kind: type[T], *, patience: timedelta | None = None
    ) -> T:
        """POSTs JSON and reads the answer as `kind`; `patience` where it takes longer than others may."""
        async with self._call("POST", service, path, None, msgspec.json.encode(body), patience) as answer:
            return msgspec.json.decode(await answer.read(), type=kind)

    async def probe(self, service: str, path: str, *, patience: timedelta) -> Probe:
        """GETs whatever there is, a 503 too; raises Unavailable only where nothing answers."""
        started = stopwatch()
        timeout = aiohttp.ClientTimeout(total=patience.total_seconds())
        try:
            async with self.session().get(
                self.address(service) + path, timeout=timeout, ssl=self.ssl(service)
            ) as answer:
                body = await answer.read()
                return Probe(answer.status, body, stopwatch() - started)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable(f"{service} does not answer", cause=error) from error

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    @asynccontextmanager
    async def _call(
        self,
        method: str,
        service: str,
        path: str,
        params: Mapping[str, str] | None,
        body: bytes | None,
        patience: timedelta | None = None,
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        headers = {IDENTITY_HEADER: self.identity.token()}
        here = current_trace()
        if here is not None:
            headers["traceparent"] = here.header
        if body is not None:
            headers["Content-Type"] = "application/json"
        timeout = aiohttp.ClientTimeout(total=patience.total_seconds() if patience else self.timeout_seconds)
        try:
            async with await self._sent(
                service, path, method=method, params=params, data=body, headers=headers, timeout=timeout
            ) as answer:
                if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    raise Unavailable(f"{service} answered {answer.status} to {method} {path}")
                if answer.status >= HTTPStatus.BAD_REQUEST:
                    raise Refused(f"{service} answered {answer.status} to {method} {path}: {await answer.text()}")
                yield answer
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable(f"{service} does not answer", cause=error) from error

    async def _sent(self, service: str, path: str, **request: Any) -> aiohttp.ClientResponse:  # noqa: ANN401 - aiohttp's own
        """Asks the instance whose turn it is, and another one where that one refuses the connection."""
        refused: list[str] = []
        while True:
            url = self.address(service)
            try:
                return await self.session().request(url=url + path, ssl=self.ssl(service), **request)
            except aiohttp.ClientConnectorError:
                if url in refused or not isinstance(self.addresses, Balancer):
                    raise
                refused.append(url)
                self.addresses.refused(service, url)
