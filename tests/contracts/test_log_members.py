"""Members share a group's partitions, take over from each other and lose nothing; asked of both engines."""

import asyncio

from tests.contracts.reading import (
    PARTITIONS,
    PATIENCE_SECONDS,
    Readers,
    die,
    numbered,
    numbers,
    reached,
    shared,
    take,
    until,
)

from recoup.kit.log.port import Fenced, Log, Record


async def test_members_share_the_partitions_and_take_over_from_one_who_leaves_or_dies(
    log: Log, readers: Readers, topic: str, group: str, short_leases: None
):
    one, two, three = (readers.open(group, name, topic) for name in "abc")
    await until(lambda: shared(one, two, three))
    await three.close()
    await until(lambda: shared(one, two))

    await die(one)
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
    await until(lambda: shared(one, two))
    await log.append(topic, numbered(9, start=18))
    await log.append(f"{topic}-other", numbered(9, start=27))

    found: set[int] = set()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(found) < 18:
            for records in await asyncio.gather(*(one_.read(wait_seconds=0.1, limit=100) for one_ in (one, two))):
                found.update(number for number in numbers(records) if number >= 18)
    assert found == set(range(18, 36))


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


async def test_a_member_that_keeps_a_partition_while_another_joins_goes_on_there_as_if_nothing_had_happened(
    log: Log, readers: Readers, topic: str, group: str
):
    await log.append(topic, numbered(9))
    one = readers.open(group, "a", topic)
    held = await take(one, 9)
    two = readers.open(group, "b", topic)
    given: list[Record] = []

    async def both_own() -> bool:
        found, _ = await asyncio.gather(one.read(wait_seconds=0.1, limit=100), two.read(wait_seconds=0.1, limit=100))
        given.extend(found)
        return all((one.owned(), two.owned())) and len(one.owned() | two.owned()) == PARTITIONS

    await until(both_own)

    kept = one.owned()
    assert [record for record in given if record.partition in kept] == []
    await one.commit(reached([record for record in held if record.partition in kept]))
    assert {lag.partition for lag in await log.lag(group, topic) if not lag.waiting} == kept
