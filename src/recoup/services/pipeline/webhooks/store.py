"""Secrets, deliveries, memory and privacy requests in PostgreSQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

import msgspec
from msgspec import Struct

from recoup.kit.errors import Missing
from recoup.kit.ids import derived_id, new_id
from recoup.kit.postgres import Postgres, Session
from recoup.services.pipeline.webhooks.domain.signing import Platform
from recoup.services.pipeline.webhooks.domain.story import Asked, Memory, PrivacyKind, Subject


class Status(StrEnum):
    """What became of a delivery."""

    WAITING = "waiting"
    DONE = "done"
    IGNORED = "ignored"
    """Understood, and no event of ours follows."""
    REFUSED = "refused"
    """An event made of it was refused; that event is among the dead letters, its neighbours are in."""
    DEAD = "dead"
    """Nobody could read it, or it was tried too often; its bytes are kept."""


class Delivery(Struct, frozen=True, kw_only=True):
    """One delivery, as it came."""

    id: UUID
    store_id: str
    platform: Platform
    key: str
    topic: str
    said: dict[str, str]
    body: bytes
    received_at: datetime
    attempts: int = 0


class Entry(Struct, frozen=True, kw_only=True):
    """A delivery as it is listed."""

    id: UUID
    platform: Platform
    topic: str
    status: Status
    received_at: datetime
    repeats: int
    """How often it came again."""
    attempts: int
    events: int
    note: str
    """Why nothing follows, or what was wrong."""
    worked_at: datetime | None = None


class Verdict(Struct, frozen=True, kw_only=True):
    """What became of a delivery, and what must be written down together with that."""

    delivery: Delivery
    status: Status
    note: str = ""
    events: int = 0
    names: tuple[str, ...] = ()
    memory: Memory | None = None
    privacy: Asked | None = None


class KnownSecret(Struct, frozen=True, kw_only=True):
    """A secret as it may be shown: never the secret."""

    platform: Platform
    set_at: datetime
    good_until: datetime | None = None
    """Set when a newer one has taken its place."""


class PrivacyRequest(Struct, frozen=True, kw_only=True):
    """What a platform asks of us by law; whoever keeps personal data has to act on it."""

    id: UUID
    store_id: str
    platform: Platform
    kind: PrivacyKind
    subject: Subject
    asked_at: datetime
    taken_at: datetime | None = None


class _Sealed(Struct, frozen=True):
    sealed: bytes


class _Named(Struct, frozen=True):
    name: str
    memory: bytes


@dataclass(frozen=True, slots=True)
class Secrets:
    """Sealed secrets by store and platform."""

    db: Postgres

    async def find(self, store_id: str, platform: Platform, now: datetime) -> list[bytes]:
        """Those in force: the newest, and the one before it for a while."""
        rows = await self.db.rows(
            _Sealed,
            "select sealed from webhook_secrets where store_id = $1 and platform = $2"
            " and (good_until is null or good_until > $3) order by set_at desc",
            store_id, platform, now,
        )  # fmt: skip
        return [row.sealed for row in rows]

    async def known(self, store_id: str, now: datetime) -> list[KnownSecret]:
        return await self.db.rows(
            KnownSecret,
            "select platform, set_at, good_until from webhook_secrets where store_id = $1"
            " and (good_until is null or good_until > $2) order by platform, set_at desc",
            store_id, now,
        )  # fmt: skip

    async def replace(self, store_id: str, platform: Platform, sealed: bytes, now: datetime, grace: timedelta) -> None:
        """A new secret; what was signed with the old one is believed for `grace` more."""
        async with self.db.transaction() as session:
            await session.execute(
                "delete from webhook_secrets where store_id = $1 and platform = $2 and good_until <= $3",
                store_id, platform, now,
            )  # fmt: skip
            await session.execute(
                "update webhook_secrets set good_until = $3 where store_id = $1 and platform = $2"
                " and good_until is null",
                store_id, platform, now + grace,
            )  # fmt: skip
            await session.execute(
                "insert into webhook_secrets (id, store_id, platform, sealed, set_at) values ($1, $2, $3, $4, $5)",
                new_id(), store_id, platform, sealed, now,
            )  # fmt: skip

    async def remove(self, store_id: str, platform: Platform) -> None:
        touched = await self.db.execute(
            "delete from webhook_secrets where store_id = $1 and platform = $2", store_id, platform
        )
        if touched == 0:
            raise Missing(f"no secret of {platform} is set")


_MANY = 2**31 - 1
_CLAIM = """
    update webhook_deliveries set attempts = attempts + 1, next_at = $2
    where id in (
        select id from webhook_deliveries where status = 'waiting' and next_at <= $1 and attempts between $3 and $4
        order by received_at, id limit $5 for update skip locked
    )
    returning id, store_id, platform, key, topic, said, body, received_at, attempts
"""


@dataclass(frozen=True, slots=True)
class Deliveries:
    """What came, and what became of it."""

    db: Postgres

    async def put(self, delivery: Delivery) -> bool:
        """Writes a delivery down; False where it came before."""
        return await self.db.row(
            bool,
            "insert into webhook_deliveries (id, store_id, platform, key, topic, said, body, received_at, next_at)"
            " values ($1, $2, $3, $4, $5, $6, $7, $8, $8)"
            " on conflict (store_id, platform, key) do update set repeats = webhook_deliveries.repeats + 1"
            " returning repeats = 0",
            delivery.id, delivery.store_id, delivery.platform, delivery.key, delivery.topic, delivery.said,
            delivery.body, delivery.received_at,
        )  # fmt: skip

    async def claim(self, now: datetime, lease: timedelta, limit: int) -> list[Delivery]:
        """What is due, for nobody else while the lease lasts: one that failed before goes alone, new ones together.

        So that a delivery that kills whoever works on it takes no other down with it for good.
        """
        found = await self.db.rows(Delivery, _CLAIM, now, now + lease, 1, _MANY, 1)
        if not found:
            found = await self.db.rows(Delivery, _CLAIM, now, now + lease, 0, 0, limit)
        return sorted(found, key=lambda delivery: (delivery.received_at, delivery.id))

    async def postpone(self, deliveries: Sequence[Delivery], until: datetime, *, count: bool) -> None:
        """Later again; what was nobody's fault is not counted."""
        await self.db.execute(
            "update webhook_deliveries set next_at = $2, attempts = attempts - $3 where id = any($1::uuid[])",
            [delivery.id for delivery in deliveries], until, 0 if count else 1,
        )  # fmt: skip

    async def recall(self, store_id: str, platform: Platform, names: Sequence[str]) -> dict[str, Memory]:
        """What is known under each name."""
        rows = await self.db.rows(
            _Named,
            "select name, memory from webhook_memory where store_id = $1 and platform = $2 and name = any($3)",
            store_id, platform, list(names),
        )  # fmt: skip
        return {row.name: msgspec.json.decode(row.memory, type=Memory) for row in rows}

    async def finish(self, verdicts: Sequence[Verdict], now: datetime) -> None:
        """Verdicts with all that belongs to them, together."""
        async with self.db.transaction() as session:
            for verdict in verdicts:
                await _write(session, verdict, now)

    async def page(self, store_id: str, status: Status | None, before: UUID | None, limit: int) -> list[Entry]:
        """A store's deliveries, newest first."""
        return await self.db.rows(
            Entry,
            "select id, platform, topic, status, received_at, repeats, attempts, events, note, worked_at"
            " from webhook_deliveries where store_id = $1 and ($2::text is null or status = $2)"
            " and ($3::uuid is null or id < $3) order by id desc limit $4",
            store_id, status, before, limit,
        )  # fmt: skip

    async def delivery(self, store_id: str, id_: UUID) -> Delivery:
        """One delivery with its bytes; raises Missing."""
        found = await self.db.find(
            Delivery,
            "select id, store_id, platform, key, topic, said, body, received_at, attempts from webhook_deliveries"
            " where store_id = $1 and id = $2",
            store_id, id_,
        )  # fmt: skip
        if found is None:
            raise Missing(f"no delivery {id_}")
        return found

    async def revive(self, store_id: str, id_: UUID, now: datetime) -> bool:
        """Has a dead one tried again; False where it is not dead."""
        touched = await self.db.execute(
            "update webhook_deliveries set status = 'waiting', attempts = 1, next_at = $3"
            " where store_id = $1 and id = $2 and status = 'dead'",
            store_id, id_, now,
        )  # fmt: skip
        return touched > 0

    async def forget(self, deliveries_before: datetime, memory_before: datetime) -> int:
        """Removes what is old, whatever became of it."""
        await self.db.execute("delete from webhook_memory where updated_at < $1", memory_before)
        return await self.db.execute(
            "delete from webhook_deliveries where received_at < $1 and status <> 'waiting'", deliveries_before
        )


@dataclass(frozen=True, slots=True)
class PrivacyRequests:
    """Requests by law, until whoever acts on them has taken them over."""

    db: Postgres

    async def of_store(self, store_id: str) -> list[PrivacyRequest]:
        return await self.db.rows(
            PrivacyRequest,
            "select id, store_id, platform, kind, subject, asked_at, taken_at from privacy_requests"
            " where store_id = $1 order by id desc limit 1000",
            store_id,
        )

    async def open(self) -> list[PrivacyRequest]:
        """Every store's that nobody has taken, oldest first; for the service that acts on them."""
        return await self.db.rows(
            PrivacyRequest,
            "select id, store_id, platform, kind, subject, asked_at, taken_at from privacy_requests"
            " where taken_at is null order by asked_at, id limit 1000",
        )

    async def take(self, id_: UUID, now: datetime) -> None:
        """Marks one as taken over; again is harmless."""
        touched = await self.db.execute(
            "update privacy_requests set taken_at = coalesce(taken_at, $2) where id = $1", id_, now
        )
        if touched == 0:
            raise Missing(f"no privacy request {id_}")


async def _write(session: Session, verdict: Verdict, now: datetime) -> None:
    delivery = verdict.delivery
    await session.execute(
        "update webhook_deliveries set status = $2, note = $3, events = $4, worked_at = $5 where id = $1",
        delivery.id, verdict.status, verdict.note[:2_000], verdict.events, now,
    )  # fmt: skip
    if verdict.memory is not None and verdict.names:
        await _remember(session, delivery, dict.fromkeys(verdict.names, verdict.memory), now)
    if verdict.privacy is not None:
        await _ask(session, delivery, verdict.privacy)


async def _remember(session: Session, delivery: Delivery, memories: Mapping[str, Memory], now: datetime) -> None:
    await session.execute_many(
        "insert into webhook_memory (store_id, platform, name, memory, user_id, updated_at)"
        " values ($1, $2, $3, $4, $5, $6) on conflict (store_id, platform, name)"
        " do update set memory = excluded.memory, user_id = excluded.user_id, updated_at = excluded.updated_at",
        [
            (delivery.store_id, delivery.platform, name, msgspec.json.encode(memory), memory.user_id, now)
            for name, memory in memories.items()
        ],
    )


async def _ask(session: Session, delivery: Delivery, asked: Asked) -> None:
    """Hands a privacy request on, and keeps nothing here that it is about."""
    id_ = derived_id("privacy", str(delivery.id))
    await session.execute(
        "insert into privacy_requests (id, store_id, platform, kind, subject, asked_at) values ($1, $2, $3, $4, $5, $6)"
        " on conflict (id) do nothing",
        id_, delivery.store_id, delivery.platform, asked.kind, asked.subject, delivery.received_at,
    )  # fmt: skip
    if asked.kind is PrivacyKind.TELL_CUSTOMER:
        return
    whole_shop = asked.kind is PrivacyKind.REDACT_SHOP
    await session.execute(
        "update webhook_deliveries set body = '' where store_id = $1 and platform = $2 and status <> 'waiting'",
        delivery.store_id, delivery.platform,
    )  # fmt: skip
    await session.execute(
        "delete from webhook_memory where store_id = $1 and platform = $2 and ($3 or user_id = $4)",
        delivery.store_id, delivery.platform, whole_shop, asked.subject.user_id,
    )  # fmt: skip
