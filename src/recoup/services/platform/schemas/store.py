"""Tables `schema_texts`, `schema_versions`, `schema_settings` and `schema_revisions`.

Every change goes through the row of the store's revision, so that changes of one store take turns and each is seen by
the next.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct

from recoup.kit.ids import derived_id
from recoup.kit.postgres import Postgres, Session
from recoup.messages.schemas import OnViolation
from recoup.services.platform.audit.domain import Action, Actor
from recoup.services.platform.audit.store import AuditLog
from recoup.services.platform.schemas.domain import (
    WHOLE_STORE,
    Compatibility,
    Migration,
    Mode,
    NewSchema,
    Settings,
    Standing,
    Version,
)

VERSIONS: Final = (
    "select v.subject, v.version, t.id, t.guid, t.format, t.text, t.refs as references, t.extras, t.fingerprint,"
    " v.created_at, v.created_by, v.deleted_at"
    " from schema_versions v join schema_texts t on t.id = v.schema_id and t.store_id = v.store_id"
    " where v.store_id = $1"
)


class Use(Struct, frozen=True):
    """Where a schema is registered."""

    subject: str
    version: int


class Compiled(Struct, frozen=True):
    """What the compiler made of a Protobuf schema."""

    id: int
    compiled: bytes


class Set(Struct, frozen=True):
    """What is set for one subject."""

    subject: str
    compatibility: Compatibility | None
    mode: Mode | None
    on_violation: OnViolation | None


class Made(Struct, frozen=True, kw_only=True):
    """A schema that was read and found good, ready to be kept."""

    new: NewSchema
    fingerprint: bytes
    compiled: bytes | None


@dataclass(frozen=True, slots=True)
class Schemas:
    """All schemas of all stores; each sees its own."""

    db: Postgres
    audit: AuditLog

    async def revision(self, store_id: str) -> int:
        """How often this store's schemas have changed."""
        found = await self.db.find(int, "select revision from schema_revisions where store_id = $1", store_id)
        return found or 0

    async def standing(self, store_id: str, subject: str) -> Standing:
        """All that decides about a new version of a subject."""
        async with self.db.transaction() as session:
            revision = await session.find(int, "select revision from schema_revisions where store_id = $1", store_id)
            versions = await session.rows(
                Version, VERSIONS + " and v.subject = $2 order by v.version", store_id, subject
            )
            return Standing(
                revision=revision or 0,
                versions=versions,
                subject=await _settings(session, store_id, subject),
                store=await _settings(session, store_id, WHOLE_STORE),
            )

    async def subjects(self, store_id: str, prefix: str, after: str, limit: int, *, deleted: bool) -> Sequence[str]:
        """Names of subjects in order; with `deleted`, also of those that have no version left in use."""
        return await self.db.rows(
            str,
            "select distinct subject from schema_versions where store_id = $1 and starts_with(subject, $2)"
            " and subject > $3 and ($4 or deleted_at is null) order by subject limit $5",
            store_id, prefix, after, deleted, limit,
        )  # fmt: skip

    async def count(self, store_id: str) -> int:
        """How many subjects there are."""
        return await self.db.row(
            int, "select count(distinct subject) from schema_versions where store_id = $1", store_id
        )

    async def versions(self, store_id: str, subjects: Sequence[str]) -> Sequence[Version]:
        """Every version of these subjects, deleted ones too."""
        return await self.db.rows(
            Version, VERSIONS + " and v.subject = any($2) order by v.subject, v.version", store_id, list(subjects)
        )

    async def active(self, store_id: str) -> Sequence[Version]:
        """Every version in use."""
        return await self.db.rows(
            Version, VERSIONS + " and v.deleted_at is null order by v.subject, v.version", store_id
        )

    async def with_id(self, store_id: str, schema_id: int) -> Sequence[Version]:
        """Every version that is this schema."""
        return await self.db.rows(
            Version, VERSIONS + " and t.id = $2 order by v.subject, v.version", store_id, schema_id
        )

    async def with_guid(self, store_id: str, guid: UUID) -> Sequence[Version]:
        """The same, by the schema's other name."""
        return await self.db.rows(Version, VERSIONS + " and t.guid = $2 order by v.subject, v.version", store_id, guid)

    async def compiled(self, store_id: str, schema_ids: Sequence[int]) -> dict[int, bytes]:
        """What the compiler made of them."""
        rows = await self.db.rows(
            Compiled,
            "select id, compiled from schema_texts where store_id = $1 and id = any($2) and compiled is not null",
            store_id, list(schema_ids),
        )  # fmt: skip
        return {row.id: row.compiled for row in rows}

    async def referring(self, store_id: str, subject: str, version: int) -> Sequence[int]:
        """The ids of schemas in use that refer to a version."""
        async with self.db.transaction() as session:
            return await _referring(session, store_id, subject, [version])

    async def settings(self, store_id: str, subject: str) -> Settings:
        """What is set for a subject, or for the store as a whole."""
        async with self.db.transaction() as session:
            return await _settings(session, store_id, subject)

    async def settings_of(self, store_id: str, subjects: Sequence[str]) -> dict[str, Settings]:
        """What is set for each of these that has something set."""
        rows = await self.db.rows(
            Set,
            "select subject, compatibility, mode, on_violation from schema_settings"
            " where store_id = $1 and subject = any($2)",
            store_id, list(subjects),
        )  # fmt: skip
        return {
            row.subject: Settings(compatibility=row.compatibility, mode=row.mode, on_violation=row.on_violation)
            for row in rows
        }

    async def configure(self, store_id: str, subject: str, settings: Settings, actor: Actor, now: datetime) -> None:
        """Sets all; what is None comes from above again."""
        async with self.db.transaction() as session:
            await _change(session, store_id)
            await session.execute(
                "insert into schema_settings (store_id, subject, compatibility, mode, on_violation)"
                " values ($1, $2, $3, $4, $5)"
                " on conflict (store_id, subject) do update set compatibility = $3, mode = $4, on_violation = $5",
                store_id, subject, settings.compatibility, settings.mode, settings.on_violation,
            )  # fmt: skip
            detail = {name: str(getattr(settings, name) or "") for name in settings.__struct_fields__}
            await self.audit.add(session, store_id, now, actor, "schema_settings_changed", subject or store_id, detail)

    async def migrations(self, store_id: str, subject: str | None = None) -> Sequence[Migration]:
        """How versions are raised, of one subject or of all."""
        return await self.db.rows(
            Migration,
            "select subject, from_version, steps, created_at, created_by from schema_migrations"
            " where store_id = $1 and ($2::text is null or subject = $2) order by subject, from_version",
            store_id, subject,
        )  # fmt: skip

    async def set_migration(self, store_id: str, migration: Migration, actor: Actor) -> Migration:
        """Sets one, or sets it anew."""
        subject, version, now = migration.subject, migration.from_version, migration.created_at
        async with self.db.transaction() as session:
            await _change(session, store_id)
            await session.execute(
                "insert into schema_migrations (store_id, subject, from_version, steps, created_at, created_by)"
                " values ($1, $2, $3, $4, $5, $6) on conflict (store_id, subject, from_version)"
                " do update set steps = $4, created_at = $5, created_by = $6",
                store_id, subject, version, migration.steps, now, migration.created_by,
            )  # fmt: skip
            await self._log(session, store_id, now, actor, "schema_migration_set", subject, version)
        return migration

    async def remove_migration(self, store_id: str, subject: str, version: int, actor: Actor, now: datetime) -> bool:
        """Whether there was one to remove."""
        async with self.db.transaction() as session:
            gone = await session.find(
                int,
                "delete from schema_migrations where store_id = $1 and subject = $2 and from_version = $3"
                " returning from_version",
                store_id, subject, version,
            )  # fmt: skip
            if gone is None:
                return False
            await _change(session, store_id)
            await self._log(session, store_id, now, actor, "schema_migration_removed", subject, version)
            return True

    async def add(
        self, store_id: str, subject: str, made: Made, standing: Standing, actor: Actor, now: datetime
    ) -> Version | None:  # fmt: skip
        """The next version, if nothing has changed since `standing`; None if something has."""
        async with self.db.transaction() as session:
            if await _change(session, store_id) != standing.revision + 1:
                await session.execute(
                    "update schema_revisions set revision = revision - 1 where store_id = $1", store_id
                )
                return None
            schema_id = await _keep(session, store_id, made, now)
            version = max((known.version for known in standing.versions), default=0) + 1
            await session.execute(
                "insert into schema_versions (store_id, subject, version, schema_id, created_at, created_by)"
                " values ($1, $2, $3, $4, $5, $6)",
                store_id, subject, version, schema_id, now, actor.subject,
            )  # fmt: skip
            await self._log(session, store_id, now, actor, "schema_registered", subject, version)
            return await session.row(
                Version, VERSIONS + " and v.subject = $2 and v.version = $3", store_id, subject, version
            )

    async def delete(
        self, store_id: str, subject: str, versions: Sequence[int], actor: Actor, now: datetime
    ) -> Sequence[int]:  # fmt: skip
        """Takes versions out of use, unless schemas in use refer to them: then those, and nothing is changed."""
        async with self.db.transaction() as session:
            await _change(session, store_id)
            if referring := await _referring(session, store_id, subject, versions):
                return referring
            await session.execute(
                "update schema_versions set deleted_at = $4"
                " where store_id = $1 and subject = $2 and version = any($3) and deleted_at is null",
                store_id, subject, list(versions), now,
            )  # fmt: skip
            for version in versions:
                await self._log(session, store_id, now, actor, "schema_deleted", subject, version)
            return []

    async def purge(
        self, store_id: str, subject: str, versions: Sequence[int], actor: Actor, now: datetime
    ) -> Sequence[int]:  # fmt: skip
        """Removes deleted versions for good, and texts that are nowhere registered any more; refers as `delete`."""
        async with self.db.transaction() as session:
            await _change(session, store_id)
            if referring := await _referring(session, store_id, subject, versions):
                return referring
            await session.execute(
                "delete from schema_versions"
                " where store_id = $1 and subject = $2 and version = any($3) and deleted_at is not null",
                store_id, subject, list(versions),
            )  # fmt: skip
            await session.execute(
                "delete from schema_migrations where store_id = $1 and subject = $2 and from_version = any($3)",
                store_id, subject, list(versions),
            )  # fmt: skip
            await session.execute(
                "delete from schema_texts t where t.store_id = $1"
                " and not exists (select from schema_versions v where v.schema_id = t.id)",
                store_id,
            )
            for version in versions:
                await self._log(session, store_id, now, actor, "schema_purged", subject, version)
            return []

    async def _log(  # noqa: PLR0913, PLR0917 - a line of an audit trail has these
        self, session: Session, store_id: str, now: datetime, actor: Actor, action: Action, subject: str, version: int
    ) -> None:  # fmt: skip
        await self.audit.add(session, store_id, now, actor, action, subject, {"version": version})


async def _change(session: Session, store_id: str) -> int:
    """The next revision; whoever changes this store's schemas too waits for us here."""
    return await session.row(
        int,
        "insert into schema_revisions (store_id, revision) values ($1, 1)"
        " on conflict (store_id) do update set revision = schema_revisions.revision + 1 returning revision",
        store_id,
    )


async def _settings(session: Session, store_id: str, subject: str) -> Settings:
    found = await session.find(
        Settings,
        "select compatibility, mode, on_violation from schema_settings where store_id = $1 and subject = $2",
        store_id, subject,
    )  # fmt: skip
    return found or Settings()


async def _keep(session: Session, store_id: str, made: Made, now: datetime) -> int:
    """The id of a text: the one it has, or a new one."""
    known = await session.find(
        int, "select id from schema_texts where store_id = $1 and fingerprint = $2", store_id, made.fingerprint
    )
    if known is not None:
        return known
    return await session.row(
        int,
        "insert into schema_texts (store_id, guid, fingerprint, format, text, refs, extras, compiled, created_at)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8, $9) returning id",
        store_id, derived_id("schema", store_id, made.fingerprint.hex()), made.fingerprint, made.new.format,
        made.new.text, made.new.references, made.new.extras, made.compiled, now,
    )  # fmt: skip


async def _referring(session: Session, store_id: str, subject: str, versions: Sequence[int]) -> Sequence[int]:
    places = [[{"subject": subject, "version": version}] for version in versions]
    return await session.rows(
        int,
        "select distinct t.id from schema_texts t join schema_versions v on v.schema_id = t.id"
        " where t.store_id = $1 and v.deleted_at is null"
        " and exists (select from jsonb_array_elements($2::jsonb) place where t.refs @> place)"
        " and not (v.subject = $3 and v.version = any($4)) order by t.id",
        store_id, places, subject, list(versions),
    )  # fmt: skip
