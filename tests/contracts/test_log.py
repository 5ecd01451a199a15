"""What every log engine promises, asked of Valkey Streams and of a real Kafka broker alike."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import NamedTuple, Protocol
from uuid import uuid4

import pytest
from typing_extensions import override

from recoup.kit.errors import Unavailable
from recoup.kit.log import valkey_streams
from recoup.kit.log.kafka_journal import At, Mark, Step
from recoup.kit.log.kafka_reader import KafkaReader
from recoup.kit.log.open import open_log
from recoup.kit.log.port import Fenced, Log, Outgoing, Reader, Record
from recoup.kit.valkey import Pipeline, connect, settled

PARTITIONS = 3
PATIENCE_SECONDS = 30


@pytest.fixture(params=["valkey", pytest.param("kafka", marks=pytest.mark.kafka)])
def engine(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def url(request: pytest.FixtureRequest, engine: str) -> str:
    return request.getfixturevalue(f"{engine}_url")


@pytest.fixture
async def log(url: str, valkey_url: str) -> AsyncIterator[Log]:
    log = open_log(url, PARTITIONS, valkey_url)
    yield log
    await log.close()


@dataclass
class Readers:
    """Readers of one test, which are left at its end."""

    log: Log
    opened: list[Reader]

    def open(self, group: str, member: str, *topics: str) -> Reader:
        reader = self.log.reader(group, member, topics)
        self.opened.append(reader)
        return reader


@pytest.fixture
async def readers(log: Log) -> AsyncIterator[Readers]:
    readers = Readers(log, [])
    yield readers
    await asyncio.gather(*(reader.close() for reader in readers.opened), return_exceptions=True)


@pytest.fixture
def topic() -> str:
    return f"t-{uuid4().hex[:12]}"


@pytest.fixture
def group(topic: str) -> str:
    return f"g-{topic}"


@pytest.fixture
def short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a dead member of the Valkey log is missed as soon as one of the test broker."""
    monkeypatch.setattr(valkey_streams, "LEASE_MS", 1_500)
    monkeypatch.setattr(valkey_streams, "RENEW_MS", 300)


def numbered(count: int, *, start: int = 0) -> list[Outgoing]:
    return [Outgoing(number % PARTITIONS, str(number).encode()) for number in range(start, start + count)]


def numbers(records: Sequence[Record]) -> list[int]:
    return sorted(int(record.value) for record in records)


def reached(records: Sequence[Record]) -> dict[tuple[str, int], int]:
    return {(record.topic, record.partition): record.offset for record in records}


class Stoppable(Protocol):
    """An engine that a test may kill and start again."""

    @property
    def url(self) -> str: ...
    def start(self) -> None: ...
    def kill(self) -> None: ...


async def take(reader: Reader, count: int) -> list[Record]:
    """Reads until `count` records have come."""
    found: list[Record] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(found) < count:
            found += await reader.read(wait_seconds=0.2, limit=1000)
    return found


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await condition():
            await asyncio.sleep(0.01)


async def nothing_waits(reader: Reader) -> bool:
    """After a while of reading, so that what is still on its way would have come."""
    return not [record for _ in range(5) for record in await reader.read(wait_seconds=0.1, limit=1000)]


def counted(key: str) -> Callable[[Pipeline], None]:
    def effects(pipe: Pipeline) -> None:
        pipe.incr(key)

    return effects


async def count_of(valkey_url: str, key: str) -> int:
    valkey = connect(valkey_url)
    try:
        return int(await valkey.get(key) or 0)
    finally:
        await valkey.aclose()


async def test_a_partition_is_read_in_the_order_it_was_written_with_its_headers(log: Log, readers: Readers, topic: str):
    sent = [
        Outgoing(number % PARTITIONS, f"{number}".encode(), {"traceparent": f"tp-{number}"}) for number in range(30)
    ]
    for start in range(0, 30, 7):
        await log.append(topic, sent[start : start + 7])

    records = await take(readers.open("orders", "a", topic), 30)

    for partition in range(PARTITIONS):
        seen = [(record.value, dict(record.headers)) for record in records if record.partition == partition]
        assert seen == [(out.value, out.headers) for out in sent if out.partition == partition]
    for before, after in pairwise(records):
        assert before.partition != after.partition or before.offset < after.offset


async def test_a_read_takes_no_more_than_its_limit_from_a_partition(log: Log, readers: Readers, topic: str, group: str):
    await log.append(topic, numbered(30))
    reader = readers.open(group, "a", topic)

    found: list[Record] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(found) < 30:
            batch = await reader.read(wait_seconds=0.2, limit=4)
            for partition in range(PARTITIONS):
                assert sum(record.partition == partition for record in batch) <= 4
            found += batch
    assert numbers(found) == list(range(30))


async def test_what_was_read_and_not_committed_is_read_again_by_the_same_member_restarted(
    log: Log, readers: Readers, topic: str, group: str
):
    await log.append(topic, numbered(9))
    await take(readers.open(group, "a", topic), 9)

    restarted = readers.open(group, "a", topic)

    assert numbers(await take(restarted, 9)) == list(range(9))


async def test_a_commit_moves_the_group_on(log: Log, readers: Readers, topic: str, group: str):
    await log.append(topic, numbered(9))
    first = readers.open(group, "a", topic)
    await first.commit(reached(await take(first, 9)))
    await first.close()
    await log.append(topic, numbered(3, start=9))

    assert numbers(await take(readers.open(group, "b", topic), 3)) == [9, 10, 11]


async def test_rewinding_forgets_what_was_not_committed(log: Log, readers: Readers, topic: str, group: str):
    reader = readers.open(group, "a", topic)
    await log.append(topic, numbered(3))
    await reader.commit(reached(await take(reader, 3)))
    await log.append(topic, numbered(6, start=3))
    await take(reader, 6)

    await reader.rewind()

    assert numbers(await take(reader, 6)) == [3, 4, 5, 6, 7, 8]


async def test_a_read_that_is_cancelled_skips_nothing(log: Log, readers: Readers, topic: str, group: str):
    reader = readers.open(group, "a", topic)
    await reader.read(wait_seconds=0.5, limit=100)
    appending = asyncio.create_task(_append_slowly(log, topic, 40))
    found: set[int] = set()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(found) < 40:
            reading = asyncio.create_task(_collect(reader, found))
            await asyncio.sleep(0.03)
            reading.cancel()
            await asyncio.wait([reading])
            found.update(numbers(await reader.read(wait_seconds=0.2, limit=100)))
    await appending


async def _append_slowly(log: Log, topic: str, count: int) -> None:
    for number in range(count):
        await log.append(topic, [Outgoing(number % PARTITIONS, str(number).encode())])
        await asyncio.sleep(0.005)


async def _collect(reader: Reader, found: set[int]) -> None:
    found.update(numbers(await reader.read(wait_seconds=1, limit=100)))


async def test_groups_do_not_disturb_each_other(log: Log, readers: Readers, topic: str, group: str):
    await log.append(topic, numbered(6))
    one, other = readers.open(f"{group}-1", "a", topic), readers.open(f"{group}-2", "a", topic)
    await one.commit(reached(await take(one, 6)))

    assert numbers(await take(other, 6)) == list(range(6))
    assert sum(lag.waiting for lag in await log.lag(f"{group}-1", topic)) == 0
    assert sum(lag.waiting for lag in await log.lag(f"{group}-2", topic)) == 6


async def test_progress_outputs_and_state_appear_together(
    log: Log, readers: Readers, topic: str, group: str, valkey_url: str
):
    await log.append(topic, numbered(6))
    reader = readers.open(group, "a", topic)
    records = await take(reader, 6)
    outputs = {f"{topic}-out": [Outgoing(2, b"written on", {"of": "six"})]}

    await reader.commit(reached(records), outputs, counted(topic))

    assert sum(lag.waiting for lag in await log.lag(group, topic)) == 0
    assert await count_of(valkey_url, topic) == 1
    [out] = await take(readers.open(f"{group}-out", "a", f"{topic}-out"), 1)
    assert (out.partition, out.value, dict(out.headers)) == (2, b"written on", {"of": "six"})


async def test_a_reader_of_outputs_catches_up_completely(log: Log, readers: Readers, topic: str, group: str):
    reader = readers.open(group, "a", topic)
    for number in range(3):
        await log.append(topic, numbered(3, start=3 * number))
        await reader.commit(reached(await take(reader, 3)), {f"{topic}-out": numbered(3)}, lambda _: None)
    follower = readers.open(f"{group}-out", "a", f"{topic}-out")

    await follower.commit(reached(await take(follower, 9)))

    async def caught_up() -> bool:
        await follower.read(wait_seconds=0.1, limit=100)
        return all(lag.waiting == 0 for lag in await log.lag(f"{group}-out", f"{topic}-out"))

    await until(caught_up)


@pytest.mark.parametrize("first", ["the older", "the newer"])
async def test_of_two_members_who_hold_the_same_records_one_takes_effect(
    log: Log, readers: Readers, topic: str, group: str, valkey_url: str, first: str
):
    await log.append(topic, numbered(6))
    outputs = {f"{topic}-out": [Outgoing(0, b"once")]}
    older = readers.open(group, "a", topic)
    held_by_older = reached(await take(older, 6))
    newer = readers.open(group, "a", topic)
    held_by_newer = reached(await take(newer, 6))
    ahead, behind = (older, newer) if first == "the older" else (newer, older)
    held = {id(older): held_by_older, id(newer): held_by_newer}

    await ahead.commit(held[id(ahead)], outputs, counted(topic))
    with pytest.raises(Fenced):
        await behind.commit(held[id(behind)], outputs, counted(topic))

    await newer.rewind()
    assert await nothing_waits(newer)
    assert await count_of(valkey_url, topic) == 1
    follower = readers.open(f"{group}-out", "a", f"{topic}-out")
    assert [record.value for record in await take(follower, 1)] == [b"once"]
    assert await nothing_waits(follower)


async def test_a_commit_without_progress_is_fenced_too(
    log: Log, readers: Readers, topic: str, group: str, valkey_url: str
):
    await log.append(topic, numbered(6))
    older = readers.open(group, "a", topic)
    await older.commit(reached(await take(older, 6)), None, lambda _: None)
    newer = readers.open(group, "a", topic)
    await until(lambda: _owns_all(newer))

    await newer.commit({}, {f"{topic}-out": [Outgoing(0, b"by timer")]}, counted(topic))
    with pytest.raises(Fenced):
        await older.commit({}, {f"{topic}-out": [Outgoing(0, b"by timer")]}, counted(topic))

    assert await count_of(valkey_url, topic) == 1
    follower = readers.open(f"{group}-out", "a", f"{topic}-out")
    assert len(await take(follower, 1)) == 1
    assert await nothing_waits(follower)


async def _owns_all(reader: Reader) -> bool:
    await reader.read(wait_seconds=0.1, limit=100)
    return reader.owned() == frozenset(range(PARTITIONS))


async def test_members_share_the_partitions_and_take_over_from_one_who_leaves_or_dies(
    log: Log, readers: Readers, topic: str, group: str, short_leases: None
):
    one, two, three = (readers.open(group, name, topic) for name in "abc")
    await until(lambda: _shared(one, two, three))
    await three.close()
    await until(lambda: _shared(one, two))

    await _die(one)
    await log.append(topic, numbered(9))

    assert numbers(await take(two, 9)) == list(range(9))
    assert two.owned() == frozenset(range(PARTITIONS))


async def test_members_of_a_group_that_read_other_topics_take_nothing_from_each_other(
    log: Log, readers: Readers, topic: str, group: str
):
    await log.append(topic, numbered(9))
    await log.append(f"{topic}-other", numbered(9, start=9))

    mine, other = readers.open(group, "a", topic), readers.open(group, "b", f"{topic}-other")

    found, others = await asyncio.gather(take(mine, 9), take(other, 9))
    assert (numbers(found), numbers(others)) == (list(range(9)), list(range(9, 18)))


async def test_one_reader_may_follow_several_topics(log: Log, readers: Readers, topic: str, group: str):
    await log.append(topic, numbered(9))
    await log.append(f"{topic}-other", numbered(9, start=9))
    one, two = (readers.open(group, name, topic, f"{topic}-other") for name in "ab")
    await until(lambda: _shared(one, two))
    await log.append(topic, numbered(9, start=18))
    await log.append(f"{topic}-other", numbered(9, start=27))

    found: set[int] = set()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(found) < 18:
            for records in await asyncio.gather(*(one_.read(wait_seconds=0.1, limit=100) for one_ in (one, two))):
                found.update(number for number in numbers(records) if number >= 18)
    assert found == set(range(18, 36))


async def _shared(*members: Reader) -> bool:
    """Whether each owns something, none the same, and together all."""
    await asyncio.gather(*(member.read(wait_seconds=0.1, limit=100) for member in members))
    owned = [member.owned() for member in members]
    together = frozenset[int]().union(*owned)
    return all(owned) and sum(map(len, owned)) == len(together) == PARTITIONS


async def _die(reader: Reader) -> None:
    """Stops all signs of life without leaving the group."""
    if isinstance(reader, KafkaReader):
        await reader._thread.do(reader.member._drop)


@pytest.mark.parametrize("seed", [1, 2])
async def test_through_crashes_anywhere_each_record_takes_effect_once(
    log: Log, readers: Readers, topic: str, group: str, valkey_url: str, seed: int
):
    chance = Random(seed)
    reader = readers.open(group, "a", topic)
    async with asyncio.timeout(2 * PATIENCE_SECONDS):
        for start in range(0, 60, 6):
            await log.append(topic, numbered(6, start=start))
            ends_badly = chance.choice(["before commit", *BREAKS, "not"])
            reader = await _one_round(readers, reader, ends_badly, Names(topic, group))
        while sum(lag.waiting for lag in await log.lag(group, topic)):
            reader = await _one_round(readers, reader, "not", Names(topic, group))

    follower = readers.open(f"{group}-out", "a", f"{topic}-out")
    assert numbers(await take(follower, 60)) == list(range(60))
    assert await nothing_waits(follower)
    valkey = connect(valkey_url)
    async with valkey:
        assert await settled(valkey.hgetall(topic)) == {str(number).encode(): b"1" for number in range(60)}


class Names(NamedTuple):
    topic: str
    group: str


async def _one_round(readers: Readers, reader: Reader, ends_badly: str, names: Names) -> Reader:
    """Reads, writes on and counts what there is; when that ends badly, the member is started again under its name."""
    records = [*await reader.read(wait_seconds=0.3, limit=100)]
    if ends_badly != "before commit" and records:
        if ends_badly in BREAKS:
            _break(reader, BREAKS[ends_badly])

        def count(pipe: Pipeline) -> None:
            for record in records:
                pipe.hincrby(names.topic, record.value.decode(), 1)

        await reader.commit(
            reached(records),
            {f"{names.topic}-out": [Outgoing(record.partition, record.value) for record in records]},
            count,
        )
    if ends_badly == "not":
        return reader
    return readers.open(names.group, "a", names.topic)


class Untold(KafkaReader):
    """Dies after a step has happened, before Kafka is told."""

    __slots__ = ()

    @override
    async def _tell(self, step: Step, marks: dict[At, Mark]) -> None:
        pass


class Untidied(KafkaReader):
    """Dies after Kafka was told, before that is noted."""

    __slots__ = ()

    @override
    async def _tell(self, step: Step, marks: dict[At, Mark]) -> None:
        await self._thread.do(self.member.tell, step, marks)


def _break(reader: Reader, kind: type[KafkaReader]) -> None:
    """Makes a Kafka reader stop half-way through its next commit; on Valkey there is no such place."""
    if isinstance(reader, KafkaReader):
        reader.__class__ = kind


BREAKS = {"untold": Untold, "untidied": Untidied}


async def test_a_step_left_by_a_dead_member_is_told_once_though_two_take_over(
    log: Log, readers: Readers, topic: str, group: str, short_leases: None
):
    await log.append(topic, numbered(9))
    dead = readers.open(group, "a", topic)
    records = await take(dead, 9)
    _break(dead, Untold)
    await dead.commit(reached(records), {f"{topic}-out": [Outgoing(0, b"once")]}, lambda _: None)
    await _die(dead)

    one, two = readers.open(group, "b", topic), readers.open(group, "c", topic)
    await until(lambda: _shared(one, two))

    follower = readers.open(f"{group}-out", "a", f"{topic}-out")
    assert [record.value for record in await take(follower, 1)] == [b"once"]
    assert await nothing_waits(follower)
    assert sum(lag.waiting for lag in await log.lag(group, topic)) == 0


async def test_members_of_one_name_replace_each_other_and_lose_nothing(
    log: Log, readers: Readers, topic: str, group: str
):
    await log.append(topic, numbered(9))
    one = readers.open(group, "a", topic)
    await take(one, 9)
    other = readers.open(group, "a", topic)
    await take(other, 9)

    found: list[Record] = []
    await one.rewind()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while sum(lag.waiting for lag in await log.lag(group, topic)):
            try:
                found += await one.read(wait_seconds=0.2, limit=100)
                if found:
                    await one.commit(reached(found))
            except Fenced:
                found.clear()
                await one.rewind()

    assert set(numbers(found)) == set(range(9))


async def test_lag_size_and_seek_tell_and_move_the_position(log: Log, readers: Readers, topic: str, group: str):
    assert [lag.waiting for lag in await log.lag(group, topic)] == [0] * PARTITIONS
    await log.append(topic, numbered(9))
    assert await log.size(topic) == 9
    assert [(lag.partition, lag.waiting, lag.written) for lag in await log.lag(group, topic)] == [
        (partition, 3, 3) for partition in range(PARTITIONS)
    ]

    await log.seek(group, topic, "end")
    assert [lag.waiting for lag in await log.lag(group, topic)] == [0] * PARTITIONS
    at_end = readers.open(group, "a", topic)
    assert await nothing_waits(at_end)
    await at_end.close()

    await log.seek(group, topic, "start")
    assert [lag.waiting for lag in await log.lag(group, topic)] == [3] * PARTITIONS
    assert numbers(await take(readers.open(group, "a", topic), 9)) == list(range(9))


async def test_seeking_back_past_a_step_with_state_reads_it_again(log: Log, readers: Readers, topic: str, group: str):
    await log.append(topic, numbered(6))
    reader = readers.open(group, "a", topic)
    await reader.commit(reached(await take(reader, 6)), {f"{topic}-out": [Outgoing(0, b"out")]}, lambda _: None)
    await reader.close()

    await log.seek(group, topic, "start")

    again = readers.open(group, "a", topic)
    await again.commit(reached(await take(again, 6)), None, lambda _: None)
    assert sum(lag.waiting for lag in await log.lag(group, topic)) == 0


async def test_trimming_spares_what_a_registered_group_has_not_committed(
    log: Log, readers: Readers, topic: str, group: str
):
    await log.register(f"{group}-slow", [topic])
    await log.register(f"{group}-fast", [topic])
    await log.append(topic, numbered(9))
    fast = readers.open(f"{group}-fast", "a", topic)
    await fast.commit(reached(await take(fast, 9)))

    await log.trim(topic, keep_seconds=0)

    assert numbers(await take(readers.open(f"{group}-slow", "a", topic), 9)) == list(range(9))


async def test_a_record_of_a_mebibyte_passes(log: Log, readers: Readers, topic: str, group: str):
    large = bytes(range(256)) * 4096
    await log.append(topic, [Outgoing(0, large), Outgoing(0, b"and a small one")])

    records = await take(readers.open(group, "a", topic), 2)

    assert [record.value for record in records] == [large, b"and a small one"]


async def test_an_engine_that_is_gone_is_unavailable_and_what_it_took_is_there_when_it_is_back(
    stoppable: Stoppable, valkey_url: str, topic: str, group: str
):
    log = open_log(stoppable.url, PARTITIONS, valkey_url)
    readers = Readers(log, [])
    try:
        await log.append(topic, numbered(9))
        reader = readers.open(group, "a", topic)
        await reader.commit(reached(await take(reader, 9)))
        await log.append(topic, numbered(3, start=9))

        stoppable.kill()
        with pytest.raises(Unavailable):
            await log.append(topic, numbered(1))
        with pytest.raises(Unavailable):
            await log.ping()
        with pytest.raises(Unavailable):
            await take(reader, 100)

        await asyncio.to_thread(stoppable.start)
        await until(lambda: _answers(log))
        await reader.close()  # two of one name would replace each other for ever
        assert set(numbers(await take(readers.open(group, "a", topic), 3))) >= {9, 10, 11}
    finally:
        await asyncio.gather(*(reader.close() for reader in readers.opened), return_exceptions=True)
        await log.close()


async def _answers(log: Log) -> bool:
    try:
        await log.ping()
    except Unavailable:
        return False
    return True
