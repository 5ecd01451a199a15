"""The log on Apache Kafka: consumer groups for reading, transactions where outputs and progress belong together.

What Kafka cannot do with Valkey in one go, `kafka_journal` does in two steps that no crash can part. Trimming is
Kafka's own: set `topics.retention.ms`. Offsets are Kafka's, so the end of a transaction counts as a record in `size`.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    ThrottleEvent,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import EarliestSpec, LatestSpec, OffsetSpec
from confluent_kafka.cimpl import NewPartitions, NewTopic

from recoup.kit.clock import stopwatch
from recoup.kit.errors import Conflict, Unavailable
from recoup.kit.log.kafka_client import (
    LARGEST_RECORD_BYTES,
    PATIENCE_SECONDS,
    Door,
    KafkaSettings,
    failure,
    made,
    parse,
    translated,
)
from recoup.kit.log.kafka_journal import Journal
from recoup.kit.log.kafka_member import Member
from recoup.kit.log.kafka_past import Past
from recoup.kit.log.kafka_peek import peek
from recoup.kit.log.kafka_reader import KafkaReader
from recoup.kit.log.port import Fenced, Lag, Outgoing, Reader, Record
from recoup.kit.metrics import Counter
from recoup.kit.valkey import Valkey, connect

R = TypeVar("R")

_PASSING = frozenset({
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR, KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.UNSTABLE_OFFSET_COMMIT,
})  # fmt: skip
THROTTLED = Counter("kafka_throttled_seconds_total", "How long brokers made our producer wait because of its quota")

_PING_SECONDS = 3.0
_ROOM_SECONDS = 0.005


@dataclass(slots=True)
class Delivery:
    """The records of one append on their way; the callbacks come from the producer's thread."""

    loop: asyncio.AbstractEventLoop
    missing: int
    done: "asyncio.Future[None]"
    door: Door
    error: KafkaError | None = None

    def arrived(self, error: KafkaError | None, _message: Message) -> None:
        self.error = self.error or error
        self.missing -= 1
        if self.missing == 0:
            self.loop.call_soon_threadsafe(self._finish)

    def _finish(self) -> None:
        if self.done.done():
            return
        if self.error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(failure(self.error, self.door))


@dataclass(slots=True)
class KafkaLog:
    """The log of one Kafka cluster; state that belongs to a commit lies in the Valkey at `state_url`."""

    address: str = field(repr=False)
    partitions: int
    state_url: str
    _settings: KafkaSettings = field(init=False)
    _state: Valkey = field(init=False)
    _known: set[str] = field(default_factory=set)
    _creating: asyncio.Lock = field(default_factory=asyncio.Lock)
    _admin: AdminClient | None = None
    _producer: Producer | None = None
    _closed: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._settings = parse(self.address)
        self._state = connect(self.state_url)

    async def append(self, topic: str, records: Sequence[Outgoing]) -> None:
        if not records:
            return
        await self._ensure(topic)
        producer = self._living_producer()
        loop = asyncio.get_running_loop()
        delivery = Delivery(loop, len(records), loop.create_future(), self._settings.door)
        for record in records:
            await self._hand_over(producer, topic, record, delivery)
        await delivery.done

    async def _hand_over(self, producer: Producer, topic: str, record: Outgoing, delivery: Delivery) -> None:
        """Waits while the producer's buffer is full: a slow broker slows its callers instead of filling memory."""
        give_up = delivery.loop.time() + PATIENCE_SECONDS
        while True:
            try:
                with translated():
                    producer.produce(
                        topic, value=record.value, partition=record.partition, headers=list(record.headers.items()),
                        on_delivery=delivery.arrived,
                    )  # fmt: skip
            except Fenced as error:
                # Nobody replaces a producer of this kind: it has lost its thread, and only a new one goes on.
                self._producer = None
                raise Unavailable(error.detail) from error
            except BufferError as error:
                if delivery.loop.time() > give_up:
                    raise Unavailable("kafka is too slow: the producer's buffer is full") from error
                await asyncio.sleep(_ROOM_SECONDS)
            else:
                return

    def reader(self, group: str, member: str, topics: Sequence[str]) -> Reader:
        return KafkaReader(
            Member(self._settings, group, member, tuple(topics)), Journal(connect(self.state_url), group), self._ensure
        )

    async def register(self, group: str, topics: Sequence[str]) -> None:
        """Nothing to do: Kafka's retention waits for no group, and a new group starts at the first record kept."""

    async def holds_for(self, topic: str) -> frozenset[str]:  # noqa: ARG002 - the same for all topics
        """Nobody: retention is by time and size."""
        return frozenset()

    async def reads(self, group: str, topic: str) -> bool:
        return bool(await self._committed(group, topic, await self._numbers(topic)))

    async def lag(self, group: str, topic: str) -> Sequence[Lag]:
        numbers = await self._numbers(topic)
        committed = await self._committed(group, topic, numbers)
        first, last = (
            await self._watermarks(topic, EarliestSpec()),
            await self._watermarks(topic, LatestSpec()),
        )
        return [
            Lag(
                partition=number,
                waiting=max(0, last[number] - max(first[number], committed.get(number, 0))),
                written=last[number],
            )
            for number in numbers
        ]

    async def _committed(self, group: str, topic: str, numbers: Sequence[int]) -> dict[int, int]:
        wanted = [TopicPartition(topic, number) for number in numbers]

        async def ask() -> dict[int, int]:
            request = [ConsumerGroupTopicPartitions(group, wanted)]
            # Stable: of a transaction that is just ending we want the outcome, not what was before.
            answers = self._living_admin().list_consumer_group_offsets(
                request, require_stable=True, request_timeout=PATIENCE_SECONDS
            )
            found = (await asyncio.wrap_future(answers[group])).topic_partitions or ()
            return {at.partition: at.offset for at in _sound(found) if at.offset >= 0}

        return await self._patiently(ask)

    async def _watermarks(self, topic: str, which: OffsetSpec) -> list[int]:
        wanted = {TopicPartition(topic, number): which for number in await self._numbers(topic)}

        async def ask() -> list[int]:
            answers = self._living_admin().list_offsets(wanted, request_timeout=PATIENCE_SECONDS)
            return [(await asyncio.wrap_future(answers[at])).offset for at in wanted]

        return await self._patiently(ask)

    async def _numbers(self, topic: str) -> range:
        """All partitions there are, those included that somebody else has added."""
        await self._ensure(topic)
        with self._asking():
            return range(await self._width(topic))

    async def seek(self, group: str, topic: str, where: Literal["start", "end"]) -> None:
        offsets = await self._watermarks(topic, EarliestSpec() if where == "start" else LatestSpec())
        await Journal(self._state, group).forget([(topic, number) for number in range(len(offsets))])
        wanted = [TopicPartition(topic, number, offset) for number, offset in enumerate(offsets)]

        async def ask() -> None:
            request = [ConsumerGroupTopicPartitions(group, wanted)]
            answers = self._living_admin().alter_consumer_group_offsets(request, request_timeout=PATIENCE_SECONDS)
            _sound((await asyncio.wrap_future(answers[group])).topic_partitions or ())

        try:
            await self._patiently(ask)
        except Fenced as error:
            raise Conflict(f"the readers of group {group!r} must be stopped: {error.detail}") from error

    async def trim(self, topic: str, *, keep_seconds: float) -> None:
        """Nothing to do: Kafka trims by `retention.ms` of the topic."""

    async def after(self, topic: str, offsets: Mapping[int, int], *, limit: int) -> Sequence[Record]:
        width = len(await self._numbers(topic))
        return await asyncio.to_thread(peek, self._settings, topic, offsets, width=width, limit=limit)

    async def past(
        self, topic: str, partitions: Iterable[int], *, since_ms: int, limit: int
    ) -> AsyncIterator[Sequence[Record]]:
        await self._ensure(topic)
        async for records in Past(self._settings, topic, limit).portions(partitions, since_ms):
            yield records

    async def size(self, topic: str) -> int:
        first, last = (
            await self._watermarks(topic, EarliestSpec()),
            await self._watermarks(topic, LatestSpec()),
        )
        return sum(last) - sum(first)

    async def ping(self) -> None:
        with self._asking():
            await asyncio.wrap_future(self._living_admin().describe_cluster(request_timeout=_PING_SECONDS))

    async def close(self) -> None:
        self._closed.set()
        if self._producer is not None:
            await asyncio.to_thread(self._producer.flush, _PING_SECONDS)
        await self._state.aclose()

    async def _ensure(self, topic: str) -> None:
        """Creates a topic the first time this process meets it, or gives it the partitions it lacks."""
        if topic in self._known:
            return
        async with self._creating:
            with self._asking():
                await self._create(topic)
            self._known.add(topic)

    async def _create(self, topic: str) -> None:
        wanted = NewTopic(
            topic,
            self.partitions,
            self._settings.replication,
            config={"max.message.bytes": str(LARGEST_RECORD_BYTES), **self._settings.topics},
        )
        try:
            await asyncio.wrap_future(
                self._living_admin().create_topics([wanted], request_timeout=PATIENCE_SECONDS)[topic]
            )
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
            if await self._width(topic) < self.partitions:
                await self._widen(topic)
        # The controller knows the topic before the brokers do, and a consumer asks only now and then.
        while await self._width(topic) < self.partitions:  # noqa: ASYNC110 - only asking tells
            await asyncio.sleep(_ROOM_SECONDS)

    async def _widen(self, topic: str) -> None:
        wider = NewPartitions(topic, self.partitions)
        try:
            await asyncio.wrap_future(
                self._living_admin().create_partitions([wider], request_timeout=PATIENCE_SECONDS)[topic]
            )
        except KafkaException as error:
            # Another process was quicker.
            if error.args[0].code() != KafkaError.INVALID_PARTITIONS:
                raise

    async def _width(self, topic: str) -> int:
        found = await asyncio.to_thread(self._living_admin().list_topics, topic, _PING_SECONDS)
        return len(found.topics[topic].partitions)

    @contextmanager
    def _asking(self) -> Generator[None]:
        """Translates what the admin client raises; it says why a broker refused us only when it is polled."""
        try:
            yield
        except KafkaException as error:
            self._living_admin().poll(0)
            raise failure(error.args[0], self._settings.door) from error

    async def _patiently(self, ask: Callable[[], Awaitable[R]]) -> R:
        """Asks again while leaders are being chosen or transactions are ending."""
        give_up = stopwatch() + PATIENCE_SECONDS
        while True:
            try:
                with self._asking():
                    return await ask()
            except Unavailable as error:
                cause = error.__cause__
                passing = isinstance(cause, KafkaException) and cause.args[0].code() in _PASSING
                if not passing or stopwatch() > give_up:
                    raise
                await asyncio.sleep(_ROOM_SECONDS)

    def _living_admin(self) -> AdminClient:
        if self._admin is None:
            self._admin = made(AdminClient, self._settings.admin())
        return self._admin

    def _living_producer(self) -> Producer:
        if self._producer is None:
            self._producer = made(Producer, self._settings.producer(throttle_cb=_throttled))
            threading.Thread(target=self._serve, args=(self._producer,), name="kafka producer", daemon=True).start()
        return self._producer

    def _serve(self, producer: Producer) -> None:
        """Hands deliveries back to their appends."""
        while not self._closed.is_set():
            producer.poll(0.2)


def _throttled(event: ThrottleEvent) -> None:
    THROTTLED.inc(event.throttle_time)


def _sound(ats: Sequence[TopicPartition]) -> Sequence[TopicPartition]:
    """The answer, unless one of its partitions has an error."""
    for at in ats:
        if at.error is not None:
            raise KafkaException(at.error)
    return ats
