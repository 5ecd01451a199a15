"""The outbox in PostgreSQL; in Valkey who has a page open, and frames on their way to whoever holds the socket."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import cast
from uuid import UUID

import msgspec
from msgspec import Struct

from recoup.kit.clock import Clock, milliseconds
from recoup.kit.errors import Invalid
from recoup.kit.ids import derived_id
from recoup.kit.pages import position
from recoup.kit.postgres import Postgres
from recoup.kit.valkey import Valkey, settled, translated
from recoup.messages.keys import SOCKETS
from recoup.services.interventions.channels.domain import Parcel, headers

FRAMES = "interventions:frames"
PRESENT_FOR = timedelta(seconds=45)
"""A page whose process died is taken for gone after so long."""


class Letter(Struct, frozen=True, kw_only=True):
    """An e-mail in the local outbox."""

    id: UUID
    intervention_id: UUID
    person_id: str
    cart_id: str
    to: str
    sender: str
    subject: str
    text: str
    html: str
    headers: dict[str, str]
    links: list[str]
    """Those that lead on when followed; the first leads back to the cart."""
    sent_at: datetime
    store_time: datetime
    """When it was sent on the store's clock."""


def place(cursor: str | None) -> tuple[datetime, UUID] | None:
    """Where a list by time and id goes on; raises Invalid for what is not one of our cursors."""
    if cursor is None:
        return None
    moment, identity = position(cursor, 2)
    try:
        return datetime.fromisoformat(moment).astimezone(UTC), UUID(identity)
    except ValueError as error:
        raise Invalid("the cursor is not one of ours", code="cursor_invalid") from error


@dataclass(frozen=True, slots=True)
class Outbox:
    """E-mails nobody carried away."""

    postgres: Postgres

    async def put(self, parcels: Sequence[Parcel]) -> None:
        """Lays mails down; the same intervention's again changes nothing."""
        letters = [
            {
                "id": derived_id("mail", str(each.intervention_id)),
                "intervention_id": each.intervention_id,
                "store_id": each.store_id,
                "person_id": each.person_id,
                "cart_id": each.cart.cart_id,
                "recipient": each.address,
                "sender": f"{each.shop} <{each.sender}>",
                "mail": each.mail,
                "headers": headers(each),
                "links": [each.links[name] for name in ("cart", "shop", "unsubscribe")],
                "sent_at": each.sent_at,
                "store_time": each.store_time,
            }
            for each in parcels
        ]
        await self.postgres.execute(
            """
            insert into outbox (id, store_id, intervention_id, person_id, cart_id, recipient, sender, headers, links,
                sent_at, store_time, subject, body, html)
            select r.id, r.store_id, r.intervention_id, r.person_id, r.cart_id, r.recipient, r.sender, r.headers,
                r.links,
                r.sent_at, r.store_time, r.mail ->> 'subject', r.mail ->> 'text', r.mail ->> 'html'
            from jsonb_to_recordset($1::jsonb) as r (id uuid, store_id text, intervention_id uuid, person_id text,
                cart_id text, recipient text, sender text, headers jsonb, links jsonb, sent_at timestamptz,
                store_time timestamptz, mail jsonb)
            on conflict (id) do nothing
            """,
            letters,
        )

    async def letters(self, store_id: str, before: tuple[datetime, UUID] | None, limit: int) -> list[Letter]:
        """The newest first, from a place on."""
        sent_at, identity = before or (None, None)
        return await self.postgres.rows(
            Letter,
            """
            select id, intervention_id, person_id, cart_id, recipient as to, sender, subject, body as text, html,
                headers,
                links, sent_at, store_time
            from outbox where store_id = $1 and ($2::timestamptz is null or (sent_at, id) < ($2, $3::uuid))
            order by sent_at desc, id desc limit $4
            """,
            store_id,
            sent_at,
            identity,
            limit,
        )


class Relayed(Struct, frozen=True, array_like=True):
    """A frame for whoever sits on one of these seats."""

    store_id: str
    seats: list[str]
    message_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Sockets:
    """Presence over all processes, and the way from one to another."""

    valkey: Valkey
    clock: Clock

    async def enter(self, store_id: str, seats: Sequence[str]) -> None:
        """Somebody is here, for a while; to be said again before that ends."""
        key, now = SOCKETS.key(store_id=store_id), self.clock.now()
        with translated():
            async with self.valkey.pipeline(transaction=False) as pipe:
                pipe.zadd(key, dict.fromkeys(seats, milliseconds(now + PRESENT_FOR)))
                pipe.zremrangebyscore(key, "-inf", milliseconds(now))
                pipe.expire(key, timedelta(minutes=5))
                await pipe.execute()

    async def leave(self, store_id: str, seats: Sequence[str]) -> None:
        if seats:
            await settled(self.valkey.zrem(SOCKETS.key(store_id=store_id), *seats))

    async def present(self, store_id: str, wanted: Sequence[Sequence[str]]) -> list[bool]:
        """For each group of seats, whether somebody sits on one of them."""
        ids = sorted({each for seats in wanted for each in seats})
        if not ids:
            return [False for _ in wanted]
        now = milliseconds(self.clock.now())
        scores = await settled(self.valkey.zmscore(SOCKETS.key(store_id=store_id), ids))
        here = {each for each, until in zip(ids, scores, strict=True) if until is not None and until > now}
        return [not here.isdisjoint(seats) for seats in wanted]

    async def relay(self, relayed: Sequence[Relayed]) -> None:
        """Hands frames to every process; the one that holds a socket writes to it."""
        with translated():
            async with self.valkey.pipeline(transaction=False) as pipe:
                for each in relayed:
                    pipe.publish(FRAMES, msgspec.msgpack.encode(each))
                await pipe.execute()

    async def relayed(self) -> AsyncIterator[Relayed]:
        """Frames from every process, until the connection is lost."""
        with translated():
            async with self.valkey.pubsub(ignore_subscribe_messages=True) as channel:
                await channel.subscribe(FRAMES)
                while True:
                    message = await channel.get_message(timeout=5.0)
                    if message is not None:
                        yield msgspec.msgpack.decode(cast("bytes", message["data"]), type=Relayed)
