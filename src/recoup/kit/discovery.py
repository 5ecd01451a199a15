"""Where the instances of each service are: as settings say, from a file, from DNS, or from Consul; kept up to date.

A provider is a small port: it tells the instances of one service, and tells them again whenever they change. What can't
be reached or makes no sense changes nothing: the last good table stays in force, and it is said that it is old.
"""

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

import aiohttp
import msgspec
from msgspec import Struct
from prometheus_client import Gauge

from recoup.kit.config import Secret
from recoup.kit.consul import Consul
from recoup.kit.errors import Failure, Invalid, Unavailable
from recoup.kit.telemetry import logger

K = TypeVar("K")
log = logger(__name__)
STALE = Gauge("discovery_stale", "1 where the instances of a service are those of an earlier answer", ["to"])


class DiscoverySettings(Struct, frozen=True, kw_only=True):
    """Where instances are found."""

    url: str = ""
    """Empty: `RECOUP_PEERS__NAME`. `file:///PATH`: a JSON object of service and base URLs, read again when it changes.
    `dns://`: the addresses of a name. `consul://HOST:PORT` or `consul+https://…`: Consul's passing instances."""
    name: str = "recoup-{service}"
    """What a service is called in DNS (with `:PORT`) or in Consul."""
    scheme: str = "http"
    """How instances found by DNS or Consul are spoken to; https with mutual TLS."""
    token: Secret = Secret("")
    """Consul's ACL token."""
    refresh_seconds: float = 30.0
    """How often Consul answers at the latest although nothing has changed; it answers at once when something has."""
    dns_seconds: float = 5.0
    """How often DNS is asked."""
    retry_seconds: float = 1.0
    """How soon a provider that failed is asked again; doubles up to `refresh_seconds`."""
    longest_answer_bytes: int = 8_388_608
    """More than this is no answer of Consul's."""


class Provider(Protocol):
    """Tells where the instances of a service are."""

    def watch(self, service: str) -> AsyncGenerator[Sequence[str]]:
        """Base URLs, now and at every change, for ever; raises Unavailable, or Invalid where it makes no sense."""
        ...


@dataclass(frozen=True, slots=True)
class FileProvider:
    """One JSON file of all services."""

    path: Path
    look_seconds: float = 1.0

    async def watch(self, service: str) -> AsyncGenerator[Sequence[str]]:
        """At every change of the file."""
        async for table in changes(self.path, dict[str, list[str]], self.look_seconds):
            if service not in table:
                raise Invalid(f"{self.path} names no instances of {service}")
            yield [_checked(url) for url in table[service]]


@dataclass(frozen=True, slots=True)
class DnsProvider:
    """The addresses behind a name: a headless service of Kubernetes has one for each ready instance."""

    name: str
    scheme: str
    every_seconds: float

    async def watch(self, service: str) -> AsyncGenerator[Sequence[str]]:
        """Every few seconds."""
        host, _, port = self.name.format(service=service).rpartition(":")
        if not host or not port.isdecimal():
            raise Invalid(f"discovery.name {self.name!r} has no port; DNS tells addresses only")
        while True:
            try:
                found = await asyncio.get_running_loop().getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
            except (socket.gaierror, UnicodeError) as error:
                raise Unavailable(f"DNS does not know {host}", cause=error) from error
            yield sorted({_url(self.scheme, str(address[0]), int(port)) for *_, address in found})
            await asyncio.sleep(self.every_seconds)


@dataclass(frozen=True, slots=True)
class ConsulProvider:
    """The instances whose checks Consul sees passing, watched by blocking queries."""

    consul: Consul
    name: str
    scheme: str

    async def watch(self, service: str) -> AsyncGenerator[Sequence[str]]:
        """At every change, and as often as a blocking query ends."""
        async for instances in self.consul.passing(self.name.format(service=service)):
            yield sorted(_url(self.scheme, host, port) for host, port in instances)


@dataclass(slots=True)
class Discovery:
    """Keeps the table of all services up to date; `take` gets each one that is good."""

    provider: Provider
    services: Sequence[str]
    take: Callable[[str, Sequence[str]], None]
    retry_seconds: float = 1.0
    longest_seconds: float = 30.0
    faults: dict[str, str] = field(default_factory=dict)
    """Services whose table is old, and why."""

    async def run(self) -> None:
        """For ever."""
        await asyncio.gather(*(self._keep(service) for service in self.services))

    async def _keep(self, service: str) -> None:
        wait = self.retry_seconds
        while True:
            try:
                async for urls in self.provider.watch(service):
                    if not urls:
                        # Nobody passing may as well be a mistake of the one who checks; we check health ourselves.
                        raise Invalid("no instance at all")
                    self.take(service, urls)
                    self._good(service)
                    wait = self.retry_seconds
            except Failure as failure:
                self._bad(service, failure.detail)
            await asyncio.sleep(wait)
            wait = min(2 * wait, self.longest_seconds)

    def _good(self, service: str) -> None:
        STALE.labels(service).set(0)
        if self.faults.pop(service, None) is not None:
            log.warning("instances are up to date again", to=service)

    def _bad(self, service: str, why: str) -> None:
        STALE.labels(service).set(1)
        if self.faults.get(service) != why:
            log.warning("instances are those of an earlier answer", to=service, why=why)
        self.faults[service] = why


def provider_of(settings: DiscoverySettings, session: Callable[[], aiohttp.ClientSession]) -> Provider | None:
    """The provider a URL stands for; None for what settings alone say."""
    scheme, _, rest = settings.url.partition("://")
    if not settings.url:
        return None
    if scheme == "file":
        return FileProvider(Path(rest))
    if scheme == "dns":
        return DnsProvider(settings.name, settings.scheme, settings.dns_seconds)
    if scheme in {"consul", "consul+https"}:
        base = ("https" if scheme == "consul+https" else "http") + "://" + rest.rstrip("/")
        consul = Consul(base, session, settings.token, settings.refresh_seconds, settings.longest_answer_bytes)
        return ConsulProvider(consul, settings.name, settings.scheme)
    raise Invalid(f"discovery.url {settings.url!r} is neither file://, dns://, consul:// nor consul+https://")


async def changes(path: Path, kind: type[K], every_seconds: float) -> AsyncGenerator[K]:
    """A JSON file's content, now and whenever it changes; raises Unavailable or Invalid."""
    before: bytes | None = None
    while True:
        try:
            content = await asyncio.to_thread(path.read_bytes)
        except OSError as error:
            raise Unavailable(f"{path} cannot be read", cause=error) from error
        if content != before:
            try:
                yield msgspec.json.decode(content, type=kind)
            except (ValueError, RecursionError) as error:  # no JSON, not of this kind, no UTF-8, or nested without end
                raise Invalid(f"{path}: {error}") from error
            before = content
        await asyncio.sleep(every_seconds)


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and not parts.query and parts.port != 0
    except ValueError as error:  # half an IPv6 address, a port of six digits
        raise Invalid(f"{url!r} is no base URL: {error}") from error
    if not usable:
        raise Invalid(f"{url!r} is no base URL")
    return url


def _url(scheme: str, host: str, port: int) -> str:
    """A base URL; raises Invalid for an address that is nobody's, or everybody's: requests carry identities."""
    try:
        address = ip_address(host)
    except ValueError:
        pass  # a name
    else:
        is_reserved = isinstance(address, IPv4Address) and address.is_reserved
        if address.is_unspecified or address.is_multicast or is_reserved:
            raise Invalid(f"no service can be at {host}")
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
