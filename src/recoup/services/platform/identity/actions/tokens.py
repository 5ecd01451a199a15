"""Access tokens: signed by the present key, verified by every key in force, refused once their sign-in has ended."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from recoup.kit.clock import Clock
from recoup.kit.errors import Unauthenticated, Unavailable
from recoup.kit.telemetry import logger
from recoup.kit.tokens import Signer, Verifier, key_id, public_key
from recoup.messages.access import Principal, Role
from recoup.services.platform.identity import domain
from recoup.services.platform.identity.domain import Access, Session, SigningKey
from recoup.services.platform.identity.store.sessions import Sessions
from recoup.services.platform.identity.store.signing import SigningKeys

log = logger(__name__)
POLL_SECONDS: Final = 0.75
"""What ended, and a key that was distrusted, may open doors of other processes for so long."""
PRINCIPALS: Final = 10_000


@dataclass(slots=True)
class AccessTokens:
    """Signs and verifies access tokens; one of an ended sign-in is refused here at once, elsewhere within seconds."""

    keys: SigningKeys
    sessions: Sessions
    clock: Clock
    lifetime: timedelta
    _keys: Sequence[SigningKey] = ()
    _signers: dict[UUID, Signer] = field(default_factory=dict)
    _verifier: Verifier[Access] | None = None
    _ended: dict[str, datetime] = field(default_factory=dict)
    _principals: dict[str, Principal] = field(default_factory=dict)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    """Set, and replaced by another, when some sign-in has ended or some key was distrusted."""
    _distrusted: set[str] = field(default_factory=set)
    """Ids of keys that were taken away while tokens of theirs might have been good."""
    _learning: asyncio.Lock = field(default_factory=asyncio.Lock)
    """So that nobody who asked earlier brings back what others have learned since."""

    async def open(self) -> None:
        """Loads the keys; before that no token is made or taken."""
        await self.learn_keys()
        await self.learn_ended()

    def sign(self, session: Session, roles: Mapping[str, Role]) -> str:
        key = domain.signing(self._keys, self.clock.now())
        if key is None:
            raise Unavailable("no signing key is loaded yet")
        return self._signers[key.id].sign(
            Access(user_id=str(session.user_id), session_id=str(session.id), roles=dict(roles))
        )

    def principal(self, token: str) -> Principal:
        """Who bears the token; raises Unauthenticated."""
        if self._verifier is None:
            raise Unavailable("no signing key is loaded yet")
        access = self._verifier.verify(token)
        if access.session_id in self._ended:
            raise Unauthenticated("this sign-in has ended", code="session_ended")
        found = self._principals.get(token)
        if found is None:
            if len(self._principals) >= PRINCIPALS:
                self._principals.clear()
            found = self._principals[token] = domain.principal(access)
        return found

    def in_force(self) -> Sequence[SigningKey]:
        """The keys whose tokens are taken, the next one too."""
        return self._keys

    def end(self, session_ids: Iterable[UUID]) -> None:
        """Known here from now on; other processes learn it."""
        now = self.clock.now()
        self._ended.update((str(session_id), now) for session_id in session_ids)
        self._tell()

    async def until_over(self, token: str) -> None:
        """Waits until the token's sign-in has ended or its key is distrusted; what is open by it should be closed."""
        try:
            session, kid = self.principal(token).session, key_id(token)
        except Unauthenticated:
            return
        while session not in self._ended and kid not in self._distrusted:
            await self._news.wait()

    async def learn_ended(self) -> None:
        """Takes over who signed out on other instances; older ends concern only tokens that have expired."""
        horizon = self.clock.now() - self.lifetime - domain.SKEW
        known = await self.sessions.ended_since(horizon)
        is_news = bool(known.keys() - self._ended.keys())
        # Merged, not replaced: what ended here while the database was asked is not in its answer.
        self._ended = {session: at for session, at in {**self._ended, **known}.items() if at >= horizon}
        if is_news:
            self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def learn_keys(self) -> None:
        """Takes over the keys of all instances: they are there long before they sign."""
        async with self._learning:
            now = self.clock.now()
            keys = domain.trusted(await self.keys.all(now), now, self.lifetime)
            if [key.id for key in keys] != [key.id for key in self._keys]:
                self._take(keys, now)

    def _take(self, keys: Sequence[SigningKey], now: datetime) -> None:
        left = {key.id for key in keys}
        gone = [key for key in domain.trusted(self._keys, now, self.lifetime) if key.id not in left]
        self._signers = {key.id: Signer(key.seed, self.clock, self.lifetime) for key in keys}
        if self._verifier is None:
            self._verifier = Verifier(keys[0].seed, Access, self.clock)
        self._verifier.trust(key.seed for key in keys)
        self._keys = keys
        log.info("keys of access tokens are in force", keys=len(keys), distrusted=len(gone))
        if gone:
            self._distrusted.update(public_key(key.seed).kid for key in gone)
            self._tell()

    async def watch(self) -> None:
        """The same again and again, for ever. While the database is away nobody can sign out either."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                await self.learn_keys()
                await self.learn_ended()
            except Unavailable:
                continue
