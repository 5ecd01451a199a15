"""Jobs, runs and living schedulers in PostgreSQL. Jobs belong to the installation, so no row has a store."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from uuid import UUID

from recoup.kit.errors import Missing
from recoup.kit.postgres import Postgres
from recoup.services.scheduler.jobs.domain import GRACE, Cause, Job, Offer, Run, next_time, run_id


class Store:
    """All of the feature's SQL."""

    def __init__(self, postgres: Postgres) -> None:
        self._db = postgres

    async def offer(self, service: str, offers: Sequence[Offer], now: datetime) -> None:
        """Takes over what a service offers: new jobs, changed times; what it no longer offers rests."""
        rows = [
            (service, offer.name, offer.cron, offer.timeout_seconds, next_time(offer.cron, now)) for offer in offers
        ]
        async with self._db.transaction() as session:
            await session.execute_many(
                """insert into jobs (service, name, cron, timeout_seconds, next_run) values ($1, $2, $3, $4, $5)
                   on conflict (service, name) do update set
                       cron = excluded.cron, timeout_seconds = excluded.timeout_seconds, offered = true,
                       next_run = case when jobs.cron = excluded.cron and jobs.offered
                                       then jobs.next_run else excluded.next_run end
                   where (jobs.cron, jobs.timeout_seconds, jobs.offered)
                         is distinct from (excluded.cron, excluded.timeout_seconds, true)""",
                rows,
            )
            await session.execute(
                "update jobs set offered = false where service = $1 and offered and not name = any($2::text[])",
                service,
                [offer.name for offer in offers],
            )

    async def has_work(self, now: datetime) -> bool:
        """Whether a job is due or a run waits to be handed over; the one question asked all day long."""
        return await self._db.row(
            bool,
            """select exists (select from jobs where offered and not paused and next_run <= $1)
               or exists (select from runs where state = 'queued' and enqueued_at is null)""",
            now,
        )

    async def fire(self, now: datetime) -> int:
        """Makes a run of every job that is due, once, and says how many; a job still going on gets a skipped one."""
        async with self._db.transaction() as session:
            due = await session.rows(
                Job,
                """select * from jobs where offered and not paused and next_run <= $1
                    order by next_run limit 100 for update skip locked""",
                now,
            )
            for job in due:
                assert job.next_run is not None  # noqa: S101 - the statement above asked for it
                await session.execute(
                    """insert into runs (id, service, job, cause, due_at, state)
                       select $1, $2, $3, 'schedule', $4, case when exists (
                           select from runs where service = $2 and job = $3 and state in ('queued', 'running')
                           and coalesce(started_at, due_at) > $5
                       ) then 'skipped' else 'queued' end
                       on conflict (id) do nothing""",
                    run_id(job, job.next_run),
                    job.service,
                    job.name,
                    job.next_run,
                    now - timedelta(seconds=job.timeout_seconds) - GRACE,
                )
                await session.execute(
                    "update jobs set next_run = $3 where service = $1 and name = $2",
                    job.service,
                    job.name,
                    next_time(job.cron, now),
                )
        return len(due)

    async def run_now(self, run: UUID, job: Job, now: datetime) -> Run:
        """A run by hand; the same id again gives the run that is there."""
        async with self._db.transaction() as session:
            await session.execute(
                """insert into runs (id, service, job, cause, due_at, state) values ($1, $2, $3, $4, $5, 'queued')
                   on conflict (id) do nothing""",
                run,
                job.service,
                job.name,
                Cause.MANUAL,
                now,
            )
            return await session.row(Run, "select * from runs where id = $1", run)

    @asynccontextmanager
    async def waiting(self, now: datetime) -> AsyncGenerator[list[UUID]]:
        """Runs that nobody has given to the engine yet, held against others; given, once the block ends well."""
        async with self._db.transaction() as session:
            found = await session.rows(
                UUID,
                """select id from runs where state = 'queued' and enqueued_at is null
                    order by due_at limit 100 for update skip locked""",
            )
            yield found
            await session.execute("update runs set enqueued_at = $2 where id = any($1::uuid[])", found, now)

    async def begin(self, run: UUID, now: datetime) -> Run | None:
        """It is going on; None where it was already."""
        return await self._db.find(
            Run,
            """update runs set state = 'running', started_at = coalesce(started_at, $2)
               where id = $1 and state = 'queued' returning *""",
            run,
            now,
        )

    async def attempt(self, run: UUID) -> tuple[Run, float]:
        """Counts an attempt; the run, and how many seconds its job may take."""
        async with self._db.transaction() as session:
            found = await session.row(Run, "update runs set attempts = attempts + 1 where id = $1 returning *", run)
            seconds = await session.find(
                float,
                "select timeout_seconds from jobs where service = $1 and name = $2",
                found.service,
                found.job,
            )
        return found, seconds if seconds is not None else 0.0

    async def finish(self, run: UUID, now: datetime, *, result: str | None, error: str | None) -> Run | None:
        """How it ended; the first answer stays, and a later one gets None."""
        return await self._db.find(
            Run,
            """update runs set state = case when $4::text is null then 'succeeded' else 'failed' end,
                   finished_at = $2, result = $3, error = $4
               where id = $1 and state in ('queued', 'running') returning *""",
            run,
            now,
            result,
            error,
        )

    async def beat(self, member: str, now: datetime) -> None:
        """This scheduler lives."""
        await self._db.execute(
            "insert into instances values ($1, $2) on conflict (member) do update set seen_at = excluded.seen_at",
            member,
            now,
        )

    @asynccontextmanager
    async def dead(self, before: datetime) -> AsyncGenerator[list[str]]:
        """Schedulers last heard of before then, held against others; forgotten, once the block ends well."""
        async with self._db.transaction() as session:
            found = await session.rows(
                str, "select member from instances where seen_at < $1 for update skip locked", before
            )
            yield found
            await session.execute("delete from instances where member = any($1::text[])", found)

    async def jobs(self) -> list[Job]:
        """Every job, by service and name."""
        return await self._db.rows(Job, "select * from jobs order by service, name")

    async def pause(self, job: Job) -> None:
        await self._db.execute("update jobs set paused = true where service = $1 and name = $2", job.service, job.name)

    async def resume(self, job: Job, next_run: datetime) -> None:
        """What was due while it was paused is not made up for."""
        await self._db.execute(
            "update jobs set paused = false, next_run = $3 where service = $1 and name = $2 and paused",
            job.service,
            job.name,
            next_run,
        )

    async def last_runs(self) -> list[Run]:
        """The newest run of every job that ever ran."""
        return await self._db.rows(
            Run,
            """select last.* from jobs, lateral (
                    select * from runs where runs.service = jobs.service and runs.job = jobs.name
                    order by due_at desc, id desc limit 1
                ) last""",
        )

    async def history(self, job: Job, limit: int, before: tuple[datetime, UUID] | None) -> list[Run]:
        """Runs of a job, newest first, from behind `before` on."""
        return await self._db.rows(
            Run,
            """select * from runs where service = $1 and job = $2
                and ($3::timestamptz is null or (due_at, id) < ($3, $4::uuid))
                order by due_at desc, id desc limit $5""",
            job.service,
            job.name,
            before[0] if before else None,
            before[1] if before else None,
            limit,
        )

    async def run(self, run: UUID) -> Run:
        """One run; raises Missing."""
        found = await self._db.find(Run, "select * from runs where id = $1", run)
        if found is None:
            raise Missing(f"no run {run}")
        return found

    async def forget(self, before: datetime) -> int:
        """Drops runs that ended before then, and says how many."""
        return await self._db.execute(
            "delete from runs where state not in ('queued', 'running') and coalesce(finished_at, due_at) < $1", before
        )
