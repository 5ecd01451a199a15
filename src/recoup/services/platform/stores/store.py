"""Tables `stores`, `store_settings` and `memberships`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from recoup.kit.errors import Missing, Stale
from recoup.kit.ids import new_id
from recoup.kit.postgres import Postgres, Session
from recoup.messages.access import Role
from recoup.messages.stores import StoreConfigured, StoreSettings
from recoup.services.platform.audit.domain import Actor
from recoup.services.platform.audit.store import AuditLog
from recoup.services.platform.stores.domain import Store, Written

CURRENT = (
    "select current.*, coalesce(changes.revision, 0) as schemas, coalesce(switches.revision, 0) as flags_revision,"
    " coalesce((select jsonb_object_agg(key, definition) from feature_flags"
    " where feature_flags.store_id = current.store_id), '{}') as flags"
    " from (select distinct on (store_id) store_id, version, settings from store_settings"
    " where $1::text is null or store_id = $1 order by store_id, version desc) current"
    " left join schema_revisions changes using (store_id) left join flag_revisions switches using (store_id)"
)


ORIGINS = (
    "select distinct coalesce(settings -> 'allowed_origins', '[]'::jsonb) as origins from"
    " (select distinct on (store_id) settings from store_settings order by store_id, version desc) as current"
)


class _Allowed(Struct, frozen=True):
    origins: list[str]


@dataclass(frozen=True, slots=True)
class Stores:
    """All that is known of stores."""

    db: Postgres
    audit: AuditLog

    async def configured(self, store_id: str) -> StoreConfigured:
        """A store's settings as they are now; raises Missing."""
        found = await self.db.find(StoreConfigured, CURRENT, store_id)
        if found is None:
            raise Missing(f"no store {store_id!r}")
        return found

    async def history(self, store_id: str, before: int | None, limit: int) -> Sequence[Written]:
        """Versions of a store's settings, newest first, with one more than asked for, to compare with."""
        return await self.db.rows(
            Written,
            "select version, settings, created_at as at, created_by as by from store_settings where store_id = $1"
            " and ($2::int is null or version < $2) order by version desc limit $3",
            store_id, before, limit + 1,
        )  # fmt: skip

    async def written(self, store_id: str, version: int) -> Written:
        """One version; raises Missing."""
        found = await self.history(store_id, version + 1, 0)
        if not found or found[0].version != version:
            raise Missing(f"there is no version {version} of these settings")
        return found[0]

    async def all_configured(self) -> Sequence[StoreConfigured]:
        """Every store of the installation, for our own services."""
        return await self.db.rows(StoreConfigured, CURRENT, None)

    async def allowed_origins(self) -> Sequence[Sequence[str]]:
        """Every list of pages that some store allows; an empty one where there is a store that allows any."""
        found = await self.db.rows(_Allowed, ORIGINS)
        return [each.origins for each in found]

    async def among(self, store_ids: Sequence[str]) -> Sequence[Store]:
        """Those of the named stores that there are, oldest first."""
        return await self.db.rows(
            Store, "select id as store_id, name, created_at from stores where id = any($1) order by id", list(store_ids)
        )

    async def make(self, name: str, settings: StoreSettings, owner: UUID, actor: Actor, now: datetime) -> Store:
        """A new store with its first settings and its owner."""
        async with self.db.transaction() as session:
            return await self.add(session, name, settings, owner, actor, now)

    async def add(
        self, session: Session, name: str, settings: StoreSettings, owner: UUID, actor: Actor, now: datetime
    ) -> Store:
        """The same, inside a transaction that does more."""
        store = Store(store_id=str(new_id()), name=name, created_at=now)
        await session.execute(
            "insert into stores (id, name, created_at) values ($1, $2, $3)", store.store_id, name, now
        )
        await session.execute(
            "insert into memberships (store_id, user_id, role, created_at) values ($1, $2, $3, $4)",
            store.store_id, owner, Role.OWNER, now,
        )  # fmt: skip
        await self._write(session, StoreConfigured(store_id=store.store_id, version=1, settings=settings), actor, now)
        await self.audit.add(session, store.store_id, now, actor, "store_made", store.store_id, {"name": name})
        return store

    async def rename(self, store_id: str, name: str, actor: Actor, now: datetime) -> Store:
        """Another name for a store; raises Missing."""
        async with self.db.transaction() as session:
            store = await session.find(
                Store,
                "update stores set name = $2 where id = $1 returning id as store_id, name, created_at",
                store_id, name,
            )  # fmt: skip
            if store is None:
                raise Missing(f"no store {store_id!r}")
            await self.audit.add(session, store_id, now, actor, "store_renamed", store_id, {"name": name})
            return store

    async def configure(
        self, store_id: str, settings: StoreSettings, expected: int | None, actor: Actor, now: datetime
    ) -> StoreConfigured:
        """Makes the next version; raises Stale when `expected` is given and is not the current one."""
        async with self.db.transaction() as session:
            # The store's row is the queue in which writers of its settings wait.
            await session.row(str, "select id from stores where id = $1 for update", store_id)
            version = await session.row(
                int, "select coalesce(max(version), 0) from store_settings where store_id = $1", store_id
            )
            if expected is not None and version != expected:
                raise Stale(f"the settings are at version {version}, not {expected}: read them again")
            made = StoreConfigured(store_id=store_id, version=version + 1, settings=settings)
            await self._write(session, made, actor, now)
            await self.audit.add(session, store_id, now, actor, "settings_changed", store_id, {"version": made.version})
            return await session.row(StoreConfigured, CURRENT, store_id)

    @staticmethod
    async def _write(session: Session, made: StoreConfigured, actor: Actor, now: datetime) -> None:
        await session.execute(
            "insert into store_settings (store_id, version, settings, created_at, created_by)"
            " values ($1, $2, $3, $4, $5)",
            made.store_id, made.version, made.settings, now, actor.subject,
        )  # fmt: skip
