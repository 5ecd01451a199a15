"""Three brokers: one is killed under load and one restarted, partitions are added, a quota slows us down."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import cast
from uuid import uuid4

import pytest
from confluent_kafka.admin import AdminClient
from tests.contracts.reading import PATIENCE_SECONDS, reached, take, until
from tests.kafka.broker import NODES, QUICK, Broker, clustered

from recoup.kit.errors import Unavailable
from recoup.kit.log.kafka import THROTTLED
from recoup.kit.log.open import open_log
from recoup.kit.log.port import Fenced, Log, Outgoing, Reader
from recoup.kit.valkey import Pipeline, connect, settled

PARTITIONS = 3
TOPICS = "topics.replication.factor=3&topics.min.insync.replicas=2"
pytestmark = [pytest.mark.kafka, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Broker]]:
    with clustered(tmp_path_factory.mktemp("kafka")) as brokers:
        yield brokers


@pytest.fixture(scope="module")
def servers(cluster: list[Broker]) -> str:
    return ",".join(broker.address for broker in cluster)


@pytest.fixture
async def log(servers: str, valkey_url: str) -> AsyncIterator[Log]:
    log = open_log(f"kafka://{servers}?{TOPICS}&{QUICK}", PARTITIONS, valkey_url)
    yield log
    await log.close()


@pytest.fixture
def topic() -> str:
    return f"t-{uuid4().hex[:12]}"


@dataclass
class Writer:
    """Writes numbers and keeps a ledger of them."""

    log: Log
    topic: str
    sent: list[str] = field(default_factory=list)
    refused: int = 0
    acknowledged: set[str] = field(default_factory=set)
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        while not self.stop.is_set():
            batch = [str(len(self.sent) + number) for number in range(10)]
            self.sent += batch
            try:
                await self.log.append(self.topic, [Outgoing(int(text) % PARTITIONS, text.encode()) for text in batch])
            except Unavailable:
                self.refused += 1
                continue  # not acknowledged: it may or may not be there, but not twice
            self.acknowledged.update(batch)
            await asyncio.sleep(0.01)


@dataclass
class Copier:
    """Writes what it reads on, and counts it in Valkey, in one step."""

    log: Log
    topic: str
    copied: int = 0

    async def run(self) -> None:
        reader = self.log.reader(f"g-{self.topic}", "a", [self.topic])
        try:
            while True:
                await self._turn(reader)
        finally:
            await reader.close()

    async def _turn(self, reader: Reader) -> None:
        try:
            records = await reader.read(wait_seconds=0.2, limit=1000)
            if not records:
                return

            def count(pipe: Pipeline) -> None:
                for record in records:
                    pipe.hincrby(self.topic, record.value.decode(), 1)

            out = {f"{self.topic}-out": [Outgoing(record.partition, record.value) for record in records]}
            await reader.commit(reached(records), out, count)
        except (Fenced, Unavailable):
            await reader.rewind()
        else:
            self.copied += len(records)


async def test_brokers_killed_and_restarted_under_load_cost_nothing_double_nothing_and_refuse_nothing(
    cluster: list[Broker], servers: str, log: Log, topic: str, valkey_url: str
) -> None:
    # Until a broker that was killed is missed, and its successor chosen, an append has to wait.
    patient = open_log(f"kafka://{servers}?{TOPICS}&message.timeout.ms=60000", PARTITIONS, valkey_url)
    writer, copier = Writer(patient, topic), Copier(log, topic)
    async with asyncio.TaskGroup() as tasks:
        writing, copying = tasks.create_task(writer.run()), tasks.create_task(copier.run())
        await _until_more(copier, 200)
        cluster[0].kill()
        await _until_more(copier, 500)
        await asyncio.to_thread(cluster[0].start)
        await _until_more(copier, 500)
        await asyncio.to_thread(cluster[1].stop)
        await asyncio.to_thread(cluster[1].start)
        await _until_more(copier, 500)
        writer.stop.set()
        await writing
        await until(lambda: _caught_up(log, topic))
        copying.cancel()

    follower = log.reader(f"g-{topic}-out", "a", [f"{topic}-out"])
    out = Counter(record.value.decode() for record in await take(follower, len(writer.acknowledged)))
    await follower.close()
    assert writer.acknowledged <= out.keys() <= set(writer.sent)
    assert set(out.values()) == {1}
    assert writer.refused == 0
    await patient.close()
    async with connect(valkey_url) as valkey:
        counted = cast("dict[bytes, bytes]", await settled(valkey.hgetall(topic)))
    assert {name.decode(): int(times) for name, times in counted.items()} == out


async def _until_more(copier: Copier, count: int) -> None:
    goal = copier.copied + count

    async def there() -> bool:
        return copier.copied >= goal

    await until(there)


async def _caught_up(log: Log, topic: str) -> bool:
    try:
        return sum(lag.waiting for lag in await log.lag(f"g-{topic}", topic)) == 0
    except Unavailable:
        return False


async def test_what_only_its_leader_has_is_not_acknowledged(cluster: list[Broker], log: Log, topic: str) -> None:
    await log.append(topic, [Outgoing(number, b"0") for number in range(PARTITIONS)])
    admin = AdminClient({"bootstrap.servers": cluster[0].address, "log_level": 0})
    found = admin.list_topics(topic, timeout=PATIENCE_SECONDS).topics[topic].partitions
    leader = found[0].leader
    with ExitStack() as others:
        for broker in cluster:
            if broker.node != leader:
                others.enter_context(broker.standing_still())
        with pytest.raises(Unavailable):
            await log.append(topic, [Outgoing(0, b"1")])

    await until(lambda: _taken(log, topic))


async def _taken(log: Log, topic: str) -> bool:
    try:
        await log.append(topic, [Outgoing(0, b"2")])
    except Unavailable:
        return False
    return True


async def test_our_topics_are_kept_on_as_many_brokers_as_we_say(cluster: list[Broker], log: Log, topic: str) -> None:
    await log.append(topic, [Outgoing(0, b"1")])

    admin = AdminClient({"bootstrap.servers": cluster[0].address, "log_level": 0})
    found = admin.list_topics(topic, timeout=PATIENCE_SECONDS).topics[topic].partitions

    assert [len(found[number].replicas) for number in range(PARTITIONS)] == [NODES] * PARTITIONS


async def test_partitions_added_while_a_group_reads_are_read_too(
    servers: str, log: Log, topic: str, valkey_url: str
) -> None:
    await log.append(topic, [Outgoing(number, str(number).encode()) for number in range(PARTITIONS)])
    attentive = open_log(
        f"kafka://{servers}?{TOPICS}&{QUICK}&topic.metadata.refresh.interval.ms=200", PARTITIONS, valkey_url
    )
    reader = attentive.reader(f"g-{topic}", "a", [topic])
    await reader.commit(reached(await take(reader, PARTITIONS)))

    wider = open_log(f"kafka://{servers}?{TOPICS}&{QUICK}", PARTITIONS + 2, valkey_url)
    await wider.append(topic, [Outgoing(number, str(10 + number).encode()) for number in range(PARTITIONS + 2)])

    found = await take(reader, PARTITIONS + 2)
    assert sorted(int(record.value) for record in found) == [10, 11, 12, 13, 14]
    await reader.commit(reached(found))
    assert reader.owned() == frozenset(range(PARTITIONS + 2))
    assert [lag.waiting for lag in await attentive.lag(f"g-{topic}", topic)] == [0] * (PARTITIONS + 2)
    for each in (reader, attentive, wider):
        await each.close()


async def test_a_quota_slows_us_down_and_costs_no_record(
    cluster: list[Broker], servers: str, topic: str, valkey_url: str
) -> None:
    limit = ("--add-config", "producer_byte_rate=65536", "--entity-type", "clients", "--entity-name", topic)
    cluster[1].run_tool("kafka.admin.ConfigCommand", "--bootstrap-server", cluster[1].address, "--alter", *limit)
    log = open_log(f"kafka://{servers}?{TOPICS}&client.id={topic}", 1, valkey_url)
    before = THROTTLED._value.get()

    for number in range(12):
        await log.append(topic, [Outgoing(0, bytes([number]) * 65_536)])

    assert THROTTLED._value.get() > before
    reader = log.reader(f"g-{topic}", "a", [topic])
    assert [record.value[0] for record in await take(reader, 12)] == list(range(12))
    await reader.close()
    await log.close()
