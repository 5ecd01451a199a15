"""Tables `feature_flags`, `flag_history`, `flag_revisions` and `flag_uses`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from recoup.kit.errors import Missing, Stale
from recoup.kit.flags.model import Flag
from recoup.kit.postgres import Postgres, Session
from recoup.services.platform.audit.domain import Actor
from recoup.services.platform.audit.store import AuditLog
from recoup.services.platform.flags.domain import FlagVersion, Kept, changed

_KEPT: Final = (
    "select key, version, definition, created_at, changed_at, changed_by, evaluated_at,"
    " coalesce(evaluations, 0) as evaluations from feature_flags left join flag_uses using (store_id, key)"
    " where store_id = $1"
)
Check = Callable[[Mapping[str, Flag]], None]
"""Raises where a change does not go with the store's flags as they are."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be changed on top of which version, by whom and when."""

    key: str
    expected: int | None
    """None for whatever is current, 0 for none."""
    check: Check
    actor: Actor
    now: datetime


@dataclass(frozen=True, slots=True)
class Flags:
    """All flags of all stores. Whoever changes one holds the store's row, so that no two changes make a circle."""

    db: Postgres
    audit: AuditLog

    async def page(self, store_id: str, after: str, limit: int) -> Sequence[Kept]:
        """By key."""
        return await self.db.rows(Kept, f"{_KEPT} and key > $2 order by key limit $3", store_id, after, limit)

    async def every(self, store_id: str) -> Sequence[Kept]:
        return await self.db.rows(Kept, f"{_KEPT} order by key", store_id)

    async def get(self, store_id: str, key: str) -> Kept:
        """One of them; raises Missing."""
        found = await self.db.find(Kept, f"{_KEPT} and key = $2", store_id, key)
        if found is None:
            raise Missing(f"no flag {key!r}")
        return found

    async def history(self, store_id: str, key: str, before: int | None, limit: int) -> Sequence[FlagVersion]:
        """Its versions, newest first, with one more than asked for, to compare with."""
        return await self.db.rows(
            FlagVersion,
            "select key, version, at, by, definition from flag_history where store_id = $1 and key = $2"
            " and ($3::int is null or version < $3) order by version desc limit $4",
            store_id, key, before, limit + 1,
        )  # fmt: skip

    async def written(self, store_id: str, key: str, version: int) -> FlagVersion:
        """One version; raises Missing."""
        found = await self.history(store_id, key, version + 1, 0)
        if not found or found[0].version != version:
            raise Missing(f"there is no version {version} of flag {key!r}")
        return found[0]

    async def put(self, store_id: str, change: Change, flag: Flag) -> Kept:
        """The next version; raises Stale where another one than expected is current."""
        key, actor, now = change.key, change.actor, change.now
        async with self.db.transaction() as session:
            before, version = await self._next(session, store_id, change)
            await session.execute(
                "insert into feature_flags (store_id, key, version, definition, created_at, changed_at, changed_by)"
                " values ($1, $2, $3, $4, $5, $5, $6) on conflict (store_id, key) do update set"
                " version = excluded.version, definition = excluded.definition, changed_at = excluded.changed_at,"
                " changed_by = excluded.changed_by",
                store_id, key, version, flag, now, actor.subject,
            )  # fmt: skip
            await self._note(session, store_id, change, version, flag)
            what = {"version": version, "changed": ", ".join(changed(before and before.definition, flag))}
            await self.audit.add(session, store_id, now, actor, "flag_changed", key, what)
            return await session.row(Kept, f"{_KEPT} and key = $2", store_id, key)

    async def delete(self, store_id: str, change: Change) -> None:
        """Takes it away, less its history; raises Missing, or Stale."""
        key = change.key
        async with self.db.transaction() as session:
            before, version = await self._next(session, store_id, change)
            if before is None:
                raise Missing(f"no flag {key!r}")
            await session.execute("delete from feature_flags where store_id = $1 and key = $2", store_id, key)
            await self._note(session, store_id, change, version, None)
            await self.audit.add(session, store_id, change.now, change.actor, "flag_deleted", key, {"version": version})

    async def note_uses(self, rows: Sequence[tuple[str, str, int]], now: datetime) -> None:
        """That flags were asked for so often; of flags that are gone, nothing."""
        await self.db.execute_many(
            "insert into flag_uses (store_id, key, evaluated_at, evaluations)"
            " select store_id, key, $4, $3 from feature_flags where store_id = $1 and key = $2"
            " on conflict (store_id, key) do update set evaluated_at = greatest(flag_uses.evaluated_at, $4),"
            " evaluations = flag_uses.evaluations + $3",
            [(store_id, key, count, now) for store_id, key, count in rows],
        )

    @staticmethod
    async def _next(session: Session, store_id: str, change: Change) -> tuple[Kept | None, int]:
        """The flag as it is and its next version, once the change is known to go with all others."""
        # Who holds the store's row is the only one to change its flags until the transaction ends.
        await session.row(str, "select id from stores where id = $1 for update", store_id)
        flags = {kept.key: kept for kept in await session.rows(Kept, f"{_KEPT} order by key", store_id)}
        before = flags.get(change.key)
        current = 0 if before is None else before.version
        if change.expected is not None and change.expected != current:
            raise Stale(f"flag {change.key!r} is at version {current}, not {change.expected}: read it again")
        change.check({key: kept.definition for key, kept in flags.items()})
        # A flag that was deleted goes on from where it ended.
        last = "select coalesce(max(version), 0) from flag_history where store_id = $1 and key = $2"
        return before, await session.row(int, last, store_id, change.key) + 1

    @staticmethod
    async def _note(session: Session, store_id: str, change: Change, version: int, flag: Flag | None) -> None:
        await session.execute(
            "insert into flag_history (store_id, key, version, definition, at, by) values ($1, $2, $3, $4, $5, $6)",
            store_id, change.key, version, flag, change.now, change.actor.subject,
        )  # fmt: skip
        await session.execute(
            "insert into flag_revisions (store_id, revision) values ($1, 1)"
            " on conflict (store_id) do update set revision = flag_revisions.revision + 1",
            store_id,
        )
