"""Kafka brokers for the tests that ask; without Java or Maven these tests are skipped, in CI they fail."""

import os
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from bench.lib.broker import QUICK, READY_WITHIN_SECONDS, Broker, ToolsMissing
from bench.lib.broker import kafka_classpath as found_classpath
from confluent_kafka.admin import AdminClient

from recoup.kit.ports import free_port

__all__ = [
    "NODES", "QUICK", "READY_WITHIN_SECONDS", "Broker", "broker", "clustered", "kafka_classpath", "kafka_url",
    "wait_in_sync",
]  # fmt: skip

NODES = 3
_SAFE = {
    "default.replication.factor": 3,
    "min.insync.replicas": 2,
    "offsets.topic.replication.factor": 3,
    "transaction.state.log.replication.factor": 3,
    "transaction.state.log.min.isr": 2,
}


def kafka_classpath() -> str:
    try:
        return found_classpath()
    except ToolsMissing as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(str(missing))
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def broker(engines_folder: Path) -> Iterator[Broker]:
    broker = Broker(engines_folder / "kafka", kafka_classpath())
    broker.format()
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()


@pytest.fixture(scope="session")
def kafka_url(broker: Broker) -> str:
    return broker.url


@contextmanager
def clustered(folder: Path) -> Generator[list[Broker]]:
    """Three brokers, on each of which everything lies."""
    classpath, ports = kafka_classpath(), [free_port() for _ in range(NODES)]
    voters = ",".join(f"{node}@127.0.0.1:{port}" for node, port in enumerate(ports, 1))
    brokers = [
        Broker(folder / str(node), classpath, node, controller_port=port, voters=voters, options=_SAFE)
        for node, port in enumerate(ports, 1)
    ]
    try:
        for broker in brokers:
            broker.format()
            broker.launch()
        for broker in brokers:
            broker.wait()
        yield brokers
    finally:
        for broker in brokers:
            broker.kill()


def wait_in_sync(broker: Broker) -> None:
    """Until each broker has caught up with all that the others took while it was away."""
    admin = AdminClient({"bootstrap.servers": broker.address, "log_level": 0})
    give_up = time.monotonic() + READY_WITHIN_SECONDS
    while any(
        len(partition.isrs) < len(partition.replicas)
        for topic in admin.list_topics(timeout=READY_WITHIN_SECONDS).topics.values()
        for partition in topic.partitions.values()
    ):
        assert time.monotonic() < give_up, "a broker has not caught up in time"
        time.sleep(0.1)
