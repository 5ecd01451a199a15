"""Calls to addresses that outsiders chose: only to public ones, bounded in time and size, following nothing.

A name is looked up here, and only addresses that may be called are handed on to be connected to: what a name pointed to
when it was written down says nothing about where it points now. Redirects are an answer like any other. Lookups have
threads of their own, so that a name server that does not answer holds up nothing but such calls.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from msgspec import Struct
from typing_extensions import override

from recoup.kit.errors import Invalid, Unavailable

_LONGEST_URL: Final = 2_048
_NAME_THREADS: Final = 16
_EMBEDDING: Final = ipaddress.ip_network("64:ff9b::/96")
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Answer(Struct, frozen=True):
    """What an outsider answered; `body` is its beginning."""

    status: int
    body: bytes
    retry_after: str = ""


def is_public(address: str) -> bool:
    """Whether an IP address is somewhere on the internet, whatever form it is wrapped in."""
    found = ipaddress.ip_address(address.partition("%")[0])
    inner = _embedded(found)
    if inner is not None:
        return is_public(str(inner))
    site_local = isinstance(found, ipaddress.IPv6Address) and found.is_site_local
    return found.is_global and not found.is_multicast and not site_local


def _embedded(address: _Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that packets to an IPv6 address end at."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _EMBEDDING:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


def check_url(url: str, *, private: bool) -> None:
    """Raises Invalid for what may not be called; a name is judged only when it is looked up.

    `private` also allows addresses of one's own network, and plain http, which nobody outside can answer with safety.
    """
    if len(url) > _LONGEST_URL:
        raise Invalid(f"a URL is at most {_LONGEST_URL} characters long", code="url_invalid")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise Invalid(f"this is no URL: {error}", code="url_invalid") from error
    schemes = ("https", "http") if private else ("https",)
    if parts.scheme not in schemes or not host or not url.isprintable() or " " in url:
        raise Invalid(f"a URL begins with {' or '.join(schemes)}:// and a host", code="url_invalid")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise Invalid("a URL has neither a user name nor a fragment", code="url_invalid")
    if not private and _is_address(host) and not is_public(host):
        raise Invalid(f"{host} is not a public address", code="address_private")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


class _Lookup(AbstractResolver):
    """Names to addresses that may be called."""

    def __init__(self, *, private: bool) -> None:
        self._private = private
        self._threads = ThreadPoolExecutor(_NAME_THREADS, thread_name_prefix="outgoing names")

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        def ask() -> list[tuple[socket.AddressFamily, str]]:
            found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
            return [(kind, str(at[0])) for kind, _, _, _, at in found]

        found = await asyncio.get_running_loop().run_in_executor(self._threads, ask)
        allowed = [(kind, address) for kind, address in found if self._private or is_public(address)]
        if not allowed:
            raise OSError(None, f"{host} is not at a public address")
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=socket.AI_NUMERICHOST)
            for kind, address in allowed
        ]

    @override
    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


@dataclass(slots=True)
class Outgoing:
    """The client. `private` lets calls go to one's own network."""

    timeout_seconds: float
    answer_bytes: int
    private: bool = False
    _session: aiohttp.ClientSession | None = field(default=None, init=False)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """POSTs; raises Invalid for an address that may not be called, Unavailable where no answer comes in time."""
        check_url(url, private=self.private)
        try:
            async with self._open().post(url, data=body, headers=headers, allow_redirects=False) as answer:
                beginning = await self._beginning(answer)
                return Answer(answer.status, beginning, answer.headers.get("Retry-After", ""))
        except TimeoutError as error:
            raise Unavailable(f"no answer within {self.timeout_seconds:g} s") from error
        except (aiohttp.ClientError, OSError, UnicodeError, ValueError) as error:
            # The last two: names that cannot be written as a host, or header lines that are none.
            raise Unavailable(f"no answer: {error or type(error).__name__}") from error

    async def _beginning(self, answer: aiohttp.ClientResponse) -> bytes:
        """So much of the body as is kept; the rest is not read, and its connection not used again."""
        try:
            return await answer.content.readexactly(self.answer_bytes)
        except asyncio.IncompleteReadError as short:
            return short.partial

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self.timeout_seconds),
                connector=aiohttp.TCPConnector(
                    resolver=_Lookup(private=self.private), limit=0, ttl_dns_cache=10, keepalive_timeout=30
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            )
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None
