"""Valkey comes back empty while the log, on Kafka, does not: readers notice, and can read back what was committed."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from confluent_kafka import Producer
from tests.contracts.reading import PARTITIONS, PATIENCE_SECONDS, counted, numbered, reached, take

from recoup.kit.errors import Unavailable
from recoup.kit.log.kafka_client import parse
from recoup.kit.log.kafka_inquiry import Inquiry
from recoup.kit.log.open import open_log
from recoup.kit.log.port import Fenced, Log, Outgoing, Reader
from recoup.kit.valkey import connect, settled

pytestmark = pytest.mark.kafka


@pytest.fixture
async def log(kafka_url: str, valkey_url: str) -> AsyncIterator[Log]:
    log = open_log(kafka_url, PARTITIONS, valkey_url)
    yield log
    await log.close()


@pytest.fixture
def topic() -> str:
    return f"t-{uuid4().hex[:12]}"


async def lose(valkey_url: str, topic: str) -> None:
    """What a group of this topic had in Valkey is gone."""
    async with connect(valkey_url) as valkey:
        names = [name async for name in valkey.scan_iter(match=f"log:?:g-{topic}:*")]
        assert names
        await settled(valkey.unlink(*names))


async def until_bereft(reader: Reader) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not reader.bereft():
            try:
                await reader.read(wait_seconds=0.1, limit=10)
            except (Fenced, Unavailable):
                await reader.rewind()


async def test_a_reader_to_whom_nothing_comes_notices_too_and_is_whole_again_with_its_next_commit(
    log: Log, topic: str, valkey_url: str
) -> None:
    await log.append(topic, numbered(6))
    reader = log.reader(f"g-{topic}", "a", [topic])
    await reader.commit(reached(await take(reader, 6)), {f"{topic}-out": [Outgoing(0, b"out")]}, counted(topic))
    assert reader.bereft() == frozenset()

    await lose(valkey_url, topic)
    await until_bereft(reader)

    assert reader.bereft() == reader.owned() == frozenset(range(PARTITIONS))
    await reader.commit({}, None, counted(topic))
    assert reader.bereft() == frozenset()
    assert [lag.waiting for lag in await log.lag(f"g-{topic}", topic)] == [0] * PARTITIONS
    await reader.close()


async def test_who_takes_over_afterwards_knows_it_too_and_reads_nothing_twice(
    log: Log, topic: str, valkey_url: str
) -> None:
    await log.append(topic, numbered(6))
    before = log.reader(f"g-{topic}", "a", [topic])
    await before.commit(reached(await take(before, 6)), None, counted(topic))
    await before.close()
    await lose(valkey_url, topic)
    await log.append(topic, numbered(3, start=6))

    after = log.reader(f"g-{topic}", "b", [topic])
    assert sorted(int(record.value) for record in await take(after, 3)) == [6, 7, 8]
    assert after.bereft() == frozenset(range(PARTITIONS))
    await after.close()


async def test_a_reader_that_hands_out_nothing_stays_in_its_group(log: Log, topic: str) -> None:
    await log.append(topic, numbered(6))
    reader = log.reader(f"g-{topic}", "a", [topic])
    first = await take(reader, 1)

    for _ in range(3):
        assert await reader.read(wait_seconds=0, limit=0) == []

    rest = await take(reader, 6 - len(first))
    assert sorted(int(record.value) for record in (*first, *rest)) == list(range(6))
    await reader.close()


async def test_the_past_begins_with_a_commit_under_way_and_waits_for_it(log: Log, topic: str, kafka_url: str) -> None:
    assert [records async for records in log.past(topic, range(PARTITIONS), since_ms=0, limit=10)] == []
    settings = parse(kafka_url.removeprefix("kafka://"))
    producer = Producer(settings.transactional(topic))
    producer.init_transactions()
    producer.begin_transaction()
    producer.produce(topic, value=b"decided late", partition=1)
    producer.flush()
    # Looked for among decided records, it would be missed where the decision falls between question and reading.
    inquiry = Inquiry(settings)
    assert await inquiry.since(topic, range(PARTITIONS), 0) == {1: 0}
    await inquiry.close()

    async def past() -> list[bytes]:
        found = log.past(topic, range(PARTITIONS), since_ms=0, limit=10)
        return [record.value async for records in found for record in records]

    reading = asyncio.create_task(past())
    done, _ = await asyncio.wait([reading], timeout=1.5)
    assert not done

    await asyncio.to_thread(producer.commit_transaction)
    assert await asyncio.wait_for(reading, PATIENCE_SECONDS) == [b"decided late"]
