"""The keys that sign access tokens: what the world may know of them, one after the other, and the end of a bad one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from msgspec import Struct

from recoup.kit.clock import Clock
from recoup.kit.errors import Forbidden, Missing
from recoup.kit.tokens import public_key
from recoup.messages.access import Permission, Principal
from recoup.services.platform.audit.domain import Actor
from recoup.services.platform.identity import domain
from recoup.services.platform.identity.actions.tokens import AccessTokens
from recoup.services.platform.identity.domain import SigningKey
from recoup.services.platform.identity.store.signing import SigningKeys


class PublishedKey(Struct, frozen=True, kw_only=True):
    """A key that verifies access tokens."""

    kid: str
    """As it stands in a token's footer: the key's PASERK id, `k4.pid.…`."""
    paserk: str
    """The key itself, `k4.public.…`."""
    signs_from: datetime
    trusted_until: datetime | None
    """Null as long as no other key follows."""


class PublishedKeys(Struct, frozen=True, kw_only=True):
    """All that count now, and the one that comes next."""

    version: str = "v4"
    purpose: str = "public"
    keys: Sequence[PublishedKey]


@dataclass(frozen=True, slots=True)
class KeyChange:
    """Shows, rotates and distrusts."""

    keys: SigningKeys
    tokens: AccessTokens
    clock: Clock

    def published(self) -> PublishedKeys:
        known = self.tokens.in_force()
        return PublishedKeys(keys=[self._shown(key, known) for key in known])

    async def rotate(self) -> str:
        """Lets another key follow; says which and from when on. Nobody is signed out."""
        key = await self.keys.rotate(self.clock.now(), self.tokens.lifetime)
        await self.tokens.learn_keys()
        return f"key {public_key(key.seed).kid} signs from {key.signs_from:%Y-%m-%d %H:%M:%S} UTC on"

    async def distrust(self, kid: str, caller: Principal, actor: Actor) -> PublishedKeys:
        """Makes all access tokens a key has signed worthless; refresh tokens stay good.

        It concerns every store: raises Forbidden for who may not do it in all of them. Raises Missing.
        """
        allowed = [store for store, granted in caller.stores.items() if Permission.SIGNING_WRITE in granted]
        if await self.keys.has_store_besides(allowed):
            raise Forbidden("a signing key is every store's: this needs an owner of all of them")
        known = [key for key in self.tokens.in_force() if public_key(key.seed).kid == kid]
        if not known:
            raise Missing(f"no key {kid} is trusted")
        await self.keys.distrust(known[0].id, kid, actor, self.clock.now())
        await self.tokens.learn_keys()
        return self.published()

    def _shown(self, key: SigningKey, known: Sequence[SigningKey]) -> PublishedKey:
        public = public_key(key.seed)
        until = domain.trusted_until(known, key, self.tokens.lifetime)
        return PublishedKey(kid=public.kid, paserk=public.paserk, signs_from=key.signs_from, trusted_until=until)
