"""The broker for the tests of what only Kafka does."""

from tests.kafka.broker import broker, kafka_url

__all__ = ["broker", "kafka_url"]
