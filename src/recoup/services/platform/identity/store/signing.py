"""The table `signing_keys`: the seeds stand there sealed, and whoever has the database alone can sign nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct

from recoup.kit.config import new_secret
from recoup.kit.errors import Missing, Unavailable
from recoup.kit.ids import new_id
from recoup.kit.postgres import Postgres
from recoup.kit.postgres import Session as Transaction
from recoup.kit.sealing import Sealer
from recoup.kit.telemetry import logger
from recoup.services.platform.audit.domain import Actor
from recoup.services.platform.audit.store import AuditLog
from recoup.services.platform.identity import domain
from recoup.services.platform.identity.domain import SigningKey

log = logger(__name__)
_LOCK: Final = "select pg_advisory_xact_lock(hashtext('recoup-signing-key'))"


class _Row(Struct, frozen=True):
    id: UUID
    sealed: bytes
    signs_from: datetime


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """The keys of access tokens, one after the other."""

    db: Postgres
    audit: AuditLog
    sealer: Sealer
    lead: timedelta
    """How long a key is known and published before it signs."""

    async def all(self, now: datetime) -> Sequence[SigningKey]:
        """Every key that can be opened; makes one where none signs."""
        async with self.db.transaction() as session:
            keys = await self._read(session)
        return keys if domain.signing(keys, now) else await self._begin(now)

    async def rotate(self, now: datetime, lifetime: timedelta) -> SigningKey:
        """The key that signs next: one that waits already, or a new one. Forgets keys that nobody trusts any more."""
        async with self.db.transaction() as session:
            await session.execute(_LOCK)
            keys = await self._read(session)
            waiting = [key for key in keys if key.signs_from > now]
            if waiting:
                return waiting[0]
            kept = {key.id for key in domain.trusted(keys, now, lifetime)}
            await session.execute("delete from signing_keys where id <> all($1::uuid[])", list(kept))
            return await self._add(session, now, now + self.lead)

    async def has_store_besides(self, stores: Sequence[str]) -> bool:
        """Whether there is any store but these."""
        return bool(await self.db.rows(str, "select id from stores where id <> all($1) limit 1", list(stores)))

    async def distrust(self, key: UUID, kid: str, actor: Actor, now: datetime) -> None:
        """Deletes a key whatever it has signed; raises Missing where it is gone already.

        It concerns everybody who signs in here, so that it stands in every store's trail.
        """
        async with self.db.transaction() as session:
            if await session.execute("delete from signing_keys where id = $1", key) == 0:
                raise Missing(f"no key {kid} is trusted")
            for store_id in await session.rows(str, "select id from stores order by id"):
                await self.audit.add(session, store_id, now, actor, "signing_key_distrusted", kid)

    async def _begin(self, now: datetime) -> Sequence[SigningKey]:
        async with self.db.transaction() as session:
            await session.execute(_LOCK)
            keys = await self._read(session)
            return keys if domain.signing(keys, now) else [*keys, await self._add(session, now, now)]

    async def _read(self, session: Transaction) -> Sequence[SigningKey]:
        rows = await session.rows(_Row, "select id, sealed, signs_from from signing_keys order by signs_from, id")
        return [key for row in rows if (key := self._opened(row)) is not None]

    def _opened(self, row: _Row) -> SigningKey | None:
        try:
            seed = self.sealer.open(row.sealed, str(row.id))
        except Unavailable:
            log.warning("a signing key was sealed with another key of the installation", key=str(row.id))
            return None
        return SigningKey(id=row.id, seed=seed, signs_from=row.signs_from)

    async def _add(self, session: Transaction, now: datetime, signs_from: datetime) -> SigningKey:
        key = SigningKey(id=new_id(), seed=new_secret(), signs_from=signs_from)
        await session.execute(
            "insert into signing_keys (id, sealed, created_at, signs_from) values ($1, $2, $3, $4)",
            key.id, self.sealer.seal(key.seed, str(key.id)), now, key.signs_from,
        )  # fmt: skip
        return key
