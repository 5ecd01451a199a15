"""Positions are told and moved, an outage does not lose them; asked of both engines."""

import asyncio

import pytest
from tests.contracts.reading import (
    PARTITIONS,
    Readers,
    Stoppable,
    nothing_waits,
    numbered,
    numbers,
    reached,
    take,
    until,
)

from recoup.kit.errors import Unavailable
from recoup.kit.log.open import open_log
from recoup.kit.log.port import Log, Outgoing


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


async def test_a_group_reads_a_topic_from_when_it_came(log: Log, readers: Readers, topic: str, group: str):
    await log.append(topic, numbered(3))
    before = await log.reads(group, topic)
    await log.register(group, [topic])
    reader = readers.open(group, "a", topic)
    await reader.commit(reached(await take(reader, 3)))

    assert (before, await log.reads(group, topic)) == (False, True)


async def test_the_past_of_some_partitions_is_read_back_in_order_and_ends(
    log: Log, readers: Readers, topic: str, group: str
):
    await log.append(topic, numbered(30))
    reader = readers.open(group, "a", topic)
    outputs = {f"{topic}-out": [Outgoing(record.partition, record.value) for record in await take(reader, 30)]}
    await reader.commit({(topic, 0): 0}, outputs, lambda _: None)

    found = [record async for records in log.past(f"{topic}-out", {0, 2}, since_ms=0, limit=4) for record in records]
    future = [records async for records in log.past(f"{topic}-out", {0, 2}, since_ms=4_102_444_800_000, limit=4)]

    by_partition = {at: [int(record.value) for record in found if record.partition == at] for at in range(PARTITIONS)}
    assert by_partition == {0: list(range(0, 30, 3)), 1: [], 2: list(range(2, 30, 3))}
    assert future == []
