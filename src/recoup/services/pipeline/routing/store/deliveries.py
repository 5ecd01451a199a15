"""What is on its way to webhooks: a queue for each destination, claimed with a lease, and how each destination does."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct

from recoup.kit.errors import Missing
from recoup.kit.postgres import Postgres
from recoup.services.pipeline.routing.domain.rules import Status


class NewDelivery(Struct, frozen=True, kw_only=True):
    """A body for a destination. Its id follows from its cause, so that queuing it again changes nothing."""

    id: UUID
    store_id: str
    destination_id: UUID
    body: bytes
    events: int


class Claimed(Struct, frozen=True, kw_only=True):
    """A delivery that is ours to send while the lease lasts."""

    id: UUID
    store_id: str
    destination_id: UUID
    body: bytes
    attempts: int


class Lane(Struct, frozen=True, kw_only=True):
    """A destination for which something is due."""

    id: UUID
    store_id: str
    name: str
    url: str
    concurrency: int
    failures: int


class Entry(Struct, frozen=True, kw_only=True):
    """A delivery as it is listed."""

    id: UUID
    number: int
    destination_id: UUID
    status: Status
    events: int
    attempts: int
    made_at: datetime
    next_at: datetime
    done_at: datetime | None = None
    note: str = ""
    """What the last call came to."""


class Queue(Struct, frozen=True, kw_only=True):
    """How many deliveries of a destination came to the same."""

    destination_id: UUID
    status: Status
    deliveries: int
    last_at: datetime
    """When the newest of them was queued."""


class Opened(Struct, frozen=True, kw_only=True):
    """A delivery with its body."""

    id: UUID
    destination_id: UUID
    status: Status
    attempts: int
    note: str
    body: bytes


class Troubled(Struct, frozen=True, kw_only=True):
    """A destination of which its shop has not been told."""

    id: UUID
    store_id: str
    name: str
    reason: str
    dropped: int
    failing_since: datetime | None = None


_CLAIM = """
    update routed_deliveries set attempts = attempts + 1, next_at = $3
    where id in (
        select id from routed_deliveries where destination_id = $1 and status = 'waiting' and next_at <= $2
        order by attempts, number limit $4 for update skip locked
    )
    returning id, store_id, destination_id, body, attempts
"""
_LANES = """
    select id, store_id, name, url, concurrency, failures from routing_destinations d
    where kind = 'webhook' and state = 'active' and (blocked_until is null or blocked_until <= $1)
    and exists (
        select 1 from routed_deliveries
        where destination_id = d.id and status = 'waiting' and next_at <= $1
    )
"""


@dataclass(frozen=True, slots=True)
class DeliveryStore:
    """Queues and their destinations' health."""

    db: Postgres

    async def waiting(self, destination_id: UUID) -> int:
        return await self.db.row(
            int,
            "select count(*) from routed_deliveries where destination_id = $1 and status = 'waiting'",
            destination_id,
        )

    async def put(self, deliveries: Sequence[NewDelivery], now: datetime) -> None:
        """Queues; what was queued before stays as it is, and what a removed destination was to get is left out."""
        await self.db.execute_many(
            "insert into routed_deliveries (id, store_id, destination_id, body, events, next_at, made_at)"
            " select $1, $2, d.id, $4, $5, $6, $6 from routing_destinations d where d.id = $3"
            " on conflict (id) do nothing",
            [(one.id, one.store_id, one.destination_id, one.body, one.events, now) for one in deliveries],
        )

    async def drop(self, destination_id: UUID, events: int, reason: str) -> None:
        """Counts what found no room."""
        await self.db.execute(
            "update routing_destinations set dropped = dropped + $2, reason = $3, told = told and dropped > 0"
            " where id = $1",
            destination_id, events, reason,
        )  # fmt: skip

    async def lanes(self, now: datetime) -> list[Lane]:
        """Destinations with something due."""
        return await self.db.rows(Lane, _LANES, now)

    async def claim(self, lane: UUID, now: datetime, lease: timedelta, limit: int) -> list[Claimed]:
        """What is due there, for nobody else while the lease lasts; the least tried first."""
        return await self.db.rows(Claimed, _CLAIM, lane, now, now + lease, limit)

    async def delivered(self, one: Claimed, note: str, now: datetime) -> None:
        """It was received, and so the destination is well."""
        async with self.db.transaction() as session:
            await session.execute(
                "update routed_deliveries set status = 'delivered', note = $2, done_at = $3 where id = $1", one.id,
                note, now,
            )  # fmt: skip
            await session.execute(
                "update routing_destinations set failures = 0, failing_since = null, blocked_until = null, reason = ''"
                " where id = $1 and failures > 0",
                one.destination_id,
            )

    async def failed(self, one: Claimed, note: str, *, again_at: datetime | None, now: datetime) -> None:
        """It was not received: again later, or dead where `again_at` is None. A lease that ran out decides nothing."""
        await self.db.execute(
            "update routed_deliveries set status = case when $3::timestamptz is null then 'dead' else 'waiting' end,"
            " next_at = coalesce($3, next_at), note = $2,"
            " done_at = case when $3::timestamptz is null then $4::timestamptz end"
            " where id = $1 and status = 'waiting' and attempts = $5",
            one.id, note[:500], again_at, now, one.attempts,
        )  # fmt: skip

    async def struggle(self, lane: UUID, reason: str, blocked_until: datetime, now: datetime) -> int:
        """Notes a failed call of a destination; how many that makes in a row."""
        return await self.db.row(
            int,
            "update routing_destinations set failures = failures + 1, reason = $2, blocked_until = $3,"
            " failing_since = coalesce(failing_since, $4) where id = $1 returning failures",
            lane, reason[:500], blocked_until, now,
        )  # fmt: skip

    async def pause(self, lane: UUID, reason: str) -> bool:
        """Stops calling a destination until a person resumes it; False where it was paused already."""
        touched = await self.db.execute(
            "update routing_destinations set state = 'paused', reason = $2, told = false"
            " where id = $1 and state = 'active'",
            lane, reason[:500],
        )  # fmt: skip
        return touched > 0

    async def untold(self) -> list[Troubled]:
        """Destinations that were paused or overflowed, of which nobody was told."""
        return await self.db.rows(
            Troubled,
            "select id, store_id, name, reason, dropped, failing_since from routing_destinations where not told",
        )

    async def told(self, destination_id: UUID) -> None:
        await self.db.execute("update routing_destinations set told = true where id = $1", destination_id)

    async def page(
        self, store_id: str, destination_id: UUID | None, status: Status | None, before: int | None, limit: int
    ) -> list[Entry]:
        """A store's deliveries, newest first."""
        return await self.db.rows(
            Entry,
            "select id, number, destination_id, status, events, attempts, made_at, next_at, done_at, note"
            " from routed_deliveries where store_id = $1 and ($2::uuid is null or destination_id = $2)"
            " and ($3::text is null or status = $3) and ($4::bigint is null or number < $4)"
            " order by number desc limit $5",
            store_id, destination_id, status, before, limit,
        )  # fmt: skip

    async def queues(self, store_id: str) -> list[Queue]:
        """A store's deliveries that are kept, counted."""
        return await self.db.rows(
            Queue,
            "select destination_id, status, count(*) as deliveries, max(made_at) as last_at from routed_deliveries"
            " where store_id = $1 group by destination_id, status order by destination_id, status",
            store_id,
        )

    async def delivery(self, store_id: str, id_: UUID) -> Opened:
        """One delivery with its body; raises Missing."""
        found = await self.db.find(
            Opened,
            "select id, destination_id, status, attempts, note, body from routed_deliveries"
            " where store_id = $1 and id = $2",
            store_id, id_,
        )  # fmt: skip
        if found is None:
            raise Missing(f"no delivery {id_}")
        return found

    async def revive(self, store_id: str, id_: UUID, now: datetime) -> bool:
        """Has one that is over sent again, under the same id; False where it still waits."""
        touched = await self.db.execute(
            "update routed_deliveries set status = 'waiting', attempts = 0, next_at = $3, done_at = null"
            " where store_id = $1 and id = $2 and status <> 'waiting'",
            store_id, id_, now,
        )  # fmt: skip
        return touched > 0

    async def forget(self, delivered_before: datetime, others_before: datetime) -> int:
        """Removes what is old: the delivered soon, the dead later, and so what waits for a paused destination."""
        return await self.db.execute(
            "delete from routed_deliveries where (status = 'delivered' and done_at < $1) or made_at < $2",
            delivered_before, others_before,
        )  # fmt: skip
