"""A member leaves its group, whatever state the broker's messages have left it in."""

import asyncio
from contextlib import suppress
from uuid import uuid4

import pytest
from confluent_kafka import ConsumerGroupState, KafkaException
from confluent_kafka.admin import AdminClient
from structlog.testing import capture_logs
from tests.contracts.reading import PATIENCE_SECONDS, take
from tests.kafka.broker import Broker

from recoup.kit.log.kafka import KafkaLog
from recoup.kit.log.kafka_reader import KafkaReader
from recoup.kit.log.open import open_log
from recoup.kit.log.port import Outgoing


@pytest.mark.kafka
async def test_a_member_that_is_replaced_while_it_is_given_partitions_leaves_all_the_same(
    broker: Broker, valkey_url: str
) -> None:
    topic = f"t-{uuid4().hex[:12]}"
    group = f"g-{topic}"
    log = open_log(broker.url, 1, valkey_url)
    assert isinstance(log, KafkaLog)
    try:
        await log.append(topic, [Outgoing(0, b"1")])
        replaced, replacing = log.reader(group, "a", [topic]), log.reader(group, "a", [topic])
        assert isinstance(replaced, KafkaReader)
        await replaced._thread.do(replaced.member.join)
        await _until_stable(broker, group)
        await take(replacing, 1)
        # Meanwhile the other hears, with its next heartbeat, that it was replaced; it never asked what it was given.
        for _ in range(10):
            await replacing.read(wait_seconds=0.1, limit=10)

        with capture_logs() as logs:
            await replaced.close()
            await replacing.close()

        assert [line for line in logs if line["log_level"] == "error"] == []
    finally:
        await log.close()


async def _until_stable(broker: Broker, group: str) -> None:
    admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{broker.port}", "log_level": 0})
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            with suppress(KafkaException):  # the coordinator may be loading still
                found = await asyncio.wrap_future(admin.describe_consumer_groups([group])[group])
                if found.state is ConsumerGroupState.STABLE:
                    return
            await asyncio.sleep(0.05)
