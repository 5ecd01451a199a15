"""How records are read: in order, within limits, again where nothing was committed; asked of both engines."""

import asyncio
from itertools import pairwise

from tests.contracts.reading import (
    PARTITIONS,
    PATIENCE_SECONDS,
    Readers,
    nothing_waits,
    numbered,
    numbers,
    reached,
    take,
    until,
)

from recoup.kit.log.port import ONLY_FOR, Log, Outgoing, Reader, Record


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


async def test_a_record_of_a_mebibyte_passes(log: Log, readers: Readers, topic: str, group: str):
    large = bytes(range(256)) * 4096
    await log.append(topic, [Outgoing(0, large), Outgoing(0, b"and a small one")])

    records = await take(readers.open(group, "a", topic), 2)

    assert [record.value for record in records] == [large, b"and a small one"]


async def test_what_is_there_can_be_looked_at_from_any_offset_for_no_group(log: Log, readers: Readers, topic: str):
    await log.append(topic, numbered(12))

    first = await log.after(topic, {}, limit=2)
    rest = await log.after(topic, {record.partition: record.offset for record in first}, limit=100)
    last = {record.partition: record.offset for record in rest}

    assert [record.partition for record in first] == sorted(list(range(PARTITIONS)) * 2)
    assert numbers([*first, *rest]) == list(range(12))
    assert not await log.after(topic, last, limit=100)
    assert numbers(await take(readers.open("own", "a", topic), 12)) == list(range(12))


async def test_a_record_put_back_for_one_group_comes_to_that_group_alone_and_holds_nobody_up(
    log: Log, readers: Readers, topic: str, group: str
):
    back = [Outgoing(number % PARTITIONS, str(number).encode(), {ONLY_FOR: group}) for number in range(10, 14)]
    mine, other = readers.open(group, "a", topic), readers.open(f"{group}-other", "a", topic)
    await log.append(topic, numbered(6))
    first = await take(other, 6)
    await log.append(topic, back)

    # The others' first records are still open when these come; then these are all there is; then there are more.
    assert await nothing_waits(other)
    await other.commit(reached(first))
    await until(lambda: settled_with(other, log, f"{group}-other", topic))
    await log.append(topic, [*back, *numbered(6, start=6)])
    await other.commit(reached(await take(other, 6)))
    await until(lambda: settled_with(other, log, f"{group}-other", topic))

    found = await take(mine, 20)
    assert numbers(found) == sorted([*range(12), *range(10, 14), *range(10, 14)])
    await mine.commit(reached(found))
    assert numbers([r async for records in log.past(topic, {0, 1, 2}, since_ms=0, limit=4) for r in records]) == [
        *range(12)
    ]


async def settled_with(reader: Reader, log: Log, group: str, topic: str) -> bool:
    """Whether the group has nothing left on the topic, after a look that hands nothing out."""
    assert not await reader.read(wait_seconds=0.1, limit=100)
    return sum(lag.waiting for lag in await log.lag(group, topic)) == 0
