"""Asks a Kafka cluster about topics and groups: by consumers that join no group, each on a thread of its own.

Not by the library's admin client. Its answers come by callbacks from a thread of librdkafka's own, where Python's
garbage collection may run and destroy that very client, which ends the process; and its questions about groups touch
freed memory when their connection breaks, as it does whenever a broker is killed (`rd_kafka_enq_once_del_source_return`
asserts). So it serves for what nothing else can do, making and widening topics, and there for one call each.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions, NewTopic

from recoup.kit.log.kafka_client import PATIENCE_SECONDS, KafkaSettings, OneThread, made
from recoup.kit.telemetry import logger

log = logger(__name__)
T = TypeVar("T")

_PING_SECONDS = 3.0
_NOBODY = "recoup.inquiry"


@dataclass(slots=True)
class _Asker:
    """A consumer that asks and never reads, and its thread."""

    settings: KafkaSettings
    group: str
    thread: OneThread = field(init=False)
    _consumer: Consumer | None = None

    def __post_init__(self) -> None:
        self.thread = OneThread(f"kafka inquiry {self.group}", self.settings.door)

    async def ask(self, question: Callable[[Consumer], T]) -> T:
        return await self.thread.do(self._answer, question)

    def _answer(self, question: Callable[[Consumer], T]) -> T:
        consumer = self._consumer
        if consumer is None:
            # Where a topic begins and ends is asked for as written; what a group has committed, as decided upon.
            own = {"isolation.level": "read_uncommitted"} if self.group == _NOBODY else {}
            consumer = self._consumer = made(Consumer, self.settings.consumer(**{"group.id": self.group, **own}))
        try:
            return question(consumer)
        except KafkaException:
            # It says why a broker refused us only when it is polled.
            consumer.poll(0)
            raise

    async def close(self) -> None:
        try:
            await self.thread.end(self._close)
        except TimeoutError:
            log.error("an inquiry would not close", group=self.group)  # noqa: TRY400

    def _close(self) -> None:
        if self._consumer is not None:
            self._consumer.close()


@dataclass(slots=True)
class Inquiry:
    """The questions of one log."""

    settings: KafkaSettings
    _askers: dict[str, _Asker] = field(default_factory=dict)

    async def width(self, topic: str) -> int:
        """How many partitions a topic has; 0 where there is no such topic."""
        return await self._of(_NOBODY).ask(
            lambda asker: len(asker.list_topics(topic, _PING_SECONDS).topics[topic].partitions)
        )

    async def ping(self) -> None:
        """Raises Unavailable unless a broker answers."""
        await self._of(_NOBODY).ask(lambda asker: asker.list_topics(timeout=_PING_SECONDS))

    async def firsts(self, topic: str, numbers: Sequence[int]) -> list[int]:
        """The offset of the first record each partition still has."""
        return await self._ends(topic, numbers, OFFSET_BEGINNING)

    async def lasts(self, topic: str, numbers: Sequence[int]) -> list[int]:
        """The offset that each partition's next record will have."""
        return await self._ends(topic, numbers, OFFSET_END)

    async def since(self, topic: str, numbers: Sequence[int], since_ms: int) -> dict[int, int]:
        """The offset of the first record written at that time or later, decided upon or not, where there is one."""
        found = await self._at_times(topic, numbers, since_ms)
        return {at.partition: at.offset for at in found if at.offset >= 0}

    async def _ends(self, topic: str, numbers: Sequence[int], which: int) -> list[int]:
        # In place of a time, the protocol takes either end: one exchange with each leader, whatever the partitions.
        return [at.offset for at in await self._at_times(topic, numbers, which)]

    async def _at_times(self, topic: str, numbers: Sequence[int], when: int) -> Sequence[TopicPartition]:
        wanted = [TopicPartition(topic, number, when) for number in numbers]
        return await self._of(_NOBODY).ask(lambda asker: _sound(asker.offsets_for_times(wanted, PATIENCE_SECONDS)))

    async def committed(self, group: str, topic: str, numbers: Sequence[int]) -> dict[int, int]:
        """Where a group stands on those partitions it has committed on; of a transaction just ending, the outcome."""
        wanted = [TopicPartition(topic, number) for number in numbers]
        found = await self._of(group).ask(lambda asker: _sound(asker.committed(wanted, PATIENCE_SECONDS)))
        return {at.partition: at.offset for at in found if at.offset >= 0}

    async def move(self, group: str, topic: str, offsets: Sequence[int]) -> None:
        """Moves a group; raises Fenced while it has members."""
        wanted = [TopicPartition(topic, number, offset) for number, offset in enumerate(offsets)]
        await self._of(group).ask(lambda asker: _sound(asker.commit(offsets=wanted, asynchronous=False) or ()))

    async def create(self, topic: str, width: int, replication: int, config: Mapping[str, str]) -> None:
        """Raises Unavailable, caused by what the library raised, where it exists already."""
        wanted = NewTopic(topic, width, replication, config=dict(config))

        def create(admin: AdminClient) -> object:
            return admin.create_topics([wanted], request_timeout=PATIENCE_SECONDS)[topic].result()

        await self._manage(create)

    async def widen(self, topic: str, width: int) -> None:
        """Raises Unavailable, caused by what the library raised, where it is as wide already."""
        wanted = NewPartitions(topic, width)

        def widen(admin: AdminClient) -> object:
            return admin.create_partitions([wanted], request_timeout=PATIENCE_SECONDS)[topic].result()

        await self._manage(widen)

    async def _manage(self, call: Callable[[AdminClient], object]) -> None:
        """One call, and the client is closed before anything else happens to it."""

        def manage(_: Consumer) -> None:
            with made(AdminClient, self.settings.admin()) as admin:
                try:
                    call(admin)
                except KafkaException:
                    admin.poll(0)
                    raise

        await self._of(_NOBODY).ask(manage)

    def _of(self, group: str) -> _Asker:
        asker = self._askers.get(group)
        if asker is None:
            asker = self._askers[group] = _Asker(self.settings, group)
        return asker

    async def close(self) -> None:
        """Whoever still asks meanwhile, as a task does that is being stopped, is closed too."""
        while self._askers:
            _, asker = self._askers.popitem()
            await asker.close()


def _sound(ats: Sequence[TopicPartition]) -> Sequence[TopicPartition]:
    """The answer, unless one of its partitions has an error."""
    for at in ats:
        if at.error is not None:
            raise KafkaException(at.error)
    return ats
