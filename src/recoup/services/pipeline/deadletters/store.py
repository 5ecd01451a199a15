"""Letters, profiles and stopped stores in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from recoup.kit.errors import Missing
from recoup.kit.postgres import Postgres
from recoup.services.pipeline.deadletters.domain.filters import Filter
from recoup.services.pipeline.deadletters.domain.letters import Arrival, Entry, Kind, Letter, Proposal, Status

# A letter that comes back after it was sent is that letter again, not a new one.
_BACK = """update dead_letters as d set
               status = case when a.retry_at is null then 'open' else 'waiting' end,
               stage = a.stage, kind = a.kind, code = a.code, field = a.field, reason = a.reason,
               attempts = d.attempts + 1, next_retry_at = a.retry_at, dead_at = a.dead_at, examined_at = a.dead_at,
               sending_since = null,
               history = d.history || jsonb_build_array(jsonb_build_object(
                   'at', a.dead_at, 'what', 'came back', 'by', 'recoup', 'detail', a.reason))
           from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                       $8::timestamptz[], $9::timestamptz[])
               as a (store_id, event_id, stage, kind, code, field, reason, retry_at, dead_at)
           where d.store_id = a.store_id and d.sent_event_id = a.event_id and a.dead_at > d.dead_at"""
_NEW = """insert into dead_letters (id, store_id, event_id, event_type, stage, kind, code, field, reason, body,
              proven, attempts, next_retry_at, received_at, dead_at, status)
          select t.*, case when t.retry_at is null then 'open' else 'waiting' end
          from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
              $9::text[], $10::bytea[], $11::boolean[], $12::bigint[], $13::timestamptz[], $14::timestamptz[],
              $15::timestamptz[])
              as t (id, store_id, event_id, event_type, stage, kind, code, field, reason, body, proven, attempts,
                    retry_at, received_at, dead_at)
          where not exists (select from dead_letters d where d.store_id = t.store_id
                            and d.sent_event_id = t.event_id and t.event_id <> '')
          on conflict (id) do nothing"""
_WHERE = """store_id = $1 and ($2::text is null or kind = $2) and ($3::text is null or stage = $3)
            and ($4::text is null or field = $4) and ($5::text is null or code = $5)
            and ($6::text is null or event_type = $6) and ($7::text is null or status = $7)
            and ($8::timestamptz is null or dead_at >= $8) and ($9::timestamptz is null or dead_at < $9)"""


class Count(Struct, frozen=True, kw_only=True):
    """How many letters there are of one kind and status."""

    kind: Kind
    status: Status
    letters: int


class Stopped(Struct, frozen=True, kw_only=True):
    """A store whose letters are not sent again by themselves, since when, and after how many in a window."""

    store_id: str
    since: datetime
    letters: int
    reported: bool


class Learned(Struct, frozen=True):
    """A store's profile as it is kept."""

    body: bytes
    events: int


@dataclass(frozen=True, slots=True)
class Store:
    """All of the feature's SQL."""

    postgres: Postgres

    async def keep(self, arrivals: Sequence[Arrival]) -> None:
        """Writes letters down; those that are known change nothing, those that came back open the old one again."""
        if not arrivals:
            return
        back = [
            (a.store_id, a.event_id, a.stage, a.kind, a.code, a.field, a.reason, a.next_retry_at, a.dead_at)
            for a in arrivals
            if a.event_id
        ]
        async with self.postgres.transaction() as session:
            if back:
                await session.execute(_BACK, *map(list, zip(*back, strict=True)))
            await session.execute(_NEW, *map(list, zip(*arrivals, strict=True)))

    async def letter(self, store_id: str, id_: UUID) -> Letter:
        """One letter; raises Missing."""
        found = await self.postgres.find(
            Letter, "select * from dead_letters where store_id = $1 and id = $2", store_id, id_
        )
        if found is None:
            raise Missing(f"no dead letter {id_}")
        return found

    async def page(
        self, store_id: str, wanted: Filter, before: tuple[datetime, UUID] | None, limit: int
    ) -> list[Letter]:
        """A store's letters, newest first, from behind `before` on."""
        return await self.postgres.rows(
            Letter,
            f"""select * from dead_letters where {_WHERE}
                and ($10::timestamptz is null or (dead_at, id) < ($10, $11::uuid))
                order by dead_at desc, id desc limit $12""",  # noqa: S608 - our own text, values are parameters
            *_values(store_id, wanted),
            before[0] if before else None,
            before[1] if before else None,
            limit,
        )

    async def counts(self, store_id: str, wanted: Filter) -> list[Count]:
        """How many letters match, by kind and status."""
        return await self.postgres.rows(
            Count,
            f"""select kind, status, count(*) as letters from dead_letters where {_WHERE}
                group by kind, status order by letters desc""",  # noqa: S608 - our own text, values are parameters
            *_values(store_id, wanted),
        )

    async def begin(self, letter: Letter, body: bytes, event_id: str, now: datetime, entry: Entry) -> bool:
        """Marks a letter as being sent, with what is sent; False where somebody else was quicker."""
        touched = await self.postgres.execute(
            """update dead_letters set status = 'sending', sent_body = $4, sent_event_id = $5, sending_since = $6,
                   next_retry_at = null, retries = retries + 1, history = history || $7::jsonb
               where store_id = $1 and id = $2 and status = $3 and retries = $8""",
            letter.store_id, letter.id, letter.status, body, event_id, now, [entry], letter.retries,
        )  # fmt: skip
        return touched > 0

    async def finish(self, letter: Letter, status: Status, entry: Entry, next_retry_at: datetime | None = None) -> None:
        """Writes down how sending ended."""
        await self.postgres.execute(
            """update dead_letters set status = $3, sending_since = null, next_retry_at = $4,
                   history = history || $5::jsonb
               where store_id = $1 and id = $2 and status = 'sending'""",
            letter.store_id, letter.id, status, next_retry_at, [entry],
        )  # fmt: skip

    async def give_up(self, letter: Letter, entry: Entry) -> None:
        """Turns a letter whose tries are used up into one for a person."""
        await self.postgres.execute(
            """update dead_letters set status = 'open', kind = $3, next_retry_at = null, sending_since = null,
                   history = history || $4::jsonb where store_id = $1 and id = $2""",
            letter.store_id, letter.id, Kind.TOO_MANY_RETRIES, [entry],
        )  # fmt: skip

    async def move(self, letter: Letter, status: Status, entry: Entry) -> bool:
        """Sets a letter aside, or takes it up again; False where it has changed meanwhile."""
        touched = await self.postgres.execute(
            """update dead_letters set status = $4, next_retry_at = null, sending_since = null,
                   history = history || $5::jsonb where store_id = $1 and id = $2 and status = $3""",
            letter.store_id, letter.id, letter.status, status, [entry],
        )  # fmt: skip
        return touched > 0

    async def due(self, now: datetime, limit: int) -> list[Letter]:
        """Letters of all stores whose time to be sent again has come, where nothing is stopped."""
        return await self.postgres.rows(
            Letter,
            """select * from dead_letters where status = 'waiting' and next_retry_at <= $1
               and store_id not in (select store_id from stopped_stores) order by next_retry_at limit $2""",
            now,
            limit,
        )

    async def stuck(self, before: datetime, limit: int) -> list[Letter]:
        """Letters that somebody began to send and never finished."""
        return await self.postgres.rows(
            Letter,
            """select * from dead_letters where status = 'sending' and sending_since < $1
               order by sending_since limit $2""",
            before,
            limit,
        )

    async def unexamined(self, limit: int) -> list[Letter]:
        """Open letters the repairer has not looked at, of stores where nothing is stopped; oldest first."""
        return await self.postgres.rows(
            Letter,
            """select * from dead_letters where status = 'open' and examined_at is null
               and store_id not in (select store_id from stopped_stores) order by dead_at limit $1""",
            limit,
        )

    async def examined(self, letter: Letter, proposals: Sequence[Proposal], now: datetime) -> None:
        """Keeps what the repairer proposes."""
        await self.postgres.execute(
            "update dead_letters set proposals = $3, examined_at = $4 where store_id = $1 and id = $2",
            letter.store_id, letter.id, list(proposals), now,
        )  # fmt: skip

    async def profile(self, store_id: str) -> bytes | None:
        """What was learned of a store's valid events."""
        found = await self.postgres.find(Learned, "select body, events from profiles where store_id = $1", store_id)
        return None if found is None else found.body

    async def learn(self, store_id: str, body: bytes, events: int, now: datetime) -> None:
        """Keeps a store's profile."""
        await self.postgres.execute(
            """insert into profiles (store_id, body, events, learned_at) values ($1, $2, $3, $4)
               on conflict (store_id) do update set body = $2, events = $3, learned_at = $4""",
            store_id, body, events, now,
        )  # fmt: skip

    async def rates(self, since: datetime) -> dict[str, int]:
        """How many letters each store got since then."""
        found = await self.postgres.rows(
            _Rate,
            "select store_id, count(*) as letters from dead_letters where dead_at >= $1 group by store_id",
            since,
        )
        return {rate.store_id: rate.letters for rate in found}

    async def stop(self, store_id: str, letters: int, now: datetime) -> None:
        """Stops what is sent by itself in a store."""
        await self.postgres.execute(
            "insert into stopped_stores (store_id, since, letters) values ($1, $2, $3) on conflict do nothing",
            store_id,
            now,
            letters,
        )

    async def stopped(self) -> list[Stopped]:
        """Stores in which nothing is sent by itself."""
        return await self.postgres.rows(Stopped, "select * from stopped_stores order by store_id")

    async def reported(self, store_id: str) -> None:
        """Remembers that the alert was raised."""
        await self.postgres.execute("update stopped_stores set reported = true where store_id = $1", store_id)

    async def resume(self, store_id: str) -> bool:
        """Lets letters be sent by themselves again; False where nothing was stopped."""
        return await self.postgres.execute("delete from stopped_stores where store_id = $1", store_id) > 0

    async def forget(self, before: datetime, most: int) -> int:
        """Drops letters that are too old, and the oldest of stores that have too many."""
        old = await self.postgres.execute("delete from dead_letters where dead_at < $1", before)
        over = await self.postgres.execute(
            """delete from dead_letters where id in (
                   select id from (select id, row_number() over (partition by store_id order by dead_at desc) as place
                                   from dead_letters) as ranked where place > $1)""",
            most,
        )
        return old + over


class _Rate(Struct):
    store_id: str
    letters: int


def _values(store_id: str, wanted: Filter) -> tuple[object, ...]:
    return (
        store_id, wanted.kind, wanted.stage, wanted.field, wanted.code, wanted.type, wanted.status, wanted.since,
        wanted.until,
    )  # fmt: skip
