"""What a job and a run are, and when a job is due next. Cron in five fields, in UTC."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from croniter import croniter
from croniter.croniter import CroniterError
from msgspec import Struct

from recoup.kit.errors import Conflict, Invalid, Missing
from recoup.kit.ids import derived_id

_FIELDS: Final = 5
GRACE: Final = timedelta(minutes=5)
"""A run that is older than its job's time-out by so much no longer counts as going on."""


class Cause(StrEnum):
    """Why a run exists."""

    SCHEDULE = "schedule"
    MANUAL = "manual"


class State(StrEnum):
    """Where a run is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    """It was due while the run before it still went on."""


class Offer(Struct, frozen=True, kw_only=True):
    """A job as its service offers it."""

    name: str
    cron: str
    timeout_seconds: float


class Job(Struct, frozen=True, kw_only=True):
    """A job as we keep it."""

    service: str
    name: str
    cron: str
    timeout_seconds: float
    paused: bool
    offered: bool
    """False once its service no longer offers it; it is then not run, only remembered."""
    next_run: datetime | None

    @property
    def id(self) -> str:
        """What it is called in paths."""
        return f"{self.service}.{self.name}"


class Run(Struct, frozen=True, kw_only=True):
    """One time a job was run, or was to be."""

    id: UUID
    service: str
    job: str
    cause: Cause
    due_at: datetime
    state: State
    attempts: int
    started_at: datetime | None = None
    finished_at: datetime | None = None
    result: str | None = None
    error: str | None = None

    @property
    def duration_seconds(self) -> float | None:
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()


def next_time(cron: str, after: datetime) -> datetime:
    """The first moment after `after` that `cron` names; raises Invalid for what is no expression, or never comes."""
    if len(cron.split()) != _FIELDS:
        raise Invalid(f"a cron expression has five fields, not {cron!r}")
    try:
        return croniter(cron, after).get_next(datetime)
    except CroniterError as error:
        raise Invalid(f"cron expression {cron!r}: {error}") from error


def run_id(job: Job, due_at: datetime) -> UUID:
    """The run of a job that was due then, whoever notices it."""
    return derived_id("run", job.service, job.name, due_at.isoformat())


def named(jobs: list[Job], name: str) -> Job:
    """The job a path names: `service.name`, or the name alone where only one service has it."""
    for job in jobs:
        if job.id == name:
            return job
    found = [job for job in jobs if job.name == name]
    if not found:
        raise Missing(f"no job {name!r}")
    if len(found) > 1:
        raise Conflict(f"several jobs are named {name!r}: {', '.join(job.id for job in found)}", code="job_ambiguous")
    return found[0]
