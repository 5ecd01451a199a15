"""What a service is: its doors, what it reads and writes, what it does by itself. Knows no service.

`build(deps, settings)` in every `wiring.py` returns a `Service`; from these records the programs are run, the
picture in ARCHITECTURE.md is drawn and the topics are checked for a writer and a reader.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import msgspec
from litestar import Router
from litestar.types import ASGIApp

from recoup.kit.log.port import Record

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

M = TypeVar("M", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Topic(Generic[M]):
    """A topic of JSON messages. `key` decides the partition, so that what belongs together stays in order."""

    name: str
    kind: type[M]
    key: Callable[[M], str]


@dataclass(frozen=True, slots=True)
class ArrowTopic:
    """A topic whose records are Arrow batches of `schema`; rows of a record share one partition."""

    name: str
    schema: "pa.Schema"

    def only(self, *columns: str) -> "ArrowTopic":
        """The same topic for a reader who looks at some columns alone; the others cost it nothing."""
        import pyarrow as pa  # noqa: PLC0415 - 45 MB that services without Arrow topics do without

        return ArrowTopic(self.name, pa.schema([self.schema.field(column) for column in columns]))


class Batch(NamedTuple):
    """Everything that waited on an Arrow topic: the records in order by partition, and their rows one after another."""

    records: Sequence[Record]
    table: "pa.Table"
    """All rows; each column is in one piece."""
    counts: Sequence[int]
    """How many rows each record has."""

    def spread(self, values: Sequence[int] | Sequence[bool]) -> "np.ndarray[Any, Any]":
        """From a value for each record to one for each row."""
        import numpy as np  # noqa: PLC0415 - services without Arrow topics do without

        return np.repeat(np.asarray(values), self.counts)


Publish = Callable[[Topic[Any], Sequence[Any]], Awaitable[None]]
"""Appends messages to their topic; returns when they are durable."""


@dataclass(frozen=True, slots=True)
class Consumer:
    """A group's reading of one topic. The handler gets batches; when it returns, the batch is committed.

    `gather_seconds`: how long to let records pile up before a batch is taken; costs are per batch, so what is not
    urgent waits. `on_messages` takes a sequence of the topic's type, `on_batch` a `Batch`; exactly one is given.
    """

    topic: Topic[Any] | ArrowTopic
    on_messages: Callable[[Sequence[Any]], Awaitable[None]] | None = None
    on_batch: Callable[[Batch], Awaitable[None]] | None = None
    gather_seconds: float = 0.0
    group: str | None = None
    starts: Callable[[], Awaitable[None]] | None = None
    """Returns when there is something to read for; until then the group is not registered, and nothing waits for it."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A loop that runs as long as the service; cancelled on stopping. An exception that escapes ends the process."""

    name: str
    run: Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Job:
    """Something done by timer: run by the scheduler over HTTP, so that exactly one instance does it.

    `cron` has five fields, in UTC.
    """

    name: str
    cron: str
    run: Callable[[], Awaitable[str]]
    """Does it and says in one sentence what came of it."""
    timeout: timedelta = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Check:
    """Readiness of one engine: returns when it answers, raises when not."""

    name: str
    ping: Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Service:
    """One service, ready to be run."""

    name: str
    routers: Sequence[Router] = ()
    front: Callable[[ASGIApp], ASGIApp] | None = None
    """Stands before every route and may answer by itself; for a gateway."""
    consumes: Sequence[Consumer] = ()
    reads: Sequence[Topic[Any] | ArrowTopic] = ()
    """Topics read by a worker's own loop instead of a consumer."""
    emits: Sequence[Topic[Any] | ArrowTopic] = ()
    workers: Sequence[Worker] = ()
    jobs: Sequence[Job] = ()
    checks: Sequence[Check] = ()
    notes_changes: bool = False
    """Whether its rooms write what they change into the audit trail themselves, in the transaction of the change."""
    on_start: Sequence[Callable[[], Awaitable[None]]] = ()
    on_stop: Sequence[Callable[[], Awaitable[None]]] = ()
    """Run in reverse order after the doors are closed and workers are done."""
