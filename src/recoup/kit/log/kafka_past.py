"""Reads back what was committed on a Kafka topic since a moment: for no group, up to what is there now, in portions."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

from confluent_kafka import Consumer, Message, TopicPartition

from recoup.kit.clock import stopwatch
from recoup.kit.errors import Unavailable
from recoup.kit.log.kafka_client import PARTITION_EOF, KafkaSettings, OneThread, failure, made
from recoup.kit.log.kafka_peek import record_of
from recoup.kit.log.port import Record, concerns

# A transaction whose producer died holds up what is behind it until it has timed out and a broker has noticed that:
# twice ten seconds with the settings of ours and a broker's own.
_SILENCE_SECONDS = 60.0
_WAIT_SECONDS = 0.5


@dataclass(slots=True)
class Past:
    """One reading of some partitions; every method but `portions` runs on its one thread."""

    settings: KafkaSettings
    topic: str
    limit: int
    _consumer: Consumer | None = None
    _unread: set[int] = field(default_factory=set)

    async def portions(self, starts: Mapping[int, int]) -> AsyncIterator[Sequence[Record]]:
        """Each partition from its offset here on."""
        thread = OneThread(f"kafka past of {self.topic}", self.settings.door)
        try:
            await thread.do(self._begin, starts)
            give_up = stopwatch() + _SILENCE_SECONDS
            while self._unread:
                if records := await thread.do(self._next):
                    yield [record for record in records if concerns(record, None)]
                    give_up = stopwatch() + _SILENCE_SECONDS
                elif stopwatch() > give_up:
                    raise Unavailable(f"kafka does not answer: no end of {self.topic} in sight")
        finally:
            await thread.end(self._close)

    def _begin(self, starts: Mapping[int, int]) -> None:
        consumer = self._consumer = made(Consumer, self.settings.consumer(**{"group.id": "recoup.past"}))
        consumer.assign([TopicPartition(self.topic, number, offset) for number, offset in starts.items()])
        self._unread = set(starts)

    def _next(self) -> list[Record]:
        found: list[Record] = []
        for message in self._living.consume(self.limit, _WAIT_SECONDS):
            if self._is_end(message):
                self._unread.discard(message.partition() or 0)
            elif message.error() is None:
                found.append(record_of(message))
        return found

    def _is_end(self, message: Message) -> bool:
        """Whether nothing is left; behind the end there may be what a transaction is still to decide on."""
        error = message.error()
        if error is None:
            return False
        if error.code() != PARTITION_EOF:
            raise failure(error, self.settings.door)
        at = TopicPartition(self.topic, message.partition() or 0)
        _, written = self._living.get_watermark_offsets(at, cached=True)
        return (message.offset() or 0) >= written

    def _close(self) -> None:
        if self._consumer is not None:
            self._consumer.close()

    @property
    def _living(self) -> Consumer:
        if self._consumer is None:
            raise RuntimeError("the reading has not begun")
        return self._consumer
