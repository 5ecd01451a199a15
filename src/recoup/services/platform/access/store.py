"""The table `api_keys`.

Keys are kept as plain SHA-256. A slow hash protects what people choose; 256 random bits can't be guessed from a digest,
however fast that is computed, and the gateway must look a key up by it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final
from uuid import UUID

from recoup.kit.errors import Missing
from recoup.kit.postgres import Postgres, Session
from recoup.services.platform.access.domain import ApiKey
from recoup.services.platform.audit.domain import Actor
from recoup.services.platform.audit.store import AuditLog

_KEY: Final = (
    "select id, store_id, kind, name, prefix, created_at, scopes, allowed_origins, expires_at, requests_per_minute,"
    " last_used_at, revoked_at, replaced_by from api_keys"
)


def digest(key: str) -> bytes:
    """By which a key is found."""
    return sha256(key.encode()).digest()


@dataclass(frozen=True, slots=True)
class Keys:
    """All API keys."""

    db: Postgres
    audit: AuditLog

    async def make(self, made: ApiKey, key: str, actor: Actor) -> None:
        async with self.db.transaction() as session:
            await self.add(session, made, key, actor)

    async def add(self, session: Session, made: ApiKey, key: str, actor: Actor) -> None:
        """The same, inside a transaction that does more."""
        await session.execute(
            "insert into api_keys (id, store_id, kind, name, prefix, digest, created_at, created_by, scopes,"
            " allowed_origins, expires_at, requests_per_minute)"
            " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            made.id, made.store_id, made.kind, made.name, made.prefix, digest(key), made.created_at, actor.subject,
            list(made.scopes), list(made.allowed_origins), made.expires_at, made.requests_per_minute,
        )  # fmt: skip
        detail = {"kind": made.kind, "name": made.name, "prefix": made.prefix, "scopes": " ".join(made.scopes)}
        await self.audit.add(session, made.store_id, made.created_at, actor, "key_made", str(made.id), detail)

    async def rotate(self, old: ApiKey, made: ApiKey, key: str, actor: Actor, until: datetime) -> None:
        """Adds the next key; the old one expires then. Raises Missing where it is not in force any more."""
        async with self.db.transaction() as session:
            await self.add(session, made, key, actor)
            touched = await session.execute(
                "update api_keys set expires_at = least(expires_at, $3), replaced_by = $4,"
                " changed_at = clock_timestamp() where store_id = $1 and id = $2 and revoked_at is null"
                " and replaced_by is null",
                old.store_id, old.id, until, made.id,
            )  # fmt: skip
            if touched == 0:
                raise Missing(f"no key {old.id} that can be rotated")
            detail = {"into": str(made.id), "until": until.isoformat()}
            await self.audit.add(session, old.store_id, made.created_at, actor, "key_rotated", str(old.id), detail)

    async def find(self, key_digest: bytes) -> ApiKey | None:
        """A key, in force or not. The one look-up without a store: which store it is for is what it answers."""
        return await self.db.find(ApiKey, f"{_KEY} where digest = $1", key_digest)

    async def in_store(self, store_id: str, key_id: UUID) -> ApiKey:
        """A key by its id; raises Missing where the store has none such in force."""
        found = await self.db.find(
            ApiKey, f"{_KEY} where store_id = $1 and id = $2 and revoked_at is null", store_id, key_id
        )
        if found is None:
            raise Missing(f"no key {key_id} in force")
        return found

    async def changed_within(self, past: timedelta) -> Sequence[bytes]:
        """Digests of keys that were made, revoked or rotated lately, by the database's own clock."""
        return await self.db.rows(
            bytes, "select digest from api_keys where changed_at > clock_timestamp() - $1::interval", past
        )

    async def secret_digests(self, store_id: str, now: datetime) -> Sequence[bytes]:
        """Of the secret keys in force: by what their shop can prove things to us."""
        return await self.db.rows(
            bytes,
            "select digest from api_keys where store_id = $1 and kind = 'secret_key' and revoked_at is null"
            " and (expires_at is null or expires_at > $2)",
            store_id, now,
        )  # fmt: skip

    async def page(self, store_id: str, before: UUID | None, limit: int) -> Sequence[ApiKey]:
        """Newest first, revoked ones too."""
        return await self.db.rows(
            ApiKey,
            f"{_KEY} where store_id = $1 and ($2::uuid is null or id < $2) order by id desc limit $3",
            store_id, before, limit,
        )  # fmt: skip

    async def revoke(self, store_id: str, key_id: UUID, actor: Actor, now: datetime) -> None:
        """From now on it opens nothing; raises Missing where the store has no such key in force."""
        async with self.db.transaction() as session:
            touched = await session.execute(
                "update api_keys set revoked_at = $3, changed_at = clock_timestamp()"
                " where store_id = $1 and id = $2 and revoked_at is null",
                store_id, key_id, now,
            )  # fmt: skip
            if touched == 0:
                raise Missing(f"no key {key_id} in force")
            await self.audit.add(session, store_id, now, actor, "key_revoked", str(key_id))

    async def note_uses(self, uses: Mapping[UUID, datetime]) -> None:
        """When each key was last used."""
        await self.db.execute(
            "update api_keys set last_used_at = greatest(last_used_at, used.at)"
            " from unnest($1::uuid[], $2::timestamptz[]) as used (id, at) where api_keys.id = used.id",
            list(uses), list(uses.values()),
        )  # fmt: skip
