"""The log on Apache Kafka: consumer groups for reading, transactions where outputs and progress belong together.

What Kafka cannot do with Valkey in one go, `kafka_journal` does in two steps that no crash can part. Trimming is
Kafka's own: set `topics.retention.ms`. Offsets are Kafka's, so the end of a transaction counts as a record in `size`.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from confluent_kafka import (
    KafkaError,
    Message,
    Producer,
    ThrottleEvent,
)

from recoup.kit.clock import stopwatch
from recoup.kit.errors import Conflict, Unavailable
from recoup.kit.log.kafka_client import (
    LARGEST_RECORD_BYTES,
    PATIENCE_SECONDS,
    REPLACED,
    Door,
    KafkaSettings,
    code_of,
    failure,
    made,
    parse,
    translated,
)
from recoup.kit.log.kafka_inquiry import Inquiry
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
    KafkaError.UNSTABLE_OFFSET_COMMIT, KafkaError.UNKNOWN_LEADER_EPOCH, KafkaError.FENCED_LEADER_EPOCH, REPLACED,
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
    _inquiry: Inquiry = field(init=False)
    _producer: Producer | None = None
    _closed: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._settings = parse(self.address)
        self._state = connect(self.state_url)
        self._inquiry = Inquiry(self._settings)

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
        first, last = await self._ends(topic, numbers)
        return [
            Lag(
                partition=number,
                waiting=max(0, last[number] - max(first[number], committed.get(number, 0))),
                written=last[number],
            )
            for number in numbers
        ]

    async def _committed(self, group: str, topic: str, numbers: Sequence[int]) -> dict[int, int]:
        return await self._patiently(lambda: self._inquiry.committed(group, topic, numbers))

    async def _ends(self, topic: str, numbers: Sequence[int]) -> tuple[list[int], list[int]]:
        first = await self._patiently(lambda: self._inquiry.firsts(topic, numbers))
        return first, await self._patiently(lambda: self._inquiry.lasts(topic, numbers))

    async def _numbers(self, topic: str) -> range:
        """All partitions there are, those included that somebody else has added."""
        await self._ensure(topic)
        return range(await self._inquiry.width(topic))

    async def seek(self, group: str, topic: str, where: Literal["start", "end"]) -> None:
        first, last = await self._ends(topic, await self._numbers(topic))
        offsets = first if where == "start" else last
        await Journal(self._state, group).forget([(topic, number) for number in range(len(offsets))])
        try:
            await self._patiently(lambda: self._inquiry.move(group, topic, offsets))
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
        starts = await self._patiently(lambda: self._inquiry.since(topic, sorted(partitions), since_ms))
        async for records in Past(self._settings, topic, limit).portions(starts):
            yield records

    async def size(self, topic: str) -> int:
        first, last = await self._ends(topic, await self._numbers(topic))
        return sum(last) - sum(first)

    async def ping(self) -> None:
        await self._inquiry.ping()

    async def close(self) -> None:
        self._closed.set()
        if self._producer is not None:
            await asyncio.to_thread(self._producer.flush, _PING_SECONDS)
        await self._inquiry.close()
        await self._state.aclose()

    async def _ensure(self, topic: str) -> None:
        """Creates a topic the first time this process meets it, or gives it the partitions it lacks."""
        if topic in self._known:
            return
        async with self._creating:
            await self._create(topic)
            self._known.add(topic)

    async def _create(self, topic: str) -> None:
        config = {"max.message.bytes": str(LARGEST_RECORD_BYTES), **self._settings.topics}
        try:
            await self._inquiry.create(topic, self.partitions, self._settings.replication, config)
        except Unavailable as error:
            if code_of(error) != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
            if await self._inquiry.width(topic) < self.partitions:
                await self._widen(topic)
        # The controller knows the topic before the brokers do, and a consumer asks only now and then.
        while await self._inquiry.width(topic) < self.partitions:  # noqa: ASYNC110 - only asking tells
            await asyncio.sleep(_ROOM_SECONDS)

    async def _widen(self, topic: str) -> None:
        try:
            await self._inquiry.widen(topic, self.partitions)
        except Unavailable as error:
            # Another process was quicker.
            if code_of(error) != KafkaError.INVALID_PARTITIONS:
                raise

    async def _patiently(self, ask: Callable[[], Awaitable[R]]) -> R:
        """Asks again while leaders are being chosen or transactions are ending."""
        give_up = stopwatch() + PATIENCE_SECONDS
        while True:
            try:
                return await ask()
            except Unavailable as error:
                if code_of(error) not in _PASSING or stopwatch() > give_up:
                    raise
                await asyncio.sleep(_ROOM_SECONDS)

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
