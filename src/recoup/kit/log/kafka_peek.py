"""Reads a Kafka topic for nobody: no group, no commit, what is there now."""

from collections import Counter
from collections.abc import Mapping, Sequence

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from recoup.kit.clock import stopwatch
from recoup.kit.errors import Unavailable
from recoup.kit.log.kafka_client import PARTITION_EOF, PATIENCE_SECONDS, KafkaSettings, failure, made, translated
from recoup.kit.log.port import Record

_AT_ONCE = 100


def peek(
    settings: KafkaSettings, topic: str, offsets: Mapping[int, int], *, width: int, limit: int
) -> Sequence[Record]:
    """What is behind these offsets, at most `limit` records a partition, in order by partition. Blocks."""
    consumer = made(Consumer, settings.consumer(**{"group.id": "recoup.peek"}))
    try:
        with translated(settings.door):
            consumer.assign([
                TopicPartition(topic, number, offsets[number] + 1 if number in offsets else OFFSET_BEGINNING)
                for number in range(width)
            ])  # fmt: skip
            return _taken(consumer, settings, width, limit)
    finally:
        consumer.close()


def _taken(consumer: Consumer, settings: KafkaSettings, width: int, limit: int) -> list[Record]:
    found: list[Record] = []
    counts: Counter[int] = Counter()
    ended: set[int] = set()
    give_up = stopwatch() + PATIENCE_SECONDS
    while len(ended) < width:
        if stopwatch() > give_up:
            raise Unavailable("kafka does not answer: no end of a topic in sight")
        for message in consumer.consume(_AT_ONCE, 0.1):
            number = message.partition() or 0
            if _is_end(message, settings) or counts[number] == limit:
                ended.add(number)
                continue
            counts[number] += 1
            found.append(record_of(message))
            if counts[number] == limit:
                ended.add(number)
    return sorted(found, key=lambda record: record.partition)


def _is_end(message: Message, settings: KafkaSettings) -> bool:
    error = message.error()
    if error is not None and error.code() != PARTITION_EOF:
        raise failure(error, settings.door)
    return error is not None


def record_of(message: Message) -> Record:
    """A message that is no error."""
    headers = {name: value.decode() for name, value in message.headers() or () if isinstance(value, bytes)}
    return Record(
        message.topic() or "", message.partition() or 0, message.offset() or 0, message.value() or b"", headers
    )
