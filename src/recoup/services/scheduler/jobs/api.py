"""Jobs and runs over HTTP: see, run now, pause, resume. They belong to the installation: no route asks for a store."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, HeaderParameter
from msgspec import Meta, Struct

from recoup.kit.clock import Clock
from recoup.kit.errors import Conflict, Invalid
from recoup.kit.ids import derived_id, new_id
from recoup.kit.pages import DEFAULT_LIMIT, Limit, Page, cursor_after, position
from recoup.messages.access import Permission
from recoup.services.scheduler.jobs.domain import Cause, Job, Run, State, named, next_time
from recoup.services.scheduler.jobs.store import Store

Key = Annotated[Annotated[str, Meta(max_length=255)] | None, HeaderParameter(name="Idempotency-Key")]


class RunView(Struct, frozen=True, kw_only=True):
    """One time a job was run, or was to be."""

    id: UUID
    job: str
    cause: Cause
    state: State
    due_at: datetime
    attempts: int
    started_at: datetime | None
    finished_at: datetime | None
    duration_seconds: float | None
    result: str | None
    error: str | None


class JobView(Struct, frozen=True, kw_only=True):
    """A job, when it runs next and how it went last. `id` is its name in paths; `name` serves where only one has it."""

    id: str
    service: str
    name: str
    cron: str
    timeout_seconds: float
    paused: bool
    offered: bool
    next_run: datetime | None
    last_run: RunView | None


def _seen(run: Run) -> RunView:
    return RunView(
        id=run.id,
        job=f"{run.service}.{run.job}",
        cause=run.cause,
        state=run.state,
        due_at=run.due_at,
        attempts=run.attempts,
        started_at=run.started_at,
        finished_at=run.finished_at,
        duration_seconds=run.duration_seconds,
        result=run.result,
        error=run.error,
    )


def _job_seen(job: Job, last: Run | None) -> JobView:
    return JobView(
        id=job.id,
        service=job.service,
        name=job.name,
        cron=job.cron,
        timeout_seconds=job.timeout_seconds,
        paused=job.paused,
        offered=job.offered,
        next_run=job.next_run if job.offered and not job.paused else None,
        last_run=None if last is None else _seen(last),
    )


@get("/jobs", opt={"permission": Permission.JOBS_READ})
async def list_jobs(jobs_store: NamedDependency[Store]) -> Page[JobView]:
    """Every job of every service."""
    jobs = await jobs_store.jobs()
    last = {(run.service, run.job): run for run in await jobs_store.last_runs()}
    return Page([_job_seen(job, last.get((job.service, job.name))) for job in jobs])


@post("/jobs/{job:str}/run", opt={"permission": Permission.JOBS_WRITE}, status_code=202)
async def run_now(
    job: FromPath[str], jobs_store: NamedDependency[Store], jobs_clock: NamedDependency[Clock], key: Key = None
) -> RunView:
    """Runs a job as soon as a scheduler has room, paused or not; the same Idempotency-Key gives the same run."""
    found = named(await jobs_store.jobs(), job)
    if not found.offered:
        raise Conflict(f"{found.service!r} no longer offers job {found.name!r}", code="job_not_offered")
    run = new_id() if key is None else derived_id("run by hand", found.id, key)
    return _seen(await jobs_store.run_now(run, found, jobs_clock.now()))


@post("/jobs/{job:str}/pause", opt={"permission": Permission.JOBS_WRITE}, status_code=200)
async def pause(job: FromPath[str], jobs_store: NamedDependency[Store]) -> JobView:
    """Not run by the clock until resumed."""
    await jobs_store.pause(named(await jobs_store.jobs(), job))
    return await _reread(job, jobs_store)


@post("/jobs/{job:str}/resume", opt={"permission": Permission.JOBS_WRITE}, status_code=200)
async def resume(job: FromPath[str], jobs_store: NamedDependency[Store], jobs_clock: NamedDependency[Clock]) -> JobView:
    """Run by the clock again, from its next time on: what was missed meanwhile is not made up for."""
    found = named(await jobs_store.jobs(), job)
    await jobs_store.resume(found, next_time(found.cron, jobs_clock.now()))
    return await _reread(job, jobs_store)


@get("/jobs/{job:str}/history", opt={"permission": Permission.JOBS_READ})
async def history(
    job: FromPath[str],
    jobs_store: NamedDependency[Store],
    cursor: FromQuery[str | None] = None,
    limit: FromQuery[Limit] = DEFAULT_LIMIT,
) -> Page[RunView]:
    """The runs of a job, newest first."""
    found = named(await jobs_store.jobs(), job)
    runs = await jobs_store.history(found, limit, None if cursor is None else _before(cursor))
    last = runs[-1] if len(runs) == limit else None
    return Page(
        [_seen(run) for run in runs], None if last is None else cursor_after(last.due_at.isoformat(), str(last.id))
    )


@get("/runs/{run:uuid}", opt={"permission": Permission.JOBS_READ})
async def one_run(run: FromPath[UUID], jobs_store: NamedDependency[Store]) -> RunView:
    """One run, whatever its job."""
    return _seen(await jobs_store.run(run))


def router(store: Store, clock: Clock) -> Router:
    """The feature's routes, over its store."""
    return Router(
        "/",
        route_handlers=[list_jobs, run_now, pause, resume, history, one_run],
        dependencies={
            "jobs_store": Provide(lambda: store, sync_to_thread=False),
            "jobs_clock": Provide(lambda: clock, sync_to_thread=False),
        },
        tags=["jobs"],
    )


async def _reread(job: str, store: Store) -> JobView:
    found = named(await store.jobs(), job)
    last = await store.history(found, 1, None)
    return _job_seen(found, last[0] if last else None)


def _before(cursor: str) -> tuple[datetime, UUID]:
    due_at, run = position(cursor, 2)
    try:
        return datetime.fromisoformat(due_at), UUID(run)
    except ValueError as error:
        raise Invalid("the cursor is not one of ours", code="cursor_invalid") from error
