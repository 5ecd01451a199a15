"""Kafka brokers for the tests that ask; without Java or Maven these tests are skipped, in CI they fail."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.lib.broker import QUICK, READY_WITHIN_SECONDS, Broker, ToolsMissing
from bench.lib.broker import kafka_classpath as found_classpath

__all__ = ["QUICK", "READY_WITHIN_SECONDS", "Broker", "broker", "kafka_classpath", "kafka_url"]


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
