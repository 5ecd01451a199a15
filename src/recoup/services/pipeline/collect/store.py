"""What the collector writes: group commits to the event log, and counts by store.

While one append is on its way to disk, whatever arrives waits and shares the next one. Nobody waits for a timer:
alone, a request is written at once; in a crowd, the disk's own pace makes the groups.
"""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple, cast

import msgspec
import pyarrow as pa
from msgspec import Struct

from recoup.kit.clock import moment, stopwatch
from recoup.kit.errors import Failure, Unavailable
from recoup.kit.log import arrow
from recoup.kit.log.port import Log, Outgoing, partition_of
from recoup.kit.pace import Pace
from recoup.kit.service import ArrowTopic
from recoup.kit.telemetry import current_trace
from recoup.kit.valkey import Valkey, settled, translated
from recoup.messages.keys import COLLECTOR_STATUS, EVENT_STATS
from recoup.messages.topics import EVENTS_DEAD, EVENTS_OVERFLOW, EVENTS_RAW
from recoup.services.pipeline.arrivals.store import Arrivals
from recoup.services.pipeline.collect.domain.rows import Arrived, Rows, rows_of
from recoup.services.pipeline.overflow.store import Flooding

# What people look for among what arrived lately; the rest the processor counts by type.
_BY_THE_HOUR: Final = ("refused:", "warned:", "signed:", "unsigned:")


class Put(NamedTuple):
    """What one request leaves behind."""

    store_id: str
    good: Arrived | None
    laned: Arrived | None
    """Good events too, of visitors who flood."""
    dead: pa.Table | None

    @property
    def any(self) -> bool:
        """Whether there is anything to write."""
        return self.good is not None or self.laned is not None or self.dead is not None

    @property
    def events(self) -> int:
        """How many good events there are."""
        return sum(len(part.partitions) for part in (self.good, self.laned) if part is not None)


_AGAIN_SECONDS: Final = 0.1


@dataclass(slots=True)
class _Waiting:
    """One request, until its rows are durable."""

    rows: Put
    done: "asyncio.Future[None]"
    at: float


@dataclass(slots=True)
class EventLog:
    """Appends requests' rows in groups, in the order they were put."""

    log: Log
    patience_seconds: float
    """How long an outage of the log is waited out before requests are refused."""
    least_seconds: float = 8.0
    """So long each group is given, however long the log has been away: it may be back, and slow."""
    unwritten: int = 0
    """Events that were put and are not durable yet."""
    written: int = 0
    """Records appended since the start."""
    pace: Pace = field(default_factory=Pace)
    """Of requests that were made durable."""
    _away_since: float | None = None
    _waiting: list[_Waiting] = field(default_factory=list)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, rows: Put) -> "asyncio.Future[None]":
        """Done when the rows are durable; raises what the log raised."""
        waiting = _Waiting(rows, asyncio.get_running_loop().create_future(), stopwatch())
        self._waiting.append(waiting)
        self.unwritten += rows.events
        self._wake.set()
        return waiting.done

    async def run(self) -> None:
        """The worker that commits groups, one after another, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            group, self._waiting = self._waiting, []
            if group:
                await self._commit(group)
                self.unwritten -= sum([waiting.rows.events for waiting in group])

    async def _commit(self, group: Sequence[_Waiting]) -> None:
        try:
            await self._in_time(self._write(group))
        except Failure as failure:
            for waiting in group:
                waiting.done.set_exception(failure) if not waiting.done.done() else None
            self.pace.failures["durable"] += len(group)
            return
        for waiting in group:
            waiting.done.set_result(None) if not waiting.done.done() else None
            self.pace.note("durable", stopwatch() - waiting.at)
        self.pace.count(sum([waiting.rows.events for waiting in group]))

    async def _in_time(self, writing: Coroutine[None, None, None]) -> None:
        """Kafka's client tries by itself, for long, and says nothing meanwhile: our patience ends before its own."""
        began = stopwatch()
        left = self.patience_seconds - (0 if self._away_since is None else began - self._away_since)
        try:
            async with asyncio.timeout(max(self.least_seconds, left)):
                await writing
        except TimeoutError as error:
            self._away_since = self._away_since or began
            raise Unavailable("the event log does not answer", cause=error) from error

    async def _write(self, group: Sequence[_Waiting]) -> None:
        here = current_trace()
        headers: Mapping[str, str] = {"traceparent": here.header} if here else {}
        puts = [waiting.rows for waiting in group]
        dead = [(put.dead, put.store_id) for put in puts if put.dead is not None]
        if dead:
            await self._append_patiently(
                EVENTS_DEAD.name,
                [
                    Outgoing(partition_of(store_id, self.log.partitions), arrow.encode(rows), headers)
                    for rows, store_id in dead
                ],
            )
        await self._append(EVENTS_RAW, [put.good for put in puts if put.good is not None], headers)
        await self._append(EVENTS_OVERFLOW, [put.laned for put in puts if put.laned is not None], headers)

    async def _append(self, topic: ArrowTopic, requests: Sequence[Arrived], headers: Mapping[str, str]) -> None:
        by_store: dict[str, list[Arrived]] = {}
        for arrived in requests:
            by_store.setdefault(arrived.store_id, []).append(arrived)
        records = [record for arrived in by_store.values() for record in _records(rows_of(arrived), headers)]
        if records:
            await self._append_patiently(topic.name, records)

    async def _append_patiently(self, topic: str, records: Sequence[Outgoing]) -> None:
        """Appends, through a restart of the log if need be: what it took without saying so is there twice then.

        Such a repeat is found by its event's id, like a client's.
        """
        while True:
            began = stopwatch()
            try:
                await self.log.append(topic, records)
            except Unavailable:
                if self._away_since is None:
                    self._away_since = began
                if stopwatch() - self._away_since > self.patience_seconds:
                    raise
                await asyncio.sleep(_AGAIN_SECONDS)
            else:
                self._away_since = None
                self.written += len(records)
                return


def _records(rows: Rows, headers: Mapping[str, str]) -> list[Outgoing]:
    """One record a partition."""
    values = arrow.encode_parts(rows.table, rows.parts)
    return [Outgoing(partition, value, headers) for partition, value in zip(rows.partitions, values, strict=True)]


class CollectorStatus(Struct, frozen=True, kw_only=True):
    """What a collector says of itself."""

    member: str
    at: datetime
    events: int
    """Made durable since it started."""
    events_per_second: float
    waiting: int
    """Events that are not durable yet."""
    durable_p50_ms: float
    durable_p99_ms: float
    """From having read a request to its events being durable, over the last requests."""
    errors: int
    """Requests that were answered 503 because the log took nothing."""


@dataclass(frozen=True, slots=True)
class Statuses:
    """What collectors say of themselves, gone a minute after they stop."""

    valkey: Valkey

    async def write(self, status: CollectorStatus) -> None:
        key = COLLECTOR_STATUS.key(member=status.member)
        await settled(self.valkey.set(key, msgspec.json.encode(status), ex=COLLECTOR_STATUS.lifetime))

    async def read(self) -> list[CollectorStatus]:
        """Every living collector's."""
        keys = [key async for key in self.valkey.scan_iter(match=COLLECTOR_STATUS.key(member="*"), count=1000)]
        values = await settled(self.valkey.mget(keys)) if keys else []
        return [msgspec.json.decode(value, type=CollectorStatus) for value in values if value]


class EventStats(Struct, frozen=True, kw_only=True):
    """A store's counts since its first event."""

    store_id: str
    accepted: int
    """Events acknowledged, repeats included; the clock's own are not counted."""
    unique: int
    """Events that took effect."""
    duplicates: int
    refused: dict[str, int]
    """By code: events (and whole bodies that could not be read) that came back to the shop."""
    dead: dict[str, int]
    """By kind: events that were acknowledged and turned out not to be usable."""
    warned: dict[str, int]
    """By code: events that were taken although something in them wants mending."""
    last_event_at: datetime | None = None
    flooding: Sequence[Flooding] = ()
    """Visitors who flooded since yesterday; their events wait in the overflow lane so that nobody else's do."""


@dataclass(slots=True)
class Stats:
    """Counts by store. Written in the background, a few times a second, so that counting delays no acknowledgement."""

    valkey: Valkey
    arrivals: Arrivals
    _pending: dict[str, Counter[str]] = field(default_factory=dict)
    _flushing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def count(self, store_id: str, counts: Mapping[str, int]) -> None:
        """Adds to a store's counts, soon."""
        self._pending.setdefault(store_id, Counter()).update(counts)
        if lately := {name: count for name, count in counts.items() if name.startswith(_BY_THE_HOUR)}:
            self.arrivals.count(store_id, lately)

    async def flush(self) -> None:
        """Writes down what was counted before this call; on an outage it stays pending."""
        async with self._flushing:
            await self._flush()

    async def _flush(self) -> None:
        await self.arrivals.flush()
        pending, self._pending = self._pending, {}
        if not pending:
            return
        try:
            with translated():
                async with self.valkey.pipeline(transaction=True) as pipe:
                    for store_id, counts in pending.items():
                        for name, count in counts.items():
                            pipe.hincrby(EVENT_STATS.key(store_id=store_id), name, count)
                    await pipe.execute()
        except Failure:
            # Not by `count`: what arrived lately has been written down by now.
            for store_id, counts in pending.items():
                self._pending.setdefault(store_id, Counter()).update(counts)
            raise

    async def read(self, store_id: str) -> EventStats:
        """A store's counts; zeros where it never sent an event."""
        await self.flush()
        found = await settled(self.valkey.hgetall(EVENT_STATS.key(store_id=store_id)))
        counts = {key.decode(): int(value) for key, value in cast("dict[bytes, bytes]", found).items()}
        last = counts.get("last_event_at")
        return EventStats(
            store_id=store_id,
            accepted=counts.get("accepted", 0),
            unique=counts.get("unique", 0),
            duplicates=counts.get("duplicates", 0),
            refused=_with_prefix(counts, "refused:"),
            dead=_with_prefix(counts, "dead:"),
            warned=_with_prefix(counts, "warned:"),
            last_event_at=moment(last) if last else None,
        )


def _with_prefix(counts: Mapping[str, int], prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): count for name, count in counts.items() if name.startswith(prefix)}
