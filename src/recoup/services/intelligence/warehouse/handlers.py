"""The loader: everything that waits on the topics, over all partitions, becomes one insert a table, then one commit.

Exactly once in effect. Before a turn inserts, it writes down the ranges of its records (`Intent`); the commit crosses
them out in the same transaction. A loader that finds its intent reads exactly those ranges again, asks the tables which
of their rows are there, inserts the others, commits, and only then goes on. So does one to which Valkey came back
empty. Rows of another member's unfinished intent are checked against the tables too, before they are added.

A warehouse that takes nothing holds the loader up: it tries again with growing pauses, commits nothing, the lag shows.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple

import msgspec
import pyarrow as pa
from msgspec import Struct

from recoup.kit.clock import stopwatch
from recoup.kit.errors import Unavailable
from recoup.kit.log import arrow
from recoup.kit.log.port import Fenced, Log, Reader, Record
from recoup.kit.metrics import Counter, Histogram
from recoup.kit.runner import Parked, parked, parking_topic
from recoup.kit.service import ArrowTopic, Publish, Topic
from recoup.kit.telemetry import logger
from recoup.messages.facts import CartScored, ConversionRecorded, InterventionEvent
from recoup.messages.topics import (
    CONVERSION_EVENTS,
    EVENTS_DEAD,
    EVENTS_ENRICHED,
    EVENTS_RAW,
    INTERVENTION_EVENTS,
    PREDICTION_RESULTS,
)
from recoup.services.intelligence.settings import Settings
from recoup.services.intelligence.warehouse import domain
from recoup.services.intelligence.warehouse.domain import Intent, Part, intent_of, slices
from recoup.services.intelligence.warehouse.store import Store

log = logger(__name__)
GROUP: Final = "intelligence"
ATTEMPTS_BEFORE_ISOLATING: Final = 3
LONGEST_PAUSE_SECONDS: Final = 10.0
FEWEST_RECORDS: Final = 2
MOST_RECORDS: Final = 400
_UNREADABLE: Final = (pa.ArrowInvalid, OSError, msgspec.MsgspecError)

ROWS = Counter("warehouse_rows_loaded_total", "Rows added to the warehouse", ["table"])
TURNS = Histogram(
    "warehouse_turn_duration_seconds",
    "Time from reading a turn's records to their commit",
    [],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
FAILURES = Counter("warehouse_load_failures_total", "Turns that had to be tried again", ["kind"])


class Target(NamedTuple):
    """Where the records of a topic go."""

    topic: ArrowTopic | Topic[CartScored] | Topic[InterventionEvent] | Topic[ConversionRecorded]
    table: str
    build: Callable[[Sequence[Part]], pa.Table]
    columns: Sequence[str] | None = None
    """The only ones of a record that are decoded; None for all it carries."""


TARGETS: Final[Mapping[str, Target]] = {
    target.topic.name: target
    for target in (
        Target(EVENTS_RAW, "events_raw", domain.raw, domain.RAW_COLUMNS),
        Target(EVENTS_ENRICHED, "events_processed", domain.processed),
        Target(EVENTS_DEAD, "events_errors", domain.errors),
        Target(PREDICTION_RESULTS, "prediction_logs", domain.predictions),
        Target(INTERVENTION_EVENTS, "interventions_log", domain.interventions),
        Target(CONVERSION_EVENTS, "conversions_log", domain.conversions),
    )
}


class Trust(Enum):
    """What is known of the rows of an insert."""

    NEW = "they were never tried"
    TRIED = "they were tried under this very token, perhaps in part"
    DOUBTFUL = "they may be there from another insert"


@dataclass(slots=True)
class Loader:
    """One member of the group; its `run` is a worker."""

    store: Store
    log: Log
    publish: Publish
    member: str
    settings: Settings
    _waiting: list[Part] = field(default_factory=list)
    """Read and not yet inserted, in order by partition."""
    _unfinished: Intent | None = None
    """Our own intent from before the last start or failure."""
    _suspect: dict[tuple[str, int], int] = field(default_factory=dict)
    """Offsets up to which rows may be in the warehouse although they were not committed."""
    _unsure: int = 0
    """So many records more may be in the warehouse: Valkey, which would know, has come back empty."""
    _owned: frozenset[int] = frozenset()
    _rate: float = 0.0
    """Rows a second, smoothed."""
    _limit: int = 8
    """Records of a partition in the next read."""
    _failures: int = 0

    async def run(self) -> None:
        """Until cancelled."""
        await self._settled(lambda: self.log.register(GROUP, list(TARGETS)))
        reader = self.log.reader(GROUP, self.member, list(TARGETS))
        try:
            await self._settled(self._remember)
            while True:
                await self.turn(reader)
        finally:
            await reader.close()

    async def turn(self, reader: Reader) -> None:
        """Takes what waits and loads it; after a failure starts over from the committed positions."""
        started = stopwatch()
        try:
            await self._gather(reader)
            if not self._waiting or not await self._finished(reader):
                return
            for parts in slices(self._waiting, self.settings.batch_rows):
                await self._load(reader, parts)
            self._waiting = []
            self._failures = 0
            TURNS.observe(stopwatch() - started)
        except Fenced as error:
            log.warning("fenced", why=error.detail)
            await self._start_over(reader)
        except Unavailable as error:
            await self._pause("unavailable", error)
            await self._start_over(reader)

    async def _start_over(self, reader: Reader) -> None:
        self._waiting = []
        await reader.rewind()
        await self._settled(self._remember)

    async def _remember(self) -> None:
        """Takes up the unfinished intents: its own to be finished, every one as a reason to check."""
        if await self.store.begins():
            self._unsure = await self._all_waiting()
        intents = await self.store.intents()
        self._unfinished = intents.get(self.member)
        self._suspect = {}
        for intent in intents.values():
            for at, last in intent.last().items():
                self._suspect[at] = max(last, self._suspect.get(at, 0))

    async def _all_waiting(self) -> int:
        lags = [await self.log.lag(GROUP, topic) for topic in TARGETS]
        return sum(lag.waiting for found in lags for lag in found)

    async def _gather(self, reader: Reader) -> None:
        """Reads what waits; the busier it is, the longer it lets records pile up, because costs are per insert."""
        started = stopwatch()
        records = list(await self._read(reader, wait_seconds=1.0))
        if reader.owned() - self._owned:
            await self._remember()
        self._owned = reader.owned()
        if not records:
            # A backlog leaves its buffers with the allocator; an idle loader has no use for them.
            return pa.default_memory_pool().release_unused()
        share = min(1.0, self._rate / self.settings.busy_rows_per_second)
        await asyncio.sleep(self.settings.idle_gather_seconds + share * self.settings.gather_seconds)
        while _bytes(records) < self.settings.batch_bytes:
            more = await self._read(reader, wait_seconds=0.001)
            records += more
            if len(more) < FEWEST_RECORDS:
                break
        read = await asyncio.to_thread(_decoded, records)
        await self._park([unreadable for _, unreadable in read if unreadable is not None])
        self._waiting += [part for part, _ in read]
        rows = sum(part.size for part, _ in read)
        self._rate += 0.3 * (rows / max(stopwatch() - started, 0.001) - self._rate)
        return None

    async def _read(self, reader: Reader, *, wait_seconds: float) -> Sequence[Record]:
        """One read; the number of records it asks for follows their size, so that a backlog does not come in one go."""
        records = await reader.read(wait_seconds=wait_seconds, limit=self._limit)
        size = _bytes(records)
        if size > self.settings.batch_bytes / 2:
            self._limit = max(FEWEST_RECORDS, self._limit // 2)
        elif size < self.settings.batch_bytes / 8:
            self._limit = min(MOST_RECORDS, self._limit * 2)
        return records

    async def _finished(self, reader: Reader) -> bool:
        """Loads exactly the records an earlier run meant to; False while not all of them have been read."""
        intent = self._unfinished
        if intent is None:
            return True
        read = {(part.topic, part.partition): part.offset for part in self._waiting}
        short = [at for at, last in intent.last().items() if at[1] in reader.owned() and read.get(at, 0) < last]
        if short and not await self._all_read(short, read):
            return False
        meant = [part for part in self._waiting if intent.holds(part)]
        whole = intent_of(meant) == intent
        log.info("finishing what was begun", records=len(meant), whole=whole)
        if meant:
            # Whether they went in under this token or as the rest of something, only the tables know.
            await self._insert(reader, meant, Trust.DOUBTFUL)
        self._waiting = [part for part in self._waiting if not intent.holds(part)]
        self._unfinished = None
        return True

    async def _all_read(self, places: Sequence[tuple[str, int]], read: Mapping[tuple[str, int], int]) -> bool:
        """Whether nothing more waits at these places: what was meant there has been committed after all."""
        for topic, partition in places:
            lags = await self.log.lag(GROUP, topic)
            waiting = next((lag.waiting for lag in lags if lag.partition == partition), 0)
            if waiting and (topic, partition) not in read:
                return False
        return True

    async def _load(self, reader: Reader, parts: Sequence[Part]) -> None:
        """One insert a table and one commit; what the warehouse refuses for ever is found record by record."""
        doubtful = self._unsure > 0 or any(self._doubtful(part) for part in parts)
        self._unsure = max(0, self._unsure - len(parts))
        trust = Trust.DOUBTFUL if doubtful else Trust.NEW
        for attempt in range(1, ATTEMPTS_BEFORE_ISOLATING + 1):
            try:
                return await self._insert(reader, parts, trust)
            except (Fenced, Unavailable):
                raise
            except Exception as error:
                log.exception("insert failed", attempt=attempt, records=len(parts))
                await self._pause("bug", error)
                trust = Trust.TRIED if trust is Trust.NEW else trust
        for part in parts:
            await self._isolated(reader, part)
        return None

    def _doubtful(self, part: Part) -> bool:
        return part.offset <= self._suspect.get((part.topic, part.partition), 0)

    async def _isolated(self, reader: Reader, part: Part) -> None:
        try:
            await self._insert(reader, [part], Trust.DOUBTFUL)
        except (Fenced, Unavailable):
            raise
        except Exception as error:
            log.exception("record refused", topic=part.topic, partition=part.partition, offset=part.offset)
            await self._park([parked(GROUP, await self._record(part), _reason(error))])
            await reader.commit({(part.topic, part.partition): part.offset}, effects=self.store.fulfil)

    async def _record(self, part: Part) -> Record:
        """What a part was read from; not committed yet, it is on the log still, unless that came back empty."""
        found = await self.log.after(part.topic, {part.partition: part.offset - 1}, limit=1)
        same = (one for one in found if (one.partition, one.offset) == (part.partition, part.offset))
        return next(same, Record(part.topic, part.partition, part.offset, b"", {}))

    async def _insert(self, reader: Reader, parts: Sequence[Part], trust: Trust) -> None:
        intent = intent_of(parts)
        await self.store.intend(intent)
        for topic in intent.ranges:
            target = TARGETS[topic]
            readable = [part for part in parts if part.topic == topic and part.content is not None]
            if not readable:
                continue
            rows = await asyncio.to_thread(target.build, readable)
            token = intent.token(target.table)
            if trust is not Trust.DOUBTFUL:
                await self.store.insert(target.table, rows, token)
            if trust is not Trust.NEW:
                await self.store.insert_missing(target.table, rows, token)
            ROWS.labels(target.table).inc(rows.num_rows)
        await reader.commit(intent.last(), effects=self.store.fulfil)

    async def _park(self, unusable: Sequence[Parked]) -> None:
        """Sets records aside that cannot be read or stored; their place in the log is committed like any other."""
        if unusable:
            log.error("records parked", records=len(unusable), first=unusable[0].reason)
            await self.publish(parking_topic(), unusable)

    async def _settled(self, call: Callable[[], Awaitable[None]]) -> None:
        """Does it, trying again for as long as an engine does not answer."""
        while True:
            try:
                return await call()
            except Unavailable as error:
                await self._pause("unavailable", error)

    async def _pause(self, kind: str, error: BaseException) -> None:
        self._failures += 1
        FAILURES.labels(kind).inc()
        log.warning("trying again", why=str(error), failures=self._failures)
        await asyncio.sleep(min(0.1 * 2 ** min(self._failures, 10), LONGEST_PAUSE_SECONDS))


def _bytes(records: Sequence[Record]) -> int:
    return sum(len(record.value) for record in records)


def _decoded(records: Sequence[Record]) -> list[tuple[Part, Parked | None]]:
    """Each record's rows or message; no content, and what to park, for one that cannot be read."""
    contents: dict[int, pa.Table | Struct] = {}
    for topic, target in TARGETS.items():
        places = [place for place, record in enumerate(records) if record.topic == topic]
        try:
            contents |= zip(places, _contents(target, [records[place].value for place in places]), strict=True)
        except _UNREADABLE:
            log.warning("looking for a record that cannot be read", topic=topic, records=len(places))
    return [
        (Part(record.topic, record.partition, record.offset, contents[place]), None)
        if place in contents
        else _alone(record)
        for place, record in enumerate(records)
    ]


def _contents(target: Target, values: Sequence[bytes]) -> list[pa.Table] | list[Struct]:
    if isinstance(target.topic, ArrowTopic):
        return [pa.Table.from_batches([batch]) for batch in arrow.decode(values, target.columns)]
    kind = target.topic.kind
    return [msgspec.json.decode(value, type=kind) for value in values]


def _alone(record: Record) -> tuple[Part, Parked | None]:
    try:
        (content,) = _contents(TARGETS[record.topic], [record.value])
    except _UNREADABLE as error:
        return Part(record.topic, record.partition, record.offset, None), parked(GROUP, record, _reason(error))
    return Part(record.topic, record.partition, record.offset, content), None


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
