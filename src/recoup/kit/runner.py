"""Runs consumers: read, decode, handle, commit.

Retry, isolation of poison, metrics and tracing live here and nowhere else.

A handler has no `try` of its own. `Unavailable` means: the same batch again, with growing pauses. Anything else is a
bug
or a poisonous message: the batch is tried again, then record by record, and a record that still fails is parked with
its reason instead of holding up its partition for ever.
"""

import asyncio
import base64
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from prometheus_client import Counter, Histogram

from recoup.kit.clock import stopwatch
from recoup.kit.culprits import Culprits
from recoup.kit.errors import Refused, Unavailable
from recoup.kit.log.port import ONLY_FOR, Fenced, Log, Outgoing, Reader, Record, partition_of
from recoup.kit.service import ArrowTopic, Batch, Consumer, Topic
from recoup.kit.telemetry import current_trace, logger, traced

if TYPE_CHECKING:
    import pyarrow as pa

log = logger(__name__)

BATCHES = Histogram(
    "consumer_batch_duration_seconds",
    "Time a consumer spent on one batch",
    ["group", "topic"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
FAILURES = Counter("consumer_failures_total", "Batches that had to be tried again", ["group", "topic", "kind"])
PARKED = Counter("consumer_parked_total", "Records set aside because they cannot be handled", ["group", "topic"])

RECORDS_PER_READ = 500
ATTEMPTS_BEFORE_ISOLATING = 3
LONGEST_PAUSE_SECONDS = 10.0


class Parked(msgspec.Struct, frozen=True, kw_only=True):
    """A record a group could not handle, kept with everything needed to try it again."""

    group: str
    topic: str
    partition: int
    offset: int
    reason: str
    body: str
    """The record's bytes in base64."""
    headers: Mapping[str, str] = {}


def parking_topic() -> Topic[Parked]:
    """Where records go that a group cannot handle."""
    return Topic("consumer-parked", Parked, key=lambda parked: parked.group)


def parked(group: str, record: Record, reason: str) -> Parked:
    """A record to be set aside; counted as such."""
    PARKED.labels(group, record.topic).inc()
    return Parked(
        group=group,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        reason=reason,
        body=base64.b64encode(record.value).decode(),
        headers=record.headers,
    )


def put_back(one: Parked) -> Outgoing:
    """A parked record as it goes back to its topic: for the group that parked it, as all others have dealt with it."""
    return Outgoing(one.partition, base64.b64decode(one.body), {**one.headers, ONLY_FOR: one.group})


@dataclass(frozen=True, slots=True)
class Publisher:
    """Appends messages to their topics; the `Publish` every service is given."""

    log: Log

    async def __call__(self, topic: Topic[Any], messages: Sequence[Any]) -> None:
        if not messages:
            return
        await self.log.append(topic.name, as_outgoing(topic, messages, self.log.partitions))


def as_outgoing(topic: Topic[Any], messages: Sequence[Any], partitions: int) -> list[Outgoing]:
    """Messages as records of their topic."""
    here = current_trace()
    headers: Mapping[str, str] = {"traceparent": here.header} if here else {}
    return [
        Outgoing(partition_of(topic.key(message), partitions), msgspec.json.encode(message), headers)
        for message in messages
    ]


@dataclass(slots=True)
class Runner:
    """One consumer's endless loop."""

    log: Log
    group: str
    member: str
    consumer: Consumer
    _failures: int = 0

    async def run(self) -> None:
        """Until cancelled."""
        topic = self.consumer.topic.name
        if self.consumer.starts is not None:
            await self.consumer.starts()
        await self._registered(topic)
        reader = self.log.reader(self.group, self.member, [topic])
        try:
            while True:
                await self._turn(reader)
        finally:
            # The engine may be stopping as well; then its leases and sessions end by themselves.
            with suppress(Unavailable):
                await reader.close()

    async def _registered(self, topic: str) -> None:
        while True:
            try:
                return await self.log.register(self.group, [topic])
            except Unavailable as error:
                await self._pause("unavailable", error)

    async def _turn(self, reader: Reader) -> None:
        try:
            records = await reader.read(wait_seconds=1.0, limit=RECORDS_PER_READ)
            if not records:
                self._failures = 0
                return
            if self.consumer.gather_seconds:
                await asyncio.sleep(self.consumer.gather_seconds)
                records = [*records, *await reader.read(wait_seconds=0.001, limit=RECORDS_PER_READ)]
            await self._deal_with(records)
            await reader.commit(_positions(records))
            self._failures = 0
        except Fenced as error:
            log.warning("fenced", group=self.group, why=error.detail)
            await reader.rewind()
        except Unavailable as error:
            await self._pause("unavailable", error)
            await reader.rewind()

    async def _deal_with(self, records: Sequence[Record]) -> None:
        """Handles a batch; returns only when every record is handled or parked."""
        for attempt in range(1, ATTEMPTS_BEFORE_ISOLATING + 1):
            try:
                return await self._handle(records)
            except Unavailable:
                raise
            except Refused as error:
                log.warning("refused", group=self.group, why=error.detail)
                break
            except Exception as error:
                log.exception("handler failed", group=self.group, attempt=attempt)
                await self._pause("bug", error)
        for record in records:
            await self._isolated(record)
        return None

    async def _isolated(self, record: Record) -> None:
        """Handles one record; what of it cannot be handled is parked: of many rows only those at fault."""
        try:
            await self._handle([record])
        except Unavailable:
            raise
        except Exception as error:
            log.exception("record parked", group=self.group, topic=record.topic, offset=record.offset)
            if (aside := await self._without_others(record)) is not None:
                one = parked(self.group, aside, f"{type(error).__name__}: {error}")
                await Publisher(self.log)(parking_topic(), [one])

    async def _without_others(self, record: Record) -> Record | None:
        """What is left of a record that failed when its rows are handled apart from the ones at fault."""
        if not isinstance(self.consumer.topic, ArrowTopic):
            return record
        from recoup.kit.log import arrow  # noqa: PLC0415 - services that read no Arrow topic do without 45 MB

        rows = arrow.rows_in(record.value)
        if not rows:
            return record
        culprits = Culprits.among(rows)
        while culprits.waiting:
            part = culprits.waiting[0]
            try:
                await self._handle([record._replace(value=arrow.taken(record.value, part))])
            except Unavailable:
                raise
            except Exception as error:  # noqa: BLE001 - why is logged of the whole record
                culprits.failed(part, error)
            else:
                culprits.passed(part)
        return record._replace(value=arrow.taken(record.value, list(culprits.reasons))) if culprits.reasons else None

    async def _handle(self, records: Sequence[Record]) -> None:
        started = stopwatch()
        topic = self.consumer.topic
        parent = next((record.headers["traceparent"] for record in records if "traceparent" in record.headers), None)
        with traced(f"{self.group} {topic.name}", parent):
            if isinstance(topic, ArrowTopic) and self.consumer.on_batch is not None:
                await self.consumer.on_batch(decoded(records, topic.schema))
            elif isinstance(topic, Topic) and self.consumer.on_messages is not None:
                decode = msgspec.json.Decoder(topic.kind).decode
                await self.consumer.on_messages([decode(record.value) for record in records])
        BATCHES.labels(self.group, topic.name).observe(stopwatch() - started)

    async def _pause(self, kind: str, error: BaseException) -> None:
        self._failures += 1
        FAILURES.labels(self.group, self.consumer.topic.name, kind).inc()
        log.warning(
            "trying again", group=self.group, topic=self.consumer.topic.name, why=str(error), failures=self._failures
        )
        await asyncio.sleep(min(0.1 * 2 ** min(self._failures, 10), LONGEST_PAUSE_SECONDS))


def decoded(records: Sequence[Record], schema: "pa.Schema") -> Batch:
    """The rows of Arrow records, beside the records they came in."""
    from recoup.kit.log import arrow  # noqa: PLC0415 - services that read no Arrow topic do without 45 MB

    table, counts = arrow.joined([record.value for record in records], schema)
    return Batch(records, table, counts)


def _positions(records: Sequence[Record]) -> dict[tuple[str, int], int]:
    """The last offset of each partition; later records of a partition come later in the list."""
    return {(record.topic, record.partition): record.offset for record in records}
