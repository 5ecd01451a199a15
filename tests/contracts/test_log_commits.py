"""A commit's progress, outputs and state changes appear together and once; asked of both engines."""

import asyncio
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

import pytest
from tests.contracts.reading import (
    PARTITIONS,
    PATIENCE_SECONDS,
    Readers,
    count_of,
    counted,
    die,
    nothing_waits,
    numbered,
    numbers,
    reached,
    shared,
    take,
    until,
)
from typing_extensions import override

from recoup.kit.log.kafka_journal import At, Mark, Step
from recoup.kit.log.kafka_reader import KafkaReader
from recoup.kit.log.port import Fenced, Log, Outgoing, Reader, Record
from recoup.kit.valkey import Pipeline, connect, settled


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


def again(records: Sequence[Record]) -> list[Outgoing]:
    return [Outgoing(record.partition, record.value) for record in records]


async def test_records_that_are_only_moved_are_moved_once_whoever_takes_over(
    log: Log, readers: Readers, topic: str, group: str
):
    await log.append(topic, numbered(6))
    first = readers.open(group, "a", topic)
    held = await take(first, 6)
    await first.commit(reached(held[:4]), {f"{topic}-out": again(held[:4])})
    await first.close()
    second = readers.open(group, "b", topic)
    rest = await take(second, 2)

    await second.commit(reached(rest), {f"{topic}-out": again(rest)})

    moved = await take(readers.open(f"{group}-out", "a", f"{topic}-out"), 6)
    assert numbers(moved) == list(range(6))


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
    await die(dead)

    one, two = readers.open(group, "b", topic), readers.open(group, "c", topic)
    await until(lambda: shared(one, two))

    follower = readers.open(f"{group}-out", "a", f"{topic}-out")
    assert [record.value for record in await take(follower, 1)] == [b"once"]
    assert await nothing_waits(follower)
    assert sum(lag.waiting for lag in await log.lag(group, topic)) == 0
