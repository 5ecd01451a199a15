"""From what a client shows to what services believe: a short-lived token, signed by us. And the routes in force."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from recoup.kit.clock import stopwatch
from recoup.kit.discovery import changes
from recoup.kit.errors import Failure, Unauthenticated, Unavailable
from recoup.kit.telemetry import logger
from recoup.kit.tokens import Signer
from recoup.messages.access import Permission, Principal
from recoup.services.platform.access.actions import KeyRing
from recoup.services.platform.gateway import domain
from recoup.services.platform.identity.actions.tokens import AccessTokens

log = logger(__name__)
LOOK_SECONDS: Final = 1.0
REMEMBERED: Final = 10_000
PAGES_SECONDS: Final = 5.0
"""How long after a change preflights go by what stores allowed before."""
PAGES_PATIENCE_SECONDS: Final = 0.5
"""How long one request in `PAGES_SECONDS` waits for what they allow now."""


class Stamp(NamedTuple):
    """Who a credential stands for, in our services' own words."""

    principal: Principal
    token: str
    renew_at: float
    requests_per_minute: int | None
    """A key's own limit."""


@dataclass(slots=True)
class Identities:
    """Keeps each caller's internal token, made anew at half its life, so that services see the same one again."""

    ring: KeyRing
    tokens: AccessTokens
    signer: Signer
    _stamps: dict[str, Stamp] = field(default_factory=dict)

    async def stamp(self, credential: str, origin: str | None) -> Stamp:
        """The internal token for a key or an access token; raises Unauthenticated, or Forbidden for a page's origin."""
        principal, per_minute = await self._principal(credential, origin)
        stamp = self._stamps.get(credential)
        now = stopwatch()
        if stamp is None or stamp.renew_at < now or stamp.principal != principal:
            if len(self._stamps) >= REMEMBERED:
                self._stamps.clear()
            renew_at = now + self.signer.lifetime.total_seconds() / 2
            stamp = self._stamps[credential] = Stamp(principal, self.signer.sign(principal), renew_at, per_minute)
        return stamp

    async def until_over(self, credential: str, origin: str | None) -> None:
        """Waits until a key may not be used any more, or a person's sign-in has ended; for anybody else for ever."""
        if credential.startswith("rk_"):
            await self.ring.until_over(credential, origin)
        elif credential.startswith("v4.public."):
            await self.tokens.until_over(credential)
        else:
            await asyncio.Event().wait()

    async def store(self, credential: str, requested: str | None, origin: str | None) -> str:
        """The store whose events a caller may send; raises Refused where there is none."""
        return (await self._principal(credential, origin))[0].tenant(requested, Permission.EVENTS_WRITE)

    async def _principal(self, credential: str, origin: str | None) -> tuple[Principal, int | None]:
        if credential.startswith("rk_"):
            principal, key = await self.ring.principal(credential, origin)
            return principal, key.requests_per_minute
        if credential.startswith("v4.public."):
            return self.tokens.principal(credential), None
        raise Unauthenticated("neither an API key nor an access token", code="token_invalid")


@dataclass(slots=True)
class Edge:
    """What every answer carries, and what browsers are told of pages that may read it.

    `pages` gives the lists of pages that stores allow. Which page may use which key is for the key ring to say; a
    browser asks before it sends the key, so that it is told whether any store allows the page.
    """

    pages: Callable[[], Awaitable[Sequence[Sequence[str]]]]
    is_secure: bool
    _lists: Sequence[Sequence[str]] = ((),)
    _asked_at: float = float("-inf")
    _asking: asyncio.Task[None] | None = None

    async def cors(self, origin: str | None) -> Sequence[tuple[bytes, bytes]]:
        """The headers that let a page of this origin read an answer; none where no store allows it."""
        now = stopwatch()
        if now - self._asked_at > PAGES_SECONDS:
            self._asked_at = now
            # A database that does not answer must not hold up the request that happens to ask.
            if self._asking is None or self._asking.done():
                self._asking = asyncio.create_task(self._ask())
                done, _ = await asyncio.wait((self._asking,), timeout=PAGES_PATIENCE_SECONDS)
                for each in done:
                    each.result()
        return domain.cors(self._lists, origin)

    async def _ask(self) -> None:
        try:
            self._lists = await self.pages()
        except Unavailable as error:
            log.warning("the pages that stores allow are those of before", why=error.detail)


@dataclass(slots=True)
class Routes:
    """The table in force: the built-in one, and what a file lays over it, read again whenever it changes."""

    file: Path | None
    services: Collection[str]
    table: Mapping[str, str] = field(default_factory=lambda: domain.PEERS)
    fault: str = ""
    """Why the table is an older one; empty while it is not."""

    async def watch(self) -> None:
        """For ever; what makes no sense leaves the last good table in force."""
        if self.file is None:
            return
        while True:
            try:
                async for changed in changes(self.file, dict[str, str], LOOK_SECONDS):
                    self.table = domain.laid_over(changed, self.services)
                    self.fault = ""
                    log.info("routes are in force", file=str(self.file), changed=changed)
            except Failure as failure:
                if failure.detail != self.fault:
                    log.warning("routes are those of before", why=failure.detail)
                self.fault = failure.detail
            await asyncio.sleep(LOOK_SECONDS)
