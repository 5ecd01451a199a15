"""How a process is, from what it answers and what its supervisor says."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Final

from msgspec import Struct

_RESTARTING: Final = frozenset({"waiting", "starting", "backoff"})


class Level(StrEnum):
    """How well a process does."""

    READY = "ready"
    DEGRADED = "degraded"
    """It answers, but not all of its engines do."""
    RESTARTING = "restarting"
    """Its supervisor is about to start it, or waits until it is ready."""
    DOWN = "down"


class Answer(Struct, frozen=True):
    """What `GET /health/ready` gave, and after how long."""

    status: int
    checks: dict[str, str]
    latency_ms: float


class Child(Struct, frozen=True):
    """What a supervisor says of a process."""

    state: str
    pid: int | None
    restarts: int
    since: datetime
    detail: str


class ServiceStatus(Struct, frozen=True, kw_only=True):
    """One process. `pid`, `restarts` and `since` are null where no supervisor of ours keeps it."""

    service: str
    status: Level
    latency_ms: float | None
    checks: dict[str, str]
    pid: int | None
    restarts: int | None
    since: datetime | None
    detail: str


def judge(service: str, answer: Answer | None, child: Child | None, *, asked: bool) -> ServiceStatus:
    """One process from both views; `asked` is False for engines, which have no health route of ours."""
    level = _level(answer, child) if asked else _engine_level(child)
    return ServiceStatus(
        service=service,
        status=level,
        latency_ms=None if answer is None else round(answer.latency_ms, 2),
        checks={} if answer is None else answer.checks,
        pid=None if child is None else child.pid,
        restarts=None if child is None else child.restarts,
        since=None if child is None else child.since,
        detail="" if child is None or level is Level.READY else child.detail,
    )


def _level(answer: Answer | None, child: Child | None) -> Level:
    if answer is None:
        return Level.RESTARTING if child is not None and child.state in _RESTARTING else Level.DOWN
    return Level.READY if answer.status == HTTPStatus.OK else Level.DEGRADED


def _engine_level(child: Child | None) -> Level:
    if child is not None and child.state == "ready":
        return Level.READY
    return Level.RESTARTING if child is not None and child.state in _RESTARTING else Level.DOWN


def overall(statuses: Sequence[ServiceStatus]) -> Level:
    """The whole: ready if all are, down if all are, degraded in between."""
    levels = {status.status for status in statuses}
    if levels <= {Level.READY}:
        return Level.READY
    return Level.DOWN if levels == {Level.DOWN} else Level.DEGRADED


class ProcessUse(Struct, frozen=True, kw_only=True):
    """What one process uses."""

    service: str
    cpu_usage_percent: float | None
    """Of one core, since the last look."""
    memory_usage_bytes: int | None


class Machine(Struct, frozen=True, kw_only=True):
    """What the machine monitoring runs on uses."""

    cpu_usage_percent: float
    memory_usage_bytes: int
    memory_total_bytes: int
    disk_usage_percent: float
    network_io_bytes: dict[str, int]
    """By direction, since the machine started."""


class Infrastructure(Struct, frozen=True, kw_only=True):
    """The machine, the processes and the database's connections, as of `at`."""

    at: datetime
    machine: Machine
    processes: list[ProcessUse]
    database_connections: dict[str, int]
    """By application name."""


def from_metrics(
    service: str, now: Mapping[str, float], before: Mapping[str, float] | None, seconds: float
) -> ProcessUse:
    """A process' use from what it exports about itself, twice, `seconds` apart."""
    memory = now.get("process_resident_memory_bytes")
    spent = now.get("process_cpu_seconds_total")
    earlier = None if before is None else before.get("process_cpu_seconds_total")
    percent = None
    if spent is not None and earlier is not None and seconds > 0:
        percent = round(max(0.0, spent - earlier) / seconds * 100, 1)
    return ProcessUse(
        service=service, cpu_usage_percent=percent, memory_usage_bytes=None if memory is None else int(memory)
    )
