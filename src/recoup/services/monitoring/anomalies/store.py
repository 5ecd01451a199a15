"""Figures, how far they were read and judged, and anomalies, in PostgreSQL."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct

from recoup.kit.errors import Missing, Unavailable
from recoup.kit.postgres import Postgres, Session
from recoup.services.monitoring.anomalies.domain.anomaly import Anomaly, Kind, Status
from recoup.services.monitoring.anomalies.domain.counts import Counts, spans

_ADD = """insert into buckets (store_id, metric, bucket, value)
          select * from unnest($1::text[], $2::text[], $3::timestamptz[], $4::float8[])
          on conflict (store_id, bucket, metric) do update set value = buckets.value + excluded.value"""
_WATCH = """insert into watched (store_id, first, newest, judged_until)
            select s, f, n, f from unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) as t (s, f, n)
            on conflict (store_id) do update set
                first = least(watched.first, excluded.first), newest = greatest(watched.newest, excluded.newest)
            where excluded.first < watched.first or excluded.newest > watched.newest"""
_NEW = """insert into anomalies
              (id, store_id, kind, subject, status, started_at, last_seen_at, ended_at, seen, expected_low,
               expected_high, score, reasons, found_at)
          values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
          on conflict (id) do nothing"""
_PROLONG = """update anomalies set last_seen_at = $2, ended_at = $3, seen = $4, expected_low = $5, expected_high = $6,
                  score = $7, reasons = $8
              where id = $1 and ended_at is null"""


class Watched(Struct, frozen=True):
    """A store whose figures are known: since when, and until when they were judged.

    `clock` is how far its own clock came in every partition where it was heard; in how many, `partitions` says.
    """

    store_id: str
    first: datetime
    judged_until: datetime
    clock: datetime | None
    partitions: int


class Figure(Struct, frozen=True):
    """One bucket of one metric."""

    metric: str
    bucket: datetime
    value: float
    score: float | None


@dataclass(frozen=True, slots=True)
class Judging:
    """One store while it is judged, held against others; everything becomes visible together."""

    session: Session
    store_id: str

    async def figures(self, buckets: Sequence[datetime]) -> list[Figure]:
        """What is known of these buckets."""
        return await self.session.rows(
            Figure,
            "select metric, bucket, value, score from buckets where store_id = $1 and bucket = any($2::timestamptz[])",
            self.store_id,
            list(buckets),
        )

    async def scores(self, since: datetime, until: datetime) -> list[Figure]:
        """Every bucket between that was judged."""
        return await self.session.rows(
            Figure,
            """select metric, bucket, value, score from buckets
               where store_id = $1 and bucket >= $2 and bucket < $3 and score is not null""",
            self.store_id,
            since,
            until,
        )

    async def metrics(self, since: datetime) -> list[str]:
        """The metrics that had a value at all."""
        return await self.session.rows(
            str,
            "select distinct metric from buckets where store_id = $1 and bucket >= $2 and value > 0",
            self.store_id,
            since,
        )

    async def going_on(self) -> list[Anomaly]:
        """Unusual figures that have not ended yet."""
        return await self.session.rows(
            Anomaly,
            "select * from anomalies where store_id = $1 and kind = $2 and ended_at is null",
            self.store_id,
            Kind.UNUSUAL,
        )

    async def judged(
        self, scores: Sequence[tuple[str, datetime, float]], anomalies: Sequence[Anomaly], until: datetime
    ) -> None:
        """Writes down scores (a bucket without events gets its zero), anomalies, and how far we came."""
        await self.session.execute(
            """insert into buckets (store_id, metric, bucket, value, score)
               select $1, m, b, 0, s from unnest($2::text[], $3::timestamptz[], $4::float8[]) as t (m, b, s)
               on conflict (store_id, bucket, metric) do update set score = excluded.score""",
            self.store_id,
            [metric for metric, _, _ in scores],
            [bucket for _, bucket, _ in scores],
            [score for _, _, score in scores],
        )
        # Those that end free their place for those that begin.
        for anomaly in sorted(anomalies, key=lambda anomaly: anomaly.started_at):
            await self.session.execute(_NEW, *_values(anomaly))
            await self.session.execute(_PROLONG, *_state(anomaly))
        await self.session.execute("update watched set judged_until = $2 where store_id = $1", self.store_id, until)


class Store:
    """All of the feature's SQL."""

    def __init__(self, postgres: Postgres) -> None:
        self._db = postgres

    async def read_until(self, topic: str) -> dict[int, int]:
        """The last offset of each partition that took effect."""
        return {
            row.partition: row.last_offset
            for row in await self._db.rows(
                _Position, "select partition, last_offset from reading where topic = $1", topic
            )
        }

    async def count(
        self,
        topic: str,
        moves: Mapping[int, tuple[int | None, int]],
        counts: Counts,
        clocks: Mapping[tuple[str, int], datetime],
        risks: Sequence[Anomaly],
    ) -> None:
        """Adds what a batch held and moves on, both or neither; raises Unavailable when another reader moved first."""
        async with self._db.transaction() as session:
            for partition, (known, reached) in moves.items():
                await _move(session, topic, partition, known, reached)
            await _add(session, counts)
            await session.execute(
                """insert into clocks (store_id, partition, at)
                   select * from unnest($1::text[], $2::int[], $3::timestamptz[])
                   on conflict (store_id, partition) do update set at = greatest(clocks.at, excluded.at)""",
                [store_id for store_id, _ in clocks],
                [partition for _, partition in clocks],
                list(clocks.values()),
            )
            await session.execute_many(_NEW, [_values(risk) for risk in risks])

    async def count_facts(self, facts: Mapping[str, tuple[str, str, datetime, float]], now: datetime) -> None:
        """Adds (store, metric, bucket, value) of messages by their ids; a message that was counted is not again."""
        async with self._db.transaction() as session:
            new = await session.rows(
                str,
                """insert into counted (id, at) select id, $2 from unnest($1::text[]) as t (id)
                   on conflict (id) do nothing returning id""",
                sorted(facts),
                now,
            )
            counts: Counts = {}
            for id_ in new:
                store_id, metric, bucket, value = facts[id_]
                counts[store_id, metric, bucket] = counts.get((store_id, metric, bucket), 0.0) + value
            await _add(session, counts)

    async def unknown(self, ids: Sequence[UUID]) -> set[UUID]:
        """Which of these are no anomaly yet."""
        known = await self._db.rows(UUID, "select id from anomalies where id = any($1::uuid[])", list(ids))
        return set(ids) - set(known)

    async def watched(self) -> list[Watched]:
        """Every store whose figures are known."""
        return await self._db.rows(
            Watched,
            """select store_id, first, judged_until, min(clocks.at) as clock, count(clocks.at)::int as partitions
               from watched left join clocks using (store_id) group by store_id, first, judged_until
               order by store_id""",
        )

    @asynccontextmanager
    async def judging(self, watched: Watched) -> AsyncGenerator[Judging | None]:
        """Holds a store while it is judged; None when another does, or has."""
        async with self._db.transaction() as session:
            held = await session.find(
                str,
                """select store_id from watched where store_id = $1 and judged_until = $2
                   for update skip locked""",
                watched.store_id,
                watched.judged_until,
            )
            yield None if held is None else Judging(session, watched.store_id)

    async def page(
        self, store_id: str, status: Status | None, before: tuple[datetime, UUID] | None, limit: int
    ) -> list[Anomaly]:
        """A store's anomalies, newest first, from behind `before` on."""
        return await self._db.rows(
            Anomaly,
            """select * from anomalies where store_id = $1 and ($2::text is null or status = $2)
               and ($3::timestamptz is null or (started_at, id) < ($3, $4::uuid))
               order by started_at desc, id desc limit $5""",
            store_id,
            status,
            before[0] if before else None,
            before[1] if before else None,
            limit,
        )

    async def anomaly(self, store_id: str, id_: UUID) -> Anomaly:
        """One of a store's anomalies; raises Missing."""
        found = await self._db.find(Anomaly, "select * from anomalies where store_id = $1 and id = $2", store_id, id_)
        if found is None:
            raise Missing(f"no anomaly {id_}")
        return found

    async def handle(self, store_id: str, id_: UUID, status: Status, note: str, by: str) -> Anomaly:
        """Writes down what was done about it; raises Missing."""
        found = await self._db.find(
            Anomaly,
            """update anomalies set status = $3, note = $4, handled_by = $5
               where store_id = $1 and id = $2 returning *""",
            store_id,
            id_,
            status,
            note,
            by,
        )
        if found is None:
            raise Missing(f"no anomaly {id_}")
        return found

    async def report(self, anomaly: Anomaly) -> Anomaly:
        """Keeps one that was reported; the same id again gives the one that is there."""
        await self._db.execute(_NEW, *_values(anomaly))
        return await self.anomaly(anomaly.store_id, anomaly.id)

    async def day(self, store_id: str | None) -> dict[str, float]:
        """Sums by metric over the last day of a store, or of all: each by its own newest figures."""
        rows = await self._db.rows(
            _Sum,
            """select metric, sum(value) as value from watched join buckets using (store_id)
               where ($1::text is null or store_id = $1) and bucket > newest - interval '1 day' group by metric""",
            store_id,
        )
        return {row.metric: row.value for row in rows}

    async def forget(self, keep: timedelta, counted_before: datetime) -> int:
        """Drops figures older than `keep` by their store's own newest, and ids of messages too old to come again."""
        await self._db.execute("delete from counted where at < $1", counted_before)
        return await self._db.execute(
            """delete from buckets using watched
               where watched.store_id = buckets.store_id and bucket < newest - $1::interval""",
            keep,
        )


class _Position(Struct):
    partition: int
    last_offset: int


class _Sum(Struct):
    metric: str
    value: float


async def _move(session: Session, topic: str, partition: int, known: int | None, reached: int) -> None:
    moved = await session.execute(
        """insert into reading (topic, partition, last_offset) values ($1, $2, $4)
           on conflict (topic, partition) do update set last_offset = excluded.last_offset
           where reading.last_offset = $3""",
        topic,
        partition,
        known,
        reached,
    )
    if not moved:
        raise Unavailable(f"another reader moved partition {partition} of {topic}")


async def _add(session: Session, counts: Counts) -> None:
    if not counts:
        return
    await session.execute(
        _ADD,
        [store_id for store_id, _, _ in counts],
        [metric for _, metric, _ in counts],
        [bucket for _, _, bucket in counts],
        list(counts.values()),
    )
    seen = spans(counts)
    await session.execute(
        _WATCH, list(seen), [first for first, _ in seen.values()], [newest for _, newest in seen.values()]
    )


def _values(anomaly: Anomaly) -> tuple[object, ...]:
    return (
        anomaly.id,
        anomaly.store_id,
        anomaly.kind,
        anomaly.subject,
        anomaly.status,
        anomaly.started_at,
        anomaly.last_seen_at,
        anomaly.ended_at,
        anomaly.seen,
        anomaly.expected_low,
        anomaly.expected_high,
        anomaly.score,
        anomaly.reasons,
        anomaly.found_at,
    )


def _state(anomaly: Anomaly) -> tuple[object, ...]:
    return (
        anomaly.id,
        anomaly.last_seen_at,
        anomaly.ended_at,
        anomaly.seen,
        anomaly.expected_low,
        anomaly.expected_high,
        anomaly.score,
        anomaly.reasons,
    )
