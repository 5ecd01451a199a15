"""Mutual TLS between services: each shows a certificate with a SPIFFE id, and asks for the other's. Issues none.

A certificate says who a process is by the one URI in its subject alternative name (X.509-SVID), `spiffe://DOMAIN/NAME`
with the name of the process; host names mean nothing. A client demands the id of the very service it calls, a server
that of any of ours. Both chains end at the authority's certificate.
"""

import asyncio
import ssl
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from msgspec import Struct
from typing_extensions import override

from recoup.kit.errors import Invalid
from recoup.kit.telemetry import logger

log = logger(__name__)
_LOOK_SECONDS = 10.0


class MutualTls(Struct, frozen=True, kw_only=True):
    """Files in PEM; without a certificate services speak plain HTTP to each other."""

    certificate: str = ""
    """This process's certificate, followed by those between it and the authority."""
    key: str = ""
    authority: str = ""
    """The certificates that certificates of services end at."""
    trust_domain: str = "recoup.local"


@dataclass(slots=True)
class Identity:
    """This process's own certificate, and how it tells others by theirs. Files that change are read again."""

    settings: MutualTls
    _contexts: dict[str, ssl.SSLContext] = field(default_factory=dict)
    _loaded: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.settings.key or not self.settings.authority:
            raise Invalid("mutual TLS needs mutual_tls.certificate, mutual_tls.key and mutual_tls.authority")
        self._loaded = self._times()

    def client(self, service: str) -> ssl.SSLContext:
        """For calls to one service, which must be itself."""
        if service not in self._contexts:
            self._contexts[service] = self._context(ssl.PROTOCOL_TLS_CLIENT, [service])
        return self._contexts[service]

    def server(self, services: Collection[str]) -> ssl.SSLContext:
        """For a door that any of these services may come to, and nobody else."""
        context = self._contexts[""] = self._context(ssl.PROTOCOL_TLS_SERVER, services)
        return context

    async def watch(self) -> None:
        """Takes new certificates into use when their files change; for ever."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self.refresh()

    def refresh(self) -> None:
        """Takes new certificates into use; new connections show them. Keeps the old ones where the new are no good."""
        times = self._times()
        if times == self._loaded:
            return
        try:
            for context in self._contexts.values():
                self._load(context)
        except (OSError, ssl.SSLError) as error:
            log.warning("a new certificate is no good", why=str(error))
            return
        self._loaded = times
        log.info("new certificates are in use")

    def _context(self, protocol: int, services: Iterable[str]) -> ssl.SSLContext:
        context = ssl.SSLContext(protocol)
        context.check_hostname = False  # who somebody is stands in the SPIFFE id, checked below
        context.verify_mode = ssl.CERT_REQUIRED
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.sslobject_class = _demanding(
            frozenset(f"spiffe://{self.settings.trust_domain}/{service}" for service in services)
        )
        try:
            self._load(context)
        except (OSError, ssl.SSLError) as error:
            raise Invalid(f"mutual TLS: certificate, key or authority cannot be used: {error}") from error
        return context

    def _load(self, context: ssl.SSLContext) -> None:
        context.load_cert_chain(self.settings.certificate, self.settings.key)
        context.load_verify_locations(self.settings.authority)

    def _times(self) -> tuple[float, ...]:
        files = (self.settings.certificate, self.settings.key, self.settings.authority)
        return tuple(Path(file).stat().st_mtime if Path(file).exists() else 0.0 for file in files)


def spiffe_id(names: Iterable[tuple[str, str]]) -> str | None:
    """The id in a certificate's alternative names: its one URI; None where there is none or more than one."""
    uris = [value for kind, value in names if kind == "URI"]
    return uris[0] if len(uris) == 1 else None


def _demanding(wanted: frozenset[str]) -> type[ssl.SSLObject]:
    """A connection that fails its handshake unless the other side is one of `wanted`."""

    class Demanding(ssl.SSLObject):
        @override
        def do_handshake(self) -> None:
            super().do_handshake()
            shown = self.getpeercert() or {}
            names = shown.get("subjectAltName", ())
            found = spiffe_id((str(kind), str(value)) for kind, value in names)
            if found not in wanted:
                log.warning("not who was expected", shown=found, wanted=sorted(wanted))
                raise ssl.SSLCertVerificationError(f"the other side is {found}, not one of {sorted(wanted)}")

    return Demanding
