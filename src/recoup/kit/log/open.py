"""Picks the log's engine by its URL; the only code that asks which one it is."""

from recoup.kit.log.port import Log
from recoup.kit.log.valkey_streams import ValkeyLog


def open_log(url: str, partitions: int, state_url: str) -> Log:
    """The log at `url`; on Kafka, state changes that belong to a commit go to the Valkey at `state_url`."""
    if url.startswith("kafka://"):
        from recoup.kit.log.kafka import KafkaLog  # noqa: PLC0415 - loads librdkafka only where it is used

        return KafkaLog(url.removeprefix("kafka://"), partitions, state_url)
    return ValkeyLog(url, partitions)
