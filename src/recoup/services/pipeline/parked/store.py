"""Parked records in PostgreSQL."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from recoup.kit.errors import Missing
from recoup.kit.postgres import Postgres, Session
from recoup.services.pipeline.parked.domain import Kept, Status

# A record whose rows cannot be told apart by store is everybody's.
_CONCERNS = "($1 = any(stores) or cardinality(stores) = 0)"


class Counts(Struct, frozen=True, kw_only=True):
    """How many open records there are."""

    open: int
    elsewhere: int
    """Those that hold rows of other stores only."""


@dataclass(frozen=True, slots=True)
class Taken:
    """One record, held by us until the end of the transaction."""

    record: Kept
    _session: Session

    async def settle(self, status: Status, by: str, now: datetime) -> None:
        """What became of it."""
        await self._session.execute(
            "update parked_records set status = $2, settled_by = $3, settled_at = $4 where id = $1",
            self.record.id, status, by, now,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Store:
    """All of the feature's SQL."""

    postgres: Postgres

    async def keep(self, records: Sequence[Kept]) -> None:
        """Writes records down; those that are known change nothing."""
        await self.postgres.execute_many(
            """insert into parked_records (id, reader, topic, partition, position, reason, body, headers, stores,
                   status, parked_at)
               values ($1, $2, $3, $4, $5, $6, $7, $8::jsonb, $9, $10, $11) on conflict (id) do nothing""",
            [
                (one.id, one.reader, one.topic, one.partition, one.position, one.reason, one.body, one.headers,
                 one.stores, one.status, one.parked_at)
                for one in records
            ],
        )  # fmt: skip

    async def page(self, store_id: str, status: Status, before: tuple[datetime, UUID] | None, limit: int) -> list[Kept]:
        """Records that concern a store, newest first, from behind `before` on."""
        return await self.postgres.rows(
            Kept,
            f"""select * from parked_records where {_CONCERNS} and status = $2
                and ($3::timestamptz is null or (parked_at, id) < ($3, $4::uuid))
                order by parked_at desc, id desc limit $5""",  # noqa: S608 - our own text, values are parameters
            store_id,
            status,
            before[0] if before else None,
            before[1] if before else None,
            limit,
        )

    async def counts(self, store_id: str) -> Counts:
        """How many are open, over all stores."""
        return await self.postgres.row(
            Counts,
            f"""select count(*) filter (where {_CONCERNS}) as open, count(*) filter (where not {_CONCERNS}) as elsewhere
                from parked_records where status = 'open'""",  # noqa: S608 - our own text, values are parameters
            store_id,
        )

    async def record(self, store_id: str, id_: UUID) -> Kept:
        """One that concerns a store; raises Missing."""
        async with self.postgres.transaction() as session:
            return await _find(session, store_id, id_)

    @asynccontextmanager
    async def taken(self, store_id: str, id_: UUID) -> AsyncGenerator[Taken]:
        """One that concerns a store, which nobody else settles meanwhile; raises Missing."""
        async with self.postgres.transaction() as session:
            yield Taken(await _find(session, store_id, id_, " for update"), session)

    async def forget(self, before: datetime, most: int) -> int:
        """Drops what was settled before a moment, and the oldest beyond the most that are kept."""
        return await self.postgres.execute(
            """delete from parked_records where settled_at < $1 or id in (
                   select id from parked_records order by parked_at desc, id desc offset $2)""",
            before,
            most,
        )


async def _find(session: Session, store_id: str, id_: UUID, held: str = "") -> Kept:
    found = await session.find(
        Kept,
        f"select * from parked_records where {_CONCERNS} and id = $2{held}",  # noqa: S608 - our own text
        store_id,
        id_,
    )
    if found is None:
        raise Missing(f"no parked record {id_}")
    return found
