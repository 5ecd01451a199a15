"""From what a client shows to what services believe: a short-lived token, signed by us."""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from recoup.kit.clock import stopwatch
from recoup.kit.errors import Unauthenticated
from recoup.kit.tokens import Signer
from recoup.messages.access import Permission, Principal
from recoup.services.platform.access.actions import KeyRing
from recoup.services.platform.identity.actions import AccessTokens

REMEMBERED: Final = 10_000


class _Stamp(NamedTuple):
    principal: Principal
    token: str
    renew_at: float


@dataclass(slots=True)
class Identities:
    """Keeps each caller's internal token, made anew at half its life, so that services see the same one again."""

    ring: KeyRing
    tokens: AccessTokens
    signer: Signer
    _stamps: dict[str, _Stamp] = field(default_factory=dict)

    async def stamp(self, credential: str) -> str:
        """The internal token for a key or an access token; raises Unauthenticated."""
        principal = await self._principal(credential)
        stamp = self._stamps.get(credential)
        now = stopwatch()
        if stamp is None or stamp.renew_at < now or stamp.principal != principal:
            if len(self._stamps) >= REMEMBERED:
                self._stamps.clear()
            renew_at = now + self.signer.lifetime.total_seconds() / 2
            stamp = self._stamps[credential] = _Stamp(principal, self.signer.sign(principal), renew_at)
        return stamp.token

    async def store(self, credential: str, requested: str | None) -> str:
        """The store whose events a caller may send; raises Refused where there is none."""
        return (await self._principal(credential)).tenant(requested, Permission.EVENTS_WRITE)

    async def _principal(self, credential: str) -> Principal:
        if credential.startswith("rk_"):
            return await self.ring.principal(credential)
        if credential.startswith("v4.public."):
            return self.tokens.principal(credential)
        raise Unauthenticated("neither an API key nor an access token", code="token_invalid")
